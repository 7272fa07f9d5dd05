/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures of operators: several at once, each of every message or of one Call-ID. Together they say
 * what the data plane copies (reload_live), and its rings are read while there are any.
 */
#ifndef TANDEM_CONTROL_CAPTURE_H
#define TANDEM_CONTROL_CAPTURE_H

#include "control/reload.h"

enum {
    CAPTURES_MAX = 16,             /* at once */
    CAPTURE_COUNT_MAX = 1000000000,
};

struct captures;

/* NULL: no memory. */
struct captures *captures_new(struct loop *loop, struct reload *reload);
/* Ends them all. */
void captures_free(struct captures *captures);

/*
 * Begins a capture for a client whose non-blocking socket it takes over: it gets one line of JSON,
 * and then a pcapng file, until it shuts down its side or `count` received messages (0: no end) with
 * what was made of them are sent. call_id "": every message. Returns NULL, or a literal: why not (the
 * socket stays the caller's).
 */
const char *captures_start(struct captures *captures, int fd, const char *call_id, uint64_t count);

#endif
