/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MANIFEST.tsv of the corpus beside the project: which files it has, of what kind, and whether
 * their line ends lost their CRs (eol=lf: each LF is CRLF on the wire). For tests only.
 */
#ifndef TANDEM_TESTS_CORPUS_MANIFEST_H
#define TANDEM_TESTS_CORPUS_MANIFEST_H

#include "tests/corpus/corpus.h"

enum { MANIFEST_FILES = 4096 };

struct manifest {
    size_t n;
    struct {
        char *file, *kind;
        bool lf;
    } row[MANIFEST_FILES];
};

/* Reads DIR/MANIFEST.tsv; a test that cannot is at its end. */
static inline void manifest_read(struct manifest *manifest, const char *dir)
{
    static struct corpus_table table;

    corpus_open(&table, dir, "MANIFEST.tsv");
    while (corpus_row(&table)) {
        if (manifest->n == MANIFEST_FILES)
            errx(1, "%s/MANIFEST.tsv: more than %d files", dir, MANIFEST_FILES);
        manifest->row[manifest->n].file = strdup(table.column[0]);
        manifest->row[manifest->n].kind = strdup(table.column[1]);
        manifest->row[manifest->n++].lf = strcmp(table.column[8], "lf") == 0;
    }
}

static inline void manifest_done(struct manifest *manifest)
{
    while (manifest->n > 0) {
        manifest->n--;
        free(manifest->row[manifest->n].file);
        free(manifest->row[manifest->n].kind);
    }
}

static inline bool manifest_is_lf(const struct manifest *manifest, const char *file)
{
    for (size_t i = 0; i < manifest->n; i++) {
        if (strcmp(manifest->row[i].file, file) == 0)
            return manifest->row[i].lf;
    }
    return false;
}

#endif
