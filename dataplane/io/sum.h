/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sum over many bytes behind IP's and UDP's checksums, by the widest vectors of the CPU that
 * runs it. Pure. Headers are summed by io/wire's inline functions.
 */
#ifndef TANDEM_IO_SUM_H
#define TANDEM_IO_SUM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Adds `length` (≤ 65,535) bytes to a ones' complement sum, in pairs in the order of the bytes in
 * memory, the last one of an odd number with a 0 behind it (RFC 1071 §2.B). What is added is below
 * 2^49, and the same as any other way of summing only when folded to 16 bits. Any thread.
 */
uint64_t io_sum_add(uint64_t sum, const uint8_t *at, uint32_t length);

/* A way of summing; the same contract. */
struct io_sum_way {
    const char *name;
    uint64_t (*add)(uint64_t sum, const uint8_t *at, uint32_t length);
    bool (*runs)(void); /* on this CPU */
};

/* All that were compiled, for tests. *ret_n: how many. */
const struct io_sum_way *io_sum_ways(uint32_t *ret_n);

#endif
