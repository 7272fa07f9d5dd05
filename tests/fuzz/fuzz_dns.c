/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of DNS answers: the bytes as a packet, read for every type. What is read must be as
 * dns_answer.h says, and the same from a packet with more behind it, which nothing may look at.
 */
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "control/dns_answer.h"
#include "tests/fuzz/take.h"

enum { RECORDS_MAX = 16, UNTOUCHED = 77, PACKET_MAX = 4096 };

static const enum dns_type types[] = {DNS_A, DNS_CNAME, DNS_SOA, DNS_AAAA, DNS_SRV, DNS_NAPTR};

/* A name as the proxy and the next query will take it: no dot at an end or twice, no upper case. */
static void check_name(const char name[DNS_NAME_MAX])
{
    size_t length = strnlen(name, DNS_NAME_MAX);

    must(length < DNS_NAME_MAX);
    must(length == 0 || (name[0] != '.' && name[length - 1] != '.'));
    must(strstr(name, "..") == NULL);
    for (size_t i = 0; i < length; i++)
        must(name[i] > ' ' && name[i] < 0x7f && !isupper((unsigned char)name[i]));
}

static void check_record(const struct dns_record *record, enum dns_type type)
{
    if (type == DNS_A)
        must(sip_ip_is_v4(&record->ip));
    if (type == DNS_SRV || type == DNS_NAPTR)
        check_name(record->name);
    if (type == DNS_NAPTR) {
        must(strnlen(record->service, DNS_SERVICE_MAX) < DNS_SERVICE_MAX);
        must(!isupper((unsigned char)record->flag));
    }
}

static void read_all(const uint8_t *packet, size_t size)
{
    static struct dns_record records[RECORDS_MAX];

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        uint32_t ttl = UNTOUCHED;
        int n;

        memset(records, 0, sizeof(records));
        n = dns_answer_read(packet, size, types[i], records, RECORDS_MAX, &ttl);
        must(n == -EBADMSG || (n >= 0 && n <= RECORDS_MAX));
        must(n > 0 || n == -EBADMSG || ttl == UNTOUCHED);
        for (int j = 0; j < n; j++)
            check_record(&records[j], types[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t ttl = UNTOUCHED;
    int found;

    if (size > PACKET_MAX)
        return 0;
    read_all(data, size);
    found = dns_answer_negative(data, size, &ttl);
    must(found == 0 || found == -ENOENT || found == -EBADMSG);
    must(found == 0 || ttl == UNTOUCHED);
    return 0;
}
