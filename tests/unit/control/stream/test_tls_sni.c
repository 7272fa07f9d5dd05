/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificates go with a name (RFC 6066 §3): exact names, wildcards of one label, several
 * kinds of keys for one name, and the first certificate for everything else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/stream/tls/sni.h"

#define EC TLS_KIND_ECDSA
#define RSA TLS_KIND_RSA
#define ED TLS_KIND_EDDSA

enum { BEARERS_MAX = 8 };

/* "0-1": ECDSA by the first bearer, RSA by none, EdDSA by the second. */
static void print(const struct tls_set *set, char ret[4])
{
    for (int kind = 0; kind < TLS_KINDS; kind++)
        ret[kind] = set->by_kind[kind] == TLS_SNI_NONE ? '-' : (char)('0' + set->by_kind[kind]);
    ret[TLS_KINDS] = '\0';
}

static void sets_by_name(void **state)
{
    static char *a[] = {"a.net"}, *b[] = {"b.net", "a.net"}, *wild[] = {"*.a.net"},
                *wild_x[] = {"x.a.net", "*.a.net"};
    static const struct {
        struct tls_bearer bearers[BEARERS_MAX];
        uint32_t n;
        struct {
            const char *name, *set; /* "": nobody's, the first certificate's then */
        } asked[10];
    } table[] = {
        {{{NULL, 0, RSA}}, 1, {{"a.net", ""}, {"", ""}}},
        {{{a, 1, EC}},
         1,
         {{"a.net", "0--"}, {"A.NET", "0--"}, {"a.net.", "0--"}, {"x.a.net", ""}, {"net", ""}}},
        {{{a, 1, EC}, {b, 2, RSA}, {b, 2, EC}, {a, 1, ED}},
         4,
         {{"a.net", "013"}, {"b.net", "21-"}, {"c.net", ""}}},
        {{{wild, 1, EC}, {wild_x, 2, RSA}},
         2,
         {{"x.a.net", "01-"},
          {"y.a.net", "01-"},
          {"Y.A.Net", "01-"},
          {"a.net", ""},
          {".a.net", ""},
          {"y.x.a.net", ""},
          {"*.a.net", ""},
          {"x", ""}}},
        {{{b, 1, RSA}, {wild, 1, EC}, {wild_x, 1, EC}},
         3,
         {{"x.a.net", "2--"}, {"y.a.net", "1--"}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct tls_bearer *bearers[BEARERS_MAX];
        struct tls_sni sni;

        for (uint32_t j = 0; j < table[i].n; j++)
            bearers[j] = &table[i].bearers[j];
        assert_int_equal(tls_sni_init(&sni, bearers, table[i].n), 0);
        for (size_t j = 0; j < 10 && table[i].asked[j].name != NULL; j++) {
            uint32_t set = tls_sni_find(&sni, table[i].asked[j].name);
            char text[4] = "";

            if (set != TLS_SNI_NONE)
                print(&sni.sets[set], text);
            assert_string_equal(text, table[i].asked[j].set);
        }
        tls_sni_done(&sni);
    }
}

static void first_set(void **state)
{
    static char *a[] = {"a.net", "x.b.net"}, *b[] = {"b.net"}, *wild[] = {"*.b.net"};
    static const struct {
        struct tls_bearer bearers[BEARERS_MAX];
        uint32_t n;
        const char *set;
    } table[] = {
        {{{a, 2, EC}}, 1, "0--"},
        {{{a, 2, EC}, {b, 1, RSA}}, 2, "0--"},
        {{{a, 2, EC}, {b, 1, RSA}, {a, 2, RSA}, {a, 2, EC}}, 4, "02-"},
        {{{a, 2, RSA}, {wild, 1, EC}}, 2, "10-"},
        {{{NULL, 0, RSA}, {a, 2, EC}}, 2, "-0-"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct tls_bearer *bearers[BEARERS_MAX];
        struct tls_sni sni;
        char text[4];

        for (uint32_t j = 0; j < table[i].n; j++)
            bearers[j] = &table[i].bearers[j];
        assert_int_equal(tls_sni_init(&sni, bearers, table[i].n), 0);
        print(&sni.sets[0], text);
        assert_string_equal(text, table[i].set);
        tls_sni_done(&sni);
    }
}

/* A thousand of them: each gets its own; long names and no names are nobody's. */
static void many(void **state)
{
    enum { N = 1000 };
    static struct tls_bearer bearers[N];
    static const struct tls_bearer *pointers[N];
    static char texts[N][32], *names[N], long_name[400];
    struct tls_sni sni;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        snprintf(texts[i], sizeof(texts[i]), "host%u.example.net", i * 7919u % N);
        names[i] = texts[i];
        bearers[i] = (struct tls_bearer){&names[i], 1, TLS_KIND_ECDSA};
        pointers[i] = &bearers[i];
    }
    assert_int_equal(tls_sni_init(&sni, pointers, N), 0);
    assert_int_equal(sni.n_sets, N);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t set = tls_sni_find(&sni, texts[i]);

        assert_true(set < sni.n_sets);
        assert_int_equal(sni.sets[set].by_kind[TLS_KIND_ECDSA], i);
    }
    memset(long_name, 'a', sizeof(long_name) - 1);
    assert_int_equal(tls_sni_find(&sni, long_name), TLS_SNI_NONE);
    memcpy(long_name + 200, ".example.net", 12);
    assert_int_equal(tls_sni_find(&sni, long_name), TLS_SNI_NONE);
    tls_sni_done(&sni);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_by_name),
        cmocka_unit_test(first_set),
        cmocka_unit_test(many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
