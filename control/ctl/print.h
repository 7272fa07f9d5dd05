/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of tandem-control as a person reads them. It knows the shapes of the answers, not how
 * they came.
 */
#ifndef TANDEM_CONTROL_CTL_PRINT_H
#define TANDEM_CONTROL_CTL_PRINT_H

#include <jansson.h>

/* The result of `show WHAT` as text for free(); `config` takes the name of its file out of it. NULL:
 * no memory. */
char *print_show(const char *what, json_t *result);

/* The result of `why CALL-ID`. */
char *print_why(const json_t *result);

#endif
