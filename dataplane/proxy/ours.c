/* SPDX-License-Identifier: Apache-2.0 */
/* Whose address is it: a listener's, a backend's, one of the service's domains. */
#include "dataplane/proxy/work.h"

/* RFC 3261 §19.1.2; of WebSockets RFC 6455's, since nothing else is said of them. */
static uint16_t default_port(const struct sip_uri *uri)
{
    bool secure = uri->scheme == SIP_SCHEME_SIPS;

    switch (proxy_uri_transport(uri)) {
    case SIP_TRANSPORT_TLS:
        return PROXY_SIPS_PORT;
    case SIP_TRANSPORT_WS:
        return secure ? PROXY_WSS_PORT : PROXY_WS_PORT;
    case SIP_TRANSPORT_WSS:
        return PROXY_WSS_PORT;
    default:
        return secure ? PROXY_SIPS_PORT : PROXY_SIP_PORT;
    }
}

/* A URI's parameters have neither quotes nor blanks, so that one begins at each ';'. Few name a
 * transport, and reading them all to learn that takes long. */
static bool may_name_transport(struct sip_slice params)
{
    const char *at = params.at, *end;

    if (params.length == 0)
        return false;
    end = at + params.length;
    while (end - at > 3 && (at = memchr(at, ';', (size_t)(end - at) - 2)) != NULL) {
        at++;
        if ((at[0] | 0x20) == 't' && (at[1] | 0x20) == 'r')
            return true;
    }
    return false;
}

enum sip_transport proxy_uri_transport(const struct sip_uri *uri)
{
    struct sip_slice value;

    if (!may_name_transport(uri->params) ||
        !sip_param_find(uri->params, sip_slice_of("transport"), &value, NULL))
        return SIP_TRANSPORT_UDP;
    return sip_transport_parse(value);
}

bool proxy_uri_addr(const struct sip_uri *uri, struct sip_addr *ret)
{
    struct sip_addr addr;

    memset(&addr, 0, sizeof(addr));
    if (!uri->host_is_ip)
        return false;
    addr.ip = uri->ip;
    addr.port = uri->port != 0 ? uri->port : default_port(uri);
    *ret = addr;
    return true;
}

bool proxy_addr_is_listener(const struct proxy_work *w, const struct sip_addr *addr)
{
    const struct snapshot_listener *listeners = snapshot_listeners(w->s);
    uint32_t service = listeners[w->in->listener].service;

    for (uint32_t i = 0; i < w->s->listeners.n; i++) {
        if (listeners[i].service == service && sip_addr_equal(&listeners[i].addr, addr))
            return true;
    }
    return false;
}

bool proxy_uri_is_listener(const struct proxy_work *w, const struct sip_uri *uri)
{
    struct sip_addr addr;

    return proxy_uri_addr(uri, &addr) && proxy_addr_is_listener(w, &addr);
}

/* RFC 1034 §3.1: a dot at its end says that a name is complete, as every name in SIP is. */
static struct sip_slice without_final_dot(struct sip_slice host)
{
    if (host.length > 0 && host.at[host.length - 1] == '.')
        host.length--;
    return host;
}

bool proxy_uri_is_domain(const struct proxy_work *w, const struct sip_uri *uri)
{
    const struct lb_text *domains = snapshot_at(w->s, w->service->domains.offset);
    struct sip_slice host = without_final_dot(uri->host);

    for (uint32_t i = 0; i < w->service->domains.n; i++) {
        struct sip_slice domain = without_final_dot(snapshot_text(w->s, domains[i]));

        if (host.length > 0 && sip_slice_equal_nocase(host, domain))
            return true;
    }
    return false;
}

bool proxy_uri_is_ours(const struct proxy_work *w, const struct sip_uri *uri)
{
    return proxy_uri_is_listener(w, uri) || proxy_uri_is_domain(w, uri);
}

bool proxy_uri_is_node(const struct proxy_work *w, const struct sip_uri *uri)
{
    const struct snapshot_listener *listeners = snapshot_listeners(w->s);
    uint32_t service = listeners[w->in->listener].service;
    struct sip_addr addr;

    if (w->s->nodes.n == 0 || !proxy_uri_addr(uri, &addr) || snapshot_node_at(w->s, &addr.ip) == 0)
        return false;
    for (uint32_t i = 0; i < w->s->listeners.n; i++) {
        if (listeners[i].service == service && listeners[i].plane == SNAPSHOT_PLANE_CONTROL &&
            listeners[i].transport == SIP_TRANSPORT_UDP && listeners[i].addr.port == addr.port)
            return true;
    }
    return false;
}

/* Whether what came to one listener may leave from another: a datagram from one of that plane, since
 * the answer to it comes to that one. */
static bool fits(const struct snapshot_listener *listener, const struct snapshot_listener *ingress,
                 uint8_t plane, enum sip_transport transport, const struct sip_ip *peer)
{
    return listener->service == ingress->service && listener->transport == transport &&
           (listener->plane == plane || transport != SIP_TRANSPORT_UDP) &&
           sip_ip_is_v4(&listener->addr.ip) == sip_ip_is_v4(peer);
}

bool proxy_egress(const struct proxy_work *w, enum sip_transport transport,
                  const struct sip_ip *peer, struct sip_addr *ret_local)
{
    const struct snapshot_listener *listeners = snapshot_listeners(w->s);
    const struct snapshot_listener *ingress = &listeners[w->in->listener];
    uint8_t plane = ingress->plane;

    if (fits(ingress, ingress, plane, transport, peer)) {
        *ret_local = w->in->from.local;
        return true;
    }
    /* What a backend sends outside by a stream: requests may come back, not only answers. */
    if (ingress->transport != SIP_TRANSPORT_UDP && w->out->sender != LB_NO_BACKEND)
        plane = SNAPSHOT_PLANE_DATA;
    for (uint32_t i = 0; i < w->s->listeners.n; i++) {
        if (fits(&listeners[i], ingress, plane, transport, peer)) {
            *ret_local = listeners[i].addr;
            return true;
        }
    }
    return false;
}

int32_t proxy_backend_at(const struct proxy_work *w, const struct sip_addr *addr)
{
    return snapshot_find_service_backend(w->s, w->service, addr, true);
}
