/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call table: which backend has a Call-ID. Bounded, set-associative, shared by all workers
 * without locks, 16 bytes an entry. It is a cache: losing an entry must not misroute a dialog
 * that carries a Route set or a token.
 *
 * All that must agree (fingerprint, slot, state) is one 64-bit word, changed only by
 * compare-and-swap. A second, advisory word holds last-seen, a hash of the last transaction and
 * flags; a torn pair of the two can only make a retransmission look new, or an entry live a little
 * longer or be forgotten.
 *
 * Who wins the swap that begins, ends or expires a call, a registration or a subscription adds to
 * its own started[][slot] or ended[][slot]; readers sum over writers and clamp at 0. A call is
 * counted while it is BEGUN or LIVE.
 */
#ifndef TANDEM_LB_CALL_TABLE_H
#define TANDEM_LB_CALL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lb_call_state {
    LB_CALL_FREE,
    LB_CALL_BEGUN, /* INVITE seen, no final answer yet */
    LB_CALL_LIVE,  /* a dialog: 2xx to INVITE seen, or a request with a To-tag */
    LB_CALL_ENDED, /* BYE answered, or a final failure: kept for retransmissions, not counted */
    LB_CALL_OTHER, /* a transaction that is no call (REGISTER, OPTIONS, MESSAGE…) */
    LB_CALL_SUBSCRIPTION, /* SUBSCRIBE, REFER, PUBLISH: lives long, is not counted as a call */
    LB_CALL_REGISTRATION, /* a backend granted it by 2xx to REGISTER: lives until it expires */
    LB_CALL_STATE_COUNT,
};

/* Seconds an entry of a state lives after it was last seen. */
enum {
    LB_CALL_BEGUN_S = 240, /* Timer C is more than 3 minutes (RFC 3261 §16.6) */
    LB_CALL_LIVE_S =
        6 * 3600,         /* a dialog without a message for so long has a Route set, or is dead */
    LB_CALL_ENDED_S = 40, /* Timers B, F, H: 32 s */
    LB_CALL_OTHER_S = 40,
    LB_CALL_SUBSCRIPTION_S = 2 * 3600,
    LB_CALL_REGISTRATION_S = 24 * 3600, /* at most: lb_call_register() says how long */
    LB_CALL_CHALLENGE_S = 32,           /* the request after a 401 or 407 comes within */
};

enum { LB_SLOTS_MAX = 65535, LB_NO_SLOT = 0xffff };

/* What is counted. */
enum lb_count { LB_COUNT_CALLS, LB_COUNT_REGISTRATIONS, LB_COUNT_SUBSCRIPTIONS, LB_COUNTS };

/* One writer's counts for each slot: what began, what is over. Plain memory of its owner. */
struct lb_call_counts {
    uint64_t *started[LB_COUNTS]; /* each [n_slots]; NULL: not counted */
    uint64_t *ended[LB_COUNTS];
    uint32_t n_slots;
};

struct lb_call_table; /* lies at the start of the memory it was made in; no pointers inside */

/* An entry as it was read. */
struct lb_call {
    uint64_t word; /* as read, for the swap */
    uint32_t position;
    uint32_t seen_s;            /* of a registration: when it ends, less LB_CALL_REGISTRATION_S */
    uint32_t transaction : 24;  /* hash of the last transaction noted */
    uint32_t challenged_at : 8; /* when: lb_call_is_challenged() reads it */
    uint16_t slot;
    uint8_t state;   /* enum lb_call_state */
    bool challenged; /* a 401 or 407 was the last answer */
};

/* Bytes for at least that many entries (rounded up to a power of two of sets of 8).
 * 0: more than 2^32. */
size_t lb_call_table_bytes(uint64_t entries);

/* Makes an empty table in zeroed, 128-byte aligned memory of lb_call_table_bytes(entries). NULL
 * when the memory is not aligned or the entries are too many. */
struct lb_call_table *lb_call_table_init(void *memory, uint64_t entries);

/* The table that lies in `memory`; NULL when header and size do not agree. For readers elsewhere.
 */
const struct lb_call_table *lb_call_table_open(const void *memory, size_t size);

uint64_t lb_call_table_entries(const struct lb_call_table *table);

/* Starts loading the set of a hash. */
void lb_call_prefetch(const struct lb_call_table *table, uint64_t hash);

/*
 * Finds the entry of a keyed hash of pool and Call-ID (set from the low bits, 44-bit fingerprint
 * from the high ones). An entry whose lifetime is over at now_s is not found. Any thread.
 */
bool lb_call_find(const struct lb_call_table *table, uint64_t hash, uint32_t now_s,
                  struct lb_call *ret);

/*
 * Puts an entry, or changes the one of this hash whatever it said. When its set is full, the
 * most expendable entry goes (expired, then ENDED, OTHER, REGISTRATION, SUBSCRIPTION, BEGUN, LIVE;
 * within one the longest unseen, or the registration that ends first) and is counted as over.
 * Counts what begins and ends. Returns the entry as it then is in *ret; when another thread won a
 * race for the same hash, what that one put.
 */
void lb_call_put(struct lb_call_table *table, uint64_t hash, uint16_t slot,
                 enum lb_call_state state, uint32_t transaction, uint32_t now_s,
                 struct lb_call_counts *counts, struct lb_call *ret);

/*
 * Changes the state of an entry found before (LB_CALL_FREE drops it), if it has not changed since.
 * Counts. True when this call made the change; *call is then brought up to date. False also when it
 * has that state already: a retransmission changes nothing (lb_call_note() says that it was seen).
 */
bool lb_call_change(struct lb_call_table *table, struct lb_call *call, enum lb_call_state state,
                    uint32_t now_s, struct lb_call_counts *counts);

/* Notes that it was seen now, with this transaction and challenge mark; a registration ends when it
 * did before all the same. Writes only on change. */
void lb_call_note(struct lb_call_table *table, struct lb_call *call, uint32_t transaction,
                  bool challenged, uint32_t now_s);

/*
 * Makes an entry found before a registration that ends in expires_s (1 to LB_CALL_REGISTRATION_S;
 * more is as much), or says so of one. Counts. Nothing when the entry has changed since.
 */
void lb_call_register(struct lb_call_table *table, struct lb_call *call, uint32_t expires_s,
                      uint32_t now_s, struct lb_call_counts *counts);

/* In how many seconds an entry's lifetime is over; 0: now. */
uint32_t lb_call_left_s(const struct lb_call *call, uint32_t now_s);

/* Whether a 401 or 407 was its last answer, not more than LB_CALL_CHALLENGE_S ago. Of a
 * registration the time is kept in steps of 8 s and modulo 1024 s only: some seconds more, and a
 * challenge that nobody took up for a quarter of an hour may be mistaken for a new one. */
bool lb_call_is_challenged(const struct lb_call *call, uint32_t now_s);

/*
 * Expires what is due in n entries from `first` on (wrapping), and counts in used[slot] (may be
 * NULL, n_slots long) the entries that stay. Returns the position to go on from. One thread: main.
 */
uint64_t lb_call_sweep(struct lb_call_table *table, uint64_t first, uint64_t n, uint32_t now_s,
                       struct lb_call_counts *counts, uint32_t *used, uint32_t n_slots);

/*
 * Takes over the entries of another table of as many entries, which nobody changes: what a process
 * before this one knew. slot_of[n_slots] says by which slot its slots go here (LB_NO_SLOT: the entry
 * is left), shift_s is added to its seconds. An entry of the same hash that is here already stays.
 * Counts the calls among them as begun. Returns how many there were; 0 also for a table of another
 * size. While others use the table, too.
 */
uint64_t lb_call_table_adopt(struct lb_call_table *table, const struct lb_call_table *from,
                             uint32_t shift_s, const uint16_t *slot_of, uint32_t n_slots,
                             uint32_t now_s, struct lb_call_counts *counts);

const char *lb_call_state_name(enum lb_call_state state);

#endif
