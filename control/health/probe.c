/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes on their way, whatever carries them: see probe.h.
 */
#include "control/health/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "control/health/heap.h"
#include "control/health/probe_tcp.h"
#include "control/health/probe_text.h"
#include "control/health/probe_udp.h"
#include "dataplane/lb/siphash.h"

struct pending {
    uint64_t nonce; /* 0: free */
    struct sip_addr to;
    uint8_t transport; /* enum sip_transport */
    uint32_t id;
    uint32_t next_free; /* index + 1 */
    uint64_t sent_us;
};

struct prober {
    struct prober_conf conf;
    struct probe_udp *udp;
    struct probe_tcp *tcp, *tls;
    struct address_own own;
    struct pending *pending;
    uint32_t n_pending, room;
    uint32_t free_first;   /* index + 1 */
    struct heap deadlines; /* milliseconds, by index in pending */
    struct loop_event *timer;
    uint64_t timer_ms; /* when it should fire; UINT64_MAX: it does not run */
    bool slept;        /* it was late the last time */
    struct lb_key key; /* of nonces */
    uint64_t n_sent;
};

static void release(struct prober *p, uint32_t index)
{
    p->pending[index].nonce = 0;
    p->pending[index].next_free = p->free_first;
    p->free_first = index + 1;
    heap_set(&p->deadlines, index, UINT64_MAX);
}

static void arm(struct prober *p, uint64_t now_ms, uint64_t when_ms)
{
    when_ms = (when_ms > now_ms ? when_ms : now_ms) + PROBE_TICK_MS;
    if (when_ms >= p->timer_ms)
        return;
    p->timer_ms = when_ms;
    loop_timer_start(p->timer, (uint32_t)(when_ms - now_ms));
}

/* Where a pending probe is that bears this mark; UINT32_MAX: none of ours. */
static uint32_t find(const struct prober *p, const struct probe_mark *mark)
{
    if (mark->index >= p->n_pending || p->pending[mark->index].nonce != mark->nonce)
        return UINT32_MAX;
    return mark->index;
}

static bool is_to(const struct pending *pending, enum sip_transport transport,
                  const struct probe_peer *to)
{
    return pending->nonce != 0 && pending->transport == transport &&
           sip_addr_equal(&pending->to, &to->addr) && (to->id == 0 || to->id == pending->id);
}

/* One is over without an answer; refusal: why it was refused, or NULL. */
static void fail(struct prober *p, uint32_t index, const char *refusal)
{
    const struct pending of = p->pending[index];

    release(p, index);
    if (refusal != NULL)
        p->conf.on_refusal(p->conf.arg, of.id, of.sent_us / 1000, refusal);
    else
        p->conf.on_silence(p->conf.arg, of.id, of.sent_us / 1000);
}

/* All to a peer are. */
static void fail_all(struct prober *p, enum sip_transport transport, const struct probe_peer *to,
                     const char *refusal)
{
    for (uint32_t i = 0; i < p->n_pending; i++) {
        if (is_to(&p->pending[i], transport, to))
            fail(p, i, refusal);
    }
}

/* Who keeps the connections of a transport; NULL: it has none. */
static struct probe_tcp *connections_of(const struct prober *p, uint8_t transport)
{
    if (transport == SIP_TRANSPORT_TLS)
        return p->tls;
    return transport == SIP_TRANSPORT_TCP ? p->tcp : NULL;
}

/* Connections of TLS are a backend's, else an address's. */
static struct probe_peer peer_of(uint8_t transport, const struct sip_addr *to, uint32_t id)
{
    return (struct probe_peer){.addr = *to, .id = transport == SIP_TRANSPORT_TLS ? id : 0};
}

static void on_message(void *arg, enum sip_transport transport, const struct sip_addr *from,
                       const struct sip_msg *msg)
{
    struct prober *p = arg;
    uint64_t now_us = loop_now_us();
    struct probe_mark mark;
    struct pending of;
    uint32_t index;

    if (msg->kind != SIP_RESPONSE || !msg->via_ok || msg->status < 200 ||
        !probe_mark_read(msg->top_via.branch, &mark))
        return;
    index = find(p, &mark);
    if (index == UINT32_MAX)
        return;
    of = p->pending[index];
    if (of.transport != transport || !probe_is_call_id(msg->call_id, &mark) ||
        !sip_ip_equal(&from->ip, &of.to.ip))
        return;
    release(p, index);
    p->conf.on_answer(p->conf.arg, of.id, of.sent_us / 1000, msg, (uint32_t)(now_us - of.sent_us));
}

/* A copy of what was refused says which one it is about; one that is cut short tells at least the
 * address. */
static void on_refused(void *arg, enum sip_transport transport, const struct probe_peer *to,
                       const char *why, const char *bytes, size_t length)
{
    struct prober *p = arg;
    struct probe_mark mark;
    uint32_t index;

    if (!probe_mark_find(bytes, length, &mark)) {
        fail_all(p, transport, to, why);
        return;
    }
    index = find(p, &mark);
    if (index != UINT32_MAX && is_to(&p->pending[index], transport, to))
        fail(p, index, why);
}

static void on_broken(void *arg, enum sip_transport transport, const struct probe_peer *to)
{
    struct prober *p = arg;

    fail_all(p, transport, to, NULL);
}

static SSL *on_secure(void *arg, uint32_t id)
{
    struct prober *p = arg;

    return p->conf.secure == NULL ? NULL : p->conf.secure(p->conf.arg, id);
}

/* Those whose time is over. */
static void on_timer(void *arg)
{
    struct prober *p = arg;
    uint64_t now_ms = loop_now_ms(), when;
    uint32_t index;

    p->slept = !p->slept && now_ms > p->timer_ms + PROBE_SLEPT_MS;
    p->timer_ms = UINT64_MAX;
    while (!p->slept && heap_first(&p->deadlines, &index, &when) && when <= now_ms) {
        const struct pending over = p->pending[index];
        const struct probe_peer to = peer_of(over.transport, &over.to, over.id);

        if (over.transport != SIP_TRANSPORT_UDP)
            probe_tcp_silent(connections_of(p, over.transport), &to, over.sent_us);
        fail(p, index, NULL);
    }
    if (heap_first(&p->deadlines, &index, &when)) /* after a sleep answers come first */
        arm(p, now_ms, when);
}

struct prober *prober_new(struct loop *loop, const struct prober_conf *conf)
{
    struct prober *p = calloc(1, sizeof(*p));
    const struct probe_wire wire = {.on_message = on_message,
                                    .on_refused = on_refused,
                                    .on_broken = on_broken,
                                    .secure = on_secure,
                                    .arg = p};

    if (p == NULL)
        return NULL;
    p->conf = *conf;
    p->timer_ms = UINT64_MAX;
    p->udp = probe_udp_new(loop, &wire);
    p->tcp = probe_tcp_new(loop, SIP_TRANSPORT_TCP, &wire);
    p->tls = probe_tcp_new(loop, SIP_TRANSPORT_TLS, &wire);
    p->timer = loop_timer_new(loop, on_timer, p);
    if (p->udp == NULL || p->tcp == NULL || p->tls == NULL || p->timer == NULL ||
        getrandom(&p->key, sizeof(p->key), 0) != sizeof(p->key)) {
        prober_free(p);
        return NULL;
    }
    return p;
}

void prober_free(struct prober *p)
{
    if (p == NULL)
        return;
    probe_udp_free(p->udp);
    probe_tcp_free(p->tcp);
    probe_tcp_free(p->tls);
    loop_event_free(p->timer);
    heap_done(&p->deadlines);
    free(p->pending);
    free(p);
}

static bool same_own(const struct address_own *a, const struct address_own *b)
{
    return a->has_v4 == b->has_v4 && (!a->has_v4 || sip_ip_equal(&a->v4, &b->v4)) &&
           a->has_v6 == b->has_v6 && (!a->has_v6 || sip_ip_equal(&a->v6, &b->v6));
}

void prober_from(struct prober *p, const struct address_own *own)
{
    if (same_own(&p->own, own))
        return;
    p->own = *own;
    probe_udp_from(p->udp, own);
    probe_tcp_from(p->tcp, own);
    probe_tcp_from(p->tls, own);
    for (uint32_t i = 0; i < p->n_pending; i++) {
        if (p->pending[i].nonce != 0)
            release(p, i);
    }
}

void prober_distrust(struct prober *p)
{
    probe_tcp_drop_all(p->tls);
    for (uint32_t i = 0; i < p->n_pending; i++) {
        if (p->pending[i].nonce != 0 && p->pending[i].transport == SIP_TRANSPORT_TLS)
            release(p, i);
    }
}

void prober_want(struct prober *p, uint32_t id, enum sip_transport transport,
                 const struct sip_addr *to)
{
    const struct probe_peer peer = peer_of((uint8_t)transport, to, id);
    struct probe_tcp *connections = connections_of(p, (uint8_t)transport);

    if (connections != NULL)
        probe_tcp_want(connections, &peer);
}

void prober_drop_unwanted(struct prober *p)
{
    probe_tcp_drop_unwanted(p->tcp);
    probe_tcp_drop_unwanted(p->tls);
}

/* A free place among the pending. 0, -ENOBUFS or -ENOMEM. */
static int reserve(struct prober *p, uint32_t *ret_index)
{
    if (p->free_first == 0 && p->n_pending == p->room) {
        uint32_t room = p->room == 0 ? 256 : p->room * 2;
        struct pending *grown;

        if (p->room >= PROBE_PENDING_MAX)
            return -ENOBUFS;
        grown = reallocarray(p->pending, room, sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        p->pending = grown;
        if (heap_reserve(&p->deadlines, room) != 0)
            return -ENOMEM;
        p->room = room;
    }
    if (p->free_first == 0) {
        *ret_index = p->n_pending++;
        return 0;
    }
    *ret_index = p->free_first - 1;
    p->free_first = p->pending[*ret_index].next_free;
    return 0;
}

/* 64 bits that nobody can guess, never 0. */
static uint64_t make_nonce(struct prober *p)
{
    uint64_t nonce;

    do {
        p->n_sent++;
        nonce = lb_siphash13(&p->key, &p->n_sent, sizeof(p->n_sent));
    } while (nonce == 0);
    return nonce;
}

int prober_send(struct prober *p, uint32_t id, enum sip_transport transport,
                const struct sip_addr *to, uint32_t timeout_ms)
{
    struct probe_tcp *connections = connections_of(p, (uint8_t)transport);
    const struct probe_peer peer = peer_of((uint8_t)transport, to, id);
    char text[PROBE_TEXT_MAX];
    struct probe_mark mark;
    struct pending *pending;
    struct sip_addr from;
    uint64_t now_us = loop_now_us();
    size_t length;
    int status = connections != NULL ? probe_tcp_open(connections, &peer, &from)
                                     : probe_udp_open(p->udp, to, &from);

    if (status == 0)
        status = reserve(p, &mark.index);
    if (status != 0)
        return status;
    mark.nonce = make_nonce(p);
    pending = &p->pending[mark.index];
    *pending = (struct pending){.nonce = mark.nonce,
                                .to = *to,
                                .transport = (uint8_t)transport,
                                .id = id,
                                .sent_us = now_us};
    heap_set(&p->deadlines, mark.index, now_us / 1000 + timeout_ms);
    arm(p, now_us / 1000, now_us / 1000 + timeout_ms);
    length = probe_print(transport, &from, to, &mark, text);
    status = connections != NULL ? probe_tcp_send(connections, &peer, text, length)
                                 : probe_udp_send(p->udp, to, text, length);
    if (status != 0)
        release(p, mark.index);
    return status;
}
