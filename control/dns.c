/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 3263 over DNS: see dns.h. A question goes through its stages NAPTR, SRV and addresses, from
 * the one that its port and transport call for; each stage asks and waits for all its answers.
 */
#include "control/dns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dns_answer.h"
#include "control/dns_wire.h"

enum {
    RECORDS_MAX = DNS_HOPS_MAX,
    QUERIES_MAX = 2 * DNS_HOPS_MAX + 1, /* NAPTR or SRV, and A and AAAA of every hop */
    SIP_PORT = 5060,                    /* RFC 3261 §19.1.2 */
};

struct hop {
    char host[DNS_NAME_MAX];
    uint16_t port, priority, weight;
};

struct address {
    struct snapshot_target target;
    uint32_t hop;
};

struct query {
    struct question *question;
    enum dns_type type;
    uint32_t hop; /* of A and AAAA */
};

struct question {
    struct question *next, *before; /* in dns->open, or `next` alone in dns->over */
    struct dns *dns;
    void (*done)(void *arg, const struct dns_result *result);
    void *arg;
    char host[DNS_NAME_MAX];
    uint32_t pending; /* answers that are waited for, and who is still asking */
    bool failed;      /* at least one did not come */
    uint8_t outcome;
    uint32_t ttl_s; /* the smallest so far; UINT32_MAX: none */
    uint32_t n_hops, n_addresses;
    struct query queries[QUERIES_MAX]; /* 0: the stage's own, then two for each hop */
    struct hop hops[DNS_HOPS_MAX];
    struct address addresses[DNS_ADDRESSES_MAX];
};

struct dns {
    struct dns_wire *wire;
    struct loop_event *timer; /* at once, for what is over */
    bool closing;             /* nobody is to be told */
    uint32_t n_questions;
    struct question *open, *over, **over_end;
};

static void on_answer(void *arg, enum dns_wire_status status, const uint8_t *packet, size_t size);

/* ---- What is found ---- */

static int by_target(const void *left, const void *right)
{
    const struct snapshot_target *a = left, *b = right;
    int order = memcmp(a->addr.ip.bytes, b->addr.ip.bytes, sizeof(a->addr.ip.bytes));

    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    if (order != 0)
        return order;
    if (a->addr.port != b->addr.port)
        return a->addr.port < b->addr.port ? -1 : 1;
    return (a->weight > b->weight) - (a->weight < b->weight);
}

/* A record's weight, shared by its target's addresses of one family. */
static uint16_t share_of(const struct question *q, const struct address *address)
{
    uint32_t n = 0, weight = address->target.weight;

    for (uint32_t i = 0; i < q->n_addresses; i++) {
        const struct address *other = &q->addresses[i];

        n += other->hop == address->hop &&
             sip_ip_is_v4(&other->target.addr.ip) == sip_ip_is_v4(&address->target.addr.ip);
    }
    return (uint16_t)(weight > n ? weight / n : weight > 0);
}

static uint32_t clamp(uint32_t ttl_s)
{
    return ttl_s < DNS_TTL_MIN_S ? DNS_TTL_MIN_S : ttl_s > DNS_TTL_MAX_S ? DNS_TTL_MAX_S : ttl_s;
}

/* The order does not depend on the order of the answers: it decides which target a transaction has.
 */
static void tell(struct question *q)
{
    struct snapshot_target targets[DNS_ADDRESSES_MAX];
    struct dns_result result = {.outcome = q->outcome, .targets = targets};

    for (uint32_t i = 0; i < q->n_addresses; i++) {
        targets[i] = q->addresses[i].target;
        targets[i].weight = share_of(q, &q->addresses[i]);
    }
    qsort(targets, q->n_addresses, sizeof(*targets), by_target);
    result.n_targets =
        q->n_addresses < SNAPSHOT_TARGETS_MAX ? q->n_addresses : SNAPSHOT_TARGETS_MAX;
    if (q->failed)
        result.ttl_s = DNS_FAILED_S;
    else
        result.ttl_s = clamp(q->ttl_s == UINT32_MAX ? DNS_NEGATIVE_S : q->ttl_s);
    q->done(q->arg, &result);
}

/* A question comes to its end; who asked is told by the timer, not within this call. */
static void finish(struct question *q, enum snapshot_outcome outcome)
{
    struct dns *dns = q->dns;

    q->outcome = (uint8_t)outcome;
    if (q->before != NULL)
        q->before->next = q->next;
    else
        dns->open = q->next;
    if (q->next != NULL)
        q->next->before = q->before;
    q->next = q->before = NULL;
    *dns->over_end = q;
    dns->over_end = &q->next;
    loop_timer_start(dns->timer, 0);
}

/* Tells all that were over when it began. */
static void tell_all(struct dns *dns)
{
    struct question *over = dns->over;

    dns->over = NULL;
    dns->over_end = &dns->over;
    while (over != NULL) {
        struct question *q = over;

        over = q->next;
        dns->n_questions--;
        if (!dns->closing)
            tell(q);
        free(q);
    }
}

static void on_timer(void *arg)
{
    tell_all(arg);
}

/* ---- The stages ---- */

/* One answer less to wait for; with the last of the addresses the question is over. */
static void settle(struct question *q)
{
    if (--q->pending > 0)
        return;
    finish(q, q->n_addresses > 0 ? SNAPSHOT_NAME_FOUND
              : q->failed        ? SNAPSHOT_NAME_FAILED
                                 : SNAPSHOT_NAME_NONE);
}

static void note_ttl(struct question *q, uint32_t ttl_s)
{
    if (ttl_s < q->ttl_s)
        q->ttl_s = ttl_s;
}

static void ask(struct question *q, uint32_t i, const char *name, enum dns_type type, uint32_t hop)
{
    q->queries[i] = (struct query){q, type, hop};
    dns_wire_ask(q->dns->wire, name, type, on_answer, &q->queries[i]);
}

/* The SRV records of the name that NAPTR gave, or of our own name for them. */
static void ask_srv(struct question *q, const char *replacement)
{
    char name[DNS_NAME_MAX + 16];

    snprintf(name, sizeof(name), "_sip._udp.%s", q->host);
    ask(q, 0, replacement != NULL ? replacement : name, DNS_SRV, 0);
}

/* A and AAAA of all hops. */
static void ask_addresses(struct question *q)
{
    q->pending = 1; /* ours, while we ask: answers may come at once */
    for (uint32_t i = 0; i < q->n_hops; i++) {
        q->pending += 2;
        ask(q, 1 + 2 * i, q->hops[i].host, DNS_A, i);
        ask(q, 2 + 2 * i, q->hops[i].host, DNS_AAAA, i);
    }
    settle(q);
}

/* The host itself, without SRV. */
static void ask_host(struct question *q, uint16_t port)
{
    q->n_hops = 1;
    q->hops[0] = (struct hop){.port = port};
    strcpy(q->hops[0].host, q->host);
    ask_addresses(q);
}

static int by_record(const void *left, const void *right)
{
    const struct dns_record *a = left, *b = right;

    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    return (a->weight > b->weight) - (a->weight < b->weight);
}

/* Whether a name is that of SRV records (RFC 2782: _Service._Proto.Name), which no host has. */
static bool is_service(const char *host)
{
    return host[0] == '_';
}

/* RFC 2782. A target of "." says that the service is not there. */
static void take_srv(struct question *q, struct dns_record *records, uint32_t n)
{
    if (n == 0 && is_service(q->host)) {
        finish(q, SNAPSHOT_NAME_NONE);
        return;
    }
    if (n == 0) {
        ask_host(q, SIP_PORT);
        return;
    }
    qsort(records, n, sizeof(*records), by_record);
    for (uint32_t i = 0; i < n; i++) {
        struct hop *hop = &q->hops[q->n_hops];

        if (records[i].name[0] == '\0' || records[i].port == 0)
            continue;
        hop->port = records[i].port;
        hop->priority = records[i].priority;
        hop->weight = records[i].weight;
        strcpy(hop->host, records[i].name);
        q->n_hops++;
    }
    ask_addresses(q);
}

/* RFC 3263 §4.1: those whose service we do not offer are nothing to us; the lowest order, then
 * preference. A regular expression is not SIP's. */
static void take_naptr(struct question *q, struct dns_record *records, uint32_t n)
{
    const struct dns_record *best = NULL;

    qsort(records, n, sizeof(*records), by_record);
    for (uint32_t i = 0; i < n && best == NULL; i++) {
        if (strcmp(records[i].service, "SIP+D2U") == 0 && records[i].flag == 's' &&
            !records[i].regexp && records[i].name[0] != '\0')
            best = &records[i];
    }
    if (n > 0 && best == NULL)
        finish(q, SNAPSHOT_NAME_NONE);
    else
        ask_srv(q, best != NULL ? best->name : NULL);
}

/* Whether a message may be sent there: the address of one other host. Who can answer a DNS question
 * must not have us write to ourselves. */
static bool is_host(const struct sip_ip *ip)
{
    static const uint8_t nowhere[16] = {0}, self[16] = {[15] = 1};
    const uint8_t *b = ip->bytes;

    if (sip_ip_is_v4(ip)) {
        b = sip_ip_v4_bytes(ip);
        return b[0] != 0 && b[0] != 127 && (b[0] < 224 || b[0] >= 240) &&
               memcmp(b, "\377\377\377\377", 4) != 0;
    }
    return b[0] != 0xff && memcmp(b, nowhere, 16) != 0 && memcmp(b, self, 16) != 0;
}

static void take_addresses(struct question *q, uint32_t h, const struct dns_record *records,
                           uint32_t n)
{
    const struct hop *hop = &q->hops[h];

    for (uint32_t i = 0; i < n && q->n_addresses < DNS_ADDRESSES_MAX; i++) {
        struct address *address = &q->addresses[q->n_addresses];

        if (!is_host(&records[i].ip))
            continue;
        q->n_addresses++;
        address->hop = h;
        address->target = (struct snapshot_target){.addr = {.ip = records[i].ip, .port = hop->port},
                                                   .transport = SIP_TRANSPORT_UDP,
                                                   .priority = hop->priority,
                                                   .weight = hop->weight};
    }
    settle(q);
}

/* The records of an answer; 0 when there are none, negative when that is not known. */
static int read_answer(struct question *q, enum dns_type type, enum dns_wire_status status,
                       const uint8_t *packet, size_t size, struct dns_record *ret)
{
    uint32_t ttl_s;
    int n = 0;

    if (status == DNS_WIRE_FAILED)
        return -EIO;
    if (packet == NULL)
        return 0;
    if (status == DNS_WIRE_ANSWER)
        n = dns_answer_read(packet, size, type, ret, RECORDS_MAX, &ttl_s);
    if (n > 0 || (n == 0 && dns_answer_negative(packet, size, &ttl_s) == 0))
        note_ttl(q, ttl_s);
    return n;
}

/* What came for a query: n records, or negative: it cannot be known. */
static void take(struct question *q, const struct query *query, struct dns_record *records, int n)
{
    uint32_t found = n < 0 ? 0 : (uint32_t)n;

    q->failed |= n < 0;
    if (query->type == DNS_A || query->type == DNS_AAAA)
        take_addresses(q, query->hop, records, found);
    else if (n < 0)
        finish(q, SNAPSHOT_NAME_FAILED);
    else if (query->type == DNS_SRV)
        take_srv(q, records, found);
    else
        take_naptr(q, records, found);
}

static void on_answer(void *arg, enum dns_wire_status status, const uint8_t *packet, size_t size)
{
    const struct query *query = arg;
    struct question *q = query->question;
    struct dns_record records[RECORDS_MAX];

    if (!q->dns->closing)
        take(q, query, records, read_answer(q, query->type, status, packet, size, records));
}

static void begin(struct question *q, uint16_t port, uint8_t transport)
{
    if (transport != SIP_TRANSPORT_NONE && transport != SIP_TRANSPORT_UDP)
        finish(q, SNAPSHOT_NAME_NONE);
    else if (port != 0)
        ask_host(q, port);
    else if (is_service(q->host))
        ask_srv(q, q->host);
    else if (transport == SIP_TRANSPORT_UDP)
        ask_srv(q, NULL);
    else
        ask(q, 0, q->host, DNS_NAPTR, 0);
}

int dns_servers(struct dns *dns, const struct sip_addr *servers, uint32_t n)
{
    return dns_wire_servers(dns->wire, servers, n);
}

struct dns *dns_new(struct loop *loop)
{
    struct dns *dns = calloc(1, sizeof(*dns));

    if (dns == NULL)
        return NULL;
    dns->over_end = &dns->over;
    dns->timer = loop_timer_new(loop, on_timer, dns);
    dns->wire = dns_wire_new(loop);
    if (dns->timer == NULL || dns->wire == NULL) {
        dns_free(dns);
        return NULL;
    }
    return dns;
}

void dns_free(struct dns *dns)
{
    if (dns == NULL)
        return;
    dns->closing = true;
    dns_wire_free(dns->wire);
    while (dns->open != NULL)
        finish(dns->open, SNAPSHOT_NAME_FAILED);
    tell_all(dns);
    loop_event_free(dns->timer);
    free(dns);
}

int dns_resolve(struct dns *dns, const char *host, uint16_t port, uint8_t transport,
                void (*done)(void *arg, const struct dns_result *result), void *arg)
{
    struct question *q;

    if (dns->n_questions >= DNS_QUESTIONS_MAX)
        return -EBUSY;
    q = calloc(1, sizeof(*q));
    if (q == NULL)
        return -ENOMEM;
    q->dns = dns;
    q->done = done;
    q->arg = arg;
    q->ttl_s = UINT32_MAX;
    q->next = dns->open;
    if (q->next != NULL)
        q->next->before = q;
    dns->open = q;
    dns->n_questions++;
    /* A longer name is none: DNS has at most 253 characters. */
    if (strlen(host) >= sizeof(q->host)) {
        finish(q, SNAPSHOT_NAME_NONE);
    } else {
        strcpy(q->host, host);
        begin(q, port, transport);
    }
    return 0;
}
