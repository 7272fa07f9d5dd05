/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a stream that wait for the rest of a message. While none do, there is no memory for
 * them. It does not know what a message is.
 */
#ifndef TANDEM_STREAM_INTAKE_H
#define TANDEM_STREAM_INTAKE_H

#include <stddef.h>
#include <stdint.h>

struct intake {
    char *held;                       /* NULL: nothing waits */
    uint32_t n, room;
};

/* Takes n bytes that came, behind what is held. Returns all of it, which is what came itself where
 * nothing was held, and its length in *ret_n; NULL: no memory. Valid until intake_keep. */
char *intake_take(struct intake *intake, char *came, uint32_t n, uint32_t *ret_n);

/* Keeps the last n bytes of what intake_take gave at `from`; 0: nothing. 0, or -ENOMEM. */
int intake_keep(struct intake *intake, const char *from, uint32_t n);

void intake_done(struct intake *intake);

#endif
