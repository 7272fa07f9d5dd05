/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phones and their connections, as pairs: see phones.h.
 */
#include "control/stream/phones.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/stream/pairs.h"

enum {
    PHONES = 1 << 18,
    ASKED = 1 << 16, /* REGISTERs under way: 2,000 a second, each for 32 s */
};

/* In the place of a connection, with the node's id in the lower half. No connection has such a
 * number before the year 2262 (table_new). */
static const uint64_t ELSEWHERE = 1ull << 63;

struct phones {
    struct pairs *now;    /* phone → its connection, or where else it is */
    struct pairs *former; /* connection → whose it was */
    struct pairs *asked;  /* REGISTER under way → who asks */
};

struct phones *phones_new(void)
{
    struct phones *phones = calloc(1, sizeof(*phones));

    if (phones == NULL)
        return NULL;
    phones->now = pairs_new(PHONES);
    phones->former = pairs_new(PHONES);
    phones->asked = pairs_new(ASKED);
    if (phones->now != NULL && phones->former != NULL && phones->asked != NULL)
        return phones;
    phones_free(phones);
    return NULL;
}

void phones_free(struct phones *phones)
{
    if (phones == NULL)
        return;
    pairs_free(phones->now);
    pairs_free(phones->former);
    pairs_free(phones->asked);
    free(phones);
}

/* Has the pairs of a file instead of those in memory. 0, or a negative errno. */
static int remember(struct pairs **pairs, const char *directory, const char *name)
{
    char file[PATH_MAX];
    struct pairs *kept;

    if (snprintf(file, sizeof(file), "%s/%s", directory, name) >= (int)sizeof(file))
        return -ENAMETOOLONG;
    kept = pairs_open(file, PHONES);
    if (kept == NULL)
        return -errno;
    pairs_free(*pairs);
    *pairs = kept;
    return 0;
}

int phones_remember(struct phones *phones, const char *directory)
{
    int status = remember(&phones->now, directory, "phones");

    return status == 0 ? remember(&phones->former, directory, "former") : status;
}

void phones_ask(struct phones *phones, uint64_t request, uint64_t phone)
{
    pairs_put(phones->asked, request, phone);
}

uint64_t phones_asked(struct phones *phones, uint64_t request)
{
    const uint64_t *phone = pairs_find(phones->asked, request);

    return phone == NULL ? 0 : *phone;
}

/* Has a phone be somewhere else. Returns the connection that leads there now; 0: none. */
static uint64_t move(struct phones *phones, uint64_t phone, uint64_t to)
{
    const uint64_t *found = pairs_find(phones->now, phone);
    uint64_t before = found == NULL || (*found & ELSEWHERE) != 0 || *found == to ? 0 : *found;

    if (before != 0)
        pairs_put(phones->former, before, phone);
    pairs_put(phones->now, phone, to);
    return before;
}

uint64_t phones_come(struct phones *phones, uint64_t phone, uint64_t connection)
{
    return move(phones, phone, connection);
}

uint64_t phones_go(struct phones *phones, uint64_t phone, uint32_t node)
{
    return pairs_find(phones->now, phone) == NULL ? 0 : move(phones, phone, ELSEWHERE | node);
}

static struct phones_place place_of(uint64_t phone, uint64_t now)
{
    struct phones_place place = {.phone = phone};

    if ((now & ELSEWHERE) != 0)
        place.node = (uint32_t)now;
    else
        place.connection = now;
    return place;
}

bool phones_find(struct phones *phones, uint64_t phone, struct phones_place *ret)
{
    const uint64_t *now = pairs_find(phones->now, phone);

    if (now != NULL)
        *ret = place_of(phone, *now);
    return now != NULL;
}

bool phones_find_after(struct phones *phones, uint64_t connection, struct phones_place *ret)
{
    const uint64_t *phone = pairs_find(phones->former, connection);

    return phone != NULL && phones_find(phones, *phone, ret);
}

struct visit {
    void (*fn)(void *arg, uint64_t phone, uint64_t connection);
    void *arg;
};

static void visit_here(void *arg, uint64_t phone, uint64_t now)
{
    const struct visit *visit = arg;

    if ((now & ELSEWHERE) == 0)
        visit->fn(visit->arg, phone, now);
}

void phones_each(const struct phones *phones, uint32_t part,
                 void (*fn)(void *arg, uint64_t phone, uint64_t connection), void *arg)
{
    struct visit visit = {fn, arg};

    pairs_each(phones->now, part, PHONES_PARTS, visit_here, &visit);
}
