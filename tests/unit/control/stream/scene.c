/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control with streams, and its peers: see scene.h.
 */
#include "tests/unit/control/stream/scene.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/address.h"

#define BACKENDS "{name: a, address: %s, port: 5060}, {name: b, address: %s, port: 5060}"

const char *scene_ip(uint32_t last)
{
    static char texts[4][16];
    static uint32_t next;
    char *text = texts[next++ % 4];

    snprintf(text, 16, "127.%u.%u.%u", 1 + (uint32_t)getpid() / 256 % 250, (uint32_t)getpid() % 256,
             last);
    return text;
}

struct sip_addr scene_addr(uint32_t last, uint16_t port)
{
    struct sip_addr addr = {.port = port};
    const char *text = scene_ip(last);

    assert_int_equal(sip_ip_parse(sip_slice(text, (uint32_t)strlen(text)), &addr.ip), 0);
    return addr;
}

/* The text with the virtual address in the place of each VIP. */
static void put_listen(FILE *out, const char *listen)
{
    const char *at;

    while ((at = strstr(listen, "VIP")) != NULL) {
        fprintf(out, "%.*s%s", (int)(at - listen), listen, scene_ip(1));
        listen = at + 3;
    }
    fputs(listen, out);
}

static void configure(const struct scene *s, const char *listen, const char *streams)
{
    FILE *out = fopen(s->fake.config, "w");

    assert_non_null(out);
    fprintf(out,
            "%s"
            "node_address: %s\n"
            "dataplane:\n"
            "  workers: [1]\n"
            "  call_table: 4096\n"
            "  socket: %s\n"
            "  ports: [{name: p, driver: \"null\", addresses: [%s/8]}]\n"
            "secret_file: %s/secret\n"
            "services:\n"
            "  - name: s\n"
            "    pool: p\n"
            "%s"
            "    listen:\n"
            "      - {transport: udp, address: %s, port: 5060}\n",
            s->node != NULL ? s->node : "node: n\n", scene_ip(2), s->fake.socket, scene_ip(1),
            s->fake.dir, *listen == '\0' ? "" : "    stream_port: 5070\n", scene_ip(1));
    put_listen(out, listen);
    fprintf(out, "pools: [{name: p, backends: [" BACKENDS "]%s}]\n", scene_ip(11), scene_ip(12),
            s->pool != NULL ? s->pool : "");
    fprintf(out, "control: {socket: %s/control.sock, state_dir: %s, streams: {%s}}\n", s->fake.dir,
            s->fake.dir, streams);
    assert_int_equal(fclose(out), 0);
}

void scene_begin(struct scene *s, const char *listen, const char *streams)
{
    memset(s, 0, sizeof(*s));
    fake_setup(&s->fake, "");
    configure(s, listen, streams);
    fake_start(&s->fake);
    s->a = scene_udp(11, 5060);
    s->b = scene_udp(12, 5060);
    s->reload = fake_reload(&s->fake, &s->ready);
    s->stream = stream_new(s->fake.loop, s->reload, NULL);
    assert_non_null(s->stream);
    fake_until(&s->fake, &s->ready, 1);
}

void scene_end(struct scene *s)
{
    stream_free(s->stream);
    reload_free(s->reload);
    fake_teardown(&s->fake);
    close(s->a);
    close(s->b);
}

void scene_reload(struct scene *s, const char *listen, const char *streams)
{
    struct fake_outcome outcome;

    configure(s, listen, streams);
    outcome = fake_ask(&s->fake, s->reload, PLAN_FILE, "", 0);
    assert_int_equal(outcome.status, RELOAD_DONE);
}

/* ---- Sockets ---- */

static int bound(int type, uint32_t last, uint16_t port)
{
    struct sip_addr addr = scene_addr(last, port);
    union address address;
    socklen_t size = address_to_kernel(&addr, &address);
    const struct timeval patience = {.tv_sec = SCENE_WAIT_MS / 1000};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(bind(fd, &address.any, size), 0);
    return fd;
}

int scene_udp(uint32_t last, uint16_t port)
{
    return bound(SOCK_DGRAM, last, port);
}

int scene_listen(uint32_t last, uint16_t port)
{
    int fd = bound(SOCK_STREAM, last, port);

    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

/* Threads begin to listen a moment after the configuration is in effect. */
int scene_tcp(uint32_t last, uint16_t port)
{
    struct sip_addr addr = scene_addr(1, port);
    union address address;
    socklen_t size = address_to_kernel(&addr, &address);
    const struct timespec pause = {.tv_nsec = 10000000};

    for (int tries = 0; tries < SCENE_WAIT_MS / 10; tries++) {
        int fd = bound(SOCK_STREAM, last, 0);

        if (connect(fd, &address.any, size) == 0)
            return fd;
        assert_int_equal(errno, ECONNREFUSED);
        close(fd);
        nanosleep(&pause, NULL);
    }
    fail_msg("nobody listens");
    return -1;
}

void scene_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void scene_send_bytes_to(int fd, uint32_t last, uint16_t port, const void *bytes, size_t n)
{
    struct sip_addr addr = scene_addr(last, port);
    union address address;
    socklen_t size = address_to_kernel(&addr, &address);

    assert_int_equal(sendto(fd, bytes, n, 0, &address.any, size), n);
}

void scene_send_to(int fd, uint32_t last, uint16_t port, const char *text)
{
    scene_send_bytes_to(fd, last, port, text, strlen(text));
}

const char *scene_datagram(struct scene *s, int fd)
{
    ssize_t got = recv(fd, s->text, sizeof(s->text) - 1, 0);

    assert_true(got > 0);
    s->text[got] = '\0';
    return s->text;
}

/* Bytes up to the end of the header section, then as many as Content-Length says. */
const char *scene_message(struct scene *s, int fd)
{
    size_t n = 0;
    char *end = NULL, *length;

    while (end == NULL && n < sizeof(s->text) - 1) {
        ssize_t got = recv(fd, s->text + n, 1, 0);

        assert_true(got >= 0);
        if (got == 0)
            break;
        n += (size_t)got;
        s->text[n] = '\0';
        end = strstr(s->text, "\r\n\r\n");
    }
    s->text[n] = '\0';
    length = strstr(s->text, "Content-Length: ");
    if (end != NULL && length != NULL && atoi(length + 16) > 0) {
        ssize_t body = atoi(length + 16);

        assert_int_equal(recv(fd, s->text + n, (size_t)body, MSG_WAITALL), body);
        s->text[n + (size_t)body] = '\0';
    }
    return s->text;
}

void scene_until_closed(int fd)
{
    char bytes[4096];
    ssize_t got;

    do
        got = recv(fd, bytes, sizeof(bytes), 0);
    while (got > 0);
    assert_true(got == 0 || errno == ECONNRESET);
}

void scene_until(struct scene *s, uint32_t which, uint64_t value)
{
    time_t end = time(NULL) + SCENE_WAIT_MS / 1000;
    const struct timespec pause = {.tv_nsec = 5000000};
    struct counts counts;
    char name[COUNTS_NAME_MAX];

    do {
        stream_counts(s->stream, &counts);
        if (counts.values[which] == value)
            return;
        nanosleep(&pause, NULL);
    } while (time(NULL) <= end);
    fail_msg("%s is %lu, not %lu", counts_name(which, name), counts.values[which], value);
}

/* ---- Messages ---- */

const char *scene_line(const struct scene *s, const char *name, uint32_t n)
{
    static char lines[8][2048];
    static uint32_t next;
    char *line = lines[next++ % 8];
    const char *at = s->text;
    char key[64];

    snprintf(key, sizeof(key), "\r\n%s: ", name);
    for (uint32_t i = 0; i <= n; i++) {
        at = strstr(i == 0 ? at : at + 1, key);
        if (at == NULL)
            fail_msg("no %s %u in:\n%s", name, n, s->text);
    }
    snprintf(line, sizeof(lines[0]), "%.*s", (int)strcspn(at + 2, "\r"), at + 2);
    return line;
}

const char *scene_request(const char *method, const char *uri, const char *call_id,
                          const char *transport, const char *more)
{
    static char text[SCENE_TEXT];

    snprintf(text, sizeof(text),
             "%s %s SIP/2.0\r\n"
             "Via: SIP/2.0/%s phone.invalid;branch=z9hG4bK%s%s;rport\r\n"
             "Max-Forwards: 70\r\n"
             "From: <sip:u@example.net>;tag=f\r\n"
             "To: <sip:u@example.net>\r\n"
             "Call-ID: %s\r\n"
             "CSeq: 1 %s\r\n"
             "%s"
             "Content-Length: 0\r\n"
             "\r\n",
             method, uri, transport, call_id, method, call_id, method, more);
    return text;
}

const char *scene_response(const struct scene *s, const char *status)
{
    static char text[SCENE_TEXT];
    static const char *const copied[] = {
        "Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: ", "Record-Route: "};
    size_t n = (size_t)snprintf(text, sizeof(text), "SIP/2.0 %s\r\n", status);

    for (const char *at = strstr(s->text, "\r\n") + 2; *at != '\r'; at = strstr(at, "\r\n") + 2) {
        for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
            if (strncmp(at, copied[i], strlen(copied[i])) == 0)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s\r\n",
                                      (int)strcspn(at, "\r"), at);
        }
    }
    snprintf(text + n, sizeof(text) - n, "Content-Length: 0\r\n\r\n");
    return text;
}

int scene_reached(struct scene *s)
{
    char byte;

    for (int tries = 0; tries < 500; tries++) {
        if (recv(s->a, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
            return s->a;
        if (recv(s->b, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
            return s->b;
        usleep(10000);
    }
    fail_msg("no backend was reached");
    return -1;
}

const char *scene_uri(const char *line)
{
    static char text[2048];
    const char *from = strchr(line, '<') + 1;

    snprintf(text, sizeof(text), "%.*s", (int)strcspn(from, ">"), from);
    return text;
}

const char *scene_registers(struct scene *s, int phone, const char *call_id, int *ret_backend)
{
    return scene_registers_as(s, phone, call_id, "", ret_backend);
}

const char *scene_registers_as(struct scene *s, int phone, const char *call_id,
                               const char *parameters, int *ret_backend)
{
    static char path[2048];
    char own[256];

    snprintf(own, sizeof(own), "Contact: <sip:u@phone.invalid;transport=tcp>%s\r\n", parameters);
    scene_send(phone, scene_request("REGISTER", "sip:example.net", call_id, "TCP", own));
    *ret_backend = scene_reached(s);
    scene_datagram(s, *ret_backend);
    snprintf(own, sizeof(own), "Via: SIP/2.0/UDP %s:5070;", scene_ip(2));
    assert_memory_equal(scene_line(s, "Via", 0), own, strlen(own));
    assert_non_null(strstr(scene_line(s, "Via", 1), ";received="));
    snprintf(path, sizeof(path), "%s", scene_uri(scene_line(s, "Path", 0)));
    snprintf(own, sizeof(own), "@%s:5070;", scene_ip(2));
    assert_non_null(strstr(path, own));
    scene_send_to(*ret_backend, 2, SCENE_OWN, scene_response(s, "200 OK"));
    scene_message(s, phone);
    assert_memory_equal(s->text, "SIP/2.0 200 OK\r\n", 16);
    assert_non_null(strstr(scene_line(s, "Via", 0), "phone.invalid"));
    snprintf(own, sizeof(own), "Via: SIP/2.0/UDP %s:5070;", scene_ip(2));
    assert_null(strstr(s->text, own));
    return path;
}

const char *scene_along(const char *path, const char *method, const char *call_id)
{
    char route[2100];

    snprintf(route, sizeof(route), "Route: <%s>\r\n", path);
    return scene_request(method, "sip:u@phone.invalid;transport=tcp", call_id, "UDP", route);
}
