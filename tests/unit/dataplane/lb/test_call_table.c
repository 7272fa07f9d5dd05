/* SPDX-License-Identifier: Apache-2.0 */
/* The call table in one thread: what is found, for how long, what goes first, what is counted. */
#include "tests/unit/dataplane/lb/call_fixture.h"

#include <sys/mman.h>
#include <unistd.h>

static void found_as_put(void **state)
{
    struct fixture *f = fixture_new(1000);
    uint64_t hash = 0xfedcba9876543210u;
    struct lb_call call, found;

    assert_int_equal(lb_call_table_entries(f->table), 1024);
    assert_false(lb_call_find(f->table, hash, T0, &found));
    lb_call_put(f->table, hash, 0xfffe, LB_CALL_SUBSCRIPTION, 0xff123456, T0, &f->counts, &call);
    lb_call_prefetch(f->table, hash);
    assert_true(lb_call_find(f->table, hash, T0, &found));
    assert_memory_equal(&found, &call, sizeof call);
    assert_int_equal(found.slot, 0xfffe);
    assert_int_equal(found.state, LB_CALL_SUBSCRIPTION);
    assert_int_equal(found.transaction, 0x123456);
    assert_int_equal(found.seen_s, T0);
    assert_false(found.challenged);
    /* Any bit of the fingerprint, and any that chooses the set, makes another hash. */
    for (int bit = 0; bit < 64; bit++)
        if (bit < 7 || bit >= 20)
            assert_false(has(f, hash ^ (uint64_t)1 << bit, T0));
    fixture_free(f);
}

static void lifetimes(void **state)
{
    static const struct {
        enum lb_call_state state;
        uint32_t lifetime_s;
    } rows[] = {
        {LB_CALL_BEGUN, 240}, {LB_CALL_LIVE, 21600},        {LB_CALL_ENDED, 40},
        {LB_CALL_OTHER, 40},  {LB_CALL_SUBSCRIPTION, 7200}, {LB_CALL_REGISTRATION, 86400},
    };
    /* The second one lets the seconds wrap while the entry lives. */
    static const uint32_t starts_s[] = {T0, UINT32_MAX - 20};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t s = 0; s < 2; s++) {
            struct fixture *f = fixture_new(8);
            uint32_t used[SLOTS] = {0}, start_s = starts_s[s], life_s = rows[i].lifetime_s;
            bool counted = rows[i].state == LB_CALL_BEGUN || rows[i].state == LB_CALL_LIVE;

            put(f, hash_of(1), 3, rows[i].state, start_s);
            assert_true(has(f, hash_of(1), start_s + life_s));
            assert_false(has(f, hash_of(1), start_s + life_s + 1));
            /* A thread whose second is a little behind. */
            assert_true(has(f, hash_of(1), start_s - 2));
            lb_call_sweep(f->table, 0, 8, start_s + life_s, &f->counts, used, SLOTS);
            assert_int_equal(used[3], 1);
            assert_int_equal(f->ended[3], 0);
            lb_call_sweep(f->table, 0, 8, start_s + life_s + 1, &f->counts, used, SLOTS);
            assert_int_equal(used[3], 1);
            assert_int_equal(f->started[3], counted);
            assert_int_equal(f->ended[3], counted);
            assert_false(has(f, hash_of(1), start_s));
            fixture_free(f);
        }
}

/* As what an entry of a state is counted, LB_COUNTS: as nothing. */
static int counted(int state)
{
    if (state == LB_CALL_BEGUN || state == LB_CALL_LIVE)
        return LB_COUNT_CALLS;
    if (state == LB_CALL_REGISTRATION)
        return LB_COUNT_REGISTRATIONS;
    return state == LB_CALL_SUBSCRIPTION ? LB_COUNT_SUBSCRIPTIONS : LB_COUNTS;
}

static void check_counts(const struct fixture *f, int from, int to)
{
    for (int what = 0; what < LB_COUNTS; what++) {
        bool was = counted(from) == what, is = counted(to) == what;

        assert_int_equal(f->counts.started[what][2], was || is);
        assert_int_equal(f->counts.ended[what][2], was && !is);
    }
}

/* Every change of state, by put and by change: started and ended of slot 2. */
static void counts_of_changes(void **state)
{
    for (int from = LB_CALL_BEGUN; from < LB_CALL_STATE_COUNT; from++)
        for (int to = LB_CALL_FREE; to < LB_CALL_STATE_COUNT; to++)
            for (int by_put = 0; by_put < 2; by_put++) {
                struct fixture *f = fixture_new(8);
                struct lb_call call = put(f, hash_of(1), 2, (enum lb_call_state)from, T0);

                check_counts(f, from, from);
                if (by_put && to != LB_CALL_FREE)
                    call = put(f, hash_of(1), 2, (enum lb_call_state)to, T0 + 5);
                else
                    assert_int_equal(
                        lb_call_change(f->table, &call, (enum lb_call_state)to, T0 + 5, &f->counts),
                        from != to);
                check_counts(f, from, to);
                assert_int_equal(call.state, to);
                assert_int_equal(has(f, hash_of(1), T0 + 5), to != LB_CALL_FREE);
                fixture_free(f);
            }
}

static void moved_call_ends_and_starts(void **state)
{
    struct fixture *f = fixture_new(8);
    struct lb_call call = put(f, hash_of(1), 2, LB_CALL_LIVE, T0);

    call = put(f, hash_of(1), 5, LB_CALL_LIVE, T0);
    assert_int_equal(call.slot, 5);
    assert_int_equal(f->started[2], 1);
    assert_int_equal(f->ended[2], 1);
    assert_int_equal(f->started[5], 1);
    assert_int_equal(f->ended[5], 0);
    put(f, hash_of(1), 6, LB_CALL_ENDED, T0);
    assert_int_equal(f->ended[5], 1);
    assert_int_equal(f->started[6], 0);
    /* A slot beyond the counts is kept, and counted nowhere. */
    call = put(f, hash_of(1), SLOTS, LB_CALL_LIVE, T0);
    assert_int_equal(call.slot, SLOTS);
    fixture_free(f);
}

/* Not from when it was last seen, but to the second that was granted. */
static void registration_lasts_until_it_expires(void **state)
{
    /* Also where the clock has not run for a day yet, and where it wraps. */
    static const uint32_t starts_s[] = {T0, 5, UINT32_MAX - 20};

    for (size_t i = 0; i < sizeof starts_s / sizeof starts_s[0]; i++) {
        struct fixture *f = fixture_new(8);
        uint32_t start_s = starts_s[i];
        struct lb_call call = put(f, hash_of(1), 2, LB_CALL_OTHER, start_s), found;

        lb_call_register(f->table, &call, 60, start_s, &f->counts);
        assert_int_equal(call.state, LB_CALL_REGISTRATION);
        assert_int_equal(lb_call_left_s(&call, start_s), 60);
        assert_int_equal(call.transaction, 0xabc);
        /* A refresh that has no answer yet, or a failure, takes nothing and gives nothing. */
        lb_call_note(f->table, &call, 0x42, false, start_s + 30);
        assert_true(lb_call_find(f->table, hash_of(1), start_s + 60, &found));
        assert_memory_equal(&found, &call, sizeof call);
        assert_int_equal(found.transaction, 0x42);
        assert_int_equal(lb_call_left_s(&found, start_s + 60), 0);
        assert_false(has(f, hash_of(1), start_s + 61));
        assert_int_equal(f->registered[2], 1);
        /* Renewed, which is not another one. */
        lb_call_register(f->table, &call, 100, start_s + 50, &f->counts);
        assert_true(has(f, hash_of(1), start_s + 150));
        lb_call_sweep(f->table, 0, 8, start_s + 150, &f->counts, NULL, 0);
        assert_int_equal(f->registered[2], 1);
        assert_int_equal(f->unregistered[2], 0);
        lb_call_sweep(f->table, 0, 8, start_s + 151, &f->counts, NULL, 0);
        assert_int_equal(f->unregistered[2], 1);
        assert_int_equal(f->started[2], 0);
        fixture_free(f);
    }
}

static void registration_is_bounded(void **state)
{
    static const uint32_t rows_s[] = {LB_CALL_REGISTRATION_S, LB_CALL_REGISTRATION_S + 1,
                                      UINT32_MAX};

    for (size_t i = 0; i < sizeof rows_s / sizeof rows_s[0]; i++) {
        struct fixture *f = fixture_new(8);
        struct lb_call call = put(f, hash_of(1), 2, LB_CALL_OTHER, T0);

        lb_call_register(f->table, &call, rows_s[i], T0, &f->counts);
        assert_int_equal(lb_call_left_s(&call, T0), LB_CALL_REGISTRATION_S);
        assert_true(has(f, hash_of(1), T0 + LB_CALL_REGISTRATION_S));
        assert_false(has(f, hash_of(1), T0 + LB_CALL_REGISTRATION_S + 1));
        fixture_free(f);
    }
}

/* The next REGISTER went elsewhere: over at the one, begun at the other with its 2xx. */
static void registration_moves(void **state)
{
    struct fixture *f = fixture_new(8);
    struct lb_call call = put(f, hash_of(1), 2, LB_CALL_OTHER, T0), stale;

    lb_call_register(f->table, &call, 60, T0, &f->counts);
    stale = call;
    call = put(f, hash_of(1), 5, LB_CALL_OTHER, T0 + 30);
    assert_int_equal(f->unregistered[2], 1);
    assert_int_equal(f->registered[5], 0);
    lb_call_register(f->table, &call, 60, T0 + 30, &f->counts);
    assert_int_equal(f->registered[5], 1);
    /* A late 2xx of the first one says nothing any more. */
    lb_call_register(f->table, &stale, 3600, T0 + 31, &f->counts);
    assert_int_equal(f->registered[2], 1);
    assert_false(has(f, hash_of(1), T0 + 91));
    fixture_free(f);
}

/* A registration has no time of its last message: that of its challenge is kept beside its end. */
static void challenge_of_a_registration(void **state)
{
    for (uint32_t start_s = T0; start_s < T0 + 8; start_s++) {
        struct fixture *f = fixture_new(8);
        struct lb_call call = put(f, hash_of(1), 2, LB_CALL_OTHER, start_s), found;

        lb_call_register(f->table, &call, 3600, start_s, &f->counts);
        assert_false(lb_call_is_challenged(&call, start_s));
        lb_call_note(f->table, &call, 0x42, true, start_s + 2000);
        assert_true(lb_call_find(f->table, hash_of(1), start_s + 2000, &found));
        assert_memory_equal(&found, &call, sizeof call);
        for (uint32_t after_s = 0; after_s <= LB_CALL_CHALLENGE_S; after_s++)
            assert_true(lb_call_is_challenged(&call, start_s + 2000 + after_s));
        for (uint32_t after_s = LB_CALL_CHALLENGE_S + 8; after_s < 1000; after_s++)
            assert_false(lb_call_is_challenged(&call, start_s + 2000 + after_s));
        assert_int_equal(lb_call_left_s(&call, start_s + 2000), 1600);
        lb_call_note(f->table, &call, 0x43, false, start_s + 2010);
        assert_false(lb_call_is_challenged(&call, start_s + 2010));
        fixture_free(f);
    }
}

static void challenge_of_others(void **state)
{
    struct fixture *f = fixture_new(8);
    struct lb_call call = put(f, hash_of(1), 2, LB_CALL_OTHER, T0);

    assert_false(lb_call_is_challenged(&call, T0));
    lb_call_note(f->table, &call, 0x42, true, T0 + 5);
    assert_true(lb_call_is_challenged(&call, T0 + 4)); /* a thread whose second is behind */
    assert_true(lb_call_is_challenged(&call, T0 + 5 + LB_CALL_CHALLENGE_S));
    assert_false(lb_call_is_challenged(&call, T0 + 6 + LB_CALL_CHALLENGE_S));
    fixture_free(f);
}

static void stale_change_does_nothing(void **state)
{
    struct fixture *f = fixture_new(8);
    struct lb_call first = put(f, hash_of(1), 2, LB_CALL_BEGUN, T0), second = first, found;

    assert_true(lb_call_change(f->table, &first, LB_CALL_LIVE, T0 + 1, &f->counts));
    assert_false(lb_call_change(f->table, &second, LB_CALL_ENDED, T0 + 1, &f->counts));
    assert_int_equal(second.state, LB_CALL_BEGUN);
    assert_true(lb_call_find(f->table, hash_of(1), T0 + 1, &found));
    assert_int_equal(found.state, LB_CALL_LIVE);
    /* *call was brought up to date, so the next change works. */
    assert_true(lb_call_change(f->table, &first, LB_CALL_ENDED, T0 + 2, &f->counts));
    assert_int_equal(f->started[2], 1);
    assert_int_equal(f->ended[2], 1);
    /* Two BYEs: the second one ends nothing. */
    assert_false(lb_call_change(f->table, &first, LB_CALL_ENDED, T0 + 3, &f->counts));
    assert_int_equal(f->ended[2], 1);
    fixture_free(f);
}

static void notes(void **state)
{
    struct fixture *f = fixture_new(8);
    struct lb_call call = put(f, hash_of(1), 2, LB_CALL_OTHER, T0), found, other;

    lb_call_note(f->table, &call, 0x42, true, T0 + 30);
    assert_true(lb_call_find(f->table, hash_of(1), T0 + 70, &found));
    assert_int_equal(found.seen_s, T0 + 30);
    assert_int_equal(found.transaction, 0x42);
    assert_true(found.challenged);
    assert_memory_equal(&found, &call, sizeof call);
    /* A change keeps what was noted and sees the entry anew. */
    assert_true(lb_call_change(f->table, &call, LB_CALL_BEGUN, T0 + 60, &f->counts));
    assert_true(lb_call_find(f->table, hash_of(1), T0 + 300, &found));
    assert_true(found.challenged && found.transaction == 0x42 && found.seen_s == T0 + 60);
    /* A put is a new transaction. */
    other = put(f, hash_of(1), 2, LB_CALL_BEGUN, T0 + 61);
    assert_true(!other.challenged && other.transaction == 0xabc);
    /* Another hash in its place is not touched. */
    assert_true(lb_call_change(f->table, &other, LB_CALL_FREE, T0 + 62, &f->counts));
    other = put(f, hash_of(2), 3, LB_CALL_OTHER, T0 + 62);
    assert_int_equal(other.position, call.position);
    lb_call_note(f->table, &call, 0x43, true, T0 + 90);
    assert_true(lb_call_find(f->table, hash_of(2), T0 + 62, &found));
    assert_memory_equal(&found, &other, sizeof other);
    fixture_free(f);
}

/* A full set loses its entries in this order, one for each new LIVE entry. */
static void full_set_loses_the_most_expendable(void **state)
{
    static const struct {
        enum lb_call_state state;
        uint32_t age_s;
    } rows[] = {
        {LB_CALL_BEGUN, 241}, /* expired */
        {LB_CALL_ENDED, 30},         {LB_CALL_OTHER, 40}, {LB_CALL_REGISTRATION, 10},
        {LB_CALL_SUBSCRIPTION, 100}, {LB_CALL_BEGUN, 50}, {LB_CALL_LIVE, 20000},
        {LB_CALL_LIVE, 10},
    };

    for (uint32_t turn = 0; turn < 8; turn++) {
        struct fixture *f = fixture_new(8);
        uint64_t started = 0, ended = 0;

        for (uint32_t i = 0; i < 8; i++) {
            uint32_t row = (i + turn) % 8;

            put(f, hash_of(row), (uint16_t)row, rows[row].state, T0 - rows[row].age_s);
        }
        for (uint32_t i = 0; i < 8; i++) {
            put(f, hash_of(100 + i), 9, LB_CALL_LIVE, T0);
            for (uint32_t row = 0; row < 8; row++)
                assert_int_equal(has(f, hash_of(row), T0 - rows[row].age_s), row > i);
        }
        for (int slot = 0; slot < 9; slot++) {
            started += f->started[slot];
            ended += f->ended[slot];
            assert_int_equal(f->ended[slot], f->started[slot]);
        }
        assert_int_equal(started, 4);
        assert_int_equal(ended, 4);
        assert_int_equal(f->started[9], 8);
        fixture_free(f);
    }
}

static void sweep_in_pieces(void **state)
{
    struct fixture *f = fixture_new(64);
    uint32_t used[SLOTS] = {0}, few[1] = {0};
    uint64_t position = 60;

    /* Eight sets of up to eight; slot i of hash i, in set i. */
    for (uint32_t i = 0; i < 8; i++) {
        put(f, hash_of(i) | i, (uint16_t)i, LB_CALL_LIVE, T0);
        put(f, hash_of(i + 50) | i, (uint16_t)i, LB_CALL_ENDED, T0);
    }
    assert_int_equal(lb_call_sweep(f->table, position, 10, T0 + 60, &f->counts, used, SLOTS), 6);
    assert_int_equal(used[0], 1);
    assert_int_equal(used[1], 0);
    assert_true(has(f, hash_of(51) | 1, T0));
    assert_false(has(f, hash_of(50), T0));
    assert_int_equal(lb_call_sweep(f->table, 6, 54, T0 + 60, &f->counts, used, SLOTS), 60);
    for (int slot = 0; slot < 8; slot++)
        assert_int_equal(used[slot], 1);
    /* More than there are: each once; slots beyond `used` are not counted; `used` may be NULL. */
    assert_int_equal(lb_call_sweep(f->table, 3, 1000, T0, &f->counts, few, 1), 3);
    assert_int_equal(few[0], 1);
    assert_int_equal(lb_call_sweep(f->table, 0, 64, T0, &f->counts, NULL, 0), 0);
    fixture_free(f);
}

static void bytes_and_bounds(void **state)
{
    static _Alignas(128) uint8_t memory[128 * 3];

    assert_int_equal(lb_call_table_bytes(0), 256);
    assert_int_equal(lb_call_table_bytes(8), 256);
    assert_int_equal(lb_call_table_bytes(9), 384);
    assert_int_equal(lb_call_table_bytes(1000000), 128 + 16 * 1048576);
    assert_true(lb_call_table_bytes((uint64_t)1 << 32) != 0);
    assert_int_equal(lb_call_table_bytes(((uint64_t)1 << 32) + 1), 0);
    assert_int_equal(lb_call_table_bytes(UINT64_MAX), 0);
    assert_null(lb_call_table_init(memory, UINT64_MAX));
    assert_null(lb_call_table_init(memory + 64, 8));
    assert_null(lb_call_table_init(NULL, 8));
    assert_null(lb_call_table_open(memory, sizeof memory));
    assert_non_null(lb_call_table_init(memory, 9));
    assert_non_null(lb_call_table_open(memory, sizeof memory));
    assert_null(lb_call_table_open(memory, sizeof memory - 1));
    assert_null(lb_call_table_open(memory, 0));
    assert_null(lb_call_table_open(NULL, sizeof memory));
    /* Any bit of magic, version, header size or sets makes it another table, or too large a one. */
    for (int bit = 0; bit < 24 * 8; bit++) {
        memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (bit != 16 * 8)
            assert_null(lb_call_table_open(memory, sizeof memory));
        memory[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* Written through one mapping, read through another that is read-only and elsewhere. */
static void read_only_elsewhere(void **state)
{
    size_t size = lb_call_table_bytes(64);
    int fd = memfd_create("calls", MFD_CLOEXEC);
    uint64_t started[4] = {0}, ended[4] = {0};
    struct lb_call_counts counts = {{started}, {ended}, 4};
    const struct lb_call_table *reader;
    struct lb_call_table *writer;
    struct lb_call call, found;
    void *rw, *ro;

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ro = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(rw != MAP_FAILED && ro != MAP_FAILED && rw != ro);
    writer = lb_call_table_init(rw, 64);
    reader = lb_call_table_open(ro, size);
    assert_non_null(writer);
    assert_non_null(reader);
    assert_int_equal(lb_call_table_entries(reader), 64);
    lb_call_put(writer, hash_of(1), 3, LB_CALL_LIVE, 7, T0, &counts, &call);
    lb_call_prefetch(reader, hash_of(1));
    assert_true(lb_call_find(reader, hash_of(1), T0, &found));
    assert_memory_equal(&found, &call, sizeof call);
    munmap(rw, size);
    munmap(ro, size);
    close(fd);
}

static void names(void **state)
{
    for (int i = 0; i < LB_CALL_STATE_COUNT; i++)
        assert_string_not_equal(lb_call_state_name((enum lb_call_state)i), "unknown");
    assert_string_equal(lb_call_state_name(LB_CALL_LIVE), "live");
    assert_string_equal(lb_call_state_name(LB_CALL_STATE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_as_put),
        cmocka_unit_test(lifetimes),
        cmocka_unit_test(counts_of_changes),
        cmocka_unit_test(moved_call_ends_and_starts),
        cmocka_unit_test(registration_lasts_until_it_expires),
        cmocka_unit_test(registration_is_bounded),
        cmocka_unit_test(registration_moves),
        cmocka_unit_test(challenge_of_a_registration),
        cmocka_unit_test(challenge_of_others),
        cmocka_unit_test(stale_change_does_nothing),
        cmocka_unit_test(notes),
        cmocka_unit_test(full_set_loses_the_most_expendable),
        cmocka_unit_test(sweep_in_pieces),
        cmocka_unit_test(bytes_and_bounds),
        cmocka_unit_test(read_only_elsewhere),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
