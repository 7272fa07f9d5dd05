/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An offer and its answer: see sdp.h.
 */
#include "control/health/sdp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SUITE "AES_CM_128_HMAC_SHA1_80"
#define CRYPTO_TAG "1"

enum { KEY_TEXT = SDP_KEY_LENGTH / 3 * 4 }; /* base64 without padding: 30 is a multiple of 3 */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void key_print(const uint8_t key[SDP_KEY_LENGTH], char ret_text[KEY_TEXT + 1])
{
    char *at = ret_text;

    for (uint32_t i = 0; i < SDP_KEY_LENGTH; i += 3) {
        uint32_t bits = (uint32_t)key[i] << 16 | (uint32_t)key[i + 1] << 8 | key[i + 2];

        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = base64[bits >> shift & 63];
    }
    *at = '\0';
}

/* False: the text is not the base64 of as many bytes. */
static bool key_parse(struct sip_slice text, uint8_t ret_key[SDP_KEY_LENGTH])
{
    if (text.length != KEY_TEXT)
        return false;
    for (uint32_t i = 0; i < KEY_TEXT; i += 4) {
        uint32_t bits = 0;

        for (uint32_t j = 0; j < 4; j++) {
            const char *found = memchr(base64, text.at[i + j], sizeof(base64) - 1);

            if (found == NULL)
                return false;
            bits = bits << 6 | (uint32_t)(found - base64);
        }
        ret_key[i / 4 * 3] = (uint8_t)(bits >> 16);
        ret_key[i / 4 * 3 + 1] = (uint8_t)(bits >> 8);
        ret_key[i / 4 * 3 + 2] = (uint8_t)bits;
    }
    return true;
}

/* An address as SDP has it: IPv6 without brackets. */
static void host_print(const struct sip_ip *ip, char ret_text[SIP_IP_TEXT_MAX + 1])
{
    uint32_t length = sip_ip_print(ip, ret_text);

    if (ret_text[0] == '[') {
        memmove(ret_text, ret_text + 1, length);
        length -= 2;
    }
    ret_text[length] = '\0';
}

uint32_t sdp_offer_print(const struct sdp_offer *offer, char ret_text[SDP_OFFER_MAX])
{
    const char *family = sip_ip_is_v4(&offer->local.ip) ? "IP4" : "IP6";
    const char *codec = offer->codec == SDP_PCMA ? "PCMA" : "PCMU";
    char host[SIP_IP_TEXT_MAX + 1], key[KEY_TEXT + 1], crypto[KEY_TEXT + 64] = "";

    host_print(&offer->local.ip, host);
    if (offer->srtp) {
        key_print(offer->key, key);
        snprintf(crypto, sizeof(crypto), "a=crypto:" CRYPTO_TAG " " SUITE " inline:%s\r\n", key);
    }
    return (uint32_t)snprintf(ret_text, SDP_OFFER_MAX,
                              "v=0\r\n"
                              "o=tandem %" PRIu64 " 1 IN %s %s\r\n"
                              "s=-\r\n"
                              "c=IN %s %s\r\n"
                              "t=0 0\r\n"
                              "m=audio %u RTP/%s %u\r\n"
                              "a=rtpmap:%u %s/8000\r\n"
                              "a=ptime:%d\r\n"
                              "a=sendrecv\r\n"
                              "%s",
                              offer->session, family, host, family, host, offer->local.port,
                              offer->srtp ? "SAVP" : "AVP", offer->codec, offer->codec, codec,
                              SDP_PTIME_MS, crypto);
}

/* Cuts the first line off; false when nothing is left. */
static bool next_line(struct sip_slice *rest, struct sip_slice *ret_line)
{
    const char *end;

    if (rest->length == 0)
        return false;
    end = memchr(rest->at, '\n', rest->length);
    ret_line->at = rest->at;
    ret_line->length = end == NULL ? rest->length : (uint32_t)(end - rest->at);
    *rest = end == NULL ? sip_slice(rest->at, 0)
                        : sip_slice(end + 1, rest->length - ret_line->length - 1);
    if (ret_line->length > 0 && ret_line->at[ret_line->length - 1] == '\r')
        ret_line->length--;
    return true;
}

/* Cuts the first word off; length 0 when none is left. */
static struct sip_slice next_word(struct sip_slice *rest)
{
    struct sip_slice word;
    uint32_t length = 0;

    while (rest->length > 0 && rest->at[0] == ' ')
        *rest = sip_slice(rest->at + 1, rest->length - 1);
    while (length < rest->length && rest->at[length] != ' ')
        length++;
    word = sip_slice(rest->at, length);
    *rest = sip_slice(rest->at + length, rest->length - length);
    return word;
}

static bool is(struct sip_slice text, const char *word)
{
    return sip_slice_equal(text, sip_slice_of(word));
}

static bool begins(struct sip_slice text, const char *with, struct sip_slice *ret_rest)
{
    uint32_t length = (uint32_t)strlen(with);

    if (text.length < length || memcmp(text.at, with, length) != 0)
        return false;
    *ret_rest = sip_slice(text.at + length, text.length - length);
    return true;
}

/* What is gathered of an answer. */
struct reading {
    const struct sdp_offer *offer;
    bool in_audio, passed; /* in the first m=audio; behind it */
    bool has_address, held, has_key;
    enum sdp_fault fault; /* of the m= line */
    struct sdp_answer answer;
};

/* c=IN IP4 192.0.2.1, or IP6; a TTL may follow a slash only in multicast. */
static void take_connection(struct reading *r, struct sip_slice line)
{
    struct sip_ip ip;
    static const struct sip_ip none6, none4 = {{[10] = 0xff, [11] = 0xff}};

    next_word(&line);
    next_word(&line);
    if (sip_ip_parse(next_word(&line), &ip) != 0)
        return;
    r->has_address = true;
    if (sip_ip_equal(&ip, &none4) || sip_ip_equal(&ip, &none6))
        r->held = true; /* the old way to say so, RFC 3264 §8.4 */
    r->answer.remote.ip = ip;
}

/* m=audio 49170 RTP/AVP 0 8 */
static void take_audio(struct reading *r, struct sip_slice line)
{
    struct sip_slice word, port = next_word(&line), profile = next_word(&line);
    uint64_t number, type;
    bool agreed = false;

    if (sip_slice_number(port, UINT16_MAX, &number) != 0) {
        r->fault = SDP_NO_AUDIO;
        return;
    }
    r->answer.remote.port = (uint16_t)number;
    for (word = next_word(&line); word.length > 0; word = next_word(&line)) {
        if (sip_slice_number(word, 127, &type) == 0 && type == r->offer->codec)
            agreed = true;
    }
    if (number == 0)
        r->fault = SDP_REJECTED;
    else if (!is(profile, r->offer->srtp ? "RTP/SAVP" : "RTP/AVP"))
        r->fault = SDP_PROFILE;
    else if (!agreed)
        r->fault = SDP_CODEC;
    else
        r->fault = SDP_OK;
}

/* a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20|1:4 */
static void take_crypto(struct reading *r, struct sip_slice line)
{
    struct sip_slice tag = next_word(&line), suite = next_word(&line), key = next_word(&line);
    struct sip_slice params;
    const char *bar;

    if (!is(tag, CRYPTO_TAG) || !is(suite, SUITE) || !begins(key, "inline:", &key))
        return;
    params = key;
    bar = memchr(key.at, '|', key.length);
    if (bar != NULL) {
        key.length = (uint32_t)(bar - key.at);
        params = sip_slice(bar, params.length - key.length);
        if (memchr(params.at, ':', params.length) != NULL)
            return; /* an MKI in each packet, which we did not offer */
    }
    if (key_parse(key, r->answer.key))
        r->has_key = true;
}

static void take_line(struct reading *r, struct sip_slice line)
{
    struct sip_slice rest;

    if (begins(line, "m=", &rest)) {
        r->passed = r->in_audio;
        if (!r->passed && begins(rest, "audio ", &rest)) {
            r->in_audio = true;
            take_audio(r, rest);
        }
        return;
    }
    if (begins(line, "c=", &rest))
        take_connection(r, rest);
    else if (is(line, "a=recvonly") || is(line, "a=inactive"))
        r->held = true;
    else if (is(line, "a=sendrecv") || is(line, "a=sendonly"))
        r->held = false;
    else if (r->in_audio && begins(line, "a=crypto:", &rest))
        take_crypto(r, rest);
}

enum sdp_fault sdp_answer_parse(struct sip_slice text, const struct sdp_offer *offer,
                                struct sdp_answer *ret)
{
    struct reading r = {.offer = offer, .fault = SDP_NO_AUDIO};
    struct sip_slice line;
    bool other = false; /* in a stream that is not the first audio's */

    while (!r.passed && next_line(&text, &line)) {
        struct sip_slice rest;

        if (begins(line, "m=", &rest))
            other = r.in_audio || !begins(rest, "audio ", &rest);
        if (!other || line.at[0] == 'm')
            take_line(&r, line);
    }
    if (r.fault != SDP_OK)
        return r.fault;
    if (!r.has_address)
        return SDP_ADDRESS;
    if (r.held)
        return SDP_HELD;
    if (offer->srtp && !r.has_key)
        return SDP_CRYPTO;
    *ret = r.answer;
    return SDP_OK;
}

const char *sdp_fault_phrase(enum sdp_fault fault)
{
    static const char *const phrases[SDP_FAULTS] = {
        [SDP_OK] = "fine",
        [SDP_NO_AUDIO] = "without audio",
        [SDP_REJECTED] = "with the audio stream refused",
        [SDP_PROFILE] = "with another profile than was offered (RTP/AVP or RTP/SAVP)",
        [SDP_CODEC] = "without the codec that was offered",
        [SDP_ADDRESS] = "without an address for media",
        [SDP_HELD] = "that holds the call: nothing will be sent",
        [SDP_CRYPTO] = "without a key for SRTP",
    };

    return phrases[fault];
}
