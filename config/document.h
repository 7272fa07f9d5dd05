/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration file as a YAML document in memory: read and parsed by libyaml, kept to find the
 * line of a key, and compared with the schema for what libcyaml lets pass or says badly. It must not
 * know any key's meaning.
 */
#ifndef TANDEM_CONFIG_DOCUMENT_H
#define TANDEM_CONFIG_DOCUMENT_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <yaml.h>

#include "config/cfg.h"

enum { DOCUMENT_SIZE_MAX = 16 << 20 };   /* bytes of a file; a larger one is refused */

struct document {
    char *text;
    size_t length;
    yaml_document_t yaml;
};

/*
 * Reads and parses a file. Returns 0, or a negative errno with line, key and reason in *ret_error:
 * cannot be read, too large, not UTF-8, no YAML, empty, no mapping of words, an alias, more than one
 * document.
 */
int document_load(const char *file, struct document *ret_document, struct cfg_error *ret_error);
void document_done(struct document *document);

/* The value at a path like pools[0].backends[1].address, or NULL when it is not given. */
const yaml_node_t *document_find(const struct document *document, const char *key);

/* The item of a sequence, from 0; NULL past its end. */
const yaml_node_t *document_item(const struct document *document, const yaml_node_t *sequence,
                                 uint32_t index);

/* The line of a key, or of the innermost of its parents that is there; 0 when none is. */
uint32_t document_line(const struct document *document, const char *key);

/*
 * Compares with a schema: unknown keys, keys given twice, words that are none of those allowed,
 * numbers that are not decimal, NULs. With only_known, other keys at the top are ignored with
 * what they hold. Returns 0, or -EINVAL with line, key and reason.
 */
int document_check(const struct document *document, const cyaml_schema_value_t *schema,
                   bool only_known, struct cfg_error *ret_error);

#endif
