/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as text, answers as bytes: see zone.h.
 */
#include "tests/unit/control/zone.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/dns_answer.h"

enum { HEADER = 12 };

struct out {
    uint8_t *at;
};

static void put16(struct out *o, uint32_t value)
{
    *o->at++ = (uint8_t)(value >> 8);
    *o->at++ = (uint8_t)value;
}

static void put32(struct out *o, uint32_t value)
{
    put16(o, value >> 16);
    put16(o, value & 0xffff);
}

static void put_text(struct out *o, const char *text, size_t length)
{
    *o->at++ = (uint8_t)length;
    memcpy(o->at, text, length);
    o->at += length;
}

/* A name without compression. */
static void put_name(struct out *o, const char *name)
{
    while (*name != '\0' && strcmp(name, ".") != 0) {
        size_t length = strcspn(name, ".");

        put_text(o, name, length);
        name += length;
        name += *name == '.';
    }
    *o->at++ = 0;
}

static void put_data(struct out *o, const struct zone_record *record)
{
    unsigned a, b, port;
    char flag[8], service[64], regexp[64], name[256];

    if (record->type == DNS_A) {
        assert_int_equal(inet_pton(AF_INET, record->data, o->at), 1);
        o->at += 4;
    } else if (record->type == DNS_AAAA) {
        assert_int_equal(inet_pton(AF_INET6, record->data, o->at), 1);
        o->at += 16;
    } else if (record->type == DNS_SRV) {
        assert_int_equal(sscanf(record->data, "%u %u %u %255s", &a, &b, &port, name), 4);
        put16(o, a);
        put16(o, b);
        put16(o, port);
        put_name(o, name);
    } else if (record->type == DNS_NAPTR) {
        assert_int_equal(
            sscanf(record->data, "%u %u %7s %63s %63s %255s", &a, &b, flag, service, regexp, name),
            6);
        put16(o, a);
        put16(o, b);
        put_text(o, flag, strlen(flag));
        put_text(o, service, strlen(service));
        put_text(o, regexp, strcmp(regexp, "-") == 0 ? 0 : strlen(regexp));
        put_name(o, name);
    } else {
        put_name(o, record->data);
    }
}

/* A record; its owner is compressed to `owner`, an offset, when that is not 0. */
static void put_record(struct out *o, const struct zone_record *record, uint32_t owner)
{
    uint8_t *length;

    if (owner != 0)
        put16(o, 0xc000 | owner);
    else
        put_name(o, record->name);
    put16(o, (uint32_t)record->type);
    put16(o, 1);
    put32(o, record->ttl);
    length = o->at;
    put16(o, 0);
    put_data(o, record);
    length[0] = (uint8_t)((o->at - length - 2) >> 8);
    length[1] = (uint8_t)(o->at - length - 2);
}

static void put_soa(struct out *o, uint32_t ttl)
{
    put_name(o, "test");
    put16(o, DNS_SOA);
    put16(o, 1);
    put32(o, ttl + 100); /* the minimum is smaller */
    put16(o, 2 + 20);
    *o->at++ = 0;
    *o->at++ = 0;
    for (int i = 0; i < 4; i++)
        put32(o, 1);
    put32(o, ttl);
}

/* The question's name as text; what follows it. */
static const uint8_t *get_name(const uint8_t *at, char *ret)
{
    ret[0] = '\0';
    while (*at != 0) {
        if (ret[0] != '\0')
            strcat(ret, ".");
        strncat(ret, (const char *)at + 1, *at);
        at += *at + 1;
    }
    return at + 1;
}

uint32_t zone_answer(const struct zone *zone, const uint8_t *question, uint32_t length,
                     uint8_t ret[4096])
{
    struct out o = {ret + HEADER};
    char name[300];
    const uint8_t *end = get_name(question + HEADER, name);
    int type = end[0] << 8 | end[1];
    uint32_t answers = 0, authorities = 0;
    bool known = false, again = zone->rcode == 0;

    (void)length;
    memcpy(o.at, question + HEADER, (size_t)(end + 4 - question - HEADER));
    o.at += end + 4 - question - HEADER;
    while (again) {
        again = false;
        for (uint32_t i = 0; i < zone->n; i++) {
            const struct zone_record *record = &zone->records[i];

            if (strcasecmp(record->name, name) != 0)
                continue;
            known = true;
            if (record->type != type && record->type != DNS_CNAME)
                continue;
            put_record(&o, record, answers == 0 ? HEADER : 0);
            answers++;
            again = record->type == DNS_CNAME && type != DNS_CNAME;
            if (again) {
                strcpy(name, record->data);
                break;
            }
        }
    }
    if (answers == 0 && zone->rcode == 0 && zone->soa_ttl != 0) {
        put_soa(&o, zone->soa_ttl);
        authorities = 1;
    }
    memcpy(ret, question, 2);
    ret[2] = 0x84;
    ret[3] = (uint8_t)(zone->rcode != 0 ? zone->rcode : known ? 0 : 3);
    memset(ret + 4, 0, 8);
    ret[5] = 1;
    ret[7] = (uint8_t)answers;
    ret[9] = (uint8_t)authorities;
    return (uint32_t)(o.at - ret) - (zone->broken ? 3 : 0);
}

uint32_t zone_question(const char *name, int type, uint8_t ret[300])
{
    struct out o = {ret + HEADER};

    memset(ret, 0, HEADER);
    ret[5] = 1;
    put_name(&o, name);
    put16(&o, (uint32_t)type);
    put16(&o, 1);
    return (uint32_t)(o.at - ret);
}

static void on_question(void *arg)
{
    struct zone *zone = arg;
    uint8_t question[512], answer[4096];
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    ssize_t got =
        recvfrom(zone->fd, question, sizeof(question), 0, (struct sockaddr *)&from, &size);
    uint32_t length;

    assert_true(got > HEADER);
    zone->asked++;
    if (zone->silent)
        return;
    length = zone_answer(zone, question, (uint32_t)got, answer);
    assert_int_equal(sendto(zone->fd, answer, length, 0, (struct sockaddr *)&from, size), length);
}

void zone_start(struct zone *zone, struct loop *loop)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    const uint8_t ip[4] = {127, 0, 0, 1};

    zone->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(zone->fd >= 0);
    assert_int_equal(bind(zone->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(zone->fd, (struct sockaddr *)&address, &size), 0);
    zone->addr.ip = sip_ip_from_v4(ip);
    zone->addr.port = ntohs(address.sin_port);
    zone->watch = loop_watch(loop, zone->fd, LOOP_READ, on_question, zone);
    assert_non_null(zone->watch);
}

void zone_stop(struct zone *zone)
{
    loop_event_free(zone->watch);
    close(zone->fd);
}
