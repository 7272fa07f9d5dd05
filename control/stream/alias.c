/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may have a connection reused: see alias.h.
 */
#include "control/stream/alias.h"

#include "dataplane/proxy/via.h"

static bool is_backend(const struct snapshot *s, const struct snapshot_service *service,
                       const struct sip_addr *addr)
{
    return snapshot_find_service_backend(s, service, addr, false) >= 0;
}

uint16_t alias_port(const struct snapshot *s, const struct snapshot_service *service,
                    const struct sip_msg *request, const struct proxy_flow *from)
{
    const struct sip_via *via = &request->top_via;
    struct proxy_next_via sent_by;
    struct sip_addr addr;
    struct sip_slice value;

    if (from->connection == 0 || via->transport != from->transport ||
        (from->transport != SIP_TRANSPORT_TCP && from->transport != SIP_TRANSPORT_TLS) ||
        !sip_param_find(via->params, sip_slice_of("alias"), &value, NULL))
        return 0;
    proxy_via_sent_by(via, &sent_by);
    addr = (struct sip_addr){from->peer.ip, sent_by.sent_by_port};
    if (from->transport == SIP_TRANSPORT_TCP &&
        (!sent_by.sent_by_is_ip || !sip_ip_equal(&sent_by.sent_by_ip, &addr.ip) ||
         !is_backend(s, service, &addr)))
        return 0;
    return addr.port;
}
