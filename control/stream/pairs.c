/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs by sets of a few ways, the newest last: see pairs.h.
 */
#include "control/stream/pairs.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 8 };

struct pair {
    uint64_t key, value; /* key 0: none */
};

struct pairs {
    uint32_t n_sets;
    struct pair (*sets)[WAYS];
};

struct pairs *pairs_new(uint32_t room)
{
    struct pairs *pairs = calloc(1, sizeof(*pairs));

    if (pairs == NULL)
        return NULL;
    pairs->n_sets = room / WAYS + 1;
    pairs->sets = calloc(pairs->n_sets, sizeof(*pairs->sets));
    if (pairs->sets == NULL) {
        free(pairs);
        return NULL;
    }
    return pairs;
}

void pairs_free(struct pairs *pairs)
{
    if (pairs == NULL)
        return;
    free(pairs->sets);
    free(pairs);
}

uint64_t *pairs_find(struct pairs *pairs, uint64_t key)
{
    struct pair *set = pairs->sets[key % pairs->n_sets];

    for (uint32_t way = 0; way < WAYS; way++) {
        if (set[way].key == key)
            return &set[way].value;
    }
    return NULL;
}

void pairs_put(struct pairs *pairs, uint64_t key, uint64_t value)
{
    struct pair *set = pairs->sets[key % pairs->n_sets];
    uint64_t *known = pairs_find(pairs, key);
    uint32_t way = 0;

    if (known != NULL) {
        *known = value;
        return;
    }
    while (way < WAYS && set[way].key != 0)
        way++;
    if (way == WAYS) {
        memmove(&set[0], &set[1], (WAYS - 1) * sizeof(set[0]));
        way = WAYS - 1;
    }
    set[way] = (struct pair){key, value};
}
