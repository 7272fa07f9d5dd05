/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a snapshot that came from another process, after which no look-up can leave its
 * block. Libc and lb/ only: it must not know how a snapshot is made.
 */
#include "config/snapshot.h"

#include <assert.h>
#include <errno.h>

#include "dataplane/lb/maglev.h"

static_assert(sizeof(struct snapshot_mac_key) == 24, "crosses a process");
static_assert(sizeof(struct snapshot_listener) == 76, "crosses a process");
static_assert(sizeof(struct snapshot_prefix) == 20, "crosses a process");
static_assert(sizeof(struct snapshot_match) == 40, "crosses a process");
static_assert(sizeof(struct snapshot_service) == 116, "crosses a process");
static_assert(sizeof(struct lb_backend) == 64, "crosses a process");
static_assert(sizeof(struct lb_pool) == 56, "crosses a process");
static_assert(sizeof(struct snapshot_target) == 24, "crosses a process");
static_assert(sizeof(struct snapshot_name) == 32, "crosses a process");
static_assert(sizeof(struct snapshot_node) == 20, "crosses a process");
static_assert(sizeof(struct snapshot) == 320, "crosses a process");

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
    if (s->stages > 1)
        return "stages is not a bool";
    if (s->capture.on > 1 || s->capture.n_calls > SNAPSHOT_CAPTURES_MAX)
        return "the capture is out of range";
    return NULL;
}

static const char *check_arrays(const struct snapshot *s)
{
    if (s->services.n > SNAPSHOT_SERVICES_MAX)
        return "too many services";
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
    if (s->names.n > SNAPSHOT_NAMES_MAX)
        return "too many names";
    if (!array_fits(s, s->names, sizeof(struct snapshot_name), 8))
        return "names leave the block";
    if (!array_fits(s, s->targets, sizeof(struct snapshot_target), 4))
        return "targets leave the block";
    if (s->nodes.n > SNAPSHOT_NODES_MAX)
        return "too many nodes";
    if (!array_fits(s, s->nodes, sizeof(struct snapshot_node), 4))
        return "nodes leave the block";
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

/* A tunnel begins at this node's own address. */
static bool mode_is_valid(const struct snapshot *s, const struct snapshot_service *service)
{
    static const struct sip_ip none;

    if (service->mode > SNAPSHOT_MODE_DIRECT || service->tunnel > 1)
        return false;
    return !service->tunnel ||
           (service->mode == SNAPSHOT_MODE_DIRECT && !sip_ip_equal(&s->node_ip, &none));
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
        if (!mode_is_valid(s, service))
            return "a service's mode or tunnel is out of range";
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

static bool listener_has_its_text(const struct snapshot_listener *listener)
{
    char text[SIP_ADDR_TEXT_MAX];
    uint32_t length = sip_addr_print(&listener->addr, text);

    return listener->text_length == length && memcmp(listener->text, text, length) == 0;
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
        if (listeners[i].plane > SNAPSHOT_PLANE_CONTROL ||
            (listeners[i].transport != SIP_TRANSPORT_UDP &&
             listeners[i].plane != SNAPSHOT_PLANE_CONTROL))
            return "a listener's plane is out of range";
        if (!listener_has_its_text(&listeners[i]))
            return "a listener's text is not its address's";
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
        if (pool->large > LB_LARGE_TCP)
            return "what a pool does with large requests is out of range";
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

enum probe_fault { PROBE_SIZE, PROBE_ENTRY, PROBE_COUNT, PROBE_FAULTS };

/* A table of backends that is probed: at most half full, so that every probe ends. */
static const char *check_probed(const struct snapshot *s, struct snapshot_array table,
                                const char *const reasons[PROBE_FAULTS])
{
    const uint32_t *entries = snapshot_at(s, table.offset);
    uint32_t used = 0;

    if (table.n < 2 || (table.n & (table.n - 1)) != 0 || table.n / 2 < s->backends.n)
        return reasons[PROBE_SIZE];
    for (uint32_t i = 0; i < table.n; i++) {
        if (entries[i] > s->backends.n)
            return reasons[PROBE_ENTRY];
        used += entries[i] != 0;
    }
    return used != s->backends.n ? reasons[PROBE_COUNT] : NULL;
}

/* Each backend is found by its id, and so no two have the same. */
static const char *check_by_id(const struct snapshot *s)
{
    static const char *const reasons[] = {
        [PROBE_SIZE] = "by_id is not a power of two, at most half full",
        [PROBE_ENTRY] = "by_id is out of range",
        [PROBE_COUNT] = "by_id has not one entry a backend",
    };
    const char *reason = check_probed(s, s->by_id, reasons);

    for (uint32_t i = 0; reason == NULL && i < s->backends.n; i++) {
        if (snapshot_backend_by_id(s, snapshot_backends(s)[i].id) != (int32_t)i)
            reason = "a backend is not found by its id";
    }
    return reason;
}

/* Each backend is found by the probe for its address. */
static const char *check_by_address(const struct snapshot *s)
{
    static const char *const reasons[] = {
        [PROBE_SIZE] = "by_address is not a power of two, at most half full",
        [PROBE_ENTRY] = "by_address is out of range",
        [PROBE_COUNT] = "by_address has not one entry a backend",
    };
    const uint32_t *by_address = snapshot_at(s, s->by_address.offset);
    const struct lb_backend *backends = snapshot_backends(s);
    const char *reason = check_probed(s, s->by_address, reasons);
    uint32_t n = s->by_address.n;

    if (reason != NULL)
        return reason;
    for (uint32_t i = 0; i < s->backends.n; i++) {
        uint32_t at = snapshot_address_home(&s->hash_key, &backends[i].ip, n);

        while (by_address[at] != 0 && by_address[at] != i + 1)
            at = (at + 1) & (n - 1);
        if (by_address[at] == 0)
            return "a backend is not found by its address";
    }
    return NULL;
}

static bool target_is_valid(const struct snapshot_target *target)
{
    return target->addr.port != 0 && target->transport != SIP_TRANSPORT_NONE &&
           target->transport < SIP_TRANSPORT_COUNT;
}

/* A name's targets are a part of those of all names: there are some where it was found. */
static const char *check_targets(const struct snapshot *s, const struct snapshot_name *name)
{
    const struct snapshot_target *targets = snapshot_at(s, name->targets.offset);
    uint64_t from = name->targets.offset, end = s->targets.offset;

    if ((name->targets.n > 0) != (name->outcome == SNAPSHOT_NAME_FOUND) ||
        name->targets.n > SNAPSHOT_TARGETS_MAX)
        return "a name's targets are none or too many";
    end += s->targets.n * sizeof(*targets);
    if (from < s->targets.offset || (from - s->targets.offset) % sizeof(*targets) != 0 ||
        from + name->targets.n * sizeof(*targets) > end)
        return "a name's targets leave those of all";
    for (uint32_t i = 0; i < name->targets.n; i++) {
        if (!target_is_valid(&targets[i]))
            return "a target's port or transport is out of range";
        if (i > 0 && targets[i].priority < targets[i - 1].priority)
            return "a name's targets are not sorted by priority";
    }
    return NULL;
}

/* Strictly rising hashes, each that of its name: every name is there once, and is found. */
static const char *check_names(const struct snapshot *s)
{
    const struct snapshot_name *names = snapshot_at(s, s->names.offset);
    const char *reason = NULL;

    for (uint32_t i = 0; reason == NULL && i < s->names.n; i++) {
        const struct snapshot_name *name = &names[i];

        if (!text_fits(s, name->host) || name->host.length > SNAPSHOT_HOST_MAX)
            return "a name's host leaves the text";
        if (name->transport >= SIP_TRANSPORT_COUNT || name->outcome > SNAPSHOT_NAME_FAILED)
            return "a name's transport or outcome is out of range";
        if (i > 0 && name->hash <= names[i - 1].hash)
            return "names are not sorted";
        if (name->hash != snapshot_name_hash(&s->hash_key, snapshot_text(s, name->host), name->port,
                                             (enum sip_transport)name->transport))
            return "a name's hash is not that of its host, port and transport";
        reason = check_targets(s, name);
    }
    return reason;
}

/* Every address of a node is there once, and this node's are not. */
static const char *check_nodes(const struct snapshot *s)
{
    const struct snapshot_node *nodes = snapshot_nodes(s);

    for (uint32_t i = 0; i < s->nodes.n; i++) {
        if (nodes[i].id == 0 || nodes[i].id == s->node_id)
            return "a node's id is 0 or this one's";
        if (i > 0 && snapshot_node_order(&nodes[i - 1], &nodes[i]) >= 0)
            return "nodes are not sorted";
    }
    return NULL;
}

int snapshot_check(const void *block, size_t size, const char **ret_reason)
{
    /* Each check relies on those before it. */
    static const char *(*const checks[])(const struct snapshot *) = {
        check_arrays,   check_mac_keys, check_services,   check_listeners, check_pools,
        check_backends, check_by_id,    check_by_address, check_names,     check_nodes,
    };
    const char *reason = check_head(block, size);

    for (size_t i = 0; reason == NULL && i < sizeof(checks) / sizeof(checks[0]); i++)
        reason = checks[i](block);
    if (reason == NULL)
        return 0;
    *ret_reason = reason;
    return -EINVAL;
}
