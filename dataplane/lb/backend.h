/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain structs that backend choice reads: backend, pool. They are parts of a snapshot:
 * fixed size, offsets instead of pointers.
 */
#ifndef TANDEM_LB_BACKEND_H
#define TANDEM_LB_BACKEND_H

#include "dataplane/lb/siphash.h"
#include "dataplane/sip/ip.h"
#include "dataplane/sip/msg.h"

/* What a backend may be given; ordered so that the worse of two words is the greater. */
enum lb_state { LB_UP, LB_BUSY, LB_DRAINING, LB_DOWN, LB_DISABLED, LB_STATE_COUNT };

/* What is hashed to choose a backend for a new call (DESIGN rule 6). */
enum lb_key_kind {
    LB_KEY_CALL_ID,
    LB_KEY_FROM,
    LB_KEY_TO,
    LB_KEY_RURI,
    LB_KEY_SOURCE,
    LB_KEY_AOR,    /* To for REGISTER, Request-URI otherwise */
    LB_KEY_HEADER, /* the pool's key_header */
    LB_KEY_COUNT,
};

enum lb_share { LB_SHARE_NONE, LB_SHARE_DIALOGS };

/* What becomes of requests that are too large for a datagram (RFC 3261 §18.1.1). */
enum lb_large { LB_LARGE_FRAGMENT, LB_LARGE_TCP };

enum { LB_PORTS_MAX = 8, LB_NO_BACKEND = -1 };

struct lb_text { /* bytes in the snapshot's text area */
    uint32_t offset, length;
};

struct lb_backend {
    uint32_t id;   /* hash of pool and backend name */
    uint32_t pool; /* index */
    struct sip_ip ip;
    uint16_t port;     /* where requests go */
    uint8_t transport; /* enum sip_transport */
    uint8_t state;  /* enum lb_state: the worse of admin and health; LB_DRAINING when lingering */
    uint8_t admin;  /* enum lb_state: UP, DRAINING or DISABLED */
    uint8_t health; /* enum lb_state: UP, BUSY or DOWN */
    uint8_t lingering; /* 1: left the configuration, keeps its dialogs */
    uint8_t n_ports;
    uint16_t ports[LB_PORTS_MAX]; /* `ports:`, others it is also known by; host order */
    uint32_t weight;
    struct lb_text name;
    uint8_t unused[4]; /* 64 bytes: a line of the cache, which a message may wait for */
};

struct lb_pool {
    uint32_t id;            /* hash of the name */
    uint32_t first_backend; /* its backends are consecutive */
    uint32_t n_backends;
    uint32_t table;      /* offset of uint16_t[table_size]: indices of snapshot backends relative
                            to first_backend, of those that take new calls */
    uint32_t table_size; /* prime */
    uint8_t share;       /* enum lb_share */
    uint8_t large;       /* enum lb_large; TCP only where the backends' transport is UDP */
    uint8_t keys[SIP_METHOD_COUNT]; /* enum lb_key_kind by enum sip_method */
    struct lb_text key_header;      /* NAME of header:NAME */
    struct lb_text name;
};

#endif
