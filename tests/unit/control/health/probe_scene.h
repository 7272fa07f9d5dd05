/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A prober in a loop, a backend's socket on loopback, and what the prober told.
 */
#ifndef TANDEM_TESTS_UNIT_CONTROL_HEALTH_PROBE_SCENE_H
#define TANDEM_TESTS_UNIT_CONTROL_HEALTH_PROBE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/health/probe.h"
#include "control/health/probe_text.h"

enum { TIMEOUT_MS = 200, TEXT_MAX = 2048 };

struct scene {
    struct loop *loop;
    struct prober *prober;
    struct loop_event *alarm; /* so that loop_step returns */
    int fd;                   /* a backend's; of TCP: it listens */
    struct sip_addr addr;
    struct sockaddr_in peer; /* where the last probe came from */
    uint32_t n_answers, n_silences, n_refusals;
    uint32_t id;
    const char *why; /* of the last refusal */
    SSL *(*secure)(void *arg, uint32_t id); /* NULL: there is no TLS */
    uint64_t sent_ms;
    struct machine_answer answer;
    struct cfg_health conf;
};

/* type: SOCK_DGRAM or SOCK_STREAM. */
void scene_make(struct scene *s, int type);
void scene_done(struct scene *s);

/* A socket on loopback at any port, and its address; of TCP: it listens. */
int listen_at(const char *host, int type, struct sip_addr *ret);

/* Lets the loop work for so long, or until something was told the first time. */
void run(struct scene *s, uint32_t ms);
void run_until(struct scene *s, const uint32_t *count);

/* CPU time of this process until now. */
double cpu_ms(void);

#endif
