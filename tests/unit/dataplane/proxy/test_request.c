/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered instead of forwarded (RFC 3261 §16.3), and how the replies read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/stage.h"

#define NAT "198.51.100.7:4321"
#define CALLER "203.0.113.5:6060"
#define CALLER_SENT_BY "203.0.113.5:5060"
#define VIP "192.0.2.10:5060"
#define HEAD(method, uri) method " " uri " SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n"
#define TAIL(method)                                                                               \
    "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: i\nCSeq: 1 " method \
    "\nContent-Length: 0\n\n"
#define REPLY(line, method, more)                                                              \
    "SIP/2.0 " line "\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n"                        \
    "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=$(TAG)\nCall-ID: i\n" \
    "CSeq: 1 " method "\n" more "Content-Length: 0\n\n"
#define BOB "sip:bob@example.net"
#define OWN_VIA "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx;tdm=x\n"

static const struct step refused[] = {
    {"483", CALLER, VIP, HEAD("INVITE", BOB) "Max-Forwards: 0\n" TAIL("INVITE"),
     CALLER_SENT_BY " from " VIP, REPLY("483 Too Many Hops", "INVITE", ""), PROXY_REPLY_483_HOPS,
     0},
    {"483 is no answer to ACK", CALLER, VIP, HEAD("ACK", BOB) "Max-Forwards: 0\n" TAIL("ACK"),
     "drop_ack", NULL, 0, 0},
    {"416", CALLER, VIP, HEAD("INVITE", "http://x") TAIL("INVITE"), CALLER_SENT_BY " from " VIP,
     REPLY("416 Unsupported URI Scheme", "INVITE", ""), PROXY_REPLY_416_SCHEME, 0},
    {"400 for the Request-URI", CALLER, VIP, HEAD("INVITE", "<sip:x@y>") TAIL("INVITE"),
     CALLER_SENT_BY " from " VIP, REPLY("400 Bad Request (Malformed Request-URI)", "INVITE", ""),
     PROXY_REPLY_400_MALFORMED, 0},
    {"400 for a Route", CALLER, VIP, HEAD("INVITE", BOB) "Route: <sip:x\n" TAIL("INVITE"),
     CALLER_SENT_BY " from " VIP, REPLY("400 Bad Request (Malformed Route)", "INVITE", ""),
     PROXY_REPLY_400_MALFORMED, 0},
    {"505", CALLER, VIP,
     "INVITE " BOB " SIP/3.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n" TAIL("INVITE"),
     CALLER_SENT_BY " from " VIP, REPLY("505 Version Not Supported", "INVITE", ""),
     PROXY_REPLY_505_VERSION, 0},
    {"420 lists what we do not know", CALLER, VIP,
     HEAD("INVITE", BOB) "Proxy-Require: foo, PRIVACY\nProxy-Require: bar\n" TAIL("INVITE"),
     CALLER_SENT_BY " from " VIP, REPLY("420 Bad Extension", "INVITE", "Unsupported: foo, bar\n"),
     PROXY_REPLY_420_EXTENSION, 0},
    {"CANCEL and ACK: Proxy-Require is ignored (§8.2.2.3)", CALLER, VIP,
     HEAD("CANCEL", BOB) "Proxy-Require: foo\n" TAIL("CANCEL"), "$(B):5060 from " VIP, NULL, 0, 0},
    {"…ACK", CALLER, VIP, HEAD("ACK", BOB) "Proxy-Require: foo\n" TAIL("ACK"),
     "$(B):5060 from " VIP, NULL, 0, 0},
    {"privacy alone passes", CALLER, VIP,
     HEAD("INVITE", BOB) "Proxy-Require: privacy\n" TAIL("INVITE"), "$(B):5060 from " VIP, NULL, 0,
     0},
    {"five Vias of ours are a spiral", CALLER, VIP,
     HEAD("INVITE", BOB) OWN_VIA OWN_VIA OWN_VIA OWN_VIA OWN_VIA TAIL("INVITE"),
     "$(B):5060 from " VIP, NULL, 0, 0},
    {"six a loop, also in one line", CALLER, VIP,
     HEAD("INVITE", BOB) OWN_VIA OWN_VIA OWN_VIA OWN_VIA
     "Via: SIP/2.0/UDP 192.0.2.10;tdm=x , SIP/2.0/UDP 192.0.2.10:5070;tdm=y\n" TAIL("INVITE"),
     CALLER_SENT_BY " from " VIP, NULL, PROXY_REPLY_482_LOOP, 0},
    {"OPTIONS to us", CALLER, VIP, HEAD("OPTIONS", "sip:192.0.2.10") TAIL("OPTIONS"),
     CALLER_SENT_BY " from " VIP, REPLY("200 OK", "OPTIONS", "Accept: */*\nSupported: path\n"),
     PROXY_REPLY_200_OPTIONS, 0},
    {"OPTIONS to our domain, by our Route", CALLER, VIP,
     HEAD("OPTIONS", "sip:EXAMPLE.net") "Route: <sip:192.0.2.10;lr>\n" TAIL("OPTIONS"),
     CALLER_SENT_BY " from " VIP, NULL, PROXY_REPLY_200_OPTIONS, 0},
    {"OPTIONS to us is not forwarded, whatever Max-Forwards says (§16.3, §11)", CALLER, VIP,
     HEAD("OPTIONS", "sip:192.0.2.10") "Max-Forwards: 0\n" TAIL("OPTIONS"),
     CALLER_SENT_BY " from " VIP, NULL, PROXY_REPLY_200_OPTIONS, 0},
    {"OPTIONS with a further Route is, and may not be", CALLER, VIP,
     HEAD("OPTIONS",
          "sip:192.0.2.10") "Max-Forwards: 0\nRoute: <sip:10.0.0.12;lr>\n" TAIL("OPTIONS"),
     CALLER_SENT_BY " from " VIP, NULL, PROXY_REPLY_483_HOPS, 0},
    {"an empty To-tag is replaced", CALLER, VIP,
     HEAD("OPTIONS",
          "sip:192.0.2.10") "From: <sip:alice@example.org>;tag=a1\n"
                            "To: \"Bob;tag=\" <sip:bob@example.net>;x=y;tag=;z\nCall-ID: i\nCSeq: "
                            "1 OPTIONS\n\n",
     CALLER_SENT_BY " from " VIP,
     "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n"
     "From: <sip:alice@example.org>;tag=a1\n"
     "To: \"Bob;tag=\" <sip:bob@example.net>;x=y;z;tag=$(TAG)\nCall-ID: i\nCSeq: 1 OPTIONS\n"
     "Accept: */*\nSupported: path\nContent-Length: 0\n\n",
     PROXY_REPLY_200_OPTIONS, 0},
    {"OPTIONS with a user is not to us", CALLER, VIP,
     HEAD("OPTIONS", "sip:x@192.0.2.10") TAIL("OPTIONS"), "$(B):5060 from " VIP, NULL, 0, 0},
    {"OPTIONS with a further Route is not to us", CALLER, VIP,
     HEAD("OPTIONS", "sip:192.0.2.10") "Route: <sip:10.0.0.12;lr>\n" TAIL("OPTIONS"),
     "10.0.0.12:5060 from " VIP, NULL, 0, 0},
    {"OPTIONS of a backend", "10.0.0.11:5060", VIP,
     HEAD("OPTIONS", "sip:192.0.2.10") TAIL("OPTIONS"), "10.0.0.11:5060 from " VIP, NULL,
     PROXY_REPLY_200_OPTIONS, 0},
    {"reply by rport; all Vias, one unfolded", NAT, VIP,
     "OPTIONS sip:192.0.2.10 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;rport=1;received=9.9.9.9;branch=z9hG4bK-2\n"
     " , SIP/2.0/TCP a.example.org;branch=z9hG4bK-3\n"
     "v: SIP/2.0/UDP\n b.example.org\n"
     "f: <sip:a@b>;tag=1\nt: <sip:x@y>;tag=2\ni: j\nCSeq: 9 OPTIONS\n\n",
     NAT " from " VIP,
     "SIP/2.0 200 OK\n"
     "Via: SIP/2.0/UDP 192.168.1.4:5062;branch=z9hG4bK-2;received=198.51.100.7;rport=4321, "
     "SIP/2.0/TCP a.example.org;branch=z9hG4bK-3\n"
     "Via: SIP/2.0/UDP   b.example.org\n"
     "From: <sip:a@b>;tag=1\nTo: <sip:x@y>;tag=2\nCall-ID: j\nCSeq: 9 OPTIONS\n"
     "Accept: */*\nSupported: path\nContent-Length: 0\n\n",
     PROXY_REPLY_200_OPTIONS, 0},
    {"top Via cannot be read: to the source, Vias as they are", NAT, VIP,
     "INVITE " BOB " SIP/2.0\nVia: SIP/2.0/UDP ;;branch\n" TAIL("INVITE"), NAT " from " VIP,
     "SIP/2.0 400 Bad Request (Malformed Via)\nVia: SIP/2.0/UDP ;;branch\n"
     "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=$(T2)\nCall-ID: i\n"
     "CSeq: 1 INVITE\nContent-Length: 0\n\n",
     PROXY_REPLY_400_MALFORMED, 0},
    {"what is missing is not invented", NAT, VIP,
     "INVITE " BOB
     " SIP/2.0\nVia: SIP/2.0/UDP 192.168.1.4;branch=z9hG4bK-2;rport\nCSeq: 1 INVITE\n\n",
     NAT " from " VIP,
     "SIP/2.0 400 Bad Request (Mandatory header field missing)\n"
     "Via: SIP/2.0/UDP 192.168.1.4;branch=z9hG4bK-2;received=198.51.100.7;rport=4321\n"
     "CSeq: 1 INVITE\nContent-Length: 0\n\n",
     PROXY_REPLY_400_MALFORMED, 0},
    {"malformed ACK", CALLER, VIP, HEAD("ACK", BOB) "CSeq: 2 ACK\n" TAIL("ACK"), "drop_ack", NULL,
     0, 0},
    {"nothing to answer to", CALLER, VIP, "INVITE " BOB " SIP/2.0\nCSeq: 1 INVITE\n\n",
     "drop_unanswerable", NULL, 0, 0},
    {"keep-alive", CALLER, VIP, "\n\n", "drop_keepalive", NULL, 0, 0},
    {"not SIP", CALLER, VIP, "GET / HTTP/1.1\n\n", "drop_not_sip", NULL, 0, 0},
};

static void test_refused(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, refused);
    stage_free(stage);
}

static void test_options(void **state)
{
    static const struct {
        struct stage_conf conf;
        enum proxy_reason reason;
    } cases[] = {
        {{.node_draining = true}, PROXY_REPLY_503_DRAINING},
        {{.health = {LB_DOWN, LB_DOWN, LB_DOWN, LB_DOWN}}, PROXY_REPLY_503_NO_BACKEND},
        {{.health = {LB_DOWN, LB_DOWN, LB_BUSY, LB_DOWN}}, PROXY_REPLY_200_OPTIONS},
        {{.admin = {LB_DISABLED, LB_DISABLED, LB_DISABLED, LB_DISABLED}},
         PROXY_REPLY_503_NO_BACKEND},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage *stage = stage_new(&cases[i].conf);

        stage_send(stage, CALLER, VIP, HEAD("OPTIONS", "sip:192.0.2.10") TAIL("OPTIONS"));
        assert_int_equal(stage->output.verdict, PROXY_REPLY);
        assert_int_equal(stage->output.reason, cases[i].reason);
        assert_int_equal(stage->output.retry_after_s > 0, stage->output.status == 503);
        stage_free(stage);
    }
}

/* What the sender's top Via is after we filled it in. */
static void test_fill_via(void **state)
{
    static const struct {
        const char *name, *from, *in, *out;
        enum snapshot_nat nat;
    } cases[] = {
        {"same address: nothing", "1.2.3.4:5060", "1.2.3.4;branch=z9hG4bK1", NULL, 0},
        {"another port, not asked", "1.2.3.4:99", "1.2.3.4;branch=z9hG4bK1", NULL, 0},
        {"rport: both, even when equal (RFC 3581 §4)", "1.2.3.4:5060",
         "1.2.3.4;rport;branch=z9hG4bK1", "1.2.3.4;rport=5060;branch=z9hG4bK1;received=1.2.3.4", 0},
        {"a name: received", "1.2.3.4:5060", "h.example.org;branch=z9hG4bK1",
         "h.example.org;branch=z9hG4bK1;received=1.2.3.4", 0},
        {"another address: received", "1.2.3.4:5060", "1.2.3.5;branch=z9hG4bK1",
         "1.2.3.5;branch=z9hG4bK1;received=1.2.3.4", 0},
        {"forged received is replaced", "1.2.3.4:5060", "1.2.3.5;received=6.6.6.6;branch=z9hG4bK1",
         "1.2.3.5;received=1.2.3.4;branch=z9hG4bK1", 0},
        {"forged received, none needed", "1.2.3.4:5060", "1.2.3.4;received=6.6.6.6;branch=z9hG4bK1",
         "1.2.3.4;branch=z9hG4bK1", 0},
        {"forged rport is replaced", "1.2.3.4:77",
         "1.2.3.4;rport=53;received=6.6.6.6;branch=z9hG4bK1",
         "1.2.3.4;rport=77;received=1.2.3.4;branch=z9hG4bK1", 0},
        {"nat: always", "1.2.3.4:77", "1.2.3.4;branch=z9hG4bK1",
         "1.2.3.4;branch=z9hG4bK1;received=1.2.3.4;rport=77", SNAPSHOT_NAT_ALWAYS},
        {"nat: always is not for backends", "10.0.0.11:77", "10.0.0.11;branch=z9hG4bK1", NULL,
         SNAPSHOT_NAT_ALWAYS},
        {"before a comma", "1.2.3.4:5060", "1.2.3.5;branch=z9hG4bK1 ,SIP/2.0/UDP x",
         "1.2.3.5;branch=z9hG4bK1;received=1.2.3.4 ,SIP/2.0/UDP x", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage_conf conf = {.nat = cases[i].nat};
        struct stage *stage = stage_new(&conf);
        char in[512], out[512];

        snprintf(in, sizeof(in),
                 "MESSAGE sip:x@203.0.113.1 SIP/2.0\nv :SIP/2.0/UDP %s\n" TAIL("MESSAGE"),
                 cases[i].in);
        snprintf(out, sizeof(out),
                 "MESSAGE sip:x@203.0.113.1 SIP/2.0\n"
                 "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR);tdm=$(M)\nMax-Forwards: 70\n"
                 "v :SIP/2.0/UDP %s\n" TAIL("MESSAGE"),
                 cases[i].out != NULL ? cases[i].out : cases[i].in);
        stage_send(stage, cases[i].from, VIP, in);
        if (!stage_match(stage, out, stage->out, stage->out_length))
            fail_msg("%s", cases[i].name);
        stage_free(stage);
    }
}

struct header_case {
    const char *name, *method, *more;
    struct stage_conf conf;
    const char *record_route, *path, *supported;
};

static const struct header_case header_cases[] = {
    {"INVITE", "INVITE", "", {0}, "R", "", ""},
    {"SUBSCRIBE", "SUBSCRIBE", "", {0}, "R", "", ""},
    {"REFER", "REFER", "", {0}, "R", "", ""},
    {"NOTIFY", "NOTIFY", "", {0}, "R", "", ""},
    {"unknown", "FOO", "", {0}, "R", "", ""},
    {"MESSAGE", "MESSAGE", "", {0}, "", "", ""},
    {"PUBLISH", "PUBLISH", "", {0}, "", "", ""},
    {"BYE", "BYE", "", {0}, "", "", ""},
    {"record_route: false", "INVITE", "", {.no_record_route = true}, "", "", ""},
    {"path: always", "REGISTER", "", {.path = SNAPSHOT_PATH_ALWAYS}, "", "P", "S"},
    {"path: always, supported",
     "REGISTER",
     "k: timer,  PATH\n",
     {.path = SNAPSHOT_PATH_ALWAYS},
     "",
     "P",
     ""},
    {"path: supported, not",
     "REGISTER",
     "Supported: pathology\n",
     {.path = SNAPSHOT_PATH_SUPPORTED},
     "",
     "",
     ""},
    {"path: supported",
     "REGISTER",
     "Supported: path\n",
     {.path = SNAPSHOT_PATH_SUPPORTED},
     "",
     "P",
     ""},
    {"path: never", "REGISTER", "Supported: path\n", {.path = SNAPSHOT_PATH_NEVER}, "", "", ""},
};

/* Which requests get Record-Route and Path, by configuration. */
static void test_headers(void **state)
{
    for (size_t i = 0; i < sizeof(header_cases) / sizeof(header_cases[0]); i++) {
        struct stage *stage = stage_new(&header_cases[i].conf);
        char in[512], out[1024];

        snprintf(in, sizeof(in),
                 "%s " BOB " SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n%s"
                 "From: <sip:a@b>;tag=1\nTo: <sip:x@y>\nCall-ID: i\nCSeq: 1 %s\n\n",
                 header_cases[i].method, header_cases[i].more, header_cases[i].method);
        snprintf(
            out, sizeof(out),
            "%s " BOB " SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR);tdm=$(M)\n%s%s%s"
            "Max-Forwards: 70\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n%s"
            "From: <sip:a@b>;tag=1\nTo: <sip:x@y>\nCall-ID: i\nCSeq: 1 %s\n\n",
            header_cases[i].method,
            *header_cases[i].record_route ? "Record-Route: <sip:$(R)@192.0.2.10:5060;lr>\n" : "",
            *header_cases[i].path ? "Path: <sip:$(P)@192.0.2.10:5060;lr>\n" : "",
            *header_cases[i].supported ? "Supported: path\n" : "", header_cases[i].more,
            header_cases[i].method);
        stage_send(stage, CALLER, VIP, in);
        if (!stage_match(stage, out, stage->out, stage->out_length))
            fail_msg("%s", header_cases[i].name);
        stage_free(stage);
    }
}

/* A datagram that ends after its last header line is let through, and leaves complete. */
static void test_headers_without_end(void **state)
{
    static const char in[] =
        HEAD("OPTIONS", BOB) "Max-Forwards: 70\n"
                             "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>\n"
                             "Call-ID: i\nCSeq: 1 OPTIONS\n";
    struct stage *stage = stage_new(&(struct stage_conf){0});

    stage_send(stage, CALLER, VIP, in);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    assert_true(stage->msg.open_end);
    assert_memory_equal(stage->out + stage->out_length - 19, "CSeq: 1 OPTIONS\r\n\r\n", 19);
    stage_free(stage);
}

/* More edits than fit are refused, not cut. */
static void test_too_many_edits(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);
    char in[8192], *at = in;

    at += sprintf(at, "BYE " BOB " SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n");
    for (int i = 0; i < 40; i++)
        at += sprintf(at, "Max-Forwards: 70\n");
    sprintf(at, TAIL("BYE"));
    stage_send(stage, CALLER, VIP, in);
    assert_int_equal(stage->output.verdict, PROXY_DROP);
    assert_int_equal(stage->output.reason, PROXY_DROP_TOO_MANY_EDITS);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_options),
        cmocka_unit_test(test_fill_via),       cmocka_unit_test(test_headers),
        cmocka_unit_test(test_too_many_edits), cmocka_unit_test(test_headers_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
