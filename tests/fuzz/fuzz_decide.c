/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of proxy/: decides about the bytes as a message from an outside peer, from a backend
 * and from a backend over IPv6, under several configurations, and checks what must hold of any
 * decision.
 *
 * What an engine cannot guess, since it is signed, one byte stands for: 1 for a token, 2 for our
 * Via and the one below it, as the INVITE f1 got them; 3 and 4 for those that it got by a stream.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/world.h"
#include "tests/unit/dataplane/proxy/invariants.h"

enum { INPUT_MAX = 60000, ROOM = 65535, BYTE_TOKEN = 1, BYTE_VIAS = 2, BYTE_STREAM = 2 };

static const char invite[] = "INVITE sip:bob@example.net SIP/2.0\n"
                             "Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK1;rport\n"
                             "Max-Forwards: 70\nFrom: <sip:a@example.org>;tag=a1\n"
                             "To: <sip:bob@example.net>\nCall-ID: f1\nCSeq: 1 INVITE\n\n";

static char trunks[] = "trunks", tenant[] = "tenant", dialled[] = "+49", domain[] = "example.net";
static struct cfg_prefix sources[] = {{{{[10] = 0xff, 0xff, 203, 0, 113}}, 24},
                                      {{{0x20, 0x01, 0x0d, 0xb8}}, 32}};
static struct cfg_match matches[] = {
    {.prefix = dialled, .pool = trunks},
    {.domain = domain,
     .has_source = true,
     .source = {{{[10] = 0xff, 0xff, 10}}, 8},
     .pool = tenant},
};

static const struct stage_conf confs[] = {
    {.with_v6 = true},
    {.share = LB_SHARE_DIALOGS,
     .key = LB_KEY_AOR,
     .nat = SNAPSHOT_NAT_ALWAYS,
     .health = {LB_DOWN, LB_UP, LB_BUSY, LB_UP}},
    {.with_v6 = true, .streams = true},
    {.sources = sources, .n_sources = 2, .matches = matches, .n_matches = 2},
};

enum { STREAMS = 2, CONFS = sizeof(confs) / sizeof(confs[0]), STAGES = CONFS + WORLD_COUNT };

static const char *const peers[][2] = {{"203.0.113.5:5060", "192.0.2.10:5060"},
                                       {"10.0.0.12:999", "192.0.2.10:5070"},
                                       {"[fd00::14]:5060", "[2001:db8:5::10]:5060"},
                                       {"tls/203.0.113.5:40000#7", "192.0.2.10:5061"},
                                       {"10.0.0.12:5060", "10.0.0.1:5070"}};

enum { DATAGRAMS = 3, PEERS = sizeof(peers) / sizeof(peers[0]) };

struct signed_texts {
    char token[128], vias[512];
};

static void learn(struct signed_texts *ret, size_t conf, size_t peer)
{
    struct stage *stage = stage_new(&confs[conf]);
    const char *via, *token;

    stage_send(stage, peers[peer][0], peers[peer][1], invite);
    stage->out[stage->out_length] = '\0';
    via = strstr(stage->out, "Via: ");
    token = strstr(stage->out, "<sip:t1.");
    if (via == NULL || token == NULL)
        abort();
    snprintf(ret->token, sizeof(ret->token), "%.*s", (int)strcspn(token + 5, "@"), token + 5);
    snprintf(ret->vias, sizeof(ret->vias),
             "%.*s\r\nVia: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK1;rport=%u;"
             "received=203.0.113.5",
             (int)strcspn(via, "\r"), via, stage->input.from.peer.port);
    stage_free(stage);
}

/* What a byte stands for; NULL: itself. */
static const char *text_of(const struct signed_texts texts[2], uint8_t byte)
{
    switch (byte) {
    case BYTE_TOKEN:
    case BYTE_TOKEN + BYTE_STREAM:
        return texts[byte > BYTE_STREAM].token;
    case BYTE_VIAS:
    case BYTE_VIAS + BYTE_STREAM:
        return texts[byte > BYTE_STREAM].vias;
    default:
        return NULL;
    }
}

static size_t expand(const struct signed_texts texts[2], const uint8_t *data, size_t size,
                     char ret[ROOM])
{
    size_t length = 0;

    for (size_t i = 0; i < size; i++) {
        const char *text = text_of(texts, data[i]);
        size_t more = text != NULL ? strlen(text) : 1;

        if (more > ROOM - length)
            break;
        memcpy(ret + length, text != NULL ? text : (const char *)&data[i], more);
        length += more;
    }
    return length;
}

/* A stage whose snapshot is one that the stage itself cannot make. */
static struct stage *world_stage(enum world_kind kind)
{
    struct stage *stage = stage_new(&confs[0]);
    const struct snapshot *world = world_snapshot(kind);

    free(stage->snapshot);
    stage->snapshot = malloc(world->size);
    if (stage->snapshot == NULL)
        abort();
    memcpy(stage->snapshot, world, world->size);
    stage->view.snapshot = stage->snapshot;
    for (uint32_t i = 0; i < STAGE_SLOTS; i++)
        stage->backend_of[i] = LB_NO_BACKEND;
    for (uint32_t i = 0; i < world->backends.n; i++) {
        stage->slot_of[i] = (uint16_t)(i + 3);
        stage->backend_of[i + 3] = (int32_t)i;
    }
    return stage;
}

/* Made once, for it takes long; the call table is empty for each input, so that findings repeat. */
static struct stage *clean_stage(size_t number)
{
    static struct stage *stages[STAGES];

    if (stages[number] == NULL)
        stages[number] = number < CONFS ? stage_new(&confs[number])
                                        : world_stage((enum world_kind)(number - CONFS));
    memset(stages[number]->calls, 0, lb_call_table_bytes(STAGE_CALLS));
    lb_call_table_init(stages[number]->calls, STAGE_CALLS);
    return stages[number];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct signed_texts texts[2];
    static char message[ROOM];
    static struct proxy_output first;
    size_t length;

    if (texts[0].token[0] == '\0') {
        learn(&texts[0], 0, 0);
        learn(&texts[1], STREAMS, DATAGRAMS);
    }
    length = expand(texts, data, size < INPUT_MAX ? size : INPUT_MAX, message);
    for (size_t number = 0; number < STAGES; number++) {
        struct stage *stage = clean_stage(number);

        for (size_t peer = 0; peer < (number == STREAMS ? PEERS : DATAGRAMS); peer++) {
            stage_decide(stage, peers[peer][0], peers[peer][1], message, length);
            invariants_check(stage);
            first = stage->output;
            proxy_decide(&stage->view, &stage->input, &stage->output);
            invariants_check_again(stage, &first);
            invariants_check_gone(stage);
        }
    }
    return 0;
}
