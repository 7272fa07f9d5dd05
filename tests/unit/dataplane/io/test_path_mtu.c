/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path MTUs: what is believed, for how long, and what a flood of them can do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/io/path_mtu.h"

static const struct lb_key KEY = {3, 4};

static struct sip_ip host(uint32_t number)
{
    struct sip_ip ip = {{0x20, 0x01, 0x0d, 0xb8}};

    memcpy(ip.bytes + 12, &number, sizeof(number));
    return ip;
}

static void test_learn(void **state)
{
    static const struct {
        uint32_t mtu;
        bool learnt;
    } rows[] = {{1400, true},  {1280, true}, {1279, false},  {0, false},         {1500, false},
                {1501, false}, {576, false}, {65600, false}, {0xffffffff, false}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct io_path_mtu *table = io_path_mtu_new(&KEY);
        struct sip_ip one = host(1), other = host(2);

        assert_int_equal(io_path_mtu_get(table, &one, 1500), 1500);
        assert_int_equal(io_path_mtu_learn(table, &one, rows[i].mtu, 1500, 5), rows[i].learnt);
        assert_int_equal(io_path_mtu_get(table, &one, 1500), rows[i].learnt ? rows[i].mtu : 1500);
        assert_int_equal(io_path_mtu_get(table, &one, 1300),
                         rows[i].learnt && rows[i].mtu < 1300 ? rows[i].mtu : 1300);
        assert_int_equal(io_path_mtu_get(table, &other, 1500), 1500);
        io_path_mtu_free(table);
    }
}

static void test_expire(void **state)
{
    struct io_path_mtu *table = io_path_mtu_new(&KEY);
    struct sip_ip one = host(1), other = host(2);

    assert_true(io_path_mtu_learn(table, &one, 1400, 1500, 1000));
    assert_true(io_path_mtu_learn(table, &other, 1400, 1500, 1000));
    assert_true(io_path_mtu_learn(table, &other, 1300, 1500, 2000));
    io_path_mtu_expire(table, 1000 + IO_PATH_MTU_MS - 1);
    assert_int_equal(io_path_mtu_get(table, &one, 1500), 1400);
    io_path_mtu_expire(table, 1000 + IO_PATH_MTU_MS);
    assert_int_equal(io_path_mtu_get(table, &one, 1500), 1500);
    assert_int_equal(io_path_mtu_get(table, &other, 1500), 1300);
    io_path_mtu_expire(table, 2000 + IO_PATH_MTU_MS);
    assert_int_equal(io_path_mtu_get(table, &other, 1500), 1500);
    io_path_mtu_free(table);
}

/* A full table forgets the oldest; what was learnt last is known. */
static void test_flood(void **state)
{
    struct io_path_mtu *table = io_path_mtu_new(&KEY);
    uint32_t known = 0;

    for (uint32_t i = 0; i < 100 * IO_PATH_MTU_ENTRIES; i++) {
        struct sip_ip ip = host(i);

        assert_true(io_path_mtu_learn(table, &ip, 1280, 1500, i));
        assert_int_equal(io_path_mtu_get(table, &ip, 1500), 1280);
    }
    for (uint32_t i = 0; i < 100 * IO_PATH_MTU_ENTRIES; i++) {
        struct sip_ip ip = host(i);

        known += io_path_mtu_get(table, &ip, 1500) == 1280;
    }
    assert_int_equal(known, IO_PATH_MTU_ENTRIES);
    io_path_mtu_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learn),
        cmocka_unit_test(test_expire),
        cmocka_unit_test(test_flood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
