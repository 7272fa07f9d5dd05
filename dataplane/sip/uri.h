/* SPDX-License-Identifier: Apache-2.0 */
/* URIs (RFC 3261 §19.1) and the name-addr | addr-spec of From, To, Contact, Route (§20.10). */
#ifndef TANDEM_SIP_URI_H
#define TANDEM_SIP_URI_H

#include "dataplane/sip/ip.h"

enum sip_scheme {
    SIP_SCHEME_OTHER,
    SIP_SCHEME_SIP,
    SIP_SCHEME_SIPS,
    SIP_SCHEME_TEL,
    SIP_SCHEME_URN
};

struct sip_uri {
    struct sip_slice whole;
    struct sip_slice user;    /* without password; length 0: none. Without a host: what
                                 follows the scheme's ':', in tel: up to the first ';' */
    struct sip_slice host;    /* brackets kept; length 0 for tel:, urn: and other schemes */
    struct sip_slice params;  /* from the first ';' up to '?'; length 0: none */
    struct sip_slice headers; /* after '?'; length 0: none */
    uint16_t port;            /* 0: none written */
    uint8_t scheme;           /* enum sip_scheme */
    bool host_is_ip;
    struct sip_ip ip; /* of the host, when it is an address */
};

/*
 * Parses a whole slice as a URI. For sip and sips the host must be an IPv4 address, a bracketed
 * IPv6 address or a host name by §25 characters; anything but white space, quotes and angle
 * brackets may follow another scheme's colon. Returns 0 or -EINVAL, *ret untouched then. No
 * allocation.
 */
int sip_uri_parse(struct sip_slice text, struct sip_uri *ret);

/* Whether a text may be all that stands between a URI's scheme and its '@': a user without
 * password.
 */
bool sip_uri_is_user(struct sip_slice text);

/*
 * Undoes %HH (RFC 3261 §19.1.2); a '%' without two hex digits stays. Writes at most `size` bytes
 * to ret_text and returns how many the whole text takes.
 */
uint32_t sip_uri_unescape(struct sip_slice text, char *ret_text, uint32_t size);

struct sip_nameaddr {
    struct sip_slice whole;  /* this element, up to its comma or end, trimmed */
    struct sip_slice rest;   /* what follows its comma; length 0: none */
    struct sip_slice uri;    /* between the brackets, or the bare addr-spec */
    struct sip_slice params; /* of the field, after '>' (or of a bare addr-spec); from ';' */
    bool bracketed;
};

/*
 * Parses the first element of a From, To, Contact, Route, Record-Route, Path, Refer-To value.
 * Checks quotes and brackets for balance, not the URI inside. In a bare addr-spec every ';'
 * belongs to the field (§20.10). `*` (Contact) is given back as the uri. Returns 0 or -EINVAL.
 */
int sip_nameaddr_parse(struct sip_slice value, struct sip_nameaddr *ret);

#endif
