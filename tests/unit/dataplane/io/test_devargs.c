/* SPDX-License-Identifier: Apache-2.0 */
/* What DPDK is told: every driver's argument, memory, sizes of buffers, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/io/devargs.h"

enum { MIB = 1 << 20, PAGE = 4096 };

static char reason[512];

static struct cfg_dataplane one_port(struct cfg_port *port, uint32_t n_workers)
{
    return (struct cfg_dataplane){.n_workers = n_workers,
                                  .memory_bytes = 256 * MIB,
                                  .hugepages = CFG_HUGEPAGES_AUTO,
                                  .ports = port,
                                  .n_ports = 1};
}

static void tells_each_driver(void **state)
{
    static const struct {
        enum cfg_driver driver;
        const char *device;
        uint32_t n_workers;
        uint32_t index; /* of the ethdev */
        uint32_t devices;
        const char *text; /* NULL: refused */
    } cases[] = {
        {CFG_AF_PACKET, "eth0", 1, 0, 1,
         "net_af_packet_p0w0,iface=eth0,qpairs=1,blocksz=32768,"
         "framesz=32768,framecnt=2048,qdisc_bypass=1"},
        {CFG_AF_PACKET, "eth0", 2, 0, 1,
         "net_af_packet_p0w0,iface=eth0,qpairs=2,blocksz=32768,"
         "framesz=32768,framecnt=1024,qdisc_bypass=1"},
        {CFG_AF_PACKET, "eth0,iface=lo", 1, 0, 1, NULL},
        {CFG_AF_PACKET, "", 1, 0, 1, NULL},
        {CFG_AF_PACKET, NULL, 1, 0, 1, NULL},
        {CFG_AF_XDP, "eth0", 2, 0, 2,
         "net_af_xdp_p0w0,iface=eth0,start_queue=0,queue_count=1,busy_budget=0"},
        {CFG_AF_XDP, "eth0", 2, 1, 2,
         "net_af_xdp_p0w1,iface=eth0,start_queue=1,queue_count=1,busy_budget=0"},
        {CFG_PCI, "0000:03:00.0", 2, 0, 1, "0000:03:00.0"},
        {CFG_PCI, "03:00.0", 2, 0, 1, "0000:03:00.0"},
        {CFG_PCI, "03:00.0,x=y", 2, 0, 1, NULL},
        {CFG_MEMIF, "/run/m.sock", 1, 0, 1, "net_memif_p0w0,socket=/run/m.sock"},
        {CFG_MEMIF, "/run/m.sock,role=client,id=3", 1, 0, 1,
         "net_memif_p0w0,socket=/run/m.sock,role=client,id=3"},
        {CFG_MEMIF, ",role=client", 1, 0, 1, NULL},
        {CFG_PCAP, "in.pcap", 1, 0, 1, "net_pcap_p0w0,rx_pcap=in.pcap"},
        {CFG_PCAP, "in.pcap,out.pcap", 1, 0, 1, "net_pcap_p0w0,rx_pcap=in.pcap,tx_pcap=out.pcap"},
        {CFG_PCAP, "in.pcap,infinite_rx=1", 2, 1, 2, "net_pcap_p0w1,rx_pcap=in.pcap,infinite_rx=1"},
        {CFG_PCAP, "in.pcap,out.pcap,infinite_rx=1", 2, 1, 2,
         "net_pcap_p0w1,rx_pcap=in.pcap,tx_pcap=out.pcap.1,infinite_rx=1"},
        {CFG_PCAP, "in.pcap,out.pcap", 2, 0, 2, NULL}, /* each worker would send it again */
        {CFG_PCAP, "a,b,c", 1, 0, 1, NULL},
        {CFG_PCAP, ",out.pcap", 1, 0, 1, NULL},
        {CFG_PCAP, "infinite_rx=1", 1, 0, 1, NULL},
        {CFG_NULL, NULL, 2, 0, 1, "net_null_p0w0,no-rx=1"},
        {CFG_NULL, "size=64", 1, 0, 1, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cfg_port port = {.name = "p",
                                .driver = cases[i].driver,
                                .device = (char *)cases[i].device,
                                .frame_size = 32768};
        struct cfg_dataplane cfg = one_port(&port, cases[i].n_workers);
        char text[IO_DEVARGS_TEXT_MAX];
        int error;

        print_message("%zu: %s\n", i, cases[i].device != NULL ? cases[i].device : "(none)");
        assert_int_equal(io_devargs_devices(&port, cases[i].n_workers), cases[i].devices);
        reason[0] = 0;
        error = io_devargs_device(&cfg, 0, cases[i].index, text, reason, sizeof(reason));
        if (cases[i].text == NULL) {
            assert_int_equal(error, -EINVAL);
            assert_non_null(strstr(reason, "port p"));
            continue;
        }
        assert_int_equal(error, 0);
        assert_string_equal(text, cases[i].text);
    }
}

/* A path as long as the buffer is refused, never cut. */
static void refuses_what_is_too_long(void **state)
{
    static const enum cfg_driver drivers[] = {CFG_MEMIF, CFG_PCAP, CFG_PCI, CFG_NULL};
    char *device = malloc(3 * PAGE);
    char text[IO_DEVARGS_TEXT_MAX];

    assert_non_null(device);
    memset(device, 'x', 3 * PAGE - 1);
    device[0] = 'a';
    device[1] = '=';
    device[3 * PAGE - 1] = 0;
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        struct cfg_port port = {.name = "p", .driver = drivers[i], .device = device};
        struct cfg_dataplane cfg = one_port(&port, 1);

        assert_int_equal(io_devargs_device(&cfg, 0, 0, text, reason, sizeof(reason)), -EINVAL);
    }
    free(device);
}

static void sizes_fit_driver_and_memory(void **state)
{
    static const struct {
        enum cfg_driver driver;
        uint32_t frame_size, mtu, n_workers, mebibytes;
        int error;
    } cases[] = {
        {CFG_AF_PACKET, 32768, 1500, 1, 256, 0},
        {CFG_AF_PACKET, 32768, 1500, 2, 256, 0},
        {CFG_AF_PACKET, 2048, 1500, 8, 256, 0},
        {CFG_AF_PACKET, 0, 65535, 1, 256, 0},
        {CFG_AF_PACKET, 65535, 1500, 1, 256, -EINVAL},
        {CFG_AF_PACKET, 32768, 1500, 1, 64, -ENOMEM},
        {CFG_AF_XDP, 0, 1500, 1, 64, 0},
        {CFG_AF_XDP, 0, 1500, 2, 256, 0},
        {CFG_AF_XDP, 0, 3502, 1, 256, 0},
        {CFG_AF_XDP, 0, 3503, 1, 256, -EINVAL},
        {CFG_AF_XDP, 0, 9000, 1, 256, -EINVAL},
        {CFG_AF_XDP, 0, 1500, 8, 256, -ENOMEM},
        {CFG_PCI, 0, 9000, 2, 256, 0},
        {CFG_PCAP, 0, 65535, 1, 256, -EINVAL},
        {CFG_PCAP, 0, 1500, 1, 1024, 0},
        {CFG_NULL, 0, 1500, 1, 32, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cfg_port port = {.name = "p",
                                .driver = cases[i].driver,
                                .device = "eth0",
                                .frame_size = cases[i].frame_size};
        struct cfg_dataplane cfg = one_port(&port, cases[i].n_workers);
        struct io_devargs_sizes sizes;

        print_message("case %zu\n", i);
        cfg.memory_bytes = (uint64_t)cases[i].mebibytes * MIB;
        assert_int_equal(io_devargs_sizes(&cfg, 0, cases[i].mtu, &sizes, reason, sizeof(reason)),
                         cases[i].error);
        if (cases[i].error != 0)
            continue;
        assert_true((uint64_t)sizes.mbufs * (192 + sizes.data_room) <= cfg.memory_bytes / 2);
        assert_true(sizes.data_room <= 65535);
        if (cases[i].driver == CFG_PCAP) /* a file that is played again and again lies there */
            assert_true(sizes.mbufs > 65536);
        if (cases[i].driver == CFG_AF_XDP) /* mempool object: a page */
            assert_int_equal(sizes.data_room + 192, PAGE);
        if (cases[i].driver != CFG_AF_PACKET) {
            assert_true(sizes.data_room >= cases[i].mtu + 18 + 128);
            continue;
        }
        assert_true(sizes.data_room >= sizes.frame_bytes + 128);
        assert_int_equal(sizes.frame_bytes % PAGE, 0);
        assert_true(sizes.frame_count >= 512);
        assert_true(sizes.frame_bytes >= cases[i].frame_size);
    }
}

/* The arguments as one line, freed. */
static char *line(char **argv, int n)
{
    static char text[8192];
    size_t length = 0;

    text[0] = 0;
    for (int i = 0; i < n; i++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", i > 0 ? " " : "",
                                   argv[i]);
        free(argv[i]);
    }
    return text;
}

static void tells_eal_of_memory(void **state)
{
    static const struct {
        enum cfg_driver driver;
        enum cfg_hugepages hugepages;
        uint64_t free_mebibytes;
        const char *line; /* NULL: refused */
    } cases[] = {
        {CFG_NULL, CFG_HUGEPAGES_AUTO, 0,
         "--no-huge --no-shconf -m 256 --no-pci --iova-mode=va --vdev net_null_p0w0,no-rx=1"},
        {CFG_NULL, CFG_HUGEPAGES_AUTO, 255,
         "--no-huge --no-shconf -m 256 --no-pci --iova-mode=va --vdev net_null_p0w0,no-rx=1"},
        {CFG_NULL, CFG_HUGEPAGES_AUTO, 256,
         "--in-memory -m 256 --no-pci --iova-mode=va --vdev net_null_p0w0,no-rx=1"},
        {CFG_NULL, CFG_HUGEPAGES_ON, 256,
         "--in-memory -m 256 --no-pci --iova-mode=va --vdev net_null_p0w0,no-rx=1"},
        {CFG_NULL, CFG_HUGEPAGES_ON, 255, NULL},
        {CFG_NULL, CFG_HUGEPAGES_OFF, 4096,
         "--no-huge --no-shconf -m 256 --no-pci --iova-mode=va --vdev net_null_p0w0,no-rx=1"},
        {CFG_PCI, CFG_HUGEPAGES_AUTO, 256, "--in-memory -m 256 -a 0000:03:00.0"},
        {CFG_PCI, CFG_HUGEPAGES_AUTO, 0, NULL},
        {CFG_PCI, CFG_HUGEPAGES_OFF, 256, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cfg_port port = {.name = "p",
                                .driver = cases[i].driver,
                                .device = cases[i].driver == CFG_PCI ? "03:00.0" : NULL};
        struct cfg_dataplane cfg = one_port(&port, 2);
        char *argv[16];
        int n;

        print_message("case %zu\n", i);
        cfg.hugepages = cases[i].hugepages;
        n = io_devargs_eal(&cfg, cases[i].free_mebibytes * MIB, argv, 16, reason, sizeof(reason));
        if (cases[i].line == NULL) {
            assert_true(n < 0);
            assert_non_null(strstr(reason, "hugepages"));
            continue;
        }
        assert_true(n > 0);
        assert_string_equal(line(argv, n), cases[i].line);
    }
}

static void says_when_there_is_no_room(void **state)
{
    struct cfg_port port = {.name = "p", .driver = CFG_AF_XDP, .device = "eth0"};
    struct cfg_dataplane cfg = one_port(&port, 4);
    char *argv[16];

    assert_int_equal(io_devargs_eal(&cfg, 0, argv, 13, reason, sizeof(reason)), -E2BIG);
    assert_int_equal(io_devargs_eal(&cfg, 0, argv, 14, reason, sizeof(reason)), 14);
    line(argv, 14);
}

static void tells_the_tap(void **state)
{
    static const uint8_t mac[6] = {0x02, 0, 0xab, 0xcd, 0x0e, 0xff};
    struct cfg_port port = {.tap = "tandem0"};
    char text[80], small[20];

    assert_int_equal(io_devargs_tap(&port, mac, text, sizeof(text)), 0);
    assert_string_equal(text, "iface=tandem0,mac=02:00:ab:cd:0e:ff,persist=1");
    assert_int_equal(io_devargs_tap(&port, mac, small, sizeof(small)), -EINVAL);
    port.tap = "tandem0,remote=eth0";
    assert_int_equal(io_devargs_tap(&port, mac, text, sizeof(text)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_each_driver),           cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(sizes_fit_driver_and_memory), cmocka_unit_test(tells_eal_of_memory),
        cmocka_unit_test(says_when_there_is_no_room),  cmocka_unit_test(tells_the_tap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
