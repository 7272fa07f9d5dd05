/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running configuration as JSON: see show_config.h. Keys as in the file.
 */
#include "control/show_config.h"

#include "config/snapshot.h"
#include "config/value.h"
#include "control/show.h"

static const char *const KEYS[LB_KEY_COUNT] = {
    [LB_KEY_CALL_ID] = "call-id", [LB_KEY_FROM] = "from",     [LB_KEY_TO] = "to",
    [LB_KEY_RURI] = "ruri",       [LB_KEY_SOURCE] = "source", [LB_KEY_AOR] = "aor",
    [LB_KEY_HEADER] = "header",
};

static const char *word(const char *const *words, unsigned n, unsigned i)
{
    return i < n ? words[i] : "unknown";
}

static json_t *transport_json(unsigned transport)
{
    static const char *const transports[] = {
        [SIP_TRANSPORT_UDP] = "udp", [SIP_TRANSPORT_TCP] = "tcp", [SIP_TRANSPORT_TLS] = "tls",
        [SIP_TRANSPORT_WS] = "ws",   [SIP_TRANSPORT_WSS] = "wss",
    };

    return json_string(word(transports, sizeof(transports) / sizeof(transports[0]), transport));
}

static json_t *texts_json(char *const *texts, uint32_t n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

/* A text that may be NULL. */
static json_t *text_json(const char *text)
{
    return text == NULL ? json_null() : json_string(text);
}

static json_t *ms_json(uint64_t ms)
{
    char text[VALUE_UNIT_ROOM];

    value_duration_print(ms, text);
    return json_string(text);
}

static json_t *bytes_json(uint64_t bytes)
{
    char text[VALUE_UNIT_ROOM];

    value_size_print(bytes, text);
    return json_string(text);
}

/* A list that is null when it is empty, where it then means everything and not nothing. */
static json_t *any_or_texts_json(char *const *texts, uint32_t n)
{
    return n == 0 ? json_null() : texts_json(texts, n);
}

/* The names of files, whose contents are nobody's who asks. */
static void add_tls(json_t *object, const struct cfg_listener *listener)
{
    static const char *const clients[] = {"none", "optional", "required"};
    json_t *certificates = json_array();

    for (uint32_t i = 0; i < listener->n_certificates; i++) {
        const struct cfg_certificate *from = &listener->certificates[i];
        json_t *certificate = json_object();

        json_object_set_new(certificate, "cert", text_json(from->cert));
        json_object_set_new(certificate, "key", text_json(from->key));
        json_object_set_new(certificate, "ocsp", text_json(from->ocsp));
        json_array_append_new(certificates, certificate);
    }
    json_object_set_new(object, "certificates", certificates);
    json_object_set_new(object, "client_certificates",
                        json_string(word(clients, 3, listener->clients)));
    json_object_set_new(object, "client_ca", text_json(listener->client_ca));
    json_object_set_new(object, "client_crl", text_json(listener->client_crl));
    json_object_set_new(object, "client_names",
                        any_or_texts_json(listener->client_names, listener->n_client_names));
}

static json_t *listener_json(const struct cfg_listener *listener)
{
    json_t *object = json_object();

    json_object_set_new(object, "transport", transport_json(listener->transport));
    json_object_set_new(object, "address", show_ip(&listener->addr.ip));
    json_object_set_new(object, "port", json_integer(listener->addr.port));
    if (listener->n_certificates > 0)
        add_tls(object, listener);
    if (listener->path != NULL) {
        json_object_set_new(object, "path", json_string(listener->path));
        json_object_set_new(object, "origins",
                            any_or_texts_json(listener->origins, listener->n_origins));
    }
    return object;
}

static json_t *prefix_json(const struct cfg_prefix *prefix)
{
    json_t *ip = show_ip(&prefix->ip);
    json_t *text = json_sprintf("%s/%u", json_string_value(ip), (unsigned)prefix->length);

    json_decref(ip);
    return text;
}

/* An empty list would be nobody: without the key everybody may ask. */
static json_t *sources_json(const struct cfg_service *service)
{
    json_t *list = service->n_sources == 0 ? json_null() : json_array();

    for (uint32_t i = 0; i < service->n_sources; i++)
        json_array_append_new(list, prefix_json(&service->sources[i]));
    return list;
}

/* A rule of `match:`; a condition that it does not have is null. */
static json_t *match_json(const struct cfg_match *match)
{
    json_t *object = json_object();

    json_object_set_new(object, "source",
                        match->has_source ? prefix_json(&match->source) : json_null());
    json_object_set_new(object, "domain", text_json(match->domain));
    json_object_set_new(object, "prefix", text_json(match->prefix));
    json_object_set_new(object, "pool", json_string(match->pool));
    return object;
}

/* What mode direct does not have is null. */
static json_t *of_proxy(const struct cfg_service *service, json_t *value)
{
    if (service->mode == SNAPSHOT_MODE_PROXY)
        return value;
    json_decref(value);
    return json_null();
}

static json_t *service_json(const struct cfg_service *service)
{
    static const char *const modes[] = {"proxy", "direct"};
    static const char *const paths[] = {"always", "supported", "never"};
    static const char *const nats[] = {"rport", "always"};
    json_t *object = json_object(), *listen = json_array();
    json_t *matches = json_array();

    for (uint32_t i = 0; i < service->n_listen; i++)
        json_array_append_new(listen, listener_json(&service->listen[i]));
    for (uint32_t i = 0; i < service->n_matches; i++)
        json_array_append_new(matches, match_json(&service->matches[i]));
    json_object_set_new(object, "name", json_string(service->name));
    json_object_set_new(object, "mode", json_string(word(modes, 2, service->mode)));
    if (service->mode == SNAPSHOT_MODE_DIRECT)
        json_object_set_new(object, "encapsulation",
                            json_string(service->tunnel ? "ipip" : "none"));
    json_object_set_new(object, "pool", json_string(service->pool));
    json_object_set_new(object, "listen", listen);
    json_object_set_new(object, "stream_port",
                        service->stream_port == 0 ? json_null()
                                                  : json_integer(service->stream_port));
    json_object_set_new(object, "record_route",
                        of_proxy(service, json_boolean(service->record_route)));
    json_object_set_new(object, "path",
                        of_proxy(service, json_string(word(paths, 3, service->path))));
    json_object_set_new(object, "nat", of_proxy(service, json_string(word(nats, 2, service->nat))));
    json_object_set_new(object, "domains",
                        of_proxy(service, texts_json(service->domains, service->n_domains)));
    json_object_set_new(
        object, "proxy_require",
        of_proxy(service, texts_json(service->proxy_require, service->n_proxy_require)));
    json_object_set_new(object, "sources", sources_json(service));
    json_object_set_new(object, "match", of_proxy(service, matches));
    return object;
}

json_t *show_config_services(const struct cfg *cfg)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < cfg->n_services; i++)
        json_array_append_new(list, service_json(&cfg->services[i]));
    return list;
}

static json_t *backend_json(const struct cfg_backend *backend)
{
    json_t *object = json_object(), *ports = json_array();

    for (uint32_t i = 0; i < backend->n_ports; i++)
        json_array_append_new(ports, json_integer(backend->ports[i]));
    json_object_set_new(object, "name", json_string(backend->name));
    if (!backend->srv)
        json_object_set_new(object, "address",
                            backend->lookup == NULL ? show_ip(&backend->addr.ip)
                                                    : json_string(backend->lookup));
    if (backend->srv)
        json_object_set_new(object, "srv", json_string(backend->lookup));
    else
        json_object_set_new(object, "port", json_integer(backend->addr.port));
    json_object_set_new(object, "transport", transport_json(backend->transport));
    json_object_set_new(object, "ports", ports);
    json_object_set_new(object, "weight", json_integer(backend->weight));
    return object;
}

json_t *show_config_key(unsigned kind, struct sip_slice header)
{
    if (kind == LB_KEY_HEADER)
        return json_sprintf("header:%.*s", (int)header.length, header.at);
    return json_string(word(KEYS, LB_KEY_COUNT, kind));
}

static json_t *key_json(const struct cfg_pool *pool, unsigned method)
{
    const char *header = pool->key_header;

    return show_config_key(pool->keys[method], sip_slice_of(header == NULL ? "" : header));
}

/* As runs from first to last; one word when there is none. */
static json_t *statuses_json(const struct cfg_statuses *set)
{
    json_t *list = json_array();

    for (uint16_t first = 200; first < 700; first++) {
        uint16_t last = first;

        if (!cfg_statuses_have(set, first))
            continue;
        while (last < 699 && cfg_statuses_have(set, (uint16_t)(last + 1)))
            last++;
        json_array_append_new(list, first == last ? json_sprintf("%u", first)
                                                  : json_sprintf("%u-%u", first, last));
        first = last;
    }
    if (json_array_size(list) == 0)
        json_array_append_new(list, json_string("none"));
    return list;
}

/* Null: there is none. */
static json_t *media_json(const struct cfg_media *media)
{
    json_t *object = media->uri != NULL ? json_object() : json_null();

    json_object_set_new(object, "uri", text_json(media->uri));
    json_object_set_new(object, "srtp",
                        json_string(media->srtp == CFG_MEDIA_SDES ? "sdes" : "none"));
    json_object_set_new(object, "codec",
                        json_string(media->codec == CFG_MEDIA_PCMA ? "PCMA" : "PCMU"));
    json_object_set_new(object, "interval", ms_json(media->interval_ms));
    json_object_set_new(object, "fast_interval", ms_json(media->fast_interval_ms));
    json_object_set_new(object, "timeout", ms_json(media->timeout_ms));
    json_object_set_new(object, "length", ms_json(media->length_ms));
    json_object_set_new(object, "rise", json_integer(media->rise));
    json_object_set_new(object, "fall", json_integer(media->fall));
    json_object_set_new(object, "max", json_integer(media->max));
    return object;
}

/* Null: the pool has none. */
static json_t *health_json(const struct cfg_pool *pool)
{
    const struct cfg_health *health = &pool->health;
    json_t *object = pool->has_health ? json_object() : json_null();

    json_object_set_new(object, "probe",
                        json_string(health->probe == CFG_PROBE_OPTIONS ? "options" : "none"));
    json_object_set_new(object, "transport", transport_json(health->transport));
    json_object_set_new(object, "passive", json_boolean(health->passive));
    json_object_set_new(object, "interval", ms_json(health->interval_ms));
    json_object_set_new(object, "fast_interval", ms_json(health->fast_interval_ms));
    json_object_set_new(object, "timeout", ms_json(health->timeout_ms));
    json_object_set_new(object, "rise", json_integer(health->rise));
    json_object_set_new(object, "fall", json_integer(health->fall));
    json_object_set_new(object, "accept", statuses_json(&health->accept));
    json_object_set_new(object, "busy", statuses_json(&health->busy));
    json_object_set_new(object, "retry_after", ms_json(health->retry_after_ms));
    json_object_set_new(object, "drain_header",
                        health->drain_text == NULL
                            ? text_json(health->drain_header)
                            : json_sprintf("%s: %s", health->drain_header, health->drain_text));
    json_object_set_new(object, "slow_start", ms_json(health->slow_start_ms));
    json_object_set_new(object, "eject_floor", json_integer(health->eject_floor));
    json_object_set_new(object, "eject_share", json_integer(health->eject_percent));
    json_object_set_new(object, "eject_max", json_integer(health->eject_max_percent));
    json_object_set_new(object, "media", media_json(&health->media));
    return object;
}

/* Null: its backends are reached without TLS. */
static json_t *backend_tls_json(const struct cfg_pool *pool)
{
    const struct cfg_backend_tls *tls = &pool->tls;
    json_t *certificate = tls->certificate.cert != NULL ? json_object() : json_null();

    if (pool->n_backends == 0 || pool->backends[0].transport != SIP_TRANSPORT_TLS) {
        json_decref(certificate);
        return json_null();
    }
    json_object_set_new(certificate, "cert", text_json(tls->certificate.cert));
    json_object_set_new(certificate, "key", text_json(tls->certificate.key));
    return json_pack("{s:o, s:o, s:o}", "ca", text_json(tls->ca), "name", text_json(tls->name),
                     "certificate", certificate);
}

/* `key:` as INVITE has it, and the methods whose key is another. */
static json_t *pool_json(const struct cfg_pool *pool)
{
    json_t *object = json_object(), *methods = json_object(), *backends = json_array();

    for (unsigned m = SIP_INVITE; m < SIP_METHOD_COUNT; m++) {
        if (pool->keys[m] != pool->keys[SIP_INVITE])
            json_object_set_new(methods, sip_method_name((enum sip_method)m), key_json(pool, m));
    }
    for (uint32_t i = 0; i < pool->n_backends; i++)
        json_array_append_new(backends, backend_json(&pool->backends[i]));
    json_object_set_new(object, "name", json_string(pool->name));
    json_object_set_new(object, "key", key_json(pool, SIP_INVITE));
    json_object_set_new(object, "method_keys", methods);
    json_object_set_new(object, "share",
                        json_string(pool->share == LB_SHARE_DIALOGS ? "dialogs" : "none"));
    json_object_set_new(object, "large_requests",
                        json_string(pool->large == LB_LARGE_TCP ? "tcp" : "fragment"));
    json_object_set_new(object, "health", health_json(pool));
    json_object_set_new(object, "tls", backend_tls_json(pool));
    json_object_set_new(object, "backends", backends);
    return object;
}

static json_t *port_json(const struct cfg_port *port)
{
    static const char *const drivers[] = {"af_packet", "af_xdp", "pci", "memif", "pcap", "null"};
    static const char *const zones[] = {"both", "outside", "inside"};
    json_t *object = json_object(), *addresses = json_array(), *gateways = json_array();

    for (uint32_t i = 0; i < port->n_addresses; i++)
        json_array_append_new(addresses, prefix_json(&port->addresses[i]));
    for (uint32_t i = 0; i < port->n_gateways; i++)
        json_array_append_new(gateways, show_ip(&port->gateways[i]));
    json_object_set_new(object, "name", text_json(port->name));
    json_object_set_new(object, "driver", json_string(word(drivers, 6, port->driver)));
    json_object_set_new(object, "device", text_json(port->device));
    json_object_set_new(object, "tap", text_json(port->tap));
    json_object_set_new(object, "zone", json_string(word(zones, 3, port->zone)));
    json_object_set_new(object, "frame_size",
                        port->driver == CFG_AF_PACKET ? json_integer(port->frame_size)
                                                      : json_null());
    json_object_set_new(object, "addresses", addresses);
    json_object_set_new(object, "gateway", gateways);
    return object;
}

static json_t *dataplane_json(const struct cfg_dataplane *dataplane)
{
    static const char *const hugepages[] = {"auto", "on", "off"};
    static const char *const idles[] = {"adaptive", "poll"};
    json_t *object = json_object(), *workers = json_array(), *ports = json_array();

    for (uint32_t i = 0; i < dataplane->n_workers; i++)
        json_array_append_new(workers, json_integer(dataplane->workers[i]));
    for (uint32_t i = 0; i < dataplane->n_ports; i++)
        json_array_append_new(ports, port_json(&dataplane->ports[i]));
    json_object_set_new(object, "workers", workers);
    json_object_set_new(object, "memory", bytes_json(dataplane->memory_bytes));
    json_object_set_new(object, "hugepages", json_string(word(hugepages, 3, dataplane->hugepages)));
    json_object_set_new(object, "idle", json_string(word(idles, 2, dataplane->idle)));
    json_object_set_new(object, "call_table", json_integer((json_int_t)dataplane->call_table));
    json_object_set_new(object, "socket", text_json(dataplane->socket));
    json_object_set_new(object, "user", text_json(dataplane->user));
    json_object_set_new(object, "control_user", text_json(dataplane->control_user));
    json_object_set_new(object, "ports", ports);
    return object;
}

static json_t *addr_json(const struct sip_addr *addr)
{
    char text[SIP_ADDR_TEXT_MAX];
    uint32_t length = sip_addr_print(addr, text);

    return json_stringn(text, length);
}

/* Null: the system's. */
static json_t *dns_json(const struct cfg *cfg)
{
    json_t *list = cfg->control.n_dns == 0 ? json_null() : json_array();

    for (uint32_t i = 0; i < cfg->control.n_dns; i++)
        json_array_append_new(list, addr_json(&cfg->control.dns[i]));
    return list;
}

static json_t *streams_json(const struct cfg_streams *streams)
{
    json_t *object = json_object();

    json_object_set_new(object, "threads", json_integer(streams->threads));
    json_object_set_new(object, "connections", json_integer(streams->connections));
    json_object_set_new(object, "connections_per_source",
                        json_integer(streams->connections_per_source));
    json_object_set_new(object, "idle_timeout", ms_json(streams->idle_timeout_ms));
    json_object_set_new(object, "handshake_timeout", ms_json(streams->handshake_timeout_ms));
    json_object_set_new(object, "message_timeout", ms_json(streams->message_timeout_ms));
    json_object_set_new(object, "header_limit", bytes_json(streams->header_limit));
    json_object_set_new(object, "body_limit", bytes_json(streams->body_limit));
    json_object_set_new(object, "write_limit", bytes_json(streams->write_limit));
    json_object_set_new(object, "memory_limit", bytes_json(streams->memory_limit));
    return object;
}

static json_t *control_json(const struct cfg *cfg)
{
    json_t *object = json_object();

    json_object_set_new(object, "socket", text_json(cfg->control.socket));
    json_object_set_new(object, "socket_group", text_json(cfg->control.socket_group));
    json_object_set_new(object, "state_dir", text_json(cfg->control.state_dir));
    json_object_set_new(object, "metrics",
                        cfg->control.metrics.port == 0 ? json_null()
                                                       : addr_json(&cfg->control.metrics));
    json_object_set_new(object, "dns", dns_json(cfg));
    json_object_set_new(object, "streams", streams_json(&cfg->control.streams));
    return object;
}

static json_t *cluster_json(const struct cfg *cfg)
{
    json_t *nodes = json_array();

    for (uint32_t i = 0; i < cfg->n_nodes; i++) {
        const struct cfg_node *from = &cfg->nodes[i];
        json_t *node = json_object();

        json_object_set_new(node, "name", text_json(from->name));
        json_object_set_new(node, "address", show_ip(&from->addresses[0]));
        json_object_set_new(node, "address6",
                            from->n_addresses > 1 ? show_ip(&from->addresses[1]) : json_null());
        json_array_append_new(nodes, node);
    }
    return json_pack("{s:o}", "nodes", nodes);
}

json_t *show_config(const struct cfg *cfg)
{
    json_t *object = json_object(), *pools = json_array();

    for (uint32_t i = 0; i < cfg->n_pools; i++)
        json_array_append_new(pools, pool_json(&cfg->pools[i]));
    json_object_set_new(object, "file", text_json(cfg->file));
    json_object_set_new(object, "node", text_json(cfg->node));
    json_object_set_new(object, "node_address",
                        cfg->has_node_address ? show_ip(&cfg->node_address) : json_null());
    json_object_set_new(object, "node_address6",
                        cfg->has_node_address6 ? show_ip(&cfg->node_address6) : json_null());
    json_object_set_new(object, "cluster", cfg->n_nodes == 0 ? json_null() : cluster_json(cfg));
    json_object_set_new(object, "token_lifetime", ms_json(cfg->token_lifetime_ms));
    json_object_set_new(object, "linger", ms_json(cfg->linger_ms));
    json_object_set_new(object, "secret_file", text_json(cfg->secret_file));
    json_object_set_new(object, "dataplane", dataplane_json(&cfg->dataplane));
    json_object_set_new(object, "services", show_config_services(cfg));
    json_object_set_new(object, "pools", pools);
    json_object_set_new(object, "control", control_json(cfg));
    return object;
}
