/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something was refused, as one line for the operator: the text goes into the caller's buffer
 * and the function hands on the error, so that a refusal is one statement.
 */
#ifndef TANDEM_IO_REASON_H
#define TANDEM_IO_REASON_H

#include <stddef.h>

/* Writes the line (cut to size, always with its NUL) and returns -error, error a positive errno. */
int io_reason(char *ret_reason, size_t size, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
