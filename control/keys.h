/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's keys as control holds them: read at the start and with every reload, rotated when an
 * operator says so, and how long the next rotation must wait. Nothing here changes what runs: a
 * changed set is part of a plan. The times are parameters; keys_now reads the clocks for callers.
 *
 * A rotation makes next current and current previous. Nodes that share one file may take it up at
 * any time before the following rotation: one that has not yet verifies by its next key what the
 * others sign, and they verify by their previous key what it signs.
 */
#ifndef TANDEM_CONTROL_KEYS_H
#define TANDEM_CONTROL_KEYS_H

#include "config/secret.h"

enum { KEYS_NOTE_MAX = 512 };

struct keys_time {
    uint64_t wall_s;              /* CLOCK_REALTIME: what files bear; may jump */
    uint64_t boot_s;              /* CLOCK_BOOTTIME: never jumps, means nothing after a reboot */
};

struct keys {
    struct compile_secret secret;
    uint64_t seen_boot_s;         /* since when this process knows that current signs */
    bool switched;                /* until then it signed with another key itself */
    char *unsaved;                /* the file that the secret is still to be written to, or NULL */
};

struct keys_time keys_now(void);

void keys_free(struct keys *keys);

/* Loads the secret at the start, or makes it. NULL and one line in ret_text[PLAN_TEXT_MAX], which
 * quotes nothing of it. */
struct keys *keys_begin(const char *file, const struct keys_time *now, char *ret_text);

/*
 * Reads the file again. 0 and in *ret_keys what changed, or NULL: nothing did; in ret_note
 * (KEYS_NOTE_MAX) what a person should know of that. A negative errno and one line in
 * ret_text[PLAN_TEXT_MAX] when it cannot be read, or its seed is another, which would move calls.
 */
int keys_reread(const struct keys *running, const char *file, const struct keys_time *now,
                struct keys **ret_keys, char *ret_note, char *ret_text);

/*
 * One rotation of what runs, to be written to the file, and in ret_note (KEYS_NOTE_MAX) what it does
 * and what is left to do. A negative errno and one line in ret_text[PLAN_TEXT_MAX]: -EAGAIN when
 * tokens signed by the key that would be forgotten may live, with the time; -EBUSY when the file is
 * not what runs.
 */
int keys_rotate(const struct keys *running, const char *file, uint64_t lifetime_ms,
                const struct keys_time *now, struct keys **ret_keys, char *ret_note,
                char *ret_text);

/*
 * Seconds until a rotation may be: the previous key must verify for token_lifetime after the last
 * time it signed. What this process saw counts more than the wall clock: one that jumped forward
 * allows nothing too early while the process lives, one that jumped back delays nothing for longer
 * than token_lifetime of that.
 */
uint64_t keys_wait_s(const struct keys *keys, uint64_t lifetime_ms, const struct keys_time *now);

/* A time as 2026-01-31T12:00:00Z. */
enum { KEYS_TIME_MAX = 32 };
void keys_time_print(uint64_t wall_s, char ret_text[KEYS_TIME_MAX]);

/* The unsaved secret: written beside its file, which takes its place, or is removed. They do nothing
 * when there is none. 0 or a negative errno. */
int keys_prepare(const struct keys *keys);
int keys_commit(struct keys *keys);
void keys_abandon(const struct keys *keys);

#endif
