/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for control's streams: what the configuration says of certificates and of who may connect, as
 * OpenSSL contexts, and the SSL of each connection. One struct tls is one configuration, never
 * changed once it is made: a reload makes another, and connections keep the one that they began with.
 * It must not know sockets, buffers or SIP.
 *
 * All of them: TLS 1.2 and 1.3, forward secret AEAD ciphers alone, no compression, no early data; who asks
 * for a renegotiation gets an alert and nothing else of it; buffers are given back while a connection is
 * idle.
 *
 * Which certificate: the ones that bear the name that the client asks for (SNI), first as it is, then
 * by a wildcard for its first label; for a name that none bears, or without one, those of the first
 * certificate's names. Of several for one name an ECDSA key goes before an RSA key where the client
 * can verify it; of one kind the first that is configured.
 *
 * Tickets: sealed by keys that derive from the cluster's secret and the day, so that every node and
 * a restarted control take them, for a day at least and two at most. They are good where the same is
 * asked of clients as where they were given: other CAs or another CRL mean a full handshake. Keys
 * that were rotated away (tandemctl rotate-secret) end their tickets.
 *
 * ALPN: a tls listener answers `sip/2` (IANA) or `sip`, wss `http/1.1`; a client that offers
 * protocols, but not these, is refused (RFC 7301 §3.2); one that offers none is welcome.
 *
 * Any thread may call everything here.
 */
#ifndef TANDEM_CONTROL_STREAM_TLS_H
#define TANDEM_CONTROL_STREAM_TLS_H

#include <openssl/types.h>
#include <sys/types.h>

#include "config/compile.h"

struct tls;

/*
 * Reads the files of all tls and wss listeners and of pools with backends by TLS. Returns what tls_free gives back, also for a
 * configuration without such listeners; or NULL and *ret_error: file, line and key of the
 * configuration and the reason, which quotes nothing of a key. What is refused: a file that cannot
 * be read or is not what it should be; a key that is encrypted, that everybody may read, or that is
 * not the certificate's; a CA list or CRL without an entry. What is only logged as a warning, since
 * it must hinder neither a restart nor the renewal of another: a certificate or CRL that is expired
 * or not yet valid, an OCSP response that is too old or of another certificate.
 */
struct tls *tls_new(const struct cfg *cfg, const struct compile_secret *secret,
                    struct cfg_error *ret_error);

/* What tls_new would say: 0, or -EINVAL and *ret_error. */
int tls_check(const struct cfg *cfg, struct cfg_error *ret_error);

/* One more, one less who holds it. Each SSL holds its own until SSL_free. */
struct tls *tls_keep(struct tls *tls);
void tls_free(struct tls *tls);

/* The server's side of a connection that a listener of this address accepted, for SSL_free. NULL: no
 * TLS is configured there (any more), or no memory. */
SSL *tls_accept(struct tls *tls, const struct sip_addr *listener);

/*
 * The client's side of a connection from the service that has a TLS listener at this address: shows
 * that listener's first certificate, trusts its client_ca, or without one the system's CAs, and asks
 * for the name. The peer must be the name: a SIP domain by RFC 5922 §7 (the one that was resolved,
 * not what DNS made of it), or an IP address's text, which must be among its certificate's addresses.
 */
SSL *tls_connect(struct tls *tls, const struct sip_addr *listener, const char *name);

enum { TLS_NAME_MAX = 256, TLS_NAMES_MAX = 1024, TLS_BACKEND_MAX = 64 + TLS_NAME_MAX };

/*
 * The same to a backend: writes the `name` that tls_connect knows it by. It is the pool's `name`, or
 * the host whose name is its address, or the address; and POOL/NAME where the pool's `tls:` has a CA or
 * a certificate, which count before the listener's then. Pool and backend: as snapshots name them. 0, or -ENOENT: this
 * configuration does not reach it by TLS.
 */
int tls_backend(const struct tls *tls, struct sip_slice pool, struct sip_slice backend,
                const struct sip_ip *ip, char ret[TLS_BACKEND_MAX]);

/* An address as certificates have it, without brackets. */
void tls_address_print(const struct sip_ip *ip, char ret[SIP_IP_TEXT_MAX + 1]);

/* What is known of a connection whose handshake is over. Texts are printable ASCII, cut at their end
 * where they are too long, empty where there is nothing to tell. */
struct tls_facts {
    const char *version;          /* TLSv1.2, TLSv1.3 */
    const char *cipher;           /* OpenSSL's name; like the version it is there for ever */
    bool resumed;                 /* by a ticket */
    char sni[TLS_NAME_MAX];       /* what the client asked for */
    char alpn[16];                /* what was agreed upon */
    char subject[TLS_NAME_MAX];   /* of the peer's certificate; empty: it showed none */
    char names[TLS_NAMES_MAX];    /* its SIP domains (RFC 5922 §7.1), blanks between them */
};

void tls_describe(const SSL *ssl, struct tls_facts *ret);

/* The ciphers that are offered and taken, for counters: OpenSSL's names, and the number of one. The
 * last is "other", and every name's that is not among them. */
enum { TLS_CIPHERS = 10 };

const char *tls_cipher_name(uint32_t cipher);
uint32_t tls_cipher(const char *name);

/*
 * Who the peer showed to be by a certificate that was verified: its SIP domains, and the addresses
 * among its alternative names, blanks between them; as many as there is room for. "": nobody.
 */
void tls_identities(const SSL *ssl, char ret[TLS_NAMES_MAX]);

/* Whether the peer showed a certificate that was verified and that is the domain's (RFC 5922 §7.2):
 * 0, -ENOENT (it showed none) or -EACCES (it is another's). */
int tls_verify_peer(const SSL *ssl, const char *domain);

/* Why a handshake or a connection failed. */
enum tls_failure {
    TLS_FAILURE_CLOSED,           /* the peer left, or reset the connection, without a word */
    TLS_FAILURE_PLAIN_TEXT,       /* what came is not TLS */
    TLS_FAILURE_VERSION,          /* no version in common */
    TLS_FAILURE_CIPHER,           /* no cipher, group or signature in common */
    TLS_FAILURE_ALPN,             /* no protocol in common */
    TLS_FAILURE_NO_CERTIFICATE,   /* the peer's is required */
    TLS_FAILURE_UNKNOWN_CA,       /* the peer's: nobody signed it whom we trust */
    TLS_FAILURE_EXPIRED,          /* the peer's: not valid now */
    TLS_FAILURE_REVOKED,          /* the peer's: the CRL names it */
    TLS_FAILURE_CRL,              /* the peer's: its CA has no CRL that is valid now */
    TLS_FAILURE_NAME,             /* the peer's: of a domain that is not asked for */
    TLS_FAILURE_BAD_CERTIFICATE,  /* the peer's: wrong otherwise */
    TLS_FAILURE_DISTRUSTED,       /* the peer's alert: it does not trust our certificate */
    TLS_FAILURE_ALERT,            /* another of the peer's alerts */
    TLS_FAILURE_PROTOCOL,         /* what came breaks the rules of TLS: truncated, forged, out of turn */
    TLS_FAILURE_INTERNAL,         /* no memory, and what should not be */
    TLS_FAILURE_COUNT,
};

/* The failure of a connection, from the last error that OpenSSL told; 0: none, the transport ended. */
enum tls_failure tls_failure(const SSL *ssl, unsigned long error);

/* As counters name it: closed_early, plain_text, protocol_version…; and for a person who wants to know
 * why a peer is not connected to. */
const char *tls_failure_name(enum tls_failure failure);
const char *tls_failure_text(enum tls_failure failure);

/*
 * A connection of tls_connect over a descriptor that does not block, for who has no thread of streams,
 * as probes. Both stay the caller's; the descriptor outlives the SSL. SIGPIPE must be ignored.
 *
 * begin: 0 or -ENOMEM. shake, until 0; read: the bytes that came, more may be there until it says
 * -EAGAIN. Both else: -EAGAIN (again when the descriptor can be read), -EINPROGRESS (when it can be
 * written), -ECONNRESET (it ended, *ret_failure: CLOSED), -EPROTO (*ret_failure says why).
 * write: all, or false: then nothing more can be written. end: says goodbye after a handshake, and
 * frees; NULL does nothing.
 */
int tls_wire_begin(SSL *ssl, int fd);
int tls_wire_shake(SSL *ssl, enum tls_failure *ret_failure);
ssize_t tls_wire_read(SSL *ssl, void *bytes, size_t room, enum tls_failure *ret_failure);
bool tls_wire_write(SSL *ssl, const void *bytes, size_t length);
void tls_wire_end(SSL *ssl);

#endif
