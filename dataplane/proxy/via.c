/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our Via: `SIP/2.0/UDP ADDRESS;branch=z9hG4bK…;tdm=…`, where tdm holds in base64url flags, key
 * id, the ingress address, of a stream its node and connection, and a MAC over branch, ingress,
 * Call-ID, CSeq number and the parsed next Via.
 *
 * Branch and MAC are hashes of words, of which the first says what the others are. A Call-ID and
 * texts that are seldom there (a sent-by that is a name, the Request-URI of RFC 2543's branches)
 * are in them by keyed hashes of their own: two of 64 bits that nobody can predict are as seldom
 * equal as a MAC is guessed.
 */
#include "dataplane/proxy/via.h"

#include <assert.h>
#include <errno.h>

#include "dataplane/proxy/seal.h"

enum {
    FLAG_V6 = 1,
    TRANSPORT_SHIFT = 1,
    TRANSPORT_MASK = 7,
    FLAGS_USED = 0x0f,
    COOKIE_LENGTH = 7,
    V4_DIGITS = 22, /* of flags, key id, address, port and MAC: 16 bytes */
};

static const char cookie[] = "z9hG4bK"; /* RFC 3261 §8.1.1.7 */
static const char parameter[] = "tdm";

bool proxy_via_branch_is_unique(struct sip_slice branch)
{
    return branch.length > COOKIE_LENGTH &&
           (memcmp(branch.at, cookie, COOKIE_LENGTH) == 0 ||
            sip_slice_equal_nocase(sip_slice(branch.at, COOKIE_LENGTH), sip_slice_of(cookie)));
}

static uint16_t port_of(const struct sip_via *via)
{
    bool secure = via->transport == SIP_TRANSPORT_TLS || via->transport == SIP_TRANSPORT_WSS;

    return via->port != 0 ? via->port : secure ? PROXY_SIPS_PORT : PROXY_SIP_PORT;
}

void proxy_via_sent_by(const struct sip_via *via, struct proxy_next_via *ret)
{
    ret->sent_by_is_ip = via->host_is_ip;
    ret->sent_by_ip = via->host_ip;
    if (!via->host_is_ip)
        ret->sent_by_host = via->host;
    ret->sent_by_port = port_of(via);
}

/* Half of an address, 0 or 1. */
static inline uint64_t half_of(const struct sip_ip *ip, int half)
{
    uint64_t word;

    memcpy(&word, ip->bytes + 8 * half, sizeof(word));
    return le64toh(word);
}

/* All of an IPv4 address. */
static inline uint64_t v4_of(const struct sip_ip *ip)
{
    return half_of(ip, 1) >> 32;
}

/* A sent-by that is no IPv4 address, in two words. */
static void long_sent_by(const struct lb_key *key, const struct proxy_next_via *via,
                         uint64_t ret[2])
{
    ret[0] = via->sent_by_is_ip ? half_of(&via->sent_by_ip, 0)
                                : proxy_seal_hash_host(key, via->sent_by_host);
    ret[1] = via->sent_by_is_ip ? half_of(&via->sent_by_ip, 1) : 0;
}

/* The first byte of what is hashed by one key is its own: To-tags and tokens begin with a t, hosts
 * with an h. The second says which form it has. */
enum { BRANCH_LABEL = 'b', SEAL_LABEL = 'v' };
enum { FORM_V4 = 8, FORM_NAME = 16, FORM_OLD = 32, FORM_RECEIVED = 64 };

/*
 * RFC 3261 §16.11: out of what CANCEL, non-2xx ACK and retransmissions repeat, under a key that
 * never rotates. Not the To-tag, the method, or the source port. Three words where sent-by is an
 * IPv4 address and the branch identifies alone, else six; lengths of a header's texts have 16 bits.
 */
void proxy_via_hash_branch(const struct snapshot *s, const struct sip_msg *request,
                           const struct proxy_next_via *sent_by, uint64_t call,
                           struct lb_lanes *lanes)
{
    struct sip_slice branch = request->top_via.branch, tag = request->from_tag;
    bool old = !proxy_via_branch_is_unique(branch);
    bool v4 = sent_by->sent_by_is_ip && sip_ip_is_v4(&sent_by->sent_by_ip);
    uint32_t lane = lb_lanes_add(lanes, &s->branch_key, v4 && !old ? 3 : 6), form = 0;
    uint64_t host[2];

    form |= (v4 ? FORM_V4 : 0) | (sent_by->sent_by_is_ip ? 0 : FORM_NAME) | (old ? FORM_OLD : 0);
    lanes->words[0][lane] = BRANCH_LABEL | form << 8 | (uint64_t)sent_by->sent_by_port << 16 |
                            (uint64_t)branch.length << 32 | (uint64_t)tag.length << 48;
    lanes->words[1][lane] = call;
    lanes->words[2][lane] = request->cseq | (v4 ? v4_of(&sent_by->sent_by_ip) << 32 : 0);
    if (!v4 || old) {
        long_sent_by(&s->branch_key, sent_by, host);
        lanes->words[3][lane] = host[0];
        lanes->words[4][lane] = host[1];
        lanes->words[5][lane] =
            old ? proxy_seal_hash_text(&s->branch_key, request->request_uri) : 0;
    }
    lb_lanes_put_text(lanes, lane, 0, branch.at, branch.length);
    lb_lanes_put_text(lanes, lane, 1, tag.at, tag.length);
}

int proxy_via_read_branch(struct sip_slice branch, uint64_t *ret)
{
    if (branch.length != PROXY_BRANCH_LENGTH || memcmp(branch.at, cookie, COOKIE_LENGTH) != 0)
        return -EACCES;
    return proxy_seal_read_hex(branch.at + COOKIE_LENGTH, ret);
}

/* As the parameter's first byte. */
static uint32_t flags_of(const struct proxy_via_seal *seal)
{
    return (sip_ip_is_v4(&seal->local.ip) ? 0 : FLAG_V6) | (uint32_t)seal->transport
                                                               << TRANSPORT_SHIFT;
}

static bool is_stream(const struct proxy_via_seal *seal)
{
    return seal->transport != SIP_TRANSPORT_UDP;
}

/*
 * Five words where all addresses are IPv4's, else ten, of a stream eleven; none of them says the
 * key's id, since the key itself does. Addresses as they are meant: an IPv6 address has several
 * texts, and backends re-serialise what we wrote.
 */
void proxy_via_hash_seal(const struct proxy_via_seal *seal, uint64_t branch, uint64_t call,
                         uint32_t cseq, const struct proxy_next_via *next, struct lb_lanes *lanes)
{
    static const struct sip_ip none;
    const struct lb_key *key = &seal->key->key;
    bool received = !sip_ip_equal(&next->received, &none);
    bool v4 = next->sent_by_is_ip && sip_ip_is_v4(&next->sent_by_ip) && !is_stream(seal) &&
              sip_ip_is_v4(&seal->local.ip) && (!received || sip_ip_is_v4(&next->received));
    uint32_t lane = lb_lanes_add(lanes, key, v4 ? 5 : is_stream(seal) ? 11 : 10);
    uint64_t front = SEAL_LABEL | (uint64_t)seal->transport << 8 | (uint64_t)seal->local.port << 16;
    uint64_t host[2];

    lanes->words[1][lane] = branch;
    lanes->words[2][lane] = call;
    lanes->words[3][lane] = cseq | (uint64_t)next->sent_by_port << 32 | (uint64_t)next->rport << 48;
    if (v4) {
        front |= FORM_V4 << 8 | (received ? FORM_RECEIVED << 8 : 0);
        lanes->words[0][lane] = front | v4_of(&seal->local.ip) << 32;
        lanes->words[4][lane] = v4_of(&next->sent_by_ip) | v4_of(&next->received) << 32;
        return;
    }
    long_sent_by(key, next, host);
    lanes->words[0][lane] =
        front | (next->sent_by_is_ip ? 0 : FORM_NAME << 8) | (uint64_t)seal->node << 32;
    lanes->words[4][lane] = host[0];
    lanes->words[5][lane] = host[1];
    lanes->words[6][lane] = half_of(&next->received, 0);
    lanes->words[7][lane] = half_of(&next->received, 1);
    lanes->words[8][lane] = half_of(&seal->local.ip, 0);
    lanes->words[9][lane] = half_of(&seal->local.ip, 1);
    if (is_stream(seal))
        lanes->words[10][lane] = seal->connection;
}

/* `Via: SIP/2.0/TLS-SCTP `, `;branch=`, `;tdm=`, base64url in steps of 8, `;alias`, CRLF: with room
 * to spare. */
enum { VIA_TEXT_MAX = 64 + SIP_ADDR_TEXT_ROOM + PROXY_BRANCH_LENGTH + PROXY_SEAL_TEXT_MAX };

static void put_parameter(const struct proxy_via_seal *seal, struct proxy_seal *ret)
{
    proxy_seal_init(ret);
    proxy_seal_put(ret, flags_of(seal), 1);
    proxy_seal_put(ret, seal->key->id, 1);
    proxy_seal_put_ip(ret, &seal->local.ip);
    proxy_seal_put(ret, seal->local.port, 2);
    if (is_stream(seal))
        proxy_seal_put_stream(ret, seal->node, seal->connection);
    proxy_seal_put(ret, seal->mac, PROXY_MAC_BYTES);
}

static bool may_connect(const struct proxy_flow *to)
{
    return to->connection == 0 &&
           (to->transport == SIP_TRANSPORT_TCP || to->transport == SIP_TRANSPORT_TLS);
}

void proxy_via_put(struct sip_edit *edit, const struct proxy_flow *to, struct sip_slice sent_by,
                   uint64_t branch, const struct proxy_via_seal *seal)
{
    char *at = sip_edit_room(edit);
    struct proxy_seal bytes;
    bool alias = false;

    static_assert((int)VIA_TEXT_MAX <= (int)SIP_EDIT_ROOM,
                  "it is written where it may leave the text");
    put_parameter(seal, &bytes);
    if (to->transport == SIP_TRANSPORT_UDP) { /* as nearly all: of a length that is known here */
        at = sip_put_text(at, "Via: SIP/2.0/UDP ");
    } else {
        at = sip_put_text(at, "Via: SIP/2.0/");
        at = sip_put_text(at, sip_transport_name((enum sip_transport)to->transport));
        *at++ = ' ';
        alias = may_connect(to);
    }
    at = sip_put_addr_text(at, sent_by);
    at = sip_put_text(at, ";branch=z9hG4bK");
    proxy_seal_hex(branch, at);
    at = sip_put_text(at + 16, ";tdm=");
    at += proxy_seal_print(&bytes, at);
    if (alias)
        at = sip_put_text(at, ";alias");
    sip_edit_written(edit, sip_put_text(at, "\r\n"));
}

/* The value of our parameter where it is last and stands behind the branch, as we write it. */
static bool last_parameter(const struct sip_via *via, struct sip_slice *ret_value)
{
    static const char front[] = ";branch=", name[] = ";tdm=";
    struct sip_slice value;
    const char *at, *end;

    if (via->branch.length == 0)
        return false;
    at = via->branch.at + via->branch.length;
    end = via->params.at + via->params.length;
    if (via->branch.at != via->params.at + strlen(front) ||
        memcmp(via->params.at, front, strlen(front)) != 0 || end - at <= (ptrdiff_t)strlen(name) ||
        memcmp(at, name, strlen(name)) != 0)
        return false;
    at += strlen(name);
    value = sip_slice(at, (uint32_t)(end - at));
    /* As long as it is with an IPv4 address: there is no room for another parameter in it. */
    if (value.length != V4_DIGITS && !sip_slice_only(value, SIP_CHAR_TOKEN))
        return false;
    *ret_value = value;
    return true;
}

static bool find_parameter(const struct sip_via *via, struct sip_slice *ret_value)
{
    return last_parameter(via, ret_value) ||
           sip_param_find(via->params, sip_slice_of(parameter), ret_value, NULL);
}

/* Sent-by is a listener's address as we write it. */
static bool is_sent_by(const struct snapshot_listener *listener, const struct sip_via *via)
{
    struct sip_slice host = via->host;

    return port_of(via) == listener->addr.port && via->transport == listener->transport &&
           host.length < listener->text_length && listener->text[host.length] == ':' &&
           memcmp(host.at, listener->text, host.length) == 0;
}

bool proxy_via_is_ours(const struct snapshot *s, uint32_t likely, const struct sip_via *via,
                       struct sip_slice *ret_value)
{
    struct sip_addr addr;

    if (!find_parameter(via, ret_value))
        return false;
    if (is_sent_by(&snapshot_listeners(s)[likely], via))
        return true;
    if (!via->host_is_ip)
        return false;
    addr.ip = via->host_ip;
    addr.port = port_of(via);
    return snapshot_find_listener(s, via->transport, &addr) >= 0;
}

int proxy_via_read(const struct snapshot *s, struct sip_slice value, struct proxy_via_seal *ret)
{
    const struct snapshot_mac_key *key;
    struct proxy_seal bytes;
    uint32_t flags, stream;
    bool v4;

    if (proxy_seal_parse(value, &bytes) != 0 || bytes.length < 2)
        return -EACCES;
    flags = (uint32_t)proxy_seal_get(&bytes, 1);
    key = proxy_seal_key(s, (uint8_t)proxy_seal_get(&bytes, 1));
    v4 = !(flags & FLAG_V6);
    ret->transport = flags >> TRANSPORT_SHIFT & TRANSPORT_MASK;
    stream = is_stream(ret) ? PROXY_SEAL_STREAM_BYTES : 0;
    if ((flags & ~FLAGS_USED) != 0 || key == NULL ||
        bytes.length != 2 + (v4 ? 4 : 16) + 2 + stream + PROXY_MAC_BYTES)
        return -EACCES;
    ret->local.ip = proxy_seal_get_ip(&bytes, v4);
    if (sip_ip_is_v4(&ret->local.ip) != v4)
        return -EACCES; /* one text for each seal */
    ret->key = key;
    ret->local.port = (uint16_t)proxy_seal_get(&bytes, 2);
    ret->node = 0;
    ret->connection = 0;
    if (is_stream(ret))
        proxy_seal_get_stream(&bytes, &ret->node, &ret->connection);
    ret->mac = proxy_seal_get(&bytes, PROXY_MAC_BYTES);
    return 0;
}
