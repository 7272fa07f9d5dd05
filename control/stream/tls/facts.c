/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a TLS connection, and why one failed: see tls.h.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "control/stream/tls/tls.h"
#include "control/stream/tls/name.h"

/* Copies what is printable, '?' for the rest. */
static void put_text(const char *from, size_t length, char *to, size_t room)
{
    size_t n = length < room ? length : room - 1;

    for (size_t i = 0; i < n; i++)
        to[i] = from[i] > ' ' && from[i] < 0x7f ? from[i] : '?';
    to[n] = '\0';
}

static void put_subject(X509 *certificate, char ret[TLS_NAME_MAX])
{
    BIO *bio = BIO_new(BIO_s_mem());
    int length = 0;

    ret[0] = '\0';
    /* RFC 2253 escapes what is not printable ASCII. */
    if (bio != NULL &&
        X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0)
        length = BIO_read(bio, ret, TLS_NAME_MAX - 1);
    ret[length > 0 ? length : 0] = '\0';
    BIO_free(bio);
}

/* tls_name_domains' question: adds the name while there is room; true: there is none. */
static bool on_domain(void *arg, const char *name)
{
    char *names = arg;
    size_t at = strlen(names), length = strlen(name);

    if (at + 1 + length >= TLS_NAMES_MAX)
        return true;
    if (at > 0)
        names[at++] = ' ';
    memcpy(names + at, name, length + 1);
    return false;
}

void tls_describe(const SSL *ssl, struct tls_facts *ret)
{
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    X509 *peer = SSL_get0_peer_certificate(ssl);
    const unsigned char *alpn = NULL;
    unsigned int alpn_length = 0;

    *ret = (struct tls_facts){
        .version = SSL_get_version(ssl),
        .cipher = SSL_get_cipher_name(ssl),
        .resumed = SSL_session_reused(ssl) == 1,
    };
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_length);
    if (sni != NULL)
        put_text(sni, strlen(sni), ret->sni, sizeof(ret->sni));
    if (alpn != NULL)
        put_text((const char *)alpn, alpn_length, ret->alpn, sizeof(ret->alpn));
    if (peer == NULL)
        return;
    put_subject(peer, ret->subject);
    tls_name_domains(peer, on_domain, ret->names);
}

/* An address of alternative names, as URIs have it but for brackets. */
static void add_address(const ASN1_OCTET_STRING *bytes, char names[TLS_NAMES_MAX])
{
    char text[SIP_IP_TEXT_MAX + 1];
    struct sip_ip ip;
    uint32_t length;

    if (ASN1_STRING_length(bytes) == 4)
        ip = sip_ip_from_v4(ASN1_STRING_get0_data(bytes));
    else if (ASN1_STRING_length(bytes) == (int)sizeof(ip.bytes))
        ip = sip_ip_from_v6(ASN1_STRING_get0_data(bytes));
    else
        return;
    length = sip_ip_print(&ip, text);
    if (text[0] == '[')
        text[length - 1] = '\0';
    text[length] = '\0';
    (void)on_domain(names, text + (text[0] == '['));
}

static void add_addresses(X509 *certificate, char names[TLS_NAMES_MAX])
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

        if (name->type == GEN_IPADD)
            add_address(name->d.iPAddress, names);
    }
    GENERAL_NAMES_free(all);
}

/* The peer's certificate, if it was verified; else NULL. */
static X509 *verified(const SSL *ssl)
{
    X509 *peer = SSL_get0_peer_certificate(ssl);

    return SSL_get_verify_result(ssl) == X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE
               ? peer
               : NULL;
}

void tls_identities(const SSL *ssl, char ret[TLS_NAMES_MAX])
{
    X509 *peer = verified(ssl);

    ret[0] = '\0';
    if (peer == NULL)
        return;
    (void)tls_name_domains(peer, on_domain, ret);
    add_addresses(peer, ret);
}

int tls_verify_peer(const SSL *ssl, const char *domain)
{
    X509 *peer = verified(ssl);

    if (peer == NULL)
        return -ENOENT;
    return tls_name_is(peer, domain) ? 0 : -EACCES;
}

static const char *const CIPHERS[TLS_CIPHERS] = {
    "TLS_AES_128_GCM_SHA256",       "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",  "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",  "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",  "other",
};

const char *tls_cipher_name(uint32_t cipher)
{
    return CIPHERS[cipher];
}

uint32_t tls_cipher(const char *name)
{
    uint32_t cipher = 0;

    while (cipher < TLS_CIPHERS - 1 && strcmp(CIPHERS[cipher], name) != 0)
        cipher++;
    return cipher;
}
