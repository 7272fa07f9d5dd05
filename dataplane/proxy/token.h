/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens: what the user part of our Record-Route and Path URIs carries, signed. No snapshot index,
 * time or nonce enters one: nodes and reloads number differently, and a retransmission gets the
 * same token.
 */
#ifndef TANDEM_PROXY_TOKEN_H
#define TANDEM_PROXY_TOKEN_H

#include "config/snapshot.h"
#include "dataplane/proxy/flow.h"

/* Which of the two Record-Routes of a pair it is (RFC 5658); both are popped together. */
enum proxy_pair { PROXY_PAIR_NONE, PROXY_PAIR_TOP, PROXY_PAIR_BOTTOM };

struct proxy_token {
    struct proxy_flow flow; /* of the outside peer */
    uint32_t backend;       /* id of the backend that serves the dialog; 0: none (Path) */
    uint16_t backend_port;  /* of that backend; its source port when it sent the request */
    uint8_t pair;           /* enum proxy_pair */
};

enum { PROXY_TOKEN_TEXT_MAX = 100 }; /* base64url, without a NUL */

/* Writes the text, signed with the current key. Returns its length; what is behind it, up to
 * PROXY_TOKEN_TEXT_MAX in all, may be written, too. */
uint32_t proxy_token_print(const struct snapshot *s, const struct proxy_token *token,
                           char *ret_text);

/* Whether a user part begins as a token does; most do not, and are asked nothing else. */
static inline bool proxy_token_may_be(struct sip_slice text)
{
    return text.length > 0 && (text.at[0] == 't' || text.at[0] == '%');
}

/*
 * Reads and verifies one (by the key that its key id names: next, current or previous). Returns 0;
 * -ENOENT when the text is no token at all (another user part); -EACCES when it looks like one but
 * does not verify. Characters that come as %HH count as themselves. *ret untouched on failure.
 */
int proxy_token_parse(const struct snapshot *s, struct sip_slice text, struct proxy_token *ret);

#endif
