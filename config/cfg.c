/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a configuration: document, shape, libcyaml, conversion, checks, each of which refuses by
 * one cfg_error; and frees and compares what came of it.
 */
#include "config/cfg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/backend_tls.h"
#include "config/check.h"
#include "config/convert.h"
#include "config/document.h"
#include "config/health_convert.h"
#include "config/listen.h"
#include "config/schema.h"

/* What libcyaml said while it loaded: one message, then a backtrace from the inside out. */
struct backtrace {
    char message[256];
    char path[160]; /* of the value, as pools[0].name */
    bool innermost_seen;
    bool innermost_is_mapping; /* the message is about a mapping, not about its last field */
};

static void path_prepend(struct backtrace *trace, const char *part, size_t length)
{
    size_t old = strlen(trace->path);
    bool dot = old > 0 && trace->path[0] != '[';

    if (length + dot + old >= sizeof(trace->path))
        return; /* no path of the schema is so long */
    memmove(trace->path + length + dot, trace->path, old + 1);
    memcpy(trace->path, part, length);
    if (dot)
        trace->path[length] = '.';
}

/* "  in mapping field 'NAME' (line…", "  in sequence entry 'N' (line…" (from 1), "  in mapping (…"
 */
static void log_backtrace(struct backtrace *trace, const char *line)
{
    static const char field[] = "in mapping field '", entry[] = "in sequence entry '";
    bool innermost = !trace->innermost_seen;

    trace->innermost_seen = true;
    line += strspn(line, " ");
    if (strncmp(line, field, strlen(field)) == 0) {
        line += strlen(field);
        if (!innermost || !trace->innermost_is_mapping)
            path_prepend(trace, line, strcspn(line, "'"));
    } else if (strncmp(line, entry, strlen(entry)) == 0) {
        unsigned long number = strtoul(line + strlen(entry), NULL, 10);
        char index[24];

        if (number == 0) /* of a list that has too few */
            return;
        snprintf(index, sizeof(index), "[%lu]", number - 1);
        path_prepend(trace, index, strlen(index));
    }
}

static void on_log(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    static const char load[] = "Load: ", missing[] = "Missing required";
    struct backtrace *trace = context;
    char line[256];

    if (level < CYAML_LOG_ERROR)
        return;
    vsnprintf(line, sizeof(line), format, arguments);
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, load, strlen(load)) != 0) {
        log_backtrace(trace, line);
    } else if (trace->message[0] == '\0' && strcmp(line + strlen(load), "Backtrace:") != 0) {
        snprintf(trace->message, sizeof(trace->message), "%s", line + strlen(load));
        trace->innermost_is_mapping = strncmp(trace->message, missing, strlen(missing)) == 0;
    }
}

/* The path of the list that holds the item at the end of a path. */
static void path_leave_item(struct backtrace *trace)
{
    char *bracket = strrchr(trace->path, '[');

    if (bracket != NULL && trace->path[strlen(trace->path) - 1] == ']')
        *bracket = '\0';
}

/* Says in a person's words what libcyaml said in its own. */
static int refuse_by_trace(struct backtrace *trace, cyaml_err_t code, struct cfg_error *error)
{
    const char *message = trace->message, *colon = strchr(message, ':');
    unsigned limit;

    if (code == CYAML_ERR_OOM) {
        check_refuse(error, "", "", "out of memory");
        return -ENOMEM;
    }
    if (trace->innermost_is_mapping && colon != NULL)
        return check_refuse(error, trace->path, colon + 1 + strspn(colon + 1, " "),
                            "required, but missing");
    if (strncmp(message, "Expecting SEQUENCE", 18) == 0)
        return check_refuse(error, trace->path, "", "must be a list");
    if (strncmp(message, "Expecting MAPPING", 17) == 0)
        return check_refuse(error, trace->path, "", "must be a section of `KEY: VALUE`");
    if (strncmp(message, "Expecting ", 10) == 0)
        return check_refuse(error, trace->path, "", "must be a single value");
    if (code == CYAML_ERR_STRING_LENGTH_MIN)
        return check_refuse(error, trace->path, "", "has no value");
    if (sscanf(message, "STRING length > %u", &limit) == 1)
        return check_refuse(error, trace->path, "", "longer than %u bytes", limit);
    if (sscanf(message, "Insufficient entries (%*u of %u min)", &limit) == 1)
        return check_refuse(error, trace->path, "", "an empty list: at least %u wanted", limit);
    if (sscanf(message, "Excessive entries (%u max)", &limit) == 1) {
        path_leave_item(trace);
        return check_refuse(error, trace->path, "", "more than %u entries", limit);
    }
    return check_refuse(error, trace->path, "", "%s",
                        message[0] == '\0' ? cyaml_strerror(code) : message);
}

/* A raw tree from a document that passed document_check. */
static int load_raw(const struct document *document, const cyaml_config_t *cyaml,
                    const cyaml_schema_value_t *schema, struct schema_file **ret_raw,
                    struct cfg_error *error)
{
    struct backtrace trace = {.message = ""};
    cyaml_config_t with_log = *cyaml;
    cyaml_data_t *data = NULL;
    cyaml_err_t code;

    with_log.log_ctx = &trace;
    code = cyaml_load_data((const uint8_t *)document->text, document->length, &with_log, schema,
                           &data, NULL);
    if (code != CYAML_OK)
        return refuse_by_trace(&trace, code, error);
    if (data == NULL)
        return check_refuse(error, "", "", "the file is empty");
    *ret_raw = data;
    return 0;
}

/* Texts of a file may hold anything; an error is one line. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
    }
}

static int load(struct document *document, bool dataplane_only, struct cfg *cfg,
                struct cfg_error *error)
{
    cyaml_config_t cyaml = {
        .log_fn = on_log,
        .mem_fn = cyaml_mem,
        .log_level = CYAML_LOG_ERROR,
        .flags = CYAML_CFG_NO_ALIAS | (dataplane_only ? CYAML_CFG_IGNORE_UNKNOWN_KEYS : 0u),
    };
    const cyaml_schema_value_t *schema =
        dataplane_only ? &schema_dataplane_only_value : &schema_file_value;
    struct schema_file *raw = NULL;
    int ret = document_check(document, schema, dataplane_only, error);

    if (ret == 0)
        ret = load_raw(document, &cyaml, schema, &raw, error);
    if (ret != 0)
        return ret;
    ret = dataplane_only ? convert_dataplane(raw->dataplane, document, &cfg->dataplane, error)
                         : convert_file(raw, document, cfg, error);
    cyaml_free(&cyaml, schema, raw, 0);
    if (ret == 0)
        ret = check_dataplane(&cfg->dataplane, error);
    if (ret == 0 && !dataplane_only)
        ret = check_services(cfg, error);
    return ret;
}

static struct cfg *load_file(const char *file, bool dataplane_only, struct cfg_error *ret_error)
{
    struct cfg_error error = {.line = 0};
    struct document document;
    struct cfg *cfg = calloc(1, sizeof(*cfg));
    int ret;

    snprintf(error.file, sizeof(error.file), "%s", file);
    if (cfg == NULL || (cfg->file = strdup(file)) == NULL) {
        ret = check_refuse(&error, "", "", "out of memory");
    } else {
        ret = document_load(file, &document, &error);
        if (ret == 0) {
            ret = load(&document, dataplane_only, cfg, &error);
            if (ret != 0 && error.line == 0)
                error.line = document_line(&document, error.key);
            document_done(&document);
        }
    }
    if (ret == 0)
        return cfg;
    cfg_free(cfg);
    make_printable(error.file);
    make_printable(error.key);
    make_printable(error.reason);
    *ret_error = error;
    return NULL;
}

struct cfg *cfg_load(const char *file, struct cfg_error *ret_error)
{
    return load_file(file, false, ret_error);
}

struct cfg *cfg_load_dataplane(const char *file, struct cfg_error *ret_error)
{
    return load_file(file, true, ret_error);
}

uint32_t cfg_line(const char *file, const char *key)
{
    struct cfg_error error;
    struct document document;
    uint32_t line;

    if (document_load(file, &document, &error) != 0)
        return 0;
    line = document_line(&document, key);
    document_done(&document);
    return line;
}

static void free_texts(char **texts, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        free(texts[i]);
    free(texts);
}

static void free_dataplane(struct cfg_dataplane *dataplane)
{
    for (uint32_t i = 0; i < dataplane->n_ports; i++) {
        struct cfg_port *port = &dataplane->ports[i];

        free(port->name);
        free(port->device);
        free(port->tap);
        free(port->addresses);
        free(port->gateways);
    }
    free(dataplane->ports);
    free(dataplane->workers);
    free(dataplane->socket);
    free(dataplane->user);
    free(dataplane->control_user);
}

static void free_pool(struct cfg_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_backends; i++) {
        free(pool->backends[i].name);
        free(pool->backends[i].lookup);
        free(pool->backends[i].ports);
    }
    free(pool->backends);
    backend_tls_done(&pool->tls);
    health_done(&pool->health);
    free(pool->key_header);
    free(pool->name);
}

static void free_service(struct cfg_service *service)
{
    for (uint32_t i = 0; i < service->n_matches; i++) {
        free(service->matches[i].domain);
        free(service->matches[i].prefix);
        free(service->matches[i].pool);
    }
    free(service->matches);
    free(service->sources);
    free(service->name);
    free(service->pool);
    for (uint32_t i = 0; i < service->n_listen; i++)
        listen_done(&service->listen[i]);
    free(service->listen);
    free_texts(service->domains, service->n_domains);
    free_texts(service->proxy_require, service->n_proxy_require);
}

void cfg_free(struct cfg *cfg)
{
    if (cfg == NULL)
        return;
    free_dataplane(&cfg->dataplane);
    for (uint32_t i = 0; i < cfg->n_services; i++)
        free_service(&cfg->services[i]);
    free(cfg->services);
    for (uint32_t i = 0; i < cfg->n_pools; i++)
        free_pool(&cfg->pools[i]);
    free(cfg->pools);
    for (uint32_t i = 0; i < cfg->n_nodes; i++)
        free(cfg->nodes[i].name);
    free(cfg->nodes);
    free(cfg->control.socket);
    free(cfg->control.socket_group);
    free(cfg->control.state_dir);
    free(cfg->control.dns);
    free(cfg->secret_file);
    free(cfg->node);
    free(cfg->file);
    free(cfg);
}

const struct sip_ip *cfg_node_ip(const struct cfg *cfg, bool v4)
{
    if (cfg->has_node_address && sip_ip_is_v4(&cfg->node_address) == v4)
        return &cfg->node_address;
    return cfg->has_node_address6 && !v4 ? &cfg->node_address6 : NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_prefixes(const struct cfg_port *a, const struct cfg_port *b)
{
    bool same = a->n_addresses == b->n_addresses;

    for (uint32_t i = 0; same && i < a->n_addresses; i++)
        same = a->addresses[i].length == b->addresses[i].length &&
               sip_ip_equal(&a->addresses[i].ip, &b->addresses[i].ip);
    return same;
}

static bool same_gateways(const struct cfg_port *a, const struct cfg_port *b)
{
    bool same = a->n_gateways == b->n_gateways;

    for (uint32_t i = 0; same && i < a->n_gateways; i++)
        same = sip_ip_equal(&a->gateways[i], &b->gateways[i]);
    return same;
}

/* The first key of a port that differs, or NULL. */
static const char *port_difference(const struct cfg_port *a, const struct cfg_port *b)
{
    if (!same_text(a->name, b->name))
        return "name";
    if (a->driver != b->driver)
        return "driver";
    if (!same_text(a->device, b->device))
        return "device";
    if (!same_text(a->tap, b->tap))
        return "tap";
    if (a->zone != b->zone)
        return "zone";
    if (a->frame_size != b->frame_size)
        return "frame_size";
    if (!same_prefixes(a, b))
        return "addresses";
    return same_gateways(a, b) ? NULL : "gateway";
}

static const char *dataplane_difference(const struct cfg_dataplane *a,
                                        const struct cfg_dataplane *b)
{
    if (a->n_workers != b->n_workers ||
        memcmp(a->workers, b->workers, a->n_workers * sizeof(*a->workers)) != 0)
        return "workers";
    if (a->memory_bytes != b->memory_bytes)
        return "memory";
    if (a->hugepages != b->hugepages)
        return "hugepages";
    if (a->idle != b->idle)
        return "idle";
    if (a->call_table != b->call_table)
        return "call_table";
    if (!same_text(a->socket, b->socket))
        return "socket";
    if (!same_text(a->user, b->user))
        return "user";
    if (!same_text(a->control_user, b->control_user))
        return "control_user";
    return a->n_ports == b->n_ports ? NULL : "ports";
}

bool cfg_same_dataplane(const struct cfg *a, const struct cfg *b, char *ret_key)
{
    enum { KEY_SIZE = 160 };
    const char *key = dataplane_difference(&a->dataplane, &b->dataplane);

    if (key != NULL) {
        snprintf(ret_key, KEY_SIZE, "dataplane.%s", key);
        return false;
    }
    for (uint32_t i = 0; i < a->dataplane.n_ports; i++) {
        key = port_difference(&a->dataplane.ports[i], &b->dataplane.ports[i]);
        if (key == NULL)
            continue;
        snprintf(ret_key, KEY_SIZE, "dataplane.ports[%u].%s", i, key);
        return false;
    }
    return true;
}

void cfg_error_print(const struct cfg_error *error, char *ret_text, uint32_t size)
{
    char line[16] = "";

    if (error->line != 0)
        snprintf(line, sizeof(line), "%u:", error->line);
    snprintf(ret_text, size, "%s:%s %s%s%s", error->file, line, error->key,
             error->key[0] == '\0' ? "" : ": ", error->reason);
}
