/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tandemctl was asked on its command line, and the request that says so to tandem-control.
 */
#ifndef TANDEM_CONTROL_CTL_ARGS_H
#define TANDEM_CONTROL_CTL_ARGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum args_action { ARGS_REQUEST, ARGS_HELP, ARGS_VERSION };

struct args {
    enum args_action action;
    const char *socket;
    bool json;
    bool dry_run;                     /* of rotate-secret, and of drain of a backend */
    bool wait;                        /* of drain */
    bool calls_only;                  /* of drain --wait */
    uint64_t timeout_s;               /* of drain --wait; 0: for ever */
    uint32_t frames;                  /* of top; 0: until it is ended */
    const char *target;               /* of drain: the backend, or node; else NULL */
    const char *call_id, *count;      /* of capture, count also of top; NULL: not said */
    const char *timeout;              /* as timeout_s was said; NULL: not said */
    const char *source, *transport, *sni;   /* of show connections; NULL: not said */
    const char *file;                 /* of capture; "-": standard output */
    const char *verb;                 /* show, drain, enable, disable, weight, reload, why,
                                       * rotate-secret, capture, top, kill */
    const char *what;                 /* of show */
    json_t *request;                  /* owned: json_decref */
};

/* Reads a command line. Options may stand anywhere, `--` ends them. 0, or -EINVAL and why, a
 * literal, in *ret_reason. */
int args_parse(int argc, char **argv, struct args *ret, const char **ret_reason);

extern const char args_usage[];

#endif
