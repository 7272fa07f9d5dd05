/* SPDX-License-Identifier: Apache-2.0 */
/* perf/burst/check.h: what the burst generator counts as received, doubled, misrouted, corrupted.
 */
#include "perf/burst/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "perf/burst/stamp.h"

#define HEAD                                                                              \
    "INVITE sip:a@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1;branch=z9hG4bK1\r\n" \
    "Max-Forwards: 69\r\nFrom: <sip:b@example.net>;tag=1\r\nTo: <sip:a@example.net>\r\n"  \
    "Call-ID: c\r\nCSeq: 1 INVITE\r\n"
#define STAMP "................\r\n"
#define WITH_BODY HEAD "Content-Length: 26\r\n\r\na=burst:" STAMP
#define WITHOUT HEAD "Content-Length: 0\r\nX-Burst: " STAMP "\r\n"

static const uint8_t mac[6];
static struct check *check;
static struct load load;

static struct sip_addr address(uint8_t last, uint16_t port)
{
    const uint8_t bytes[4] = {10, 0, 0, last};

    return (struct sip_addr){sip_ip_from_v4(bytes), port};
}

static int setup(void **state)
{
    load = (struct load){calloc(2, sizeof(struct load_message)), 2, 2};
    for (uint32_t i = 0; i < load.n; i++) {
        struct load_message *m = &load.messages[i];

        m->side = LOAD_OUTSIDE;
        m->new = true;
        m->to = address((uint8_t)(1 + i), 5060);
        strcpy(m->result, i == 0 ? WITHOUT : WITH_BODY);
        m->result_length = (uint16_t)strlen(m->result);
        m->result_stamp = (uint16_t)stamp_offset(m->result, m->result_length);
    }
    check = calloc(1, sizeof(*check));
    check->load = &load;
    check->next = 1;
    check->tick_hz = 1000000;
    check_begin(check);
    return 0;
}

static int teardown(void **state)
{
    free(load.messages);
    free(check);
    return 0;
}

/* A datagram with this text, stamped, arrives 100 µs after it was sent. */
static void arrive(const char *text, uint32_t number, enum load_side side, struct sip_addr to,
                   int32_t break_at)
{
    uint8_t frame[LOAD_FRAME_MAX];
    struct sip_addr from = address(100, 5060);
    uint32_t headers = io_frame_headers(&to.ip), length = (uint32_t)strlen(text);
    char *payload = (char *)frame + headers;

    memcpy(payload, text, length);
    if (strstr(text, STAMP) != NULL)
        stamp_write(payload + stamp_offset(payload, length), number);
    io_frame_build(frame, mac, mac, &from, &to, length, 1);
    if (break_at >= 0)
        payload[break_at] ^= 1;
    check_receive(check, side, frame, headers + length, 200);
}

static void assert_counts(uint64_t received, uint64_t doubled, uint64_t misrouted,
                          uint64_t corrupted, uint64_t foreign, uint64_t late)
{
    const struct check_counts *c = &check->counts;

    assert_int_equal(c->received, received);
    assert_int_equal(c->doubled, doubled);
    assert_int_equal(c->misrouted, misrouted);
    assert_int_equal(c->corrupted, corrupted);
    assert_int_equal(c->foreign, foreign);
    assert_int_equal(c->late, late);
}

static void test_good(void **state)
{
    uint32_t one = check_send(check, 0, 100), two = check_send(check, 1, 100);

    arrive(WITHOUT, one, LOAD_INSIDE, address(1, 5060), -1);
    arrive(WITH_BODY, two, LOAD_INSIDE, address(2, 5060), -1);
    assert_counts(2, 0, 0, 0, 0, 0);
    assert_true(check_latency_us(check, 0.5) > 99 && check_latency_us(check, 0.5) < 101);
}

static void test_doubled(void **state)
{
    uint32_t number = check_send(check, 0, 100);

    arrive(WITHOUT, number, LOAD_INSIDE, address(1, 5060), -1);
    arrive(WITHOUT, number, LOAD_INSIDE, address(1, 5060), -1);
    assert_counts(1, 1, 0, 0, 0, 0);
}

static void test_misrouted(void **state)
{
    arrive(WITHOUT, check_send(check, 0, 100), LOAD_OUTSIDE, address(1, 5060), -1);
    arrive(WITHOUT, check_send(check, 0, 100), LOAD_INSIDE, address(2, 5060), -1);
    arrive(WITHOUT, check_send(check, 0, 100), LOAD_INSIDE, address(1, 5061), -1);
    assert_counts(3, 0, 3, 0, 0, 0);
    check->mode = CHECK_LIKE; /* any backend will do, but no other host */
    arrive(WITHOUT, check_send(check, 0, 100), LOAD_INSIDE, address(2, 5060), -1);
    assert_counts(4, 0, 3, 0, 0, 0);
    arrive(WITHOUT, check_send(check, 0, 100), LOAD_INSIDE, address(3, 5060), -1);
    assert_counts(5, 0, 4, 0, 0, 0);
}

static void test_corrupted(void **state)
{
    static const char other[] = HEAD "Subject: x\r\nContent-Length: 0\r\nX-Burst: " STAMP "\r\n";

    arrive(WITHOUT, check_send(check, 0, 100), LOAD_INSIDE, address(1, 5060), 20); /* checksum */
    assert_counts(0, 0, 0, 1, 0, 0);
    arrive(other, check_send(check, 0, 100), LOAD_INSIDE, address(1, 5060), -1);
    assert_counts(1, 0, 0, 2, 0, 0);
    check->mode = CHECK_LIKE;
    arrive(other, check_send(check, 0, 100), LOAD_INSIDE, address(1, 5060), -1);
    assert_counts(2, 0, 0, 2, 0, 0);
    arrive(WITH_BODY, check_send(check, 0, 100), LOAD_INSIDE, address(1, 5060), -1);
    assert_counts(3, 0, 0, 3, 0, 0);
    assert_memory_equal(check->odd, "INVITE", 6);
}

static void test_foreign_and_late(void **state)
{
    uint32_t number = check_send(check, 0, 100);

    arrive("SIP/2.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 0, LOAD_OUTSIDE,
           address(1, 5060), -1);
    assert_counts(0, 0, 0, 0, 1, 0);
    check_begin(check);
    arrive(WITHOUT, number, LOAD_INSIDE, address(1, 5060), -1);
    arrive(WITHOUT, number + 1, LOAD_INSIDE, address(1, 5060), -1); /* never sent */
    assert_counts(0, 0, 0, 0, 0, 2);
}

/* All digits, at even and odd places: the sum of 16-bit words stays what it was. */
static void test_stamp_sum(void **state)
{
    static const uint32_t numbers[] = {0, 1, 0xffffffff, 0x01234567, 0x89abcdef};
    uint32_t back, first = 0;

    for (uint32_t odd = 0; odd < 2; odd++) {
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            uint8_t bytes[STAMP_BYTES + 2] = {0};
            uint32_t sum = 0;

            stamp_write((char *)bytes + odd, numbers[i]);
            for (uint32_t at = 0; at < sizeof(bytes); at += 2)
                sum += (uint32_t)bytes[at] << 8 | bytes[at + 1];
            if (i == 0)
                first = sum;
            assert_int_equal(sum, first);
            assert_true(stamp_read((char *)bytes + odd, &back));
            assert_int_equal(back, numbers[i]);
            bytes[odd + 3] ^= 2;
            assert_false(stamp_read((char *)bytes + odd, &back));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_doubled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_misrouted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_corrupted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_and_late, setup, teardown),
        cmocka_unit_test(test_stamp_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
