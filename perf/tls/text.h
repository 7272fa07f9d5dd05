/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of phones and of their peer behind the balancer, as text, and how they must arrive.
 * It must not know Tandem's parser: it judges what Tandem makes.
 */
#ifndef TANDEM_PERF_TLS_TEXT_H
#define TANDEM_PERF_TLS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

enum { TEXT_MAX = 4096, TEXT_PART = 512 };

/* What is said in one call, and the registration before it, in this order. */
enum text_kind {
    TEXT_REGISTER,
    TEXT_INVITE,
    TEXT_ACK,
    TEXT_BYE,
    TEXT_REQUESTS,
};

/* A phone, by number, and where it is. */
struct text_phone {
    uint32_t number, call;
    char sent_by[TEXT_PART];    /* address:port of its connection */
    char target[TEXT_PART];     /* of the dialog: its peer's Contact */
    char routes[2 * TEXT_PART]; /* Route lines of the dialog */
};

/* Makes a request of a phone's present call; returns its length. */
uint32_t text_request(const struct text_phone *phone, enum text_kind kind, char out[TEXT_MAX]);

/* Finds out whose request, or response, a message is by its last Via's branch, which must be one of
 * these. */
bool text_whose(const char *text, uint32_t *ret_phone, uint32_t *ret_call, uint32_t *ret_kind);

/* Makes the answer of a peer at `here` (address:port) to a request, as it came; returns its length.
 */
uint32_t text_answer(const char *request, const char *status, const char *here, char out[TEXT_MAX]);

/* Takes Record-Route and Contact of an answer for the requests of its dialog. */
bool text_dialog(const char *answer, struct text_phone *phone);

/* Whether a message is what was sent but for what is the balancer's: Via, Route, Path (and that it
 * is supported), Record-Route and Max-Forwards of a request, Via of a response. */
bool text_same(const char *sent, const char *came);

/* How many header fields it has of a name, given with its colon: "Via:". */
uint32_t text_count(const char *text, const char *name);

#endif
