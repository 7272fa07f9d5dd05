/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The project's own messages: what the index says about each must be what messages/VERDICTS.tsv
 * says: kind, first fault, Call-ID. A parser bug gets its message here before it is mended.
 *
 * Usage: test_messages FOLDER
 */
#include <dirent.h>

#include "dataplane/sip/msg.h"
#include "tests/corpus/corpus.h"
#include "tests/unit/guard.h"

static const char *const kinds[] = {"NONE", "REQUEST", "RESPONSE"};

static const char *const errors[SIP_ERROR_COUNT] = {
    [SIP_OK] = "OK",
    [SIP_ERR_KEEPALIVE] = "KEEPALIVE",
    [SIP_ERR_NOT_SIP] = "NOT_SIP",
    [SIP_ERR_VERSION] = "VERSION",
    [SIP_ERR_START_LINE] = "START_LINE",
    [SIP_ERR_STATUS] = "STATUS",
    [SIP_ERR_HEADER] = "HEADER",
    [SIP_ERR_HEADER_END] = "HEADER_END",
    [SIP_ERR_TOO_MANY_FIELDS] = "TOO_MANY_FIELDS",
    [SIP_ERR_DUPLICATE] = "DUPLICATE",
    [SIP_ERR_MISSING] = "MISSING",
    [SIP_ERR_VIA] = "VIA",
    [SIP_ERR_CALL_ID] = "CALL_ID",
    [SIP_ERR_CSEQ] = "CSEQ",
    [SIP_ERR_CSEQ_METHOD] = "CSEQ_METHOD",
    [SIP_ERR_FROM] = "FROM",
    [SIP_ERR_TO] = "TO",
    [SIP_ERR_MAX_FORWARDS] = "MAX_FORWARDS",
    [SIP_ERR_CONTENT_LENGTH] = "CONTENT_LENGTH",
    [SIP_ERR_BODY_SHORT] = "BODY_SHORT",
    [SIP_ERR_CONTACT] = "CONTACT",
};

/* One row: file, kind, error, Call-ID. True when all is as it says. */
static bool check(const char *dir, const struct corpus_table *table)
{
    static char bytes[CORPUS_MESSAGE];
    size_t length = corpus_message(dir, table->column[0], false, bytes);
    struct guard guard = guard_new(bytes, length);
    const char *call_id = strcmp(table->column[3], "-") == 0 ? "" : table->column[3];
    struct sip_msg msg;
    bool same;

    sip_msg_index(guard.at, length, &msg);
    same = strcmp(kinds[msg.kind], table->column[1]) == 0 &&
           strcmp(errors[msg.error], table->column[2]) == 0 &&
           sip_slice_equal(msg.call_id, sip_slice_of(call_id));
    if (!same)
        printf("%s: %s %s %.*s, want %s %s %s\n", table->column[0], kinds[msg.kind],
               errors[msg.error], (int)msg.call_id.length, msg.call_id.length ? msg.call_id.at : "",
               table->column[1], table->column[2], call_id);
    guard_free(&guard);
    return same;
}

/* Messages in the folder, so that none lies there without a verdict. */
static unsigned count_messages(const char *dir)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;
    unsigned count = 0;

    if (folder == NULL)
        err(1, "%s", dir);
    while ((entry = readdir(folder)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');

        count += dot != NULL && strcmp(dot, ".sip") == 0;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    static struct corpus_table table;
    unsigned right = 0, wrong = 0, files;

    if (argc != 2)
        errx(2, "usage: test_messages FOLDER");
    corpus_open(&table, argv[1], "VERDICTS.tsv");
    while (corpus_row(&table)) {
        if (check(argv[1], &table))
            right++;
        else
            wrong++;
    }
    files = count_messages(argv[1]);
    printf("%u messages as VERDICTS.tsv says, %u not, %u files\n", right, wrong, files);
    return wrong == 0 && right == files && right >= 60 ? 0 : 1;
}
