/* SPDX-License-Identifier: Apache-2.0 */
/* libre's parser, as its transport calls it; the buffer is the message's own, not a copy. */
#include <errno.h>
#include <stdint.h>

/* Wants the line above. */
#include <re/re.h>

#include "perf/parsers/contender.h"

static struct mbuf *buffer;
static uint8_t *own;

int contender_init(void)
{
    buffer = mbuf_alloc(1);
    if (buffer == NULL)
        return -ENOMEM;
    own = buffer->buf;
    return 0;
}

static struct sip_msg *parse(char *text, size_t length)
{
    struct sip_msg *msg = NULL;

    buffer->buf = (uint8_t *)text;
    buffer->size = buffer->end = length;
    buffer->pos = 0;
    return sip_msg_decode(&msg, buffer) == 0 ? msg : NULL;
}

bool contender_parse(char *text, size_t length)
{
    struct sip_msg *msg = parse(text, length);
    bool good = msg != NULL;

    mem_deref(msg);
    buffer->buf = own;
    return good;
}

bool contender_show(char *text, size_t length, struct contender_facts *ret)
{
    struct sip_msg *msg = parse(text, length);
    bool good = msg != NULL;

    if (good) {
        contender_copy(ret->call_id, msg->callid.p, msg->callid.l);
        contender_copy(ret->branch, msg->via.branch.p, msg->via.branch.l);
        ret->cseq = msg->cseq.num;
    }
    mem_deref(msg);
    buffer->buf = own;
    return good;
}
