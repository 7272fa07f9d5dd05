/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the raw values of a file to a struct cfg: units, addresses, ranges of single values,
 * defaults. What must hold between values is check's.
 */
#ifndef TANDEM_CONFIG_CONVERT_H
#define TANDEM_CONFIG_CONVERT_H

#include "config/cfg.h"
#include "config/document.h"
#include "config/schema.h"

/*
 * Fills `cfg`, which must be zero, with copies of all texts. The document tells whether a key was
 * given. On failure the cfg may be half filled and is still for cfg_free. Returns 0, or a negative
 * errno with key and reason in *ret_error.
 */
int convert_dataplane(const struct schema_dataplane *raw, const struct document *document,
                      struct cfg_dataplane *cfg, struct cfg_error *ret_error);
int convert_file(const struct schema_file *raw, const struct document *document, struct cfg *cfg,
                 struct cfg_error *ret_error);

/* Values that other rooms of the file have, too: a name for commands, copied; a number, a duration,
 * a size within its bounds; the address of a host. Outputs are untouched on failure. Return 0, or
 * a negative errno with BASE.name, or BASE.NAME, and reason in *ret_error. */
int convert_name(const char *text, char **ret, const char *base, struct cfg_error *ret_error);
int convert_number(uint64_t number, uint64_t min, uint64_t max, const char *base, const char *name,
                   struct cfg_error *ret_error);
int convert_duration(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms,
                     const char *base, const char *name, struct cfg_error *ret_error);
int convert_size(const char *text, uint64_t min_bytes, uint64_t max_bytes, uint64_t *ret_bytes,
                 const char *base, const char *name, struct cfg_error *ret_error);
int convert_ip(const char *text, struct sip_ip *ret, const char *base, const char *name,
               struct cfg_error *ret_error);

/* An optional name of a file, copied; a relative one begins at the folder of `beside`. *ret stays NULL
 * where `name` is. Returns 0 or -ENOMEM. */
int convert_file_name(const char *name, const char *beside, char **ret, struct cfg_error *ret_error);

/* A list of texts, copied, of which none is there twice in any case of its letters and each
 * `is_valid`; else it is no `what`. On failure *ret may be half filled, *ret_n texts of it. */
int convert_texts(char *const *raw, uint32_t n, bool (*is_valid)(const char *), const char *what,
                  char ***ret, uint32_t *ret_n, const char *base, const char *name,
                  struct cfg_error *ret_error);

#endif
