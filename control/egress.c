/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's decision in control: see egress.h. Its call table is a small one of its own: the calls
 * of these messages are the data plane's as soon as anything follows by itself.
 */
#include "control/egress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 4096, TABLE_ALIGN = 128 };

struct egress {
    struct sockets *sockets;
    struct lb_call_table *calls;
    /* Slots are a snapshot's indices: with other backends the table is emptied. */
    uint32_t n_backends;
    uint32_t *ids;       /* [n_backends] */
    uint16_t *slot_of;   /* [n_backends] */
    int32_t *backend_of; /* [n_backends] */
    uint64_t *counts;    /* [2 * n_backends]: nobody reads them */
    struct sip_msg msg;
    struct proxy_output output;
    char out[MSG_TEXT_MAX];
};

static void forget_backends(struct egress *e)
{
    free(e->ids);
    free(e->slot_of);
    free(e->backend_of);
    free(e->counts);
    e->ids = NULL;
    e->slot_of = NULL;
    e->backend_of = NULL;
    e->counts = NULL;
    e->n_backends = 0;
}

struct egress *egress_new(struct sockets *sockets)
{
    struct egress *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return NULL;
    e->sockets = sockets;
    e->calls = aligned_alloc(TABLE_ALIGN, lb_call_table_bytes(CALLS));
    if (e->calls == NULL) {
        free(e);
        return NULL;
    }
    return e;
}

void egress_free(struct egress *e)
{
    if (e == NULL)
        return;
    forget_backends(e);
    free(e->calls);
    free(e);
}

static bool same_backends(const struct egress *e, const struct snapshot *s)
{
    if (e->ids == NULL || e->n_backends != s->backends.n)
        return false;
    for (uint32_t i = 0; i < e->n_backends; i++) {
        if (e->ids[i] != snapshot_backends(s)[i].id)
            return false;
    }
    return true;
}

/* Numbers a snapshot's backends. False: no memory, or too many for slots. */
static bool follow_backends(struct egress *e, const struct snapshot *s)
{
    uint32_t n = s->backends.n;

    if (same_backends(e, s))
        return true;
    forget_backends(e);
    e->ids = calloc(n + 1u, sizeof(*e->ids));
    e->slot_of = calloc(n + 1u, sizeof(*e->slot_of));
    e->backend_of = calloc(n + 1u, sizeof(*e->backend_of));
    e->counts = calloc(2u * n + 1u, sizeof(*e->counts));
    if (e->ids == NULL || e->slot_of == NULL || e->backend_of == NULL || e->counts == NULL ||
        n > LB_SLOTS_MAX) {
        forget_backends(e);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        e->ids[i] = snapshot_backends(s)[i].id;
        e->slot_of[i] = (uint16_t)i;
        e->backend_of[i] = (int32_t)i;
    }
    e->n_backends = n;
    memset(e->calls, 0, lb_call_table_bytes(CALLS));
    lb_call_table_init(e->calls, CALLS);
    return true;
}

/* Sends what the decision made of the message. */
static enum egress_result send_out(struct egress *e, const struct proxy_view *view,
                                   const struct proxy_input *input)
{
    const struct proxy_output *o = &e->output;
    int32_t length;

    if (o->verdict == PROXY_FORWARD)
        length = sip_edit_copy(&o->edit, e->msg.buf, e->msg.length, e->out, sizeof(e->out));
    else
        length = proxy_reply_print(view, input, o, e->out, sizeof(e->out));
    if (length < 0 ||
        sockets_send(e->sockets, &o->to.local, &o->to.peer, e->out, (size_t)length) != 0)
        return EGRESS_DROPPED_UNSENT;
    return o->verdict == PROXY_FORWARD ? EGRESS_FORWARDED : EGRESS_REPLIED;
}

static enum egress_result decide(struct egress *e, const struct proxy_view *view,
                                 const struct proxy_input *input, struct proxy_name *ret_name)
{
    const struct proxy_output *o = &e->output;

    proxy_decide(view, input, &e->output);
    if (o->sender == LB_NO_BACKEND)
        return EGRESS_DROPPED_SENDER;
    if (o->verdict == PROXY_PUNT && o->reason == PROXY_PUNT_NAME) {
        *ret_name = o->name;
        return EGRESS_NAME;
    }
    /* A stream has no sender here yet; what leaves unchanged is the data plane's alone. */
    if (o->verdict == PROXY_DROP || o->verdict == PROXY_PUNT || o->means != PROXY_REWRITTEN ||
        o->to.transport != SIP_TRANSPORT_UDP)
        return EGRESS_DROPPED_VERDICT;
    return send_out(e, view, input);
}

enum egress_result egress_decide(struct egress *e, const struct snapshot *snapshot,
                                 const struct msg_punt *punt, const char *text, uint32_t now_s,
                                 struct proxy_name *ret_name)
{
    int32_t listener = snapshot_find_listener(snapshot, SIP_TRANSPORT_UDP, &punt->local);
    struct lb_call_counts counts;
    struct proxy_view view;
    struct proxy_input input = {
        .msg = &e->msg,
        .from = {.transport = SIP_TRANSPORT_UDP, .local = punt->local, .peer = punt->peer},
        .listener = (uint32_t)listener,
        .inside = true, /* the data plane has seen its frame */
        .now_s = now_s,
        .calls = e->calls,
        .counts = &counts};

    if (listener < 0 || !follow_backends(e, snapshot))
        return EGRESS_DROPPED_LISTENER;
    view = (struct proxy_view){snapshot, e->slot_of, e->backend_of, e->n_backends, false};
    counts = (struct lb_call_counts){{e->counts}, {e->counts + e->n_backends}, e->n_backends};
    sip_msg_index(text, punt->length, &e->msg);
    return decide(e, &view, &input, ret_name);
}

const char *egress_result_name(enum egress_result result)
{
    static const char *const names[EGRESS_RESULTS] = {
        [EGRESS_FORWARDED] = "forwarded",
        [EGRESS_REPLIED] = "replied",
        [EGRESS_NAME] = "waiting",
        [EGRESS_DROPPED_VERDICT] = "dropped_verdict",
        [EGRESS_DROPPED_LISTENER] = "dropped_listener",
        [EGRESS_DROPPED_SENDER] = "dropped_sender",
        [EGRESS_DROPPED_UNSENT] = "dropped_unsent",
    };

    return names[result];
}
