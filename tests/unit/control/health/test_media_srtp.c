/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends of an SRTP call, and those who do not have the key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "control/health/media_srtp.h"
#include "control/health/rtp.h"

enum { PAYLOAD = 160, ROOM = RTP_HEADER + PAYLOAD + MEDIA_SRTP_TRAILER, TAG = 10 };

static const uint8_t ours[MEDIA_SRTP_KEY] = "our key and salt: thirty bytes";
static const uint8_t theirs[MEDIA_SRTP_KEY] = "their key, and as long as ours";

static int packet_make(struct media_srtp *srtp, uint16_t sequence, uint8_t bytes[ROOM])
{
    const struct rtp_packet packet = {.sequence = sequence, .ssrc = 77, .timestamp = sequence};

    rtp_header_write(&packet, bytes);
    memset(bytes + RTP_HEADER, 'x', PAYLOAD);
    return media_srtp_protect(srtp, bytes, RTP_HEADER + PAYLOAD, ROOM);
}

static void there_and_back(void **context)
{
    struct media_srtp *a = media_srtp_new(ours, theirs), *b = media_srtp_new(theirs, ours);
    _Alignas(8) uint8_t bytes[ROOM], copy[ROOM];

    (void)context;
    assert_non_null(a);
    assert_non_null(b);
    for (uint32_t i = 0; i < 100; i++) {
        uint16_t sequence = (uint16_t)(65500 + i); /* over the end */

        assert_int_equal(packet_make(a, sequence, bytes), RTP_HEADER + PAYLOAD + TAG);
        assert_memory_not_equal(bytes + RTP_HEADER, "xxxxxxxx", 8);
        memcpy(copy, bytes, sizeof(copy));
        assert_int_equal(media_srtp_unprotect(b, bytes, RTP_HEADER + PAYLOAD + TAG),
                         RTP_HEADER + PAYLOAD);
        for (uint32_t j = 0; j < PAYLOAD; j++)
            assert_int_equal(bytes[RTP_HEADER + j], 'x');
        assert_int_equal(media_srtp_unprotect(b, copy, RTP_HEADER + PAYLOAD + TAG), -EALREADY);
    }
    assert_int_equal(media_srtp_protect(a, bytes, RTP_HEADER, RTP_HEADER), -EMSGSIZE);
    media_srtp_free(a);
    media_srtp_free(b);
    media_srtp_free(NULL);
}

/* Wrong key, a changed bit anywhere, no protection at all, cut short. */
static void not_authentic(void **context)
{
    struct media_srtp *a = media_srtp_new(ours, theirs), *wrong = media_srtp_new(ours, theirs);
    struct media_srtp *b = media_srtp_new(theirs, ours);
    _Alignas(8) uint8_t bytes[ROOM], copy[ROOM];
    int length;

    (void)context;
    assert_true(a != NULL && b != NULL && wrong != NULL);
    length = packet_make(a, 1, bytes);
    memcpy(copy, bytes, sizeof(copy));
    assert_int_equal(media_srtp_unprotect(wrong, copy, (size_t)length), -EBADMSG);
    for (int i = 8; i < length; i++) {
        memcpy(copy, bytes, sizeof(copy));
        copy[i] ^= 1;
        assert_int_equal(media_srtp_unprotect(b, copy, (size_t)length), -EBADMSG);
    }
    memcpy(copy, bytes, sizeof(copy));
    assert_true(media_srtp_unprotect(b, copy, RTP_HEADER) < 0);
    assert_true(media_srtp_unprotect(b, copy, 5) < 0);
    memcpy(copy, bytes, sizeof(copy));
    assert_int_equal(media_srtp_unprotect(b, copy, (size_t)length), RTP_HEADER + PAYLOAD);
    media_srtp_free(a);
    media_srtp_free(b);
    media_srtp_free(wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(not_authentic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
