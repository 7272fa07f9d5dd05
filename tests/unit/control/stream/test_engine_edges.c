/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's edges by TLS, WS and WSS: clients with OpenSSL and hand-made frames, the same calls
 * as by TCP; certificates that change under connections; handshakes that fail.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "control/show_connections.h"
#include "tests/unit/control/stream/scene.h"

static char folder[] = "/tmp/tandem-edges-XXXXXX";
static SSL_CTX *client;

/* Writes a certificate of that name, signed by itself, and its key, as a.pem and a.key. */
static void make_certificate(const char *name)
{
    char path[128];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    FILE *out;

    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    snprintf(path, sizeof(path), "%s/a.pem", folder);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, certificate), 1);
    fclose(out);
    snprintf(path, sizeof(path), "%s/a.key", folder);
    out = fdopen(open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600), "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static int setup(void **context)
{
    (void)context;
    assert_non_null(mkdtemp(folder));
    make_certificate("first");
    client = SSL_CTX_new(TLS_client_method());
    return client == NULL;
}

static int teardown(void **context)
{
    char path[128];

    (void)context;
    SSL_CTX_free(client);
    snprintf(path, sizeof(path), "%s/a.pem", folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/a.key", folder);
    unlink(path);
    return rmdir(folder);
}

/* The item of a listener with our certificate. */
static const char *listener(const char *transport, uint32_t port)
{
    static char text[512];

    snprintf(text, sizeof(text),
             "      - {transport: %s, address: VIP, port: %u, certificates: [{cert: %s/a.pem, key: "
             "%s/a.key}]}\n",
             transport, port, folder, folder);
    return text;
}

static SSL *secure(int fd)
{
    SSL *ssl = SSL_new(client);

    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "phones.example.net");
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void goodbye(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);

    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static const char *name_of(const SSL *ssl)
{
    static char text[64];
    X509 *certificate = SSL_get1_peer_certificate(ssl);

    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                              sizeof(text));
    X509_free(certificate);
    return text;
}

/* Reads until the end of a header section without a body. */
static const char *read_secure(struct scene *s, SSL *ssl)
{
    int n = 0;

    do {
        int got = SSL_read(ssl, s->text + n, 1);

        assert_int_equal(got, 1);
        s->text[++n] = '\0';
    } while (strstr(s->text, "\r\n\r\n") == NULL);
    return s->text;
}

static void registers(struct scene *s, SSL *ssl, const char *call_id)
{
    const char *text = scene_request("REGISTER", "sip:example.net", call_id, "TLS",
                                     "Contact: <sip:u@phone.invalid;transport=tls>\r\n");
    int backend;

    assert_true(SSL_write(ssl, text, (int)strlen(text)) > 0);
    backend = scene_reached(s);
    scene_datagram(s, backend);
    scene_send_to(backend, 2, SCENE_OWN, scene_response(s, "200 OK"));
    assert_memory_equal(read_secure(s, ssl), "SIP/2.0 200 OK\r\n", 16);
}

static void note(void *arg, const struct table_entry *entry)
{
    table_copy(entry, arg);
}

/* How many connections are told. */
static size_t shown(const struct scene *s, struct show_connections_filter filter)
{
    json_t *answer = show_connections(s->stream, &filter);
    const json_t *list = json_object_get(answer, "connections");
    size_t n = json_array_size(list);
    uint64_t id;

    assert_int_equal(json_integer_value(json_object_get(answer, "total")), 1);
    if (n > 0)
        assert_true(show_connections_id(
            json_string_value(json_object_get(json_array_get(list, 0), "id")), &id));
    json_decref(answer);
    return n;
}

/* What a transport has counted beside bytes, in the order of counts.h. */
static void assert_counts(const struct scene *s, enum sip_transport transport, const char *wanted)
{
    char name[COUNTS_NAME_MAX], text[1024] = "";
    struct counts counts;

    stream_counts_of(s->stream, transport, &counts);
    for (uint32_t which = 0; which < COUNT_COUNT; which++) {
        size_t length = strlen(text);

        if (counts.values[which] != 0 && which != COUNT_BYTES_IN && which != COUNT_BYTES_OUT)
            snprintf(text + length, sizeof(text) - length, "%s%s %u", length > 0 ? ", " : "",
                     counts_name(which, name), (uint32_t)counts.values[which]);
    }
    assert_string_equal(text, wanted);
}

static void tls_registers(void **context)
{
    struct scene s;
    struct table_entry entry = {.id = 0};
    SSL *ssl;

    (void)context;
    scene_begin(&s, listener("tls", 5061), "");
    ssl = secure(scene_tcp(21, 5061));
    registers(&s, ssl, "r1");
    stream_each(s.stream, note, &entry);
    assert_string_equal(entry.sni, "phones.example.net");
    assert_memory_equal(entry.cipher, "TLSv1.3 ", 8);
    assert_int_equal(entry.messages_in, 1);
    assert_int_equal(entry.messages_out, 1);
    assert_int_equal(shown(&s, (struct show_connections_filter){.source = ""}), 1);
    assert_int_equal(shown(&s, (struct show_connections_filter){.transport = "tls"}), 1);
    assert_int_equal(shown(&s, (struct show_connections_filter){.transport = "ws"}), 0);
    assert_int_equal(shown(&s, (struct show_connections_filter){.sni = "Phones.example.net"}), 1);
    assert_int_equal(shown(&s, (struct show_connections_filter){.source = "127.0.0.1"}), 0);
    scene_until(&s, COUNT_TLS_FULL, 1);
    scene_until(&s, COUNT_TLS_13, 1);
    goodbye(ssl);
    scene_until(&s, COUNT_CLOSED + CLOSE_PEER, 1);
    assert_counts(&s, SIP_TRANSPORT_TLS,
                  "accepted 1, closed_peer 1, tls_full 1, tls_1_3 1, "
                  "tls_cipher_TLS_AES_128_GCM_SHA256 1, messages_stream 1, "
                  "forwarded 1, sent_stream 1");
    assert_counts(&s, SIP_TRANSPORT_UDP, "messages_datagram 1, forwarded 1, sent_datagram 1");
    assert_counts(&s, SIP_TRANSPORT_TCP, "");
    scene_end(&s);
}

/* New connections get the new certificate, old ones go on. */
static void certificates_change(void **context)
{
    struct scene s;
    SSL *old, *new;

    (void)context;
    scene_begin(&s, listener("tls", 5061), "");
    old = secure(scene_tcp(21, 5061));
    assert_string_equal(name_of(old), "first");
    registers(&s, old, "r1");
    make_certificate("second");
    scene_reload(&s, listener("tls", 5061), "");
    for (int tries = 0; tries < 500; tries++) { /* a thread takes it between two messages */
        new = secure(scene_tcp(22, 5061));
        if (strcmp(name_of(new), "second") == 0)
            break;
        goodbye(new);
        usleep(10000);
    }
    assert_string_equal(name_of(new), "second");
    registers(&s, new, "r2");
    registers(&s, old, "r3");
    goodbye(old);
    goodbye(new);
    scene_end(&s);
}

static void handshakes_fail(void **context)
{
    struct scene s;
    int plain, half;

    (void)context;
    scene_begin(&s, listener("tls", 5061), "handshake_timeout: 1s");
    half = scene_tcp(22, 5061);
    plain = scene_tcp(21, 5061);
    scene_send(plain, scene_request("OPTIONS", "sip:u@example.net", "o1", "TCP", ""));
    scene_until_closed(plain);
    scene_until(&s, COUNT_TLS_FAILED + TLS_FAILURE_PLAIN_TEXT, 1);
    scene_until(&s, COUNT_CLOSED + CLOSE_HANDSHAKE, 1);
    scene_until_closed(half);
    scene_until(&s, COUNT_CLOSED + CLOSE_HANDSHAKE_TIMEOUT, 1);
    close(plain);
    close(half);
    scene_end(&s);
}

/* Who wants another handshake, which costs him less than us, is told no and closed. */
static void renegotiation_ends_it(void **context)
{
    struct scene s;
    char byte;
    SSL *ssl;

    (void)context;
    scene_begin(&s, listener("tls", 5061), "");
    SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
    ssl = secure(scene_tcp(21, 5061));
    SSL_CTX_set_max_proto_version(client, 0);
    registers(&s, ssl, "r1");
    assert_int_equal(SSL_renegotiate(ssl), 1);
    assert_int_not_equal(SSL_do_handshake(ssl), 1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    scene_until(&s, COUNT_CLOSED + CLOSE_RENEGOTIATION, 1);
    assert_true(recv(SSL_get_fd(ssl), &byte, 1, 0) <= 0 || SSL_read(ssl, &byte, 1) <= 0);
    goodbye(ssl);
    assert_int_equal(stream_connections(s.stream), 0);
    scene_end(&s);
}

static const char UPGRADE[] =
    "GET / HTTP/1.1\r\nHost: phones.example.net\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n";

/* A text frame as a client sends it, masked with 0s. Returns its length. */
static size_t frame(const char *text, char *ret)
{
    size_t n = strlen(text), at = 0;

    assert_true(n > 125 && n < 65536);
    ret[at++] = (char)0x81;
    ret[at++] = (char)(0x80 | 126);
    ret[at++] = (char)(n >> 8);
    ret[at++] = (char)n;
    memset(ret + at, 0, 4);
    memcpy(ret + at + 4, text, n);
    return at + 4 + n;
}

/* What a frame of the server's holds. */
static const char *unframe(struct scene *s, int fd)
{
    unsigned char head[4];
    size_t n;

    assert_int_equal(recv(fd, head, 4, MSG_WAITALL), 4);
    assert_int_equal(head[0], 0x81);
    assert_int_equal(head[1], 126);
    n = (size_t)head[2] << 8 | head[3];
    assert_int_equal(recv(fd, s->text, n, MSG_WAITALL), n);
    s->text[n] = '\0';
    return s->text;
}

static void ws_registers_and_is_called(void **context)
{
    struct scene s;
    char bytes[8192], route[2048];
    const char *path;
    size_t length;
    int phone, backend;

    (void)context;
    scene_begin(&s, "      - {transport: ws, address: VIP, port: 8080}\n", "");
    phone = scene_tcp(21, 8080);
    scene_send(phone, UPGRADE);
    assert_memory_equal(scene_message(&s, phone), "HTTP/1.1 101 ", 13);
    length = frame(scene_request("REGISTER", "sip:example.net", "r1", "WS",
                                 "Contact: <sip:u@phone.invalid;transport=ws>\r\n"),
                   bytes);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(send(phone, bytes + i, 1, MSG_NOSIGNAL), 1);
    backend = scene_reached(&s);
    scene_datagram(&s, backend);
    path = scene_line(&s, "Path", 0);
    snprintf(route, sizeof(route), "Route:%s\r\n", strchr(path, ':') + 1);
    scene_send_to(backend, 2, SCENE_OWN, scene_response(&s, "200 OK"));
    assert_memory_equal(unframe(&s, phone), "SIP/2.0 200 OK\r\n", 16);
    scene_send_to(backend, 2, SCENE_OWN,
                  scene_request("INVITE", "sip:u@phone.invalid;transport=ws", "c1", "UDP", route));
    assert_memory_equal(unframe(&s, phone), "INVITE ", 7);
    assert_non_null(strstr(scene_line(&s, "Via", 0), "SIP/2.0/WS "));
    scene_until(&s, COUNT_UPGRADES, 1);
    close(phone);
    scene_end(&s);
}

static void upgrades_are_refused(void **context)
{
    struct scene s;
    int phone;

    (void)context;
    scene_begin(&s, "      - {transport: ws, address: VIP, port: 8080, path: /sip}\n", "");
    phone = scene_tcp(21, 8080);
    scene_send(phone, UPGRADE);
    assert_memory_equal(scene_message(&s, phone), "HTTP/1.1 404 ", 13);
    scene_until_closed(phone);
    scene_until(&s, COUNT_CLOSED + CLOSE_HANDSHAKE, 1);
    scene_until(&s, COUNT_UPGRADES_REFUSED, 1);
    close(phone);
    scene_end(&s);
}

static void wss_registers(void **context)
{
    struct scene s;
    char bytes[8192];
    size_t length;
    SSL *ssl;

    (void)context;
    scene_begin(&s, listener("wss", 8443), "");
    ssl = secure(scene_tcp(21, 8443));
    assert_true(SSL_write(ssl, UPGRADE, sizeof(UPGRADE) - 1) > 0);
    assert_memory_equal(read_secure(&s, ssl), "HTTP/1.1 101 ", 13);
    length = frame(scene_request("OPTIONS", "sip:u@example.net", "o1", "WSS", ""), bytes);
    assert_true(SSL_write(ssl, bytes, (int)length) > 0);
    assert_memory_equal(scene_datagram(&s, scene_reached(&s)), "OPTIONS sip:u@", 14);
    goodbye(ssl);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_registers),        cmocka_unit_test(certificates_change),
        cmocka_unit_test(renegotiation_ends_it),
        cmocka_unit_test(handshakes_fail),      cmocka_unit_test(ws_registers_and_is_called),
        cmocka_unit_test(upgrades_are_refused), cmocka_unit_test(wss_registers),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
