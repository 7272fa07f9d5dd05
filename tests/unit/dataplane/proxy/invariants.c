/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of a decision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "dataplane/proxy/stun.h"
#include "tests/unit/dataplane/proxy/difference.h"
#include "tests/unit/dataplane/proxy/invariants.h"

enum { OUT = 80000 };

static bool is_stun(enum proxy_reason reason)
{
    return reason == PROXY_REPLY_200_STUN || reason == PROXY_REPLY_420_STUN;
}

/* An answer of STUN: to the source, of the same transaction, bounded whatever was asked. */
static void check_stun(struct stage *stage)
{
    char answer[PROXY_STUN_ANSWER_MAX];
    const struct proxy_output *o = &stage->output;
    int32_t length = proxy_reply_print(&stage->view, &stage->input, o, answer, sizeof(answer));

    assert_true(proxy_flow_equal(&o->to, &stage->input.from));
    assert_true(length >= 32 && length % 4 == 0 && answer[0] == 1);
    assert_int_equal(o->status, answer[1] == 1 ? 200 : 420);
    assert_memory_equal(answer + 4, stage->msg.buf + 4, 16);
    assert_int_equal(proxy_reply_print(&stage->view, &stage->input, o, answer, (size_t)length - 1),
                     -ENOSPC);
}

/* By a stream sends only who has some, and not by another node's. */
static void check_stream(const struct stage *stage)
{
    const struct proxy_flow *to = &stage->output.to;

    if (to->transport == SIP_TRANSPORT_UDP)
        assert_true(to->node == 0 && to->connection == 0);
    else
        assert_true(stage->view.has_streams &&
                    (to->connection == 0 || to->node == stage->snapshot->node_id));
}

void invariants_check(struct stage *stage)
{
    static char copy[OUT], place[OUT], reply[OUT];
    const struct proxy_output *o = &stage->output;
    const struct sip_msg *msg = &stage->msg;
    int32_t length, in_place, start;
    struct sip_msg again;

    assert_true(o->reason < PROXY_REASON_COUNT && o->rule < PROXY_RULE_COUNT);
    assert_true(o->backend >= -1 && o->backend < (int32_t)stage->snapshot->backends.n);
    if (o->verdict == PROXY_FORWARD) {
        length = sip_edit_copy(&o->edit, msg->buf, msg->length, copy, sizeof(copy));
        assert_true(length > 0);
        assert_true(o->to.peer.port != 0 && o->to.local.port != 0);
        check_stream(stage);
        /* Mode direct changes nothing, and only it sends unchanged. */
        assert_int_equal(o->means == PROXY_REWRITTEN, o->edit.n > 0);
        /* What we send is a message, of the same transaction. */
        if (sip_msg_index(copy, (size_t)length, &again) != SIP_OK &&
            again.error != SIP_ERR_TOO_MANY_FIELDS)
            fail_msg("sent: %s\n%.*s", sip_error_phrase(again.error), length, copy);
        if (o->means != PROXY_REWRITTEN)
            assert_true(o->edit.n == 0 && length == (int32_t)msg->length);
        else if (again.error == SIP_OK)
            difference_check(msg, &again);
        assert_true(sip_slice_equal(again.call_id, msg->call_id) && again.cseq == msg->cseq);
        memcpy(place + OUT / 4, msg->buf, msg->length);
        in_place =
            sip_edit_in_place(&o->edit, place + OUT / 4, msg->length, OUT / 4, OUT / 4, &start);
        assert_int_equal(in_place, length);
        assert_memory_equal(place + OUT / 4 + start, copy, length);
    } else if (o->verdict == PROXY_REPLY && is_stun(o->reason)) {
        check_stun(stage);
    } else if (o->verdict == PROXY_REPLY) {
        assert_true(o->status >= 200 && msg->method != SIP_ACK);
        length = proxy_reply_print(&stage->view, &stage->input, o, reply, sizeof(reply));
        assert_true(length > 0);
        assert_int_equal(
            proxy_reply_print(&stage->view, &stage->input, o, copy, (size_t)length - 1), -ENOSPC);
        for (int32_t i = 0; i < length; i++)
            assert_true((unsigned char)reply[i] >= ' ' || reply[i] == '\r' || reply[i] == '\n');
    }
}

void invariants_check_gone(struct stage *stage)
{
    struct proxy_output *o = &stage->output;

    if (o->verdict != PROXY_FORWARD || o->to.transport == SIP_TRANSPORT_UDP)
        return;
    proxy_flow_gone(&stage->view, &stage->input, o);
    if (o->verdict == PROXY_REPLY) {
        assert_int_equal(o->reason, PROXY_REPLY_430_FLOW);
        assert_true(proxy_flow_equal(&o->to, &stage->input.from) ||
                    o->to.transport == SIP_TRANSPORT_UDP);
        invariants_check(stage);
    } else {
        assert_int_equal(o->verdict, PROXY_DROP);
    }
}

void invariants_check_again(const struct stage *stage, const struct proxy_output *first)
{
    const struct proxy_output *again = &stage->output;

    assert_int_equal(first->verdict, again->verdict);
    assert_int_equal(first->reason, again->reason);
    assert_int_equal(first->backend, again->backend);
    assert_memory_equal(&first->to, &again->to, sizeof(first->to));
    assert_int_equal(first->edit.n, again->edit.n);
    assert_memory_equal(first->edit.splices, again->edit.splices,
                        first->edit.n * sizeof(first->edit.splices[0]));
    assert_int_equal(first->edit.used, again->edit.used);
    assert_memory_equal(first->edit.text, again->edit.text, first->edit.used);
}
