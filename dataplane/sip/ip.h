/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses and transport addresses in one shape for both families: sixteen bytes, an IPv4
 * address as its IPv4-mapped form (::ffff:a.b.c.d, RFC 4291 §2.5.5.2), so that comparing, hashing
 * and storing one needs no branch on the family.
 */
#ifndef TANDEM_SIP_IP_H
#define TANDEM_SIP_IP_H

#include "dataplane/sip/slice.h"

struct sip_ip {
    uint8_t bytes[16];
};

/* A transport address: port in host order, 0 when unknown. 18 bytes, no padding: may be hashed. */
struct sip_addr {
    struct sip_ip ip;
    uint16_t port;
};

enum sip_transport {
    SIP_TRANSPORT_NONE,
    SIP_TRANSPORT_UDP,
    SIP_TRANSPORT_TCP,
    SIP_TRANSPORT_TLS,
    SIP_TRANSPORT_WS,
    SIP_TRANSPORT_WSS,
    SIP_TRANSPORT_COUNT,
};

/* Longest text of sip_ip_print and sip_addr_print, with brackets and port, without a NUL; and an
 * array that has room for one, and may be copied whole. */
enum { SIP_IP_TEXT_MAX = 41, SIP_ADDR_TEXT_MAX = 47, SIP_ADDR_TEXT_ROOM = 48 };

/* Inline what follows: a message is asked it a dozen times, and each is a few instructions. */

static inline bool sip_ip_is_v4(const struct sip_ip *ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(ip->bytes, mapped, sizeof(mapped)) == 0;
}

static inline bool sip_ip_equal(const struct sip_ip *a, const struct sip_ip *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static inline bool sip_addr_equal(const struct sip_addr *a, const struct sip_addr *b)
{
    return a->port == b->port && sip_ip_equal(&a->ip, &b->ip);
}

/* From the four (network order) or sixteen bytes of a packet. */
static inline struct sip_ip sip_ip_from_v4(const uint8_t bytes[4])
{
    struct sip_ip ip = {{[10] = 0xff, [11] = 0xff}};

    memcpy(ip.bytes + 12, bytes, 4);
    return ip;
}

static inline struct sip_ip sip_ip_from_v6(const uint8_t bytes[16])
{
    struct sip_ip ip;

    memcpy(ip.bytes, bytes, sizeof(ip.bytes));
    return ip;
}

/* The four bytes of an IPv4 address; only where sip_ip_is_v4. */
static inline const uint8_t *sip_ip_v4_bytes(const struct sip_ip *ip)
{
    return ip->bytes + 12;
}

/*
 * A host as SIP writes it: IPv4address, IPv6reference in brackets, or (received=, RFC 5118 §4.5)
 * IPv6 without them. Strict: four decimal groups of 0 to 255; RFC 4291 text, no zone. Returns 0;
 * -EINVAL for anything else, a host name among it; *ret untouched then.
 */
int sip_ip_parse(struct sip_slice text, struct sip_ip *ret);

/*
 * True when the text is a host by RFC 3261 §25.1: an IPv4 address, a bracketed IPv6 address or a
 * host name. '_' is let through in names; digits and dots alone must be an IPv4 address.
 */
bool sip_host_valid(struct sip_slice text);

/* The same, and which: 0 for an address, -ENOENT for a name, -EINVAL for neither; *ret is set for
 * an address only. */
int sip_host_parse(struct sip_slice text, struct sip_ip *ret);

/*
 * Writes the text of an address: IPv4 dotted, IPv6 as RFC 5952 in brackets. Returns its length
 * (at most SIP_IP_TEXT_MAX); no NUL is written.
 */
uint32_t sip_ip_print(const struct sip_ip *ip, char *ret_text);

/* The same with `:port` when the port is not 0. At most SIP_ADDR_TEXT_MAX. */
uint32_t sip_addr_print(const struct sip_addr *addr, char *ret_text);

/* Writes an address's text out of the array of SIP_ADDR_TEXT_ROOM bytes that it is at the front of;
 * so much is written, without a branch on its length. Returns what is behind the text. */
static inline char *sip_put_addr_text(char *to, struct sip_slice text)
{
    memcpy(to, text.at, SIP_ADDR_TEXT_ROOM);
    return to + text.length;
}

/* "UDP" etc. in upper case; SIP_TRANSPORT_NONE for an unknown name; any case is read. */
const char *sip_transport_name(enum sip_transport transport);
enum sip_transport sip_transport_parse(struct sip_slice name);

#endif
