/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For how long a 2xx to REGISTER says that the phone is registered (RFC 3261 §10.2.4, §10.3). It
 * must not know what follows from that. The answer names all bindings of the address of record, and
 * nothing in it says which is whose: the longest counts, so that a phone of several which gives up
 * its own may count until the others' refreshes are due.
 */
#include "dataplane/proxy/work.h"

enum { GRANTED_DEFAULT_S = 3600 }; /* without a word, or with a malformed one (RFC 3261 §10.2) */

/* delta-seconds; what is no number of 32 bits is as good as nothing said (§20.10, §20.19). */
static uint32_t seconds_of(struct sip_slice text, uint32_t otherwise)
{
    uint64_t seconds;

    return sip_slice_number(text, UINT32_MAX, &seconds) == 0 ? (uint32_t)seconds : otherwise;
}

/* The longest of a Contact's values; what does not parse ends the list. */
static uint32_t longest(struct sip_slice value, uint32_t otherwise)
{
    struct sip_slice expires;
    struct sip_nameaddr contact;
    uint32_t most = 0;

    for (; value.length > 0 && sip_nameaddr_parse(value, &contact) == 0; value = contact.rest) {
        uint32_t seconds = otherwise;

        if (sip_param_find(contact.params, sip_slice_of("expires"), &expires, NULL))
            seconds = seconds_of(expires, GRANTED_DEFAULT_S);
        most = seconds > most ? seconds : most;
    }
    return most;
}

uint32_t proxy_granted_s(const struct sip_msg *response)
{
    const struct sip_field *field = sip_msg_first(response, SIP_EXPIRES);
    uint32_t otherwise = GRANTED_DEFAULT_S, most = 0;

    if (field != NULL)
        otherwise = seconds_of(sip_msg_value(response, field), GRANTED_DEFAULT_S);
    for (field = sip_msg_first(response, SIP_CONTACT); field != NULL;
         field = sip_msg_next(response, field)) {
        uint32_t seconds = longest(sip_msg_value(response, field), otherwise);

        most = seconds > most ? seconds : most;
    }
    return most;
}
