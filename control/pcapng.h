/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of a capture file (draft-ietf-opsawg-pcapng), in this machine's byte order. Each function
 * writes one whole block into the caller's room and returns its bytes; 0: it does not fit, nothing
 * was written. It must not know where frames come from.
 */
#ifndef TANDEM_CONTROL_PCAPNG_H
#define TANDEM_CONTROL_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A section begins; the interfaces that follow are numbered from 0. */
size_t pcapng_section(uint8_t *to, size_t room, const char *application);

/* An Ethernet interface; times are in nanoseconds. */
size_t pcapng_interface(uint8_t *to, size_t room, const char *name);

struct pcapng_packet {
    uint32_t interface;
    uint64_t time_ns;              /* since 1970 */
    bool outbound;
    const char *comment;
    const uint8_t *frame;          /* from the Ethernet header on, whole */
    uint32_t length;
};
size_t pcapng_packet(uint8_t *to, size_t room, const struct pcapng_packet *packet);

struct pcapng_statistics {
    uint32_t interface;
    uint64_t time_ns;
    uint64_t received, dropped;
    const char *comment;           /* NULL: none */
};
size_t pcapng_statistics(uint8_t *to, size_t room, const struct pcapng_statistics *statistics);

#endif
