/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule 5's question: which other call does a request speak of? Replaces (RFC 3891), Join (RFC
 * 3911) and Target-Dialog (RFC 4538) begin with a Call-ID; in a Refer-To URI they are escaped.
 */
#include "dataplane/proxy/work.h"

static const uint8_t fields[] = {SIP_REPLACES, SIP_JOIN, SIP_TARGET_DIALOG};
static const char *const names[] = {"Replaces", "Join", "Target-Dialog"};

enum { N_FIELDS = sizeof(fields) };

static struct sip_slice until(struct sip_slice text, char stop)
{
    const char *at = text.length > 0 ? memchr(text.at, stop, text.length) : NULL;

    return at == NULL ? text : sip_slice(text.at, (uint32_t)(at - text.at));
}

/* The Call-ID of an escaped value; one longer than buf is none that we could find. */
static struct sip_slice unescape(struct sip_slice text, char buf[PROXY_CALL_ID_MAX])
{
    uint32_t length = sip_uri_unescape(text, buf, PROXY_CALL_ID_MAX);
    bool cut = length > PROXY_CALL_ID_MAX;
    struct sip_slice all = sip_slice(buf, cut ? PROXY_CALL_ID_MAX : length);
    struct sip_slice call_id = until(all, ';');

    return cut && call_id.length == all.length ? sip_slice("", 0) : sip_slice_trim(call_id);
}

static bool is_named(struct sip_slice name)
{
    for (int i = 0; i < N_FIELDS; i++) {
        if (sip_slice_equal_nocase(name, sip_slice_of(names[i])))
            return true;
    }
    return false;
}

static struct sip_slice in_refer_to(const struct sip_msg *msg, char buf[PROXY_CALL_ID_MAX])
{
    const struct sip_field *field = sip_msg_first(msg, SIP_REFER_TO);
    struct sip_nameaddr addr;
    struct sip_slice rest, header, name;
    struct sip_uri uri;

    if (field == NULL || sip_nameaddr_parse(sip_msg_value(msg, field), &addr) != 0 ||
        sip_uri_parse(addr.uri, &uri) != 0)
        return sip_slice("", 0);
    for (rest = uri.headers; rest.length > 0;) {
        header = until(rest, '&');
        name = until(header, '=');
        if (is_named(name) && name.length < header.length)
            return unescape(sip_slice(name.at + name.length + 1, header.length - name.length - 1),
                            buf);
        rest.at += header.length;
        rest.length -= header.length;
        if (rest.length > 0) {
            rest.at++;
            rest.length--;
        }
    }
    return sip_slice("", 0);
}

struct sip_slice proxy_related_call(const struct sip_msg *msg, char buf[PROXY_CALL_ID_MAX])
{
    for (int i = 0; i < N_FIELDS; i++) {
        const struct sip_field *field = sip_msg_first(msg, fields[i]);

        if (field != NULL)
            return sip_slice_trim(until(sip_msg_value(msg, field), ';'));
    }
    return in_refer_to(msg, buf);
}
