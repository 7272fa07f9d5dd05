/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcyaml's tables of the configuration file, innermost first. `gateway:` is read from the
 * document instead, since it is a value or a list and a table knows one type for a key.
 */
#include "config/schema.h"

#include <assert.h>

#include "config/cfg.h"
#include "config/snapshot.h"

#define REQUIRED CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL
#define LIST_OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define LIST_REQUIRED CYAML_FLAG_POINTER

static_assert((int)SCHEMA_PROXY_REQUIRE_MAX == SNAPSHOT_PROXY_REQUIRE_MAX, "one limit");
static_assert((int)SCHEMA_SERVICES_MAX == SNAPSHOT_SERVICES_MAX, "one limit");
static_assert(2 * (int)SCHEMA_NODES_MAX == SNAPSHOT_NODES_MAX, "one limit");
static_assert((int)SCHEMA_PREFIX_MAX == SNAPSHOT_DIALLED_MAX, "one limit");

/* The words that a key may have, in place of libcyaml's booleans too (it takes any word for true).
 */
#define WORD(key, structure, member, words)                            \
    CYAML_FIELD_ENUM(key, CYAML_FLAG_STRICT, structure, member, words, \
                     sizeof(words) / sizeof((words)[0]))
#define WORD_OPTIONAL(key, structure, member, words)                                  \
    CYAML_FIELD_ENUM_PTR(key, CYAML_FLAG_STRICT | OPTIONAL, structure, member, words, \
                         sizeof(words) / sizeof((words)[0]))

static const cyaml_strval_t bools[] = {{"false", 0}, {"true", 1}};
/* Without memif, which nobody has tried yet. */
static const cyaml_strval_t drivers[] = {
    {"af_packet", CFG_AF_PACKET}, {"af_xdp", CFG_AF_XDP}, {"pci", CFG_PCI},
    {"pcap", CFG_PCAP},           {"null", CFG_NULL},
};
static const cyaml_strval_t zones[] = {
    {"outside", CFG_ZONE_OUTSIDE}, {"inside", CFG_ZONE_INSIDE}, {"both", CFG_ZONE_BOTH}};
static const cyaml_strval_t hugepages[] = {
    {"auto", CFG_HUGEPAGES_AUTO}, {"on", CFG_HUGEPAGES_ON}, {"off", CFG_HUGEPAGES_OFF}};
static const cyaml_strval_t idles[] = {{"adaptive", CFG_IDLE_ADAPTIVE}, {"poll", CFG_IDLE_POLL}};
static const cyaml_strval_t transports[] = {
    {"udp", SIP_TRANSPORT_UDP}, {"tcp", SIP_TRANSPORT_TCP}, {"tls", SIP_TRANSPORT_TLS},
    {"ws", SIP_TRANSPORT_WS},   {"wss", SIP_TRANSPORT_WSS},
};
static const cyaml_strval_t clients[] = {{"none", CFG_CLIENTS_NONE},
                                         {"optional", CFG_CLIENTS_OPTIONAL},
                                         {"required", CFG_CLIENTS_REQUIRED}};
static const cyaml_strval_t modes[] = {{"proxy", SNAPSHOT_MODE_PROXY},
                                       {"direct", SNAPSHOT_MODE_DIRECT}};
static const cyaml_strval_t encapsulations[] = {{"none", 0}, {"ipip", 1}};
static const cyaml_strval_t paths[] = {{"always", SNAPSHOT_PATH_ALWAYS},
                                       {"supported", SNAPSHOT_PATH_SUPPORTED},
                                       {"never", SNAPSHOT_PATH_NEVER}};
static const cyaml_strval_t nats[] = {{"rport", SNAPSHOT_NAT_RPORT},
                                      {"always", SNAPSHOT_NAT_ALWAYS}};
static const cyaml_strval_t probes[] = {{"none", CFG_PROBE_NONE}, {"options", CFG_PROBE_OPTIONS}};
/* To backends. */
static const cyaml_strval_t near_transports[] = {
    {"udp", SIP_TRANSPORT_UDP}, {"tcp", SIP_TRANSPORT_TCP}, {"tls", SIP_TRANSPORT_TLS}};
static const cyaml_strval_t srtps[] = {{"none", CFG_MEDIA_PLAIN}, {"sdes", CFG_MEDIA_SDES}};
static const cyaml_strval_t codecs[] = {{"PCMU", CFG_MEDIA_PCMU}, {"PCMA", CFG_MEDIA_PCMA}};
static const cyaml_strval_t larges[] = {{"fragment", LB_LARGE_FRAGMENT}, {"tcp", LB_LARGE_TCP}};
static const cyaml_strval_t shares[] = {{"none", LB_SHARE_NONE}, {"dialogs", LB_SHARE_DIALOGS}};

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, SCHEMA_TEXT_MAX)};
static const cyaml_schema_value_t number_value = {CYAML_VALUE_UINT(REQUIRED, uint32_t)};

static const cyaml_schema_field_t port_fields[] = {
    CYAML_FIELD_STRING_PTR("name", REQUIRED, struct schema_port, name, 1, SCHEMA_NAME_MAX),
    WORD("driver", struct schema_port, driver, drivers),
    CYAML_FIELD_STRING_PTR("device", OPTIONAL, struct schema_port, device, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("tap", OPTIONAL, struct schema_port, tap, 1, SCHEMA_TEXT_MAX),
    WORD_OPTIONAL("zone", struct schema_port, zone, zones),
    CYAML_FIELD_UINT_PTR("frame_size", OPTIONAL, struct schema_port, frame_size),
    CYAML_FIELD_SEQUENCE_COUNT("addresses", LIST_OPTIONAL, struct schema_port, addresses,
                               n_addresses, &text_value, 0, SCHEMA_ADDRESSES_MAX),
    CYAML_FIELD_IGNORE("gateway", OPTIONAL),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t port_value = {
    CYAML_VALUE_MAPPING(REQUIRED, struct schema_port, port_fields)};

static const cyaml_schema_field_t dataplane_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("workers", LIST_OPTIONAL, struct schema_dataplane, workers,
                               n_workers, &number_value, 1, SCHEMA_WORKERS_MAX),
    CYAML_FIELD_STRING_PTR("memory", OPTIONAL, struct schema_dataplane, memory, 1, SCHEMA_TEXT_MAX),
    WORD_OPTIONAL("hugepages", struct schema_dataplane, hugepages, hugepages),
    WORD_OPTIONAL("idle", struct schema_dataplane, idle, idles),
    CYAML_FIELD_UINT_PTR("call_table", OPTIONAL, struct schema_dataplane, call_table),
    CYAML_FIELD_STRING_PTR("socket", OPTIONAL, struct schema_dataplane, socket, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("user", OPTIONAL, struct schema_dataplane, user, 1, SCHEMA_NAME_MAX),
    CYAML_FIELD_STRING_PTR("control_user", OPTIONAL, struct schema_dataplane, control_user, 1,
                           SCHEMA_NAME_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("ports", LIST_REQUIRED, struct schema_dataplane, ports, n_ports,
                               &port_value, 1, SCHEMA_PORTS_MAX),
    CYAML_FIELD_END,
};

#define CERTIFICATE_TEXT(member, flags) \
    CYAML_FIELD_STRING_PTR(#member, flags, struct schema_certificate, member, 1, SCHEMA_TEXT_MAX)
static const cyaml_schema_field_t certificate_fields[] = {
    CERTIFICATE_TEXT(cert, REQUIRED),
    CERTIFICATE_TEXT(key, REQUIRED),
    CERTIFICATE_TEXT(ocsp, OPTIONAL),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t certificate_value = {
    CYAML_VALUE_MAPPING(REQUIRED, struct schema_certificate, certificate_fields)};

static const cyaml_schema_field_t listen_fields[] = {
    WORD("transport", struct schema_listen, transport, transports),
    CYAML_FIELD_STRING_PTR("address", REQUIRED, struct schema_listen, address, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_UINT_PTR("port", OPTIONAL, struct schema_listen, port),
    CYAML_FIELD_SEQUENCE_COUNT("certificates", LIST_OPTIONAL, struct schema_listen, certificates,
                               n_certificates, &certificate_value, 1, SCHEMA_CERTIFICATES_MAX),
    WORD_OPTIONAL("client_certificates", struct schema_listen, client_certificates, clients),
    CYAML_FIELD_STRING_PTR("client_ca", OPTIONAL, struct schema_listen, client_ca, 1,
                           SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("client_crl", OPTIONAL, struct schema_listen, client_crl, 1,
                           SCHEMA_TEXT_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("client_names", LIST_OPTIONAL, struct schema_listen, client_names,
                               n_client_names, &text_value, 1, SCHEMA_CLIENT_NAMES_MAX),
    CYAML_FIELD_STRING_PTR("path", OPTIONAL, struct schema_listen, path, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("origins", LIST_OPTIONAL, struct schema_listen, origins, n_origins,
                               &text_value, 1, SCHEMA_ORIGINS_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t listen_value = {
    CYAML_VALUE_MAPPING(REQUIRED, struct schema_listen, listen_fields)};

static const cyaml_schema_field_t match_fields[] = {
    CYAML_FIELD_STRING_PTR("source", OPTIONAL, struct schema_match, source, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("domain", OPTIONAL, struct schema_match, domain, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("prefix", OPTIONAL, struct schema_match, prefix, 1, SCHEMA_PREFIX_MAX),
    CYAML_FIELD_STRING_PTR("pool", REQUIRED, struct schema_match, pool, 1, SCHEMA_NAME_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t match_value = {
    CYAML_VALUE_MAPPING(REQUIRED, struct schema_match, match_fields)};

static const cyaml_schema_field_t service_fields[] = {
    CYAML_FIELD_STRING_PTR("name", REQUIRED, struct schema_service, name, 1, SCHEMA_NAME_MAX),
    WORD_OPTIONAL("mode", struct schema_service, mode, modes),
    WORD_OPTIONAL("encapsulation", struct schema_service, encapsulation, encapsulations),
    CYAML_FIELD_STRING_PTR("pool", REQUIRED, struct schema_service, pool, 1, SCHEMA_NAME_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("listen", LIST_REQUIRED, struct schema_service, listen, n_listen,
                               &listen_value, 1, SCHEMA_LISTEN_MAX),
    CYAML_FIELD_UINT_PTR("stream_port", OPTIONAL, struct schema_service, stream_port),
    WORD_OPTIONAL("record_route", struct schema_service, record_route, bools),
    WORD_OPTIONAL("path", struct schema_service, path, paths),
    WORD_OPTIONAL("nat", struct schema_service, nat, nats),
    CYAML_FIELD_SEQUENCE_COUNT("domains", LIST_OPTIONAL, struct schema_service, domains, n_domains,
                               &text_value, 0, SCHEMA_DOMAINS_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("proxy_require", LIST_OPTIONAL, struct schema_service, proxy_require,
                               n_proxy_require, &text_value, 0, SCHEMA_PROXY_REQUIRE_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("sources", LIST_OPTIONAL, struct schema_service, sources, n_sources,
                               &text_value, 1, SCHEMA_SOURCES_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("match", LIST_OPTIONAL, struct schema_service, match, n_match,
                               &match_value, 0, SCHEMA_MATCH_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t service_value = {
    CYAML_VALUE_MAPPING(REQUIRED, struct schema_service, service_fields)};

static const cyaml_schema_field_t backend_fields[] = {
    CYAML_FIELD_STRING_PTR("name", REQUIRED, struct schema_backend, name, 1, SCHEMA_NAME_MAX),
    CYAML_FIELD_STRING_PTR("address", OPTIONAL, struct schema_backend, address, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("srv", OPTIONAL, struct schema_backend, srv, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_UINT_PTR("port", OPTIONAL, struct schema_backend, port),
    WORD_OPTIONAL("transport", struct schema_backend, transport, near_transports),
    CYAML_FIELD_UINT_PTR("weight", OPTIONAL, struct schema_backend, weight),
    CYAML_FIELD_SEQUENCE_COUNT("ports", LIST_OPTIONAL, struct schema_backend, ports, n_ports,
                               &number_value, 0, LB_PORTS_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t backend_value = {
    CYAML_VALUE_MAPPING(REQUIRED, struct schema_backend, backend_fields)};

#define METHOD(name, id)                                                             \
    CYAML_FIELD_STRING_PTR(name, OPTIONAL, struct schema_method_keys, method[id], 1, \
                           SCHEMA_TEXT_MAX)
/* In the order of enum sip_method, from SIP_INVITE on. */
static const cyaml_schema_field_t method_key_fields[] = {
    METHOD("INVITE", SIP_INVITE),
    METHOD("ACK", SIP_ACK),
    METHOD("BYE", SIP_BYE),
    METHOD("CANCEL", SIP_CANCEL),
    METHOD("OPTIONS", SIP_OPTIONS),
    METHOD("REGISTER", SIP_REGISTER),
    METHOD("PRACK", SIP_PRACK),
    METHOD("SUBSCRIBE", SIP_SUBSCRIBE),
    METHOD("NOTIFY", SIP_NOTIFY),
    METHOD("PUBLISH", SIP_PUBLISH),
    METHOD("INFO", SIP_INFO),
    METHOD("REFER", SIP_REFER),
    METHOD("MESSAGE", SIP_MESSAGE),
    METHOD("UPDATE", SIP_UPDATE),
    CYAML_FIELD_END,
};

#define MEDIA_TEXT(member) \
    CYAML_FIELD_STRING_PTR(#member, OPTIONAL, struct schema_media, member, 1, SCHEMA_TEXT_MAX)
#define MEDIA_NUMBER(member) CYAML_FIELD_UINT_PTR(#member, OPTIONAL, struct schema_media, member)
static const cyaml_schema_field_t media_fields[] = {
    CYAML_FIELD_STRING_PTR("uri", REQUIRED, struct schema_media, uri, 1, SCHEMA_TEXT_MAX),
    WORD_OPTIONAL("srtp", struct schema_media, srtp, srtps),
    WORD_OPTIONAL("codec", struct schema_media, codec, codecs),
    MEDIA_TEXT(interval),
    MEDIA_TEXT(fast_interval),
    MEDIA_TEXT(timeout),
    MEDIA_TEXT(length),
    MEDIA_NUMBER(rise),
    MEDIA_NUMBER(fall),
    MEDIA_NUMBER(max),
    CYAML_FIELD_END,
};

#define HEALTH_TEXT(member) \
    CYAML_FIELD_STRING_PTR(#member, OPTIONAL, struct schema_health, member, 1, SCHEMA_TEXT_MAX)
#define HEALTH_NUMBER(member) CYAML_FIELD_UINT_PTR(#member, OPTIONAL, struct schema_health, member)
static const cyaml_schema_field_t health_fields[] = {
    WORD_OPTIONAL("probe", struct schema_health, probe, probes),
    WORD_OPTIONAL("transport", struct schema_health, transport, near_transports),
    WORD_OPTIONAL("passive", struct schema_health, passive, bools),
    HEALTH_TEXT(interval),
    HEALTH_TEXT(fast_interval),
    HEALTH_TEXT(timeout),
    HEALTH_TEXT(retry_after),
    HEALTH_TEXT(slow_start),
    HEALTH_TEXT(drain_header),
    HEALTH_NUMBER(rise),
    HEALTH_NUMBER(fall),
    HEALTH_NUMBER(eject_floor),
    HEALTH_NUMBER(eject_share),
    HEALTH_NUMBER(eject_max),
    CYAML_FIELD_MAPPING_PTR("media", OPTIONAL, struct schema_health, media, media_fields),
    CYAML_FIELD_SEQUENCE_COUNT("accept", LIST_OPTIONAL, struct schema_health, accept, n_accept,
                               &text_value, 1, SCHEMA_HEALTH_STATUSES_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("busy", LIST_OPTIONAL, struct schema_health, busy, n_busy,
                               &text_value, 1, SCHEMA_HEALTH_STATUSES_MAX),
    CYAML_FIELD_END,
};

/* What is shown by who connects: there is nothing to staple. */
static const cyaml_schema_field_t shown_fields[] = {
    CERTIFICATE_TEXT(cert, REQUIRED),
    CERTIFICATE_TEXT(key, REQUIRED),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t backend_tls_fields[] = {
    CYAML_FIELD_STRING_PTR("ca", OPTIONAL, struct schema_backend_tls, ca, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("name", OPTIONAL, struct schema_backend_tls, name, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_MAPPING_PTR("certificate", OPTIONAL, struct schema_backend_tls, certificate,
                            shown_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t pool_fields[] = {
    CYAML_FIELD_STRING_PTR("name", REQUIRED, struct schema_pool, name, 1, SCHEMA_NAME_MAX),
    CYAML_FIELD_STRING_PTR("key", OPTIONAL, struct schema_pool, key, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_MAPPING_PTR("method_keys", OPTIONAL, struct schema_pool, method_keys,
                            method_key_fields),
    CYAML_FIELD_SEQUENCE_COUNT("backends", LIST_REQUIRED, struct schema_pool, backends, n_backends,
                               &backend_value, 1, SCHEMA_BACKENDS_MAX),
    CYAML_FIELD_MAPPING_PTR("tls", OPTIONAL, struct schema_pool, tls, backend_tls_fields),
    WORD_OPTIONAL("share", struct schema_pool, share, shares),
    WORD_OPTIONAL("large_requests", struct schema_pool, large_requests, larges),
    CYAML_FIELD_MAPPING_PTR("health", OPTIONAL, struct schema_pool, health, health_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t pool_value = {
    CYAML_VALUE_MAPPING(REQUIRED, struct schema_pool, pool_fields)};

#define STREAMS_TEXT(member) \
    CYAML_FIELD_STRING_PTR(#member, OPTIONAL, struct schema_streams, member, 1, SCHEMA_TEXT_MAX)
#define STREAMS_NUMBER(member) \
    CYAML_FIELD_UINT_PTR(#member, OPTIONAL, struct schema_streams, member)
static const cyaml_schema_field_t streams_fields[] = {
    STREAMS_NUMBER(threads),
    STREAMS_NUMBER(connections),
    STREAMS_NUMBER(connections_per_source),
    STREAMS_TEXT(idle_timeout),
    STREAMS_TEXT(handshake_timeout),
    STREAMS_TEXT(message_timeout),
    STREAMS_TEXT(header_limit),
    STREAMS_TEXT(body_limit),
    STREAMS_TEXT(write_limit),
    STREAMS_TEXT(memory_limit),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t control_fields[] = {
    CYAML_FIELD_STRING_PTR("socket", OPTIONAL, struct schema_control, socket, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("socket_group", OPTIONAL, struct schema_control, socket_group, 1,
                           SCHEMA_NAME_MAX),
    CYAML_FIELD_STRING_PTR("state_dir", OPTIONAL, struct schema_control, state_dir, 1,
                           SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("metrics", OPTIONAL, struct schema_control, metrics, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("dns", LIST_OPTIONAL, struct schema_control, dns, n_dns, &text_value,
                               1, SCHEMA_DNS_MAX),
    CYAML_FIELD_MAPPING_PTR("streams", OPTIONAL, struct schema_control, streams, streams_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t node_fields[] = {
    CYAML_FIELD_STRING_PTR("name", REQUIRED, struct schema_node, name, 1, SCHEMA_NAME_MAX),
    CYAML_FIELD_STRING_PTR("address", OPTIONAL, struct schema_node, address, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("address6", OPTIONAL, struct schema_node, address6, 1, SCHEMA_TEXT_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t node_value = {
    CYAML_VALUE_MAPPING(REQUIRED, struct schema_node, node_fields)};

static const cyaml_schema_field_t cluster_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("nodes", LIST_REQUIRED, struct schema_cluster, nodes, n_nodes,
                               &node_value, 1, SCHEMA_NODES_MAX),
    CYAML_FIELD_END,
};

#define DATAPLANE_FIELD \
    CYAML_FIELD_MAPPING_PTR("dataplane", REQUIRED, struct schema_file, dataplane, dataplane_fields)

static const cyaml_schema_field_t file_fields[] = {
    CYAML_FIELD_STRING_PTR("node", OPTIONAL, struct schema_file, node, 1, SCHEMA_NAME_MAX),
    CYAML_FIELD_STRING_PTR("node_address", OPTIONAL, struct schema_file, node_address, 1,
                           SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("node_address6", OPTIONAL, struct schema_file, node_address6, 1,
                           SCHEMA_TEXT_MAX),
    CYAML_FIELD_MAPPING_PTR("cluster", OPTIONAL, struct schema_file, cluster, cluster_fields),
    CYAML_FIELD_STRING_PTR("token_lifetime", OPTIONAL, struct schema_file, token_lifetime, 1,
                           SCHEMA_TEXT_MAX),
    CYAML_FIELD_STRING_PTR("linger", OPTIONAL, struct schema_file, linger, 1, SCHEMA_TEXT_MAX),
    DATAPLANE_FIELD,
    CYAML_FIELD_STRING_PTR("secret_file", OPTIONAL, struct schema_file, secret_file, 1,
                           SCHEMA_TEXT_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("services", LIST_REQUIRED, struct schema_file, services, n_services,
                               &service_value, 1, SCHEMA_SERVICES_MAX),
    CYAML_FIELD_SEQUENCE_COUNT("pools", LIST_REQUIRED, struct schema_file, pools, n_pools,
                               &pool_value, 1, SCHEMA_POOLS_MAX),
    CYAML_FIELD_MAPPING_PTR("control", OPTIONAL, struct schema_file, control, control_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t dataplane_only_fields[] = {DATAPLANE_FIELD, CYAML_FIELD_END};

const cyaml_schema_value_t schema_file_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct schema_file, file_fields)};
const cyaml_schema_value_t schema_dataplane_only_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct schema_file, dataplane_only_fields)};

const char *schema_method_name(enum sip_method method)
{
    return method == SIP_METHOD_UNKNOWN ? NULL : method_key_fields[method - SIP_INVITE].key;
}
