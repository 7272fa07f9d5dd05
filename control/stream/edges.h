/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration says of stream listeners beyond the snapshot: certificates, and who may
 * upgrade to WebSocket. Immutable and counted, since connections begin by it in any thread.
 */
#ifndef TANDEM_STREAM_EDGES_H
#define TANDEM_STREAM_EDGES_H

#include "control/stream/http.h"
#include "control/stream/tls/tls.h"

struct edges;

/* NULL: no memory, or what tls_new refuses, in *ret_error. */
struct edges *edges_new(const struct cfg *cfg, const struct compile_secret *secret,
                        struct cfg_error *ret_error);

/* One more who holds it, one less. Any thread. NULL does nothing. */
struct edges *edges_keep(struct edges *edges);
void edges_release(struct edges *edges);

struct tls *edges_tls(const struct edges *edges);

/* The rules of a ws or wss listener; NULL: there is none of that address (any more). */
const struct http_rules *edges_rules(const struct edges *edges, const struct sip_addr *listener);

#endif
