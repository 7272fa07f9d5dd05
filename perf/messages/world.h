/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tandem's core as a benchmark's Tandem will run it: the snapshot that control would compile of the
 * same configuration and secret, a call table, and what becomes of a message in it.
 */
#ifndef TANDEM_PERF_WORLD_H
#define TANDEM_PERF_WORLD_H

#include "dataplane/proxy/proxy.h"

struct world {
    struct snapshot *snapshot;
    struct proxy_view view;
    uint16_t *slot_of;
    int32_t *backend_of;
    void *calls_memory;
    struct lb_call_table *calls;
    struct lb_call_counts counts; /* nothing is counted */
};

/* From a configuration and its secret, which is made when there is none. Everybody is up. NULL, and
 * a line on stderr. */
struct world *world_new(const char *config_file, const char *secret_file, uint64_t call_table);
void world_free(struct world *world);

/* Where requests from outside go: the first UDP listener's address. */
struct sip_addr world_listener(const struct world *world);

/*
 * What the core is asked about a datagram that was sent from `from` to `to`. `msg` is its index.
 * Frames are believed to come from backends where the address is one's.
 */
struct proxy_input world_input(struct world *world, const struct sip_msg *msg,
                               const struct sip_addr *from, const struct sip_addr *to);

/* Has the core decide about it. */
void world_decide(struct world *world, const struct sip_msg *msg, const struct sip_addr *from,
                  const struct sip_addr *to, struct proxy_output *ret);

#endif
