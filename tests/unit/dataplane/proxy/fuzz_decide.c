/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutates good messages, tokens and Vias of ours among them, and runs decide, copy, in-place edit
 * and reply on them. Checks what must hold of any input; the sanitizers check the rest. Arguments:
 * number of rounds, seed. The message lies flush against a page that must not be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/unit/dataplane/proxy/invariants.h"

enum { PAGE = 4096, ROOM = 16 * PAGE, MESSAGES_MAX = 32 };

static const char *const good[] = {
    "INVITE sip:bob@example.net SIP/2.0\r\nVia: SIP/2.0/UDP "
    "203.0.113.5:5060;branch=z9hG4bK1;rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:a@example.org>;tag=a1\r\nTo: <sip:bob@example.net>\r\n"
    "Call-ID: f1\r\nCSeq: 1 INVITE\r\nContact: <sip:a@203.0.113.5>\r\n"
    "Replaces: f2;to-tag=1;from-tag=2\r\nContent-Length: 4\r\n\r\nv=0\n",
    "REGISTER sip:example.net SIP/2.0\r\nv: SIP/2.0/UDP "
    "192.168.1.4:5062;branch=z9hG4bK2;received=1.2.3.4;"
    "rport=99,\r\n SIP/2.0/TCP h.example.org;branch=z9hG4bK9\r\nf: \"A, B\" "
    "<sip:a@example.org>;tag=a1\r\n"
    "t: sip:bob@example.net\r\ni: f2\r\nCSeq: 1 REGISTER\r\nk: timer\r\nl: 0\r\n\r\n",
    "REFER sip:example.net SIP/2.0\r\nVia: SIP/2.0/UDP "
    "[2001:db8::7]:5062;branch=1\r\nMax-Forwards: 1\r\n"
    "From: <sip:a@example.org>;tag=a1\r\nTo: <sip:bob@example.net>\r\nCall-ID: f3\r\nCSeq: 1 "
    "REFER\r\n"
    "Proxy-Require: privacy, foo\r\nRefer-To: <sip:c@d?Replaces=f1%40x%3Bto-tag%3D1&x=y>\r\n\r\n",
    ("OPTIONS sip:192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5\r\nFrom: <sip:a@b>;tag=1\r\n"
     "To: <sip:192.0.2.10>\r\nCall-ID: f4\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n"),
};

struct corpus {
    char *text[MESSAGES_MAX];
    uint32_t length[MESSAGES_MAX];
    uint32_t n;
    bool streams; /* of a stage that has some */
};

static void add(struct corpus *c, const char *text, uint32_t length)
{
    assert_true(c->n < MESSAGES_MAX);
    c->text[c->n] = malloc(length);
    assert_non_null(c->text[c->n]);
    memcpy(c->text[c->n], text, length);
    c->length[c->n++] = length;
}

/* What we send to one side comes back as a response, and with our Record-Route as a Route. */
static void add_answers(struct corpus *c, struct stage *stage)
{
    static const char route[] =
        "Route: <sip:10.0.0.11;lr>\r\nRoute: <sip:10.0.0.12:5060>, <sip:x@y>\r\n";
    static char text[STAGE_TEXT];
    const char *line = memmem(stage->out, stage->out_length, "\r\n", 2);
    const char *rr = memmem(stage->out, stage->out_length, "Record-Route: ", 14);
    int length;

    length =
        sprintf(text, "SIP/2.0 200 OK%.*s", (int)(stage->out + stage->out_length - line), line);
    add(c, text, (uint32_t)length);
    if (rr == NULL)
        return;
    length = sprintf(text, "%.*s\r\n%.*s%s%s%.*s", (int)(line - stage->out), stage->out,
                     (int)(strcspn(rr, "\n") - 6), rr + 7, "\n", route,
                     (int)(stage->out + stage->out_length - line - 2), line + 2);
    add(c, text, (uint32_t)length);
}

static void fill_by(struct corpus *c, struct stage *stage, const char *from, const char *at,
                    const char *message)
{
    stage_decide(stage, from, at, message, strlen(message));
    if (stage->output.verdict != PROXY_FORWARD)
        return;
    stage->out_length = (uint32_t)sip_edit_copy(&stage->output.edit, stage->in, stage->msg.length,
                                                stage->out, STAGE_TEXT - 1);
    stage->out[stage->out_length] = '\0';
    add_answers(c, stage);
}

static void fill(struct corpus *c, struct stage *stage)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        add(c, good[i], (uint32_t)strlen(good[i]));
        fill_by(c, stage, "203.0.113.5:5060", i == 2 ? "[2001:db8:5::10]:5060" : "192.0.2.10:5060",
                good[i]);
        if (c->streams)
            fill_by(c, stage, i == 1 ? "tls/203.0.113.5:40000#7@lb2" : "tls/203.0.113.5:40000#7",
                    "192.0.2.10:5061", good[i]);
    }
    assert_true(c->n > 2 * sizeof(good) / sizeof(good[0]) - 2);
}

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16) % n;
}

static const char *const pieces[] = {
    ",",
    ";",
    "\r\n",
    "\r\n ",
    "<",
    ">",
    "\"",
    "\\",
    "@",
    ":",
    "%",
    "%3B",
    ";lr",
    ";rport",
    ";rport=0",
    ";received=::1",
    "[::1]",
    "sip:",
    "sips:",
    "tel:+1",
    "192.0.2.10",
    "10.0.0.11:5080",
    "t1.",
    "z9hG4bK",
    "Route: <sip:192.0.2.10;lr>\r\n",
    "Via: SIP/2.0/UDP 1.2.3.4\r\n",
    "Max-Forwards: 0\r\n",
    "ACK",
    "INVITE",
    "Record-Route: <sip:a>\r\n",
    ";transport=tcp",
    ";transport=tls",
    ";ob",
    ";reg-id=1",
    "Supported: outbound\r\n",
    "10.0.0.1:5070",
    "example.net",
    "carrier.example",
    "nobody.example.",
    "unknown.example",
    ";tag=x",
    " ",
    "\t",
    "?Replaces=a",
};

/* One mutation of *length bytes at `at` with room for more. */
static void mutate(char *at, uint32_t *length, const struct corpus *c)
{
    uint32_t place = *length > 0 ? random_below(*length) : 0, other = random_below(c->n), n;
    const char *piece;

    switch (random_below(5)) {
    case 0: /* another byte */
        if (*length > 0)
            at[place] = (char)random_below(256);
        return;
    case 1: /* bytes out */
        n = random_below(*length - place < 40 ? *length - place + 1 : 40);
        memmove(at + place, at + place + n, *length - place - n);
        *length -= n;
        return;
    case 2: /* a piece of grammar */
        piece = pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))];
        n = (uint32_t)strlen(piece);
        break;
    case 3: /* a piece of another message */
        piece = c->text[other] + random_below(c->length[other]);
        n = random_below(120);
        if (n > (uint32_t)(c->text[other] + c->length[other] - piece))
            n = (uint32_t)(c->text[other] + c->length[other] - piece);
        break;
    default: /* cut short */
        if (random_below(8) == 0)
            *length = place;
        return;
    }
    if (*length + n > ROOM)
        return;
    memmove(at + place + n, at + place, *length - place);
    memcpy(at + place, piece, n);
    *length += n;
}

static void round_of(struct stage *stage, const struct corpus *c, char *end)
{
    static char work[ROOM];
    static const char *const peers[] = {"203.0.113.5:5060", "10.0.0.11:5060", "10.0.0.12:999",
                                        "10.0.9.1:5060", "[fd00::14]:5060"};
    static const char *const ours[] = {"192.0.2.10:5060", "192.0.2.10:5070",
                                       "[2001:db8:5::10]:5060", "192.0.2.30:5060",
                                       "192.0.2.40:5060"};
    static const char *const streams[][2] = {
        {"tls/203.0.113.5:40000#7", "192.0.2.10:5061"},
        {"wss/203.0.113.6:40000#8", "192.0.2.10:443"},
        {"tcp/203.0.113.7:40000#9@lb2", "192.0.2.10:5060"},
        {"tls/[2001:db8::7]:40000#10", "[2001:db8:5::10]:5061"},
        {"10.0.0.11:5060", "10.0.0.1:5070"}};
    uint32_t from = random_below(c->n), length = c->length[from], way = random_below(5);
    struct proxy_output first;

    memcpy(work, c->text[from], length);
    for (uint32_t n = random_below(5); n > 0; n--)
        mutate(work, &length, c);
    stage->punted = c->streams && random_below(2) == 0;
    if (c->streams && random_below(2) == 0)
        stage_decide(stage, streams[way][0], streams[way][1], "", 0);
    else
        stage_decide(stage, peers[way], ours[random_below(5)], "", 0);
    memcpy(end - length, work, length);
    sip_msg_index(end - length, length, &stage->msg);
    stage->now_s += random_below(3);
    stage->input.now_s = stage->now_s;
    proxy_decide(&stage->view, &stage->input, &stage->output);
    invariants_check(stage);
    first = stage->output;
    proxy_decide(&stage->view, &stage->input, &stage->output);
    invariants_check_again(stage, &first);
    invariants_check_gone(stage);
}

int main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 20000;
    static const struct snapshot_target target = {
        .addr = {{{[10] = 0xff, 0xff, 198, 51, 100, 1}}, 5070}, .transport = SIP_TRANSPORT_UDP};
    static const struct compile_name names[] = {
        {.host = "carrier.example", .targets = &target, .n_targets = 1},
        {.host = "nobody.example", .outcome = SNAPSHOT_NAME_NONE},
    };
    static const struct compile_live live = {.names = names, .n_names = 2};
    struct stage_conf confs[] = {{.with_v6 = true},
                                 {.with_v6 = true, .streams = true},
                                 {.share = LB_SHARE_DIALOGS,
                                  .key = LB_KEY_AOR,
                                  .nat = SNAPSHOT_NAT_ALWAYS,
                                  .live = &live,
                                  .health = {LB_DOWN, LB_UP, LB_BUSY, LB_UP}}};
    char *room =
        mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    random_state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 88172645463325252u;
    if (room == MAP_FAILED || mprotect(room + ROOM, PAGE, PROT_NONE) != 0)
        return 1;
    for (size_t i = 0; i < sizeof(confs) / sizeof(confs[0]); i++) {
        struct stage *stage = stage_new(&confs[i]);
        struct corpus corpus = {.streams = confs[i].streams};

        fill(&corpus, stage);
        for (uint32_t round = 0; round < rounds; round++)
            round_of(stage, &corpus, room + ROOM);
        while (corpus.n > 0)
            free(corpus.text[--corpus.n]);
        stage_free(stage);
    }
    printf("%u rounds on each of %zu snapshots\n", rounds, sizeof(confs) / sizeof(confs[0]));
    return 0;
}
