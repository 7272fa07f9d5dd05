/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' text form: see metrics_text.h.
 */
#include "control/metrics_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

struct metrics_text {
    FILE *out;
    char *bytes;
    size_t length;
    const char *name, *help; /* of the family; help NULL: it was written */
    enum metrics_type type;
};

struct metrics_text *metrics_text_new(void)
{
    struct metrics_text *text = calloc(1, sizeof(*text));

    if (text == NULL)
        return NULL;
    text->out = open_memstream(&text->bytes, &text->length);
    if (text->out == NULL) {
        free(text);
        return NULL;
    }
    __fsetlocking(text->out, FSETLOCKING_BYCALLER); /* nobody else has it */
    return text;
}

void metrics_family(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help)
{
    text->name = name;
    text->type = type;
    text->help = help;
}

/* Between its quotes: backslash, quote and line end are escaped. */
static void print_value(FILE *out, struct sip_slice value)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < value.length; i++) {
        char c = value.at[i];

        if (c != '\n' && c != '\\' && c != '"')
            continue;
        fwrite(value.at + done, 1, i - done, out);
        fputs(c == '\n' ? "\\n" : c == '"' ? "\\\"" : "\\\\", out);
        done = i + 1;
    }
    fwrite(value.at + done, 1, value.length - done, out);
}

static const char *const TYPES[] = {"counter", "gauge", "histogram"};

/* All but the value. */
static void print_name(struct metrics_text *text, const char *suffix,
                       const struct metrics_label *labels, uint32_t n)
{
    if (text->help != NULL) {
        fprintf(text->out, "# HELP %s %s\n# TYPE %s %s\n", text->name, text->help, text->name,
                TYPES[text->type]);
        text->help = NULL;
    }
    fputs(text->name, text->out);
    fputs(suffix, text->out);
    for (uint32_t i = 0; i < n; i++) {
        fputc(i == 0 ? '{' : ',', text->out);
        fputs(labels[i].name, text->out);
        fputs("=\"", text->out);
        print_value(text->out, labels[i].value);
        fputc('"', text->out);
    }
    fputs(n > 0 ? "} " : " ", text->out);
}

void metrics_sample(struct metrics_text *text, const struct metrics_label *labels, uint32_t n,
                    uint64_t value)
{
    print_name(text, "", labels, n);
    fprintf(text->out, "%" PRIu64 "\n", value);
}

void metrics_sample_real(struct metrics_text *text, const struct metrics_label *labels, uint32_t n,
                         double value)
{
    print_name(text, "", labels, n);
    fprintf(text->out, "%.9g\n", value);
}

void metrics_sample_histogram(struct metrics_text *text, const struct metrics_label *labels,
                              uint32_t n, const struct metrics_histogram *histogram)
{
    struct metrics_label all[METRICS_LABELS_MAX + 1];
    uint64_t count = 0;

    memcpy(all, labels, n * sizeof(*labels));
    for (uint32_t i = 0; i <= histogram->n; i++) {
        char bound[32];

        if (i < histogram->n)
            snprintf(bound, sizeof(bound), "%g", histogram->bounds_us[i] / 1e6);
        else
            strcpy(bound, "+Inf");
        all[n] = (struct metrics_label){"le", sip_slice_of(bound)};
        count += histogram->counts[i];
        print_name(text, "_bucket", all, n + 1);
        fprintf(text->out, "%" PRIu64 "\n", count);
    }
    print_name(text, "_sum", labels, n);
    fprintf(text->out, "%.9g\n", (double)histogram->sum_us / 1e6);
    print_name(text, "_count", labels, n);
    fprintf(text->out, "%" PRIu64 "\n", count);
}

char *metrics_text_end(struct metrics_text *text, size_t *ret_length)
{
    int failed = ferror(text->out) | fclose(text->out);
    char *bytes = text->bytes;

    *ret_length = text->length;
    free(text);
    if (failed == 0)
        return bytes;
    free(bytes);
    return NULL;
}
