/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One parser among those that are compared. Each is a process of its own, so that libraries whose
 * functions have the same names never meet; perf/index.py has them take turns on one CPU.
 */
#ifndef TANDEM_PERF_CONTENDER_H
#define TANDEM_PERF_CONTENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONTENDER_TEXT_MAX = 256 };

/* What every parser must have found, so that none is fast by doing nothing. */
struct contender_facts {
    char call_id[CONTENDER_TEXT_MAX];
    char branch[CONTENDER_TEXT_MAX]; /* of the top Via */
    uint32_t cseq;
};

/* Each contender's file defines these three. */

/* What its library wants once. 0 or a negative errno. */
int contender_init(void);

/* Parses a message as its users would, and lets go of it. False: not a message. The byte after the
 * message may be written to and is a NUL. */
bool contender_parse(char *text, size_t length);

/* Parses and shows what was found. False: a fault, or it cannot tell. */
bool contender_show(char *text, size_t length, struct contender_facts *ret);

/* For the line of facts: copies a text with an end. */
void contender_copy(char ret[CONTENDER_TEXT_MAX], const char *text, size_t length);

/*
 * The process: reads the UDP payloads of the pcap file argv[1], then commands from stdin, one a
 * line, and answers each with one line:
 *   facts        a hash of all messages' facts, and how many messages there are
 *   run PASSES   CPU nanoseconds a message, over so many passes over all of them
 */
int contender_main(int argc, char **argv);

#endif
