/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to `show connections`, as JSON: the connections of streams, and what was counted. */
#ifndef TANDEM_CONTROL_SHOW_CONNECTIONS_H
#define TANDEM_CONTROL_SHOW_CONNECTIONS_H

#include <jansson.h>

#include "control/stream/stream.h"

/* Which ones. */
struct show_connections_filter {
    char source[64];                  /* the peer's address, without a port; "": any */
    char transport[8];                /* any case; "": any */
    char sni[256];                    /* the name that a client asked for; "": any */
};

/* New reference: {"connections": […], "total": how many there are, "counters": {…}}; NULL: no memory. */
json_t *show_connections(const struct stream *stream, const struct show_connections_filter *filter);

/* A connection's number as an operator has it: sixteen hexadecimal digits. False: it is none. */
bool show_connections_id(const char *text, uint64_t *ret);

#endif
