/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes tell each other: see cluster.h.
 */
#include "control/stream/cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/proxy/cluster.h"

/* Where a word goes: to a node's address, from where that one expects us. */
struct way {
    struct sip_addr local, peer;
};

/* The first such address of a node (0: whichever is there) behind `after` (NULL: any). NULL: none.
 */
static const struct snapshot_node *next_way(const struct snapshot *s, uint32_t service,
                                            uint32_t node, const struct snapshot_node *after,
                                            struct way *ret)
{
    const struct snapshot_node *nodes = snapshot_nodes(s);
    const struct snapshot_listener *own;

    for (uint32_t i = after == NULL ? 0 : (uint32_t)(after - nodes) + 1; i < s->nodes.n; i++) {
        own = snapshot_own_listener(s, service, sip_ip_is_v4(&nodes[i].ip));
        if (own == NULL || nodes[i].id == s->node_id || (node != 0 && nodes[i].id != node))
            continue;
        *ret = (struct way){own->addr, {nodes[i].ip, own->addr.port}};
        return &nodes[i];
    }
    return NULL;
}

/* As post_send. */
static int say(struct post *post, const struct snapshot *s, const struct way *way,
               const struct proxy_cluster_word *word)
{
    const struct proxy_flow to = {
        .transport = SIP_TRANSPORT_UDP, .local = way->local, .peer = way->peer};
    const uint32_t length = PROXY_CLUSTER_HEAD + word->text.length;
    char *bytes = malloc(length);
    int status;

    if (bytes == NULL)
        return -ENOMEM;
    proxy_cluster_print(s, word, bytes);
    memcpy(bytes + PROXY_CLUSTER_HEAD, word->text.at, word->text.length);
    status = post_send(post, s, &to, "", bytes, length);
    free(bytes);
    return status;
}

/* Says what is no message, and counts it. */
static void tell(struct post *post, const struct snapshot *s, const struct way *way,
                 enum proxy_cluster_kind kind, uint64_t about, struct sip_slice text)
{
    const struct proxy_cluster_word word = {kind, s->node_id, about, text};

    if (say(post, s, way, &word) == 0)
        counts_add(&post->counts[SIP_TRANSPORT_UDP], COUNT_TOLD, 1);
}

/* To every other node, once. */
static void tell_all(struct post *post, const struct snapshot *s, uint32_t service,
                     enum proxy_cluster_kind kind, uint64_t about, struct sip_slice text)
{
    const struct snapshot_node *node = NULL;
    uint32_t last = 0; /* the addresses of one follow each other */
    struct way way;

    while ((node = next_way(s, service, 0, node, &way)) != NULL) {
        if (node->id != last)
            tell(post, s, &way, kind, about, text);
        last = node->id;
    }
}

void cluster_tell(struct post *post, const struct snapshot *s, uint32_t service, uint64_t phone)
{
    char text[PROXY_CLUSTER_PHONE];

    proxy_cluster_put_phone(phone, text);
    tell_all(post, s, service, PROXY_CLUSTER_CAME, 0, sip_slice(text, sizeof(text)));
}

void cluster_ask(struct post *post, const struct snapshot *s, uint32_t part)
{
    const struct snapshot_listener *listeners = snapshot_listeners(s);
    uint32_t i = 0;

    /* Any service's port will do. */
    while (i < s->listeners.n && listeners[i].plane != SNAPSHOT_PLANE_CONTROL)
        i++;
    if (i < s->listeners.n)
        tell_all(post, s, listeners[i].service, PROXY_CLUSTER_ASK, part, sip_slice("", 0));
}

int cluster_send(struct post *post, const struct snapshot *s, uint32_t service, uint64_t connection,
                 const char *text, uint32_t length)
{
    struct proxy_cluster_word word = {PROXY_CLUSTER_SEND, s->node_id, 0, sip_slice(text, length)};
    struct way way;
    uint32_t node;

    if (connection == 0 || !table_find_node(post->hub->table, connection, &word.about, &node) ||
        next_way(s, service, node, NULL, &way) == NULL)
        return -ENOTCONN;
    return say(post, s, &way, &word);
}

/* ---- What comes ---- */

/* A message for a phone. */
static enum relay_result take_message(struct post *post, const struct snapshot *s,
                                      const struct proxy_cluster_word *word,
                                      struct sip_slice *ret_text)
{
    struct proxy_flow to = {.node = s->node_id};
    struct table_place place;

    *ret_text = word->text;
    if (!table_find_here(post->hub->table, word->about, &place))
        return RELAY_DROPPED_UNSENT;
    to.transport = place.transport;
    to.connection = place.id;
    if (post_send(post, s, &to, "", word->text.at, word->text.length) != 0)
        return RELAY_DROPPED_UNSENT;
    return RELAY_FORWARDED;
}

/* Which phones of a part are here: to who asked. */
static void answer(struct post *post, const struct snapshot *s, const struct way *way,
                   uint64_t part)
{
    uint64_t phones[PHONES_PART_MAX];
    uint32_t n = part < PHONES_PARTS ? table_phones(post->hub->table, (uint32_t)part, phones) : 0;
    char *text = (char *)phones; /* each is written where it was read */

    static_assert(sizeof(*phones) == PROXY_CLUSTER_PHONE, "in the other's place");
    for (uint32_t i = 0; i < n; i++)
        proxy_cluster_put_phone(phones[i], text + (size_t)i * PROXY_CLUSTER_PHONE);
    if (n > 0)
        tell(post, s, way, PROXY_CLUSTER_HERE, 0, sip_slice(text, n * PROXY_CLUSTER_PHONE));
}

static void note(struct table *table, const struct proxy_cluster_word *word)
{
    uint64_t phone;

    for (uint32_t i = 0; (phone = proxy_cluster_phone(word->text, i)) != 0; i++)
        table_phone_went(table, phone, word->node, word->kind == PROXY_CLUSTER_CAME);
}

enum relay_result cluster_take(struct post *post, const struct snapshot *s,
                               const struct sip_addr *local, const struct sip_addr *peer,
                               struct sip_slice bytes, struct sip_slice *ret_text)
{
    const struct way back = {*local, *peer};
    struct proxy_cluster_word word;

    if (proxy_cluster_parse(s, bytes.at, bytes.length, &word) != 0 ||
        snapshot_node_at(s, &peer->ip) != word.node)
        return RELAY_DROPPED_SENDER;
    switch (word.kind) {
    case PROXY_CLUSTER_SEND:
        return take_message(post, s, &word, ret_text);
    case PROXY_CLUSTER_ASK:
        answer(post, s, &back, word.about);
        break;
    case PROXY_CLUSTER_CAME:
    case PROXY_CLUSTER_HERE:
        note(post->hub->table, &word);
        break;
    case PROXY_CLUSTER_KINDS:
        break;
    }
    return RELAY_HEARD;
}
