/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to tandem-control over its socket, one line each way. It knows nothing of what they say.
 */
#ifndef TANDEM_CONTROL_CTL_ASK_H
#define TANDEM_CONTROL_CTL_ASK_H

#include <jansson.h>
#include <stdbool.h>

enum { ASK_REASON_MAX = 256 };

/* A connected socket, or -1 and why in ret_reason[ASK_REASON_MAX]. */
int ask_connect(const char *path, char *ret_reason);

/*
 * Sends a request and waits for its answer; with `no_more` nothing behind the answer's line is read.
 * A new reference, or NULL and why in ret_reason[ASK_REASON_MAX].
 */
json_t *ask_answer(int fd, const json_t *request, bool no_more, char *ret_reason);

/* The same over a connection of its own. */
json_t *ask_once(const char *path, const json_t *request, char *ret_reason);

/* The result of `show WHAT`. */
json_t *ask_show(const char *path, const char *what, char *ret_reason);

#endif
