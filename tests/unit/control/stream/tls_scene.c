/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and handshakes for tests: see tls_scene.h.
 */
#include "tests/unit/control/stream/tls_scene.h"

#include <fcntl.h>
#include <ftw.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DAY_S = 86400 };

const struct sip_addr scene_address = {{{[10] = 0xff, [11] = 0xff, 192, 0, 2, 10}}, 5061};

const char *scene_path(const struct scene *scene, const char *name)
{
    static char paths[8][SCENE_PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 8];

    snprintf(path, SCENE_PATH_MAX, "%s/%s", scene->dir, name);
    return path;
}

static EVP_PKEY *make_key(const struct scene *scene, enum scene_key kind)
{
    EVP_PKEY *key = NULL;

    switch (kind) {
    case SCENE_EC:
        key = EVP_EC_gen("P-256");
        break;
    case SCENE_RSA:
        assert_int_equal(EVP_PKEY_up_ref(scene->rsa), 1);
        return scene->rsa;
    case SCENE_RSA_SHORT:
        key = EVP_RSA_gen(1024);
        break;
    case SCENE_ED25519:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    }
    assert_non_null(key);
    return key;
}

static void extend(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension;

    if (value == NULL)
        return;
    extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void write_identity(const struct scene *scene, const char *file,
                           const struct scene_identity *identity)
{
    char name[64];
    FILE *out;

    snprintf(name, sizeof(name), "%s.pem", file);
    out = fopen(scene_path(scene, name), "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, identity->certificate), 1);
    for (const struct scene_identity *i = identity->issuer; i != NULL && i->issuer != NULL;
         i = i->issuer)
        assert_int_equal(PEM_write_X509(out, i->certificate), 1);
    assert_int_equal(fclose(out), 0);
    snprintf(name, sizeof(name), "%s.key", file);
    out = fopen(scene_path(scene, name), "w");
    assert_non_null(out);
    assert_int_equal(fchmod(fileno(out), 0600), 0);
    assert_int_equal(PEM_write_PrivateKey(out, identity->key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(out), 0);
}

struct scene_identity scene_issue(const struct scene *scene, const struct scene_wish *wish)
{
    struct scene_identity ret = {X509_new(), make_key(scene, wish->kind), wish->issuer};
    const struct scene_identity *issuer = wish->issuer != NULL ? wish->issuer : &ret;
    X509_NAME *subject = X509_get_subject_name(ret.certificate);
    const EVP_MD *digest =
        EVP_PKEY_get_base_id(issuer->key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    int64_t serial = 0;

    assert_int_equal(RAND_bytes((unsigned char *)&serial, 7), 1);
    ASN1_INTEGER_set_int64(X509_get_serialNumber(ret.certificate), serial);
    X509_set_version(ret.certificate, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(ret.certificate), wish->from_s);
    X509_gmtime_adj(X509_getm_notAfter(ret.certificate),
                    wish->until_s != 0 ? wish->until_s : DAY_S);
    if (wish->cn != NULL)
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)wish->cn,
                                   -1, -1, 0);
    X509_set_issuer_name(ret.certificate, X509_get_subject_name(issuer->certificate));
    X509_set_pubkey(ret.certificate, ret.key);
    extend(ret.certificate, NID_basic_constraints, wish->ca ? "critical,CA:TRUE" : "CA:FALSE");
    extend(ret.certificate, NID_subject_alt_name, wish->names);
    extend(ret.certificate, NID_ext_key_usage, wish->usage);
    assert_true(X509_sign(ret.certificate, issuer->key, digest) > 0);
    if (wish->file != NULL)
        write_identity(scene, wish->file, &ret);
    return ret;
}

void scene_identity_done(struct scene_identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    *identity = (struct scene_identity){NULL, NULL, NULL};
}

void scene_issue_files(const struct scene *scene, struct scene_wish wish)
{
    struct scene_identity one;

    wish.issuer = &scene->sub;
    one = scene_issue(scene, &wish);
    scene_identity_done(&one);
}

void scene_revoke(const struct scene *scene, const char *file, bool append,
                  const struct scene_identity *issuer, const struct scene_identity *revoked,
                  long until_s)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, time(NULL) - 2L * DAY_S);
    ASN1_TIME *until = ASN1_TIME_set(NULL, time(NULL) + until_s);
    FILE *out = fopen(scene_path(scene, file), append ? "a" : "w");

    assert_non_null(out);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->certificate));
    X509_CRL_set1_lastUpdate(crl, from);
    X509_CRL_set1_nextUpdate(crl, until);
    if (revoked != NULL) {
        X509_REVOKED *one = X509_REVOKED_new();

        X509_REVOKED_set_serialNumber(one, X509_get_serialNumber(revoked->certificate));
        X509_REVOKED_set_revocationDate(one, from);
        assert_int_equal(X509_CRL_add0_revoked(crl, one), 1);
    }
    assert_true(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509_CRL(out, crl), 1);
    assert_int_equal(fclose(out), 0);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    X509_CRL_free(crl);
}

void scene_ocsp(const struct scene *scene, const char *file, const struct scene_identity *identity,
                long from_s, long until_s)
{
    ASN1_TIME *from = X509_gmtime_adj(NULL, from_s), *until = X509_gmtime_adj(NULL, until_s);
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, identity->certificate, identity->issuer->certificate);
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_RESPONSE *response;
    unsigned char *der = NULL;
    int length;

    assert_non_null(
        OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, from, until));
    OCSP_CERTID_free(id);
    assert_int_equal(OCSP_basic_sign(basic, identity->issuer->certificate, identity->issuer->key,
                                     EVP_sha256(), NULL, 0),
                     1);
    response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    length = i2d_OCSP_RESPONSE(response, &der);
    assert_true(length > 0);
    scene_write(scene, file, der, (size_t)length, 0644);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
}

void scene_write(const struct scene *scene, const char *file, const void *bytes, size_t length,
                 unsigned mode)
{
    FILE *out = fopen(scene_path(scene, file), "w");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(scene_path(scene, file), mode), 0);
}

void scene_setup(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    strcpy(scene->dir, "/tmp/tandem-tls-XXXXXX");
    assert_non_null(mkdtemp(scene->dir));
    snprintf(scene->config, sizeof(scene->config), "%s/tandem.yaml", scene->dir);
    scene->rsa = EVP_RSA_gen(2048);
    scene->root =
        scene_issue(scene, &(struct scene_wish){.file = "root", .cn = "root", .ca = true});
    scene->sub = scene_issue(
        scene,
        &(struct scene_wish){.file = "sub", .cn = "sub", .ca = true, .issuer = &scene->root});
    scene->secret = (struct compile_secret){
        .seed = {1, 2},
        .mac[SNAPSHOT_MAC_NEXT] = {.id = 8, .valid = 1, .key = {3, 4}},
        .mac[SNAPSHOT_MAC_CURRENT] = {.id = 7, .valid = 1, .key = {5, 6}},
    };
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

void scene_teardown(struct scene *scene)
{
    scene_identity_done(&scene->root);
    scene_identity_done(&scene->sub);
    EVP_PKEY_free(scene->rsa);
    assert_int_equal(nftw(scene->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* In which '@' stands for the scene's folder. */
static void put_text(const struct scene *scene, const char *text, FILE *out)
{
    for (; *text != '\0'; text++)
        fputs(*text == '@' ? scene->dir : (char[]){*text, '\0'}, out);
}

struct cfg *scene_cfg(const struct scene *scene, const char *listener)
{
    struct cfg_error error = {.line = 0};
    struct cfg *cfg;
    FILE *out = fopen(scene->config, "w");
    char text[768];

    assert_non_null(out);
    fprintf(out, "node: n\n"
                 "node_address: 192.0.2.11\n"
                 "dataplane:\n"
                 "  workers: [1]\n"
                 "  ports:\n"
                 "    - {name: outside, driver: \"null\", addresses: [192.0.2.10/24]}\n"
                 "services:\n"
                 "  - name: s\n"
                 "    pool: p\n"
                 "    listen:\n"
                 "      - {transport: udp, address: 192.0.2.10, port: 5060}\n"
                 "      - {address: 192.0.2.10, port: 5061, ");
    put_text(scene, listener, out);
    fputs("}\npools:\n  - name: p\n", out);
    put_text(scene,
             scene->pool != NULL ? scene->pool
                                 : "    backends: [{name: a, address: 10.0.0.1, port: 5060}]\n",
             out);
    assert_int_equal(fclose(out), 0);
    cfg = cfg_load(scene->config, &error);
    if (cfg == NULL) {
        cfg_error_print(&error, text, sizeof(text));
        fail_msg("%s", text);
    }
    return cfg;
}

struct tls *scene_tls(const struct scene *scene, const char *listener)
{
    struct cfg *cfg = scene_cfg(scene, listener);
    struct cfg_error error = {.line = 0};
    struct tls *tls = tls_new(cfg, &scene->secret, &error);

    if (tls == NULL)
        fail_msg("%s: %s", error.key, error.reason);
    cfg_free(cfg);
    return tls;
}

void scene_refused(const struct scene *scene, const char *listener, char ret_text[512])
{
    struct cfg *cfg = scene_cfg(scene, listener);
    struct cfg_error error = {.line = 0};

    assert_int_equal(tls_check(cfg, &error), -22 /* EINVAL */);
    assert_string_equal(error.file, scene->config);
    assert_int_equal(error.line, 12); /* the listener's */
    snprintf(ret_text, 512, "%s: %s", error.key, error.reason);
    cfg_free(cfg);
}

SSL_CTX *scene_client(const struct scene *scene)
{
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());

    assert_non_null(client);
    SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
    assert_int_equal(SSL_CTX_load_verify_file(client, scene_path(scene, "root.pem")), 1);
    return client;
}

void scene_client_shows(SSL_CTX *client, const struct scene_identity *identity)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    for (const struct scene_identity *i = identity->issuer; i != NULL && i->issuer != NULL;
         i = i->issuer)
        sk_X509_push(chain, i->certificate);
    assert_int_equal(
        SSL_CTX_use_cert_and_key(client, identity->certificate, identity->key, chain, 1), 1);
    sk_X509_free(chain);
}

/* One step of one end; whether it may go on. */
static bool step(SSL *ssl, unsigned long *ret_error)
{
    int status;

    ERR_clear_error();
    status = SSL_do_handshake(ssl);
    if (status == 1)
        return true;
    status = SSL_get_error(ssl, status);
    if (status == SSL_ERROR_WANT_READ || status == SSL_ERROR_WANT_WRITE)
        return true;
    *ret_error = ERR_peek_error();
    return false;
}

struct scene_pair scene_meet(SSL *client, SSL *server)
{
    struct scene_pair pair = {.client = client, .server = server};
    BIO *near, *far;
    bool client_goes = true, server_goes = true;

    assert_non_null(client);
    assert_non_null(server);
    assert_int_equal(BIO_new_bio_pair(&near, 1 << 17, &far, 1 << 17), 1);
    SSL_set_bio(client, near, near);
    SSL_set_bio(server, far, far);
    for (int i = 0; i < 10 && (client_goes || server_goes); i++) {
        client_goes = client_goes && step(client, &pair.client_error);
        server_goes = server_goes && step(server, &pair.server_error);
    }
    pair.done =
        client_goes && server_goes && SSL_is_init_finished(client) && SSL_is_init_finished(server);
    return pair;
}

struct scene_pair scene_call(SSL_CTX *client, struct tls *tls, const char *sni,
                             SSL_SESSION *session)
{
    SSL *ssl = SSL_new(client);

    assert_non_null(ssl);
    if (sni != NULL)
        SSL_set_tlsext_host_name(ssl, sni);
    if (session != NULL)
        SSL_set_session(ssl, session);
    SSL_set_connect_state(ssl);
    return scene_meet(ssl, tls_accept(tls, &scene_address));
}

void scene_pair_done(struct scene_pair *pair)
{
    /* Without a goodbye OpenSSL's client would not resume its session. */
    SSL_set_shutdown(pair->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(pair->client);
    SSL_free(pair->server);
    *pair = (struct scene_pair){.done = false};
}

bool scene_say(SSL *from, SSL *to, const char *text)
{
    char got[256];
    int length = (int)strlen(text);

    assert_true(length < (int)sizeof(got));
    return SSL_write(from, text, length) == length && SSL_read(to, got, sizeof(got)) == length &&
           memcmp(got, text, (size_t)length) == 0;
}

const char *scene_failure(const struct scene_pair *pair)
{
    return tls_failure_name(tls_failure(pair->server, pair->server_error));
}
