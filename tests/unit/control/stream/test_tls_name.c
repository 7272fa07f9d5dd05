/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a certificate is: RFC 5922 §7.1 (which identities), §7.2 (how they are compared), RFC 5924
 * (which usages).
 */
#include <openssl/x509v3.h>
#include <string.h>

#include "control/stream/tls/name.h"
#include "tests/unit/control/stream/tls_scene.h"

static struct scene scene;

static int setup(void **state)
{
    (void)state;
    scene_setup(&scene);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_teardown(&scene);
    return 0;
}

static bool add(void *arg, const char *name)
{
    char *names = arg;

    strcat(strcat(names, names[0] == '\0' ? "" : " "), name);
    return false;
}

static void names_of_certificates(void **state)
{
    static const struct {
        const char *cn, *names, *domains, *served;
    } table[] = {
        /* Hosts of sip: URIs, and then no DNS names. */
        {"cn.example", "URI:sip:a.example,DNS:b.example", "a.example", "a.example b.example"},
        {NULL, "DNS:b.example,URI:SIP:A.Example,URI:sip:c.example", "a.example c.example",
         "a.example c.example b.example"},
        {NULL, "URI:sip:a.example:5061,URI:sip:b.example;transport=tls,URI:sip:c.example?x=y",
         "a.example b.example c.example", "a.example b.example c.example"},
        {NULL, "URI:sip:192.0.2.1,URI:sip:[2001:db8::1]:5061", "192.0.2.1 [2001:db8::1]",
         "192.0.2.1 [2001:db8::1]"},
        /* A user's URI is no domain's, another scheme's neither; then DNS names count. */
        {NULL, "URI:sip:alice@a.example,DNS:b.example", "b.example", "b.example"},
        {NULL, "URI:sips:a.example,URI:http://c.example,DNS:b.example", "b.example", "b.example"},
        {NULL, "URI:sip:a.example;x=@,URI:sip:", "", ""},
        /* A wildcard is no SIP domain, but a name to be asked for. */
        {NULL, "DNS:*.example.net,DNS:Example.NET", "example.net", "*.example.net example.net"},
        {NULL, "DNS:a*.example.net,DNS:*", "", ""},
        /* The common name only where there is no alternative name at all. */
        {"cn.example", NULL, "cn.example", "cn.example"},
        {"cn.example", "email:a@b.example", "", ""},
        {"cn.example", "URI:sip:alice@a.example", "", ""},
        {"Some Company", NULL, "", ""},
        {NULL, NULL, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct scene_identity one =
            scene_issue(&scene, &(struct scene_wish){.cn = table[i].cn, .names = table[i].names});
        char names[512] = "";

        tls_name_domains(one.certificate, add, names);
        assert_string_equal(names, table[i].domains);
        names[0] = '\0';
        tls_name_served(one.certificate, add, names);
        assert_string_equal(names, table[i].served);
        scene_identity_done(&one);
    }
}

static void comparison(void **state)
{
    static const struct {
        const char *names, *domain;
        bool equal;
    } table[] = {
        {"DNS:sip.example.net", "sip.example.net", true},
        {"DNS:sip.example.net", "SIP.Example.NET", true},
        {"URI:sip:example.net", "example.net", true},
        /* Whole names: no suffix, no prefix (§7.2). */
        {"DNS:example.net", "sip.example.net", false},
        {"DNS:sip.example.net", "example.net", false},
        {"DNS:example.net", "example.ne", false},
        /* "MUST NOT match any form of wildcard". */
        {"DNS:*.example.net", "sip.example.net", false},
        {"DNS:*.example.net", "*.example.net", false},
        {"URI:sip:other.example,DNS:example.net", "example.net", false},
        {"URI:sip:alice@example.net", "example.net", false},
        {"DNS:example.net", "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct scene_identity one =
            scene_issue(&scene, &(struct scene_wish){.names = table[i].names});

        if (tls_name_is(one.certificate, table[i].domain) != table[i].equal)
            fail_msg("%s, %s", table[i].names, table[i].domain);
        scene_identity_done(&one);
    }
}

/* A certificate with one alternative name of a type, NULs and all, is not good.example's. */
static void is_a_trap(int type, const char *bytes, int length)
{
    struct scene_identity one = scene_issue(&scene, &(struct scene_wish){.cn = NULL});
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    ASN1_STRING_set(text, bytes, length);
    GENERAL_NAME_set0_value(name, type, text);
    sk_GENERAL_NAME_push(names, name);
    assert_int_equal(X509_add1_ext_i2d(one.certificate, NID_subject_alt_name, names, 0, 0), 1);
    assert_false(tls_name_is(one.certificate, "good.example"));
    GENERAL_NAMES_free(names);
    scene_identity_done(&one);
}

/* A name with a NUL in it is not the one before the NUL. */
static void names_with_a_nul(void **state)
{
    static const char dns[] = "good.example\0.evil.example";
    static const char uri[] = "sip:good.example\0.evil.example";
    static const char port[] = "sip:good.example\0:5061";

    (void)state;
    is_a_trap(GEN_DNS, dns, sizeof(dns) - 1);
    is_a_trap(GEN_URI, uri, sizeof(uri) - 1);
    is_a_trap(GEN_URI, port, sizeof(port) - 1);
}

/* Where alternative names cannot be read, or are there twice, the common name does not stand in. */
static void names_twice(void **state)
{
    struct scene_identity one =
        scene_issue(&scene, &(struct scene_wish){.cn = "cn.example", .names = "DNS:a.example"});
    X509_EXTENSION *again = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:b.example");

    (void)state;
    assert_int_equal(X509_add_ext(one.certificate, again, -1), 1);
    assert_false(tls_name_is(one.certificate, "cn.example"));
    assert_false(tls_name_is(one.certificate, "b.example"));
    X509_EXTENSION_free(again);
    scene_identity_done(&one);
}

static void usages(void **state)
{
    static const struct {
        const char *usage;
        bool usable;
    } table[] = {
        {NULL, true},
        {"clientAuth", true},
        {"serverAuth", true},
        {"1.3.6.1.5.5.7.3.20", true}, /* id-kp-sipDomain */
        {"emailProtection,1.3.6.1.5.5.7.3.20", true},
        {"emailProtection", false},
        {"codeSigning,OCSPSigning", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct scene_identity one =
            scene_issue(&scene, &(struct scene_wish){.cn = "a", .usage = table[i].usage});

        assert_int_equal(tls_name_usable(one.certificate), table[i].usable);
        scene_identity_done(&one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_certificates),
        cmocka_unit_test(comparison),
        cmocka_unit_test(names_with_a_nul),
        cmocka_unit_test(names_twice),
        cmocka_unit_test(usages),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
