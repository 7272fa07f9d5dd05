/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of dataplane/sip/edit.c: the rules of splices by table, then copying and editing in place
 * against each other, and both against a plain model, on thousands of random edits.
 */
#include "dataplane/sip/edit.h"

#include "dataplane/sip/index.h"
#include "tests/unit/dataplane/sip/test_sip.h"

enum { RANDOM_EDITS = 20000, MESSAGE_MAX = 700, ROOM = 3000 };

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void test_copy(void **state)
{
    struct sip_edit edit;
    char out[64];

    sip_edit_init(&edit);
    assert_int_equal(sip_edit_copy(&edit, "abc", 3, out, sizeof(out)), 3);
    sip_edit_splice(&edit, 6, 0);
    sip_edit_put_text(&edit, "END");
    sip_edit_splice(&edit, 2, 2);
    sip_edit_put_number(&edit, 4294967295u);
    sip_edit_put_slice(&edit, sip_slice_of("-"));
    sip_edit_splice(&edit, 0, 0);
    sip_edit_put_number(&edit, 0);
    sip_edit_splice(&edit, 2, 0);
    sip_edit_put(&edit, "z", 1);
    assert_int_equal(sip_edit_growth(&edit), 1 - 2 + 11 + 1 + 3);
    assert_int_equal(sip_edit_copy(&edit, "abcdef", 6, out, sizeof(out)), 20);
    assert_memory_equal(out, "0ab4294967295-zefEND", 20);
    assert_int_equal(sip_edit_copy(&edit, "abcdef", 6, out, 19), -ENOSPC);
    assert_int_equal(sip_edit_copy(&edit, "abcde", 5, out, sizeof(out)), -EOVERFLOW);
}

static void test_overlap(void **state)
{
    static const struct {
        uint32_t a, a_removed, b, b_removed;
        bool overlap;
    } cases[] = {
        {4, 4, 6, 0, true},  {6, 0, 4, 4, true},  {4, 4, 8, 2, false}, {8, 2, 4, 4, false},
        {4, 4, 4, 0, false}, {4, 0, 4, 4, false}, {4, 4, 4, 1, true},  {4, 4, 7, 4, true},
        {4, 0, 4, 0, false}, {7, 1, 4, 4, true},  {0, 9, 9, 0, false}, {1, UINT32_MAX, 5, 0, true},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sip_edit edit;

        sip_edit_init(&edit);
        sip_edit_splice(&edit, cases[i].a, cases[i].a_removed);
        sip_edit_splice(&edit, cases[i].b, cases[i].b_removed);
        assert_int_equal(edit.overflow, cases[i].overlap);
    }
}

static void test_limits(void **state)
{
    struct sip_edit edit;
    char buf[8] = "abcdefg", out[8];
    static const char text[SIP_EDIT_TEXT];
    int32_t start = 77;

    sip_edit_init(&edit);
    for (uint32_t i = 0; i < SIP_EDIT_SPLICES; i++)
        sip_edit_splice(&edit, 3, 0);
    assert_false(edit.overflow);
    sip_edit_put(&edit, text, SIP_EDIT_TEXT);
    assert_false(edit.overflow);
    sip_edit_put(&edit, text, 1);
    assert_true(edit.overflow);

    sip_edit_init(&edit);
    for (uint32_t i = 0; i <= SIP_EDIT_SPLICES; i++)
        sip_edit_splice(&edit, 3, 0);
    assert_true(edit.overflow);
    sip_edit_put_text(&edit, "ignored");
    assert_int_equal(sip_edit_copy(&edit, buf, 7, out, sizeof(out)), -EOVERFLOW);
    assert_int_equal(sip_edit_in_place(&edit, buf, 7, 0, 1, &start), -EOVERFLOW);
    assert_int_equal(start, 77);

    sip_edit_init(&edit);
    sip_edit_splice(&edit, UINT32_MAX, UINT32_MAX);
    assert_int_equal(sip_edit_copy(&edit, buf, 7, out, sizeof(out)), -EOVERFLOW);
}

static void test_rooms(void **state)
{
    struct sip_edit edit;
    char buf[16] = "....abcdef......";
    int32_t start = 77;

    sip_edit_init(&edit);
    sip_edit_splice(&edit, 2, 1);
    sip_edit_put_text(&edit, "1234");
    assert_int_equal(sip_edit_in_place(&edit, buf + 4, 6, 2, 2, &start), -ENOSPC);
    assert_memory_equal(buf, "....abcdef......", 16);
    assert_int_equal(start, 77);
    assert_int_equal(sip_edit_in_place(&edit, buf + 4, 6, 3, 0, &start), 9);
    assert_int_equal(start, -3);
    assert_memory_equal(buf, ".ab1234def......", 16);
    assert_int_equal(sip_edit_in_place(&edit, buf + 1, 9, 2, 3, &start), 12);
    assert_int_equal(start, 0);
    assert_memory_equal(buf, ".ab1234234def...", 16);
    sip_edit_init(&edit);
    sip_edit_splice(&edit, 2, 7);
    assert_int_equal(sip_edit_in_place(&edit, buf + 1, 12, 0, 0, &start), 5);
    assert_int_equal(start, 7);
    assert_memory_equal(buf + 1 + start, "abdef", 5);
}

/* Up to a handful of splices in any order, clean of overlaps by asking a scratch edit first. */
static void random_edit(uint64_t *seed, uint32_t length, struct sip_edit *ret)
{
    uint32_t wanted = next_random(seed) % 9;
    struct sip_edit before;

    sip_edit_init(ret);
    while (wanted-- > 0) {
        uint32_t at = next_random(seed) % (length + 1);
        uint32_t removed = next_random(seed) % 3 == 0 ? 0 : next_random(seed) % 90;
        uint32_t put = next_random(seed) % 3 == 0 ? 0 : next_random(seed) % 230;

        before = *ret;
        sip_edit_splice(ret, at, removed > length - at ? length - at : removed);
        if (ret->overflow) {
            *ret = before;
            continue;
        }
        while (put-- > 0)
            sip_edit_put(ret, &(char){(char)('A' + next_random(seed) % 26)}, 1);
    }
}

/* The edit as its definition says, a byte at a time. */
static uint32_t model(const struct sip_edit *edit, const char *in, uint32_t length, char *out)
{
    bool removed[MESSAGE_MAX] = {false};
    uint32_t written = 0;

    for (uint32_t i = 0; i < edit->n; i++)
        memset(removed + edit->splices[i].at, 1, edit->splices[i].removed);
    for (uint32_t at = 0; at <= length; at++) {
        for (uint32_t i = 0; i < edit->n; i++) {
            if (edit->splices[i].at != at)
                continue;
            memcpy(out + written, edit->text + edit->splices[i].text, edit->splices[i].length);
            written += edit->splices[i].length;
        }
        if (at < length && !removed[at])
            out[written++] = in[at];
    }
    return written;
}

/* With rooms around the exact need, so that each way and the refusal are taken. */
static void edit_in_place(const struct sip_index_variant *variant, uint64_t *seed,
                          const struct sip_edit *edit, const char *in, uint32_t length,
                          const char *want, uint32_t want_length)
{
    int32_t growth = (int32_t)want_length - (int32_t)length, got, start = 0;
    size_t more = next_random(seed) % 2 == 0 ? 0 : next_random(seed) % 100;
    size_t headroom = growth > 0 ? (size_t)growth + more + next_random(seed) % 3 - 1 : more;
    size_t tailroom = growth > 0 ? (size_t)growth + next_random(seed) % 3 - 1 : 0;
    char frame[3 * ROOM], *buf = frame + ROOM;

    memset(frame, '#', sizeof(frame));
    memcpy(buf, in, length);
    got = variant->edit(edit, buf, length, headroom, tailroom, &start);

    if (growth > (int32_t)headroom && growth > (int32_t)tailroom) {
        assert_int_equal(got, -ENOSPC);
        assert_memory_equal(buf, in, length);
    } else {
        assert_int_equal(got, want_length);
        assert_memory_equal(buf + start, want, want_length);
        assert_true(start >= -(int32_t)headroom);
        assert_true(start + got <= (int32_t)(length + tailroom));
    }
    for (size_t i = 0; i < ROOM - headroom; i++)
        assert_int_equal(frame[i], '#');
    for (size_t i = ROOM + length + tailroom; i < sizeof(frame); i++)
        assert_int_equal(frame[i], '#');
}

static void one_random_edit(uint64_t *seed)
{
    char in[MESSAGE_MAX], want[ROOM], copy[ROOM];
    uint32_t length = next_random(seed) % MESSAGE_MAX, want_length;
    struct sip_edit edit;

    for (uint32_t i = 0; i < length; i++)
        in[i] = (char)('a' + next_random(seed) % 26);
    random_edit(seed, length, &edit);
    want_length = model(&edit, in, length, want);
    assert_int_equal(sip_edit_growth(&edit), (int32_t)want_length - (int32_t)length);
    assert_int_equal(sip_edit_copy(&edit, in, length, copy, want_length), want_length);
    assert_memory_equal(copy, want, want_length);

    for (uint32_t v = 0; v < sip_index_variant_count; v++) {
        if (sip_index_variants[v].runs_here() && sip_index_variants[v].edit != NULL)
            edit_in_place(&sip_index_variants[v], seed, &edit, in, length, want, want_length);
    }
}

static void test_random(void **state)
{
    uint64_t seed = 1;

    for (int i = 0; i < RANDOM_EDITS; i++)
        one_random_edit(&seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),  cmocka_unit_test(test_overlap), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_rooms), cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
