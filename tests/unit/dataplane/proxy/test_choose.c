/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that choose a backend, the table of states, and where a backend's requests go. A
 * case: the state of each backend, one request, its target, the rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "dataplane/proxy/token.h"
#include "tests/unit/dataplane/proxy/stage.h"

#define CALLER "203.0.113.5:5060"
#define VIP "192.0.2.10:5060"
#define REST(method, id, to_tag)                                                               \
    "Max-Forwards: 70\nFrom: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>" to_tag \
    "\nCall-ID: " id "\nCSeq: 1 " method "\nContent-Length: 0\n\n"
#define REQUEST(method, uri, headers, id, to_tag)                                            \
    method " " uri " SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n" headers REST( \
        method, id, to_tag)
#define BOB "sip:bob@example.net"

static const uint8_t only_2_up[STAGE_BACKENDS_MAX] = {LB_DOWN, LB_UP, LB_DOWN, LB_DOWN};

static void set_token_at(struct stage *stage, const char *name, const char *backend, uint16_t port,
                         const char *peer, uint16_t peer_port, uint16_t local_port)
{
    struct proxy_token token;
    char text[PROXY_TOKEN_TEXT_MAX + 1];

    memset(&token, 0, sizeof(token));
    token.flow.transport = SIP_TRANSPORT_UDP;
    assert_int_equal(sip_ip_parse(sip_slice_of("192.0.2.10"), &token.flow.local.ip), 0);
    token.flow.local.port = local_port;
    assert_int_equal(sip_ip_parse(sip_slice_of(peer), &token.flow.peer.ip), 0);
    token.flow.peer.port = peer_port;
    if (backend != NULL)
        token.backend = snapshot_backend_id(sip_slice_of("proxies"), sip_slice_of(backend));
    token.backend_port = port;
    text[proxy_token_print(stage->snapshot, &token, text)] = '\0';
    stage_set(stage, name, text);
}

static struct stage *stage_with_tokens(const struct stage_conf *conf)
{
    struct stage *stage = stage_new(conf);

    set_token_at(stage, "T1", "kam1", 5060, "203.0.113.5", 5060, 5060);
    set_token_at(stage, "T1P", "kam1", 7777, "203.0.113.5", 5060, 5060);
    set_token_at(stage, "TX", "gone", 5060, "203.0.113.5", 5060, 5060);
    set_token_at(stage, "PATH", NULL, 0, "203.0.113.5", 6000, 5060);
    set_token_at(stage, "GONE", "kam1", 5060, "203.0.113.5", 5060, 5999);
    return stage;
}

#define ROUTE_T1 "Route: <sip:$(T1)@192.0.2.10:5060;lr>\n"

/* Everybody up unless the case says otherwise; the call table is empty. */
static const struct step inward[] = {
    {"rule 2: next Route", CALLER, VIP,
     REQUEST("BYE", BOB, ROUTE_T1 "Route: <sip:10.0.0.12;lr>\n", "i", ";tag=b"),
     "10.0.0.12:5060 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
    {"rule 2: one of ports:", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:10.0.0.11:5080;lr>\n", "i", ";tag=b"),
     "10.0.0.11:5080 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
    {"rule 2: the token's port", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:$(T1P)@192.0.2.10:5060;lr>\nRoute: <sip:10.0.0.11:7777;lr>\n",
             "i", ";tag=b"),
     "10.0.0.11:7777 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
    {"not rule 2: another port of a backend's address", CALLER, VIP,
     REQUEST("BYE", BOB, ROUTE_T1 "Route: <sip:10.0.0.12:7777;lr>\n", "i", ";tag=b"),
     "10.0.0.11:5060 from " VIP, NULL, 0, PROXY_RULE_TOKEN},
    {"rule 2: Request-URI in a dialog", CALLER, VIP,
     REQUEST("BYE", "sip:bob@10.0.0.13:5060", ROUTE_T1, "i", ";tag=b"), "10.0.0.13:5060 from " VIP,
     NULL, 0, PROXY_RULE_ROUTE},
    {"not rule 2: Request-URI out of a dialog", CALLER, VIP,
     REQUEST("MESSAGE", "sip:bob@10.0.0.13:5060", ROUTE_T1, "i0", ""), "10.0.0.11:5060 from " VIP,
     NULL, 0, PROXY_RULE_TOKEN},
    {"not rule 2: a backend of another service", CALLER, VIP,
     REQUEST("BYE", "sip:bob@10.0.9.1:5060", ROUTE_T1, "i", ";tag=b"), "10.0.0.11:5060 from " VIP,
     NULL, 0, PROXY_RULE_TOKEN},
    {"rule 3: the token's port", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:$(T1P)@192.0.2.10:5060;lr>\n", "i", ";tag=b"),
     "10.0.0.11:7777 from " VIP, NULL, 0, PROXY_RULE_TOKEN},
    {"a token of a backend that is gone: on to the table", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:$(TX)@192.0.2.10:5060;lr>\n", "i", ";tag=b"),
     "$(B1):5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
    {"a token in another listener's address of the service", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:$(T1)@192.0.2.10:5070;lr>\n", "i", ";tag=b"),
     "10.0.0.11:5060 from " VIP, NULL, 0, PROXY_RULE_TOKEN},
    {"a token in another service's address is no Route of ours", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:$(T1)@192.0.2.20:5060;lr>\n", "i", ";tag=b"),
     "$(B1):5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
    {"our address without a token before the Route set (an outbound proxy)", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:192.0.2.10;lr>, <sip:$(T1)@192.0.2.10:5060;lr>\n", "i",
             ";tag=b"),
     "10.0.0.11:5060 from " VIP,
     "BYE " BOB " SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(x1);tdm=$(x2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n"
     "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b\n"
     "Call-ID: i\nCSeq: 1 BYE\nContent-Length: 0\n\n",
     0, PROXY_RULE_TOKEN},
    {"exactly one token is popped", CALLER, VIP,
     REQUEST("BYE", BOB, ROUTE_T1 "Route: <sip:$(PATH)@192.0.2.10:5060;lr>\n", "i", ";tag=b"),
     "10.0.0.11:5060 from " VIP,
     "BYE " BOB " SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(x1);tdm=$(x2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\nRoute: <sip:$(PATH)@192.0.2.10:5060;lr>\n"
     "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b\n"
     "Call-ID: i\nCSeq: 1 BYE\nContent-Length: 0\n\n",
     0, PROXY_RULE_TOKEN},
    {"a foreign Route stays, and the table chooses", CALLER, VIP,
     REQUEST("MESSAGE", BOB, "Route: <sip:203.0.113.99;lr>\n", "i2", ""), "$(B2):5060 from " VIP,
     "MESSAGE " BOB " SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(y1);tdm=$(y2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\nRoute: <sip:203.0.113.99;lr>\n"
     "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>\n"
     "Call-ID: i2\nCSeq: 1 MESSAGE\nContent-Length: 0\n\n",
     0, PROXY_RULE_TABLE},
    {"tel: goes to the table", CALLER, VIP, REQUEST("MESSAGE", "tel:+15551234", "", "i3", ""),
     "$(B3):5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
    {"a backend's address that is not believed is outside", "!10.0.0.11:5060", VIP,
     REQUEST("MESSAGE", "sip:bob@198.51.100.1", "", "i4", ""), "$(B4):5060 from " VIP, NULL, 0,
     PROXY_RULE_TABLE},
    {"a backend of another service is outside", "10.0.9.1:5060", VIP,
     REQUEST("MESSAGE", "sip:bob@198.51.100.1", "", "i5", ""), "$(B5):5060 from " VIP, NULL, 0,
     PROXY_RULE_TABLE},
    {"tampered token", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:$(T1)A@192.0.2.10:5060;lr>\n", "i", ";tag=b"),
     CALLER " from " VIP, NULL, PROXY_REPLY_403_TOKEN, 0},
    {"tampered token, behind our address", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:192.0.2.10;lr>, <sip:t1.x@192.0.2.10:5060;lr>\n", "i",
             ";tag=b"),
     CALLER " from " VIP, NULL, PROXY_REPLY_403_TOKEN, 0},
    {"tampered token in an ACK", CALLER, VIP,
     REQUEST("ACK", BOB, "Route: <sip:$(T1)A@192.0.2.10:5060;lr>\n", "i", ";tag=b"), "drop_ack",
     NULL, 0, 0},
    {"strict router before us: Request-URI repaired from the last Route", CALLER, VIP,
     REQUEST("BYE", "sip:$(T1)@192.0.2.10:5060;lr",
             "Route: <sip:10.0.0.12;lr>, <sip:bob@198.51.100.1:5062>\n", "i", ";tag=b"),
     "10.0.0.12:5060 from " VIP,
     "BYE sip:bob@198.51.100.1:5062 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(z1);tdm=$(z2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\nRoute: <sip:10.0.0.12;lr>\n"
     "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b\n"
     "Call-ID: i\nCSeq: 1 BYE\nContent-Length: 0\n\n",
     0, PROXY_RULE_ROUTE},
    {"a user whose name begins as tokens do", CALLER, VIP,
     REQUEST("MESSAGE", "sip:t1.bob@example.net", "", "i6", ""), "$(B6):5060 from " VIP, NULL, 0,
     PROXY_RULE_TABLE},
    {"strict router before us: tampered token", CALLER, VIP,
     REQUEST("BYE", "sip:$(T1)A@192.0.2.10:5060;lr", "Route: <sip:bob@198.51.100.1:5062>\n", "i",
             ";tag=b"),
     CALLER " from " VIP, NULL, PROXY_REPLY_403_TOKEN, 0},
    {"strict router before us: only the Request-URI was left", CALLER, VIP,
     REQUEST("BYE", "sip:$(T1)@192.0.2.10:5060;lr", "Route: <sip:bob@198.51.100.1:5062>\n", "i",
             ";tag=b"),
     "10.0.0.11:5060 from " VIP,
     "BYE sip:bob@198.51.100.1:5062 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(v1);tdm=$(v2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n"
     "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b\n"
     "Call-ID: i\nCSeq: 1 BYE\nContent-Length: 0\n\n",
     0, PROXY_RULE_TOKEN},
    {"strict router after us (§16.6 step 6)", CALLER, VIP,
     REQUEST("BYE", BOB, "Route: <sip:10.0.0.12>, <sip:203.0.113.99;lr>\n", "i", ";tag=b"),
     "10.0.0.12:5060 from " VIP,
     "BYE sip:10.0.0.12 SIP/2.0\n"
     "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=$(w1);tdm=$(w2)\n"
     "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\nRoute: <sip:203.0.113.99;lr>\n"
     "Route: <" BOB ">\n"
     "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b\n"
     "Call-ID: i\nCSeq: 1 BYE\nContent-Length: 0\n\n",
     0, PROXY_RULE_ROUTE},
};

static void test_inward(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_with_tokens(&conf);

    STAGE_PLAY(stage, inward);
    stage_free(stage);
}

static const struct step outward[] = {
    {"Request-URI's address", "10.0.0.12:5060", VIP,
     REQUEST("INVITE", "sip:x@198.51.100.1:5062", "", "o1", ""), "198.51.100.1:5062 from " VIP,
     NULL, 0, PROXY_RULE_NEXT_HOP},
    {"in-dialog request of the peer, no Route set: where the backend is that began it", CALLER, VIP,
     REQUEST("BYE", BOB, "", "o1", ";tag=b"), "10.0.0.12:5060 from " VIP, NULL, 0, PROXY_RULE_CALL},
    {"next Route before the Request-URI", "10.0.0.12:5060", VIP,
     REQUEST("INVITE", "sip:x@198.51.100.1:5062", "Route: <sip:203.0.113.9;lr>\n", "o2", ""),
     "203.0.113.9:5060 from " VIP, NULL, 0, PROXY_RULE_NEXT_HOP},
    {"our address as outbound proxy is popped", "10.0.0.12:5060", VIP,
     REQUEST("INVITE", "sip:x@198.51.100.1:5062", "Route: <sip:192.0.2.10;lr>\n", "o3", ""),
     "198.51.100.1:5062 from " VIP, NULL, 0, PROXY_RULE_NEXT_HOP},
    {"to IPv6", "10.0.0.12:5060", VIP, REQUEST("INVITE", "sip:x@[2001:db8::99]", "", "o4", ""),
     "[2001:db8::99]:5060 from [2001:db8:5::10]:5060", NULL, 0, PROXY_RULE_NEXT_HOP},
    {"the Path token's flow", "10.0.0.12:5060", VIP,
     REQUEST("INVITE", "sip:x@192.168.0.1", "Route: <sip:$(PATH)@192.0.2.10:5060;lr>\n", "o5", ""),
     "203.0.113.5:6000 from " VIP, NULL, 0, PROXY_RULE_FLOW},
    {"a token whose local address is ours no more", "10.0.0.12:5060", VIP,
     REQUEST("INVITE", "sip:x@192.168.0.1", "Route: <sip:$(GONE)@192.0.2.10:5060;lr>\n", "o6", ""),
     "10.0.0.12:5060 from " VIP, NULL, PROXY_REPLY_430_FLOW, 0},
    {"a name is handed to control", "10.0.0.12:5060", VIP,
     REQUEST("INVITE", "sip:x@example.com", "", "o7", ""), "punt_name", NULL, 0, 0},
    {"tel: has no next hop", "10.0.0.12:5060", VIP, REQUEST("INVITE", "tel:+1555", "", "o8", ""),
     "10.0.0.12:5060 from " VIP, NULL, PROXY_REPLY_404_NO_ROUTE, 0},
    {"sips: must not leave by UDP", "10.0.0.12:5060", VIP,
     REQUEST("INVITE", "sips:x@198.51.100.1", "", "o9", ""), "10.0.0.12:5060 from " VIP, NULL,
     PROXY_REPLY_404_NO_ROUTE, 0},
    {"a spiral to the virtual address", "10.0.0.12:5060", VIP,
     REQUEST("MESSAGE", "sip:x@192.0.2.10:5070", "", "o10", ""), "$(B):5060 from " VIP, NULL, 0,
     PROXY_RULE_TABLE},
};

static void test_outward(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_with_tokens(&conf);

    STAGE_PLAY(stage, outward);
    stage_free(stage);
}

/* ---- states ---- */

struct state_case {
    const char *name;
    uint8_t admin, health; /* of the backend that has the call */
    enum lb_share share;
    /* Does it get: the first INVITE again; another request with the Call-ID; CANCEL; a BYE by the
     * table; a BYE by its Route. N: no, another does; R: 503. */
    const char *gets;
};

static const struct state_case states[] = {
    {"up", LB_UP, LB_UP, LB_SHARE_NONE, "YYYYY"},
    {"busy", LB_UP, LB_BUSY, LB_SHARE_NONE, "YNYYY"},
    {"draining", LB_DRAINING, LB_UP, LB_SHARE_NONE, "YNYYY"},
    {"disabled", LB_DISABLED, LB_UP, LB_SHARE_NONE, "NNNRR"},
    {"down", LB_UP, LB_DOWN, LB_SHARE_NONE, "NNNRR"},
    {"down, shared dialogs", LB_UP, LB_DOWN, LB_SHARE_DIALOGS, "NNNNN"},
    {"draining, but down", LB_DRAINING, LB_DOWN, LB_SHARE_NONE, "NNNRR"},
};

static const char *const state_requests[] = {
    REQUEST("INVITE", BOB, "", "$(ID)", ""),
    "MESSAGE " BOB
    " SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-other\n" REST("MESSAGE", "$(ID)", ""),
    REQUEST("CANCEL", BOB, "", "$(ID)", ""),
    REQUEST("BYE", BOB, "", "$(ID)", ";tag=b"),
    REQUEST("BYE", BOB, "Route: <sip:$(BACKEND):5060;lr>\n", "$(ID)", ";tag=b"),
};

static int32_t begin_call(struct stage *stage, uint32_t i)
{
    char id[16], ip[SIP_IP_TEXT_MAX + 1];
    const struct lb_backend *b;

    snprintf(id, sizeof(id), "s-%u", i);
    stage_set(stage, "ID", id);
    stage_send(stage, CALLER, VIP, state_requests[0]);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    b = &snapshot_backends(stage->snapshot)[stage->output.backend];
    ip[sip_ip_print(&b->ip, ip)] = '\0';
    stage_set(stage, "BACKEND", ip);
    return stage->output.backend;
}

static void check_state(const struct state_case *c, uint32_t i)
{
    struct stage_conf conf = {.share = c->share};
    struct stage *stage = stage_new(&conf);
    int32_t backend = begin_call(stage, i);
    char is = 'R';

    conf.admin[backend] = c->admin;
    conf.health[backend] = c->health;
    stage_reload(stage, &conf);
    stage_send(stage, CALLER, VIP, state_requests[i]);
    if (stage->output.verdict == PROXY_FORWARD)
        is = stage->output.backend == backend ? 'Y' : 'N';
    if (is != c->gets[i])
        fail_msg("%s, request %u: %c, not %c", c->name, i, is, c->gets[i]);
    /* New calls come to an up backend only. */
    if (is == 'N')
        assert_int_equal(snapshot_backends(stage->snapshot)[stage->output.backend].state, LB_UP);
    if (is == 'R')
        assert_int_equal(stage->output.reason, PROXY_REPLY_503_NO_BACKEND);
    stage_free(stage);
}

static void test_states(void **state)
{
    for (size_t c = 0; c < sizeof(states) / sizeof(states[0]); c++) {
        for (uint32_t i = 0; i < 5; i++)
            check_state(&states[c], i);
    }
}

/* `share: dialogs`: the chosen backend's address in the place of the dead one's, in both its
 * Routes. */
static void test_shared_dialogs(void **state)
{
    static const struct step steps[] = {
        {"BYE", CALLER, VIP,
         REQUEST("BYE", BOB,
                 ROUTE_T1
                 "Route: <sip:10.0.0.11;r2=on;lr>, <sip:x@10.0.0.11:5080;r2=on;lr>, <sip:y@z;lr>\n",
                 "d", ";tag=b"),
         "10.0.0.12:5060 from " VIP,
         "BYE " BOB " SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(x1);tdm=$(x2)\n"
         "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n"
         "Route: <sip:10.0.0.12:5060;r2=on;lr>, <sip:x@10.0.0.12:5060;r2=on;lr>, <sip:y@z;lr>\n"
         "Max-Forwards: 69\nFrom: <sip:alice@example.org>;tag=a1\n"
         "To: <sip:bob@example.net>;tag=b\nCall-ID: d\nCSeq: 1 BYE\nContent-Length: 0\n\n",
         0, PROXY_RULE_TABLE},
        {"an end's own address is not replaced", CALLER, VIP,
         REQUEST("BYE", "sip:10.0.0.11", ROUTE_T1, "d", ";tag=b"), CALLER " from " VIP, NULL,
         PROXY_REPLY_503_NO_BACKEND, 0},
    };
    struct stage_conf conf = {.share = LB_SHARE_DIALOGS};
    struct stage *stage;

    memcpy(conf.health, only_2_up, sizeof(only_2_up));
    stage = stage_with_tokens(&conf);
    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

/* ---- rule 5 ---- */

static void test_related(void **state)
{
    static const char *const named[] = {
        "Replaces: o1 ;to-tag=x;from-tag=y\n",
        "Join: o1;to-tag=x;from-tag=y\n",
        "Target-Dialog: o1;local-tag=x;remote-tag=y\n",
        "Refer-To: <sip:x@y?a=b&Replaces=%6f1%3Bto-tag%3Dx%3Bfrom-tag%3Dy>\n",
    };
    static const struct step begin[] = {
        {"a call that 10.0.0.12 began", "10.0.0.12:5060", VIP,
         REQUEST("INVITE", "sip:x@198.51.100.1:5062", "", "o1", ""), "198.51.100.1:5062 from " VIP,
         NULL, 0, PROXY_RULE_NEXT_HOP},
    };
    static const char request[] =
        "REFER " BOB " SIP/2.0\n"
        "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n$(NAMED)" REST("REFER", "$(ID)", "");
    struct stage_conf conf = {0};

    /* Known: its backend. Unknown: the hash of the named Call-ID, whatever the own one is. */
    for (int i = 0; i < 8; i++) {
        struct stage *stage = stage_new(&conf);
        int32_t backend = -1;

        stage_set(stage, "NAMED", "");
        if (i < 4) {
            STAGE_PLAY(stage, begin);
            backend = 1;
        } else {
            stage_set(stage, "ID", "o1");
            stage_send(stage, CALLER, VIP, request);
            backend = stage->output.backend;
            stage_free(stage);
            stage = stage_new(&conf);
        }
        for (int own = 0; own < 6; own++) {
            char id[16], lines[256];
            size_t length = 0;

            snprintf(id, sizeof(id), "own-%d", own);
            stage_set(stage, "ID", id);
            /* The template makes CRLF of its own \n only. */
            length = (size_t)snprintf(lines, sizeof(lines), "%s", named[i % 4]);
            memcpy(lines + length - 1, "\r\n", 3);
            stage_set(stage, "NAMED", lines);
            stage_send(stage, CALLER, VIP, request);
            assert_int_equal(stage->output.verdict, PROXY_FORWARD);
            assert_int_equal(stage->output.rule, PROXY_RULE_REPLACES);
            assert_int_equal(stage->output.backend, backend);
        }
        stage_free(stage);
    }
}

/* ---- rule 6's keys ---- */

struct key_case {
    const char *name;
    enum lb_key_kind kind;
    const char *a, *b; /* two requests that must meet at one backend */
    const char *from_a, *from_b;
};

#define KEYED(method, uri, from, to, id, more)                                                  \
    method " " uri " SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK" id "\nFrom: " from "\nTo: " to \
           "\nCall-ID: " id "$(N)\nCSeq: 1 " method "\n" more "\n"

static const struct key_case keys[] = {
    {"call-id", LB_KEY_CALL_ID, KEYED("INVITE", "sip:a@h", "<sip:f@h>;tag=1", "<sip:t@h>", "i", ""),
     KEYED("INVITE", "sip:b@h", "<sip:g@h>;tag=2", "<sip:u@h>", "i", ""), "1.1.1.1:1", "1.1.1.2:1"},
    {"from: no port, parameter, tag; host in any case", LB_KEY_FROM,
     KEYED("INVITE", "sip:a@h", "<sip:f$(N)@Host:5060;x=y>;tag=1", "<sip:t@h>", "i", ""),
     KEYED("MESSAGE", "sip:b@h", "\"F\" <sip:f$(N)@hOST>;tag=2", "<sip:u@h>", "j", ""), "1.1.1.1:1",
     "1.1.1.2:1"},
    {"to", LB_KEY_TO, KEYED("INVITE", "sip:a@h", "<sip:f@h>;tag=1", "<sip:t$(N)@h>", "i", ""),
     KEYED("MESSAGE", "sip:b@h", "<sip:g@h>;tag=2", "<sip:t$(N)@H:9>", "j", ""), "1.1.1.1:1",
     "1.1.1.2:1"},
    {"ruri", LB_KEY_RURI, KEYED("INVITE", "sip:a$(N)@h", "<sip:f@h>;tag=1", "<sip:t@h>", "i", ""),
     KEYED("MESSAGE", "sip:a$(N)@H;p", "<sip:g@h>;tag=2", "<sip:u@h>", "j", ""), "1.1.1.1:1",
     "1.1.1.2:1"},
    {"source: the address, not the port", LB_KEY_SOURCE,
     KEYED("INVITE", "sip:a@h", "<sip:f@h>;tag=1", "<sip:t@h>", "i", ""),
     KEYED("MESSAGE", "sip:b@h", "<sip:g@h>;tag=2", "<sip:u@h>", "j", ""), "1.1.1.$(N):1",
     "1.1.1.$(N):2"},
    {"aor: To of REGISTER is Request-URI of INVITE", LB_KEY_AOR,
     KEYED("REGISTER", "sip:h", "<sip:f@h>;tag=1", "<sip:t$(N)@h>", "i", ""),
     KEYED("INVITE", "sip:t$(N)@h", "<sip:g@h>;tag=2", "<sip:u@h>", "j", ""), "1.1.1.1:1",
     "1.1.1.2:1"},
    {"header", LB_KEY_HEADER,
     KEYED("INVITE", "sip:a@h", "<sip:f@h>;tag=1", "<sip:t@h>", "i", "X-Key: k$(N)\n"),
     KEYED("MESSAGE", "sip:b@h", "<sip:g@h>;tag=2", "<sip:u@h>", "j", "x-key:k$(N)\n"), "1.1.1.1:1",
     "1.1.1.2:1"},
};

/* Over many values: the two always meet, and not always at the same backend. */
static void check_key(const struct key_case *c)
{
    struct stage_conf conf = {.key = c->kind, .key_header = "X-Key"};
    struct stage *stage = stage_new(&conf);
    int32_t first = LB_NO_BACKEND;
    bool spread = false;

    for (int n = 1; n <= 40; n++) {
        char text[16], a[32], b[32];
        int32_t backend;

        snprintf(text, sizeof(text), "%d", n);
        stage_set(stage, "N", text);
        snprintf(a, sizeof(a), c->kind == LB_KEY_SOURCE ? "1.1.1.%d:1" : "1.1.1.1:1", n);
        snprintf(b, sizeof(b), c->kind == LB_KEY_SOURCE ? "1.1.1.%d:2" : "1.1.1.2:1", n);
        stage_send(stage, a, VIP, c->a);
        backend = stage->output.backend;
        assert_int_equal(stage->output.rule, PROXY_RULE_TABLE);
        stage_send(stage, b, VIP, c->b);
        if (stage->output.backend != backend)
            fail_msg("%s: %d at %d and %d", c->name, n, backend, stage->output.backend);
        spread = spread || (first >= 0 && backend != first);
        first = backend;
    }
    if (!spread)
        fail_msg("%s: all at one backend", c->name);
    stage_free(stage);
}

static void test_keys(void **state)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        check_key(&keys[i]);
}

/* No backend takes new calls (rule 7). */
static void test_nobody(void **state)
{
    static const struct step steps[] = {
        {"503", CALLER, VIP, REQUEST("INVITE", BOB, "", "n", ""), CALLER " from " VIP,
         "SIP/2.0 503 Service Unavailable\n"
         "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=$(TAG)\n"
         "Call-ID: n\nCSeq: 1 INVITE\nRetry-After: 5\nContent-Length: 0\n\n",
         PROXY_REPLY_503_NO_BACKEND, 0},
        {"503 again, the same tag", CALLER, VIP, REQUEST("INVITE", BOB, "", "n", ""),
         CALLER " from " VIP,
         "SIP/2.0 503 Service Unavailable\n"
         "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n"
         "From: <sip:alice@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=$(TAG)\n"
         "Call-ID: n\nCSeq: 1 INVITE\nRetry-After: 5\nContent-Length: 0\n\n",
         PROXY_REPLY_503_NO_BACKEND, 0},
        {"its ACK is absorbed", CALLER, VIP, REQUEST("ACK", BOB, "", "n", ";tag=$(TAG)"),
         "drop_ack", NULL, 0, 0},
    };
    static const struct step back[] = {
        {"its ACK is absorbed when backends are back, too", CALLER, VIP,
         REQUEST("ACK", BOB, "", "n", ";tag=$(TAG)"), "drop_ack", NULL, 0, 0},
        {"another ACK is not", CALLER, VIP, REQUEST("ACK", BOB, "", "n", ";tag=0123456789abcdef"),
         "$(B):5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
    };
    struct stage_conf conf = {.health = {LB_DOWN, LB_BUSY, LB_DOWN, LB_DOWN}}, up = {0};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, steps);
    stage_reload(stage, &up);
    STAGE_PLAY(stage, back);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inward),  cmocka_unit_test(test_outward),
        cmocka_unit_test(test_states),  cmocka_unit_test(test_shared_dialogs),
        cmocka_unit_test(test_related), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
