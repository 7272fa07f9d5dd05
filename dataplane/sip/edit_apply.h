/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sip_edit_in_place for each way of moving bytes. Included behind the definition of
 *
 *     static inline void edit_ahead(char *to, const char *from, size_t n);   to is before from
 *     static inline void edit_back(char *to, const char *from, size_t n);    to is behind from
 *     static inline void edit_text(char *to, const char *from, size_t n);    no overlap
 *
 * The message is seen as kept segments with texts between them: segment i is what lies between the
 * removed bytes of splices i-1 and i. A splice at the same offset as one before it that removes
 * bytes has an empty segment before it.
 */
#ifndef TANDEM_SIP_EDIT_APPLY_H
#define TANDEM_SIP_EDIT_APPLY_H

#include <errno.h>

#include "dataplane/sip/edit.h"

/* Where a kept segment lies before and after the edit, the message's first byte being at 0. */
struct segment {
    int32_t from;
    int32_t to;
    int32_t length;
};

/*
 * Lays the n + 1 segments out. Returns the message's new length, or -EOVERFLOW when the edit
 * overflowed, a splice lies outside, or the lengths leave int32_t.
 */
static inline int32_t lay_out(const struct sip_edit *edit, size_t length,
                              struct segment ret[SIP_EDIT_SPLICES + 1])
{
    int32_t from = 0, to = 0;

    if (edit->overflow || length > INT32_MAX - SIP_EDIT_TEXT || edit->end > length)
        return -EOVERFLOW;
    for (uint32_t i = 0; i < edit->n; i++) {
        const struct sip_splice *splice = &edit->splices[i];
        int32_t at = (int32_t)splice->at, end = at + (int32_t)splice->removed;

        ret[i] = (struct segment){from, to, at > from ? at - from : 0};
        to += ret[i].length + (int32_t)splice->length;
        from = end > from ? end : from;
    }
    ret[edit->n] = (struct segment){from, to, (int32_t)length - from};
    return to + (int32_t)length - from;
}

/*
 * Segments keep their order, so one that moves ahead never lands on one that moves back or stays:
 * those ahead go first to last, those back last to first, and none is overwritten before it moved.
 */
static inline void move_segments(const struct segment *segments, uint32_t n, int32_t start,
                                 char *buf)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct segment *s = &segments[i];

        if (s->to + start < s->from)
            edit_ahead(buf + s->to + start, buf + s->from, (size_t)s->length);
    }
    for (uint32_t i = n; i-- > 0;) {
        const struct segment *s = &segments[i];

        if (s->to + start > s->from)
            edit_back(buf + s->to + start, buf + s->from, (size_t)s->length);
    }
}

static inline void put_texts(const struct sip_edit *edit, const struct segment *segments, char *buf)
{
    for (uint32_t i = 0; i < edit->n; i++) {
        const struct sip_splice *splice = &edit->splices[i];

        edit_text(buf + segments[i].to + segments[i].length, edit->text + splice->text,
                  splice->length);
    }
}

static inline int32_t edit_in_place(const struct sip_edit *edit, char *buf, size_t length,
                                    size_t headroom, size_t tailroom, int32_t *ret_start)
{
    struct segment segments[SIP_EDIT_SPLICES + 1];
    int32_t edited = lay_out(edit, length, segments), start;
    int64_t growth = (int64_t)edited - (int64_t)length;

    if (edited < 0)
        return -EOVERFLOW;
    start = growth <= (int64_t)headroom ? (int32_t)-growth : 0;
    if (start == 0 && growth > 0 && growth > (int64_t)tailroom)
        return -ENOSPC;
    move_segments(segments, edit->n + 1, start, buf);
    put_texts(edit, segments, buf + start);
    *ret_start = start;
    return edited;
}

#endif
