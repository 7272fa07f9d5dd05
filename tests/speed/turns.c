/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns CONFIG SECRET KIND COUNT: what the core does with messages of a kind, on plain buffers,
 * once with each of COUNT distinct ones: index, decide, edit in place. It is run under callgrind,
 * which counts the instructions of speed_turn() alone (tests/speed/instructions). It knows no
 * clock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/messages/call.h"

enum { HEADROOM = 512, TAILROOM = 2048, SEED = 1, COUNT_MAX = 4096 };

/* A message in a buffer with room around it, as in a frame. */
struct slot {
    struct sip_addr from, to;
    uint32_t length;
    char bytes[HEADROOM + TEXT_MESSAGE_MAX + TAILROOM];
};

/* Returns how many bytes the messages have afterwards; 0 when one was not forwarded. */
uint64_t speed_turn(struct world *world, struct slot *slots, uint32_t n);

__attribute__((noinline)) uint64_t speed_turn(struct world *world, struct slot *slots, uint32_t n)
{
    static struct proxy_output output;
    static struct sip_msg msg;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < n; i++) {
        char *text = slots[i].bytes + HEADROOM;
        int32_t length, start;

        sip_msg_index(text, slots[i].length, &msg);
        world_decide(world, &msg, &slots[i].from, &slots[i].to, &output);
        if (output.verdict != PROXY_FORWARD)
            return 0;
        length = sip_edit_in_place(&output.edit, text, msg.length, HEADROOM, TAILROOM, &start);
        if (length < 0)
            return 0;
        bytes += (uint64_t)length;
    }
    return bytes;
}

static int find_kind(const char *text)
{
    for (int kind = 0; kind < CALL_KIND_COUNT; kind++) {
        if (strcmp(text, call_kind_name((enum call_kind)kind)) == 0)
            return kind;
    }
    return -1;
}

/* Fills a slot with the message of the kind out of call or registration `number`. */
static bool fill(struct world *world, struct text_random *random, int kind, uint32_t number,
                 struct slot *slot)
{
    static struct call_message messages[CALL_KIND_COUNT];
    bool call = kind < CALL_REGISTER;
    const struct call_message *m = &messages[call ? kind : kind - CALL_REGISTER];

    if ((call ? call_make(world, random, number, messages)
              : call_make_registration(world, random, number, messages)) != 0)
        return false;
    slot->from = m->from;
    slot->to = m->to;
    slot->length = m->length;
    memcpy(slot->bytes + HEADROOM, m->bytes, m->length);
    return true;
}

int main(int argc, char **argv)
{
    struct text_random random = {SEED};
    int kind = argc == 5 ? find_kind(argv[3]) : -1;
    uint32_t n = argc == 5 ? (uint32_t)atoi(argv[4]) : 0;
    struct world *world;
    struct slot *slots;
    uint64_t bytes = 0;

    if (kind < 0 || n == 0 || n > COUNT_MAX) {
        fputs("usage: turns CONFIG SECRET KIND COUNT\n", stderr);
        return 2;
    }
    world = world_new(argv[1], argv[2], 1 << 16);
    slots = calloc(n, sizeof(slots[0]));
    if (world != NULL && slots != NULL) {
        uint32_t filled = 0;

        while (filled < n && fill(world, &random, kind, filled, &slots[filled]))
            filled++;
        if (filled == n)
            bytes = speed_turn(world, slots, n);
    }
    free(slots);
    world_free(world);
    if (bytes == 0) {
        fputs("turns: not every message was forwarded\n", stderr);
        return EXIT_FAILURE;
    }
    printf("%s: %u messages, %llu bytes sent\n", argv[3], n, (unsigned long long)bytes);
    return EXIT_SUCCESS;
}
