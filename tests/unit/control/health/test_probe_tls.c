/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes over TLS to a backend on loopback: one connection for many, for each backend its own; who
 * is not who should be, who speaks no TLS, who leaves; and that another trust means another
 * connection.
 */
#include "tests/unit/control/health/probe_scene.h"

#include <fcntl.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static SSL_CTX *server, *client; /* the client trusts the server's certificate, of 127.0.0.1 */
static const char *wanted = "127.0.0.1"; /* whom the client wants to see; NULL: it has no TLS */

static SSL *secure(void *arg, uint32_t id)
{
    SSL *ssl = wanted == NULL ? NULL : SSL_new(client);

    (void)arg;
    assert_int_not_equal(id, 0);
    if (ssl != NULL) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), wanted);
        SSL_set_connect_state(ssl);
    }
    return ssl;
}

static int setup(void **context)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");

    (void)context;
    signal(SIGPIPE, SIG_IGN);
    X509_set_version(certificate, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_add_ext(certificate, names, -1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    server = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(server, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server, key), 1);
    client = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(client), certificate);
    X509_EXTENSION_free(names);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return 0;
}

static int teardown(void **context)
{
    (void)context;
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return 0;
}

static void make(struct scene *s)
{
    scene_make(s, SOCK_STREAM);
    s->secure = secure;
    wanted = "127.0.0.1";
}

static void probe(struct scene *s, uint32_t id, uint32_t timeout_ms)
{
    assert_int_equal(prober_send(s->prober, id, SIP_TRANSPORT_TLS, &s->addr, timeout_ms), 0);
}

/* Accepts the connection that is or will be there, while the prober's loop goes on. */
static int take_connection(struct scene *s)
{
    struct pollfd ready = {.fd = s->fd, .events = POLLIN};
    int fd;

    for (int i = 0; i < 400 && poll(&ready, 1, 0) == 0; i++)
        run(s, 5);
    assert_true(ready.revents & POLLIN);
    fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fd >= 0);
    return fd;
}

/* The server's side of a handshake that goes as far as it can. */
static SSL *shake(struct scene *s)
{
    SSL *ssl = SSL_new(server);
    int status = -1;

    assert_int_equal(SSL_set_fd(ssl, take_connection(s)), 1);
    for (int i = 0; i < 400 && status != 1; i++) {
        status = SSL_accept(ssl);
        if (status != 1 && SSL_get_error(ssl, status) != SSL_ERROR_WANT_READ)
            break;
        run(s, 5);
    }
    return ssl;
}

static void end(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);

    SSL_free(ssl);
    close(fd);
}

/* One whole probe, with a NUL behind. */
static void receive(struct scene *s, SSL *ssl, char text[TEXT_MAX])
{
    size_t length = 0;

    for (int i = 0; i < 400; i++) {
        if (SSL_read(ssl, text + length, 1) != 1) {
            run(s, 5);
            continue;
        }
        text[++length] = '\0';
        if (length >= 4 && memcmp(text + length - 4, "\r\n\r\n", 4) == 0)
            return;
    }
    fail_msg("no probe came");
}

/* Answers in records of `piece` bytes, which may come together. */
static void answer(SSL *ssl, const char *request, size_t piece)
{
    const char *fields = strstr(request, "Via:");
    char text[2 * TEXT_MAX];
    size_t length = (size_t)snprintf(text, sizeof(text), "SIP/2.0 200 OK\r\n%s", fields);

    for (size_t at = 0; at < length; at += piece) {
        size_t n = length - at < piece ? length - at : piece;

        assert_int_equal(SSL_write(ssl, text + at, (int)n), n);
    }
}

static void one_connection_serves_many_probes(void **context)
{
    static const size_t pieces[] = {4096, 4096, 100, 7};
    char request[TEXT_MAX];
    struct scene s;
    SSL *ssl = NULL;

    (void)context;
    make(&s);
    for (uint32_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        s.n_answers = 0;
        probe(&s, 7, 5000);
        if (ssl == NULL)
            ssl = shake(&s);
        receive(&s, ssl, request);
        assert_non_null(strstr(request, ";transport=tls SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:"));
        answer(ssl, request, pieces[i]);
        run_until(&s, &s.n_answers);
        assert_int_equal(s.answer.status, 200);
    }
    assert_int_equal(s.n_silences + s.n_refusals, 0);
    end(ssl);
    scene_done(&s);
}

/* At one address two, of two pools perhaps, with trust of their own. */
static void each_backend_has_its_own(void **context)
{
    char request[TEXT_MAX];
    struct scene s;
    SSL *first, *second;

    (void)context;
    make(&s);
    probe(&s, 1, 5000);
    first = shake(&s);
    wanted = "127.0.0.2";
    probe(&s, 2, 5000);
    second = shake(&s);
    run_until(&s, &s.n_refusals);
    assert_int_equal(s.id, 2);
    receive(&s, first, request);
    answer(first, request, 4096);
    run_until(&s, &s.n_answers);
    assert_int_equal(s.id, 1);
    end(first);
    end(second);
    scene_done(&s);
}

static void refused(struct scene *s, const char *why)
{
    run_until(s, &s->n_refusals);
    assert_string_equal(s->why, why);
    assert_int_equal(s->n_silences + s->n_answers, 0);
    s->n_refusals = 0;
}

static void who_is_not_who_should_be_is_refused(void **context)
{
    struct scene s;
    int fd;

    (void)context;
    make(&s);
    wanted = "127.0.0.2";
    probe(&s, 1, 5000);
    end(shake(&s));
    refused(&s, "its certificate is of another name");
    wanted = "127.0.0.1";
    probe(&s, 1, 5000);
    fd = take_connection(&s);
    assert_true(send(fd, "SIP/2.0 400 Bad Request\r\n\r\n", 27, 0) == 27);
    refused(&s, "it does not speak TLS");
    close(fd);
    probe(&s, 1, 5000);
    close(take_connection(&s));
    refused(&s, "it left during TLS's handshake");
    close(s.fd);
    probe(&s, 1, 5000);
    refused(&s, "no connection");
    s.fd = listen_at("127.0.0.1", SOCK_STREAM, &s.addr);
    scene_done(&s);
}

/* A backend of TLS 1.3 says after the client's handshake that it does not want it. */
static void a_late_refusal_is_one(void **context)
{
    struct scene s;
    SSL *ssl;

    (void)context;
    make(&s);
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    probe(&s, 1, 5000);
    ssl = shake(&s);
    SSL_CTX_set_verify(server, SSL_VERIFY_NONE, NULL);
    refused(&s, "it refused with an alert");
    end(ssl);
    scene_done(&s);
}

static void who_says_nothing_is_silent(void **context)
{
    struct scene s;
    int fd;

    (void)context;
    make(&s);
    probe(&s, 1, TIMEOUT_MS);
    fd = take_connection(&s);
    run_until(&s, &s.n_silences);
    close(fd);
    probe(&s, 1, TIMEOUT_MS); /* by another connection */
    end(shake(&s));
    scene_done(&s);
}

/* What is on its way is forgotten then, and nobody is told. */
static void another_trust_is_another_connection(void **context)
{
    char request[TEXT_MAX];
    struct scene s;
    SSL *first, *second;

    (void)context;
    make(&s);
    probe(&s, 1, TIMEOUT_MS);
    first = shake(&s);
    receive(&s, first, request);
    prober_distrust(s.prober);
    run(&s, 2 * TIMEOUT_MS);
    assert_int_equal(s.n_silences + s.n_refusals + s.n_answers, 0);
    probe(&s, 1, 5000);
    second = shake(&s);
    receive(&s, second, request);
    answer(second, request, 4096);
    run_until(&s, &s.n_answers);
    prober_want(s.prober, 1, SIP_TRANSPORT_TLS, &s.addr);
    prober_drop_unwanted(s.prober);
    s.n_answers = 0;
    probe(&s, 1, 5000);
    receive(&s, second, request);
    answer(second, request, 4096);
    run_until(&s, &s.n_answers);
    end(first);
    end(second);
    scene_done(&s);
}

static void without_tls_nothing_is_sent(void **context)
{
    struct scene s;

    (void)context;
    make(&s);
    wanted = NULL;
    assert_int_equal(prober_send(s.prober, 1, SIP_TRANSPORT_TLS, &s.addr, 50), -EAGAIN);
    run(&s, 100);
    assert_int_equal(s.n_silences + s.n_refusals + s.n_answers, 0);
    scene_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_serves_many_probes),
        cmocka_unit_test(each_backend_has_its_own),
        cmocka_unit_test(who_is_not_who_should_be_is_refused),
        cmocka_unit_test(a_late_refusal_is_one),
        cmocka_unit_test(who_says_nothing_is_silent),
        cmocka_unit_test(another_trust_is_another_connection),
        cmocka_unit_test(without_tls_nothing_is_sent),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
