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

/* What is filled. Who is looking for a free entry asks the bits: most looks find a taken one. */
struct board {
    uint16_t *table;
    uint64_t *taken; /* a bit for each entry */
    uint32_t size;
};

static void take_entry(struct taker *taker, const struct board *board)
{
    uint32_t position = taker->position, skip = taker->skip, size = board->size;

    while (board->taken[position / 64] >> position % 64 & 1) {
        position += skip;
        position -= position >= size ? size : 0;
    }
    board->taken[position / 64] |= UINT64_C(1) << position % 64;
    board->table[position] = taker->index;
    taker->position = position;
}

/*
 * A tournament over the takers' next turns: leaf `leaves + rank` is a taker's, each node keeps the
 * later of the two that met there, the earliest of all is nowhere. A turn is time << RANK_BITS |
 * rank, so equal times go by rank (by id); never 0, which is a node where nobody has been yet.
 */
static uint64_t tree_play(uint64_t *tree, uint32_t leaf, uint64_t turn)
{
    for (uint32_t node = leaf / 2; node > 0; node /= 2) {
        uint64_t other = tree[node];

        tree[node] = turn < other ? other : turn;
        turn = turn < other ? turn : other;
    }
    return turn;
}

/* The same for a first turn: who comes to a node first waits there. */
static uint64_t tree_enter(uint64_t *tree, uint32_t leaf, uint64_t turn)
{
    for (uint32_t node = leaf / 2; node > 0; node /= 2) {
        uint64_t other = tree[node];

        tree[node] = turn < other ? other : turn;
        if (other == 0)
            break;
        turn = turn < other ? turn : other;
    }
    return turn;
}

static uint64_t turn_at(uint64_t time, uint32_t rank)
{
    return time << RANK_BITS | rank;
}

/* The first turn of each is at once, so that nobody with weight goes without an entry. */
static void fill(struct taker *takers, uint32_t n, uint64_t *tree, uint32_t leaves,
                 const struct board *board)
{
    uint64_t turn = 0;

    for (uint32_t rank = 0; rank < leaves; rank++) {
        if (rank < n)
            take_entry(&takers[rank], board);
        turn = tree_enter(tree, leaves + rank,
                          rank < n ? turn_at(takers[rank].step + takers[rank].step / 2, rank)
                                   : UINT64_MAX);
    }
    for (uint32_t i = n; i < board->size; i++) {
        uint32_t rank = turn & ((1u << RANK_BITS) - 1);

        take_entry(&takers[rank], board);
        turn =
            tree_play(tree, leaves + rank, turn_at((turn >> RANK_BITS) + takers[rank].step, rank));
    }
}

int lb_maglev_build(const struct lb_key *key, const struct lb_member *members, uint32_t n,
                    uint16_t *ret_table, uint32_t size)
{
    struct board board = {.table = ret_table, .size = size};
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
    tree = calloc(leaves, sizeof *tree);
    board.taken = calloc(size / 64 + 1, sizeof *board.taken);
    if (takers == NULL || tree == NULL || board.taken == NULL) {
        ret = -ENOMEM;
        goto out;
    }
    if (!takers_set(takers, members, n))
        goto out;
    kept = takers_prepare(takers, n, key, size);
    for (uint32_t i = 0; kept == 0 && i < size; i++)
        ret_table[i] = LB_MAGLEV_NONE;
    if (kept > 0)
        fill(takers, kept, tree, leaves, &board);
    ret = 0;
out:
    free(board.taken);
    free(tree);
    free(takers);
    return ret;
}
