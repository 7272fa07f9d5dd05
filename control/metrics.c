/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Prometheus is told: see metrics.h. Whoever has more to tell adds a part to PARTS.
 */
#include "control/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/loop.h"
#include "control/metrics_counters.h"
#include "control/metrics_streams.h"
#include "control/metrics_text.h"
#include "control/service_counts.h"
#include "control/share.h"
#include "control/totals.h"

enum { BACKEND_LABELS = 3, NUMBER_MAX = 24 };

/* What the parts read. */
struct source {
    const struct metrics_start *start;
    const struct reload *reload;
    const struct snapshot *s;
    const struct counters_header *counters; /* NULL: the data plane is absent */
    const struct totals *totals;
    const struct service_counts *services;
    const uint32_t *entries; /* of each backend in its pool's table */
};

/* A number of one backend; false: it has none. */
struct backend_family {
    const char *name, *help;
    enum metrics_type type;
    enum counters_slot what; /* of a counter */
    uint64_t (*now)(const struct totals *totals, uint32_t id); /* of a gauge */
};

static void gauge(struct metrics_text *text, const char *name, const char *help, uint64_t value)
{
    metrics_family(text, name, METRICS_GAUGE, help);
    metrics_sample(text, NULL, 0, value);
}

static void write_control(struct metrics_text *text, const struct source *source)
{
    const struct metrics_label version = {"version", sip_slice_of(source->start->version)};

    metrics_family(text, "tandem_build_info", METRICS_GAUGE, "The version of tandem-control.");
    metrics_sample(text, &version, 1, 1);
    gauge(text, "tandem_node_draining", "Whether this node drains: answers OPTIONS with 503.",
          source->s->draining);
    gauge(text, "tandem_control_start_time_seconds", "When tandem-control started, since 1970.",
          source->start->start_s);
}

static void write_dataplane(struct metrics_text *text, const struct source *source)
{
    const struct msg_hello *hello = link_hello(reload_link(source->reload));
    char epoch[NUMBER_MAX];
    struct metrics_label label = {"epoch", {NULL, 0}};

    gauge(text, "tandem_dataplane_connected", "Whether tandem-dataplane is connected to control.",
          hello != NULL);
    if (hello != NULL) {
        snprintf(epoch, sizeof(epoch), "%" PRIu64, hello->epoch);
        label.value = sip_slice_of(epoch);
        metrics_family(text, "tandem_dataplane_info", METRICS_GAUGE,
                       "The start of tandem-dataplane: its counters begin at 0 in each epoch.");
        metrics_sample(text, &label, 1, 1);
    }
    if (source->counters == NULL)
        return;
    gauge(text, "tandem_dataplane_start_time_seconds", "When tandem-dataplane started, since 1970.",
          source->counters->start_s);
    metrics_counters_write(text, source->counters);
}

static void write_snapshot(struct metrics_text *text, const struct source *source)
{
    gauge(text, "tandem_snapshot_generation", "Generation of the snapshot that runs in control.",
          source->s->generation);
    gauge(text, "tandem_snapshot_acknowledged_generation",
          "Generation that the data plane said it uses; 0: it is absent or has none.",
          reload_acknowledged(source->reload));
    if (source->counters != NULL)
        gauge(text, "tandem_snapshot_workers_generation", "Generation that all workers use.",
              source->counters->generation);
    gauge(text, "tandem_snapshot_age_seconds", "Since when what runs has been running.",
          loop_now_ms() / 1000 - reload_history(source->reload)->adopted_s);
    gauge(text, "tandem_snapshot_refused",
          "Whether the data plane refused the last snapshot that it was offered.",
          reload_refusal(source->reload)[0] != '\0');
}

static void write_changes(struct metrics_text *text, const struct source *source)
{
    static const char *const kinds[PLAN_KIND_COUNT] = {
        [PLAN_FILE] = "reload",   [PLAN_ADMIN] = "admin",   [PLAN_NODE] = "node",
        [PLAN_WEIGHT] = "weight", [PLAN_FORGET] = "forget", [PLAN_ROTATE] = "rotate",
        [PLAN_MEMBERS] = "members",
        [PLAN_LIVE] = "live",
    };
    static const char *const outcomes[] = {"done", "pending", "refused"};

    metrics_family(text, "tandem_changes_total", METRICS_COUNTER,
                   "Changes of what runs, by what was asked and how it ended.");
    for (int kind = 0; kind < PLAN_KIND_COUNT; kind++) {
        for (int outcome = 0; kinds[kind] != NULL && outcome < RELOAD_LATE; outcome++) {
            const struct metrics_label labels[] = {{"change", sip_slice_of(kinds[kind])},
                                                   {"outcome", sip_slice_of(outcomes[outcome])}};

            metrics_sample(text, labels, 2, reload_history(source->reload)->changes[kind][outcome]);
        }
    }
}

static bool takes_calls(const struct lb_backend *b)
{
    return b->state == LB_UP && b->weight > 0 && !b->lingering;
}

static uint32_t available(const struct snapshot *s, uint32_t pool)
{
    const struct lb_pool *p = &snapshot_pools(s)[pool];
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->n_backends; i++)
        n += takes_calls(&snapshot_backends(s)[p->first_backend + i]);
    return n;
}

static void write_services(struct metrics_text *text, const struct source *source)
{
    static const char *const modes[] = {"proxy", "direct"};
    const struct snapshot *s = source->s;

    metrics_family(text, "tandem_service_info", METRICS_GAUGE,
                   "A service, its mode and the pool of what no match fits.");
    for (uint32_t i = 0; i < s->services.n; i++) {
        const struct snapshot_service *service = &snapshot_services(s)[i];
        const struct metrics_label labels[] = {
            {"service", snapshot_text(s, service->name)},
            {"pool", snapshot_text(s, snapshot_pools(s)[service->pool].name)},
            {"mode", sip_slice_of(modes[service->mode])}};

        metrics_sample(text, labels, 3, 1);
    }
}

/* What became of the messages of each service: those that have a slot in the data plane. */
static void write_service_messages(struct metrics_text *text, const struct source *source)
{
    const struct snapshot *s = source->s;
    uint64_t counts[COUNTERS_SERVICE_COUNT];

    metrics_family(text, "tandem_service_messages_total", METRICS_COUNTER,
                   "Datagrams to a service's listeners, by what became of them.");
    for (uint32_t i = 0; i < s->services.n; i++) {
        struct sip_slice name = snapshot_text(s, snapshot_services(s)[i].name);

        if (!service_counts_of(source->services, name, counts))
            continue;
        for (int what = 0; what < COUNTERS_SERVICE_COUNT; what++) {
            const struct metrics_label labels[] = {
                {"service", name},
                {"outcome", sip_slice_of(counters_service_name((enum counters_service)what))}};

            metrics_sample(text, labels, 2, counts[what]);
        }
    }
}

/* Backends of each pool by state: what takes new calls, and what does not, and why. */
static void write_pools(struct metrics_text *text, const struct source *source)
{
    const struct snapshot *s = source->s;

    metrics_family(text, "tandem_pool_available_backends", METRICS_GAUGE,
                   "Backends of a pool that take new calls.");
    for (uint32_t p = 0; p < s->pools.n; p++) {
        const struct metrics_label label = {"pool", snapshot_text(s, snapshot_pools(s)[p].name)};

        metrics_sample(text, &label, 1, available(s, p));
    }
    metrics_family(text, "tandem_pool_backends", METRICS_GAUGE, "Backends of a pool by state.");
    for (uint32_t p = 0; p < s->pools.n; p++) {
        const struct lb_pool *pool = &snapshot_pools(s)[p];
        uint32_t n[LB_STATE_COUNT] = {0};

        for (uint32_t i = 0; i < pool->n_backends; i++)
            n[snapshot_backends(s)[pool->first_backend + i].state]++;
        for (uint8_t state = 0; state < LB_STATE_COUNT; state++) {
            const struct metrics_label labels[] = {{"pool", snapshot_text(s, pool->name)},
                                                   {"state", sip_slice_of(state_word(state))}};

            metrics_sample(text, labels, 2, n[state]);
        }
    }
}

/* Labels pool and backend. */
static void label_backend(const struct snapshot *s, const struct lb_backend *b,
                          struct metrics_label ret[BACKEND_LABELS])
{
    ret[0] = (struct metrics_label){"pool", snapshot_text(s, snapshot_pools(s)[b->pool].name)};
    ret[1] = (struct metrics_label){"backend", snapshot_text(s, b->name)};
}

/* One family of states: a sample for each state in `words`, 1 for the one that a backend is in. */
static void write_states(struct metrics_text *text, const struct source *source, const char *name,
                         const char *help, uint8_t (*state_of)(const struct lb_backend *b),
                         uint32_t words)
{
    const struct snapshot *s = source->s;
    struct metrics_label labels[BACKEND_LABELS];

    metrics_family(text, name, METRICS_GAUGE, help);
    for (uint32_t i = 0; i < s->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(s)[i];

        label_backend(s, b, labels);
        for (uint8_t state = 0; state < LB_STATE_COUNT; state++) {
            if ((words & 1u << state) == 0)
                continue;
            labels[2] = (struct metrics_label){"state", sip_slice_of(state_word(state))};
            metrics_sample(text, labels, 3, state_of(b) == state);
        }
    }
}

static uint8_t state_of(const struct lb_backend *b)
{
    return b->state;
}

static uint8_t admin_of(const struct lb_backend *b)
{
    return b->admin;
}

static uint8_t health_state_of(const struct lb_backend *b)
{
    return b->health;
}

static void write_backends(struct metrics_text *text, const struct source *source)
{
    const struct snapshot *s = source->s;
    struct metrics_label labels[BACKEND_LABELS];

    write_states(text, source, "tandem_backend_state",
                 "What a backend is given: the worse of the operator's word and its health.",
                 state_of, (1u << LB_STATE_COUNT) - 1);
    write_states(text, source, "tandem_backend_admin_state", "The operator's word about a backend.",
                 admin_of, 1u << LB_UP | 1u << LB_DRAINING | 1u << LB_DISABLED);
    write_states(text, source, "tandem_backend_health_state", "What was observed of a backend.",
                 health_state_of, 1u << LB_UP | 1u << LB_BUSY | 1u << LB_DOWN);
    metrics_family(text, "tandem_backend_weight", METRICS_GAUGE, "The weight of a backend.");
    for (uint32_t i = 0; i < s->backends.n; i++) {
        label_backend(s, &snapshot_backends(s)[i], labels);
        metrics_sample(text, labels, 2, snapshot_backends(s)[i].weight);
    }
    metrics_family(text, "tandem_backend_share_ratio", METRICS_GAUGE,
                   "The share of its pool's new calls that a backend is given.");
    for (uint32_t i = 0; i < s->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(s)[i];

        label_backend(s, b, labels);
        metrics_sample_real(text, labels, 2,
                            source->entries[i] / (double)snapshot_pools(s)[b->pool].table_size);
    }
    metrics_family(text, "tandem_backend_lingering", METRICS_GAUGE,
                   "Whether a backend left the configuration and only keeps its dialogs.");
    for (uint32_t i = 0; i < s->backends.n; i++) {
        label_backend(s, &snapshot_backends(s)[i], labels);
        metrics_sample(text, labels, 2, snapshot_backends(s)[i].lingering);
    }
}

/* What the data plane counted for backends: those that have a slot there. */
static void write_totals(struct metrics_text *text, const struct source *source)
{
    static const struct backend_family families[] = {
        {"tandem_backend_calls", "Calls in progress at a backend.", METRICS_GAUGE, 0, totals_calls},
        {"tandem_backend_registrations", "Registrations that a backend granted and that go on.",
         METRICS_GAUGE, 0, totals_registrations},
        {"tandem_backend_subscriptions", "Subscriptions at a backend.", METRICS_GAUGE, 0,
         totals_subscriptions},
        {"tandem_backend_calls_started_total", "Calls begun at a backend.", METRICS_COUNTER,
         COUNTERS_SLOT_STARTED, NULL},
        {"tandem_backend_calls_ended_total", "Calls of a backend that are over.", METRICS_COUNTER,
         COUNTERS_SLOT_ENDED, NULL},
        {"tandem_backend_requests_total", "Requests forwarded to a backend.", METRICS_COUNTER,
         COUNTERS_SLOT_REQUESTS, NULL},
        {"tandem_backend_new_requests_total", "Of these, those that its pool's table chose it for.",
         METRICS_COUNTER, COUNTERS_SLOT_NEW, NULL},
        {"tandem_backend_responses_total", "Responses forwarded from a backend.", METRICS_COUNTER,
         COUNTERS_SLOT_RESPONSES, NULL},
        {"tandem_backend_final_responses_total", "Of these, those of 200 and above.",
         METRICS_COUNTER, COUNTERS_SLOT_FINALS, NULL},
        {"tandem_backend_busy_responses_total", "Of the final ones, those with 503.",
         METRICS_COUNTER, COUNTERS_SLOT_BUSY, NULL},
        {"tandem_backend_error_responses_total", "Of the final ones, those with another 5xx.",
         METRICS_COUNTER, COUNTERS_SLOT_ERRORS, NULL},
        {"tandem_backend_unreachable_total", "Datagrams that a backend did not get, as ICMP says.",
         METRICS_COUNTER, COUNTERS_SLOT_UNREACHABLE, NULL},
    };
    struct metrics_label labels[BACKEND_LABELS];

    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
        metrics_family(text, families[f].name, families[f].type, families[f].help);
        for (uint32_t i = 0; i < source->s->backends.n; i++) {
            const struct lb_backend *b = &snapshot_backends(source->s)[i];

            if (totals_slot(source->totals, b->id) == LB_NO_SLOT)
                continue;
            label_backend(source->s, b, labels);
            metrics_sample(text, labels, 2,
                           families[f].type == METRICS_GAUGE
                               ? families[f].now(source->totals, b->id)
                               : totals_of(source->totals, b->id, families[f].what));
        }
    }
}

/* What is known of a backend that is probed; false: it is not. */
static bool view_of(const struct source *source, const struct lb_backend *b,
                    struct health_view *ret)
{
    return source->start->health != NULL && health_of(source->start->health, b->id, ret);
}

static void write_outcomes(struct metrics_text *text, const struct source *source)
{
    struct metrics_label labels[BACKEND_LABELS];
    struct health_view view;

    metrics_family(text, "tandem_backend_probes_total", METRICS_COUNTER,
                   "Probes of a backend, by how they ended.");
    for (uint32_t i = 0; i < source->s->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(source->s)[i];

        if (!view_of(source, b, &view))
            continue;
        label_backend(source->s, b, labels);
        labels[2] = (struct metrics_label){"outcome", sip_slice_of("answered")};
        metrics_sample(text, labels, 3, tally_answers(&view.probes));
        labels[2].value = sip_slice_of("silent");
        metrics_sample(text, labels, 3, view.probes.silent);
        labels[2].value = sip_slice_of("refused");
        metrics_sample(text, labels, 3, view.probes.refused);
    }
}

static void write_latencies(struct metrics_text *text, const struct source *source)
{
    struct metrics_label labels[BACKEND_LABELS];
    struct health_view view;

    metrics_family(text, "tandem_backend_probe_latency_seconds", METRICS_HISTOGRAM,
                   "How long the answers to probes took.");
    for (uint32_t i = 0; i < source->s->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(source->s)[i];
        struct metrics_histogram histogram = {
            .bounds_us = tally_bounds_us, .n = TALLY_BOUNDS, .counts = view.probes.answered};

        if (!view_of(source, b, &view))
            continue;
        histogram.sum_us = view.probes.latency_us;
        label_backend(source->s, b, labels);
        metrics_sample_histogram(text, labels, 2, &histogram);
    }
}

static void write_media(struct metrics_text *text, const struct source *source)
{
    struct metrics_label labels[BACKEND_LABELS];
    struct health_view view;

    metrics_family(text, "tandem_backend_media_calls_total", METRICS_COUNTER,
                   "Probe calls with media to a backend, by what they found.");
    for (uint32_t i = 0; i < source->s->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(source->s)[i];

        if (!view_of(source, b, &view) || !view.has_media)
            continue;
        label_backend(source->s, b, labels);
        for (enum media_word word = MEDIA_GOOD; word < MEDIA_WORDS; word++) {
            labels[2] = (struct metrics_label){"outcome", sip_slice_of(media_word_name(word))};
            metrics_sample(text, labels, 3, view.media_calls[word]);
        }
    }
}

static void write_streams(struct metrics_text *text, const struct source *source)
{
    if (source->start->stream != NULL)
        metrics_streams_write(text, source->start->stream);
}

static void (*const PARTS[])(struct metrics_text *text, const struct source *source) = {
    write_control,          write_dataplane, write_snapshot, write_changes, write_services,
    write_service_messages, write_pools,     write_backends, write_totals,  write_outcomes,
    write_latencies,        write_media,     write_streams,
};

char *metrics_write(void *arg, size_t *ret_length)
{
    const struct metrics_start *start = arg;
    struct counters_header *counters = reload_counters(start->reload);
    struct totals *totals = totals_new(reload_state(start->reload), counters);
    struct service_counts *services = service_counts_new(counters);
    uint32_t *entries = share_entries(reload_snapshot(start->reload));
    bool good = totals != NULL && services != NULL && entries != NULL;
    struct metrics_text *text = good ? metrics_text_new() : NULL;
    const struct source source = {.start = start,
                                  .reload = start->reload,
                                  .s = reload_snapshot(start->reload),
                                  .counters = counters,
                                  .totals = totals,
                                  .services = services,
                                  .entries = entries};

    for (size_t i = 0; text != NULL && i < sizeof(PARTS) / sizeof(PARTS[0]); i++)
        PARTS[i](text, &source);
    totals_free(totals);
    service_counts_free(services);
    free(entries);
    free(counters);
    return text == NULL ? NULL : metrics_text_end(text, ret_length);
}
