/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded memory of pairs of numbers: where there is no room the oldest of a few goes. It does not
 * know what they mean.
 */
#ifndef TANDEM_STREAM_PAIRS_H
#define TANDEM_STREAM_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

struct pairs;

/* For about that many; keys are never 0 and, in their low bits, as good as random or in sequence. NULL:
 * no memory. */
struct pairs *pairs_new(uint32_t room);

/*
 * The same in a file, made when it is not there, that keeps them for the next process, whatever ends this
 * one. What is no such file, or of another size, is emptied; nobody else may have it open. NULL and
 * errno: it cannot be opened, or there is no room for it.
 */
struct pairs *pairs_open(const char *file, uint32_t room);
void pairs_free(struct pairs *pairs);

/* The value of a key, which may be changed; NULL: it is not known (any more). Until the next put. */
uint64_t *pairs_find(struct pairs *pairs, uint64_t key);

/* Adds a pair, or changes the one of this key. */
void pairs_put(struct pairs *pairs, uint64_t key, uint64_t value);

/* Calls fn for each pair of one of so many parts, about equal, that depend on room and keys alone. */
void pairs_each(const struct pairs *pairs, uint32_t part, uint32_t parts,
                void (*fn)(void *arg, uint64_t key, uint64_t value), void *arg);

#endif
