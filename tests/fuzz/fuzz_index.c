/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every variant of sip_msg_index that this processor runs must say of any bytes what the scalar one
 * says, in every member of struct sip_msg.
 */
#include "dataplane/sip/index.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/take.h"
#include "tests/unit/dataplane/sip/same_msg.h"

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
    }
    return 0;
}
