/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link against a peer that says wrong things, and memory that changes after it was checked:
 * refused, tried again, never a crash.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/control/fake.h"

#define A "{name: a, address: 10.0.0.1, port: 5060}"

struct heard {
    uint32_t hellos, answers, gone, punts;
    struct msg_punt punt; /* the last */
    uint32_t sum;         /* of its bytes */
};

static void on_hello(void *arg, const struct msg_hello *hello)
{
    (void)hello;
    ((struct heard *)arg)->hellos++;
}

static void on_answer(void *arg, const struct msg_answer *answer)
{
    assert_true(memchr(answer->reason, '\0', sizeof(answer->reason)) != NULL);
    ((struct heard *)arg)->answers++;
}

static void on_punt(void *arg, const struct msg_punt *punt, const char *text)
{
    struct heard *heard = arg;

    heard->punts++;
    heard->punt = *punt;
    heard->sum = 0;
    for (uint32_t i = 0; i < punt->length; i++)
        heard->sum += (uint8_t)text[i];
}

static void on_gone(void *arg)
{
    ((struct heard *)arg)->gone++;
}

static struct link *make(struct fake *fake, struct heard *heard)
{
    struct link_conf conf = {.socket = fake->socket,
                             .on_hello = on_hello,
                             .on_answer = on_answer,
                             .on_punt = on_punt,
                             .on_gone = on_gone,
                             .arg = heard};
    struct link *link = link_new(fake->loop, &conf);

    memset(heard, 0, sizeof(*heard));
    assert_non_null(link);
    return link;
}

/* The same, to a peer that has said hello. Sets the fake up. */
static struct link *connected(struct fake *fake, struct heard *heard)
{
    struct link *link;

    fake_setup(fake, A);
    fake_start(fake);
    link = make(fake, heard);
    fake_until(fake, &heard->hellos, 1);
    return link;
}

/* Each spoils what the peer says; then it must be refused and tried again. */
static void spoil_kind(struct fake *f)
{
    f->hello.kind = MSG_OFFER;
}
static void spoil_magic(struct fake *f)
{
    f->hello.magic++;
}
static void spoil_fds(struct fake *f)
{
    f->hello_fds = 1;
}
static void spoil_no_fds(struct fake *f)
{
    f->hello_fds = 0;
}
static void spoil_counters_size(struct fake *f)
{
    f->hello.counters_size += 64;
}
static void spoil_counters_huge(struct fake *f)
{
    f->hello.counters_size = UINT64_MAX;
}
static void spoil_counters_none(struct fake *f)
{
    f->hello.counters_size = 0;
}
static void spoil_calls_size(struct fake *f)
{
    f->hello.calls_size = UINT64_MAX;
}
static void spoil_counters(struct fake *f)
{
    f->counters->n_slots = UINT32_MAX;
}
static void spoil_names(struct fake *f)
{
    memset((char *)(uintptr_t)counters_name(f->counters, 0), 'x', COUNTERS_NAME_MAX);
}

static void unsealed(struct fake *f, int *fd, size_t size)
{
    close(*fd);
    *fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(*fd >= 0);
    assert_int_equal(ftruncate(*fd, (off_t)size), 0);
    (void)f;
}
static void spoil_counters_seals(struct fake *f)
{
    unsealed(f, &f->counters_fd, f->hello.counters_size);
}
static void spoil_calls_seals(struct fake *f)
{
    unsealed(f, &f->calls_fd, f->calls_size);
}

static void spoil_capture_size(struct fake *f)
{
    f->hello.capture_size += 8;
}
static void spoil_capture_seals(struct fake *f)
{
    unsealed(f, &f->capture_fd, f->hello.capture_size);
}

static void spoilt_hello_is_refused_and_tried_again(void **context)
{
    static void (*const spoil[])(struct fake *) = {
        spoil_kind,          spoil_magic,          spoil_fds,
        spoil_no_fds,        spoil_counters_size,  spoil_counters_huge,
        spoil_counters_none, spoil_calls_size,     spoil_counters,
        spoil_names,         spoil_counters_seals, spoil_calls_seals,
        spoil_capture_size,  spoil_capture_seals,
    };

    (void)context;
    for (size_t i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
        struct heard heard;
        struct fake fake;
        struct link *link;

        fake_setup(&fake, A);
        fake_start(&fake);
        spoil[i](&fake);
        link = make(&fake, &heard);
        fake_until(&fake, &fake.n_connections, 2);
        assert_int_equal(heard.hellos, 0);
        assert_int_equal(heard.gone, 0);
        assert_null(link_hello(link));
        assert_null(link_counters(link));
        assert_null(link_calls_open(link));
        link_free(link);
        fake_teardown(&fake);
    }
}

static void wrong_packet_after_hello_ends_the_connection(void **context)
{
    struct msg_answer answer = {.magic = MSG_MAGIC, .kind = MSG_ANSWER};
    struct heard heard;
    struct fake fake;
    struct link *link;
    int fds[2];

    (void)context;
    link = connected(&fake, &heard);
    memset(answer.reason, 'x', sizeof(answer.reason)); /* not terminated: cut */
    assert_int_equal(msg_send(fake.fd, &answer, sizeof(answer), NULL, 0), 0);
    fake_until(&fake, &heard.answers, 1);
    assert_int_equal(msg_send(fake.fd, &answer, sizeof(answer) - 8, NULL, 0), 0);
    fake_until(&fake, &heard.gone, 1);
    fake_until(&fake, &heard.hellos, 2);
    fds[0] = fake.counters_fd;
    assert_int_equal(msg_send(fake.fd, &answer, sizeof(answer), fds, 1), 0);
    fake_until(&fake, &heard.gone, 2);
    assert_int_equal(heard.answers, 1);
    link_free(link);
    fake_teardown(&fake);
}

/* A punt that says `length` bytes, with `more` bytes too many (or less), and n descriptors. */
static void send_punt(struct fake *fake, uint32_t kind, uint32_t length, int more, uint32_t n_fds)
{
    static char packet[sizeof(struct msg_punt) + MSG_TEXT_MAX + 8];
    struct msg_punt punt = {.magic = MSG_MAGIC, .kind = kind, .peer.port = 5070, .length = length};
    int fds[1] = {fake->counters_fd};

    memcpy(packet, &punt, sizeof(punt));
    memset(packet + sizeof(punt), 1, sizeof(packet) - sizeof(punt));
    assert_int_equal(
        msg_send(fake->fd, packet, (uint32_t)(sizeof(punt) + length + more), fds, n_fds), 0);
}

static void messages_come_whole_and_between_answers(void **context)
{
    static const uint32_t lengths[] = {1, 1400, MSG_TEXT_MAX};
    struct msg_answer answer = {.magic = MSG_MAGIC, .kind = MSG_ANSWER};
    struct heard heard;
    struct fake fake;
    struct link *link = connected(&fake, &heard);

    (void)context;
    for (uint32_t i = 0; i < 3; i++) {
        send_punt(&fake, MSG_PUNT, lengths[i], 0, 0);
        assert_int_equal(msg_send(fake.fd, &answer, sizeof(answer), NULL, 0), 0);
        fake_until(&fake, &heard.answers, i + 1);
        assert_int_equal(heard.punts, i + 1);
        assert_int_equal(heard.punt.length, lengths[i]);
        assert_int_equal(heard.punt.peer.port, 5070);
        assert_int_equal(heard.sum, lengths[i]);
    }
    assert_int_equal(heard.gone, 0);
    link_free(link);
    fake_teardown(&fake);
}

static void malformed_messages_end_the_connection(void **context)
{
    static const struct {
        uint32_t kind, length;
        int more;
        uint32_t n_fds;
    } cases[] = {
        {MSG_PUNT, 0, 0, 0},
        {MSG_PUNT, 100, 1, 0},
        {MSG_PUNT, 100, -1, 0},
        {MSG_PUNT, 100, 0, 1},
        {MSG_OFFER, 100, 0, 0},
        {MSG_HELLO, 8, 0, 0},
        {MSG_PUNT, MSG_TEXT_MAX, 1, 0},
    };
    struct heard heard;
    struct fake fake;
    struct link *link;

    (void)context;
    fake_setup(&fake, A);
    fake_start(&fake);
    link = make(&fake, &heard);
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_until(&fake, &heard.hellos, i + 1);
        send_punt(&fake, cases[i].kind, cases[i].length, cases[i].more, cases[i].n_fds);
        fake_until(&fake, &heard.gone, i + 1);
    }
    assert_int_equal(heard.punts, 0);
    link_free(link);
    fake_teardown(&fake);
}

static void memory_that_changes_after_the_check_is_refused(void **context)
{
    struct heard heard;
    struct fake fake;
    struct link *link;
    struct counters_header *copy;
    const struct lb_call_table *calls;
    uint64_t word;

    (void)context;
    link = connected(&fake, &heard);
    counters_block(fake.counters, 1)[0] = 41;
    counters_block(fake.counters, 2)[0] = 1;
    copy = link_counters(link);
    assert_non_null(copy);
    fake.counters->blocks = UINT64_MAX; /* the copy does not see it */
    assert_int_equal(counters_sum(copy, 0), 42);
    free(copy);
    assert_null(link_counters(link));
    calls = link_calls_open(link);
    assert_non_null(calls);
    /* Spoil every word of the header: neither the open table nor the next opening may leave it. */
    for (size_t i = 0; i < 16; i++) {
        memcpy(&word, (char *)fake.calls + i * 8, 8);
        memset((char *)fake.calls + i * 8, 0xff, 8);
        assert_int_equal(lb_call_table_entries(calls), FAKE_CALLS);
        memcpy((char *)fake.calls + i * 8, &word, 8);
    }
    link_calls_close(link, calls);
    memset(fake.calls, 0xff, 128);
    assert_null(link_calls_open(link));
    link_free(link);
    fake_teardown(&fake);
}

static void offer_to_nobody_is_refused(void **context)
{
    struct heard heard;
    struct fake fake;
    struct link *link;
    struct snapshot snapshot = {.size = sizeof(snapshot)};

    (void)context;
    fake_setup(&fake, A);
    link = make(&fake, &heard);
    assert_int_equal(link_offer(link, &snapshot), -ENOTCONN);
    link_free(link);
    fake_teardown(&fake);
}

static void answer_ack(struct fake *fake)
{
    const struct msg_answer ack = {.magic = MSG_MAGIC, .kind = MSG_ANSWER};

    assert_int_equal(msg_send(fake->fd, &ack, sizeof(ack), NULL, 0), 0);
}

/* The peer goes, for the n-th time, and comes with another epoch. */
static void restart(struct fake *fake, struct heard *heard, uint32_t n, uint64_t epoch,
                    uint64_t generation)
{
    fake_stop(fake);
    fake_until(fake, &heard->gone, n);
    fake_start(fake); /* with memory of its own */
    fake->hello.epoch = epoch;
    fake->hello.generation = generation;
    fake_until(fake, &heard->hellos, n + 1);
}

/* The calls of a data plane that is gone go to the next one, and never back to itself. */
static void former_calls_go_to_the_next_data_plane(void **context)
{
    struct heard heard;
    struct fake fake;
    struct link *link = connected(&fake, &heard);

    (void)context;
    restart(&fake, &heard, 1, 8, 0);
    counters_slot_ids(fake.counters)[FAKE_SLOTS - 1] = 4711;
    answer_ack(&fake);
    fake_until(&fake, &heard.answers, 1);
    assert_int_equal(fake.n_calls, 0); /* the first had no snapshot, so it had no calls */
    restart(&fake, &heard, 2, 9, 0);
    fake_until(&fake, &fake.n_calls, 1);
    assert_int_equal(fake.inherited_id, 4711);
    /* It dies before it has a snapshot: what was kept is still there for the third. */
    restart(&fake, &heard, 3, 10, 0);
    fake_until(&fake, &fake.n_calls, 2);
    assert_int_equal(fake.inherited_id, 4711);
    answer_ack(&fake);
    fake_until(&fake, &heard.answers, 2);
    /* The same data plane, whose connection was lost, has its calls itself. */
    restart(&fake, &heard, 4, 10, 5);
    answer_ack(&fake);
    fake_until(&fake, &heard.answers, 3);
    assert_int_equal(fake.n_calls, 2);
    link_free(link);
    fake_teardown(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spoilt_hello_is_refused_and_tried_again),
        cmocka_unit_test(wrong_packet_after_hello_ends_the_connection),
        cmocka_unit_test(messages_come_whole_and_between_answers),
        cmocka_unit_test(malformed_messages_end_the_connection),
        cmocka_unit_test(memory_that_changes_after_the_check_is_refused),
        cmocka_unit_test(offer_to_nobody_is_refused),
        cmocka_unit_test(former_calls_go_to_the_next_data_plane),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
