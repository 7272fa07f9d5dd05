/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners: from raw values to struct cfg, then what must hold between all of them.
 */
#include "config/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/check.h"
#include "config/convert.h"
#include "config/snapshot.h"
#include "config/trunk.h"
#include "config/value.h"

enum { BASE_MAX = 96 }; /* bytes of a path like services[1023].listen[63].certificates[1023] */

static int no_memory(struct cfg_error *error)
{
    check_refuse(error, "", "", "out of memory");
    return -ENOMEM;
}

static const char *addr_text(const struct sip_addr *addr, char text[SIP_ADDR_TEXT_MAX + 1])
{
    text[sip_addr_print(addr, text)] = '\0';
    return text;
}

static bool is_stream(enum sip_transport transport)
{
    return transport != SIP_TRANSPORT_UDP;
}

static bool has_tls(enum sip_transport transport)
{
    return transport == SIP_TRANSPORT_TLS || transport == SIP_TRANSPORT_WSS;
}

static bool has_http(enum sip_transport transport)
{
    return transport == SIP_TRANSPORT_WS || transport == SIP_TRANSPORT_WSS;
}

/* ---- one by one ---- */

/* A key, and whether it was given. */
struct given {
    const char *key;
    bool is;
};

static int refuse_given(const struct given *keys, size_t n, const char *reason, const char *base,
                        struct cfg_error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (keys[i].is)
            return check_refuse(error, base, keys[i].key, "%s", reason);
    }
    return 0;
}

static int take_certificates(const struct schema_listen *raw, const char *file,
                             struct cfg_listener *listener, struct cfg_error *error)
{
    int ret = 0;

    listener->certificates = calloc(raw->n_certificates, sizeof(*listener->certificates));
    if (listener->certificates == NULL)
        return no_memory(error);
    listener->n_certificates = raw->n_certificates;
    for (uint32_t i = 0; ret == 0 && i < raw->n_certificates; i++) {
        const struct schema_certificate *from = &raw->certificates[i];
        struct cfg_certificate *to = &listener->certificates[i];

        ret = convert_file_name(from->cert, file, &to->cert, error);
        if (ret == 0)
            ret = convert_file_name(from->key, file, &to->key, error);
        if (ret == 0)
            ret = convert_file_name(from->ocsp, file, &to->ocsp, error);
    }
    return ret;
}

/* Whose certificates are asked for, and which are believed. */
static int take_clients(const struct schema_listen *raw, const char *file,
                        struct cfg_listener *listener, const char *base, struct cfg_error *error)
{
    const struct given keys[] = {{"client_ca", raw->client_ca != NULL},
                                 {"client_crl", raw->client_crl != NULL},
                                 {"client_names", raw->n_client_names > 0}};
    int ret;

    if (raw->client_certificates != NULL)
        listener->clients = (enum cfg_clients) * raw->client_certificates;
    if (listener->clients == CFG_CLIENTS_NONE)
        return refuse_given(keys, sizeof(keys) / sizeof(keys[0]),
                            "means nothing while client_certificates is none", base, error);
    if (raw->client_ca == NULL)
        return check_refuse(error, base, "client_ca",
                            "required by client_certificates, but missing: who signs them?");
    ret = convert_file_name(raw->client_ca, file, &listener->client_ca, error);
    if (ret == 0)
        ret = convert_file_name(raw->client_crl, file, &listener->client_crl, error);
    if (ret == 0)
        ret = convert_texts(raw->client_names, raw->n_client_names, value_is_host_name,
                            "name of a host", &listener->client_names, &listener->n_client_names,
                            base, "client_names", error);
    for (uint32_t i = 0; ret == 0 && i < listener->n_client_names; i++)
        value_lower(listener->client_names[i]);
    return ret;
}

static int take_tls(const struct schema_listen *raw, const char *file,
                    struct cfg_listener *listener, const char *base, struct cfg_error *error)
{
    const struct given keys[] = {{"certificates", raw->n_certificates > 0},
                                 {"client_certificates", raw->client_certificates != NULL},
                                 {"client_ca", raw->client_ca != NULL},
                                 {"client_crl", raw->client_crl != NULL},
                                 {"client_names", raw->n_client_names > 0}};
    int ret;

    if (!has_tls(listener->transport))
        return refuse_given(keys, sizeof(keys) / sizeof(keys[0]), "only tls and wss have it", base,
                            error);
    if (raw->n_certificates == 0)
        return check_refuse(error, base, "certificates", "required by %s, but missing",
                            sip_transport_name(listener->transport));
    ret = take_certificates(raw, file, listener, error);
    return ret != 0 ? ret : take_clients(raw, file, listener, base, error);
}

static int take_http(const struct schema_listen *raw, struct cfg_listener *listener,
                     const char *base, struct cfg_error *error)
{
    const struct given keys[] = {{"path", raw->path != NULL}, {"origins", raw->n_origins > 0}};
    int ret;

    if (!has_http(listener->transport))
        return refuse_given(keys, sizeof(keys) / sizeof(keys[0]), "only ws and wss have it", base,
                            error);
    if (raw->path != NULL && !value_is_path(raw->path))
        return check_refuse(error, base, "path", "`%.100s` is no absolute path of a URI, as /sip",
                            raw->path);
    listener->path = strdup(raw->path == NULL ? SCHEMA_WS_PATH : raw->path);
    if (listener->path == NULL)
        return no_memory(error);
    ret = convert_texts(raw->origins, raw->n_origins, value_is_origin,
                        "origin, as https://phone.example.net", &listener->origins,
                        &listener->n_origins, base, "origins", error);
    for (uint32_t i = 0; ret == 0 && i < listener->n_origins; i++)
        value_lower(listener->origins[i]);
    return ret;
}

static int convert_listener(const struct schema_listen *raw, const char *file,
                            struct cfg_listener *listener, const char *base,
                            struct cfg_error *error)
{
    static const uint16_t ports[] = {
        [SIP_TRANSPORT_UDP] = SCHEMA_SIP_PORT, [SIP_TRANSPORT_TCP] = SCHEMA_SIP_PORT,
        [SIP_TRANSPORT_TLS] = SCHEMA_TLS_PORT, [SIP_TRANSPORT_WS] = SCHEMA_WS_PORT,
        [SIP_TRANSPORT_WSS] = SCHEMA_WSS_PORT,
    };
    uint32_t port = raw->port == NULL ? ports[raw->transport] : *raw->port;
    int ret;

    listener->transport = (enum sip_transport)raw->transport;
    listener->addr.port = (uint16_t)port;
    ret = convert_ip(raw->address, &listener->addr.ip, base, "address", error);
    if (ret == 0)
        ret = convert_number(port, 1, UINT16_MAX, base, "port", error);
    if (ret == 0)
        ret = take_tls(raw, file, listener, base, error);
    return ret != 0 ? ret : take_http(raw, listener, base, error);
}

int listen_convert(const struct schema_service *raw, const char *file, struct cfg_service *service,
                   const char *base, struct cfg_error *error)
{
    char key[BASE_MAX];
    int ret = 0;

    service->listen = calloc(raw->n_listen, sizeof(*service->listen));
    if (service->listen == NULL)
        return no_memory(error);
    service->n_listen = raw->n_listen;
    for (uint32_t i = 0; ret == 0 && i < raw->n_listen; i++) {
        snprintf(key, sizeof(key), "%s.listen[%u]", base, i);
        ret = convert_listener(&raw->listen[i], file, &service->listen[i], key, error);
    }
    return ret;
}

int listen_stream_port(const struct schema_service *raw, uint32_t index,
                       struct cfg_service *service, const char *base, struct cfg_error *error)
{
    uint32_t port = raw->stream_port == NULL ? SCHEMA_STREAM_PORT + index : *raw->stream_port;
    uint32_t i = 0;

    while (i < service->n_listen && !is_stream(service->listen[i].transport))
        i++;
    if (i == service->n_listen)
        return raw->stream_port == NULL
                   ? 0
                   : check_refuse(error, base, "stream_port", "no listener is a stream's");
    service->stream_port = (uint16_t)port;
    return convert_number(port, 1, UINT16_MAX, base, "stream_port", error);
}

void listen_done(struct cfg_listener *listener)
{
    for (uint32_t i = 0; i < listener->n_certificates; i++) {
        free(listener->certificates[i].cert);
        free(listener->certificates[i].key);
        free(listener->certificates[i].ocsp);
    }
    for (uint32_t i = 0; i < listener->n_client_names; i++)
        free(listener->client_names[i]);
    for (uint32_t i = 0; i < listener->n_origins; i++)
        free(listener->origins[i]);
    free(listener->certificates);
    free(listener->client_ca);
    free(listener->client_crl);
    free(listener->client_names);
    free(listener->path);
    free(listener->origins);
}

/* ---- between them ---- */

/* Whether a listen address is one of a port, where any port has addresses. */
static bool is_port_address(const struct cfg_dataplane *dataplane, const struct sip_ip *ip)
{
    bool any = false;

    for (uint32_t i = 0; i < dataplane->n_ports; i++) {
        const struct cfg_port *port = &dataplane->ports[i];

        for (uint32_t j = 0; j < port->n_addresses; j++) {
            any = true;
            if (sip_ip_equal(&port->addresses[j].ip, ip))
                return true;
        }
    }
    return !any;
}

static int check_port_addresses(const struct cfg *cfg, struct cfg_error *error)
{
    char base[BASE_MAX], text[SIP_IP_TEXT_MAX + 1];

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        for (uint32_t j = 0; j < cfg->services[i].n_listen; j++) {
            const struct sip_ip *ip = &cfg->services[i].listen[j].addr.ip;

            if (is_port_address(&cfg->dataplane, ip))
                continue;
            snprintf(base, sizeof(base), "services[%u].listen[%u]", i, j);
            text[sip_ip_print(ip, text)] = '\0';
            return check_refuse(error, base, "address", "%s is not among any port's addresses",
                                text);
        }
    }
    return 0;
}

/* A socket of a service: a listener's, or, where `own`, control's own for UDP. */
struct place {
    struct sip_addr addr;
    enum sip_transport transport;
    bool own;
    uint32_t service, listener;
};

/* By what can be there only once, then as in the file: sockets of UDP, and those of TCP, which all
 * streams are. */
static int by_socket(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    bool a_stream = is_stream(a->transport), b_stream = is_stream(b->transport);
    int order = memcmp(a->addr.ip.bytes, b->addr.ip.bytes, sizeof(a->addr.ip.bytes));

    if (a_stream != b_stream)
        return a_stream ? 1 : -1;
    if (order != 0)
        return order;
    if (a->addr.port != b->addr.port)
        return a->addr.port < b->addr.port ? -1 : 1;
    if (a->own != b->own)
        return a->own ? 1 : -1;
    if (a->service != b->service)
        return a->service < b->service ? -1 : 1;
    return (a->listener > b->listener) - (a->listener < b->listener);
}

static uint32_t list_places(const struct cfg *cfg, struct place *places)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < cfg->n_services; i++) {
        const struct cfg_service *service = &cfg->services[i];

        for (uint32_t j = 0; j < service->n_listen; j++)
            places[n++] = (struct place){.addr = service->listen[j].addr,
                                         .transport = service->listen[j].transport,
                                         .service = i,
                                         .listener = j};
        for (int v4 = 0; service->stream_port != 0 && v4 <= 1; v4++) {
            const struct sip_ip *ip = cfg_node_ip(cfg, v4);

            if (ip != NULL)
                places[n++] = (struct place){.addr = {*ip, service->stream_port},
                                             .transport = SIP_TRANSPORT_UDP,
                                             .own = true,
                                             .service = i};
        }
    }
    return n;
}

/* Two sockets where one can be, the later in the file second. */
static int refuse_second(const struct cfg *cfg, const struct place *first,
                         const struct place *second, struct cfg_error *error)
{
    const char *name = cfg->services[first->service].name;
    char base[BASE_MAX], text[SIP_ADDR_TEXT_MAX + 1];

    if (second->own) {
        snprintf(base, sizeof(base), "services[%u]", second->service);
        return check_refuse(error, base, "stream_port", "%s %s %s already",
                            first->own ? "control sends the streams of service" : "service", name,
                            first->own ? "from this port" : "listens there");
    }
    snprintf(base, sizeof(base), "services[%u].listen[%u]", second->service, second->listener);
    if (first->transport == second->transport)
        return check_refuse(error, base, "",
                            "service %s listens on this transport, address and port already", name);
    return check_refuse(error, base, "", "service %s listens for %s on %s already", name,
                        sip_transport_name(first->transport), addr_text(&first->addr, text));
}

static int check_sockets(const struct cfg *cfg, struct cfg_error *error)
{
    struct place *places =
        calloc((size_t)cfg->n_services * (SCHEMA_LISTEN_MAX + 2), sizeof(*places));
    uint32_t n;
    int ret = 0;

    if (places == NULL)
        return no_memory(error);
    n = list_places(cfg, places);
    qsort(places, n, sizeof(*places), by_socket);
    for (uint32_t i = 1; ret == 0 && i < n; i++) {
        if (is_stream(places[i].transport) == is_stream(places[i - 1].transport) &&
            sip_addr_equal(&places[i].addr, &places[i - 1].addr))
            ret = refuse_second(cfg, &places[i - 1], &places[i], error);
    }
    for (uint32_t i = 0; ret == 0 && i < n; i++) {
        if (is_stream(places[i].transport) &&
            sip_addr_equal(&places[i].addr, &cfg->control.metrics))
            ret = check_refuse(error, "control", "metrics", "service %s listens there already",
                               cfg->services[places[i].service].name);
    }
    free(places);
    return ret;
}

/* A backend of a service that control could send a stream's messages to from no address of ours, or
 * NULL. One that DNS knows has an address of either family. */
static const struct cfg_backend *unreachable(const struct cfg *cfg,
                                             const struct cfg_service *service,
                                             const struct cfg_pool **ret_pool)
{
    uint32_t pools[SNAPSHOT_SERVICE_POOLS_MAX];
    uint32_t n = trunk_pools(cfg, service, pools);

    for (uint32_t i = 0; i < n; i++) {
        const struct cfg_pool *pool = &cfg->pools[pools[i]];

        for (uint32_t j = 0; j < pool->n_backends; j++) {
            const struct cfg_backend *backend = &pool->backends[j];
            bool reached = backend->lookup != NULL
                               ? cfg->has_node_address || cfg->has_node_address6
                               : cfg_node_ip(cfg, sip_ip_is_v4(&backend->addr.ip)) != NULL;

            *ret_pool = pool;
            if (!reached)
                return backend;
        }
    }
    return NULL;
}

static int check_node_addresses(const struct cfg *cfg, struct cfg_error *error)
{
    if (cfg->has_node_address6 && sip_ip_is_v4(&cfg->node_address6))
        return check_refuse(error, "", "node_address6", "is an IPv4 address: node_address has it");
    if (cfg->has_node_address6 && cfg->has_node_address && !sip_ip_is_v4(&cfg->node_address))
        return check_refuse(error, "", "node_address6", "node_address is an IPv6 address already");
    for (uint32_t i = 0; i < cfg->n_services; i++) {
        const struct cfg_service *service = &cfg->services[i];
        const struct cfg_backend *backend;
        const struct cfg_pool *pool;
        char base[BASE_MAX];
        uint32_t j = 0;

        if (service->stream_port == 0 || service->mode == SNAPSHOT_MODE_DIRECT)
            continue;
        backend = unreachable(cfg, service, &pool);
        if (backend == NULL)
            continue;
        while (!is_stream(service->listen[j].transport))
            j++;
        snprintf(base, sizeof(base), "services[%u].listen[%u]", i, j);
        return check_refuse(error, base, "transport",
                            "%s needs %s, from which control sends to backend %s of pool %s",
                            sip_transport_name(service->listen[j].transport),
                            backend->lookup != NULL || sip_ip_is_v4(&backend->addr.ip)
                                ? "a node_address"
                                : "a node_address6 (or node_address) of IPv6",
                            backend->name, pool->name);
    }
    return 0;
}

static bool has_port(const struct cfg_backend *backend, uint16_t port)
{
    bool has = backend->addr.port == port;

    for (uint32_t i = 0; i < backend->n_ports; i++)
        has |= backend->ports[i] == port;
    return has;
}

/* A backend at control's own listener would be ourselves. */
static int check_not_control(const struct cfg *cfg, struct cfg_error *error)
{
    for (uint32_t p = 0; p < cfg->n_pools; p++) {
        for (uint32_t b = 0; b < cfg->pools[p].n_backends; b++) {
            const struct cfg_backend *backend = &cfg->pools[p].backends[b];
            const struct sip_ip *ip = cfg_node_ip(cfg, sip_ip_is_v4(&backend->addr.ip));
            char base[BASE_MAX];

            if (backend->lookup != NULL || ip == NULL || !sip_ip_equal(ip, &backend->addr.ip))
                continue;
            snprintf(base, sizeof(base), "pools[%u].backends[%u]", p, b);
            for (uint32_t s = 0; s < cfg->n_services; s++) {
                uint16_t port = cfg->services[s].stream_port;

                if (port != 0 && has_port(backend, port))
                    return check_refuse(error, base, "address",
                                        "control sends the streams of service %s from there",
                                        cfg->services[s].name);
            }
        }
    }
    return 0;
}

int listen_check(const struct cfg *cfg, struct cfg_error *error)
{
    int ret = check_port_addresses(cfg, error);

    if (ret == 0)
        ret = check_sockets(cfg, error);
    if (ret == 0)
        ret = check_node_addresses(cfg, error);
    return ret != 0 ? ret : check_not_control(cfg, error);
}
