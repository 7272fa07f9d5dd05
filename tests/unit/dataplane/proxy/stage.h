/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage for tests of proxy/: a small snapshot, a call table, and messages as templates.
 *
 * In a template a line ends with \n (it becomes CRLF), and $(NAME) is a variable: in an input it
 * stands for its value; in an expectation it matches one or more of [A-Za-z0-9._-], and the same
 * text wherever it comes again, in later steps too.
 */
#ifndef TANDEM_TEST_PROXY_STAGE_H
#define TANDEM_TEST_PROXY_STAGE_H

#include "config/compile.h"
#include "dataplane/proxy/proxy.h"

enum {
    STAGE_BACKENDS_MAX = 4,
    STAGE_TRUNKS = 2,
    STAGE_NEAR = 2,
    STAGE_VARIABLES_MAX = 64,
    STAGE_TEXT = 70000,
    STAGE_SLOTS = 16,
    STAGE_CALLS = 256,
};

struct stage_conf {
    enum lb_key_kind key; /* of all methods */
    const char *key_header;
    enum lb_share share;
    enum snapshot_path path;
    enum snapshot_nat nat;
    bool no_record_route;
    bool with_v6; /* else [fd00::14] has no weight */
    bool node_draining;
    /* The service at 192.0.2.10 listens for TCP at its port 5060, TLS at 5061, WS at 80 and WSS at
     * 443, TLS at [2001:db8:5::10]:5061, and control for datagrams at 10.0.0.1:5070 and
     * [fd00::1]:5070. */
    bool streams;
    /* With streams: the cluster has the nodes lb2 at 10.0.0.77 and [fd00::77], and lb3
     * at 10.0.0.78. */
    bool cluster;
    bool second;         /* this is lb2 there, and lb1 is at 10.0.0.1 and [fd00::1] */
    uint8_t current_mac; /* 0: key 2 signs; 1: key 3 does, 2 is previous */
    uint8_t health[STAGE_BACKENDS_MAX]; /* of 10.0.0.11 to .13 and [fd00::14] */
    uint8_t admin[STAGE_BACKENDS_MAX];
    /* Of the service at 192.0.2.10; matches may name the pools proxies, trunks, tenant. */
    struct cfg_prefix *sources;
    uint32_t n_sources;
    struct cfg_match *matches;
    uint32_t n_matches;
    enum lb_share trunk_share;
    uint8_t trunk_health[STAGE_TRUNKS]; /* of 10.0.1.1 and .2 */
    /* Of the service of mode direct at 192.0.2.30; at 192.0.2.40 is one with tunnels from 10.0.0.1
     * to 10.0.4.1, or by with_v6 to [fd00::44], which no tunnel reaches. */
    struct cfg_prefix *near_sources;
    uint32_t n_near_sources;
    enum lb_share near_share;
    uint8_t near_health[STAGE_NEAR], near_admin[STAGE_NEAR]; /* of 10.0.3.1 and .2 */
    const struct compile_live *live;
};

struct stage {
    struct snapshot *snapshot;
    struct proxy_view view;
    uint16_t slot_of[STAGE_SLOTS];
    int32_t backend_of[STAGE_SLOTS];
    uint64_t started[STAGE_SLOTS], ended[STAGE_SLOTS];
    uint64_t registered[STAGE_SLOTS], unregistered[STAGE_SLOTS];
    struct lb_call_counts counts;
    struct lb_call_table *calls;
    uint32_t now_s;
    bool punted; /* control decides, whatever comes to whom */
    uint32_t n_variables;
    struct {
        char name[16];
        char value[512];
    } variables[STAGE_VARIABLES_MAX];
    /* Of the last message: */
    struct sip_msg msg;
    struct proxy_input input;
    struct proxy_output output;
    char in[STAGE_TEXT], out[STAGE_TEXT];
    uint32_t in_length, out_length;
};

struct stage *stage_new(const struct stage_conf *conf);
void stage_free(struct stage *stage);
/* Another snapshot, the same call table and variables: a reload. */
void stage_reload(struct stage *stage, const struct stage_conf *conf);

const char *stage_get(const struct stage *stage, const char *name);
void stage_set(struct stage *stage, const char *name, const char *value);

/* A decision on bytes as they are. `from` and `at` are addresses with a port; one that begins with
 * 10. or [fd00: comes in frames that are believed, unless '!' stands before it. By a stream `from`
 * is `tls/ADDRESS#CONNECTION`, or `#CONNECTION@NODE` of a node of that name. Control decides about
 * what comes to its listeners. */
void stage_decide(struct stage *stage, const char *from, const char *at, const char *bytes,
                  size_t length);
/* On a template; writes what would be sent to `out`. */
void stage_send(struct stage *stage, const char *from, const char *at, const char *in);

/* Whether a text matches a template. Says where it does not. */
bool stage_match(struct stage *stage, const char *template, const char *text, uint32_t length);

struct step {
    const char *name;
    const char *from, *at; /* peer, and our address that it sent to */
    const char *in;
    const char *to;           /* "PEER from LOCAL", PEER as above; or why it is not sent */
    const char *out;          /* NULL: whatever it may be */
    enum proxy_reason reason; /* of what is sent; 0: a forwarded request */
    enum proxy_rule rule;     /* NONE: whichever */
};

/* Plays steps in order; fails the test at the first that differs. */
void stage_play(struct stage *stage, const struct step *steps, size_t n);

#define STAGE_PLAY(stage, steps) stage_play(stage, steps, sizeof(steps) / sizeof(steps[0]))

#endif
