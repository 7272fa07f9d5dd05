/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of those who want each of theirs to cost as much as it can: built around one field that
 * is repeated, folded or overlong, or with Call-IDs that they chose. They know Tandem's code, and
 * none of its keys.
 */
#ifndef TANDEM_PERF_BOMB_H
#define TANDEM_PERF_BOMB_H

#include <stdbool.h>
#include <stdint.h>

enum { BOMB_MAX = 65507 }; /* bytes: of UDP over IPv4 */

struct bomb {
    const char *group; /* one word */
    const char *name;
    const char *before; /* what is repeated stands between these… */
    const char *unit;
    const char *after;
    uint32_t times; /* …so often; 0: until the message is full */
    uint32_t kind;  /* for bomb_write alone */
};

/* All of them; the last one's name is NULL. */
extern const struct bomb bombs[];

/* Writes one, which is the same each time, into ret_text[BOMB_MAX]; its length. */
uint32_t bomb_write(const struct bomb *bomb, char *ret_text);

/* INVITEs that differ in their Call-IDs, which are chosen in one of these ways. */
enum bomb_choice {
    BOMB_RANDOM,    /* what the others are held against */
    BOMB_COUNTED,   /* 1, 2, 3… */
    BOMB_SHUFFLED,  /* the same eight-byte words in other orders: equal sums, equal xors */
    BOMB_LONG_ENDS, /* differing in the midst of 200 equal bytes only */
    BOMB_PADDED,    /* the same text, longer and longer, and again behind another first byte */
    BOMB_CHOICE_COUNT,
};

const char *bomb_choice_name(enum bomb_choice choice);

/* The message with Call-ID `number` of a choice into ret_text[BOMB_MAX]; its length. */
uint32_t bomb_write_call(enum bomb_choice choice, uint32_t number, char *ret_text);

#endif
