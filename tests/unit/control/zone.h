/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DNS server for tests: a UDP socket on loopback in the test's own loop, and a few records as
 * text. It answers what it knows, follows an alias, and counts.
 */
#ifndef TANDEM_TESTS_CONTROL_ZONE_H
#define TANDEM_TESTS_CONTROL_ZONE_H

#include <stdint.h>

#include "control/loop.h"
#include "dataplane/sip/ip.h"

/* data: A and AAAA: an address; CNAME: a name; SRV: "10 20 5060 a.test"; NAPTR: "10 10 s SIP+D2U
 * regexp|- a.test" ("." is the root). */
struct zone_record {
    const char *name;
    int type;                     /* enum dns_type */
    uint32_t ttl;
    const char *data;
};

struct zone {
    const struct zone_record *records;
    uint32_t n;
    uint32_t soa_ttl;             /* of negative answers; 0: they have no SOA */
    int rcode;                    /* other than 0: of all answers */
    bool silent;
    bool broken;                  /* answers are cut in the middle of a record */
    uint32_t asked;
    struct sip_addr addr;
    int fd;
    struct loop_event *watch;
};

void zone_start(struct zone *zone, struct loop *loop);
void zone_stop(struct zone *zone);

/* The bytes that it would answer to a question; their number. */
uint32_t zone_answer(const struct zone *zone, const uint8_t *question, uint32_t length,
                     uint8_t ret[4096]);

/* A question as a client asks it. */
uint32_t zone_question(const char *name, int type, uint8_t ret[300]);

#endif
