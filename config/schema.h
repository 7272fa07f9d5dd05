/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of the configuration file: their types, which are required, and the bounds and defaults
 * of their values, as libcyaml's tables and the raw structs they load into. Values with units and
 * addresses are still text here; a pointer that may be NULL is an optional key that was not given.
 * It must not know what a value means.
 */
#ifndef TANDEM_CONFIG_SCHEMA_H
#define TANDEM_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>
#include <stdint.h>

#include "dataplane/sip/msg.h"

/* Bounds: a value outside is refused. */
enum {
    SCHEMA_NAME_MAX = 63,              /* bytes of node, port, service, pool and backend names */
    SCHEMA_TEXT_MAX = 255,             /* bytes of any other value */
    SCHEMA_SOCKET_MAX = 107,           /* sun_path with its NUL takes 108 */
    SCHEMA_NODES_MAX = 64,             /* of the cluster, without this one */
    SCHEMA_WORKERS_MAX = 32,
    SCHEMA_PORTS_MAX = 16,
    SCHEMA_ADDRESSES_MAX = 64,         /* of a port */
    SCHEMA_SERVICES_MAX = 1024,
    SCHEMA_LISTEN_MAX = 64,            /* of a service */
    SCHEMA_CERTIFICATES_MAX = 1024,    /* of a listener, and the next two */
    SCHEMA_CLIENT_NAMES_MAX = 1024,
    SCHEMA_ORIGINS_MAX = 1024,
    SCHEMA_DOMAINS_MAX = 1024,         /* of a service */
    SCHEMA_PROXY_REQUIRE_MAX = 8,      /* of a service */
    SCHEMA_SOURCES_MAX = 1024,         /* of a service; looked through for every request */
    SCHEMA_MATCH_MAX = 256,            /* rules of a service, looked through likewise */
    SCHEMA_PREFIX_MAX = 32,            /* bytes of a dialled prefix */
    SCHEMA_POOLS_MAX = 1024,
    SCHEMA_BACKENDS_MAX = 16384,       /* of all pools; a slot of the call table has 16 bits */
    SCHEMA_WEIGHT_MAX = 1000,
    SCHEMA_FRAME_SIZE_MIN = 2048,      /* bytes */
    SCHEMA_FRAME_SIZE_MAX = 65536,
    SCHEMA_FRAME_SIZE_STEP = 16,       /* TPACKET_ALIGNMENT, packet(7) */
    SCHEMA_DNS_MAX = 8,                /* servers that are asked */
    SCHEMA_CALL_TABLE_MIN = 1024,      /* entries */
    SCHEMA_CALL_TABLE_MAX = 1 << 28,
};

#define SCHEMA_MEMORY_MIN (UINT64_C(64) << 20)          /* bytes: less holds no mbufs */
#define SCHEMA_MEMORY_MAX (UINT64_C(1) << 40)
#define SCHEMA_TOKEN_LIFETIME_MIN (UINT64_C(60) * 1000) /* ms */
#define SCHEMA_LINGER_MIN UINT64_C(1000)                /* ms */
#define SCHEMA_DURATION_MAX (UINT64_C(366) * 24 * 3600 * 1000)

/* Defaults: what a key that is not given stands for. */
#define SCHEMA_TOKEN_LIFETIME "24h"
#define SCHEMA_LINGER "24h"
#define SCHEMA_SECRET_FILE "/var/lib/tandem/secret"
#define SCHEMA_MEMORY "256MiB"
#define SCHEMA_DATAPLANE_SOCKET "/run/tandem/dataplane.sock"
#define SCHEMA_NODE "node" /* no backend's name: drain node, enable node */
#define SCHEMA_CONTROL_SOCKET "/run/tandem/control.sock"
#define SCHEMA_STATE_DIR "/var/lib/tandem"
#define SCHEMA_KEY "call-id"
#define SCHEMA_PROXY_REQUIRE "privacy"
enum {
    SCHEMA_CALL_TABLE = 1000000,
    SCHEMA_FRAME_SIZE = 32768,
    SCHEMA_WEIGHT = 100,
    SCHEMA_SIP_PORT = 5060,            /* udp and tcp */
    SCHEMA_TLS_PORT = 5061,
    SCHEMA_WS_PORT = 80,
    SCHEMA_WSS_PORT = 443,
    SCHEMA_STREAM_PORT = 5070,         /* plus the service's index */
    SCHEMA_DNS_PORT = 53,
};
#define SCHEMA_WS_PATH "/"

/* Of `control: streams:`. Durations are bounded in ms, sizes in bytes. */
#define SCHEMA_STREAMS_IDLE_TIMEOUT "10m"      /* RFC 5626 §4.4.1: clients send within 2 minutes */
#define SCHEMA_STREAMS_HANDSHAKE_TIMEOUT "10s"
#define SCHEMA_STREAMS_MESSAGE_TIMEOUT "10s"
#define SCHEMA_STREAMS_HEADER_LIMIT "16KiB"
#define SCHEMA_STREAMS_BODY_LIMIT "256KiB"
#define SCHEMA_STREAMS_WRITE_LIMIT "1MiB"
#define SCHEMA_STREAMS_MEMORY_LIMIT "256MiB"
#define SCHEMA_STREAMS_MEMORY_MAX ((uint64_t)1 << 40)
enum {
    SCHEMA_STREAMS_THREADS = 1,
    SCHEMA_STREAMS_THREADS_MAX = 32,
    SCHEMA_STREAMS_CONNECTIONS = 100000,
    SCHEMA_STREAMS_CONNECTIONS_MAX = 1000000,
    SCHEMA_STREAMS_PER_SOURCE = 1000,          /* or `connections`, when that is fewer */
    SCHEMA_STREAMS_TIMEOUT_MIN = 100,
    SCHEMA_STREAMS_IDLE_TIMEOUT_MAX = 86400000,
    SCHEMA_STREAMS_TIMEOUT_MAX = 600000,       /* of handshakes and messages */
    SCHEMA_STREAMS_HEADER_MIN = 1 << 10,
    SCHEMA_STREAMS_HEADER_MAX = 63 << 10,      /* the core reads SIP_MSG_MAX bytes of a header section */
    SCHEMA_STREAMS_BODY_MIN = 1 << 10,
    SCHEMA_STREAMS_BODY_MAX = 16 << 20,
    SCHEMA_STREAMS_WRITE_MIN = 16 << 10,
    SCHEMA_STREAMS_WRITE_MAX = 256 << 20,
    SCHEMA_STREAMS_MEMORY_MIN = 1 << 20,
};

/* Of `health:`. Durations are bounded in ms. */
#define SCHEMA_HEALTH_INTERVAL "1s"
#define SCHEMA_HEALTH_FAST_INTERVAL "200ms"    /* or the interval, when that is shorter */
#define SCHEMA_HEALTH_TIMEOUT "800ms"
#define SCHEMA_HEALTH_RETRY_AFTER "5s"
#define SCHEMA_HEALTH_SLOW_START "30s"
#define SCHEMA_HEALTH_ACCEPT "200-499"
#define SCHEMA_HEALTH_BUSY "503"
enum {
    SCHEMA_HEALTH_INTERVAL_MIN = 100,
    SCHEMA_HEALTH_INTERVAL_MAX = 3600000,
    SCHEMA_HEALTH_FAST_INTERVAL_MIN = 20,
    SCHEMA_HEALTH_TIMEOUT_MIN = 50,
    SCHEMA_HEALTH_TIMEOUT_MAX = 32000,         /* timer F, RFC 3261 §17.1.4 */
    SCHEMA_HEALTH_RETRY_AFTER_MAX = 600000,
    SCHEMA_HEALTH_SLOW_START_MAX = 3600000,
    SCHEMA_HEALTH_RISE = 2,
    SCHEMA_HEALTH_FALL = 3,
    SCHEMA_HEALTH_COUNT_MAX = 100,
    SCHEMA_HEALTH_STATUSES_MAX = 64,           /* of accept and of busy */
    SCHEMA_HEALTH_EJECT_FLOOR = 10,            /* requests */
    SCHEMA_HEALTH_EJECT_FLOOR_MAX = 1000000,
    SCHEMA_HEALTH_EJECT_SHARE = 50,            /* percent, and the next */
    SCHEMA_HEALTH_EJECT_MAX = 50,
};

/* Of `media:` in it. */
#define SCHEMA_MEDIA_INTERVAL "30s"
#define SCHEMA_MEDIA_FAST_INTERVAL "5s"        /* or the interval, when that is shorter */
#define SCHEMA_MEDIA_TIMEOUT "4s"
#define SCHEMA_MEDIA_LENGTH "1s"
enum {
    SCHEMA_MEDIA_INTERVAL_MIN = 1000,
    SCHEMA_MEDIA_INTERVAL_MAX = 86400000,
    SCHEMA_MEDIA_FAST_INTERVAL_MIN = 100,
    SCHEMA_MEDIA_TIMEOUT_MIN = 100,
    SCHEMA_MEDIA_TIMEOUT_MAX = 32000,          /* timer B, RFC 3261 §17.1.1.2 */
    SCHEMA_MEDIA_LENGTH_MIN = 100,
    SCHEMA_MEDIA_LENGTH_MAX = 5000,
    SCHEMA_MEDIA_RISE = 2,
    SCHEMA_MEDIA_FALL = 3,
    SCHEMA_MEDIA_MAX = 2,
    SCHEMA_MEDIA_MAX_MAX = 64,
};

struct schema_port {
    char *name;
    int driver;                        /* enum cfg_driver */
    char *device, *tap;
    int *zone;                         /* enum cfg_zone */
    uint32_t *frame_size;
    char **addresses;
    uint32_t n_addresses;
};

struct schema_dataplane {
    uint32_t *workers;
    uint32_t n_workers;
    char *memory;
    int *hugepages;                    /* enum cfg_hugepages */
    int *idle;                         /* enum cfg_idle */
    uint64_t *call_table;
    char *socket, *user, *control_user;
    struct schema_port *ports;
    uint32_t n_ports;
};

struct schema_certificate {
    char *cert, *key, *ocsp;
};

struct schema_listen {
    int transport;                     /* enum sip_transport */
    char *address;
    uint32_t *port;
    struct schema_certificate *certificates;
    uint32_t n_certificates;
    int *client_certificates;          /* enum cfg_clients */
    char *client_ca, *client_crl;
    char **client_names;
    uint32_t n_client_names;
    char *path;
    char **origins;
    uint32_t n_origins;
};

struct schema_match {
    char *source, *domain, *prefix, *pool;
};

struct schema_service {
    char *name, *pool;
    int *mode;                         /* enum snapshot_mode */
    int *encapsulation;                /* bool: IP-in-IP */
    struct schema_listen *listen;
    uint32_t n_listen;
    uint32_t *stream_port;
    int *record_route;                 /* 0 or 1 */
    int *path;                         /* enum snapshot_path */
    int *nat;                          /* enum snapshot_nat */
    char **domains;
    uint32_t n_domains;
    char **proxy_require;
    uint32_t n_proxy_require;
    char **sources;
    uint32_t n_sources;
    struct schema_match *match;
    uint32_t n_match;
};

struct schema_backend {
    char *name, *address, *srv;
    uint32_t *port;
    int *transport;                    /* enum sip_transport */
    uint32_t *weight;
    uint32_t *ports;
    uint32_t n_ports;
};

struct schema_method_keys {
    char *method[SIP_METHOD_COUNT];    /* by enum sip_method */
};

struct schema_media {
    char *uri, *interval, *fast_interval, *timeout, *length;
    int *srtp;                         /* enum cfg_media_srtp */
    int *codec;                        /* enum cfg_media_codec */
    uint32_t *rise, *fall, *max;
};

struct schema_health {
    struct schema_media *media;
    int *probe;                        /* enum cfg_probe */
    int *transport;                    /* enum sip_transport: UDP, TCP or TLS */
    int *passive;                      /* 0 or 1 */
    char *interval, *fast_interval, *timeout, *retry_after, *slow_start, *drain_header;
    uint32_t *rise, *fall, *eject_floor, *eject_share, *eject_max;
    char **accept, **busy;
    uint32_t n_accept, n_busy;
};

struct schema_backend_tls {
    char *ca, *name;
    struct schema_certificate *certificate;
};

struct schema_pool {
    char *name, *key;
    struct schema_health *health;
    struct schema_method_keys *method_keys;
    struct schema_backend *backends;
    uint32_t n_backends;
    struct schema_backend_tls *tls;
    int *share;                        /* enum lb_share */
    int *large_requests;               /* enum lb_large */
};

struct schema_streams {
    uint32_t *threads, *connections, *connections_per_source;
    char *idle_timeout, *handshake_timeout, *message_timeout;
    char *header_limit, *body_limit, *write_limit, *memory_limit;
};

struct schema_control {
    char *socket, *socket_group, *state_dir, *metrics;
    char **dns;
    uint32_t n_dns;
    struct schema_streams *streams;
};

struct schema_node {
    char *name, *address, *address6;
};

struct schema_cluster {
    struct schema_node *nodes;
    uint32_t n_nodes;
};

struct schema_file {
    char *node, *node_address, *node_address6, *token_lifetime, *linger, *secret_file;
    struct schema_cluster *cluster;
    struct schema_dataplane *dataplane;
    struct schema_service *services;
    uint32_t n_services;
    struct schema_pool *pools;
    uint32_t n_pools;
    struct schema_control *control;
};

/* Of a whole file, and of one of which only `dataplane:` is looked at. Both load a schema_file. */
extern const cyaml_schema_value_t schema_file_value;
extern const cyaml_schema_value_t schema_dataplane_only_value;

/* The keys of `method_keys:` by enum sip_method; NULL for SIP_METHOD_UNKNOWN. */
const char *schema_method_name(enum sip_method method);

#endif
