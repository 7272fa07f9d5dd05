/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of dataplane/proxy/route.c: a Route as we write it is read without the parsers, and must be
 * what they say of it, whatever byte stands in the place of any of its own.
 */
#include "dataplane/proxy/work.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "dataplane/sip/index.h"
#include "tests/unit/dataplane/proxy/stage.h"
#include "tests/unit/dataplane/sip/same_msg.h"

static const char *const values[] = {
    "<sip:t1.AgHAAAIKE8TGEgQBE8SqDxESE8QAAAAAAAAAAA@192.0.2.10:5060;lr>",
    "<sip:t1.@192.0.2.10:5060;lr>",
    "<sip:t1.abc@192.0.2.10:5060;lr>",
    "<sip:t1@192.0.2.10:5060;lr>",
    "<sip:@192.0.2.10:5060;lr>",
    "<sip:192.0.2.10:5060;lr>",
    "<sip:t1.AgHAAAIKE8TGEgQBE8SqDxESE8Q@192.0.2.10:5060;lr>, <sip:t1.x@192.0.2.10:5060;lr>",
};

/* The first value of `text`, by the parsers; false: they refuse it. */
static bool parse(struct sip_slice text, struct proxy_route *ret)
{
    if (sip_nameaddr_scalar(text, &ret->addr) != 0)
        return false;
    ret->is_uri = sip_uri_scalar(ret->addr.uri, &ret->uri) == 0;
    return true;
}

static void compare(struct proxy_work *w, struct sip_slice text)
{
    struct sip_slice rest = text;
    struct proxy_route want;
    bool read = proxy_routes_read(w);

    for (uint32_t i = 0; i < w->n_routes; i++, rest = want.addr.rest) {
        const struct proxy_route *got = &w->routes[i];

        if (!parse(rest, &want) || nameaddr_difference(&got->addr, &want.addr) != NULL ||
            got->is_uri != want.is_uri ||
            (want.is_uri && uri_difference(&got->uri, &want.uri) != NULL))
            fail_msg("value %u of %.*s", i, (int)text.length, text.at);
    }
    if (read != (rest.length == 0) || (!read && parse(rest, &want)))
        fail_msg("%.*s", (int)text.length, text.at);
}

static void one(const struct stage *stage, const struct proxy_input *input, struct sip_slice text)
{
    static struct proxy_output output;
    static struct sip_msg msg;
    static struct proxy_work w;
    struct proxy_input in = *input;

    memset(&msg, 0, sizeof(msg));
    msg.buf = text.at;
    msg.kind = SIP_REQUEST;
    msg.n_fields = 1;
    msg.first[SIP_ROUTE] = 1;
    msg.fields[0].value_length = (uint16_t)text.length;
    in.msg = &msg;
    memset(&w, 0, sizeof(w));
    w.view = &stage->view;
    w.s = stage->snapshot;
    w.service = snapshot_services(w.s);
    w.in = &in;
    w.msg = &msg;
    w.out = &output;
    compare(&w, text);
}

static void test_own_routes(void **state)
{
    struct stage *stage = stage_new(&(struct stage_conf){0});
    struct proxy_input input = {0};
    struct sip_addr addr;
    char text[128];

    assert_int_equal(sip_ip_parse(sip_slice_of("192.0.2.10"), &addr.ip), 0);
    addr.port = 5060;
    input.listener = (uint32_t)snapshot_find_listener(stage->snapshot, SIP_TRANSPORT_UDP, &addr);
    for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
        uint32_t length = (uint32_t)strlen(values[v]);

        memcpy(text, values[v], length);
        for (uint32_t i = 0; i < length; i++) {
            for (int byte = 0; byte < 256; byte++) {
                text[i] = (char)byte;
                one(stage, &input, sip_slice(text, length));
            }
            text[i] = values[v][i];
            one(stage, &input, sip_slice(text, i));
        }
    }
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_own_routes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
