/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams end to end, by TCP: what phones send reaches backends as datagrams from control's own
 * port, answers and requests reach the phone's connection, and nothing else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/address.h"
#include "control/why.h"
#include "tests/unit/control/stream/scene.h"

#define TCP "      - {transport: tcp, address: VIP, port: 5060}\n"
#define TCP2 "      - {transport: tcp, address: VIP, port: 5062}\n"

static void registers_and_is_called(void **context)
{
    struct scene s;
    const char *path;
    int phone, backend;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    path = scene_registers(&s, phone, "r1", &backend);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(path, "INVITE", "c1"));
    scene_message(&s, phone);
    assert_memory_equal(s.text, "INVITE sip:u@phone.invalid", 26);
    assert_non_null(strstr(scene_line(&s, "Via", 0), "SIP/2.0/TCP "));
    assert_non_null(strcasestr(scene_line(&s, "Record-Route", 0), "transport=tcp"));
    assert_non_null(strstr(scene_line(&s, "Record-Route", 1), scene_ip(2)));
    scene_send(phone, scene_response(&s, "180 Ringing"));
    scene_datagram(&s, backend);
    assert_memory_equal(s.text, "SIP/2.0 180 Ringing\r\n", 21);
    assert_int_equal(stream_connections(s.stream), 1);
    scene_until(&s, COUNT_MESSAGES_STREAM, 2);
    scene_until(&s, COUNT_MESSAGES_DATAGRAM, 2);
    scene_until(&s, COUNT_RESULT + RELAY_FORWARDED, 4);
    close(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_PEER, 1);
    assert_int_equal(stream_connections(s.stream), 0);
    scene_end(&s);
}

static void gone_is_430(void **context)
{
    struct scene s;
    const char *path;
    int phone, backend;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    path = scene_registers(&s, phone, "r1", &backend);
    close(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_PEER, 1);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(path, "INVITE", "c1"));
    scene_datagram(&s, backend);
    assert_memory_equal(s.text, "SIP/2.0 430 ", 12);
    scene_until(&s, COUNT_RESULT + RELAY_REPLIED, 1);
    scene_end(&s);
}

/* Messages arrive split at any byte, glued, with keep-alives between them. */
static void any_split_will_do(void **context)
{
    struct scene s;
    char text[8192], pong[2];
    size_t length;
    int phone;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    length = (size_t)snprintf(text, sizeof(text), "\r\n\r\n%s\r\n",
                              scene_request("OPTIONS", "sip:u@example.net", "o1", "TCP", ""));
    length += (size_t)snprintf(text + length, sizeof(text) - length, "%s",
                               scene_request("OPTIONS", "sip:u@example.net", "o2", "TCP", ""));
    for (size_t i = 0; i < length; i++)
        assert_int_equal(send(phone, text + i, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(recv(phone, pong, 2, MSG_WAITALL), 2);
    assert_memory_equal(pong, "\r\n", 2);
    scene_until(&s, COUNT_RESULT + RELAY_FORWARDED, 2);
    for (int i = 0; i < 2; i++)
        assert_memory_equal(scene_datagram(&s, scene_reached(&s)), "OPTIONS sip:u@example.net", 25);
    scene_send(phone, text); /* and all at once */
    scene_until(&s, COUNT_RESULT + RELAY_FORWARDED, 4);
    scene_until(&s, COUNT_PINGS, 2);
    close(phone);
    scene_end(&s);
}

static void what_is_no_message_ends_it(void **context)
{
    struct scene s;
    int phone;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    scene_send(phone, "GET / HTTP/1.1\r\n\r\n");
    scene_until_closed(phone);
    close(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_FRAME, 1);
    phone = scene_tcp(21, SCENE_SIP);
    scene_send(phone,
               "OPTIONS sip:u@example.net SIP/2.0\r\nVia: SIP/2.0/TCP p;branch=z9hG4bKx\r\n"
               "From: <sip:u@e>;tag=1\r\nTo: <sip:u@e>\r\nCall-ID: n\r\nCSeq: 1 OPTIONS\r\n\r\n");
    assert_memory_equal(scene_message(&s, phone), "SIP/2.0 400 ", 12);
    scene_until_closed(phone);
    close(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_FRAME, 2);
    scene_end(&s);
}

/* Listeners come and go; connections of those that stay do not notice. */
static void reload_closes_only_what_left(void **context)
{
    struct scene s;
    const char *path;
    char kept[2048];
    int stays, goes, backend;

    (void)context;
    scene_begin(&s, TCP, "");
    stays = scene_tcp(21, SCENE_SIP);
    path = scene_registers(&s, stays, "r1", &backend);
    snprintf(kept, sizeof(kept), "%s", path);
    scene_reload(&s, TCP TCP2, "");
    goes = scene_tcp(22, 5062);
    scene_registers(&s, goes, "r2", &backend);
    scene_reload(&s, TCP, "");
    scene_until_closed(goes);
    scene_until(&s, COUNT_CLOSED + CLOSE_LISTENER, 1);
    scene_send_to(s.a, 2, SCENE_OWN, scene_along(kept, "MESSAGE", "m1"));
    assert_memory_equal(scene_message(&s, stays), "MESSAGE ", 8);
    close(stays);
    close(goes);
    scene_end(&s);
}

/* A request to an address by TCP: we connect, once. */
static void connects_once(void **context)
{
    struct scene s;
    struct sip_addr addr = scene_addr(31, 5090);
    union address address;
    socklen_t size = address_to_kernel(&addr, &address);
    const struct timeval patience = {.tv_sec = 5};
    char uri[64];
    int listener = socket(AF_INET, SOCK_STREAM, 0), peer;

    (void)context;
    assert_int_equal(bind(listener, &address.any, size), 0);
    assert_int_equal(listen(listener, 4), 0);
    scene_begin(&s, TCP, "");
    close(scene_tcp(21, SCENE_SIP)); /* they listen */
    snprintf(uri, sizeof(uri), "sip:u@%s:5090;transport=tcp", scene_ip(31));
    scene_send_to(s.a, 2, SCENE_OWN, scene_request("MESSAGE", uri, "m1", "UDP", ""));
    peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_memory_equal(scene_message(&s, peer), "MESSAGE sip:u@127.", 18);
    scene_send(peer, scene_response(&s, "200 OK"));
    assert_memory_equal(scene_datagram(&s, s.a), "SIP/2.0 200 OK\r\n", 16);
    scene_send_to(s.a, 2, SCENE_OWN, scene_request("MESSAGE", uri, "m2", "UDP", ""));
    assert_memory_equal(scene_message(&s, peer), "MESSAGE sip:u@127.", 18);
    scene_until(&s, COUNT_CONNECTED, 1);
    close(peer);
    close(listener);
    scene_end(&s);
}

/* What the data plane hands over goes to the phone's connection, from main. */
static void takes_what_the_data_plane_has(void **context)
{
    struct scene s;
    struct relay_message message = {.inside = true};
    struct proxy_name name;
    const char *path;
    int phone, backend;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    path = scene_registers(&s, phone, "r1", &backend);
    message.from.transport = SIP_TRANSPORT_UDP;
    message.from.local = scene_addr(1, SCENE_SIP);
    message.from.peer = scene_addr(11, 5060);
    message.text = scene_along(path, "MESSAGE", "m1");
    message.length = (uint32_t)strlen(message.text);
    assert_int_equal(stream_decide(s.stream, &message, &name), RELAY_FORWARDED);
    assert_memory_equal(scene_message(&s, phone), "MESSAGE ", 8);
    scene_send(phone, scene_response(&s, "200 OK")); /* leaves by the port that it came to */
    assert_memory_equal(scene_datagram(&s, s.a), "SIP/2.0 200 OK\r\n", 16);
    message.from.peer = scene_addr(77, 5060);
    message.inside = false; /* its address is a backend's, its frame was not */
    message.from.peer = scene_addr(11, 5060);
    assert_int_equal(stream_decide(s.stream, &message, &name), RELAY_FORWARDED);
    assert_memory_equal(scene_datagram(&s, scene_reached(&s)), "MESSAGE ", 8);
    close(phone);
    scene_end(&s);
}

static void register_flow(struct scene *s, int phone, const char *call_id, int *ret_backend,
                          char ret_path[2048], const char *status)
{
    scene_send(phone, scene_request("REGISTER", "sip:example.net", call_id, "TCP",
                                    "Supported: path, outbound\r\n"
                                    "Contact: <sip:u@phone.invalid;transport=tcp>;reg-id=1;"
                                    "+sip.instance=\"<urn:uuid:0C67446E-F1A1-11D9-94D3>\"\r\n"));
    *ret_backend = scene_reached(s);
    scene_datagram(s, *ret_backend);
    snprintf(ret_path, 2048, "%s", scene_uri(scene_line(s, "Path", 0)));
    scene_send_to(*ret_backend, 2, SCENE_OWN, scene_response(s, status));
    assert_memory_equal(scene_message(s, phone), "SIP/2.0 ", 8);
}

/* Calls along the Path of a connection that a phone had before find the one that it has now, once
 * its REGISTER was granted; whoever else claims to be it, and is not believed, gets nothing. */
static void registers_again_and_is_found(void **context)
{
    struct scene s;
    char old[2048], new[2048];
    int phone, other, backend;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    register_flow(&s, phone, "r1", &backend, old, "200 OK");
    close(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_PEER, 1);
    other = scene_tcp(22, SCENE_SIP);
    register_flow(&s, other, "r2", &backend, new, "403 Forbidden");
    scene_send_to(backend, 2, SCENE_OWN, scene_along(old, "MESSAGE", "m1"));
    assert_memory_equal(scene_datagram(&s, backend), "SIP/2.0 430 ", 12);
    phone = scene_tcp(23, SCENE_SIP);
    register_flow(&s, phone, "r3", &backend, new, "200 OK");
    assert_string_not_equal(old, new);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(old, "MESSAGE", "m2"));
    assert_memory_equal(scene_message(&s, phone), "MESSAGE ", 8);
    close(phone);
    close(other);
    scene_end(&s);
}

/* Nobody told of the end of the former connection: what is new goes to the phone by its present
 * one, an answer to what came by the former one goes there. */
static void moves_while_it_is_connected(void **context)
{
    struct scene s;
    char old[2048], new[2048];
    int phone, moved, backend;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    register_flow(&s, phone, "r1", &backend, old, "200 OK");
    moved = scene_tcp(22, SCENE_SIP);
    register_flow(&s, moved, "r2", &backend, new, "403 Forbidden");
    scene_send_to(backend, 2, SCENE_OWN, scene_along(old, "MESSAGE", "m1"));
    assert_memory_equal(scene_message(&s, phone), "MESSAGE ", 8);
    register_flow(&s, moved, "r3", &backend, new, "200 OK");
    scene_send_to(backend, 2, SCENE_OWN, scene_along(old, "MESSAGE", "m2"));
    assert_memory_equal(scene_message(&s, moved), "MESSAGE ", 8);
    register_flow(&s, phone, "r4", &backend, old, "401 Unauthorized");
    register_flow(&s, phone, "r5", &backend, old, "200 OK");
    scene_send_to(backend, 2, SCENE_OWN, scene_along(new, "MESSAGE", "m3"));
    assert_memory_equal(scene_message(&s, phone), "MESSAGE ", 8);
    close(phone);
    close(moved);
    scene_end(&s);
}

/* A connection of several phones stays theirs when one of them moves. */
static void others_stay(void **context)
{
    struct scene s;
    char old[2048], new[2048];
    const char *path;
    int phones, moved, backend, other;

    (void)context;
    scene_begin(&s, TCP, "");
    phones = scene_tcp(21, SCENE_SIP);
    path = scene_registers(&s, phones, "r0", &other);
    register_flow(&s, phones, "r1", &backend, old, "200 OK");
    moved = scene_tcp(22, SCENE_SIP);
    register_flow(&s, moved, "r2", &backend, new, "200 OK");
    scene_send_to(other, 2, SCENE_OWN, scene_along(path, "MESSAGE", "m1"));
    assert_memory_equal(scene_message(&s, phones), "MESSAGE ", 8);
    close(phones);
    close(moved);
    scene_end(&s);
}

/* A REGISTER of a phone, told by the letter of its user, that shows its instance and `cseq`. */
static void send_register(int phone, char user, char cseq, const char *call_id)
{
    char more[256], text[4096];

    snprintf(more, sizeof(more),
             "Supported: path, outbound\r\n"
             "Contact: <sip:%c@phone.invalid;transport=tcp>;reg-id=1;"
             "+sip.instance=\"<urn:uuid:0C67446E-F1A1-11D9-94D%c>\"\r\n",
             user, user);
    snprintf(text, sizeof(text), "%s",
             scene_request("REGISTER", "sip:example.net", call_id, "TCP", more));
    strstr(text, "To: <sip:")[strlen("To: <sip:")] = user;
    strstr(text, "CSeq: ")[strlen("CSeq: ")] = cseq;
    strstr(text, ";branch=z9hG4bK")[strlen(";branch=z9hG4bK")] = cseq;
    scene_send(phone, text);
}

/* A backend's answer to the REGISTER that comes next; its Path. */
static void answer_register(struct scene *s, int phone, char ret_path[2048], const char *status)
{
    int backend = scene_reached(s);

    scene_datagram(s, backend);
    snprintf(ret_path, 2048, "%s", scene_uri(scene_line(s, "Path", 0)));
    scene_send_to(backend, 2, SCENE_OWN, scene_response(s, status));
    assert_memory_equal(scene_message(s, phone), "SIP/2.0 ", 8);
}

/* Several phones behind one connection ask side by side: each is found there. */
static void side_by_side_they_are_found(void **context)
{
    struct scene s;
    char old[2][2048], new[2048];
    int phones[2], both;

    (void)context;
    scene_begin(&s, TCP, "");
    for (int i = 0; i < 2; i++) {
        phones[i] = scene_tcp(21, SCENE_SIP);
        send_register(phones[i], (char)('a' + i), '1', i == 0 ? "a1" : "b1");
        answer_register(&s, phones[i], old[i], "200 OK");
    }
    both = scene_tcp(22, SCENE_SIP);
    send_register(both, 'a', '1', "a2");
    send_register(both, 'b', '1', "b2");
    scene_until(&s, COUNT_MESSAGES_STREAM, 4);
    answer_register(&s, both, new, "200 OK");
    answer_register(&s, both, new, "200 OK");
    for (int i = 0; i < 2; i++) {
        scene_send_to(s.a, 2, SCENE_OWN, scene_along(old[i], "MESSAGE", i == 0 ? "m1" : "m2"));
        assert_memory_equal(scene_message(&s, both), "MESSAGE ", 8);
        close(phones[i]);
    }
    close(both);
    scene_end(&s);
}

/* Who asks for himself, and beside it as another phone, gets nothing of that one's when he alone is
 * granted: not by the same Call-ID, nor by the same CSeq in it. */
static void granted_is_what_was_asked(void **context)
{
    struct scene s;
    char path[2048], own[2048];
    int victim, thief;

    (void)context;
    scene_begin(&s, TCP, "");
    victim = scene_tcp(21, SCENE_SIP);
    send_register(victim, 'v', '1', "v1");
    answer_register(&s, victim, path, "200 OK");
    thief = scene_tcp(22, SCENE_SIP);
    for (int i = 0; i < 2; i++) {
        const char *call_id = i == 0 ? "t1" : "t2";

        send_register(thief, 't', '1', call_id);
        send_register(thief, 'v', i == 0 ? '2' : '1', call_id);
        scene_until(&s, COUNT_MESSAGES_STREAM, 3 + 2 * (uint64_t)i);
        answer_register(&s, thief, own, "200 OK");
        answer_register(&s, thief, own, "403 Forbidden");
        scene_send_to(s.a, 2, SCENE_OWN, scene_along(path, "MESSAGE", i == 0 ? "m1" : "m2"));
        assert_memory_equal(scene_message(&s, victim), "MESSAGE ", 8);
    }
    close(victim);
    close(thief);
    scene_end(&s);
}

static void remember(void *arg, const struct table_entry *entry)
{
    *(uint64_t *)arg = entry->id;
}

/* Who ends a connection by its number, ends that one or none. */
static void former_is_not_killed(void **context)
{
    struct scene s;
    char path[2048];
    uint64_t id = 0;
    int phone, backend;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    register_flow(&s, phone, "r1", &backend, path, "200 OK");
    stream_each(s.stream, remember, &id);
    close(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_PEER, 1);
    phone = scene_tcp(22, SCENE_SIP);
    register_flow(&s, phone, "r2", &backend, path, "200 OK");
    assert_false(stream_kill(s.stream, id));
    stream_each(s.stream, remember, &id);
    assert_true(stream_kill(s.stream, id));
    scene_until_closed(phone);
    close(phone);
    scene_end(&s);
}

/* Another control after this one knows a phone's former connection, too. */
static void found_after_a_restart(void **context)
{
    struct scene s;
    char old[2048], new[2048];
    int phone, backend;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    register_flow(&s, phone, "r1", &backend, old, "200 OK");
    close(phone);
    stream_free(s.stream);
    s.stream = stream_new(s.fake.loop, s.reload, NULL);
    assert_non_null(s.stream);
    phone = scene_tcp(21, SCENE_SIP);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(old, "MESSAGE", "m1"));
    assert_memory_equal(scene_datagram(&s, backend), "SIP/2.0 430 ", 12);
    register_flow(&s, phone, "r2", &backend, new, "200 OK");
    scene_send_to(backend, 2, SCENE_OWN, scene_along(old, "MESSAGE", "m2"));
    assert_memory_equal(scene_message(&s, phone), "MESSAGE ", 8);
    close(phone);
    scene_end(&s);
}

/* What is told of the backend in slot 3, and what passive health sees of it. */
static void assert_slot(const struct scene *s, enum counters_slot what, uint64_t wanted)
{
    struct counters_header *counters = reload_counters(s->reload);
    uint64_t values[COUNTERS_SLOT_COUNT];

    assert_non_null(counters);
    assert_int_equal(counters_slot_sum(counters, 3, what), wanted);
    assert_true(reload_slot(s->reload, 3, counters_slot_ids(counters)[3], values));
    assert_int_equal(values[what], wanted);
    free(counters);
}

/* What control decided is told with what the data plane counted, of the backend in its slot 3. */
static void counts_with_the_data_plane(void **context)
{
    struct scene s;
    const char pool[] = "p";
    int phone, backend, want;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    scene_registers(&s, phone, "r1", &backend);
    want = backend == s.a;
    counters_slot_ids(s.fake.counters)[3] =
        snapshot_backend_id(sip_slice(pool, 1), sip_slice(want ? "a" : "b", 1));
    counters_slot_block(s.fake.counters, 0, COUNTERS_SLOT_STARTED)[3] = 5;
    counters_slot_block(s.fake.counters, 0, COUNTERS_SLOT_REQUESTS)[3] = 10;
    scene_send(phone, scene_request("INVITE", "sip:v@example.net", "r1", "TCP", ""));
    scene_datagram(&s, scene_reached(&s));
    scene_send_to(backend, 2, SCENE_OWN, scene_response(&s, "100 Trying"));
    scene_message(&s, phone);
    scene_until(&s, COUNT_RESULT + RELAY_FORWARDED, 4);
    assert_slot(&s, COUNTERS_SLOT_STARTED, 6);
    assert_slot(&s, COUNTERS_SLOT_ENDED, 0);
    assert_slot(&s, COUNTERS_SLOT_REQUESTS, 12); /* REGISTER, INVITE */
    assert_slot(&s, COUNTERS_SLOT_NEW, 1);       /* the INVITE went where its Call-ID had gone */
    assert_slot(&s, COUNTERS_SLOT_RESPONSES, 2);
    assert_slot(&s, COUNTERS_SLOT_FINALS, 1);
    assert_slot(&s, COUNTERS_SLOT_BUSY, 0);
    close(phone);
    scene_end(&s);
}

/* Control's own table is asked, too, and it is told who has the call. */
static void why_asks_both_planes(void **context)
{
    struct scene s;
    char reason[PLAN_TEXT_MAX];
    json_t *list, *why;
    int phone, backend;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    scene_registers(&s, phone, "r1", &backend);
    scene_send(phone, scene_request("INVITE", "sip:v@example.net", "why1", "TCP", ""));
    backend = scene_reached(&s);
    scene_datagram(&s, backend);
    scene_send_to(backend, 2, SCENE_OWN, scene_response(&s, "200 OK"));
    scene_message(&s, phone);
    list = why_answer(s.reload, s.stream, "why1", NULL, reason);
    why = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(why, "plane")), "control");
    assert_string_equal(json_string_value(json_object_get(why, "backend")),
                        backend == s.a ? "a" : "b");
    assert_string_equal(json_string_value(json_object_get(why, "rule")),
                        proxy_rule_name(PROXY_RULE_CALL));
    assert_true(json_is_null(json_object_get(why, "call")));
    why = json_object_get(why, "control_call");
    assert_string_equal(json_string_value(json_object_get(why, "state")),
                        lb_call_state_name(LB_CALL_LIVE));
    assert_in_range(json_integer_value(json_object_get(why, "last_seen_s")), 0, 5);
    json_decref(list);
    list = why_answer(s.reload, s.stream, "nobody's", NULL, reason);
    assert_true(json_is_null(json_object_get(json_array_get(list, 0), "plane")));
    json_decref(list);
    close(phone);
    scene_end(&s);
}

/* 503 tells that a backend is busy, other 5xx that something is wrong with it, whoever asked. */
static void counts_what_a_backend_answers(void **context)
{
    static const char *const finals[] = {"503 Service Unavailable", "500 Broken", "404 Nobody"};
    struct scene s;
    const char pool[] = "p";
    int phone;

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    for (size_t i = 0; i < sizeof(finals) / sizeof(finals[0]); i++) {
        int backend;

        scene_send(phone, scene_request("REGISTER", "sip:example.net", "busy1", "TCP", ""));
        backend = scene_reached(&s);
        counters_slot_ids(s.fake.counters)[3] =
            snapshot_backend_id(sip_slice(pool, 1), sip_slice(backend == s.a ? "a" : "b", 1));
        scene_datagram(&s, backend);
        scene_send_to(backend, 2, SCENE_OWN, scene_response(&s, finals[i]));
        scene_message(&s, phone);
    }
    scene_until(&s, COUNT_RESULT + RELAY_FORWARDED, 6);
    assert_slot(&s, COUNTERS_SLOT_REQUESTS, 3);
    assert_slot(&s, COUNTERS_SLOT_RESPONSES, 3);
    assert_slot(&s, COUNTERS_SLOT_FINALS, 3);
    assert_slot(&s, COUNTERS_SLOT_BUSY, 1);
    assert_slot(&s, COUNTERS_SLOT_ERRORS, 1);
    close(phone);
    scene_end(&s);
}

/* Control's own port is for backends. */
static void strangers_are_not_heard(void **context)
{
    struct scene s;
    int stranger = scene_udp(77, 5060);

    (void)context;
    scene_begin(&s, TCP, "");
    close(scene_tcp(21, SCENE_SIP));
    scene_send_to(stranger, 2, SCENE_OWN,
                  scene_request("OPTIONS", "sip:u@example.net", "o1", "UDP", ""));
    scene_until(&s, COUNT_RESULT + RELAY_DROPPED_SENDER, 1);
    close(stranger);
    scene_end(&s);
}

/* With several threads a backend's datagram comes to any of them. */
static void threads_reach_each_other(void **context)
{
    enum { PHONES = 32 };
    struct scene s;
    int phones[PHONES], backend, ports[8];
    char paths[PHONES][2048], call_id[32];

    (void)context;
    scene_begin(&s, TCP, "threads: 4");
    for (uint32_t i = 0; i < PHONES; i++) {
        phones[i] = scene_tcp(100 + i, SCENE_SIP);
        snprintf(call_id, sizeof(call_id), "r%u", i);
        snprintf(paths[i], sizeof(paths[i]), "%s",
                 scene_registers(&s, phones[i], call_id, &backend));
    }
    for (uint32_t i = 0; i < 8; i++)
        ports[i] = scene_udp(11, (uint16_t)(6000 + i)); /* the kernel tells threads by port */
    for (uint32_t i = 0; i < PHONES * 8; i++) {
        snprintf(call_id, sizeof(call_id), "m%u", i);
        scene_send_to(ports[i % 8], 2, SCENE_OWN, scene_along(paths[i / 8], "MESSAGE", call_id));
        assert_memory_equal(scene_message(&s, phones[i / 8]), "MESSAGE ", 8);
        scene_send(phones[i / 8], scene_response(&s, "200 OK"));
        assert_memory_equal(scene_datagram(&s, ports[i % 8]), "SIP/2.0 200 OK\r\n", 16);
    }
    for (uint32_t i = 0; i < PHONES; i++)
        close(phones[i]);
    for (uint32_t i = 0; i < 8; i++)
        close(ports[i]);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_and_is_called),
        cmocka_unit_test(gone_is_430),
        cmocka_unit_test(any_split_will_do),
        cmocka_unit_test(what_is_no_message_ends_it),
        cmocka_unit_test(reload_closes_only_what_left),
        cmocka_unit_test(connects_once),
        cmocka_unit_test(takes_what_the_data_plane_has),
        cmocka_unit_test(registers_again_and_is_found),
        cmocka_unit_test(moves_while_it_is_connected),
        cmocka_unit_test(others_stay),
        cmocka_unit_test(side_by_side_they_are_found),
        cmocka_unit_test(granted_is_what_was_asked),
        cmocka_unit_test(former_is_not_killed),
        cmocka_unit_test(found_after_a_restart),
        cmocka_unit_test(counts_with_the_data_plane),
        cmocka_unit_test(counts_what_a_backend_answers),
        cmocka_unit_test(why_asks_both_planes),
        cmocka_unit_test(strangers_are_not_heard),
        cmocka_unit_test(threads_reach_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
