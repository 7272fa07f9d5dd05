/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One SRTP stream each way (RFC 3711, AES_CM_128_HMAC_SHA1_80), by libsrtp2, which is seen nowhere
 * else. It must not know where keys come from.
 */
#ifndef TANDEM_CONTROL_HEALTH_MEDIA_SRTP_H
#define TANDEM_CONTROL_HEALTH_MEDIA_SRTP_H

#include <stddef.h>
#include <stdint.h>

enum {
    MEDIA_SRTP_KEY = 30,              /* bytes: master key and salt */
    MEDIA_SRTP_TRAILER = 148,         /* bytes that a packet may grow by (SRTP_MAX_TRAILER_LEN) */
};

struct media_srtp;

/* out_key: of what we send; in_key: of what comes. NULL: no memory. In the loop's thread. */
struct media_srtp *media_srtp_new(const uint8_t out_key[MEDIA_SRTP_KEY],
                                  const uint8_t in_key[MEDIA_SRTP_KEY]);
void media_srtp_free(struct media_srtp *srtp);

/* Protects a packet of RTP in place; `size` is what the buffer has room for. The new length, or
 * -EMSGSIZE, -EINVAL. */
int media_srtp_protect(struct media_srtp *srtp, uint8_t *packet, size_t length, size_t size);
/* Authenticates and decrypts one in place, 4-byte aligned. The new length; -EBADMSG: it is not by
 * who has the key; -EALREADY: it came before; -EINVAL: no packet. */
int media_srtp_unprotect(struct media_srtp *srtp, uint8_t *packet, size_t length);

#endif
