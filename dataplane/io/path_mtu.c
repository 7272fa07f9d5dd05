/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See path_mtu.h. An entry is one word, so that a reader sees all of it or none: 48 bits of a keyed
 * hash of the destination, 16 of MTU. It must not know what an ICMP message looks like.
 */
#include "dataplane/io/path_mtu.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "dataplane/io/frame.h"

enum { WAYS = 4, SETS = IO_PATH_MTU_ENTRIES / WAYS, MTU_BITS = 16, MTU_MASK = 0xffff };

struct io_path_mtu {
    struct lb_key key;
    atomic_uint_least64_t words[SETS][WAYS]; /* 0: free */
    uint64_t until_ms[SETS][WAYS];           /* main's alone */
};

struct io_path_mtu *io_path_mtu_new(const struct lb_key *key)
{
    struct io_path_mtu *table = calloc(1, sizeof(*table));

    if (table != NULL)
        table->key = *key;
    return table;
}

void io_path_mtu_free(struct io_path_mtu *table)
{
    free(table);
}

static uint64_t hash(const struct io_path_mtu *table, const struct sip_ip *destination)
{
    return lb_siphash13(&table->key, destination, sizeof(*destination));
}

bool io_path_mtu_learn(struct io_path_mtu *table, const struct sip_ip *destination, uint32_t mtu,
                       uint32_t port_mtu, uint64_t now_ms)
{
    uint64_t h = hash(table, destination);
    uint32_t set = h % SETS, at = 0;

    if (mtu < IO_MTU6_MIN || mtu >= port_mtu || mtu > MTU_MASK)
        return false;
    for (uint32_t i = 0; i < WAYS; i++) {
        if (table->words[set][i] >> MTU_BITS == h >> MTU_BITS) {
            at = i;
            break;
        }
        if (table->until_ms[set][i] < table->until_ms[set][at])
            at = i;
    }
    atomic_store_explicit(&table->words[set][at], (h & ~(uint64_t)MTU_MASK) | mtu,
                          memory_order_relaxed);
    table->until_ms[set][at] = now_ms + IO_PATH_MTU_MS;
    return true;
}

void io_path_mtu_expire(struct io_path_mtu *table, uint64_t now_ms)
{
    for (uint32_t set = 0; set < SETS; set++) {
        for (uint32_t i = 0; i < WAYS; i++) {
            if (table->until_ms[set][i] == 0 || table->until_ms[set][i] > now_ms)
                continue;
            table->until_ms[set][i] = 0;
            atomic_store_explicit(&table->words[set][i], 0, memory_order_relaxed);
        }
    }
}

uint32_t io_path_mtu_get(const struct io_path_mtu *table, const struct sip_ip *destination,
                         uint32_t port_mtu)
{
    uint64_t h = hash(table, destination);

    for (uint32_t i = 0; i < WAYS; i++) {
        uint64_t word = atomic_load_explicit(&table->words[h % SETS][i], memory_order_relaxed);

        if (word >> MTU_BITS == h >> MTU_BITS && (word & MTU_MASK) != 0)
            return (word & MTU_MASK) < port_mtu ? (uint32_t)(word & MTU_MASK) : port_mtu;
    }
    return port_mtu;
}
