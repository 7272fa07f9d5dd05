/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small array of held frames, scanned as a whole: it is short, and scanned seldom. It must not
 * know how a neighbour gets resolved.
 */
#include "dataplane/io/hold.h"

#include <stdlib.h>

#include <rte_mbuf.h>

#include "dataplane/io/frame.h"

struct held {
    struct rte_mbuf *mbuf;
    struct io_fib_target target;
    struct sip_ip neighbour;
    uint64_t until_ms;
};

struct io_hold {
    const struct io_port *ports;
    uint32_t n;
    struct held held[IO_HOLD_MAX]; /* oldest first */
};

struct io_hold *io_hold_new(const struct io_port *ports)
{
    struct io_hold *hold = calloc(1, sizeof(*hold));

    if (hold != NULL)
        hold->ports = ports;
    return hold;
}

void io_hold_free(struct io_hold *hold)
{
    if (hold == NULL)
        return;
    for (uint32_t i = 0; i < hold->n; i++)
        rte_pktmbuf_free(hold->held[i].mbuf);
    free(hold);
}

bool io_hold_add(struct io_hold *hold, struct rte_mbuf *mbuf, const struct io_fib_target *target,
                 const struct sip_ip *neighbour, uint64_t now_ms)
{
    uint32_t same = 0;

    for (uint32_t i = 0; i < hold->n; i++)
        same += sip_ip_equal(&hold->held[i].neighbour, neighbour);
    if (hold->n == IO_HOLD_MAX || same >= IO_HOLD_NEIGHBOUR_MAX) {
        rte_pktmbuf_free(mbuf);
        return false;
    }
    hold->held[hold->n++] = (struct held){mbuf, *target, *neighbour, now_ms + IO_HOLD_MS};
    return true;
}

uint32_t io_hold_count(const struct io_hold *hold)
{
    return hold->n;
}

uint32_t io_hold_scan(struct io_hold *hold, const struct io_fib *fib, uint64_t now_ms,
                      void (*release)(void *context, uint8_t port, struct rte_mbuf *mbuf),
                      void *context)
{
    uint32_t kept = 0, expired = 0;

    for (uint32_t i = 0; i < hold->n; i++) {
        struct held *h = &hold->held[i];
        uint8_t *frame = rte_pktmbuf_mtod(h->mbuf, uint8_t *);
        struct io_next_hop hop;

        /* The route is asked for again: it may have changed while the frame waited. */
        if (io_fib_reach(fib, &h->target, &hop) == IO_FIB_FOUND) {
            io_frame_set_macs(frame, hold->ports[hop.port].mac, hop.mac);
            release(context, hop.port, h->mbuf);
        } else if (now_ms >= h->until_ms) {
            rte_pktmbuf_free(h->mbuf);
            expired++;
        } else {
            hold->held[kept++] = *h;
        }
    }
    hold->n = kept;
    return expired;
}
