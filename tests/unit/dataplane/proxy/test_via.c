/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The branch of our Via: what enters it and what must not (RFC 3261 §16.11). A case: what differs
 * from the base request, and whether the branch may.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/stage.h"

struct parts {
    const char *method, *uri, *sent_by, *branch, *from_tag, *to_tag, *call_id, *cseq, *source;
};

static const struct parts base = {
    "INVITE", "sip:x@198.51.100.1", "h.example.org:5062", ";branch=z9hG4bKabc", "a", "", "i",
    "1",      "203.0.113.5:5060",
};

struct branch_case {
    const char *name;
    struct parts differs; /* NULL: as the base */
    bool same;
};

static const struct branch_case unique[] = {
    {"retransmission", {0}, true},
    {"CANCEL", {.method = "CANCEL"}, true},
    {"ACK with a To-tag", {.method = "ACK", .to_tag = ";tag=b"}, true},
    {"source port, after a NAT rebinding", {.source = "203.0.113.5:7777"}, true},
    {"source address", {.source = "203.0.113.6:5060"}, true},
    {"Request-URI", {.uri = "sip:y@198.51.100.1"}, true},
    {"sent-by in other case", {.sent_by = "H.example.ORG:5062"}, true},
    {"branch", {.branch = ";branch=z9hG4bKabd"}, false},
    {"sent-by host", {.sent_by = "g.example.org:5062"}, false},
    {"sent-by port", {.sent_by = "h.example.org:5063"}, false},
    {"From-tag", {.from_tag = "b"}, false},
    {"Call-ID", {.call_id = "j"}, false},
    {"Call-ID in other case", {.call_id = "I"}, false},
    {"CSeq", {.cseq = "2"}, false},
};

/* No branch, one of RFC 2543's, the bare cookie: the Request-URI counts too. */
static const char *const old_branches[] = {"", ";branch=1", ";branch=z9hG4bK"};
static const struct branch_case old[] = {
    {"retransmission", {0}, true},
    {"ACK with a To-tag", {.method = "ACK", .to_tag = ";tag=b"}, true},
    {"Request-URI", {.uri = "sip:y@198.51.100.1"}, false},
    {"CSeq", {.cseq = "2"}, false},
};

#define PICK(field) (b->field != NULL ? b->field : a->field)

static void branch_of(struct stage *stage, const struct parts *a, const struct parts *b,
                      char ret[64])
{
    char in[1024];

    snprintf(in, sizeof(in),
             "%s %s SIP/2.0\nVia: SIP/2.0/UDP %s%s\nFrom: <sip:a@b>;tag=%s\nTo: <sip:x@y>%s\n"
             "Call-ID: %s\nCSeq: %s %s\n\n",
             PICK(method), PICK(uri), PICK(sent_by), PICK(branch), PICK(from_tag), PICK(to_tag),
             PICK(call_id), PICK(cseq), PICK(method));
    stage_send(stage, PICK(source), "192.0.2.10:5060", in);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    assert_int_equal(sscanf(strstr(stage->out, ";branch="), ";branch=%63[^;]", ret), 1);
    assert_int_equal(strlen(ret), 7 + 16);
    assert_memory_equal(ret, "z9hG4bK", 7);
}

static void check(const struct parts *from, const struct branch_case *cases, size_t n)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);
    const struct parts none = {0};
    char a[64], b[64];

    branch_of(stage, from, &none, a);
    for (size_t i = 0; i < n; i++) {
        branch_of(stage, from, &cases[i].differs, b);
        if ((strcmp(a, b) == 0) != cases[i].same)
            fail_msg("branch %s, %s: %s", from->branch, cases[i].name, b);
    }
    stage_free(stage);
}

static void test_branch(void **state)
{
    check(&base, unique, sizeof(unique) / sizeof(unique[0]));
}

static void test_old_branch(void **state)
{
    for (size_t i = 0; i < sizeof(old_branches) / sizeof(old_branches[0]); i++) {
        struct parts from = base;

        from.branch = old_branches[i];
        check(&from, old, sizeof(old) / sizeof(old[0]));
    }
}

/* The same on a node whose keys rotated and whose backends are others. */
static void test_branch_is_everybodys(void **state)
{
    struct stage_conf conf = {0}, other = {.current_mac = 1, .health = {LB_DOWN, LB_DOWN}};
    struct stage *one = stage_new(&conf), *two = stage_new(&other);
    const struct parts none = {0};
    char a[64], b[64];

    branch_of(one, &base, &none, a);
    branch_of(two, &base, &none, b);
    assert_string_equal(a, b);
    stage_free(one);
    stage_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_branch),
        cmocka_unit_test(test_old_branch),
        cmocka_unit_test(test_branch_is_everybodys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
