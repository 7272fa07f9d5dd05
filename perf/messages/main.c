/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-messages CONFIG SECRET COUNT SEED KIND OUT.pcap
 *
 * Writes COUNT distinct messages of calls and registrations as frames towards the configuration's
 * first listener: of one KIND (INVITE, 180, 200-INVITE, ACK, BYE, 200-BYE, REGISTER, 200-REGISTER),
 * or of all in equal shares (mix), interleaved as if thousands of calls were on at once. Prints how
 * many of each there are and their sizes. Fails when the core would not forward one of them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/frame.h"
#include "perf/messages/call.h"
#include "perf/pcap.h"

enum {
    CALL_SECONDS = 600,    /* calls begin anywhere in so much time */
    STEP_SECONDS_MAX = 30, /* and go on after up to so much */
    FRAME_MAX = IO_HEADERS_MAX + TEXT_MESSAGE_MAX,
};

/* One message on its way into the file. */
struct entry {
    double due_s;
    uint32_t number; /* ties keep their order */
    struct call_message *message;
};

struct pile {
    struct entry *entries;
    uint32_t n, room;
};

/* What is asked for. */
struct order {
    uint32_t count;
    int kind; /* enum call_kind; -1: all */
    struct text_random random;
};

static int add(struct pile *pile, double due_s, const struct call_message *message)
{
    struct entry *entry = &pile->entries[pile->n];

    entry->message = malloc(sizeof(*message));
    if (entry->message == NULL)
        return -ENOMEM;
    *entry->message = *message;
    entry->due_s = due_s;
    entry->number = pile->n++;
    return 0;
}

/* Adds those of n messages that are wanted, each some time after the one before. */
static int add_wanted(struct pile *pile, struct order *order, const struct call_message *messages,
                      uint32_t n)
{
    double due_s = text_random_below(&order->random, CALL_SECONDS * 1000) / 1000.0;
    int error = 0;

    for (uint32_t i = 0; i < n && error == 0 && pile->n < pile->room; i++) {
        due_s += text_random_below(&order->random, STEP_SECONDS_MAX * 1000) / 1000.0;
        if (order->kind < 0 || order->kind == messages[i].kind)
            error = add(pile, due_s, &messages[i]);
    }
    return error;
}

static int fill(struct pile *pile, struct world *world, struct order *order)
{
    static struct call_message messages[CALL_KIND_COUNT];
    bool calls = order->kind < CALL_REGISTER, registrations = order->kind < 0 || !calls;
    int error = 0;

    for (uint32_t number = 0; pile->n < pile->room && error == 0; number++) {
        if (calls) {
            error = call_make(world, &order->random, 2 * number, messages);
            if (error == 0)
                error = add_wanted(pile, order, messages, CALL_MESSAGES);
        }
        if (registrations && error == 0) {
            error = call_make_registration(world, &order->random, 2 * number + 1, messages);
            if (error == 0)
                error = add_wanted(pile, order, messages, CALL_REGISTRATION_MESSAGES);
        }
    }
    return error;
}

static int by_time(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->due_s != y->due_s)
        return x->due_s < y->due_s ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int write_pcap(const struct pile *pile, const char *path)
{
    static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
    uint8_t frame[FRAME_MAX];
    FILE *file = fopen(path, "wb");
    bool good;

    if (file == NULL)
        return -errno;
    good = pcap_begin(file);
    for (uint32_t i = 0; i < pile->n && good; i++) {
        const struct call_message *m = pile->entries[i].message;
        uint32_t headers = io_frame_headers(&m->to.ip), length = headers + m->length;

        memcpy(frame + headers, m->bytes, m->length);
        io_frame_build(frame, macs[0], macs[1], &m->from, &m->to, m->length, (uint16_t)i);
        good = pcap_write(file, (uint32_t)pile->entries[i].due_s, i % 1000000, frame, length);
    }
    good = fclose(file) == 0 && good;
    return good ? 0 : -EIO;
}

static void print_summary(const struct pile *pile)
{
    struct {
        uint32_t n, min, max;
        uint64_t sum;
    } kinds[CALL_KIND_COUNT] = {0};

    for (uint32_t i = 0; i < pile->n; i++) {
        const struct call_message *m = pile->entries[i].message;
        uint32_t length = m->length, kind = m->kind;

        kinds[kind].sum += length;
        kinds[kind].min = kinds[kind].n == 0 || length < kinds[kind].min ? length : kinds[kind].min;
        kinds[kind].max = length > kinds[kind].max ? length : kinds[kind].max;
        kinds[kind].n++;
    }
    for (int kind = 0; kind < CALL_KIND_COUNT; kind++) {
        if (kinds[kind].n > 0)
            printf("%s %u %u %.0f %u\n", call_kind_name((enum call_kind)kind), kinds[kind].n,
                   kinds[kind].min, (double)kinds[kind].sum / kinds[kind].n, kinds[kind].max);
    }
}

static bool read_kind(const char *text, int *ret_kind)
{
    *ret_kind = -1;
    for (int kind = 0; kind < CALL_KIND_COUNT; kind++) {
        if (strcmp(text, call_kind_name((enum call_kind)kind)) == 0)
            *ret_kind = kind;
    }
    return *ret_kind >= 0 || strcmp(text, "mix") == 0;
}

int main(int argc, char **argv)
{
    struct order order = {0};
    struct pile pile = {0};
    struct world *world;
    int error;

    if (argc != 7 || !read_kind(argv[5], &order.kind) || atoi(argv[3]) <= 0) {
        fputs("usage: perf-messages CONFIG SECRET COUNT SEED KIND|mix OUT.pcap\n", stderr);
        return 2;
    }
    order.count = (uint32_t)atoi(argv[3]);
    order.random.state = strtoull(argv[4], NULL, 10);
    world = world_new(argv[1], argv[2], 1 << 20);
    pile.room = order.count;
    pile.entries = calloc(pile.room, sizeof(pile.entries[0]));
    if (world == NULL || pile.entries == NULL)
        return EXIT_FAILURE;
    error = fill(&pile, world, &order);
    if (error == 0) {
        qsort(pile.entries, pile.n, sizeof(pile.entries[0]), by_time);
        error = write_pcap(&pile, argv[6]);
    }
    if (error < 0)
        fprintf(stderr, "perf-messages: %s: %s\n", argv[6], strerror(-error));
    else
        print_summary(&pile);
    for (uint32_t i = 0; i < pile.n; i++)
        free(pile.entries[i].message);
    free(pile.entries);
    world_free(world);
    return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
