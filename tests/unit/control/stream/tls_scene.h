/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of TLS stand on: a folder with certificates that are made here, configurations that name
 * them, and handshakes between OpenSSL's client and ours, over memory. For tests only.
 */
#ifndef TANDEM_TESTS_UNIT_CONTROL_STREAM_TLS_SCENE_H
#define TANDEM_TESTS_UNIT_CONTROL_STREAM_TLS_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "control/stream/tls/tls.h"

enum { SCENE_PATH_MAX = 160 };

enum scene_key { SCENE_EC, SCENE_RSA, SCENE_RSA_SHORT, SCENE_ED25519 };

struct scene_identity {
    X509 *certificate;
    EVP_PKEY *key;
    const struct scene_identity *issuer;   /* NULL: itself */
};

/* What a certificate shall be. */
struct scene_wish {
    const char *file;             /* FILE.pem and FILE.key are written; NULL: neither */
    const char *cn;               /* NULL: none */
    const char *names;            /* subjectAltName as OpenSSL's configuration writes it; NULL: none */
    const char *usage;            /* extendedKeyUsage; NULL: none */
    enum scene_key kind;
    bool ca;
    long from_s, until_s;         /* from now; until 0: a day */
    const struct scene_identity *issuer;
};

struct scene {
    char dir[64], config[SCENE_PATH_MAX];
    struct scene_identity root, sub;   /* a CA, in root.pem; one that it signed, in sub.pem */
    EVP_PKEY *rsa;                /* of all RSA certificates: making one takes long */
    struct compile_secret secret;
    const char *pool;             /* lines of pool p but its name, as the listener's text; NULL: UDP's */
};

void scene_setup(struct scene *scene);
void scene_teardown(struct scene *scene);

/* DIR/NAME, in one of a few buffers that take turns. */
const char *scene_path(const struct scene *scene, const char *name);

/* Makes one; scene_identity_done frees it. Its file holds it and those above it but a root. */
struct scene_identity scene_issue(const struct scene *scene, const struct scene_wish *wish);
void scene_identity_done(struct scene_identity *identity);
/* Makes one by the intermediate CA that is needed in its files alone. */
void scene_issue_files(const struct scene *scene, struct scene_wish wish);

/* Writes an empty or a one-line CRL of an issuer, to be added to a file where append. */
void scene_revoke(const struct scene *scene, const char *file, bool append,
                  const struct scene_identity *issuer, const struct scene_identity *revoked,
                  long until_s);

/* Writes an OCSP response of a certificate. */
void scene_ocsp(const struct scene *scene, const char *file, const struct scene_identity *identity,
                long from_s, long until_s);

void scene_write(const struct scene *scene, const char *file, const void *bytes, size_t length,
                 unsigned mode);

/* A configuration whose service has this listener besides, from its YAML; the listener's address is
 * scene_address. In the text, '@' stands for the scene's folder. */
extern const struct sip_addr scene_address;
struct cfg *scene_cfg(const struct scene *scene, const char *listener);

/* TLS of such a configuration, which must be good; or why it is not, as FILE:LINE: is left out. */
struct tls *scene_tls(const struct scene *scene, const char *listener);
void scene_refused(const struct scene *scene, const char *listener, char ret_text[512]);

/* A client's context that trusts the root. Wishes are set by the caller. */
SSL_CTX *scene_client(const struct scene *scene);
/* One that shows this certificate. */
void scene_client_shows(SSL_CTX *client, const struct scene_identity *identity);

/* Two ends that are connected by memory. */
struct scene_pair {
    SSL *client, *server;
    bool done;                    /* both handshakes */
    unsigned long client_error, server_error;
};

/* Owns both; NULL is refused. Then the handshake goes as far as it can. */
struct scene_pair scene_meet(SSL *client, SSL *server);
/* A client of a context, with a name and maybe a session, meets ours. */
struct scene_pair scene_call(SSL_CTX *client, struct tls *tls, const char *sni,
                             SSL_SESSION *session);
void scene_pair_done(struct scene_pair *pair);

/* Text from one end to the other; false: it does not come. */
bool scene_say(SSL *from, SSL *to, const char *text);

/* The server's failure's name. */
const char *scene_failure(const struct scene_pair *pair);

#endif
