/* SPDX-License-Identifier: Apache-2.0 */
/* What the grammar's tests share: cmocka in the order that it wants, slices against texts. */
#ifndef TANDEM_TESTS_UNIT_DATAPLANE_SIP_TEST_SIP_H
#define TANDEM_TESTS_UNIT_DATAPLANE_SIP_TEST_SIP_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/sip/slice.h"
#include "tests/unit/guard.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Fails, naming the case, when the slice is not that text; a NULL text stands for the empty one. */
static inline void expect_slice(const char *label, struct sip_slice got, const char *text)
{
    struct sip_slice want = sip_slice_of(text != NULL ? text : "");

    if (!sip_slice_equal(got, want))
        fail_msg("%s: got \"%.*s\", want \"%s\"", label, (int)got.length,
                 got.length > 0 ? got.at : "", want.at);
}

static inline struct sip_slice guarded(const struct guard *guard)
{
    return sip_slice(guard->at, (uint32_t)guard->length);
}

#endif
