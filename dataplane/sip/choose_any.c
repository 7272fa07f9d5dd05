/* SPDX-License-Identifier: Apache-2.0 */
/* Where there is no variant of sip_msg_index for the processor's vector instructions. */
#include "dataplane/sip/index.h"

static bool runs_scalar(void)
{
    return true;
}

const struct sip_index_variant sip_index_variants[] = {
    {"scalar", sip_index_scalar, NULL, NULL, NULL, sip_edit_scalar, runs_scalar}};
const uint32_t sip_index_variant_count = 1;

enum sip_error sip_msg_index(const char *buf, size_t size, struct sip_msg *ret)
{
    return sip_index_scalar(buf, size < UINT32_MAX ? size : UINT32_MAX, ret);
}

int sip_via_parse(struct sip_slice value, struct sip_via *ret)
{
    return sip_via_scalar(value, ret);
}

int sip_uri_parse(struct sip_slice text, struct sip_uri *ret)
{
    return sip_uri_scalar(text, ret);
}

int sip_nameaddr_parse(struct sip_slice value, struct sip_nameaddr *ret)
{
    return sip_nameaddr_scalar(value, ret);
}

int32_t sip_edit_in_place(const struct sip_edit *edit, char *buf, size_t length, size_t headroom,
                          size_t tailroom, int32_t *ret_start)
{
    return sip_edit_scalar(edit, buf, length, headroom, tailroom, ret_start);
}
