/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secret file of the cluster, read, written or made on first start: see secret.h.
 */
#include "config/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/durable.h"

enum {
    KEY_BYTES = 16,
    KEY_HEX = 2 * KEY_BYTES,
    LINE_MAX_BYTES = 256,
    FIRST_KEY_ID = 1,
    TEXT_MAX_BYTES = 1024, /* five lines of less than 128 bytes and the comment */
};

static const char *const KEY_NAMES[SNAPSHOT_MAC_KEYS] = {
    [SNAPSHOT_MAC_NEXT] = "next",
    [SNAPSHOT_MAC_CURRENT] = "current",
    [SNAPSHOT_MAC_PREVIOUS] = "previous",
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Big-endian bytes in hex, so that a file means the same on every machine. */
static bool parse_key(const char *hex, struct lb_key *ret)
{
    uint64_t words[2] = {0, 0};

    if (hex == NULL || strlen(hex) != KEY_HEX)
        return false;
    for (int i = 0; i < KEY_HEX; i++) {
        int digit = hex_digit(hex[i]);

        if (digit < 0)
            return false;
        words[i / 16] = words[i / 16] << 4 | (uint64_t)digit;
    }
    *ret = (struct lb_key){words[0], words[1]};
    return true;
}

/* `next|current|previous ID HEX`; false when malformed or there before. */
static bool parse_mac(const char *name, const char *id_text, const char *hex,
                      struct compile_secret *secret)
{
    uint64_t id;

    for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++) {
        struct snapshot_mac_key *mac = &secret->mac[i];

        if (strcmp(name, KEY_NAMES[i]) != 0)
            continue;
        if (mac->valid || id_text == NULL ||
            sip_slice_number(sip_slice_of(id_text), UINT8_MAX, &id) != 0 ||
            !parse_key(hex, &mac->key))
            return false;
        for (int j = 0; j < SNAPSHOT_MAC_KEYS; j++) {
            if (secret->mac[j].valid && secret->mac[j].id == id)
                return false;
        }
        mac->id = (uint8_t)id;
        mac->valid = 1;
        return true;
    }
    return false;
}

/* `rotated SECONDS`; false when malformed or there before. */
static bool parse_rotated(const char *number, struct compile_secret *secret)
{
    return secret->rotated_s == 0 &&
           sip_slice_number(sip_slice_of(number), INT64_MAX, &secret->rotated_s) == 0;
}

/* One line without its newline, which it takes apart. */
static bool parse_line(char *line, struct compile_secret *secret, bool *seed_seen)
{
    static const char blanks[] = " \t\r";
    char *rest, *words[4] = {NULL};
    size_t n = 0;

    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok_r(line, blanks, &rest); word != NULL && n < 4;
         word = strtok_r(NULL, blanks, &rest))
        words[n++] = word;
    if (n == 0)
        return true;
    if (strcmp(words[0], "rotated") == 0)
        return n == 2 && parse_rotated(words[1], secret);
    if (strcmp(words[0], "seed") != 0)
        return n == 3 && parse_mac(words[0], words[1], words[2], secret);
    if (n != 2 || *seed_seen || !parse_key(words[1], &secret->seed))
        return false;
    *seed_seen = true;
    return true;
}

static int read_secret(FILE *in, struct compile_secret *ret_secret, uint32_t *ret_line)
{
    struct compile_secret secret = {0};
    char line[LINE_MAX_BYTES];
    bool seed_seen = false, good = true;
    uint32_t number = 0;
    struct stat status;

    if (fstat(fileno(in), &status) != 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EISNAM;
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return -EPERM;
    while (good && fgets(line, sizeof(line), in) != NULL) {
        size_t length = strcspn(line, "\n");

        number++;
        good = line[length] == '\n' || feof(in);
        line[length] = '\0';
        good = good && parse_line(line, &secret, &seed_seen);
    }
    explicit_bzero(line, sizeof(line));
    if (ferror(in)) {
        explicit_bzero(&secret, sizeof(secret));
        return -EIO;
    }
    if (good && seed_seen && secret.mac[SNAPSHOT_MAC_CURRENT].valid) {
        /* Whoever wrote a previous key by hand without a word about its age did so by then. */
        if (secret.mac[SNAPSHOT_MAC_PREVIOUS].valid && secret.rotated_s == 0)
            secret.rotated_s = (uint64_t)status.st_mtime;
        *ret_secret = secret;
        explicit_bzero(&secret, sizeof(secret));
        return 0;
    }
    explicit_bzero(&secret, sizeof(secret));
    *ret_line = good ? 0 : number;
    return -EINVAL;
}

static int print_key(char *out, size_t size, const struct lb_key *key)
{
    return snprintf(out, size, " %016llx%016llx\n", (unsigned long long)key->k0,
                    (unsigned long long)key->k1);
}

/* The whole file; its length. */
static size_t print_secret(const struct compile_secret *secret, char ret[TEXT_MAX_BYTES])
{
    size_t n = (size_t)snprintf(ret, TEXT_MAX_BYTES,
                                "# The same on all nodes of the cluster. Changed by tandemctl "
                                "rotate-secret.\nseed");

    n += (size_t)print_key(ret + n, TEXT_MAX_BYTES - n, &secret->seed);
    for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++) {
        const struct snapshot_mac_key *mac = &secret->mac[i];

        if (!mac->valid)
            continue;
        n += (size_t)snprintf(ret + n, TEXT_MAX_BYTES - n, "%s %u", KEY_NAMES[i], mac->id);
        n += (size_t)print_key(ret + n, TEXT_MAX_BYTES - n, &mac->key);
    }
    if (secret->rotated_s != 0)
        n += (size_t)snprintf(ret + n, TEXT_MAX_BYTES - n, "rotated %llu\n",
                              (unsigned long long)secret->rotated_s);
    return n;
}

static int make_mac(uint8_t id, struct snapshot_mac_key *ret)
{
    struct snapshot_mac_key mac = {.id = id, .valid = 1};

    if (getrandom(&mac.key, sizeof(mac.key), 0) != (ssize_t)sizeof(mac.key))
        return -EIO;
    *ret = mac;
    explicit_bzero(&mac, sizeof(mac));
    return 0;
}

/* A first secret to an open file, on disk when it returns 0. It has a next key from the beginning,
 * so that a copy of it follows the first rotation. */
static int write_new(int fd)
{
    struct compile_secret secret = {0};
    char text[TEXT_MAX_BYTES];
    size_t length;
    int ret = 0;

    if (getrandom(&secret.seed, sizeof(secret.seed), 0) != (ssize_t)sizeof(secret.seed) ||
        make_mac(FIRST_KEY_ID, &secret.mac[SNAPSHOT_MAC_CURRENT]) != 0 ||
        make_mac(FIRST_KEY_ID + 1, &secret.mac[SNAPSHOT_MAC_NEXT]) != 0)
        ret = -EIO;
    length = print_secret(&secret, text);
    if (ret == 0 && write(fd, text, length) != (ssize_t)length)
        ret = errno != 0 ? -errno : -EIO;
    if (ret == 0 && fsync(fd) != 0)
        ret = -errno;
    explicit_bzero(&secret, sizeof(secret));
    explicit_bzero(text, sizeof(text));
    return ret;
}

/* Makes the file under another name and links it in place, so that nobody sees a half of it and one
 * that somebody else made meanwhile stays. mkostemp gives mode 0600. */
static int make_secret(const char *file)
{
    char *temporary = NULL;
    int fd, ret;

    if (asprintf(&temporary, "%s.XXXXXX", file) < 0)
        return -ENOMEM;
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        ret = -errno;
        free(temporary);
        return ret;
    }
    errno = 0; /* a short write has none */
    ret = write_new(fd);
    if (close(fd) != 0 && ret == 0)
        ret = -errno;
    if (ret == 0 && link(temporary, file) != 0 && errno != EEXIST)
        ret = -errno;
    if (unlink(temporary) != 0 && ret == 0)
        ret = -errno;
    free(temporary);
    return ret != 0 ? ret : durable_sync_directory_of(file);
}

/* Without waiting, whatever the name stands for: read_secret refuses all but regular files. */
static FILE *open_secret(const char *file)
{
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    FILE *in = fd < 0 ? NULL : fdopen(fd, "r");

    if (in == NULL && fd >= 0)
        close(fd);
    else if (in != NULL)
        setvbuf(in, NULL, _IONBF, 0); /* no second copy of the keys in a freed buffer */
    return in;
}

int secret_read(const char *file, struct compile_secret *ret_secret, uint32_t *ret_line)
{
    FILE *in = open_secret(file);
    int ret;

    if (in == NULL)
        return -errno;
    ret = read_secret(in, ret_secret, ret_line);
    fclose(in);
    return ret;
}

int compile_secret_load(const char *file, struct compile_secret *ret_secret, uint32_t *ret_line)
{
    int ret = secret_read(file, ret_secret, ret_line);

    if (ret != -ENOENT)
        return ret;
    ret = make_secret(file);
    return ret != 0 ? ret : secret_read(file, ret_secret, ret_line);
}

int secret_prepare(const struct compile_secret *secret, const char *file)
{
    char text[TEXT_MAX_BYTES];
    size_t length = print_secret(secret, text);
    int ret = durable_prepare(file, text, length);

    explicit_bzero(text, sizeof(text));
    return ret;
}

bool secret_same_key(const struct snapshot_mac_key *a, const struct snapshot_mac_key *b)
{
    return a->valid && b->valid && a->id == b->id && a->key.k0 == b->key.k0 &&
           a->key.k1 == b->key.k1;
}

/* The one after the newest that no key bears; 0 is left out, so that ids start anew where they
 * began. */
static uint8_t free_id(const struct compile_secret *secret)
{
    const struct snapshot_mac_key *next = &secret->mac[SNAPSHOT_MAC_NEXT];
    uint8_t id = next->valid ? next->id : secret->mac[SNAPSHOT_MAC_CURRENT].id;
    bool taken;

    do {
        id = id == UINT8_MAX ? FIRST_KEY_ID : (uint8_t)(id + 1);
        taken = false;
        for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++)
            taken |= secret->mac[i].valid && secret->mac[i].id == id;
    } while (taken);
    return id;
}

int secret_rotate(const struct compile_secret *from, uint64_t now_s,
                  struct compile_secret *ret_secret)
{
    struct compile_secret to = *from;
    struct snapshot_mac_key fresh;
    int ret = make_mac(free_id(from), &fresh);

    if (ret == 0) {
        to.mac[SNAPSHOT_MAC_NEXT] = fresh;
        if (from->mac[SNAPSHOT_MAC_NEXT].valid) {
            to.mac[SNAPSHOT_MAC_PREVIOUS] = from->mac[SNAPSHOT_MAC_CURRENT];
            to.mac[SNAPSHOT_MAC_CURRENT] = from->mac[SNAPSHOT_MAC_NEXT];
            to.rotated_s = now_s;
        }
        *ret_secret = to;
        explicit_bzero(&fresh, sizeof(fresh));
    }
    explicit_bzero(&to, sizeof(to));
    return ret;
}
