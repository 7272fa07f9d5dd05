/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secret file of the cluster: read, or made on first start. It must not know what the keys
 * sign.
 */
#include "config/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = 16, KEY_HEX = 2 * KEY_BYTES, LINE_MAX_BYTES = 256, FIRST_KEY_ID = 1 };

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

static int print_key(FILE *out, const char *name, const struct lb_key *key)
{
    return fprintf(out, "%s %016llx%016llx\n", name, (unsigned long long)key->k0,
                   (unsigned long long)key->k1);
}

/* `next|current|previous ID HEX`; false when malformed or there before. */
static bool parse_mac(const char *name, const char *id_text, const char *hex,
                      struct compile_secret *secret)
{
    static const char *const names[SNAPSHOT_MAC_KEYS] = {"next", "current", "previous"};
    uint64_t id;

    for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++) {
        struct snapshot_mac_key *mac = &secret->mac[i];

        if (strcmp(name, names[i]) != 0)
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
        *ret_secret = secret;
        explicit_bzero(&secret, sizeof(secret));
        return 0;
    }
    explicit_bzero(&secret, sizeof(secret));
    *ret_line = good ? 0 : number;
    return -EINVAL;
}

/* New keys to an open file, on disk when it returns 0. Closes it. */
static int write_new(FILE *out)
{
    struct lb_key keys[2];
    int ret = 0;

    if (getrandom(keys, sizeof(keys), 0) != (ssize_t)sizeof(keys))
        ret = -EIO;
    if (ret == 0 &&
        (print_key(out, "seed", &keys[0]) < 0 || fprintf(out, "current %d", FIRST_KEY_ID) < 0 ||
         print_key(out, "", &keys[1]) < 0 || fflush(out) != 0 || fsync(fileno(out)) != 0))
        ret = errno != 0 ? -errno : -EIO;
    explicit_bzero(keys, sizeof(keys));
    if (fclose(out) != 0 && ret == 0)
        ret = -errno;
    return ret;
}

static int sync_directory(const char *file)
{
    const char *slash = strrchr(file, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - file) + 1;
    char *directory = length == 0 ? strdup(".") : strndup(file, length);
    int fd, ret;

    if (directory == NULL)
        return -ENOMEM;
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    if (fd < 0)
        return -errno;
    ret = fsync(fd) != 0 ? -errno : 0;
    close(fd);
    return ret;
}

/* Makes the file under another name and links it in place, so that nobody sees a half of it and one
 * that somebody else made meanwhile stays. mkostemp gives mode 0600. */
static int make_secret(const char *file)
{
    char *temporary = NULL;
    FILE *out;
    int fd, ret;

    if (asprintf(&temporary, "%s.XXXXXX", file) < 0)
        return -ENOMEM;
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        ret = -errno;
        free(temporary);
        return ret;
    }
    out = fdopen(fd, "w");
    if (out == NULL) {
        ret = -errno;
        close(fd);
    } else {
        ret = write_new(out);
    }
    if (ret == 0 && link(temporary, file) != 0 && errno != EEXIST)
        ret = -errno;
    if (unlink(temporary) != 0 && ret == 0)
        ret = -errno;
    free(temporary);
    return ret != 0 ? ret : sync_directory(file);
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

int compile_secret_load(const char *file, struct compile_secret *ret_secret, uint32_t *ret_line)
{
    FILE *in = open_secret(file);
    int ret;

    if (in == NULL && errno == ENOENT) {
        ret = make_secret(file);
        if (ret != 0)
            return ret;
        in = open_secret(file);
    }
    if (in == NULL)
        return -errno;
    ret = read_secret(in, ret_secret, ret_line);
    fclose(in);
    return ret;
}
