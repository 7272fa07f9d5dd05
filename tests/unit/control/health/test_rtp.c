/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of RTP, and the figures of streams against those worked out by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/health/rtp.h"

static void writes_what_it_reads(void **context)
{
    const struct rtp_packet packet = {
        .timestamp = 0xfedcba98, .ssrc = 0x12345678, .sequence = 0xabcd, .type = 8, .marker = true};
    uint8_t bytes[RTP_HEADER + 3] = {[RTP_HEADER] = 1, 2, 3};
    struct rtp_packet back;

    (void)context;
    rtp_header_write(&packet, bytes);
    assert_memory_equal(bytes, "\x80\x88\xab\xcd\xfe\xdc\xba\x98\x12\x34\x56\x78", RTP_HEADER);
    assert_int_equal(rtp_parse(bytes, sizeof(bytes), &back), 0);
    assert_ptr_equal(back.payload, bytes + RTP_HEADER);
    assert_int_equal(back.length, 3);
    assert_int_equal(back.timestamp, packet.timestamp);
    assert_int_equal(back.ssrc, packet.ssrc);
    assert_int_equal(back.sequence, packet.sequence);
    assert_int_equal(back.type, 8);
    assert_true(back.marker);
}

#define FIXED "\0\0\0\0\0\0\0\0\0\0"

static void reads_odd_packets(void **context)
{
    static const struct {
        const char *bytes;
        size_t size;
        int length; /* of the payload; below 0: the error */
    } cases[] = {
        {"\x80\x00" FIXED, 12, 0},
        {"\x80\x00" FIXED, 11, -EINVAL},
        {"\x40\x00" FIXED, 12, -EINVAL},
        {"\x80\xc8" FIXED, 12, -EINVAL},   /* RTCP's sender report */
        {"\x81\x00" FIXED "SRC1x", 17, 1}, /* a contributing source */
        {"\x81\x00" FIXED "SRC", 15, -EINVAL},
        {"\x90\x00" FIXED "\xbe\xde\x00\x01"
         "EXTNxy",
         22, 2}, /* an extension of a word */
        {"\x90\x00" FIXED "\xbe\xde\x00\x02"
         "EXTNxy",
         22, -EINVAL},
        {"\x90\x00" FIXED "\xbe\xde\x00", 15, -EINVAL},
        {"\xa0\x00" FIXED "xy\x00\x02", 16, 2}, /* padding */
        {"\xa0\x00" FIXED "xy\x00\x05", 16, -EINVAL},
        {"\xa0\x00" FIXED "xy\x00\x00", 16, -EINVAL},
        {"\xa0\x00" FIXED, 12, -EINVAL},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *copy = malloc(cases[i].size);
        struct rtp_packet packet;
        int status;

        memcpy(copy, cases[i].bytes, cases[i].size);
        status = rtp_parse(copy, cases[i].size, &packet);
        assert_int_equal(status == 0 ? (int)packet.length : status, cases[i].length);
        free(copy);
    }
}

static void add(struct rtp_stats *stats, uint16_t sequence, uint64_t now_ms)
{
    struct rtp_packet packet = {.ssrc = 1, .sequence = sequence, .timestamp = sequence * 160u};

    rtp_stats_add(stats, &packet, now_ms * 1000);
}

/* Lost, twice, out of order and over the sequence's end. RFC 3550 §A.1, §A.3. */
static void counts_what_is_lost(void **context)
{
    struct rtp_stats stats = {0};

    (void)context;
    assert_int_equal(rtp_stats_lost(&stats), 0);
    add(&stats, 65534, 0);
    assert_int_equal(rtp_stats_lost(&stats), 0);
    add(&stats, 65535, 20);
    add(&stats, 2, 80);
    assert_int_equal(rtp_stats_lost(&stats), 2);
    add(&stats, 1, 90);
    assert_int_equal(rtp_stats_lost(&stats), 1);
    add(&stats, 65532, 91); /* from before the first */
    assert_int_equal(rtp_stats_lost(&stats), 2);
    assert_int_equal(stats.received, 5);
}

/* RFC 3550 §A.8 by hand: each change of the transit time moves it by a sixteenth. */
static void measures_jitter(void **context)
{
    struct rtp_stats stats = {0};

    (void)context;
    for (uint16_t i = 0; i < 100; i++)
        add(&stats, i, 20u * i);
    assert_int_equal(rtp_stats_jitter_us(&stats), 0);
    add(&stats, 100, 2008); /* 8 ms late: 64 samples, a sixteenth of it: 4 samples, 0.5 ms */
    assert_int_equal(rtp_stats_jitter_us(&stats), 500);
    for (uint16_t i = 101; i < 400; i++)
        add(&stats, i, 20u * i + (i % 2 == 0 ? 8 : 0));
    assert_in_range(rtp_stats_jitter_us(&stats), 7800, 8000);
}

static void another_source_begins_anew(void **context)
{
    struct rtp_packet packet = {.ssrc = 2, .sequence = 5000};
    struct rtp_stats stats = {0};

    (void)context;
    add(&stats, 1, 0);
    add(&stats, 9, 500);
    rtp_stats_add(&stats, &packet, 520000);
    assert_int_equal(stats.ssrc, 2);
    assert_int_equal(rtp_stats_lost(&stats), 0);
    assert_int_equal(rtp_stats_jitter_us(&stats), 0);
}

/* Whatever somebody sends, no figure overflows. */
static void noise_is_bounded(void **context)
{
    struct rtp_stats stats = {0};

    (void)context;
    srandom(1);
    for (uint32_t i = 0; i < 100000; i++) {
        struct rtp_packet packet = {
            .ssrc = 1, .sequence = (uint16_t)random(), .timestamp = (uint32_t)random() * 2u};

        rtp_stats_add(&stats, &packet, i * 20000);
        assert_in_range(rtp_stats_jitter_us(&stats), 0, 10000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_it_reads),       cmocka_unit_test(reads_odd_packets),
        cmocka_unit_test(counts_what_is_lost),        cmocka_unit_test(measures_jitter),
        cmocka_unit_test(another_source_begins_anew), cmocka_unit_test(noise_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
