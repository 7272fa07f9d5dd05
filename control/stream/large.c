/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large requests by TCP: see large.h.
 */
#include "control/stream/large.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "control/stream/pairs.h"
#include "dataplane/proxy/large.h"
#include "dataplane/proxy/via.h"

/* INVITEs whose CANCEL or ACK may come; of the oldest these go as datagrams then. */
enum { BRANCHES = 1 << 16 };

struct large {
    pthread_mutex_t lock;
    struct pairs *branches; /* → whether it went by TCP */
};

struct large *large_new(void)
{
    struct large *large = calloc(1, sizeof(*large));

    if (large == NULL)
        return NULL;
    large->branches = pairs_new(BRANCHES);
    if (large->branches == NULL) {
        free(large);
        return NULL;
    }
    pthread_mutex_init(&large->lock, NULL);
    return large;
}

void large_free(struct large *large)
{
    if (large == NULL)
        return;
    pthread_mutex_destroy(&large->lock);
    pairs_free(large->branches);
    free(large);
}

static void remember(struct large *large, uint64_t branch, bool by_tcp)
{
    if (branch == 0) /* no key of pairs: as seldom as any */
        return;
    pthread_mutex_lock(&large->lock);
    if (by_tcp || pairs_find(large->branches, branch) != NULL)
        pairs_put(large->branches, branch, by_tcp);
    pthread_mutex_unlock(&large->lock);
}

static bool went_by_tcp(struct large *large, uint64_t branch)
{
    const uint64_t *found;
    bool by_tcp;

    if (branch == 0)
        return false;
    pthread_mutex_lock(&large->lock);
    found = pairs_find(large->branches, branch);
    by_tcp = found != NULL && *found != 0;
    pthread_mutex_unlock(&large->lock);
    return by_tcp;
}

struct turned {
    struct sip_msg msg;
    struct sip_edit edit;
    uint32_t length;
    char text[];
};

/* A request that was sent, or would be, as it is for the other flow; to be freed. NULL: no memory. */
static struct turned *turn(const struct proxy_flow *to, const char *text, uint32_t length)
{
    const size_t room = (size_t)length + SIP_EDIT_TEXT;
    struct turned *turned = malloc(sizeof(*turned) + room);
    int32_t written;

    if (turned == NULL)
        return NULL;
    sip_msg_index(text, length, &turned->msg);
    written = -EINVAL;
    if (turned->msg.error == SIP_OK && turned->msg.kind == SIP_REQUEST) {
        proxy_large_edit(&turned->msg, to, &turned->edit);
        written = sip_edit_copy(&turned->edit, text, length, turned->text, room);
    }
    if (written < 0) {
        free(turned);
        return NULL;
    }
    turned->length = (uint32_t)written;
    return turned;
}

/* As post_send. */
static int send_by_tcp(struct post *post, const struct snapshot *s, const struct proxy_flow *to,
                       const char *text, uint32_t length)
{
    struct turned *turned = turn(to, text, length);
    int status = -ENOMEM;

    if (turned != NULL)
        status = post_send(post, s, to, "", turned->text, turned->length);
    free(turned);
    return status;
}

int large_send(struct post *post, const struct snapshot *s, const struct proxy_flow *to,
               enum sip_method method, uint64_t branch, const char *name, const char *text,
               uint32_t length)
{
    bool follows = method == SIP_CANCEL || method == SIP_ACK;
    struct proxy_flow by_tcp;

    if (to->transport != SIP_TRANSPORT_UDP || (length <= PROXY_DATAGRAM_MAX && !follows) ||
        !proxy_large_turn(s, to, &by_tcp) ||
        (length <= PROXY_DATAGRAM_MAX && !went_by_tcp(post->hub->large, branch)))
        return post_send(post, s, to, name, text, length);
    if (method == SIP_INVITE) /* before its connection can come to nothing */
        remember(post->hub->large, branch, true);
    if (send_by_tcp(post, s, &by_tcp, text, length) == 0)
        return 0;
    remember(post->hub->large, branch, false);
    return post_send(post, s, to, name, text, length);
}

bool large_retry(struct post *post, const struct snapshot *s, const struct proxy_flow *to,
                 const char *text, uint32_t length)
{
    struct proxy_flow by_udp;
    struct turned *turned;
    uint64_t branch;
    int status = -ENOMEM;

    if (to->transport != SIP_TRANSPORT_TCP || !proxy_large_turn(s, to, &by_udp))
        return false;
    turned = turn(&by_udp, text, length);
    if (turned == NULL)
        return false;
    if (proxy_via_read_branch(turned->msg.top_via.branch, &branch) == 0)
        remember(post->hub->large, branch, false);
    status = post_send(post, s, &by_udp, "", turned->text, turned->length);
    free(turned);
    return status == 0;
}
