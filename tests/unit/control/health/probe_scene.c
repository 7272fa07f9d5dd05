/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A prober and its backend: see probe_scene.h.
 */
#include "tests/unit/control/health/probe_scene.h"

#include <sys/resource.h>

static void on_answer(void *arg, uint32_t id, uint64_t sent_ms, const struct sip_msg *msg,
                      uint32_t latency_us)
{
    struct scene *s = arg;

    s->n_answers++;
    s->id = id;
    s->sent_ms = sent_ms;
    probe_read(msg, &s->conf, latency_us, &s->answer);
}

static void on_silence(void *arg, uint32_t id, uint64_t sent_ms)
{
    struct scene *s = arg;

    s->n_silences++;
    s->id = id;
    s->sent_ms = sent_ms;
}

static void on_refusal(void *arg, uint32_t id, uint64_t sent_ms, const char *why)
{
    struct scene *s = arg;

    s->n_refusals++;
    s->why = why;
    s->id = id;
    s->sent_ms = sent_ms;
}

static SSL *on_secure(void *arg, uint32_t id)
{
    struct scene *s = arg;

    return s->secure == NULL ? NULL : s->secure(arg, id);
}

static void on_alarm(void *arg)
{
    (void)arg;
}

int listen_at(const char *host, int type, struct sip_addr *ret)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, type, 0);

    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, host, &at.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 1024), 0);
    ret->ip = sip_ip_from_v4((const uint8_t *)&at.sin_addr);
    ret->port = ntohs(at.sin_port);
    return fd;
}

void scene_make(struct scene *s, int type)
{
    const struct prober_conf conf = {.on_answer = on_answer,
                                     .on_silence = on_silence,
                                     .on_refusal = on_refusal,
                                     .secure = on_secure,
                                     .arg = s};

    memset(s, 0, sizeof(*s));
    s->loop = loop_new();
    assert_non_null(s->loop);
    s->prober = prober_new(s->loop, &conf);
    assert_non_null(s->prober);
    s->alarm = loop_timer_new(s->loop, on_alarm, s);
    s->fd = listen_at("127.0.0.1", type, &s->addr);
}

void scene_done(struct scene *s)
{
    close(s->fd);
    prober_free(s->prober);
    loop_event_free(s->alarm);
    loop_free(s->loop);
}

void run(struct scene *s, uint32_t ms)
{
    uint64_t until = loop_now_us() + ms * 1000u;

    while (loop_now_us() < until) {
        loop_timer_start(s->alarm, 5);
        loop_step(s->loop);
    }
}

void run_until(struct scene *s, const uint32_t *count)
{
    for (int i = 0; i < 400 && *count == 0; i++)
        run(s, 5);
    assert_int_equal(*count, 1);
}

double cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}
