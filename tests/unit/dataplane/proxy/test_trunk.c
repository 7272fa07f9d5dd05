/* SPDX-License-Identifier: Apache-2.0 */
/* `sources:` and `match:`: who may ask a service, and which of its pools is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/stage.h"

#define CARRIER "203.0.113.5:5060"
#define CARRIER_6 "[2001:db8:7::5]:5060"
#define STRANGER "198.51.100.7:4321"
#define VIP "192.0.2.10:5060"
#define VIP_6 "[2001:db8:5::10]:5060"
#define GW1 "10.0.1.1:5060"
#define GW2 "10.0.1.2:5060"
#define BOX "10.0.2.1:5060"

enum { PROXIES, OTHERS, TRUNKS, TENANT };

/* One message; to_tag is ";tag=x" or "", more are whole lines. */
#define MESSAGE(method, uri, branch, to_tag, id, more)                                 \
    method " " uri " SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK" branch \
           ";rport\n" more "Max-Forwards: 70\nFrom: <sip:alice@example.org>;tag=a1\n"  \
           "To: <sip:bob@example.net>" to_tag "\nCall-ID: " id "\nCSeq: 1 " method "\n\n"
#define INVITE(uri, id) MESSAGE("INVITE", uri, id, "", id, "")

static struct cfg_prefix prefix(const char *ip, uint8_t length)
{
    struct cfg_prefix ret = {.length = length};

    assert_int_equal(sip_ip_parse(sip_slice_of(ip), &ret.ip), 0);
    return ret;
}

static char trunks[] = "trunks", tenant[] = "tenant", proxies[] = "proxies";

/* The pool of the backend that a request goes to; -1: not forwarded. */
static int pool_of(struct stage *stage, const char *from, const char *at, const char *in)
{
    stage_send(stage, from, at, in);
    if (stage->output.verdict != PROXY_FORWARD || stage->output.backend < 0)
        return -1;
    return (int)snapshot_backends(stage->snapshot)[stage->output.backend].pool;
}

/* ---- sources ---- */

static void test_sources(void **state)
{
    struct cfg_prefix sources[] = {prefix("203.0.113.0", 24), prefix("2001:db8:7::", 48)};
    struct stage_conf conf = {.with_v6 = true, .sources = sources, .n_sources = 2};
    struct stage *stage = stage_new(&conf);
    const struct step steps[] = {
        {"one of them", CARRIER, VIP, INVITE("sip:bob@example.net", "s9"), "$(B):5060 from " VIP,
         NULL, 0, 0},
        {"another is refused", STRANGER, VIP, INVITE("sip:bob@example.net", "s2"),
         STRANGER " from " VIP, NULL, PROXY_REPLY_403_SOURCE, 0},
        {"its ACK is not answered", STRANGER, VIP,
         MESSAGE("ACK", "sip:bob@example.net", "s2", ";tag=b", "s2", ""), "drop_ack", NULL, 0, 0},
        {"OPTIONS to us is refused, too", STRANGER, VIP,
         MESSAGE("OPTIONS", "sip:192.0.2.10", "o", "", "s3", ""), STRANGER " from " VIP, NULL,
         PROXY_REPLY_403_SOURCE, 0},
        {"a malformed request says as little", STRANGER, VIP,
         "INVITE sip:bob@example.net SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK1;rport\n"
         "Call-ID: s4\n\n",
         STRANGER " from " VIP, NULL, PROXY_REPLY_403_SOURCE, 0},
        {"a backend's address from outside is a source as any", "!10.0.0.11:5060", VIP,
         INVITE("sip:bob@example.net", "s5"), "10.0.0.11:5060 from " VIP, NULL,
         PROXY_REPLY_403_SOURCE, 0},
        {"a backend is not concerned", "10.0.0.11:5060", VIP,
         INVITE("sip:carol@198.51.100.7", "s6"), "198.51.100.7:5060 from " VIP,
         "INVITE sip:carol@198.51.100.7 SIP/2.0\nVia: $(VIA1)/$(VIA2)/UDP "
         "192.0.2.10:5060;branch=$(BRANCH);tdm=$(TDM)\n"
         "Record-Route: <sip:$(TOKEN)@192.0.2.10:5060;lr>\n"
         "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKs6;rport=5060;received=10.0.0.11\n"
         "Max-Forwards: 69\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: s6\n"
         "CSeq: 1 INVITE\n\n",
         0, 0},
        {"nor are responses, which our Via protects", "198.51.100.7:5060", VIP,
         "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRANCH);tdm=$(TDM)\n"
         "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKs6;rport=5060;received=10.0.0.11\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b1\nCall-ID: s6\n"
         "CSeq: 1 INVITE\n\n",
         "10.0.0.11:5060 from " VIP, NULL, PROXY_FORWARDED_RESPONSE, 0},
        {"IPv6", CARRIER_6, VIP_6, INVITE("sip:bob@example.net", "s7"), "$(ANY) from $(ANY2)", NULL,
         0, 0},
    };

    STAGE_PLAY(stage, ((const struct step[]){steps[0], steps[1], steps[2], steps[3], steps[4],
                                             steps[5], steps[6], steps[7]}));
    assert_int_equal(pool_of(stage, CARRIER_6, VIP_6, steps[8].in), PROXIES);
    stage_send(stage, "[2001:db8:8::5]:5060", VIP_6, steps[8].in);
    assert_int_equal(stage->output.reason, PROXY_REPLY_403_SOURCE);
    stage_free(stage);
}

static void test_stun_source(void **state)
{
    static const char request[] = "\0\1\0\0\x21\x12\xa4\x42"
                                  "abcdefghijkl";
    struct cfg_prefix sources[] = {prefix("203.0.113.0", 24)};
    struct stage *stage = stage_new(&(struct stage_conf){.sources = sources, .n_sources = 1});

    stage_decide(stage, CARRIER, VIP, request, sizeof(request) - 1);
    assert_int_equal(stage->output.reason, PROXY_REPLY_200_STUN);
    stage_decide(stage, STRANGER, VIP, request, sizeof(request) - 1);
    assert_int_equal(stage->output.reason, PROXY_DROP_STUN);
    stage_free(stage);
}

/* ---- which rule fits ---- */

static void test_match(void **state)
{
    static char domain[] = "Tenant.example.NET", address[] = "192.0.2.10", plain[] = "0049",
                plus[] = "+43", star[] = "*21#", both[] = "0043";
    struct cfg_match matches[] = {
        {.prefix = plain, .pool = trunks},
        {.prefix = plus, .pool = tenant},
        {.prefix = star, .pool = tenant},
        {.prefix = both, .domain = address, .pool = tenant},
        {.domain = domain, .pool = trunks},
        {.has_source = true, .source = prefix("198.51.100.0", 25), .pool = tenant},
        {.has_source = true, .source = prefix("2001:db8:7::", 48), .pool = trunks},
    };
    static const struct {
        const char *from, *uri;
        int pool;
    } cases[] = {
        {CARRIER, "sip:bob@example.net", PROXIES},
        {CARRIER, "sip:004930123@example.net", TRUNKS},
        {CARRIER, "sip:0049@example.net", TRUNKS},
        {CARRIER, "sip:004@example.net", PROXIES},
        {CARRIER, "sip:+004930@example.net", TRUNKS},
        {CARRIER, "sip:1004930@example.net", PROXIES},
        {CARRIER, "sips:004930@example.net", TRUNKS},
        {CARRIER, "sip:0049:secret@example.net", TRUNKS},
        {CARRIER, "sip:0049;phone-context=x@example.net", TRUNKS},
        {CARRIER, "sip:%30%3049@example.net", TRUNKS},
        {CARRIER, "tel:0049-30", TRUNKS},
        {CARRIER, "tel:00-(49).30", TRUNKS},
        {CARRIER, "sip:00-4930@example.net", PROXIES},
        {CARRIER, "sip:00-4930@example.net;user=phone", TRUNKS},
        {CARRIER, "urn:0049", PROXIES},
        {CARRIER, "sip:+431@example.net", TENANT},
        {CARRIER, "sip:%2B431@example.net", TENANT},
        {CARRIER, "tel:+43-1", TENANT},
        {CARRIER, "sip:431@example.net", PROXIES},
        {CARRIER, "sip:*21%2317@example.net", TENANT},
        {CARRIER, "sip:00431@example.net", PROXIES},
        {CARRIER, "sip:00431@192.0.2.10", TENANT},
        {CARRIER, "tel:00431", PROXIES},
        {CARRIER, "sip:bob@tenant.EXAMPLE.net", TRUNKS},
        {CARRIER, "sip:tenant.example.net", TRUNKS},
        {CARRIER, "sip:bob@tenant.example.net:5070;x=y", TRUNKS},
        {CARRIER, "sip:bob@a.tenant.example.net", PROXIES},
        {"198.51.100.7:5060", "sip:bob@example.net", TENANT},
        {"198.51.100.128:5060", "sip:bob@example.net", PROXIES},
        {"198.51.100.7:5060", "sip:0049@example.net", TRUNKS}, /* the first */
        {CARRIER_6, "sip:bob@example.net", TRUNKS},
    };
    struct stage_conf conf = {
        .with_v6 = true, .matches = matches, .n_matches = sizeof(matches) / sizeof(matches[0])};
    struct stage *stage = stage_new(&conf);
    char text[1024];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool v6 = cases[i].from[0] == '[';
        int pool;

        snprintf(text, sizeof(text), MESSAGE("INVITE", "%s", "m%zu", "", "m%zu", ""), cases[i].uri,
                 i, i);
        pool = pool_of(stage, cases[i].from, v6 ? VIP_6 : VIP, text);
        if (pool != cases[i].pool)
            fail_msg("%s from %s: pool %d, not %d", cases[i].uri, cases[i].from, pool,
                     cases[i].pool);
        /* What follows it finds the same backend. */
        snprintf(text, sizeof(text), MESSAGE("CANCEL", "%s", "m%zu", "", "m%zu", ""), cases[i].uri,
                 i, i);
        assert_int_equal(pool_of(stage, cases[i].from, v6 ? VIP_6 : VIP, text), pool);
        assert_int_equal(stage->output.rule, PROXY_RULE_CALL);
    }
    stage_free(stage);
}

/* ---- dialogs ---- */

static char t_prefix[] = "0049";
static struct cfg_match to_trunks[] = {{.prefix = t_prefix, .pool = trunks}};

static struct stage *trunk_stage(const struct stage_conf *with)
{
    struct stage_conf conf = *with;

    conf.matches = to_trunks;
    conf.n_matches = 1;
    return stage_new(&conf);
}

/* The pool trunks stays one of the service's. */
static void trunk_reload(struct stage *stage)
{
    static char never[] = "999999";
    struct cfg_match matches[] = {to_trunks[0], {.prefix = never, .pool = trunks}};
    struct stage_conf conf = {.matches = matches, .n_matches = 2};

    stage_reload(stage, &conf);
}

/* The Request-URI of a phone that ignores Record-Route is a contact, which no rule knows. */
static void test_in_dialog(void **state)
{
    struct stage *stage = trunk_stage(&(struct stage_conf){0});
    int32_t backend;

    assert_int_equal(pool_of(stage, CARRIER, VIP, INVITE("sip:004930@example.net", "d1")), TRUNKS);
    backend = stage->output.backend;
    assert_int_equal(
        pool_of(stage, CARRIER, VIP, MESSAGE("BYE", "sip:192.0.2.10", "d2", ";tag=b", "d1", "")),
        TRUNKS);
    assert_int_equal(stage->output.backend, backend);
    assert_int_equal(stage->output.rule, PROXY_RULE_CALL);
    /* Without a To-tag it is another request: the rules decide. */
    assert_int_equal(
        pool_of(stage, CARRIER, VIP, MESSAGE("MESSAGE", "sip:bob@example.net", "d3", "", "d1", "")),
        PROXIES);
    /* Rule 2: a Route or a Request-URI names a backend of any of its pools. */
    assert_int_equal(
        pool_of(stage, CARRIER, VIP, MESSAGE("BYE", "sip:x@10.0.1.2", "d4", ";tag=b", "d9", "")),
        TRUNKS);
    assert_int_equal(stage->output.rule, PROXY_RULE_ROUTE);
    assert_int_equal(
        pool_of(stage, CARRIER, VIP, MESSAGE("BYE", "sip:x@10.0.9.1", "d5", ";tag=b", "d9", "")),
        PROXIES);
    assert_int_equal(stage->output.rule, PROXY_RULE_TABLE);
    stage_free(stage);
}

/* A Route set through us and a backend of a matched pool, from both sides, to the end of the call.
 */
static void test_call(void **state)
{
    struct stage *stage = trunk_stage(&(struct stage_conf){.trunk_health = {LB_UP, LB_DOWN}});
    uint64_t started = 0, ended = 0;
    static const struct step steps[] = {
        {"INVITE", CARRIER, VIP, INVITE("sip:004930@example.net", "c1"), GW1 " from " VIP,
         "INVITE sip:004930@example.net SIP/2.0\n"
         "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRANCH);tdm=$(TDM)\n"
         "Record-Route: <sip:$(TOKEN)@192.0.2.10:5060;lr>\n"
         "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKc1;rport=5060;received=203.0.113.5\n"
         "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>\n"
         "Call-ID: c1\nCSeq: 1 INVITE\n\n",
         0, PROXY_RULE_TABLE},
        {"200", GW1, VIP,
         "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRANCH);tdm=$(TDM)\n"
         "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKc1;rport=5060;received=203.0.113.5\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b1\nCall-ID: c1\n"
         "CSeq: 1 INVITE\n\n",
         CARRIER " from " VIP, NULL, PROXY_FORWARDED_RESPONSE, 0},
        {"re-INVITE by its Route", CARRIER, VIP,
         MESSAGE("INVITE", "sip:bob@10.0.1.1", "c2", ";tag=b1", "c1",
                 "Route: <sip:$(TOKEN)@192.0.2.10:5060;lr>\n"),
         GW1 " from " VIP, NULL, 0, 0},
        {"BYE of the backend", GW1, VIP,
         MESSAGE("BYE", "sip:alice@198.51.100.99", "c3", ";tag=b1", "c1",
                 "Route: <sip:$(TOKEN)@192.0.2.10:5060;lr>\n"),
         CARRIER " from " VIP,
         "BYE sip:alice@198.51.100.99 SIP/2.0\n"
         "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRANCH2);tdm=$(TDM2)\n"
         "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKc3;rport=5060;received=10.0.1.1\n"
         "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\n"
         "To: <sip:bob@example.net>;tag=b1\nCall-ID: c1\nCSeq: 1 BYE\n\n",
         0, PROXY_RULE_FLOW},
        {"and its 200", CARRIER, VIP,
         "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRANCH2);tdm=$(TDM2)\n"
         "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKc3;rport=5060;received=10.0.1.1\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b1\nCall-ID: c1\n"
         "CSeq: 1 BYE\n\n",
         GW1 " from " VIP, NULL, PROXY_FORWARDED_RESPONSE, 0},
    };

    STAGE_PLAY(stage, steps);
    for (int i = 0; i < STAGE_SLOTS; i++) {
        started += stage->started[i];
        ended += stage->ended[i];
    }
    assert_int_equal(started, 1);
    assert_int_equal(ended, 1);
    stage_free(stage);
}

/* Whose backend is down: as the pool that has the dialog shares it, not the one that matches. */
static void test_share(void **state)
{
    for (int share = LB_SHARE_NONE; share <= LB_SHARE_DIALOGS; share++) {
        struct stage *stage = trunk_stage(
            &(struct stage_conf){.share = share == LB_SHARE_NONE ? LB_SHARE_DIALOGS : LB_SHARE_NONE,
                                 .trunk_share = (enum lb_share)share,
                                 .trunk_health = {LB_DOWN, LB_UP}});
        const struct step step = {"a dead backend's dialog",
                                  CARRIER,
                                  VIP,
                                  MESSAGE("BYE", "sip:bob@203.0.113.9", "h1", ";tag=b1", "h1",
                                          "Route: <sip:10.0.1.1;lr>\n"),
                                  share == LB_SHARE_NONE ? CARRIER " from " VIP : GW2 " from " VIP,
                                  NULL,
                                  share == LB_SHARE_NONE ? PROXY_REPLY_503_NO_BACKEND
                                                         : PROXY_FORWARDED_REQUEST,
                                  0};

        stage_play(stage, &step, 1);
        stage_free(stage);
    }
}

/* Rule 5: the call that Replaces names may be in another pool than the one that matches. */
static void test_replaces(void **state)
{
    struct stage *stage = trunk_stage(&(struct stage_conf){0});
    int32_t backend;

    assert_int_equal(pool_of(stage, CARRIER, VIP, INVITE("sip:004930@example.net", "r1")), TRUNKS);
    backend = stage->output.backend;
    assert_int_equal(pool_of(stage, CARRIER, VIP,
                             MESSAGE("INVITE", "sip:bob@example.net", "r2", "", "r2",
                                     "Replaces: r1;to-tag=b;from-tag=a\n")),
                     TRUNKS);
    assert_int_equal(stage->output.backend, backend);
    assert_int_equal(stage->output.rule, PROXY_RULE_REPLACES);
    /* Its CANCEL has no Replaces, but is of its transaction. */
    assert_int_equal(
        pool_of(stage, CARRIER, VIP, MESSAGE("CANCEL", "sip:bob@example.net", "r2", "", "r2", "")),
        TRUNKS);
    assert_int_equal(stage->output.backend, backend);
    /* The table does not know the call that is named: by its hash, in the pool that matches. */
    assert_int_equal(pool_of(stage, CARRIER, VIP,
                             MESSAGE("INVITE", "sip:bob@example.net", "r3", "", "r3",
                                     "Replaces: nobody;to-tag=b;from-tag=a\n")),
                     PROXIES);
    assert_int_equal(stage->output.rule, PROXY_RULE_REPLACES);
    stage_free(stage);
}

/* Rules that change do not part a transaction that has begun (RFC 3261 §16.11). */
static void test_reload(void **state)
{
    struct stage *stage = trunk_stage(&(struct stage_conf){0});
    int32_t backend;

    assert_int_equal(pool_of(stage, CARRIER, VIP, INVITE("sip:004930@example.net", "l1")), TRUNKS);
    backend = stage->output.backend;
    to_trunks[0].pool = tenant;
    trunk_reload(stage);
    assert_int_equal(pool_of(stage, CARRIER, VIP, INVITE("sip:004930@example.net", "l2")), TENANT);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            pool_of(stage, CARRIER, VIP,
                    i == 0 ? INVITE("sip:004930@example.net", "l1")
                           : MESSAGE("CANCEL", "sip:004930@example.net", "l1", "", "l1", "")),
            TRUNKS);
        assert_int_equal(stage->output.backend, backend);
        assert_int_equal(stage->output.rule, PROXY_RULE_CALL);
    }
    to_trunks[0].pool = trunks;
    stage_free(stage);
}

/* ---- backends ---- */

#define SPIRAL(id)                                                                              \
    "INVITE sip:004930@example.net SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bKb" id "\n" \
    "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK" id "\nMax-Forwards: 69\n"                \
    "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: " id             \
    "\nCSeq: 1 INVITE\n\n"

/* What a backend sends back to us is matched again: another pool, with an entry of its own. */
static void test_spiral(void **state)
{
    struct stage *stage = trunk_stage(&(struct stage_conf){
        .health = {LB_UP, LB_DOWN, LB_DOWN, LB_DOWN}, .trunk_health = {LB_UP, LB_DOWN}});
    static const struct step steps[] = {
        {"in", CARRIER, VIP, INVITE("sip:bob@example.net", "p1"), "10.0.0.11:5060 from " VIP, NULL,
         0, 0},
        {"and back", "10.0.0.11:5060", VIP, SPIRAL("p1"), GW1 " from " VIP, NULL, 0,
         PROXY_RULE_TABLE},
        {"sent again", "10.0.0.11:5060", VIP, SPIRAL("p1"), GW1 " from " VIP, NULL, 0,
         PROXY_RULE_CALL},
        {"the outer leg is where it was", CARRIER, VIP,
         MESSAGE("CANCEL", "sip:bob@example.net", "p1", "", "p1", ""), "10.0.0.11:5060 from " VIP,
         NULL, 0, PROXY_RULE_CALL},
        {"a trunk's backend calls a user", GW1, VIP,
         "INVITE sip:carol@example.net SIP/2.0\nVia: SIP/2.0/UDP 10.0.1.1;branch=z9hG4bKx\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:carol@example.net>\nCall-ID: p2\n"
         "CSeq: 1 INVITE\n\n",
         "10.0.0.11:5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
        {"a request of a dialog that only the sender is known for is not for the sender", GW1, VIP,
         "INFO sip:carol@example.net SIP/2.0\nVia: SIP/2.0/UDP 10.0.1.1;branch=z9hG4bKy\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:carol@example.net>;tag=c\nCall-ID: p3\n"
         "CSeq: 2 INFO\n\n",
         "10.0.0.11:5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
    };

    assert_int_equal(pool_of(stage, CARRIER, VIP, INVITE("sip:004931@example.net", "p3")), TRUNKS);
    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

/* A call between backends of two pools is known, and over, in both. */
static void test_between_pools(void **state)
{
    struct stage *stage = trunk_stage(&(struct stage_conf){
        .health = {LB_UP, LB_DOWN, LB_DOWN, LB_DOWN}, .trunk_health = {LB_UP, LB_DOWN}});
    uint64_t started = 0, ended = 0;
    static const struct step steps[] = {
        {"INVITE", "10.0.0.11:5060", VIP, SPIRAL("q1"), GW1 " from " VIP,
         "INVITE sip:004930@example.net SIP/2.0\n"
         "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRANCH);tdm=$(TDM)\n"
         "Record-Route: <sip:$(TOKEN)@192.0.2.10:5060;lr>\n"
         "Via: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bKbq1\n"
         "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKq1\nMax-Forwards: 68\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: q1\n"
         "CSeq: 1 INVITE\n\n",
         0, PROXY_RULE_TABLE},
        {"200", GW1, VIP,
         "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRANCH);tdm=$(TDM)\n"
         "Via: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bKbq1\n"
         "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKq1\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b1\nCall-ID: q1\n"
         "CSeq: 1 INVITE\n\n",
         "10.0.0.11:5060 from " VIP, NULL, PROXY_FORWARDED_RESPONSE, 0},
        {"BYE of the callee", GW1, VIP,
         "BYE sip:alice@10.0.0.11 SIP/2.0\nVia: SIP/2.0/UDP 10.0.1.1;branch=z9hG4bKq2\n"
         "Route: <sip:$(TOKEN)@192.0.2.10:5060;lr>\n"
         "From: <sip:bob@example.net>;tag=b1\nTo: <sip:alice@example.org>;tag=a1\nCall-ID: q1\n"
         "CSeq: 2 BYE\n\n",
         "10.0.0.11:5060 from " VIP,
         "BYE sip:alice@10.0.0.11 SIP/2.0\n"
         "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRANCH2);tdm=$(TDM2)\nMax-Forwards: 70\n"
         "Via: SIP/2.0/UDP 10.0.1.1;branch=z9hG4bKq2\n"
         "From: <sip:bob@example.net>;tag=b1\nTo: <sip:alice@example.org>;tag=a1\nCall-ID: q1\n"
         "CSeq: 2 BYE\n\n",
         0, 0},
        {"its 200", "10.0.0.11:5060", VIP,
         "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(BRANCH2);tdm=$(TDM2)\n"
         "Via: SIP/2.0/UDP 10.0.1.1;branch=z9hG4bKq2\n"
         "From: <sip:bob@example.net>;tag=b1\nTo: <sip:alice@example.org>;tag=a1\nCall-ID: q1\n"
         "CSeq: 2 BYE\n\n",
         GW1 " from " VIP, NULL, PROXY_FORWARDED_RESPONSE, 0},
    };

    STAGE_PLAY(stage, steps);
    for (int i = 0; i < STAGE_SLOTS; i++) {
        started += stage->started[i];
        ended += stage->ended[i];
        assert_int_equal(stage->started[i], stage->ended[i]);
    }
    assert_int_equal(started, 2);
    assert_int_equal(ended, 2);
    stage_free(stage);
}

/* OPTIONS to us: 200 while any backend of any of the pools lives. */
static void test_options(void **state)
{
    for (uint8_t up = 0; up < 2; up++) {
        struct stage *stage =
            trunk_stage(&(struct stage_conf){.health = {LB_DOWN, LB_DOWN, LB_DOWN, LB_DOWN},
                                             .trunk_health = {LB_DOWN, up ? LB_UP : LB_DOWN}});

        stage_send(stage, CARRIER, VIP, MESSAGE("OPTIONS", "sip:192.0.2.10", "o1", "", "o1", ""));
        assert_int_equal(stage->output.reason,
                         up ? PROXY_REPLY_200_OPTIONS : PROXY_REPLY_503_NO_BACKEND);
        /* Another pool takes nobody's calls. */
        stage_send(stage, CARRIER, VIP, INVITE("sip:bob@example.net", "o2"));
        assert_int_equal(stage->output.reason, PROXY_REPLY_503_NO_BACKEND);
        stage_send(stage, CARRIER, VIP, INVITE("sip:004930@example.net", "o3"));
        assert_int_equal(stage->output.reason,
                         up ? PROXY_FORWARDED_REQUEST : PROXY_REPLY_503_NO_BACKEND);
        stage_free(stage);
    }
}

/* A rule may name the service's own pool: an exception from those after it. */
static void test_exception(void **state)
{
    static char except[] = "004980", rest[] = "0049";
    struct cfg_match matches[] = {{.prefix = except, .pool = proxies},
                                  {.prefix = rest, .pool = trunks}};
    struct stage *stage = stage_new(&(struct stage_conf){.matches = matches, .n_matches = 2});

    assert_int_equal(pool_of(stage, CARRIER, VIP, INVITE("sip:0049800@example.net", "e1")),
                     PROXIES);
    assert_int_equal(pool_of(stage, CARRIER, VIP, INVITE("sip:004930@example.net", "e2")), TRUNKS);
    assert_int_equal(snapshot_services(stage->snapshot)[0].pools.n, 2);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sources),       cmocka_unit_test(test_stun_source),
        cmocka_unit_test(test_match),         cmocka_unit_test(test_in_dialog),
        cmocka_unit_test(test_call),          cmocka_unit_test(test_share),
        cmocka_unit_test(test_replaces),      cmocka_unit_test(test_spiral),
        cmocka_unit_test(test_between_pools), cmocka_unit_test(test_options),
        cmocka_unit_test(test_exception),     cmocka_unit_test(test_reload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
