/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place of the configuration that names files of TLS: what is wrong there is told with file, line
 * and key. It must not know what is in the files.
 */
#ifndef TANDEM_STREAM_TLS_PLACE_H
#define TANDEM_STREAM_TLS_PLACE_H

#include "config/cfg.h"
#include "control/stream/tls/file.h"

struct tls_place {
    const struct cfg *cfg;
    struct cfg_error *error;      /* the caller's, of the one refusal there is */
    char key[128];                /* as services[0].listen[1] */
};

/* The place that is reached from another by what the format says, as ".certificates[0]". */
struct tls_place tls_place_at(const struct tls_place *place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Fills in the error; returns -EINVAL. */
int tls_place_refuse(const struct tls_place *place, const char *member,
                     const struct tls_reason *reason);

/* Logs what is not good, but not refused. */
void tls_place_warn(const struct tls_place *place, const char *member,
                    const struct tls_reason *reason);

#endif
