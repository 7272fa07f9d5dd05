/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of streams write into templates (stage.h): a phone by TLS, a backend, their messages.
 */
#ifndef TANDEM_TEST_PROXY_STREAMS_H
#define TANDEM_TEST_PROXY_STREAMS_H

#include "tests/unit/dataplane/proxy/stage.h"

#define VIP "192.0.2.10:5060"
#define TLS_VIP "192.0.2.10:5061"
#define NODE "10.0.0.1:5070"
#define KAM "10.0.0.12:5060"
#define PHONE "tls/198.51.100.7:40000#7"

#define HEAD(via, call, cseq)                                                   \
    "Via: SIP/2.0/" via "\nMax-Forwards: 70\nFrom: <sip:a@example.net>;tag=f\n" \
    "To: <sip:bob@example.net>$(TAG)\nCall-ID: " call "\nCSeq: " cseq "\n"
/* What is the same in a forwarded request, behind our Via and the sender's. */
#define TAIL(call, cseq)                                                                   \
    "Max-Forwards: 69\nFrom: <sip:a@example.net>;tag=f\nTo: <sip:bob@example.net>$(TAG)\n" \
    "Call-ID: " call "\nCSeq: " cseq "\n"
#define BY_KAM "UDP " KAM ";branch=z9hG4bKk"
#define OURS(number) "branch=$(BR" number ");tdm=$(M" number ")\n"
#define ANSWER(call, cseq)                                               \
    "From: <sip:a@example.net>;tag=f\nTo: <sip:bob@example.net>;tag=t\n" \
    "Call-ID: " call "\nCSeq: " cseq "\n\n"

#endif
