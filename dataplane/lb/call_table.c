/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call table in raw memory: a header, then sets of eight entries on two cache lines, the words
 * on the first and the notes on the second, so that a miss touches one line. It knows hashes, slots
 * and seconds, neither messages nor backends.
 *
 * word: fingerprint (44 bits, the hash's own), slot (16), state (4); 0 is free.
 * note: last seen (32), transaction (24), flags (8): the challenge mark, and when (7).
 *
 * A registration is over when the backend said, and not so long after it was seen: it is as if last
 * seen that much earlier than its state's lifetime, a day, before its end. So it has no time of its
 * last message, and what else needs one of it, the challenge, has its own in the flags.
 *
 * Who is about to change a word stores the note first: an entry must never be seen with the note,
 * and so with the age, of what lay there before it.
 */
#include "dataplane/lb/call_table.h"

#include <assert.h>
#include <stdatomic.h>

enum {
    WAYS = 8,
    LINES_BYTES = 128, /* of a set, and of the header, which keeps sets aligned */
    VERSION = 1,
    SLOT_SHIFT = 4,
    STATE_MASK = 0xf,
    FINGERPRINT_SHIFT = 20,
    TRANSACTION_SHIFT = 8,
    TRANSACTION_MASK = 0xffffff,
    SEEN_SHIFT = 32,
    FLAG_CHALLENGED = 1,
    CHALLENGE_SHIFT = 1,
    CHALLENGE_MASK = 0x7f,
    CHALLENGE_STEP_S = 8,
};

static const uint64_t magic = 0x54444d63616c6c73u;     /* "TDMcalls" */
static const uint64_t entries_max = (uint64_t)1 << 32; /* a position is 32 bits */

struct call_set {
    _Atomic uint64_t words[WAYS];
    _Atomic uint64_t notes[WAYS];
};

struct lb_call_table {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint64_t n_sets; /* a power of two */
    uint8_t reserved[LINES_BYTES - 24];
    struct call_set sets[];
};

static_assert(sizeof(struct call_set) == LINES_BYTES, "a set is two cache lines");
static_assert(sizeof(struct lb_call_table) == LINES_BYTES, "sets begin on a line");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "another process reads the table: no hidden locks");
static_assert(LB_CALL_STATE_COUNT <= STATE_MASK + 1, "a state is four bits");

static const uint32_t lifetimes_s[LB_CALL_STATE_COUNT] = {
    [LB_CALL_BEGUN] = LB_CALL_BEGUN_S,
    [LB_CALL_LIVE] = LB_CALL_LIVE_S,
    [LB_CALL_ENDED] = LB_CALL_ENDED_S,
    [LB_CALL_OTHER] = LB_CALL_OTHER_S,
    [LB_CALL_SUBSCRIPTION] = LB_CALL_SUBSCRIPTION_S,
    [LB_CALL_REGISTRATION] = LB_CALL_REGISTRATION_S,
};

/*
 * What goes first when a set is full: the greater. No request is led by a registration, which is
 * only counted, so calls and subscriptions outlast it; but it outlasts what anybody can put there
 * with a request that no backend agrees to.
 */
static const uint8_t expendable[LB_CALL_STATE_COUNT] = {
    [LB_CALL_LIVE] = 0,         [LB_CALL_BEGUN] = 1, [LB_CALL_SUBSCRIPTION] = 2,
    [LB_CALL_REGISTRATION] = 3, [LB_CALL_OTHER] = 4, [LB_CALL_ENDED] = 5,
    [LB_CALL_FREE] = 7,
};

enum { EXPENDABLE_EXPIRED = 6 };

/* As what a state is counted; LB_COUNTS: as nothing. */
static const uint8_t counted_as[LB_CALL_STATE_COUNT] = {
    [LB_CALL_FREE] = LB_COUNTS,
    [LB_CALL_BEGUN] = LB_COUNT_CALLS,
    [LB_CALL_LIVE] = LB_COUNT_CALLS,
    [LB_CALL_ENDED] = LB_COUNTS,
    [LB_CALL_OTHER] = LB_COUNTS,
    [LB_CALL_SUBSCRIPTION] = LB_COUNT_SUBSCRIPTIONS,
    [LB_CALL_REGISTRATION] = LB_COUNT_REGISTRATIONS,
};

/* ---- words and notes ---- */

static inline uint64_t word_make(uint64_t hash, uint16_t slot, enum lb_call_state state)
{
    return hash >> FINGERPRINT_SHIFT << FINGERPRINT_SHIFT | (uint64_t)slot << SLOT_SHIFT |
           (uint64_t)state;
}

/* A word of shared memory may say anything; a state that does not exist is read as free. */
static inline enum lb_call_state word_state(uint64_t word)
{
    unsigned state = word & STATE_MASK;

    return state < LB_CALL_STATE_COUNT ? (enum lb_call_state)state : LB_CALL_FREE;
}

static inline uint16_t word_slot(uint64_t word)
{
    return (uint16_t)(word >> SLOT_SHIFT);
}

static inline bool same_fingerprint(uint64_t a, uint64_t b)
{
    return (a ^ b) >> FINGERPRINT_SHIFT == 0;
}

static inline uint8_t challenge_time(uint32_t now_s)
{
    return (uint8_t)(now_s / CHALLENGE_STEP_S & CHALLENGE_MASK);
}

/* `challenged_at`: of a challenge_time(); nothing without a challenge. */
static inline uint64_t note_make(uint32_t seen_s, uint32_t transaction, bool challenged,
                                 uint8_t challenged_at)
{
    return (uint64_t)seen_s << SEEN_SHIFT |
           (uint64_t)(transaction & TRANSACTION_MASK) << TRANSACTION_SHIFT |
           (challenged ? FLAG_CHALLENGED | (uint64_t)challenged_at << CHALLENGE_SHIFT : 0);
}

static inline uint32_t note_seen_s(uint64_t note)
{
    return (uint32_t)(note >> SEEN_SHIFT);
}

/* Seconds unseen. Threads read their clocks at different times, so it may be a little below 0. */
static inline int32_t note_age_s(uint64_t note, uint32_t now_s)
{
    return (int32_t)(now_s - note_seen_s(note));
}

static inline bool is_expired(uint64_t word, uint64_t note, uint32_t now_s)
{
    return note_age_s(note, now_s) > (int32_t)lifetimes_s[word_state(word)];
}

/* In one order with the swaps, which drop_duplicates() needs; on x86 a plain load all the same. */
static inline uint64_t load(const _Atomic uint64_t *p)
{
    return atomic_load(p);
}

static inline void store_note(_Atomic uint64_t *p, uint64_t note)
{
    atomic_store_explicit(p, note, memory_order_relaxed);
}

static void note_read(uint64_t note, struct lb_call *ret)
{
    ret->seen_s = note_seen_s(note);
    ret->transaction = (uint32_t)(note >> TRANSACTION_SHIFT) & TRANSACTION_MASK;
    ret->challenged = (note & FLAG_CHALLENGED) != 0;
    ret->challenged_at = (uint8_t)(note >> CHALLENGE_SHIFT & CHALLENGE_MASK);
}

static void fill_call(struct lb_call *ret, uint32_t position, uint64_t word, uint64_t note)
{
    *ret = (struct lb_call){
        .word = word,
        .position = position,
        .slot = word_slot(word),
        .state = (uint8_t)word_state(word),
    };
    note_read(note, ret);
}

/* ---- counts ---- */

/* Others read the counts while their one writer adds: whole stores, no lost or torn ones. */
static inline void count_one(uint64_t *counts, uint32_t n_slots, uint16_t slot)
{
    if (counts != NULL && slot < n_slots)
        __atomic_store_n(&counts[slot], counts[slot] + 1, __ATOMIC_RELAXED);
}

/* Swaps a word and counts what that ended and began: the one place where words change. */
static bool swap_word(_Atomic uint64_t *p, uint64_t from, uint64_t to,
                      struct lb_call_counts *counts)
{
    uint64_t expected = from;
    uint8_t was = counted_as[word_state(from)], is = counted_as[word_state(to)];

    if (!atomic_compare_exchange_strong(p, &expected, to))
        return false;
    if (was == is && same_fingerprint(from, to) && word_slot(from) == word_slot(to))
        return true;
    if (was != LB_COUNTS)
        count_one(counts->ended[was], counts->n_slots, word_slot(from));
    if (is != LB_COUNTS)
        count_one(counts->started[is], counts->n_slots, word_slot(to));
    return true;
}

/* ---- the table ---- */

/* 0: more than a position can say. */
static uint64_t sets_for(uint64_t entries)
{
    uint64_t n_sets = 1;

    if (entries > entries_max)
        return 0;
    while (n_sets * WAYS < entries)
        n_sets *= 2;
    return n_sets;
}

size_t lb_call_table_bytes(uint64_t entries)
{
    uint64_t n_sets = sets_for(entries);

    return n_sets == 0 ? 0 : sizeof(struct lb_call_table) + n_sets * sizeof(struct call_set);
}

struct lb_call_table *lb_call_table_init(void *memory, uint64_t entries)
{
    struct lb_call_table *table = memory;
    uint64_t n_sets = sets_for(entries);

    if (memory == NULL || (uintptr_t)memory % LINES_BYTES != 0 || n_sets == 0)
        return NULL;
    table->magic = magic;
    table->version = VERSION;
    table->header_bytes = sizeof *table;
    table->n_sets = n_sets;
    return table;
}

const struct lb_call_table *lb_call_table_open(const void *memory, size_t size)
{
    const struct lb_call_table *table = memory;

    if (memory == NULL || (uintptr_t)memory % LINES_BYTES != 0 || size < sizeof *table)
        return NULL;
    if (table->magic != magic || table->version != VERSION || table->header_bytes != sizeof *table)
        return NULL;
    if (table->n_sets == 0 || (table->n_sets & (table->n_sets - 1)) != 0 ||
        table->n_sets > entries_max / WAYS ||
        table->n_sets > (size - sizeof *table) / sizeof(struct call_set))
        return NULL;
    return table;
}

uint64_t lb_call_table_entries(const struct lb_call_table *table)
{
    return table->n_sets * WAYS;
}

static inline uint64_t set_index(const struct lb_call_table *table, uint64_t hash)
{
    return hash & (table->n_sets - 1);
}

static inline struct call_set *set_of(struct lb_call_table *table, uint32_t position)
{
    assert(position < lb_call_table_entries(table));
    return &table->sets[position / WAYS];
}

void lb_call_prefetch(const struct lb_call_table *table, uint64_t hash)
{
    const struct call_set *set = &table->sets[set_index(table, hash)];

    __builtin_prefetch(set->words);
    __builtin_prefetch(set->notes);
}

/* Reads the words of a set; the ways whose entries bear the hash's fingerprint, as a bit mask. */
static inline unsigned read_words(const struct call_set *set, uint64_t hash, uint64_t words[WAYS])
{
    unsigned matches = 0;

    for (unsigned way = 0; way < WAYS; way++) {
        words[way] = load(&set->words[way]);
        if (same_fingerprint(words[way], hash) && word_state(words[way]) != LB_CALL_FREE)
            matches |= 1u << way;
    }
    return matches;
}

bool lb_call_find(const struct lb_call_table *table, uint64_t hash, uint32_t now_s,
                  struct lb_call *ret)
{
    uint64_t index = set_index(table, hash), words[WAYS], note;
    const struct call_set *set = &table->sets[index];
    unsigned matches = read_words(set, hash, words), way;

    if (matches == 0)
        return false;
    way = (unsigned)__builtin_ctz(matches);
    note = load(&set->notes[way]);
    if (is_expired(words[way], note, now_s))
        return false;
    fill_call(ret, (uint32_t)(index * WAYS + way), words[way], note);
    return true;
}

/* The way to put a new entry in: the first free one, else the most expendable. */
static unsigned choose_way(const struct call_set *set, const uint64_t words[WAYS], uint32_t now_s)
{
    int64_t best = INT64_MIN;
    unsigned best_way = 0;

    for (unsigned way = 0; way < WAYS; way++) {
        uint64_t note = load(&set->notes[way]);
        enum lb_call_state state = word_state(words[way]);
        int64_t rank = expendable[state], score;

        if (state == LB_CALL_FREE)
            return way;
        if (is_expired(words[way], note, now_s))
            rank = EXPENDABLE_EXPIRED;
        score = rank * ((int64_t)1 << 32) + note_age_s(note, now_s);
        if (score > best) {
            best = score;
            best_way = way;
        }
    }
    return best_way;
}

/*
 * After an entry was inserted: leaves one of its fingerprint in the set, the one in the lowest way.
 * Two threads may have inserted the same hash in different ways. Each looks after its own swap, so
 * the later of the two sees both (the swaps and these loads are in one order), and whoever sees
 * both drops the higher: the swap says who counts it. The way that is left, WAYS when none is.
 */
static unsigned drop_duplicates(struct call_set *set, uint64_t hash, struct lb_call_counts *counts,
                                uint64_t *ret_word)
{
    for (;;) {
        uint64_t words[WAYS];
        unsigned matches = read_words(set, hash, words), way;

        if (matches == 0)
            return WAYS;
        if ((matches & (matches - 1)) == 0) {
            way = (unsigned)__builtin_ctz(matches);
            *ret_word = words[way];
            return way;
        }
        way = 31u - (unsigned)__builtin_clz(matches);
        (void)swap_word(&set->words[way], words[way], 0, counts);
    }
}

/*
 * One try to put: *way becomes where the entry now is. `raced` says that an earlier try lost, after
 * which an entry of this hash is another thread's and stays. False: lost again.
 */
static bool try_put(struct call_set *set, uint64_t word, uint64_t note, uint32_t now_s, bool raced,
                    struct lb_call_counts *counts, unsigned *way, uint64_t *ret_word)
{
    uint64_t words[WAYS];
    unsigned matches = read_words(set, word, words);

    *way = matches != 0 ? (unsigned)__builtin_ctz(matches) : choose_way(set, words, now_s);
    *ret_word = word;
    if (matches != 0 && raced) {
        *ret_word = words[*way];
        return true;
    }
    store_note(&set->notes[*way], note);
    if (words[*way] == word)
        return true;
    if (!swap_word(&set->words[*way], words[*way], word, counts))
        return false;
    if (matches != 0)
        return true;
    /* Another thread that wanted this way for another hash may have left its note. */
    if (load(&set->notes[*way]) != note)
        store_note(&set->notes[*way], note);
    *way = drop_duplicates(set, word, counts, ret_word);
    return *way < WAYS;
}

void lb_call_put(struct lb_call_table *table, uint64_t hash, uint16_t slot,
                 enum lb_call_state state, uint32_t transaction, uint32_t now_s,
                 struct lb_call_counts *counts, struct lb_call *ret)
{
    uint64_t index = set_index(table, hash), word = word_make(hash, slot, state), ret_word;
    uint64_t note = note_make(now_s, transaction, false, 0);
    struct call_set *set = &table->sets[index];
    bool raced = false;
    unsigned way;

    assert(state > LB_CALL_FREE && state < LB_CALL_STATE_COUNT);
    /* Each round that fails is one in which another thread got on: no thread waits for another. */
    while (!try_put(set, word, note, now_s, raced, counts, &way, &ret_word))
        raced = true;
    fill_call(ret, (uint32_t)(index * WAYS + way), ret_word, load(&set->notes[way]));
}

bool lb_call_change(struct lb_call_table *table, struct lb_call *call, enum lb_call_state state,
                    uint32_t now_s, struct lb_call_counts *counts)
{
    struct call_set *set = set_of(table, call->position);
    unsigned way = call->position % WAYS;
    uint64_t note = note_make(now_s, call->transaction, call->challenged, challenge_time(now_s));
    uint64_t to = state == LB_CALL_FREE ? 0 : word_make(call->word, call->slot, state);

    assert(state < LB_CALL_STATE_COUNT);
    if (call->word == to || load(&set->words[way]) != call->word)
        return false;
    store_note(&set->notes[way], note);
    if (!swap_word(&set->words[way], call->word, to, counts))
        return false;
    fill_call(call, call->position, to, note);
    return true;
}

void lb_call_note(struct lb_call_table *table, struct lb_call *call, uint32_t transaction,
                  bool challenged, uint32_t now_s)
{
    struct call_set *set = set_of(table, call->position);
    unsigned way = call->position % WAYS;
    uint64_t word = load(&set->words[way]), old = load(&set->notes[way]), note;
    uint32_t seen_s = word_state(word) == LB_CALL_REGISTRATION ? note_seen_s(old) : now_s;

    /* The state may have changed since; another call's entry is left alone. */
    if (!same_fingerprint(word, call->word))
        return;
    note = note_make(seen_s, transaction, challenged, challenge_time(now_s));
    if (old != note)
        store_note(&set->notes[way], note);
    note_read(note, call);
}

void lb_call_register(struct lb_call_table *table, struct lb_call *call, uint32_t expires_s,
                      uint32_t now_s, struct lb_call_counts *counts)
{
    struct call_set *set = set_of(table, call->position);
    unsigned way = call->position % WAYS;
    uint32_t left_s = expires_s < LB_CALL_REGISTRATION_S ? expires_s : LB_CALL_REGISTRATION_S;
    uint64_t to = word_make(call->word, call->slot, LB_CALL_REGISTRATION);
    uint64_t note =
        note_make(now_s - (LB_CALL_REGISTRATION_S - left_s), call->transaction, false, 0);

    if (load(&set->words[way]) != call->word)
        return;
    /* Before the swap it would look like an entry long unseen, and the sweep would take it. */
    if (call->word != to && !swap_word(&set->words[way], call->word, to, counts))
        return;
    store_note(&set->notes[way], note);
    fill_call(call, call->position, to, note);
}

uint32_t lb_call_left_s(const struct lb_call *call, uint32_t now_s)
{
    int64_t left_s = (int64_t)lifetimes_s[call->state] - (int32_t)(now_s - call->seen_s);

    return left_s > 0 ? (uint32_t)left_s : 0;
}

bool lb_call_is_challenged(const struct lb_call *call, uint32_t now_s)
{
    if (!call->challenged)
        return false;
    if (call->state == LB_CALL_REGISTRATION)
        return ((challenge_time(now_s) - call->challenged_at) & CHALLENGE_MASK) <=
               LB_CALL_CHALLENGE_S / CHALLENGE_STEP_S;
    return (int32_t)(now_s - call->seen_s) <= LB_CALL_CHALLENGE_S;
}

/* Expires one entry if it is due; what is left there, 0 when nothing is. */
static uint64_t sweep_one(struct call_set *set, unsigned way, uint32_t now_s,
                          struct lb_call_counts *counts)
{
    uint64_t word = load(&set->words[way]);

    if (word == 0 || !is_expired(word, load(&set->notes[way]), now_s))
        return word;
    if (swap_word(&set->words[way], word, 0, counts))
        return 0;
    /* It changed under the sweep, so it is in use: it stays, as what it now is. */
    return load(&set->words[way]);
}

uint64_t lb_call_sweep(struct lb_call_table *table, uint64_t first, uint64_t n, uint32_t now_s,
                       struct lb_call_counts *counts, uint32_t *used, uint32_t n_slots)
{
    uint64_t entries = lb_call_table_entries(table);
    uint64_t position = first & (entries - 1);

    for (uint64_t left = n < entries ? n : entries; left > 0; left--) {
        uint64_t word = sweep_one(&table->sets[position / WAYS], position % WAYS, now_s, counts);

        if (word != 0 && used != NULL && word_slot(word) < n_slots)
            used[word_slot(word)]++;
        position = (position + 1) & (entries - 1);
    }
    return position;
}

/*
 * The note of an entry on another's clock; one that is ahead of ours would live for ever. What is
 * seen of a registration is never ahead on its own clock, so that it ends when it did there; the
 * time of its challenge cannot be told on ours.
 */
static uint64_t note_shifted(uint64_t note, uint64_t word, uint32_t shift_s, uint32_t now_s)
{
    uint64_t seconds = (uint64_t)(note_seen_s(note) + shift_s) << SEEN_SHIFT;
    uint64_t rest = note & (((uint64_t)1 << SEEN_SHIFT) - 1);

    if (word_state(word) == LB_CALL_REGISTRATION)
        rest &= ~(uint64_t)FLAG_CHALLENGED;
    return note_age_s(seconds, now_s) < 0 ? (uint64_t)now_s << SEEN_SHIFT | rest : seconds | rest;
}

uint64_t lb_call_table_adopt(struct lb_call_table *table, const struct lb_call_table *from,
                             uint32_t shift_s, const uint16_t *slot_of, uint32_t n_slots,
                             uint32_t now_s, struct lb_call_counts *counts)
{
    uint64_t entries = lb_call_table_entries(table), adopted = 0;

    if (from->n_sets != table->n_sets)
        return 0;
    for (uint64_t position = 0; position < entries; position++) {
        struct call_set *set = &table->sets[position / WAYS];
        uint64_t word = load(&from->sets[position / WAYS].words[position % WAYS]), there;
        uint64_t note = note_shifted(load(&from->sets[position / WAYS].notes[position % WAYS]),
                                     word, shift_s, now_s);
        uint16_t slot = word_slot(word) < n_slots ? slot_of[word_slot(word)] : LB_NO_SLOT;
        unsigned way;

        if (word_state(word) == LB_CALL_FREE || slot == LB_NO_SLOT ||
            is_expired(word, note, now_s))
            continue;
        word = word_make(word, slot, word_state(word));
        while (!try_put(set, word, note, now_s, true, counts, &way, &there))
            ;
        adopted++;
    }
    return adopted;
}

const char *lb_call_state_name(enum lb_call_state state)
{
    static const char *const names[LB_CALL_STATE_COUNT] = {
        [LB_CALL_FREE] = "free",
        [LB_CALL_BEGUN] = "begun",
        [LB_CALL_LIVE] = "live",
        [LB_CALL_ENDED] = "ended",
        [LB_CALL_OTHER] = "other",
        [LB_CALL_SUBSCRIPTION] = "subscription",
        [LB_CALL_REGISTRATION] = "registration",
    };

    return state >= 0 && state < LB_CALL_STATE_COUNT ? names[state] : "unknown";
}
