/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a DPDK program that plays a file again and again (net_pcap, infinite_rx): gives
 * each message another Call-ID in each lap, so that a table of calls fills up and is really cold.
 * It adds an RX callback to net_pcap's queues that writes the lap's number over the first digits of
 * the Call-ID and mends the UDP checksum. After PERF_LAPS laps the numbers begin anew.
 * PERF_LAP_MESSAGES is how many messages a lap has. Frames are Ethernet, IPv4 without options, UDP.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "perf/laps/overwrite.h"

enum { DIGITS = OVERWRITE_BYTES };

/* Of one queue. */
struct laps {
    uint32_t messages, laps;
    uint32_t at, lap;      /* the next message, of which lap */
    char digits[DIGITS];   /* of the lap */
    bool learnt;           /* one whole lap was seen */
    uint16_t call_id_at[]; /* offset of each message's Call-ID in its frame */
};

static uint32_t number_of(const char *name)
{
    const char *text = getenv(name);
    long number = text != NULL ? strtol(text, NULL, 10) : 0;

    if (number <= 0 || number > 1 << 24) {
        fprintf(stderr, "%s: wants a number\n", name);
        exit(EXIT_FAILURE);
    }
    return (uint32_t)number;
}

/* A message without one, or with a short one, is a mistake of who made the file. */
static uint16_t find_call_id(const char *frame, uint32_t length)
{
    static const char name[] = "\r\nCall-ID: ";
    const char *found = memmem(frame, length, name, sizeof(name) - 1);

    if (found == NULL || (uint32_t)(found - frame) + sizeof(name) + DIGITS > length) {
        fprintf(stderr, "perf-laps: a message without Call-ID\n");
        abort();
    }
    return (uint16_t)(found - frame + (int)sizeof(name) - 1);
}

static void next(struct laps *laps)
{
    char text[16];

    if (++laps->at < laps->messages)
        return;
    laps->at = 0;
    laps->learnt = true;
    laps->lap = (laps->lap + 1) % laps->laps;
    snprintf(text, sizeof(text), "%08u", laps->lap);
    memcpy(laps->digits, text, DIGITS);
}

static uint16_t turn(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n,
                     uint16_t max, void *user)
{
    struct laps *laps = user;

    (void)port;
    (void)queue;
    (void)max;
    for (uint16_t i = 0; i < n; i++) {
        char *frame = rte_pktmbuf_mtod(mbufs[i], char *);

        if (!laps->learnt)
            laps->call_id_at[laps->at] = find_call_id(frame, mbufs[i]->data_len);
        overwrite((uint8_t *)frame, laps->call_id_at[laps->at], laps->digits);
        next(laps);
    }
    return n;
}

static struct laps *make_laps(void)
{
    uint32_t messages = number_of("PERF_LAP_MESSAGES");
    struct laps *laps = calloc(1, sizeof(*laps) + messages * sizeof(laps->call_id_at[0]));

    if (laps != NULL) {
        laps->messages = messages;
        laps->laps = number_of("PERF_LAPS");
        memset(laps->digits, '0', DIGITS);
    }
    return laps;
}

int rte_eth_dev_start(uint16_t port)
{
    int (*start)(uint16_t) = (int (*)(uint16_t))dlsym(RTLD_NEXT, "rte_eth_dev_start");
    struct rte_eth_dev_info info;
    int error = start(port);

    if (error != 0 || rte_eth_dev_info_get(port, &info) != 0 ||
        strcmp(info.driver_name, "net_pcap") != 0)
        return error;
    for (uint16_t queue = 0; queue < info.nb_rx_queues; queue++) {
        struct laps *laps = make_laps();

        if (laps == NULL || rte_eth_add_rx_callback(port, queue, turn, laps) == NULL) {
            fprintf(stderr, "perf-laps: no RX callback\n");
            exit(EXIT_FAILURE);
        }
    }
    return 0;
}
