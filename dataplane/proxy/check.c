/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 3261 §16.3: what a request must be before anybody looks where it goes. */
#include "dataplane/proxy/work.h"

static bool check_scheme(struct proxy_work *w)
{
    if (sip_uri_parse(w->msg->request_uri, &w->ruri) != 0)
        return proxy_refuse(w, PROXY_REPLY_400_MALFORMED);
    if (w->ruri.scheme == SIP_SCHEME_OTHER)
        return proxy_refuse(w, PROXY_REPLY_416_SCHEME);
    return true;
}

/* OPTIONS that may be for ourselves is looked at again when its Routes are known (§16.3 step 3). */
static bool check_hops(struct proxy_work *w)
{
    if (w->msg->max_forwards != 0 || w->msg->method == SIP_OPTIONS)
        return true;
    return proxy_refuse(w, PROXY_REPLY_483_HOPS);
}

bool proxy_allows_extension(const struct snapshot *s, const struct snapshot_service *service,
                            struct sip_slice tag)
{
    for (uint32_t i = 0; i < service->n_proxy_require; i++) {
        if (sip_slice_equal_nocase(tag, snapshot_text(s, service->proxy_require[i])))
            return true;
    }
    return tag.length == 0;
}

static bool check_proxy_require(struct proxy_work *w)
{
    const struct sip_field *field = sip_msg_first(w->msg, SIP_PROXY_REQUIRE);

    if (w->msg->method == SIP_ACK || w->msg->method == SIP_CANCEL)
        return true; /* ignored there: §8.2.2.3 */
    for (; field != NULL; field = sip_msg_next(w->msg, field)) {
        struct sip_slice rest = sip_msg_value(w->msg, field), tag;

        while (sip_list_next(&rest, &tag)) {
            if (!proxy_allows_extension(w->s, w->service, tag))
                return proxy_refuse(w, PROXY_REPLY_420_EXTENSION);
        }
    }
    return true;
}

uint32_t proxy_own_vias(const struct proxy_work *w)
{
    const struct sip_field *field = sip_msg_first(w->msg, SIP_VIA);
    uint32_t own = 0;

    for (; field != NULL; field = sip_msg_next(w->msg, field)) {
        struct sip_slice rest = sip_msg_value(w->msg, field), value;
        struct sip_via via;

        for (; rest.length > 0 && sip_via_parse(rest, &via) == 0; rest = via.rest)
            own += proxy_via_is_ours(w->s, w->in->listener, &via, &value);
    }
    return own;
}

/* Whether there may be more than PROXY_OWN_VIAS_MAX Vias: fields, and commas in them. */
static bool may_be_many(const struct sip_msg *msg)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_VIA);
    uint32_t most = 0;

    for (; field != NULL; field = sip_msg_next(msg, field)) {
        struct sip_slice value = sip_msg_value(msg, field);
        const char *at = value.at, *end = value.at + value.length;

        most++;
        while (most <= PROXY_OWN_VIAS_MAX && (at = memchr(at, ',', (size_t)(end - at))) != NULL) {
            most++;
            at++;
        }
    }
    return most > PROXY_OWN_VIAS_MAX;
}

/* Our own Vias are spirals, and legal, until there are too many of them. They are read only where
 * there are that many of anybody's. */
static bool check_loop(struct proxy_work *w)
{
    if (may_be_many(w->msg) && proxy_own_vias(w) > PROXY_OWN_VIAS_MAX)
        return proxy_refuse(w, PROXY_REPLY_482_LOOP);
    return true;
}

bool proxy_check(struct proxy_work *w)
{
    if (!check_scheme(w))
        return false;
    return check_hops(w) && check_proxy_require(w) && check_loop(w);
}
