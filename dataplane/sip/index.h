/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the variants of sip_msg_index share: one for any processor (index_scalar.c), and one for
 * each vector instruction set, which reads the usual way of writing a message many bytes at a time
 * and leaves the rest, a line or a value at a time, to the functions of the first. All of them give
 * the same struct sip_msg for the same bytes. Of use to this room, its tests and its benchmark.
 */
#ifndef TANDEM_SIP_INDEX_H
#define TANDEM_SIP_INDEX_H

#include "dataplane/sip/edit.h"
#include "dataplane/sip/msg.h"
#include "dataplane/sip/uri.h"

struct sip_index_variant {
    const char *name;
    enum sip_error (*index)(const char *buf, size_t size, struct sip_msg *ret);
    /* These leave to the scalar ones what is not usual, or bad; NULL in the scalar variant. */
    bool (*via)(struct sip_slice value, struct sip_via *ret);
    bool (*uri)(struct sip_slice text, struct sip_uri *ret);
    bool (*nameaddr)(struct sip_slice text, struct sip_nameaddr *ret);
    /* sip_edit_in_place; NULL: as the scalar one. */
    int32_t (*edit)(const struct sip_edit *edit, char *buf, size_t length, size_t headroom,
                    size_t tailroom, int32_t *ret_start);
    bool (*runs_here)(void); /* this processor, and the kernel, can do it */
};

/* All that were built, the best first; the last one runs everywhere. */
extern const struct sip_index_variant sip_index_variants[];
extern const uint32_t sip_index_variant_count;

enum sip_error sip_index_scalar(const char *buf, size_t size, struct sip_msg *ret);
enum sip_error sip_index_avx2(const char *buf, size_t size, struct sip_msg *ret);
enum sip_error sip_index_avx512(const char *buf, size_t size, struct sip_msg *ret);

/* sip_via_parse, sip_uri_parse and sip_nameaddr_parse. */
int sip_via_scalar(struct sip_slice value, struct sip_via *ret);
int sip_uri_scalar(struct sip_slice text, struct sip_uri *ret);
int sip_nameaddr_scalar(struct sip_slice value, struct sip_nameaddr *ret);
bool sip_via_avx2(struct sip_slice value, struct sip_via *ret);
bool sip_uri_avx2(struct sip_slice text, struct sip_uri *ret);
bool sip_nameaddr_avx2(struct sip_slice text, struct sip_nameaddr *ret);
bool sip_via_avx512(struct sip_slice value, struct sip_via *ret);
bool sip_uri_avx512(struct sip_slice text, struct sip_uri *ret);
bool sip_nameaddr_avx512(struct sip_slice text, struct sip_nameaddr *ret);

int32_t sip_edit_scalar(const struct sip_edit *edit, char *buf, size_t length, size_t headroom,
                        size_t tailroom, int32_t *ret_start);
int32_t sip_edit_avx512(const struct sip_edit *edit, char *buf, size_t length, size_t headroom,
                        size_t tailroom, int32_t *ret_start);

/* A message whose header section is being read. */
struct sip_scan {
    struct sip_msg *msg;
    const char *at;  /* what was not read yet: a line's first byte */
    const char *end; /* past the last byte that may be read */
};

enum { SIP_MAX_FORWARDS_MAX = 255 }; /* RFC 3261 §20.22 */

enum sip_line_kind { SIP_LINE_FIELD, SIP_LINE_EMPTY, SIP_LINE_CUT };

/* Not to be taken into the flat functions of the vector variants, which seldom call them: 36 kB of
 * code for one of those became 15. */
#define SIP_APART __attribute__((noinline))

/* ---- The parts of the scalar variant, each in the order in which sip_index_scalar calls it ----
 */

/* Reads the start-line. False when the message is none: its error is set, and that was all. */
SIP_APART bool sip_index_start(struct sip_scan *scan, size_t size);

/* Reads one header field with the lines that continue it; remembers it when it is one to remember.
 * SIP_LINE_CUT: nothing consumed, there is no line feed any more. */
SIP_APART enum sip_line_kind sip_index_line(struct sip_scan *scan);

/* What follows the header fields, by the kind of the line that is none. */
void sip_index_headers_end(struct sip_scan *scan, enum sip_line_kind kind);

/* Each decodes one field, or several of one name, and notes a fault when it is missing or bad. */
SIP_APART void sip_index_via(struct sip_msg *msg);
SIP_APART void sip_index_call_id(struct sip_msg *msg);
SIP_APART void sip_index_cseq(struct sip_msg *msg);
SIP_APART void sip_index_from(struct sip_msg *msg);
SIP_APART void sip_index_to(struct sip_msg *msg);
SIP_APART void sip_index_max_forwards(struct sip_msg *msg);
SIP_APART void sip_index_content_length(struct sip_msg *msg);
SIP_APART void sip_index_contact(struct sip_msg *msg);

/* The message's length, by the end of its header fields and Content-Length. */
void sip_index_measure(struct sip_msg *msg, size_t size);

/* ---- Small things ---- */

static inline void sip_index_fault(struct sip_msg *msg, enum sip_error error)
{
    if (msg->error == SIP_OK)
        msg->error = (uint8_t)error;
}

/* Nothing known yet. Clears what is not written in any case: not top_via, not fields. */
static inline void sip_index_begin(struct sip_scan *scan, const char *buf, size_t size,
                                   struct sip_msg *ret)
{
    memset(ret, 0, offsetof(struct sip_msg, top_via));
    ret->buf = buf;
    ret->length = (uint32_t)size;
    ret->max_forwards = -1;
    ret->content_length = -1;
    scan->msg = ret;
    scan->at = buf;
    scan->end = buf + (size < SIP_MSG_MAX ? size : SIP_MSG_MAX);
}

#endif
