/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that run, those of the file, and those after a rotation: see keys.h.
 */
#include "control/keys.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/durable.h"
#include "control/plan.h"

struct keys_time keys_now(void)
{
    struct timespec wall, boot;

    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (struct keys_time){(uint64_t)wall.tv_sec, (uint64_t)boot.tv_sec};
}

void keys_free(struct keys *keys)
{
    if (keys == NULL)
        return;
    free(keys->unsaved);
    explicit_bzero(keys, sizeof(*keys));
    free(keys);
}

/* One line about a secret that could not be loaded. */
static void explain(const char *file, int status, uint32_t line, char *ret_text)
{
    if (status == -EINVAL && line == 0)
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: seed or current key missing", file);
    else if (status == -EINVAL)
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s:%u: malformed secret", file, line);
    else if (status == -EPERM)
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: others may read or write it: chmod 600", file);
    else if (status == -EACCES)
        snprintf(ret_text, PLAN_TEXT_MAX,
                 "%.500s: user %u, who runs tandem-control, may not read it: chown", file,
                 (unsigned int)geteuid());
    else if (status == -EISNAM)
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: is no regular file", file);
    else
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: %s", file, strerror(-status));
}

struct keys *keys_begin(const char *file, const struct keys_time *now, char *ret_text)
{
    struct keys *keys = calloc(1, sizeof(*keys));
    uint32_t line = 0;
    int status;

    if (keys == NULL) {
        snprintf(ret_text, PLAN_TEXT_MAX, "no memory");
        return NULL;
    }
    status = compile_secret_load(file, &keys->secret, &line);
    if (status != 0) {
        explain(file, status, line, ret_text);
        keys_free(keys);
        return NULL;
    }
    keys->seen_boot_s = now->boot_s;
    return keys;
}

static bool same_seed(const struct compile_secret *a, const struct compile_secret *b)
{
    return a->seed.k0 == b->seed.k0 && a->seed.k1 == b->seed.k1;
}

static bool same_secret(const struct compile_secret *a, const struct compile_secret *b)
{
    if (!same_seed(a, b) || a->rotated_s != b->rotated_s)
        return false;
    for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++) {
        if ((a->mac[i].valid || b->mac[i].valid) && !secret_same_key(&a->mac[i], &b->mac[i]))
            return false;
    }
    return true;
}

/* "key 3 signs, key 2 verifies, key 4 is next". */
static void describe(const struct compile_secret *secret, char *ret, size_t size)
{
    const struct snapshot_mac_key *mac = secret->mac;
    int n = snprintf(ret, size, "key %u signs", mac[SNAPSHOT_MAC_CURRENT].id);

    if (mac[SNAPSHOT_MAC_PREVIOUS].valid)
        n +=
            snprintf(ret + n, size - (size_t)n, ", key %u verifies", mac[SNAPSHOT_MAC_PREVIOUS].id);
    if (mac[SNAPSHOT_MAC_NEXT].valid)
        snprintf(ret + n, size - (size_t)n, ", key %u is next", mac[SNAPSHOT_MAC_NEXT].id);
}

/* What the operator should know when the keys of a file take the place of those that run. */
static void note_reread(const struct compile_secret *old, const struct compile_secret *new,
                        char *ret_note)
{
    const struct snapshot_mac_key *signed_by = &old->mac[SNAPSHOT_MAC_CURRENT];
    char keys[96];
    bool known = false;

    for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++)
        known |= secret_same_key(signed_by, &new->mac[i]);
    describe(new, keys, sizeof(keys));
    snprintf(ret_note, KEYS_NOTE_MAX, "the secret changed: %s", keys);
    if (!known) {
        size_t length = strlen(ret_note);

        snprintf(ret_note + length, KEYS_NOTE_MAX - length,
                 "; TOKENS SIGNED HERE UNTIL NOW ARE REFUSED: their key %u is not in the file",
                 signed_by->id);
    }
}

/* What runs with another secret, seen to sign from now on if it signs with another key. */
static struct keys *changed(const struct keys *running, const struct compile_secret *secret,
                            const struct keys_time *now)
{
    struct keys *keys = calloc(1, sizeof(*keys));

    if (keys == NULL)
        return NULL;
    keys->secret = *secret;
    keys->seen_boot_s = running->seen_boot_s;
    keys->switched = running->switched;
    if (!secret_same_key(&running->secret.mac[SNAPSHOT_MAC_CURRENT],
                         &secret->mac[SNAPSHOT_MAC_CURRENT])) {
        keys->seen_boot_s = now->boot_s;
        keys->switched = true;
    }
    return keys;
}

int keys_reread(const struct keys *running, const char *file, const struct keys_time *now,
                struct keys **ret_keys, char *ret_note, char *ret_text)
{
    struct compile_secret secret;
    struct keys *keys = NULL;
    uint32_t line = 0;
    int status = secret_read(file, &secret, &line);

    if (status != 0) {
        explain(file, status, line, ret_text);
        return status;
    }
    if (!same_seed(&secret, &running->secret)) {
        snprintf(ret_text, PLAN_TEXT_MAX,
                 "%.500s: has another seed than runs, which would move calls and break "
                 "transactions: needs a restart of tandem-control",
                 file);
        status = -EBUSY;
    } else if (!same_secret(&secret, &running->secret)) {
        keys = changed(running, &secret, now);
        if (keys == NULL)
            status = -ENOMEM;
        else
            note_reread(&running->secret, &secret, ret_note);
    }
    explicit_bzero(&secret, sizeof(secret));
    if (status == 0)
        *ret_keys = keys;
    return status;
}

static uint64_t lifetime_s(uint64_t lifetime_ms)
{
    return lifetime_ms / 1000 + (lifetime_ms % 1000 != 0);
}

uint64_t keys_wait_s(const struct keys *keys, uint64_t lifetime_ms, const struct keys_time *now)
{
    uint64_t lifetime = lifetime_s(lifetime_ms), rest, over;
    uint64_t seen = now->boot_s > keys->seen_boot_s ? now->boot_s - keys->seen_boot_s : 0;

    if (!keys->secret.mac[SNAPSHOT_MAC_PREVIOUS].valid || seen >= lifetime)
        return 0;
    rest = lifetime - seen;
    over = keys->secret.rotated_s + lifetime; /* the file's number ends far below 2^64 */
    if (keys->switched)
        return rest;
    if (now->wall_s >= over)
        return 0;
    return over - now->wall_s < rest ? over - now->wall_s : rest;
}

void keys_time_print(uint64_t wall_s, char ret_text[KEYS_TIME_MAX])
{
    time_t seconds = (time_t)wall_s;
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(ret_text, KEYS_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(ret_text, KEYS_TIME_MAX, "second %llu", (unsigned long long)wall_s);
}

/* Whether a rotation may be now; -EAGAIN and until when not. */
static int may_rotate(const struct keys *running, uint64_t lifetime_ms, const struct keys_time *now,
                      char *ret_text)
{
    uint64_t wait = keys_wait_s(running, lifetime_ms, now);
    char until[KEYS_TIME_MAX];

    if (wait == 0)
        return 0;
    keys_time_print(now->wall_s + wait, until);
    snprintf(ret_text, PLAN_TEXT_MAX,
             "too early: tokens that key %u signed may live until %s (token_lifetime after the "
             "last rotation), and one more would forget it",
             running->secret.mac[SNAPSHOT_MAC_PREVIOUS].id, until);
    return -EAGAIN;
}

/* Whether the file is what runs: another one was put there, and must be taken first. */
static int check_file(const struct keys *running, const char *file, char *ret_text)
{
    struct compile_secret secret;
    uint32_t line = 0;
    int status = secret_read(file, &secret, &line);
    bool same;

    if (status != 0) {
        explain(file, status, line, ret_text);
        return status;
    }
    same = same_secret(&secret, &running->secret);
    explicit_bzero(&secret, sizeof(secret));
    if (same)
        return 0;
    snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: is not the secret that runs: reload first", file);
    return -EBUSY;
}

static void note_rotated(const struct compile_secret *old, const struct compile_secret *new,
                         uint64_t lifetime_ms, const char *file, char *ret_note)
{
    bool stepped = old->mac[SNAPSHOT_MAC_NEXT].valid;
    char keys[96], until[KEYS_TIME_MAX];

    describe(new, keys, sizeof(keys));
    keys_time_print(new->rotated_s + lifetime_s(lifetime_ms), until);
    if (!stepped)
        snprintf(ret_note, KEYS_NOTE_MAX,
                 "no rotation yet, there was no next key that other nodes know: %s; copy %.200s to "
                 "the other nodes, reload there, and rotate again",
                 keys, file);
    else
        snprintf(ret_note, KEYS_NOTE_MAX,
                 "%s; copy %.200s to the other nodes and reload there; the next rotation may be "
                 "from %s on",
                 keys, file, until);
}

int keys_rotate(const struct keys *running, const char *file, uint64_t lifetime_ms,
                const struct keys_time *now, struct keys **ret_keys, char *ret_note, char *ret_text)
{
    bool steps = running->secret.mac[SNAPSHOT_MAC_NEXT].valid;
    int status = check_file(running, file, ret_text);
    struct compile_secret secret;
    struct keys *keys;

    if (status == 0 && steps)
        status = may_rotate(running, lifetime_ms, now, ret_text);
    if (status == 0) {
        status = secret_rotate(&running->secret, now->wall_s, &secret);
        if (status != 0)
            snprintf(ret_text, PLAN_TEXT_MAX, "no random numbers: %s", strerror(-status));
    }
    if (status != 0)
        return status;
    keys = changed(running, &secret, now);
    explicit_bzero(&secret, sizeof(secret));
    if (keys != NULL)
        keys->unsaved = realpath(file, NULL); /* a link stays one */
    if (keys == NULL || keys->unsaved == NULL) {
        snprintf(ret_text, PLAN_TEXT_MAX, "%.500s: %s", file, strerror(errno));
        keys_free(keys);
        return -EIO;
    }
    note_rotated(&running->secret, &keys->secret, lifetime_ms, file, ret_note);
    *ret_keys = keys;
    return 0;
}

int keys_prepare(const struct keys *keys)
{
    return keys->unsaved == NULL ? 0 : secret_prepare(&keys->secret, keys->unsaved);
}

int keys_commit(struct keys *keys)
{
    int status = keys->unsaved == NULL ? 0 : durable_commit(keys->unsaved);

    free(keys->unsaved);
    keys->unsaved = NULL;
    return status;
}

void keys_abandon(const struct keys *keys)
{
    if (keys->unsaved != NULL)
        durable_abandon(keys->unsaved);
}
