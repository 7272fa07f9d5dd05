/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the proxy decides about the messages of the corpus beside the project, as they come from a
 * phone: requests that two other parsers agree on, and one routes, are forwarded; responses, which
 * are to nobody's request, are dropped; what has no Call-ID is never forwarded. The same message
 * gets the same answer. Where the other proxy routed and we do not, though the grammar lets it pass
 * (test_oracle has the rest), a rule of DESIGN section 3 must say so, which the message must fit.
 *
 * Usage: test_decisions FOLDER     Exit status 77 (skipped) when the folder is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "dataplane/sip/uri.h"
#include "tests/corpus/manifest.h"
#include "tests/unit/dataplane/proxy/invariants.h"

enum { SKIPPED = 77 };

struct counts {
    unsigned forwarded, by_rule, refused, dropped, wrong;
};

static struct manifest manifest;

static bool wrong(const char *file, const struct stage *stage, const char *what)
{
    printf("%s: %s: %s (%s)\n", file, what, proxy_reason_name(stage->output.reason),
           sip_error_phrase((enum sip_error)stage->msg.error));
    return false;
}

static void decide(struct stage *stage, const char *dir, const char *file)
{
    static char bytes[CORPUS_MESSAGE];
    static struct proxy_output first;
    size_t length = corpus_message(dir, file, manifest_is_lf(&manifest, file), bytes);

    lb_call_table_init(memset(stage->calls, 0, lb_call_table_bytes(STAGE_CALLS)), STAGE_CALLS);
    stage_decide(stage, "203.0.113.77:5060", "192.0.2.10:5060", bytes, length);
    invariants_check(stage);
    first = stage->output;
    proxy_decide(&stage->view, &stage->input, &stage->output);
    invariants_check_again(stage, &first);
}

/* By TLS the same is decided, and what goes to a backend leaves from the node's own address. */
static bool same_by_stream(struct stage *stage, const char *file)
{
    static char bytes[CORPUS_MESSAGE];
    const struct proxy_output *o = &stage->output;
    enum proxy_reason reason = o->reason;
    int32_t backend = o->backend;
    uint32_t length = stage->in_length;

    memcpy(bytes, stage->in, length);
    lb_call_table_init(memset(stage->calls, 0, lb_call_table_bytes(STAGE_CALLS)), STAGE_CALLS);
    stage_decide(stage, "tls/203.0.113.77:40000#7", "192.0.2.10:5061", bytes, length);
    invariants_check(stage);
    if (o->reason != reason || o->backend != backend)
        return wrong(file, stage, "by a stream it is another decision");
    return o->verdict != PROXY_FORWARD ||
           (o->to.local.port == 5070 && o->to.transport == SIP_TRANSPORT_UDP) ||
           wrong(file, stage, "by a stream it does not leave from the node's address");
}

static bool routes_parse(const struct sip_msg *msg)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_ROUTE);
    struct sip_nameaddr address;

    for (; field != NULL; field = sip_msg_next(msg, field)) {
        if (sip_nameaddr_parse(sip_msg_value(msg, field), &address) != 0)
            return false;
    }
    return true;
}

/* Whether a message that the grammar lets pass is one that the rule of its answer is about. */
static bool fits_rule(const struct stage *stage)
{
    const struct sip_msg *msg = &stage->msg;
    struct sip_uri uri;

    switch (stage->output.reason) {
    case PROXY_REPLY_400_MALFORMED: /* its Request-URI or a Route is none (§20.34) */
        return sip_uri_parse(msg->request_uri, &uri) != 0 || !routes_parse(msg);
    case PROXY_REPLY_416_SCHEME:
        return sip_uri_parse(msg->request_uri, &uri) == 0 && uri.scheme == SIP_SCHEME_OTHER;
    case PROXY_REPLY_420_EXTENSION:
        return sip_msg_first(msg, SIP_PROXY_REQUIRE) != NULL;
    case PROXY_REPLY_483_HOPS:
        return msg->max_forwards == 0;
    case PROXY_DROP_ACK: /* an ACK that would have been answered */
        return msg->method == SIP_ACK &&
               (msg->max_forwards == 0 || sip_uri_parse(msg->request_uri, &uri) != 0 ||
                uri.scheme == SIP_SCHEME_OTHER);
    default:
        return false;
    }
}

/* file, routed, kind, method, Call-ID, sanity, method, Call-IDs, agree */
static bool check(struct stage *stage, const char *dir, const struct corpus_table *table,
                  struct counts *counts)
{
    const char *file = table->column[0], *agree = table->column[8];
    bool both = strcmp(agree, "both") == 0;
    const struct proxy_output *o = &stage->output;

    decide(stage, dir, file);
    if (stage->msg.kind == SIP_RESPONSE) {
        counts->dropped++;
        return o->verdict == PROXY_DROP || wrong(file, stage, "a response that is not dropped");
    }
    if (o->verdict == PROXY_FORWARD) {
        counts->forwarded++;
        return strcmp(agree, "neither") != 0 || wrong(file, stage, "forwarded without a Call-ID");
    }
    if (stage->msg.error != SIP_OK) {
        counts->refused++;
        return true;
    }
    counts->by_rule++;
    return !both || strcmp(table->column[1], "1") != 0 || fits_rule(stage) ||
           wrong(file, stage, "not forwarded, and no rule says why");
}

int main(int argc, char **argv)
{
    static const struct stage_conf conf = {.with_v6 = true, .streams = true};
    static struct corpus_table table;
    struct counts counts = {0};
    struct stage *stage;

    if (argc != 2)
        errx(2, "usage: test_decisions FOLDER");
    if (access(argv[1], R_OK) != 0) {
        printf("skipped: %s is not there\n", argv[1]);
        return SKIPPED;
    }
    manifest_read(&manifest, argv[1]);
    stage = stage_new(&conf);
    corpus_open(&table, argv[1], "ORACLE.tsv");
    while (corpus_row(&table))
        counts.wrong +=
            !check(stage, argv[1], &table, &counts) || !same_by_stream(stage, table.column[0]);
    stage_free(stage);
    manifest_done(&manifest);
    printf(
        "%u forwarded, %u refused by a rule, %u by the grammar, %u responses dropped; %u wrong\n",
        counts.forwarded, counts.by_rule, counts.refused, counts.dropped, counts.wrong);
    return counts.wrong == 0 && counts.forwarded > 0 ? 0 : 1;
}
