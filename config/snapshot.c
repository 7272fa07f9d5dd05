/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The look-ups in a snapshot that passed its check. Libc and lb/ only: it must not know how a
 * snapshot is made.
 */
#include "config/snapshot.h"

#include "dataplane/lb/maglev.h"

/* Ids are compared between nodes and over years: this key never changes. "tandem backend i" */
static const struct lb_key ID_KEY = {0x62206d65646e6174, 0x6920646e656b6361};

enum { FEW_LISTENERS = 8 }; /* are looked at one by one sooner than halved */

int snapshot_listener_order(const struct snapshot_listener *a, const struct snapshot_listener *b)
{
    int order;

    if (a->transport != b->transport)
        return a->transport < b->transport ? -1 : 1;
    order = memcmp(a->addr.ip.bytes, b->addr.ip.bytes, sizeof(a->addr.ip.bytes));
    if (order != 0)
        return order;
    return (a->addr.port > b->addr.port) - (a->addr.port < b->addr.port);
}

int32_t snapshot_find_listener(const struct snapshot *s, enum sip_transport transport,
                               const struct sip_addr *addr)
{
    const struct snapshot_listener *listeners = snapshot_listeners(s);
    struct snapshot_listener wanted = {.addr = *addr, .transport = (uint8_t)transport};
    uint32_t low = 0, high = s->listeners.n;

    for (uint32_t i = 0; high <= FEW_LISTENERS && i < high; i++) {
        if (sip_addr_equal(&listeners[i].addr, addr) && listeners[i].transport == transport)
            return (int32_t)i;
    }
    if (high <= FEW_LISTENERS)
        return -1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = snapshot_listener_order(&wanted, &listeners[middle]);

        if (order == 0)
            return (int32_t)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

const struct snapshot_listener *snapshot_own_listener(const struct snapshot *s, uint32_t service,
                                                      bool v4)
{
    const struct snapshot_listener *listeners = snapshot_listeners(s);

    for (uint32_t i = 0; i < s->listeners.n; i++) {
        if (listeners[i].service == service && listeners[i].plane == SNAPSHOT_PLANE_CONTROL &&
            listeners[i].transport == SIP_TRANSPORT_UDP &&
            sip_ip_is_v4(&listeners[i].addr.ip) == v4)
            return &listeners[i];
    }
    return NULL;
}

uint32_t snapshot_address_home(const struct lb_key *hash_key, const struct sip_ip *ip, uint32_t n)
{
    unsigned __int128 product;
    uint64_t halves[2];

    memcpy(halves, ip->bytes, sizeof(halves));
    product = (unsigned __int128)(halves[0] ^ hash_key->k0) * (halves[1] ^ hash_key->k1);
    return (uint32_t)(product >> 64 ^ product) & (n - 1);
}

/* How well a backend fits a port: 3 by its own, 2 by one of `ports:`, 1 by its address alone. */
static uint32_t port_fit(const struct lb_backend *backend, uint16_t port)
{
    if (backend->port == port)
        return 3;
    for (uint32_t i = 0; i < backend->n_ports; i++) {
        if (backend->ports[i] == port)
            return 2;
    }
    return 1;
}

bool snapshot_prefix_has(const struct snapshot_prefix *prefix, const struct sip_ip *ip)
{
    uint32_t bytes = prefix->bits / 8, rest = prefix->bits % 8;

    if (prefix->family == SNAPSHOT_FAMILY_NONE)
        return true;
    if (sip_ip_is_v4(ip) != (prefix->family == SNAPSHOT_FAMILY_V4) ||
        memcmp(prefix->ip.bytes, ip->bytes, bytes) != 0)
        return false;
    return rest == 0 || (prefix->ip.bytes[bytes] ^ ip->bytes[bytes]) >> (8 - rest) == 0;
}

static bool is_among(const uint32_t *pools, uint32_t n, uint32_t pool)
{
    for (uint32_t i = 0; i < n; i++) {
        if (pools[i] == pool)
            return true;
    }
    return false;
}

bool snapshot_service_has_pool(const struct snapshot *s, const struct snapshot_service *service,
                               uint32_t pool)
{
    return is_among(snapshot_at(s, service->pools.offset), service->pools.n, pool);
}

static int32_t find_backend(const struct snapshot *s, const uint32_t *pools, uint32_t n_pools,
                            const struct sip_addr *addr, bool any_port)
{
    const uint32_t *by_address = snapshot_at(s, s->by_address.offset);
    const struct lb_backend *backends = snapshot_backends(s);
    uint32_t mask = s->by_address.n - 1;
    uint32_t at = snapshot_address_home(&s->hash_key, &addr->ip, s->by_address.n);
    uint32_t best_fit = any_port || addr->port == 0 ? 0 : 1;
    int32_t best = LB_NO_BACKEND;

    for (; by_address[at] != 0; at = (at + 1) & mask) {
        const struct lb_backend *backend = &backends[by_address[at] - 1];
        uint32_t fit;

        if (!sip_ip_equal(&backend->ip, &addr->ip) || !is_among(pools, n_pools, backend->pool))
            continue;
        fit = addr->port == 0 ? 1 : port_fit(backend, addr->port);
        if (fit > best_fit) {
            best_fit = fit;
            best = (int32_t)(by_address[at] - 1);
        }
    }
    return best;
}

int32_t snapshot_find_backend(const struct snapshot *s, uint32_t pool, const struct sip_addr *addr,
                              bool any_port)
{
    return find_backend(s, &pool, 1, addr, any_port);
}

int32_t snapshot_find_service_backend(const struct snapshot *s,
                                      const struct snapshot_service *service,
                                      const struct sip_addr *addr, bool any_port)
{
    return find_backend(s, snapshot_at(s, service->pools.offset), service->pools.n, addr, any_port);
}

void snapshot_prefetch_address(const struct snapshot *s, const struct sip_ip *ip)
{
    const uint32_t *by_address = snapshot_at(s, s->by_address.offset);

    __builtin_prefetch(&by_address[snapshot_address_home(&s->hash_key, ip, s->by_address.n)]);
}

bool snapshot_is_backend_address(const struct snapshot *s, const struct sip_ip *ip)
{
    const uint32_t *by_address = snapshot_at(s, s->by_address.offset);
    const struct lb_backend *backends = snapshot_backends(s);
    uint32_t mask = s->by_address.n - 1;
    uint32_t at = snapshot_address_home(&s->hash_key, ip, s->by_address.n);

    for (; by_address[at] != 0; at = (at + 1) & mask) {
        if (sip_ip_equal(&backends[by_address[at] - 1].ip, ip))
            return true;
    }
    return false;
}

int32_t snapshot_backend_by_id(const struct snapshot *s, uint32_t id)
{
    const uint32_t *by_id = snapshot_at(s, s->by_id.offset);
    const struct lb_backend *backends = snapshot_backends(s);
    uint32_t mask = s->by_id.n - 1;

    for (uint32_t at = id & mask; by_id[at] != 0; at = (at + 1) & mask) {
        if (backends[by_id[at] - 1].id == id)
            return (int32_t)(by_id[at] - 1);
    }
    return LB_NO_BACKEND;
}

int32_t snapshot_table_lookup(const struct snapshot *s, uint32_t pool, uint64_t hash)
{
    const struct lb_pool *p = &snapshot_pools(s)[pool];
    const uint16_t *tables = snapshot_at(s, s->tables.offset);
    uint16_t entry = tables[p->table + lb_maglev_position(hash, p->table_size)];

    return entry == LB_MAGLEV_NONE ? LB_NO_BACKEND : (int32_t)(p->first_backend + entry);
}

static uint32_t fold_id(uint64_t hash)
{
    uint32_t id = (uint32_t)(hash ^ hash >> 32);

    return id == 0 ? 1 : id;
}

uint32_t snapshot_backend_id(struct sip_slice pool, struct sip_slice backend)
{
    struct lb_siphash h;

    lb_siphash24_init(&h, &ID_KEY);
    lb_siphash_add_field(&h, pool.at, pool.length);
    lb_siphash_add_field(&h, backend.at, backend.length);
    return fold_id(lb_siphash_end(&h));
}

uint32_t snapshot_pool_id(struct sip_slice pool)
{
    return fold_id(lb_siphash24(&ID_KEY, pool.at, pool.length));
}

uint32_t snapshot_service_id(struct sip_slice service)
{
    return fold_id(lb_siphash24(&ID_KEY, service.at, service.length));
}

uint32_t snapshot_node_id(struct sip_slice node)
{
    return fold_id(lb_siphash24(&ID_KEY, node.at, node.length));
}

int snapshot_node_order(const struct snapshot_node *a, const struct snapshot_node *b)
{
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return memcmp(a->ip.bytes, b->ip.bytes, sizeof(a->ip.bytes));
}

uint32_t snapshot_node_at(const struct snapshot *s, const struct sip_ip *ip)
{
    const struct snapshot_node *nodes = snapshot_nodes(s);

    for (uint32_t i = 0; i < s->nodes.n; i++) {
        if (sip_ip_equal(&nodes[i].ip, ip))
            return nodes[i].id;
    }
    return 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* RFC 1034 §3.1: the dot at its end says that a name is complete, as all names in SIP are. */
static struct sip_slice without_final_dot(struct sip_slice host)
{
    if (host.length > 0 && host.at[host.length - 1] == '.')
        host.length--;
    return host;
}

uint64_t snapshot_name_hash(const struct lb_key *hash_key, struct sip_slice host, uint16_t port,
                            enum sip_transport transport)
{
    uint8_t after[4] = {(uint8_t)transport, (uint8_t)(port >> 8), (uint8_t)port, 0};
    struct lb_siphash h;
    char part[64];

    host = without_final_dot(host);
    lb_siphash13_init(&h, hash_key);
    lb_siphash_add(&h, "name", 4);
    while (host.length > 0) {
        uint32_t n = host.length < sizeof(part) ? host.length : (uint32_t)sizeof(part);

        for (uint32_t i = 0; i < n; i++)
            part[i] = lower(host.at[i]);
        lb_siphash_add(&h, part, n);
        host.at += n;
        host.length -= n;
    }
    lb_siphash_add(&h, after, sizeof(after));
    return lb_siphash_end(&h);
}

const struct snapshot_name *snapshot_find_name(const struct snapshot *s, struct sip_slice host,
                                               uint16_t port, enum sip_transport transport)
{
    const struct snapshot_name *names = snapshot_at(s, s->names.offset);
    uint64_t hash = snapshot_name_hash(&s->hash_key, host, port, transport);
    uint32_t low = 0, high = s->names.n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct snapshot_name *name = &names[middle];

        if (name->hash == hash)
            return name->port == port && name->transport == transport &&
                           sip_slice_equal_nocase(without_final_dot(host),
                                                  snapshot_text(s, name->host))
                       ? name
                       : NULL;
        if (hash < name->hash)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

uint64_t snapshot_call_hash(const struct lb_key *hash_key, struct sip_slice call_id)
{
    uint64_t hash;

    if (call_id.length == 0)
        return 0;
    hash = lb_siphash13(hash_key, call_id.at, call_id.length);
    return hash == 0 ? 1 : hash;
}

bool snapshot_captures(const struct snapshot *s, struct sip_slice call_id)
{
    uint64_t hash;

    if (!s->capture.on || s->capture.n_calls == 0)
        return s->capture.on;
    hash = snapshot_call_hash(&s->hash_key, call_id);
    for (uint32_t i = 0; hash != 0 && i < s->capture.n_calls; i++) {
        if (s->capture.calls[i] == hash)
            return true;
    }
    return false;
}
