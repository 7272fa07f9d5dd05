/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of probe calls: what the core's own grammar reads in them, and dialogs of answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/health/media_text.h"

static struct sip_addr addr_make(const char *host, uint16_t port)
{
    struct sip_addr addr = {.port = port};

    assert_int_equal(sip_ip_parse(sip_slice_of(host), &addr.ip), 0);
    return addr;
}

static struct media_id id_make(const char *node, const char *backend)
{
    struct media_id id = {.local = addr_make(node, 40000),
                          .backend = addr_make(backend, 5060),
                          .call_id = "00112233445566778899aabbccddeeff",
                          .branch = "0123456789abcdef0123456789abcdef",
                          .tag = "fedcba9876543210fedcba9876543210"};

    assert_true(media_uri_print("sip:echo@{backend};x=y", &id.backend, id.uri));
    return id;
}

static struct sip_msg read_back(const char *text, int length)
{
    struct sip_msg msg;

    assert_true(length > 0);
    assert_int_equal(length, strlen(text));
    assert_int_equal(sip_msg_index(text, (size_t)length, &msg), SIP_OK);
    return msg;
}

static void assert_text(struct sip_slice is, const char *should)
{
    char text[600];

    assert_true(is.length < sizeof(text));
    memcpy(text, is.at, is.length);
    text[is.length] = '\0';
    assert_string_equal(text, should);
}

static void uris(void **context)
{
    struct sip_addr backend = addr_make("2001:db8::5", 5070);
    char uri[MEDIA_URI_MAX], *longest = calloc(1, MEDIA_URI_MAX + 1);

    (void)context;
    assert_true(media_uri_print("sip:echo@{backend};x", &backend, uri));
    assert_string_equal(uri, "sip:echo@[2001:db8::5]:5070;x");
    assert_true(media_uri_print("sip:echo@example.net", &backend, uri));
    assert_string_equal(uri, "sip:echo@example.net");
    memset(longest, 'x', MEDIA_URI_MAX);
    assert_false(media_uri_print(longest, &backend, uri));
    free(longest);
}

static void requests(void **context)
{
    const struct media_id id = id_make("192.0.2.11", "10.0.0.12");
    char text[MEDIA_TEXT_MAX], more[MEDIA_TEXT_MAX];
    struct sip_msg invite, cancel;

    (void)context;
    invite = read_back(text, media_text_invite(&id, "v=0\r\n", text));
    assert_int_equal(invite.method, SIP_INVITE);
    assert_text(invite.request_uri, "sip:echo@10.0.0.12:5060;x=y");
    assert_text(invite.call_id, "00112233445566778899aabbccddeeff@192.0.2.11");
    assert_int_equal(invite.content_length, 5);
    assert_int_equal(invite.length - invite.body, 5);
    assert_true(invite.to_tag.length == 0);
    assert_text(invite.top_via.branch, "z9hG4bK0123456789abcdef0123456789abcdef");
    cancel = read_back(more, media_text_cancel(&id, more)); /* RFC 3261 §9.1 */
    assert_int_equal(cancel.method, SIP_CANCEL);
    assert_int_equal(cancel.cseq, invite.cseq);
    assert_true(sip_slice_equal(cancel.top_via.branch, invite.top_via.branch));
    assert_true(sip_slice_equal(cancel.request_uri, invite.request_uri));
    assert_true(sip_slice_equal(cancel.from_tag, invite.from_tag));
}

#define VIA \
    "Via: SIP/2.0/UDP 192.0.2.11:40000;rport=40000;branch=z9hG4bK0123456789abcdef0123456789abcdef"
#define COMMON                                                               \
    "From: <sip:tandem@192.0.2.11>;tag=fedcba9876543210fedcba9876543210\r\n" \
    "To: <sip:echo@10.0.0.12>;tag=their-tag\r\n"                             \
    "Call-ID: 00112233445566778899aabbccddeeff@192.0.2.11\r\n"
#define RESPONSE(status) "SIP/2.0 " status "\r\n" VIA "\r\n" COMMON "CSeq: 1 INVITE\r\n"

static struct sip_msg msg_of(const char *text)
{
    struct sip_msg msg;

    assert_int_equal(sip_msg_index(text, strlen(text), &msg), SIP_OK);
    return msg;
}

static void dialogs(void **context)
{
    static const struct {
        const char *fields, *target, *routes;
        const char *hop;
        uint16_t port;
    } cases[] = {
        {"Contact: <sip:echo@10.0.0.30:5070>\r\n", "sip:echo@10.0.0.30:5070", "", "10.0.0.30",
         5070},
        {"Contact: <sip:echo@10.0.0.30>;x=y\r\n", "sip:echo@10.0.0.30", "", "10.0.0.30", 5060},
        {"Contact: <sip:echo@host.invalid>\r\n", "sip:echo@host.invalid", "", "10.0.0.12", 5060},
        {"Contact: <sips:echo@10.0.0.30>\r\n", "sip:echo@10.0.0.12:5060;x=y", "", "10.0.0.12",
         5060},
        {"", "sip:echo@10.0.0.12:5060;x=y", "", "10.0.0.12", 5060},
        /* §12.1.2: in reverse order; and the backend is asked, wherever it says it is */
        {"Record-Route: <sip:a;lr>, <sip:192.0.2.10;lr;x=\"1,2\">\r\nContact: <sip:e@10.0.0.30>\r\n"
         "Record-Route: <sip:b;lr>;p=q\r\n",
         "sip:e@10.0.0.30",
         "Route: <sip:b;lr>;p=q\r\nRoute: <sip:192.0.2.10;lr;x=\"1,2\">\r\nRoute: <sip:a;lr>\r\n",
         "10.0.0.12", 5060},
    };
    const struct media_id id = id_make("192.0.2.11", "10.0.0.12");

    (void)context;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sip_addr hop = addr_make(cases[i].hop, cases[i].port);
        char text[2048], bye[MEDIA_TEXT_MAX], ack[MEDIA_TEXT_MAX];
        struct media_dialog dialog;
        struct sip_msg msg;

        snprintf(text, sizeof(text), "%s%s\r\n", RESPONSE("200 OK"), cases[i].fields);
        msg = msg_of(text);
        assert_true(media_is_ours(&id, &msg));
        assert_int_equal(media_dialog_read(&id, &msg, &dialog), 0);
        assert_string_equal(dialog.target, cases[i].target);
        assert_string_equal(dialog.routes, cases[i].routes);
        assert_string_equal(dialog.tag, "their-tag");
        assert_true(sip_addr_equal(&dialog.hop, &hop));
        msg = read_back(ack, media_text_within(&id, &dialog, SIP_ACK, ack));
        assert_int_equal(msg.cseq, 1);
        assert_text(msg.top_via.branch, "z9hG4bK0123456789abcdef0123456789abcdefa");
        msg = read_back(bye, media_text_within(&id, &dialog, SIP_BYE, bye));
        assert_int_equal(msg.method, SIP_BYE);
        assert_int_equal(msg.cseq, 2);
        assert_text(msg.request_uri, cases[i].target);
        assert_text(msg.to_tag, "their-tag");
        assert_true(cases[i].routes[0] == '\0' || strstr(bye, cases[i].routes) != NULL);
    }
}

static void dialogs_that_cannot_be(void **context)
{
    const struct media_id id = id_make("192.0.2.11", "10.0.0.12");
    char *text = calloc(1, 65536);
    struct media_dialog dialog;
    struct sip_msg msg;

    (void)context;
    strcpy(text, "SIP/2.0 200 OK\r\n" VIA "\r\nFrom: <sip:t@x>;tag=1\r\nTo: <sip:e@x>\r\n"
                 "Call-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n");
    msg = msg_of(text);
    assert_int_equal(media_dialog_read(&id, &msg, &dialog), -EINVAL);
    strcpy(text, RESPONSE("200 OK"));
    for (int i = 0; i < 33; i++)
        strcat(text, "Record-Route: <sip:10.0.0.12;lr>\r\n");
    strcat(text, "\r\n");
    msg = msg_of(text);
    assert_int_equal(media_dialog_read(&id, &msg, &dialog), -EINVAL);
    strcpy(text, RESPONSE("200 OK") "Record-Route: <sip:10.0.0.12;lr;x=");
    memset(text + strlen(text), 'x', MEDIA_ROUTES_MAX);
    strcat(text, ">\r\n\r\n");
    msg = msg_of(text);
    assert_int_equal(media_dialog_read(&id, &msg, &dialog), -EINVAL);
    free(text);
}

/* §17.1.1.3: the ACK to a refusal is of the INVITE's transaction. */
static void ack_to_a_refusal(void **context)
{
    const struct media_id id = id_make("192.0.2.11", "10.0.0.12");
    struct sip_msg msg = msg_of(RESPONSE("486 Busy Here") "\r\n");
    char text[MEDIA_TEXT_MAX];

    (void)context;
    msg = read_back(text, media_text_ack(&id, &msg, text));
    assert_int_equal(msg.method, SIP_ACK);
    assert_text(msg.top_via.branch, "z9hG4bK0123456789abcdef0123456789abcdef");
    assert_text(msg.to_tag, "their-tag");
    assert_text(msg.request_uri, "sip:echo@10.0.0.12:5060;x=y");
}

static void replies(void **context)
{
    static const char bye[] =
        "BYE sip:tandem@192.0.2.11:40000 SIP/2.0\r\n"
        "Via: SIP/2.0/UDP 10.0.0.12;branch=z9hG4bKa, SIP/2.0/UDP 10.0.0.30;branch=z9hG4bKb\r\n"
        "From: <sip:echo@10.0.0.12>;tag=their-tag\r\n"
        "To: <sip:tandem@192.0.2.11>;tag=fedcba9876543210fedcba9876543210\r\n"
        "v: SIP/2.0/UDP 10.0.0.31;branch=z9hG4bKc\r\n"
        "Call-ID: 00112233445566778899aabbccddeeff@192.0.2.11\r\nCSeq: 7 BYE\r\n\r\n";
    const struct media_id id = id_make("192.0.2.11", "10.0.0.12");
    struct sip_msg msg = msg_of(bye);
    char text[MEDIA_TEXT_MAX];

    (void)context;
    assert_true(media_is_ours(&id, &msg));
    msg = read_back(text, media_text_reply(&msg, 200, text));
    assert_int_equal(msg.status, 200);
    assert_int_equal(msg.cseq, 7);
    assert_text(msg.top_via.branch, "z9hG4bKa");
    assert_non_null(strstr(text, "z9hG4bKb"));
    assert_true(strstr(text, "z9hG4bKc") > strstr(text, "z9hG4bKb"));
}

static void whose(void **context)
{
    static const struct {
        const char *find, *put; /* in a response of ours; "" ends it */
    } cases[] = {
        {"branch=z9hG4bK0", "branch=z9hG4bK1"},
        {"cdef\r\nFrom", "cdefc\r\nFrom"},
        {"fedc", "fedd"},
        {"00112233", "00112234"},
        {"eeff@", "eeffx"},
    };
    const struct media_id id = id_make("192.0.2.11", "10.0.0.12");
    struct sip_msg msg = msg_of(RESPONSE("100 Trying") "\r\n");

    (void)context;
    assert_true(media_is_ours(&id, &msg));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *whole = RESPONSE("100 Trying") "\r\n";
        const char *at = strstr(whole, cases[i].find);
        char text[2048];

        assert_non_null(at);
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - whole), whole, cases[i].put,
                 at + strlen(cases[i].find));
        msg = msg_of(text);
        assert_false(media_is_ours(&id, &msg));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uris),
        cmocka_unit_test(requests),
        cmocka_unit_test(dialogs),
        cmocka_unit_test(dialogs_that_cannot_be),
        cmocka_unit_test(ack_to_a_refusal),
        cmocka_unit_test(replies),
        cmocka_unit_test(whose),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
