/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls whose two sides are not the plain outside and inside: IPv6 to IPv4 (RFC 5658), and one
 * backend to another through us.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/dataplane/proxy/stage.h"

#define CALLER "203.0.113.5:5060"
#define VIP "192.0.2.10:5060"
#define VIP6 "[2001:db8:5::10]:5060"

/* An IPv6 phone, IPv4 backends: two Record-Routes, popped together from either side. */
static const struct step pair[] = {
    {"INVITE over IPv6", "[2001:db8::7]:5062", VIP6,
     "INVITE sip:bob@example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP [2001:DB8::7]:5062;branch=z9hG4bKi1;rport\n"
     "Max-Forwards: 70\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: six\n"
     "CSeq: 1 INVITE\n\n",
     "$(B):5060 from " VIP,
     "INVITE sip:bob@example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR);tdm=$(M)\n"
     "Record-Route: <sip:$(TOP)@192.0.2.10:5060;lr>\n"
     "Record-Route: <sip:$(BOTTOM)@[2001:db8:5::10]:5060;lr>\n"
     "Via: SIP/2.0/UDP [2001:DB8::7]:5062;branch=z9hG4bKi1;rport=5062;received=2001:db8::7\n"
     "Max-Forwards: 69\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: six\n"
     "CSeq: 1 INVITE\n\n",
     0, PROXY_RULE_TABLE},
    {"200 leaves by the ingress", "$(B):5060", VIP,
     "SIP/2.0 200 OK\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR);tdm=$(M)\n"
     "Via: SIP/2.0/UDP [2001:db8::7]:5062;received=[2001:db8:0::7];rport=5062;branch=z9hG4bKi1\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: six\n"
     "CSeq: 1 INVITE\n\n",
     "[2001:db8::7]:5062 from " VIP6, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"BYE from the phone: both popped", "[2001:db8::7]:5062", VIP6,
     "BYE sip:bob@10.0.0.99 SIP/2.0\n"
     "Via: SIP/2.0/UDP [2001:db8::7]:5062;branch=z9hG4bKi2\n"
     "Max-Forwards: 70\n"
     "Route: <sip:$(BOTTOM)@[2001:db8:5::10]:5060;lr>, <sip:$(TOP)@192.0.2.10:5060;lr>\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: six\n"
     "CSeq: 2 BYE\n\n",
     "$(B):5060 from " VIP,
     "BYE sip:bob@10.0.0.99 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR2);tdm=$(M2)\n"
     "Via: SIP/2.0/UDP [2001:db8::7]:5062;branch=z9hG4bKi2\n"
     "Max-Forwards: 69\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: six\n"
     "CSeq: 2 BYE\n\n",
     0, PROXY_RULE_TOKEN},
    {"BYE from the backend: both popped", "$(B):5060", VIP,
     "BYE sip:alice@[2001:db8::7]:5062 SIP/2.0\n"
     "Via: SIP/2.0/UDP $(B);branch=z9hG4bKk2\n"
     "Max-Forwards: 70\n"
     "Route: <sip:$(TOP)@192.0.2.10:5060;lr>\n"
     "Route: <sip:$(BOTTOM)@[2001:db8:5::10]:5060;lr>\n"
     "From: <sip:bob@example.net>;tag=b1\n"
     "To: <sip:alice@example.org>;tag=a1\n"
     "Call-ID: six\n"
     "CSeq: 1 BYE\n\n",
     "[2001:db8::7]:5062 from " VIP6,
     "BYE sip:alice@[2001:db8::7]:5062 SIP/2.0\n"
     "Via: SIP/2.0/UDP [2001:db8:5::10]:5060;branch=$(BR3);tdm=$(M3)\n"
     "Via: SIP/2.0/UDP $(B);branch=z9hG4bKk2\n"
     "Max-Forwards: 69\n"
     "From: <sip:bob@example.net>;tag=b1\n"
     "To: <sip:alice@example.org>;tag=a1\n"
     "Call-ID: six\n"
     "CSeq: 1 BYE\n\n",
     0, PROXY_RULE_FLOW},
    {"200 to it comes over IPv6, goes on over IPv4", "[2001:db8::7]:5062", VIP6,
     "SIP/2.0 200 OK\n"
     "Via: SIP/2.0/UDP [2001:db8:5::10]:5060;branch=$(BR3);tdm=$(M3)\n"
     "Via: SIP/2.0/UDP $(B);branch=z9hG4bKk2\n"
     "From: <sip:bob@example.net>;tag=b1\n"
     "To: <sip:alice@example.org>;tag=a1\n"
     "Call-ID: six\n"
     "CSeq: 1 BYE\n\n",
     "$(B):5060 from " VIP, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
};

static void test_pair(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, pair);
    stage_free(stage);
}

/* 10.0.0.11 calls through the virtual address, and rule 6 gives it 10.0.0.12 (all others are down).
 */
static const struct step spiral[] = {
    {"INVITE to the domain, no Route", "10.0.0.11:33333", VIP,
     "INVITE sip:bob@example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bKs1;rport\n"
     "Max-Forwards: 70\n"
     "From: <sip:a@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: spiral\n"
     "CSeq: 1 INVITE\n\n",
     "10.0.0.12:5060 from " VIP,
     "INVITE sip:bob@example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR);tdm=$(M)\n"
     "Record-Route: <sip:$(RR)@192.0.2.10:5060;lr>\n"
     "Via: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bKs1;rport=33333;received=10.0.0.11\n"
     "Max-Forwards: 69\n"
     "From: <sip:a@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: spiral\n"
     "CSeq: 1 INVITE\n\n",
     0, PROXY_RULE_TABLE},
    {"200 back to the first backend", "10.0.0.12:5060", VIP,
     "SIP/2.0 200 OK\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR);tdm=$(M)\n"
     "Via: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bKs1;rport=33333;received=10.0.0.11\n"
     "From: <sip:a@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: spiral\n"
     "CSeq: 1 INVITE\n\n",
     "10.0.0.11:33333 from " VIP, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"BYE from the first: the token's flow is the sender, so its backend", "10.0.0.11:44444", VIP,
     "BYE sip:bob@198.51.100.1 SIP/2.0\n"
     "Via: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bKs2\n"
     "Max-Forwards: 70\n"
     "Route: <sip:$(RR)@192.0.2.10:5060;lr>\n"
     "From: <sip:a@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: spiral\n"
     "CSeq: 2 BYE\n\n",
     "10.0.0.12:5060 from " VIP, NULL, 0, PROXY_RULE_TOKEN},
    {"BYE from the second: to the token's flow", "10.0.0.12:5060", VIP,
     "BYE sip:a@10.0.0.11 SIP/2.0\n"
     "Via: SIP/2.0/UDP 10.0.0.12;branch=z9hG4bKs3\n"
     "Max-Forwards: 70\n"
     "Route: <sip:$(RR)@192.0.2.10:5060;lr>\n"
     "From: <sip:bob@example.net>;tag=b1\n"
     "To: <sip:a@example.org>;tag=a1\n"
     "Call-ID: spiral\n"
     "CSeq: 1 BYE\n\n",
     "10.0.0.11:33333 from " VIP, NULL, 0, PROXY_RULE_FLOW},
};

static void test_spiral(void **state)
{
    struct stage_conf conf = {.health = {LB_DOWN, LB_UP, LB_DOWN, LB_DOWN}};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, spiral);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_spiral),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
