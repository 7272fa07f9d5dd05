/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One probe call with its sockets: does what its course (media_call) wants done, and tells it what
 * came. It must not know other calls.
 */
#ifndef TANDEM_CONTROL_HEALTH_MEDIA_TALK_H
#define TANDEM_CONTROL_HEALTH_MEDIA_TALK_H

#include "control/health/media_srtp.h"
#include "control/health/media_text.h"
#include "control/health/media_verdict.h"
#include "control/loop.h"

struct talk {
    uint32_t id;                      /* of the backend */
    struct call call;
    struct media_id words;
    struct media_dialog dialog;       /* of the 2xx that counts */
    struct sdp_offer offer;
    struct sdp_answer answer;
    enum sdp_fault fault;
    struct cfg_statuses busy;
    struct media_srtp *srtp;          /* NULL: none, or not agreed yet */
    struct echo echo;
    struct media_heard heard;
    struct rtp_packet packet;         /* what is sent next */
    int sip_fd, rtp_fd;
    struct loop_event *sip_reading, *rtp_reading, *timer;
    /* Called whenever something was done; `judged`: the call has come to its judgement just now. */
    void (*on_change)(void *arg, struct talk *talk, bool judged);
    void *arg;
    struct talk *next;                /* the owner's, and */
    bool live;                        /* as it knows it */
};

/* Begins a call: its INVITE is sent. 0; or a negative errno, when it holds nothing. */
int talk_begin(struct talk *talk, struct loop *loop, const struct sip_ip *node, uint32_t id,
               const struct sip_addr *backend, const struct cfg_health *health);
/* Ends it as well as one datagram can, and frees what it holds; the struct stays the caller's. */
void talk_end(struct talk *talk);

void talk_judge(const struct talk *talk, struct media_result *ret);

#endif
