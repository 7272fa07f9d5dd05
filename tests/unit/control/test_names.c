/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that wait for a name, with a resolver and a data plane that say what the test wants: one
 * question a name, snapshots, sending, time, and bounds. What is sent goes to loopback sockets.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/names.h"
#include "control/names_table.h"
#include "tests/unit/control/fake.h"

#define A "{name: a, address: 127.0.0.1, port: 5060}"

enum { ASKED_MAX = 300 };

struct asked {
    char host[300];
    uint16_t port;
    uint8_t transport;
    void (*done)(void *arg, const struct dns_result *result);
    void *arg;
};

struct scene {
    struct fake fake;
    struct reload *reload;
    struct resolver resolver;
    struct stream *stream;
    struct names *names;
    uint32_t ready, n_asked, n_servers;
    int status; /* of resolve */
    struct asked asked[ASKED_MAX];
    int peer; /* a socket that is the target of names */
    struct sip_addr peer_addr;
    int backend; /* a socket that is backend a's */
    struct sip_addr backend_addr;
};

static int resolve(void *dns, const char *host, uint16_t port, uint8_t transport,
                   void (*done)(void *arg, const struct dns_result *result), void *arg)
{
    struct scene *s = dns;
    struct asked *asked = &s->asked[s->n_asked];

    if (s->status != 0)
        return s->status;
    assert_true(s->n_asked++ < ASKED_MAX);
    snprintf(asked->host, sizeof(asked->host), "%s", host);
    asked->port = port;
    asked->transport = transport;
    asked->done = done;
    asked->arg = arg;
    return 0;
}

static int servers(void *dns, const struct sip_addr *list, uint32_t n)
{
    (void)list;
    ((struct scene *)dns)->n_servers = n;
    return 0;
}

static int udp_socket(struct sip_addr *ret)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const uint8_t ip[4] = {127, 0, 0, 1};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    ret->ip = sip_ip_from_v4(ip);
    ret->port = ntohs(address.sin_port);
    return fd;
}

/* The service listens on loopback, so that what is sent from there arrives. */
static void configure(struct scene *s)
{
    FILE *out = fopen(s->fake.config, "w");

    assert_non_null(out);
    fprintf(out,
            "node: n\n"
            "dataplane:\n"
            "  workers: [1]\n"
            "  socket: %s\n"
            "  ports: [{name: p, driver: \"null\", addresses: [127.0.0.9/8]}]\n"
            "secret_file: %s/secret\n"
            "services:\n"
            "  - {name: s, pool: p, listen: [{transport: udp, address: 127.0.0.9, port: 5060}]}\n"
            "pools: [{name: p, backends: [" A "]}]\n"
            "control: {socket: %s/control.sock, state_dir: %s, dns: [192.0.2.53, 192.0.2.54]}\n",
            s->fake.socket, s->fake.dir, s->fake.dir, s->fake.dir);
    assert_int_equal(fclose(out), 0);
}

static void setup(struct scene *s)
{
    memset(s, 0, sizeof(*s));
    fake_setup(&s->fake, A);
    configure(s);
    fake_start(&s->fake);
    s->peer = udp_socket(&s->peer_addr);
    s->backend = udp_socket(&s->backend_addr);
    s->reload = fake_reload(&s->fake, &s->ready);
    s->resolver = (struct resolver){.resolve = resolve, .servers = servers, .dns = s};
    s->stream = stream_new(s->fake.loop, s->reload, NULL);
    assert_non_null(s->stream);
    s->names = names_new(s->fake.loop, s->reload, s->stream, &s->resolver);
    assert_non_null(s->names);
    fake_until(&s->fake, &s->ready, 1);
}

static void teardown(struct scene *s)
{
    const struct names_counts *c = names_counts(s->names);
    uint64_t over = c->repeated + c->dropped_full + c->dropped_unasked + c->dropped_unoffered +
                    names_waiting(s->names);

    for (int result = 0; result < RELAY_RESULTS; result++)
        over += c->results[result];
    assert_int_equal(c->received, over); /* the law of names.h */
    names_free(s->names);
    stream_free(s->stream);
    resolver_done(&s->resolver);
    reload_free(s->reload);
    fake_teardown(&s->fake);
    close(s->peer);
    close(s->backend);
}

/* A request of backend a's, as the data plane punts it. */
static void punt(struct scene *s, const char *method, const char *uri, const char *call_id)
{
    static char packet[sizeof(struct msg_punt) + 4096];
    char *text = packet + sizeof(struct msg_punt);
    const uint8_t listener[4] = {127, 0, 0, 9};
    struct msg_punt punt = {
        .magic = MSG_MAGIC, .kind = MSG_PUNT, .peer = s->backend_addr, .inside = 1};

    punt.local.ip = sip_ip_from_v4(listener);
    punt.local.port = 5060;
    punt.length = (uint32_t)snprintf(text, 4096,
                                     "%s %s SIP/2.0\r\n"
                                     "Via: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK%s\r\n"
                                     "From: <sip:a@x>;tag=1\r\nTo: <sip:b@y>\r\n"
                                     "Call-ID: %s\r\nCSeq: 1 %s\r\nMax-Forwards: 70\r\n"
                                     "Content-Length: 0\r\n\r\n",
                                     method, uri, s->backend_addr.port, call_id, call_id, method);
    memcpy(packet, &punt, sizeof(punt));
    assert_int_equal(msg_send(s->fake.fd, packet, (uint32_t)sizeof(punt) + punt.length, NULL, 0),
                     0);
}

static void until_received(struct scene *s, uint64_t n)
{
    time_t end = time(NULL) + 5;

    while (names_counts(s->names)->received < n && time(NULL) <= end)
        loop_step(s->fake.loop);
    assert_int_equal(names_counts(s->names)->received, n);
}

/* Drives the loop until that many were forwarded or replied. */
static void until_result(struct scene *s, enum relay_result result, uint64_t n)
{
    time_t end = time(NULL) + 5;

    while (names_counts(s->names)->results[result] < n && time(NULL) <= end)
        loop_step(s->fake.loop);
    assert_int_equal(names_counts(s->names)->results[result], n);
}

static void answer(struct scene *s, uint32_t i, enum snapshot_outcome outcome, uint32_t ttl_s)
{
    const struct snapshot_target target = {.addr = s->peer_addr, .transport = SIP_TRANSPORT_UDP};
    const struct dns_result result = {.outcome = (uint8_t)outcome,
                                      .ttl_s = ttl_s,
                                      .targets = &target,
                                      .n_targets = outcome == SNAPSHOT_NAME_FOUND};

    s->asked[i].done(s->asked[i].arg, &result);
}

/* What a socket received, terminated; "" when nothing is there. */
static const char *received(int fd)
{
    static char text[4096];
    ssize_t got = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    text[got > 0 ? got : 0] = '\0';
    return text;
}

static void waits_is_answered_and_goes(void **context)
{
    struct scene s;
    const char *text;
    uint32_t offers;

    (void)context;
    setup(&s);
    offers = s.fake.n_offers;
    punt(&s, "INVITE", "sip:u@Peer.Example.test.", "c1");
    punt(&s, "INVITE", "sip:u@peer.example.test", "c2");
    punt(&s, "INVITE", "sip:u@peer.example.test", "c2"); /* again, meanwhile */
    punt(&s, "OPTIONS", "sip:u@peer.example.test:5099;transport=udp", "c3");
    until_received(&s, 4);
    assert_int_equal(s.n_servers, 2);
    assert_int_equal(s.n_asked, 2); /* one question a name */
    assert_string_equal(s.asked[0].host, "peer.example.test");
    assert_int_equal(s.asked[0].port, 0);
    assert_int_equal(s.asked[0].transport, SIP_TRANSPORT_NONE);
    assert_int_equal(s.asked[1].port, 5099);
    assert_int_equal(s.asked[1].transport, SIP_TRANSPORT_UDP);
    assert_int_equal(names_waiting(s.names), 3);
    answer(&s, 0, SNAPSHOT_NAME_FOUND, 100);
    until_result(&s, RELAY_FORWARDED, 2);
    assert_int_equal(s.fake.n_offers, offers + 1);
    assert_int_equal(s.fake.offered->names.n, 1);
    text = received(s.peer);
    assert_non_null(strstr(text, "INVITE sip:u@Peer.Example.test. SIP/2.0\r\n"));
    assert_non_null(strstr(text, "Via: SIP/2.0/UDP 127.0.0.9:5060;"));
    assert_non_null(strstr(text, "Max-Forwards: 69\r\n"));
    assert_non_null(strstr(received(s.peer), "Call-ID: c2\r\n"));
    assert_string_equal(received(s.peer), ""); /* the third was the second */
    answer(&s, 1, SNAPSHOT_NAME_NONE, 100);
    until_result(&s, RELAY_REPLIED, 1);
    assert_non_null(strstr(received(s.backend), "SIP/2.0 404 "));
    /* What is known goes at once: it was punted before the data plane knew. */
    punt(&s, "OPTIONS", "sip:u@peer.example.test", "c4");
    until_result(&s, RELAY_FORWARDED, 3);
    assert_int_equal(s.n_asked, 2);
    assert_int_equal(names_waiting(s.names), 0);
    teardown(&s);
}

static void failure_is_said_to_the_backend(void **context)
{
    struct scene s;

    (void)context;
    setup(&s);
    punt(&s, "INVITE", "sip:u@dead.test", "c1");
    until_received(&s, 1);
    answer(&s, 0, SNAPSHOT_NAME_FAILED, DNS_FAILED_S);
    until_result(&s, RELAY_REPLIED, 1);
    assert_non_null(strstr(received(s.backend), "SIP/2.0 503 "));
    assert_int_equal(names_counts(s.names)->failed, 1);
    teardown(&s);
}

static void answers_that_come_together_share_a_snapshot(void **context)
{
    struct scene s;
    uint32_t offers;

    (void)context;
    setup(&s);
    for (int i = 0; i < 20; i++) {
        char uri[64], call_id[16];

        snprintf(uri, sizeof(uri), "sip:u@n%d.test", i);
        snprintf(call_id, sizeof(call_id), "c%d", i);
        punt(&s, "OPTIONS", uri, call_id);
    }
    until_received(&s, 20);
    assert_int_equal(s.n_asked, 20);
    offers = s.fake.n_offers;
    for (uint32_t i = 0; i < 20; i++)
        answer(&s, i, SNAPSHOT_NAME_FOUND, 100);
    until_result(&s, RELAY_FORWARDED, 20);
    assert_int_equal(s.fake.n_offers, offers + 2); /* the first, then all others */
    assert_int_equal(s.fake.offered->names.n, 20);
    teardown(&s);
}

static void refused_snapshot_leaves_others_as_they_were(void **context)
{
    struct scene s;

    (void)context;
    setup(&s);
    punt(&s, "OPTIONS", "sip:u@first.test", "c1");
    until_received(&s, 1);
    answer(&s, 0, SNAPSHOT_NAME_FOUND, 100);
    until_result(&s, RELAY_FORWARDED, 1);
    s.fake.answer = -ENOMEM;
    punt(&s, "OPTIONS", "sip:u@second.test", "c2");
    until_received(&s, 2);
    answer(&s, 1, SNAPSHOT_NAME_FOUND, 100);
    while (names_counts(s.names)->dropped_unoffered == 0)
        loop_step(s.fake.loop);
    s.fake.answer = 0;
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_int_equal(s.fake.offered->names.n, 1); /* the first is there still */
    teardown(&s);
}

static void data_plane_that_is_gone_holds_up_nothing(void **context)
{
    struct scene s;

    (void)context;
    setup(&s);
    punt(&s, "OPTIONS", "sip:u@a.test", "c1");
    until_received(&s, 1);
    fake_stop(&s.fake);
    loop_step(s.fake.loop);
    answer(&s, 0, SNAPSHOT_NAME_FOUND, 100);
    until_result(&s, RELAY_FORWARDED, 1);
    teardown(&s);
}

static void messages_are_bounded(void **context)
{
    struct scene s;

    (void)context;
    setup(&s);
    for (int i = 0; i < NAMES_MESSAGES_MAX + 10; i++) {
        char call_id[16];

        snprintf(call_id, sizeof(call_id), "c%d", i);
        punt(&s, "OPTIONS", "sip:u@slow.test", call_id);
        until_received(&s, (uint64_t)i + 1);
    }
    assert_int_equal(s.n_asked, 1);
    assert_int_equal(names_waiting(s.names), NAMES_MESSAGES_MAX);
    assert_int_equal(names_counts(s.names)->dropped_full, 10);
    teardown(&s); /* while they wait */
}

static void question_that_cannot_be_asked_loses_its_message(void **context)
{
    struct scene s;

    (void)context;
    setup(&s);
    s.status = -EBUSY;
    punt(&s, "OPTIONS", "sip:u@a.test", "c1");
    until_received(&s, 1);
    assert_int_equal(names_counts(s.names)->dropped_unasked, 1);
    assert_int_equal(names_waiting(s.names), 0);
    s.status = 0;
    punt(&s, "OPTIONS", "sip:u@a.test", "c1");
    until_received(&s, 2);
    assert_int_equal(s.n_asked, 1);
    teardown(&s);
}

static void odd_messages_are_dropped_and_counted(void **context)
{
    struct scene s;
    struct {
        struct msg_punt head;
        char text[40];
    } packet = {{.magic = MSG_MAGIC, .kind = MSG_PUNT, .length = 40}, "no SIP at all"};
    const uint8_t listener[4] = {127, 0, 0, 9}, nobody[4] = {127, 0, 0, 8};

    (void)context;
    setup(&s);
    packet.head.local.ip = sip_ip_from_v4(listener);
    packet.head.local.port = 5060;
    packet.head.peer = s.backend_addr;
    assert_int_equal(msg_send(s.fake.fd, &packet, sizeof(packet), NULL, 0), 0);
    until_result(&s, RELAY_DROPPED_VERDICT, 1);
    packet.head.local.port = 5061;
    assert_int_equal(msg_send(s.fake.fd, &packet, sizeof(packet), NULL, 0), 0);
    until_result(&s, RELAY_DROPPED_LISTENER, 1);
    packet.head.local.port = 5060;
    packet.head.peer.ip = sip_ip_from_v4(nobody);
    assert_int_equal(msg_send(s.fake.fd, &packet, sizeof(packet), NULL, 0), 0);
    until_result(&s, RELAY_DROPPED_VERDICT, 2);
    assert_string_equal(received(s.backend), "");
    teardown(&s);
}

/* ---- Time, in the table alone ---- */

static struct name *add(struct names_table *table, uint64_t hash)
{
    struct name *name = names_table_add(table, hash, sip_slice_of("X.Test."), 0, 0);

    assert_non_null(name);
    assert_string_equal(name->host, "x.test");
    return name;
}

static void good_answer_outlives_its_time(void **context)
{
    const struct snapshot_target target = {.transport = SIP_TRANSPORT_UDP};
    const struct dns_result found = {SNAPSHOT_NAME_FOUND, 10, &target, 1};
    const struct dns_result none = {SNAPSHOT_NAME_NONE, 10, NULL, 0};
    struct names_table *table = calloc(1, sizeof(*table));
    struct name *name = add(table, 7);

    (void)context;
    assert_false(names_use_stale(name, 1000));
    assert_true(names_answer(name, &found, 1000));
    free(names_table_publish(table, 1000));
    assert_true(name->published);
    assert_false(names_table_sweep(table, 10999));
    assert_true(names_table_sweep(table, 11000)); /* it is in no snapshot any more, but known */
    assert_ptr_equal(names_table_find(table, 7), name);
    assert_true(names_use_stale(name, 12000));
    assert_true(names_holds(name, 12000 + NAMES_RETRY_S * 1000 - 1));
    assert_false(names_holds(name, 12000 + NAMES_RETRY_S * 1000));
    assert_false(names_use_stale(name, 11000 + NAMES_STALE_S * 1000));
    assert_true(names_answer(name, &none, 50000)); /* a bad one takes its place */
    assert_false(names_use_stale(name, 61000));
    names_table_sweep(table, 61000);
    assert_null(names_table_find(table, 7));
    names_table_done(table);
    free(table);
}

static void oldest_leaves_a_full_table(void **context)
{
    const struct dns_result none = {SNAPSHOT_NAME_NONE, 3600, NULL, 0};
    struct names_table *table = calloc(1, sizeof(*table));
    struct names_block *block;

    (void)context;
    for (uint64_t i = 0; i < SNAPSHOT_NAMES_MAX; i++)
        assert_true(names_answer(add(table, i), &none, 1000 + (i + 10) % SNAPSHOT_NAMES_MAX));
    names_table_find(table, SNAPSHOT_NAMES_MAX - 10)->asking = true; /* the oldest is waited for */
    add(table, SNAPSHOT_NAMES_MAX);
    assert_int_equal(table->n, SNAPSHOT_NAMES_MAX);
    assert_non_null(names_table_find(table, SNAPSHOT_NAMES_MAX - 10));
    assert_null(names_table_find(table, SNAPSHOT_NAMES_MAX - 9));
    block = names_table_publish(table, 2000);
    assert_int_equal(block->n, SNAPSHOT_NAMES_MAX - 1); /* the new one has no answer */
    free(block);
    for (uint64_t i = 0; i <= SNAPSHOT_NAMES_MAX; i++) {
        if (names_table_find(table, i) != NULL)
            names_table_find(table, i)->asking = true;
    }
    assert_null(names_table_add(table, 1u << 20, sip_slice_of("y"), 0, 0));
    names_table_done(table);
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_is_answered_and_goes),
        cmocka_unit_test(failure_is_said_to_the_backend),
        cmocka_unit_test(answers_that_come_together_share_a_snapshot),
        cmocka_unit_test(refused_snapshot_leaves_others_as_they_were),
        cmocka_unit_test(data_plane_that_is_gone_holds_up_nothing),
        cmocka_unit_test(messages_are_bounded),
        cmocka_unit_test(question_that_cannot_be_asked_loses_its_message),
        cmocka_unit_test(odd_messages_are_dropped_and_counted),
        cmocka_unit_test(good_answer_outlives_its_time),
        cmocka_unit_test(oldest_leaves_a_full_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
