/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a DNS server answered (RFC 1035 §4), read from its bytes: records of one type, and how long
 * they hold. Pure; believes nothing that lies outside the packet. It does not know what was asked
 * for, nor what for.
 */
#ifndef TANDEM_CONTROL_DNS_ANSWER_H
#define TANDEM_CONTROL_DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/sip/ip.h"

enum { DNS_NAME_MAX = 256, DNS_SERVICE_MAX = 32 };

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_SOA = 6, DNS_AAAA = 28, DNS_SRV = 33, DNS_NAPTR = 35 };

struct dns_record {
    struct sip_ip ip;                 /* of A and AAAA */
    uint16_t priority, weight;        /* of SRV (RFC 2782); of NAPTR (RFC 3403): order, preference */
    uint16_t port;                    /* of SRV */
    bool regexp;                      /* of NAPTR: it has one */
    char flag;                        /* of NAPTR: lower case; 0: none, or more than one */
    char service[DNS_SERVICE_MAX];    /* of NAPTR: upper case; "" also when it is longer */
    char name[DNS_NAME_MAX];          /* SRV's target, NAPTR's replacement: lower case, no dot at its
                                         end; "": the root */
};

/*
 * Reads the records of a type in the answer section into ret[max]. *ret_ttl becomes the smallest
 * TTL, seconds, of them and of the aliases that led to them; untouched when there is no record.
 * Returns how many there were, at most max, or -EBADMSG.
 */
int dns_answer_read(const uint8_t *packet, size_t size, enum dns_type type, struct dns_record *ret,
                    uint32_t max, uint32_t *ret_ttl);

/* How long a negative answer holds: RFC 2308 §5, by the SOA in its authority section. 0, -ENOENT:
 * there is none, or -EBADMSG. */
int dns_answer_negative(const uint8_t *packet, size_t size, uint32_t *ret_ttl);

#endif
