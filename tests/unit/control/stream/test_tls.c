/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to our TLS listeners and from them, with OpenSSL's own at the other end: versions,
 * which certificate is shown, ALPN, stapling, what is known of a connection, and the life of a
 * configuration that others still use.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "tests/unit/control/stream/tls_scene.h"

#define PLAIN "transport: tls, certificates: [{cert: @/a.pem, key: @/a.key}]"

static struct scene scene;

/* a.example.net, by the intermediate CA: in a.pem and a.key. */
static int setup(void **state)
{
    (void)state;
    scene_setup(&scene);
    scene_issue_files(&scene, (struct scene_wish){.file = "a", .names = "DNS:a.example.net"});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_teardown(&scene);
    return 0;
}

static void both_versions(void **state)
{
    static const struct {
        int version;
        const char *name;
    } versions[] = {{TLS1_2_VERSION, "TLSv1.2"}, {TLS1_3_VERSION, "TLSv1.3"}};
    struct tls *tls = scene_tls(&scene, PLAIN);

    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        SSL_CTX *client = scene_client(&scene);
        struct scene_pair pair;
        struct tls_facts facts;

        SSL_CTX_set_max_proto_version(client, versions[i].version);
        pair = scene_call(client, tls, "A.example.net", NULL);
        assert_true(pair.done);
        assert_true(scene_say(pair.client, pair.server, "OPTIONS"));
        assert_true(scene_say(pair.server, pair.client, "SIP/2.0 200 OK"));
        tls_describe(pair.server, &facts);
        assert_string_equal(facts.version, versions[i].name);
        assert_non_null(strstr(facts.cipher, "AES_128_GCM") != NULL
                            ? facts.cipher
                            : strstr(facts.cipher, "AES128-GCM"));
        assert_string_equal(facts.sni, "A.example.net");
        assert_string_equal(facts.alpn, "");
        assert_string_equal(facts.subject, "");
        assert_false(facts.resumed);
        assert_int_equal(tls_verify_peer(pair.server, "a.example.net"), -ENOENT);
        assert_int_equal(tls_verify_peer(pair.client, "a.example.net"), 0);
        assert_int_equal(tls_verify_peer(pair.client, "b.example.net"), -EACCES);
        scene_pair_done(&pair);
        SSL_CTX_free(client);
    }
    tls_free(tls);
}

/* All that may be agreed upon have a count of their own, and there are no other counts. */
static void every_cipher_has_a_number(void **state)
{
    struct tls *tls = scene_tls(&scene, PLAIN);
    SSL_CTX *client = scene_client(&scene);
    struct scene_pair pair = scene_call(client, tls, "a.example.net", NULL);
    STACK_OF(SSL_CIPHER) *offered = SSL_get_ciphers(pair.server);
    uint32_t seen = 0;

    (void)state;
    for (int i = 0; i < sk_SSL_CIPHER_num(offered); i++) {
        const char *name = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(offered, i));

        assert_string_equal(tls_cipher_name(tls_cipher(name)), name);
        seen |= 1u << tls_cipher(name);
    }
    assert_int_equal(seen, (1u << (TLS_CIPHERS - 1)) - 1);
    assert_string_equal(tls_cipher_name(tls_cipher("NULL-MD5")), "other");
    scene_pair_done(&pair);
    SSL_CTX_free(client);
    tls_free(tls);
}

/* Nobody gets in by what is older, or weaker. */
static void old_is_refused(void **state)
{
    struct tls *tls = scene_tls(&scene, PLAIN);
    SSL_CTX *client = scene_client(&scene);
    struct scene_pair pair;

    (void)state;
    SSL_CTX_set_security_level(client, 0);
    SSL_CTX_set_min_proto_version(client, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(client, TLS1_1_VERSION);
    pair = scene_call(client, tls, NULL, NULL);
    assert_false(pair.done);
    assert_string_equal(scene_failure(&pair), "protocol_version");
    scene_pair_done(&pair);
    SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(client, "AES128-SHA:ECDHE-ECDSA-AES128-SHA"), 1);
    pair = scene_call(client, tls, NULL, NULL);
    assert_false(pair.done);
    assert_string_equal(scene_failure(&pair), "no_shared_cipher");
    scene_pair_done(&pair);
    SSL_CTX_free(client);
    tls_free(tls);
}

/* The first name of the certificate that a client gets. */
static void shown(const struct scene_pair *pair, char ret[64])
{
    X509 *certificate = SSL_get0_peer_certificate(pair->client);
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    const ASN1_STRING *name;

    assert_non_null(names);
    name = sk_GENERAL_NAME_value(names, 0)->d.dNSName;
    snprintf(ret, 64, "%s %.*s",
             EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) == EVP_PKEY_EC ? "EC" : "RSA",
             ASN1_STRING_length(name), (const char *)ASN1_STRING_get0_data(name));
    GENERAL_NAMES_free(names);
}

/* The name that is asked for and what the client can verify decide. */
static void certificates_by_name(void **state)
{
    static const struct {
        const char *sni, *ec, *rsa; /* shown to who takes ECDSA first, and to who takes RSA only */
    } table[] = {
        {"a.example.net", "EC a.example.net", "RSA a.example.net"},
        {"A.EXAMPLE.net", "EC a.example.net", "RSA a.example.net"},
        {"b.example.net", "EC *.example.net", "RSA b.example.net"},
        {"c.example.net", "EC *.example.net", NULL},
        {"x.y.example.net", "EC a.example.net", "RSA a.example.net"},
        {"example.net", "EC a.example.net", "RSA a.example.net"},
        {"other.example.org", "EC a.example.net", "RSA a.example.net"},
        {NULL, "EC a.example.net", "RSA a.example.net"},
    };
    struct tls *tls;

    (void)state;
    scene_issue_files(&scene, (struct scene_wish){.file = "a-rsa", .names = "DNS:a.example.net",
                                                     .kind = SCENE_RSA});
    scene_issue_files(&scene, (struct scene_wish){.file = "b-rsa", .names = "DNS:b.example.net",
                                                     .kind = SCENE_RSA});
    scene_issue_files(&scene, (struct scene_wish){.file = "wild", .names = "DNS:*.example.net"});
    tls = scene_tls(&scene, "transport: tls, certificates: [{cert: @/a.pem, key: @/a.key}, "
                            "{cert: @/b-rsa.pem, key: @/b-rsa.key}, "
                            "{cert: @/wild.pem, key: @/wild.key}, "
                            "{cert: @/a-rsa.pem, key: @/a-rsa.key}]");
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < 2 * sizeof(table) / sizeof(table[0]); i++) {
            const bool rsa = i % 2 == 1;
            const char *expected = rsa ? table[i / 2].rsa : table[i / 2].ec;
            SSL_CTX *client = scene_client(&scene);
            struct scene_pair pair;
            char got[64];

            SSL_CTX_set_max_proto_version(client, version);
            SSL_CTX_set1_sigalgs_list(client, rsa ? "RSA-PSS+SHA256:RSA+SHA256"
                                                  : "RSA-PSS+SHA256:ECDSA+SHA256:RSA+SHA256");
            /* The client's CAs signed with ECDSA, which it then cannot say. */
            SSL_CTX_set_verify(client, SSL_VERIFY_NONE, NULL);
            pair = scene_call(client, tls, table[i / 2].sni, NULL);
            assert_int_equal(pair.done, expected != NULL);
            if (expected != NULL) {
                shown(&pair, got);
                assert_string_equal(got, expected);
            } else {
                assert_string_equal(scene_failure(&pair), "no_shared_cipher");
            }
            scene_pair_done(&pair);
            SSL_CTX_free(client);
        }
    }
    tls_free(tls);
}

static void protocols(void **state)
{
    static const struct {
        const char *listener, *offer, *answer; /* NULL: refused */
    } table[] = {
        {"transport: tls", "\5sip/2", "sip/2"},
        {"transport: tls", "\3sip", "sip"},
        {"transport: tls", "\2h2\3sip\5sip/2", "sip/2"},
        {"transport: tls", "\2h2\10http/1.1", NULL},
        {"transport: tls", "", ""},
        {"transport: wss", "\2h2\10http/1.1", "http/1.1"},
        {"transport: wss", "\2h2", NULL},
        {"transport: wss", "\5sip/2", NULL},
        {"transport: wss", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        SSL_CTX *client = scene_client(&scene);
        struct scene_pair pair;
        struct tls_facts facts;
        struct tls *tls;
        char listener[128];

        snprintf(listener, sizeof(listener), "%s, certificates: [{cert: @/a.pem, key: @/a.key}]",
                 table[i].listener);
        tls = scene_tls(&scene, listener);
        SSL_CTX_set_alpn_protos(client, (const unsigned char *)table[i].offer,
                                (unsigned)strlen(table[i].offer));
        pair = scene_call(client, tls, NULL, NULL);
        assert_int_equal(pair.done, table[i].answer != NULL);
        if (table[i].answer == NULL) {
            assert_string_equal(scene_failure(&pair), "no_shared_protocol");
            assert_int_equal(ERR_GET_REASON(pair.client_error),
                             SSL_AD_REASON_OFFSET + TLS1_AD_NO_APPLICATION_PROTOCOL);
        } else {
            tls_describe(pair.server, &facts);
            assert_string_equal(facts.alpn, table[i].answer);
        }
        scene_pair_done(&pair);
        SSL_CTX_free(client);
        tls_free(tls);
    }
}

/* The length of what is stapled to the certificate of a client that asks for it; -1: nothing. */
static long stapled(struct tls *tls)
{
    SSL_CTX *client = scene_client(&scene);
    const unsigned char *response = NULL;
    struct scene_pair pair;
    long length;

    SSL_CTX_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
    pair = scene_call(client, tls, NULL, NULL);
    assert_true(pair.done);
    length = SSL_get_tlsext_status_ocsp_resp(pair.client, &response);
    scene_pair_done(&pair);
    SSL_CTX_free(client);
    return response == NULL ? -1 : length;
}

static void responses_are_stapled(void **state)
{
    static const struct {
        long from_s, until_s;
        bool stapled;
    } table[] = {{-60, 3600, true}, {-7200, -3600, false}, {3600, 7200, false}};
    struct scene_identity o = scene_issue(
        &scene,
        &(struct scene_wish){.file = "o", .names = "DNS:o.example.net", .issuer = &scene.sub});
    struct tls *tls;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        scene_ocsp(&scene, "o.ocsp", &o, table[i].from_s, table[i].until_s);
        tls = scene_tls(&scene, "transport: tls, certificates: "
                                "[{cert: @/o.pem, key: @/o.key, ocsp: @/o.ocsp}]");
        assert_int_equal(stapled(tls) > 0, table[i].stapled);
        tls_free(tls);
    }
    /* Of another certificate: none, and that is no reason to refuse it. */
    scene_ocsp(&scene, "o.ocsp", &o, -60, 3600);
    tls = scene_tls(&scene, "transport: tls, certificates: "
                            "[{cert: @/a.pem, key: @/a.key, ocsp: @/o.ocsp}]");
    assert_int_equal(stapled(tls), -1);
    tls_free(tls);
    scene_identity_done(&o);
}

/* One that becomes too old while it runs: made to live for longer where it did not live to be
 * shown. */
static void a_response_grows_old(void **state)
{
    struct scene_identity o = scene_issue(
        &scene,
        &(struct scene_wish){.file = "o", .names = "DNS:o.example.net", .issuer = &scene.sub});
    const struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};
    struct tls *tls = NULL;
    long length = -1;

    (void)state;
    for (long life_s = 2; length < 0 && life_s <= 64; life_s *= 2) {
        tls_free(tls);
        scene_ocsp(&scene, "o.ocsp", &o, -60, life_s);
        tls = scene_tls(&scene, "transport: tls, certificates: "
                                "[{cert: @/o.pem, key: @/o.key, ocsp: @/o.ocsp}]");
        length = stapled(tls);
    }
    assert_true(length > 0);
    for (int i = 0; i < 5000 && stapled(tls) > 0; i++)
        nanosleep(&moment, NULL); /* time is what is waited for */
    assert_int_equal(stapled(tls), -1);
    tls_free(tls);
    scene_identity_done(&o);
}

/* What is no TLS is told, and what ends before its time. */
static void other_bytes(void **state)
{
    static const struct {
        const char *bytes, *failure;
        size_t length;
    } table[] = {
        {"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TLS", "plain_text", 40},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "plain_text", 27},
        {"CONNECT a:443 HTTP/1.1\r\n\r\n", "plain_text", 26},
        {"\r\n\r\n\r\n\r\n", "plain_text", 8},
        {"", "closed_early", 0},
        {"\x16\x03\x01\x00\x05\x01\x00", "closed_early", 7},
        {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "protocol_error", 10},
        {"\x17\x03\x03\x00\x02hi", "protocol_error", 7},
        {"\x15\x03\x01\x00\x02\x02\x28", "protocol_error", 7}, /* an alert, but to nothing */
    };
    struct tls *tls = scene_tls(&scene, PLAIN);

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        SSL *server = tls_accept(tls, &scene_address);
        BIO *in = BIO_new_mem_buf(table[i].bytes, (int)table[i].length);
        enum tls_failure failure;

        BIO_set_mem_eof_return(in, 0);
        SSL_set_bio(server, in, BIO_new(BIO_s_mem()));
        ERR_clear_error();
        assert_int_not_equal(SSL_do_handshake(server), 1);
        failure = tls_failure(server, ERR_peek_error());
        assert_string_equal(tls_failure_name(failure), table[i].failure);
        SSL_free(server);
    }
    tls_free(tls);
}

/* A client that does not know our CA leaves with a word. */
static void clients_may_distrust(void **state)
{
    struct tls *tls = scene_tls(&scene, PLAIN);

    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = SSL_CTX_new(TLS_client_method());
        struct scene_pair pair;

        SSL_CTX_set_max_proto_version(client, version);
        SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
        pair = scene_call(client, tls, NULL, NULL);
        assert_false(pair.done);
        assert_string_equal(scene_failure(&pair), "distrusted");
        scene_pair_done(&pair);
        SSL_CTX_free(client);
    }
    tls_free(tls);
}

/* A client that wants to begin again gets an alert; what it has goes on. */
static void renegotiation_is_refused(void **state)
{
    struct tls *tls = scene_tls(&scene, PLAIN);
    SSL_CTX *client = scene_client(&scene);
    struct scene_pair pair;
    char byte;

    (void)state;
    SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
    pair = scene_call(client, tls, NULL, NULL);
    assert_true(pair.done);
    assert_int_equal(SSL_renegotiate(pair.client), 1);
    SSL_do_handshake(pair.client);
    assert_int_equal(SSL_read(pair.server, &byte, 1), -1);
    ERR_clear_error();
    assert_int_not_equal(SSL_do_handshake(pair.client), 1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    scene_pair_done(&pair);
    SSL_CTX_free(client);
    tls_free(tls);
}

/* A connection outlives the configuration that it came by; nobody else's address has TLS. */
static void connections_outlive_reloads(void **state)
{
    struct sip_addr other = scene_address;
    struct tls *tls = scene_tls(&scene, PLAIN), *again;
    SSL_CTX *client = scene_client(&scene);
    SSL *early = tls_accept(tls, &scene_address), *ssl = SSL_new(client);
    struct scene_pair pair = scene_call(client, tls, NULL, NULL);

    (void)state;
    other.port++;
    assert_null(tls_accept(tls, &other));
    assert_null(tls_connect(tls, &other, "a.example.net"));
    again = tls_keep(tls);
    tls_free(tls);
    tls_free(again);
    assert_true(scene_say(pair.client, pair.server, "still here"));
    scene_pair_done(&pair);
    SSL_set_connect_state(ssl);
    SSL_set_tlsext_host_name(ssl, "a.example.net");
    pair = scene_meet(ssl, early); /* asks it for everything */
    assert_true(pair.done);
    scene_pair_done(&pair);
    SSL_CTX_free(client);
    tls_free(NULL);
}

/* Threads take connections while reloads replace what they take them from. */
struct crowd {
    pthread_mutex_t lock;
    struct tls *tls;  /* under the lock */
    SSL_CTX *clients; /* of all: scene_client is for one thread alone */
    atomic_uint done, failed;
};

static void *call_often(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 0; i < 50; i++) {
        struct scene_pair pair;
        struct tls *tls;

        pthread_mutex_lock(&crowd->lock);
        tls = tls_keep(crowd->tls);
        pthread_mutex_unlock(&crowd->lock);
        pair = scene_call(crowd->clients, tls, "a.example.net", NULL);
        tls_free(tls);
        atomic_fetch_add(pair.done ? &crowd->done : &crowd->failed, 1);
        scene_pair_done(&pair);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    struct crowd crowd = {.lock = PTHREAD_MUTEX_INITIALIZER,
                          .tls = scene_tls(&scene, PLAIN),
                          .clients = scene_client(&scene)};
    pthread_t threads[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &crowd), 0);
    while (atomic_load(&crowd.done) + atomic_load(&crowd.failed) < 140) {
        struct tls *new = scene_tls(&scene, PLAIN), *old;

        pthread_mutex_lock(&crowd.lock);
        old = crowd.tls;
        crowd.tls = new;
        pthread_mutex_unlock(&crowd.lock);
        tls_free(old);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(crowd.done, 150);
    SSL_CTX_free(crowd.clients);
    tls_free(crowd.tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions),
        cmocka_unit_test(every_cipher_has_a_number),
        cmocka_unit_test(old_is_refused),
        cmocka_unit_test(certificates_by_name),
        cmocka_unit_test(protocols),
        cmocka_unit_test(responses_are_stapled),
        cmocka_unit_test(a_response_grows_old),
        cmocka_unit_test(other_bytes),
        cmocka_unit_test(clients_may_distrust),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(connections_outlive_reloads),
        cmocka_unit_test(threads_share_it),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
