/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes' words: what goes in comes out at another node, and nothing else verifies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "dataplane/proxy/cluster.h"
#include "tests/unit/dataplane/proxy/stage.h"

static const char MESSAGE[] = "BYE sip:ann@phone.invalid SIP/2.0\r\n\r\n";

/* A word of this text; free(). */
static char *word_make(const struct snapshot *s, struct proxy_cluster_word word, uint32_t *ret_n)
{
    char *bytes;

    *ret_n = PROXY_CLUSTER_HEAD + word.text.length;
    bytes = malloc(*ret_n);
    assert_non_null(bytes);
    proxy_cluster_print(s, &word, bytes);
    memcpy(bytes + PROXY_CLUSTER_HEAD, word.text.at, word.text.length);
    return bytes;
}

static const struct proxy_cluster_word SENT = {
    PROXY_CLUSTER_SEND, 0x89abcdef, 0xfedcba9876543210, {MESSAGE, sizeof(MESSAGE) - 1}};

/* Also after the keys were rotated here, before they were there. */
static void test_round_trip(void **state)
{
    const struct stage_conf conf = {0}, rotated = {.current_mac = 1};
    struct stage *here = stage_new(&conf), *there = stage_new(&rotated);

    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct snapshot *s = i == 0 ? here->snapshot : there->snapshot,
                              *other = i == 0 ? there->snapshot : here->snapshot;
        for (int kind = PROXY_CLUSTER_CAME; kind < PROXY_CLUSTER_KINDS; kind++) {
            struct proxy_cluster_word word = SENT, read;
            uint32_t n;
            char *bytes;

            word.kind = (enum proxy_cluster_kind)kind;
            bytes = word_make(s, word, &n);
            assert_true(proxy_cluster_may_be(bytes, n));
            assert_int_equal(proxy_cluster_parse(other, bytes, n, &read), 0);
            assert_int_equal(read.kind, word.kind);
            assert_int_equal(read.node, word.node);
            assert_int_equal(read.about, word.about);
            assert_int_equal(read.text.length, word.text.length);
            assert_memory_equal(read.text.at, word.text.at, word.text.length);
            free(bytes);
        }
    }
    stage_free(here);
    stage_free(there);
}

/* Cut anywhere, longer, or with any bit changed. */
static void test_others(void **state)
{
    const struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);
    struct proxy_cluster_word read;
    uint32_t n;
    char *bytes = word_make(stage->snapshot, SENT, &n), *longer = malloc(n + 1);

    (void)state;
    assert_non_null(longer);
    memcpy(longer, bytes, n);
    longer[n] = '\0';
    assert_int_equal(proxy_cluster_parse(stage->snapshot, longer, n + 1, &read), -EACCES);
    free(longer);
    for (uint32_t length = 0; length < n; length++) {
        char *cut = malloc(length + 1); /* for who watches the bounds */

        assert_non_null(cut);
        memcpy(cut + 1, bytes, length);
        assert_int_equal(proxy_cluster_parse(stage->snapshot, cut + 1, length, &read), -EACCES);
        free(cut);
    }
    for (uint32_t bit = 0; bit < n * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(proxy_cluster_parse(stage->snapshot, bytes, n, &read), -EACCES);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    assert_int_equal(proxy_cluster_parse(stage->snapshot, bytes, n, &read), 0);
    free(bytes);
    stage_free(stage);
}

/* A kind that nobody knows yet, though it is signed. */
static void test_unknown_kind(void **state)
{
    const struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);

    (void)state;
    for (int kind = 0; kind < 256; kind++) {
        struct proxy_cluster_word word = SENT, read;
        uint32_t n;
        char *bytes;
        int status;

        word.kind = (enum proxy_cluster_kind)kind;
        bytes = word_make(stage->snapshot, word, &n);
        status = proxy_cluster_parse(stage->snapshot, bytes, n, &read);
        assert_int_equal(status,
                         kind >= PROXY_CLUSTER_CAME && kind < PROXY_CLUSTER_KINDS ? 0 : -EACCES);
        free(bytes);
    }
    stage_free(stage);
}

static void test_no_word(void **state)
{
    static const char *const others[] = {
        "INVITE sip:ann@example.net SIP/2.0\r\n\r\n", "SIP/2.0 200 OK\r\nCSeq: 1 BYE\r\n\r\n\r\n",
        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(proxy_cluster_may_be(others[i], (uint32_t)strlen(others[i])));
}

static void test_phones(void **state)
{
    const uint64_t phones[] = {1, 0x8000000000000001, UINT64_MAX};
    char text[3 * PROXY_CLUSTER_PHONE];

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        proxy_cluster_put_phone(phones[i], text + i * PROXY_CLUSTER_PHONE);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(proxy_cluster_phone(sip_slice(text, sizeof(text)), i), phones[i]);
    assert_int_equal(proxy_cluster_phone(sip_slice(text, sizeof(text)), 3), 0);
    assert_int_equal(proxy_cluster_phone(sip_slice(text, sizeof(text) - 1), 2), 0);
    assert_int_equal(proxy_cluster_phone(sip_slice("", 0), 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_others),
        cmocka_unit_test(test_unknown_kind), cmocka_unit_test(test_no_word),
        cmocka_unit_test(test_phones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
