/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of perf-messages' requests in memory: whole frames, and where in each the parts are that a
 * burst changes or compares.
 */
#ifndef TANDEM_PERF_FILE_H
#define TANDEM_PERF_FILE_H

#include "perf/pcap.h"

struct file_message {
    const uint8_t *frame;
    uint32_t length;
    uint16_t branch_at; /* of the top Via, behind z9hG4bK */
    uint16_t body_at;
};

struct file {
    struct pcap pcap;
    struct file_message *messages;
    uint32_t n;
};

/* False: it cannot be read, or has a message without branch or body's begin. */
bool file_load(const char *path, struct file *ret);
void file_free(struct file *file);

/* Where the digits behind the last z9hG4bK in the header section are; 0: nowhere. */
uint32_t file_last_branch(const uint8_t *frame, uint32_t length);

/* Where the body begins; 0: nowhere. */
uint32_t file_body(const uint8_t *frame, uint32_t length);

#endif
