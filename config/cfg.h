/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as parsed: a mutable tree that mirrors the YAML file, units converted, texts
 * checked, defaults filled in. Loaded by libcyaml against config/schema. It knows nothing of
 * what is made of it.
 */
#ifndef TANDEM_CONFIG_CFG_H
#define TANDEM_CONFIG_CFG_H

#include <stdbool.h>
#include <stdint.h>

#include "config/dataplane.h"
#include "config/health.h"
#include "dataplane/lb/backend.h"
#include "dataplane/sip/ip.h"

/* Names of files, relative ones made from the configuration file's folder. Nobody has read them:
 * whether they hold what they should is not for config/ to say. */
struct cfg_certificate {
    char *cert;                   /* PEM, the certificate and then those that lead to its CA's */
    char *key;                    /* PEM */
    char *ocsp;                   /* a response to staple, DER; NULL: none */
};

enum cfg_clients {                /* `client_certificates:` */
    CFG_CLIENTS_NONE,             /* none is asked for */
    CFG_CLIENTS_OPTIONAL,         /* one that is sent must be good */
    CFG_CLIENTS_REQUIRED,
};

struct cfg_listener {
    enum sip_transport transport;
    struct sip_addr addr;
    /* Of tls and wss: */
    struct cfg_certificate *certificates;   /* at least one; the first where SNI names none */
    uint32_t n_certificates;
    enum cfg_clients clients;
    char *client_ca;              /* PEM; NULL with CFG_CLIENTS_NONE alone */
    char *client_crl;             /* PEM; NULL: none is revoked */
    char **client_names;          /* names of hosts, lower case (RFC 5922 §7); none: any name */
    uint32_t n_client_names;
    /* Of ws and wss: */
    char *path;                   /* of the upgrade's URI, compared byte by byte; default: / */
    char **origins;               /* as browsers write them, lower case; none: any, or no Origin */
    uint32_t n_origins;
};

/* Requests that fit all of what is given go to the pool. */
struct cfg_match {
    bool has_source;
    struct cfg_prefix source;
    char *domain;                 /* NULL: any */
    char *prefix;                 /* of the dialled number; NULL: any */
    char *pool;
};

struct cfg_service {
    char *name;
    char *pool;
    struct cfg_listener *listen;
    uint32_t n_listen;
    uint16_t stream_port;         /* of control's UDP listeners; 0: no listener is a stream's */
    bool record_route;
    uint8_t path;                 /* enum snapshot_path */
    uint8_t nat;                  /* enum snapshot_nat */
    uint8_t mode;                 /* enum snapshot_mode */
    bool tunnel;                  /* mode direct: `encapsulation: ipip` */
    char **domains;
    uint32_t n_domains;
    char **proxy_require;         /* default: privacy */
    uint32_t n_proxy_require;
    struct cfg_prefix *sources;   /* none: from everywhere */
    uint32_t n_sources;
    struct cfg_match *matches;    /* the first that fits; `pool` when none does */
    uint32_t n_matches;
};

/*
 * A backend; or with a lookup, a name that DNS knows and that stands for backends, its members. The
 * name itself gets no calls: whoever looks at backends' addresses passes it by.
 */
struct cfg_backend {
    char *name;                   /* of a member: NAME@ADDRESS:PORT, the same on every node */
    char *lookup;                 /* what DNS is asked for, lower case, no dot at its end; or NULL */
    bool srv;                     /* with a lookup: SRV or NAPTR records say the port; addr is 0 */
    struct sip_addr addr;         /* with a lookup: of `address:`, the port alone */
    uint8_t transport;            /* enum sip_transport, the same in the whole pool: UDP, TCP or TLS */
    uint32_t weight;              /* 0..1000, default 100; of a name: what its heaviest member has */
    uint16_t *ports;
    uint32_t n_ports;
};

/* `tls:` of a pool whose backends have transport TLS; else all is NULL. */
struct cfg_backend_tls {
    char *ca;                     /* PEM, who signs their certificates; NULL: as the listener's service
                                     trusts whom it connects to */
    char *name;                   /* what all of them must show to be, lower case: a host's name or an
                                     address; NULL: each its own */
    struct cfg_certificate certificate;   /* what they are shown; NULLs: the listener's first */
};

struct cfg_pool {
    char *name;
    uint8_t keys[SIP_METHOD_COUNT];   /* enum lb_key_kind: `key:`, overridden by `method_keys:` */
    char *key_header;             /* NAME of header:NAME, or NULL */
    enum lb_share share;
    enum lb_large large;          /* `large_requests:`; TCP only where the transport is UDP */
    struct cfg_backend *backends;
    uint32_t n_backends;
    struct cfg_backend_tls tls;
    bool has_health;              /* `health:` was given; else all are up, whatever they do */
    struct cfg_health health;
};

/* `control: streams:`: what bounds the connections that control holds. */
struct cfg_streams {
    uint32_t threads;
    uint32_t connections;         /* at most, in all threads */
    uint32_t connections_per_source;   /* at most, of one address; not above `connections` */
    uint32_t idle_timeout_ms;     /* without a byte from the peer, until it is closed */
    uint32_t handshake_timeout_ms;     /* from accept to the end of TLS's and WebSocket's handshake */
    uint32_t message_timeout_ms;  /* from a message's first byte to its last */
    uint32_t header_limit;        /* bytes of a message's start-line and header fields */
    uint32_t body_limit;          /* bytes */
    uint32_t write_limit;         /* bytes that wait for a slow reader; at least one message's */
    uint64_t memory_limit;        /* bytes that all hold together of what is not whole, or not sent */
};

/* Another node of the cluster, where its control receives what backends send. */
struct cfg_node {
    char *name;
    struct sip_ip addresses[2];   /* of either family; the second is of the other */
    uint32_t n_addresses;         /* at least 1 */
};

struct cfg {
    char *file;                   /* its name, for messages */
    char *node;
    bool has_node_address, has_node_address6;
    struct sip_ip node_address;   /* of either family; IPv4 where there is a node_address6 */
    struct sip_ip node_address6;
    struct cfg_node *nodes;       /* `cluster: nodes:`, without this one */
    uint32_t n_nodes;
    uint64_t token_lifetime_ms;
    uint64_t linger_ms;
    char *secret_file;
    struct cfg_dataplane dataplane;
    struct cfg_service *services;
    uint32_t n_services;
    struct cfg_pool *pools;
    uint32_t n_pools;
    struct {
        char *socket;             /* default /run/tandem/control.sock */
        char *socket_group;       /* default: none, owner only */
        char *state_dir;          /* default /var/lib/tandem: admin states, lingering backends */
        struct sip_addr metrics;  /* where HTTP is listened to; port 0: nowhere */
        struct sip_addr *dns;     /* servers; none: the system's */
        uint32_t n_dns;
        struct cfg_streams streams;
    } control;
};

/* Why a file was refused: `FILE:LINE: KEY: REASON`. */
struct cfg_error {
    char file[256];
    uint32_t line;                /* from 1; 0: the file as a whole */
    char key[160];                /* path, as pools[0].backends[1].address */
    char reason[256];
};

/*
 * Loads and checks a whole file. Returns a cfg for cfg_free, or NULL and *ret_error: cannot be
 * read, no YAML, unknown key, wrong type, value out of range, contradiction (config/check).
 */
struct cfg *cfg_load(const char *file, struct cfg_error *ret_error);

/* The same for the data plane: fills in and checks only `dataplane:`; other sections are ignored,
 * whatever they hold, as long as the file is YAML (without aliases). */
struct cfg *cfg_load_dataplane(const char *file, struct cfg_error *ret_error);

/* The line of a key, as dataplane.ports[0].tap, in a file; of what holds it when it is not there
 * itself; 0: cannot be told. */
uint32_t cfg_line(const char *file, const char *key);

void cfg_free(struct cfg *cfg);

/* This node's own address of a family, or NULL when none was given. */
const struct sip_ip *cfg_node_ip(const struct cfg *cfg, bool v4);

/* Whether `dataplane:` says the same in both (a reload may not change it). Names the first key
 * that differs in *ret_key, which must take 160 bytes. */
bool cfg_same_dataplane(const struct cfg *a, const struct cfg *b, char *ret_key);

/* Writes an error as one line `FILE:LINE: KEY: REASON` with its NUL; size 768 is always enough. */
void cfg_error_print(const struct cfg_error *error, char *ret_text, uint32_t size);

#endif
