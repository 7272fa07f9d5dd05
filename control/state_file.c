/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state as one JSON file: written whole and atomically, every value checked when it is read.
 */
#include "control/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/durable.h"

enum { FILE_VERSION = 1, WEIGHT_MAX = 1000, REASON_BYTES = 200 };

/* 64-bit numbers travel as texts: JSON's numbers end at 2^53, jansson's at 2^63. */
static json_t *u64_json(uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return json_string(text);
}

static int u64_value(const json_t *value, uint64_t *ret)
{
    const char *text = json_string_value(value);

    if (text == NULL)
        return -EBADMSG;
    return sip_slice_number(sip_slice_of(text), UINT64_MAX, ret) == 0 ? 0 : -EBADMSG;
}

static int u64_read(const json_t *object, const char *key, uint64_t *ret)
{
    return u64_value(json_object_get(object, key), ret);
}

static void base_set(json_t *object, const struct state_backend *b)
{
    json_t *base = json_array();

    for (int what = 0; what < COUNTERS_SLOT_COUNT; what++)
        json_array_append_new(base, u64_json(b->base[what]));
    json_object_set_new(object, "base_epoch", u64_json(b->base_epoch));
    json_object_set_new(object, "base", base);
}

static json_t *backend_json(const struct state_backend *b)
{
    char address[SIP_IP_TEXT_MAX + 1];
    json_t *ports = json_array();
    json_t *object;

    address[sip_ip_print(&b->backend.addr.ip, address)] = '\0';
    for (uint32_t i = 0; i < b->backend.n_ports; i++)
        json_array_append_new(ports, json_integer(b->backend.ports[i]));
    object =
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:o, s:s}", "pool", b->pool, "name", b->backend.name,
                  "address", address, "port", (int)b->backend.addr.port, "weight",
                  (int)b->backend.weight, "ports", ports, "admin", state_word(b->admin));
    if (object == NULL)
        return NULL;
    if (b->backend.transport != SIP_TRANSPORT_UDP)
        json_object_set_new(object, "transport",
                            json_string(b->backend.transport == SIP_TRANSPORT_TLS ? "tls" : "tcp"));
    if (b->backend.lookup != NULL)
        json_object_set_new(object, "lookup", json_string(b->backend.lookup));
    if (b->weight != STATE_WEIGHT_CONFIGURED)
        json_object_set_new(object, "admin_weight", json_integer(b->weight));
    if (b->lingering) {
        json_object_set_new(object, "left_s", u64_json(b->left_s));
        json_object_set_new(object, "epoch", u64_json(b->epoch));
    }
    if (b->base_epoch != 0)
        base_set(object, b);
    return object;
}

/* The whole file as text for free(); NULL: no memory (or a name that is no UTF-8). */
static char *state_text(const struct state *state)
{
    json_t *backends = json_array();
    json_t *root;
    char *text;

    for (uint32_t i = 0; i < state->n_backends; i++) {
        if (json_array_append_new(backends, backend_json(&state->backends[i])) != 0) {
            json_decref(backends);
            return NULL;
        }
    }
    root = json_pack("{s:i, s:o, s:o, s:o}", "version", FILE_VERSION, "generation",
                     u64_json(state->generation), "epoch", u64_json(state->epoch), "backends",
                     backends);
    if (state->node_draining)
        json_object_set_new(root, "node_draining", json_true());
    text = root == NULL ? NULL : json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    return text;
}

int state_prepare(const struct state *state, const char *file)
{
    char *text = state_text(state);
    int status;

    if (text == NULL)
        return -ENOMEM;
    status = durable_prepare(file, text, strlen(text));
    free(text);
    return status;
}

int state_commit(const char *file)
{
    return durable_commit(file);
}

void state_abandon(const char *file)
{
    durable_abandon(file);
}

int state_save(const struct state *state, const char *file)
{
    int status = state_prepare(state, file);

    return status != 0 ? status : state_commit(file);
}

/* A number in [0, max] of an object; -EBADMSG otherwise. */
static int number_read(const json_t *object, const char *key, json_int_t max, uint32_t *ret)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max)
        return -EBADMSG;
    *ret = (uint32_t)json_integer_value(value);
    return 0;
}

/* A version with fewer counters wrote fewer numbers: those missing are 0. */
static int base_read(struct state_backend *b, const json_t *object)
{
    const json_t *base = json_object_get(object, "base");
    size_t n = json_array_size(base);

    if (!json_is_array(base) || u64_read(object, "base_epoch", &b->base_epoch) != 0)
        return -EBADMSG;
    for (size_t what = 0; what < n && what < COUNTERS_SLOT_COUNT; what++) {
        if (u64_value(json_array_get(base, what), &b->base[what]) != 0)
            return -EBADMSG;
    }
    return 0;
}

static int ports_read(struct state_backend *b, const json_t *ports)
{
    size_t n = json_array_size(ports);

    if (!json_is_array(ports) || n > LB_PORTS_MAX)
        return -EBADMSG;
    b->backend.ports = calloc(n + 1, sizeof(*b->backend.ports));
    if (b->backend.ports == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        json_int_t port = json_integer_value(json_array_get(ports, i));

        if (port < 1 || port > UINT16_MAX)
            return -EBADMSG;
        b->backend.ports[b->backend.n_ports++] = (uint16_t)port;
    }
    return 0;
}

/* What the configuration had said of a backend. */
static int configured_read(struct state_backend *b, const json_t *object)
{
    const char *pool = json_string_value(json_object_get(object, "pool"));
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *address = json_string_value(json_object_get(object, "address"));
    const char *lookup = json_string_value(json_object_get(object, "lookup"));
    const char *transport = json_string_value(json_object_get(object, "transport"));
    uint32_t port;

    if (pool == NULL || name == NULL || address == NULL || *pool == '\0' || *name == '\0')
        return -EBADMSG;
    if (number_read(object, "port", UINT16_MAX, &port) != 0 ||
        number_read(object, "weight", WEIGHT_MAX, &b->backend.weight) != 0 ||
        sip_ip_parse(sip_slice_of(address), &b->backend.addr.ip) != 0)
        return -EBADMSG;
    b->backend.addr.port = (uint16_t)port;
    if (transport == NULL)
        b->backend.transport = SIP_TRANSPORT_UDP;
    else if (strcmp(transport, "tcp") == 0)
        b->backend.transport = SIP_TRANSPORT_TCP;
    else if (strcmp(transport, "tls") == 0)
        b->backend.transport = SIP_TRANSPORT_TLS;
    else
        return -EBADMSG;
    if (lookup == NULL)
        b->id = snapshot_backend_id(sip_slice_of(pool), sip_slice_of(name));
    b->pool = strdup(pool);
    b->backend.name = strdup(name);
    b->backend.lookup = lookup == NULL ? NULL : strdup(lookup);
    if (b->pool == NULL || b->backend.name == NULL ||
        (lookup != NULL && b->backend.lookup == NULL))
        return -ENOMEM;
    return ports_read(b, json_object_get(object, "ports"));
}

/* What the operator said of it, and whether it lingers. */
static int word_read(struct state_backend *b, const json_t *object)
{
    const char *admin = json_string_value(json_object_get(object, "admin"));
    int word = admin == NULL ? -1 : state_word_parse(admin);

    if (word != LB_UP && word != LB_DRAINING && word != LB_DISABLED)
        return -EBADMSG;
    b->admin = (uint8_t)word;
    b->weight = STATE_WEIGHT_CONFIGURED;
    if (json_object_get(object, "admin_weight") != NULL &&
        number_read(object, "admin_weight", WEIGHT_MAX, &b->weight) != 0)
        return -EBADMSG;
    if (json_object_get(object, "base_epoch") != NULL && base_read(b, object) != 0)
        return -EBADMSG;
    b->lingering = json_object_get(object, "left_s") != NULL;
    if (!b->lingering)
        return 0;
    if (u64_read(object, "left_s", &b->left_s) != 0 || u64_read(object, "epoch", &b->epoch) != 0)
        return -EBADMSG;
    return 0;
}

/* Fills a state from the parsed file; *ret_bad is the index of the backend that was at fault. */
static int root_read(struct state *state, const json_t *root, size_t *ret_bad)
{
    const json_t *backends = json_object_get(root, "backends");
    const json_t *draining = json_object_get(root, "node_draining");
    size_t n = json_array_size(backends);

    *ret_bad = SIZE_MAX;
    if (json_integer_value(json_object_get(root, "version")) != FILE_VERSION ||
        !json_is_array(backends) || u64_read(root, "generation", &state->generation) != 0 ||
        u64_read(root, "epoch", &state->epoch) != 0 ||
        (draining != NULL && !json_is_boolean(draining)))
        return -EBADMSG;
    state->node_draining = json_is_true(draining);
    state->backends = calloc(n + 1, sizeof(*state->backends));
    if (state->backends == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct state_backend *b = &state->backends[state->n_backends++];
        int status = configured_read(b, json_array_get(backends, i));

        if (status == 0)
            status = word_read(b, json_array_get(backends, i));
        if (status != 0) {
            *ret_bad = i;
            return status;
        }
    }
    return 0;
}

/* The file's whole text for free(), NUL-terminated. */
static int text_read(const char *file, char **ret_text, size_t *ret_length)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    int status = 0;
    struct stat st;
    char *text = NULL;
    ssize_t n;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0)
        status = -errno;
    else if (st.st_size > STATE_FILE_MAX || !S_ISREG(st.st_mode))
        status = -EFBIG;
    else if ((text = malloc((size_t)st.st_size + 1)) == NULL)
        status = -ENOMEM;
    if (status == 0) {
        n = read(fd, text, (size_t)st.st_size);
        if (n < 0)
            status = -errno;
        else
            *ret_length = (size_t)n;
    }
    close(fd);
    if (status != 0) {
        free(text);
        return status;
    }
    *ret_text = text;
    return 0;
}

int state_load(const char *file, struct state **ret_state, char *ret_reason)
{
    struct state *state = state_new();
    json_error_t error;
    json_t *root;
    size_t length = 0, bad;
    char *text = NULL;
    int status;

    if (state == NULL)
        return -ENOMEM;
    status = text_read(file, &text, &length);
    if (status == -ENOENT) {
        *ret_state = state;
        return 0;
    }
    if (status != 0)
        goto out;
    root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (root == NULL) {
        snprintf(ret_reason, REASON_BYTES, "line %d: %.150s", error.line, error.text);
        status = -EBADMSG;
        goto out;
    }
    status = root_read(state, root, &bad);
    json_decref(root);
    if (status == -EBADMSG && bad == SIZE_MAX)
        snprintf(ret_reason, REASON_BYTES, "no version %d, generation, epoch or backends",
                 FILE_VERSION);
    else if (status == -EBADMSG)
        snprintf(ret_reason, REASON_BYTES, "backends[%zu] is malformed", bad);
out:
    if (status != 0) {
        state_free(state);
        return status;
    }
    *ret_state = state;
    return 0;
}

int state_lock(const char *directory)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s/lock", directory) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return -errno;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int status = -errno;

        close(fd);
        return status;
    }
    return fd;
}
