/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splices: collected in order, applied at once. Knows nothing of SIP: bytes, offsets, lengths.
 *
 * Both ways of applying see the message as kept segments with texts between them: segment i is
 * what lies between the removed bytes of splices i-1 and i. A splice at the same offset as one
 * before it that removes bytes has an empty segment before it.
 */
#include "dataplane/sip/edit.h"

#include <assert.h>
#include <errno.h>

/* Where a kept segment lies before and after the edit. */
struct segment {
    int64_t from;
    int64_t to;
    int64_t length;
};

void sip_edit_init(struct sip_edit *edit)
{
    edit->n = 0;
    edit->used = 0;
    edit->open = 0;
    edit->end = 0;
    edit->overflow = false;
}

static uint64_t splice_end(const struct sip_splice *splice)
{
    return (uint64_t)splice->at + splice->removed;
}

static bool overlap(const struct sip_splice *a, const struct sip_splice *b)
{
    if (a->at == b->at)
        return a->removed > 0 && b->removed > 0;
    return a->at < b->at ? splice_end(a) > b->at : splice_end(b) > a->at;
}

/* The place of a splice among those before it; sets overflow where it overlaps one. */
static uint32_t make_place(struct sip_edit *edit, const struct sip_splice *splice)
{
    uint32_t place = edit->n;

    for (uint32_t i = 0; i < edit->n; i++) {
        if (overlap(&edit->splices[i], splice))
            edit->overflow = true;
    }
    if (edit->overflow)
        return place;
    while (place > 0 && edit->splices[place - 1].at > splice->at) {
        edit->splices[place] = edit->splices[place - 1];
        place--;
    }
    return place;
}

void sip_edit_splice(struct sip_edit *edit, uint32_t at, uint32_t removed)
{
    struct sip_splice splice = {.at = at, .removed = removed, .text = edit->used};
    uint32_t place = edit->n;

    if (edit->n == SIP_EDIT_SPLICES)
        edit->overflow = true;
    else if (edit->n > 0 && (at < edit->end || at <= edit->splices[edit->n - 1].at))
        place = make_place(edit, &splice);
    if (edit->overflow)
        return;
    edit->splices[place] = splice;
    edit->open = place;
    edit->end = splice_end(&splice) > edit->end ? splice_end(&splice) : edit->end;
    edit->n++;
}

void sip_edit_put(struct sip_edit *edit, const char *text, uint32_t length)
{
    assert(edit->n > 0 || edit->overflow);
    if (length > SIP_EDIT_TEXT - edit->used)
        edit->overflow = true;
    if (edit->overflow || length == 0)
        return;
    memcpy(edit->text + edit->used, text, length);
    edit->used += length;
    edit->splices[edit->open].length += length;
}

void sip_edit_put_text(struct sip_edit *edit, const char *text)
{
    sip_edit_put(edit, text, (uint32_t)strlen(text));
}

void sip_edit_put_slice(struct sip_edit *edit, struct sip_slice slice)
{
    sip_edit_put(edit, slice.at, slice.length);
}

void sip_edit_put_number(struct sip_edit *edit, uint32_t number)
{
    char *at = sip_edit_room(edit);

    sip_edit_written(edit, at + sip_number_print(number, at));
}

int32_t sip_edit_growth(const struct sip_edit *edit)
{
    int64_t growth = 0;

    for (uint32_t i = 0; i < edit->n; i++)
        growth += (int64_t)edit->splices[i].length - edit->splices[i].removed;
    return (int32_t)growth;
}

/*
 * Lays the n + 1 segments out from `start` on. Returns 0, or -EOVERFLOW when the edit overflowed,
 * a splice lies outside, or the lengths leave int32_t.
 */
static int lay_out(const struct sip_edit *edit, size_t length, int64_t start,
                   struct segment ret[SIP_EDIT_SPLICES + 1])
{
    int64_t from = 0, to = start;

    if (edit->overflow || length > INT32_MAX - SIP_EDIT_TEXT)
        return -EOVERFLOW;
    for (uint32_t i = 0; i < edit->n; i++) {
        const struct sip_splice *splice = &edit->splices[i];
        int64_t end = (int64_t)splice_end(splice);

        if (end > (int64_t)length)
            return -EOVERFLOW;
        ret[i] = (struct segment){from, to, splice->at > from ? splice->at - from : 0};
        to += ret[i].length + splice->length;
        from = end > from ? end : from;
    }
    ret[edit->n] = (struct segment){from, to, (int64_t)length - from};
    return 0;
}

static void put_texts(const struct sip_edit *edit, const struct segment *segments, char *buf)
{
    for (uint32_t i = 0; i < edit->n; i++) {
        const struct sip_splice *splice = &edit->splices[i];

        memcpy(buf + segments[i].to + segments[i].length, edit->text + splice->text,
               splice->length);
    }
}

int32_t sip_edit_copy(const struct sip_edit *edit, const char *in, size_t length, char *out,
                      size_t out_size)
{
    struct segment segments[SIP_EDIT_SPLICES + 1];
    int64_t edited;

    if (lay_out(edit, length, 0, segments) != 0)
        return -EOVERFLOW;
    edited = segments[edit->n].to + segments[edit->n].length;
    if (edited > (int64_t)out_size)
        return -ENOSPC;
    for (uint32_t i = 0; i <= edit->n; i++) {
        if (segments[i].length > 0)
            memcpy(out + segments[i].to, in + segments[i].from, (size_t)segments[i].length);
    }
    put_texts(edit, segments, out);
    return (int32_t)edited;
}

static void move_segment(const struct segment *segment, char *buf)
{
    if (segment->length > 0)
        memmove(buf + segment->to, buf + segment->from, (size_t)segment->length);
}

/*
 * Segments keep their order, so one that moves ahead never lands on one that moves back or stays:
 * those ahead go first to last, those back last to first, and none is overwritten before it moved.
 */
static void move_segments(const struct segment *segments, uint32_t n, char *buf)
{
    for (uint32_t i = 0; i < n; i++) {
        if (segments[i].to < segments[i].from)
            move_segment(&segments[i], buf);
    }
    for (uint32_t i = n; i-- > 0;) {
        if (segments[i].to > segments[i].from)
            move_segment(&segments[i], buf);
    }
}

int32_t sip_edit_in_place(const struct sip_edit *edit, char *buf, size_t length, size_t headroom,
                          size_t tailroom, int32_t *ret_start)
{
    struct segment segments[SIP_EDIT_SPLICES + 1];
    int64_t growth = sip_edit_growth(edit);
    int64_t start = growth <= (int64_t)headroom ? -growth : 0;

    if (lay_out(edit, length, start, segments) != 0)
        return -EOVERFLOW;
    if (start == 0 && growth > 0 && growth > (int64_t)tailroom)
        return -ENOSPC;
    move_segments(segments, edit->n + 1, buf);
    put_texts(edit, segments, buf);
    *ret_start = (int32_t)start;
    return (int32_t)((int64_t)length + growth);
}
