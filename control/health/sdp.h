/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of SDP (RFC 8866, RFC 3264) as one audio stream of G.711 needs: an offer, with a key for
 * SRTP (RFC 4568) or without, and what the other side's answer says. Pure: texts in and out. It must
 * not know calls, nor where media goes.
 */
#ifndef TANDEM_CONTROL_HEALTH_SDP_H
#define TANDEM_CONTROL_HEALTH_SDP_H

#include "dataplane/sip/ip.h"

/* Payload type numbers, RFC 3551 §6. */
enum sdp_codec { SDP_PCMU = 0, SDP_PCMA = 8 };

enum {
    SDP_KEY_LENGTH = 30,              /* master key and salt of AES_CM_128_HMAC_SHA1_80, §6.1 */
    SDP_OFFER_MAX = 640,
    SDP_PTIME_MS = 20,
};

struct sdp_offer {
    struct sip_addr local;            /* where media is expected */
    uint64_t session;                 /* o='s number, below 2^63 */
    uint8_t codec;                    /* enum sdp_codec */
    bool srtp;
    uint8_t key[SDP_KEY_LENGTH];      /* of what we send; with srtp */
};

struct sdp_answer {
    struct sip_addr remote;           /* where media goes */
    uint8_t key[SDP_KEY_LENGTH];      /* of what they send; with srtp */
};

enum sdp_fault {
    SDP_OK,
    SDP_NO_AUDIO,                     /* no m=audio line, or nothing readable */
    SDP_REJECTED,                     /* port 0 */
    SDP_PROFILE,                      /* SRTP instead of RTP, or the other way */
    SDP_CODEC,                        /* not the one that was offered */
    SDP_ADDRESS,                      /* no c= line with an IP address */
    SDP_HELD,                         /* they will send nothing */
    SDP_CRYPTO,                       /* no a=crypto of the offered suite and tag, or one with an MKI */
    SDP_FAULTS,
};

/* Writes the offer; returns its length. */
uint32_t sdp_offer_print(const struct sdp_offer *offer, char ret_text[SDP_OFFER_MAX]);

/* Reads the answer to an offer: its first audio stream. *ret only after SDP_OK. */
enum sdp_fault sdp_answer_parse(struct sip_slice text, const struct sdp_offer *offer,
                                struct sdp_answer *ret);

const char *sdp_fault_phrase(enum sdp_fault fault);

#endif
