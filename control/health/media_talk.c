/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One probe call with its sockets: see media_talk.h.
 */
#include "control/health/media_talk.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "control/health/media_socket.h"
#include "control/health/probe.h"

enum { BURST = 64, RTP_ROOM = 2048, NOT_ACCEPTABLE = 488, NOT_ALLOWED = 405 };

static_assert((int)MEDIA_SRTP_KEY == (int)SDP_KEY_LENGTH, "one suite");

static void send_text(const struct talk *t, const struct sip_addr *to, const char *text, int length)
{
    if (length > 0) /* a datagram that the kernel does not take is one that got lost */
        media_socket_send(t->sip_fd, to, text, (size_t)length);
}

static void send_invite(const struct talk *t)
{
    char offer[SDP_OFFER_MAX], text[MEDIA_TEXT_MAX];

    sdp_offer_print(&t->offer, offer);
    send_text(t, &t->words.backend, text, media_text_invite(&t->words, offer, text));
}

static void send_cancel(const struct talk *t)
{
    char text[MEDIA_TEXT_MAX];

    send_text(t, &t->words.backend, text, media_text_cancel(&t->words, text));
}

static void send_within(const struct talk *t, const struct media_dialog *dialog,
                        enum sip_method method)
{
    char text[MEDIA_TEXT_MAX];

    send_text(t, &dialog->hop, text, media_text_within(&t->words, dialog, method, text));
}

static void send_ack(const struct talk *t, const struct sip_msg *response)
{
    char text[MEDIA_TEXT_MAX];

    if (response->status < 300)
        send_within(t, &t->dialog, SIP_ACK);
    else
        send_text(t, &t->words.backend, text, media_text_ack(&t->words, response, text));
}

static void send_frame(struct talk *t)
{
    _Alignas(4) uint8_t bytes[RTP_HEADER + ECHO_FRAME + MEDIA_SRTP_TRAILER];
    const uint8_t *frame = echo_send(&t->echo, loop_now_us());
    int length = RTP_HEADER + ECHO_FRAME;

    rtp_header_write(&t->packet, bytes);
    if (frame != NULL)
        memcpy(bytes + RTP_HEADER, frame, ECHO_FRAME);
    else
        memset(bytes + RTP_HEADER, t->offer.codec == SDP_PCMA ? ECHO_SILENCE_A : ECHO_SILENCE_U,
               ECHO_FRAME);
    t->packet.marker = false;
    t->packet.sequence++;
    t->packet.timestamp += ECHO_FRAME;
    if (t->srtp != NULL)
        length = media_srtp_protect(t->srtp, bytes, (size_t)length, sizeof(bytes));
    if (length > 0)
        media_socket_send(t->rtp_fd, &t->answer.remote, bytes, (size_t)length);
}

static void arm(struct talk *t)
{
    uint64_t now = loop_now_ms(), wake = call_wake_ms(&t->call);

    if (wake == UINT64_MAX)
        loop_timer_stop(t->timer);
    else
        loop_timer_start(t->timer, wake > now ? (uint32_t)(wake - now) : 0);
}

/* Does what is to be done; response: what CALL_DO_ACK is about. */
static void act(struct talk *t, uint32_t actions, const struct sip_msg *response)
{
    if ((actions & CALL_DO_INVITE) != 0)
        send_invite(t);
    assert((actions & CALL_DO_ACK) == 0 || response != NULL);
    if ((actions & CALL_DO_ACK) != 0)
        send_ack(t, response);
    if ((actions & CALL_DO_CANCEL) != 0)
        send_cancel(t);
    if ((actions & CALL_DO_FRAME) != 0)
        send_frame(t);
    if ((actions & CALL_DO_BYE) != 0)
        send_within(t, &t->dialog, SIP_BYE);
    arm(t);
    t->on_change(t->arg, t, (actions & CALL_DO_JUDGE) != 0);
}

static void on_timer(void *arg)
{
    struct talk *t = arg;

    act(t, call_advance(&t->call, loop_now_ms()), NULL);
}

/* A 2xx of a dialog that is not the call's: a second one, by a fork, or one that came after another
 * final response. */
static void refuse_dialog(const struct talk *t, const struct sip_msg *response)
{
    struct media_dialog other;

    if (media_dialog_read(&t->words, response, &other) != 0)
        return;
    send_within(t, &other, SIP_ACK);
    send_within(t, &other, SIP_BYE);
}

/* The first 2xx. False: media cannot be sent. */
static bool agree(struct talk *t, const struct sip_msg *response)
{
    struct sip_slice body =
        sip_slice(response->buf + response->body, response->length - response->body);

    t->fault = sdp_answer_parse(body, &t->offer, &t->answer);
    if (t->fault != SDP_OK)
        return false;
    if (t->offer.srtp)
        t->srtp = media_srtp_new(t->offer.key, t->answer.key);
    return !t->offer.srtp || t->srtp != NULL;
}

static void take_invite_response(struct talk *t, const struct sip_msg *msg)
{
    bool accepted = msg->status >= 200 && msg->status < 300;
    bool open = t->call.state <= CALL_ABANDONED, can_talk = false;

    if (accepted && open && media_dialog_read(&t->words, msg, &t->dialog) != 0)
        return; /* nothing can be sent to one who says nothing of himself */
    if (accepted && !sip_slice_equal(msg->to_tag, sip_slice_of(t->dialog.tag))) {
        refuse_dialog(t, msg);
        return;
    }
    if (accepted && t->call.state <= CALL_PROCEEDING)
        can_talk = agree(t, msg);
    act(t, call_answered(&t->call, msg->status, can_talk, loop_now_ms()), msg);
}

static void take_request(struct talk *t, const struct sip_msg *msg, const struct sip_addr *from)
{
    char text[MEDIA_TEXT_MAX];
    uint16_t status = NOT_ALLOWED;

    if (msg->error != SIP_OK || msg->method == SIP_ACK)
        return;
    if (msg->method == SIP_BYE)
        status = 200;
    else if (msg->method == SIP_INVITE || msg->method == SIP_UPDATE)
        status = NOT_ACCEPTABLE;
    send_text(t, from, text, media_text_reply(msg, status, text));
    if (msg->method == SIP_BYE)
        act(t, call_hung_up(&t->call, loop_now_ms()), NULL);
}

/* The sockets are the call's alone; what comes must be from those it talks to all the same. */
static void take_message(struct talk *t, const char *bytes, size_t length,
                         const struct sip_addr *from)
{
    struct sip_msg msg;

    sip_msg_index(bytes, length, &msg);
    if (!media_is_ours(&t->words, &msg))
        return;
    if (msg.kind == SIP_REQUEST) {
        take_request(t, &msg, from);
        return;
    }
    if (msg.error != SIP_OK || (!sip_ip_equal(&from->ip, &t->words.backend.ip) &&
                                !sip_ip_equal(&from->ip, &t->dialog.hop.ip)))
        return;
    if (msg.method == SIP_INVITE)
        take_invite_response(t, &msg);
    else if (msg.method == SIP_CANCEL && msg.status >= 200)
        act(t, call_cancel_answered(&t->call), NULL);
    else if (msg.method == SIP_BYE && msg.status >= 200)
        act(t, call_bye_answered(&t->call, loop_now_ms()), NULL);
}

static void on_sip(void *arg)
{
    struct talk *t = arg;
    static char bytes[SIP_MSG_MAX];
    struct sip_addr from;

    for (int i = 0; i < BURST; i++) {
        ssize_t length = media_socket_receive(t->sip_fd, bytes, sizeof(bytes), &from);

        if (length == -EAGAIN || length == -EWOULDBLOCK)
            return;
        if (length > 0)
            take_message(t, bytes, (size_t)length, &from);
    }
}

static void take_packet(struct talk *t, uint8_t *bytes, size_t size)
{
    struct rtp_packet packet;
    uint64_t now_us = loop_now_us();
    int length = (int)size;

    if (rtp_parse(bytes, size, &packet) != 0)
        return;
    if (t->offer.srtp)
        length = t->srtp == NULL ? -EINVAL : media_srtp_unprotect(t->srtp, bytes, size);
    if (length == -EBADMSG)
        t->heard.forged++;
    if (length < 0 || rtp_parse(bytes, (size_t)length, &packet) != 0 ||
        packet.type != t->offer.codec)
        return;
    t->heard.packets++;
    rtp_stats_add(&t->heard.stats, &packet, now_us);
    echo_heard(&t->echo, packet.payload, packet.length, now_us);
}

static void on_rtp(void *arg)
{
    struct talk *t = arg;
    _Alignas(8) uint8_t bytes[RTP_ROOM];
    struct sip_addr from;

    for (int i = 0; i < BURST; i++) {
        ssize_t length = media_socket_receive(t->rtp_fd, bytes, sizeof(bytes), &from);

        if (length == -EAGAIN || length == -EWOULDBLOCK)
            break;
        if (length > 0 && (t->call.state == CALL_TALKING || t->call.state == CALL_LISTENING))
            take_packet(t, bytes, (size_t)length);
    }
    if (t->call.state == CALL_LISTENING && echo_is_over(&t->echo))
        act(t, call_heard_all(&t->call, loop_now_ms()), NULL);
}

/* Everything of a call that nobody may guess. */
struct dice {
    uint8_t call_id[MEDIA_WORD / 2], branch[MEDIA_WORD / 2], tag[MEDIA_WORD / 2];
    uint8_t key[SDP_KEY_LENGTH];
    uint64_t noise, session;
    uint32_t ssrc, timestamp;
    uint16_t sequence;
};

static void print_word(const uint8_t bytes[MEDIA_WORD / 2], char ret_word[MEDIA_WORD + 1])
{
    for (int i = 0; i < MEDIA_WORD / 2; i++)
        snprintf(ret_word + 2 * i, 3, "%02x", bytes[i]);
}

static int roll(struct talk *t, uint32_t n_frames)
{
    struct dice dice;

    if (getrandom(&dice, sizeof(dice), 0) != sizeof(dice))
        return -EIO;
    print_word(dice.call_id, t->words.call_id);
    print_word(dice.branch, t->words.branch);
    print_word(dice.tag, t->words.tag);
    memcpy(t->offer.key, dice.key, sizeof(dice.key));
    t->offer.session = dice.session >> 1;
    echo_init(&t->echo, dice.noise, n_frames);
    t->packet = (struct rtp_packet){.type = t->offer.codec,
                                    .marker = true,
                                    .ssrc = dice.ssrc,
                                    .timestamp = dice.timestamp,
                                    .sequence = dice.sequence};
    explicit_bzero(&dice, sizeof(dice));
    return 0;
}

static int open_all(struct talk *t, struct loop *loop, const struct sip_ip *node)
{
    const struct sip_ip *peer = &t->words.backend.ip;

    t->sip_fd = media_socket_open(node, peer, false, &t->words.local);
    if (t->sip_fd < 0)
        return t->sip_fd;
    t->rtp_fd = media_socket_open(node, peer, true, &t->offer.local);
    if (t->rtp_fd < 0)
        return t->rtp_fd;
    t->sip_reading = loop_watch(loop, t->sip_fd, LOOP_READ, on_sip, t);
    t->rtp_reading = loop_watch(loop, t->rtp_fd, LOOP_READ, on_rtp, t);
    t->timer = loop_timer_new(loop, on_timer, t);
    return t->sip_reading == NULL || t->rtp_reading == NULL || t->timer == NULL ? -ENOMEM : 0;
}

static void release(struct talk *t)
{
    loop_event_free(t->sip_reading);
    loop_event_free(t->rtp_reading);
    loop_event_free(t->timer);
    if (t->sip_fd >= 0)
        close(t->sip_fd);
    if (t->rtp_fd >= 0)
        close(t->rtp_fd);
    media_srtp_free(t->srtp);
    explicit_bzero(t->offer.key, sizeof(t->offer.key));
    explicit_bzero(t->answer.key, sizeof(t->answer.key));
}

int talk_begin(struct talk *t, struct loop *loop, const struct sip_ip *node, uint32_t id,
               const struct sip_addr *backend, const struct cfg_health *health)
{
    const struct cfg_media *conf = &health->media;
    uint32_t n_frames = conf->length_ms / CALL_FRAME_MS;
    int status;

    n_frames = n_frames < 1 ? 1 : n_frames > ECHO_FRAMES_MAX ? ECHO_FRAMES_MAX : n_frames;
    t->id = id;
    t->sip_fd = t->rtp_fd = -1;
    t->busy = health->busy;
    t->words.backend = *backend;
    t->offer.codec = conf->codec;
    t->offer.srtp = conf->srtp == CFG_MEDIA_SDES;
    status = media_uri_print(conf->uri, backend, t->words.uri) ? roll(t, n_frames) : -EINVAL;
    if (status == 0)
        status = open_all(t, loop, node);
    if (status != 0) {
        release(t);
        return status;
    }
    act(t, call_begin(&t->call, conf->timeout_ms, n_frames, loop_now_ms()), NULL);
    return 0;
}

void talk_end(struct talk *t)
{
    uint32_t actions = call_drop(&t->call, loop_now_ms());

    if ((actions & CALL_DO_CANCEL) != 0)
        send_cancel(t);
    if ((actions & CALL_DO_BYE) != 0)
        send_within(t, &t->dialog, SIP_BYE);
    release(t);
}

void talk_judge(const struct talk *t, struct media_result *ret)
{
    media_judge(&t->call, t->fault, &t->echo, &t->heard, &t->busy, ret);
}
