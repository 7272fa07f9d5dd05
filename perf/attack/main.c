/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-attack CONFIG SECRET ROUNDS: what messages that were made to hurt cost the core, beside good
 * ones, on plain buffers: index, decide, and the reply or the edited copy. Each round prints a line
 * for each kind of message, `KIND BYTES NANOSECONDS` (CPU time a message); `good` is an INVITE.
 * Then `flooded BYTES NANOSECONDS`: INVITEs with Call-IDs that nobody had before, so many that the
 * call table is full of them, and `good-flooded`, the good ones after that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "perf/messages/call.h"

enum {
    MESSAGE_MAX = 65507, /* bytes of a UDP datagram over IPv4 */
    GOOD = 256,          /* different ones */
    FLOOD = 1 << 17,     /* twice what the table takes */
    TABLE = 1 << 16,
    REPEATS = 20,
    REPLY_MAX = 65536,
    REST = 512, /* bytes kept free for what every message must have */
};

struct hostile {
    const char *name;
    void (*write)(char *at, uint32_t *length); /* header fields, behind those that must be there */
};

/* ---- What hurts ---- */

static void add(char *at, uint32_t *length, const char *text)
{
    size_t n = strlen(text);

    if (*length + n + REST < MESSAGE_MAX) {
        memcpy(at + *length, text, n);
        *length += (uint32_t)n;
    }
}

static void repeat(char *at, uint32_t *length, const char *text, int n)
{
    for (int i = 0; i < n; i++)
        add(at, length, text);
}

static void write_fields(char *at, uint32_t *length)
{
    repeat(at, length, "a:b\r\n", 10000);
}

static void write_folds(char *at, uint32_t *length)
{
    add(at, length, "Subject: x");
    repeat(at, length, "\r\n x", 14500);
    add(at, length, "\r\n");
}

static void write_folded_contact(char *at, uint32_t *length)
{
    add(at, length, "Contact:");
    repeat(at, length, "\r\n ", 20000);
    add(at, length, "<sip:a@b>\r\n");
}

static void write_vias(char *at, uint32_t *length)
{
    repeat(at, length, "v:SIP/2.0/UDP a;branch=z9hG4bK1\r\n", 2000);
}

static void write_via_list(char *at, uint32_t *length)
{
    add(at, length, "Via: SIP/2.0/UDP a");
    repeat(at, length, ",SIP/2.0/UDP a", 4400);
    add(at, length, "\r\n");
}

static void write_via_parameters(char *at, uint32_t *length)
{
    add(at, length, "Via: SIP/2.0/UDP a");
    repeat(at, length, ";a=b", 14500);
    add(at, length, "\r\n");
}

static void write_routes(char *at, uint32_t *length)
{
    add(at, length, "Route: <sip:a;lr>");
    repeat(at, length, ",<sip:a;lr>", 5500);
    add(at, length, "\r\n");
}

static void write_quotes(char *at, uint32_t *length)
{
    add(at, length, "Contact: \"");
    repeat(at, length, "\\\"", 30000);
    add(at, length, "\" <sip:a@b>\r\n");
}

static void write_tags(char *at, uint32_t *length)
{
    add(at, length, "Supported: a");
    repeat(at, length, ",a", 30000);
    add(at, length, "\r\n");
}

static const struct hostile hostiles[] = {
    {"10,000-fields", write_fields},          {"60-kB-of-folds", write_folds},
    {"folded-Contact", write_folded_contact}, {"2,000-Vias", write_vias},
    {"a-list-of-4,400-Vias", write_via_list}, {"a-Via-of-14,500-parameters", write_via_parameters},
    {"5,500-Routes", write_routes},           {"60-kB-in-quotes", write_quotes},
    {"30,000-option-tags", write_tags},
};

/* A request that is whole but for what `write` adds; the added Vias are above its own. */
static uint32_t make_hostile(const struct hostile *hostile, char *ret)
{
    uint32_t length = 0;

    static const char rest[] =
        "Via: SIP/2.0/UDP 198.18.0.1;branch=z9hG4bKx;rport\r\n"
        "From: <sip:a@example.net>;tag=1\r\nTo: <sip:b@example.net>\r\nCall-ID: hostile\r\n"
        "CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

    add(ret, &length, "INVITE sip:bob@example.net SIP/2.0\r\n");
    hostile->write(ret, &length);
    memcpy(ret + length, rest, sizeof(rest) - 1);
    return length + (uint32_t)sizeof(rest) - 1;
}

/* ---- What it costs ---- */

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* All that becomes of a message; whether it was forwarded. */
static bool handle(struct world *world, const char *bytes, uint32_t length,
                   const struct sip_addr *from, const struct sip_addr *to)
{
    static char out[MESSAGE_MAX + SIP_EDIT_TEXT], reply[REPLY_MAX];
    static struct proxy_output output;
    static struct sip_msg msg;

    sip_msg_index(bytes, length, &msg);
    world_decide(world, &msg, from, to, &output);
    if (output.verdict == PROXY_FORWARD)
        return sip_edit_copy(&output.edit, msg.buf, msg.length, out, sizeof(out)) > 0;
    if (output.verdict == PROXY_REPLY)
        (void)world_reply(world, &msg, from, to, &output, reply, sizeof(reply));
    return false;
}

static void time_hostile(struct world *world, const struct hostile *hostile,
                         const struct sip_addr *from, const struct sip_addr *to)
{
    static char bytes[MESSAGE_MAX];
    uint32_t length = make_hostile(hostile, bytes);
    double began = cpu_ns();

    for (int i = 0; i < REPEATS; i++)
        handle(world, bytes, length, from, to);
    printf("%s %u %.1f\n", hostile->name, length, (cpu_ns() - began) / REPEATS);
}

static bool time_good(struct world *world, const struct call_message *good, const char *name)
{
    double began = cpu_ns();
    uint64_t bytes = 0;
    bool all = true;

    for (int n = 0; n < REPEATS; n++) {
        for (uint32_t i = 0; i < GOOD; i++) {
            all &= handle(world, good[i].bytes, good[i].length, &good[i].from, &good[i].to);
            bytes += good[i].length;
        }
    }
    printf("%s %.0f %.1f\n", name, (double)bytes / (REPEATS * GOOD),
           (cpu_ns() - began) / (REPEATS * GOOD));
    return all;
}

static void time_flood(struct world *world, const struct sip_addr *from, const struct sip_addr *to)
{
    static uint32_t number;
    char bytes[512];
    double spent = 0;
    int length = 0;

    for (int i = 0; i < FLOOD; i++) {
        double began;

        length =
            snprintf(bytes, sizeof(bytes),
                     "INVITE sip:bob@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1;branch="
                     "z9hG4bK%08x\r\nFrom: <sip:a@example.net>;tag=1\r\nTo: <sip:b@example.net>"
                     "\r\nCall-ID: %08x\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\r\n",
                     number, number);
        number++;
        began = cpu_ns();
        handle(world, bytes, (uint32_t)length, from, to);
        spent += cpu_ns() - began;
    }
    printf("flooded %d %.1f\n", length, spent / FLOOD);
}

static bool make_good(struct world *world, struct call_message *ret)
{
    static struct call_message messages[CALL_MESSAGES];
    struct text_random random = {1};

    for (uint32_t i = 0; i < GOOD; i++) {
        if (call_make(world, &random, i, messages) != 0)
            return false;
        ret[i] = messages[CALL_INVITE];
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct call_message good[GOOD];
    struct world *world = argc == 4 ? world_new(argv[1], argv[2], TABLE) : NULL;
    bool right;

    if (world == NULL) {
        fputs("usage: perf-attack CONFIG SECRET ROUNDS\n", stderr);
        return 2;
    }
    right = make_good(world, good);
    for (int round = 0; round < atoi(argv[3]) && right; round++) {
        right = time_good(world, good, "good");
        for (size_t i = 0; i < sizeof(hostiles) / sizeof(hostiles[0]); i++)
            time_hostile(world, &hostiles[i], &good[0].from, &good[0].to);
        time_flood(world, &good[0].from, &good[0].to);
        right &= time_good(world, good, "good-flooded");
    }
    world_free(world);
    if (!right)
        fputs("perf-attack: a good message was not forwarded\n", stderr);
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
