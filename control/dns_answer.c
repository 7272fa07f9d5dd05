/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of DNS servers: see dns_answer.h.
 */
#include "control/dns_answer.h"

#include <errno.h>
#include <string.h>

enum {
    HEADER_BYTES = 12,
    CLASS_IN = 1,
    POINTER = 0xc0, /* of a compressed name: RFC 1035 §4.1.4 */
    LABEL_MAX = 63,
    TTL_MAX = INT32_MAX, /* RFC 2181 §8: more is 0 */
};

/* A place in the packet. Once `bad`, reads give zeros. */
struct reader {
    const uint8_t *packet;
    size_t size, at;
    bool bad;
};

struct resource {
    uint16_t type, class;
    uint32_t ttl;
    size_t data, end; /* its data's first byte, and what follows them */
};

static uint8_t get8(struct reader *r)
{
    if (r->at >= r->size)
        r->bad = true;
    return r->bad ? 0 : r->packet[r->at++];
}

static uint16_t get16(struct reader *r)
{
    uint16_t high = get8(r);

    return (uint16_t)(high << 8 | get8(r));
}

static uint32_t get32(struct reader *r)
{
    uint32_t high = get16(r);

    return high << 16 | get16(r);
}

static char lower(uint8_t c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Adds a label to a name of *used bytes. Bytes that no host name has make it bad: a dot or a NUL
 * inside would make another name of it. */
static void add_label(struct reader *r, uint8_t length, char *name, size_t *used)
{
    if (*used + 1 + length >= DNS_NAME_MAX)
        r->bad = true;
    if (r->bad)
        return;
    if (*used > 0)
        name[(*used)++] = '.';
    for (uint8_t i = 0; i < length; i++) {
        uint8_t c = get8(r);

        if (c <= ' ' || c == '.' || c >= 0x7f)
            r->bad = true;
        name[(*used)++] = lower(c);
    }
}

/* Reads a name; a pointer must lead back, so that they end. */
static void get_name(struct reader *r, char ret[DNS_NAME_MAX])
{
    size_t used = 0, behind = 0, earliest = r->at;

    for (uint8_t length = get8(r); !r->bad && length != 0; length = get8(r)) {
        if (length <= LABEL_MAX) {
            add_label(r, length, ret, &used);
            continue;
        }
        size_t to = (size_t)(length & ~POINTER) << 8 | get8(r);

        if ((length & POINTER) != POINTER || to >= earliest)
            r->bad = true;
        if (behind == 0)
            behind = r->at;
        earliest = to;
        r->at = to;
    }
    if (behind != 0 && !r->bad)
        r->at = behind;
    ret[r->bad ? 0 : used] = '\0';
}

static void skip_name(struct reader *r)
{
    for (uint8_t length = get8(r); !r->bad && length != 0; length = get8(r)) {
        if ((length & POINTER) == POINTER) {
            get8(r);
            return;
        }
        if (length > LABEL_MAX)
            r->bad = true;
        r->at += length;
    }
}

/* Begins: behind the questions. Returns how many answers there are, and authorities. */
static uint16_t begin(struct reader *r, uint16_t *ret_authorities)
{
    uint16_t questions, answers;

    r->at = 4; /* identity and flags were looked at */
    questions = get16(r);
    answers = get16(r);
    *ret_authorities = get16(r);
    r->at = HEADER_BYTES;
    for (uint16_t i = 0; i < questions && !r->bad; i++) {
        skip_name(r);
        get32(r);
    }
    return answers;
}

/* The next resource record, without its owner; the reader stands at its data. False: malformed. */
static bool next(struct reader *r, struct resource *ret)
{
    uint16_t length;

    skip_name(r);
    ret->type = get16(r);
    ret->class = get16(r);
    ret->ttl = get32(r);
    if (ret->ttl > TTL_MAX)
        ret->ttl = 0;
    length = get16(r);
    ret->data = r->at;
    ret->end = r->at + length;
    if (ret->end > r->size)
        r->bad = true;
    return !r->bad;
}

/* A character-string (RFC 1035 §3.3) in upper case; "" when it is longer than `size` can hold. */
static uint8_t get_text(struct reader *r, char *ret, size_t size)
{
    uint8_t length = get8(r);

    for (uint8_t i = 0; i < length; i++) {
        uint8_t c = get8(r);

        if (length < size)
            ret[i] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    ret[length < size ? length : 0] = '\0';
    return length;
}

static struct sip_ip get_v4(struct reader *r)
{
    uint8_t bytes[4];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = get8(r);
    return sip_ip_from_v4(bytes);
}

static struct sip_ip get_v6(struct reader *r)
{
    uint8_t bytes[16];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = get8(r);
    return sip_ip_from_v6(bytes);
}

static void get_srv(struct reader *r, struct dns_record *ret)
{
    ret->priority = get16(r);
    ret->weight = get16(r);
    ret->port = get16(r);
    get_name(r, ret->name);
}

static void get_naptr(struct reader *r, struct dns_record *ret)
{
    char flags[2], none[1];

    ret->priority = get16(r);
    ret->weight = get16(r);
    get_text(r, flags, sizeof(flags));
    ret->flag = lower((uint8_t)flags[0]);
    get_text(r, ret->service, sizeof(ret->service));
    ret->regexp = get_text(r, none, sizeof(none)) > 0;
    get_name(r, ret->name);
}

/* The data of a record, which must be as long as it says. */
static void get_data(struct reader *r, const struct resource *resource, struct dns_record *ret)
{
    size_t length = resource->end - resource->data;

    memset(ret, 0, sizeof(*ret));
    if (resource->type == DNS_A && length == 4)
        ret->ip = get_v4(r);
    else if (resource->type == DNS_AAAA && length == 16)
        ret->ip = get_v6(r);
    else if (resource->type == DNS_A || resource->type == DNS_AAAA)
        r->bad = true; /* also when there is nothing, which would read as :: */
    else if (resource->type == DNS_SRV)
        get_srv(r, ret);
    else if (resource->type == DNS_NAPTR)
        get_naptr(r, ret);
    if (r->at != resource->end)
        r->bad = true;
}

int dns_answer_read(const uint8_t *packet, size_t size, enum dns_type type, struct dns_record *ret,
                    uint32_t max, uint32_t *ret_ttl)
{
    struct reader r = {.packet = packet, .size = size};
    uint32_t n = 0, ttl = TTL_MAX;
    uint16_t authorities, answers = begin(&r, &authorities);

    for (uint16_t i = 0; i < answers && !r.bad; i++) {
        struct resource resource;
        bool wanted, alias;

        if (!next(&r, &resource))
            break;
        wanted = resource.class == CLASS_IN && resource.type == type;
        alias = resource.class == CLASS_IN && resource.type == DNS_CNAME;
        if ((wanted || alias) && resource.ttl < ttl)
            ttl = resource.ttl;
        if (wanted && n < max)
            get_data(&r, &resource, &ret[n++]);
        if (!r.bad)
            r.at = resource.end;
    }
    if (r.bad)
        return -EBADMSG;
    if (n > 0)
        *ret_ttl = ttl;
    return (int)n;
}

/* The SOA's last number, behind two names and four others. */
static uint32_t soa_minimum(struct reader *r)
{
    skip_name(r);
    skip_name(r);
    for (int i = 0; i < 4; i++)
        get32(r);
    return get32(r);
}

int dns_answer_negative(const uint8_t *packet, size_t size, uint32_t *ret_ttl)
{
    struct reader r = {.packet = packet, .size = size};
    uint16_t authorities, answers = begin(&r, &authorities);

    for (uint32_t i = 0; i < (uint32_t)answers + authorities && !r.bad; i++) {
        struct resource resource;
        uint32_t minimum;

        if (!next(&r, &resource))
            break;
        if (i >= answers && resource.class == CLASS_IN && resource.type == DNS_SOA) {
            minimum = soa_minimum(&r);
            if (r.bad || r.at != resource.end)
                return -EBADMSG;
            *ret_ttl = minimum < resource.ttl ? minimum : resource.ttl;
            return 0;
        }
        r.at = resource.end;
    }
    return r.bad ? -EBADMSG : -ENOENT;
}
