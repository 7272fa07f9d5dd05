/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of messages for an operator, while the snapshot asks for some: the memory that control
 * reads them from, and what a worker writes there. It must not know who reads.
 */
#ifndef TANDEM_CAPTURE_H
#define TANDEM_CAPTURE_H

#include "config/capture.h"
#include "dataplane/io/port.h"
#include "dataplane/memory.h"

/* Makes the memory, a ring a worker. 0 or a negative errno. Main, before the workers. */
int capture_make(const struct io_port *ports, uint32_t n_ports, uint32_t n_workers,
                 struct memory *ret);

#endif
