/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of the upgrade to WebSocket: the bytes as what a client sends, all at once and byte
 * by byte, for a listener that takes any origin and for one that does not. The results must be
 * alike, each refusal have its answer, and a good request be one that nobody reads otherwise.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "control/stream/http.h"
#include "tests/fuzz/take.h"

static char *const origins[] = {"https://phone.example.net"};

static const struct http_rules all_rules[] = {
    {.path = "/sip"},
    {.path = "/sip", .origins = origins, .n_origins = 1},
};

static int run_steps(struct http_upgrade *upgrade, const struct http_rules *rules,
                     const char *bytes, uint32_t n, uint32_t step)
{
    int result = -EAGAIN;

    memset(upgrade, 0, sizeof(*upgrade));
    for (uint32_t arrived = step; result == -EAGAIN && arrived <= n; arrived += step)
        result = http_upgrade_read(upgrade, rules, bytes, arrived);
    return result;
}

static void check_good(const struct http_upgrade *upgrade, const struct http_rules *rules,
                       const char *bytes, uint32_t n)
{
    struct sip_slice request = sip_slice(bytes, upgrade->length);
    char answer[HTTP_ANSWER_MAX];

    must(upgrade->length <= n && upgrade->length <= HTTP_HEADER_MAX);
    must_lie_in(upgrade->target, request);
    must_lie_in(upgrade->host, request);
    must_lie_in(upgrade->origin, request);
    must_lie_in(upgrade->user_agent, request);
    must_lie_in(upgrade->key, request);
    must(upgrade->host.length > 0 && upgrade->key.length == 24);
    must(upgrade->target.length >= 4 && memcmp(upgrade->target.at, "/sip", 4) == 0);
    must(rules->n_origins == 0 || upgrade->origin.length == strlen(origins[0]));
    /* Lines end in CRLF, none is empty but the last, no CR is elsewhere, and no NUL anywhere. */
    for (uint32_t i = 0; i < request.length; i++) {
        must((request.at[i] == '\n') == (i > 0 && request.at[i - 1] == '\r'));
        must(request.at[i] != '\0');
        must(i < 3 || i + 1 == request.length || memcmp(request.at + i - 3, "\r\n\r\n", 4) != 0);
    }
    must(http_accept_print(upgrade, answer) == (int32_t)strlen(answer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    uint32_t n = (uint32_t)size;

    if (size == 0)
        return 0;
    for (size_t i = 0; i < sizeof(all_rules) / sizeof(all_rules[0]); i++) {
        struct http_upgrade whole, pieces;
        int result = run_steps(&whole, &all_rules[i], bytes, n, n);
        char answer[HTTP_ANSWER_MAX];

        must(run_steps(&pieces, &all_rules[i], bytes, n, 1) == result);
        if (result == 0) {
            must(memcmp(&whole.length, &pieces.length, sizeof(whole.length)) == 0);
            check_good(&whole, &all_rules[i], bytes, n);
        } else if (result != -EAGAIN) {
            must(http_refuse_print(result, answer) == (int32_t)strlen(answer));
        } else {
            must(n < HTTP_HEADER_MAX);
        }
    }
    return 0;
}
