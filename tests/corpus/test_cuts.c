/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each message of the project's folders, and of the corpus beside it when that is there, cut at
 * every length, so that its last byte lies against an unreadable page: indexed by each variant of
 * the index alike, decided about as from a phone and as from a backend, and what is to be sent is
 * written. What must hold of any
 * decision must hold of these; and half a message is never taken for a whole one.
 *
 * Usage: test_cuts FOREIGN-FOLDER OWN-FOLDER…
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "dataplane/sip/index.h"
#include "tests/corpus/walk.h"
#include "tests/unit/dataplane/proxy/invariants.h"
#include "tests/unit/dataplane/sip/same_msg.h"

enum { PEERS = 2, MESSAGES_MIN = 100 };

static const char *const peers[PEERS] = {"203.0.113.5:5060", "10.0.0.12:5060"};

/* What is being cut, for the last word of a test that fails. */
static struct {
    const char *file; /* NULL: all is done */
    size_t length;
} current;

static void say_where(void)
{
    if (current.file != NULL)
        fprintf(stderr, "failed on the first %zu bytes of %s\n", current.length, current.file);
}

struct cuts {
    struct stage *stage[PEERS]; /* one for each peer: its input is made once */
    char *end;                  /* of the readable memory */
    unsigned long messages, cuts, whole;
};

static void cuts_init(struct cuts *cuts)
{
    static const struct stage_conf conf = {.with_v6 = true};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *room = mmap(NULL, CORPUS_MESSAGE + page, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(room != MAP_FAILED);
    cuts->end = room + CORPUS_MESSAGE;
    assert_int_equal(mprotect(cuts->end, page, PROT_NONE), 0);
    for (int i = 0; i < PEERS; i++) {
        cuts->stage[i] = stage_new(&conf);
        stage_decide(cuts->stage[i], peers[i], "192.0.2.10:5060", "", 0);
    }
}

/* Half a message is an error; but one whose sender left out the empty line, or the length. */
static void check_half(const struct sip_msg *half, const struct sip_msg *whole, size_t length)
{
    if (length >= whole->length || whole->error != SIP_OK)
        return;
    if (length < whole->body)
        assert_true(half->error != SIP_OK || half->open_end);
    else if (whole->content_length >= 0)
        assert_int_equal(half->error, SIP_ERR_BODY_SHORT);
    else
        assert_int_equal(half->error, SIP_OK);
}

/* Each variant that this processor runs says what the scalar one says. */
static void check_variants(const char *at, size_t length)
{
    static struct sip_msg scalar, other;

    sip_index_scalar(at, length, &scalar);
    for (uint32_t i = 0; i < sip_index_variant_count; i++) {
        const char *difference;

        if (!sip_index_variants[i].runs_here())
            continue;
        memset(&other, 0x5a, sizeof(other));
        sip_index_variants[i].index(at, length, &other);
        difference = msg_difference(&scalar, &other);
        if (difference != NULL)
            fail_msg("%s differs in %s", sip_index_variants[i].name, difference);
    }
}

static void cut(struct cuts *cuts, const char *bytes, size_t length, const struct sip_msg *whole)
{
    static struct proxy_output first;
    char *at = cuts->end - length;

    memcpy(at, bytes, length);
    check_variants(at, length);
    for (int i = 0; i < PEERS; i++) {
        struct stage *stage = cuts->stage[i];

        sip_msg_index(at, length, &stage->msg);
        check_half(&stage->msg, whole, length);
        proxy_decide(&stage->view, &stage->input, &stage->output);
        invariants_check(stage);
        first = stage->output;
        proxy_decide(&stage->view, &stage->input, &stage->output);
        invariants_check_again(stage, &first);
    }
    cuts->cuts++;
}

static void cut_message(void *arg, const char *file, const char *bytes, size_t length)
{
    static struct sip_msg whole;
    struct cuts *cuts = arg;

    sip_msg_index(bytes, length, &whole);
    for (int i = 0; i < PEERS; i++) /* each message by itself: a finding repeats */
        lb_call_table_init(memset(cuts->stage[i]->calls, 0, lb_call_table_bytes(STAGE_CALLS)),
                           STAGE_CALLS);
    current.file = file;
    for (current.length = 0; current.length <= length; current.length++)
        cut(cuts, bytes, current.length, &whole);
    current.file = NULL;
    cuts->messages++;
    cuts->whole += whole.error == SIP_OK;
}

int main(int argc, char **argv)
{
    static struct cuts cuts;

    if (argc < 3)
        errx(2, "usage: test_cuts FOREIGN-FOLDER OWN-FOLDER…");
    atexit(say_where);
    cuts_init(&cuts);
    walk_all(argv + 1, argc - 1, cut_message, &cuts);
    for (int i = 0; i < PEERS; i++)
        stage_free(cuts.stage[i]);
    printf("%lu messages (%lu of them whole), %lu cuts\n", cuts.messages, cuts.whole, cuts.cuts);
    return cuts.messages >= MESSAGES_MIN && cuts.whole > 0 ? 0 : 1;
}
