/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML out of JSON: see yaml.h. Whatever might mean something to a YAML reader is quoted.
 */
#include "control/ctl/yaml.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_WIDTH = 100, INDENT = 2 };

static void block(FILE *out, const json_t *object, int depth, bool indented);

static bool is_plain(const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-";

    return *text != '\0' && *text != '-' && strspn(text, plain) == strlen(text);
}

static void scalar(FILE *out, const json_t *value)
{
    const char *text = json_string_value(value);

    if (text != NULL && is_plain(text)) {
        fputs(text, out);
    } else { /* a JSON text is a YAML text */
        char *quoted = json_dumps(value, JSON_ENCODE_ANY);

        fputs(quoted == NULL ? "\"\"" : quoted, out);
        free(quoted);
    }
}

/* A value within one line: [a, b] and {key: value}. */
static void flow(FILE *out, const json_t *value)
{
    const char *key, *gap = "";
    json_t *item;
    size_t i;

    if (json_is_array(value)) {
        fputc('[', out);
        json_array_foreach(value, i, item)
        {
            fputs(i > 0 ? ", " : "", out);
            flow(out, item);
        }
        fputc(']', out);
    } else if (json_is_object(value)) {
        fputc('{', out);
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
        {
            if (json_is_null(item))
                continue;
            fprintf(out, "%s%s: ", gap, key);
            flow(out, item);
            gap = ", ";
        }
        fputc('}', out);
    } else {
        scalar(out, value);
    }
}

/* The value in one line when that is short enough, else NULL. For free(). */
static char *short_flow(const json_t *value, size_t width)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    flow(out, value);
    if (fclose(out) == 0 && size <= width)
        return text;
    free(text);
    return NULL;
}

static bool has_objects(const json_t *list)
{
    return json_is_object(json_array_get(list, 0));
}

static void item_lines(FILE *out, const json_t *list, int depth)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        char *line = short_flow(item, (size_t)(LINE_WIDTH - INDENT * depth - INDENT));

        fprintf(out, "%*s- ", INDENT * depth, "");
        if (line != NULL || !json_is_object(item)) {
            if (line != NULL)
                fputs(line, out);
            else
                flow(out, item);
            fputc('\n', out);
        } else {
            block(out, item, depth + 1, true);
        }
        free(line);
    }
}

/* The members of an object, each in lines of its own; `indented`: the first stands where it should.
 */
static void block(FILE *out, const json_t *object, int depth, bool indented)
{
    const char *key;
    json_t *item;

    json_object_foreach((json_t *)(uintptr_t)object, key, item)
    {
        bool empty = json_is_object(item) && json_object_size(item) == 0;

        if (json_is_null(item) || empty)
            continue;
        fprintf(out, "%*s%s:", indented ? 0 : INDENT * depth, "", key);
        indented = false;
        if (json_is_object(item)) {
            fputc('\n', out);
            block(out, item, depth + 1, false);
        } else if (json_is_array(item) && has_objects(item)) {
            fputc('\n', out);
            item_lines(out, item, depth + 1);
        } else {
            fputc(' ', out);
            flow(out, item);
            fputc('\n', out);
        }
    }
}

char *yaml_text(const json_t *object)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    block(out, object, 0, false);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
