/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners of streams and what bounds their connections: every key, its default, and the snapshot
 * that comes of them. What is refused: the files of broken/ (test_cfg.c). */
#include "tests/unit/config/sample.h"

#include "config/listen.h"

static void assert_addr(const struct sip_addr *addr, const char *ip, uint16_t port)
{
    struct sip_addr wanted = sample_addr(ip, port);

    assert_memory_equal(addr, &wanted, sizeof(wanted));
}

/* A name of a file that was relative: it begins at the configuration file's folder. */
static void assert_beside(const char *file, const char *name)
{
    char wanted[768];

    snprintf(wanted, sizeof(wanted), "%s/%s", sample_dir, name);
    assert_string_equal(file, wanted);
}

static void test_listeners(void **state)
{
    static const struct {
        enum sip_transport transport;
        const char *ip;
        uint16_t port;
    } wanted[] = {
        {SIP_TRANSPORT_UDP, "192.0.2.10", 5061}, {SIP_TRANSPORT_TCP, "192.0.2.10", 5060},
        {SIP_TRANSPORT_TLS, "192.0.2.10", 5061}, {SIP_TRANSPORT_TLS, "2001:db8::10", 5071},
        {SIP_TRANSPORT_WS, "192.0.2.10", 80},    {SIP_TRANSPORT_WSS, "192.0.2.10", 443},
    };
    struct cfg *cfg = sample_load("streams.yaml");
    const struct cfg_service *phones = &cfg->services[1];

    assert_int_equal(phones->n_listen, sizeof(wanted) / sizeof(wanted[0]));
    for (uint32_t i = 0; i < phones->n_listen; i++) {
        const struct cfg_listener *l = &phones->listen[i];
        bool tls = l->transport == SIP_TRANSPORT_TLS || l->transport == SIP_TRANSPORT_WSS;

        assert_int_equal(l->transport, wanted[i].transport);
        assert_addr(&l->addr, wanted[i].ip, wanted[i].port);
        assert_int_equal(l->n_certificates > 0, tls);
    }
    cfg_free(cfg);
}

static void test_certificates(void **state)
{
    struct cfg *cfg = sample_load("streams.yaml");
    const struct cfg_listener *plain = &cfg->services[1].listen[2];
    const struct cfg_listener *trunk = &cfg->services[1].listen[3];
    const struct cfg_listener *wss = &cfg->services[1].listen[5];

    assert_int_equal(plain->n_certificates, 1);
    assert_beside(plain->certificates[0].cert, "a.pem");
    assert_string_equal(plain->certificates[0].key, "/etc/t/a.key");
    assert_null(plain->certificates[0].ocsp);
    assert_int_equal(plain->clients, CFG_CLIENTS_NONE);
    assert_null(plain->client_ca);
    assert_int_equal(trunk->n_certificates, 2);
    assert_beside(trunk->certificates[0].key, "keys/rsa.key");
    assert_beside(trunk->certificates[0].ocsp, "rsa.ocsp");
    assert_string_equal(trunk->certificates[1].cert, "/etc/t/ec.pem");
    assert_int_equal(trunk->clients, CFG_CLIENTS_REQUIRED);
    assert_beside(trunk->client_ca, "trunks.pem");
    assert_beside(trunk->client_crl, "trunks.crl");
    assert_int_equal(trunk->n_client_names, 2);
    assert_string_equal(trunk->client_names[0], "trunk.example.net");
    assert_int_equal(wss->clients, CFG_CLIENTS_OPTIONAL);
    assert_string_equal(wss->client_ca, "/etc/t/people.pem");
    assert_null(wss->client_crl);
    assert_int_equal(wss->n_client_names, 0);
    cfg_free(cfg);
}

static void test_backends_by_tls(void **state)
{
    struct cfg *cfg = sample_load("streams.yaml");
    const struct cfg_pool *plain = &cfg->pools[0], *others = &cfg->pools[1];

    assert_int_equal(plain->backends[0].transport, SIP_TRANSPORT_UDP);
    assert_null(plain->tls.ca);
    assert_int_equal(others->backends[0].transport, SIP_TRANSPORT_TLS);
    assert_addr(&others->backends[0].addr, "10.0.0.21", 5061);
    assert_string_equal(others->backends[1].lookup, "kam2.example.net");
    assert_int_equal(others->backends[1].addr.port, 5063);
    assert_beside(others->tls.ca, "inside.pem");
    assert_string_equal(others->tls.name, "proxies.example.net");
    assert_string_equal(others->tls.certificate.cert, "/etc/t/own.pem");
    assert_beside(others->tls.certificate.key, "keys/own.key");
    assert_int_equal(others->health.transport, SIP_TRANSPORT_TLS);
    cfg_free(cfg);
}

static void test_websocket(void **state)
{
    struct cfg *cfg = sample_load("streams.yaml");
    const struct cfg_listener *ws = &cfg->services[1].listen[4];
    const struct cfg_listener *wss = &cfg->services[1].listen[5];

    assert_string_equal(ws->path, "/");
    assert_int_equal(ws->n_origins, 0);
    assert_string_equal(wss->path, "/sip;v=1");
    assert_int_equal(wss->n_origins, 3);
    assert_string_equal(wss->origins[0], "https://phone.example.net");
    assert_string_equal(wss->origins[1], "http://[2001:db8::7]:8080");
    assert_string_equal(wss->origins[2], "null");
    assert_null(cfg->services[1].listen[2].path);
    cfg_free(cfg);
}

/* A file without a slash in its name stands in no folder that could be named. */
static void test_file_without_folder(void **state)
{
    char cert[] = "a.pem", key[] = "/k/a.key", address[] = "192.0.2.10";
    struct schema_certificate certificate = {.cert = cert, .key = key};
    struct schema_listen listen = {.transport = SIP_TRANSPORT_TLS,
                                   .address = address,
                                   .certificates = &certificate,
                                   .n_certificates = 1};
    struct schema_service raw = {.listen = &listen, .n_listen = 1};
    struct cfg_service service = {.n_listen = 0};
    struct cfg_error error;

    assert_int_equal(listen_convert(&raw, "t.yaml", &service, "services[0]", &error), 0);
    assert_string_equal(service.listen[0].certificates[0].cert, "a.pem");
    assert_string_equal(service.listen[0].certificates[0].key, "/k/a.key");
    listen_done(&service.listen[0]);
    free(service.listen);
}

static void test_bounds(void **state)
{
    struct cfg *cfg = sample_load("streams.yaml");
    const struct cfg_streams *s = &cfg->control.streams;

    assert_int_equal(s->threads, 3);
    assert_int_equal(s->connections, 2000);
    assert_int_equal(s->connections_per_source, 20);
    assert_int_equal(s->idle_timeout_ms, 3600000);
    assert_int_equal(s->handshake_timeout_ms, 5000);
    assert_int_equal(s->message_timeout_ms, 1500);
    assert_int_equal(s->header_limit, 8 << 10);
    assert_int_equal(s->body_limit, 1 << 20);
    assert_int_equal(s->write_limit, 2 << 20);
    assert_int_equal(s->memory_limit, 1 << 30);
    cfg_free(cfg);
}

static void test_default_bounds(void **state)
{
    struct cfg *cfg = sample_load("least.yaml");
    const struct cfg_streams *s = &cfg->control.streams;

    assert_int_equal(s->threads, 1);
    assert_int_equal(s->connections, 100000);
    assert_int_equal(s->connections_per_source, 1000);
    assert_int_equal(s->idle_timeout_ms, 600000);
    assert_int_equal(s->handshake_timeout_ms, 10000);
    assert_int_equal(s->message_timeout_ms, 10000);
    assert_int_equal(s->header_limit, 16 << 10);
    assert_int_equal(s->body_limit, 256 << 10);
    assert_int_equal(s->write_limit, 1 << 20);
    assert_int_equal(s->memory_limit, 256 << 20);
    assert_int_equal(cfg->services[0].stream_port, 0);
    assert_null(cfg_node_ip(cfg, true));
    assert_null(cfg_node_ip(cfg, false));
    cfg_free(cfg);
}

static void test_node_addresses(void **state)
{
    struct cfg *cfg = sample_load("streams.yaml");
    struct sip_addr v4 = sample_addr("192.0.2.11", 0), v6 = sample_addr("2001:db8::11", 0);

    assert_memory_equal(cfg_node_ip(cfg, true), &v4.ip, sizeof(v4.ip));
    assert_memory_equal(cfg_node_ip(cfg, false), &v6.ip, sizeof(v6.ip));
    cfg->has_node_address6 = false;
    assert_null(cfg_node_ip(cfg, false));
    cfg->node_address = v6.ip; /* node_address may be the only one, and of IPv6 */
    assert_null(cfg_node_ip(cfg, true));
    assert_memory_equal(cfg_node_ip(cfg, false), &v6.ip, sizeof(v6.ip));
    cfg_free(cfg);
}

/* The port is the file's, or 5070 and the service's index; without streams there is none. */
static void test_stream_ports(void **state)
{
    struct cfg *cfg = sample_load("streams.yaml");

    assert_int_equal(cfg->services[0].stream_port, 0);
    assert_int_equal(cfg->services[1].stream_port, 5075);
    assert_int_equal(cfg->services[2].stream_port, 5072);
    cfg_free(cfg);
}

static const struct snapshot_listener *
listener(const struct snapshot *s, enum sip_transport transport, const char *ip, uint16_t port)
{
    struct sip_addr addr = sample_addr(ip, port);
    int32_t index = snapshot_find_listener(s, transport, &addr);

    return index < 0 ? NULL : &snapshot_listeners(s)[index];
}

/* Control's own listeners of UDP stand beside those of the file. */
static void test_snapshot(void **state)
{
    static const struct {
        enum sip_transport transport;
        const char *ip;
        uint16_t port;
        uint8_t plane;
        uint32_t service;
    } wanted[] = {
        {SIP_TRANSPORT_UDP, "192.0.2.10", 5060, SNAPSHOT_PLANE_DATA, 0},
        {SIP_TRANSPORT_UDP, "192.0.2.10", 5061, SNAPSHOT_PLANE_DATA, 1},
        {SIP_TRANSPORT_TCP, "192.0.2.10", 5060, SNAPSHOT_PLANE_CONTROL, 1},
        {SIP_TRANSPORT_TLS, "192.0.2.10", 5061, SNAPSHOT_PLANE_CONTROL, 1},
        {SIP_TRANSPORT_TLS, "2001:db8::10", 5071, SNAPSHOT_PLANE_CONTROL, 1},
        {SIP_TRANSPORT_WS, "192.0.2.10", 80, SNAPSHOT_PLANE_CONTROL, 1},
        {SIP_TRANSPORT_WSS, "192.0.2.10", 443, SNAPSHOT_PLANE_CONTROL, 1},
        {SIP_TRANSPORT_TCP, "192.0.2.10", 5070, SNAPSHOT_PLANE_CONTROL, 2},
        {SIP_TRANSPORT_TLS, "192.0.2.10", 5072, SNAPSHOT_PLANE_CONTROL, 2},
        {SIP_TRANSPORT_UDP, "192.0.2.11", 5075, SNAPSHOT_PLANE_CONTROL, 1},
        {SIP_TRANSPORT_UDP, "2001:db8::11", 5075, SNAPSHOT_PLANE_CONTROL, 1},
        {SIP_TRANSPORT_UDP, "192.0.2.11", 5072, SNAPSHOT_PLANE_CONTROL, 2},
        {SIP_TRANSPORT_UDP, "2001:db8::11", 5072, SNAPSHOT_PLANE_CONTROL, 2},
    };
    struct cfg *cfg = sample_load("streams.yaml");
    struct compile_input input = {.cfg = cfg, .secret = &sample_secret, .generation = 1};
    struct snapshot *s = sample_compile(&input);
    const char *reason = "";

    if (snapshot_check(s, s->size, &reason) != 0)
        fail_msg("%s", reason);
    assert_int_equal(s->listeners.n, sizeof(wanted) / sizeof(wanted[0]));
    for (uint32_t i = 0; i < s->listeners.n; i++) {
        const struct snapshot_listener *l =
            listener(s, wanted[i].transport, wanted[i].ip, wanted[i].port);

        assert_non_null(l);
        assert_int_equal(l->plane, wanted[i].plane);
        assert_int_equal(l->service, wanted[i].service);
    }
    free(s);
    cfg->has_node_address6 = false;
    s = sample_compile(&input);
    assert_null(listener(s, SIP_TRANSPORT_UDP, "2001:db8::11", 5075));
    assert_non_null(listener(s, SIP_TRANSPORT_UDP, "192.0.2.11", 5075));
    free(s);
    cfg_free(cfg);
}

static struct sip_ip ip_of(const char *text)
{
    return sample_addr(text, 1).ip;
}

/* Every address of the cluster's nodes, as the core looks for them. */
static void test_cluster(void **state)
{
    struct cfg *cfg = sample_load("streams.yaml");
    struct compile_input input = {.cfg = cfg, .secret = &sample_secret, .generation = 1};
    struct snapshot *s = sample_compile(&input);
    const struct snapshot_node *nodes = snapshot_nodes(s);
    struct sip_ip second = ip_of("192.0.2.12"), second6 = ip_of("2001:db8::12");
    struct sip_ip third6 = ip_of("2001:db8::13"), own = ip_of("192.0.2.11");

    assert_int_equal(s->nodes.n, 3);
    for (uint32_t i = 1; i < s->nodes.n; i++)
        assert_true(snapshot_node_order(&nodes[i - 1], &nodes[i]) < 0);
    assert_int_equal(snapshot_node_at(s, &second), snapshot_node_id(sip_slice_of("lb2")));
    assert_int_equal(snapshot_node_at(s, &second6), snapshot_node_id(sip_slice_of("lb2")));
    assert_int_equal(snapshot_node_at(s, &third6), snapshot_node_id(sip_slice_of("lb3")));
    assert_int_equal(snapshot_node_at(s, &own), 0);
    free(s);
    cfg_free(cfg);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listeners),    cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_backends_by_tls),
        cmocka_unit_test(test_websocket),    cmocka_unit_test(test_file_without_folder),
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_default_bounds),
        cmocka_unit_test(test_cluster),      cmocka_unit_test(test_node_addresses),
        cmocka_unit_test(test_stream_ports), cmocka_unit_test(test_snapshot),
    };

    if (argc > 1)
        sample_dir = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
