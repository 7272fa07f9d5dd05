/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: what goes in comes out, and nothing else verifies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "dataplane/proxy/token.h"
#include "tests/unit/dataplane/proxy/stage.h"

static struct sip_addr addr(const char *ip, uint16_t port)
{
    struct sip_addr a;

    memset(&a, 0, sizeof(a));
    assert_int_equal(sip_ip_parse(sip_slice_of(ip), &a.ip), 0);
    a.port = port;
    return a;
}

static struct proxy_token make(const char *local, const char *peer, uint8_t transport, uint8_t pair)
{
    struct proxy_token token;

    memset(&token, 0, sizeof(token));
    token.flow.local = addr(local, 65535);
    token.flow.peer = addr(peer, 1);
    token.flow.transport = transport;
    if (transport != SIP_TRANSPORT_UDP) {
        token.flow.node = 0x89abcdef;
        token.flow.connection = 0xf123456789abcdef;
    }
    token.backend = 0xfedcba98;
    token.backend_port = 5080;
    token.pair = pair;
    return token;
}

static void check_round_trip(const struct snapshot *s, const struct proxy_token *token)
{
    char text[PROXY_TOKEN_TEXT_MAX], again[PROXY_TOKEN_TEXT_MAX];
    uint32_t length = proxy_token_print(s, token, text);
    struct proxy_token read;

    assert_in_range(length, 1, PROXY_TOKEN_TEXT_MAX);
    assert_int_equal(proxy_token_print(s, token, again), length);
    assert_memory_equal(text, again, length);
    assert_int_equal(proxy_token_parse(s, sip_slice(text, length), &read), 0);
    assert_memory_equal(&read.flow, &token->flow, sizeof(read.flow));
    assert_int_equal(read.backend, token->backend);
    assert_int_equal(read.backend_port, token->backend_port);
    assert_int_equal(read.pair, token->pair);
}

static void test_round_trip(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);

    for (uint8_t transport = 1; transport < SIP_TRANSPORT_COUNT; transport++) {
        for (uint8_t pair = PROXY_PAIR_NONE; pair <= PROXY_PAIR_BOTTOM; pair++) {
            struct proxy_token v4 = make("192.0.2.10", "203.0.113.5", transport, pair);
            struct proxy_token v6 =
                make("[2001:db8::1]", "[2001:db8:1:2:3:4:5:6]", transport, pair);

            check_round_trip(stage->snapshot, &v4);
            check_round_trip(stage->snapshot, &v6);
        }
    }
    stage_free(stage);
}

/* Every single bit of every character, every shorter and one longer text. */
static void check_tampered(const char *local, const char *peer, uint8_t transport)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);
    struct proxy_token token = make(local, peer, transport, 0), read;
    char text[PROXY_TOKEN_TEXT_MAX + 1];
    uint32_t length = proxy_token_print(stage->snapshot, &token, text);
    struct proxy_token before = token;

    text[length] = 'A';
    read = token;
    for (uint32_t i = 0; i < length * 8; i++) {
        text[i / 8] ^= (char)(1 << i % 8);
        assert_int_equal(proxy_token_parse(stage->snapshot, sip_slice(text, length), &read),
                         i / 8 < 3 ? -ENOENT : -EACCES);
        text[i / 8] ^= (char)(1 << i % 8);
    }
    for (uint32_t n = 0; n <= length + 1; n++) {
        if (n != length)
            assert_int_equal(proxy_token_parse(stage->snapshot, sip_slice(text, n), &read),
                             n < 3 ? -ENOENT : -EACCES);
    }
    assert_memory_equal(&read, &before, sizeof(read));
    stage_free(stage);
}

static void test_tampered(void **state)
{
    check_tampered("192.0.2.10", "203.0.113.5", SIP_TRANSPORT_UDP);
    check_tampered("192.0.2.10", "203.0.113.5", SIP_TRANSPORT_TLS);
    check_tampered("[2001:db8::1]", "[2001:db8:1:2:3:4:5:6]", SIP_TRANSPORT_WSS);
}

/* Unreserved characters may come back as %HH and mean the same (RFC 3261 §19.1.4). */
static void test_escaped(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);
    struct proxy_token token = make("192.0.2.10", "203.0.113.5", SIP_TRANSPORT_UDP, 0), read;
    char text[PROXY_TOKEN_TEXT_MAX], escaped[3 * PROXY_TOKEN_TEXT_MAX + 1];
    uint32_t length = proxy_token_print(stage->snapshot, &token, text);

    for (uint32_t i = 0; i < length; i++)
        sprintf(escaped + 3 * i, i % 2 ? "%%%02x" : "%%%02X", text[i]);
    memset(&read, 0, sizeof(read));
    assert_int_equal(proxy_token_parse(stage->snapshot, sip_slice(escaped, 3 * length), &read), 0);
    assert_memory_equal(&read, &token, sizeof(token));
    escaped[3 * length - 1] ^= 1;
    assert_int_equal(proxy_token_parse(stage->snapshot, sip_slice(escaped, 3 * length), &read),
                     -EACCES);
    assert_int_equal(proxy_token_parse(stage->snapshot, sip_slice(escaped, 3 * length - 1), &read),
                     -EACCES);
    stage_free(stage);
}

/* next verifies before it signs, previous after it did; a key that is gone does not. */
static void test_keys(void **state)
{
    struct stage_conf conf = {0}, rotated = {.current_mac = 1};
    struct stage *stage = stage_new(&conf), *other = stage_new(&rotated);
    struct proxy_token token = make("192.0.2.10", "203.0.113.5", SIP_TRANSPORT_UDP, 0), read;
    char old[PROXY_TOKEN_TEXT_MAX], new[PROXY_TOKEN_TEXT_MAX];
    uint32_t length = proxy_token_print(stage->snapshot, &token, old);
    int previous = SNAPSHOT_MAC_PREVIOUS;

    assert_int_equal(proxy_token_print(other->snapshot, &token, new), length);
    assert_memory_not_equal(old, new, length);
    assert_int_equal(proxy_token_parse(stage->snapshot, sip_slice(new, length), &read), 0);
    assert_int_equal(proxy_token_parse(other->snapshot, sip_slice(old, length), &read), 0);
    other->snapshot->mac[previous].valid = 0;
    assert_int_equal(proxy_token_parse(other->snapshot, sip_slice(old, length), &read), -EACCES);
    other->snapshot->mac[previous].valid = 1;
    other->snapshot->mac[previous].key.k1 ^= 1;
    assert_int_equal(proxy_token_parse(other->snapshot, sip_slice(old, length), &read), -EACCES);
    stage_free(stage);
    stage_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_tampered),
        cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
