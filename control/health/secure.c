/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS of probes: see secure.h.
 */
#include "control/health/secure.h"

bool secure_follow(struct secure_source *source)
{
    struct tls *now = source->fn == NULL ? NULL : source->fn(source->arg);

    if (now == source->tls)
        return false;
    tls_free(source->tls);
    source->tls = now == NULL ? NULL : tls_keep(now);
    return true;
}

void secure_done(struct secure_source *source)
{
    tls_free(source->tls);
    source->tls = NULL;
}

/* Where calls to a backend leave from; NULL: nowhere. */
static const struct sip_addr *listener_for(const struct snapshot *s, const struct lb_backend *b)
{
    const struct snapshot_listener *listeners = snapshot_listeners(s);

    for (uint32_t i = 0; i < s->listeners.n; i++) {
        if (listeners[i].transport == SIP_TRANSPORT_TLS &&
            sip_ip_is_v4(&listeners[i].addr.ip) == sip_ip_is_v4(&b->ip) &&
            snapshot_service_has_pool(s, &snapshot_services(s)[listeners[i].service], b->pool))
            return &listeners[i].addr;
    }
    return NULL;
}

SSL *secure_connect(const struct secure_source *source, const struct snapshot *s, uint32_t id)
{
    int32_t index = snapshot_backend_by_id(s, id);
    const struct sip_addr *listener;
    const struct lb_backend *b;
    char name[TLS_BACKEND_MAX];

    if (source->tls == NULL || index == LB_NO_BACKEND)
        return NULL;
    b = &snapshot_backends(s)[index];
    listener = listener_for(s, b);
    if (listener == NULL ||
        tls_backend(source->tls, snapshot_text(s, snapshot_pools(s)[b->pool].name),
                    snapshot_text(s, b->name), &b->ip, name) != 0)
        return NULL;
    return tls_connect(source->tls, listener, name);
}
