/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-attack CONFIG SECRET ROUNDS: what the core takes for messages of attackers, and for good
 * ones in the same rounds. A line for each of them in each round, its words separated by tabs:
 *
 *   good     GROUP NAME BYTES NS REASON   the mix of perf-messages; of one message: bytes of its
 *                                         frame, time, and what the core made of (the last of) them
 *   message  the same                     an attacker's
 *   flooded  the same                     the good ones again, in a table full of attackers' calls
 *   kept     NAME SHARE                   of CALLS chosen Call-IDs those that are in a table of
 *                                         twice as many entries afterwards
 *
 * Fails when a good message is not forwarded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/attack/bomb.h"
#include "perf/attack/core.h"
#include "perf/messages/call.h"

enum {
    CALLS = 1 << 17, /* chosen Call-IDs a round */
    TABLE = 2 * CALLS,
    FLOOD = 2 * TABLE,
    GOOD = 1024, /* distinct good messages: more than a branch predictor learns */
    REPEATS = 4, /* of a batch in each round */
    SEED = 1,
    LB_NOW_S = 1,
};

/* Who is measured, with what. */
struct bench {
    struct world *world;
    struct core *core;
    struct sip_addr attacker, listener;
    struct call_message good[GOOD + CALL_KIND_COUNT];
    uint32_t n_good;
    char text[BOMB_MAX];
};

static void add_to(struct core_outcome *sum, const struct core_outcome *one)
{
    sum->n += one->n;
    sum->forwarded += one->forwarded;
    sum->frame_bytes += one->frame_bytes;
    sum->cpu_ns += one->cpu_ns;
    sum->reason = one->reason;
}

static void print(const char *word, const char *group, const char *name,
                  const struct core_outcome *sum)
{
    printf("%s\t%s\t%s\t%.1f\t%.2f\t%s\n", word, group, name, (double)sum->frame_bytes / sum->n,
           (double)sum->cpu_ns / sum->n, proxy_reason_name(sum->reason));
}

static bool make_good(struct bench *b)
{
    struct text_random random = {SEED};
    int error = 0;

    for (uint32_t number = 0; b->n_good < GOOD && error == 0; number += 2) {
        error = call_make(b->world, &random, number, b->good + b->n_good);
        b->n_good += CALL_MESSAGES;
        if (error == 0 && b->n_good < GOOD) {
            error = call_make_registration(b->world, &random, number + 1, b->good + b->n_good);
            b->n_good += CALL_REGISTRATION_MESSAGES;
        }
    }
    b->n_good = GOOD;
    return error == 0;
}

static bool run_good(struct bench *b, const char *word)
{
    struct core_outcome sum = {0}, one;

    for (uint32_t repeat = 0; repeat < REPEATS; repeat++) {
        core_clear(b->core);
        for (uint32_t i = 0; i < b->n_good; i++) {
            const struct call_message *m = &b->good[i];

            if (!core_add(b->core, &m->from, &m->to, m->bytes, m->length))
                return false;
        }
        core_run(b->core, &one);
        add_to(&sum, &one);
    }
    print(word, "good", "mix", &sum);
    return sum.forwarded == sum.n;
}

static void run_bomb(struct bench *b, const struct bomb *bomb)
{
    struct core_outcome sum = {0}, one;
    uint32_t length = bomb_write(bomb, b->text);

    for (uint32_t repeat = 0; repeat < REPEATS; repeat++) {
        core_clear(b->core);
        for (uint32_t i = 0; i < CORE_BURST; i++)
            core_add(b->core, &b->attacker, &b->listener, b->text, length);
        core_run(b->core, &one);
        add_to(&sum, &one);
    }
    print("message", bomb->group, bomb->name, &sum);
}

/* Every Call-ID that the table knows, from a table that was emptied before. */
static double kept(const struct bench *b)
{
    uint32_t n_slots = b->world->view.n_slots;
    uint32_t *used = calloc(n_slots, sizeof(*used));
    uint64_t n = 0;

    if (used == NULL)
        return 0;
    lb_call_sweep(b->world->calls, 0, TABLE, LB_NOW_S, &b->world->counts, used, n_slots);
    for (uint32_t i = 0; i < n_slots; i++)
        n += used[i];
    free(used);
    return (double)n / CALLS;
}

/* The table as it was at first: empty. */
static void forget(struct bench *b)
{
    memset(b->world->calls_memory, 0, lb_call_table_bytes(TABLE));
    lb_call_table_init(b->world->calls_memory, TABLE);
}

/* Begins calls with the numbers below `end` of a choice. */
static struct core_outcome begin_calls(struct bench *b, enum bomb_choice choice, uint32_t end)
{
    struct core_outcome sum = {0}, one;
    uint32_t number = 0;

    while (number < end) {
        core_clear(b->core);
        while (number < end && core_add(b->core, &b->attacker, &b->listener, b->text,
                                        bomb_write_call(choice, number, b->text)))
            number++;
        core_run(b->core, &one);
        add_to(&sum, &one);
    }
    return sum;
}

static void run_calls(struct bench *b, enum bomb_choice choice)
{
    struct core_outcome sum;

    forget(b);
    sum = begin_calls(b, choice, CALLS);
    print("message", "Call-IDs", bomb_choice_name(choice), &sum);
    printf("kept\t%s\t%.6f\n", bomb_choice_name(choice), kept(b));
}

static bool run_round(struct bench *b)
{
    if (!run_good(b, "good"))
        return false;
    for (const struct bomb *bomb = bombs; bomb->name != NULL; bomb++)
        run_bomb(b, bomb);
    for (int choice = 0; choice < BOMB_CHOICE_COUNT; choice++)
        run_calls(b, (enum bomb_choice)choice);
    begin_calls(b, BOMB_RANDOM, FLOOD);
    return run_good(b, "flooded");
}

static bool run(struct bench *b, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        if (!run_round(b)) {
            fputs("perf-attack: a good message was not forwarded\n", stderr);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct bench b;
    static const uint8_t attacker[4] = {203, 0, 113, 66};
    bool good = false;

    if (argc != 4 || atoi(argv[3]) <= 0) {
        fputs("usage: perf-attack CONFIG SECRET ROUNDS\n", stderr);
        return 2;
    }
    b.world = world_new(argv[1], argv[2], TABLE);
    b.core = b.world == NULL ? NULL : core_new(b.world);
    if (b.core != NULL) {
        b.attacker = (struct sip_addr){.ip = sip_ip_from_v4(attacker), .port = 5060};
        b.listener = world_listener(b.world);
        good = make_good(&b) && run(&b, atoi(argv[3]));
    }
    core_free(b.core);
    world_free(b.world);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
