/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the corpus tests share: tables of tab-separated columns with a heading, and messages from
 * files. For tests only: what cannot be read ends the test with a word.
 */
#ifndef TANDEM_TESTS_CORPUS_CORPUS_H
#define TANDEM_TESTS_CORPUS_CORPUS_H

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CORPUS_COLUMNS = 12, CORPUS_LINE = 65536, CORPUS_PATH = 4096, CORPUS_MESSAGE = 65536 };

struct corpus_table {
    FILE *file;
    char line[CORPUS_LINE];
    const char *column[CORPUS_COLUMNS]; /* of the row last read; "" for those it lacks */
};

/* Reads the next row. False at the end, and the file is closed then. */
static inline bool corpus_row(struct corpus_table *table)
{
    char *rest = table->line;

    if (fgets(table->line, sizeof(table->line), table->file) == NULL) {
        fclose(table->file);
        return false;
    }
    table->line[strcspn(table->line, "\n")] = 0;
    for (int i = 0; i < CORPUS_COLUMNS; i++) {
        table->column[i] = rest != NULL ? strsep(&rest, "\t") : "";
    }
    return true;
}

/* Opens DIR/NAME and passes over the heading. */
static inline void corpus_open(struct corpus_table *table, const char *dir, const char *name)
{
    char path[CORPUS_PATH];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    table->file = fopen(path, "r");
    if (table->file == NULL || !corpus_row(table))
        err(1, "%s", path);
}

/* Reads DIR/NAME into `out` (CORPUS_MESSAGE bytes); with `lf`, each LF becomes CRLF. */
static inline size_t corpus_message(const char *dir, const char *name, bool lf, char *out)
{
    char path[CORPUS_PATH];
    size_t length = 0;
    FILE *file;
    int c;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "rb");
    if (file == NULL)
        err(1, "%s", path);
    while ((c = fgetc(file)) != EOF) {
        if (length + 2 > CORPUS_MESSAGE)
            errx(1, "%s: longer than a datagram", path);
        if (lf && c == '\n')
            out[length++] = '\r';
        out[length++] = (char)c;
    }
    fclose(file);
    return length;
}

#endif
