/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slice of somebody else's bytes. It owns nothing and dies with its buffer; it is never
 * terminated by a NUL. Every parser of this room takes and gives slices.
 */
#ifndef TANDEM_SIP_SLICE_H
#define TANDEM_SIP_SLICE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct sip_slice {
    const char *at;
    uint32_t length;
};

static inline struct sip_slice sip_slice(const char *at, uint32_t length)
{
    return (struct sip_slice){at, length};
}

/* A slice of a C string; meant for literals and for tests. */
static inline struct sip_slice sip_slice_of(const char *text)
{
    return (struct sip_slice){text, (uint32_t)strlen(text)};
}

/* Equal byte for byte (Call-ID, tags: RFC 3261 §8.1.1.4, §19.3). */
static inline bool sip_slice_equal(struct sip_slice a, struct sip_slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

/* What a byte may be part of; a byte may be several of these. */
enum sip_char {
    SIP_CHAR_TOKEN = 1, /* token (RFC 3261 §25.1) */
    SIP_CHAR_HOST = 2,  /* host name: letters, digits, '-', '.' and, as the field has it, '_' */
    SIP_CHAR_DIGIT = 4,
    SIP_CHAR_LWS = 8,      /* SP, HTAB, CR, LF */
    SIP_CHAR_VISIBLE = 16, /* '!' to '~' and the bytes of UTF-8 above ASCII */
    SIP_CHAR_STOP = 32,    /* ends a bare parameter name or value: ; , " < > */
    SIP_CHAR_SCHEME = 64,  /* a URI's scheme: letters, digits, '+', '-', '.' */
    SIP_CHAR_ALPHA = 128,
};

extern const uint8_t sip_char_table[256];

static inline bool sip_char_is(char c, int classes)
{
    return (sip_char_table[(uint8_t)c] & classes) != 0;
}

/* True when every byte is of one of the classes; false for an empty slice. */
bool sip_slice_only(struct sip_slice s, int classes);

/* Equal but for the case of ASCII letters (header names, tokens, hosts: RFC 3261 §7.3.1). */
bool sip_slice_equal_nocase(struct sip_slice a, struct sip_slice b);

/* The slice without linear white space (SP, HTAB, CR, LF) at both ends. */
struct sip_slice sip_slice_trim(struct sip_slice s);

/*
 * The decimal number that is the whole slice. Returns 0, -EINVAL when it is empty or not digits
 * only, -ERANGE when it is above `max`; *ret is untouched on failure.
 */
int sip_slice_number(struct sip_slice s, uint64_t max, uint64_t *ret);

/* Writes bytes, and the bytes of a C string, which is a literal mostly; what is behind them. */
static inline char *sip_put(char *to, const char *text, size_t length)
{
    memcpy(to, text, length);
    return to + length;
}

static inline char *sip_put_text(char *to, const char *text)
{
    return sip_put(to, text, strlen(text));
}

/* "00" to "99", without a NUL. */
extern const char sip_pairs[100][2];

enum { SIP_NUMBER_TEXT_MAX = 10 };

/* Writes a number in decimal, without a NUL. Returns its length (≤ SIP_NUMBER_TEXT_MAX). */
uint32_t sip_number_print(uint32_t number, char *ret_text);

#endif
