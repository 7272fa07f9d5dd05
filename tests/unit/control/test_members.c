/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backends that are names, with a resolver and a data plane that say what the test wants: members
 * of an answer and of the next one, answers that do not come, restarts, the operator's word, and
 * what is left out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/expand.h"
#include "control/show.h"
#include "tests/unit/control/fake.h"

#define KAM "{name: kam, address: kam.test, port: 5060}"
#define SRV "{name: kam, srv: _sip._udp.kam.test}"

enum { ASKED_MAX = 64 };

struct asked {
    char host[300];
    uint16_t port;
    void (*done)(void *arg, const struct dns_result *result);
    void *arg;
};

struct scene {
    struct fake fake;
    struct resolver resolver;
    struct members *members;
    struct reload *reload;
    uint32_t ready, n_asked, n_answered; /* the last of n_asked, when both are equal */
    struct asked asked[ASKED_MAX];
};

static int resolve(void *dns, const char *host, uint16_t port, uint8_t transport,
                   void (*done)(void *arg, const struct dns_result *result), void *arg)
{
    struct scene *s = dns;
    struct asked *asked = &s->asked[s->n_asked];

    assert_int_equal(transport, SIP_TRANSPORT_NONE);
    assert_true(s->n_asked < ASKED_MAX);
    snprintf(asked->host, sizeof(asked->host), "%s", host);
    asked->port = port;
    asked->done = done;
    asked->arg = arg;
    s->n_asked++;
    return 0;
}

static int servers(void *dns, const struct sip_addr *list, uint32_t n)
{
    (void)dns;
    (void)list;
    (void)n;
    return 0;
}

/* A control that begins, without waiting for DNS. */
static void begin(struct scene *s)
{
    s->n_asked = s->n_answered = s->ready = 0;
    s->members = members_new(s->fake.loop, &s->resolver);
    assert_non_null(s->members);
    s->fake.members = s->members;
    s->reload = fake_reload(&s->fake, &s->ready);
    members_follow(s->members, s->reload);
    fake_until(&s->fake, &s->ready, 1);
    fake_until(&s->fake, &s->n_asked, 1);
}

static void end(struct scene *s)
{
    members_free(s->members);
    reload_free(s->reload);
}

static void setup(struct scene *s, const char *backends)
{
    memset(s, 0, sizeof(*s));
    s->resolver = (struct resolver){.resolve = resolve, .servers = servers, .dns = s};
    fake_setup(&s->fake, backends);
    fake_start(&s->fake);
    begin(s);
}

static void teardown(struct scene *s)
{
    end(s);
    resolver_done(&s->resolver);
    fake_teardown(&s->fake);
}

/* "PRIORITY/WEIGHT ADDRESS PORT", … to targets; their number. */
static uint32_t targets_of(const char *text, struct snapshot_target *ret)
{
    uint32_t n = 0;

    while (text != NULL && *text != '\0') {
        unsigned priority, weight, port;
        char address[64];

        assert_int_equal(sscanf(text, "%u/%u %63s %u", &priority, &weight, address, &port), 4);
        ret[n] = (struct snapshot_target){.priority = (uint16_t)priority,
                                          .weight = (uint16_t)weight,
                                          .transport = SIP_TRANSPORT_UDP};
        assert_int_equal(sip_ip_parse(sip_slice_of(address), &ret[n].addr.ip), 0);
        ret[n++].addr.port = (uint16_t)port;
        text = strchr(text, ',');
        text += text != NULL;
    }
    return n;
}

/* Answers the question asked last, as DNS does: NULL: not at all. */
static void answer(struct scene *s, const char *text, uint32_t ttl_s)
{
    const struct asked *asked = &s->asked[s->n_asked - 1];
    struct snapshot_target targets[SNAPSHOT_TARGETS_MAX];
    struct dns_result result = {.ttl_s = ttl_s, .targets = targets};

    result.n_targets = targets_of(text, targets);
    result.outcome = (uint8_t)(text == NULL            ? SNAPSHOT_NAME_FAILED
                               : result.n_targets == 0 ? SNAPSHOT_NAME_NONE
                                                       : SNAPSHOT_NAME_FOUND);
    s->n_answered = s->n_asked;
    asked->done(asked->arg, &result);
}

/* The next answer, when its TTL (0: at once) made it be asked for; and its snapshot. */
static void answer_next(struct scene *s, const char *text)
{
    uint32_t offers = s->fake.n_offers;

    fake_until(&s->fake, &s->n_asked, s->n_answered + 1);
    answer(s, text, 0);
    fake_until(&s->fake, &s->fake.n_offers, offers + 1);
    loop_step(s->fake.loop);
}

static void first_answer(struct scene *s, const char *text)
{
    uint32_t offers = s->fake.n_offers;

    answer(s, text, 0);
    fake_until(&s->fake, &s->fake.n_offers, offers + 1);
    loop_step(s->fake.loop);
}

/* Drives the loop for a while. */
static void pass(struct scene *s, uint32_t ms)
{
    struct timespec now;
    uint64_t end;

    clock_gettime(CLOCK_MONOTONIC, &now);
    end = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + ms;
    do {
        loop_step(s->fake.loop);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 < end);
}

/* All backends of the last offer as "NAME:WEIGHT:STATE …", those that linger in brackets. */
static const char *offered(const struct scene *s)
{
    static char text[2048];
    const struct snapshot *snapshot = s->fake.offered;

    text[0] = '\0';
    for (uint32_t i = 0; i < snapshot->backends.n; i++) {
        const struct lb_backend *b = &snapshot_backends(snapshot)[i];
        struct sip_slice name = snapshot_text(snapshot, b->name);
        char address[SIP_ADDR_TEXT_MAX + 1];

        address[sip_addr_print(&(struct sip_addr){b->ip, b->port}, address)] = '\0';
        if (memchr(name.at, '@', name.length) != NULL) /* a member is where its name says */
            assert_non_null(memmem(name.at, name.length, address, strlen(address)));
        sprintf(text + strlen(text), "%s%s%.*s:%u:%s%s", i > 0 ? " " : "", b->lingering ? "(" : "",
                (int)name.length, name.at, b->weight, state_word(b->state),
                b->lingering ? ")" : "");
    }
    return text;
}

static void assert_offered(const struct scene *s, const char *wanted)
{
    if (strcmp(offered(s), wanted) != 0)
        fail_msg("wanted `%s`, got `%s`", wanted, offered(s));
}

static void members_come_and_go(void **context)
{
    struct scene s;
    uint32_t offers;

    (void)context;
    setup(&s, KAM);
    assert_string_equal(s.asked[0].host, "kam.test");
    assert_int_equal(s.asked[0].port, 5060);
    assert_offered(&s, ""); /* no answer yet: no members, but it runs */
    first_answer(&s, "0/0 10.0.0.11 5060, 0/0 10.0.0.12 5060");
    assert_offered(&s, "kam@10.0.0.11:5060:100:up kam@10.0.0.12:5060:100:up");
    /* Nothing new: no snapshot for it. */
    fake_until(&s.fake, &s.n_asked, 2);
    offers = s.fake.n_offers;
    answer(&s, "0/0 10.0.0.11 5060, 0/0 10.0.0.12 5060", 0);
    fake_until(&s.fake, &s.n_asked, 3);
    pass(&s, 2 * MEMBERS_PAUSE_MS);
    assert_int_equal(s.fake.n_offers, offers);
    /* One leaves and one comes; then it is the other way round. */
    first_answer(&s, "0/0 10.0.0.12 5060, 0/0 10.0.0.13 5060");
    assert_offered(&s, "kam@10.0.0.12:5060:100:up kam@10.0.0.13:5060:100:up "
                       "(kam@10.0.0.11:5060:100:draining)");
    answer_next(&s, "0/0 10.0.0.11 5060, 0/0 10.0.0.12 5060");
    assert_offered(&s, "kam@10.0.0.11:5060:100:up kam@10.0.0.12:5060:100:up "
                       "(kam@10.0.0.13:5060:100:draining)");
    /* A reload has them too. */
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_offered(&s, "kam@10.0.0.11:5060:100:up kam@10.0.0.12:5060:100:up "
                       "(kam@10.0.0.13:5060:100:draining)");
    assert_int_equal(reload_history(s.reload)->changes[PLAN_MEMBERS][RELOAD_DONE], 3);
    teardown(&s);
}

static void answers_that_do_not_come_change_nothing(void **context)
{
    struct scene s;
    uint32_t offers;

    (void)context;
    setup(&s, KAM);
    first_answer(&s, "0/0 10.0.0.11 5060");
    fake_until(&s.fake, &s.n_asked, 2);
    offers = s.fake.n_offers;
    answer(&s, NULL, 0);
    fake_until(&s.fake, &s.n_asked, 3);
    pass(&s, 2 * MEMBERS_PAUSE_MS);
    assert_int_equal(s.fake.n_offers, offers);
    assert_offered(&s, "kam@10.0.0.11:5060:100:up");
    /* A control that begins anew has those that it left, whatever DNS says or not. */
    end(&s);
    begin(&s);
    assert_offered(&s, "kam@10.0.0.11:5060:100:up");
    answer(&s, NULL, 0);
    fake_until(&s.fake, &s.n_asked, 2);
    assert_offered(&s, "kam@10.0.0.11:5060:100:up");
    /* The name stands for others now: until DNS says which, those of before stay. */
    fake_configure(&s.fake, "{name: kam, srv: kam.test, ports: [5090]}", "");
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_offered(&s, "kam@10.0.0.11:5060:100:up");
    fake_until(&s.fake, &s.n_asked, 3);
    assert_int_equal(s.asked[2].port, 0);
    first_answer(&s, "0/0 10.0.0.11 5070");
    assert_offered(&s, "kam@10.0.0.11:5070:100:up (kam@10.0.0.11:5060:100:draining)");
    assert_int_equal(snapshot_backends(s.fake.offered)[0].n_ports, 1);
    /* That there is none is an answer, too. */
    answer_next(&s, "");
    assert_offered(&s, "(kam@10.0.0.11:5070:100:draining) (kam@10.0.0.11:5060:100:draining)");
    teardown(&s);
}

/* Nor does a start without DNS bring back who had left; an answer does, later too. */
static void who_left_stays_away_over_a_restart(void **context)
{
    struct scene s;

    (void)context;
    setup(&s, KAM);
    first_answer(&s, "0/0 10.0.0.11 5060, 0/0 10.0.0.12 5060");
    answer_next(&s, "0/0 10.0.0.12 5060");
    end(&s);
    begin(&s);
    assert_offered(&s, "kam@10.0.0.12:5060:100:up (kam@10.0.0.11:5060:100:draining)");
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_offered(&s, "kam@10.0.0.12:5060:100:up (kam@10.0.0.11:5060:100:draining)");
    first_answer(&s, "0/0 10.0.0.11 5060, 0/0 10.0.0.12 5060");
    assert_offered(&s, "kam@10.0.0.11:5060:100:up kam@10.0.0.12:5060:100:up");
    teardown(&s);
}

/* A reload waits for what DNS says of its new names, so that they begin with their members. */
static void reload_waits_for_new_names(void **context)
{
    const struct plan_change change = {.kind = PLAN_FILE};
    struct fake_outcome outcome = {0};
    struct scene s;

    (void)context;
    setup(&s, KAM);
    first_answer(&s, "0/0 10.0.0.11 5060");
    fake_until(&s.fake, &s.n_asked, 2);
    answer(&s, "0/0 10.0.0.11 5060", 3600);
    fake_configure(&s.fake, "{name: new, address: new.test}", "");
    reload_ask(s.reload, &change, fake_done, &outcome);
    reload_ask(s.reload, &change, fake_done, &outcome);
    pass(&s, MEMBERS_LEARN_MS / 4);
    assert_int_equal(outcome.n, 0);
    assert_int_equal(s.n_asked, 3);
    assert_string_equal(s.asked[2].host, "new.test");
    answer(&s, "0/0 10.0.0.12 5060", 3600);
    fake_until(&s.fake, &outcome.n, 2);
    assert_offered(&s, "new@10.0.0.12:5060:100:up (kam@10.0.0.11:5060:100:draining)");
    pass(&s, 2 * MEMBERS_TICK_MS + MEMBERS_PAUSE_MS); /* nothing is left to be planned */
    assert_int_equal(reload_history(s.reload)->changes[PLAN_MEMBERS][RELOAD_DONE], 1);
    /* One that DNS says nothing of holds it up a second; a file that is refused, not at all. */
    fake_configure(&s.fake, "{name: odd, address: odd..test}", "");
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_REFUSED);
    fake_configure(&s.fake, "{name: late, address: late.test}", "");
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_offered(&s, "(new@10.0.0.12:5060:100:draining) (kam@10.0.0.11:5060:100:draining)");
    first_answer(&s, "0/0 10.0.0.13 5060");
    assert_offered(&s, "late@10.0.0.13:5060:100:up (new@10.0.0.12:5060:100:draining) "
                       "(kam@10.0.0.11:5060:100:draining)");
    teardown(&s);
}

static void records_become_weights(void **context)
{
    static const struct {
        const char *answer, *offered;
    } rows[] = {
        {"10/75 10.0.0.11 5060, 10/25 10.0.0.12 5061",
         "kam@10.0.0.11:5060:100:up kam@10.0.0.12:5061:33:up"},
        /* The lowest priority alone, and one of no weight beside others gets little. */
        {"10/1000 10.0.0.11 5060, 10/0 10.0.0.12 5060, 20/9 10.0.0.13 5060",
         "kam@10.0.0.11:5060:100:up kam@10.0.0.12:5060:1:up"},
        {"10/0 10.0.0.11 5060, 10/0 10.0.0.12 5060",
         "kam@10.0.0.11:5060:100:up kam@10.0.0.12:5060:100:up"},
        {"10/65535 10.0.0.11 5060, 10/32768 10.0.0.12 5060",
         "kam@10.0.0.11:5060:100:up kam@10.0.0.12:5060:50:up"},
        /* The service does not listen on IPv6: the class is that of those that can be reached. */
        {"10/5 [2001:db8::1] 5060, 20/5 10.0.0.12 5060, 20/5 10.0.0.12 5060",
         "kam@10.0.0.12:5060:100:up"},
        {"10/5 10.0.0.11 5060, 10/5 192.0.2.10 5060, 10/5 10.0.0.13 5060",
         "kam@10.0.0.11:5060:100:up kam@10.0.0.13:5060:100:up"},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene s;

        setup(&s, SRV);
        assert_string_equal(s.asked[0].host, "_sip._udp.kam.test");
        first_answer(&s, rows[i].answer);
        assert_offered(&s, rows[i].offered);
        teardown(&s);
    }
}

/* The file's backends stay, then the names in their order: the later one is left out. */
static void who_collides_is_left_out(void **context)
{
    struct scene s;

    (void)context;
    setup(&s, "{name: one, address: one.test}, {name: kam, address: 10.0.0.11, ports: [5070]}");
    first_answer(&s, "0/0 10.0.0.11 5060, 0/0 10.0.0.12 5060");
    assert_offered(&s, "kam:100:up one@10.0.0.12:5060:100:up");
    fake_configure(&s.fake,
                   "{name: one, address: one.test}, {name: kam, address: 10.0.0.11}, "
                   "{name: two, address: one.test}",
                   "");
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_offered(&s, "kam:100:up one@10.0.0.12:5060:100:up");
    teardown(&s);
}

/* A file of one service, kam.test, at the addresses of a port; `head` are keys of the top. */
static void write_config(struct scene *s, const char *head, const char *service)
{
    FILE *out = fopen(s->fake.config, "w");

    assert_non_null(out);
    fprintf(out,
            "node: n\n%s"
            "dataplane:\n"
            "  workers: [1]\n"
            "  socket: %s\n"
            "  ports: [{name: p, driver: \"null\", addresses: [192.0.2.10/32, 10.0.0.1/24, "
            "\"2001:db8::10/64\"]}]\n"
            "secret_file: %s/secret\n"
            "services: [{name: s, pool: p, %s}]\n"
            "pools: [{name: p, backends: [{name: kam, address: kam.test}]}]\n"
            "control: {socket: %s/control.sock, state_dir: %s}\n",
            head, s->fake.socket, s->fake.dir, service, s->fake.dir, s->fake.dir);
    assert_int_equal(fclose(out), 0);
}

/* What came by a stream goes on from the node's own addresses, where there is one of the family. */
static void streams_have_the_nodes_families(void **context)
{
    static const char listen[] = "listen: [{transport: udp, address: 192.0.2.10}, "
                                 "{transport: tcp, address: \"2001:db8::10\"}]";
    static const char answer[] = "0/0 10.0.0.11 5060, 0/0 [2001:db8::1] 5060";
    struct scene s;

    (void)context;
    setup(&s, "{name: kam, address: kam.test}");
    end(&s);
    write_config(&s, "node_address: 192.0.2.11\n", listen);
    begin(&s);
    first_answer(&s, answer);
    assert_offered(&s, "kam@10.0.0.11:5060:100:up");
    end(&s);
    write_config(&s, "node_address: 192.0.2.11\nnode_address6: \"2001:db8::11\"\n", listen);
    begin(&s);
    first_answer(&s, answer);
    assert_offered(&s, "kam@10.0.0.11:5060:100:up kam@[2001:db8::1]:5060:100:up");
    teardown(&s);
}

/* Unchanged datagrams go to hosts on a segment of ours alone. */
static void mode_direct_has_neighbours(void **context)
{
    struct scene s;

    (void)context;
    setup(&s, "{name: kam, address: kam.test}");
    end(&s);
    write_config(&s, "", "mode: direct, listen: [{transport: udp, address: 192.0.2.10}]");
    begin(&s);
    first_answer(&s, "0/0 10.0.0.11 5060, 0/0 10.1.0.11 5060");
    assert_offered(&s, "kam@10.0.0.11:5060:100:up");
    teardown(&s);
}

static void word_about_a_name_is_its_members(void **context)
{
    struct scene s;

    (void)context;
    setup(&s, KAM);
    first_answer(&s, "0/0 10.0.0.11 5060, 0/0 10.0.0.12 5060");
    fake_until(&s.fake, &s.n_asked, 2); /* the next answer waits for us */
    assert_int_equal(
        fake_ask(&s.fake, s.reload, PLAN_ADMIN, "kam@10.0.0.11:5060", LB_DISABLED).status,
        RELOAD_DONE);
    assert_offered(&s, "kam@10.0.0.11:5060:100:disabled kam@10.0.0.12:5060:100:up");
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_ADMIN, "p/kam", LB_DRAINING).status,
                     RELOAD_DONE);
    assert_offered(&s, "kam@10.0.0.11:5060:100:draining kam@10.0.0.12:5060:100:draining");
    /* It holds for who comes, over a restart too. */
    end(&s);
    begin(&s);
    first_answer(&s, "0/0 10.0.0.12 5060, 0/0 10.0.0.13 5060");
    assert_offered(&s, "kam@10.0.0.12:5060:100:draining kam@10.0.0.13:5060:100:draining "
                       "(kam@10.0.0.11:5060:100:draining)");
    fake_until(&s.fake, &s.n_asked, 2);
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_ADMIN, "kam", LB_UP).status, RELOAD_DONE);
    assert_int_equal(fake_ask(&s.fake, s.reload, PLAN_WEIGHT, "kam", 40).status, RELOAD_DONE);
    assert_offered(&s, "kam@10.0.0.12:5060:40:up kam@10.0.0.13:5060:40:up "
                       "(kam@10.0.0.11:5060:100:draining)");
    first_answer(&s, "0/0 10.0.0.11 5060");
    assert_offered(&s, "kam@10.0.0.11:5060:40:up (kam@10.0.0.12:5060:40:draining) "
                       "(kam@10.0.0.13:5060:40:draining)");
    assert_int_equal(
        fake_ask(&s.fake, s.reload, PLAN_ADMIN, "kam@10.0.0.12:5060", LB_DRAINING).status,
        RELOAD_REFUSED);
    teardown(&s);
}

static void dry_run_counts_all_members(void **context)
{
    struct plan_change change = {
        .kind = PLAN_ADMIN, .backend = "kam", .admin = LB_DRAINING, .dry_run = true};
    struct fake_outcome outcome = {0};
    struct scene s;

    (void)context;
    setup(&s, KAM ", {name: b, address: 10.0.0.20}");
    reload_ask(s.reload, &change, fake_done, &outcome);
    assert_non_null(strstr(outcome.text, "kam has no members"));
    first_answer(&s, "0/0 10.0.0.11 5060, 0/0 10.0.0.12 5060, 0/0 10.0.0.13 5060");
    reload_ask(s.reload, &change, fake_done, &outcome);
    assert_non_null(strstr(outcome.text, "kam has 75.0% of the new calls of pool p"));
    assert_non_null(strstr(outcome.text, "b 75.0%"));
    assert_int_equal(fake_state_of(&s.fake, "kam@10.0.0.11:5060"), LB_UP);
    teardown(&s);
}

/* What is told of a backend: its word "dns" as OUTCOME/LOOKUP/whether an age is known. */
static const char *told(struct scene *s, const char *name)
{
    static char text[256];
    json_t *list = show_backends(s->reload, NULL), *row;
    size_t i;

    strcpy(text, "absent");
    json_array_foreach(list, i, row)
    {
        const json_t *dns = json_object_get(row, "dns");
        const char *outcome = json_string_value(json_object_get(dns, "outcome"));
        const char *reason = json_string_value(json_object_get(row, "reason"));

        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
            snprintf(text, sizeof(text), "%s/%s/%d/%s", outcome == NULL ? "-" : outcome,
                     json_is_null(dns) ? "-" : json_string_value(json_object_get(dns, "lookup")),
                     json_is_integer(json_object_get(dns, "age_s")), reason == NULL ? "-" : reason);
    }
    json_decref(list);
    return text;
}

static void show_says_where_they_come_from(void **context)
{
    struct scene s;

    (void)context;
    setup(&s, KAM ", {name: b, address: 10.0.0.20}");
    assert_string_equal(told(&s, "b"), "-/-/0/-");
    assert_string_equal(told(&s, "kam"), "-/kam.test/0/no answer from DNS yet");
    answer(&s, NULL, 0);
    assert_string_equal(told(&s, "kam"), "failed/kam.test/0/DNS does not answer");
    answer_next(&s, "0/0 10.0.0.11 5060");
    assert_string_equal(told(&s, "kam"), "absent");
    assert_string_equal(told(&s, "kam@10.0.0.11:5060"), "found/kam.test/1/-");
    fake_until(&s.fake, &s.n_asked, s.n_answered + 1);
    answer(&s, NULL, 0);
    assert_string_equal(told(&s, "kam@10.0.0.11:5060"), "failed/kam.test/1/-");
    answer_next(&s, "");
    assert_string_equal(told(&s, "kam"), "none/kam.test/1/DNS knows no address of it");
    answer_next(&s, "0/0 10.0.0.20 5060");
    assert_string_equal(
        told(&s, "kam"),
        "found/kam.test/1/none of its addresses can be a backend here: see the log");
    teardown(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_and_go),
        cmocka_unit_test(answers_that_do_not_come_change_nothing),
        cmocka_unit_test(who_left_stays_away_over_a_restart),
        cmocka_unit_test(reload_waits_for_new_names),
        cmocka_unit_test(records_become_weights),
        cmocka_unit_test(who_collides_is_left_out),
        cmocka_unit_test(streams_have_the_nodes_families),
        cmocka_unit_test(mode_direct_has_neighbours),
        cmocka_unit_test(word_about_a_name_is_its_members),
        cmocka_unit_test(dry_run_counts_all_members),
        cmocka_unit_test(show_says_where_they_come_from),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
