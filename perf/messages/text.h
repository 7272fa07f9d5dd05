/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as text for benchmarks: random numbers that repeat with their seed, and header fields in
 * a random order. It must not know what the fields mean.
 */
#ifndef TANDEM_PERF_TEXT_H
#define TANDEM_PERF_TEXT_H

#include <stdint.h>

#include "dataplane/sip/slice.h"

enum { TEXT_MESSAGE_MAX = 4096, TEXT_FIELDS_MAX = 32 };

/* The same numbers for the same seed, on every machine (splitmix64). */
struct text_random {
    uint64_t state;
};

uint64_t text_random_next(struct text_random *random);
/* A number below n, which is not 0. */
uint32_t text_random_below(struct text_random *random, uint32_t n);

/* Characters of a token: `n` of them, NUL-terminated. */
void text_random_token(struct text_random *random, uint32_t n, char *ret_text);

/* A message that is being written. */
struct text_message {
    char bytes[TEXT_MESSAGE_MAX];
    uint32_t length;
    uint32_t fields[TEXT_FIELDS_MAX + 1]; /* where each header field begins */
    uint32_t n_fields;
};

/* Appends; a message that gets too long is a bug of its template and ends the program. */
void text_put(struct text_message *message, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_put_slice(struct text_message *message, struct sip_slice slice);

/* The next thing written begins a header field; its lines stay together. */
void text_field(struct text_message *message);

/* Ends the header section: shuffles the fields, whatever comes before the first field stays in
 * front, and appends the empty line and the body. */
void text_finish(struct text_message *message, struct text_random *random, const char *body);

static inline struct sip_slice text_slice(const struct text_message *message)
{
    return sip_slice(message->bytes, message->length);
}

#endif
