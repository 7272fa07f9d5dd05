/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses to the kernel's shape and back, of both families, and what the kernel would send from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "control/address.h"

static struct sip_addr make(const char *host, uint16_t port)
{
    struct sip_addr addr = {.port = port};

    assert_int_equal(sip_ip_parse(sip_slice_of(host), &addr.ip), 0);
    return addr;
}

static void there_and_back(void **context)
{
    static const struct {
        const char *host;
        int family;
        socklen_t size;
    } rows[] = {
        {"192.0.2.10", AF_INET, sizeof(struct sockaddr_in)},
        {"0.0.0.0", AF_INET, sizeof(struct sockaddr_in)},
        {"2001:db8::10", AF_INET6, sizeof(struct sockaddr_in6)},
        {"::", AF_INET6, sizeof(struct sockaddr_in6)},
    };

    (void)context;
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct sip_addr addr = make(rows[i].host, 5061);
        struct sip_addr back;
        union address kernel;
        char text[INET6_ADDRSTRLEN];
        const void *bytes;

        memset(&kernel, 0xff, sizeof(kernel));
        assert_int_equal(address_to_kernel(&addr, &kernel), rows[i].size);
        assert_int_equal(kernel.any.sa_family, rows[i].family);
        assert_int_equal(kernel.v4.sin_port, htons(5061)); /* at the same place in both */
        bytes = rows[i].family == AF_INET ? (const void *)&kernel.v4.sin_addr
                                          : (const void *)&kernel.v6.sin6_addr;
        assert_non_null(inet_ntop(rows[i].family, bytes, text, sizeof(text)));
        assert_string_equal(text, rows[i].host);
        back = address_from_kernel(&kernel);
        assert_true(sip_addr_equal(&addr, &back));
    }
}

static void another_family_is_no_address(void **context)
{
    const union address kernel = {.any.sa_family = AF_UNIX};
    const struct sip_addr none = {.port = 0}, addr = address_from_kernel(&kernel);

    (void)context;
    assert_true(sip_addr_equal(&addr, &none));
}

static void the_source_to_loopback_is_loopback(void **context)
{
    const struct sip_addr peer = make("127.0.0.1", 9), nobody = make("255.255.255.255", 9);
    struct sip_ip ip = nobody.ip;

    (void)context;
    assert_true(address_source(&nobody, &ip) < 0); /* broadcast is refused to who did not ask */
    assert_true(sip_ip_equal(&ip, &nobody.ip));
    assert_int_equal(address_source(&peer, &ip), 0);
    assert_true(sip_ip_equal(&ip, &peer.ip));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(another_family_is_no_address),
        cmocka_unit_test(the_source_to_loopback_is_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
