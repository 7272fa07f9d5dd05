/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots for fuzz targets, by way of a configuration's text. */
#include "tests/fuzz/world.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/compile.h"
#include "tests/fuzz/take.h"

static const char common[] = "node_address: 192.0.2.2\n"
                             "dataplane:\n"
                             "  ports: [{name: p, driver: af_xdp, device: eth0, tap: tandem0}]\n"
                             "pools:\n"
                             "  - name: proxies\n"
                             "%s"
                             "    backends:\n"
                             "      - {name: kam1, address: 10.0.0.11, ports: [5080]}\n"
                             "      - {name: kam2, address: 10.0.0.12}\n"
                             "      - {name: kam3, address: 10.0.0.13, weight: 50}\n"
                             "      - {name: kam6, address: \"fd00::14\"}\n"
                             "  - name: trunks\n"
                             "    backends: [{name: gw1, address: 10.0.1.1}]\n"
                             "services:\n"
                             "  - name: calls\n"
                             "    pool: proxies\n"
                             "    domains: [example.net]\n"
                             "    listen:\n"
                             "      - {transport: udp, address: 192.0.2.10}\n"
                             "      - {transport: udp, address: 192.0.2.10, port: 5070}\n"
                             "      - {transport: udp, address: \"2001:db8:5::10\"}\n"
                             "%s";

static const char pool_of_trunks[] = "    key: header:X-Id\n    share: dialogs\n";
static const char service_of_trunks[] =
    "    path: supported\n"
    "    sources: [203.0.113.0/24, \"2001:db8::/32\"]\n"
    "    match:\n"
    "      - {prefix: \"+49\", pool: trunks}\n"
    "      - {source: 10.0.0.0/8, domain: example.net, pool: trunks}\n";

static const struct snapshot_target targets[] = {
    {.addr = {{{[10] = 0xff, 0xff, 198, 51, 100, 1}}, 5060},
     .transport = SIP_TRANSPORT_UDP,
     .priority = 1,
     .weight = 10},
    {.addr = {{{[10] = 0xff, 0xff, 198, 51, 100, 2}}, 5062},
     .transport = SIP_TRANSPORT_UDP,
     .priority = 1,
     .weight = 20},
    {.addr = {{{0x20, 1, 0xd, 0xb8, [15] = 9}}, 5060}, .transport = SIP_TRANSPORT_UDP},
};

static const struct compile_name names[] = {
    {.host = "carrier.example", .outcome = SNAPSHOT_NAME_FOUND, .targets = targets, .n_targets = 2},
    {.host = "carrier.example",
     .port = 5061,
     .transport = SIP_TRANSPORT_UDP,
     .outcome = SNAPSHOT_NAME_FOUND,
     .targets = targets + 2,
     .n_targets = 1},
    {.host = "nobody.example", .outcome = SNAPSHOT_NAME_NONE},
    {.host = "silent.example", .port = 5060, .outcome = SNAPSHOT_NAME_FAILED},
};

static struct cfg *load(enum world_kind kind)
{
    int fd = memfd_create("world.yaml", MFD_CLOEXEC);
    struct cfg_error error = {.line = 0};
    bool trunks = kind == WORLD_TRUNKS;
    struct cfg *cfg;
    char name[64];

    must(fd >= 0 &&
         dprintf(fd, common, trunks ? pool_of_trunks : "", trunks ? service_of_trunks : "") > 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    cfg = cfg_load(name, &error);
    if (cfg == NULL)
        fprintf(stderr, "%u: %s: %s\n", error.line, error.key, error.reason);
    must(cfg != NULL);
    close(fd);
    cfg->services[0].mode = kind >= WORLD_DIRECT ? SNAPSHOT_MODE_DIRECT : SNAPSHOT_MODE_PROXY;
    cfg->services[0].tunnel = kind == WORLD_TUNNEL;
    return cfg;
}

/* Keys as the stage's: what one signs, the other verifies. */
const struct snapshot *world_snapshot(enum world_kind kind)
{
    static struct snapshot *made[WORLD_COUNT];
    static const struct compile_secret secret = {
        .seed = {0x0123456789abcdef, 0xfedcba9876543210},
        .mac = {[SNAPSHOT_MAC_CURRENT] = {.id = 2, .valid = 1, .key = {77, 99}},
                [SNAPSHOT_MAC_PREVIOUS] = {.id = 6, .valid = 1, .key = {5, 6}}}};
    struct compile_live live = {.names = names,
                                .n_names = sizeof(names) / sizeof(names[0]),
                                .capture = {.on = 1, .n_calls = 2, .calls = {1, 2}}};
    struct compile_input input = {.secret = &secret, .live = &live, .generation = 1};
    const char *reason = "";
    struct cfg *cfg;

    if (made[kind] != NULL)
        return made[kind];
    input.cfg = cfg = load(kind);
    must(compile_snapshot(&input, &made[kind]) == 0);
    must(snapshot_check(made[kind], made[kind]->size, &reason) == 0);
    cfg_free(cfg);
    return made[kind];
}
