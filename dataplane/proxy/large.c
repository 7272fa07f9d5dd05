/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are too large for a datagram (RFC 3261 §18.1.1): the way by TCP to a backend that is
 * reached by UDP, and back. Only the hop changes: branch and seal are of the request, so that its
 * answer, its CANCEL and its ACK are told by both, and Record-Route and Path stay, so that the
 * dialog goes on by UDP.
 */
#include <string.h>

#include "dataplane/proxy/large.h"
#include "dataplane/proxy/via.h"

static bool backend_has_tcp(const struct snapshot *s, uint32_t service, const struct sip_addr *addr)
{
    int32_t backend =
        snapshot_find_service_backend(s, &snapshot_services(s)[service], addr, false);
    const struct lb_backend *b;

    if (backend < 0)
        return false;
    b = &snapshot_backends(s)[backend];
    return b->transport == SIP_TRANSPORT_UDP && snapshot_pools(s)[b->pool].large == LB_LARGE_TCP;
}

/* A listener of a service to send from; of UDP control's. False: there is none. */
static bool find_local(const struct snapshot *s, uint32_t service, enum sip_transport transport,
                       const struct sip_ip *peer, struct sip_addr *ret)
{
    const struct snapshot_listener *listeners = snapshot_listeners(s);

    for (uint32_t i = 0; i < s->listeners.n; i++) {
        if (listeners[i].service == service && listeners[i].transport == transport &&
            listeners[i].plane == SNAPSHOT_PLANE_CONTROL &&
            sip_ip_is_v4(&listeners[i].addr.ip) == sip_ip_is_v4(peer)) {
            *ret = listeners[i].addr;
            return true;
        }
    }
    return false;
}

bool proxy_large_turn(const struct snapshot *s, const struct proxy_flow *to, struct proxy_flow *ret)
{
    const struct snapshot_listener *from;
    enum sip_transport other =
        to->transport == SIP_TRANSPORT_UDP ? SIP_TRANSPORT_TCP : SIP_TRANSPORT_UDP;
    int32_t at = snapshot_find_listener(s, (enum sip_transport)to->transport, &to->local);

    if (at < 0 || (to->transport != SIP_TRANSPORT_UDP && to->transport != SIP_TRANSPORT_TCP))
        return false;
    from = &snapshot_listeners(s)[at];
    if (from->plane != SNAPSHOT_PLANE_CONTROL || !backend_has_tcp(s, from->service, &to->peer))
        return false;
    *ret = (struct proxy_flow){.transport = (uint8_t)other, .peer = to->peer};
    return find_local(s, from->service, other, &to->peer.ip, &ret->local);
}

void proxy_large_edit(const struct sip_msg *sent, const struct proxy_flow *to, struct sip_edit *ret)
{
    const struct sip_via *via = &sent->top_via;
    uint32_t host = (uint32_t)(via->host.at - sent->buf);
    uint32_t params = (uint32_t)(via->params.at - sent->buf);
    struct sip_slice value, alias;
    char text[SIP_ADDR_TEXT_MAX];

    sip_edit_init(ret);
    sip_edit_splice(ret, (uint32_t)(via->transport_text.at - sent->buf), via->transport_text.length);
    sip_edit_put_text(ret, sip_transport_name((enum sip_transport)to->transport));
    sip_edit_splice(ret, host, params - host);
    sip_edit_put(ret, text, sip_addr_print(&to->local, text));
    if (to->transport == SIP_TRANSPORT_TCP) {
        sip_edit_splice(ret, params + via->params.length, 0);
        sip_edit_put_text(ret, ";alias");
    } else if (sip_param_find(via->params, sip_slice_of("alias"), &value, &alias)) {
        sip_edit_splice(ret, (uint32_t)(alias.at - sent->buf), alias.length);
    }
}
