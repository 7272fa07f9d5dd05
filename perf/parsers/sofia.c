/* SPDX-License-Identifier: Apache-2.0 */
/* sofia-sip's parser on a datagram. */
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_protos.h>

#include "perf/parsers/contender.h"

int contender_init(void)
{
    return 0;
}

static msg_t *parse(const char *text, size_t length, sip_t **ret_sip)
{
    msg_t *msg = msg_make(sip_default_mclass(), 0, text, (issize_t)length);

    *ret_sip = sip_object(msg);
    if (msg != NULL && *ret_sip != NULL && ((*ret_sip)->sip_flags & MSG_FLG_ERROR) == 0 &&
        (*ret_sip)->sip_call_id != NULL)
        return msg;
    msg_destroy(msg);
    return NULL;
}

bool contender_parse(char *text, size_t length)
{
    sip_t *sip;
    msg_t *msg = parse(text, length, &sip);

    msg_destroy(msg);
    return msg != NULL;
}

bool contender_show(char *text, size_t length, struct contender_facts *ret)
{
    sip_t *sip;
    msg_t *msg = parse(text, length, &sip);
    bool good = msg != NULL && sip->sip_via != NULL && sip->sip_via->v_branch != NULL &&
                sip->sip_cseq != NULL;

    if (good) {
        contender_copy(ret->call_id, sip->sip_call_id->i_id, strlen(sip->sip_call_id->i_id));
        contender_copy(ret->branch, sip->sip_via->v_branch, strlen(sip->sip_via->v_branch));
        ret->cseq = sip->sip_cseq->cs_seq;
    }
    msg_destroy(msg);
    return good;
}
