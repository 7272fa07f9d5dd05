/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bounds a connection: how many there are, how long it may be silent or slow, what waits for
 * it. Each ends it with a reason of its own, and others do not notice.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/address.h"
#include "control/stream/listen.h"
#include "tests/unit/control/stream/scene.h"

#define TCP "      - {transport: tcp, address: VIP, port: 5060}\n"

static void so_many_and_no_more(void **context)
{
    struct scene s;
    int phones[4];

    (void)context;
    scene_begin(&s, TCP, "connections: 3, connections_per_source: 2");
    phones[0] = scene_tcp(21, SCENE_SIP);
    phones[1] = scene_tcp(21, SCENE_SIP);
    scene_until(&s, COUNT_ACCEPTED, 2);
    phones[2] = scene_tcp(21, SCENE_SIP);
    scene_until_closed(phones[2]);
    scene_until(&s, COUNT_REFUSED_SOURCE, 1);
    close(phones[2]);
    phones[2] = scene_tcp(22, SCENE_SIP);
    scene_until(&s, COUNT_ACCEPTED, 3);
    phones[3] = scene_tcp(23, SCENE_SIP);
    scene_until_closed(phones[3]);
    scene_until(&s, COUNT_REFUSED_FULL, 1);
    close(phones[3]);
    close(phones[0]); /* makes room, for that source too */
    scene_until(&s, COUNT_CLOSED + CLOSE_PEER, 1);
    phones[0] = scene_tcp(21, SCENE_SIP);
    scene_until(&s, COUNT_ACCEPTED, 4);
    assert_int_equal(stream_connections(s.stream), 3);
    for (int i = 0; i < 3; i++)
        close(phones[i]);
    scene_end(&s);
}

/* Phones that take all the room do not keep us from who we connect to. */
static void full_for_phones_alone(void **context)
{
    struct scene s;
    struct sip_addr addr = scene_addr(31, 5090);
    union address address;
    socklen_t size = address_to_kernel(&addr, &address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), phone, peer;
    char uri[64];

    (void)context;
    assert_int_equal(bind(listener, &address.any, size), 0);
    assert_int_equal(listen(listener, 4), 0);
    scene_begin(&s, TCP, "connections: 1");
    phone = scene_tcp(21, SCENE_SIP);
    scene_until(&s, COUNT_ACCEPTED, 1);
    snprintf(uri, sizeof(uri), "sip:u@%s:5090;transport=tcp", scene_ip(31));
    scene_send_to(s.a, 2, SCENE_OWN, scene_request("MESSAGE", uri, "m1", "UDP", ""));
    scene_until(&s, COUNT_CONNECTED, 1);
    peer = accept(listener, NULL, NULL);
    assert_memory_equal(scene_message(&s, peer), "MESSAGE ", 8);
    close(peer);
    close(phone);
    close(listener);
    scene_end(&s);
}

/* Nor do they get the last descriptors, which a reload, names and backends need. */
static void descriptors_are_kept(void **context)
{
    struct rlimit before, few;
    struct scene s;
    int phones[400], n = 0;

    (void)context;
    scene_begin(&s, TCP, "");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 600;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (struct counts counts = {{0}}; counts.values[COUNT_REFUSED_ERROR] == 0;) {
        assert_true(n < 400);
        phones[n++] = scene_tcp(21, SCENE_SIP);
        for (int tries = 0;
             counts.values[COUNT_ACCEPTED] + counts.values[COUNT_REFUSED_ERROR] < (uint64_t)n;
             tries++) {
            assert_true(tries < SCENE_WAIT_MS);
            usleep(1000);
            stream_counts(s.stream, &counts);
        }
    }
    scene_until_closed(phones[n - 1]);
    assert_in_range(phones[n - 1], 100, 600 - LISTEN_FILES_KEPT + 1);
    scene_reload(&s, TCP, "");
    while (n > 0)
        close(phones[--n]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    scene_end(&s);
}

static void silent_and_slow_ones_end(void **context)
{
    struct scene s;
    int silent, slow, busy;

    (void)context;
    scene_begin(&s, TCP, "idle_timeout: 2s, message_timeout: 1s");
    silent = scene_tcp(21, SCENE_SIP);
    slow = scene_tcp(22, SCENE_SIP);
    busy = scene_tcp(23, SCENE_SIP);
    scene_send(slow, "OPTIONS sip:u@example.net SIP/2.0\r\nVia: ");
    for (int i = 0; i < 30; i++) { /* a byte now and then is no message */
        send(slow, "x", 1, MSG_NOSIGNAL);
        scene_send(busy, "\r\n\r\n");
        usleep(100000);
    }
    scene_until(&s, COUNT_CLOSED + CLOSE_MESSAGE_TIMEOUT, 1);
    scene_until(&s, COUNT_CLOSED + CLOSE_IDLE, 1);
    scene_until_closed(slow);
    scene_until_closed(silent);
    assert_int_equal(stream_connections(s.stream), 1);
    close(silent);
    close(slow);
    close(busy);
    scene_end(&s);
}

/* Our end of a connection to that peer, in this process. */
static int other_end(int phone)
{
    struct sockaddr_in mine, theirs;
    socklen_t size = sizeof(mine);

    assert_int_equal(getsockname(phone, (struct sockaddr *)&mine, &size), 0);
    for (int fd = 0; fd < 1024; fd++) {
        size = sizeof(theirs);
        if (fd != phone && getpeername(fd, (struct sockaddr *)&theirs, &size) == 0 &&
            theirs.sin_family == AF_INET && theirs.sin_port == mine.sin_port &&
            theirs.sin_addr.s_addr == mine.sin_addr.s_addr)
            return fd;
    }
    fail_msg("nobody accepted it");
    return -1;
}

/* What is sent to a phone that vanished is not tried for a quarter of an hour. */
static void vanished_ones_end(void **context)
{
    struct scene s;
    unsigned int ms = 0;
    socklen_t size = sizeof(ms);
    int phone;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    scene_until(&s, COUNT_ACCEPTED, 1);
    assert_int_equal(
        getsockopt(other_end(phone), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &size), 0);
    assert_int_equal(ms, 32000);
    close(phone);
    scene_end(&s);
}

/* Bytes without an end to a header section, and a body that is too long. */
static void too_long_is_told(void **context)
{
    struct scene s;
    char *text = malloc(40000);
    int phone;

    (void)context;
    assert_non_null(text);
    scene_begin(&s, TCP, "header_limit: 16KiB, body_limit: 64KiB");
    phone = scene_tcp(21, SCENE_SIP);
    strcpy(text, scene_request("OPTIONS", "sip:u@example.net", "o1", "TCP", ""));
    strcpy(strstr(text, "Content-Length"), "Subject: ");
    memset(text + strlen(text), 'x', 30000);
    text[30000] = '\0';
    scene_send(phone, text);
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 513 ", 12);
    scene_until_closed(phone);
    close(phone);
    phone = scene_tcp(21, SCENE_SIP);
    strcpy(text, scene_request("OPTIONS", "sip:u@example.net", "o2", "TCP", ""));
    strcpy(strstr(text, "Content-Length"), "Content-Length: 65537\r\n\r\n");
    scene_send(phone, text);
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 413 ", 12);
    scene_until_closed(phone);
    close(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_FRAME, 2);
    scene_until(&s, COUNT_RESULT + RELAY_REPLIED, 2);
    free(text);
    scene_end(&s);
}

/* Who is still sending when the answer comes has time to read it: no reset destroys it. */
static void last_answer_is_read(void **context)
{
    struct scene s;
    char *text = malloc(400000);
    int phone;

    (void)context;
    assert_non_null(text);
    scene_begin(&s, TCP, "header_limit: 16KiB");
    phone = scene_tcp(21, SCENE_SIP);
    strcpy(text, scene_request("OPTIONS", "sip:u@example.net", "o1", "TCP", ""));
    strcpy(strstr(text, "Content-Length"), "Subject: ");
    memset(text + strlen(text), 'x', 390000);
    text[390000] = '\0';
    for (int i = 0; i < 3; i++) {
        scene_send(phone, text);
        usleep(100000);
    }
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 513 ", 12);
    shutdown(phone, SHUT_WR);
    scene_until(&s, COUNT_CLOSED + CLOSE_FRAME, 1);
    scene_until_closed(phone);
    close(phone);
    /* Who never ends is not waited for. */
    phone = scene_tcp(21, SCENE_SIP);
    scene_send(phone, text);
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 513 ", 12);
    scene_until(&s, COUNT_CLOSED + CLOSE_FRAME, 2);
    close(phone);
    free(text);
    scene_end(&s);
}

/* Many that begin long messages and do not end them: who holds most goes, others do not notice. */
static void memory_is_bounded(void **context)
{
    struct scene s;
    struct counts counts = {{0}};
    char *text = malloc(300000);
    int slow[16], phone, backend;

    (void)context;
    assert_non_null(text);
    scene_begin(&s, TCP, "memory_limit: 1MiB");
    phone = scene_tcp(21, SCENE_SIP);
    strcpy(text, scene_request("OPTIONS", "sip:u@example.net", "o1", "TCP", ""));
    strcpy(strstr(text, "Content-Length"), "Content-Length: 250000\r\n\r\n");
    memset(text + strlen(text), 'x', 200000 - strlen(text));
    text[200000] = '\0';
    for (int i = 0; i < 16; i++) {
        slow[i] = scene_tcp(22, SCENE_SIP);
        scene_send(slow[i], "\r\n");
        (void)send(slow[i], text, 200000, MSG_NOSIGNAL);
    }
    for (int tries = 0; counts.values[COUNT_CLOSED + CLOSE_MEMORY] < 12; tries++) {
        assert_true(tries < SCENE_WAIT_MS / 10); /* of 256 KiB each there is room for four */
        usleep(10000);
        stream_counts(s.stream, &counts);
    }
    scene_registers(&s, phone, "r1", &backend);
    stream_counts(s.stream, &counts);
    assert_in_range(counts.values[COUNT_CLOSED + CLOSE_MEMORY], 12, 16);
    for (int i = 0; i < 16; i++)
        close(slow[i]);
    close(phone);
    free(text);
    scene_end(&s);
}

/* What no datagram can carry is answered; the stream goes on. */
static void too_long_for_a_datagram(void **context)
{
    enum { BODY = 65500 };
    struct scene s;
    char *text = calloc(1, BODY + 4096);
    int phone;

    (void)context;
    assert_non_null(text);
    scene_begin(&s, TCP, "body_limit: 256KiB");
    phone = scene_tcp(21, SCENE_SIP);
    strcpy(text, scene_request("OPTIONS", "sip:u@example.net", "o1", "TCP", ""));
    snprintf(strstr(text, "Content-Length"), 64, "Content-Length: %d\r\n\r\n", BODY);
    memset(text + strlen(text), 'x', BODY);
    scene_send(phone, text);
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 513 ", 12);
    scene_send(phone, scene_request("OPTIONS", "tandem:u@example.net", "o2", "TCP", ""));
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 416 ", 12);
    scene_until(&s, COUNT_RESULT + RELAY_REPLIED, 2);
    close(phone);
    free(text);
    scene_end(&s);
}

/*
 * Until the one that takes nothing is ended. A kernel whose receive buffer is full drops what lies
 * beyond it with the acknowledgements in it, so its own sending may stop in the midst of a message.
 */
static void await_slow(const struct scene *s)
{
    struct counts counts;

    for (int tries = 0; tries < 1000; tries++) {
        stream_counts(s->stream, &counts);
        if (counts.values[COUNT_CLOSED + CLOSE_SLOW_READER] +
                counts.values[COUNT_CLOSED + CLOSE_MESSAGE_TIMEOUT] ==
            1)
            return;
        usleep(10000);
    }
    fail_msg("it was not ended");
}

/* Who sends requests and takes no answers is read no more, then ended; nothing grows without end.
 */
static void slow_reader_ends(void **context)
{
    struct scene s;
    struct counts counts;
    const struct timeval patience = {.tv_sec = 5};
    const char *text;
    size_t sent = 0;
    int phone, small = 4096;

    (void)context;
    scene_begin(&s, TCP, "message_timeout: 1s, write_limit: 512KiB");
    phone = scene_tcp(21, SCENE_SIP);
    setsockopt(phone, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(phone, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    /* Answered by us with 416, each. */
    text = scene_request("OPTIONS", "tandem:u@example.net", "o1", "TCP", "");
    while (sent < 100u << 20) {
        ssize_t n = send(phone, text, strlen(text), MSG_NOSIGNAL);

        if (n < 0)
            break;
        sent += (size_t)n;
    }
    assert_true(sent < 100u << 20); /* it was made to wait */
    await_slow(&s);
    stream_counts(s.stream, &counts);
    assert_int_equal(counts.values[COUNT_MESSAGES_STREAM],
                     counts.values[COUNT_RESULT + RELAY_REPLIED]);
    close(phone);
    scene_end(&s);
}

static uint64_t replied(const struct scene *s)
{
    struct counts counts;

    stream_counts(s->stream, &counts);
    return counts.values[COUNT_RESULT + RELAY_REPLIED];
}

/* A pause is over when what it waited for is taken; nothing is lost. */
static void pause_ends(void **context)
{
    enum { REQUESTS = 60000 };
    struct scene s;
    const char *text;
    int phone, room = 1 << 17;
    size_t length, got = 0;
    pid_t child;

    (void)context;
    scene_begin(&s, TCP, "write_limit: 512KiB");
    phone = scene_tcp(21, SCENE_SIP);
    setsockopt(phone, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    text = scene_request("OPTIONS", "tandem:u@example.net", "o1", "TCP", "");
    scene_send(phone, text);
    length = strlen(scene_message(&s, phone)); /* of an answer: they are all the same */
    assert_memory_equal(s.text, "SIP/2.0 416 ", 12);
    room = (int)length;
    length = strlen(text);
    child = fork();
    if (child == 0) {
        for (uint32_t i = 0; i < REQUESTS; i++) {
            if (send(phone, text, length, MSG_NOSIGNAL) != (ssize_t)length)
                _exit(1);
        }
        _exit(0);
    }
    usleep(1000000); /* more than the kernel's buffers hold */
    assert_true(replied(&s) < REQUESTS);
    while (got < (size_t)REQUESTS * (size_t)room) {
        ssize_t n = recv(phone, s.text, sizeof(s.text), 0);

        assert_true(n > 0);
        got += (size_t)n;
    }
    scene_until(&s, COUNT_RESULT + RELAY_REPLIED, REQUESTS + 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(phone);
    scene_end(&s);
}

static void remember(void *arg, const struct table_entry *entry)
{
    *(uint64_t *)arg = entry->id;
}

static void killed(void **context)
{
    struct scene s;
    uint64_t id = 0;
    int phone;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    scene_until(&s, COUNT_ACCEPTED, 1);
    stream_each(s.stream, remember, &id);
    assert_false(stream_kill(s.stream, id + 1));
    assert_true(stream_kill(s.stream, id));
    scene_until_closed(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_KILLED, 1);
    assert_false(stream_kill(s.stream, id));
    close(phone);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_and_no_more), cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(full_for_phones_alone),
        cmocka_unit_test(descriptors_are_kept),
        cmocka_unit_test(silent_and_slow_ones_end),
        cmocka_unit_test(vanished_ones_end),
        cmocka_unit_test(too_long_is_told),    cmocka_unit_test(too_long_for_a_datagram),
        cmocka_unit_test(last_answer_is_read), cmocka_unit_test(slow_reader_ends),
        cmocka_unit_test(pause_ends),          cmocka_unit_test(killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
