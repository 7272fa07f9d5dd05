/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps a transaction together when a Route, a token or the table of backends says something
 * else: the state table of DESIGN section 3 for requests without a To-tag that name a backend, and
 * the CANCEL and ACK that follow them.
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
#define BOB "sip:bob@example.net"
#define SERVICE_ROUTE "Route: <sip:orig@10.0.0.11:5080;lr>, <sip:x@203.0.113.9;lr>\n"
#define OUTER "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\n"
#define INNER "Via: SIP/2.0/UDP $(B);branch=z9hG4bK-in\n"
#define MESSAGE(method, uri, headers, to_tag)                                                    \
    method " " uri " SIP/2.0\n" headers                                                          \
           "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>" to_tag "\nCall-ID: p\n" \
           "CSeq: 1 " method "\n\n"

/* The INVITE with SERVICE_ROUTE as 10.0.0.12 gets it in 10.0.0.11's place. */
#define MOVED                                                                         \
    "INVITE " BOB " SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=$(b);tdm=$(m)\n" \
    "Record-Route: <sip:$(RR)@192.0.2.10:5060;lr>\nMax-Forwards: 70\n" OUTER          \
    "Route: <sip:orig@10.0.0.12:5060;lr>, <sip:x@203.0.113.9;lr>\n"                   \
    "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: p\n"       \
    "CSeq: 1 INVITE\n\n"

static const struct stage_conf all_up = {0};

/* A state in which the named backend, 10.0.0.11, takes no new calls; only 10.0.0.12 does. */
struct unwilling {
    const char *name;
    uint8_t admin, health;
    enum lb_share share;
};

static const struct unwilling unwilling[] = {
    {"busy", LB_UP, LB_BUSY, LB_SHARE_NONE},
    {"draining", LB_DRAINING, LB_UP, LB_SHARE_NONE},
    {"disabled", LB_DISABLED, LB_UP, LB_SHARE_NONE},
    {"down", LB_UP, LB_DOWN, LB_SHARE_NONE},
    {"draining, shared dialogs", LB_DRAINING, LB_UP, LB_SHARE_DIALOGS},
};

static struct stage_conf conf_of(const struct unwilling *u)
{
    return (struct stage_conf){
        .share = u->share, .admin = {u->admin}, .health = {u->health, LB_UP, LB_BUSY, LB_BUSY}};
}

/*
 * A Service-Route names a backend that takes no new calls: the call begins at another, which finds
 * its own address in the Route. The rest of the transaction goes the same way, also when the named
 * backend is back meanwhile.
 */
static void test_service_route(void **state)
{
    static const struct step begin[] = {
        {"INVITE", CALLER, VIP, MESSAGE("INVITE", BOB, OUTER SERVICE_ROUTE, ""),
         "10.0.0.12:5060 from " VIP, MOVED, 0, PROXY_RULE_TABLE},
    };
    static const struct step rest[] = {
        {"INVITE again", CALLER, VIP, MESSAGE("INVITE", BOB, OUTER SERVICE_ROUTE, ""),
         "10.0.0.12:5060 from " VIP, MOVED, 0, PROXY_RULE_CALL},
        {"CANCEL", CALLER, VIP, MESSAGE("CANCEL", BOB, OUTER SERVICE_ROUTE, ""),
         "10.0.0.12:5060 from " VIP, NULL, 0, PROXY_RULE_CALL},
        {"ACK to its failure", CALLER, VIP, MESSAGE("ACK", BOB, OUTER SERVICE_ROUTE, ";tag=b"),
         "10.0.0.12:5060 from " VIP, NULL, 0, PROXY_RULE_CALL},
    };

    for (size_t i = 0; i < sizeof(unwilling) / sizeof(unwilling[0]); i++) {
        struct stage_conf conf = conf_of(&unwilling[i]);
        struct stage *stage = stage_new(&conf);

        STAGE_PLAY(stage, begin);
        STAGE_PLAY(stage, rest);
        stage_reload(stage, &all_up);
        STAGE_PLAY(stage, rest);
        stage_free(stage);
    }
}

/* The same Route, and the call began at the named backend before it stopped taking new ones. */
static void test_begun_before(void **state)
{
    static const struct step begin[] = {
        {"INVITE", CALLER, VIP, MESSAGE("INVITE", BOB, OUTER SERVICE_ROUTE, ""),
         "10.0.0.11:5080 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
    };
    static const struct step rest[] = {
        {"INVITE again", CALLER, VIP, MESSAGE("INVITE", BOB, OUTER SERVICE_ROUTE, ""),
         "10.0.0.11:5080 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
        {"CANCEL", CALLER, VIP, MESSAGE("CANCEL", BOB, OUTER SERVICE_ROUTE, ""),
         "10.0.0.11:5080 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
        {"ACK to its failure", CALLER, VIP, MESSAGE("ACK", BOB, OUTER SERVICE_ROUTE, ";tag=b"),
         "10.0.0.11:5080 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
        {"a request of its dialog", CALLER, VIP,
         MESSAGE("INFO", BOB, "Via: SIP/2.0/UDP h;branch=z9hG4bK-9\n" SERVICE_ROUTE, ";tag=b"),
         "10.0.0.11:5080 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
        {"something new", CALLER, VIP,
         MESSAGE("MESSAGE", BOB, "Via: SIP/2.0/UDP h;branch=z9hG4bK-8\n" SERVICE_ROUTE, ""),
         "10.0.0.12:5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
    };

    for (size_t i = 0; i < 2; i++) { /* busy, draining */
        struct stage_conf conf = conf_of(&unwilling[i]);
        struct stage *stage = stage_new(&all_up);

        STAGE_PLAY(stage, begin);
        stage_reload(stage, &conf);
        STAGE_PLAY(stage, rest);
        stage_free(stage);
    }
}

/* CANCEL alone, of an INVITE that the table forgot: where its Route says, while that one lives. */
static void test_cancel_of_a_forgotten_call(void **state)
{
    static const struct step steps[] = {
        {"CANCEL", CALLER, VIP, MESSAGE("CANCEL", BOB, OUTER SERVICE_ROUTE, ""),
         "10.0.0.11:5080 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
    };
    struct stage_conf conf = conf_of(&unwilling[1]);
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

/* A token in a request without a To-tag (a Route preloaded by hand). */
static void test_token_of_an_unwilling_backend(void **state)
{
    static const struct step steps[] = {
        {"new", CALLER, VIP, MESSAGE("MESSAGE", BOB, OUTER "Route: <sip:$(T)@192.0.2.10;lr>\n", ""),
         "10.0.0.12:5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
    };
    for (size_t i = 0; i < sizeof(unwilling) / sizeof(unwilling[0]); i++) {
        struct stage_conf conf = conf_of(&unwilling[i]);
        struct stage *stage = stage_new(&conf);
        char text[PROXY_TOKEN_TEXT_MAX + 1];
        struct proxy_token token;

        memset(&token, 0, sizeof(token));
        token.flow.transport = SIP_TRANSPORT_UDP;
        token.backend = snapshot_backend_id(sip_slice_of("proxies"), sip_slice_of("kam1"));
        text[proxy_token_print(stage->snapshot, &token, text)] = '\0';
        stage_set(stage, "T", text);
        STAGE_PLAY(stage, steps);
        stage_free(stage);
    }
}

/*
 * An INVITE without a To-tag goes by the table, whatever address its Request-URI has; the ACK to
 * its failure has a To-tag and the same Request-URI, and must follow it.
 */
static void test_ack_follows_its_invite(void **state)
{
    static const struct step steps[] = {
        {"INVITE", CALLER, VIP, MESSAGE("INVITE", "sip:bob@10.0.0.11", OUTER, ""),
         "10.0.0.12:5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
        {"ACK", CALLER, VIP, MESSAGE("ACK", "sip:bob@10.0.0.11", OUTER, ";tag=b"),
         "10.0.0.12:5060 from " VIP, NULL, 0, PROXY_RULE_CALL},
        {"ACK to a 2xx is a transaction of its own", CALLER, VIP,
         MESSAGE("ACK", "sip:bob@10.0.0.11", "Via: SIP/2.0/UDP h;branch=z9hG4bK-2\n", ";tag=b"),
         "10.0.0.11:5060 from " VIP, NULL, 0, PROXY_RULE_ROUTE},
    };
    struct stage_conf conf = {.health = {LB_BUSY, LB_UP, LB_BUSY, LB_BUSY}};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

/* A draining backend sends its call back through us: CANCEL and ACK of that leg follow the leg. */
static void test_cancel_of_a_spiral(void **state)
{
    static const struct step begin[] = {
        {"INVITE", CALLER, VIP, MESSAGE("INVITE", BOB, OUTER, ""), "$(B):5060 from " VIP, NULL, 0,
         PROXY_RULE_TABLE},
    };
    static const struct step rest[] = {
        {"INVITE back through us", "$(B):5060", VIP, MESSAGE("INVITE", BOB, INNER OUTER, ""),
         "$(OTHER):5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
        {"its CANCEL", "$(B):5060", VIP, MESSAGE("CANCEL", BOB, INNER OUTER, ""),
         "$(OTHER):5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
        {"its ACK", "$(B):5060", VIP, MESSAGE("ACK", BOB, INNER OUTER, ";tag=b"),
         "$(OTHER):5060 from " VIP, NULL, 0, PROXY_RULE_TABLE},
        {"the caller's CANCEL", CALLER, VIP, MESSAGE("CANCEL", BOB, OUTER, ""),
         "$(B):5060 from " VIP, NULL, 0, PROXY_RULE_CALL},
    };
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, begin);
    conf.admin[stage->output.backend] = LB_DRAINING;
    stage_reload(stage, &conf);
    STAGE_PLAY(stage, rest);
    assert_string_not_equal(stage_get(stage, "B"), stage_get(stage, "OTHER"));
    stage_free(stage);
}

/*
 * Where the key is not the Call-ID, backends differ in whom they know: a call that one forwards to
 * another user of the domain goes to that user's backend, not back to the one that has the Call-ID.
 */
static void test_spiral_by_another_key(void **state)
{
    static const char invite[] = MESSAGE("INVITE", "sip:$(USER)@example.net", "$(VIAS)", "");
    struct stage_conf conf = {.key = LB_KEY_AOR};
    bool moved = false;

    for (int user = 0; user < 20; user++) {
        struct stage *stage = stage_new(&conf);
        char name[16], direct[32], spiral[32];

        snprintf(name, sizeof(name), "u%d", user);
        stage_set(stage, "VIAS", "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\r\n");
        stage_set(stage, "USER", name);
        stage_send(stage, CALLER, VIP, invite);
        direct[sip_addr_print(&stage->output.to.peer, direct)] = '\0';
        stage_free(stage);
        stage = stage_new(&conf);
        stage_set(stage, "VIAS", "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK-1\r\n");
        stage_set(stage, "USER", "first");
        stage_send(stage, CALLER, VIP, invite);
        spiral[sip_addr_print(&stage->output.to.peer, spiral)] = '\0';
        moved = moved || strcmp(spiral, direct) != 0;
        stage_set(stage, "USER", name);
        stage_set(stage, "VIAS", "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK-2\r\n");
        stage_send(stage, spiral, VIP, invite);
        assert_int_equal(stage->output.verdict, PROXY_FORWARD);
        spiral[sip_addr_print(&stage->output.to.peer, spiral)] = '\0';
        assert_string_equal(spiral, direct);
        stage_free(stage);
    }
    assert_true(moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_route),
        cmocka_unit_test(test_begun_before),
        cmocka_unit_test(test_cancel_of_a_forgotten_call),
        cmocka_unit_test(test_token_of_an_unwilling_backend),
        cmocka_unit_test(test_ack_follows_its_invite),
        cmocka_unit_test(test_cancel_of_a_spiral),
        cmocka_unit_test(test_spiral_by_another_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
