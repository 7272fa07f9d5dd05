/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control with health, and its world: see health_scene.h.
 */
#include "tests/unit/control/health/health_scene.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_probe(void *arg)
{
    struct backend *b = arg;
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);
    char text[TEXT_MAX], answer[2 * TEXT_MAX];
    ssize_t length = recvfrom(b->fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&peer, &size);

    assert_true(length > 0);
    text[length] = '\0';
    b->n_probes++;
    if (b->status == NULL)
        return;
    snprintf(answer, sizeof(answer), "SIP/2.0 %s\r\n%s%s", b->status, b->more,
             strstr(text, "Via:"));
    assert_true(sendto(b->fd, answer, strlen(answer), 0, (struct sockaddr *)&peer, sizeof(peer)) >
                0);
}

void open_backend(struct scene *s, struct backend *b)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(b->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);

    b->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(b->fd >= 0);
    assert_int_equal(bind(b->fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(b->fd, (struct sockaddr *)&at, &size), 0);
    b->port = ntohs(at.sin_port);
    b->status = "200 OK";
    b->more = "";
    b->reading = loop_watch(s->fake.loop, b->fd, LOOP_READ, on_probe, b);
}

void close_backend(struct backend *b)
{
    loop_event_free(b->reading);
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
    b->reading = NULL;
}

void configure(struct scene *s, uint32_t n, const char *health)
{
    struct fake *fake = &s->fake;
    FILE *out = fopen(fake->config, "w");

    assert_non_null(out);
    fprintf(out,
            "node: n\n"
            "node_address: 127.0.0.1\n"
            "linger: 1h\n"
            "dataplane:\n"
            "  workers: [1]\n"
            "  socket: %s\n"
            "  ports:\n"
            "    - {name: outside, driver: \"null\", addresses: [192.0.2.10/24]}\n"
            "secret_file: %s/secret\n"
            "services:\n"
            "  - {name: s, pool: p, listen: [{transport: udp, address: 192.0.2.10}]}\n"
            "control: {socket: %s/control.sock, state_dir: %s}\n"
            "pools:\n"
            "  - name: p\n",
            fake->socket, fake->dir, fake->dir, fake->dir);
    if (health != NULL)
        fprintf(out, "    health: %s\n", health);
    fprintf(out, "    backends:\n");
    for (uint32_t i = 0; i < n; i++)
        fprintf(out, "      - {name: %s, address: 127.0.0.1, port: %u}\n", s->backends[i].name,
                s->backends[i].port);
    assert_int_equal(fclose(out), 0);
}

static void on_alarm(void *arg)
{
    (void)arg;
}

void start_control(struct scene *s)
{
    s->ready = 0;
    s->reload = fake_reload(&s->fake, &s->ready);
    s->health = health_new(s->fake.loop, s->reload);
    assert_non_null(s->health);
}

void stop_control(struct scene *s)
{
    health_free(s->health);
    reload_free(s->reload);
}

void scene_make(struct scene *s, const char *health)
{
    memset(s, 0, sizeof(*s));
    fake_setup(&s->fake, "{name: x, address: 127.0.0.1}");
    s->alarm = loop_timer_new(s->fake.loop, on_alarm, s);
    for (uint32_t i = 0; i < BACKENDS; i++) {
        struct backend *b = &s->backends[i];

        snprintf(b->name, sizeof(b->name), "b%u", i);
        b->id = snapshot_backend_id(sip_slice_of("p"), sip_slice_of(b->name));
        open_backend(s, b);
    }
    configure(s, BACKENDS, health);
    fake_start(&s->fake);
    for (uint32_t i = 0; i < BACKENDS; i++)
        counters_slot_ids(s->fake.counters)[SLOT_FIRST + i] = s->backends[i].id;
    start_control(s);
    fake_until(&s->fake, &s->ready, 1);
}

void scene_done(struct scene *s)
{
    char path[256];

    stop_control(s);
    for (uint32_t i = 0; i < BACKENDS; i++)
        close_backend(&s->backends[i]);
    loop_event_free(s->alarm);
    snprintf(path, sizeof(path), "%s/health.json", s->fake.dir);
    unlink(path);
    fake_teardown(&s->fake);
}

void run(struct scene *s, uint32_t ms)
{
    uint64_t until = loop_now_us() + ms * 1000u;

    while (loop_now_us() < until) {
        loop_timer_start(s->alarm, 5);
        loop_step(s->fake.loop);
    }
}

const struct lb_backend *offered(const struct scene *s, uint32_t i)
{
    int32_t index = s->fake.offered == NULL
                        ? LB_NO_BACKEND
                        : snapshot_backend_by_id(s->fake.offered, s->backends[i].id);

    return index == LB_NO_BACKEND ? NULL : &snapshot_backends(s->fake.offered)[index];
}

uint64_t until_state(struct scene *s, uint32_t i, uint8_t state)
{
    uint64_t before = loop_now_us();

    for (int tries = 0; tries < 1000; tries++) {
        if (offered(s, i) != NULL && offered(s, i)->state == state)
            return (loop_now_us() - before) / 1000;
        run(s, 5);
    }
    fail_msg("backend %u did not become %s", i, state_word(state));
    return 0;
}

struct health_view view(struct scene *s, uint32_t i)
{
    struct health_view view = {.state = LB_STATE_COUNT};

    assert_true(health_of(s->health, s->backends[i].id, &view));
    return view;
}

void see(struct scene *s)
{
    run(s, HEALTH_BLIND_MS + 100);
}
