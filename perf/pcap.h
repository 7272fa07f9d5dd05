/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capture files (pcap, little-endian, Ethernet) of the benchmarks: read as a whole, walked frame by
 * frame.
 */
#ifndef TANDEM_PERF_PCAP_H
#define TANDEM_PERF_PCAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct pcap {
    uint8_t *bytes;
    size_t size, at; /* `at`: the next record */
};

/* False: it cannot be read, or is no such file. */
bool pcap_open(const char *path, struct pcap *ret);
void pcap_close(struct pcap *pcap);

/* The next frame, in the file's bytes; false: there is none, or it is cut off (at < size then). */
bool pcap_next(struct pcap *pcap, uint8_t **ret_frame, uint32_t *ret_length);

/* For who writes one: the file's header, and a frame. False: the disk is full, or the like. */
bool pcap_begin(FILE *file);
bool pcap_write(FILE *file, uint32_t second, uint32_t us, const uint8_t *frame, uint32_t length);

#endif
