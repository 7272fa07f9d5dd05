/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's keys: what a rotation makes of them, when it may be, how nodes follow each other by
 * copies of one file, and a rotation as a change that the data plane takes, refuses or never sees.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/durable.h"
#include "tests/unit/control/fake.h"

#define A "{name: a, address: 10.0.0.1, port: 5060}"

enum { DAY_S = 86400, DAY_MS = DAY_S * 1000, WALL_S = 1800000000, BOOT_S = 1000 };

static const struct keys_time start = {WALL_S, BOOT_S};

/* A node: its secret's file and what it runs. */
struct node {
    char dir[64], file[96];
    struct keys *keys;
};

static void node_setup(struct node *node)
{
    char text[PLAN_TEXT_MAX];

    strcpy(node->dir, "/tmp/tandem-keys-XXXXXX");
    assert_non_null(mkdtemp(node->dir));
    snprintf(node->file, sizeof(node->file), "%s/secret", node->dir);
    node->keys = keys_begin(node->file, &start, text);
    assert_non_null(node->keys);
}

static void node_teardown(struct node *node)
{
    keys_free(node->keys);
    assert_int_equal(unlink(node->file), 0);
    assert_int_equal(rmdir(node->dir), 0); /* nothing else was left there */
}

static void adopt(struct node *node, struct keys *keys)
{
    keys_free(node->keys);
    node->keys = keys;
}

/* A rotation as control does it, the data plane agreeing. */
static int rotate(struct node *node, const struct keys_time *now, char *ret_note)
{
    struct keys *keys = NULL;
    char text[PLAN_TEXT_MAX];
    int status = keys_rotate(node->keys, node->file, DAY_MS, now, &keys, ret_note, text);

    if (status != 0) {
        snprintf(ret_note, KEYS_NOTE_MAX, "%.500s", text);
        return status;
    }
    assert_int_equal(keys_prepare(keys), 0);
    assert_int_equal(keys_commit(keys), 0);
    adopt(node, keys);
    return 0;
}

/* Reads the file again; the status. */
static int reread(struct node *node, const struct keys_time *now, char *ret_note)
{
    struct keys *keys = NULL;
    char text[PLAN_TEXT_MAX];
    int status = keys_reread(node->keys, node->file, now, &keys, ret_note, text);

    if (status != 0)
        snprintf(ret_note, KEYS_NOTE_MAX, "%.500s", text);
    else if (keys != NULL)
        adopt(node, keys);
    return status;
}

static void copy_file(const struct node *from, const struct node *to)
{
    char bytes[2048];
    FILE *file = fopen(from->file, "r");
    size_t n;

    assert_non_null(file);
    n = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    assert_int_equal(durable_prepare(to->file, bytes, n), 0);
    assert_int_equal(durable_commit(to->file), 0);
}

static uint8_t id_of(const struct node *node, int which)
{
    return node->keys->secret.mac[which].valid ? node->keys->secret.mac[which].id : 0;
}

static void assert_ids(const struct node *node, uint8_t previous, uint8_t current, uint8_t next)
{
    assert_int_equal(id_of(node, SNAPSHOT_MAC_PREVIOUS), previous);
    assert_int_equal(id_of(node, SNAPSHOT_MAC_CURRENT), current);
    assert_int_equal(id_of(node, SNAPSHOT_MAC_NEXT), next);
}

/* Whether `to` verifies what `from` signs. */
static bool verifies(const struct node *to, const struct node *from)
{
    const struct snapshot_mac_key *signing = &from->keys->secret.mac[SNAPSHOT_MAC_CURRENT];

    for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++) {
        if (secret_same_key(signing, &to->keys->secret.mac[i]))
            return true;
    }
    return false;
}

static void nodes_follow_by_a_copy_at_any_moment(void **context)
{
    struct node a, b;
    char note[PLAN_TEXT_MAX] = "";
    struct keys_time now = start;
    struct lb_key seed;

    (void)context;
    node_setup(&a);
    node_setup(&b);
    copy_file(&a, &b);
    assert_int_equal(reread(&b, &now, note), -EBUSY); /* a seed of its own: not ours to take */
    assert_non_null(strstr(note, "seed"));
    keys_free(b.keys);
    b.keys = keys_begin(b.file, &start, note);
    seed = a.keys->secret.seed;
    for (uint8_t id = 1; id < 20; id++) {
        assert_ids(&a, id - 1, id, id + 1);
        assert_int_equal(rotate(&a, &now, note), 0);
        assert_ids(&a, id, id + 1, id + 2);
        assert_true(verifies(&b, &a)); /* b has not heard of it */
        assert_true(verifies(&a, &b));
        copy_file(&a, &b);
        assert_int_equal(reread(&b, &now, note), 0);
        assert_null(strstr(note, "REFUSED"));
        assert_ids(&b, id, id + 1, id + 2);
        assert_true(verifies(&b, &a));
        assert_true(verifies(&a, &b));
        now.wall_s += DAY_S;
        now.boot_s += DAY_S;
        if (id % 2 == 0) { /* the other one is who rotates next */
            struct node other = a;

            a = b;
            b = other;
        }
    }
    assert_memory_equal(&seed, &a.keys->secret.seed, sizeof(seed));
    assert_memory_equal(&seed, &b.keys->secret.seed, sizeof(seed));
    node_teardown(&a);
    node_teardown(&b);
}

static void ids_never_repeat_within_the_window(void **context)
{
    struct compile_secret secret = {.mac = {[SNAPSHOT_MAC_CURRENT] = {.id = 250, .valid = 1},
                                            [SNAPSHOT_MAC_NEXT] = {.id = 251, .valid = 1}}};
    uint8_t last = 251;

    (void)context;
    for (int i = 0; i < 600; i++) {
        struct compile_secret to;

        assert_int_equal(secret_rotate(&secret, 1, &to), 0);
        assert_int_equal(to.mac[SNAPSHOT_MAC_NEXT].id, last == 255 ? 1 : last + 1);
        for (int j = 0; j < SNAPSHOT_MAC_KEYS; j++)
            assert_true(!secret.mac[j].valid || secret.mac[j].id != to.mac[SNAPSHOT_MAC_NEXT].id);
        assert_memory_not_equal(&to.mac[SNAPSHOT_MAC_NEXT].key, &secret.mac[SNAPSHOT_MAC_NEXT].key,
                                sizeof(struct lb_key));
        last = to.mac[SNAPSHOT_MAC_NEXT].id;
        secret = to;
    }
    /* Ids that a person chose. */
    secret.mac[SNAPSHOT_MAC_NEXT].id = 255;
    secret.mac[SNAPSHOT_MAC_CURRENT].id = 1;
    secret.mac[SNAPSHOT_MAC_PREVIOUS].id = 2;
    assert_int_equal(secret_rotate(&secret, 1, &secret), 0);
    assert_int_equal(secret.mac[SNAPSHOT_MAC_NEXT].id, 3);
}

static void secret_without_a_next_key_gets_one_and_does_not_step(void **context)
{
    struct node node;
    char note[PLAN_TEXT_MAX];

    (void)context;
    node_setup(&node);
    node.keys->secret.mac[SNAPSHOT_MAC_NEXT].valid = 0;
    assert_int_equal(secret_prepare(&node.keys->secret, node.file), 0);
    assert_int_equal(durable_commit(node.file), 0);
    assert_int_equal(rotate(&node, &start, note), 0);
    assert_ids(&node, 0, 1, 2);
    assert_non_null(strstr(note, "no rotation yet"));
    assert_int_equal(node.keys->secret.rotated_s, 0);
    assert_int_equal(rotate(&node, &start, note), 0);
    assert_ids(&node, 1, 2, 3);
    node_teardown(&node);
}

static void rotation_waits_for_the_tokens_of_the_key_it_forgets(void **context)
{
    /* What the file says, what this process saw, the clocks now → the seconds to wait. */
    static const struct {
        const char *what;
        bool previous, switched;
        uint64_t rotated_s, seen_boot_s;
        struct keys_time now;
        uint64_t wait_s;
    } rows[] = {
        {"never rotated", false, false, 0, BOOT_S, {WALL_S, BOOT_S}, 0},
        {"just now", true, true, WALL_S, BOOT_S, {WALL_S, BOOT_S}, DAY_S},
        {"an hour ago", true, true, WALL_S - 3600, 1000, {WALL_S, 4600}, DAY_S - 3600},
        {"a day ago", true, true, WALL_S - DAY_S, 1000, {WALL_S, 1000 + DAY_S}, 0},
        {"an hour before our start",
         true,
         false,
         WALL_S - 3600,
         1000,
         {WALL_S, 1000},
         DAY_S - 3600},
        {"a day before our start", true, false, WALL_S - DAY_S, 1000, {WALL_S, 1000}, 0},
        {"clock jumped a year on",
         true,
         true,
         WALL_S,
         1000,
         {WALL_S + 365 * DAY_S, 1060},
         DAY_S - 60},
        {"clock jumped a year back",
         true,
         true,
         WALL_S,
         1000,
         {WALL_S - 365 * DAY_S, 1060},
         DAY_S - 60},
        {"clock is years behind the file's",
         true,
         false,
         WALL_S + 3000ul * DAY_S,
         1000,
         {WALL_S, 1060},
         DAY_S - 60},
        {"the same a day later",
         true,
         false,
         WALL_S + 3000ul * DAY_S,
         1000,
         {WALL_S + DAY_S, 1000 + DAY_S},
         0},
        {"greatest number of a file", true, false, INT64_MAX, 1000, {WALL_S, 1000}, DAY_S},
        {"clock of 1970", true, false, WALL_S, 0, {0, 5}, DAY_S - 5},
    };

    (void)context;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct keys keys = {.seen_boot_s = rows[i].seen_boot_s, .switched = rows[i].switched};

        keys.secret.rotated_s = rows[i].rotated_s;
        keys.secret.mac[SNAPSHOT_MAC_PREVIOUS].valid = rows[i].previous;
        if (keys_wait_s(&keys, DAY_MS, &rows[i].now) != rows[i].wait_s)
            fail_msg("%s: %lu", rows[i].what,
                     (unsigned long)keys_wait_s(&keys, DAY_MS, &rows[i].now));
    }
}

static void early_rotation_is_refused_with_the_time(void **context)
{
    struct node node;
    char note[PLAN_TEXT_MAX];
    struct keys_time now = start;

    (void)context;
    node_setup(&node);
    assert_int_equal(rotate(&node, &now, note), 0);
    assert_non_null(strstr(note, "key 2 signs, key 1 verifies, key 3 is next"));
    assert_non_null(strstr(note, "2027-01-16T08:00:00Z"));
    now.wall_s += DAY_S - 1;
    now.boot_s += DAY_S - 1;
    assert_int_equal(rotate(&node, &now, note), -EAGAIN);
    assert_non_null(strstr(note, "2027-01-16T08:00:00Z"));
    assert_ids(&node, 1, 2, 3);
    /* A restart forgets what was seen, not what the file says. */
    keys_free(node.keys);
    node.keys = keys_begin(node.file, &now, note);
    assert_int_equal(rotate(&node, &now, note), -EAGAIN);
    assert_non_null(strstr(note, "2027-01-16T08:00:00Z"));
    now.wall_s++;
    now.boot_s++;
    assert_int_equal(rotate(&node, &now, note), 0);
    assert_ids(&node, 2, 3, 4);
    node_teardown(&node);
}

static void node_that_took_the_copy_late_waits_for_its_own_tokens(void **context)
{
    struct node a, b;
    char note[PLAN_TEXT_MAX];
    struct keys_time now = start;

    (void)context;
    node_setup(&a);
    node_setup(&b);
    copy_file(&a, &b);
    keys_free(b.keys);
    b.keys = keys_begin(b.file, &start, note);
    assert_int_equal(rotate(&a, &now, note), 0);
    now.wall_s += DAY_S / 2; /* b signs with key 1 until here */
    now.boot_s += DAY_S / 2;
    copy_file(&a, &b);
    assert_int_equal(reread(&b, &now, note), 0);
    now.wall_s += DAY_S / 2;
    now.boot_s += DAY_S / 2;
    assert_int_equal(keys_wait_s(a.keys, DAY_MS, &now), 0);
    assert_int_equal(keys_wait_s(b.keys, DAY_MS, &now), DAY_S / 2);
    node_teardown(&a);
    node_teardown(&b);
}

static void file_that_does_not_know_our_key_is_taken_with_a_warning(void **context)
{
    struct node a, b;
    char note[PLAN_TEXT_MAX];
    struct keys_time now = start;

    (void)context;
    node_setup(&a);
    node_setup(&b);
    copy_file(&a, &b);
    keys_free(b.keys);
    b.keys = keys_begin(b.file, &start, note);
    for (int i = 0; i < 2; i++) { /* nobody copied in between */
        assert_int_equal(rotate(&a, &now, note), 0);
        now.wall_s += DAY_S;
        now.boot_s += DAY_S;
    }
    copy_file(&a, &b);
    assert_int_equal(reread(&b, &now, note), 0);
    assert_non_null(strstr(note, "REFUSED: their key 1"));
    assert_ids(&b, 2, 3, 4);
    node_teardown(&a);
    node_teardown(&b);
}

static void file_that_is_not_what_runs_is_not_overwritten(void **context)
{
    struct node a, b;
    char note[PLAN_TEXT_MAX];
    struct stat before, after;

    (void)context;
    node_setup(&a);
    node_setup(&b);
    copy_file(&a, &b);
    assert_int_equal(stat(b.file, &before), 0);
    assert_int_equal(rotate(&b, &start, note), -EBUSY);
    assert_non_null(strstr(note, "reload first"));
    assert_int_equal(stat(b.file, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    node_teardown(&a);
    node_teardown(&b);
}

static void link_stays_one_and_the_mode_is_the_owners(void **context)
{
    struct node node;
    char real[96], note[PLAN_TEXT_MAX];
    struct stat status;

    (void)context;
    node_setup(&node);
    snprintf(real, sizeof(real), "%s/real", node.dir);
    assert_int_equal(rename(node.file, real), 0);
    assert_int_equal(symlink("real", node.file), 0);
    assert_int_equal(rotate(&node, &start, note), 0);
    assert_int_equal(lstat(node.file, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(lstat(real, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(unlink(real), 0);
    node_teardown(&node);
}

static void previous_key_without_an_age_is_as_old_as_the_file(void **context)
{
    struct compile_secret secret;
    struct node node;
    uint32_t line = 0;
    time_t before = time(NULL);

    (void)context;
    node_setup(&node);
    secret = node.keys->secret;
    secret.mac[SNAPSHOT_MAC_PREVIOUS] = (struct snapshot_mac_key){.id = 9, .valid = 1};
    assert_int_equal(secret_prepare(&secret, node.file), 0);
    assert_int_equal(durable_commit(node.file), 0);
    assert_int_equal(secret_read(node.file, &secret, &line), 0);
    assert_true(secret.rotated_s + 2 >= (uint64_t)before);
    assert_true(secret.rotated_s <= (uint64_t)time(NULL) + 2);
    node_teardown(&node);
}

/* Through reload.c, with a data plane. */

static int secret_inode(const struct fake *fake, ino_t *ret)
{
    char file[96];
    struct stat status;

    snprintf(file, sizeof(file), "%.64s/secret", fake->dir);
    assert_int_equal(stat(file, &status), 0);
    *ret = status.st_ino;
    snprintf(file, sizeof(file), "%.64s/secret.new", fake->dir);
    return access(file, F_OK);
}

static void rotation_is_in_force_with_the_ack(void **context)
{
    struct fake fake;
    struct fake_outcome outcome;
    struct snapshot_mac_key next;
    struct reload *reload;
    uint32_t ready = 0;
    ino_t before, after;

    (void)context;
    fake_setup(&fake, A);
    fake_start(&fake);
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 1);
    secret_inode(&fake, &before);
    next = fake.offered->mac[SNAPSHOT_MAC_NEXT];
    assert_true(next.valid);
    fake.answer = -28;
    fake.reason = "no";
    outcome = fake_ask(&fake, reload, PLAN_ROTATE, "", 0);
    assert_int_equal(outcome.status, RELOAD_REFUSED);
    assert_int_equal(secret_inode(&fake, &after), -1); /* nothing waits beside it */
    assert_int_equal(before, after);
    fake.answer = 0;
    outcome = fake_ask(&fake, reload, PLAN_ROTATE, "", 0);
    assert_int_equal(outcome.status, RELOAD_DONE);
    assert_non_null(strstr(outcome.text, "key 2 signs, key 1 verifies, key 3 is next"));
    assert_memory_equal(&fake.offered->mac[SNAPSHOT_MAC_CURRENT], &next, sizeof(next));
    assert_int_equal(secret_inode(&fake, &after), -1);
    assert_true(before != after);
    outcome = fake_ask(&fake, reload, PLAN_ROTATE, "", 0);
    assert_int_equal(outcome.status, RELOAD_REFUSED);
    assert_non_null(strstr(outcome.text, "too early"));
    /* As good as kill -9: the next life signs with the same key. */
    reload_free(reload);
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 2);
    assert_memory_equal(&fake.offered->mac[SNAPSHOT_MAC_CURRENT], &next, sizeof(next));
    reload_free(reload);
    fake_teardown(&fake);
}

static void dry_run_changes_nothing(void **context)
{
    struct plan_change change = {.kind = PLAN_ROTATE, .dry_run = true};
    struct fake_outcome outcome = {0};
    struct fake fake;
    struct reload *reload;
    uint32_t ready = 0;
    ino_t before, after;

    (void)context;
    fake_setup(&fake, A);
    fake_start(&fake);
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 1);
    secret_inode(&fake, &before);
    reload_ask(reload, &change, fake_done, &outcome);
    fake_until(&fake, &outcome.n, 1);
    assert_int_equal(outcome.status, RELOAD_DONE);
    assert_non_null(strstr(outcome.text, "nothing was changed"));
    assert_non_null(strstr(outcome.text, "key 2 signs"));
    assert_int_equal(fake.n_offers, 1);
    assert_int_equal(secret_inode(&fake, &after), -1);
    assert_int_equal(before, after);
    assert_int_equal(fake_ask(&fake, reload, PLAN_ROTATE, "", 0).status, RELOAD_DONE);
    outcome.n = 0;
    reload_ask(reload, &change, fake_done, &outcome);
    fake_until(&fake, &outcome.n, 1);
    assert_int_equal(outcome.status, RELOAD_REFUSED);
    assert_non_null(strstr(outcome.text, "too early"));
    reload_free(reload);
    fake_teardown(&fake);
}

/* Writes another seed, or what `from` holds, into the file of a fake. */
static void replace_secret(const struct fake *fake, bool seed)
{
    struct compile_secret secret, rotated;
    uint32_t line = 0;
    char file[96];

    snprintf(file, sizeof(file), "%.64s/secret", fake->dir);
    assert_int_equal(secret_read(file, &secret, &line), 0);
    assert_int_equal(secret_rotate(&secret, 1800000000, &rotated), 0);
    rotated.seed.k0 ^= seed;
    assert_int_equal(secret_prepare(&rotated, file), 0);
    assert_int_equal(durable_commit(file), 0);
}

static void reload_reads_the_secret_again_but_no_other_seed(void **context)
{
    struct fake fake;
    struct fake_outcome outcome;
    struct snapshot_mac_key next;
    struct lb_key hash;
    struct reload *reload;
    uint32_t ready = 0, offers;
    char file[96];

    (void)context;
    fake_setup(&fake, A);
    fake_start(&fake);
    reload = fake_reload(&fake, &ready);
    fake_until(&fake, &ready, 1);
    next = fake.offered->mac[SNAPSHOT_MAC_NEXT];
    hash = fake.offered->hash_key;
    outcome = fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_null(strstr(outcome.text, "secret"));
    replace_secret(&fake, false);
    outcome = fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_int_equal(outcome.status, RELOAD_DONE);
    assert_non_null(strstr(outcome.text, "the secret changed: key 2 signs"));
    assert_memory_equal(&fake.offered->mac[SNAPSHOT_MAC_CURRENT], &next, sizeof(next));
    assert_memory_equal(&fake.offered->hash_key, &hash, sizeof(hash));
    offers = fake.n_offers;
    replace_secret(&fake, true);
    outcome = fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_int_equal(outcome.status, RELOAD_REFUSED);
    assert_non_null(strstr(outcome.text, "another seed"));
    snprintf(file, sizeof(file), "%.64s/secret", fake.dir);
    assert_int_equal(unlink(file), 0); /* no new one is made: it would be another seed, too */
    outcome = fake_ask(&fake, reload, PLAN_FILE, "", 0);
    assert_int_equal(outcome.status, RELOAD_REFUSED);
    assert_non_null(strstr(outcome.text, strerror(ENOENT)));
    assert_int_equal(access(file, F_OK), -1);
    assert_int_equal(fake.n_offers, offers);
    reload_free(reload);
    fake_teardown(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_follow_by_a_copy_at_any_moment),
        cmocka_unit_test(ids_never_repeat_within_the_window),
        cmocka_unit_test(secret_without_a_next_key_gets_one_and_does_not_step),
        cmocka_unit_test(rotation_waits_for_the_tokens_of_the_key_it_forgets),
        cmocka_unit_test(early_rotation_is_refused_with_the_time),
        cmocka_unit_test(node_that_took_the_copy_late_waits_for_its_own_tokens),
        cmocka_unit_test(file_that_does_not_know_our_key_is_taken_with_a_warning),
        cmocka_unit_test(file_that_is_not_what_runs_is_not_overwritten),
        cmocka_unit_test(link_stays_one_and_the_mode_is_the_owners),
        cmocka_unit_test(previous_key_without_an_age_is_as_old_as_the_file),
        cmocka_unit_test(rotation_is_in_force_with_the_ack),
        cmocka_unit_test(dry_run_changes_nothing),
        cmocka_unit_test(reload_reads_the_secret_again_but_no_other_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
