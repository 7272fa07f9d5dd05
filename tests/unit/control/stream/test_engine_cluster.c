/* SPDX-License-Identifier: Apache-2.0 */
/* Control in a cluster, with real sockets: what it relays to another node, and what one relays to
 * it. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/address.h"
#include "dataplane/proxy/cluster.h"
#include "tests/unit/control/stream/scene.h"

#define TCP "      - {transport: tcp, address: VIP, port: 5060}\n"

/* This is the node of that name from now on, and `other` is at .41. */
static void becomes(struct scene *s, const char *name, const char *other)
{
    char node[128];

    snprintf(node, sizeof(node), "node: %s\ncluster: {nodes: [{name: %s, address: %s}]}\n", name,
             other, scene_ip(41));
    s->node = node;
    scene_reload(s, TCP, "");
    s->node = NULL;
}

/*
 * A phone's connection is n's. When this is m, a request for it goes to n, whose answer comes back;
 * when it is n again, the same request from m reaches the phone, whose answer goes back to m.
 */
static void another_node_is_asked(void **context)
{
    struct scene s;
    int phone, backend, node, stranger;
    const char *path;
    static char text[SCENE_TEXT];
    char route[2100];

    (void)context;
    scene_begin(&s, TCP, "");
    phone = scene_tcp(21, SCENE_SIP);
    path = scene_registers(&s, phone, "r1", &backend);
    node = scene_udp(41, SCENE_OWN);
    stranger = scene_udp(42, SCENE_OWN);
    becomes(&s, "m", "n");
    scene_send_to(backend, 2, SCENE_OWN, scene_along(path, "INVITE", "c1"));
    scene_datagram(&s, node);
    snprintf(route, sizeof(route), "Route: <%s>", path);
    assert_string_equal(scene_line(&s, "Route", 0), route);
    assert_null(strstr(s.text, "Record-Route"));
    assert_string_equal(scene_line(&s, "Max-Forwards", 0), "Max-Forwards: 69");
    memcpy(text, s.text, sizeof(text));
    scene_send_to(node, 2, SCENE_OWN, scene_response(&s, "180 Ringing"));
    scene_datagram(&s, backend);
    assert_memory_equal(s.text, "SIP/2.0 180 ", 12);
    becomes(&s, "n", "m");
    scene_send_to(stranger, 2, SCENE_OWN, text);
    scene_until(&s, COUNT_RESULT + RELAY_DROPPED_SENDER, 1);
    scene_send_to(node, 2, SCENE_OWN, text);
    scene_message(&s, phone);
    assert_memory_equal(s.text, "INVITE sip:u@phone.invalid", 26);
    assert_non_null(strstr(scene_line(&s, "Record-Route", 1), scene_ip(2)));
    scene_send(phone, scene_response(&s, "200 OK"));
    scene_datagram(&s, node);
    assert_memory_equal(s.text, "SIP/2.0 200 ", 12);
    close(phone);
    close(node);
    close(stranger);
    scene_end(&s);
}

/* Who connects to what a backend asks for at .last:5060. */
static void assert_connects(struct scene *s, uint32_t last, uint32_t from)
{
    const struct sip_addr expected = scene_addr(from, 0);
    int listener = scene_listen(last, SCENE_SIP), fd;
    union address address;
    socklen_t size = sizeof(address);
    struct sip_addr peer;
    char uri[64];

    snprintf(uri, sizeof(uri), "sip:u@%s:5060;transport=tcp", scene_ip(last));
    scene_send_to(s->b, 2, SCENE_OWN, scene_request("MESSAGE", uri, uri, "UDP", ""));
    fd = accept(listener, &address.any, &size);
    assert_true(fd >= 0);
    peer = address_from_kernel(&address);
    assert_true(sip_ip_equal(&peer.ip, &expected.ip));
    close(fd);
    close(listener);
}

/* The virtual address may lead a backend to another node: it is this one's that connects to it. */
static void backends_see_the_node(void **context)
{
    struct scene s;

    (void)context;
    scene_begin(&s, TCP, "");
    assert_connects(&s, 12, 1);
    becomes(&s, "n", "m");
    assert_connects(&s, 11, 2);
    assert_connects(&s, 31, 1);
    scene_end(&s);
}

/* ---- What nodes tell each other ---- */

enum { PATH_ROOM = 2100 };

#define OUTBOUND ";reg-id=1;+sip.instance=\"<urn:uuid:1>\""

/* The next datagram of a node's, which must be another's word. */
static struct proxy_cluster_word heard(struct scene *s, int node)
{
    ssize_t got = recv(node, s->text, sizeof(s->text) - 1, 0);
    struct proxy_cluster_word word;

    assert_true(got > 0);
    s->text[got] = '\0';
    assert_int_equal(proxy_cluster_parse(reload_snapshot(s->reload), s->text, (uint32_t)got, &word),
                     0);
    return word;
}

/* The first that is of this kind: the others are from when it began. */
static struct proxy_cluster_word heard_of(struct scene *s, int node, enum proxy_cluster_kind kind)
{
    struct proxy_cluster_word word;

    do
        word = heard(s, node);
    while (word.kind != kind);
    return word;
}

/* Node m says something; `wrong`: bits of the signature that are not right. */
static void say(struct scene *s, int node, enum proxy_cluster_kind kind, uint64_t about,
                struct sip_slice text, char wrong)
{
    const struct proxy_cluster_word word = {kind, snapshot_node_id(sip_slice_of("m")), about, text};
    static char bytes[PROXY_CLUSTER_HEAD + SCENE_TEXT];

    proxy_cluster_print(reload_snapshot(s->reload), &word, bytes);
    bytes[PROXY_CLUSTER_HEAD - 1] = (char)(bytes[PROXY_CLUSTER_HEAD - 1] ^ wrong);
    memcpy(bytes + PROXY_CLUSTER_HEAD, text.at, text.length);
    scene_send_bytes_to(node, 2, SCENE_OWN, bytes, PROXY_CLUSTER_HEAD + text.length);
}

static uint64_t count_of(struct scene *s, uint32_t which)
{
    struct counts counts;

    stream_counts(s->stream, &counts);
    return counts.values[which];
}

/*
 * This is node n from now on, an outbound phone registers here, and node m is told. Returns the
 * phone's connection; its Path, its number as words have it, and the backend that took it.
 */
static int ann_comes(struct scene *s, int node, char ret_path[PATH_ROOM],
                     char ret_number[PROXY_CLUSTER_PHONE], int *ret_backend)
{
    struct proxy_cluster_word word;
    int phone;

    becomes(s, "n", "m");
    phone = scene_tcp(21, SCENE_SIP);
    snprintf(ret_path, PATH_ROOM, "%s", scene_registers_as(s, phone, "r1", OUTBOUND, ret_backend));
    word = heard_of(s, node, PROXY_CLUSTER_CAME);
    assert_int_equal(word.node, snapshot_node_id(sip_slice_of("n")));
    assert_int_equal(word.text.length, PROXY_CLUSTER_PHONE);
    memcpy(ret_number, word.text.at, PROXY_CLUSTER_PHONE);
    return phone;
}

/*
 * An outbound phone registers here, which node m is told. It goes there: what is for it goes to m,
 * be it that the connection here is gone or that nobody told of its end. It comes back, and gets
 * what m has for it; what m has for nobody that is here is answered 430.
 */
static void phones_go_and_come(void **context)
{
    static char path[PATH_ROOM], text[SCENE_TEXT];
    struct proxy_cluster_word word;
    char number[PROXY_CLUSTER_PHONE];
    struct scene s;
    int phone, backend, node;
    uint64_t ann;

    (void)context;
    scene_begin(&s, TCP, "");
    node = scene_udp(41, SCENE_OWN);
    phone = ann_comes(&s, node, path, number, &backend);
    ann = proxy_cluster_phone(sip_slice(number, sizeof(number)), 0);

    say(&s, node, PROXY_CLUSTER_CAME, 0, sip_slice(number, sizeof(number)), 0);
    scene_until(&s, COUNT_RESULT + RELAY_HEARD, 1);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(path, "INVITE", "c1"));
    word = heard_of(&s, node, PROXY_CLUSTER_SEND);
    assert_int_equal(word.about, ann);
    snprintf(text, sizeof(text), "%.*s", (int)word.text.length, word.text.at);
    assert_memory_equal(text, "INVITE sip:u@phone.invalid", 26);
    close(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_PEER, 1);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(path, "INVITE", "c2"));
    word = heard_of(&s, node, PROXY_CLUSTER_SEND);
    assert_int_equal(word.about, ann);
    assert_non_null(strstr(word.text.at, "Call-ID: c2\r\n"));

    /* It is not here: as if it had said so itself. */
    say(&s, node, PROXY_CLUSTER_SEND, ann, sip_slice_of(text), 0);
    scene_datagram(&s, backend);
    assert_memory_equal(s.text, "SIP/2.0 430 ", 12);
    assert_string_equal(scene_line(&s, "Call-ID", 0), "Call-ID: c1");

    phone = scene_tcp(21, SCENE_SIP);
    scene_registers_as(&s, phone, "r2", OUTBOUND, &backend);
    word = heard_of(&s, node, PROXY_CLUSTER_CAME);
    assert_int_equal(proxy_cluster_phone(word.text, 0), ann);
    say(&s, node, PROXY_CLUSTER_SEND, ann, sip_slice_of(text), 0);
    assert_string_equal(scene_message(&s, phone), text);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(path, "INVITE", "c3"));
    scene_message(&s, phone);
    assert_string_equal(scene_line(&s, "Call-ID", 0), "Call-ID: c3");
    close(phone);
    close(node);
    scene_end(&s);
}

/* Who asks hears who is here; what a node that was away missed changes nothing for who is. */
static void a_node_asks(void **context)
{
    char number[PROXY_CLUSTER_PHONE];
    struct proxy_cluster_word word;
    static char path[PATH_ROOM];
    struct scene s;
    int phone, backend, node;
    uint64_t ann;

    (void)context;
    scene_begin(&s, TCP, "");
    node = scene_udp(41, SCENE_OWN);
    phone = ann_comes(&s, node, path, number, &backend);
    ann = proxy_cluster_phone(sip_slice(number, sizeof(number)), 0);
    for (uint64_t part = 0; part <= PHONES_PARTS; part++)
        say(&s, node, PROXY_CLUSTER_ASK, part, sip_slice("", 0), 0);
    word = heard_of(&s, node, PROXY_CLUSTER_HERE);
    assert_int_equal(word.text.length, PROXY_CLUSTER_PHONE);
    assert_int_equal(proxy_cluster_phone(word.text, 0), ann);
    scene_until(&s, COUNT_RESULT + RELAY_HEARD, PHONES_PARTS + 1);
    say(&s, node, PROXY_CLUSTER_HERE, 0, sip_slice(number, sizeof(number)), 0);
    scene_until(&s, COUNT_RESULT + RELAY_HEARD, PHONES_PARTS + 2);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(path, "INVITE", "c1"));
    scene_message(&s, phone);
    assert_string_equal(scene_line(&s, "Call-ID", 0), "Call-ID: c1");
    close(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_PEER, 1);
    say(&s, node, PROXY_CLUSTER_HERE, 0, sip_slice(number, sizeof(number)), 0);
    scene_until(&s, COUNT_RESULT + RELAY_HEARD, PHONES_PARTS + 3);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(path, "INVITE", "c2"));
    assert_int_equal(heard_of(&s, node, PROXY_CLUSTER_SEND).about, ann);
    close(node);
    scene_end(&s);
}

/* Nobody else has a say: no wrong signature, no other address, and no backend. */
static void others_say_nothing(void **context)
{
    char number[PROXY_CLUSTER_PHONE];
    static char path[PATH_ROOM];
    struct scene s;
    int phone, backend, node, stranger;
    uint64_t ann;

    (void)context;
    scene_begin(&s, TCP, "");
    node = scene_udp(41, SCENE_OWN);
    stranger = scene_udp(42, SCENE_OWN);
    phone = ann_comes(&s, node, path, number, &backend);
    ann = proxy_cluster_phone(sip_slice(number, sizeof(number)), 0);
    say(&s, node, PROXY_CLUSTER_CAME, 0, sip_slice(number, sizeof(number)), 1);
    say(&s, stranger, PROXY_CLUSTER_CAME, 0, sip_slice(number, sizeof(number)), 0);
    say(&s, s.a, PROXY_CLUSTER_CAME, 0, sip_slice(number, sizeof(number)), 0);
    say(&s, stranger, PROXY_CLUSTER_SEND, ann, sip_slice_of("BYE sip:u@h SIP/2.0\r\n\r\n"), 0);
    scene_until(&s, COUNT_RESULT + RELAY_DROPPED_SENDER, 4);
    assert_int_equal(count_of(&s, COUNT_RESULT + RELAY_HEARD), 0);
    scene_send_to(backend, 2, SCENE_OWN, scene_along(path, "INVITE", "c1"));
    scene_message(&s, phone);
    assert_string_equal(scene_line(&s, "Call-ID", 0), "Call-ID: c1");
    close(phone);
    close(node);
    close(stranger);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_node_is_asked), cmocka_unit_test(backends_see_the_node),
        cmocka_unit_test(phones_go_and_come),    cmocka_unit_test(a_node_asks),
        cmocka_unit_test(others_say_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
