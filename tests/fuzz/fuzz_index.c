/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every variant of sip_msg_index, and of the parsers of a Via, a URI and a name-addr, that this
 * processor runs must say of any bytes what the scalar one says, in every member.
 */
#include "dataplane/sip/index.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/take.h"
#include "tests/unit/dataplane/sip/same_msg.h"

/* A variant may leave something to the scalar one, not say something else. */
static void compare_vias(const struct sip_index_variant *variant, struct sip_slice value)
{
    struct sip_via scalar, other;

    if (variant->via == NULL || !variant->via(value, &other))
        return;
    must(sip_via_scalar(value, &scalar) == 0);
    must(via_difference(&scalar, &other) == NULL);
}

static void compare_uris(const struct sip_index_variant *variant, struct sip_slice text)
{
    struct sip_uri scalar, other;

    if (variant->uri == NULL || !variant->uri(text, &other))
        return;
    must(sip_uri_scalar(text, &scalar) == 0);
    must(uri_difference(&scalar, &other) == NULL);
}

static void compare_nameaddrs(const struct sip_index_variant *variant, struct sip_slice text)
{
    struct sip_nameaddr scalar, other;

    if (variant->nameaddr == NULL || !variant->nameaddr(text, &other))
        return;
    must(sip_nameaddr_scalar(text, &scalar) == 0);
    must(nameaddr_difference(&scalar, &other) == NULL);
}

/* The values of a message, whatever they are, as one thing and as another. */
static void compare_values(const struct sip_index_variant *variant, const struct sip_msg *msg)
{
    compare_uris(variant, msg->request_uri);
    for (uint32_t i = 0; i < msg->n_fields; i++) {
        struct sip_slice value = sip_msg_value(msg, &msg->fields[i]), rest = value;
        struct sip_nameaddr address;
        struct sip_via via;

        compare_vias(variant, value);
        compare_uris(variant, value);
        for (; rest.length > 0 && sip_via_scalar(rest, &via) == 0; rest = via.rest)
            compare_vias(variant, via.rest);
        for (rest = value; rest.length > 0 && sip_nameaddr_scalar(rest, &address) == 0;
             rest = address.rest) {
            compare_nameaddrs(variant, rest);
            compare_uris(variant, address.uri);
        }
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
        compare_values(variant, &scalar);
        compare_vias(variant, sip_slice((const char *)data, (uint32_t)size));
        compare_uris(variant, sip_slice((const char *)data, (uint32_t)size));
        compare_nameaddrs(variant, sip_slice((const char *)data, (uint32_t)size));
    }
    return 0;
}
