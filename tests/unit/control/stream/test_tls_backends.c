/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backends by TLS: whom one must show to be, by whose word, and what it is shown; what is refused
 * of a pool's `tls:`.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/control/stream/tls_scene.h"

#define SERVER "transport: tls, certificates: [{cert: @/a.pem, key: @/a.key}]"
#define TRUSTING SERVER ", client_certificates: optional, client_ca: @/root.pem"
#define BACKENDS                                             \
    "    backends:\n"                                        \
    "      - {name: a, address: 10.0.0.1, transport: tls}\n" \
    "      - {name: h, address: H.example.net, transport: tls}\n"
#define OWN_CA "    tls: {ca: @/root.pem}\n" BACKENDS

static struct scene scene;
static struct scene_identity backend; /* at 10.0.0.1, and h.example.net */

static int setup(void **state)
{
    struct scene_identity one;

    (void)state;
    scene_setup(&scene);
    backend = scene_issue(
        &scene, &(struct scene_wish){.cn = "b",
                                     .names = "DNS:h.example.net,IP:10.0.0.1,IP:2001:db8::1",
                                     .issuer = &scene.sub});
    one = scene_issue(&scene, &(struct scene_wish){
                                  .file = "a", .names = "DNS:a.example.net", .issuer = &scene.sub});
    scene_identity_done(&one);
    one = scene_issue(&scene, &(struct scene_wish){.file = "other", .cn = "o", .ca = true});
    scene_identity_done(&one);
    one = scene_issue(
        &scene,
        &(struct scene_wish){.file = "own", .cn = "own", .kind = SCENE_RSA, .issuer = &scene.sub});
    scene_identity_done(&one);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_identity_done(&backend);
    scene_teardown(&scene);
    return 0;
}

static struct tls *tls_of(const char *listener, const char *pool)
{
    struct tls *tls;

    scene.pool = pool;
    tls = scene_tls(&scene, listener);
    scene.pool = NULL;
    return tls;
}

static int name_of(const struct tls *tls, const char *pool, const char *name, const char *ip,
                   char ret[TLS_BACKEND_MAX])
{
    struct sip_ip at;

    assert_int_equal(sip_ip_parse(sip_slice_of(ip), &at), 0);
    return tls_backend(tls, sip_slice_of(pool), sip_slice_of(name), &at, ret);
}

static void who_they_must_be(void **state)
{
    static const struct {
        const char *pool, *name, *ip, *plain, *own_ca, *named; /* NULL: it is not known */
    } table[] = {
        {"p", "a", "10.0.0.1", "10.0.0.1", "p/10.0.0.1", "proxies.example"},
        {"p", "gone", "[2001:db8::1]", "2001:db8::1", "p/2001:db8::1", "proxies.example"},
        {"p", "h@10.0.0.9:5061", "10.0.0.9", "h.example.net", "p/h.example.net", "proxies.example"},
        {"p", "hh@10.0.0.9:5061", "10.0.0.9", NULL, NULL, "proxies.example"},
        {"q", "a", "10.0.0.1", NULL, NULL, NULL},
    };
    struct tls *made[] = {tls_of(SERVER, BACKENDS), tls_of(SERVER, OWN_CA),
                          tls_of(SERVER, "    tls: {name: Proxies.Example}\n" BACKENDS)};
    char name[TLS_BACKEND_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *wanted[] = {table[i].plain, table[i].own_ca, table[i].named};

        for (int k = 0; k < 3; k++) {
            int status = name_of(made[k], table[i].pool, table[i].name, table[i].ip, name);

            assert_int_equal(status, wanted[k] == NULL ? -ENOENT : 0);
            if (wanted[k] != NULL)
                assert_string_equal(name, wanted[k]);
        }
    }
    for (int k = 0; k < 3; k++)
        tls_free(made[k]);
}

/* The backend, which believes the root, is connected to as one of the pool. */
static struct scene_pair meet(struct tls *tls, const char *name, const char *ip)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    char whom[TLS_BACKEND_MAX];
    SSL *server;

    scene_client_shows(context, &backend);
    SSL_CTX_load_verify_file(context, scene_path(&scene, "root.pem"));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    server = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_accept_state(server);
    assert_int_equal(name_of(tls, "p", name, ip, whom), 0);
    return scene_meet(tls_connect(tls, &scene_address, whom), server);
}

static void they_are_verified(void **state)
{
    static const struct {
        const char *listener, *pool, *name, *ip, *outcome, *shown;
    } table[] = {
        {SERVER, OWN_CA, "a", "10.0.0.1", "", "a.example.net"},
        {SERVER, OWN_CA, "a", "[2001:db8::1]", "", "a.example.net"},
        {SERVER, OWN_CA, "a", "10.0.0.2", "other_name", NULL},
        {SERVER, OWN_CA, "h@10.0.0.9:5061", "10.0.0.9", "", "a.example.net"},
        {SERVER, BACKENDS, "a", "10.0.0.1", "unknown_ca", NULL},
        {TRUSTING, BACKENDS, "a", "10.0.0.1", "", "a.example.net"},
        {TRUSTING, "    tls: {ca: @/other.pem}\n" BACKENDS, "a", "10.0.0.1", "unknown_ca", NULL},
        {SERVER, "    tls: {ca: @/root.pem, name: h.example.net}\n" BACKENDS, "a", "10.0.0.7", "",
         "a.example.net"},
        {SERVER, "    tls: {ca: @/root.pem, name: x.example.net}\n" BACKENDS, "a", "10.0.0.1",
         "other_name", NULL},
        /* An RSA key beside the listener's ECDSA: that one is not shown any more. */
        {SERVER,
         "    tls: {ca: @/root.pem, certificate: {cert: @/own.pem, key: @/own.key}}\n" BACKENDS,
         "a", "10.0.0.1", "", "own"},
        {TRUSTING, "    tls: {certificate: {cert: @/own.pem, key: @/own.key}}\n" BACKENDS, "a",
         "10.0.0.1", "", "own"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct tls *tls = tls_of(table[i].listener, table[i].pool);
        struct scene_pair pair = meet(tls, table[i].name, table[i].ip);
        const char *got =
            pair.done ? "" : tls_failure_name(tls_failure(pair.client, pair.client_error));
        struct tls_facts facts;

        if (strcmp(got, table[i].outcome) != 0)
            fail_msg("%zu: '%s', not '%s'", i, got, table[i].outcome);
        if (pair.done) {
            tls_describe(pair.server, &facts);
            assert_string_equal(facts.names, table[i].shown);
        }
        scene_pair_done(&pair);
        tls_free(tls);
    }
}

static void no_other_pools(void **state)
{
    struct tls *tls = tls_of(SERVER, OWN_CA);

    (void)state;
    assert_null(tls_connect(tls, &scene_address, "q/10.0.0.1"));
    assert_null(tls_connect(tls, &scene_address, "p/"));
    tls_free(tls);
}

static void refused(void **state)
{
    static const struct {
        const char *tls, *key, *reason;
    } table[] = {
        {"{ca: @/none.pem}", "pools[0].tls.ca", "none.pem: No such file"},
        {"{ca: @/a.key}", "pools[0].tls.ca", "holds no certificate in PEM"},
        {"{certificate: {cert: @/none.pem, key: @/own.key}}", "pools[0].tls.certificate.cert",
         "none.pem: No such file"},
        {"{certificate: {cert: @/own.pem, key: @/a.key}}", "pools[0].tls.certificate.key",
         "a.key: is not the key of "},
    };
    struct cfg_error error;
    char pool[512];

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct cfg *cfg;

        snprintf(pool, sizeof(pool), "    tls: %s\n" BACKENDS, table[i].tls);
        scene.pool = pool;
        cfg = scene_cfg(&scene, SERVER);
        scene.pool = NULL;
        assert_int_equal(tls_check(cfg, &error), -EINVAL);
        assert_string_equal(error.key, table[i].key);
        assert_int_equal(error.line, 15);
        if (strstr(error.reason, table[i].reason) == NULL)
            fail_msg("'%s' is not in '%s'", table[i].reason, error.reason);
        cfg_free(cfg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_they_must_be),
        cmocka_unit_test(they_are_verified),
        cmocka_unit_test(no_other_pools),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
