/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in the configuration something is wrong: see place.h.
 */
#include "control/stream/tls/place.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/log.h"

struct tls_place tls_place_at(const struct tls_place *place, const char *format, ...)
{
    struct tls_place ret = *place;
    size_t length = strlen(ret.key);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(ret.key + length, sizeof(ret.key) - length, format, arguments);
    va_end(arguments);
    return ret;
}

static void print(const struct tls_place *place, const char *member,
                  const struct tls_reason *reason, struct cfg_error *ret)
{
    snprintf(ret->file, sizeof(ret->file), "%s", place->cfg->file);
    snprintf(ret->key, sizeof(ret->key), "%s%s", place->key, member);
    snprintf(ret->reason, sizeof(ret->reason), "%s", reason->text);
    ret->line = cfg_line(place->cfg->file, ret->key);
}

int tls_place_refuse(const struct tls_place *place, const char *member,
                     const struct tls_reason *reason)
{
    print(place, member, reason, place->error);
    return -EINVAL;
}

void tls_place_warn(const struct tls_place *place, const char *member,
                    const struct tls_reason *reason)
{
    struct cfg_error error = {.line = 0};
    char text[768];

    print(place, member, reason, &error);
    cfg_error_print(&error, text, sizeof(text));
    log_warning("%s", text);
}
