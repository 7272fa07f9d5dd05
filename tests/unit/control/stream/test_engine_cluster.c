/* SPDX-License-Identifier: Apache-2.0 */
/* Control in a cluster, with real sockets: what it relays to another node, and what one relays to
 * it. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/address.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_node_is_asked),
        cmocka_unit_test(backends_see_the_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
