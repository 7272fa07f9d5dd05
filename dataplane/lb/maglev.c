/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the Maglev table. Members take turns; in its turn a member takes the first free entry of
 * its own permutation of the table (offset and skip, keyed hashes of its id). Who has weight w
 * takes its k-th turn at the time (k + 1/2) / w, so that the order of turns among some members does
 * not depend on who else is there, which is what keeps entries in place when others come and go.
 */
#include "dataplane/lb/maglev.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/*
 * Few sizes, far apart: entries stay in place only while the size does, so a pool must seldom grow
 * out of its table. The smallest gives a weight of 1 beside 100 and 50 its share within 1 %.
 */
static const uint32_t sizes[] = {16381, 65537, 131071, 524287, 2097143, 8388593};

enum {
    SIZES = sizeof sizes / sizeof sizes[0],
    ENTRIES_PER_MEMBER = 100,
    TIME_BITS = 14, /* fraction of a turn's time, in turns of the heaviest member */
    RANK_BITS = 16,
};

/* A member that gets entries, while the table is filled. */
struct taker {
    uint64_t step; /* time from turn to turn, TIME_BITS of fraction; ≤ 2^46 */
    uint32_t id;
    uint32_t weight;
    uint32_t position; /* where it looks next */
    uint32_t skip;     /* 1 … size - 1 */
    uint16_t index;
};

uint32_t lb_maglev_size(uint32_t n_members)
{
    for (unsigned i = 0; i < SIZES; i++)
        if (sizes[i] / ENTRIES_PER_MEMBER >= n_members)
            return sizes[i];
    return sizes[SIZES - 1];
}

static bool is_prime(uint32_t n)
{
    if (n < 2)
        return false;
    for (uint32_t i = 2; (uint64_t)i * i <= n; i++)
        if (n % i == 0)
            return false;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    const struct taker *left = a, *right = b;

    return (left->id > right->id) - (left->id < right->id);
}

static uint32_t place(const struct lb_key *key, uint32_t id, uint32_t purpose, uint32_t range)
{
    uint32_t words[2] = {htole32(id), htole32(purpose)};

    return lb_maglev_position(lb_siphash24(key, words, sizeof words), range);
}

/* Copies members into takers, sorted by id; false when two have one id or an index is no index. */
static bool takers_set(struct taker *takers, const struct lb_member *members, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (members[i].index >= LB_MAGLEV_NONE)
            return false;
        takers[i] = (struct taker){
            .id = members[i].id, .weight = members[i].weight, .index = members[i].index};
    }
    qsort(takers, n, sizeof *takers, compare_ids);
    for (uint32_t i = 1; i < n; i++)
        if (takers[i].id == takers[i - 1].id)
            return false;
    return true;
}

/* Drops those without weight and gives the others permutation and pace; how many are left. */
static uint32_t takers_prepare(struct taker *takers, uint32_t n, const struct lb_key *key,
                               uint32_t size)
{
    uint64_t heaviest = 0;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n; i++)
        if (takers[i].weight > heaviest)
            heaviest = takers[i].weight;
    for (uint32_t i = 0; i < n; i++) {
        struct taker taker = takers[i];

        if (taker.weight == 0)
            continue;
        taker.step = (heaviest << TIME_BITS) / taker.weight;
        taker.position = place(key, taker.id, 0, size);
        taker.skip = 1 + place(key, taker.id, 1, size - 1);
        takers[kept++] = taker;
    }
    return kept;
}

static void take_entry(struct taker *taker, uint16_t *table, uint32_t size)
{
    uint32_t position = taker->position;

    while (table[position] != LB_MAGLEV_NONE) {
        position += taker->skip;
        position -= position >= size ? size : 0;
    }
    table[position] = taker->index;
    taker->position = position;
}

/*
 * A tournament tree over the takers' next turns: leaves from `leaves` on, each node the earlier of
 * its two, the winner at 1. A turn is time << RANK_BITS | rank, so equal times go by rank (by id).
 */
static void tree_set(uint64_t *tree, uint32_t leaves, uint32_t rank, uint64_t time)
{
    size_t node = (size_t)leaves + rank;

    tree[node] = time << RANK_BITS | rank;
    for (node /= 2; node > 0; node /= 2) {
        uint64_t left = tree[2 * node], right = tree[2 * node + 1];

        tree[node] = left < right ? left : right;
    }
}

/* The first turn of each is at once, so that nobody with weight goes without an entry. */
static void fill(struct taker *takers, uint32_t n, uint64_t *tree, uint32_t leaves, uint16_t *table,
                 uint32_t size)
{
    for (uint32_t i = 0; i < 2 * leaves; i++)
        tree[i] = UINT64_MAX;
    for (uint32_t rank = 0; rank < n; rank++) {
        take_entry(&takers[rank], table, size);
        tree_set(tree, leaves, rank, takers[rank].step + takers[rank].step / 2);
    }
    for (uint32_t i = n; i < size; i++) {
        uint32_t rank = tree[1] & ((1u << RANK_BITS) - 1);

        take_entry(&takers[rank], table, size);
        tree_set(tree, leaves, rank, (tree[1] >> RANK_BITS) + takers[rank].step);
    }
}

int lb_maglev_build(const struct lb_key *key, const struct lb_member *members, uint32_t n,
                    uint16_t *ret_table, uint32_t size)
{
    struct taker *takers = NULL;
    uint64_t *tree = NULL;
    uint32_t leaves = 1, kept;
    int ret = -EINVAL;

    /* A size that is not prime would let a member walk in a circle without end. */
    if (n >= LB_MAGLEV_NONE || size < n || size < 3 || !is_prime(size))
        return -EINVAL;
    while (leaves < n)
        leaves *= 2;
    takers = calloc(n + 1, sizeof *takers);
    tree = calloc(2 * (size_t)leaves, sizeof *tree);
    if (takers == NULL || tree == NULL) {
        ret = -ENOMEM;
        goto out;
    }
    if (!takers_set(takers, members, n))
        goto out;
    kept = takers_prepare(takers, n, key, size);
    for (uint32_t i = 0; i < size; i++)
        ret_table[i] = LB_MAGLEV_NONE;
    if (kept > 0)
        fill(takers, kept, tree, leaves, ret_table, size);
    ret = 0;
out:
    free(tree);
    free(takers);
    return ret;
}
