/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures against a data plane that only speaks: what it is asked to copy, what of its records
 * each client gets, in which order, and what is said of those that were lost.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/capture.h"
#include "dataplane/proxy/proxy.h"
#include "tests/unit/control/fake.h"

#define A "{name: a, address: 10.0.0.1, port: 5060}"

enum { SECTION = 0x0a0d0d0a, INTERFACE = 1, STATISTICS = 5, PACKET = 6, FILE_MAX = 16 << 20 };

struct scene {
    struct fake fake;
    struct reload *reload;
    struct captures *captures;
    uint32_t ready;
};

static void scene_make(struct scene *s)
{
    memset(s, 0, sizeof(*s));
    fake_setup(&s->fake, A);
    s->reload = fake_reload(&s->fake, &s->ready);
    s->captures = captures_new(s->fake.loop, s->reload);
    assert_non_null(s->captures);
    fake_start(&s->fake);
    fake_until(&s->fake, &s->ready, 1);
}

static void scene_done(struct scene *s)
{
    captures_free(s->captures);
    reload_free(s->reload);
    fake_teardown(&s->fake);
}

/* A client and what it has heard: lines of JSON, then blocks. */
struct client {
    int fd;
    bool ended;
    uint8_t *bytes;
    size_t length;
};

static const char *begin(struct scene *s, struct client *ret, const char *call_id, uint64_t count)
{
    int ends[2];
    const char *reason;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    *ret = (struct client){.fd = ends[0], .bytes = malloc(FILE_MAX)};
    assert_non_null(ret->bytes);
    reason = captures_start(s->captures, ends[1], call_id, count);
    if (reason != NULL)
        close(ends[1]);
    return reason;
}

static void leave(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    free(c->bytes);
    c->bytes = NULL;
}

static void hear(struct client *c)
{
    ssize_t n = 1;

    while (!c->ended && n > 0) {
        assert_true(c->length < FILE_MAX);
        n = recv(c->fd, c->bytes + c->length, FILE_MAX - c->length, 0);
        c->ended = n == 0;
        c->length += n > 0 ? (size_t)n : 0;
    }
}

/* Drives the loop until the client has a line (or the end). */
static void until(struct scene *s, struct client *c, bool end)
{
    time_t last = time(NULL) + 5;

    while (hear(c), end ? !c->ended : memchr(c->bytes, '\n', c->length) == NULL) {
        assert_true(time(NULL) <= last);
        loop_step(s->fake.loop);
    }
}

static bool says(const struct client *c, const char *text)
{
    return memmem(c->bytes, c->length, text, strlen(text)) != NULL;
}

static struct client begun(struct scene *s, const char *call_id, uint64_t count)
{
    struct client c;

    assert_null(begin(s, &c, call_id, count));
    until(s, &c, false);
    assert_true(says(&c, "\"capturing\"}\n"));
    return c;
}

static uint64_t hash_of(const struct scene *s, const char *call_id)
{
    return snapshot_call_hash(&reload_snapshot(s->reload)->hash_key, sip_slice_of(call_id));
}

/* A record of a ring; its frame is the text. */
static void put(struct scene *s, uint32_t ring, const char *call_id, bool outbound, uint64_t time,
                const char *text)
{
    const struct capture_record record = {
        .time_ns = time,
        .call = hash_of(s, call_id),
        .to = snapshot_backend_id(sip_slice_of("p"), sip_slice_of("a")),
        .port = outbound,
        .outbound = outbound,
        .reason = PROXY_FORWARDED_REQUEST,
        .rule = PROXY_RULE_TABLE,
    };

    capture_put(s->fake.capture, s->fake.capture, ring, &record, text, (uint32_t)strlen(text), NULL,
                0);
}

static uint32_t read32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, 4);
    return value;
}

/* The file as text: S, I and T for section, interface and statistics, and of each packet `<` or `>`
 * and its frame. Checks what all blocks promise; sums what was lost. */
static void tell(const struct client *c, char *ret, size_t size, uint64_t *ret_lost)
{
    size_t at = (size_t)((uint8_t *)memchr(c->bytes, '\n', c->length) + 1 - c->bytes);
    size_t used = 0;

    *ret_lost = 0;
    ret[0] = '\0';
    while (at < c->length) {
        const uint8_t *b = c->bytes + at;
        uint32_t length = read32(b + 4), n;
        uint64_t lost;

        assert_true(length % 4 == 0 && length >= 12 && length <= c->length - at);
        assert_int_equal(read32(b + length - 4), length);
        at += length;
        assert_true(used + 256 < size);
        switch (read32(b)) {
        case SECTION:
            used += (size_t)sprintf(ret + used, "S");
            break;
        case INTERFACE:
            used += (size_t)sprintf(ret + used, "I");
            break;
        case STATISTICS:
            used += (size_t)sprintf(ret + used, "T");
            /* The last option is what was dropped, and the end of options lies behind. */
            memcpy(&lost, b + length - 16, 8);
            *ret_lost += lost;
            break;
        default:
            assert_int_equal(read32(b), PACKET);
            n = read32(b + 20);
            assert_int_equal(read32(b + 24), n);
            assert_int_equal(read32(b + length - 12), read32(b + 8) == 0 ? 1 : 2);
            used += (size_t)sprintf(ret + used, "%c%.*s", read32(b + 8) == 0 ? '<' : '>',
                                    n < 99 ? (int)n : 1, (const char *)b + 28);
        }
    }
}

static void end_is(struct scene *s, struct client *c, const char *wanted)
{
    char text[4096];
    uint64_t lost;

    until(s, c, true);
    tell(c, text, sizeof(text), &lost);
    assert_string_equal(text, wanted);
    assert_int_equal(lost, 0);
    leave(c);
}

/* Until the data plane has been told so. */
static void wait_asked(struct scene *s, bool on, uint32_t n_calls)
{
    time_t last = time(NULL) + 5;

    while ((bool)s->fake.offered->capture.on != on || s->fake.offered->capture.n_calls != n_calls) {
        assert_true(time(NULL) <= last);
        loop_step(s->fake.loop);
    }
}

static void count_messages_come_with_what_was_made_of_them(void **context)
{
    struct scene s;
    struct client c;

    (void)context;
    scene_make(&s);
    assert_int_equal(s.fake.offered->capture.on, 0);
    put(&s, 0, "old@x", false, 1, "old"); /* what was before is nobody's */
    c = begun(&s, "", 2);
    wait_asked(&s, true, 0);
    put(&s, 0, "x@y", false, 2, "one");
    put(&s, 0, "x@y", true, 2, "one'");
    put(&s, 0, "", false, 3, "two");
    put(&s, 1, "z@y", false, 4, "three");
    put(&s, 1, "z@y", true, 4, "three'");
    put(&s, 0, "", true, 5, "two'");
    end_is(&s, &c, "SII<one>one'<two>two'TT");
    wait_asked(&s, false, 0);
    scene_done(&s);
}

static void a_comment_says_what_was_done(void **context)
{
    struct scene s;
    struct client c;

    (void)context;
    scene_make(&s);
    c = begun(&s, "", 1);
    put(&s, 0, "x@y", false, 2, "one");
    until(&s, &c, true);
    assert_true(says(&c, "forwarded_request to a (p); rule 6: the pool's table"));
    assert_true(says(&c, "outside") && says(&c, "inside") && says(&c, "Tandem "));
    leave(&c);
    scene_done(&s);
}

static void each_gets_its_own_and_rings_are_merged_by_time(void **context)
{
    struct scene s;
    struct client x, y, all;

    (void)context;
    scene_make(&s);
    x = begun(&s, "x", 0);
    wait_asked(&s, true, 1);
    assert_int_equal(s.fake.offered->capture.calls[0], hash_of(&s, "x"));
    y = begun(&s, "y", 0);
    wait_asked(&s, true, 2);
    all = begun(&s, "", 0);
    wait_asked(&s, true, 0);
    put(&s, 1, "x", false, 20, "b");
    put(&s, 1, "x", true, 20, "b'");
    put(&s, 1, "y", false, 40, "d");
    put(&s, 0, "y", false, 10, "a");
    put(&s, 0, "x", false, 30, "c");
    put(&s, 0, "", false, 50, "e");
    shutdown(all.fd, SHUT_WR);
    end_is(&s, &all, "SII<a<b>b'<c<d<eTT");
    wait_asked(&s, true, 2);
    shutdown(x.fd, SHUT_WR);
    end_is(&s, &x, "SII<b>b'<cTT");
    wait_asked(&s, true, 1);
    leave(&y); /* without a word */
    wait_asked(&s, false, 0);
    scene_done(&s);
}

static void too_many_are_refused(void **context)
{
    struct scene s;
    struct client c[SNAPSHOT_CAPTURES_MAX], more;
    char name[16];

    (void)context;
    scene_make(&s);
    for (uint32_t i = 0; i < SNAPSHOT_CAPTURES_MAX; i++) {
        snprintf(name, sizeof(name), "call%u", i);
        c[i] = begun(&s, name, 0);
    }
    wait_asked(&s, true, SNAPSHOT_CAPTURES_MAX);
    assert_non_null(begin(&s, &more, "another", 0));
    leave(&more);
    more = begun(&s, "call3", 0); /* one of them */
    put(&s, 0, "call3", false, 1, "!");
    shutdown(more.fd, SHUT_WR);
    end_is(&s, &more, "SII<!TT");
    for (uint32_t i = 0; i < SNAPSHOT_CAPTURES_MAX; i++)
        leave(&c[i]);
    wait_asked(&s, false, 0);
    scene_done(&s);
}

/* The ring is overrun, then the client takes nothing: all is either in the file or said to be lost.
 */
static void what_is_lost_is_counted(void **context)
{
    static char frame[8001], text[1 << 20];
    struct scene s;
    struct client c;
    uint64_t lost, n = 0, frames = 0;

    (void)context;
    memset(frame, 'f', sizeof(frame) - 1);
    scene_make(&s);
    c = begun(&s, "", 0);
    for (; n < 40; n++) /* a ring takes 8 */
        put(&s, 0, "", false, n, frame);
    loop_step(s.fake.loop);
    for (; n < 740; n++) { /* the client's buffer takes about 540 */
        put(&s, 1, "", false, n, frame);
        if (n % 6 == 0)
            loop_step(s.fake.loop);
    }
    put(&s, 0, "", false, n++, frame);
    shutdown(c.fd, SHUT_WR);
    until(&s, &c, true);
    tell(&c, text, sizeof(text), &lost);
    for (const char *at = text; *at != '\0'; at++)
        frames += *at == '<';
    assert_int_equal(frames + lost, n);
    assert_in_range(frames, 400, 600);
    leave(&c);
    scene_done(&s);
}

static void another_data_plane_is_another_section(void **context)
{
    struct scene s;
    struct client c;
    uint32_t offers;

    (void)context;
    scene_make(&s);
    c = begun(&s, "x", 0);
    put(&s, 0, "x", false, 1, "one");
    put(&s, 1, "y", false, 1, "other");
    loop_step(s.fake.loop);
    put(&s, 0, "x", false, 2, "two"); /* its last word */
    offers = s.fake.n_offers;
    fake_stop(&s.fake);
    fake_start(&s.fake);
    s.fake.hello.epoch = 8;
    fake_until(&s.fake, &s.fake.n_offers, offers + 1);
    wait_asked(&s, true, 1);
    for (int i = 0; i < 5; i++)
        loop_step(s.fake.loop);
    put(&s, 0, "x", false, 3, "three");
    shutdown(c.fd, SHUT_WR);
    end_is(&s, &c, "SII<one<twoTTSII<threeTT");
    scene_done(&s);
}

static void without_a_data_plane_there_is_nothing(void **context)
{
    struct scene s;
    struct client c;

    (void)context;
    scene_make(&s);
    fake_stop(&s.fake);
    while (link_hello(reload_link(s.reload)) != NULL)
        loop_step(s.fake.loop);
    assert_non_null(begin(&s, &c, "", 0));
    leave(&c);
    scene_done(&s);
}

/* It is told once asked, and hears why. */
static void a_refused_snapshot_refuses_the_capture(void **context)
{
    struct scene s;
    struct client c;

    (void)context;
    scene_make(&s);
    s.fake.answer = -EINVAL;
    s.fake.reason = "because";
    assert_null(begin(&s, &c, "", 0));
    until(&s, &c, true);
    assert_true(says(&c, "\"ok\":false") && says(&c, "because"));
    leave(&c);
    s.fake.answer = 0;
    c = begun(&s, "", 1);
    put(&s, 0, "", false, 1, "fine");
    end_is(&s, &c, "SII<fineTT");
    scene_done(&s);
}

static void malformed_rings_are_refused(void **context)
{
    struct scene s;
    struct client c;

    (void)context;
    scene_make(&s);
    s.fake.capture->n_ports = 1000;
    assert_null(begin(&s, &c, "", 0));
    until(&s, &c, true);
    assert_true(says(&c, "\"ok\":false"));
    leave(&c);
    s.fake.capture->n_ports = 2;
    scene_done(&s);
}

/* Control ends: what was copied by then is in the file, and the file is complete. */
static void captures_end_with_control(void **context)
{
    struct scene s;
    struct client c;
    char text[1024];
    uint64_t lost;

    (void)context;
    scene_make(&s);
    c = begun(&s, "", 0);
    put(&s, 0, "", false, 1, "last");
    captures_free(s.captures);
    s.captures = NULL;
    hear(&c);
    assert_true(c.ended);
    tell(&c, text, sizeof(text), &lost);
    assert_string_equal(text, "SII<lastTT");
    leave(&c);
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count_messages_come_with_what_was_made_of_them),
        cmocka_unit_test(a_comment_says_what_was_done),
        cmocka_unit_test(each_gets_its_own_and_rings_are_merged_by_time),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(what_is_lost_is_counted),
        cmocka_unit_test(another_data_plane_is_another_section),
        cmocka_unit_test(without_a_data_plane_there_is_nothing),
        cmocka_unit_test(a_refused_snapshot_refuses_the_capture),
        cmocka_unit_test(malformed_rings_are_refused),
        cmocka_unit_test(captures_end_with_control),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
