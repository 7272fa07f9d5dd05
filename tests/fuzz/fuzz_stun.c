/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of STUN's requests and answers: the bytes as a datagram, and as the attributes of a
 * request whose header is right.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/proxy/stun.h"
#include "dataplane/sip/msg.h"

enum { HEADER = 20 };

static void check(const char *bytes, size_t length)
{
    static const struct sip_addr peer = {{{0x20, 1, 0x0d, 0xb8}}, 5060};
    struct sip_slice datagram = sip_slice(bytes, (uint32_t)length);
    char answer[PROXY_STUN_ANSWER_MAX];
    struct sip_msg msg;
    int32_t printed;

    if (sip_msg_is_stun(bytes, length) && sip_msg_index(bytes, length, &msg) != SIP_ERR_NOT_SIP)
        abort();
    if (proxy_stun_status(datagram) == 0)
        return;
    printed = proxy_stun_print(datagram, &peer, answer, sizeof(answer));
    if (printed < HEADER || memcmp(answer + 4, bytes + 4, HEADER - 4) != 0 ||
        proxy_stun_status(sip_slice(answer, (uint32_t)printed)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char request[HEADER + PROXY_STUN_REQUEST_MAX] = {0,    1,    0,          0,
                                                            0x21, 0x12, (char)0xa4, 0x42};
    size_t attributes = size < PROXY_STUN_REQUEST_MAX ? size & ~(size_t)3 : PROXY_STUN_REQUEST_MAX;

    check((const char *)data, size);
    memcpy(request + HEADER, data, attributes);
    request[2] = (char)(attributes >> 8);
    request[3] = (char)attributes;
    check(request, HEADER + attributes);
    return 0;
}
