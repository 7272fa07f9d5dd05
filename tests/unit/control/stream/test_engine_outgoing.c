/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that control makes: by TLS to whom the URI names and nobody else, whatever DNS made of
 * the name; requests that wait for one that comes to nothing are answered. And those that peers make
 * and have reused (RFC 5923).
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/unit/control/stream/scene.h"

#define TCP "      - {transport: tcp, address: VIP, port: 5060}\n"

enum { TRUNK = 31, TRUNK_PORT = 5091, CLOSED_PORT = 5092 };

static char folder[] = "/tmp/tandem-outgoing-XXXXXX";
static SSL_CTX *trunk; /* a server with the certificate */

static const char *path_of(const char *name)
{
    static char paths[2][128];
    static unsigned next;
    char *path = paths[next++ % 2];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* The certificate of trunk.example, which its peers trust, too. */
static int setup(void **context)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    FILE *out;

    (void)context;
    assert_non_null(mkdtemp(folder));
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"trunk.example",
                               -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    out = fopen(path_of("a.pem"), "w");
    assert_int_equal(PEM_write_X509(out, certificate), 1);
    fclose(out);
    out = fdopen(open(path_of("a.key"), O_CREAT | O_WRONLY | O_TRUNC, 0600), "w");
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
    trunk = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(trunk, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(trunk, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return 0;
}

static int teardown(void **context)
{
    (void)context;
    SSL_CTX_free(trunk);
    unlink(path_of("a.pem"));
    unlink(path_of("a.key"));
    return rmdir(folder);
}

static bool waits(int fd, int ms)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};

    return poll(&wanted, 1, ms) == 1;
}

/* Has a backend send a MESSAGE until something comes by `fd`: a thread takes what DNS says between
 * two messages. */
static void send_until(struct scene *s, const char *uri, int fd)
{
    char call_id[16];

    for (int tries = 0; tries < 25; tries++) {
        snprintf(call_id, sizeof(call_id), "m%d", tries);
        scene_send_to(s->a, 2, SCENE_OWN, scene_request("MESSAGE", uri, call_id, "UDP", ""));
        if (waits(fd, 200))
            return;
    }
    fail_msg("nothing came of %s", uri);
}

static SSL *accept_secure(int listener)
{
    const struct timeval patience = {.tv_sec = SCENE_WAIT_MS / 1000};
    int fd = accept(listener, NULL, NULL);
    SSL *ssl = SSL_new(trunk);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    SSL_set_fd(ssl, fd);
    (void)SSL_accept(ssl); /* whoever connects has the last word: what it sends tells */
    return ssl;
}

static const char *read_secure(struct scene *s, SSL *ssl)
{
    int n = 0;

    do {
        assert_int_equal(SSL_read(ssl, s->text + n, 1), 1);
        s->text[++n] = '\0';
    } while (strstr(s->text, "\r\n\r\n") == NULL);
    return s->text;
}

static void end_secure(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);

    SSL_free(ssl);
    close(fd);
}

/* DNS says that both names are at the trunk's address. */
static void resolve(struct scene *s)
{
    static struct snapshot_target target;
    static struct compile_name names[2];

    target = (struct snapshot_target){
        .addr = scene_addr(TRUNK, TRUNK_PORT), .transport = SIP_TRANSPORT_TLS, .weight = 1};
    for (uint32_t i = 0; i < 2; i++)
        names[i] = (struct compile_name){.host = i == 0 ? "other.example" : "trunk.example",
                                         .port = TRUNK_PORT,
                                         .transport = SIP_TRANSPORT_TLS,
                                         .outcome = SNAPSHOT_NAME_FOUND,
                                         .targets = &target,
                                         .n_targets = 1};
    reload_live(s->reload)->names = names;
    reload_live(s->reload)->n_names = 2;
    assert_int_equal(fake_ask(&s->fake, s->reload, PLAN_LIVE, "", 0).status, RELOAD_DONE);
}

static void begin_secure(struct scene *s)
{
    char text[512];

    snprintf(text, sizeof(text),
             "      - {transport: tls, address: VIP, port: 5061, client_certificates: optional, "
             "client_ca: %s, certificates: [{cert: %s, key: %s/a.key}]}\n",
             path_of("a.pem"), path_of("a.pem"), folder);
    scene_begin(s, text, "");
    close(scene_tcp(21, 5061)); /* they listen */
    resolve(s);
}

/* RFC 5922 §7.2: the name that was resolved, not what DNS made of it; and a connection to one name
 * is none to another that has the same address (RFC 5923 §7). */
static void tls_is_to_the_name(void **context)
{
    struct scene s;
    int listener;
    SSL *ssl, *other;

    (void)context;
    listener = scene_listen(TRUNK, TRUNK_PORT);
    begin_secure(&s);
    send_until(&s, "sip:u@Trunk.Example.:5091;transport=tls", listener);
    ssl = accept_secure(listener);
    assert_memory_equal(read_secure(&s, ssl), "MESSAGE sip:u@Trunk.", 20);
    assert_string_equal(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), "Trunk.Example");
    SSL_write(ssl, scene_response(&s, "200 OK"), (int)strlen(scene_response(&s, "200 OK")));
    assert_memory_equal(scene_datagram(&s, s.a), "SIP/2.0 200 OK\r\n", 16);
    scene_send_to(s.a, 2, SCENE_OWN,
                  scene_request("MESSAGE", "sip:u@trunk.example:5091;transport=tls", "n1", "UDP", ""));
    assert_memory_equal(read_secure(&s, ssl), "MESSAGE sip:u@trunk.", 20);
    scene_until(&s, COUNT_CONNECTED, 1);
    scene_send_to(s.a, 2, SCENE_OWN,
                  scene_request("MESSAGE", "sip:u@other.example:5091;transport=tls", "n2", "UDP", ""));
    other = accept_secure(listener);
    assert_memory_equal(scene_datagram(&s, s.a), "SIP/2.0 503 ", 12);
    assert_string_equal(scene_line(&s, "Call-ID", 0), "Call-ID: n2");
    scene_until(&s, COUNT_CONNECTED, 2);
    scene_until(&s, COUNT_TLS_FAILED + TLS_FAILURE_NAME, 1);
    scene_until(&s, COUNT_UNDELIVERED, 1);
    end_secure(other);
    end_secure(ssl);
    close(listener);
    scene_end(&s);
}

/* Who is asked for by address must show that. */
static void tls_is_to_the_address(void **context)
{
    struct scene s;
    char uri[64];
    int listener;
    SSL *ssl;

    (void)context;
    listener = scene_listen(TRUNK, TRUNK_PORT);
    begin_secure(&s);
    snprintf(uri, sizeof(uri), "sip:u@%s:5091;transport=tls", scene_ip(TRUNK));
    send_until(&s, uri, listener);
    ssl = accept_secure(listener);
    assert_memory_equal(scene_datagram(&s, s.a), "SIP/2.0 503 ", 12);
    scene_until(&s, COUNT_TLS_FAILED + TLS_FAILURE_NAME, 1);
    end_secure(ssl);
    close(listener);
    scene_end(&s);
}

/* RFC 3261 §16.9: nobody is there, so it is as if he had said 503; an ACK is never answered. */
static void what_waits_is_answered(void **context)
{
    struct scene s;
    char uri[64];

    (void)context;
    scene_begin(&s, TCP, "");
    close(scene_tcp(21, SCENE_SIP));
    scene_until(&s, COUNT_CLOSED + CLOSE_PEER, 1);
    snprintf(uri, sizeof(uri), "sip:u@%s:%d;transport=tcp", scene_ip(TRUNK), CLOSED_PORT);
    scene_send_to(s.a, 2, SCENE_OWN, scene_request("ACK", uri, "k1", "UDP", ""));
    scene_until(&s, COUNT_UNDELIVERED, 1);
    scene_send_to(s.a, 2, SCENE_OWN, scene_request("INVITE", uri, "i1", "UDP", ""));
    assert_memory_equal(scene_datagram(&s, s.a), "SIP/2.0 503 Service Unavailable\r\n", 33);
    assert_string_equal(scene_line(&s, "Call-ID", 0), "Call-ID: i1");
    assert_null(strstr(s.text, "Retry-After"));
    assert_non_null(strstr(scene_line(&s, "To", 0), ";tag="));
    scene_until(&s, COUNT_UNDELIVERED, 2);
    scene_until(&s, COUNT_CLOSED + CLOSE_ERROR, 2);
    scene_until(&s, COUNT_MESSAGES_STREAM, 1);
    scene_until(&s, COUNT_RESULT + RELAY_FORWARDED, 3);
    assert_false(waits(s.a, 0));
    scene_end(&s);
}

/* A request in which a peer says what its own address is. Static. */
static const char *with_alias(const char *transport, const char *sent_by, const char *call_id)
{
    static char text[1024];

    snprintf(text, sizeof(text),
             "OPTIONS sip:%s SIP/2.0\r\n"
             "Via: SIP/2.0/%s %s;branch=z9hG4bK%s;rport;Alias\r\n"
             "From: <sip:u@example.net>;tag=f\r\nTo: <sip:%s>\r\nCall-ID: %s\r\n"
             "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
             scene_ip(1), transport, sent_by, call_id, scene_ip(1), call_id);
    return text;
}

/* A peer says its address on a connection from .last, and is heard. */
static int alias_from(struct scene *s, uint32_t last, const char *sent_by)
{
    int fd = scene_tcp(last, SCENE_SIP);

    scene_send(fd, with_alias("TCP", sent_by, "o1"));
    assert_memory_equal(scene_message(s, fd), "SIP/2.0 200 OK\r\n", 16);
    return fd;
}

static const char *address_text(uint32_t last, uint16_t port)
{
    static char texts[2][32];
    static unsigned next;
    char *text = texts[next++ % 2];

    snprintf(text, sizeof(texts[0]), "%s:%u", scene_ip(last), port);
    return text;
}

/* TCP shows nobody's name: only a backend's own configured address is taken, and from nobody else. */
static void tcp_is_reused_for_backends(void **context)
{
    struct scene s;
    int alias[2], stranger, liar, elsewhere;
    char uri[64], own[64];

    (void)context;
    scene_begin(&s, TCP, "");
    stranger = alias_from(&s, 21, address_text(21, 5060));
    liar = alias_from(&s, 21, address_text(11, 5060));
    elsewhere = alias_from(&s, 11, address_text(11, 5099));
    snprintf(uri, sizeof(uri), "sip:u@%s:5060;transport=tcp", scene_ip(11));
    scene_send_to(s.b, 2, SCENE_OWN, scene_request("MESSAGE", uri, "m1", "UDP", ""));
    assert_memory_equal(scene_datagram(&s, s.b), "SIP/2.0 503 ", 12);
    scene_until(&s, COUNT_ALIASES, 0);
    for (int i = 0; i < 2; i++) /* the later one is asked */
        alias[i] = alias_from(&s, 11, address_text(11, 5060));
    scene_send(alias[1], with_alias("TCP", address_text(11, 5060), "o2")); /* again: nothing new */
    scene_message(&s, alias[1]);
    scene_until(&s, COUNT_ALIASES, 2);
    for (int i = 1; i >= 0; i--) {
        scene_send_to(s.b, 2, SCENE_OWN,
                      scene_request("MESSAGE", uri, i == 1 ? "m2" : "m3", "UDP", ""));
        assert_memory_equal(scene_message(&s, alias[i]), "MESSAGE ", 8);
        snprintf(own, sizeof(own), "Via: SIP/2.0/TCP %s:5060;", scene_ip(1));
        assert_memory_equal(scene_line(&s, "Via", 0), own, strlen(own));
        assert_string_equal(strrchr(scene_line(&s, "Via", 0), ';'), ";alias");
        scene_send(alias[i], scene_response(&s, "200 OK"));
        assert_memory_equal(scene_datagram(&s, s.b), "SIP/2.0 200 OK\r\n", 16);
        close(alias[i]);
        scene_until(&s, COUNT_CLOSED + CLOSE_PEER, (uint64_t)(2 - i));
    }
    scene_send_to(s.b, 2, SCENE_OWN, scene_request("MESSAGE", uri, "m4", "UDP", ""));
    assert_memory_equal(scene_datagram(&s, s.b), "SIP/2.0 503 ", 12);
    scene_until(&s, COUNT_CONNECTED, 2);
    close(stranger);
    close(liar);
    close(elsewhere);
    scene_end(&s);
}

/* What comes by a connection that we made comes to the listener that it leaves from. */
static void what_we_connect_to_sends_back(void **context)
{
    struct scene s;
    char uri[64];
    int listener, fd;

    (void)context;
    scene_begin(&s, TCP, "");
    close(scene_tcp(21, SCENE_SIP));
    listener = scene_listen(11, 5060);
    snprintf(uri, sizeof(uri), "sip:u@%s:5060;transport=tcp", scene_ip(11));
    scene_send_to(s.b, 2, SCENE_OWN, scene_request("MESSAGE", uri, "m1", "UDP", ""));
    fd = accept(listener, NULL, NULL);
    assert_memory_equal(scene_message(&s, fd), "MESSAGE ", 8);
    assert_string_equal(strrchr(scene_line(&s, "Via", 0), ';'), ";alias");
    scene_send(fd, with_alias("TCP", address_text(11, 5060), "o1"));
    assert_memory_equal(scene_message(&s, fd), "SIP/2.0 200 OK\r\n", 16);
    scene_until(&s, COUNT_ALIASES, 0); /* ours already */
    close(fd);
    close(listener);
    scene_end(&s);
}

/* A TLS connection of a peer from the trunk's address, with the trunk's certificate or without. */
static SSL *connect_secure(SSL_CTX *context, bool certificate)
{
    SSL *ssl = SSL_new(context);

    if (certificate) {
        assert_int_equal(SSL_use_certificate_file(ssl, path_of("a.pem"), SSL_FILETYPE_PEM), 1);
        assert_int_equal(SSL_use_PrivateKey_file(ssl, path_of("a.key"), SSL_FILETYPE_PEM), 1);
    }
    SSL_set_fd(ssl, scene_tcp(TRUNK, 5061));
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void alias_by_tls(struct scene *s, SSL *ssl)
{
    const char *text = with_alias("TLS", "gw7.trunk.example:5091", "o1");

    assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), strlen(text));
    assert_memory_equal(read_secure(s, ssl), "SIP/2.0 200 OK\r\n", 16);
}

/* RFC 5923 §8.2: for a name that the certificate has, at the address that it comes from; nobody
 * listens there. */
static void tls_is_reused_for_the_name(void **context)
{
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    const char other[] = "sip:u@other.example:5091;transport=tls";
    SSL *nobody, *ssl;
    struct scene s;

    (void)context;
    begin_secure(&s);
    nobody = connect_secure(client, false);
    alias_by_tls(&s, nobody);
    scene_send_to(s.a, 2, SCENE_OWN,
                  scene_request("MESSAGE", "sip:u@trunk.example:5091;transport=tls", "n1", "UDP", ""));
    assert_memory_equal(scene_datagram(&s, s.a), "SIP/2.0 503 ", 12);
    scene_until(&s, COUNT_ALIASES, 0);
    ssl = connect_secure(client, true);
    alias_by_tls(&s, ssl);
    scene_until(&s, COUNT_ALIASES, 1);
    scene_send_to(s.a, 2, SCENE_OWN, scene_request("MESSAGE", other, "n2", "UDP", ""));
    assert_memory_equal(scene_datagram(&s, s.a), "SIP/2.0 503 ", 12);
    assert_string_equal(scene_line(&s, "Call-ID", 0), "Call-ID: n2");
    scene_send_to(s.a, 2, SCENE_OWN,
                  scene_request("MESSAGE", "sip:u@Trunk.Example:5091;transport=tls", "n3", "UDP", ""));
    assert_memory_equal(read_secure(&s, ssl), "MESSAGE sip:u@Trunk.", 20);
    SSL_write(ssl, scene_response(&s, "200 OK"), (int)strlen(scene_response(&s, "200 OK")));
    assert_memory_equal(scene_datagram(&s, s.a), "SIP/2.0 200 OK\r\n", 16);
    end_secure(ssl);
    end_secure(nobody);
    SSL_CTX_free(client);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_is_to_the_name),
        cmocka_unit_test(tls_is_to_the_address),
        cmocka_unit_test(what_waits_is_answered),
        cmocka_unit_test(tcp_is_reused_for_backends),
        cmocka_unit_test(what_we_connect_to_sends_back),
        cmocka_unit_test(tls_is_reused_for_the_name),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
