/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. */
#include "perf/messages/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t text_random_next(struct text_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint32_t text_random_below(struct text_random *random, uint32_t n)
{
    return (uint32_t)(text_random_next(random) % n);
}

void text_random_token(struct text_random *random, uint32_t n, char *ret_text)
{
    static const char characters[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (uint32_t i = 0; i < n; i++)
        ret_text[i] = characters[text_random_below(random, sizeof(characters) - 1)];
    ret_text[n] = '\0';
}

void text_put(struct text_message *message, const char *format, ...)
{
    size_t room = sizeof(message->bytes) - message->length;
    va_list arguments;
    int written;

    va_start(arguments, format);
    written = vsnprintf(message->bytes + message->length, room, format, arguments);
    va_end(arguments);
    assert(written >= 0 && (size_t)written < room);
    message->length += (uint32_t)written;
}

void text_put_slice(struct text_message *message, struct sip_slice slice)
{
    text_put(message, "%.*s", (int)slice.length, slice.at);
}

void text_field(struct text_message *message)
{
    assert(message->n_fields < TEXT_FIELDS_MAX);
    message->fields[message->n_fields++] = message->length;
}

void text_finish(struct text_message *message, struct text_random *random, const char *body)
{
    char shuffled[TEXT_MESSAGE_MAX];
    uint32_t order[TEXT_FIELDS_MAX], n = message->n_fields, used = 0;
    uint32_t first = n > 0 ? message->fields[0] : message->length;

    message->fields[n] = message->length;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = text_random_below(random, i + 1);

        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t begin = message->fields[order[i]];
        uint32_t length = message->fields[order[i] + 1] - begin;

        memcpy(shuffled + used, message->bytes + begin, length);
        used += length;
    }
    memcpy(message->bytes + first, shuffled, used);
    text_put(message, "\r\n%s", body);
}
