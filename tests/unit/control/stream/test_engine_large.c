/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are too large for a datagram (RFC 3261 §18.1.1) to backends that are reached by UDP:
 * by TCP where the pool says so and they take it, with all that belongs to an INVITE, else by UDP.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/control/stream/scene.h"

#define TCP "      - {transport: tcp, address: VIP, port: 5060}\n"

enum { SMALL = 100, LARGE = 5000, HUGE = 100000 };

/* A scene whose pool says tcp. */
static void begin(struct scene *s)
{
    scene_begin(s, TCP, "");
    s->pool = ", large_requests: tcp";
    scene_reload(s, TCP, "");
    close(scene_tcp(21, SCENE_SIP));
    scene_until(s, COUNT_CLOSED + CLOSE_PEER, 1);
}

/* A request of one transaction, with a body of that length. Static. */
static const char *sized(const char *method, const char *branch, const char *call_id, int body)
{
    static char text[SCENE_TEXT];
    int n = snprintf(text, sizeof(text),
                     "%s sip:v@example.net SIP/2.0\r\n"
                     "Via: SIP/2.0/TCP phone.invalid;branch=z9hG4bK%s;rport\r\n"
                     "Max-Forwards: 70\r\n"
                     "From: <sip:u@example.net>;tag=f\r\n"
                     "To: <sip:v@example.net>\r\n"
                     "Call-ID: %s\r\n"
                     "CSeq: 1 %s\r\n"
                     "Content-Length: %d\r\n"
                     "\r\n",
                     method, branch, call_id, method, body);

    memset(text + n, 'x', (size_t)body);
    text[n + body] = '\0';
    return text;
}

/* What sent-by, branch and seal of our Via are, which is the topmost. Static, four of them. */
static const char *own_via(const struct scene *s)
{
    return scene_line(s, "Via", 0);
}

static const char *branch_of(const char *via)
{
    static char texts[4][64];
    static unsigned next;
    char *text = texts[next++ % 4];

    via = strstr(via, ";branch=");
    assert_non_null(via);
    snprintf(text, sizeof(texts[0]), "%.*s", (int)strcspn(via + 1, ";"), via + 1);
    return text;
}

static void assert_via(const struct scene *s, const char *transport, uint32_t last, uint16_t port,
                       bool alias)
{
    char front[64];

    snprintf(front, sizeof(front), "Via: SIP/2.0/%s %s:%u;branch=", transport, scene_ip(last), port);
    assert_memory_equal(own_via(s), front, strlen(front));
    assert_int_equal(strstr(own_via(s), ";alias") != NULL, alias);
}

/* Who of two listeners is connected to. */
static int accept_one(const int listeners[2])
{
    struct pollfd wanted[2] = {{.fd = listeners[0], .events = POLLIN},
                               {.fd = listeners[1], .events = POLLIN}};

    assert_int_equal(poll(wanted, 2, SCENE_WAIT_MS), 1);
    return accept(wanted[0].revents ? listeners[0] : listeners[1], NULL, NULL);
}

static void assert_body(const struct scene *s, int length)
{
    const char *body = strstr(s->text, "\r\n\r\n") + 4;

    assert_int_equal(strlen(body), length);
    assert_int_equal(strspn(body, "x"), length);
}

/* The answer finds its way, CANCEL and the ACK to a failure are the INVITE's; what is small, and the
 * dialog's ways, are as without. */
static void by_tcp(void **context)
{
    static const int lengths[] = {LARGE, HUGE};

    (void)context;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct scene s;
        int listeners[2] = {scene_listen(11, SCENE_SIP), scene_listen(12, SCENE_SIP)}, phone, fd;
        char branch[64], own[64];

        begin(&s);
        phone = scene_tcp(21, SCENE_SIP);
        scene_send(phone, sized("INVITE", "i", "c1", lengths[i]));
        fd = accept_one(listeners);
        assert_memory_equal(scene_message(&s, fd), "INVITE ", 7);
        assert_body(&s, lengths[i]);
        assert_via(&s, "TCP", 1, SCENE_SIP, true);
        snprintf(branch, sizeof(branch), "%s", branch_of(own_via(&s)));
        snprintf(own, sizeof(own), "@%s:5070;lr>", scene_ip(2));
        assert_non_null(strstr(scene_line(&s, "Record-Route", 0), own));
        scene_send(fd, scene_response(&s, "180 Ringing"));
        assert_memory_equal(scene_message(&s, phone), "SIP/2.0 180 ", 12);
        assert_non_null(strstr(scene_line(&s, "Via", 0), "phone.invalid"));
        for (int j = 0; j < 2; j++) {
            scene_send(phone, sized(j == 0 ? "CANCEL" : "ACK", "i", "c1", 0));
            assert_memory_equal(scene_message(&s, fd), j == 0 ? "CANCEL " : "ACK ", 4);
            assert_via(&s, "TCP", 1, SCENE_SIP, true);
            assert_string_equal(branch_of(own_via(&s)), branch);
        }
        scene_send(phone, sized("ACK", "other", "c1", 0));
        assert_memory_equal(scene_datagram(&s, scene_reached(&s)), "ACK ", 4);
        assert_via(&s, "UDP", 2, SCENE_OWN, false);
        scene_send(phone, sized("MESSAGE", "m", "c1", SMALL));
        assert_memory_equal(scene_datagram(&s, scene_reached(&s)), "MESSAGE ", 8);
        scene_until(&s, COUNT_CONNECTED, 1);
        scene_until(&s, COUNT_RETRIED, 0);
        close(fd);
        close(phone);
        close(listeners[0]);
        close(listeners[1]);
        scene_end(&s);
    }
}

/* Nobody takes the connection: what a datagram can carry goes by one, and its CANCEL too; a backend
 * that takes one later gets the next by it. */
static void refused(void **context)
{
    struct scene s;
    char branch[64];
    int phone, listeners[2], fd;

    (void)context;
    begin(&s);
    phone = scene_tcp(21, SCENE_SIP);
    scene_send(phone, sized("INVITE", "i", "c1", LARGE));
    assert_memory_equal(scene_datagram(&s, scene_reached(&s)), "INVITE ", 7);
    assert_body(&s, LARGE);
    assert_via(&s, "UDP", 2, SCENE_OWN, false);
    snprintf(branch, sizeof(branch), "%s", branch_of(own_via(&s)));
    scene_send_to(s.a, 2, SCENE_OWN, scene_response(&s, "180 Ringing"));
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 180 ", 12);
    scene_until(&s, COUNT_RETRIED, 1);
    scene_until(&s, COUNT_UNDELIVERED, 1);
    scene_send(phone, sized("CANCEL", "i", "c1", 0));
    assert_memory_equal(scene_datagram(&s, scene_reached(&s)), "CANCEL ", 7);
    assert_via(&s, "UDP", 2, SCENE_OWN, false);
    assert_string_equal(branch_of(own_via(&s)), branch);
    scene_until(&s, COUNT_CONNECTED, 1);
    scene_send(phone, sized("INVITE", "h", "c2", HUGE));
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 503 ", 12);
    listeners[0] = scene_listen(11, SCENE_SIP);
    listeners[1] = scene_listen(12, SCENE_SIP);
    scene_send(phone, sized("INVITE", "k", "c3", LARGE));
    fd = accept_one(listeners);
    assert_memory_equal(scene_message(&s, fd), "INVITE ", 7);
    close(fd);
    close(listeners[0]);
    close(listeners[1]);
    close(phone);
    scene_end(&s);
}

/* By default. */
static void fragmented(void **context)
{
    struct scene s;
    int phone;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    scene_send(phone, sized("INVITE", "i", "c1", LARGE));
    assert_memory_equal(scene_datagram(&s, scene_reached(&s)), "INVITE ", 7);
    assert_body(&s, LARGE);
    assert_via(&s, "UDP", 2, SCENE_OWN, false);
    scene_send(phone, sized("INVITE", "h", "c2", HUGE));
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 513 ", 12);
    scene_until(&s, COUNT_CONNECTED, 0);
    close(phone);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_tcp),
        cmocka_unit_test(refused),
        cmocka_unit_test(fragmented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
