/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates by name: see sni.h.
 */
#include "control/stream/tls/sni.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_ROOM = 256 }; /* RFC 1035 §2.3.4: 255 bytes */

/* By name, and of one name in the order of the configuration. */
static int compare(const void *left, const void *right)
{
    const struct tls_sni_name *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : (a->bearer > b->bearer) - (a->bearer < b->bearer);
}

/* The first entry that is not before the name. */
static uint32_t lower_bound(const struct tls_sni *sni, const char *name)
{
    uint32_t low = 0, high = sni->n_names;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (strcmp(sni->names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* "*.rest" of a name, or false: it has one label, or is a wildcard itself. */
static bool wildcard_of(const char *name, char ret[NAME_ROOM])
{
    const char *dot = strchr(name, '.');

    if (dot == NULL || dot == name || name[0] == '*' || strlen(dot) + 2 > NAME_ROOM)
        return false;
    ret[0] = '*';
    memcpy(ret + 1, dot, strlen(dot) + 1);
    return true;
}

/* Takes bearers of exactly this name for the kinds that the set lacks. */
static void fill_exactly(const struct tls_sni *sni, const struct tls_bearer *const *bearers,
                         const char *name, struct tls_set *set)
{
    for (uint32_t i = lower_bound(sni, name);
         i < sni->n_names && strcmp(sni->names[i].name, name) == 0; i++) {
        uint32_t bearer = sni->names[i].bearer, *place = &set->by_kind[bearers[bearer]->kind];

        if (*place == TLS_SNI_NONE)
            *place = bearer;
    }
}

/* The same, then those that bear it by a wildcard. */
static void fill(const struct tls_sni *sni, const struct tls_bearer *const *bearers,
                 const char *name, struct tls_set *set)
{
    char wildcard[NAME_ROOM];

    fill_exactly(sni, bearers, name, set);
    if (wildcard_of(name, wildcard))
        fill_exactly(sni, bearers, wildcard, set);
}

/* Its index among the sets, to which it is added. */
static uint32_t set_index(struct tls_sni *sni, const struct tls_set *set)
{
    for (uint32_t i = 0; i < sni->n_sets; i++) {
        if (memcmp(&sni->sets[i], set, sizeof(*set)) == 0)
            return i;
    }
    sni->sets[sni->n_sets] = *set;
    return sni->n_sets++;
}

static void make_sets(struct tls_sni *sni, const struct tls_bearer *const *bearers)
{
    struct tls_set none, set;
    uint32_t kept = 0;

    memset(&none, 0xff, sizeof(none)); /* TLS_SNI_NONE everywhere */
    set = none;
    set.by_kind[bearers[0]->kind] = 0;
    for (uint32_t i = 0; i < bearers[0]->n_names; i++)
        fill(sni, bearers, bearers[0]->names[i], &set);
    set_index(sni, &set);
    for (uint32_t i = 0; i < sni->n_names; i++) {
        if (i > 0 && strcmp(sni->names[i].name, sni->names[i - 1].name) == 0) {
            sni->names[i].set = sni->names[i - 1].set;
            continue;
        }
        set = none;
        fill(sni, bearers, sni->names[i].name, &set);
        sni->names[i].set = set_index(sni, &set);
    }
    for (uint32_t i = 0; i < sni->n_names; i++) {
        if (i == 0 || strcmp(sni->names[i].name, sni->names[kept - 1].name) != 0)
            sni->names[kept++] = sni->names[i];
    }
    sni->n_names = kept;
}

int tls_sni_init(struct tls_sni *sni, const struct tls_bearer *const *bearers, uint32_t n)
{
    uint32_t n_names = 0, at = 0;

    for (uint32_t i = 0; i < n; i++)
        n_names += bearers[i]->n_names;
    *sni = (struct tls_sni){
        .sets = calloc((size_t)n_names + 1, sizeof(*sni->sets)),
        .names = calloc((size_t)n_names + 1, sizeof(*sni->names)),
        .n_names = n_names,
    };
    if (sni->sets == NULL || sni->names == NULL) {
        tls_sni_done(sni);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < bearers[i]->n_names; j++)
            sni->names[at++] = (struct tls_sni_name){.name = bearers[i]->names[j], .bearer = i};
    }
    qsort(sni->names, n_names, sizeof(*sni->names), compare);
    make_sets(sni, bearers);
    return 0;
}

void tls_sni_done(struct tls_sni *sni)
{
    free(sni->sets);
    free(sni->names);
    *sni = (struct tls_sni){NULL, 0, NULL, 0};
}

/* The set of exactly this name. */
static uint32_t find_exactly(const struct tls_sni *sni, const char *name)
{
    uint32_t i = lower_bound(sni, name);

    return i < sni->n_names && strcmp(sni->names[i].name, name) == 0 ? sni->names[i].set
                                                                     : (uint32_t)TLS_SNI_NONE;
}

uint32_t tls_sni_find(const struct tls_sni *sni, const char *name)
{
    char lower[NAME_ROOM], wildcard[NAME_ROOM];
    size_t length = strlen(name);
    uint32_t set;

    if (length > 0 && name[length - 1] == '.')
        length--; /* RFC 6066 §3: without it, but some write it */
    if (length == 0 || length >= sizeof(lower) || name[0] == '*')
        return TLS_SNI_NONE;
    for (size_t i = 0; i < length; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[length] = '\0';
    set = find_exactly(sni, lower);
    if (set == TLS_SNI_NONE && wildcard_of(lower, wildcard))
        set = find_exactly(sni, wildcard);
    return set;
}
