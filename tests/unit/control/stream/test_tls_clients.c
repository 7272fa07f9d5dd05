/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of those who connect to us (none, optional, required; CAs, CRLs, names by RFC 5922)
 * and of those whom we connect to.
 */
#include <openssl/err.h>
#include <string.h>

#include "tests/unit/control/stream/tls_scene.h"

#define SERVER "transport: tls, certificates: [{cert: @/a.pem, key: @/a.key}]"
#define OPTIONAL SERVER ", client_certificates: optional, client_ca: @/root.pem"
#define REQUIRED SERVER ", client_certificates: required, client_ca: @/root.pem"

enum { DAY_S = 86400 };

/* Who connects. */
enum who { NOBODY, TRUNK, CARRIER, ALICE, STRANGER, EXPIRED, EARLY, REVOKED, MAILER, BY_ROOT, WHO };

static struct scene scene;
static struct scene_identity people[WHO];

static int setup(void **state)
{
    (void)state;
    scene_setup(&scene);
    const struct scene_identity *sub = &scene.sub;
    const struct scene_wish wishes[WHO] = {
        [TRUNK] = {.cn = "t", .names = "URI:sip:trunk.example", .issuer = sub},
        [CARRIER] = {.cn = "c",
                     .names = "DNS:sip.carrier.example,DNS:*.carrier.example",
                     .usage = "serverAuth",
                     .issuer = sub},
        [ALICE] = {.cn = "trunk.example", .names = "URI:sip:alice@trunk.example", .issuer = sub},
        [STRANGER] = {.cn = "s", .names = "URI:sip:trunk.example"},
        [EXPIRED] = {.cn = "e", .from_s = -7200, .until_s = -60, .issuer = sub},
        [EARLY] = {.cn = "l", .from_s = 3600, .issuer = sub},
        [REVOKED] = {.cn = "r", .issuer = sub},
        [MAILER] = {.cn = "m", .usage = "emailProtection", .issuer = sub},
        [BY_ROOT] = {.cn = "d", .issuer = &scene.root},
    };

    for (int who = TRUNK; who < WHO; who++)
        people[who] = scene_issue(&scene, &wishes[who]);
    struct scene_identity a = scene_issue(
        &scene, &(struct scene_wish){
                    .file = "a", .names = "DNS:a.example.net,IP:192.0.2.10", .issuer = sub});
    scene_identity_done(&a);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int who = TRUNK; who < WHO; who++)
        scene_identity_done(&people[who]);
    scene_teardown(&scene);
    return 0;
}

/* "" when somebody gets in, or the failure's name. */
static const char *outcome(struct tls *tls, enum who who, int version)
{
    SSL_CTX *client = scene_client(&scene);
    struct scene_pair pair;
    const char *ret;

    SSL_CTX_set_max_proto_version(client, version);
    if (who != NOBODY)
        scene_client_shows(client, &people[who]);
    pair = scene_call(client, tls, NULL, NULL);
    ret = pair.done ? "" : scene_failure(&pair);
    if (pair.done)
        assert_true(scene_say(pair.client, pair.server, "OPTIONS"));
    scene_pair_done(&pair);
    SSL_CTX_free(client);
    return ret;
}

struct expectation {
    enum who who;
    const char *outcome;
};

static void expect(const char *listener, const struct expectation *expected, size_t n)
{
    struct tls *tls = scene_tls(&scene, listener);

    for (size_t i = 0; i < n; i++) {
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            const char *got = outcome(tls, expected[i].who, version);

            if (strcmp(got, expected[i].outcome) != 0)
                fail_msg("%s, %d: '%s', not '%s'", listener, expected[i].who, got,
                         expected[i].outcome);
        }
    }
    tls_free(tls);
}

#define EXPECT(listener, ...)                                   \
    expect(listener, (const struct expectation[]){__VA_ARGS__}, \
           sizeof((const struct expectation[]){__VA_ARGS__}) / sizeof(struct expectation))

static void none_optional_required(void **state)
{
    (void)state;
    EXPECT(SERVER, {NOBODY, ""}, {TRUNK, ""}, {STRANGER, ""}, {EXPIRED, ""});
    EXPECT(OPTIONAL, {NOBODY, ""}, {TRUNK, ""}, {STRANGER, "unknown_ca"},
           {EXPIRED, "expired_certificate"});
    EXPECT(REQUIRED, {NOBODY, "no_certificate"}, {TRUNK, ""}, {CARRIER, ""}, {ALICE, ""},
           {BY_ROOT, ""}, {STRANGER, "unknown_ca"}, {EXPIRED, "expired_certificate"},
           {EARLY, "expired_certificate"}, {MAILER, "bad_certificate"});
}

/* RFC 5922 §7: by SIP domains, whole, not by wildcards, users or common names. */
static void names(void **state)
{
    (void)state;
    EXPECT(REQUIRED ", client_names: [trunk.example]", {TRUNK, ""}, {CARRIER, "other_name"},
           {ALICE, "other_name"}, {STRANGER, "unknown_ca"}, {BY_ROOT, "other_name"});
    EXPECT(REQUIRED ", client_names: [other.example, sip.carrier.example]", {TRUNK, "other_name"},
           {CARRIER, ""});
    EXPECT(REQUIRED ", client_names: [x.carrier.example, d]", {CARRIER, "other_name"},
           {BY_ROOT, ""}); /* no alternative name: the common one */
    EXPECT(OPTIONAL ", client_names: [trunk.example]", {NOBODY, ""}, {TRUNK, ""},
           {CARRIER, "other_name"});
}

static void revocation(void **state)
{
    (void)state;
    /* The CRL of who signed it must be there; those of CAs are heeded. */
    scene_revoke(&scene, "sub.crl", false, &scene.sub, &people[REVOKED], DAY_S);
    EXPECT(REQUIRED ", client_crl: @/sub.crl", {TRUNK, ""}, {REVOKED, "revoked_certificate"},
           {BY_ROOT, "no_valid_crl"}, {NOBODY, "no_certificate"});
    scene_revoke(&scene, "both.crl", false, &scene.root, NULL, DAY_S);
    scene_revoke(&scene, "both.crl", true, &scene.sub, &people[REVOKED], DAY_S);
    EXPECT(REQUIRED ", client_crl: @/both.crl", {TRUNK, ""}, {REVOKED, "revoked_certificate"},
           {BY_ROOT, ""});
    scene_revoke(&scene, "nosub.crl", false, &scene.root, &scene.sub, DAY_S);
    scene_revoke(&scene, "nosub.crl", true, &scene.sub, NULL, DAY_S);
    EXPECT(REQUIRED ", client_crl: @/nosub.crl", {TRUNK, "revoked_certificate"}, {BY_ROOT, ""});
    scene_revoke(&scene, "late.crl", false, &scene.sub, &people[REVOKED], -60);
    EXPECT(REQUIRED ", client_crl: @/late.crl", {TRUNK, "no_valid_crl"});
    EXPECT(OPTIONAL, {REVOKED, ""}); /* without a CRL nobody is */
}

static void what_is_known_of_them(void **state)
{
    struct tls *tls = scene_tls(&scene, REQUIRED);
    SSL_CTX *client = scene_client(&scene);
    struct scene_identity odd =
        scene_issue(&scene, &(struct scene_wish){.cn = "a\nb,c\xc3\xa9",
                                                 .names = "DNS:b.example,DNS:C.example",
                                                 .issuer = &scene.sub});
    struct scene_pair pair;
    struct tls_facts facts;

    (void)state;
    scene_client_shows(client, &odd);
    pair = scene_call(client, tls, NULL, NULL);
    assert_true(pair.done);
    tls_describe(pair.server, &facts);
    assert_string_equal(facts.subject, "CN=a\\0Ab\\,c\\C3\\A9");
    assert_string_equal(facts.names, "b.example c.example");
    assert_string_equal(facts.sni, "");
    assert_int_equal(tls_verify_peer(pair.server, "c.example"), 0);
    scene_pair_done(&pair);
    scene_identity_done(&odd);
    SSL_CTX_free(client);
    tls_free(tls);
}

/* A server that shows one of the people, or the listener's own certificate (NOBODY), and wants the
 * root's word of us. */
static struct scene_pair connect_to(struct tls *tls, enum who who, const char *name)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL *server, *client = tls_connect(tls, &scene_address, name);
    struct scene_pair pair;

    if (who != NOBODY) {
        scene_client_shows(context, &people[who]);
    } else {
        assert_int_equal(SSL_CTX_use_certificate_chain_file(context, scene_path(&scene, "a.pem")),
                         1);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(context, scene_path(&scene, "a.key"), SSL_FILETYPE_PEM), 1);
    }
    SSL_CTX_load_verify_file(context, scene_path(&scene, "root.pem"));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    server = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_accept_state(server);
    pair = scene_meet(client, server);
    return pair;
}

static void servers_are_verified(void **state)
{
    static const struct {
        enum who who;
        const char *name, *outcome;
    } table[] = {
        {TRUNK, "trunk.example", ""},
        {TRUNK, "Trunk.Example", ""},
        {TRUNK, "x.trunk.example", "other_name"},
        {TRUNK, "t", "other_name"},
        {CARRIER, "sip.carrier.example", ""},
        {CARRIER, "x.carrier.example", "other_name"},
        {BY_ROOT, "d", ""},
        {ALICE, "trunk.example", "other_name"},
        {STRANGER, "trunk.example", "unknown_ca"},
        {EXPIRED, "e", "expired_certificate"},
        {NOBODY, "a.example.net", ""},
        {NOBODY, "192.0.2.10", ""},
        {NOBODY, "192.0.2.11", "other_name"},
        {NOBODY, "2001:db8::1", "other_name"},
    };
    struct tls *tls = scene_tls(&scene, REQUIRED);

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct scene_pair pair = connect_to(tls, table[i].who, table[i].name);
        const char *got =
            pair.done ? "" : tls_failure_name(tls_failure(pair.client, pair.client_error));

        if (strcmp(got, table[i].outcome) != 0)
            fail_msg("%d, %s: '%s', not '%s'", table[i].who, table[i].name, got, table[i].outcome);
        if (pair.done && strchr(table[i].name, ':') == NULL && table[i].who != NOBODY)
            assert_int_equal(strcasecmp(SSL_get_servername(pair.server, TLSEXT_NAMETYPE_host_name),
                                        table[i].name),
                             0);
        scene_pair_done(&pair);
    }
    assert_null(tls_connect(tls, &scene_address, ""));
    tls_free(tls);
}

/* Without a client_ca it is the system's, and those know nothing of ours. */
static void the_systems_cas(void **state)
{
    struct tls *tls = scene_tls(&scene, SERVER);
    struct scene_pair pair = connect_to(tls, TRUNK, "trunk.example");

    (void)state;
    assert_false(pair.done);
    assert_int_equal(tls_failure(pair.client, pair.client_error), TLS_FAILURE_UNKNOWN_CA);
    scene_pair_done(&pair);
    tls_free(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_optional_required),
        cmocka_unit_test(names),
        cmocka_unit_test(revocation),
        cmocka_unit_test(what_is_known_of_them),
        cmocka_unit_test(servers_are_verified),
        cmocka_unit_test(the_systems_cas),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
