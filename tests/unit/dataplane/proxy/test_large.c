/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are too large for a datagram: which flows have another way, and what changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/proxy/large.h"
#include "tests/unit/dataplane/proxy/streams.h"

static struct sip_addr addr_of(const char *text)
{
    const char *colon = strrchr(text, ':');
    struct sip_addr addr;

    assert_int_equal(sip_ip_parse(sip_slice(text, (uint32_t)(colon - text)), &addr.ip), 0);
    addr.port = (uint16_t)atoi(colon + 1);
    return addr;
}

static struct stage *begin(enum lb_large large)
{
    const struct stage_conf conf = {.streams = true, .with_v6 = true};
    struct stage *stage = stage_new(&conf);
    struct lb_pool *pools = (struct lb_pool *)(uintptr_t)snapshot_pools(stage->snapshot);

    for (uint32_t i = 0; i < stage->snapshot->pools.n; i++)
        pools[i].large = (uint8_t)large;
    return stage;
}

/* Where a flow is turned to; NULL: it is not. */
static const char *turned(const struct stage *stage, enum sip_transport transport,
                          const char *local, const char *peer)
{
    static char text[SIP_ADDR_TEXT_MAX + 8];
    const struct proxy_flow to = {
        .transport = (uint8_t)transport, .local = addr_of(local), .peer = addr_of(peer)};
    struct proxy_flow other;
    int n;

    if (!proxy_large_turn(stage->snapshot, &to, &other))
        return NULL;
    assert_true(sip_addr_equal(&to.peer, &other.peer));
    assert_int_equal(other.connection, 0);
    n = sprintf(text, "%s ", sip_transport_name((enum sip_transport)other.transport));
    text[n + (int)sip_addr_print(&other.local, text + n)] = '\0';
    return text;
}

/* Only what control sends to a backend at its own port, and back. */
static void test_turn(void **state)
{
    struct stage *stage = begin(LB_LARGE_TCP);

    assert_string_equal(turned(stage, SIP_TRANSPORT_UDP, NODE, KAM), "TCP " VIP);
    assert_string_equal(turned(stage, SIP_TRANSPORT_TCP, VIP, KAM), "UDP " NODE);
    assert_null(turned(stage, SIP_TRANSPORT_UDP, VIP, KAM)); /* the data plane's */
    assert_null(turned(stage, SIP_TRANSPORT_UDP, NODE, "10.0.0.12:44444"));
    assert_null(turned(stage, SIP_TRANSPORT_TCP, VIP, "10.0.0.12:44444"));
    assert_null(turned(stage, SIP_TRANSPORT_UDP, NODE, "203.0.113.5:5060"));
    assert_null(turned(stage, SIP_TRANSPORT_TLS, TLS_VIP, KAM));
    assert_null(turned(stage, SIP_TRANSPORT_UDP, "10.0.0.1:5071", KAM)); /* no listener any more */
    /* It listens for TCP by IPv4 alone. */
    assert_null(turned(stage, SIP_TRANSPORT_UDP, "[fd00::1]:5070", "[fd00::14]:5060"));
    stage_free(stage);
    stage = begin(LB_LARGE_FRAGMENT);
    assert_null(turned(stage, SIP_TRANSPORT_UDP, NODE, KAM));
    assert_null(turned(stage, SIP_TRANSPORT_TCP, VIP, KAM));
    stage_free(stage);
}

/* A backend that gets everything by TCP has no other way. */
static void test_stream_backend(void **state)
{
    struct stage *stage = begin(LB_LARGE_TCP);
    struct lb_backend *backends = (struct lb_backend *)(uintptr_t)snapshot_backends(stage->snapshot);

    for (uint32_t i = 0; i < stage->snapshot->backends.n; i++)
        backends[i].transport = SIP_TRANSPORT_TCP;
    assert_null(turned(stage, SIP_TRANSPORT_TCP, VIP, KAM));
    stage_free(stage);
}

static void assert_edit(const char *in, enum sip_transport transport, const char *local,
                        const char *want)
{
    const struct proxy_flow to = {.transport = (uint8_t)transport, .local = addr_of(local)};
    static struct sip_edit edit;
    static struct sip_msg msg;
    char out[512];
    int32_t n;

    sip_msg_index(in, (uint32_t)strlen(in), &msg);
    assert_int_equal(msg.error, SIP_OK);
    proxy_large_edit(&msg, &to, &edit);
    n = sip_edit_copy(&edit, in, strlen(in), out, sizeof(out));
    assert_int_equal(n, strlen(want));
    assert_memory_equal(out, want, n);
}

#define REQUEST(via)                                                                        \
    "INVITE sip:bob@example.net SIP/2.0\r\nVia: SIP/2.0/" via                               \
    "\r\nVia: SIP/2.0/TLS p;branch=z9hG4bKp;alias\r\nFrom: <sip:a@b>;tag=f\r\nTo: <sip:c@d>" \
    "\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\nContent-Length: 1\r\n\r\nx"

/* Nothing but the hop, both ways. */
static void test_edit(void **state)
{
    static const char udp[] = REQUEST("UDP 10.0.0.1:5070;branch=z9hG4bK1;tdm=Ag");
    static const char tcp[] = REQUEST("TCP 192.0.2.10:5060;branch=z9hG4bK1;tdm=Ag;alias");
    static const char udp6[] = REQUEST("UDP [fd00::1]:5070;branch=z9hG4bK1;tdm=Ag");

    assert_edit(udp, SIP_TRANSPORT_TCP, VIP, tcp);
    assert_edit(tcp, SIP_TRANSPORT_UDP, NODE, udp);
    assert_edit(udp6, SIP_TRANSPORT_TCP, VIP, tcp);
    assert_edit(tcp, SIP_TRANSPORT_UDP, "[fd00::1]:5070", udp6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn),
        cmocka_unit_test(test_stream_backend),
        cmocka_unit_test(test_edit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
