/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's `health:`: every key's value and default.
 */
#include "tests/unit/config/sample.h"

static void test_health(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    const struct cfg_health *h = &cfg->pools[0].health;

    assert_true(cfg->pools[0].has_health);
    assert_int_equal(h->probe, CFG_PROBE_OPTIONS);
    assert_int_equal(h->transport, SIP_TRANSPORT_TCP);
    assert_false(h->passive);
    assert_int_equal(h->interval_ms, 2000);
    assert_int_equal(h->fast_interval_ms, 100);
    assert_int_equal(h->timeout_ms, 500);
    assert_int_equal(h->rise, 4);
    assert_int_equal(h->fall, 5);
    for (uint16_t status = 0; status < 800; status++) {
        assert_int_equal(cfg_statuses_have(&h->accept, status),
                         (status >= 200 && status < 300) || status == 404 ||
                             (status >= 480 && status < 490));
        assert_int_equal(cfg_statuses_have(&h->busy, status), status == 503 || status == 600);
    }
    assert_int_equal(h->retry_after_ms, 7000);
    assert_string_equal(h->drain_header, "Reason");
    assert_string_equal(h->drain_text, "draining now");
    assert_int_equal(h->slow_start_ms, 60000);
    assert_int_equal(h->eject_floor, 20);
    assert_int_equal(h->eject_percent, 60);
    assert_int_equal(h->eject_max_percent, 30);
    assert_string_equal(h->media.uri, "sip:echo@{backend}");
    assert_int_equal(h->media.srtp, CFG_MEDIA_SDES);
    assert_int_equal(h->media.codec, CFG_MEDIA_PCMA);
    assert_int_equal(h->media.interval_ms, 60000);
    assert_int_equal(h->media.fast_interval_ms, 2000);
    assert_int_equal(h->media.timeout_ms, 3000);
    assert_int_equal(h->media.length_ms, 500);
    assert_int_equal(h->media.rise, 1);
    assert_int_equal(h->media.fall, 4);
    assert_int_equal(h->media.max, 5);
    assert_false(cfg->pools[2].has_health);
    cfg_free(cfg);
}

static void test_health_defaults(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    const struct cfg_health *h = &cfg->pools[1].health; /* mostly */

    assert_true(cfg->pools[1].has_health);
    assert_int_equal(h->probe, CFG_PROBE_OPTIONS);
    assert_int_equal(h->transport, SIP_TRANSPORT_UDP);
    assert_true(h->passive);
    assert_int_equal(h->interval_ms, 150);
    assert_int_equal(h->fast_interval_ms, 150); /* never above it */
    assert_int_equal(h->timeout_ms, 800);
    assert_int_equal(h->rise, 2);
    assert_int_equal(h->fall, 3);
    for (uint16_t status = 200; status < 700; status++) {
        assert_int_equal(cfg_statuses_have(&h->accept, status), status < 500);
        assert_false(cfg_statuses_have(&h->busy, status));
    }
    assert_int_equal(h->retry_after_ms, 5000);
    assert_string_equal(h->drain_header, "X-Drain");
    assert_null(h->drain_text);
    assert_int_equal(h->slow_start_ms, 0);
    assert_int_equal(h->eject_floor, 10);
    assert_int_equal(h->eject_percent, 50);
    assert_int_equal(h->eject_max_percent, 50);
    assert_string_equal(h->media.uri, "sip:echo@example.net;user=phone");
    assert_int_equal(h->media.srtp, CFG_MEDIA_PLAIN);
    assert_int_equal(h->media.codec, CFG_MEDIA_PCMU);
    assert_int_equal(h->media.interval_ms, 3000);
    assert_int_equal(h->media.fast_interval_ms, 3000); /* never above it */
    assert_int_equal(h->media.timeout_ms, 4000);
    assert_int_equal(h->media.length_ms, 1000);
    assert_int_equal(h->media.rise, 2);
    assert_int_equal(h->media.fall, 3);
    assert_int_equal(h->media.max, 2);
    cfg_free(cfg);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_health_defaults),
    };

    if (argc > 1)
        sample_dir = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
