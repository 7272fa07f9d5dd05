/* SPDX-License-Identifier: Apache-2.0 */
/* Responses: only what verifies goes back, and where to (RFC 3261 §16.11, §18.2.2; RFC 3581). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/stage.h"

#define VIP "192.0.2.10:5060"
#define TOP "SIP/2.0/UDP 192.0.2.10:5060;branch=$(BR);tdm=$(M)"
#define TAIL "From: <sip:a@b>;tag=1\nTo: <sip:x@y>;tag=2\nCall-ID: i\nCSeq: 1 INVITE\n\n"

static const struct step request[] = {
    {"INVITE", "198.51.100.7:4321", VIP,
     "INVITE sip:bob@example.net SIP/2.0\n"
     "Via: SIP/2.0/UDP Phone.example.org:5062;branch=z9hG4bK-1;rport\n"
     "From: <sip:a@b>;tag=1\nTo: <sip:x@y>\nCall-ID: i\nCSeq: 1 INVITE\n\n",
     "$(B):5060 from " VIP,
     "INVITE sip:bob@example.net SIP/2.0\nVia: " TOP "\n"
     "Record-Route: <sip:$(RR)@192.0.2.10:5060;lr>\nMax-Forwards: 70\n"
     "Via: SIP/2.0/UDP Phone.example.org:5062;branch=z9hG4bK-1;rport=4321;received=198.51.100.7\n"
     "From: <sip:a@b>;tag=1\nTo: <sip:x@y>\nCall-ID: i\nCSeq: 1 INVITE\n\n",
     0, 0},
};

#define GOOD_NEXT \
    "SIP/2.0/UDP Phone.example.org:5062;branch=z9hG4bK-1;rport=4321;received=198.51.100.7"

struct response_case {
    const char *name, *vias, *to, *left;
};

static const struct response_case cases[] = {
    {"as sent", "Via: " TOP "\nVia: " GOOD_NEXT "\n", "198.51.100.7:4321 from " VIP,
     "Via: " GOOD_NEXT "\n"},
    {"re-serialised: order, case of the host, blanks, folds",
     "v:\n SIP / 2.0 / UDP 192.0.2.10 : 5060 ; tdm = $(M) ;received=1.1.1.1;branch = $(BR)\n"
     "VIA : SIP/2.0/UDP phone.EXAMPLE.org:5062\n ;received = "
     "198.51.100.7;rport=4321;branch=z9hG4bK-1\n",
     "198.51.100.7:4321 from " VIP,
     "VIA : SIP/2.0/UDP phone.EXAMPLE.org:5062\n"
     " ;received = 198.51.100.7;rport=4321;branch=z9hG4bK-1\n"},
    {"in one line, folded after the comma",
     "Via: " TOP ",\n " GOOD_NEXT ", SIP/2.0/UDP z\nVia: SIP/2.0/UDP y\n",
     "198.51.100.7:4321 from " VIP, "Via: " GOOD_NEXT ", SIP/2.0/UDP z\nVia: SIP/2.0/UDP y\n"},
    {"maddr is not followed", "Via: " TOP "\nVia: " GOOD_NEXT ";maddr=6.6.6.6\n",
     "198.51.100.7:4321 from " VIP, "Via: " GOOD_NEXT ";maddr=6.6.6.6\n"},
    {"another's", "Via: SIP/2.0/UDP 192.0.2.99;branch=$(BR);tdm=$(M)\nVia: " GOOD_NEXT "\n",
     "drop_via_not_ours", NULL},
    {"ours without the parameter", "Via: SIP/2.0/UDP 192.0.2.10;branch=$(BR)\nVia: " GOOD_NEXT "\n",
     "drop_via_not_ours", NULL},
    {"another transport", "Via: SIP/2.0/TCP 192.0.2.10;branch=$(BR);tdm=$(M)\nVia: " GOOD_NEXT "\n",
     "drop_via_not_ours", NULL},
    {"another branch", "Via: SIP/2.0/UDP 192.0.2.10;branch=$(BR)0;tdm=$(M)\nVia: " GOOD_NEXT "\n",
     "drop_via_mac", NULL},
    {"another MAC", "Via: SIP/2.0/UDP 192.0.2.10;branch=$(BR);tdm=$(M)A\nVia: " GOOD_NEXT "\n",
     "drop_via_mac", NULL},
    {"empty parameter", "Via: SIP/2.0/UDP 192.0.2.10;branch=$(BR);tdm\nVia: " GOOD_NEXT "\n",
     "drop_via_mac", NULL},
    {"another received",
     "Via: " TOP
     "\nVia: SIP/2.0/UDP Phone.example.org:5062;branch=z9hG4bK-1;rport=4321;received=6.6.6.6\n",
     "drop_via_mac", NULL},
    {"another rport",
     "Via: " TOP
     "\nVia: SIP/2.0/UDP Phone.example.org:5062;branch=z9hG4bK-1;rport=53;received=198.51.100.7\n",
     "drop_via_mac", NULL},
    {"another sent-by",
     "Via: " TOP "\nVia: SIP/2.0/UDP "
     "phone.example.com:5062;branch=z9hG4bK-1;rport=4321;received=198.51.100.7\n",
     "drop_via_mac", NULL},
    {"received is no address",
     "Via: " TOP
     "\nVia: SIP/2.0/UDP Phone.example.org:5062;branch=z9hG4bK-1;rport=4321;received=x\n",
     "drop_malformed_response", NULL},
    {"nobody behind us", "Via: " TOP "\n", "drop_via_none_left", NULL},
    {"the next does not parse", "Via: " TOP "\nVia: SIP/2.0/UDP\n", "drop_malformed_response",
     NULL},
};

static void test_vias(void **state)
{
    static const char *const status_lines[] = {"SIP/2.0 100 Trying\n", "SIP/2.0 200 \n",
                                               "SIP/2.0 699 X Y\n"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage_conf conf = {0};
        struct stage *stage = stage_new(&conf);
        struct step step = {
            cases[i].name, "$(B):5060", VIP, NULL, cases[i].to, NULL, PROXY_FORWARDED_RESPONSE, 0};
        char in[1024], out[1024];

        STAGE_PLAY(stage, request);
        for (int line = 0; line < 3; line++) {
            snprintf(in, sizeof(in), "%s%s" TAIL, status_lines[line], cases[i].vias);
            snprintf(out, sizeof(out), "%s%s" TAIL, status_lines[line],
                     cases[i].left != NULL ? cases[i].left : "");
            step.in = in;
            step.out = cases[i].left != NULL ? out : NULL;
            stage_play(stage, &step, 1);
        }
        stage_free(stage);
    }
}

/* Whoever sends it, from whichever side: what counts is the Via. */
static void test_sender(void **state)
{
    static const char in[] = "SIP/2.0 200 OK\nVia: " TOP "\nVia: " GOOD_NEXT "\n" TAIL;
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, request);
    stage_send(stage, "10.0.0.12:1", VIP, in);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    assert_int_equal(stage->output.sender, 1);
    assert_int_equal(stage->output.backend, LB_NO_BACKEND);
    stage_send(stage, "203.0.113.9:1", VIP, in);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    assert_int_equal(stage->output.sender, LB_NO_BACKEND);
    stage_free(stage);
}

struct spelling {
    const char *name, *from, *at, *via, *back, *to;
};

/* A backend may write the next Via in other words that mean the same (RFC 3261 §18.2.2, §20.42). */
static void test_spelling(void **state)
{
    static const struct spelling spellings[] = {
        {"the default port added", "198.51.100.7:4321", VIP, "h.example.org;branch=z9hG4bK-2;rport",
         "h.example.org:5060;branch=z9hG4bK-2;received=198.51.100.7;rport=4321",
         "198.51.100.7:4321 from " VIP},
        {"the default port left out", "198.51.100.7:4321", VIP,
         "198.51.100.7:5060;branch=z9hG4bK-2", "198.51.100.7;branch=z9hG4bK-2",
         "198.51.100.7:5060 from " VIP},
        {"IPv6 in another form", "[2001:db8::7]:4321", "[2001:db8:5::10]:5060",
         "[2001:DB8:0::0:7]:5062;branch=z9hG4bK-2", "[2001:db8::7]:5062;branch=z9hG4bK-2",
         "[2001:db8::7]:5062 from [2001:db8:5::10]:5060"},
        {"brackets around received", "[2001:db8::7]:4321", "[2001:db8:5::10]:5060",
         "h.example.org;branch=z9hG4bK-2;rport",
         "h.example.org;branch=z9hG4bK-2;received=[2001:DB8::7];rport=4321",
         "[2001:db8::7]:4321 from [2001:db8:5::10]:5060"},
        {"another port", "198.51.100.7:4321", VIP, "198.51.100.7;branch=z9hG4bK-2",
         "198.51.100.7:5061;branch=z9hG4bK-2", "drop_via_mac"},
    };

    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        struct stage_conf conf = {0};
        struct stage *stage = stage_new(&conf);
        char in[1024];
        const char *via;
        struct step step = {spellings[i].name,
                            "$(B):5060",
                            VIP,
                            in,
                            spellings[i].to,
                            NULL,
                            PROXY_FORWARDED_RESPONSE,
                            0};

        snprintf(in, sizeof(in),
                 "MESSAGE sip:bob@example.net SIP/2.0\nVia: SIP/2.0/UDP %s\n"
                 "From: <sip:a@b>;tag=1\nTo: <sip:x@y>\nCall-ID: i\nCSeq: 1 MESSAGE\n\n",
                 spellings[i].via);
        stage_send(stage, spellings[i].from, spellings[i].at, in);
        assert_int_equal(stage->output.verdict, PROXY_FORWARD);
        stage_set(stage, "B", "10.0.0.11");
        stage->out[stage->out_length] = '\0';
        via = strstr(stage->out, "Via: ");
        snprintf(in, sizeof(in),
                 "SIP/2.0 200 OK\n%.*s\nVia: SIP/2.0/UDP %s\n"
                 "From: <sip:a@b>;tag=1\nTo: <sip:x@y>;tag=2\nCall-ID: i\nCSeq: 1 MESSAGE\n\n",
                 (int)strcspn(via, "\r"), via, spellings[i].back);
        stage_play(stage, &step, 1);
        stage_free(stage);
    }
}

/*
 * Who has seen our Via of a call of his own may not end another's with it: it verifies for the
 * Call-ID and CSeq number that it was made for.
 */
static void test_stolen_via(void **state)
{
#define STOLEN(id, cseq)                                                                     \
    "SIP/2.0 200 OK\nVia: " TOP "\nVia: " GOOD_NEXT "\nFrom: <sip:a@b>;tag=1\nTo: <sip:x@y>" \
    ";tag=2\nCall-ID: " id "\nCSeq: " cseq "\n\n"
    static const struct step steps[] = {
        {"another Call-ID", "203.0.113.9:1", VIP, STOLEN("victim", "1 BYE"), "drop_via_mac", NULL,
         0, 0},
        {"another CSeq", "203.0.113.9:1", VIP, STOLEN("i", "2 BYE"), "drop_via_mac", NULL, 0, 0},
        {"its own", "$(B):5060", VIP, STOLEN("i", "1 INVITE"), "198.51.100.7:4321 from " VIP, NULL,
         PROXY_FORWARDED_RESPONSE, 0},
    };
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);

    STAGE_PLAY(stage, request);
    STAGE_PLAY(stage, steps);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spelling),
        cmocka_unit_test(test_stolen_via),
        cmocka_unit_test(test_vias),
        cmocka_unit_test(test_sender),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
