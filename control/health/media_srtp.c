/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SRTP by libsrtp2: see media_srtp.h. The library's tables are made with the first stream and stay.
 */
#include "control/health/media_srtp.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <srtp2/srtp.h>

enum { WINDOW = 1024 }; /* packets that may come out of order */

static_assert((int)MEDIA_SRTP_TRAILER >= SRTP_MAX_TRAILER_LEN, "room for what SRTP adds");

struct media_srtp {
    srtp_t out, in;
};

static bool initialized;

static srtp_t session(const uint8_t key[MEDIA_SRTP_KEY], srtp_ssrc_type_t which)
{
    unsigned char copy[MEDIA_SRTP_KEY];
    srtp_policy_t policy = {.ssrc = {.type = which}, .window_size = WINDOW};
    srtp_t made = NULL;

    memcpy(copy, key, sizeof(copy));
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
    policy.key = copy;
    if (srtp_create(&made, &policy) != srtp_err_status_ok)
        made = NULL;
    explicit_bzero(copy, sizeof(copy));
    return made;
}

struct media_srtp *media_srtp_new(const uint8_t out_key[MEDIA_SRTP_KEY],
                                  const uint8_t in_key[MEDIA_SRTP_KEY])
{
    struct media_srtp *srtp = calloc(1, sizeof(*srtp));

    if (srtp == NULL)
        return NULL;
    if (!initialized && srtp_init() != srtp_err_status_ok) {
        free(srtp);
        return NULL;
    }
    initialized = true;
    srtp->out = session(out_key, ssrc_any_outbound);
    srtp->in = session(in_key, ssrc_any_inbound);
    if (srtp->out == NULL || srtp->in == NULL) {
        media_srtp_free(srtp);
        return NULL;
    }
    return srtp;
}

void media_srtp_free(struct media_srtp *srtp)
{
    if (srtp == NULL)
        return;
    if (srtp->out != NULL)
        srtp_dealloc(srtp->out);
    if (srtp->in != NULL)
        srtp_dealloc(srtp->in);
    free(srtp);
}

int media_srtp_protect(struct media_srtp *srtp, uint8_t *packet, size_t length, size_t size)
{
    int bytes = (int)length;

    if (length + MEDIA_SRTP_TRAILER > size)
        return -EMSGSIZE;
    return srtp_protect(srtp->out, packet, &bytes) == srtp_err_status_ok ? bytes : -EINVAL;
}

int media_srtp_unprotect(struct media_srtp *srtp, uint8_t *packet, size_t length)
{
    int bytes = (int)length;

    switch (srtp_unprotect(srtp->in, packet, &bytes)) {
    case srtp_err_status_ok:
        return bytes;
    case srtp_err_status_auth_fail:
        return -EBADMSG;
    case srtp_err_status_replay_fail:
    case srtp_err_status_replay_old:
        return -EALREADY;
    default:
        return -EINVAL;
    }
}
