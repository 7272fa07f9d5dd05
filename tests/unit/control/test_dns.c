/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names by RFC 3263 against a server on loopback: which records decide, how long answers hold, and
 * what happens when there is none, a broken one, or none at all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/dns.h"
#include "control/dns_answer.h"
#include "tests/unit/control/zone.h"
#include "tests/unit/guard.h"

/* What the SRV records of full.test lead to. */
#define FULL_TARGETS                                                  \
    "10/40 192.0.2.2:5063 10/30 192.0.2.3:5062 10/30 192.0.2.4:5062 " \
    "10/60 [2001:db8::3]:5062 20/0 192.0.2.1:5064"

static const struct zone_record RECORDS[] = {
    {"a.test", DNS_A, 300, "192.0.2.1"},
    {"b.test", DNS_A, 60, "192.0.2.2"},
    {"two.test", DNS_A, 300, "192.0.2.4"},
    {"two.test", DNS_A, 300, "192.0.2.3"},
    {"two.test", DNS_AAAA, 300, "2001:db8::3"},
    {"six.test", DNS_AAAA, 300, "2001:db8::6"},
    {"alias.test", DNS_CNAME, 20, "a.test"},
    {"loop.test", DNS_A, 300, "127.0.0.1"},
    {"loop.test", DNS_A, 300, "224.0.0.1"},
    {"loop.test", DNS_AAAA, 300, "::1"},
    {"full.test", DNS_NAPTR, 100, "5 10 s SIP+D2T - _sip._tcp.full.test"},
    {"full.test", DNS_NAPTR, 100, "10 20 s sip+d2u - _sip._udp.b.test"},
    {"full.test", DNS_NAPTR, 100, "10 10 S SIP+D2U - _other.full.test"},
    {"full.test", DNS_NAPTR, 100, "1 10 s SIP+D2U !x!y! _sip._udp.b.test"},
    {"full.test", DNS_A, 300, "192.0.2.99"},
    {"_other.full.test", DNS_SRV, 200, "20 0 5064 a.test"},
    {"_other.full.test", DNS_SRV, 200, "10 60 5062 two.test"},
    {"_other.full.test", DNS_SRV, 200, "10 40 5063 b.test"},
    {"srv.test", DNS_A, 300, "192.0.2.99"},
    {"_sip._udp.srv.test", DNS_SRV, 200, "0 0 5070 a.test"},
    {"tcp.test", DNS_NAPTR, 100, "5 10 s SIP+D2T - _sip._tcp.tcp.test"},
    {"tcp.test", DNS_A, 300, "192.0.2.99"},
    {"closed.test", DNS_A, 300, "192.0.2.99"},
    {"_sip._udp.closed.test", DNS_SRV, 200, "0 0 0 ."},
    {"_sip._udp.empty.test", DNS_SRV, 200, "0 0 5060 nothing.test"},
    {"short.test", DNS_A, 1, "192.0.2.1"},
    {"long.test", DNS_A, 1000000, "192.0.2.1"},
};

struct state {
    struct loop *loop;
    struct dns *dns;
    struct zone zone;
    uint32_t n, ttl_s, n_targets;
    uint8_t outcome;
    char text[8192]; /* of targets, one a line */
};

static void on_done(void *arg, const struct dns_result *result)
{
    struct state *s = arg;

    s->n++;
    s->outcome = result->outcome;
    s->ttl_s = result->ttl_s;
    s->n_targets = result->n_targets;
    s->text[0] = '\0';
    for (uint32_t i = 0; i < result->n_targets; i++) {
        const struct snapshot_target *t = &result->targets[i];
        char address[SIP_ADDR_TEXT_MAX + 1];

        address[sip_addr_print(&t->addr, address)] = '\0';
        sprintf(s->text + strlen(s->text), "%s%u/%u %s", i > 0 ? " " : "", t->priority, t->weight,
                address);
        assert_int_equal(t->transport, SIP_TRANSPORT_UDP);
    }
}

static void setup(struct state *s, uint32_t soa_ttl)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop_new();
    s->dns = dns_new(s->loop);
    assert_non_null(s->dns);
    s->zone = (struct zone){
        .records = RECORDS, .n = sizeof(RECORDS) / sizeof(RECORDS[0]), .soa_ttl = soa_ttl};
    zone_start(&s->zone, s->loop);
    assert_int_equal(dns_servers(s->dns, &s->zone.addr, 1), 0);
}

static void teardown(struct state *s)
{
    dns_free(s->dns);
    zone_stop(&s->zone);
    loop_free(s->loop);
}

static void until(struct state *s, uint32_t n)
{
    time_t end = time(NULL) + 8;

    while (s->n < n && time(NULL) <= end)
        loop_step(s->loop);
    assert_int_equal(s->n, n);
}

static void ask(struct state *s, const char *host, uint16_t port, uint8_t transport)
{
    uint32_t n = s->n;

    assert_int_equal(dns_resolve(s->dns, host, port, transport, on_done, s), 0);
    assert_int_equal(s->n, n); /* never from within */
    until(s, n + 1);
}

static void records_decide(void **context)
{
    static const struct {
        const char *host;
        uint16_t port;
        uint8_t transport, outcome;
        uint32_t ttl_s;
        const char *targets;
    } cases[] = {
        /* §4.2: a port asks for addresses alone. */
        {"a.test", 5080, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_FOUND, 77, "0/0 192.0.2.1:5080"},
        {"srv.test", 5060, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_FOUND, 77, "0/0 192.0.2.99:5060"},
        /* In an order of their own, whatever the server's. */
        {"two.test", 5060, SIP_TRANSPORT_UDP, SNAPSHOT_NAME_FOUND, 300,
         "0/0 192.0.2.3:5060 0/0 192.0.2.4:5060 0/0 [2001:db8::3]:5060"},
        {"six.test", 5060, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_FOUND, 77, "0/0 [2001:db8::6]:5060"},
        {"alias.test", 5060, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_FOUND, 20, "0/0 192.0.2.1:5060"},
        /* A transport and no port: SRV, else addresses at 5060. */
        {"srv.test", 0, SIP_TRANSPORT_UDP, SNAPSHOT_NAME_FOUND, 77, "0/0 192.0.2.1:5070"},
        {"b.test", 0, SIP_TRANSPORT_UDP, SNAPSHOT_NAME_FOUND, 60, "0/0 192.0.2.2:5060"},
        {"srv.test", 0, SIP_TRANSPORT_TCP, SNAPSHOT_NAME_NONE, 30, ""},
        {"srv.test", 5061, SIP_TRANSPORT_TLS, SNAPSHOT_NAME_NONE, 30, ""},
        /* Neither: NAPTR. Of ours the lowest order and preference; a weight is shared by the
         * addresses of a family. */
        {"full.test", 0, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_FOUND, 60, FULL_TARGETS},
        {"srv.test", 0, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_FOUND, 77, "0/0 192.0.2.1:5070"},
        {"b.test", 0, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_FOUND, 60, "0/0 192.0.2.2:5060"},
        /* The name of SRV records, and nothing else when there are none. */
        {"_other.full.test", 0, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_FOUND, 60, FULL_TARGETS},
        {"_sip._udp.two.test", 0, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_NONE, 77, ""},
        /* Nothing for us. */
        {"tcp.test", 0, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_NONE, 100, ""},
        {"tcp.test", 0, SIP_TRANSPORT_UDP, SNAPSHOT_NAME_FOUND, 77, "0/0 192.0.2.99:5060"},
        {"closed.test", 0, SIP_TRANSPORT_UDP, SNAPSHOT_NAME_NONE, 200, ""},
        {"empty.test", 0, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_NONE, 77, ""},
        {"nobody.test", 0, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_NONE, 77, ""},
        {"nobody.test", 5060, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_NONE, 77, ""},
        {"a..test", 5060, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_NONE, 30, ""},
        /* Who answers must not have us write to ourselves, or to many. */
        {"loop.test", 5060, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_NONE, 300, ""},
        /* Bounds. */
        {"short.test", 5060, SIP_TRANSPORT_NONE, SNAPSHOT_NAME_FOUND, 5, "0/0 192.0.2.1:5060"},
    };
    struct state s;

    (void)context;
    setup(&s, 77);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(&s, cases[i].host, cases[i].port, cases[i].transport);
        if (s.outcome != cases[i].outcome || s.ttl_s != cases[i].ttl_s ||
            strcmp(s.text, cases[i].targets) != 0)
            fail_msg("%zu: %s:%u: outcome %u, ttl %u, `%s`", i, cases[i].host, cases[i].port,
                     s.outcome, s.ttl_s, s.text);
    }
    teardown(&s);
}

static void without_soa_time_is_bounded_too(void **context)
{
    struct state s;

    (void)context;
    setup(&s, 0);
    ask(&s, "nobody.test", 5060, SIP_TRANSPORT_NONE);
    assert_int_equal(s.outcome, SNAPSHOT_NAME_NONE);
    assert_int_equal(s.ttl_s, DNS_NEGATIVE_S);
    ask(&s, "long.test", 5060, SIP_TRANSPORT_NONE);
    assert_int_equal(s.ttl_s, DNS_TTL_MAX_S);
    teardown(&s);
}

static void failures_are_not_refusals(void **context)
{
    static const int rcodes[] = {1, 2, 4, 5};
    struct state s;

    (void)context;
    setup(&s, 77);
    for (size_t i = 0; i < sizeof(rcodes) / sizeof(rcodes[0]); i++) {
        for (int port = 0; port <= 5060; port += 5060) {
            s.zone.rcode = rcodes[i];
            ask(&s, "a.test", (uint16_t)port, SIP_TRANSPORT_NONE);
            assert_int_equal(s.outcome, SNAPSHOT_NAME_FAILED);
            assert_int_equal(s.ttl_s, DNS_FAILED_S);
        }
    }
    s.zone.rcode = 0;
    s.zone.broken = true;
    ask(&s, "a.test", 5060, SIP_TRANSPORT_NONE);
    assert_int_equal(s.outcome, SNAPSHOT_NAME_FAILED);
    s.zone.broken = false;
    ask(&s, "a.test", 5060, SIP_TRANSPORT_NONE);
    assert_int_equal(s.outcome, SNAPSHOT_NAME_FOUND);
    teardown(&s);
}

static void silence_ends(void **context)
{
    struct state s;
    time_t begun = time(NULL);

    (void)context;
    setup(&s, 77);
    s.zone.silent = true;
    ask(&s, "a.test", 5060, SIP_TRANSPORT_NONE);
    assert_int_equal(s.outcome, SNAPSHOT_NAME_FAILED);
    assert_true(time(NULL) - begun <= 5);
    assert_true(s.zone.asked >= 4); /* A and AAAA, each tried twice */
    teardown(&s);
}

static void questions_are_bounded_and_forgotten(void **context)
{
    struct state s;

    (void)context;
    setup(&s, 77);
    s.zone.silent = true;
    for (uint32_t i = 0; i < DNS_QUESTIONS_MAX; i++)
        assert_int_equal(dns_resolve(s.dns, "a.test", 0, SIP_TRANSPORT_NONE, on_done, &s), 0);
    assert_int_equal(dns_resolve(s.dns, "a.test", 0, SIP_TRANSPORT_NONE, on_done, &s), -EBUSY);
    /* Other servers: what was asked of these fails. */
    assert_int_equal(dns_servers(s.dns, &s.zone.addr, 1), 0);
    assert_int_equal(s.n, 0);
    until(&s, DNS_QUESTIONS_MAX);
    assert_int_equal(s.outcome, SNAPSHOT_NAME_FAILED);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(dns_resolve(s.dns, "a.test", 0, SIP_TRANSPORT_NONE, on_done, &s), 0);
    teardown(&s); /* while they are asked */
    assert_int_equal(s.n, DNS_QUESTIONS_MAX);
}

/* Answers cut at every length, and with every byte spoilt: read inside the packet, or refused. */
static void spoilt_answers_are_read_inside(void **context)
{
    static const struct {
        const char *name;
        enum dns_type type;
    } questions[] = {{"full.test", DNS_NAPTR}, {"_other.full.test", DNS_SRV},
                     {"two.test", DNS_A},      {"two.test", DNS_AAAA},
                     {"alias.test", DNS_A},    {"nobody.test", DNS_A}};
    static struct dns_record records[DNS_HOPS_MAX];
    const struct zone zone = {
        .records = RECORDS, .n = sizeof(RECORDS) / sizeof(RECORDS[0]), .soa_ttl = 9};
    uint8_t question[300], answer[4096];

    (void)context;
    for (size_t q = 0; q < sizeof(questions) / sizeof(questions[0]); q++) {
        uint32_t length = zone_answer(
            &zone, question, zone_question(questions[q].name, questions[q].type, question), answer);
        uint32_t ttl;

        for (uint32_t cut = 0; cut <= length; cut++) {
            struct guard guard = guard_new(answer, cut);
            const uint8_t *copy = (const uint8_t *)guard.at;
            int n = dns_answer_read(copy, cut, questions[q].type, records, DNS_HOPS_MAX, &ttl);

            assert_true(cut == length ? n >= 0 : n == -EBADMSG || n >= 0);
            dns_answer_negative(copy, cut, &ttl);
            guard_free(&guard);
        }
        for (uint32_t at = 0; at < length; at++) {
            for (int value = 0; value < 256; value += 5) {
                uint8_t was = answer[at];

                answer[at] = (uint8_t)value;
                dns_answer_read(answer, length, questions[q].type, records, DNS_HOPS_MAX, &ttl);
                dns_answer_negative(answer, length, &ttl);
                answer[at] = was;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_decide),
        cmocka_unit_test(without_soa_time_is_bounded_too),
        cmocka_unit_test(failures_are_not_refusals),
        cmocka_unit_test(silence_ends),
        cmocka_unit_test(questions_are_bounded_and_forgotten),
        cmocka_unit_test(spoilt_answers_are_read_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
