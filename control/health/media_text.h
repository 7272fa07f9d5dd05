/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a probe call, and the dialog that an answer begins. Pure: texts out of what is
 * known. It must not know when they are sent. RFC 3261 §8.1.1, §9.1, §12, §17.1.1.3.
 */
#ifndef TANDEM_CONTROL_HEALTH_MEDIA_TEXT_H
#define TANDEM_CONTROL_HEALTH_MEDIA_TEXT_H

#include "dataplane/sip/ip.h"
#include "dataplane/sip/msg.h"

enum {
    MEDIA_TEXT_MAX = 8192,            /* bytes of a message of ours */
    MEDIA_URI_MAX = 512,
    MEDIA_TAG_MAX = 128,
    MEDIA_ROUTES_MAX = 4096,
    MEDIA_WORD = 32,                  /* characters of a random word */
};

/* What makes one call this one. */
struct media_id {
    struct sip_addr local;            /* where its messages come from, and answers go to */
    struct sip_addr backend;
    char uri[MEDIA_URI_MAX];          /* that is called */
    char call_id[MEDIA_WORD + 1], branch[MEDIA_WORD + 1], tag[MEDIA_WORD + 1];
};

/* What a 2xx says of how to go on. All zero: there is no dialog. */
struct media_dialog {
    struct sip_addr hop;              /* where requests go */
    char target[MEDIA_URI_MAX];
    char tag[MEDIA_TAG_MAX];          /* theirs */
    char routes[MEDIA_ROUTES_MAX];    /* Route fields, or "" */
};

/* A URI of the configuration with {backend} as the address. False: it gets too long. */
bool media_uri_print(const char *uri, const struct sip_addr *backend, char ret_uri[MEDIA_URI_MAX]);

/* Each writes a message and returns its length, or -EMSGSIZE. */
int media_text_invite(const struct media_id *id, const char *offer, char ret_text[MEDIA_TEXT_MAX]);
int media_text_cancel(const struct media_id *id, char ret_text[MEDIA_TEXT_MAX]);
/* The ACK to a final response other than 2xx. */
int media_text_ack(const struct media_id *id, const struct sip_msg *response,
                   char ret_text[MEDIA_TEXT_MAX]);
/* SIP_ACK (of a 2xx) or SIP_BYE in a dialog. */
int media_text_within(const struct media_id *id, const struct media_dialog *dialog,
                      enum sip_method method, char ret_text[MEDIA_TEXT_MAX]);
/* A response to a request of the other side. */
int media_text_reply(const struct sip_msg *request, uint16_t status,
                     char ret_text[MEDIA_TEXT_MAX]);

/* The dialog of a 2xx. Requests go to the backend, which is what is asked after; a Contact's address
 * only when the backend did not put itself into the dialog. 0 or -EINVAL: no Contact, or too long. */
int media_dialog_read(const struct media_id *id, const struct sip_msg *response,
                      struct media_dialog *ret);

/* Whether a message is this call's: a response to one of our requests, or a request in its dialog. */
bool media_is_ours(const struct media_id *id, const struct sip_msg *msg);

#endif
