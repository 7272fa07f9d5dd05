/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line an event on standard error: severity, colon, text. Whatever is not printable becomes
 * '?', so that nobody's reason text can forge a line. Secrets are never given to it.
 */
#ifndef TANDEM_CONTROL_LOG_H
#define TANDEM_CONTROL_LOG_H

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
