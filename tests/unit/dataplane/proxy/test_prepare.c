/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that are prepared together get what each gets alone: requests and responses to them in
 * any mixture and number, long and short, true, forged and broken, and what goes by mode direct.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/dataplane/proxy/stage.h"

enum { MESSAGES = 37, KINDS = 6, TEXT = 1500 };

struct message {
    char text[TEXT];
    uint32_t length;
    struct sip_msg msg;
    struct proxy_input input;
};

static struct message messages[MESSAGES];

/* A letter that stands n times. */
static const char *run(char letter, int n)
{
    static char text[4][512];
    static int which;
    char *run = text[which++ % 4];

    memset(run, letter, (size_t)n);
    run[n] = '\0';
    return run;
}

static void keep(struct stage *stage, struct message *m, const char *text, uint32_t length)
{
    assert_true(length < TEXT);
    memcpy(m->text, text, length);
    m->length = length;
    sip_msg_index(m->text, m->length, &m->msg);
    m->input = stage->input;
    m->input.msg = &m->msg;
    m->input.prepared = NULL;
}

/* What stage_send leaves of the request number i, whose Call-ID and branch grow with it. */
static void send_request(struct stage *stage, int i, const char *at)
{
    char text[TEXT];

    snprintf(text, sizeof(text),
             "%s sip:bob@example.net SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d;rport\n"
             "Max-Forwards: 70\nFrom: <sip:a@b>;tag=%s\nTo: <sip:x@y>\nCall-ID: %s%d\n"
             "CSeq: %d %s\n\n",
             i % 2 ? "INVITE" : "MESSAGE", i % 3 ? "192.168.1.1:5062" : "Phone.example.org",
             run('b', i * 7), i, run('t', i % 20), run('c', i * 11), i, i + 1,
             i % 2 ? "INVITE" : "MESSAGE");
    stage_send(stage, "198.51.100.7:4321", at, text);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
}

/* A 200 to the request that was sent last, as its backend gives it; altered at a byte of our Via.
 */
static void respond(struct stage *stage, struct message *m, int forge)
{
    char text[TEXT], from[SIP_ADDR_TEXT_MAX + 1];
    const char *headers = strchr(stage->out, '\n') + 1;
    uint32_t left = stage->out_length - (uint32_t)(headers - stage->out);
    int length = snprintf(text, sizeof(text), "SIP/2.0 200 OK\r\n%.*s", (int)left, headers);

    if (forge > 0)
        strstr(text, "tdm=")[forge] ^= 1;
    from[sip_addr_print(&stage->output.to.peer, from)] = '\0';
    stage_decide(stage, from, "192.0.2.10:5060", text, (size_t)length);
    keep(stage, m, text, (uint32_t)length);
}

static void make(struct stage *stage, int i, uint32_t kind)
{
    struct message *m = &messages[i];

    switch (kind) {
    case 0:
    case 1:
        send_request(stage, i, "192.0.2.10:5060");
        keep(stage, m, stage->in, stage->in_length);
        break;
    case 2:
    case 3:
        send_request(stage, i, "192.0.2.10:5060");
        respond(stage, m, kind == 2 ? 0 : 5 + i % 20);
        break;
    case 4:
        send_request(stage, i, "192.0.2.30:5060");
        keep(stage, m, stage->in, stage->in_length);
        break;
    default:
        stage_send(stage, "198.51.100.7:4321", "192.0.2.10:5060",
                   "BYE sip:x SIP/2.0\nVia: SIP/2.0/UDP h\nCSeq: x\n\n");
        keep(stage, m, stage->in, stage->in_length);
    }
}

static void assert_same_prepared(const struct proxy_prepared *a, const struct proxy_prepared *b,
                                 const struct sip_msg *msg)
{
    assert_int_equal(a->sender, b->sender);
    assert_int_equal(a->pool, b->pool);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->sealed, b->sealed);
    if (msg->error == SIP_OK)
        assert_true(a->call_hash == b->call_hash);
    if (!a->sealed)
        return;
    assert_true(a->branch == b->branch);
    assert_true(a->seal.mac == b->seal.mac);
    if (msg->kind == SIP_RESPONSE)
        assert_memory_equal(&a->peer, &b->peer, sizeof(a->peer));
}

static void check_together(const struct stage *stage, uint32_t n, unsigned verdicts[2])
{
    static struct proxy_prepared together[MESSAGES];
    const struct proxy_input *inputs[MESSAGES];
    struct proxy_prepared *ret[MESSAGES];

    for (uint32_t i = 0; i < n; i++) {
        inputs[i] = &messages[i].input;
        ret[i] = &together[i];
    }
    proxy_prepare(&stage->view, inputs, n, ret);
    for (uint32_t i = 0; i < n; i++) {
        struct proxy_prepared alone, *at_alone = &alone;

        proxy_prepare(&stage->view, &inputs[i], 1, &at_alone);
        assert_same_prepared(&together[i], &alone, inputs[i]->msg);
        verdicts[0] += together[i].reason == PROXY_FORWARDED_RESPONSE;
        verdicts[1] += together[i].reason == PROXY_DROP_VIA_MAC;
    }
}

static void test_together(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);
    unsigned verdicts[2] = {0, 0};

    for (uint32_t n = 1; n <= MESSAGES; n++) {
        for (uint32_t i = 0; i < n; i++)
            make(stage, (int)i, (i * 7 + n + i / 5) % KINDS);
        check_together(stage, n, verdicts);
    }
    assert_true(verdicts[0] > MESSAGES && verdicts[1] > MESSAGES);
    stage_free(stage);
}

/* As a worker does that has no snapshot yet. */
static void test_nothing(void **state)
{
    proxy_prepare(NULL, NULL, 0, NULL);
}

/* What was prepared is what the decision goes by, and not prepared again. */
static void test_decision_uses_it(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);
    struct proxy_prepared prepared, *at_prepared = &prepared;
    const struct proxy_input *input = &messages[0].input;

    make(stage, 0, 2);
    proxy_prepare(&stage->view, &input, 1, &at_prepared);
    messages[0].input.prepared = &prepared;
    proxy_decide(&stage->view, input, &stage->output);
    assert_int_equal(stage->output.reason, PROXY_FORWARDED_RESPONSE);
    prepared.reason = PROXY_DROP_VIA_MAC;
    proxy_decide(&stage->view, input, &stage->output);
    assert_int_equal(stage->output.reason, PROXY_DROP_VIA_MAC);
    stage_free(stage);
}

static int32_t foresee(const struct stage *stage, const struct message *m)
{
    struct proxy_prepared prepared, *at_prepared = &prepared;
    struct proxy_input input = m->input;
    const struct proxy_input *at_input = &input;

    input.calls = stage->calls;
    proxy_prepare(&stage->view, &at_input, 1, &at_prepared);
    input.prepared = &prepared;
    return proxy_foresee(&stage->view, &input);
}

/* By the call table when it knows the call, by the pool's table otherwise; never of what is broken. */
static void test_foreseen(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf), *other = stage_new(&conf);
    struct message *m = &messages[0];
    uint32_t seen = 0;

    for (int i = 0; i < 30; i++) {
        send_request(stage, i, "192.0.2.10:5060");
        keep(stage, m, stage->in, stage->in_length);
        assert_int_equal(foresee(other, m), stage->output.backend);
        assert_int_equal(foresee(stage, m), stage->output.backend);
        seen |= 1u << stage->output.backend;
    }
    assert_true((seen & (seen - 1)) != 0); /* more than one */
    conf.admin[stage->output.backend] = LB_DRAINING; /* the table knows it no more */
    stage_reload(stage, &conf);
    stage_reload(other, &conf);
    assert_int_equal(foresee(stage, m), stage->output.backend);
    assert_int_not_equal(foresee(other, m), stage->output.backend);
    sip_msg_index(m->text, 20, &m->msg);
    assert_int_equal(foresee(stage, m), LB_NO_BACKEND);
    stage_free(other);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_decision_uses_it),
        cmocka_unit_test(test_foreseen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
