/* SPDX-License-Identifier: Apache-2.0 */
/* A call's messages as templates of the stage: see message.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/dataplane/proxy/message.h"

#define VIP "192.0.2.10:5060"

const char *message_fields = "";
const char *message_call_id = "calls";

/* The Vias below the sender's: ours, and that of who sent us what a backend passes on. */
static void put_below(const char *branch, char ret[256])
{
    const char *below = strchr(branch, '/');

    ret[0] = '\0';
    if (below != NULL)
        snprintf(ret, 256, "Via: $(v%s)\nVia: SIP/2.0/UDP h;branch=z9hG4bK%s;received=$(r%s)\n",
                 below + 1, below + 1, below + 1);
}

static int own_length(const char *branch)
{
    return (int)strcspn(branch, "/");
}

static void send_request(struct stage *stage, const struct message *m)
{
    char in[1024], below[256];

    put_below(m->branch, below);
    snprintf(in, sizeof(in),
             "%s sip:x@198.51.100.9 SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK%.*s\n%s"
             "From: <sip:a@b>;tag=1\nTo: <sip:x@y>%s\nCall-ID: %s\nCSeq: 1 %s\n%s\n",
             m->start, own_length(m->branch), m->branch, below, m->to_tag ? ";tag=2" : "",
             message_call_id, m->start, message_fields);
    stage_send(stage, m->from, VIP, in);
}

void message_request(struct stage *stage, const struct message *m)
{
    char value[1024], name[32];
    const char *via;

    send_request(stage, m);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
    via = strstr(stage->out, "Via: ") + 5;
    snprintf(value, sizeof(value), "%.*s", (int)(strchr(via, '\r') - via), via);
    snprintf(name, sizeof(name), "v%.*s", own_length(m->branch), m->branch);
    stage_set(stage, name, value);
    snprintf(name, sizeof(name), "r%.*s", own_length(m->branch), m->branch);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(m->from, ":"), m->from);
    stage_set(stage, name, value);
}

void message_refused(struct stage *stage, const struct message *m, enum proxy_reason reason)
{
    send_request(stage, m);
    assert_int_equal(stage->output.verdict, PROXY_REPLY);
    assert_int_equal(stage->output.reason, reason);
}

void message_response(struct stage *stage, const struct message *m)
{
    int length = own_length(m->branch);
    char in[1024], below[256];

    put_below(m->branch, below);
    snprintf(in, sizeof(in),
             "SIP/2.0 %.3s X\nVia: $(v%.*s)\n"
             "Via: SIP/2.0/UDP h;branch=z9hG4bK%.*s;received=$(r%.*s)\n%s"
             "From: <sip:a@b>;tag=1\nTo: <sip:x@y>;tag=2\nCall-ID: %s\nCSeq: 1 %s\n%s\n",
             m->start, length, m->branch, length, m->branch, length, m->branch, below,
             message_call_id, m->start + 4, message_fields);
    stage_send(stage, m->from, VIP, in);
    assert_int_equal(stage->output.verdict, PROXY_FORWARD);
}

void message_play(struct stage *stage, const struct message *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (m[i].start[0] >= '0' && m[i].start[0] <= '9')
            message_response(stage, &m[i]);
        else
            message_request(stage, &m[i]);
    }
}

struct proxy_why message_ask(struct stage *stage)
{
    struct proxy_why why;

    proxy_why(&stage->view, 0, sip_slice_of(message_call_id), stage->calls, stage->now_s, &why);
    return why;
}

void message_forget(struct stage *stage)
{
    memset(stage->calls, 0, lb_call_table_bytes(STAGE_CALLS));
    lb_call_table_init(stage->calls, STAGE_CALLS);
}
