/* SPDX-License-Identifier: Apache-2.0 */
/* Splices: collected in order, applied at once. Knows nothing of SIP: bytes, offsets, lengths. */
#include "dataplane/sip/edit.h"

#include <assert.h>

#include "dataplane/sip/index.h"

static inline void edit_text(char *to, const char *from, size_t n)
{
    memcpy(to, from, n);
}

static inline void edit_ahead(char *to, const char *from, size_t n)
{
    memmove(to, from, n);
}

static inline void edit_back(char *to, const char *from, size_t n)
{
    memmove(to, from, n);
}

#include "dataplane/sip/edit_apply.h"

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

int32_t sip_edit_copy(const struct sip_edit *edit, const char *in, size_t length, char *out,
                      size_t out_size)
{
    struct segment segments[SIP_EDIT_SPLICES + 1];
    int32_t edited = lay_out(edit, length, segments);

    if (edited < 0)
        return -EOVERFLOW;
    if (edited > (int64_t)out_size)
        return -ENOSPC;
    for (uint32_t i = 0; i <= edit->n; i++) {
        if (segments[i].length > 0)
            memcpy(out + segments[i].to, in + segments[i].from, (size_t)segments[i].length);
    }
    put_texts(edit, segments, out);
    return edited;
}

int32_t sip_edit_scalar(const struct sip_edit *edit, char *buf, size_t length, size_t headroom,
                        size_t tailroom, int32_t *ret_start)
{
    return edit_in_place(edit, buf, length, headroom, tailroom, ret_start);
}
