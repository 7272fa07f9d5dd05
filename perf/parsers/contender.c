/* SPDX-License-Identifier: Apache-2.0 */
/* See contender.h. Messages lie one behind another, each as far into its cache line as a UDP
 * payload is in a frame. */
#include "perf/parsers/contender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "perf/pcap.h"

enum {
    FRAME_HEADERS = 14 + 20 + 8, /* Ethernet, IPv4 without options, UDP */
    LINE = 64,
    SLACK = 128, /* behind each message: its NUL, and what a vector reads of a line */
};

struct messages {
    char *bytes;
    uint32_t n;
    struct {
        char *at;
        uint32_t length;
    } * list;
};

void contender_copy(char ret[CONTENDER_TEXT_MAX], const char *text, size_t length)
{
    size_t n = length < CONTENDER_TEXT_MAX - 1 ? length : CONTENDER_TEXT_MAX - 1;

    memcpy(ret, text, n);
    ret[n] = '\0';
}

/* The bytes that a message takes, up to the next one's line. */
static size_t stride(size_t length)
{
    return (FRAME_HEADERS + length + SLACK + LINE - 1) / LINE * LINE;
}

/* Walks the frames; with `to` copies each payload. Returns their number; 0: not what it should be.
 */
static uint32_t walk(struct pcap *pcap, struct messages *to, size_t *ret_bytes)
{
    size_t begin = pcap->at, used = 0;
    uint8_t *frame;
    uint32_t length, n = 0;

    while (pcap_next(pcap, &frame, &length)) {
        if (length <= FRAME_HEADERS)
            return 0;
        length -= FRAME_HEADERS;
        if (to != NULL) {
            to->list[n].at = to->bytes + used + FRAME_HEADERS;
            to->list[n].length = length;
            memcpy(to->list[n].at, frame + FRAME_HEADERS, length);
        }
        used += stride(length);
        n++;
    }
    *ret_bytes = used;
    if (pcap->at != pcap->size)
        return 0;
    pcap->at = begin;
    return n;
}

static bool load(const char *path, struct messages *ret)
{
    struct pcap pcap;
    size_t bytes;

    if (!pcap_open(path, &pcap))
        return false;
    ret->n = walk(&pcap, NULL, &bytes);
    if (ret->n > 0) {
        ret->bytes = aligned_alloc(LINE, bytes);
        ret->list = calloc(ret->n, sizeof(ret->list[0]));
        if (ret->bytes == NULL || ret->list == NULL)
            ret->n = 0;
    }
    if (ret->n > 0) {
        memset(ret->bytes, 0, bytes);
        walk(&pcap, ret, &bytes);
    }
    pcap_close(&pcap);
    return ret->n > 0;
}

/* FNV-1a. */
static uint64_t add_text(uint64_t hash, const char *text)
{
    do {
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3;
    } while (*text++ != '\0');
    return hash;
}

static void print_facts(const struct messages *messages)
{
    uint64_t hash = 0xcbf29ce484222325;
    char number[16];

    for (uint32_t i = 0; i < messages->n; i++) {
        struct contender_facts facts;

        if (!contender_show(messages->list[i].at, messages->list[i].length, &facts)) {
            printf("error message %u is refused\n", i);
            return;
        }
        snprintf(number, sizeof(number), "%u", facts.cseq);
        hash = add_text(add_text(add_text(hash, facts.call_id), facts.branch), number);
    }
    printf("facts %016llx %u\n", (unsigned long long)hash, messages->n);
}

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void print_run(const struct messages *messages, uint32_t passes)
{
    uint64_t good = 0, wanted = (uint64_t)messages->n * passes;
    double begin = cpu_ns(), took;

    for (uint32_t pass = 0; pass < passes; pass++) {
        for (uint32_t i = 0; i < messages->n; i++)
            good += contender_parse(messages->list[i].at, messages->list[i].length);
    }
    took = cpu_ns() - begin;
    if (good != wanted)
        printf("error %llu of %llu messages were refused\n", (unsigned long long)(wanted - good),
               (unsigned long long)wanted);
    else
        printf("ns %.3f\n", took / (double)wanted);
}

int contender_main(int argc, char **argv)
{
    struct messages messages = {0};
    char line[64];
    unsigned passes;

    if (argc != 2 || !load(argv[1], &messages) || contender_init() < 0) {
        fprintf(stderr, "%s: cannot begin with %s\n", argv[0], argc == 2 ? argv[1] : "nothing");
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strcmp(line, "facts\n") == 0)
            print_facts(&messages);
        else if (sscanf(line, "run %u", &passes) == 1 && passes > 0)
            print_run(&messages, passes);
        else
            puts("error no such command");
        fflush(stdout);
    }
    free(messages.list);
    free(messages.bytes);
    return EXIT_SUCCESS;
}
