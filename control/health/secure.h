/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS of probes: as the streams have it, so that a backend is up only when calls could reach it.
 * It must not know what a handshake is.
 */
#ifndef TANDEM_CONTROL_HEALTH_SECURE_H
#define TANDEM_CONTROL_HEALTH_SECURE_H

#include "config/snapshot.h"
#include "control/stream/tls/tls.h"

/* All zero: there is none. */
struct secure_source {
    struct tls *(*fn)(void *arg);     /* what is in use now; NULL: nothing */
    void *arg;
    struct tls *tls;                  /* what was in use at the last look; a reference */
};

/* Looks again; true: it is another than before. */
bool secure_follow(struct secure_source *source);
void secure_done(struct secure_source *source);

/* The client's side of a connection to a backend, by its id; as whoever carries calls to it would
 * begin it. NULL: it cannot be reached by TLS now, or no memory. */
SSL *secure_connect(const struct secure_source *source, const struct snapshot *s, uint32_t id);

#endif
