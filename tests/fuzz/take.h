/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets share: a check that stays in every build, and an input that is eaten from its
 * front. An input that is at its end gives zeros, so that every input is a whole one.
 */
#ifndef TANDEM_TESTS_FUZZ_TAKE_H
#define TANDEM_TESTS_FUZZ_TAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/sip/slice.h"

/* Unlike assert: stays in a release build, and is for the fuzzer's findings. A macro, so that it
 * says what did not hold. */
#define must(holds) must_hold((holds), __FILE__, __LINE__, #holds)

static inline void must_hold(bool holds, const char *file, int line, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* A part that a parser found lies in what it was given. */
#define must_lie_in(part, whole) must(lies_in(part, whole))

static inline bool lies_in(struct sip_slice part, struct sip_slice whole)
{
    return part.length == 0 ||
           (part.at >= whole.at && part.at + part.length <= whole.at + whole.length);
}

struct take {
    const uint8_t *at;
    size_t left;
};

/* The next bytes (at most four) as a number, big-endian. */
static inline uint32_t take_number(struct take *take, uint32_t bytes)
{
    uint32_t number = 0;

    for (; bytes > 0; bytes--) {
        number = number << 8 | (take->left > 0 ? *take->at : 0);
        take->at += take->left > 0;
        take->left -= take->left > 0;
    }
    return number;
}

/* Up to `length` bytes, or what is left of them. */
static inline struct sip_slice take_bytes(struct take *take, uint32_t length)
{
    struct sip_slice bytes;

    if (length > take->left)
        length = (uint32_t)take->left;
    bytes = sip_slice((const char *)take->at, length);
    take->at += length;
    take->left -= length;
    return bytes;
}

static inline void take_copy(struct take *take, void *ret, uint32_t length)
{
    uint8_t *to = ret;

    for (uint32_t i = 0; i < length; i++)
        to[i] = (uint8_t)take_number(take, 1);
}

#endif
