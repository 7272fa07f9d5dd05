/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others say of packets of ours by ICMP: that one was too big, or did not arrive. Pure, as
 * frame.h. Who says so is not known, anybody may (RFC 5927, RFC 8201 §6): whom to believe is the
 * caller's to decide.
 */
#ifndef TANDEM_IO_ICMP_H
#define TANDEM_IO_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/sip/ip.h"

enum io_icmp_kind {
    IO_ICMP_TOO_BIG,     /* for the next link: ICMPv6 Packet Too Big (RFC 4443 §3.2); we never set
                            IPv4's DF, for which it would be code 4 of Destination Unreachable */
    IO_ICMP_UNREACHABLE, /* Destination Unreachable, of any other code (RFC 792, RFC 4443 §3.1) */
};

struct io_icmp {
    enum io_icmp_kind kind;
    struct sip_ip from;       /* who says it, as it says */
    struct sip_addr src, dst; /* of the packet spoken of: whose it was, and where it went; ports
                                 are 0 of one with another packet inside, a tunnel's */
    uint32_t mtu;             /* TOO_BIG: of that link */
};

/*
 * Reads a message of ICMP in an untagged frame about the beginning of a UDP datagram, or of IP in
 * IP. False: it is none, or is damaged (checksums are verified), or is about a later fragment,
 * which names no ports.
 */
bool io_icmp_read(const uint8_t *bytes, uint32_t length, struct io_icmp *ret);

#endif
