/* SPDX-License-Identifier: Apache-2.0 */
/* Tandem's index: all that routing needs. */
#include "dataplane/sip/msg.h"
#include "perf/parsers/contender.h"

int contender_init(void)
{
    return 0;
}

bool contender_parse(char *text, size_t length)
{
    static struct sip_msg msg;

    return sip_msg_index(text, length, &msg) == SIP_OK;
}

bool contender_show(char *text, size_t length, struct contender_facts *ret)
{
    struct sip_msg msg;

    if (sip_msg_index(text, length, &msg) != SIP_OK)
        return false;
    contender_copy(ret->call_id, msg.call_id.at, msg.call_id.length);
    contender_copy(ret->branch, msg.top_via.branch.at, msg.top_via.branch.length);
    ret->cseq = msg.cseq;
    return true;
}
