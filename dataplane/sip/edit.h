/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits of a message as a list of splices: at this offset, take so many bytes out and put these
 * in. Rules say what changes, without moving a byte; the caller applies all at once, to a packet
 * or to a stream buffer.
 */
#ifndef TANDEM_SIP_EDIT_H
#define TANDEM_SIP_EDIT_H

#include <stddef.h>

#include "dataplane/sip/slice.h"

enum {
    SIP_EDIT_SPLICES = 32,
    SIP_EDIT_TEXT = 4096, /* bytes of inserted text in all */
    SIP_EDIT_ROOM = 512,  /* the most that sip_edit_room gives */
};

struct sip_splice {
    uint32_t at;      /* offset in the unedited message */
    uint32_t removed; /* bytes taken out there */
    uint32_t text;    /* offset in sip_edit.text of what is put in */
    uint32_t length;
};

struct sip_edit {
    uint32_t n;
    uint32_t used; /* bytes of text */
    uint32_t open; /* index of the splice that sip_edit_put* writes to */
    uint64_t end;  /* offset in the unedited message behind all that is spliced */
    bool overflow; /* a splice or text did not fit: apply refuses */
    struct sip_splice splices[SIP_EDIT_SPLICES]; /* ascending by `at`, never overlapping */
    char text[SIP_EDIT_TEXT + SIP_EDIT_ROOM];
};

void sip_edit_init(struct sip_edit *edit);

/*
 * Opens a splice; sip_edit_put* then append to its text until the next call of sip_edit_splice.
 * Splices may be opened in any order; at equal offsets they stay in the order of the calls. One
 * that overlaps another's removed bytes sets overflow.
 */
void sip_edit_splice(struct sip_edit *edit, uint32_t at, uint32_t removed);
void sip_edit_put(struct sip_edit *edit, const char *text, uint32_t length);
void sip_edit_put_text(struct sip_edit *edit, const char *text); /* NUL-terminated */
void sip_edit_put_slice(struct sip_edit *edit, struct sip_slice slice);
void sip_edit_put_number(struct sip_edit *edit, uint32_t number);

/*
 * The end of the open splice's text, for who writes there himself, up to SIP_EDIT_ROOM bytes, and
 * then says where he ended. Inline: it is done several times a message.
 */
static inline char *sip_edit_room(struct sip_edit *edit)
{
    return edit->text + edit->used;
}

static inline void sip_edit_written(struct sip_edit *edit, const char *end)
{
    uint32_t length = (uint32_t)(end - edit->text) - edit->used;

    if (edit->used + length > SIP_EDIT_TEXT)
        edit->overflow = true;
    if (edit->overflow)
        return;
    edit->used += length;
    edit->splices[edit->open].length += length;
}

/* Bytes by which the message grows (negative: shrinks). */
int32_t sip_edit_growth(const struct sip_edit *edit);

/*
 * Writes the edited message to `out` (not overlapping `in`). Returns its length, -ENOSPC when it
 * is longer than out_size, -EOVERFLOW when the edit overflowed or a splice lies outside.
 */
int32_t sip_edit_copy(const struct sip_edit *edit, const char *in, size_t length, char *out,
                      size_t out_size);

/*
 * Edits in place, moving as little as it can: the front of the message grows into `headroom`
 * free bytes before buf when they suffice, else what follows the first splice moves into
 * `tailroom` after it. *ret_start is the offset from buf of the new first byte: below 0 when the
 * message grew into the headroom, above 0 when it shrank (the front moves back then, since it is
 * the shorter part of nearly every message), 0 when its front stayed. Returns the new length,
 * -ENOSPC (neither room suffices; buffer untouched) or -EOVERFLOW. Text spliced in must not lie in
 * buf. No allocation.
 */
int32_t sip_edit_in_place(const struct sip_edit *edit, char *buf, size_t length, size_t headroom,
                          size_t tailroom, int32_t *ret_start);

#endif
