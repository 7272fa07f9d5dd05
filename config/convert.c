/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the configuration out of its raw values, section by section.
 */
#include "config/convert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/backend.h"
#include "config/backend_tls.h"
#include "config/check.h"
#include "config/cluster.h"
#include "config/direct.h"
#include "config/health_convert.h"
#include "config/listen.h"
#include "config/snapshot.h"
#include "config/streams.h"
#include "config/trunk.h"
#include "config/value.h"

enum { BASE_MAX = 96 }; /* bytes of a path like pools[1023].backends[16383] */

static int no_memory(struct cfg_error *error)
{
    check_refuse(error, "", "", "out of memory");
    return -ENOMEM;
}

/* calloc for n > 0; n = 0 leaves NULL. */
#define NEW_ARRAY(target, n) ((n) == 0 || ((target) = calloc((n), sizeof(*(target)))) != NULL)

int convert_file_name(const char *name, const char *beside, char **ret, struct cfg_error *error)
{
    const char *slash = strrchr(beside, '/');
    int folder = slash == NULL || (name != NULL && name[0] == '/') ? 0 : (int)(slash + 1 - beside);

    if (name == NULL || asprintf(ret, "%.*s%s", folder, beside, name) >= 0)
        return 0;
    *ret = NULL;
    return no_memory(error);
}

static int copy(const char *text, char **ret, struct cfg_error *error)
{
    *ret = strdup(text);
    return *ret == NULL ? no_memory(error) : 0;
}

int convert_name(const char *text, char **ret, const char *base, struct cfg_error *error)
{
    if (!value_is_name(text))
        return check_refuse(error, base, "name",
                            "`%s` is no name: letters, digits, `.`, `_` and `-`, a letter or "
                            "digit first",
                            text);
    return copy(text, ret, error);
}

/* An absolute path; a daemon's working directory is nobody's. */
static int copy_path(const char *text, size_t max, char **ret, const char *base, const char *name,
                     struct cfg_error *error)
{
    if (text[0] != '/')
        return check_refuse(error, base, name, "`%.100s` is not an absolute path", text);
    if (strlen(text) > max)
        return check_refuse(error, base, name, "longer than %zu bytes", max);
    return copy(text, ret, error);
}

int convert_number(uint64_t number, uint64_t min, uint64_t max, const char *base, const char *name,
                   struct cfg_error *error)
{
    if (number >= min && number <= max)
        return 0;
    return check_refuse(error, base, name, "%llu is out of range: %llu to %llu",
                        (unsigned long long)number, (unsigned long long)min,
                        (unsigned long long)max);
}

int convert_ip(const char *text, struct sip_ip *ret, const char *base, const char *name,
               struct cfg_error *error)
{
    if (value_ip(text, ret) == 0)
        return 0;
    return check_refuse(error, base, name, "`%.60s` is not the IP address of a host", text);
}

int convert_duration(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms,
                     const char *base, const char *name, struct cfg_error *error)
{
    char min[VALUE_UNIT_ROOM], max[VALUE_UNIT_ROOM];
    uint64_t ms;
    int ret = value_duration(text, &ms);

    if (ret == -ENODATA)
        return check_refuse(error, base, name, "`%.40s` needs a unit: " VALUE_DURATION_UNITS, text);
    if (ret == -EINVAL)
        return check_refuse(error, base, name,
                            "`%.40s` is no duration: a whole number and " VALUE_DURATION_UNITS,
                            text);
    if (ret == 0 && ms >= min_ms && ms <= max_ms) {
        *ret_ms = ms;
        return 0;
    }
    value_duration_print(min_ms, min);
    value_duration_print(max_ms, max);
    return check_refuse(error, base, name, "%.40s is out of range: %s to %s", text, min, max);
}

int convert_size(const char *text, uint64_t min_bytes, uint64_t max_bytes, uint64_t *ret_bytes,
                 const char *base, const char *name, struct cfg_error *error)
{
    char min[VALUE_UNIT_ROOM], max[VALUE_UNIT_ROOM];
    uint64_t bytes;
    int ret = value_size(text, &bytes);

    if (ret == -ENODATA)
        return check_refuse(error, base, name, "`%.40s` needs a unit: " VALUE_SIZE_UNITS, text);
    if (ret == -EINVAL)
        return check_refuse(error, base, name,
                            "`%.40s` is no size: a whole number and " VALUE_SIZE_UNITS, text);
    if (ret == 0 && bytes >= min_bytes && bytes <= max_bytes) {
        *ret_bytes = bytes;
        return 0;
    }
    value_size_print(min_bytes, min);
    value_size_print(max_bytes, max);
    return check_refuse(error, base, name, "%.40s is out of range: %s to %s", text, min, max);
}

/* `gateway:` may be a value or a list. */
static int take_gateways(const struct document *document, struct cfg_port *port, const char *base,
                         struct cfg_error *error)
{
    const yaml_node_t *node, *item;
    char key[BASE_MAX + 16];
    uint32_t n = 1;

    snprintf(key, sizeof(key), "%s.gateway", base);
    node = document_find(document, key);
    if (node == NULL)
        return 0;
    if (node->type == YAML_SEQUENCE_NODE) {
        for (n = 0; document_item(document, node, n) != NULL; n++)
            ;
    }
    if (n > SCHEMA_ADDRESSES_MAX)
        return check_refuse(error, key, "", "more than one gateway of a family");
    if (!NEW_ARRAY(port->gateways, n))
        return no_memory(error);
    for (uint32_t i = 0; i < n; i++) {
        int ret;

        item = node->type == YAML_SEQUENCE_NODE ? document_item(document, node, i) : node;
        if (item->type != YAML_SCALAR_NODE)
            return check_refuse(error, key, "", "must be an address or a list of addresses");
        ret = convert_ip((const char *)item->data.scalar.value, &port->gateways[i], key, "", error);
        if (ret != 0)
            return ret;
        port->n_gateways = i + 1;
    }
    return 0;
}

static int take_addresses(const struct schema_port *raw, struct cfg_port *port, const char *base,
                          struct cfg_error *error)
{
    if (!NEW_ARRAY(port->addresses, raw->n_addresses))
        return no_memory(error);
    port->n_addresses = raw->n_addresses;
    for (uint32_t i = 0; i < raw->n_addresses; i++) {
        char key[BASE_MAX];

        snprintf(key, sizeof(key), "addresses[%u]", i);
        if (value_prefix(raw->addresses[i], &port->addresses[i]) != 0)
            return check_refuse(error, base, key,
                                "`%.60s` is not an address with a prefix length, as 192.0.2.10/24",
                                raw->addresses[i]);
    }
    return 0;
}

static int convert_port(const struct schema_port *raw, const struct document *document,
                        struct cfg_port *port, const char *base, struct cfg_error *error)
{
    int ret = convert_name(raw->name, &port->name, base, error);

    if (ret != 0)
        return ret;
    port->driver = (enum cfg_driver)raw->driver;
    port->zone = raw->zone == NULL ? CFG_ZONE_BOTH : (enum cfg_zone) * raw->zone;
    if (raw->frame_size != NULL) {
        if (port->driver != CFG_AF_PACKET)
            return check_refuse(error, base, "frame_size", "only the driver af_packet has it");
        ret = convert_number(*raw->frame_size, SCHEMA_FRAME_SIZE_MIN, SCHEMA_FRAME_SIZE_MAX, base,
                             "frame_size", error);
        if (ret == 0 && *raw->frame_size % SCHEMA_FRAME_SIZE_STEP != 0)
            ret = check_refuse(error, base, "frame_size", "%u is not a multiple of %d",
                               *raw->frame_size, SCHEMA_FRAME_SIZE_STEP);
    }
    port->frame_size = raw->frame_size == NULL ? SCHEMA_FRAME_SIZE : *raw->frame_size;
    if (ret == 0 && raw->device != NULL)
        ret = copy(raw->device, &port->device, error);
    if (ret == 0 && raw->tap != NULL)
        ret = copy(raw->tap, &port->tap, error);
    if (ret == 0)
        ret = take_addresses(raw, port, base, error);
    return ret != 0 ? ret : take_gateways(document, port, base, error);
}

static int take_workers(const struct schema_dataplane *raw, struct cfg_dataplane *cfg,
                        struct cfg_error *error)
{
    uint32_t last_cpu = (uint32_t)sysconf(_SC_NPROCESSORS_CONF) - 1;

    cfg->n_workers = raw->n_workers == 0 ? 1 : raw->n_workers;
    if (!NEW_ARRAY(cfg->workers, cfg->n_workers))
        return no_memory(error);
    cfg->workers[0] = last_cpu;
    for (uint32_t i = 0; i < raw->n_workers; i++) {
        char key[BASE_MAX];

        snprintf(key, sizeof(key), "workers[%u]", i);
        cfg->workers[i] = raw->workers[i];
        if (raw->workers[i] > last_cpu)
            return check_refuse(error, "dataplane", key, "there is no CPU %u: the last one is %u",
                                raw->workers[i], last_cpu);
    }
    return 0;
}

int convert_dataplane(const struct schema_dataplane *raw, const struct document *document,
                      struct cfg_dataplane *cfg, struct cfg_error *ret_error)
{
    int ret = take_workers(raw, cfg, ret_error);

    if (ret == 0)
        ret = convert_size(raw->memory == NULL ? SCHEMA_MEMORY : raw->memory, SCHEMA_MEMORY_MIN,
                           SCHEMA_MEMORY_MAX, &cfg->memory_bytes, "dataplane", "memory", ret_error);
    if (ret != 0)
        return ret;
    cfg->hugepages =
        raw->hugepages == NULL ? CFG_HUGEPAGES_AUTO : (enum cfg_hugepages) * raw->hugepages;
    cfg->idle = raw->idle == NULL ? CFG_IDLE_ADAPTIVE : (enum cfg_idle) * raw->idle;
    cfg->call_table = raw->call_table == NULL ? SCHEMA_CALL_TABLE : *raw->call_table;
    ret = convert_number(cfg->call_table, SCHEMA_CALL_TABLE_MIN, SCHEMA_CALL_TABLE_MAX, "dataplane",
                         "call_table", ret_error);
    if (ret == 0)
        ret = copy_path(raw->socket == NULL ? SCHEMA_DATAPLANE_SOCKET : raw->socket,
                        SCHEMA_SOCKET_MAX, &cfg->socket, "dataplane", "socket", ret_error);
    if (ret == 0 && raw->user != NULL)
        ret = copy(raw->user, &cfg->user, ret_error);
    if (ret == 0 && raw->control_user != NULL)
        ret = copy(raw->control_user, &cfg->control_user, ret_error);
    if (ret != 0)
        return ret;
    if (!NEW_ARRAY(cfg->ports, raw->n_ports))
        return no_memory(ret_error);
    for (uint32_t i = 0; ret == 0 && i < raw->n_ports; i++) {
        char base[BASE_MAX];

        snprintf(base, sizeof(base), "dataplane.ports[%u]", i);
        cfg->n_ports = i + 1;
        ret = convert_port(&raw->ports[i], document, &cfg->ports[i], base, ret_error);
    }
    return ret;
}

int convert_texts(char *const *raw, uint32_t n, bool (*is_valid)(const char *), const char *what,
                  char ***ret, uint32_t *ret_n, const char *base, const char *name,
                  struct cfg_error *error)
{
    int failed = 0;

    if (!NEW_ARRAY(*ret, n))
        return no_memory(error);
    for (uint32_t i = 0; failed == 0 && i < n; i++) {
        char key[BASE_MAX];

        snprintf(key, sizeof(key), "%s[%u]", name, i);
        if (!is_valid(raw[i]))
            return check_refuse(error, base, key, "`%.100s` is no %s", raw[i], what);
        for (uint32_t j = 0; j < i; j++) {
            if (sip_slice_equal_nocase(sip_slice_of(raw[i]), sip_slice_of(raw[j])))
                return check_refuse(error, base, key, "`%.100s` is there twice", raw[i]);
        }
        failed = copy(raw[i], &(*ret)[i], error);
        *ret_n = i + 1;
    }
    return failed;
}

static int convert_service(const struct schema_service *raw, const struct document *document,
                           const char *file, struct cfg_service *service, const char *base,
                           struct cfg_error *error)
{
    static char privacy[] = SCHEMA_PROXY_REQUIRE;
    char *const default_tags[] = {privacy};
    char key[BASE_MAX + 32];
    bool given;
    int ret = convert_name(raw->name, &service->name, base, error);

    if (ret == 0)
        ret = copy(raw->pool, &service->pool, error);
    if (ret != 0)
        return ret;
    service->record_route = raw->record_route == NULL || *raw->record_route != 0;
    service->path = raw->path == NULL ? SNAPSHOT_PATH_ALWAYS : (uint8_t)*raw->path;
    service->nat = raw->nat == NULL ? SNAPSHOT_NAT_RPORT : (uint8_t)*raw->nat;
    ret = convert_texts(raw->domains, raw->n_domains, value_is_host, "host", &service->domains,
                        &service->n_domains, base, "domains", error);
    snprintf(key, sizeof(key), "%s.proxy_require", base);
    given = document_find(document, key) != NULL;
    if (ret == 0)
        ret = convert_texts(given ? raw->proxy_require : default_tags,
                            given ? raw->n_proxy_require : 1, value_is_token, "option tag",
                            &service->proxy_require, &service->n_proxy_require, base,
                            "proxy_require", error);
    if (ret == 0)
        ret = direct_convert(raw, document, service, base, error);
    if (ret == 0)
        ret = trunk_convert(raw, service, base, error);
    return ret != 0 ? ret : listen_convert(raw, file, service, base, error);
}

/* A `key:` or one of `method_keys:`; header:NAME sets the pool's one name. */
static int take_key(const char *text, struct cfg_pool *pool, uint8_t *ret_kind, const char *base,
                    const char *name, struct cfg_error *error)
{
    static const char *const words[LB_KEY_HEADER] = {"call-id", "from",   "to",
                                                     "ruri",    "source", "aor"};
    static const char header[] = "header:";

    for (int i = 0; i < LB_KEY_HEADER; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_kind = (uint8_t)i;
            return 0;
        }
    }
    if (strncmp(text, header, strlen(header)) != 0)
        return check_refuse(error, base, name,
                            "`%.60s` is not allowed here, but: call-id, from, to, ruri, source, "
                            "aor, header:NAME",
                            text);
    text += strlen(header);
    if (!value_is_token(text))
        return check_refuse(error, base, name,
                            "header: wants the name of a header, as header:X-Id");
    if (pool->key_header != NULL &&
        !sip_slice_equal_nocase(sip_slice_of(text), sip_slice_of(pool->key_header)))
        return check_refuse(error, base, name, "a pool hashes one header: `%.60s` beside `%.60s`",
                            text, pool->key_header);
    *ret_kind = LB_KEY_HEADER;
    return pool->key_header != NULL ? 0 : copy(text, &pool->key_header, error);
}

static int take_keys(const struct schema_pool *raw, struct cfg_pool *pool, const char *base,
                     struct cfg_error *error)
{
    uint8_t kind = LB_KEY_CALL_ID;
    int ret = take_key(raw->key == NULL ? SCHEMA_KEY : raw->key, pool, &kind, base, "key", error);

    memset(pool->keys, kind, sizeof(pool->keys));
    for (uint32_t i = SIP_INVITE; ret == 0 && raw->method_keys != NULL && i < SIP_METHOD_COUNT;
         i++) {
        char key[BASE_MAX];

        if (raw->method_keys->method[i] == NULL)
            continue;
        snprintf(key, sizeof(key), "method_keys.%s", schema_method_name((enum sip_method)i));
        if (i == SIP_ACK || i == SIP_CANCEL)
            return check_refuse(error, base, key, "ACK and CANCEL follow INVITE's key");
        ret = take_key(raw->method_keys->method[i], pool, &pool->keys[i], base, key, error);
    }
    pool->keys[SIP_ACK] = pool->keys[SIP_CANCEL] = pool->keys[SIP_INVITE];
    return ret;
}

/* By what backends are probed: as they are reached when nothing is said. Over TLS only where `tls:`
 * says who they are. */
static int take_probed(const struct schema_health *raw, struct cfg_pool *pool, const char *base,
                       struct cfg_error *error)
{
    if (raw->transport == NULL)
        pool->health.transport = pool->backends[0].transport;
    else if (pool->health.transport == SIP_TRANSPORT_TLS &&
             pool->backends[0].transport != SIP_TRANSPORT_TLS)
        return check_refuse(error, base, "health.transport",
                            "only backends that are reached by tls are probed by it");
    if (raw->media != NULL && pool->backends[0].transport == SIP_TRANSPORT_TLS)
        return check_refuse(error, base, "health.media",
                            "its calls are placed by UDP, which backends by tls do not take");
    return 0;
}

static int convert_pool(const struct schema_pool *raw, const char *file, struct cfg_pool *pool,
                        const char *base, struct cfg_error *error)
{
    int ret = convert_name(raw->name, &pool->name, base, error);

    if (ret == 0)
        ret = take_keys(raw, pool, base, error);
    pool->share = raw->share == NULL ? LB_SHARE_NONE : (enum lb_share) * raw->share;
    pool->large =
        raw->large_requests == NULL ? LB_LARGE_FRAGMENT : (enum lb_large) * raw->large_requests;
    pool->has_health = raw->health != NULL;
    if (ret == 0 && raw->health != NULL)
        ret = health_convert(raw->health, &pool->health, base, error);
    if (ret == 0 && !NEW_ARRAY(pool->backends, raw->n_backends))
        ret = no_memory(error);
    for (uint32_t i = 0; ret == 0 && i < raw->n_backends; i++) {
        char key[BASE_MAX + 32];

        snprintf(key, sizeof(key), "%s.backends[%u]", base, i);
        pool->n_backends = i + 1;
        ret = backend_convert(&raw->backends[i], &pool->backends[i], key, error);
    }
    if (ret == 0)
        ret = backend_tls_convert(raw->tls, file, pool, base, error);
    return ret != 0 || raw->health == NULL ? ret : take_probed(raw->health, pool, base, error);
}

/* The node's name is the machine's when none is given. */
static int take_node(const struct schema_file *raw, struct cfg *cfg, struct cfg_error *error)
{
    char host[SCHEMA_NAME_MAX + 1] = "";
    const char *name = raw->node;

    if (name == NULL) {
        if (gethostname(host, sizeof(host) - 1) != 0 || !value_is_name(host))
            return check_refuse(error, "", "node", "missing, and the host has no usable name");
        name = host;
    } else if (!value_is_name(name)) {
        return check_refuse(error, "", "node", "`%s` is no name: letters, digits, `.`, `_` and `-`",
                            name);
    }
    return copy(name, &cfg->node, error);
}

static int take_dns(const struct schema_control *raw, struct cfg *cfg, struct cfg_error *error)
{
    if (!NEW_ARRAY(cfg->control.dns, raw->n_dns))
        return no_memory(error);
    cfg->control.n_dns = raw->n_dns;
    for (uint32_t i = 0; i < raw->n_dns; i++) {
        char key[BASE_MAX];

        snprintf(key, sizeof(key), "dns[%u]", i);
        if (value_server(raw->dns[i], SCHEMA_DNS_PORT, &cfg->control.dns[i]) != 0)
            return check_refuse(error, "control", key,
                                "`%.60s` is not a server's ADDRESS or ADDRESS:PORT", raw->dns[i]);
        for (uint32_t j = 0; j < i; j++) {
            if (sip_addr_equal(&cfg->control.dns[j], &cfg->control.dns[i]))
                return check_refuse(error, "control", key, "is there twice");
        }
    }
    return 0;
}

static int take_metrics(const struct schema_control *raw, struct cfg *cfg, struct cfg_error *error)
{
    /* No port is the usual one: a missing one stays 0. */
    if (raw->metrics == NULL || (value_server(raw->metrics, 0, &cfg->control.metrics) == 0 &&
                                 cfg->control.metrics.port != 0))
        return 0;
    return check_refuse(error, "control", "metrics", "`%.60s` is not ADDRESS:PORT or [IPV6]:PORT",
                        raw->metrics);
}

static int convert_control(const struct schema_control *raw, struct cfg *cfg,
                           struct cfg_error *error)
{
    static const struct schema_control none = {0};
    int ret;

    if (raw == NULL)
        raw = &none;
    ret = copy_path(raw->socket == NULL ? SCHEMA_CONTROL_SOCKET : raw->socket, SCHEMA_SOCKET_MAX,
                    &cfg->control.socket, "control", "socket", error);
    if (ret == 0)
        ret = copy_path(raw->state_dir == NULL ? SCHEMA_STATE_DIR : raw->state_dir, SCHEMA_TEXT_MAX,
                        &cfg->control.state_dir, "control", "state_dir", error);
    if (ret == 0 && raw->socket_group != NULL)
        ret = copy(raw->socket_group, &cfg->control.socket_group, error);
    if (ret == 0)
        ret = take_metrics(raw, cfg, error);
    if (ret == 0)
        ret = take_dns(raw, cfg, error);
    return ret != 0 ? ret : streams_convert(raw->streams, &cfg->control.streams, error);
}

static int convert_head(const struct schema_file *raw, struct cfg *cfg, struct cfg_error *error)
{
    int ret = take_node(raw, cfg, error);

    if (ret == 0 && raw->node_address != NULL) {
        cfg->has_node_address = true;
        ret = convert_ip(raw->node_address, &cfg->node_address, "", "node_address", error);
    }
    if (ret == 0 && raw->node_address6 != NULL) {
        cfg->has_node_address6 = true;
        ret = convert_ip(raw->node_address6, &cfg->node_address6, "", "node_address6", error);
    }
    if (ret == 0)
        ret = cluster_convert(raw->cluster, cfg, error);
    if (ret == 0)
        ret = convert_duration(raw->token_lifetime == NULL ? SCHEMA_TOKEN_LIFETIME
                                                           : raw->token_lifetime,
                               SCHEMA_TOKEN_LIFETIME_MIN, SCHEMA_DURATION_MAX,
                               &cfg->token_lifetime_ms, "", "token_lifetime", error);
    if (ret == 0)
        ret = convert_duration(raw->linger == NULL ? SCHEMA_LINGER : raw->linger, SCHEMA_LINGER_MIN,
                               SCHEMA_DURATION_MAX, &cfg->linger_ms, "", "linger", error);
    if (ret == 0)
        ret = copy_path(raw->secret_file == NULL ? SCHEMA_SECRET_FILE : raw->secret_file,
                        SCHEMA_TEXT_MAX, &cfg->secret_file, "", "secret_file", error);
    return ret;
}

int convert_file(const struct schema_file *raw, const struct document *document, struct cfg *cfg,
                 struct cfg_error *ret_error)
{
    char base[BASE_MAX];
    int ret = convert_head(raw, cfg, ret_error);

    if (ret == 0)
        ret = convert_dataplane(raw->dataplane, document, &cfg->dataplane, ret_error);
    if (ret == 0)
        ret = convert_control(raw->control, cfg, ret_error);
    if (ret == 0 &&
        (!NEW_ARRAY(cfg->services, raw->n_services) || !NEW_ARRAY(cfg->pools, raw->n_pools)))
        ret = no_memory(ret_error);
    for (uint32_t i = 0; ret == 0 && i < raw->n_services; i++) {
        snprintf(base, sizeof(base), "services[%u]", i);
        cfg->n_services = i + 1;
        ret = convert_service(&raw->services[i], document, cfg->file, &cfg->services[i], base,
                              ret_error);
        if (ret == 0)
            ret = listen_stream_port(&raw->services[i], i, &cfg->services[i], base, ret_error);
    }
    for (uint32_t i = 0; ret == 0 && i < raw->n_pools; i++) {
        snprintf(base, sizeof(base), "pools[%u]", i);
        cfg->n_pools = i + 1;
        ret = convert_pool(&raw->pools[i], cfg->file, &cfg->pools[i], base, ret_error);
    }
    return ret;
}
