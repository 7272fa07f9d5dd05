/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of WebSockets: the bytes as what a client sends after the upgrade, all at once and
 * byte by byte. What comes out and what is answered must be alike, and within limits.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include "control/stream/ws.h"
#include "tests/fuzz/take.h"

enum { INPUT_MAX = 16384, MESSAGE_MAX = 4000, LOG_MAX = 8 * INPUT_MAX };

/* What went to either side, each with a byte before that says which. */
struct run {
    struct ws *ws;
    uint32_t n;
    char log[LOG_MAX];
};

static void note(struct run *run, char what, const void *bytes, size_t n)
{
    must(run->n + 1 + n <= LOG_MAX);
    run->log[run->n++] = what;
    if (n > 0)
        memcpy(run->log + run->n, bytes, n);
    run->n += (uint32_t)n;
}

/* Some messages are answered, and one closes. */
static void on_message(void *arg, const char *bytes, uint32_t n)
{
    struct run *run = arg;

    must(n > 0 && n <= MESSAGE_MAX);
    note(run, 'm', bytes, n);
    if (bytes[0] == 'O')
        ws_send(run->ws, bytes, n);
    if (bytes[0] == 'C')
        ws_close(run->ws, WS_GOING_AWAY);
}

static void on_send(void *arg, const void *bytes, size_t n)
{
    note(arg, 's', bytes, n);
}

static void on_ping(void *arg)
{
    note(arg, 'p', NULL, 0);
}

static void run_steps(struct run *run, const uint8_t *data, uint32_t n, uint32_t step)
{
    static const struct ws_callbacks callbacks = {on_message, on_send, on_ping};
    int result = 0;

    run->n = 0;
    run->ws = ws_new(MESSAGE_MAX, &callbacks, run);
    must(run->ws != NULL);
    for (uint32_t at = 0; at < n && result == 0; at += step)
        result = ws_take(run->ws, (const char *)data + at, step < n - at ? step : n - at);
    must(result == 0 || (result == -ESHUTDOWN && ws_code(run->ws) >= 1000));
    note(run, result == 0 ? 'o' : 'c', NULL, 0);
    note(run, ws_pending(run->ws) && result == 0 ? 'w' : 'f', NULL, 0);
    ws_free(run->ws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, pieces;

    if (size == 0 || size > INPUT_MAX)
        return 0;
    run_steps(&whole, data, (uint32_t)size, (uint32_t)size);
    run_steps(&pieces, data, (uint32_t)size, 1);
    must(pieces.n == whole.n && memcmp(pieces.log, whole.log, whole.n) == 0);
    return 0;
}
