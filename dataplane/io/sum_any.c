/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums on CPUs that sum_x86.c does not know: word by word.
 */
#include "dataplane/io/sum.h"
#include "dataplane/io/wire.h"

static bool always(void)
{
    return true;
}

static uint64_t by_words(uint64_t sum, const uint8_t *at, uint32_t length)
{
    return sum_add(sum, at, length);
}

uint64_t io_sum_add(uint64_t sum, const uint8_t *at, uint32_t length)
{
    return sum_add(sum, at, length);
}

const struct io_sum_way *io_sum_ways(uint32_t *ret_n)
{
    static const struct io_sum_way ways[] = {{"words", by_words, always}};

    *ret_n = sizeof(ways) / sizeof(ways[0]);
    return ways;
}
