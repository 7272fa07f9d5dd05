/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a drain would do, before it is done; and a node that drains.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "control/share.h"
#include "control/show.h"
#include "tests/unit/control/fake.h"

#define A "{name: a, address: 10.0.0.1, weight: 50}"
#define B "{name: b, address: 10.0.0.2, weight: 25}"
#define C "{name: c, address: 10.0.0.3, weight: 25}"

static struct fake_outcome dry_run(struct reload *reload, const char *backend)
{
    struct plan_change change = {.kind = PLAN_ADMIN, .admin = LB_DRAINING, .dry_run = true};
    struct fake_outcome outcome = {0};

    strcpy(change.backend, backend);
    reload_ask(reload, &change, fake_done, &outcome);
    assert_int_equal(outcome.n, 1); /* at once: nobody is asked */
    return outcome;
}

/* The number behind a text, in percent. */
static double percent(const char *text, const char *before)
{
    const char *at = strstr(text, before);

    if (at == NULL)
        fail_msg("%s does not say %s", text, before);
    return strtod(at + strlen(before), NULL);
}

static void dry_run_says_who_gets_what(void **context)
{
    struct fake fake;
    struct reload *reload;
    struct fake_outcome outcome;
    uint32_t ready = 0, offers;

    (void)context;
    fake_setup(&fake, A "," B "," C);
    fake_start(&fake);
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 1);
    offers = fake.n_offers;
    outcome = dry_run(reload, "p/a");
    assert_int_equal(outcome.status, RELOAD_DONE);
    assert_in_range(10 * percent(outcome.text, "a has "), 495, 505);
    assert_in_range(10 * percent(outcome.text, "which would go to b "), 235, 265);
    assert_in_range(10 * percent(outcome.text, "%, c "), 235, 265);
    assert_in_range(10 * percent(outcome.text, "%; "), 0,
                    100); /* between b and c: Maglev's price */
    assert_non_null(strstr(outcome.text, "live dialogs that move: 0"));
    assert_null(strstr(outcome.text, "NO backend"));
    assert_int_equal(fake_state_of(&fake, "a"), LB_UP);
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "b", LB_DRAINING).status, RELOAD_DONE);
    assert_int_equal(fake_ask(&fake, reload, PLAN_ADMIN, "c", LB_DISABLED).status, RELOAD_DONE);
    outcome = dry_run(reload, "a");
    assert_int_equal(percent(outcome.text, "a has "), 100);
    assert_int_equal(percent(outcome.text, "pool p; "), 100);
    assert_non_null(strstr(outcome.text, "NO backend"));
    outcome = dry_run(reload, "b"); /* drains already */
    assert_int_equal(percent(outcome.text, "b has "), 0);
    assert_null(strstr(outcome.text, "which would go to"));
    outcome = dry_run(reload, "x");
    assert_int_equal(outcome.status, RELOAD_REFUSED);
    assert_string_equal(outcome.text, "no backend x");
    assert_int_equal(fake.n_offers, offers + 2); /* those that were no dry runs */
    assert_int_equal(reload_history(reload)->changes[PLAN_ADMIN][RELOAD_DONE], 2);
    reload_free(reload);
    fake_teardown(&fake);
}

static const char *node_says(struct reload *reload)
{
    static char state[16];
    json_t *generation = show_answer(reload, "generation");
    json_t *services = show_answer(reload, "services");

    strcpy(state, json_string_value(json_object_get(generation, "node")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(services, 0), "state")),
                        state);
    json_decref(generation);
    json_decref(services);
    return state;
}

/* The word about the node reaches the data plane, and survives reloads and restarts. */
static void node_drains_until_it_is_enabled(void **context)
{
    struct fake fake;
    struct reload *reload;
    struct fake_outcome outcome;
    uint32_t ready = 0;

    (void)context;
    fake_setup(&fake, A);
    fake_start(&fake);
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 1);
    assert_string_equal(node_says(reload), "up");
    outcome = fake_ask(&fake, reload, PLAN_NODE, "node", LB_DRAINING);
    assert_int_equal(outcome.status, RELOAD_DONE);
    assert_non_null(strstr(outcome.text, "drain node: generation "));
    assert_int_equal(fake.offered->draining, 1);
    assert_string_equal(node_says(reload), "draining");
    assert_int_equal(fake_state_of(&fake, "a"), LB_UP);
    assert_int_equal(fake_ask(&fake, reload, PLAN_FILE, "", 0).status, RELOAD_DONE);
    assert_int_equal(fake.offered->draining, 1);
    reload_free(reload);
    ready = 0;
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 1);
    assert_int_equal(fake.offered->draining, 1);
    assert_string_equal(node_says(reload), "draining");
    assert_int_equal(fake_ask(&fake, reload, PLAN_NODE, "node", LB_UP).status, RELOAD_DONE);
    assert_int_equal(fake.offered->draining, 0);
    reload_free(reload);
    reload = fake_reload(&fake, &ready);
    assert_string_equal(node_says(reload), "up");
    reload_free(reload);
    fake_teardown(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dry_run_says_who_gets_what),
        cmocka_unit_test(node_drains_until_it_is_enabled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
