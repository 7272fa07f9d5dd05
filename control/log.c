/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of control: see log.h. It knows nothing of what is logged.
 */
#include "control/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 }; /* a longer line is cut */

static void write_line(const char *severity, const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];
    size_t length = (size_t)snprintf(line, sizeof(line), "%s: ", severity);

    vsnprintf(line + length, sizeof(line) - length - 1, format, args);
    for (length = 0; line[length] != '\0'; length++) {
        unsigned char c = (unsigned char)line[length];

        if (c < 0x20 || c == 0x7f)
            line[length] = '?';
    }
    line[length++] = '\n';
    /* One write a line, so that lines of several processes do not mix. Nobody to tell of a failure.
     */
    if (write(STDERR_FILENO, line, length) < 0)
        return;
}

void log_info(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line("info", format, args);
    va_end(args);
}

void log_warning(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line("warning", format, args);
    va_end(args);
}

void log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line("error", format, args);
    va_end(args);
}
