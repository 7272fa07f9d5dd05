/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table for a person: columns as wide as their longest cell, numbers to the right, the rest to
 * the left. It knows nothing of what it shows.
 */
#ifndef TANDEM_CONTROL_CTL_TABLE_H
#define TANDEM_CONTROL_CTL_TABLE_H

#include <stdint.h>

struct table;

/* A table of n columns with these headers (copied). NULL: no memory. */
struct table *table_new(const char *const *headers, uint32_t n);
void table_free(struct table *table);

/* Adds a row of n cells (copied; NULL is shown as "-"). 0 or -ENOMEM. */
int table_add(struct table *table, const char *const *cells);

/* The whole as lines for free(): a header, then the rows, no blanks at line ends. NULL: no memory. */
char *table_text(const struct table *table);

#endif
