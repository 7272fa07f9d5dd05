/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a snapshot that came from another process, and the look-ups in a checked one. Libc
 * and lb/ only: it must not know how a snapshot is made.
 */
#include "config/snapshot.h"

#include <assert.h>
#include <errno.h>

#include "dataplane/lb/maglev.h"

static_assert(sizeof(struct snapshot_mac_key) == 24, "crosses a process");
static_assert(sizeof(struct snapshot_listener) == 24, "crosses a process");
static_assert(sizeof(struct snapshot_prefix) == 20, "crosses a process");
static_assert(sizeof(struct snapshot_match) == 40, "crosses a process");
static_assert(sizeof(struct snapshot_service) == 116, "crosses a process");
static_assert(sizeof(struct lb_backend) == 60, "crosses a process");
static_assert(sizeof(struct lb_pool) == 52, "crosses a process");
static_assert(sizeof(struct snapshot_target) == 24, "crosses a process");
static_assert(sizeof(struct snapshot_name) == 32, "crosses a process");
static_assert(sizeof(struct snapshot) == 304, "crosses a process");

/* Ids are compared between nodes and over years: this key never changes. "tandem backend i" */
static const struct lb_key ID_KEY = {0x62206d65646e6174, 0x6920646e656b6361};

/* Whether an array of structs of `bytes` with `align` lies in the block, behind its head. */
static bool array_fits(const struct snapshot *s, struct snapshot_array array, uint64_t bytes,
                       uint32_t align)
{
    return array.offset % align == 0 && array.offset >= sizeof(*s) &&
           array.offset + array.n * bytes <= s->size;
}

static bool text_fits(const struct snapshot *s, struct lb_text text)
{
    return (uint64_t)text.offset + text.length <= s->text.n;
}

static const char *check_head(const void *block, size_t size)
{
    const struct snapshot *s = block;

    if ((uintptr_t)block % sizeof(uint64_t) != 0)
        return "block is not aligned to 8 bytes";
    if (size < sizeof(*s) || size > SNAPSHOT_SIZE_MAX)
        return "size of the block out of range";
    if (s->magic != SNAPSHOT_MAGIC)
        return "not a snapshot";
    if (s->version != SNAPSHOT_VERSION)
        return "snapshot of another version";
    if (s->size != size)
        return "size differs from the block's";
    if (s->generation == 0)
        return "generation is 0";
    if (s->draining > 1)
        return "draining is not a bool";
    return NULL;
}

static const char *check_arrays(const struct snapshot *s)
{
    if (!array_fits(s, s->services, sizeof(struct snapshot_service), 4))
        return "services leave the block";
    if (!array_fits(s, s->listeners, sizeof(struct snapshot_listener), 4))
        return "listeners leave the block";
    if (!array_fits(s, s->pools, sizeof(struct lb_pool), 4))
        return "pools leave the block";
    if (!array_fits(s, s->backends, sizeof(struct lb_backend), 4))
        return "backends leave the block";
    if (!array_fits(s, s->by_address, sizeof(uint32_t), 4))
        return "by_address leaves the block";
    if (!array_fits(s, s->by_id, sizeof(uint32_t), 4))
        return "by_id leaves the block";
    if (!array_fits(s, s->tables, sizeof(uint16_t), 2))
        return "tables leave the block";
    if (!array_fits(s, s->text, 1, 1))
        return "text leaves the block";
    return NULL;
}

static const char *check_mac_keys(const struct snapshot *s)
{
    for (uint32_t i = 0; i < SNAPSHOT_MAC_KEYS; i++) {
        if (s->mac[i].valid > 1)
            return "a MAC key's valid is not a bool";
        for (uint32_t j = 0; j < i; j++) {
            if (s->mac[i].valid && s->mac[j].valid && s->mac[i].id == s->mac[j].id)
                return "two MAC keys have one id";
        }
    }
    return s->mac[SNAPSHOT_MAC_CURRENT].valid ? NULL : "no current MAC key";
}

/* Whether an array of a service lies in the block. The arrays of all services together may not be
 * read more often than the block has room for: overlapping ones would make the check quadratic. */
static bool share_fits(const struct snapshot *s, struct snapshot_array array, uint64_t bytes,
                       uint64_t *read_bytes)
{
    *read_bytes += array.n * bytes;
    return array_fits(s, array, bytes, 4) && *read_bytes <= s->size;
}

static bool prefix_is_valid(const struct snapshot_prefix *prefix)
{
    switch (prefix->family) {
    case SNAPSHOT_FAMILY_NONE:
        return prefix->bits == 0;
    case SNAPSHOT_FAMILY_V4:
        return prefix->bits >= 96 && prefix->bits <= 128 && sip_ip_is_v4(&prefix->ip);
    case SNAPSHOT_FAMILY_V6:
        return prefix->bits <= 128;
    default:
        return false;
    }
}

/* `pool` first, the others ascending without it: none is there twice. */
static const char *check_service_pools(const struct snapshot *s,
                                       const struct snapshot_service *service)
{
    const uint32_t *pools = snapshot_at(s, service->pools.offset);

    if (service->pools.n == 0 || service->pools.n > SNAPSHOT_SERVICE_POOLS_MAX ||
        pools[0] != service->pool)
        return "a service's pools do not begin with its pool";
    for (uint32_t i = 1; i < service->pools.n; i++) {
        if (pools[i] >= s->pools.n || pools[i] == service->pool ||
            (i > 1 && pools[i] <= pools[i - 1]))
            return "a service's pools are out of range or not sorted";
    }
    return NULL;
}

static const char *check_match(const struct snapshot *s, const struct snapshot_service *service,
                               const struct snapshot_match *match)
{
    if (!prefix_is_valid(&match->source))
        return "a match's source is out of range";
    if (!text_fits(s, match->domain) || !text_fits(s, match->dialled))
        return "a match's text leaves the text";
    if (match->dialled.length > SNAPSHOT_DIALLED_MAX)
        return "a match's dialled prefix is too long";
    if (!snapshot_service_has_pool(s, service, match->pool))
        return "a match's pool is not among its service's";
    return NULL;
}

/* Who may ask, and which pool is asked. */
static const char *check_trunk(const struct snapshot *s, const struct snapshot_service *service,
                               uint64_t *read_bytes)
{
    const struct snapshot_prefix *sources = snapshot_at(s, service->sources.offset);
    const struct snapshot_match *matches = snapshot_at(s, service->matches.offset);
    const char *reason;

    if (!share_fits(s, service->sources, sizeof(*sources), read_bytes))
        return "a service's sources leave the block";
    if (!share_fits(s, service->matches, sizeof(*matches), read_bytes))
        return "a service's matches leave the block";
    if (!share_fits(s, service->pools, sizeof(uint32_t), read_bytes))
        return "a service's pools leave the block";
    reason = check_service_pools(s, service);
    for (uint32_t i = 0; reason == NULL && i < service->sources.n; i++) {
        if (sources[i].family == SNAPSHOT_FAMILY_NONE || !prefix_is_valid(&sources[i]))
            reason = "a service's source is out of range";
    }
    for (uint32_t i = 0; reason == NULL && i < service->matches.n; i++)
        reason = check_match(s, service, &matches[i]);
    return reason;
}

static const char *check_services(const struct snapshot *s)
{
    const struct snapshot_service *services = snapshot_services(s);
    uint64_t read_bytes = 0;

    for (uint32_t i = 0; i < s->services.n; i++) {
        const struct snapshot_service *service = &services[i];
        const struct lb_text *domains;
        const char *reason;

        if (service->pool >= s->pools.n)
            return "a service's pool is out of range";
        if (service->record_route > 1 || service->path > SNAPSHOT_PATH_NEVER ||
            service->nat > SNAPSHOT_NAT_ALWAYS ||
            service->n_proxy_require > SNAPSHOT_PROXY_REQUIRE_MAX)
            return "a service's flags are out of range";
        if (!text_fits(s, service->name))
            return "a service's name leaves the text";
        for (uint32_t j = 0; j < SNAPSHOT_PROXY_REQUIRE_MAX; j++) {
            if (!text_fits(s, service->proxy_require[j]))
                return "a service's proxy_require leaves the text";
        }
        if (!share_fits(s, service->domains, sizeof(struct lb_text), &read_bytes))
            return "a service's domains leave the block";
        domains = snapshot_at(s, service->domains.offset);
        for (uint32_t j = 0; j < service->domains.n; j++) {
            if (!text_fits(s, domains[j]))
                return "a service's domain leaves the text";
        }
        reason = check_trunk(s, service, &read_bytes);
        if (reason != NULL)
            return reason;
    }
    return NULL;
}

static const char *check_listeners(const struct snapshot *s)
{
    const struct snapshot_listener *listeners = snapshot_listeners(s);

    for (uint32_t i = 0; i < s->listeners.n; i++) {
        if (listeners[i].service >= s->services.n)
            return "a listener's service is out of range";
        if (listeners[i].transport == SIP_TRANSPORT_NONE ||
            listeners[i].transport >= SIP_TRANSPORT_COUNT || listeners[i].addr.port == 0)
            return "a listener's transport or port is out of range";
        if (i > 0 && snapshot_listener_order(&listeners[i - 1], &listeners[i]) >= 0)
            return "listeners are not sorted";
    }
    return NULL;
}

/* The pools' shares of backends and tables follow one another without gaps. */
static const char *check_pools(const struct snapshot *s)
{
    const struct lb_pool *pools = snapshot_pools(s);
    const uint16_t *tables = snapshot_at(s, s->tables.offset);
    uint64_t n_backends = 0, n_entries = 0;

    for (uint32_t i = 0; i < s->pools.n; i++) {
        const struct lb_pool *pool = &pools[i];

        if (pool->first_backend != n_backends || pool->n_backends > LB_MAGLEV_NONE)
            return "a pool's backends do not follow those of the one before";
        if (pool->table != n_entries || pool->table_size == 0)
            return "a pool's table does not follow that of the one before";
        n_backends += pool->n_backends;
        n_entries += pool->table_size;
        if (n_backends > s->backends.n || n_entries > s->tables.n)
            return "a pool's backends or table are out of range";
        if (pool->share > LB_SHARE_DIALOGS)
            return "a pool's share is out of range";
        for (uint32_t j = 0; j < SIP_METHOD_COUNT; j++) {
            if (pool->keys[j] >= LB_KEY_COUNT)
                return "a pool's key is out of range";
        }
        if (!text_fits(s, pool->name) || !text_fits(s, pool->key_header))
            return "a pool's name leaves the text";
        for (uint32_t j = 0; j < pool->table_size; j++) {
            uint16_t entry = tables[pool->table + j];

            if (entry != LB_MAGLEV_NONE && entry >= pool->n_backends)
                return "a table's entry is out of range";
        }
    }
    if (n_backends != s->backends.n || n_entries != s->tables.n)
        return "backends or tables of no pool";
    return NULL;
}

static const char *check_backends(const struct snapshot *s)
{
    const struct lb_backend *backends = snapshot_backends(s);

    for (uint32_t i = 0; i < s->backends.n; i++) {
        const struct lb_backend *b = &backends[i];
        const struct lb_pool *pool;

        if (b->pool >= s->pools.n)
            return "a backend's pool is out of range";
        pool = &snapshot_pools(s)[b->pool];
        if (i < pool->first_backend || i - pool->first_backend >= pool->n_backends)
            return "a backend is not among its pool's";
        if (b->id == 0 || b->port == 0 || b->n_ports > LB_PORTS_MAX || b->lingering > 1 ||
            b->transport == SIP_TRANSPORT_NONE || b->transport >= SIP_TRANSPORT_COUNT)
            return "a backend's id, port or transport is out of range";
        if (b->state >= LB_STATE_COUNT || b->admin >= LB_STATE_COUNT || b->health >= LB_STATE_COUNT)
            return "a backend's state is out of range";
        if (!text_fits(s, b->name))
            return "a backend's name leaves the text";
    }
    return NULL;
}

/* Strictly rising ids of as many entries as there are backends: each is there once. */
static const char *check_by_id(const struct snapshot *s)
{
    const uint32_t *by_id = snapshot_at(s, s->by_id.offset);
    const struct lb_backend *backends = snapshot_backends(s);

    if (s->by_id.n != s->backends.n)
        return "by_id has not one entry a backend";
    for (uint32_t i = 0; i < s->by_id.n; i++) {
        if (by_id[i] >= s->backends.n)
            return "by_id is out of range";
        if (i > 0 && backends[by_id[i - 1]].id >= backends[by_id[i]].id)
            return "by_id is not sorted";
    }
    return NULL;
}

/* At most half full, so every probe ends; and each backend is found by the probe for its address.
 */
static const char *check_by_address(const struct snapshot *s)
{
    const uint32_t *by_address = snapshot_at(s, s->by_address.offset);
    const struct lb_backend *backends = snapshot_backends(s);
    uint32_t n = s->by_address.n, used = 0;

    if (n < 2 || (n & (n - 1)) != 0 || n / 2 < s->backends.n)
        return "by_address is not a power of two, at most half full";
    for (uint32_t i = 0; i < n; i++) {
        if (by_address[i] > s->backends.n)
            return "by_address is out of range";
        used += by_address[i] != 0;
    }
    if (used != s->backends.n)
        return "by_address has not one entry a backend";
    for (uint32_t i = 0; i < s->backends.n; i++) {
        uint32_t at = snapshot_address_home(&s->hash_key, &backends[i].ip, n);

        while (by_address[at] != 0 && by_address[at] != i + 1)
            at = (at + 1) & (n - 1);
        if (by_address[at] == 0)
            return "a backend is not found by its address";
    }
    return NULL;
}

int snapshot_check(const void *block, size_t size, const char **ret_reason)
{
    /* Each check relies on those before it. */
    static const char *(*const checks[])(const struct snapshot *) = {
        check_arrays, check_mac_keys, check_services, check_listeners,
        check_pools,  check_backends, check_by_id,    check_by_address,
    };
    const char *reason = check_head(block, size);

    for (size_t i = 0; reason == NULL && i < sizeof(checks) / sizeof(checks[0]); i++)
        reason = checks[i](block);
    if (reason == NULL)
        return 0;
    *ret_reason = reason;
    return -EINVAL;
}

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

uint32_t snapshot_address_home(const struct lb_key *hash_key, const struct sip_ip *ip, uint32_t n)
{
    return (uint32_t)lb_siphash13(hash_key, ip->bytes, sizeof(ip->bytes)) & (n - 1);
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
    uint32_t low = 0, high = s->by_id.n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t found = backends[by_id[middle]].id;

        if (found == id)
            return (int32_t)by_id[middle];
        if (id < found)
            high = middle;
        else
            low = middle + 1;
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
