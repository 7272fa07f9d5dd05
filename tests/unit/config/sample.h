/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this folder share: cmocka with its headers, the sample files, a secret. */
#ifndef TANDEM_TESTS_UNIT_CONFIG_SAMPLE_H
#define TANDEM_TESTS_UNIT_CONFIG_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/compile.h"

/* The folder with the sample files: the test's argument, or this folder from the project's root. */
static const char *sample_dir = "tests/unit/config";

static inline struct cfg *sample_load(const char *name)
{
    struct cfg_error error;
    struct cfg *cfg;
    char file[512], text[768];

    snprintf(file, sizeof(file), "%s/%s", sample_dir, name);
    cfg = cfg_load(file, &error);
    if (cfg == NULL) {
        cfg_error_print(&error, text, sizeof(text));
        fail_msg("%s", text);
    }
    return cfg;
}

static const struct compile_secret sample_secret = {
    .seed = {1, 2},
    .mac = {[SNAPSHOT_MAC_CURRENT] = {.id = 7, .valid = 1, .key = {3, 4}},
            [SNAPSHOT_MAC_PREVIOUS] = {.id = 6, .valid = 1, .key = {5, 6}}},
};

/* Two that are found, one after another in the targets; one that is not; one that DNS kept. */
static const struct snapshot_target sample_targets[] = {
    {.addr = {{{[10] = 0xff, 0xff, 198, 51, 100, 1}}, 5060}, .transport = SIP_TRANSPORT_UDP,
     .priority = 1, .weight = 10},
    {.addr = {{{[10] = 0xff, 0xff, 198, 51, 100, 2}}, 5062}, .transport = SIP_TRANSPORT_UDP,
     .priority = 2},
    {.addr = {{{0x20, 1, 0xd, 0xb8, [15] = 9}}, 5061}, .transport = SIP_TRANSPORT_TLS},
};
static const struct compile_name sample_names[] = {
    {.host = "carrier.example", .outcome = SNAPSHOT_NAME_FOUND,
     .targets = sample_targets, .n_targets = 2},
    {.host = "carrier.example", .port = 5061, .transport = SIP_TRANSPORT_TLS,
     .outcome = SNAPSHOT_NAME_FOUND, .targets = sample_targets + 2, .n_targets = 1},
    {.host = "nobody.example", .outcome = SNAPSHOT_NAME_NONE},
    {.host = "silent.example", .port = 5060, .outcome = SNAPSHOT_NAME_FAILED},
};
static const struct compile_live sample_live = {
    .names = sample_names,
    .n_names = 4,
    .capture = {.on = 1, .n_calls = 2, .calls = {11, 12}},
};

static inline struct snapshot *sample_compile(const struct compile_input *input)
{
    struct snapshot *snapshot = NULL;

    assert_int_equal(compile_snapshot(input, &snapshot), 0);
    assert_non_null(snapshot);
    return snapshot;
}

static inline uint32_t sample_id(const char *pool, const char *backend)
{
    return snapshot_backend_id(sip_slice_of(pool), sip_slice_of(backend));
}

static inline struct sip_addr sample_addr(const char *ip, uint16_t port)
{
    struct sip_addr addr = {.port = port};

    assert_int_equal(sip_ip_parse(sip_slice_of(ip), &addr.ip), 0);
    return addr;
}

#endif
