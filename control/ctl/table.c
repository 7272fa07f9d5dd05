/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table for a person: see table.h.
 */
#include "control/ctl/table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 2 }; /* blanks between columns */

struct layout {
    uint32_t width; /* of the longest cell */
    bool numeric;   /* numbers (and "-") only */
};

struct table {
    uint32_t n_columns, n_rows; /* the headers are row 0 */
    uint32_t room;              /* rows that cells has memory for */
    char **cells;               /* [n_rows * n_columns] */
};

struct table *table_new(const char *const *headers, uint32_t n)
{
    struct table *table = calloc(1, sizeof(*table));

    if (table == NULL)
        return NULL;
    table->n_columns = n;
    if (table_add(table, headers) != 0) {
        table_free(table);
        return NULL;
    }
    return table;
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    for (uint32_t i = 0; i < table->n_rows * table->n_columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

/* Room for one more row; twice as much each time. */
static int grow(struct table *table)
{
    uint32_t room = table->room == 0 ? 16 : 2 * table->room;
    char **more;

    if (table->n_rows < table->room)
        return 0;
    more = realloc(table->cells, sizeof(*more) * room * table->n_columns);
    if (more == NULL)
        return -ENOMEM;
    table->cells = more;
    table->room = room;
    return 0;
}

int table_add(struct table *table, const char *const *cells)
{
    uint32_t n = table->n_columns, first = table->n_rows * n;

    if (grow(table) != 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        table->cells[first + i] = strdup(cells[i] == NULL ? "-" : cells[i]);
        if (table->cells[first + i] == NULL) {
            while (i > 0)
                free(table->cells[first + --i]);
            return -ENOMEM;
        }
    }
    table->n_rows++;
    return 0;
}

/* Columns on a screen: UTF-8's continuation bytes take none. */
static uint32_t width_of(const char *text)
{
    uint32_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static bool is_number(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789.%-") == strlen(text);
}

static struct layout measure(const struct table *table, uint32_t column)
{
    struct layout layout = {.numeric = table->n_rows > 1};

    for (uint32_t row = 0; row < table->n_rows; row++) {
        const char *cell = table->cells[row * table->n_columns + column];

        if (width_of(cell) > layout.width)
            layout.width = width_of(cell);
        if (row > 0 && !is_number(cell))
            layout.numeric = false;
    }
    return layout;
}

static void print_row(FILE *out, const struct table *table, const struct layout *layouts,
                      uint32_t row)
{
    uint32_t owed = 0; /* blanks that only matter when something follows */

    for (uint32_t column = 0; column < table->n_columns; column++) {
        const char *cell = table->cells[row * table->n_columns + column];
        bool numeric = layouts[column].numeric;
        uint32_t pad = layouts[column].width - width_of(cell);

        if (numeric)
            owed += pad;
        if (*cell != '\0') {
            fprintf(out, "%*s%s", (int)owed, "", cell);
            owed = 0;
        }
        owed += GAP + (numeric ? 0 : pad);
    }
    fputc('\n', out);
}

char *table_text(const struct table *table)
{
    char *text = NULL;
    size_t size;
    struct layout *layouts = calloc(table->n_columns, sizeof(*layouts));
    FILE *out = layouts == NULL ? NULL : open_memstream(&text, &size);

    if (out == NULL) {
        free(layouts);
        return NULL;
    }
    for (uint32_t column = 0; column < table->n_columns; column++)
        layouts[column] = measure(table, column);
    for (uint32_t row = 0; row < table->n_rows; row++)
        print_row(out, table, layouts, row);
    free(layouts);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
