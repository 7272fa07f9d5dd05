/* SPDX-License-Identifier: Apache-2.0 */
/* One via-parm (RFC 3261 §20.42): what of it routing needs, and where to edit it. */
#ifndef TANDEM_SIP_VIA_H
#define TANDEM_SIP_VIA_H

#include "dataplane/sip/ip.h"

struct sip_via {
    struct sip_slice whole; /* this via-parm, up to its comma or end, trimmed */
    struct sip_slice rest;  /* what follows its comma in the same field; length 0: none */
    struct sip_slice transport_text;
    struct sip_slice host;           /* of sent-by, brackets kept */
    struct sip_slice params;         /* from the first ';' to the end of whole; may be empty */
    struct sip_slice branch;         /* value; length 0: none */
    struct sip_slice received;       /* value; length 0: none */
    struct sip_slice received_param; /* from its ';' to its end, for replacing; length 0: none */
    struct sip_slice rport;          /* value; length 0: none or without value */
    struct sip_slice rport_param;    /* from its ';' to its end; length 0: absent */
    uint16_t port;                   /* of sent-by; 0: none written */
    uint8_t transport;               /* enum sip_transport */
    bool host_is_ip, received_is_ip; /* whether they are addresses: those below */
    struct sip_ip host_ip, received_ip;
};

/*
 * Parses the first via-parm of a Via value. Accepts LWS where the grammar has it (around '/', ':',
 * ';', '='), folds included, any transport token, quoted parameter values. Refuses empty
 * parameters (`;;`), empty list elements, versions other than SIP/2.0, ports above 65535, a
 * repeated branch, received or rport, a branch without a value. Returns 0, or -EINVAL and *ret then
 * means nothing (filled in place: a copy of it takes a tenth of the time). No allocation.
 */
int sip_via_parse(struct sip_slice value, struct sip_via *ret);

/* One parameter of a `;name[=value]` list. */
struct sip_param {
    struct sip_slice whole; /* from its ';' to its value's end */
    struct sip_slice name;
    struct sip_slice value; /* length 0: none; quotes are kept */
};

/*
 * Cuts the first parameter, and the white space around it, off *rest. Returns 1; 0 when *rest
 * does not start with ';' (it is then trimmed in front: empty, or what ends the list); -EINVAL for
 * an empty parameter or an unterminated quote, outputs untouched then. `tag=` is a parameter
 * without a value: phones in the field send it.
 */
int sip_param_next(struct sip_slice *rest, struct sip_param *ret);

/*
 * Finds a parameter by name (any case) in a `;name[=value]` list as sip_via, sip_uri and
 * sip_nameaddr give it. *ret_value may be of length 0; quotes are kept. Empty
 * parameters are passed over; the search ends at anything else malformed. *ret_param (may be NULL)
 * runs from the ';' to the value's end. False when it is not there; outputs untouched then.
 */
bool sip_param_find(struct sip_slice params, struct sip_slice name, struct sip_slice *ret_value,
                    struct sip_slice *ret_param);

#endif
