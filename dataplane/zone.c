/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See zone.h.
 */
#include "dataplane/zone.h"

#include <string.h>

bool zone_believes(const struct io_port *ports, uint8_t port, const struct io_fib *fib,
                   const struct sip_ip *source, const uint8_t mac[6])
{
    struct io_next_hop hop;

    switch (ports[port].cfg->zone) {
    case CFG_ZONE_INSIDE:
        return true;
    case CFG_ZONE_OUTSIDE:
        return false;
    case CFG_ZONE_BOTH:
        break;
    }
    return fib != NULL && io_fib_lookup(fib, source, &hop) == IO_FIB_FOUND &&
           hop.port == port && memcmp(hop.mac, mac, sizeof(hop.mac)) == 0;
}
