/* SPDX-License-Identifier: Apache-2.0 */
/* One fault in a good snapshot at a time, and the reason for which the check refuses it. */
#include "tests/unit/config/block.h"

/* One fault each, and the word by which its reason is known. */
static const char *const faults[] = {
    "not a snapshot",
    "another version",
    "size differs",
    "generation is 0",
    "draining",
    "services leave",
    "listeners leave",
    "tables leave",
    "text leaves",
    "no current MAC key",
    "two MAC keys",
    "service's pool",
    "service's flags",
    "service's name",
    "listener's service",
    "listeners are not sorted",
    "listener's transport",
    "backends do not follow",
    "table does not follow",
    "pool's share",
    "pool's key",
    "table's entry",
    "backend's pool",
    "not among its pool's",
    "backend's id, port",
    "backend's state",
    "backend's name",
    "by_id has not one entry",
    "by_id is out of range",
    "by_address is out of range",
    "not found by its address",
    "power of two",
    "domains leave",
    "domain leaves",
    "at most half full",
    "sources leave",
    "matches leave",
    "pools leave the block",
    "source is out of range",
    "source is out of range",
    "source is out of range",
    "match's source",
    "match's text",
    "match's text",
    "too long",
    "match's pool",
    "begin with its pool",
    "begin with its pool",
    "begin with its pool",
    "pools are out of range",
    "pools are out of range",
    "pools are out of range",
    "mode or tunnel",
    "mode or tunnel",
    "mode or tunnel",
    "mode or tunnel",
    "capture",
    "capture",
    "names leave",
    "names leave",
    "targets leave the block",
    "too many names",
    "host leaves",
    "host leaves",
    "transport or outcome",
    "transport or outcome",
    "names are not sorted",
    "names are not sorted",
    "name's hash",
    "name's hash",
    "name's hash",
    "none or too many",
    "none or too many",
    "none or too many",
    "none or too many",
    "leave those of all",
    "leave those of all",
    "leave those of all",
    "leave those of all",
    "target's port",
    "target's port",
    "target's port",
    "sorted by priority",
    "stages",
    "listener's text",
    "listener's text",
    "not found by its id",
    "not found by its id",
    "by_id is not a power of two",
    "nodes leave",
    "too many nodes",
    "node's id",
    "node's id",
    "nodes are not sorted",
    "nodes are not sorted",
};

static void swap_names(struct snapshot_name *a, struct snapshot_name *b)
{
    struct snapshot_name was = *a;

    *a = *b;
    *b = was;
}

/* One of a probed table's entries that is used. */
static uint32_t *any_entry(struct snapshot *s, struct snapshot_array table)
{
    uint32_t *entry = (void *)((char *)s + table.offset);

    while (*entry == 0)
        entry++;
    return entry;
}

/* The sample's name with that many targets. */
static struct snapshot_name *name_with(struct snapshot *s, uint32_t n_targets)
{
    struct snapshot_name *name = (void *)((char *)s + s->names.offset);

    while (name->targets.n != n_targets)
        name++;
    return name;
}

/* A table in the shape of a switch: one line a case. */
/* clang-format off */
static void make_fault(struct snapshot *s, size_t which)
{
    struct snapshot_service *service = (void *)((char *)s + s->services.offset);
    struct snapshot_listener *listener = (void *)((char *)s + s->listeners.offset);
    struct lb_pool *pool = (void *)((char *)s + s->pools.offset);
    struct lb_backend *backend = (void *)((char *)s + s->backends.offset);
    uint32_t *by_id = (void *)((char *)s + s->by_id.offset);
    uint32_t *by_address = (void *)((char *)s + s->by_address.offset);
    uint16_t *table = (void *)((char *)s + s->tables.offset);
    struct lb_text *domain = (void *)((char *)s + service[0].domains.offset);
    struct snapshot_listener first = listener[0];
    struct snapshot_prefix *source = (void *)((char *)s + service[1].sources.offset);
    struct snapshot_match *match = (void *)((char *)s + service[1].matches.offset);
    uint32_t *pools = (void *)((char *)s + service[1].pools.offset);
    struct snapshot_name *name = (void *)((char *)s + s->names.offset);
    struct snapshot_name *two = name_with(s, 2), *one = name_with(s, 1), *none = name_with(s, 0);
    struct snapshot_node *node = (void *)((char *)s + s->nodes.offset);
    struct snapshot_target *target = (void *)((char *)s + two->targets.offset);

    switch (which) {
    case 0: s->magic ^= 1; break;
    case 1: s->version++; break;
    case 2: s->size++; break;
    case 3: s->generation = 0; break;
    case 4: s->draining = 2; break;
    case 5: s->services.offset += 2; break;
    case 6: s->listeners.n = UINT32_MAX; break;
    case 7: s->tables.offset = (uint32_t)s->size; break;
    case 8: s->text.offset = 8; break;
    case 9: s->mac[SNAPSHOT_MAC_CURRENT].valid = 0; break;
    case 10: s->mac[SNAPSHOT_MAC_PREVIOUS].id = s->mac[SNAPSHOT_MAC_CURRENT].id; break;
    case 11: service[0].pool = s->pools.n; break;
    case 12: service[0].n_proxy_require = SNAPSHOT_PROXY_REQUIRE_MAX + 1; break;
    case 13: service[0].name.length = UINT32_MAX; break;
    case 14: listener[0].service = s->services.n; break;
    case 15: listener[0] = listener[1]; listener[1] = first; break;
    case 16: listener[1].transport = SIP_TRANSPORT_COUNT; break;
    case 17: pool[1].first_backend = 0; break;
    case 18: pool[1].table = 0; break;
    case 19: pool[0].share = LB_SHARE_DIALOGS + 1; break;
    case 20: pool[0].keys[SIP_BYE] = LB_KEY_COUNT; break;
    case 21: table[pool[0].table] = (uint16_t)pool[0].n_backends; break;
    case 22: backend[0].pool = s->pools.n; break;
    case 23: backend[0].pool = 1; break;
    case 24: backend[0].n_ports = LB_PORTS_MAX + 1; break;
    case 25: backend[0].state = LB_STATE_COUNT; break;
    case 26: backend[0].name.offset = UINT32_MAX; break;
    case 27: *any_entry(s, s->by_id) = 0; break;
    case 28: by_id[0] = s->backends.n + 1; break;
    case 29: by_address[0] = s->backends.n + 1; break;
    case 30: backend[0].ip.bytes[15] ^= 1; s->hash_key.k0 ^= 1; break;
    case 31: s->by_address.n--; break;
    case 32: service[0].domains.n = (uint32_t)s->size; break;
    case 33: domain[0].length = s->text.n; break;
    case 34: s->by_address.n = 8; break;                  /* for six backends */
    case 35: service[1].sources.n = (uint32_t)s->size; break;
    case 36: service[1].matches.offset += 2; break;
    case 37: service[1].pools.offset = (uint32_t)s->size - 4; break;
    case 38: source[0].bits = 95; break;
    case 39: source[2].bits = 129; break;
    case 40: source[1].family = SNAPSHOT_FAMILY_NONE; source[1].bits = 0; break;
    case 41: match[0].source.family = SNAPSHOT_FAMILY_V6 + 1; break;
    case 42: match[0].domain.length = s->text.n; break;
    case 43: match[1].dialled.offset = s->text.n; break;
    case 44: match[0].dialled.length = SNAPSHOT_DIALLED_MAX + 1; match[0].dialled.offset = 0; break;
    case 45: match[0].pool = s->pools.n; break;
    case 46: service[1].pools.n = 0; break;
    case 47: service[1].pools.n = SNAPSHOT_SERVICE_POOLS_MAX + 1; service[1].pools.offset = service[1].sources.offset; break;
    case 48: pools[0] = 0; break;
    case 49: pools[2] = s->pools.n; break;
    case 50: pools[2] = pools[1]; break;
    case 51: pools[1] = pools[0]; break;
    case 52: service[0].mode = SNAPSHOT_MODE_DIRECT + 1; break;
    case 53: service[0].mode = SNAPSHOT_MODE_DIRECT; service[0].tunnel = 2; break;
    case 54: service[0].tunnel = 1; break;
    case 55: service[0].mode = SNAPSHOT_MODE_DIRECT; service[0].tunnel = 1; memset(&s->node_ip, 0, sizeof(s->node_ip)); break;
    case 56: s->capture.on = 2; break;
    case 57: s->capture.n_calls = SNAPSHOT_CAPTURES_MAX + 1; break;
    case 58: s->names.offset += 4; break;
    case 59: s->names.offset = (uint32_t)s->size - 8; break;
    case 60: s->targets.n = (uint32_t)s->size; break;
    case 61: s->names.n = SNAPSHOT_NAMES_MAX + 1; break;
    case 62: name[0].host.length = s->text.n + 1; break;
    case 63: name[0].host = (struct lb_text){0, SNAPSHOT_HOST_MAX + 1}; break;
    case 64: name[1].transport = SIP_TRANSPORT_COUNT; break;
    case 65: name[1].outcome = SNAPSHOT_NAME_FAILED + 1; break;
    case 66: swap_names(&name[0], &name[1]); break;
    case 67: name[3] = name[2]; break;
    case 68: name[0].port ^= 1; break;
    case 69: name[0].host.length--; break;
    case 70: name[0].transport = SIP_TRANSPORT_WSS; break;
    case 71: two->targets.n = 0; break;
    case 72: one->outcome = SNAPSHOT_NAME_NONE; break;
    case 73: none->outcome = SNAPSHOT_NAME_FOUND; break;
    case 74: two->targets.n = SNAPSHOT_TARGETS_MAX + 1; break;
    case 75: two->targets.offset = s->targets.offset - (uint32_t)sizeof(*target); break;
    case 76: two->targets.offset += 2; break;
    case 77: two->targets.n = 4; break;
    case 78: none->targets.offset = (uint32_t)s->size; break;
    case 79: target[1].addr.port = 0; break;
    case 80: target[0].transport = SIP_TRANSPORT_NONE; break;
    case 81: target[0].transport = SIP_TRANSPORT_COUNT; break;
    case 82: target[1].priority = 0; break;
    case 83: s->stages = 2; break;
    case 84: listener[0].text_length++; break;
    case 85: listener[1].text[0]++; break;
    case 86: backend[0].id ^= s->by_id.n / 2; break;
    case 87: backend[1].id = backend[0].id; break;
    case 88: s->by_id.n--; break;
    case 89: s->nodes.offset = (uint32_t)s->size; break;
    case 90: s->nodes.n = SNAPSHOT_NODES_MAX + 1; break;
    case 91: node[0].id = 0; break;
    case 92: node[1].id = s->node_id; break;
    case 93: node[1] = node[0]; break;
    case 94: node[0].id = UINT32_MAX; break;
    default: fail();
    }
}
/* clang-format on */

static void test_faults(void **state)
{
    struct snapshot *s = good(state);
    uint64_t size = s->size;
    void *copy = malloc(size);

    assert_non_null(copy);
    memcpy(copy, s, size);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        const char *reason = "taken";

        make_fault(s, i);
        if (snapshot_check(s, size, &reason) != -EINVAL || strstr(reason, faults[i]) == NULL)
            fail_msg("fault %zu: wanted `%s`, got `%s`", i, faults[i], reason);
        memcpy(s, copy, size);
    }
    free(copy);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_BLOCK(test_faults),
    };

    if (argc > 1)
        sample_dir = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
