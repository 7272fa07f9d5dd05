/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See notice.h. How ICMP looks is io/icmp's.
 */
#include "dataplane/notice.h"

#include "dataplane/io/icmp.h"
#include "dataplane/zone.h"

enum { SOURCE_MAC = 6 }; /* where it stands in a frame */

/* Whether a packet that is spoken of may be ours: by its source a listener's, or a tunnel's. */
static bool may_be_ours(const struct snapshot *s, const struct io_icmp *icmp)
{
    if (icmp->src.port == 0)
        return sip_ip_equal(&icmp->src.ip, &s->node_ip);
    return snapshot_find_listener(s, SIP_TRANSPORT_UDP, &icmp->src) >= 0;
}

static void learn_path_mtu(const struct worker_shared *shared, uint8_t port,
                           const struct io_icmp *icmp, uint64_t now_ms)
{
    uint64_t *counters = counters_block(shared->counters, 0);

    if (io_path_mtu_learn(shared->path_mtu, &icmp->dst.ip, icmp->mtu, shared->ports[port].mtu,
                          now_ms))
        counters_add(&counters[COUNTER_PATH_MTUS], 1);
}

/* Whether who says that a backend is unreachable can know it. */
static bool knows(const struct io_fib *fib, const struct sip_ip *sender,
                  const struct sip_ip *backend)
{
    struct io_next_hop hop;

    if (sip_ip_equal(sender, backend))
        return true;
    return fib != NULL && io_fib_lookup(fib, backend, &hop) != IO_FIB_NO_ROUTE &&
           sip_ip_equal(sender, &hop.ip);
}

void notice_unreachable(const struct worker_shared *shared, const struct proxy_view *view,
                        uint32_t backend)
{
    uint64_t *by_slot = counters_slot_block(shared->counters, 0, COUNTERS_SLOT_UNREACHABLE);

    counters_add(&by_slot[view->slot_of[backend]], 1);
}

static void count_unreachable(const struct worker_shared *shared, const struct proxy_view *view,
                              const struct sip_addr *addr)
{
    for (uint32_t pool = 0; pool < view->snapshot->pools.n; pool++) {
        int32_t found = snapshot_find_backend(view->snapshot, pool, addr, false);

        if (found != LB_NO_BACKEND)
            notice_unreachable(shared, view, (uint32_t)found);
    }
}

static void see_unreachable(const struct worker_shared *shared,
                            const struct publish_current *current, uint8_t port,
                            const struct io_icmp *icmp, const uint8_t *mac)
{
    if (!snapshot_is_backend_address(current->view->snapshot, &icmp->dst.ip))
        return;
    if (shared->ports[port].cfg->zone == CFG_ZONE_BOTH &&
        !knows(current->fib, &icmp->from, &icmp->dst.ip))
        return;
    if (zone_believes(shared->ports, port, current->fib, &icmp->from, mac))
        count_unreachable(shared, current->view, &icmp->dst);
}

void notice_frame(const struct worker_shared *shared, uint8_t port, const uint8_t *bytes,
                  uint32_t length, uint64_t now_ms)
{
    struct publish_current current = publish_read(shared->publish);
    struct io_icmp icmp;

    if (current.view == NULL || !io_icmp_read(bytes, length, &icmp) ||
        !may_be_ours(current.view->snapshot, &icmp))
        return;
    switch (icmp.kind) {
    case IO_ICMP_TOO_BIG:
        learn_path_mtu(shared, port, &icmp, now_ms);
        break;
    case IO_ICMP_UNREACHABLE:
        see_unreachable(shared, &current, port, &icmp, bytes + SOURCE_MAC);
        break;
    }
}
