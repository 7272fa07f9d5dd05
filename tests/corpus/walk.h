/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message of the project's folders, and of the corpus beside it when that is there. For tests
 * only: what cannot be read ends the test with a word.
 */
#ifndef TANDEM_TESTS_CORPUS_WALK_H
#define TANDEM_TESTS_CORPUS_WALK_H

#include <dirent.h>
#include <unistd.h>

#include "tests/corpus/manifest.h"

/* What is done with each. */
typedef void (*walk_see)(void *arg, const char *file, const char *bytes, size_t length);

static inline void walk_folder(const char *dir, walk_see see, void *arg)
{
    static char bytes[CORPUS_MESSAGE];
    DIR *folder = opendir(dir);
    struct dirent *entry;

    if (folder == NULL)
        err(1, "%s", dir);
    while ((entry = readdir(folder)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');

        if (dot != NULL && strcmp(dot, ".sip") == 0)
            see(arg, entry->d_name, bytes, corpus_message(dir, entry->d_name, false, bytes));
    }
    closedir(folder);
}

/* Captures and scenarios are no messages; the messages in them are in other files. */
static inline void walk_foreign(const char *dir, walk_see see, void *arg)
{
    static char bytes[CORPUS_MESSAGE];
    static struct manifest manifest;

    if (access(dir, R_OK) != 0) {
        printf("%s is not there: the project's own messages only\n", dir);
        return;
    }
    manifest_read(&manifest, dir);
    for (size_t i = 0; i < manifest.n; i++) {
        const char *file = manifest.row[i].file, *kind = manifest.row[i].kind;

        if (strcmp(kind, "pcap") != 0 && strcmp(kind, "sipp-xml") != 0)
            see(arg, file, bytes, corpus_message(dir, file, manifest.row[i].lf, bytes));
    }
    manifest_done(&manifest);
}

/* The folders that a program is called with: the foreign one first. */
static inline void walk_all(char **dirs, int n, walk_see see, void *arg)
{
    for (int i = 1; i < n; i++)
        walk_folder(dirs[i], see, arg);
    walk_foreign(dirs[0], see, arg);
}

#endif
