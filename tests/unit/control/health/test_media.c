/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probe calls over real sockets on loopback, to a phone in the same loop that does what each test
 * wants: echoes, is silent, refuses, rings, has another key, hangs up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/health/media.h"
#include "control/health/media_socket.h"
#include "control/health/media_srtp.h"
#include "control/health/probe.h"

enum how {
    ECHOES,
    LOSES,        /* every fourth packet */
    SAYS_NOTHING, /* 200, and no media */
    WRONG_KEY,    /* media protected by a key that it did not tell */
    UNPROTECTED,  /* plain RTP although SRTP was agreed */
    NO_SRTP,      /* an answer without a key */
    REFUSES,      /* 486 */
    CHALLENGES,   /* 401 */
    RINGS,        /* 180 until CANCEL */
    CROSSES,      /* 180, and 200 to the INVITE after CANCEL */
    ABSENT,       /* nothing at all */
    LATE,         /* 200, after the time is up */
    HANGS_UP,     /* after a few packets */
    FORKS,        /* a second 200 with another tag */
};

struct phone {
    enum how how;
    int sip_fd, rtp_fd;
    struct sip_addr sip, rtp, peer; /* peer: where its SIP is */
    struct sip_addr media;          /* where its media is */
    struct sdp_offer offer;         /* what we answer */
    struct media_srtp *srtp;
    char invite[4096];
    uint32_t n_invite, n_ack, n_ack_other, n_bye, n_bye_other, n_cancel, n_packets, n_ok;
    struct loop_event *sip_reading, *rtp_reading;
};

struct scene {
    struct loop *loop;
    struct media *media;
    struct loop_event *alarm;
    struct cfg_health conf;
    struct phone phone;
    uint32_t n_results, n_rooms, id;
    struct media_result result;
};

static void phone_send(struct phone *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void phone_send(struct phone *p, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    assert_in_range(length, 1, sizeof(text) - 1);
    assert_int_equal(media_socket_send(p->sip_fd, &p->peer, text, (size_t)length), length);
}

/* A response to a request. */
static void phone_answer(struct phone *p, const char *request, const char *status, const char *tag,
                         const char *body)
{
    char at[SIP_ADDR_TEXT_MAX + 1], to[512];
    struct sip_msg msg;
    struct sip_slice via, from, call_id, cseq, whom;

    sip_msg_index(request, strlen(request), &msg);
    via = sip_msg_value(&msg, sip_msg_first(&msg, SIP_VIA));
    from = sip_msg_value(&msg, sip_msg_first(&msg, SIP_FROM));
    call_id = sip_msg_value(&msg, sip_msg_first(&msg, SIP_CALL_ID));
    cseq = sip_msg_value(&msg, sip_msg_first(&msg, SIP_CSEQ));
    whom = sip_msg_value(&msg, sip_msg_first(&msg, SIP_TO));
    snprintf(to, sizeof(to), "%.*s%s%s", (int)whom.length, whom.at,
             msg.to_tag.length > 0 ? "" : ";tag=", msg.to_tag.length > 0 ? "" : tag);
    at[sip_addr_print(&p->sip, at)] = '\0';
    phone_send(p,
               "SIP/2.0 %s\r\nVia: %.*s\r\nFrom: %.*s\r\nTo: %s\r\nCall-ID: %.*s\r\n"
               "CSeq: %.*s\r\nContact: <sip:echo@%s>\r\nContent-Length: %zu\r\n\r\n%s",
               status, (int)via.length, via.at, (int)from.length, from.at, to, (int)call_id.length,
               call_id.at, (int)cseq.length, cseq.at, at, strlen(body), body);
}

static void phone_accept(struct phone *p, const char *tag)
{
    char body[SDP_OFFER_MAX];

    sdp_offer_print(&p->offer, body);
    phone_answer(p, p->invite, "200 OK", tag, body);
}

/* Reads the offer as if it were an answer: it says the same. */
static void take_offer(struct phone *p, const struct sip_msg *msg)
{
    struct sip_slice body = sip_slice(msg->buf + msg->body, msg->length - msg->body);
    struct sdp_answer theirs;
    uint8_t key[SDP_KEY_LENGTH];

    assert_int_equal(sdp_answer_parse(body, &p->offer, &theirs), SDP_OK);
    p->media = theirs.remote;
    memset(p->offer.key, 'k', sizeof(p->offer.key));
    memset(key, p->how == WRONG_KEY ? 'w' : 'k', sizeof(key));
    if (p->offer.srtp && p->srtp == NULL)
        p->srtp = media_srtp_new(key, theirs.key);
    if (p->how == NO_SRTP)
        p->offer.srtp = false;
}

static void take_invite(struct phone *p, const struct sip_msg *msg)
{
    p->n_invite++;
    if (p->how == ABSENT || (p->how == LATE && p->n_invite > 1))
        return;
    snprintf(p->invite, sizeof(p->invite), "%.*s", (int)msg->length, msg->buf);
    if (p->how == REFUSES || p->how == CHALLENGES) {
        phone_answer(p, p->invite, p->how == REFUSES ? "486 Busy Here" : "401 Unauthorized", "one",
                     "");
        return;
    }
    take_offer(p, msg);
    if (p->how == LATE)
        return;
    phone_answer(p, p->invite, "180 Ringing", "one", "");
    if (p->how != RINGS && p->how != CROSSES)
        phone_accept(p, "one");
    if (p->how == FORKS)
        phone_accept(p, "two");
}

static void take_cancel(struct phone *p, const char *text)
{
    p->n_cancel++;
    phone_answer(p, text, "200 OK", "one", "");
    if (p->how == CROSSES)
        phone_accept(p, "one");
    else
        phone_answer(p, p->invite, "487 Request Terminated", "one", "");
}

static void on_phone_sip(void *arg)
{
    struct phone *p = arg;
    static char text[65536];
    struct sip_msg msg;
    ssize_t length = media_socket_receive(p->sip_fd, text, sizeof(text) - 1, &p->peer);
    bool other;

    if (length <= 0)
        return;
    text[length] = '\0';
    assert_int_equal(sip_msg_index(text, (size_t)length, &msg), SIP_OK);
    other = sip_slice_equal(msg.to_tag, sip_slice_of("two"));
    if (msg.kind == SIP_RESPONSE) {
        p->n_ok += msg.status == 200;
    } else if (msg.method == SIP_INVITE) {
        take_invite(p, &msg);
    } else if (msg.method == SIP_ACK) {
        p->n_ack += !other;
        p->n_ack_other += other;
    } else if (msg.method == SIP_CANCEL) {
        take_cancel(p, text);
    } else if (msg.method == SIP_BYE) {
        p->n_bye += !other;
        p->n_bye_other += other;
        phone_answer(p, text, "200 OK", "one", "");
    }
}

static void hang_up(struct phone *p)
{
    struct sip_msg msg;

    sip_msg_index(p->invite, strlen(p->invite), &msg);
    phone_send(p,
               "BYE sip:tandem@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKbye\r\n"
               "From: <sip:echo@x>;tag=one\r\nTo: <sip:tandem@x>;tag=%.*s\r\nCall-ID: %.*s\r\n"
               "CSeq: 1 BYE\r\n\r\n",
               (int)msg.from_tag.length, msg.from_tag.at, (int)msg.call_id.length, msg.call_id.at);
}

static void on_phone_rtp(void *arg)
{
    struct phone *p = arg;
    _Alignas(8) uint8_t bytes[2048];
    struct sip_addr from;
    ssize_t length = media_socket_receive(p->rtp_fd, bytes, sizeof(bytes), &from);

    if (length <= 0)
        return;
    p->n_packets++;
    if (p->srtp != NULL)
        length = media_srtp_unprotect(p->srtp, bytes, (size_t)length);
    assert_int_equal(length, RTP_HEADER + ECHO_FRAME);
    if (p->how == SAYS_NOTHING || (p->how == LOSES && p->n_packets % 4 == 0))
        return;
    if (p->how == HANGS_UP && p->n_packets == 3)
        hang_up(p);
    if (p->srtp != NULL && p->how != UNPROTECTED)
        length = media_srtp_protect(p->srtp, bytes, (size_t)length, sizeof(bytes));
    assert_true(length > 0);
    media_socket_send(p->rtp_fd, &p->media, bytes, (size_t)length);
}

static void on_result(void *arg, uint32_t id, uint64_t begun_ms, const struct media_result *result)
{
    struct scene *s = arg;

    assert_true(begun_ms <= loop_now_ms());
    s->n_results++;
    s->id = id;
    s->result = *result;
}

static void on_room(void *arg)
{
    struct scene *s = arg;

    s->n_rooms++;
    assert_int_equal(media_live(s->media), 0);
}

static void on_alarm(void *arg)
{
    (void)arg;
}

static void phone_make(struct scene *s, const struct sip_ip *ip, enum how how, bool srtp)
{
    struct phone *p = &s->phone;

    p->how = how;
    p->sip_fd = media_socket_open(ip, ip, false, &p->sip);
    p->rtp_fd = media_socket_open(ip, ip, true, &p->rtp);
    assert_true(p->sip_fd >= 0 && p->rtp_fd >= 0);
    assert_int_equal(p->rtp.port % 2, 0);
    p->offer = (struct sdp_offer){.local = p->rtp, .srtp = srtp};
    p->sip_reading = loop_watch(s->loop, p->sip_fd, LOOP_READ, on_phone_sip, p);
    p->rtp_reading = loop_watch(s->loop, p->rtp_fd, LOOP_READ, on_phone_rtp, p);
}

static void scene_make(struct scene *s, const char *host, enum how how, bool srtp)
{
    static char uri[] = "sip:echo@{backend}";
    const struct media_conf conf = {.on_result = on_result, .on_room = on_room, .arg = s};
    struct address_own own;
    struct sip_ip ip;

    memset(s, 0, sizeof(*s));
    assert_int_equal(sip_ip_parse(sip_slice_of(host), &ip), 0);
    s->loop = loop_new();
    s->media = media_new(s->loop, &conf);
    s->alarm = loop_timer_new(s->loop, on_alarm, s);
    assert_true(s->loop != NULL && s->media != NULL && s->alarm != NULL);
    own = (struct address_own){.has_v4 = sip_ip_is_v4(&ip), .v4 = ip, .v6 = ip};
    own.has_v6 = !own.has_v4;
    media_from(s->media, &own);
    cfg_statuses_add(&s->conf.busy, 503, 503);
    s->conf.media = (struct cfg_media){.uri = uri,
                                       .srtp = srtp ? CFG_MEDIA_SDES : CFG_MEDIA_PLAIN,
                                       .timeout_ms = 300,
                                       .length_ms = 200,
                                       .max = 1};
    phone_make(s, &ip, how, srtp);
}

static void scene_done(struct scene *s)
{
    media_free(s->media);
    loop_event_free(s->phone.sip_reading);
    loop_event_free(s->phone.rtp_reading);
    close(s->phone.sip_fd);
    close(s->phone.rtp_fd);
    media_srtp_free(s->phone.srtp);
    loop_event_free(s->alarm);
    loop_free(s->loop);
}

static void run(struct scene *s, uint32_t ms)
{
    uint64_t until = loop_now_us() + ms * 1000u;

    while (loop_now_us() < until) {
        loop_timer_start(s->alarm, 5);
        loop_step(s->loop);
    }
}

/* Until nobody is occupied by the call any more. */
static void run_call(struct scene *s)
{
    assert_int_equal(media_place(s->media, 7, &s->phone.sip, &s->conf), 0);
    assert_int_equal(media_place(s->media, 8, &s->phone.sip, &s->conf), -EBUSY);
    for (int i = 0; i < 1000 && (s->n_results == 0 || media_live(s->media) > 0); i++)
        run(s, 5);
    assert_int_equal(media_live(s->media), 0);
    assert_int_equal(s->n_results, 1);
    assert_int_equal(s->id, 7);
    assert_int_equal(s->n_rooms, 1);
    run(s, 20);
}

static void heard(enum how how, bool srtp, const char *host)
{
    struct scene s;

    scene_make(&s, host, how, srtp);
    run_call(&s);
    assert_string_equal(s.result.why, "");
    assert_int_equal(s.result.word, MEDIA_GOOD);
    assert_int_equal(s.result.status, 200);
    assert_int_equal(s.result.sent, 10);
    assert_int_equal(s.result.loss_permille, how == LOSES ? 200 : 0);
    assert_in_range(s.result.received, how == LOSES ? 8 : 10, 60);
    assert_int_equal(s.result.lost, how == LOSES ? 2 : 0);
    assert_in_range(s.result.round_trip_us, 1, 100000);
    assert_int_equal(s.phone.n_ack, how == FORKS ? 1 : s.phone.n_invite);
    assert_int_equal(s.phone.n_bye, 1);
    assert_int_equal(s.phone.n_cancel, 0);
    assert_int_equal(s.phone.n_ack_other, how == FORKS ? 1 : 0);
    assert_int_equal(s.phone.n_bye_other, how == FORKS ? 1 : 0);
    scene_done(&s);
}

static void plain(void **context)
{
    (void)context;
    heard(ECHOES, false, "127.0.0.1");
    heard(ECHOES, false, "::1");
    heard(LOSES, false, "127.0.0.1");
}

static void protected(void **context)
{
    (void)context;
    heard(ECHOES, true, "127.0.0.1");
    heard(FORKS, true, "::1");
}

static void not_heard(void **context)
{
    static const struct {
        enum how how;
        bool srtp;
        enum media_word word;
        const char *why;
        uint32_t n_ack, n_bye, n_cancel;
    } cases[] = {
        {SAYS_NOTHING, false, MEDIA_BAD, "200, but no media came back", 1, 1, 0},
        {SAYS_NOTHING, true, MEDIA_BAD, "200, but no media came back", 1, 1, 0},
        {WRONG_KEY, true, MEDIA_BAD, "SRTP authentication failed", 1, 1, 0},
        {UNPROTECTED, true, MEDIA_BAD, "SRTP authentication failed", 1, 1, 0},
        {NO_SRTP, true, MEDIA_BAD,
         "200, with another profile than was offered (RTP/AVP or RTP/SAVP)", 1, 1, 0},
        {REFUSES, false, MEDIA_BAD, "answered 486", 1, 0, 0},
        {CHALLENGES, false, MEDIA_UNKNOWN, "answered 401: the echo wants a password", 1, 0, 0},
        {RINGS, false, MEDIA_BAD, "no answer to INVITE but 180", 1, 0, 1},
        {CROSSES, false, MEDIA_BAD, "no answer to INVITE but 180", 1, 1, 1},
        {ABSENT, false, MEDIA_BAD, "no answer to INVITE", 0, 0, 0},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scene s;

        scene_make(&s, "127.0.0.1", cases[i].how, cases[i].srtp);
        run_call(&s);
        assert_string_equal(s.result.why, cases[i].why);
        assert_int_equal(s.result.word, cases[i].word);
        assert_int_equal(s.phone.n_ack, cases[i].n_ack);
        assert_int_equal(s.phone.n_bye, cases[i].n_bye);
        assert_int_equal(s.phone.n_cancel, cases[i].n_cancel);
        scene_done(&s);
    }
}

static void hung_up(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s, "127.0.0.1", HANGS_UP, false);
    s.conf.media.length_ms = 2000;
    run_call(&s);
    assert_int_equal(s.result.word, MEDIA_BAD);
    assert_non_null(strstr(s.result.why, "hung up after"));
    assert_int_equal(s.phone.n_ok, 1);
    assert_int_equal(s.phone.n_bye, 0);
    scene_done(&s);
}

/* The verdict is there, the place is free; and still the late 200 gets ACK and BYE. */
static void accepted_late(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s, "127.0.0.1", LATE, false);
    run_call(&s);
    assert_string_equal(s.result.why, "no answer to INVITE");
    phone_accept(&s.phone, "one");
    run(&s, 50);
    assert_int_equal(s.phone.n_ack, 1);
    assert_int_equal(s.phone.n_bye, 1);
    assert_int_equal(s.n_results, 1);
    scene_done(&s);
}

/* When control ends in the middle of a call, the other side is told. */
static void ended_in_the_middle(void **context)
{
    struct scene s;

    (void)context;
    scene_make(&s, "127.0.0.1", ECHOES, false);
    s.conf.media.length_ms = 2000;
    assert_int_equal(media_place(s.media, 7, &s.phone.sip, &s.conf), 0);
    for (int i = 0; i < 400 && s.phone.n_packets < 3; i++)
        run(&s, 5);
    media_free(s.media);
    s.media = NULL;
    run(&s, 50);
    assert_int_equal(s.phone.n_bye, 1);
    assert_int_equal(s.n_results, 0);
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),         cmocka_unit_test(protected),
        cmocka_unit_test(not_heard),     cmocka_unit_test(hung_up),
        cmocka_unit_test(accepted_late), cmocka_unit_test(ended_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
