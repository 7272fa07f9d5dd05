/* SPDX-License-Identifier: Apache-2.0 */
/* Words and statuses for reasons and rules. Tables only. */
#include "dataplane/proxy/work.h"

static const struct {
    const char *name;
    uint16_t status; /* 0: no reply */
} reasons[PROXY_REASON_COUNT] = {
    [PROXY_FORWARDED_REQUEST] = {"forwarded_request", 0},
    [PROXY_FORWARDED_RESPONSE] = {"forwarded_response", 0},
    [PROXY_REPLY_200_OPTIONS] = {"200_options", 200},
    [PROXY_REPLY_400_MALFORMED] = {"400_malformed", 400},
    [PROXY_REPLY_403_SOURCE] = {"403_source", 403},
    [PROXY_REPLY_403_TOKEN] = {"403_token", 403},
    [PROXY_REPLY_404_NO_ROUTE] = {"404_no_route", 404},
    [PROXY_REPLY_416_SCHEME] = {"416_scheme", 416},
    [PROXY_REPLY_420_EXTENSION] = {"420_extension", 420},
    [PROXY_REPLY_430_FLOW] = {"430_flow", 430},
    [PROXY_REPLY_480_SIPS] = {"480_sips", 480},
    [PROXY_REPLY_482_LOOP] = {"482_loop", 482},
    [PROXY_REPLY_483_HOPS] = {"483_hops", 483},
    [PROXY_REPLY_503_NO_BACKEND] = {"503_no_backend", 503},
    [PROXY_REPLY_503_DRAINING] = {"503_draining", 503},
    [PROXY_REPLY_503_NAME] = {"503_name", 503},
    [PROXY_REPLY_505_VERSION] = {"505_version", 505},
    [PROXY_REPLY_200_STUN] = {"200_stun", 200},
    [PROXY_REPLY_420_STUN] = {"420_stun", 420},
    [PROXY_DROP_KEEPALIVE] = {"drop_keepalive", 0},
    [PROXY_DROP_STUN] = {"drop_stun", 0},
    [PROXY_DROP_NOT_SIP] = {"drop_not_sip", 0},
    [PROXY_DROP_MALFORMED_RESPONSE] = {"drop_malformed_response", 0},
    [PROXY_DROP_ACK] = {"drop_ack", 0},
    [PROXY_DROP_VIA_NOT_OURS] = {"drop_via_not_ours", 0},
    [PROXY_DROP_VIA_MAC] = {"drop_via_mac", 0},
    [PROXY_DROP_VIA_NONE_LEFT] = {"drop_via_none_left", 0},
    [PROXY_DROP_UNANSWERABLE] = {"drop_unanswerable", 0},
    [PROXY_DROP_NO_BACKEND] = {"drop_no_backend", 0},
    [PROXY_DROP_FLOW] = {"drop_flow", 0},
    [PROXY_DROP_TOO_MANY_EDITS] = {"drop_too_many_edits", 0},
    [PROXY_PUNT_NAME] = {"punt_name", 0},
    [PROXY_PUNT_STREAM] = {"punt_stream", 0},
};

static const char *const rules[PROXY_RULE_COUNT] = {
    [PROXY_RULE_NONE] = "no rule",
    [PROXY_RULE_ROUTE] = "rule 2: the next Route or the Request-URI is a backend's address",
    [PROXY_RULE_TOKEN] = "rule 3: the popped token names a backend",
    [PROXY_RULE_CALL] = "rule 4: the call table knows the Call-ID",
    [PROXY_RULE_REPLACES] = "rule 5: Replaces, Join or Target-Dialog names a Call-ID",
    [PROXY_RULE_TABLE] = "rule 6: the pool's table",
    [PROXY_RULE_FLOW] = "outwards: the token's flow",
    [PROXY_RULE_NEXT_HOP] = "outwards: the address of the next hop",
    [PROXY_RULE_NODE] = "outwards: the node that the token's flow is of",
    [PROXY_RULE_VIA] = "a response: the next Via",
};

const char *proxy_reason_name(enum proxy_reason reason)
{
    return (unsigned)reason < PROXY_REASON_COUNT ? reasons[reason].name : "unknown";
}

uint16_t proxy_reason_status(enum proxy_reason reason)
{
    return (unsigned)reason < PROXY_REASON_COUNT ? reasons[reason].status : 0;
}

const char *proxy_rule_name(enum proxy_rule rule)
{
    return (unsigned)rule < PROXY_RULE_COUNT ? rules[rule] : "unknown rule";
}
