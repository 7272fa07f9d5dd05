/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RFC 4475 and RFC 5118 messages get the verdicts of ../shared/corpus/VERDICTS.tsv. Skipped
 * (77) where the corpus is not there. Argument: the corpus's folder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/dataplane/proxy/stage.h"

enum { SKIP = 77, ROWS_MIN = 40 };

static char corpus[512];

static uint32_t read_bytes(const char *file, char *ret, size_t size)
{
    char path[1024];
    size_t length;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", corpus, file);
    f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("%s cannot be read", path);
    length = fread(ret, 1, size, f);
    fclose(f);
    return (uint32_t)length;
}

/* The manifest says which files have lost their CRs. */
static bool is_lf(const char *file)
{
    char line[4096], path[1024];
    bool found = false, lf = false;
    FILE *f;

    snprintf(path, sizeof(path), "%s/MANIFEST.tsv", corpus);
    f = fopen(path, "r");
    assert_non_null(f);
    while (!found && fgets(line, sizeof(line), f) != NULL) {
        char *rest = line, *column = strsep(&rest, "\t");

        found = strcmp(column, file) == 0;
        for (int i = 0; found && i < 8; i++)
            column = strsep(&rest, "\t");
        lf = found && column != NULL && strcmp(column, "lf") == 0;
    }
    fclose(f);
    if (!found)
        fail_msg("%s is not in the manifest", file);
    return lf;
}

static uint32_t to_wire(const char *in, uint32_t length, char *out)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < length; i++) {
        if (in[i] == '\n')
            out[n++] = '\r';
        out[n++] = in[i];
    }
    return n;
}

static void verdict_of(const struct stage *stage, char text[16])
{
    switch (stage->output.verdict) {
    case PROXY_FORWARD:
        strcpy(text, "forward");
        break;
    case PROXY_REPLY:
        snprintf(text, 16, "%u", stage->output.status);
        break;
    case PROXY_DROP:
        strcpy(text, "drop");
        break;
    default:
        strcpy(text, "punt");
    }
}

static bool is_one_of(const char *verdict, char *expected)
{
    char *one;

    while ((one = strsep(&expected, "|")) != NULL) {
        if (strcmp(one, verdict) == 0)
            return true;
    }
    return false;
}

/* One row: FILE, VERDICT[|VERDICT], why. */
static bool check_row(struct stage *stage, char *row)
{
    static char bytes[STAGE_TEXT], wire[2 * STAGE_TEXT];
    char *file = strsep(&row, "\t"), *expected = strsep(&row, "\t"), verdict[16], shown[64];
    uint32_t length = read_bytes(file, bytes, sizeof(bytes));

    assert_non_null(expected);
    if (is_lf(file)) {
        length = to_wire(bytes, length, wire);
        memcpy(bytes, wire, length);
    }
    stage_decide(stage, "203.0.113.77:5060", "192.0.2.10:5060", bytes, length);
    verdict_of(stage, verdict);
    snprintf(shown, sizeof(shown), "%s", expected);
    if (!is_one_of(verdict, expected)) {
        print_error("%s: %s (%s; %s), not %s\n", file, verdict,
                    proxy_reason_name(stage->output.reason), sip_error_phrase(stage->msg.error),
                    shown);
        return false;
    }
    /* Valid syntax must not count as malformed. */
    if (row != NULL && strstr(row, "valid syntax") != NULL &&
        stage->output.reason == PROXY_DROP_MALFORMED_RESPONSE) {
        print_error("%s: counted as malformed\n", file);
        return false;
    }
    return true;
}

static void test_verdicts(void **state)
{
    struct stage_conf conf = {0};
    struct stage *stage = stage_new(&conf);
    char line[1024], path[1024];
    int rows = 0, wrong = 0;
    FILE *f;

    snprintf(path, sizeof(path), "%s/VERDICTS.tsv", corpus);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f)); /* the column names */
    while (fgets(line, sizeof(line), f) != NULL) {
        rows++;
        wrong += !check_row(stage, line);
    }
    fclose(f);
    stage_free(stage);
    assert_int_equal(wrong, 0);
    assert_true(rows >= ROWS_MIN);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts)};
    char path[1024];
    FILE *f;

    snprintf(corpus, sizeof(corpus), "%s", argc > 1 ? argv[1] : "../shared/corpus");
    snprintf(path, sizeof(path), "%s/VERDICTS.tsv", corpus);
    f = fopen(path, "r");
    if (f == NULL) {
        printf("skipped: no corpus at %s\n", corpus);
        return SKIP;
    }
    fclose(f);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
