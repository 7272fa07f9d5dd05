/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot: everything the data plane knows besides its own section of the configuration, as
 * one immutable block of position-independent plain data. Control compiles it (config/compile),
 * the data plane checks every offset before it uses one (snapshot_check) and maps it read-only.
 */
#ifndef TANDEM_CONFIG_SNAPSHOT_H
#define TANDEM_CONFIG_SNAPSHOT_H

#include <stddef.h>

#include "dataplane/lb/backend.h"
#include "dataplane/lb/siphash.h"
#include "dataplane/sip/ip.h"
#include "dataplane/sip/slice.h"

enum {
    SNAPSHOT_MAGIC = 0x544e444d,   /* "TNDM" */
    SNAPSHOT_VERSION = 10,          /* raised with every change of a struct below or in lb/backend.h */
    SNAPSHOT_SIZE_MAX = 1 << 30,   /* bytes */
    SNAPSHOT_MAC_KEYS = 3,
    SNAPSHOT_PROXY_REQUIRE_MAX = 8,
    SNAPSHOT_SERVICES_MAX = 1024,
    SNAPSHOT_SERVICE_POOLS_MAX = 64,   /* a Call-ID may be looked up in each of them */
    SNAPSHOT_DIALLED_MAX = 32,         /* bytes of a match's dialled prefix */
    SNAPSHOT_CAPTURES_MAX = 8,         /* Call-IDs that are captured at once */
    SNAPSHOT_NAMES_MAX = 4096,
    SNAPSHOT_TARGETS_MAX = 64,         /* of one name */
    SNAPSHOT_NODES_MAX = 128,          /* addresses of the cluster's other nodes */
    SNAPSHOT_HOST_MAX = 255,           /* bytes of a name, RFC 1035 §2.3.4 */
};

enum snapshot_mode {
    SNAPSHOT_MODE_PROXY,
    SNAPSHOT_MODE_DIRECT,              /* backends hold the listeners' addresses themselves */
};

enum snapshot_path { SNAPSHOT_PATH_ALWAYS, SNAPSHOT_PATH_SUPPORTED, SNAPSHOT_PATH_NEVER };
enum snapshot_nat { SNAPSHOT_NAT_RPORT, SNAPSHOT_NAT_ALWAYS };

struct snapshot_array {            /* n structs at an offset from the snapshot's first byte */
    uint32_t offset, n;
};

struct snapshot_mac_key {
    uint8_t id;                    /* travels in tokens and Vias */
    uint8_t valid;                 /* 0: no key here */
    uint8_t pad[6];
    struct lb_key key;
};

/* Who receives what comes to a listener: streams and, from a node's own address, their backends'
 * datagrams are control's. */
enum snapshot_plane { SNAPSHOT_PLANE_DATA, SNAPSHOT_PLANE_CONTROL };

struct snapshot_listener {
    struct sip_addr addr;
    uint8_t transport;             /* enum sip_transport */
    uint8_t text_length;
    uint8_t plane;                 /* enum snapshot_plane */
    uint8_t pad[3];
    uint32_t service;              /* index */
    char text[SIP_ADDR_TEXT_ROOM];      /* of the address, as sip_addr_print writes it, then 0s */
};

enum snapshot_family { SNAPSHOT_FAMILY_NONE, SNAPSHOT_FAMILY_V4, SNAPSHOT_FAMILY_V6 };

struct snapshot_prefix {
    struct sip_ip ip;              /* 0 behind the prefix */
    uint8_t bits;                  /* of the sixteen bytes: an IPv4 prefix has 96 more than its length */
    uint8_t family;                /* enum snapshot_family; NONE: every address is in it */
    uint8_t pad[2];
};

/* A rule of `match:`: requests that fit all that it names go to the pool. */
struct snapshot_match {
    struct snapshot_prefix source;
    struct lb_text domain;         /* host of the Request-URI, any case; length 0: any */
    struct lb_text dialled;        /* how the number begins; length 0: any */
    uint32_t pool;                 /* index; one of the service's pools */
};

struct snapshot_service {
    struct lb_text name;
    uint32_t pool;                 /* index: of what no match fits */
    uint8_t record_route;          /* bool */
    uint8_t path;                  /* enum snapshot_path */
    uint8_t nat;                   /* enum snapshot_nat */
    uint8_t n_proxy_require;
    uint8_t mode;                  /* enum snapshot_mode */
    uint8_t tunnel;                /* bool, of mode direct: inside IP-in-IP, else by the MAC address */
    uint8_t pad[2];
    struct lb_text proxy_require[SNAPSHOT_PROXY_REQUIRE_MAX];   /* option tags that we let through */
    struct snapshot_array domains; /* struct lb_text[]: Request-URI hosts that are ours */
    struct snapshot_array sources; /* struct snapshot_prefix[]: who outside may ask; none: everybody */
    struct snapshot_array matches; /* struct snapshot_match[]: the first that fits */
    struct snapshot_array pools;   /* uint32_t[], 1 to SNAPSHOT_SERVICE_POOLS_MAX: `pool`, then the
                                      matches' others ascending */
};

/* An address of another node of the cluster; a node may have one of each family. */
struct snapshot_node {
    uint32_t id;                   /* snapshot_node_id */
    struct sip_ip ip;
};

/* What a name stands for, as control found by RFC 3263. */
enum snapshot_outcome {
    SNAPSHOT_NAME_FOUND,           /* at least one target */
    SNAPSHOT_NAME_NONE,            /* there is no such name, or none of our transports is offered */
    SNAPSHOT_NAME_FAILED,          /* DNS did not answer */
};

struct snapshot_target {
    struct sip_addr addr;
    uint8_t transport;             /* enum sip_transport */
    uint8_t pad;
    uint16_t priority, weight;     /* of SRV (RFC 2782); 0 and 0 where an address was found without */
};

/* The next hop of a URI whose host is a name. */
struct snapshot_name {
    uint64_t hash;                 /* snapshot_name_hash of the three below */
    struct lb_text host;           /* lower case, no dot at its end */
    uint16_t port;                 /* of the URI; 0: none */
    uint8_t transport;             /* of the URI, enum sip_transport; NONE: not given */
    uint8_t outcome;               /* enum snapshot_outcome */
    uint32_t pad;
    struct snapshot_array targets; /* struct snapshot_target[], by priority ascending */
};

/* Which messages workers copy for an operator (config/capture.h). */
struct snapshot_capture {
    uint32_t on;                   /* bool */
    uint32_t n_calls;              /* 0: every message; else those of these Call-IDs */
    uint64_t calls[SNAPSHOT_CAPTURES_MAX];   /* snapshot_call_hash */
};

/* Open addressing over all backends' addresses, linear probing: hash of the address by hash_key,
 * low bits; entries are backend index + 1, 0 ends a probe. A power of two, at most half full. */
struct snapshot {
    uint32_t magic, version;
    uint64_t size;                 /* bytes in all */
    uint64_t generation;           /* greater than that of any snapshot before from this state */
    struct lb_key hash_key;        /* Call-IDs, tables; never rotates */
    struct lb_key branch_key;      /* branches and To-tags; never rotates */
    struct snapshot_mac_key mac[SNAPSHOT_MAC_KEYS];   /* next, current (signs), previous */
    uint32_t draining;             /* bool: this node answers OPTIONS with 503 */
    uint32_t stages;               /* bool: workers count the cycles of each of their stages */
    uint32_t node_id;              /* of this node's name: in flows of streams */
    struct sip_ip node_ip;         /* this node's own address, the source of tunnels; 0: none */
    struct snapshot_capture capture;
    struct snapshot_array services;     /* struct snapshot_service */
    struct snapshot_array listeners;    /* struct snapshot_listener, sorted by snapshot_listener_order */
    struct snapshot_array pools;        /* struct lb_pool */
    struct snapshot_array backends;     /* struct lb_backend */
    /* uint32_t: tables of a power of two entries, 1 + index of a backend or 0, that are probed. */
    struct snapshot_array by_address;   /* from snapshot_address_home on */
    struct snapshot_array by_id;        /* from the id's low bits on: it is a hash */
    struct snapshot_array tables;       /* uint16_t: the pools' Maglev tables, one after another */
    struct snapshot_array names;        /* struct snapshot_name, by hash ascending */
    struct snapshot_array targets;      /* struct snapshot_target of all names */
    struct snapshot_array nodes;        /* struct snapshot_node, by id and address ascending */
    struct snapshot_array text;         /* char */
};

enum { SNAPSHOT_MAC_NEXT, SNAPSHOT_MAC_CURRENT, SNAPSHOT_MAC_PREVIOUS };

/*
 * Checks a block of `size` bytes from another process: magic, version, sizes, that every offset,
 * index, enum and probe chain stays inside. After it, no accessor below can leave the block.
 * Returns 0, or -EINVAL and the reason (a literal) in *ret_reason.
 */
int snapshot_check(const void *block, size_t size, const char **ret_reason);

static inline const void *snapshot_at(const struct snapshot *s, uint32_t offset)
{
    return (const char *)s + offset;
}
static inline const struct snapshot_service *snapshot_services(const struct snapshot *s)
{
    return snapshot_at(s, s->services.offset);
}
static inline const struct snapshot_listener *snapshot_listeners(const struct snapshot *s)
{
    return snapshot_at(s, s->listeners.offset);
}
static inline const struct lb_pool *snapshot_pools(const struct snapshot *s)
{
    return snapshot_at(s, s->pools.offset);
}
static inline const struct lb_backend *snapshot_backends(const struct snapshot *s)
{
    return snapshot_at(s, s->backends.offset);
}
static inline const struct snapshot_node *snapshot_nodes(const struct snapshot *s)
{
    return snapshot_at(s, s->nodes.offset);
}
static inline struct sip_slice snapshot_text(const struct snapshot *s, struct lb_text text)
{
    return sip_slice((const char *)s + s->text.offset + text.offset, text.length);
}

/* Whether an address lies in a prefix: of its family only. */
bool snapshot_prefix_has(const struct snapshot_prefix *prefix, const struct sip_ip *ip);

/* Whether a pool is one of a service's. */
bool snapshot_service_has_pool(const struct snapshot *s, const struct snapshot_service *service,
                               uint32_t pool);

/* The listener of a transport and address, or -1. Any thread. */
int32_t snapshot_find_listener(const struct snapshot *s, enum sip_transport transport,
                               const struct sip_addr *addr);

/* Control's own UDP listener of a service and an address family, by this node's address; NULL: it
 * has none. Any thread. */
const struct snapshot_listener *snapshot_own_listener(const struct snapshot *s, uint32_t service,
                                                      bool v4);

/*
 * The backend of a pool with that address: the one whose port (or one of its `ports:`) is `port`
 * when there is one; with port 0, or with any_port when none matches, the first with the address.
 * Lingering backends count. LB_NO_BACKEND when there is none.
 */
int32_t snapshot_find_backend(const struct snapshot *s, uint32_t pool, const struct sip_addr *addr,
                              bool any_port);

/* The same among all pools of a service: a backend with the port before one with another. */
int32_t snapshot_find_service_backend(const struct snapshot *s,
                                      const struct snapshot_service *service,
                                      const struct sip_addr *addr, bool any_port);

/* Whether any backend of any pool has that address (the frame's sender must then be believed). */
bool snapshot_is_backend_address(const struct snapshot *s, const struct sip_ip *ip);

/* The backend with that id, or LB_NO_BACKEND. */
int32_t snapshot_backend_by_id(const struct snapshot *s, uint32_t id);

/* The backend that takes new calls at a hash, by the pool's table; LB_NO_BACKEND when there is none. */
int32_t snapshot_table_lookup(const struct snapshot *s, uint32_t pool, uint64_t hash);

/* What is known of a URI's host, port (0: none) and transport (NONE: none given), host in any case
 * and with or without a dot at its end; NULL: nothing. */
const struct snapshot_name *snapshot_find_name(const struct snapshot *s, struct sip_slice host,
                                               uint16_t port, enum sip_transport transport);
uint64_t snapshot_name_hash(const struct lb_key *hash_key, struct sip_slice host, uint16_t port,
                            enum sip_transport transport);

/* A Call-ID's hash, of which the pools' are made and by which the capture's filter knows it: 0 for
 * none, never 0 else. */
uint64_t snapshot_call_hash(const struct lb_key *hash_key, struct sip_slice call_id);

/* Whether a message with this Call-ID (length 0: none) is captured. */
bool snapshot_captures(const struct snapshot *s, struct sip_slice call_id);

/* The id of a backend: a hash of pool and name under a fixed key; of a pool or a service: of its
 * name; of a node: of its name. Never 0. */
uint32_t snapshot_backend_id(struct sip_slice pool, struct sip_slice backend);
uint32_t snapshot_pool_id(struct sip_slice pool);
uint32_t snapshot_service_id(struct sip_slice service);
uint32_t snapshot_node_id(struct sip_slice node);

/* The node of the cluster that has an address, another than this: its id, or 0. */
uint32_t snapshot_node_at(const struct snapshot *s, const struct sip_ip *ip);

/* Order of nodes: id, then address bytes. As memcmp. */
int snapshot_node_order(const struct snapshot_node *a, const struct snapshot_node *b);

/* Where the probe for an address begins in a by_address of n entries. One multiplication under the
 * key will do: what lies there is the operator's, and nobody else can lengthen a probe. */
uint32_t snapshot_address_home(const struct lb_key *hash_key, const struct sip_ip *ip, uint32_t n);

/* Asks for the memory where that probe begins. */
void snapshot_prefetch_address(const struct snapshot *s, const struct sip_ip *ip);

/* Order of listeners: transport, then address bytes, then port. As memcmp. */
int snapshot_listener_order(const struct snapshot_listener *a, const struct snapshot_listener *b);

#endif
