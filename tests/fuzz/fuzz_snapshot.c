/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of the check of snapshots. A block that control made is changed as the bytes say;
 * when the check lets it pass, every look-up and the proxy's whole decision run on it. The block
 * lies in memory of exactly its size, so that a sanitizer sees a byte read beyond it.
 *
 * Input: which block, then changes of six bytes or more: what kind, where, and by what.
 */
#include "tests/fuzz/fuzz.h"

#include "config/snapshot.h"
#include "dataplane/proxy/proxy.h"
#include "tests/fuzz/take.h"
#include "tests/fuzz/world.h"

enum { CHANGES_MAX = 64, LOOKUPS_MAX = 64, SLOTS = 64, CALLS = 256 };

static const char *const messages[] = {
    "INVITE sip:+4930@example.net SIP/2.0\n"
    "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK1;rport\n"
    "Max-Forwards: 70\nFrom: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>\n"
    "Call-ID: f1\nCSeq: 1 INVITE\nX-Id: 7\nProxy-Require: privacy, x\n\n",
    "REGISTER sip:example.net SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK2\n"
    "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: f1\n"
    "CSeq: 2 REGISTER\n\n",
    "BYE sip:b@10.0.0.11 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.12;branch=z9hG4bK3\n"
    "Route: <sip:10.0.0.13:5060;lr>\nRoute: <sip:192.0.2.10;lr>\n"
    "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>;tag=b\nCall-ID: f2\n"
    "CSeq: 3 BYE\nReplaces: f1;to-tag=1;from-tag=2\n\n",
    "INVITE sip:b@carrier.example SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bK5\n"
    "From: <sip:a@example.org>;tag=a1\nTo: <sip:bob@example.net>\nCall-ID: f5\n"
    "CSeq: 5 INVITE\n\n",
    "OPTIONS sip:192.0.2.10 SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK4\n"
    "From: <sip:a@b>;tag=1\nTo: <sip:192.0.2.10>\nCall-ID: f4\nCSeq: 1 OPTIONS\n\n",
    "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK4;tdm=AgIAAA\n"
    "Via: SIP/2.0/UDP 203.0.113.5\n"
    "From: <sip:a@b>;tag=1\nTo: <sip:192.0.2.10>\nCall-ID: f4\nCSeq: 1 OPTIONS\n\n",
};

enum { MESSAGES = sizeof(messages) / sizeof(messages[0]) };

/* What was read must be of use, or the compiler would not read it. */
static volatile uint64_t sink;

static void read_text(const struct snapshot *s, struct lb_text text)
{
    struct sip_slice slice = snapshot_text(s, text);

    for (uint32_t i = 0; i < slice.length; i++)
        sink += (uint8_t)slice.at[i];
}

static void read_service(const struct snapshot *s, const struct snapshot_service *service)
{
    const struct lb_text *domains = snapshot_at(s, service->domains.offset);
    const struct snapshot_prefix *allowed = snapshot_at(s, service->sources.offset);
    const struct snapshot_match *rules = snapshot_at(s, service->matches.offset);
    const uint32_t *pools = snapshot_at(s, service->pools.offset);

    read_text(s, service->name);
    sink += snapshot_pools(s)[service->pool].id;
    for (uint32_t i = 0; i < service->n_proxy_require; i++)
        read_text(s, service->proxy_require[i]);
    for (uint32_t i = 0; i < service->domains.n; i++)
        read_text(s, domains[i]);
    for (uint32_t i = 0; i < service->sources.n; i++)
        sink += snapshot_prefix_has(&allowed[i], &snapshot_listeners(s)->addr.ip) +
                snapshot_prefix_has(&allowed[i], &allowed[i].ip);
    for (uint32_t i = 0; i < service->matches.n; i++) {
        read_text(s, rules[i].domain);
        read_text(s, rules[i].dialled);
        sink += snapshot_prefix_has(&rules[i].source, &rules[i].source.ip);
        must(snapshot_service_has_pool(s, service, rules[i].pool));
    }
    for (uint32_t i = 0; i < service->pools.n; i++)
        read_text(s, snapshot_pools(s)[pools[i]].name);
}

static void read_listeners(const struct snapshot *s)
{
    for (uint32_t i = 0; i < s->listeners.n; i++) {
        const struct snapshot_listener *l = &snapshot_listeners(s)[i];

        must(l->service < s->services.n);
        /* Each is found, as itself. */
        must(snapshot_find_listener(s, (enum sip_transport)l->transport, &l->addr) == (int32_t)i);
    }
}

/* Each entry of the table, by a hash that leads there. */
static void read_table(const struct snapshot *s, uint32_t number)
{
    uint32_t size = snapshot_pools(s)[number].table_size;
    uint64_t step = UINT64_MAX / size;

    for (uint32_t i = 0; i < size; i++) {
        int32_t found = snapshot_table_lookup(s, number, i * step + step / 2);

        must(found == LB_NO_BACKEND || snapshot_backends(s)[found].pool == number);
    }
    sink += (uint64_t)snapshot_table_lookup(s, number, 0) +
            (uint64_t)snapshot_table_lookup(s, number, UINT64_MAX);
}

static void read_pools(const struct snapshot *s)
{
    for (uint32_t i = 0; i < s->pools.n; i++) {
        read_text(s, snapshot_pools(s)[i].name);
        read_text(s, snapshot_pools(s)[i].key_header);
        read_table(s, i);
    }
}

static void read_backends(const struct snapshot *s)
{
    for (uint32_t i = 0; i < s->backends.n && i < LOOKUPS_MAX; i++) {
        const struct lb_backend *b = &snapshot_backends(s)[i];
        struct sip_addr addr = {b->ip, b->port};

        read_text(s, b->name);
        must(snapshot_backend_by_id(s, b->id) == (int32_t)i);
        must(snapshot_is_backend_address(s, &b->ip));
        must(snapshot_find_backend(s, b->pool, &addr, false) != LB_NO_BACKEND);
        for (uint32_t j = 0; j < b->n_ports; j++) {
            addr.port = b->ports[j];
            must(addr.port == 0 || snapshot_find_backend(s, b->pool, &addr, false) >= 0);
        }
        for (uint32_t j = 0; j < s->services.n && j < LOOKUPS_MAX; j++)
            sink +=
                (uint64_t)snapshot_find_service_backend(s, &snapshot_services(s)[j], &addr, true);
        addr.ip.bytes[15] ^= 0x55;
        sink += snapshot_is_backend_address(s, &addr.ip);
        sink += (uint64_t)snapshot_backend_by_id(s, b->id ^ 0x55);
    }
}

static void read_names(const struct snapshot *s)
{
    const struct snapshot_name *names = snapshot_at(s, s->names.offset);

    for (uint32_t i = 0; i < s->names.n; i++) {
        const struct snapshot_target *targets = snapshot_at(s, names[i].targets.offset);

        read_text(s, names[i].host);
        /* Found as what it is; another only where two have one hash. */
        must(snapshot_find_name(s, snapshot_text(s, names[i].host), names[i].port,
                                (enum sip_transport)names[i].transport) == &names[i]);
        for (uint32_t j = 0; j < names[i].targets.n; j++)
            sink += targets[j].addr.port + targets[j].weight + targets[j].priority;
    }
    sink += snapshot_captures(s, sip_slice_of("f1")) + snapshot_captures(s, sip_slice(NULL, 0));
}

/* ---- Decisions by it ---- */

static struct lb_call_table *clean_calls(void)
{
    static struct lb_call_table *calls;
    size_t bytes = lb_call_table_bytes(CALLS);

    if (calls == NULL)
        calls = aligned_alloc(128, bytes);
    must(calls != NULL);
    memset(calls, 0, bytes);
    return lb_call_table_init(calls, CALLS);
}

/* A message as it is on the wire, indexed once. */
static const struct sip_msg *message(size_t number)
{
    static struct sip_msg indexed[MESSAGES];
    static char wire[MESSAGES][1024];
    size_t length = 0;

    if (indexed[number].buf != NULL)
        return &indexed[number];
    for (const char *at = messages[number]; *at != '\0'; at++) {
        if (*at == '\n')
            wire[number][length++] = '\r';
        wire[number][length++] = *at;
    }
    must(sip_msg_index(wire[number], length, &indexed[number]) == SIP_OK);
    return &indexed[number];
}

static void decide(const struct proxy_view *view, struct proxy_input *input)
{
    static struct proxy_output output;
    static char reply[16384];
    struct proxy_why why;

    proxy_decide(view, input, &output);
    must(output.backend >= LB_NO_BACKEND && output.backend < (int32_t)view->snapshot->backends.n);
    if (output.verdict == PROXY_REPLY)
        must(proxy_reply_print(view, input, &output, reply, sizeof(reply)) > 0);
    for (uint32_t i = 0; i < view->snapshot->pools.n && i < LOOKUPS_MAX; i++)
        proxy_why(view, i, input->msg->call_id, input->calls, input->now_s, &why);
}

static void decide_all(const struct snapshot *s)
{
    static uint64_t started[SLOTS], ended[SLOTS];
    uint16_t *slot_of = calloc(s->backends.n + 1, sizeof(*slot_of));
    int32_t backend_of[SLOTS];
    struct lb_call_counts counts = {{started}, {ended}, SLOTS};
    struct proxy_view view = {s, slot_of, backend_of, SLOTS, false};

    must(slot_of != NULL);
    for (uint32_t i = 0; i < SLOTS; i++)
        backend_of[i] = i > 0 && i - 1 < s->backends.n ? (int32_t)i - 1 : LB_NO_BACKEND;
    for (uint32_t i = 0; i < s->backends.n; i++)
        slot_of[i] = (uint16_t)(i + 1 < SLOTS ? i + 1 : 0);
    for (uint32_t l = 0; l < s->listeners.n && l < LOOKUPS_MAX; l++) {
        struct proxy_input input = {.listener = l, .now_s = 1000, .counts = &counts};

        input.from.local = snapshot_listeners(s)[l].addr;
        input.from.transport = snapshot_listeners(s)[l].transport;
        input.calls = clean_calls();
        for (size_t i = 0; i < 2 * MESSAGES; i++) {
            input.msg = message(i / 2);
            input.inside = i % 2 != 0 && s->backends.n > 0;
            input.from.peer = input.inside
                                  ? (struct sip_addr){snapshot_backends(s)->ip, 5060}
                                  : (struct sip_addr){{{[10] = 0xff, 0xff, 203, 0, 113, 5}}, 5060};
            decide(&view, &input);
        }
    }
    free(slot_of);
}

/* ---- Changes ---- */

static void put(uint8_t *block, size_t size, size_t at, uint64_t value, size_t bytes)
{
    if (at + bytes <= size)
        memcpy(block + at, &value, bytes);
}

/* One change. In the head, in the small arrays behind it, or anywhere; the number given, one that
 * is near to what was there, or one that stands elsewhere in the block. */
static void change(uint8_t *block, size_t size, struct take *take)
{
    uint32_t kind = take_number(take, 1), where = take_number(take, 2);
    size_t bytes = (size_t)1 << (kind & 3), at;
    uint64_t value = 0;

    switch (kind >> 2 & 3) {
    case 0:
        at = where % sizeof(struct snapshot);
        break;
    case 1:
        at = where % 4096;
        break;
    case 2:
        at = size - 1 - where % 1024;
        break;
    default:
        at = (size_t)((uint64_t)where * size >> 16);
    }
    at = at / bytes * bytes;
    if (at + bytes > size)
        return;
    switch (kind >> 4 & 3) {
    case 0:
        value = take_number(take, (uint32_t)(bytes < 4 ? bytes : 4));
        break;
    case 1:
        memcpy(&value, block + at, bytes);
        value += (uint64_t)(int64_t)(int8_t)take_number(take, 1);
        break;
    case 2:
        memcpy(&value, block + take_number(take, 2) % (size - 8), bytes);
        break;
    default:
        value = UINT64_MAX >> take_number(take, 1) % 64;
    }
    put(block, size, at, value, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct take take = {data, size};
    uint32_t first = take_number(&take, 1);
    const struct snapshot *block = world_snapshot(first % WORLD_COUNT);
    size_t block_size = block->size, cut = first >= 0xf0 ? take_number(&take, 2) : 0;
    const char *reason = NULL;
    struct snapshot *s;

    /* Cut short, or longer than it was; the size field says so, unless a change says otherwise. */
    block_size = cut < 0x8000 ? block_size - cut : block_size + (cut & 0xff);
    s = malloc(block_size);
    must(s != NULL);
    memset(s, 0, block_size);
    memcpy(s, block, block_size < block->size ? block_size : block->size);
    s->size = block_size;
    for (int i = 0; i < CHANGES_MAX && take.left > 0; i++)
        change((uint8_t *)s, block_size, &take);
    if (snapshot_check(s, block_size, &reason) == 0) {
        for (uint32_t i = 0; i < s->services.n; i++)
            read_service(s, &snapshot_services(s)[i]);
        read_listeners(s);
        read_pools(s);
        read_backends(s);
        read_names(s);
        decide_all(s);
    } else {
        must(reason != NULL && size > 0);
    }
    free(s);
    return 0;
}
