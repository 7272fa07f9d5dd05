/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Prometheus is told: the text form read back strictly, what the numbers are, that every
 * counter of the data plane is told and every family is in README.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/metrics.h"
#include "control/metrics_counters.h"
#include "control/metrics_text.h"
#include "dataplane/counters.h"
#include "tests/unit/control/fake.h"

#define A "{name: a, address: 10.0.0.1, port: 5060, weight: 300}"
#define B "{name: b, address: 10.0.0.2, port: 5060}"

enum { SLOT_B = 5, SLOT_S = 1, FAMILIES_MAX = 128, SERIES_MAX = 1024 };

static const char *readme; /* the file */

/* What a text says; slices of it, the text is cut into strings. */
struct page {
    char *text;
    struct {
        char *name, *type;
        uint32_t n_series;
    } families[FAMILIES_MAX];
    struct {
        char *name, *value; /* name with its labels */
    } series[SERIES_MAX];
    uint32_t n_families, n_series;
};

static size_t name_length(const char *text)
{
    size_t n = 0;

    while (isalpha((unsigned char)text[n]) || text[n] == '_' ||
           (n > 0 && isdigit((unsigned char)text[n])))
        n++;
    return n;
}

/* {name="value",…}: its length, with \\, \" and \n as the only escapes. */
static size_t labels_length(const char *text)
{
    const char *at = text;

    if (*at != '{')
        return 0;
    do {
        at++;
        assert_true(name_length(at) > 0);
        at += name_length(at);
        assert_memory_equal(at, "=\"", 2);
        for (at += 2; *at != '"'; at++) {
            assert_true(*at != '\0' && *at != '\n');
            if (*at == '\\') {
                at++;
                assert_non_null(memchr("\\\"n", *at, 3));
            }
        }
        at++;
    } while (*at == ',');
    assert_int_equal(*at, '}');
    return (size_t)(at + 1 - text);
}

/* Two lines: HELP, then TYPE of the same name, which no family before has. */
static char *read_family(struct page *page, char *line)
{
    char *name = line + strlen("# HELP "), *type, *end;
    size_t length = name_length(name);

    assert_int_equal(name[length], ' ');
    name[length] = '\0';
    end = strchr(name + length + 1, '\n');
    assert_non_null(end);
    assert_true(end > name + length + 1);
    type = end + 1;
    assert_memory_equal(type, "# TYPE ", 7);
    assert_memory_equal(type + 7, name, length);
    type += 7 + length + 1;
    end = strchr(type, '\n');
    assert_non_null(end);
    *end = '\0';
    assert_true(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 ||
                strcmp(type, "histogram") == 0);
    assert_int_equal(strcmp(type, "counter") == 0,
                     length > 6 && strcmp(name + length - 6, "_total") == 0);
    assert_memory_equal(name, "tandem_", 7);
    for (uint32_t i = 0; i < page->n_families; i++)
        assert_string_not_equal(page->families[i].name, name);
    assert_true(page->n_families < FAMILIES_MAX);
    page->families[page->n_families].name = name;
    page->families[page->n_families++].type = type;
    return end + 1;
}

/* The length of a sample's name without what a histogram's samples have behind it. */
static size_t family_length(const char *type, const char *name)
{
    static const char *const suffixes[] = {"_bucket{", "_sum{", "_count{"};
    size_t length = name_length(name);

    for (size_t i = 0; strcmp(type, "histogram") == 0 && i < 3; i++) {
        size_t suffix = strlen(suffixes[i]) - 1;

        if (length > suffix && memcmp(name + length - suffix, suffixes[i], suffix + 1) == 0)
            return length - suffix;
    }
    return length;
}

/* A sample of the family begun last, unlike any before. */
static char *read_sample(struct page *page, char *line)
{
    size_t length = name_length(line);
    char *end, *value;

    assert_true(page->n_families > 0);
    assert_int_equal(family_length(page->families[page->n_families - 1].type, line),
                     strlen(page->families[page->n_families - 1].name));
    assert_memory_equal(line, page->families[page->n_families - 1].name,
                        strlen(page->families[page->n_families - 1].name));
    page->families[page->n_families - 1].n_series++;
    length += labels_length(line + length);
    assert_int_equal(line[length], ' ');
    line[length] = '\0';
    value = line + length + 1;
    assert_true(isdigit((unsigned char)*value));
    strtod(value, &end);
    assert_int_equal(*end, '\n');
    *end = '\0';
    for (uint32_t i = 0; i < page->n_series; i++)
        assert_string_not_equal(page->series[i].name, line);
    assert_true(page->n_series < SERIES_MAX);
    page->series[page->n_series].name = line;
    page->series[page->n_series++].value = value;
    return end + 1;
}

static void page_read(struct page *page, char *text, size_t length)
{
    memset(page, 0, sizeof(*page));
    assert_non_null(text);
    assert_int_equal(text[length - 1], '\n');
    page->text = text;
    for (char *at = text; at < text + length;)
        at = strncmp(at, "# HELP ", 7) == 0 ? read_family(page, at) : read_sample(page, at);
    for (uint32_t i = 0; i < page->n_families; i++)
        assert_true(page->families[i].n_series > 0);
}

/* The value of a series, or NULL. */
static const char *value(const struct page *page, const char *name)
{
    for (uint32_t i = 0; i < page->n_series; i++) {
        if (strcmp(page->series[i].name, name) == 0)
            return page->series[i].value;
    }
    return NULL;
}

static void assert_value(const struct page *page, const char *name, const char *expected)
{
    const char *found = value(page, name);

    if (found == NULL || strcmp(found, expected) != 0)
        fail_msg("%s is %s, not %s", name, found == NULL ? "missing" : found, expected);
}

static void text_is_escaped_and_without_empty_families(void **context)
{
    struct metrics_text *text = metrics_text_new();
    const struct metrics_label labels[] = {{"a", sip_slice_of("x\\y\"z\n")}, {"b", {"", 0}}};
    size_t length;
    char *bytes;

    (void)context;
    metrics_family(text, "tandem_nothing", METRICS_GAUGE, "Without samples.");
    metrics_family(text, "tandem_x_total", METRICS_COUNTER, "Help.");
    metrics_sample(text, labels, 2, UINT64_MAX);
    metrics_sample(text, NULL, 0, 0);
    metrics_family(text, "tandem_y", METRICS_GAUGE, "More.");
    metrics_sample_real(text, labels, 1, 0.25);
    bytes = metrics_text_end(text, &length);
    assert_string_equal(bytes, "# HELP tandem_x_total Help.\n"
                               "# TYPE tandem_x_total counter\n"
                               "tandem_x_total{a=\"x\\\\y\\\"z\\n\",b=\"\"} 18446744073709551615\n"
                               "tandem_x_total 0\n"
                               "# HELP tandem_y More.\n"
                               "# TYPE tandem_y gauge\n"
                               "tandem_y{a=\"x\\\\y\\\"z\\n\"} 0.25\n");
    assert_int_equal(length, strlen(bytes));
    free(bytes);
}

static void histogram_is_cumulative_and_in_seconds(void **context)
{
    struct metrics_text *text = metrics_text_new();
    const struct metrics_label label = {"a", sip_slice_of("x")};
    struct tally tally = {.silent = 1};
    const struct metrics_histogram histogram = {.bounds_us = tally_bounds_us,
                                                .n = TALLY_BOUNDS,
                                                .counts = tally.answered,
                                                .sum_us = 3502001};
    struct page page;
    size_t length;
    char *bytes;

    (void)context;
    tally_answer(&tally, 0);
    tally_answer(&tally, 500); /* a bound belongs to its bucket */
    tally_answer(&tally, 501);
    tally_answer(&tally, 1000000);
    tally_answer(&tally, 2501000); /* beyond all */
    assert_int_equal(tally_answers(&tally), 5);
    assert_int_equal(tally.latency_us, histogram.sum_us);
    metrics_family(text, "tandem_x_seconds", METRICS_HISTOGRAM, "Help.");
    metrics_sample_histogram(text, &label, 1, &histogram);
    bytes = metrics_text_end(text, &length);
    page_read(&page, bytes, length);
    assert_string_equal(page.families[0].type, "histogram");
    assert_int_equal(page.n_series, TALLY_BOUNDS + 3);
    assert_value(&page, "tandem_x_seconds_bucket{a=\"x\",le=\"0.0005\"}", "2");
    assert_value(&page, "tandem_x_seconds_bucket{a=\"x\",le=\"0.001\"}", "3");
    assert_value(&page, "tandem_x_seconds_bucket{a=\"x\",le=\"0.5\"}", "3");
    assert_value(&page, "tandem_x_seconds_bucket{a=\"x\",le=\"1\"}", "4");
    assert_value(&page, "tandem_x_seconds_bucket{a=\"x\",le=\"2.5\"}", "4");
    assert_value(&page, "tandem_x_seconds_bucket{a=\"x\",le=\"+Inf\"}", "5");
    assert_value(&page, "tandem_x_seconds_sum{a=\"x\"}", "3.502001");
    assert_value(&page, "tandem_x_seconds_count{a=\"x\"}", "5");
    free(bytes);
}

/* The real counters: each has its number + 1000 × the block's, so that no two sums are equal. */
static struct counters_header *counted(uint32_t n_workers)
{
    void *memory = aligned_alloc(64, (counters_bytes(n_workers) + 63) / 64 * 64);
    struct counters_header *counters;

    assert_non_null(memory);
    memset(memory, 0, counters_bytes(n_workers));
    counters = counters_init(memory, n_workers, 7, 1000, 100);
    for (uint32_t block = 0; block <= n_workers; block++) {
        for (uint32_t i = 0; i < counters->n_counters; i++)
            counters_block(counters, block)[i] = i + 1 + 1000u * block;
    }
    return counters;
}

static void every_counter_of_the_data_plane_is_told(void **context)
{
    struct counters_header *counters = counted(2);
    struct metrics_text *text = metrics_text_new();
    struct page page;
    char name[128], number[24];
    size_t length;
    char *bytes;

    (void)context;
    for (uint32_t i = 0; i < counters->n_counters; i++) {
        if (!metrics_counters_know(counters_name(counters, i)))
            fail_msg("counter %s needs a row in control/metrics_counters.c (and README's table)",
                     counters_name(counters, i));
    }
    assert_false(metrics_counters_know("no_such_counter"));
    metrics_counters_write(text, counters);
    bytes = metrics_text_end(text, &length);
    page_read(&page, bytes, length);
    snprintf(number, sizeof(number), "%u", COUNTER_RX_FRAMES + 1 + 2000);
    assert_value(&page, "tandem_received_frames_total{worker=\"1\"}", number);
    snprintf(number, sizeof(number), "%u", 3 * (COUNTER_DROP_FRAME_CHECKSUM + 1) + 3000);
    assert_value(&page, "tandem_dropped_frames_total{reason=\"checksum\"}", number);
    snprintf(number, sizeof(number), "%u", 3 * (COUNTER_DATAGRAM_BUFFERS_USED + 1) + 3000);
    assert_value(&page, "tandem_used_buffers{kind=\"datagram\"}", number);
    for (int reason = 0; reason < PROXY_REASON_COUNT; reason++) {
        const char *reason_name = proxy_reason_name((enum proxy_reason)reason);
        const char *verdict = "replied";

        if (strncmp(reason_name, "forwarded_", 10) == 0)
            verdict = "forwarded", reason_name += 10;
        else if (strncmp(reason_name, "drop_", 5) == 0)
            verdict = "dropped", reason_name += 5;
        else if (strncmp(reason_name, "punt_", 5) == 0)
            verdict = "punted", reason_name += 5;
        snprintf(name, sizeof(name), "tandem_verdicts_total{verdict=\"%s\",reason=\"%s\"}", verdict,
                 reason_name);
        snprintf(number, sizeof(number), "%u", 3 * (COUNTER_VERDICTS + reason + 1) + 3000);
        assert_value(&page, name, number);
    }
    free(bytes);
    free(counters);
}

/* After fake_setup: a control whose data plane gave backend b a slot. */
static struct reload *connect_to(struct fake *fake)
{
    uint32_t ready = 0;
    struct reload *reload;

    fake_start(fake);
    counters_slot_ids(fake->counters)[SLOT_B] =
        snapshot_backend_id(sip_slice_of("p"), sip_slice_of("b"));
    counters_service_ids(fake->counters)[SLOT_S] = snapshot_service_id(sip_slice_of("s"));
    reload = fake_reload(fake, &ready);
    fake_until(fake, &ready, 1);
    return reload;
}

static struct reload *connected(struct fake *fake)
{
    fake_setup(fake, A "," B);
    return connect_to(fake);
}

static const struct stream *streams; /* NULL: there are none */

static void page_of(struct page *page, const struct reload *reload, struct health *health)
{
    struct metrics_start start = {.reload = reload,
                                  .health = health,
                                  .stream = streams,
                                  .version = "1.2-x",
                                  .start_s = 1700000000};
    size_t length;
    char *text = metrics_write(&start, &length);

    page_read(page, text, length);
}

static void numbers_are_those_of_what_runs(void **context)
{
    struct fake fake;
    struct reload *reload = connected(&fake);
    struct page page;
    char number[24];

    (void)context;
    counters_slot_block(fake.counters, 1, COUNTERS_SLOT_STARTED)[SLOT_B] = 15;
    counters_slot_block(fake.counters, 2, COUNTERS_SLOT_ENDED)[SLOT_B] = 12;
    counters_slot_block(fake.counters, 1, COUNTERS_SLOT_REGISTRATIONS_STARTED)[SLOT_B] = 30;
    counters_slot_block(fake.counters, 0, COUNTERS_SLOT_REGISTRATIONS_ENDED)[SLOT_B] = 4;
    counters_slot_block(fake.counters, 1, COUNTERS_SLOT_SUBSCRIPTIONS_STARTED)[SLOT_B] = 6;
    counters_slot_block(fake.counters, 2, COUNTERS_SLOT_REQUESTS)[SLOT_B] = 77;
    counters_block(fake.counters, 2)[0] = 300;
    counters_service_block(fake.counters, 0, SLOT_S)[COUNTERS_SERVICE_REPLIED] = -(uint64_t)5;
    counters_service_block(fake.counters, 2, SLOT_S)[COUNTERS_SERVICE_REPLIED] = 70;
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "b", LB_DRAINING).status, RELOAD_DONE);
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "x", LB_DRAINING).status, RELOAD_REFUSED);
    page_of(&page, reload, NULL);
    assert_value(&page, "tandem_build_info{version=\"1.2-x\"}", "1");
    assert_value(&page, "tandem_control_start_time_seconds", "1700000000");
    assert_value(&page, "tandem_dataplane_connected", "1");
    assert_value(&page, "tandem_dataplane_info{epoch=\"7\"}", "1");
    assert_value(&page, "tandem_messages_total{worker=\"1\"}", "300");
    assert_value(&page, "tandem_service_messages_total{service=\"s\",outcome=\"replied\"}", "65");
    assert_value(&page, "tandem_service_messages_total{service=\"s\",outcome=\"dropped\"}", "0");
    assert_value(&page, "tandem_service_info{service=\"s\",pool=\"p\",mode=\"proxy\"}", "1");
    assert_value(&page, "tandem_pool_available_backends{pool=\"p\"}", "1");
    assert_value(&page, "tandem_pool_backends{pool=\"p\",state=\"up\"}", "1");
    assert_value(&page, "tandem_pool_backends{pool=\"p\",state=\"draining\"}", "1");
    assert_value(&page, "tandem_pool_backends{pool=\"p\",state=\"down\"}", "0");
    assert_value(&page, "tandem_backend_state{pool=\"p\",backend=\"b\",state=\"draining\"}", "1");
    assert_value(&page, "tandem_backend_state{pool=\"p\",backend=\"b\",state=\"up\"}", "0");
    assert_value(&page, "tandem_backend_admin_state{pool=\"p\",backend=\"b\",state=\"draining\"}",
                 "1");
    assert_value(&page, "tandem_backend_health_state{pool=\"p\",backend=\"b\",state=\"up\"}", "1");
    assert_null(value(&page, "tandem_backend_health_state{pool=\"p\",backend=\"b\","
                             "state=\"draining\"}"));
    assert_value(&page, "tandem_backend_weight{pool=\"p\",backend=\"a\"}", "300");
    assert_value(&page, "tandem_backend_share_ratio{pool=\"p\",backend=\"a\"}", "1");
    assert_value(&page, "tandem_backend_share_ratio{pool=\"p\",backend=\"b\"}", "0");
    assert_value(&page, "tandem_backend_calls{pool=\"p\",backend=\"b\"}", "3");
    assert_value(&page, "tandem_backend_registrations{pool=\"p\",backend=\"b\"}", "26");
    assert_value(&page, "tandem_backend_subscriptions{pool=\"p\",backend=\"b\"}", "6");
    assert_value(&page, "tandem_backend_calls_started_total{pool=\"p\",backend=\"b\"}", "15");
    assert_value(&page, "tandem_backend_requests_total{pool=\"p\",backend=\"b\"}", "77");
    assert_null(value(&page, "tandem_backend_calls{pool=\"p\",backend=\"a\"}")); /* no slot */
    assert_value(&page, "tandem_changes_total{change=\"admin\",outcome=\"done\"}", "1");
    assert_value(&page, "tandem_changes_total{change=\"admin\",outcome=\"refused\"}", "1");
    assert_value(&page, "tandem_changes_total{change=\"reload\",outcome=\"done\"}", "0");
    snprintf(number, sizeof(number), "%llu", (unsigned long long)fake.generation);
    assert_value(&page, "tandem_snapshot_generation", number);
    assert_value(&page, "tandem_snapshot_acknowledged_generation", number);
    assert_in_range(atoi(value(&page, "tandem_snapshot_age_seconds")), 0, 5);
    free(page.text);
    reload_free(reload);
    fake_teardown(&fake);
}

static void absent_data_plane_is_no_zero(void **context)
{
    struct fake fake;
    struct reload *reload = connected(&fake);
    struct page page;

    (void)context;
    fake_stop(&fake);
    while (link_hello(reload_link(reload)) != NULL)
        loop_step(fake.loop);
    page_of(&page, reload, NULL);
    assert_value(&page, "tandem_dataplane_connected", "0");
    assert_value(&page, "tandem_backend_weight{pool=\"p\",backend=\"b\"}", "100");
    for (uint32_t i = 0; i < page.n_families; i++) {
        assert_string_not_equal(page.families[i].name, "tandem_messages_total");
        assert_string_not_equal(page.families[i].name, "tandem_backend_calls");
        assert_string_not_equal(page.families[i].name, "tandem_service_messages_total");
        assert_string_not_equal(page.families[i].name, "tandem_dataplane_start_time_seconds");
    }
    free(page.text);
    reload_free(reload);
    fake_teardown(&fake);
}

/* README's table: a line `| `name` | …` for each family, and for no other. */
static uint32_t check_readme(const char *text, const struct page *page, bool *seen)
{
    uint32_t n = 0;

    for (const char *at = text; (at = strstr(at, "\n| `tandem_")) != NULL; at++) {
        size_t length = name_length(at + 4);
        bool found = false;

        for (uint32_t i = 0; i < page->n_families; i++) {
            if (strlen(page->families[i].name) == length &&
                memcmp(page->families[i].name, at + 4, length) == 0)
                seen[i] = found = true;
        }
        if (!found)
            fail_msg("README tells of %.*s, which is not there", (int)length, at + 4);
        n++;
    }
    return n;
}

static void readme_has_all_families(void **context)
{
    static struct page page, counters_page;
    struct fake fake;
    struct reload *reload;
    struct health *health;
    struct stream *stream;
    struct counters_header *counters = counted(1);
    struct metrics_text *text = metrics_text_new();
    bool seen[FAMILIES_MAX] = {false};
    char *bytes, *file = calloc(1, 1 << 20);
    FILE *in = fopen(readme, "r");
    size_t length;

    (void)context;
    fake_setup(&fake,
               A "," B "]\n    health: {probe: options, media: {uri: \"sip:echo@{backend}\", "
                 "interval: 24h}}\n    share: none #");
    reload = connect_to(&fake);
    health = health_new(fake.loop, reload);
    stream = stream_new(fake.loop, reload, NULL);
    assert_non_null(health);
    assert_non_null(stream);
    assert_non_null(in);
    streams = stream;
    assert_true(fread(file, 1, (1 << 20) - 1, in) > 0);
    fclose(in);
    metrics_counters_write(text, counters);
    bytes = metrics_text_end(text, &length);
    page_read(&counters_page, bytes, length);
    page_of(&page, reload, health);
    assert_value(&page, "tandem_connections_closed_total{transport=\"wss\",reason=\"slow_reader\"}", "0");
    assert_value(&page, "tandem_stream_bytes_total{transport=\"tcp\",direction=\"in\"}", "0");
    assert_value(&page, "tandem_backend_probes_total{pool=\"p\",backend=\"a\",outcome=\"silent\"}",
                 "0");
    assert_value(&page,
                 "tandem_backend_media_calls_total{pool=\"p\",backend=\"b\",outcome=\"bad\"}", "0");
    for (uint32_t i = 0; i < counters_page.n_families; i++) {
        bool both = false;

        for (uint32_t j = 0; j < page.n_families; j++)
            both |= strcmp(page.families[j].name, counters_page.families[i].name) == 0;
        if (!both)
            page.families[page.n_families++] = counters_page.families[i];
    }
    assert_int_equal(check_readme(file, &page, seen), page.n_families);
    for (uint32_t i = 0; i < page.n_families; i++) {
        if (!seen[i])
            fail_msg("%s is not in README's table", page.families[i].name);
    }
    free(file);
    free(bytes);
    free(page.text);
    free(counters);
    streams = NULL;
    stream_free(stream);
    health_free(health);
    reload_free(reload);
    fake_teardown(&fake);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped_and_without_empty_families),
        cmocka_unit_test(histogram_is_cumulative_and_in_seconds),
        cmocka_unit_test(every_counter_of_the_data_plane_is_told),
        cmocka_unit_test(numbers_are_those_of_what_runs),
        cmocka_unit_test(absent_data_plane_is_no_zero),
        cmocka_unit_test(readme_has_all_families),
    };

    if (argc != 2)
        return EXIT_FAILURE;
    readme = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
