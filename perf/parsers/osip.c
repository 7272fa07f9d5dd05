/* SPDX-License-Identifier: Apache-2.0 */
/* libosip2's parser, as its transaction layer calls it for a datagram. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <osipparser2/osip_parser.h>

#include "perf/parsers/contender.h"

int contender_init(void)
{
    return parser_init() == 0 ? 0 : -ENOMEM;
}

static osip_message_t *parse(const char *text, size_t length)
{
    osip_message_t *message;

    if (osip_message_init(&message) != 0)
        return NULL;
    if (osip_message_parse(message, text, length) == 0)
        return message;
    osip_message_free(message);
    return NULL;
}

bool contender_parse(char *text, size_t length)
{
    osip_message_t *message = parse(text, length);

    osip_message_free(message);
    return message != NULL;
}

/* A Call-ID comes in two parts. */
static void show_call_id(const osip_call_id_t *call_id, char ret[CONTENDER_TEXT_MAX])
{
    snprintf(ret, CONTENDER_TEXT_MAX, "%s%s%s", call_id->number, call_id->host != NULL ? "@" : "",
             call_id->host != NULL ? call_id->host : "");
}

bool contender_show(char *text, size_t length, struct contender_facts *ret)
{
    osip_message_t *message = parse(text, length);
    osip_generic_param_t *branch = NULL;
    osip_via_t *via = NULL;
    bool good = false;

    if (message == NULL)
        return false;
    osip_message_get_via(message, 0, &via);
    if (via != NULL)
        osip_via_param_get_byname(via, (char *)"branch", &branch);
    if (branch != NULL && message->call_id != NULL && message->cseq != NULL) {
        show_call_id(message->call_id, ret->call_id);
        contender_copy(ret->branch, branch->gvalue, strlen(branch->gvalue));
        ret->cseq = (uint32_t)strtoul(message->cseq->number, NULL, 10);
        good = true;
    }
    osip_message_free(message);
    return good;
}
