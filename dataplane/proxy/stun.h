/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STUN on the SIP port: phones keep a NAT binding alive with Binding requests, and learn by them
 * that it changed (RFC 5626 §3.5.1, RFC 8489). Bytes in, bytes out; who may ask, and where the
 * answer goes, is not decided here.
 */
#ifndef TANDEM_PROXY_STUN_H
#define TANDEM_PROXY_STUN_H

#include <stddef.h>

#include "dataplane/sip/ip.h"

enum {
    PROXY_STUN_REQUEST_MAX = 1280, /* bytes; RFC 8489 §6.1 wants less than any path's MTU */
    PROXY_STUN_ANSWER_MAX = 768,   /* bytes; of a request that is nothing but unknown attributes */
};

/*
 * What a datagram is answered: 200 for a success, 420 for the error of that number, 0 for nothing.
 * Only whole Binding requests are answered: attributes fill them exactly, and their FINGERPRINT,
 * when they have one, is the last and right. Indications, responses, other methods and requests
 * over PROXY_STUN_REQUEST_MAX are not. Any thread.
 */
uint16_t proxy_stun_status(struct sip_slice datagram);

/*
 * Writes the answer to a request that proxy_stun_status has a status for and that came from `peer`:
 * a success with XOR-MAPPED-ADDRESS, or 420 with the types of the attributes that had to be
 * understood and are not (RFC 8489 §6.3.1). With FINGERPRINT when the request had one. We hold no
 * credentials: USERNAME and MESSAGE-INTEGRITY are read over. Returns its length, or -ENOSPC. Any
 * thread.
 */
int32_t proxy_stun_print(struct sip_slice datagram, const struct sip_addr *peer, char *ret_text,
                         size_t size);

#endif
