/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading: every key's value and default, every refusal by line, key and reason (the files of
 * broken/, whose first line says what is expected), and files damaged at random.
 */
#include "tests/unit/config/sample.h"

#include "config/direct.h"

#include <dirent.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/snapshot.h"

enum { BROKEN_AT_LEAST = 100, DAMAGED_FILES = 1500 };

static void assert_ip(const struct sip_ip *ip, const char *text)
{
    struct sip_addr addr = sample_addr(text, 0);

    assert_memory_equal(ip->bytes, addr.ip.bytes, sizeof(ip->bytes));
}

static void test_dataplane_values(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    const struct cfg_dataplane *d = &cfg->dataplane;

    assert_int_equal(d->n_workers, 2);
    assert_int_equal(d->workers[0] | d->workers[1], 0);
    assert_int_equal(d->memory_bytes, 128 << 20);
    assert_int_equal(d->hugepages, CFG_HUGEPAGES_OFF);
    assert_int_equal(d->idle, CFG_IDLE_POLL);
    assert_int_equal(d->call_table, 4096);
    assert_string_equal(d->socket, "/run/t/d.sock");
    assert_string_equal(d->user, "nobody");
    assert_string_equal(d->control_user, "daemon");
    assert_int_equal(d->n_ports, 5);
    assert_string_equal(d->ports[0].name, "outside");
    assert_string_equal(d->ports[0].device, "eth0");
    assert_string_equal(d->ports[0].tap, "tandem0");
    assert_int_equal(d->ports[0].driver, CFG_AF_PACKET);
    assert_int_equal(d->ports[0].zone, CFG_ZONE_OUTSIDE);
    assert_int_equal(d->ports[0].frame_size, 16384);
    assert_int_equal(d->ports[0].n_addresses, 2);
    assert_ip(&d->ports[0].addresses[0].ip, "192.0.2.10");
    assert_int_equal(d->ports[0].addresses[0].length, 24);
    assert_ip(&d->ports[0].addresses[1].ip, "2001:db8::10");
    assert_int_equal(d->ports[0].addresses[1].length, 64);
    assert_int_equal(d->ports[0].n_gateways, 2);
    assert_ip(&d->ports[0].gateways[0], "192.0.2.1");
    assert_ip(&d->ports[0].gateways[1], "fe80::1");
    assert_int_equal(d->ports[1].driver, CFG_AF_XDP);
    assert_int_equal(d->ports[1].zone, CFG_ZONE_INSIDE);
    assert_int_equal(d->ports[1].frame_size, 32768);
    assert_int_equal(d->ports[1].n_gateways, 1);
    assert_ip(&d->ports[1].gateways[0], "10.255.0.1");
    assert_int_equal(d->ports[2].driver, CFG_PCI);
    assert_int_equal(d->ports[2].zone, CFG_ZONE_BOTH);
    assert_int_equal(d->ports[2].n_addresses + d->ports[2].n_gateways, 0);
    assert_int_equal(d->ports[3].driver, CFG_PCAP);
    assert_null(d->ports[3].tap);
    assert_int_equal(d->ports[4].driver, CFG_NULL);
    assert_null(d->ports[4].device);
    cfg_free(cfg);
}

static void test_service_values(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    const struct cfg_service *s = &cfg->services[0];

    assert_int_equal(cfg->n_services, 2);
    assert_string_equal(s->name, "calls");
    assert_string_equal(s->pool, "proxies");
    assert_int_equal(s->n_listen, 3);
    assert_int_equal(s->listen[0].transport, SIP_TRANSPORT_UDP);
    assert_ip(&s->listen[0].addr.ip, "192.0.2.10");
    assert_int_equal(s->listen[0].addr.port, 5070);
    assert_int_equal(s->listen[1].addr.port, 5060);
    assert_false(s->record_route);
    assert_int_equal(s->path, SNAPSHOT_PATH_SUPPORTED);
    assert_int_equal(s->nat, SNAPSHOT_NAT_ALWAYS);
    assert_int_equal(s->n_domains, 3);
    assert_string_equal(s->domains[2], "[2001:db8::10]");
    assert_int_equal(s->n_proxy_require, 2);
    assert_string_equal(s->proxy_require[1], "sec-agree");
    cfg_free(cfg);
}

/* The schema has no listener yet that mode direct refuses: that is made by hand. */
static void test_direct_values(void **state)
{
    struct cfg *cfg = sample_load("direct.yaml");
    struct cfg_error error;

    assert_int_equal(cfg->n_services, 3);
    assert_int_equal(cfg->services[0].mode, SNAPSHOT_MODE_DIRECT);
    assert_false(cfg->services[0].tunnel);
    assert_int_equal(cfg->services[0].n_sources, 1);
    assert_int_equal(cfg->services[1].mode, SNAPSHOT_MODE_DIRECT);
    assert_true(cfg->services[1].tunnel);
    assert_int_equal(cfg->services[2].mode, SNAPSHOT_MODE_PROXY);
    assert_false(cfg->services[2].tunnel);
    assert_int_equal(direct_check(cfg, &error), 0);
    cfg->services[1].listen[0].transport = SIP_TRANSPORT_TCP;
    assert_int_equal(direct_check(cfg, &error), -EINVAL);
    assert_string_equal(error.key, "services[1].listen[0].transport");
    cfg_free(cfg);
}

static void test_trunk_values(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    const struct cfg_service *s = &cfg->services[1];

    assert_int_equal(cfg->services[0].n_sources + cfg->services[0].n_matches, 0);
    assert_int_equal(s->n_sources, 4);
    assert_ip(&s->sources[0].ip, "198.51.100.0");
    assert_int_equal(s->sources[0].length, 24);
    assert_int_equal(s->sources[1].length, 32);
    assert_ip(&s->sources[2].ip, "2001:db8:7::");
    assert_int_equal(s->sources[2].length, 48);
    assert_int_equal(s->sources[3].length, 0);
    assert_int_equal(s->n_matches, 4);
    assert_true(s->matches[0].has_source);
    assert_ip(&s->matches[0].source.ip, "198.51.100.128");
    assert_int_equal(s->matches[0].source.length, 25);
    assert_string_equal(s->matches[0].domain, "Tenant.example.net");
    assert_string_equal(s->matches[0].prefix, "+49*#");
    assert_string_equal(s->matches[0].pool, "spare");
    assert_false(s->matches[1].has_source);
    assert_null(s->matches[1].domain);
    assert_string_equal(s->matches[1].prefix, "0049");
    assert_null(s->matches[2].prefix);
    assert_int_equal(s->matches[2].source.length, 0);
    cfg_free(cfg);
}

static void test_other_values(void **state)
{
    struct cfg *cfg = sample_load("good.yaml");
    const struct cfg_pool *p = &cfg->pools[0];

    assert_string_equal(cfg->node, "lb1");
    assert_true(cfg->has_node_address);
    assert_ip(&cfg->node_address, "192.0.2.11");
    assert_int_equal(cfg->n_nodes, 2);
    assert_string_equal(cfg->nodes[1].name, "lb2");
    assert_int_equal(cfg->nodes[1].n_addresses, 1);
    assert_ip(&cfg->nodes[1].addresses[0], "192.0.2.12");
    assert_int_equal(cfg->token_lifetime_ms, 90 * 60000);
    assert_int_equal(cfg->linger_ms, 2 * 86400000);
    assert_string_equal(cfg->secret_file, "/etc/t/secret");
    assert_string_equal(cfg->control.socket, "/run/t/c.sock");
    assert_string_equal(cfg->control.socket_group, "operators");
    assert_string_equal(cfg->control.state_dir, "/var/lib/t");
    assert_ip(&cfg->control.metrics.ip, "2001:db8::10");
    assert_int_equal(cfg->control.metrics.port, 9060);
    assert_int_equal(cfg->control.n_dns, 4);
    assert_ip(&cfg->control.dns[0].ip, "192.0.2.53");
    assert_int_equal(cfg->control.dns[0].port, 53);
    assert_ip(&cfg->control.dns[1].ip, "192.0.2.54");
    assert_int_equal(cfg->control.dns[1].port, 5353);
    assert_ip(&cfg->control.dns[2].ip, "2001:db8::53");
    assert_int_equal(cfg->control.dns[2].port, 53);
    assert_ip(&cfg->control.dns[3].ip, "2001:db8::54");
    assert_int_equal(cfg->control.dns[3].port, 5354);
    assert_int_equal(cfg->n_pools, 3);
    assert_int_equal(p->share, LB_SHARE_DIALOGS);
    assert_int_equal(p->keys[SIP_METHOD_UNKNOWN], LB_KEY_AOR);
    assert_int_equal(p->keys[SIP_REGISTER], LB_KEY_AOR);
    assert_int_equal(p->keys[SIP_INVITE], LB_KEY_FROM);
    assert_int_equal(p->keys[SIP_ACK], LB_KEY_FROM);
    assert_int_equal(p->keys[SIP_CANCEL], LB_KEY_FROM);
    assert_int_equal(p->keys[SIP_MESSAGE], LB_KEY_HEADER);
    assert_int_equal(p->keys[SIP_OPTIONS], LB_KEY_SOURCE);
    assert_string_equal(p->key_header, "X-Tenant");
    assert_int_equal(p->n_backends, 4);
    assert_string_equal(p->backends[0].name, "kam1");
    assert_ip(&p->backends[0].addr.ip, "10.0.0.11");
    assert_int_equal(p->backends[0].addr.port, 5080);
    assert_int_equal(p->backends[0].weight, 50);
    assert_int_equal(p->backends[0].n_ports, 2);
    assert_int_equal(p->backends[0].ports[1], 5082);
    assert_int_equal(p->backends[1].addr.port, 5060);
    assert_int_equal(p->backends[1].weight, 100);
    assert_int_equal(p->backends[2].weight, 0);
    assert_int_equal(cfg->pools[2].keys[SIP_BYE], LB_KEY_HEADER);
    cfg_free(cfg);
}

/* Names as DNS is asked for them; where they lead is not known here. */
static void test_names(void **state)
{
    struct cfg *cfg = sample_load("names.yaml");
    const struct cfg_backend *b = cfg->pools[0].backends;

    assert_int_equal(cfg->pools[0].n_backends, 4);
    assert_null(b[0].lookup);
    assert_string_equal(b[1].lookup, "kam2.example.net");
    assert_false(b[1].srv);
    assert_int_equal(b[1].addr.port, 5070);
    assert_int_equal(b[1].n_ports, 2);
    assert_string_equal(b[2].lookup, "_sip._udp.example.net");
    assert_true(b[2].srv);
    assert_int_equal(b[2].addr.port, 0);
    assert_int_equal(b[2].weight, 1000);
    assert_string_equal(b[3].lookup, "example.net");
    assert_true(b[3].srv);
    cfg_free(cfg);
}

static void test_defaults(void **state)
{
    struct cfg *cfg = sample_load("least.yaml");
    const struct cfg_service *s = &cfg->services[0];

    assert_true(strlen(cfg->node) > 0);
    assert_false(cfg->has_node_address);
    assert_int_equal(cfg->token_lifetime_ms, 86400000);
    assert_int_equal(cfg->linger_ms, 86400000);
    assert_string_equal(cfg->secret_file, "/var/lib/tandem/secret");
    assert_int_equal(cfg->dataplane.n_workers, 1);
    assert_int_equal(cfg->dataplane.workers[0], sysconf(_SC_NPROCESSORS_CONF) - 1);
    assert_int_equal(cfg->dataplane.memory_bytes, 256 << 20);
    assert_int_equal(cfg->dataplane.hugepages, CFG_HUGEPAGES_AUTO);
    assert_int_equal(cfg->dataplane.idle, CFG_IDLE_ADAPTIVE);
    assert_int_equal(cfg->dataplane.call_table, 1000000);
    assert_string_equal(cfg->dataplane.socket, "/run/tandem/dataplane.sock");
    assert_null(cfg->dataplane.user);
    assert_null(cfg->dataplane.control_user);
    assert_int_equal(cfg->dataplane.ports[0].zone, CFG_ZONE_BOTH);
    assert_int_equal(s->listen[0].addr.port, 5060);
    assert_true(s->record_route);
    assert_int_equal(s->path, SNAPSHOT_PATH_ALWAYS);
    assert_int_equal(s->nat, SNAPSHOT_NAT_RPORT);
    assert_int_equal(s->n_domains, 0);
    assert_int_equal(s->n_proxy_require, 1);
    assert_string_equal(s->proxy_require[0], "privacy");
    assert_int_equal(cfg->pools[0].keys[SIP_INVITE], LB_KEY_CALL_ID);
    assert_null(cfg->pools[0].key_header);
    assert_int_equal(cfg->pools[0].share, LB_SHARE_NONE);
    assert_int_equal(cfg->pools[0].backends[0].weight, 100);
    assert_string_equal(cfg->control.socket, "/run/tandem/control.sock");
    assert_null(cfg->control.socket_group);
    assert_string_equal(cfg->control.state_dir, "/var/lib/tandem");
    assert_int_equal(cfg->control.metrics.port, 0);
    assert_int_equal(cfg->control.n_dns, 0);
    cfg_free(cfg);
}

/* The expectation in the first line of a broken file: `# LINE: KEY: REASON`, `-` for no key. */
static void read_expectation(const char *file, uint32_t *ret_line, char key[160], char reason[256])
{
    FILE *in = fopen(file, "re");

    assert_non_null(in);
    if (fscanf(in, "# %u: %159[^ :]: %255[^\n]", ret_line, key, reason) != 3)
        fail_msg("%s: the first line is no expectation", file);
    fclose(in);
    if (strcmp(key, "-") == 0)
        key[0] = '\0';
}

static void assert_refused(const char *file, const struct cfg *cfg, const struct cfg_error *error,
                           const char *key, uint32_t line, const char *reason)
{
    if (cfg != NULL)
        fail_msg("%s was taken", file);
    if (strcmp(error->file, file) != 0 || error->line != line || strcmp(error->key, key) != 0 ||
        strstr(error->reason, reason) == NULL)
        fail_msg("%s: wanted `%u: %s: %s`, got `%u: %s: %s`", file, line, key, reason, error->line,
                 error->key, error->reason);
}

/* The data plane refuses the same for the same reason, and takes what is wrong elsewhere. */
static void check_broken(const char *file)
{
    char key[160], reason[256];
    uint32_t line;
    struct cfg_error error;
    struct cfg *cfg;

    read_expectation(file, &line, key, reason);
    cfg = cfg_load(file, &error);
    assert_refused(file, cfg, &error, key, line, reason);
    cfg = cfg_load_dataplane(file, &error);
    if (key[0] == '\0' || strncmp(key, "dataplane", 9) == 0) {
        assert_refused(file, cfg, &error, key, line, reason);
    } else {
        if (cfg == NULL)
            fail_msg("%s: refused as the data plane's: %u: %s: %s", file, error.line, error.key,
                     error.reason);
        cfg_free(cfg);
    }
}

static void test_broken_files(void **state)
{
    const struct dirent *entry;
    char dir[512], file[1024];
    int n = 0;
    DIR *broken;

    snprintf(dir, sizeof(dir), "%s/broken", sample_dir);
    broken = opendir(dir);
    assert_non_null(broken);
    while ((entry = readdir(broken)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", dir, entry->d_name);
        check_broken(file);
        n++;
    }
    closedir(broken);
    assert_true(n >= BROKEN_AT_LEAST);
}

static void test_unreadable(void **state)
{
    char file[] = "/tmp/tandem-cfg-XXXXXX";
    struct cfg_error error;

    assert_null(cfg_load("/nonexistent/tandem.yaml", &error));
    assert_string_equal(error.file, "/nonexistent/tandem.yaml");
    assert_int_equal(error.line, 0);
    assert_non_null(strstr(error.reason, "No such file"));
    assert_null(cfg_load("/", &error));
    assert_non_null(strstr(error.reason, "directory"));
    assert_null(cfg_load("/dev/zero", &error));
    assert_non_null(strstr(error.reason, "no regular file"));
    assert_int_equal(mkstemp(file) >= 0, 1);
    assert_null(cfg_load(file, &error));
    assert_non_null(strstr(error.reason, "empty"));
    assert_int_equal(truncate(file, (16 << 20) + 1), 0);
    assert_null(cfg_load_dataplane(file, &error));
    assert_non_null(strstr(error.reason, "larger than 16 MiB"));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0); /* nobody writes: it must not be waited for */
    assert_null(cfg_load(file, &error));
    assert_non_null(strstr(error.reason, "no regular file"));
    assert_int_equal(unlink(file), 0);
}

/* What is shipped passes. Its CPUs are those of a machine of two; on a smaller one that is said. */
static void test_examples(void **state)
{
    char examples[512];
    glob_t found;

    snprintf(examples, sizeof(examples), "%s/../../../config/examples/*.yaml", sample_dir);
    assert_int_equal(glob(examples, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 2);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct cfg_error error = {.line = 0};
        struct cfg *cfg = cfg_load(found.gl_pathv[i], &error);

        if (cfg == NULL && strncmp(error.reason, "there is no CPU", 15) != 0)
            fail_msg("%s:%u: %s: %s", error.file, error.line, error.key, error.reason);
        cfg_free(cfg);
    }
    globfree(&found);
}

static void test_error_print(void **state)
{
    struct cfg_error error = {"t.yaml", 3, "pools[0].name", "no name"};
    char text[768];

    cfg_error_print(&error, text, sizeof(text));
    assert_string_equal(text, "t.yaml:3: pools[0].name: no name");
    error.line = 0;
    cfg_error_print(&error, text, sizeof(text));
    assert_string_equal(text, "t.yaml: pools[0].name: no name");
    error.key[0] = '\0';
    cfg_error_print(&error, text, sizeof(text));
    assert_string_equal(text, "t.yaml: no name");
    memset(&error, 'x', sizeof(error));
    error.file[255] = error.key[159] = error.reason[255] = '\0';
    cfg_error_print(&error, text, sizeof(text));
    assert_int_equal(text[strlen(text) - 1], 'x');
    assert_true(strlen(text) < sizeof(text) - 1);
}

/* A table in the shape of a switch: one line a case. */
/* clang-format off */
/* One change to `dataplane:` each; the key that is named. */
static void change_dataplane(struct cfg *cfg, uint32_t which)
{
    struct cfg_dataplane *d = &cfg->dataplane;

    switch (which) {
    case 0: d->workers[1] = 1; break;
    case 1: d->memory_bytes++; break;
    case 2: d->hugepages = CFG_HUGEPAGES_ON; break;
    case 3: d->call_table++; break;
    case 4: d->socket[1] = 'x'; break;
    case 5: free(d->user); d->user = NULL; break;
    case 6: d->ports[4].name[0] = 'x'; break;
    case 7: d->ports[0].driver = CFG_AF_XDP; break;
    case 8: d->ports[1].device[3] = '9'; break;
    case 9: d->ports[2].tap[0] = 'x'; break;
    case 10: d->ports[0].zone = CFG_ZONE_BOTH; break;
    case 11: d->ports[0].frame_size++; break;
    case 12: d->ports[0].addresses[1].length--; break;
    case 13: d->ports[1].gateways[0].bytes[15]++; break;
    case 14: d->idle = CFG_IDLE_ADAPTIVE; break;
    case 15: free(d->control_user); d->control_user = NULL; break;
    default: fail();
    }
}
/* clang-format on */

static void test_same_dataplane(void **state)
{
    static const char *const keys[] = {
        "dataplane.workers",
        "dataplane.memory",
        "dataplane.hugepages",
        "dataplane.call_table",
        "dataplane.socket",
        "dataplane.user",
        "dataplane.ports[4].name",
        "dataplane.ports[0].driver",
        "dataplane.ports[1].device",
        "dataplane.ports[2].tap",
        "dataplane.ports[0].zone",
        "dataplane.ports[0].frame_size",
        "dataplane.ports[0].addresses",
        "dataplane.ports[1].gateway",
        "dataplane.idle",
        "dataplane.control_user",
    };
    struct cfg *cfg = sample_load("good.yaml");
    char key[160] = "untouched";

    for (uint32_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct cfg *other = sample_load("good.yaml");

        assert_true(cfg_same_dataplane(cfg, other, key));
        change_dataplane(other, i);
        assert_false(cfg_same_dataplane(cfg, other, key));
        assert_string_equal(key, keys[i]);
        assert_false(cfg_same_dataplane(other, cfg, key));
        cfg_free(other);
    }
    cfg_free(cfg);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Cuts, doubles or overwrites a part. `text` has room for twice its length. */
static size_t damage(char *text, size_t length, uint32_t *seed)
{
    static const char bytes[] = " \t\n:-[]{},&*!|>'\"%@`#0a\xff\x00\x80";
    size_t at = next_random(seed) % length, n = next_random(seed) % 12;

    n = at + n > length ? length - at : n;
    switch (next_random(seed) % 4) {
    case 0:
        memmove(text + at, text + at + n, length - at - n);
        return length - n;
    case 1:
        memmove(text + at + n, text + at, length - at);
        return length + n;
    default:
        text[at] = bytes[next_random(seed) % sizeof(bytes)];
        return length;
    }
}

/* Whatever a damaged file is, it is taken or refused with a reason. */
static void test_damaged_files(void **state)
{
    char source[512], file[] = "/tmp/tandem-cfg-XXXXXX";
    static char text[16384], copy[16384];
    uint32_t seed = 2463534242u;
    size_t length;
    FILE *in, *out;
    int fd;

    snprintf(source, sizeof(source), "%s/good.yaml", sample_dir);
    in = fopen(source, "re");
    assert_non_null(in);
    length = fread(text, 1, sizeof(text) / 2, in);
    fclose(in);
    fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    for (int i = 0; i < DAMAGED_FILES; i++) {
        struct cfg_error error = {.reason = ""};
        size_t n = length;
        struct cfg *cfg;

        memcpy(copy, text, length);
        for (uint32_t j = next_random(&seed) % 4; j < 4; j++)
            n = damage(copy, n, &seed);
        out = fopen(file, "we");
        assert_non_null(out);
        assert_int_equal(fwrite(copy, 1, n, out), n);
        assert_int_equal(fclose(out), 0);
        cfg = i % 2 == 0 ? cfg_load(file, &error) : cfg_load_dataplane(file, &error);
        assert_true((cfg == NULL) == (error.reason[0] != '\0'));
        cfg_free(cfg);
    }
    unlink(file);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dataplane_values), cmocka_unit_test(test_service_values),
        cmocka_unit_test(test_trunk_values),     cmocka_unit_test(test_direct_values),
        cmocka_unit_test(test_other_values),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_defaults),         cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_unreadable),       cmocka_unit_test(test_error_print),
        cmocka_unit_test(test_same_dataplane),   cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_examples),
    };

    if (argc > 1)
        sample_dir = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
