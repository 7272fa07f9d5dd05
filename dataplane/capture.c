/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of messages: see capture.h. How a ring is written is config/capture's.
 */
#include "dataplane/capture.h"

#include <stdio.h>

int capture_make(const struct io_port *ports, uint32_t n_ports, uint32_t n_workers,
                 struct memory *ret)
{
    struct capture_header header = {.magic = CAPTURE_MAGIC,
                                    .n_rings = n_workers,
                                    .n_ports = n_ports,
                                    .ring_bytes = CAPTURE_RING_BYTES};
    int error = memory_new("tandem-capture", capture_layout(&header), false, ret);

    if (error < 0)
        return error;
    *(struct capture_header *)ret->at = header;
    for (uint32_t i = 0; i < n_ports; i++)
        snprintf((char *)ret->at + header.names + (size_t)i * CAPTURE_NAME_MAX, CAPTURE_NAME_MAX,
                 "%s", ports[i].cfg->name);
    return 0;
}
