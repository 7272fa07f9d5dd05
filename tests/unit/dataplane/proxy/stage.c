/* SPDX-License-Identifier: Apache-2.0 */
/* The stage: snapshot, call table, templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/compile.h"
#include "tests/unit/dataplane/proxy/stage.h"

static struct sip_addr address(const char *text)
{
    const char *colon = strrchr(text, ':');
    struct sip_addr addr;

    memset(&addr, 0, sizeof(addr));
    assert_non_null(colon);
    assert_int_equal(sip_ip_parse(sip_slice(text, (uint32_t)(colon - text)), &addr.ip), 0);
    addr.port = (uint16_t)atoi(colon + 1);
    return addr;
}

static void add_backend(struct cfg_pool *pool, char *name, const char *addr)
{
    struct cfg_backend *b = &pool->backends[pool->n_backends++];

    *b = (struct cfg_backend){.name = name,
                              .addr = address(addr),
                              .transport = SIP_TRANSPORT_UDP,
                              .weight = 100};
}

static void fill_secret(struct compile_secret *secret, const struct stage_conf *conf)
{
    memset(secret, 0, sizeof(*secret));
    secret->seed = (struct lb_key){0x0123456789abcdef, 0xfedcba9876543210};
    for (uint8_t i = 0; i < 2; i++) {
        /* Ids 2 (first to sign) and 3 (next, then current). */
        int place = i == 0 ? (conf->current_mac ? SNAPSHOT_MAC_PREVIOUS : SNAPSHOT_MAC_CURRENT)
                           : (conf->current_mac ? SNAPSHOT_MAC_CURRENT : SNAPSHOT_MAC_NEXT);

        secret->mac[place].id = (uint8_t)(2 + i);
        secret->mac[place].valid = 1;
        secret->mac[place].key = (struct lb_key){77u + i, 99u * (i + 1u)};
    }
}

enum { SERVICES = 4, POOLS = 6 };

static struct cfg_listener udp(const char *text)
{
    return (struct cfg_listener){.transport = SIP_TRANSPORT_UDP, .addr = address(text)};
}

static void fill_direct(struct cfg_service services[2], const struct stage_conf *conf)
{
    static struct cfg_listener near[1], far[1];

    near[0] = udp("192.0.2.30:5060");
    far[0] = udp("192.0.2.40:5060");
    services[0] = (struct cfg_service){.name = "near", .pool = "near", .listen = near};
    services[1] = (struct cfg_service){.name = "far", .pool = "far", .listen = far};
    services[0].sources = conf->near_sources;
    services[0].n_sources = conf->n_near_sources;
    services[1].tunnel = true;
    for (int i = 0; i < 2; i++) {
        services[i].n_listen = 1;
        services[i].mode = SNAPSHOT_MODE_DIRECT;
    }
}

static const struct {
    enum sip_transport transport;
    const char *at;
} stream_listeners[] = {
    {SIP_TRANSPORT_TCP, "192.0.2.10:5060"},       {SIP_TRANSPORT_TLS, "192.0.2.10:5061"},
    {SIP_TRANSPORT_WS, "192.0.2.10:80"},          {SIP_TRANSPORT_WSS, "192.0.2.10:443"},
    {SIP_TRANSPORT_TLS, "[2001:db8:5::10]:5061"},
};

enum { LISTENERS = 3 + sizeof(stream_listeners) / sizeof(stream_listeners[0]) };

static void fill_services(struct cfg_service services[SERVICES], const struct stage_conf *conf)
{
    static struct cfg_listener listen[LISTENERS], other_listen[1];
    static char *domains[] = {"example.net"}, *allowed[] = {"privacy"};

    listen[0] = udp("192.0.2.10:5060");
    listen[1] = udp("192.0.2.10:5070");
    listen[2] = udp("[2001:db8:5::10]:5060");
    for (int i = 3; i < LISTENERS; i++)
        listen[i] = (struct cfg_listener){.transport = stream_listeners[i - 3].transport,
                                          .addr = address(stream_listeners[i - 3].at)};
    other_listen[0] = udp("192.0.2.20:5060");
    services[0] = (struct cfg_service){.name = "calls", .pool = "proxies", .listen = listen};
    services[0].n_listen = conf->streams ? LISTENERS : 3;
    services[0].stream_port = conf->streams ? 5070 : 0;
    services[0].record_route = !conf->no_record_route;
    services[0].path = (uint8_t)conf->path;
    services[0].nat = (uint8_t)conf->nat;
    services[0].domains = domains;
    services[0].n_domains = 1;
    services[0].sources = conf->sources;
    services[0].n_sources = conf->n_sources;
    services[0].matches = conf->matches;
    services[0].n_matches = conf->n_matches;
    services[1] = (struct cfg_service){.name = "other", .pool = "others", .listen = other_listen};
    services[1].n_listen = 1;
    for (int i = 0; i < 2; i++) {
        services[i].proxy_require = allowed;
        services[i].n_proxy_require = 1;
    }
    fill_direct(services + 2, conf);
}

static void fill_pools(struct cfg_pool pools[POOLS], const struct stage_conf *conf)
{
    static struct cfg_backend proxies[STAGE_BACKENDS_MAX], others[1], trunks[STAGE_TRUNKS];
    static struct cfg_backend tenant[1], near[STAGE_NEAR], far[1];
    static uint16_t other_ports[] = {5080};

    pools[0] = (struct cfg_pool){.name = "proxies", .share = conf->share, .backends = proxies};
    pools[0].key_header = (char *)conf->key_header;
    pools[1] = (struct cfg_pool){.name = "others", .backends = others};
    pools[2] = (struct cfg_pool){.name = "trunks", .share = conf->trunk_share, .backends = trunks};
    pools[3] = (struct cfg_pool){.name = "tenant", .backends = tenant};
    pools[4] = (struct cfg_pool){.name = "near", .share = conf->near_share, .backends = near};
    pools[5] = (struct cfg_pool){.name = "far", .backends = far};
    for (int i = 0; i < SIP_METHOD_COUNT; i++)
        pools[0].keys[i] = (uint8_t)conf->key;
    add_backend(&pools[0], "kam1", "10.0.0.11:5060");
    add_backend(&pools[0], "kam2", "10.0.0.12:5060");
    add_backend(&pools[0], "kam3", "10.0.0.13:5060");
    add_backend(&pools[0], "kam6", "[fd00::14]:5060");
    proxies[0].ports = other_ports;
    proxies[0].n_ports = 1;
    proxies[3].weight = conf->with_v6 ? 100 : 0;
    add_backend(&pools[1], "pbx", "10.0.9.1:5060");
    add_backend(&pools[2], "gw1", "10.0.1.1:5060");
    add_backend(&pools[2], "gw2", "10.0.1.2:5060");
    add_backend(&pools[3], "box", "10.0.2.1:5060");
    add_backend(&pools[4], "near1", "10.0.3.1:5060");
    add_backend(&pools[4], "near2", "10.0.3.2:5070");
    add_backend(&pools[5], "far1", conf->with_v6 ? "[fd00::44]:5060" : "10.0.4.1:5060");
}

enum { STATES = STAGE_BACKENDS_MAX + STAGE_TRUNKS + STAGE_NEAR };

/* What the operator says and what is observed. */
struct words {
    struct compile_state said[STATES];
    struct compile_health seen[STATES];
    uint32_t n;
};

static void add_words(struct words *words, const struct cfg_pool *pool, uint32_t backend,
                      uint8_t admin, uint8_t health)
{
    uint32_t id =
        snapshot_backend_id(sip_slice_of(pool->name), sip_slice_of(pool->backends[backend].name));

    words->said[words->n] = (struct compile_state){id, admin, UINT32_MAX};
    words->seen[words->n++] = (struct compile_health){id, health, 1000};
}

static void fill_words(struct words *words, const struct cfg_pool *pools,
                       const struct stage_conf *conf)
{
    words->n = 0;
    for (uint32_t i = 0; i < STAGE_BACKENDS_MAX; i++)
        add_words(words, &pools[0], i, conf->admin[i], conf->health[i]);
    for (uint32_t i = 0; i < STAGE_TRUNKS; i++)
        add_words(words, &pools[2], i, LB_UP, conf->trunk_health[i]);
    for (uint32_t i = 0; i < STAGE_NEAR; i++)
        add_words(words, &pools[4], i, conf->near_admin[i], conf->near_health[i]);
    qsort(words->said, words->n, sizeof(words->said[0]), compile_by_id);
    qsort(words->seen, words->n, sizeof(words->seen[0]), compile_by_id);
}

static void fill_nodes(struct cfg *cfg, const struct stage_conf *conf)
{
    static struct cfg_node nodes[2];
    static char first[] = "lb1", second[] = "lb2", third[] = "lb3";
    struct sip_ip at_first[] = {address("10.0.0.1:1").ip, address("[fd00::1]:1").ip};
    struct sip_ip at_second[] = {address("10.0.0.77:1").ip, address("[fd00::77]:1").ip};
    const struct sip_ip *own = conf->second ? at_second : at_first;

    cfg->node = conf->second ? second : first;
    cfg->has_node_address = true;
    cfg->node_address = own[0];
    cfg->has_node_address6 = true;
    cfg->node_address6 = own[1];
    nodes[0] = (struct cfg_node){.name = conf->second ? first : second, .n_addresses = 2};
    memcpy(nodes[0].addresses, conf->second ? at_first : at_second, sizeof(at_first));
    nodes[1] = (struct cfg_node){.name = third, .n_addresses = 1};
    nodes[1].addresses[0] = address("10.0.0.78:1").ip;
    cfg->nodes = nodes;
    cfg->n_nodes = conf->cluster ? 2 : 0;
}

static struct snapshot *compile(const struct stage_conf *conf)
{
    struct compile_live live = {0};
    struct words words;
    struct cfg_service services[SERVICES];
    struct cfg_pool pools[POOLS];
    struct compile_secret secret;
    struct cfg cfg = {.file = "stage", .services = services, .pools = pools};
    struct compile_input input = {.cfg = &cfg, .secret = &secret};
    struct snapshot *snapshot = NULL;
    const char *reason = "";

    fill_services(services, conf);
    fill_pools(pools, conf);
    fill_secret(&secret, conf);
    cfg.n_services = SERVICES;
    cfg.n_pools = POOLS;
    input.generation = 1;
    if (conf->live != NULL)
        live = *conf->live;
    fill_words(&words, pools, conf);
    input.states = words.said;
    input.n_states = words.n;
    live.health = words.seen;
    live.n_health = words.n;
    input.live = &live;
    fill_nodes(&cfg, conf);
    input.node_draining = conf->node_draining;
    assert_int_equal(compile_snapshot(&input, &snapshot), 0);
    if (snapshot_check(snapshot, snapshot->size, &reason) != 0)
        fail_msg("snapshot_check: %s", reason);
    return snapshot;
}

void stage_reload(struct stage *stage, const struct stage_conf *conf)
{
    free(stage->snapshot);
    stage->snapshot = compile(conf);
    for (uint32_t i = 0; i < STAGE_SLOTS; i++)
        stage->backend_of[i] = LB_NO_BACKEND;
    for (uint32_t i = 0; i < stage->snapshot->backends.n; i++) {
        stage->slot_of[i] = (uint16_t)(i + 3);
        stage->backend_of[i + 3] = (int32_t)i;
    }
    stage->view =
        (struct proxy_view){stage->snapshot, stage->slot_of, stage->backend_of, STAGE_SLOTS, false};
}

struct stage *stage_new(const struct stage_conf *conf)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    size_t bytes = lb_call_table_bytes(STAGE_CALLS);
    void *memory = aligned_alloc(128, bytes);

    assert_non_null(stage);
    assert_non_null(memory);
    memset(memory, 0, bytes);
    stage->calls = lb_call_table_init(memory, STAGE_CALLS);
    stage->counts = (struct lb_call_counts){
        {stage->started, stage->registered}, {stage->ended, stage->unregistered}, STAGE_SLOTS};
    stage->now_s = 1000;
    stage_reload(stage, conf);
    return stage;
}

void stage_free(struct stage *stage)
{
    if (stage == NULL)
        return;
    free(stage->calls);
    free(stage->snapshot);
    free(stage);
}

/* ---- templates ---- */

const char *stage_get(const struct stage *stage, const char *name)
{
    for (uint32_t i = 0; i < stage->n_variables; i++) {
        if (strcmp(stage->variables[i].name, name) == 0)
            return stage->variables[i].value;
    }
    return NULL;
}

void stage_set(struct stage *stage, const char *name, const char *value)
{
    uint32_t i = 0;

    while (i < stage->n_variables && strcmp(stage->variables[i].name, name) != 0)
        i++;
    assert_true(i < STAGE_VARIABLES_MAX);
    if (i == stage->n_variables)
        stage->n_variables++;
    snprintf(stage->variables[i].name, sizeof(stage->variables[i].name), "%s", name);
    snprintf(stage->variables[i].value, sizeof(stage->variables[i].value), "%s", value);
}

/* At "$(": the name, and the template moved past ')'. */
static const char *take_name(const char **template, char name[16])
{
    const char *end = strchr(*template, ')');

    assert_non_null(end);
    snprintf(name, 16, "%.*s", (int)(end - *template - 2), *template + 2);
    *template = end + 1;
    return name;
}

static uint32_t expand(const struct stage *stage, const char *template, char *out)
{
    uint32_t length = 0;
    char name[16];

    while (*template != '\0') {
        if (template[0] == '$' && template[1] == '(') {
            const char *value = stage_get(stage, take_name(&template, name));

            if (value == NULL)
                fail_msg("no variable $(%s)", name);
            length += (uint32_t)sprintf(out + length, "%s", value);
        } else {
            if (*template == '\n')
                out[length++] = '\r';
            out[length++] = *template ++;
        }
    }
    return length;
}

static bool is_value(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

static bool match_variable(struct stage *stage, const char **template, const char **text,
                           const char *end)
{
    const char *start = *text, *known;
    char name[16], value[512];

    take_name(template, name);
    known = stage_get(stage, name);
    if (known != NULL) {
        size_t length = strlen(known);

        *text += length;
        return (size_t)(end - start) >= length && memcmp(start, known, length) == 0;
    }
    while (*text < end && is_value(**text))
        ++*text;
    snprintf(value, sizeof(value), "%.*s", (int)(*text - start), start);
    stage_set(stage, name, value);
    return *text > start;
}

bool stage_match(struct stage *stage, const char *template, const char *text, uint32_t length)
{
    const char *at = text, *end = text + length, *whole = template;
    bool same = true;

    while (same && *template != '\0') {
        const char *before = template;

        if (template[0] == '$' && template[1] == '(') {
            same = match_variable(stage, &template, &at, end);
        } else if (*template == '\n') {
            same = end - at >= 2 && at[0] == '\r' && at[1] == '\n';
            at += 2;
            template ++;
        } else {
            same = at < end && *at == *template;
            at++;
            template ++;
        }
        if (!same)
            template = before;
    }
    if (same && at == end)
        return true;
    print_error("does not match from [%.30s] on\n--- expected\n%s\n--- is\n%.*s\n---\n", template,
                whole, (int)length, text);
    return false;
}

/* ---- messages ---- */

/* "tls/203.0.113.5:40000#7@lb1" */
static void read_peer(const struct stage *stage, const char *text, struct proxy_flow *ret)
{
    const char *slash = strchr(text, '/'), *hash = strchr(text, '#'), *node = strchr(text, '@');

    ret->transport = SIP_TRANSPORT_UDP;
    if (slash != NULL) {
        ret->transport = sip_transport_parse(sip_slice(text, (uint32_t)(slash - text)));
        text = slash + 1;
    }
    ret->peer = address(text);
    if (hash == NULL)
        return;
    ret->connection = strtoull(hash + 1, NULL, 10);
    ret->node = node == NULL ? stage->snapshot->node_id : snapshot_node_id(sip_slice_of(node + 1));
}

void stage_decide(struct stage *stage, const char *from, const char *at, const char *bytes,
                  size_t length)
{
    struct proxy_input *input = &stage->input;
    bool believed = *from != '!';
    int32_t listener;

    if (!believed)
        from++;
    memset(input, 0, sizeof(*input));
    memmove(stage->in, bytes, length);
    stage->in_length = (uint32_t)length;
    sip_msg_index(stage->in, length, &stage->msg);
    input->msg = &stage->msg;
    read_peer(stage, from, &input->from);
    input->from.local = address(at);
    listener = snapshot_find_listener(stage->snapshot, input->from.transport, &input->from.local);
    assert_true(listener >= 0);
    stage->view.has_streams =
        stage->punted ||
        snapshot_listeners(stage->snapshot)[listener].plane == SNAPSHOT_PLANE_CONTROL;
    input->listener = (uint32_t)listener;
    if (strncmp(from, "tcp/", 4) == 0)
        from += 4;
    input->inside = believed && (strncmp(from, "10.", 3) == 0 || strncmp(from, "[fd00:", 6) == 0);
    input->now_s = stage->now_s;
    input->calls = stage->calls;
    input->counts = &stage->counts;
    memset(&stage->output, 0xa5, sizeof(stage->output)); /* all must be filled */
    proxy_decide(&stage->view, input, &stage->output);
    stage->out_length = 0;
}

void stage_send(struct stage *stage, const char *from, const char *at, const char *in)
{
    static char text[STAGE_TEXT];
    int32_t length = (int32_t)expand(stage, in, text);

    stage_decide(stage, from, at, text, (size_t)length);
    length = 0;
    if (stage->output.verdict == PROXY_FORWARD)
        length = sip_edit_copy(&stage->output.edit, stage->in, stage->msg.length, stage->out,
                               sizeof(stage->out));
    else if (stage->output.verdict == PROXY_REPLY)
        length = proxy_reply_print(&stage->view, &stage->input, &stage->output, stage->out,
                                   sizeof(stage->out));
    assert_true(length >= 0);
    stage->out_length = (uint32_t)length;
}

static void print_flow(const struct proxy_flow *flow, char text[128])
{
    uint32_t length = 0;

    if (flow->transport != SIP_TRANSPORT_UDP) {
        length = (uint32_t)sprintf(text, "%s/", sip_transport_name(flow->transport));
        for (uint32_t i = 0; i < length; i++)
            text[i] = (char)tolower((unsigned char)text[i]);
    }
    length += sip_addr_print(&flow->peer, text + length);
    if (flow->transport != SIP_TRANSPORT_UDP)
        length += (uint32_t)sprintf(text + length, "#%" PRIu64, flow->connection);
    length += (uint32_t)sprintf(text + length, " from ");
    length += sip_addr_print(&flow->local, text + length);
    text[length] = '\0';
}

static bool play_step(struct stage *stage, const struct step *step)
{
    const struct proxy_output *output = &stage->output;
    char from[128], at[128], to[128];

    from[expand(stage, step->from, from)] = '\0';
    at[expand(stage, step->at, at)] = '\0';
    stage_send(stage, from, at, step->in);
    if (output->verdict == PROXY_FORWARD || output->verdict == PROXY_REPLY) {
        print_flow(&output->to, to);
        if (output->reason != step->reason) {
            print_error("reason is %s, not %s\n", proxy_reason_name(output->reason),
                        proxy_reason_name(step->reason));
            return false;
        }
    } else {
        snprintf(to, sizeof(to), "%s", proxy_reason_name(output->reason));
    }
    if (!stage_match(stage, step->to, to, (uint32_t)strlen(to)))
        return false;
    if (step->rule != PROXY_RULE_NONE && output->rule != step->rule) {
        print_error("chosen by %s, not by %s\n", proxy_rule_name(output->rule),
                    proxy_rule_name(step->rule));
        return false;
    }
    return step->out == NULL || stage_match(stage, step->out, stage->out, stage->out_length);
}

void stage_play(struct stage *stage, const struct step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!play_step(stage, &steps[i]))
            fail_msg("step %zu: %s", i, steps[i].name);
    }
}
