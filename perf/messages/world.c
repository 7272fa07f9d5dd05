/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. */
#include "perf/messages/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "config/compile.h"

enum { TABLE_ALIGNMENT = 2 << 20 }; /* huge pages, as the data plane's lies in where there are some */

/* Compiles as control does at its first start. NULL, and a line on stderr. */
static struct snapshot *compile(const char *config_file, const char *secret_file)
{
    struct cfg_error error;
    struct compile_secret secret;
    struct compile_input input = {.secret = &secret, .generation = 1};
    struct snapshot *snapshot = NULL;
    struct cfg *cfg = cfg_load(config_file, &error);
    char text[768];
    uint32_t line;
    int result;

    if (cfg == NULL) {
        cfg_error_print(&error, text, sizeof(text));
        fprintf(stderr, "%s\n", text);
        return NULL;
    }
    input.cfg = cfg;
    result = compile_secret_load(secret_file, &secret, &line);
    if (result == 0)
        result = compile_snapshot(&input, &snapshot);
    if (result < 0)
        fprintf(stderr, "%s, %s: %s\n", config_file, secret_file, strerror(-result));
    cfg_free(cfg);
    return result < 0 ? NULL : snapshot;
}

static bool make_view(struct world *world)
{
    uint32_t n = world->snapshot->backends.n;

    world->slot_of = calloc(n, sizeof(world->slot_of[0]));
    world->backend_of = calloc(n, sizeof(world->backend_of[0]));
    if (world->slot_of == NULL || world->backend_of == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        world->slot_of[i] = (uint16_t)i;
        world->backend_of[i] = (int32_t)i;
    }
    world->view = (struct proxy_view){world->snapshot, world->slot_of, world->backend_of, n, false};
    world->counts.n_slots = n;
    return true;
}

static bool make_calls(struct world *world, uint64_t entries)
{
    size_t bytes = lb_call_table_bytes(entries);

    bytes = (bytes + TABLE_ALIGNMENT - 1) / TABLE_ALIGNMENT * TABLE_ALIGNMENT;
    world->calls_memory = aligned_alloc(TABLE_ALIGNMENT, bytes);
    if (world->calls_memory == NULL)
        return false;
    madvise(world->calls_memory, bytes, MADV_HUGEPAGE);
    memset(world->calls_memory, 0, bytes);
    world->calls = lb_call_table_init(world->calls_memory, entries);
    return world->calls != NULL;
}

struct world *world_new(const char *config_file, const char *secret_file, uint64_t call_table)
{
    struct world *world = calloc(1, sizeof(*world));

    if (world == NULL)
        return NULL;
    world->snapshot = compile(config_file, secret_file);
    if (world->snapshot == NULL || !make_view(world) || !make_calls(world, call_table)) {
        world_free(world);
        return NULL;
    }
    return world;
}

void world_free(struct world *world)
{
    if (world == NULL)
        return;
    free(world->calls_memory);
    free(world->backend_of);
    free(world->slot_of);
    free(world->snapshot);
    free(world);
}

struct sip_addr world_listener(const struct world *world)
{
    const struct snapshot_listener *listeners = snapshot_listeners(world->snapshot);
    uint32_t n = world->snapshot->listeners.n, i = 0;

    while (i + 1 < n && listeners[i].transport != SIP_TRANSPORT_UDP)
        i++;
    return listeners[i].addr;
}

struct proxy_input world_input(struct world *world, const struct sip_msg *msg,
                               const struct sip_addr *from, const struct sip_addr *to)
{
    int32_t listener = snapshot_find_listener(world->snapshot, SIP_TRANSPORT_UDP, to);

    return (struct proxy_input){
        .msg = msg,
        .from = {.local = *to, .peer = *from, .transport = SIP_TRANSPORT_UDP},
        .listener = listener < 0 ? 0 : (uint32_t)listener,
        .inside = true,
        .now_s = 1,
        .calls = world->calls,
        .counts = &world->counts,
    };
}

void world_decide(struct world *world, const struct sip_msg *msg, const struct sip_addr *from,
                  const struct sip_addr *to, struct proxy_output *ret)
{
    struct proxy_input input = world_input(world, msg, from, to);

    proxy_decide(&world->view, &input, ret);
}
