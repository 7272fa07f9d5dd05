/* SPDX-License-Identifier: Apache-2.0 */
/* See tally.h. */
#include "perf/burst/tally.h"

#include <stdlib.h>
#include <string.h>

#include "perf/laps/overwrite.h"

enum { ETHERTYPE_AT = 12, PROTOCOL_AT = 14 + 9, DESTINATION_AT = 14 + 16, UDP = 17 };

struct tally *tally_new(uint32_t n_messages)
{
    struct tally *tally = calloc(1, sizeof(*tally));

    if (tally == NULL)
        return NULL;
    tally->n_messages = n_messages;
    tally->backend_of = calloc(n_messages, sizeof(tally->backend_of[0]));
    if (tally->backend_of != NULL)
        return tally;
    tally_free(tally);
    return NULL;
}

void tally_free(struct tally *tally)
{
    if (tally == NULL)
        return;
    free(tally->backend_of);
    free(tally);
}

void tally_clear(struct tally *tally)
{
    memset(&tally->counts, 0, sizeof(tally->counts));
    memset(tally->buckets, 0, sizeof(tally->buckets));
    memset(tally->waiting, 0, sizeof(tally->waiting));
    memset(tally->sent_at, 0, sizeof(tally->sent_at));
}

void tally_send(struct tally *tally, uint32_t number, uint64_t now)
{
    uint32_t at = number % TALLY_UNDER_WAY;

    tally->sent_at[at] = now;
    tally->number[at] = number;
    tally->waiting[at] = 1;
}

/* The number in a branch; false: no eight digits. */
static bool read_number(const uint8_t *at, uint32_t *ret)
{
    uint32_t number = 0;

    for (int i = 0; i < OVERWRITE_BYTES; i++) {
        uint8_t c = at[i];

        if (c >= '0' && c <= '9')
            number = number << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number << 4 | (uint32_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret = number;
    return true;
}

/* The number of a request that we sent; false: something else. */
static bool recognise(const struct tally *tally, const uint8_t *frame, uint32_t length,
                      uint32_t *ret)
{
    uint32_t branch;

    if (length <= OVERWRITE_HEADERS || frame[ETHERTYPE_AT] != 8 || frame[ETHERTYPE_AT + 1] != 0 ||
        frame[PROTOCOL_AT] != UDP || memcmp(frame + OVERWRITE_HEADERS, "SIP/", 4) == 0)
        return false;
    branch = file_last_branch(frame, length);
    return branch > 0 && read_number(frame + branch, ret) &&
           tally->number[*ret % TALLY_UNDER_WAY] == *ret &&
           tally->sent_at[*ret % TALLY_UNDER_WAY] != 0;
}

static bool same_body(const struct file_message *sent, const uint8_t *frame, uint32_t length)
{
    uint32_t body = file_body(frame, length), rest = sent->length - sent->body_at;

    return body > 0 && length >= body + rest &&
           memcmp(frame + body, sent->frame + sent->body_at, rest) == 0;
}

void tally_receive(struct tally *tally, const struct file *file, const uint8_t *frame,
                   uint32_t length, uint64_t now)
{
    uint32_t number, at, to, message;
    uint64_t bucket;

    if (!recognise(tally, frame, length, &number)) {
        tally->counts.other++;
        return;
    }
    at = number % TALLY_UNDER_WAY;
    if (!tally->waiting[at]) {
        tally->counts.doubled++;
        return;
    }
    tally->waiting[at] = 0;
    tally->counts.received++;
    message = number % tally->n_messages;
    memcpy(&to, frame + DESTINATION_AT, sizeof(to));
    if (tally->backend_of[message] == 0)
        tally->backend_of[message] = to;
    tally->counts.misrouted += tally->backend_of[message] != to;
    tally->counts.corrupted += !same_body(&file->messages[message], frame, length);
    bucket = (now - tally->sent_at[at]) / TALLY_BUCKET_CYCLES;
    tally->buckets[bucket < TALLY_BUCKETS ? bucket : TALLY_BUCKETS - 1]++;
}

uint64_t tally_quantile(const struct tally *tally, double share)
{
    double left = share * (double)tally->counts.received;
    uint64_t bucket = 0;

    while (bucket + 1 < TALLY_BUCKETS && left > tally->buckets[bucket])
        left -= tally->buckets[bucket++];
    return (2 * bucket + 1) * TALLY_BUCKET_CYCLES / 2;
}
