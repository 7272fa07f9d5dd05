/* SPDX-License-Identifier: Apache-2.0 */
/* See file.h. */
#include "perf/burst/file.h"

#include <stdlib.h>
#include <string.h>

#include "perf/laps/overwrite.h"

enum { FRAME_MAX = 1514 };

static const char cookie[] = "z9hG4bK", empty_line[] = "\r\n\r\n";

uint32_t file_body(const uint8_t *frame, uint32_t length)
{
    const uint8_t *found = memmem(frame, length, empty_line, sizeof(empty_line) - 1);

    return found == NULL ? 0 : (uint32_t)(found - frame) + (uint32_t)sizeof(empty_line) - 1;
}

uint32_t file_last_branch(const uint8_t *frame, uint32_t length)
{
    uint32_t end = file_body(frame, length), at = 0;
    const uint8_t *found = frame;

    while (found != NULL && end > 0) {
        uint32_t from = (uint32_t)(found - frame);

        found = memmem(frame + from, end - from, cookie, sizeof(cookie) - 1);
        if (found != NULL) {
            found += sizeof(cookie) - 1;
            at = (uint32_t)(found - frame);
        }
    }
    return at > 0 && at + OVERWRITE_BYTES + 2 <= end ? at : 0;
}

/* Describes the frame of a record. */
static bool read_message(const uint8_t *frame, uint32_t length, struct file_message *ret)
{
    uint32_t branch = file_last_branch(frame, length), body = file_body(frame, length);

    *ret = (struct file_message){frame, length, (uint16_t)branch, (uint16_t)body};
    return length <= FRAME_MAX && branch > 0 && body > 0;
}

bool file_load(const char *path, struct file *ret)
{
    uint32_t length, room = 0;
    uint8_t *frame;

    *ret = (struct file){0};
    if (!pcap_open(path, &ret->pcap))
        return false;
    while (pcap_next(&ret->pcap, &frame, &length)) {
        if (ret->n == room) {
            struct file_message *more;

            room = room == 0 ? 1024 : 2 * room;
            more = realloc(ret->messages, room * sizeof(ret->messages[0]));
            if (more == NULL)
                return false;
            ret->messages = more;
        }
        if (!read_message(frame, length, &ret->messages[ret->n++]))
            return false;
    }
    return ret->n > 0 && ret->pcap.at == ret->pcap.size;
}

void file_free(struct file *file)
{
    free(file->messages);
    pcap_close(&file->pcap);
}
