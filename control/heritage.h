/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of a data plane that is gone, for the one that comes (config/heritage.h).
 */
#ifndef TANDEM_CONTROL_HERITAGE_H
#define TANDEM_CONTROL_HERITAGE_H

#include <stddef.h>

#include "config/counters.h"

/*
 * Copies its call table (the memfd of `size` bytes), so that huge pages are free for the next one,
 * and the slots of its counters, which are checked. Returns a sealed memfd, or a negative errno:
 * -EBADMSG when there is nothing in it that could be used.
 */
int heritage_keep(const struct counters_header *counters, int calls_fd, size_t calls_size);

#endif
