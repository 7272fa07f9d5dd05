/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole call flows, message by message and byte by byte: what comes in, what goes out, to whom.
 * RFC 3261 §16, §24; RFC 3327; RFC 3581.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/dataplane/proxy/stage.h"

#define PHONE "198.51.100.7:4321"
#define CALLER "203.0.113.5:5060"
#define VIP "192.0.2.10:5060"

/*
 * A phone behind NAT registers, is called by a caller that honours Record-Route, and both ends
 * send in the dialog.
 */
static const struct step registered_phone[] = {
    {"REGISTER gets Path, Supported: path, received and rport", PHONE, VIP,
     "REGISTER sip:example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;branch=z9hG4bKreg1;rport\n"
     "Max-Forwards: 70\n"
     "From: <sip:bob@example.net>;tag=r1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: reg-1@phone\n"
     "CSeq: 1 REGISTER\n"
     "Contact: <sip:bob@192.168.1.4:5062>\n"
     "Content-Length: 0\n\n",
     "$(B1):5060 from " VIP,
     "REGISTER sip:example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR1);tdm=$(M1)\n"
     "Path: <sip:$(PATH)@192.0.2.10:5060;lr>\n"
     "Supported: path\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;branch=z9hG4bKreg1;rport=4321;received=198.51.100.7\n"
     "Max-Forwards: 69\n"
     "From: <sip:bob@example.net>;tag=r1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: reg-1@phone\n"
     "CSeq: 1 REGISTER\n"
     "Contact: <sip:bob@192.168.1.4:5062>\n"
     "Content-Length: 0\n\n",
     0, PROXY_RULE_TABLE},
    {"200 to REGISTER goes to the NAT's address and port", "$(B1):5060", VIP,
     "SIP/2.0 200 OK\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR1);tdm=$(M1)\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;branch=z9hG4bKreg1;rport=4321;received=198.51.100.7\n"
     "From: <sip:bob@example.net>;tag=r1\n"
     "To: <sip:bob@example.net>;tag=s1\n"
     "Call-ID: reg-1@phone\n"
     "CSeq: 1 REGISTER\n"
     "Content-Length: 0\n\n",
     PHONE " from " VIP,
     "SIP/2.0 200 OK\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;branch=z9hG4bKreg1;rport=4321;received=198.51.100.7\n"
     "From: <sip:bob@example.net>;tag=r1\n"
     "To: <sip:bob@example.net>;tag=s1\n"
     "Call-ID: reg-1@phone\n"
     "CSeq: 1 REGISTER\n"
     "Content-Length: 0\n\n",
     PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"INVITE from the caller gets Record-Route", CALLER, VIP,
     "INVITE sip:bob@example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKinv1\n"
     "Max-Forwards: 70\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: call-1\n"
     "CSeq: 1 INVITE\n"
     "Contact: <sip:alice@203.0.113.5>\n"
     "Content-Length: 5\n\nv=0\nbytes beyond",
     "$(B2):5060 from " VIP,
     "INVITE sip:bob@example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR2);tdm=$(M2)\n"
     "Record-Route: <sip:$(RRA)@192.0.2.10:5060;lr>\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKinv1\n"
     "Max-Forwards: 69\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: call-1\n"
     "CSeq: 1 INVITE\n"
     "Contact: <sip:alice@203.0.113.5>\n"
     "Content-Length: 5\n\nv=0\n",
     0, PROXY_RULE_TABLE},
    {"the backend sends it to the Path's flow", "$(B2):5060", VIP,
     "INVITE sip:bob@192.168.1.4:5062 SIP/2.0\n"
     "Record-Route: <sip:$(B2);lr>\n"
     "Record-Route: <sip:$(RRA)@192.0.2.10:5060;lr>\n"
     "Via: SIP/2.0/UDP $(B2);branch=z9hG4bKkam1\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR2);tdm=$(M2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKinv1\n"
     "Max-Forwards: 69\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: call-1\n"
     "CSeq: 1 INVITE\n"
     "Route: <sip:$(PATH)@192.0.2.10:5060;lr>\n"
     "Contact: <sip:alice@203.0.113.5>\n"
     "Content-Length: 0\n\n",
     PHONE " from " VIP,
     "INVITE sip:bob@192.168.1.4:5062 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR3);tdm=$(M3)\n"
     "Record-Route: <sip:$(RRB)@192.0.2.10:5060;lr>\n"
     "Record-Route: <sip:$(B2);lr>\n"
     "Record-Route: <sip:$(RRA)@192.0.2.10:5060;lr>\n"
     "Via: SIP/2.0/UDP $(B2);branch=z9hG4bKkam1\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR2);tdm=$(M2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKinv1\n"
     "Max-Forwards: 68\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>\n"
     "Call-ID: call-1\n"
     "CSeq: 1 INVITE\n"
     "Contact: <sip:alice@203.0.113.5>\n"
     "Content-Length: 0\n\n",
     0, PROXY_RULE_FLOW},
    {"180 from the phone to the backend; Vias in one line, parameters in another order", PHONE, VIP,
     "SIP/2.0 180 Ringing\n"
     "v: SIP/2.0/UDP 192.0.2.10:5060 ; tdm=$(M3) ;branch=$(BR3) , SIP/2.0/UDP "
     "$(B2);branch=z9hG4bKkam1, SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR2);tdm=$(M2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKinv1\n"
     "f: <sip:alice@example.org>;tag=a1\n"
     "t: <sip:bob@example.net>;tag=b1\n"
     "i: call-1\n"
     "CSeq: 1 INVITE\n"
     "l: 0\n\n",
     "$(B2):5060 from " VIP,
     "SIP/2.0 180 Ringing\n"
     "v: SIP/2.0/UDP $(B2);branch=z9hG4bKkam1, SIP/2.0/UDP "
     "192.0.2.10:5060;branch=$(BR2);tdm=$(M2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKinv1\n"
     "f: <sip:alice@example.org>;tag=a1\n"
     "t: <sip:bob@example.net>;tag=b1\n"
     "i: call-1\n"
     "CSeq: 1 INVITE\n"
     "l: 0\n\n",
     PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"200 from the backend to the caller", "$(B2):5060", VIP,
     "SIP/2.0 200 OK\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR2);tdm=$(M2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKinv1\n"
     "Record-Route: <sip:$(RRB)@192.0.2.10:5060;lr>\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: call-1\n"
     "CSeq: 1 INVITE\n"
     "Content-Length: 0\n\n",
     CALLER " from " VIP,
     "SIP/2.0 200 OK\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKinv1\n"
     "Record-Route: <sip:$(RRB)@192.0.2.10:5060;lr>\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: call-1\n"
     "CSeq: 1 INVITE\n"
     "Content-Length: 0\n\n",
     PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"ACK by the Route set: only our first Route is popped, out of one line", CALLER, VIP,
     "ACK sip:bob@192.168.1.4:5062 SIP/2.0\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKack1\n"
     "Max-Forwards: 70\n"
     "Route: <sip:$(RRA)@192.0.2.10:5060;lr>, <sip:$(B2);lr>,\n"
     " <sip:$(RRB)@192.0.2.10:5060;lr>\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: call-1\n"
     "CSeq: 1 ACK\n"
     "Content-Length: 0\n\n",
     "$(B2):5060 from " VIP,
     "ACK sip:bob@192.168.1.4:5062 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR4);tdm=$(M4)\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKack1\n"
     "Max-Forwards: 69\n"
     "Route: <sip:$(B2);lr>,\n"
     " <sip:$(RRB)@192.0.2.10:5060;lr>\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: call-1\n"
     "CSeq: 1 ACK\n"
     "Content-Length: 0\n\n",
     0, PROXY_RULE_ROUTE},
    {"ACK on from the backend by our second Record-Route", "$(B2):5060", VIP,
     "ACK sip:bob@192.168.1.4:5062 SIP/2.0\n"
     "Via: SIP/2.0/UDP $(B2);branch=z9hG4bKkam2\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR4);tdm=$(M4)\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKack1\n"
     "Route: <sip:$(RRB)@192.0.2.10:5060;lr>\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: call-1\n"
     "CSeq: 1 ACK\n"
     "Content-Length: 0\n\n",
     PHONE " from " VIP,
     "ACK sip:bob@192.168.1.4:5062 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR5);tdm=$(M5)\n"
     "Max-Forwards: 70\n"
     "Via: SIP/2.0/UDP $(B2);branch=z9hG4bKkam2\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR4);tdm=$(M4)\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKack1\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: call-1\n"
     "CSeq: 1 ACK\n"
     "Content-Length: 0\n\n",
     0, PROXY_RULE_FLOW},
    {"re-INVITE from the phone, its Route set reversed: to the backend, Record-Route again", PHONE,
     VIP,
     "INVITE sip:alice@203.0.113.5 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;branch=z9hG4bKre1;rport\n"
     "Max-Forwards: 70\n"
     "Route: <sip:$(RRB)@192.0.2.10:5060;lr>\n"
     "Route: <sip:$(B2);lr>\n"
     "Route: <sip:$(RRA)@192.0.2.10:5060;lr>\n"
     "From: <sip:bob@example.net>;tag=b1\n"
     "To: <sip:alice@example.org>;tag=a1\n"
     "Call-ID: call-1\n"
     "CSeq: 1 INVITE\n"
     "Content-Length: 0\n\n",
     "$(B2):5060 from " VIP,
     "INVITE sip:alice@203.0.113.5 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR6);tdm=$(M6)\n"
     "Record-Route: <sip:$(RRB)@192.0.2.10:5060;lr>\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;branch=z9hG4bKre1;rport=4321;received=198.51.100.7\n"
     "Max-Forwards: 69\n"
     "Route: <sip:$(B2);lr>\n"
     "Route: <sip:$(RRA)@192.0.2.10:5060;lr>\n"
     "From: <sip:bob@example.net>;tag=b1\n"
     "To: <sip:alice@example.org>;tag=a1\n"
     "Call-ID: call-1\n"
     "CSeq: 1 INVITE\n"
     "Content-Length: 0\n\n",
     0, PROXY_RULE_ROUTE},
    {"BYE from the phone to the caller, second half: out by the caller's token", "$(B2):5060", VIP,
     "BYE sip:alice@203.0.113.5 SIP/2.0\n"
     "Via: SIP/2.0/UDP $(B2);branch=z9hG4bKkam3\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;branch=z9hG4bKbye1;rport=4321;received=198.51.100.7\n"
     "Max-Forwards: 68\n"
     "Route: <sip:$(RRA)@192.0.2.10:5060;lr>\n"
     "From: <sip:bob@example.net>;tag=b1\n"
     "To: <sip:alice@example.org>;tag=a1\n"
     "Call-ID: call-1\n"
     "CSeq: 2 BYE\n"
     "Content-Length: 0\n\n",
     CALLER " from " VIP,
     "BYE sip:alice@203.0.113.5 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR7);tdm=$(M7)\n"
     "Via: SIP/2.0/UDP $(B2);branch=z9hG4bKkam3\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;branch=z9hG4bKbye1;rport=4321;received=198.51.100.7\n"
     "Max-Forwards: 67\n"
     "From: <sip:bob@example.net>;tag=b1\n"
     "To: <sip:alice@example.org>;tag=a1\n"
     "Call-ID: call-1\n"
     "CSeq: 2 BYE\n"
     "Content-Length: 0\n\n",
     0, PROXY_RULE_FLOW},
    {"BYE from a caller without a Route set (SIPp's uac): by the call table", CALLER, VIP,
     "BYE sip:bob@198.51.100.99 SIP/2.0\n"
     "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKbye2\n"
     "Max-Forwards: 70\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: <sip:bob@example.net>;tag=b1\n"
     "Call-ID: call-1\n"
     "CSeq: 2 BYE\n"
     "Content-Length: 0\n\n",
     "$(B2):5060 from " VIP, NULL, 0, PROXY_RULE_CALL},
};

static void test_registered_phone(void **state)
{
    struct stage_conf conf = {.path = SNAPSHOT_PATH_ALWAYS};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, registered_phone);
    stage_free(stage);
}

#define HEAD(method, branch, cseq, to_tag)                         \
    method " sip:bob@example.net SIP/2.0\n"                        \
           "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=" branch "\n" \
           "Max-Forwards: 70\n"                                    \
           "From: <sip:alice@example.org>;tag=a1\n"                \
           "To: <sip:bob@example.net>" to_tag "\n"                 \
           "Call-ID: $(ID)\n"                                      \
           "CSeq: " cseq " " method "\n"                           \
           "Content-Length: 0\n\n"
#define HEAD_OUT(method, branch, mac, rr, sent_branch, cseq, to_tag)             \
    method " sip:bob@example.net SIP/2.0\n"                                      \
           "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=" branch ";tdm=" mac "\n" rr \
           "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=" sent_branch "\n"          \
           "Max-Forwards: 69\n"                                                  \
           "From: <sip:alice@example.org>;tag=a1\n"                              \
           "To: <sip:bob@example.net>" to_tag "\n"                               \
           "Call-ID: $(ID)\n"                                                    \
           "CSeq: " cseq " " method "\n"                                         \
           "Content-Length: 0\n\n"
#define RR "Record-Route: <sip:$(RR)@192.0.2.10:5060;lr>\n"
#define STATUS(status, branch, mac, sent_branch, cseq)                 \
    "SIP/2.0 " status "\n"                                             \
    "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=" branch ";tdm=" mac "\n" \
    "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=" sent_branch "\n"       \
    "From: <sip:alice@example.org>;tag=a1\n"                           \
    "To: <sip:bob@example.net>;tag=k1\n"                               \
    "Call-ID: $(ID)\n"                                                 \
    "CSeq: " cseq "\n"                                                 \
    "Content-Length: 0\n\n"

/* CANCEL and the ACK to a failure bear the branch of their INVITE on both sides of us (§9.1,
 * §17.1.1.3). */
static const struct step cancelled[] = {
    {"INVITE", CALLER, VIP, HEAD("INVITE", "z9hG4bKi1", "1", ""), "$(B):5060 from " VIP,
     HEAD_OUT("INVITE", "$(BR)", "$(M)", RR, "z9hG4bKi1", "1", ""), 0, PROXY_RULE_TABLE},
    {"retransmission: identical bytes", CALLER, VIP, HEAD("INVITE", "z9hG4bKi1", "1", ""),
     "$(B):5060 from " VIP, HEAD_OUT("INVITE", "$(BR)", "$(M)", RR, "z9hG4bKi1", "1", ""), 0,
     PROXY_RULE_CALL},
    {"CANCEL with the INVITE's branch", CALLER, VIP, HEAD("CANCEL", "z9hG4bKi1", "1", ""),
     "$(B):5060 from " VIP, HEAD_OUT("CANCEL", "$(BR)", "$(M)", "", "z9hG4bKi1", "1", ""), 0,
     PROXY_RULE_CALL},
    {"200 to CANCEL", "$(B):5060", VIP, STATUS("200 OK", "$(BR)", "$(M)", "z9hG4bKi1", "1 CANCEL"),
     CALLER " from " VIP, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"487", "$(B):5060", VIP,
     STATUS("487 Request Terminated", "$(BR)", "$(M)", "z9hG4bKi1", "1 INVITE"),
     CALLER " from " VIP, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"ACK with the INVITE's branch", CALLER, VIP, HEAD("ACK", "z9hG4bKi1", "1", ";tag=k1"),
     "$(B):5060 from " VIP, HEAD_OUT("ACK", "$(BR)", "$(M)", "", "z9hG4bKi1", "1", ";tag=k1"), 0,
     PROXY_RULE_CALL},
};

static uint64_t sum(const uint64_t *counts)
{
    uint64_t all = 0;

    for (int i = 0; i < STAGE_SLOTS; i++)
        all += counts[i];
    return all;
}

static void test_cancelled(void **state)
{
    static const char *const ids[] = {"c1", "another@host", "x/y\"z"};

    for (size_t i = 0; i < 3; i++) {
        struct stage_conf conf = {0};
        struct stage *stage = stage_new(&conf);

        stage_set(stage, "ID", ids[i]);
        STAGE_PLAY(stage, cancelled);
        assert_int_equal(sum(stage->started), 1);
        assert_int_equal(sum(stage->ended), 1);
        stage_free(stage);
    }
}

/* 407 and the second try at the same backend, though by then it takes no new calls. */
static const struct step challenged[] = {
    {"INVITE", CALLER, VIP, HEAD("INVITE", "z9hG4bKi1", "1", ""), "$(B):5060 from " VIP,
     HEAD_OUT("INVITE", "$(BR)", "$(M)", RR, "z9hG4bKi1", "1", ""), 0, PROXY_RULE_TABLE},
    {"407", "$(B):5060", VIP,
     STATUS("407 Proxy Authentication Required", "$(BR)", "$(M)", "z9hG4bKi1", "1 INVITE"),
     CALLER " from " VIP, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
    {"ACK", CALLER, VIP, HEAD("ACK", "z9hG4bKi1", "1", ";tag=k1"), "$(B):5060 from " VIP,
     HEAD_OUT("ACK", "$(BR)", "$(M)", "", "z9hG4bKi1", "1", ";tag=k1"), 0, PROXY_RULE_CALL},
};
static const struct step retried[] = {
    {"INVITE again, with credentials", CALLER, VIP, HEAD("INVITE", "z9hG4bKi2", "2", ""),
     "$(B):5060 from " VIP, HEAD_OUT("INVITE", "$(BR2)", "$(M2)", RR, "z9hG4bKi2", "2", ""), 0,
     PROXY_RULE_CALL},
    {"200", "$(B):5060", VIP, STATUS("200 OK", "$(BR2)", "$(M2)", "z9hG4bKi2", "2 INVITE"),
     CALLER " from " VIP, NULL, PROXY_FORWARDED_RESPONSE, PROXY_RULE_VIA},
};

static struct stage_conf all_draining(void)
{
    return (struct stage_conf){.admin = {LB_DRAINING, LB_DRAINING, LB_DRAINING, LB_DRAINING}};
}

static void test_challenged(void **state)
{
    struct stage_conf conf = {0}, draining = all_draining();
    struct stage *stage = stage_new(&conf);

    stage_set(stage, "ID", "auth-1");
    STAGE_PLAY(stage, challenged);
    stage_reload(stage, &draining);
    stage->now_s += 10;
    STAGE_PLAY(stage, retried);
    assert_int_equal(sum(stage->started), 2);
    assert_int_equal(sum(stage->ended), 1);
    stage_free(stage);
}

/* 33 s after a challenge the Call-ID alone holds nobody at a backend that drains. */
static void test_challenge_expires(void **state)
{
    static const struct step late[] = {
        {"INVITE, too late", CALLER, VIP, HEAD("INVITE", "z9hG4bKi2", "2", ""), CALLER " from " VIP,
         NULL, PROXY_REPLY_503_NO_BACKEND, PROXY_RULE_NONE},
    };
    struct stage_conf conf = {0}, draining = all_draining();
    struct stage *stage = stage_new(&conf);

    stage_set(stage, "ID", "auth-1");
    STAGE_PLAY(stage, challenged);
    stage_reload(stage, &draining);
    stage->now_s += LB_CALL_CHALLENGE_S + 1;
    STAGE_PLAY(stage, late);
    stage_free(stage);
}

/*
 * A NAT rebinds between INVITE and CANCEL, and the keys rotate: branch the same, and the 200 still
 * verifies, by the previous key.
 */
static void test_rotation_and_rebinding(void **state)
{
#define NATTED(method)                                                                   \
    method " sip:bob@example.net SIP/2.0\n"                                              \
           "Via: SIP/2.0/UDP 192.168.1.4;branch=z9hG4bKn1;rport\n"                       \
           "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: nat\n" \
           "CSeq: 7 " method "\nMax-Forwards: 9\n\n"
    static const struct step before[] = {
        {"INVITE", PHONE, VIP, NATTED("INVITE"), "$(B):5060 from " VIP,
         "INVITE sip:bob@example.net SIP/2.0\n"
         "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR);tdm=$(M)\n"
         "Record-Route: <sip:$(RR)@192.0.2.10:5060;lr>\n"
         "Via: SIP/2.0/UDP 192.168.1.4;branch=z9hG4bKn1;rport=4321;received=198.51.100.7\n"
         "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: nat\n"
         "CSeq: 7 INVITE\nMax-Forwards: 8\n\n",
         0, 0},
    };
    static const struct step after[] = {
        {"CANCEL", "198.51.100.7:9999", VIP, NATTED("CANCEL"), "$(B):5060 from " VIP,
         "CANCEL sip:bob@example.net SIP/2.0\n"
         "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR);tdm=$(M2)\n"
         "Via: SIP/2.0/UDP 192.168.1.4;branch=z9hG4bKn1;rport=9999;received=198.51.100.7\n"
         "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: nat\n"
         "CSeq: 7 CANCEL\nMax-Forwards: 8\n\n",
         0, PROXY_RULE_CALL},
        {"487", "$(B):5060", VIP,
         "SIP/2.0 487 Request Terminated\n"
         "Via: SIP/2.0/UDP 192.0.2.10;branch=$(BR);tdm=$(M)\n"
         "Via: SIP/2.0/UDP 192.168.1.4;branch=z9hG4bKn1;rport=4321;received=198.51.100.7\n"
         "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b\nCall-ID: nat\n"
         "CSeq: 7 INVITE\n\n",
         PHONE " from " VIP, NULL, PROXY_FORWARDED_RESPONSE, 0},
        {"in-dialog by the token of the previous key", PHONE, VIP,
         "INFO sip:bob@198.51.100.1 SIP/2.0\n"
         "Via: SIP/2.0/UDP 192.168.1.4;branch=z9hG4bKn2;rport\n"
         "Route: <sip:$(RR)@192.0.2.10:5060;lr>\n"
         "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b\nCall-ID: nat\n"
         "CSeq: 8 INFO\n\n",
         "$(B):5060 from " VIP, NULL, 0, PROXY_RULE_TOKEN},
    };
    struct stage_conf conf = {0}, rotated = {.current_mac = 1};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, before);
    stage_reload(stage, &rotated);
    STAGE_PLAY(stage, after);
    assert_string_not_equal(stage_get(stage, "M"), stage_get(stage, "M2"));
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registered_phone),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_challenged),
        cmocka_unit_test(test_challenge_expires),
        cmocka_unit_test(test_rotation_and_rebinding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
