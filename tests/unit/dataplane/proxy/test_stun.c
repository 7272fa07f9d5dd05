/* SPDX-License-Identifier: Apache-2.0 */
/* STUN on the SIP port: RFC 8489, with the test vectors of RFC 5769; RFC 5626 §3.5.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "dataplane/proxy/stun.h"
#include "tests/unit/dataplane/proxy/stage.h"
#include "tests/unit/guard.h"

#define ID "2112a442 b7e7a701bc34d686fa87dfae" /* cookie and transaction of RFC 5769 §2 */
#define SOFTWARE "80220010 5354554e207465737420636c69656e74"
#define PRIORITY "00240004 6e0001ff"
#define CONTROLLED "80290008 932ff9b151263b36"
#define USER "00060009 6576746a3a68367659202020"
#define INTEGRITY "00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
#define MAPPED_4 "00200008 0001a147e112a643"
#define MAPPED_6 "00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
#define PHRASE "00090015 00000414556e6b6e6f776e20417474726962757465000000"

static const struct sip_addr peer_4 = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}},
                                       32853};
static const struct sip_addr peer_6 = {
    {{0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77}},
    32853};

enum { BYTES = 4096 };

static size_t unhex(const char *hex, char ret[BYTES])
{
    size_t length = 0;
    unsigned byte;

    for (; *hex != '\0'; hex += *hex == ' ' ? 1 : 2) {
        if (*hex == ' ')
            continue;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        ret[length++] = (char)byte;
    }
    return length;
}

struct vector {
    const char *name;
    const char *request;
    const struct sip_addr *peer;
    const char *answer; /* NULL: none */
};

static const struct vector vectors[] = {
    {"a bare request, IPv4: the XOR-MAPPED-ADDRESS of RFC 5769 §2.2", "00010000" ID, &peer_4,
     "0101000c" ID MAPPED_4},
    {"…IPv6: §2.3", "00010000" ID, &peer_6, "01010018" ID MAPPED_6},
    {"FINGERPRINT is answered with one", "00010008" ID "80280004 fdf6ae02", &peer_4,
     "01010014" ID MAPPED_4 "80280004 7d281f59"},
    {"…IPv6", "00010008" ID "80280004 fdf6ae02", &peer_6,
     "01010020" ID MAPPED_6 "80280004 68d5c950"},
    {"a wrong FINGERPRINT", "00010008" ID "80280004 fdf6ae03", &peer_4, NULL},
    {"…one of another length", "0001000c" ID "80280008 fdf6ae02 00000000", &peer_4, NULL},
    {"…one that is not the last", "0001000c" ID "80280004 fdf6ae02 80220000", &peer_4, NULL},
    {"RFC 5769 §2.1 is for ICE: PRIORITY had to be understood",
     "00010058" ID SOFTWARE PRIORITY CONTROLLED USER INTEGRITY "80280004 e57a3bcf", &peer_4,
     "0111002c" ID PHRASE "000a0002 00240000 80280004 bd47dc87"},
    {"…with one bit of its text changed",
     "00010058" ID "80220010 5354554f207465737420636c69656e74" PRIORITY CONTROLLED USER INTEGRITY
     "80280004 e57a3bcf",
     &peer_4, NULL},
    {"two unknown ones", "00010010" ID PRIORITY "00030004 00000006", &peer_4,
     "01110024" ID PHRASE "000a0004 00240003"},
    {"what follows MESSAGE-INTEGRITY is not looked at", "00010020" ID INTEGRITY PRIORITY, &peer_4,
     "0101000c" ID MAPPED_4},
    {"what may be unknown is, and credentials are read over",
     "00010030" ID SOFTWARE CONTROLLED "c0010003 01020300"
     "00140000 00150000",
     &peer_4, "0101000c" ID MAPPED_4},
    {"an indication", "00110000" ID, &peer_4, NULL},
    {"a success", "0101000c" ID MAPPED_4, &peer_4, NULL},
    {"an error", "01110024" ID PHRASE "000a0004 00240003", &peer_4, NULL},
    {"another method: Allocate", "00030000" ID, &peer_4, NULL},
    {"length says more", "00010004" ID, &peer_4, NULL},
    {"length says less", "00010000" ID "80220000", &peer_4, NULL},
    {"an attribute that ends beyond the message", "00010004" ID "80220001", &peer_4, NULL},
    {"a piece of an attribute's head", "00010002" ID "8022", &peer_4, NULL},
    {"a header alone, cut", "00010000 2112a442 b7e7a701bc34d686fa87df", &peer_4, NULL},
};

/* Read flush against an unreadable page. */
static void check_vector(const struct vector *v)
{
    char bytes[BYTES], want[BYTES], answer[PROXY_STUN_ANSWER_MAX];
    size_t length = unhex(v->request, bytes), want_length;
    uint16_t status = v->answer == NULL ? 0 : strncmp(v->answer, "0101", 4) == 0 ? 200 : 420;
    struct guard guard = guard_new(bytes, length);
    struct sip_slice datagram = sip_slice(guard.at, (uint32_t)length);

    if (proxy_stun_status(datagram) != status)
        fail_msg("%s: %u, not %u", v->name, proxy_stun_status(datagram), status);
    if (v->answer != NULL) {
        want_length = unhex(v->answer, want);
        assert_int_equal(proxy_stun_print(datagram, v->peer, answer, want_length - 1), -ENOSPC);
        if (proxy_stun_print(datagram, v->peer, answer, want_length) != (int32_t)want_length ||
            memcmp(answer, want, want_length) != 0)
            fail_msg("%s: another answer", v->name);
    }
    guard_free(&guard);
}

static void test_vectors(void **state)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        check_vector(&vectors[i]);
}

/* RFC 5769 §2.1 cut short anywhere is no request. */
static void test_cut(void **state)
{
    char bytes[BYTES];
    size_t whole =
        unhex("00010058" ID SOFTWARE PRIORITY CONTROLLED USER INTEGRITY "80280004 e57a3bcf", bytes);

    for (size_t length = 0; length < whole; length++) {
        struct guard guard = guard_new(bytes, length);

        assert_int_equal(proxy_stun_status(sip_slice(guard.at, (uint32_t)length)), 0);
        guard_free(&guard);
    }
}

/* Nothing but unknown attributes: the answer stays bounded, and smaller than the question. */
static void test_bounds(void **state)
{
    char bytes[BYTES], answer[PROXY_STUN_ANSWER_MAX];
    size_t head = unhex("00010000" ID, bytes), length = PROXY_STUN_REQUEST_MAX;
    struct sip_slice datagram = sip_slice(bytes, (uint32_t)length);
    int32_t printed;

    memset(bytes + head, 0, sizeof(bytes) - head);
    bytes[2] = (char)((length - head) >> 8);
    bytes[3] = (char)(length - head);
    assert_int_equal(proxy_stun_status(datagram), 420);
    printed = proxy_stun_print(datagram, &peer_6, answer, sizeof(answer));
    assert_true(printed > 600 && printed < (int32_t)length);
    datagram.length += 4;
    bytes[3] = (char)(bytes[3] + 4);
    assert_int_equal(proxy_stun_status(datagram), 0);
}

static void decide(struct stage *stage, const char *from, const char *at, const char *hex)
{
    char bytes[BYTES];

    stage_decide(stage, from, at, bytes, unhex(hex, bytes));
}

/* To the source from the address that was asked, whoever asks. */
static void test_decision(void **state)
{
    struct stage *stage = stage_new(&(struct stage_conf){0});
    static const char *const peers[][2] = {{"198.51.100.7:4321", "192.0.2.10:5070"},
                                           {"10.0.0.11:5060", "192.0.2.10:5060"},
                                           {"[2001:db8::7]:4321", "[2001:db8:5::10]:5060"}};
    char answer[PROXY_STUN_ANSWER_MAX];

    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        decide(stage, peers[i][0], peers[i][1], "00010000" ID);
        assert_int_equal(stage->output.verdict, PROXY_REPLY);
        assert_int_equal(stage->output.reason, PROXY_REPLY_200_STUN);
        assert_true(proxy_flow_equal(&stage->output.to, &stage->input.from));
        assert_int_equal(stage->output.backend, LB_NO_BACKEND);
        assert_int_equal(
            proxy_reply_print(&stage->view, &stage->input, &stage->output, answer, sizeof(answer)),
            i == 2 ? 44 : 32);
    }
    decide(stage, peers[0][0], peers[0][1], "00010008" ID PRIORITY);
    assert_int_equal(stage->output.reason, PROXY_REPLY_420_STUN);
    assert_int_equal(stage->output.status, 420);
    decide(stage, peers[0][0], peers[0][1], "00110000" ID);
    assert_int_equal(stage->output.verdict, PROXY_DROP);
    assert_int_equal(stage->output.reason, PROXY_DROP_STUN);
    decide(stage, peers[0][0], peers[0][1], "00010000 2112a443 b7e7a701bc34d686fa87dfae");
    assert_int_equal(stage->output.reason, PROXY_DROP_NOT_SIP);
    stage_free(stage);
}

/* A stream is framed as SIP; there keep-alives are CRLFs (RFC 5626 §3.5.1). */
static void test_stream(void **state)
{
    struct stage *stage = stage_new(&(struct stage_conf){0});

    decide(stage, "198.51.100.7:4321", "192.0.2.10:5060", "00010000" ID);
    stage->input.from.transport = SIP_TRANSPORT_TCP;
    proxy_decide(&stage->view, &stage->input, &stage->output);
    assert_int_equal(stage->output.reason, PROXY_DROP_STUN);
    stage_free(stage);
}

/* A message of SIP in an attribute makes none of the datagram. */
static void test_text_inside(void **state)
{
    static const char text[] = "\nOPTIONS sip:192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.99\r\n"
                               "Call-ID: x\r\nContent-Length: 0\r\n\r\n   ";
    struct stage *stage = stage_new(&(struct stage_conf){0});
    char bytes[BYTES];
    size_t length = unhex("0001 0000" ID "8022 0000", bytes), value = sizeof(text) - 1;

    while (value % 4 != 0)
        value--;
    memcpy(bytes + length, text, value);
    bytes[23] = (char)value;
    bytes[3] = (char)(value + 4);
    stage_decide(stage, "198.51.100.7:4321", "192.0.2.10:5060", bytes, length + value);
    assert_int_equal(stage->msg.error, SIP_ERR_NOT_SIP);
    assert_int_equal(stage->msg.kind, SIP_NONE);
    assert_int_equal(stage->output.reason, PROXY_REPLY_200_STUN);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_decision),
        cmocka_unit_test(test_stream),  cmocka_unit_test(test_text_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
