/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes written and read: see probe_text.h.
 */
#include "control/health/probe_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BRANCH "z9hG4bK"

enum {
    BRANCH_LENGTH = 7,
    NONCE_LENGTH = 16,
    INDEX_LENGTH = 8,
    WHOLE_LENGTH = BRANCH_LENGTH + NONCE_LENGTH + INDEX_LENGTH,
};

size_t probe_print(enum sip_transport transport, const struct sip_addr *from,
                   const struct sip_addr *to, const struct probe_mark *mark,
                   char ret_text[PROBE_TEXT_MAX])
{
    static const char *const params[] = {[SIP_TRANSPORT_UDP] = "",
                                         [SIP_TRANSPORT_TCP] = ";transport=tcp",
                                         [SIP_TRANSPORT_TLS] = ";transport=tls"};
    const char *param = params[transport];
    char host[SIP_IP_TEXT_MAX + 1], us[SIP_ADDR_TEXT_MAX + 1], them[SIP_ADDR_TEXT_MAX + 1];

    host[sip_ip_print(&from->ip, host)] = '\0';
    us[sip_addr_print(from, us)] = '\0';
    them[sip_addr_print(to, them)] = '\0';
    return (size_t)snprintf(
        ret_text, PROBE_TEXT_MAX,
        "OPTIONS sip:%s%s SIP/2.0\r\n"
        "Via: SIP/2.0/%s %s;rport;branch=" BRANCH "%016" PRIx64 "%08" PRIx32 "\r\n"
        "Max-Forwards: 70\r\n"
        "From: <sip:tandem@%s>;tag=%08" PRIx32 "\r\n"
        "To: <sip:%s>\r\n"
        "Call-ID: %016" PRIx64 "@%s\r\n"
        "CSeq: 1 OPTIONS\r\n"
        "Contact: <sip:tandem@%s%s>\r\n"
        "Accept: application/sdp\r\n"
        "User-Agent: tandem\r\n"
        "Content-Length: 0\r\n\r\n",
        them, param, sip_transport_name(transport), us, mark->nonce, mark->index, host,
        (uint32_t)(mark->nonce >> 16), them, ~mark->nonce, host, us, param);
}

bool probe_mark_read(struct sip_slice branch, struct probe_mark *ret)
{
    char text[NONCE_LENGTH + INDEX_LENGTH + 1];

    if (branch.length != WHOLE_LENGTH || memcmp(branch.at, BRANCH, BRANCH_LENGTH) != 0)
        return false;
    memcpy(text, branch.at + BRANCH_LENGTH, NONCE_LENGTH + INDEX_LENGTH);
    text[NONCE_LENGTH + INDEX_LENGTH] = '\0';
    ret->index = (uint32_t)strtoul(text + NONCE_LENGTH, NULL, 16);
    text[NONCE_LENGTH] = '\0';
    ret->nonce = strtoull(text, NULL, 16);
    return ret->nonce != 0;
}

bool probe_mark_find(const char *bytes, size_t length, struct probe_mark *ret)
{
    const char *at = length == 0 ? NULL : memmem(bytes, length, BRANCH, BRANCH_LENGTH);

    return at != NULL && length - (size_t)(at - bytes) >= WHOLE_LENGTH &&
           probe_mark_read(sip_slice(at, WHOLE_LENGTH), ret);
}

/* It begins with the nonce's complement. */
bool probe_is_call_id(struct sip_slice call_id, const struct probe_mark *mark)
{
    char text[NONCE_LENGTH + 1];

    snprintf(text, sizeof(text), "%016" PRIx64, ~mark->nonce);
    return call_id.length > NONCE_LENGTH && memcmp(call_id.at, text, NONCE_LENGTH) == 0;
}

/* How long the header section is, its empty line included; 0: it is not whole. */
static size_t header_end(const char *bytes, size_t length)
{
    const char *at = bytes, *const end = bytes + length;

    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        if (at < end && *at == '\n')
            return (size_t)(at + 1 - bytes);
        if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
            return (size_t)(at + 2 - bytes);
    }
    return 0;
}

ssize_t probe_cut(const char *bytes, size_t length, struct sip_msg *ret)
{
    size_t blank = 0, whole;

    ret->kind = SIP_NONE;
    while (blank < length && (bytes[blank] == '\r' || bytes[blank] == '\n'))
        blank++;
    if (blank > 0)
        return (ssize_t)blank;
    whole = header_end(bytes, length);
    if (whole == 0)
        return 0;
    sip_msg_index(bytes, whole, ret); /* a body is missing: that is no fault here */
    if (ret->kind == SIP_NONE)
        return -EBADMSG;
    if (ret->content_length > 0)
        whole += (size_t)ret->content_length;
    return whole <= length ? (ssize_t)whole : 0;
}

static int64_t retry_after(const struct sip_msg *msg)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_RETRY_AFTER);
    struct sip_slice value;
    uint64_t seconds;

    if (field == NULL)
        return -1;
    value = sip_msg_value(msg, field); /* 18000;duration=3600, 120 (in a meeting) */
    for (uint32_t i = 0; i < value.length; i++) {
        if (value.at[i] == ';' || value.at[i] == '(')
            value.length = i;
    }
    if (sip_slice_number(sip_slice_trim(value), UINT32_MAX, &seconds) != 0)
        return -1;
    return (int64_t)seconds;
}

/* Whether a text has another in it, in any case. */
static bool has_text(struct sip_slice text, struct sip_slice part)
{
    for (uint32_t i = 0; i + part.length <= text.length; i++) {
        if (sip_slice_equal_nocase(sip_slice(text.at + i, part.length), part))
            return true;
    }
    return false;
}

void probe_read(const struct sip_msg *msg, const struct cfg_health *conf, uint32_t latency_us,
                struct machine_answer *ret)
{
    struct sip_slice value = {NULL, 0};

    if (conf->drain_header != NULL)
        value = sip_msg_find_named(msg, sip_slice_of(conf->drain_header));
    *ret = (struct machine_answer){
        .status = msg->status,
        .retry_after_s = retry_after(msg),
        .latency_us = latency_us,
        .drain = value.length > 0 &&
                 (conf->drain_text == NULL || has_text(value, sip_slice_of(conf->drain_text)))};
}
