/* SPDX-License-Identifier: Apache-2.0 */
/* The secret file: made when there is none, read when it is well, refused else. */
#include "tests/unit/config/sample.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory of its own for secret files. */
static char *secret_path(char dir[32], char file[64])
{
    snprintf(dir, 32, "/tmp/tandem-secret-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(file, 64, "%s/secret", dir);
    return file;
}

static void test_secret_made(void **state)
{
    struct compile_secret made, again, other;
    char dir[32], file[64], missing[96];
    struct stat status;
    uint32_t line;

    secret_path(dir, file);
    assert_int_equal(compile_secret_load(file, &made, &line), 0);
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_nlink, 1);
    assert_int_equal(compile_secret_load(file, &again, &line), 0);
    assert_memory_equal(&made, &again, sizeof(made));
    assert_int_equal(made.mac[SNAPSHOT_MAC_CURRENT].valid, 1);
    assert_int_equal(made.mac[SNAPSHOT_MAC_NEXT].valid, 1);
    assert_int_equal(made.mac[SNAPSHOT_MAC_PREVIOUS].valid, 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(compile_secret_load(file, &other, &line), 0);
    assert_memory_not_equal(&made.seed, &other.seed, sizeof(made.seed));
    assert_memory_not_equal(&made.mac[1].key, &other.mac[1].key, sizeof(struct lb_key));
    assert_int_equal(chmod(file, 0640), 0);
    assert_int_equal(compile_secret_load(file, &again, &line), -EPERM);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0); /* nobody writes: it must not be waited for */
    assert_int_equal(compile_secret_load(file, &again, &line), -EISNAM);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(dir), 0); /* no temporary file is left */
    snprintf(missing, sizeof(missing), "%s/secret", dir);
    assert_int_equal(compile_secret_load(missing, &again, &line), -ENOENT);
}

#define SEED "seed 00112233445566778899aabbccddeeff\n"
#define KEY "0123456789abcdef0123456789ABCDEF\n"

static void test_secret_texts(void **state)
{
    static const struct {
        const char *text;
        int ret;
        uint32_t line;
    } cases[] = {
        {SEED "current 1 " KEY, 0, 0},
        {"# ours\n\n" SEED "next 3 " KEY "current 2 " KEY "previous 255 " KEY, 0, 0},
        {SEED "current 1 0123456789abcdef0123456789ABCDEF", 0, 0},
        {SEED, -EINVAL, 0},
        {"current 1 " KEY, -EINVAL, 0},
        {"", -EINVAL, 0},
        {SEED "current 256 " KEY, -EINVAL, 2},
        {SEED "current x " KEY, -EINVAL, 2},
        {SEED "current 1 0123\n", -EINVAL, 2},
        {SEED "current 1 0123456789abcdef0123456789ABCDEG\n", -EINVAL, 2},
        {SEED "current " KEY, -EINVAL, 2},
        {SEED "current 1 " KEY "current 2 " KEY, -EINVAL, 3},
        {SEED "current 1 " KEY "next 1 " KEY, -EINVAL, 3},
        {SEED SEED "current 1 " KEY, -EINVAL, 2},
        {SEED "current 1 " KEY "rotated 1800000000 # when\n", 0, 0},
        {SEED "current 1 " KEY "rotated 1800000000\nrotated 1800000000\n", -EINVAL, 4},
        {SEED "current 1 " KEY "rotated yesterday\n", -EINVAL, 3},
        {SEED "current 1 " KEY "rotated -1\n", -EINVAL, 3},
        {SEED "current 1 " KEY "rotated 9223372036854775808\n", -EINVAL, 3},
        {SEED "current 1 " KEY "rotated\n", -EINVAL, 3},
        {"sead 00112233445566778899aabbccddeeff\n", -EINVAL, 1},
        {SEED "current 1 0123456789abcdef0123456789ABCDEF more\n", -EINVAL, 2},
    };
    char dir[32], file[64];

    secret_path(dir, file);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct compile_secret secret;
        uint32_t line = 0;
        int fd = open(file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

        assert_int_equal(write(fd, cases[i].text, strlen(cases[i].text)), strlen(cases[i].text));
        close(fd);
        if (compile_secret_load(file, &secret, &line) != cases[i].ret || line != cases[i].line)
            fail_msg("case %zu, line %u", i, line);
        if (cases[i].ret == 0) {
            assert_true(secret.seed.k0 == 0x0011223344556677);
            assert_true(secret.seed.k1 == 0x8899aabbccddeeff);
            assert_true(secret.mac[SNAPSHOT_MAC_CURRENT].key.k1 == 0x0123456789abcdef);
        }
    }
    unlink(file);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_secret_made),
                                       cmocka_unit_test(test_secret_texts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
