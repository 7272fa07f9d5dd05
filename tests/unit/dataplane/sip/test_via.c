/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of dataplane/sip/via.c: RFC 3261 §20.42, RFC 3581, RFC 4475, RFC 5118. */
#include "dataplane/sip/via.h"

#include "tests/unit/dataplane/sip/test_sip.h"

struct via_case {
    const char *text;
    const char *transport_text, *host, *params, *branch, *received, *received_param;
    const char *rport, *rport_param, *whole, *rest;
    enum sip_transport transport;
    uint16_t port;
};

static const struct via_case good[] = {
    {.text = "SIP/2.0/UDP pc33.atlanta.example.com:5066;branch=z9hG4bK776asdhds",
     .transport_text = "UDP",
     .host = "pc33.atlanta.example.com",
     .port = 5066,
     .params = ";branch=z9hG4bK776asdhds",
     .branch = "z9hG4bK776asdhds",
     .transport = SIP_TRANSPORT_UDP},
    /* RFC 4475 §3.1.1.1: LWS and folds wherever the grammar has them */
    {.text = "SIP  / 2.0\r\n /UDP\r\n    192.0.2.2\t:  5070 ;\r\n branch  =\t z9 ,SIP/2.0/TCP a",
     .transport_text = "UDP",
     .host = "192.0.2.2",
     .port = 5070,
     .branch = "z9",
     .params = ";\r\n branch  =\t z9",
     .rest = "SIP/2.0/TCP a",
     .whole = "SIP  / 2.0\r\n /UDP\r\n    192.0.2.2\t:  5070 ;\r\n branch  =\t z9",
     .transport = SIP_TRANSPORT_UDP},
    {.text = "sip/2.0/udp 192.0.2.1",
     .transport_text = "udp",
     .host = "192.0.2.1",
     .transport = SIP_TRANSPORT_UDP}, /* RFC 2543 */
    {.text = "SIP/2.0/TLS-SCTP h",
     .transport_text = "TLS-SCTP",
     .host = "h",
     .transport = SIP_TRANSPORT_NONE}, /* RFC 4475 §3.1.1.10 */
    {.text = "SIP/2.0/UDP 10.0.0.1;rport;branch=b",
     .transport_text = "UDP",
     .host = "10.0.0.1",
     .rport_param = ";rport",
     .params = ";rport;branch=b",
     .branch = "b",
     .transport = SIP_TRANSPORT_UDP},
    {.text = "SIP/2.0/WSS df7j.invalid ; rport = 4711;RECEIVED=2001:db8::9:255;Branch=b",
     .transport_text = "WSS",
     .host = "df7j.invalid",
     .rport = "4711",
     .rport_param = "; rport = 4711",
     .received = "2001:db8::9:255",
     .received_param = ";RECEIVED=2001:db8::9:255",
     .branch = "b",
     .params = "; rport = 4711;RECEIVED=2001:db8::9:255;Branch=b",
     .transport = SIP_TRANSPORT_WSS}, /* RFC 7118, RFC 5118 §4.5 */
    {.text = "SIP/2.0/TCP [2001:db8::1]:5061;received=[2001:db8::2]",
     .transport_text = "TCP",
     .host = "[2001:db8::1]",
     .port = 5061,
     .params = ";received=[2001:db8::2]",
     .received = "[2001:db8::2]",
     .received_param = ";received=[2001:db8::2]",
     .transport = SIP_TRANSPORT_TCP},
    {.text = "SIP/2.0/UDP 255.0.10.1:65535;rport=4711;received=203.0.113.255",
     .transport_text = "UDP",
     .host = "255.0.10.1",
     .port = 65535,
     .params = ";rport=4711;received=203.0.113.255",
     .rport = "4711",
     .rport_param = ";rport=4711",
     .received = "203.0.113.255",
     .received_param = ";received=203.0.113.255",
     .transport = SIP_TRANSPORT_UDP},
    {.text = "SIP/2.0/UDP h;received=203.0.113.256",
     .transport_text = "UDP",
     .host = "h",
     .params = ";received=203.0.113.256",
     .received = "203.0.113.256",
     .received_param = ";received=203.0.113.256",
     .transport = SIP_TRANSPORT_UDP},
    {.text = "SIP/2.0/UDP h;x=\"a,b;c\\\"d\";branch=b",
     .transport_text = "UDP",
     .host = "h",
     .params = ";x=\"a,b;c\\\"d\";branch=b",
     .branch = "b",
     .transport = SIP_TRANSPORT_UDP},
    {.text = "SIP/2.0/UDP h;branch=z9hG4bKa=b/c@d:e",
     .transport_text = "UDP",
     .host = "h",
     .params = ";branch=z9hG4bKa=b/c@d:e",
     .branch = "z9hG4bKa=b/c@d:e",
     .transport = SIP_TRANSPORT_UDP},
};

static const char *const bad[] = {
    "",
    "SIP/2.0/UDP",
    "SIP/2.0/UDP ",
    "SIP/2.0 h",
    "SIP/2.1/UDP h",
    "SIP/2/UDP h",
    "HTTP/2.0/UDP h",
    "/2.0/UDP h",
    "SIP//UDP h",
    "SIP/2.0/ h",
    "SIP/2.0/UDPh:5060",
    "SIP/2.0/UDP h:",
    "SIP/2.0/UDP h:0",
    "SIP/2.0/UDP h:65536",
    "SIP/2.0/UDP h:5x",
    "SIP/2.0/UDP h:-1",
    "SIP/2.0/UDP :5060",
    "SIP/2.0/UDP h h2",
    "SIP/2.0/UDP 2001:db8::1",
    "SIP/2.0/UDP [2001:db8::1",
    "SIP/2.0/UDP [2001:db8:::1]",
    "SIP/2.0/UDP 192.0.2.300",
    "SIP/2.0/UDP <h>",
    "SIP/2.0/UDP 192.0.2.15;;,;,,", /* RFC 4475 §3.1.2.1 */
    "SIP/2.0/UDP h;",
    "SIP/2.0/UDP h;;branch=b",
    "SIP/2.0/UDP h;=b",
    "SIP/2.0/UDP h;branch=",
    "SIP/2.0/UDP h;branch",
    "SIP/2.0/UDP h;x=\"open",
    "SIP/2.0/UDP h;x=\"open\\\"",
    "SIP/2.0/UDP h;x=\"a\"b",
    "SIP/2.0/UDP h,",
    "SIP/2.0/UDP h, ,SIP/2.0/UDP i",
    ",SIP/2.0/UDP h",
    "SIP/2.0/UDP h;branch=a;branch=b",
    "SIP/2.0/UDP h;branch=a;branch=a",
    "SIP/2.0/UDP h;received=1.1.1.1;Received=2.2.2.2",
    "SIP/2.0/UDP h;rport;rport=5",
    "SIP/2.0/UDP h;branch=a b",
    "SIP/2.0/UDP h;branch=<a>",
};

/* The address that a text is, if it is one. */
static void expect_ip(const char *text, struct sip_slice from, bool is_ip, const struct sip_ip *ip)
{
    struct sip_ip expected;

    if ((sip_ip_parse(from, &expected) == 0) != is_ip || (is_ip && !sip_ip_equal(ip, &expected)))
        fail_msg("%s: the address of %.*s", text, (int)from.length, from.at);
}

static void test_good(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        const struct via_case *c = &good[i];
        struct guard guard = guard_new_text(c->text);
        struct sip_via via;

        if (sip_via_parse(guarded(&guard), &via) != 0)
            fail_msg("refused: %s", c->text);
        expect_slice(c->text, via.whole, c->whole != NULL ? c->whole : c->text);
        expect_slice(c->text, via.rest, c->rest);
        expect_slice(c->text, via.transport_text, c->transport_text);
        expect_slice(c->text, via.host, c->host);
        expect_slice(c->text, via.params, c->params);
        expect_slice(c->text, via.branch, c->branch);
        expect_slice(c->text, via.received, c->received);
        expect_slice(c->text, via.received_param, c->received_param);
        expect_ip(c->text, via.host, via.host_is_ip, &via.host_ip);
        expect_ip(c->text, via.received, via.received_is_ip, &via.received_ip);
        expect_slice(c->text, via.rport, c->rport);
        expect_slice(c->text, via.rport_param, c->rport_param);
        assert_int_equal(via.port, c->port);
        assert_int_equal(via.transport, c->transport);
        guard_free(&guard);
    }
}

static void test_bad(void **state)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct guard guard = guard_new_text(bad[i]);
        struct sip_via via;

        if (sip_via_parse(guarded(&guard), &via) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
        guard_free(&guard);
    }
}

/* Every front of a good Via is read within its bounds, whatever comes out. */
static void test_cut(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        for (size_t length = 0; length < strlen(good[i].text); length++) {
            struct guard guard = guard_new(good[i].text, length);
            struct sip_via via;

            if (sip_via_parse(guarded(&guard), &via) == 0)
                assert_true(via.whole.at + via.whole.length <= guard.at + guard.length);
            guard_free(&guard);
        }
    }
}

static void test_walk(void **state)
{
    struct sip_slice rest =
        sip_slice_of("SIP/2.0/UDP a;branch=1,\r\n SIP/2.0/TCP b , SIP/2.0/TLS c");
    static const char *const hosts[] = {"a", "b", "c"};
    struct sip_via via;

    for (size_t i = 0; i < COUNT(hosts); i++) {
        assert_int_equal(sip_via_parse(rest, &via), 0);
        expect_slice("walk", via.host, hosts[i]);
        rest = via.rest;
    }
    assert_int_equal(rest.length, 0);
}

static void test_param_find(void **state)
{
    static const struct {
        const char *params, *name, *value, *param;
    } cases[] = {
        {";lr", "lr", "", ";lr"},
        {";a=1;LR;b=2", "lr", "", ";LR"},
        {";a=1;lr=on;b=2", "lr", "on", ";lr=on"},
        {"; a = \"x;lr=no\" ; lr = on", "lr", "on", "; lr = on"},
        {";a=\"q\\\"\";b=2", "a", "\"q\\\"\"", ";a=\"q\\\"\""},
        {";;;lr;", "lr", "", ";lr"},
        {";tag=", "tag", "", ";tag="},
        {";a=b=c", "a", "b=c", ";a=b=c"},
        {"", "lr", NULL, NULL},
        {";", "lr", NULL, NULL},
        {";lrx", "lr", NULL, NULL},
        {";xlr", "lr", NULL, NULL},
        {";a=\"lr", "lr", NULL, NULL},
        {"lr", "lr", NULL, NULL},
        {";a=lr", "lr", NULL, NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct guard guard = guard_new_text(cases[i].params);
        struct sip_slice value = sip_slice_of("before"), param = value;
        bool found = sip_param_find(guarded(&guard), sip_slice_of(cases[i].name), &value, &param);

        assert_int_equal(found, cases[i].value != NULL);
        expect_slice(cases[i].params, value, found ? cases[i].value : "before");
        expect_slice(cases[i].params, param, found ? cases[i].param : "before");
        guard_free(&guard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_bad),        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_walk), cmocka_unit_test(test_param_find),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
