/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what two variants of sip_msg_index said of the same bytes, member by member: padding
 * has no meaning, nor has what lies behind the fields. For tests only. */
#ifndef TANDEM_TESTS_UNIT_DATAPLANE_SIP_SAME_MSG_H
#define TANDEM_TESTS_UNIT_DATAPLANE_SIP_SAME_MSG_H

#include <stddef.h>

#include "dataplane/sip/msg.h"
#include "dataplane/sip/uri.h"

/* The same bytes, at the same place; where there are none their place is nobody's. */
static inline bool same_slice(struct sip_slice a, struct sip_slice b)
{
    return a.length == b.length && (a.at == b.at || a.length == 0);
}

/* The name of the first member that differs, NULL when none does. */
static inline const char *via_difference(const struct sip_via *a, const struct sip_via *b)
{
#define SAME(member)                       \
    if (!same_slice(a->member, b->member)) \
    return #member
    SAME(whole);
    SAME(rest);
    SAME(transport_text);
    SAME(host);
    SAME(params);
    SAME(branch);
    SAME(received);
    SAME(received_param);
    SAME(rport);
    SAME(rport_param);
#undef SAME
    if (a->host_is_ip != b->host_is_ip ||
        (a->host_is_ip && !sip_ip_equal(&a->host_ip, &b->host_ip)))
        return "host_ip";
    if (a->received_is_ip != b->received_is_ip ||
        (a->received_is_ip && !sip_ip_equal(&a->received_ip, &b->received_ip)))
        return "received_ip";
    return a->port != b->port ? "port" : a->transport != b->transport ? "transport" : NULL;
}

static inline const char *uri_difference(const struct sip_uri *a, const struct sip_uri *b)
{
    bool same = same_slice(a->whole, b->whole) && same_slice(a->user, b->user) &&
                same_slice(a->host, b->host) && same_slice(a->params, b->params) &&
                same_slice(a->headers, b->headers) && a->port == b->port &&
                a->scheme == b->scheme && a->host_is_ip == b->host_is_ip &&
                (!a->host_is_ip || sip_ip_equal(&a->ip, &b->ip));

    return same ? NULL : "uri";
}

static inline const char *nameaddr_difference(const struct sip_nameaddr *a,
                                              const struct sip_nameaddr *b)
{
    bool same = same_slice(a->whole, b->whole) && same_slice(a->rest, b->rest) &&
                same_slice(a->uri, b->uri) && same_slice(a->params, b->params) &&
                a->bracketed == b->bracketed;

    return same ? NULL : "name-addr";
}

static inline const char *fields_difference(const struct sip_msg *a, const struct sip_msg *b)
{
    if (a->n_fields != b->n_fields)
        return "n_fields";
    if (memcmp(a->first, b->first, sizeof(a->first)) != 0)
        return "first";
    return memcmp(a->fields, b->fields, a->n_fields * sizeof(a->fields[0])) != 0 ? "fields" : NULL;
}

static inline const char *msg_difference(const struct sip_msg *a, const struct sip_msg *b)
{
    const char *via = via_difference(&a->top_via, &b->top_via);

#define SAME(member)            \
    if (a->member != b->member) \
    return #member
    SAME(buf);
    SAME(length);
    SAME(kind);
    SAME(error);
    SAME(method);
    SAME(status);
    SAME(headers);
    SAME(body);
    SAME(max_forwards);
    SAME(content_length);
    SAME(cseq);
    SAME(open_end);
    SAME(via_ok);
#undef SAME
#define SAME(member)                       \
    if (!same_slice(a->member, b->member)) \
    return #member
    SAME(method_text);
    SAME(request_uri);
    SAME(call_id);
    SAME(from_uri);
    SAME(to_uri);
    SAME(from_tag);
    SAME(to_tag);
#undef SAME
    return via != NULL ? via : fields_difference(a, b);
}

#endif
