/* SPDX-License-Identifier: Apache-2.0 */
/* See reason.h. */
#include "dataplane/io/reason.h"

#include <stdarg.h>
#include <stdio.h>

int io_reason(char *ret_reason, size_t size, int error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(ret_reason, size, format, arguments);
    va_end(arguments);
    return -error;
}
