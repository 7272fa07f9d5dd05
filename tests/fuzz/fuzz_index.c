/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every variant of sip_msg_index and sip_via_parse that this processor runs must say of any bytes
 * what the scalar one says, in every member of struct sip_msg and struct sip_via.
 */
#include "dataplane/sip/index.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/take.h"
#include "tests/unit/dataplane/sip/same_msg.h"

/* A variant may leave a Via to the scalar one, not say something else. */
static void compare_vias(const struct sip_index_variant *variant, struct sip_slice value)
{
    struct sip_via scalar, other;

    if (variant->via == NULL || !variant->via(value, &other))
        return;
    must(sip_via_scalar(value, &scalar) == 0);
    must(via_difference(&scalar, &other) == NULL);
}

static void compare_all_vias(const struct sip_index_variant *variant, const struct sip_msg *msg)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_VIA);

    for (; field != NULL; field = sip_msg_next(msg, field)) {
        struct sip_slice rest = sip_msg_value(msg, field);
        struct sip_via via;

        compare_vias(variant, rest);
        for (; rest.length > 0 && sip_via_scalar(rest, &via) == 0; rest = via.rest)
            compare_vias(variant, via.rest);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sip_msg scalar, other;
    const char *difference;

    memset(&scalar, 0xa5, sizeof(scalar));
    sip_index_scalar((const char *)data, size, &scalar);
    for (uint32_t i = 0; i < sip_index_variant_count; i++) {
        const struct sip_index_variant *variant = &sip_index_variants[i];

        if (!variant->runs_here())
            continue;
        memset(&other, 0x5a, sizeof(other)); /* what one does not write differs */
        must(variant->index((const char *)data, size, &other) == (enum sip_error)scalar.error);
        difference = msg_difference(&scalar, &other);
        if (difference != NULL)
            fprintf(stderr, "%s differs in %s\n", variant->name, difference);
        must(difference == NULL);
        compare_all_vias(variant, &scalar);
        compare_vias(variant, sip_slice((const char *)data, (uint32_t)size));
    }
    return 0;
}
