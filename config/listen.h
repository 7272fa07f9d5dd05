/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `listen:` and `stream_port:` of a service: where messages come in, by each transport with the keys
 * that only it has, and what must hold between all of a file. It names files and opens none.
 */
#ifndef TANDEM_CONFIG_LISTEN_H
#define TANDEM_CONFIG_LISTEN_H

#include "config/cfg.h"
#include "config/schema.h"

/*
 * Fills the listeners of a service, which `base` names; relative names of files are made from the
 * folder of `file`. Returns 0, or a negative errno with key and reason in *error.
 */
int listen_convert(const struct schema_service *raw, const char *file, struct cfg_service *service,
                   const char *base, struct cfg_error *error);

/* The port of control's own listeners, for a service that has streams: the index-th of the file,
 * its listeners filled in. Returns 0, or -EINVAL with key and reason in *error. */
int listen_stream_port(const struct schema_service *raw, uint32_t index,
                       struct cfg_service *service, const char *base, struct cfg_error *error);

/*
 * Refuses a listener at no port's address; an address and port that two have, control's own and
 * `metrics:` included; streams of a service whose backends no address of this node reaches; a
 * backend that is control's own listener. The pools' names are checked already. Returns 0, or a
 * negative errno with key and reason in *error.
 */
int listen_check(const struct cfg *cfg, struct cfg_error *error);

/* Frees what a listener holds. */
void listen_done(struct cfg_listener *listener);

#endif
