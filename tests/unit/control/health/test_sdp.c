/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offer's words (RFC 8866, RFC 4568 §6.1) and what answers of all kinds say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/health/sdp.h"

/* Of RFC 4568's example: 30 bytes in base64. */
#define KEY "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"

static struct sdp_offer offer_make(bool srtp)
{
    struct sdp_offer offer = {.session = 7, .codec = SDP_PCMU, .srtp = srtp};

    assert_int_equal(sip_ip_parse(sip_slice_of("192.0.2.11"), &offer.local.ip), 0);
    offer.local.port = 40000;
    for (uint32_t i = 0; i < sizeof(offer.key); i++)
        offer.key[i] = (uint8_t)i;
    return offer;
}

static void offers(void **context)
{
    struct sdp_offer offer = offer_make(false);
    char text[SDP_OFFER_MAX];
    uint32_t length = sdp_offer_print(&offer, text);

    (void)context;
    assert_int_equal(length, strlen(text));
    assert_string_equal(text, "v=0\r\no=tandem 7 1 IN IP4 192.0.2.11\r\ns=-\r\n"
                              "c=IN IP4 192.0.2.11\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
                              "a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n");
    offer.srtp = true;
    offer.codec = SDP_PCMA;
    assert_int_equal(sip_ip_parse(sip_slice_of("2001:db8::11"), &offer.local.ip), 0);
    sdp_offer_print(&offer, text);
    assert_non_null(strstr(text, "\r\nc=IN IP6 2001:db8::11\r\n"));
    assert_non_null(strstr(text, "\r\nm=audio 40000 RTP/SAVP 8\r\na=rtpmap:8 PCMA/8000\r\n"));
    assert_non_null(strstr(text, "\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 "
                                 "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n"));
}

/* What an offer says, an answer that repeats it says, too. */
static void reads_its_own_key(void **context)
{
    struct sdp_offer offer = offer_make(true);
    struct sdp_answer answer;
    char text[SDP_OFFER_MAX];

    (void)context;
    for (uint32_t round = 0; round < 200; round++) {
        for (uint32_t i = 0; i < sizeof(offer.key); i++)
            offer.key[i] = (uint8_t)random();
        sdp_offer_print(&offer, text);
        assert_int_equal(sdp_answer_parse(sip_slice_of(text), &offer, &answer), SDP_OK);
        assert_memory_equal(answer.key, offer.key, sizeof(offer.key));
        assert_true(sip_addr_equal(&answer.remote, &offer.local));
    }
}

#define HEAD "v=0\r\no=- 1 1 IN IP4 10.9.9.9\r\ns=-\r\n"
#define AVP "m=audio 4000 RTP/AVP 8 0 101\r\n"
#define SAVP "m=audio 4000 RTP/SAVP 0\r\n"
#define IP4 "c=IN IP4 10.0.0.30\r\n"
#define CRYPTO "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" KEY

static void reads_answers(void **context)
{
    static const struct {
        const char *text;
        bool srtp;
        enum sdp_fault fault;
    } cases[] = {
        {HEAD IP4 "t=0 0\r\n" AVP, false, SDP_OK},
        {HEAD IP4 "t=0 0\n" AVP "a=sendrecv", false, SDP_OK},
        {HEAD "t=0 0\r\n" AVP IP4, false, SDP_OK},
        {HEAD "c=IN IP4 1.2.3.4\r\nt=0 0\r\n" AVP IP4, false, SDP_OK},
        {HEAD IP4 "m=video 9 RTP/AVP 31\r\nc=IN IP4 9.9.9.9\r\na=inactive\r\n" AVP, false, SDP_OK},
        {HEAD IP4 AVP "m=video 9 RTP/AVP 31\r\nc=IN IP4 9.9.9.9\r\na=inactive\r\n", false, SDP_OK},
        {HEAD IP4 SAVP CRYPTO "\r\n", true, SDP_OK},
        {HEAD IP4 SAVP CRYPTO "|2^20\r\n", true, SDP_OK},
        {HEAD IP4 SAVP "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:" KEY "\r\n" CRYPTO " KDR=1\r\n",
         true, SDP_OK},
        {"", false, SDP_NO_AUDIO},
        {"m=audio", false, SDP_NO_AUDIO},
        {HEAD IP4 "m=video 9 RTP/AVP 31\r\n", false, SDP_NO_AUDIO},
        {HEAD IP4 "m=audio x RTP/AVP 0\r\n", false, SDP_NO_AUDIO},
        {HEAD IP4 "m=audio 65536 RTP/AVP 0\r\n", false, SDP_NO_AUDIO},
        {HEAD IP4 "m=audio 0 RTP/AVP 0\r\n", false, SDP_REJECTED},
        {HEAD IP4 SAVP, false, SDP_PROFILE},
        {HEAD IP4 AVP CRYPTO "\r\n", true, SDP_PROFILE},
        {HEAD IP4 "m=audio 4000 RTP/AVP 8 101\r\n", false, SDP_CODEC},
        {HEAD IP4 "m=audio 4000 RTP/AVP\r\n", false, SDP_CODEC},
        {HEAD AVP, false, SDP_ADDRESS},
        {HEAD "c=IN IP4 host.example.net\r\n" AVP, false, SDP_ADDRESS},
        {HEAD "c=IN IP4 0.0.0.0\r\n" AVP, false, SDP_HELD},
        {HEAD "a=inactive\r\n" IP4 AVP, false, SDP_HELD},
        {HEAD IP4 AVP "a=recvonly\r\n", false, SDP_HELD},
        {HEAD "a=inactive\r\n" IP4 AVP "a=sendonly\r\n", false, SDP_OK},
        {HEAD IP4 SAVP, true, SDP_CRYPTO},
        {HEAD IP4 CRYPTO "\r\n" SAVP, true, SDP_CRYPTO},
        {HEAD IP4 SAVP CRYPTO "|2^20|1:4\r\n", true, SDP_CRYPTO},
        {HEAD IP4 SAVP "a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:" KEY "\r\n", true, SDP_CRYPTO},
        {HEAD IP4 SAVP "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" KEY "\r\n", true, SDP_CRYPTO},
        {HEAD IP4 SAVP "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" KEY "A\r\n", true, SDP_CRYPTO},
        {HEAD IP4 SAVP "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:=" KEY "\r\n", true, SDP_CRYPTO},
        {HEAD IP4 SAVP "a=crypto:1\r\n", true, SDP_CRYPTO},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sdp_offer offer = offer_make(cases[i].srtp);
        struct sdp_answer answer;
        char *copy = strndup(cases[i].text, strlen(cases[i].text)); /* ASan sees its end */
        enum sdp_fault fault;

        fault = sdp_answer_parse(sip_slice(copy, (uint32_t)strlen(copy)), &offer, &answer);
        if (fault != cases[i].fault)
            print_message("case %zu: %s\n", i, sdp_fault_phrase(fault));
        assert_int_equal(fault, cases[i].fault);
        free(copy);
        if (fault != SDP_OK)
            continue;
        assert_int_equal(answer.remote.port, 4000);
        assert_memory_equal(sip_ip_v4_bytes(&answer.remote.ip), "\x0a\x00\x00\x1e", 4);
        if (cases[i].srtp)
            assert_memory_equal(answer.key, "YS___semctl () {\t220;}\n}\nunles", SDP_KEY_LENGTH);
    }
}

/* Damaged at random, flush against the end of its memory: it is read or refused, never overrun. */
static void reads_damaged_answers(void **context)
{
    static const char whole[] = HEAD IP4 SAVP CRYPTO "|2^20\r\na=sendrecv\r\n" AVP;
    static const char bytes[] = "\r\n =:|/0a\xff";
    const struct sdp_offer offer = offer_make(true);
    uint32_t n_read = 0;

    (void)context;
    srandom(1);
    for (uint32_t i = 0; i < 50000; i++) {
        uint32_t length = (uint32_t)random() % sizeof(whole);
        char *text = malloc(length + 1);
        struct sdp_answer answer;

        memcpy(text + 1, whole, length);
        for (long j = random() % 4; j > 0 && length > 0; j--)
            text[1 + (uint32_t)random() % length] = bytes[random() % (long)(sizeof(bytes) - 1)];
        n_read += sdp_answer_parse(sip_slice(text + 1, length), &offer, &answer) == SDP_OK;
        free(text);
    }
    assert_in_range(n_read, 100, 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers),
        cmocka_unit_test(reads_its_own_key),
        cmocka_unit_test(reads_answers),
        cmocka_unit_test(reads_damaged_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
