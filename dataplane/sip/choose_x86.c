/* SPDX-License-Identifier: Apache-2.0 */
/* The variants of sip_msg_index on x86-64, and which of them this processor runs. */
#include "dataplane/sip/index.h"

/* What the compiler's library found out about processor and kernel before main: a word in memory,
 * the same branch each time; nothing to set up, and nothing that changes. */
static inline bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

static inline bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

static bool runs_avx512(void)
{
    return has_avx512();
}

static bool runs_avx2(void)
{
    return has_avx2();
}

static bool runs_scalar(void)
{
    return true;
}

const struct sip_index_variant sip_index_variants[] = {
    {"avx512", sip_index_avx512, sip_via_avx512, sip_uri_avx512, sip_nameaddr_avx512,
     sip_edit_avx512, runs_avx512},
    {"avx2", sip_index_avx2, sip_via_avx2, sip_uri_avx2, sip_nameaddr_avx2, NULL, runs_avx2},
    {"scalar", sip_index_scalar, NULL, NULL, NULL, sip_edit_scalar, runs_scalar},
};
const uint32_t sip_index_variant_count = 3;

enum sip_error sip_msg_index(const char *buf, size_t size, struct sip_msg *ret)
{
    if (size > UINT32_MAX)
        size = UINT32_MAX;
    if (has_avx512())
        return sip_index_avx512(buf, size, ret);
    if (has_avx2())
        return sip_index_avx2(buf, size, ret);
    return sip_index_scalar(buf, size, ret);
}

int sip_via_parse(struct sip_slice value, struct sip_via *ret)
{
    if (has_avx512() ? sip_via_avx512(value, ret) : has_avx2() && sip_via_avx2(value, ret))
        return 0;
    return sip_via_scalar(value, ret);
}

int sip_uri_parse(struct sip_slice text, struct sip_uri *ret)
{
    if (has_avx512() ? sip_uri_avx512(text, ret) : has_avx2() && sip_uri_avx2(text, ret))
        return 0;
    return sip_uri_scalar(text, ret);
}

int sip_nameaddr_parse(struct sip_slice value, struct sip_nameaddr *ret)
{
    if (has_avx512() ? sip_nameaddr_avx512(value, ret)
                     : has_avx2() && sip_nameaddr_avx2(value, ret))
        return 0;
    return sip_nameaddr_scalar(value, ret);
}

int32_t sip_edit_in_place(const struct sip_edit *edit, char *buf, size_t length, size_t headroom,
                          size_t tailroom, int32_t *ret_start)
{
    return has_avx512() ? sip_edit_avx512(edit, buf, length, headroom, tailroom, ret_start)
                        : sip_edit_scalar(edit, buf, length, headroom, tailroom, ret_start);
}
