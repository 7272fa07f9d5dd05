/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a file into a YAML document, finding places in it, and comparing its shape with a schema.
 */
#include "config/document.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/check.h"

static int refuse_errno(struct cfg_error *error, int number)
{
    check_refuse(error, "", "", "cannot be read: %s", strerror(number));
    return -number;
}

/* Opens a regular file only: a FIFO or a device could make the caller wait for ever. */
static int open_regular(const char *file, struct cfg_error *error)
{
    int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status = {0};

    if (fd < 0)
        return refuse_errno(error, errno);
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        return fd;
    close(fd);
    check_refuse(error, "", "", S_ISDIR(status.st_mode) ? "is a directory" : "is no regular file");
    return -EINVAL;
}

/* Reads to the end, with room for one byte more than is allowed so that more is noticed. */
static int read_all(int fd, struct document *document)
{
    size_t room = 0;
    ssize_t got = 1;

    while (got != 0 && document->length <= DOCUMENT_SIZE_MAX) {
        if (document->length == room) {
            char *text = realloc(document->text, room = room == 0 ? 16384 : room * 2);

            if (text == NULL)
                return -ENOMEM;
            document->text = text;
        }
        got = read(fd, document->text + document->length, room - document->length);
        if (got < 0 && errno != EINTR)
            return -errno;
        document->length += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int read_text(const char *file, struct document *document, struct cfg_error *error)
{
    int fd = open_regular(file, error);
    int status;

    if (fd < 0)
        return fd;
    status = read_all(fd, document);
    close(fd);
    if (status != 0)
        return refuse_errno(error, -status);
    if (document->length > DOCUMENT_SIZE_MAX)
        return check_refuse(error, "", "", "larger than 16 MiB");
    return 0;
}

static uint32_t line_of_offset(const struct document *document, size_t offset)
{
    uint32_t line = 1;

    for (size_t i = 0; i < offset && i < document->length; i++)
        line += document->text[i] == '\n';
    return line;
}

/* Whether a tab is among the blanks that a line begins with. */
static bool is_tab_indented(const struct document *document, uint32_t line)
{
    const char *at = document->text, *end = at + document->length;

    for (uint32_t i = 1; i < line && at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));

        at = newline == NULL ? end : newline + 1;
    }
    while (at < end && *at == ' ')
        at++;
    return at < end && *at == '\t';
}

/* libyaml marks a fault of its reader by a byte, all others by line and column. */
static int refuse_yaml(const struct document *document, const yaml_parser_t *parser,
                       struct cfg_error *error)
{
    const char *problem = parser->problem == NULL ? "unknown fault" : parser->problem;

    if (parser->error == YAML_MEMORY_ERROR)
        return refuse_errno(error, ENOMEM);
    if (parser->error == YAML_READER_ERROR) {
        error->line = line_of_offset(document, parser->problem_offset);
        return check_refuse(error, "", "", "not UTF-8 text: %s", problem);
    }
    error->line = (uint32_t)parser->problem_mark.line + 1;
    if (is_tab_indented(document, error->line))
        return check_refuse(error, "", "", "a tab indents the line: YAML wants blanks");
    if (parser->context != NULL)
        return check_refuse(error, "", "", "not YAML: %s (%s from line %u)", problem,
                            parser->context, (uint32_t)parser->context_mark.line + 1);
    return check_refuse(error, "", "", "not YAML: %s", problem);
}

/* Counts of what was seen of a file's events. */
struct seen {
    uint32_t documents;
    uint32_t depth;
};

/*
 * What YAML allows and a configuration does not: a second document; aliases, which would let a
 * short file stand for an endless one; deep nesting, for which libyaml takes time by its square.
 */
static int check_event(const yaml_event_t *event, struct seen *seen, struct cfg_error *error)
{
    enum { DEPTH_MAX = 64 };
    bool opens =
        event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
    bool closes = event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;

    seen->depth += opens;
    seen->depth -= closes;
    error->line = (uint32_t)event->start_mark.line + 1;
    if (event->type == YAML_ALIAS_EVENT)
        return check_refuse(error, "", "",
                            "aliases (*NAME) are not supported: write the value out");
    if (seen->depth > DEPTH_MAX)
        return check_refuse(error, "", "", "lists and sections nested more than %d deep",
                            DEPTH_MAX);
    if (event->type == YAML_DOCUMENT_START_EVENT && seen->documents++ > 0)
        return check_refuse(error, "", "", "a second YAML document: a configuration is one");
    error->line = 0;
    return 0;
}

static int check_events(const struct document *document, yaml_parser_t *parser,
                        struct cfg_error *error)
{
    struct seen seen = {0, 0};
    bool more = true;
    int ret = 0;

    while (ret == 0 && more) {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            return refuse_yaml(document, parser, error);
        more = event.type != YAML_STREAM_END_EVENT;
        ret = check_event(&event, &seen, error);
        yaml_event_delete(&event);
    }
    return ret;
}

/* A parser at the start of the text. False: no memory. */
static bool start_parser(const struct document *document, yaml_parser_t *ret_parser)
{
    if (!yaml_parser_initialize(ret_parser))
        return false;
    yaml_parser_set_encoding(ret_parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(ret_parser, (const unsigned char *)document->text,
                                 document->length);
    return true;
}

/* What the root must be: a mapping whose keys are words. */
static int check_root(struct document *document, struct cfg_error *error)
{
    const yaml_node_t *root = yaml_document_get_root_node(&document->yaml);

    if (root == NULL)
        return check_refuse(error, "", "", "the file is empty");
    error->line = (uint32_t)root->start_mark.line + 1;
    if (root->type != YAML_MAPPING_NODE)
        return check_refuse(error, "", "", "not a configuration: no `KEY: VALUE` at the top");
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&document->yaml, pair->key);

        error->line = (uint32_t)key->start_mark.line + 1;
        if (key->type != YAML_SCALAR_NODE)
            return check_refuse(error, "", "", "a key is not a word");
    }
    error->line = 0;
    return 0;
}

static int parse(struct document *document, struct cfg_error *error)
{
    yaml_parser_t parser;
    int ret;

    if (!start_parser(document, &parser))
        return refuse_errno(error, ENOMEM);
    ret = check_events(document, &parser, error);
    yaml_parser_delete(&parser);
    if (ret != 0)
        return ret;
    if (!start_parser(document, &parser))
        return refuse_errno(error, ENOMEM);
    if (!yaml_parser_load(&parser, &document->yaml)) {
        ret = refuse_yaml(document, &parser, error);
    } else {
        ret = check_root(document, error);
        if (ret != 0)
            yaml_document_delete(&document->yaml);
    }
    yaml_parser_delete(&parser);
    return ret;
}

int document_load(const char *file, struct document *ret_document, struct cfg_error *ret_error)
{
    struct document document = {0};
    const char *nul;
    int ret = read_text(file, &document, ret_error);

    if (ret == 0 && (nul = memchr(document.text, '\0', document.length)) != NULL) {
        /* libyaml takes it for the end of the file. */
        ret_error->line = line_of_offset(&document, (size_t)(nul - document.text));
        ret = check_refuse(ret_error, "", "", "not a text file: it holds a NUL byte");
    }
    if (ret == 0)
        ret = parse(&document, ret_error);
    if (ret != 0) {
        free(document.text);
        return ret;
    }
    *ret_document = document;
    return 0;
}

void document_done(struct document *document)
{
    yaml_document_delete(&document->yaml);
    free(document->text);
}

/* libyaml's own look-ups change nothing, but its prototypes do not say so. */
static const yaml_node_t *node_at(const struct document *document, int id)
{
    return yaml_document_get_node((yaml_document_t *)(uintptr_t)&document->yaml, id);
}

static bool is_scalar(const yaml_node_t *node, const char *text, size_t length)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == length &&
           memcmp(node->data.scalar.value, text, length) == 0;
}

const yaml_node_t *document_item(const struct document *document, const yaml_node_t *sequence,
                                 uint32_t index)
{
    if (sequence->type != YAML_SEQUENCE_NODE ||
        index >= (size_t)(sequence->data.sequence.items.top - sequence->data.sequence.items.start))
        return NULL;
    return node_at(document, sequence->data.sequence.items.start[index]);
}

/* Follows a path as far as it goes. Returns the value at its end, NULL when it ends before; the
 * line of the last key or item that is there goes to *ret_line. */
static const yaml_node_t *walk(const struct document *document, const char *key, uint32_t *ret_line)
{
    const yaml_node_t *node = node_at(document, 1);

    *ret_line = 0;
    while (*key != '\0' && node != NULL) {
        const yaml_node_t *next = NULL;

        if (*key == '[') {
            char *end;
            uint32_t index = (uint32_t)strtoul(key + 1, &end, 10);

            next = document_item(document, node, index);
            if (next != NULL)
                *ret_line = (uint32_t)next->start_mark.line + 1;
            key = end + (*end == ']');
        } else {
            size_t length;

            key += *key == '.';
            length = strcspn(key, ".[");
            if (node->type == YAML_MAPPING_NODE) {
                for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
                     pair < node->data.mapping.pairs.top && next == NULL; pair++) {
                    if (!is_scalar(node_at(document, pair->key), key, length))
                        continue;
                    next = node_at(document, pair->value);
                    *ret_line = (uint32_t)node_at(document, pair->key)->start_mark.line + 1;
                }
            }
            key += length;
        }
        node = next;
    }
    return node;
}

const yaml_node_t *document_find(const struct document *document, const char *key)
{
    uint32_t line;

    return walk(document, key, &line);
}

uint32_t document_line(const struct document *document, const char *key)
{
    uint32_t line;

    walk(document, key, &line);
    return line;
}

/* Lists the words that an enum may have, as many as fit. */
static int refuse_word(const yaml_node_t *node, const cyaml_schema_value_t *schema, const char *key,
                       struct cfg_error *error)
{
    char words[128] = "";
    size_t at = 0;

    for (uint32_t i = 0; i < schema->enumeration.count && at < sizeof(words); i++)
        at += (size_t)snprintf(words + at, sizeof(words) - at, "%s%s", i == 0 ? "" : ", ",
                               schema->enumeration.strings[i].str);
    error->line = (uint32_t)node->start_mark.line + 1;
    return check_refuse(error, key, "", "`%.60s` is not allowed here, but: %s",
                        (const char *)node->data.scalar.value, words);
}

/* A plain decimal number, so that libcyaml does not read 0x10 or an octal 010. */
static int check_number(const yaml_node_t *node, const cyaml_schema_value_t *schema,
                        const char *key, struct cfg_error *error)
{
    struct sip_slice text =
        sip_slice((const char *)node->data.scalar.value, (uint32_t)node->data.scalar.length);
    uint64_t number, max = schema->data_size == sizeof(uint64_t) ? UINT64_MAX : UINT32_MAX;

    if ((text.length == 1 || (text.length > 1 && text.at[0] != '0')) &&
        sip_slice_number(text, max, &number) == 0)
        return 0;
    error->line = (uint32_t)node->start_mark.line + 1;
    return check_refuse(error, key, "", "`%.60s` is not a whole decimal number in range", text.at);
}

static int check_scalar(const yaml_node_t *node, const cyaml_schema_value_t *schema,
                        const char *key, struct cfg_error *error)
{
    const char *text = (const char *)node->data.scalar.value;

    if (memchr(text, '\0', node->data.scalar.length) != NULL) {
        error->line = (uint32_t)node->start_mark.line + 1;
        return check_refuse(error, key, "", "holds a NUL");
    }
    if (schema->type == CYAML_UINT)
        return check_number(node, schema, key, error);
    if (schema->type != CYAML_ENUM)
        return 0;
    for (uint32_t i = 0; i < schema->enumeration.count; i++) {
        if (strcmp(schema->enumeration.strings[i].str, text) == 0)
            return 0;
    }
    return refuse_word(node, schema, key, error);
}

static int check_shape(const struct document *document, const yaml_node_t *node,
                       const cyaml_schema_value_t *schema, bool only_known, const char *key,
                       struct cfg_error *error);

/* One `KEY: VALUE` of a mapping whose path is `base`. */
static int check_pair(const struct document *document, const yaml_node_t *node,
                      const yaml_node_pair_t *pair, const cyaml_schema_value_t *schema,
                      bool only_known, const char *base, struct cfg_error *error)
{
    const yaml_node_t *name = node_at(document, pair->key);
    const cyaml_schema_field_t *field = schema->mapping.fields;
    const char *text = (const char *)name->data.scalar.value;
    char key[sizeof(error->key)];

    error->line = (uint32_t)name->start_mark.line + 1;
    if (name->type != YAML_SCALAR_NODE)
        return only_known ? 0 : check_refuse(error, base, "", "a key is not a word");
    while (field->key != NULL && !is_scalar(name, field->key, strlen(field->key)))
        field++;
    if (field->key == NULL)
        return only_known ? 0 : check_refuse(error, base, text, "unknown key");
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *earlier = node_at(document, p->key);

        if (is_scalar(earlier, field->key, strlen(field->key)))
            return check_refuse(error, base, text, "given twice, before in line %u",
                                (uint32_t)earlier->start_mark.line + 1);
    }
    snprintf(key, sizeof(key), "%s%s%s", base, *base == '\0' ? "" : ".", field->key);
    return check_shape(document, node_at(document, pair->value), &field->value, false, key, error);
}

/* Recursion is as deep as the schema, whatever the file holds. Another kind of node than the schema
 * wants is left to libcyaml. */
static int check_shape(const struct document *document, const yaml_node_t *node,
                       const cyaml_schema_value_t *schema, bool only_known, const char *key,
                       struct cfg_error *error)
{
    int ret = 0;

    if (schema->type == CYAML_MAPPING && node->type == YAML_MAPPING_NODE) {
        for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
             pair < node->data.mapping.pairs.top && ret == 0; pair++)
            ret = check_pair(document, node, pair, schema, only_known, key, error);
    } else if (schema->type == CYAML_SEQUENCE && node->type == YAML_SEQUENCE_NODE) {
        const yaml_node_t *item;
        char item_key[sizeof(error->key)];

        for (uint32_t i = 0; ret == 0 && (item = document_item(document, node, i)) != NULL; i++) {
            snprintf(item_key, sizeof(item_key), "%.140s[%u]", key, i);
            ret = check_shape(document, item, schema->sequence.entry, false, item_key, error);
        }
    } else if (node->type == YAML_SCALAR_NODE) {
        ret = check_scalar(node, schema, key, error);
    }
    return ret;
}

int document_check(const struct document *document, const cyaml_schema_value_t *schema,
                   bool only_known, struct cfg_error *ret_error)
{
    int ret = check_shape(document, node_at(document, 1), schema, only_known, "", ret_error);

    if (ret == 0)
        ret_error->line = 0;
    return ret;
}
