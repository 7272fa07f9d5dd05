/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a TLS connection failed, from OpenSSL's error codes: see tls.h.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "control/stream/tls/tls.h"

static const char *const NAMES[TLS_FAILURE_COUNT] = {
    [TLS_FAILURE_CLOSED] = "closed_early",
    [TLS_FAILURE_PLAIN_TEXT] = "plain_text",
    [TLS_FAILURE_VERSION] = "protocol_version",
    [TLS_FAILURE_CIPHER] = "no_shared_cipher",
    [TLS_FAILURE_ALPN] = "no_shared_protocol",
    [TLS_FAILURE_NO_CERTIFICATE] = "no_certificate",
    [TLS_FAILURE_UNKNOWN_CA] = "unknown_ca",
    [TLS_FAILURE_EXPIRED] = "expired_certificate",
    [TLS_FAILURE_REVOKED] = "revoked_certificate",
    [TLS_FAILURE_CRL] = "no_valid_crl",
    [TLS_FAILURE_NAME] = "other_name",
    [TLS_FAILURE_BAD_CERTIFICATE] = "bad_certificate",
    [TLS_FAILURE_DISTRUSTED] = "distrusted",
    [TLS_FAILURE_ALERT] = "alert",
    [TLS_FAILURE_PROTOCOL] = "protocol_error",
    [TLS_FAILURE_INTERNAL] = "internal_error",
};

static const char *const TEXTS[TLS_FAILURE_COUNT] = {
    [TLS_FAILURE_CLOSED] = "it left during TLS's handshake",
    [TLS_FAILURE_PLAIN_TEXT] = "it does not speak TLS",
    [TLS_FAILURE_VERSION] = "no version of TLS in common",
    [TLS_FAILURE_CIPHER] = "no cipher in common",
    [TLS_FAILURE_ALPN] = "no protocol in common",
    [TLS_FAILURE_NO_CERTIFICATE] = "it has no certificate",
    [TLS_FAILURE_UNKNOWN_CA] = "its certificate is of an unknown CA",
    [TLS_FAILURE_EXPIRED] = "its certificate is not valid now",
    [TLS_FAILURE_REVOKED] = "its certificate is revoked",
    [TLS_FAILURE_CRL] = "its certificate's CA has no valid CRL",
    [TLS_FAILURE_NAME] = "its certificate is of another name",
    [TLS_FAILURE_BAD_CERTIFICATE] = "its certificate is bad",
    [TLS_FAILURE_DISTRUSTED] = "it does not trust our certificate",
    [TLS_FAILURE_ALERT] = "it refused with an alert",
    [TLS_FAILURE_PROTOCOL] = "what it says breaks the rules of TLS",
    [TLS_FAILURE_INTERNAL] = "no memory for TLS",
};

/* What was wrong with the peer's certificate. */
static enum tls_failure of_certificate(long result)
{
    switch (result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        return TLS_FAILURE_UNKNOWN_CA;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return TLS_FAILURE_EXPIRED;
    case X509_V_ERR_CERT_REVOKED:
        return TLS_FAILURE_REVOKED;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
        return TLS_FAILURE_CRL;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return TLS_FAILURE_NAME;
    default:
        return TLS_FAILURE_BAD_CERTIFICATE;
    }
}

/* What the peer said when it left. */
static enum tls_failure of_alert(int alert)
{
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
        return TLS_FAILURE_DISTRUSTED;
    case SSL_AD_PROTOCOL_VERSION:
        return TLS_FAILURE_VERSION;
    case SSL_AD_USER_CANCELLED:
    case SSL_AD_CLOSE_NOTIFY:
        return TLS_FAILURE_CLOSED;
    default:
        return TLS_FAILURE_ALERT;
    }
}

/* What OpenSSL itself did not like. */
static enum tls_failure of_reason(const SSL *ssl, int reason)
{
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
        return TLS_FAILURE_PLAIN_TEXT;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_INAPPROPRIATE_FALLBACK:
        return TLS_FAILURE_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        return TLS_FAILURE_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return TLS_FAILURE_ALPN;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return TLS_FAILURE_NO_CERTIFICATE;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return of_certificate(SSL_get_verify_result(ssl));
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return TLS_FAILURE_CLOSED;
    case ERR_R_MALLOC_FAILURE:
    case ERR_R_INTERNAL_ERROR:
        return TLS_FAILURE_INTERNAL;
    default:
        return TLS_FAILURE_PROTOCOL;
    }
}

enum tls_failure tls_failure(const SSL *ssl, unsigned long error)
{
    int reason = ERR_GET_REASON(error);

    if (error == 0 || ERR_SYSTEM_ERROR(error))
        return TLS_FAILURE_CLOSED;
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return reason == ERR_R_MALLOC_FAILURE || ERR_GET_LIB(error) == ERR_LIB_RAND
                   ? TLS_FAILURE_INTERNAL
                   : TLS_FAILURE_PROTOCOL;
    if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        return of_alert(reason - SSL_AD_REASON_OFFSET);
    return of_reason(ssl, reason);
}

const char *tls_failure_name(enum tls_failure failure)
{
    return NAMES[failure];
}

const char *tls_failure_text(enum tls_failure failure)
{
    return TEXTS[failure];
}
