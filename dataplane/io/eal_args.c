/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What EAL is told (port.h), and the last look at the machine before it starts: devices, their
 * queues, their addresses, free huge pages. Knows no rte_ function.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/devargs.h"
#include "dataplane/io/device.h"
#include "dataplane/io/kernel.h"
#include "dataplane/io/port.h"
#include "dataplane/io/reason.h"

static bool is_kernel_device(const struct cfg_port *port)
{
    return port->driver == CFG_AF_PACKET || port->driver == CFG_AF_XDP;
}

/* Free and promised to nobody: pages that a process reserved and has not touched count as free. */
static uint64_t free_hugepage_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    unsigned long long pages = 0, promised = 0, kibibytes = 0;
    char line[128];

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "HugePages_Free: %llu", &pages);
        sscanf(line, "HugePages_Rsvd: %llu", &promised);
        sscanf(line, "Hugepagesize: %llu kB", &kibibytes);
    }
    fclose(file);
    return promised < pages ? (pages - promised) * kibibytes * 1024 : 0;
}

/* AF_XDP: a queue that no worker polls would lose its flows, one too few would leave a worker idle.
 */
static int check_channels(const struct cfg_port *port, uint32_t n_workers,
                          const struct io_device *device, char *ret_reason, size_t reason_size)
{
    char command[96];

    if (port->driver != CFG_AF_XDP || device->channels == n_workers)
        return 0;
    if (device->combined)
        snprintf(command, sizeof(command), "ethtool -L %s combined %u", port->device, n_workers);
    else
        snprintf(command, sizeof(command), "ethtool -L %s rx %u tx %u", port->device, n_workers,
                 n_workers);
    return io_reason(ret_reason, reason_size, EINVAL,
                     "port %s: %s has %u queue(s) for %u worker(s), af_xdp needs one each: %s",
                     port->name, port->device, device->channels, n_workers, command);
}

static int check_kernel_device(const struct cfg_dataplane *cfg, uint32_t port, char *ret_reason,
                               size_t reason_size)
{
    const struct cfg_port *p = &cfg->ports[port];
    struct io_devargs_sizes sizes;
    struct io_device device;
    int error;

    if (p->device == NULL)
        return io_reason(ret_reason, reason_size, EINVAL, "port %s: device: missing", p->name);
    error = io_device_read(p->device, &device);
    if (error != 0)
        return io_reason(ret_reason, reason_size, -error, "port %s: device %s: %s", p->name,
                         p->device, strerror(-error));
    error = check_channels(p, cfg->n_workers, &device, ret_reason, reason_size);
    if (error == 0)
        error = io_devargs_sizes(cfg, port, device.mtu, &sizes, ret_reason, reason_size);
    if (error == 0)
        error = io_kernel_may_deafen(p, ret_reason, reason_size);
    return error;
}

int io_ports_eal_args(const struct cfg_dataplane *cfg, char **ret_argv, uint32_t max,
                      char *ret_reason, size_t reason_size)
{
    int error = 0, n;

    if (cfg->n_ports > IO_PORTS_MAX || cfg->n_workers == 0 || cfg->n_workers > IO_WORKERS_MAX)
        return io_reason(ret_reason, reason_size, EINVAL, "at most %d ports and 1 to %d workers",
                         IO_PORTS_MAX, IO_WORKERS_MAX);
    for (uint32_t i = 0; error == 0 && i < cfg->n_ports; i++)
        if (is_kernel_device(&cfg->ports[i]))
            error = check_kernel_device(cfg, i, ret_reason, reason_size);
    if (error != 0)
        return error;
    n = io_devargs_eal(cfg, free_hugepage_bytes(), ret_argv, max, ret_reason, reason_size);
    /* Last, when nothing else can be refused: a device taken away for nothing locks people out. */
    for (uint32_t i = 0; error == 0 && n >= 0 && i < cfg->n_ports; i++)
        if (is_kernel_device(&cfg->ports[i]))
            error = io_kernel_deafen(&cfg->ports[i], ret_reason, reason_size);
    if (error == 0)
        return n;
    while (n > 0)
        free(ret_argv[--n]);
    return error;
}
