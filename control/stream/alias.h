/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection reuse (RFC 5923): whether a request makes the connection that it came by the one for
 * what is sent to its sender's own address. It keeps nothing; the table does.
 *
 * By TLS that is for a name that the peer's verified certificate has, which the table sees to. TCP
 * shows nobody's name, and of what has one address (behind a NAT, on one host) one could take what
 * is another's: so there it is for backends alone, at an address that is configured.
 */
#ifndef TANDEM_STREAM_ALIAS_H
#define TANDEM_STREAM_ALIAS_H

#include "config/snapshot.h"
#include "dataplane/proxy/flow.h"
#include "dataplane/sip/msg.h"

/* The port of that address; 0: it does not ask for that, or may not. `service`: of the listener that
 * the request came to. */
uint16_t alias_port(const struct snapshot *snapshot, const struct snapshot_service *service,
                    const struct sip_msg *request, const struct proxy_flow *from);

#endif
