/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of a capture file: see pcapng.h. A block is its type, its length, its body, options that
 * are padded to four bytes, and its length again.
 */
#include "control/pcapng.h"

#include <string.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINK_ETHERNET = 1,
    OPTION_END = 0,
    OPTION_COMMENT = 1,
    SECTION_APPLICATION = 4,
    INTERFACE_NAME = 2,
    INTERFACE_RESOLUTION = 9,
    NANOSECONDS = 9,
    PACKET_FLAGS = 2,
    FLAGS_INBOUND = 1,
    FLAGS_OUTBOUND = 2,
    STATISTICS_RECEIVED = 4,
    STATISTICS_DROPPED = 5,
};

/* A block that is being written. */
struct block {
    uint8_t *to;
    size_t room, length;
    bool full;
};

static void put(struct block *b, const void *bytes, size_t n)
{
    static const uint8_t zeros[4];
    size_t pad = (4 - n % 4) % 4;

    if (b->full || n + pad > b->room - b->length) {
        b->full = true;
        return;
    }
    memcpy(b->to + b->length, bytes, n);
    memcpy(b->to + b->length + n, zeros, pad);
    b->length += n + pad;
}

static void put32(struct block *b, uint32_t value)
{
    put(b, &value, sizeof(value));
}

/* A time, or any other number of 64 bits whose halves come high one first. */
static void put_halves(struct block *b, uint64_t value)
{
    put32(b, (uint32_t)(value >> 32));
    put32(b, (uint32_t)value);
}

static void put_option(struct block *b, uint16_t code, const void *value, size_t length)
{
    const uint16_t head[2] = {code, (uint16_t)length};

    put(b, head, sizeof(head));
    put(b, value, length);
}

static struct block begin(uint8_t *to, size_t room, uint32_t type)
{
    struct block b = {.to = to, .room = room};

    put32(&b, type);
    put32(&b, 0); /* the length, known at the end */
    return b;
}

static size_t end(struct block *b)
{
    uint32_t length = (uint32_t)b->length + sizeof(length);

    put32(b, length);
    if (b->full)
        return 0;
    memcpy(b->to + sizeof(uint32_t), &length, sizeof(length));
    return b->length;
}

size_t pcapng_section(uint8_t *to, size_t room, const char *application)
{
    static const uint16_t version[2] = {1, 0};
    static const int64_t unknown_length = -1;
    struct block b = begin(to, room, BLOCK_SECTION);

    put32(&b, BYTE_ORDER_MAGIC);
    put(&b, version, sizeof(version));
    put(&b, &unknown_length, sizeof(unknown_length));
    put_option(&b, SECTION_APPLICATION, application, strlen(application));
    put32(&b, OPTION_END);
    return end(&b);
}

size_t pcapng_interface(uint8_t *to, size_t room, const char *name)
{
    static const uint16_t link[2] = {LINK_ETHERNET, 0};
    static const uint8_t resolution = NANOSECONDS;
    struct block b = begin(to, room, BLOCK_INTERFACE);

    put(&b, link, sizeof(link));
    put32(&b, 0); /* frames are whole */
    put_option(&b, INTERFACE_NAME, name, strlen(name));
    put_option(&b, INTERFACE_RESOLUTION, &resolution, sizeof(resolution));
    put32(&b, OPTION_END);
    return end(&b);
}

size_t pcapng_packet(uint8_t *to, size_t room, const struct pcapng_packet *packet)
{
    uint32_t flags = packet->outbound ? FLAGS_OUTBOUND : FLAGS_INBOUND;
    struct block b = begin(to, room, BLOCK_PACKET);

    put32(&b, packet->interface);
    put_halves(&b, packet->time_ns);
    put32(&b, packet->length);
    put32(&b, packet->length);
    put(&b, packet->frame, packet->length);
    put_option(&b, OPTION_COMMENT, packet->comment, strlen(packet->comment));
    put_option(&b, PACKET_FLAGS, &flags, sizeof(flags));
    put32(&b, OPTION_END);
    return end(&b);
}

size_t pcapng_statistics(uint8_t *to, size_t room, const struct pcapng_statistics *s)
{
    struct block b = begin(to, room, BLOCK_STATISTICS);

    put32(&b, s->interface);
    put_halves(&b, s->time_ns);
    if (s->comment != NULL)
        put_option(&b, OPTION_COMMENT, s->comment, strlen(s->comment));
    put_option(&b, STATISTICS_RECEIVED, &s->received, sizeof(s->received));
    put_option(&b, STATISTICS_DROPPED, &s->dropped, sizeof(s->dropped));
    put32(&b, OPTION_END);
    return end(&b);
}
