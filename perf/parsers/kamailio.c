/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kamailio's parser: its core is a program that exports its functions to its modules, so this
 * library is preloaded into it and runs in the place of its main(), with its private memory made
 * ready. What it calls is what Kamailio does with each datagram: parse_msg, and parse_headers to
 * the end, as a script does that looks for a header that is not there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "perf/parsers/contender.h"

/* Of Kamailio 5.6. */
struct kamailio_text {
    char *s;
    int length;
};

struct kamailio_header { /* its beginning */
    int type;
    struct kamailio_text name, body;
};

extern unsigned long pkg_mem_size;
extern int pkg_init_manager(char *name);
extern int ksr_hname_init_index(void);
extern int faked_msg_init(void);
extern void *faked_msg_get_next(void);
extern int parse_msg(char *buffer, unsigned int length, void *msg);
extern int parse_headers(void *msg, uint64_t flags, int next);
extern struct kamailio_header *get_hdr_by_name(const void *msg, const char *name, int length);
extern void free_sip_msg(void *msg);

enum { MSG_BYTES_MAX = 8192, FAKED_BYTES = 1024, CLEARED_UNIT = 64, PKG_BYTES = 8 << 20 };

/* Its struct sip_msg stays closed to us: see find_layout. */
static char msg[MSG_BYTES_MAX] __attribute__((aligned(64)));
static size_t buffer_at, length_at; /* where the caller of parse_msg puts the datagram */
static size_t used = MSG_BYTES_MAX; /* bytes of the struct that are ever written */

/* Kamailio has a message of its own making: where its text begins, with its length behind, is where
 * a datagram belongs in the struct. */
static bool find_layout(void)
{
    static const char start[] = "OPTIONS sip:you@kamailio.org";
    char *faked = faked_msg_init() < 0 ? NULL : faked_msg_get_next();

    for (size_t at = 0; faked != NULL && at < FAKED_BYTES; at += sizeof(char *)) {
        char *text;
        uint32_t length;

        memcpy(&text, faked + at, sizeof(text));
        memcpy(&length, faked + at + sizeof(text), sizeof(length));
        if (length < sizeof(start) || length > FAKED_BYTES || (uintptr_t)text < CLEARED_UNIT)
            continue;
        if (memcmp(text, start, sizeof(start) - 1) == 0 && strlen(text) == length) {
            buffer_at = at;
            length_at = at + sizeof(text);
            return true;
        }
    }
    return false;
}

int contender_init(void)
{
    pkg_mem_size = PKG_BYTES;
    if (pkg_init_manager((char *)"fm") < 0 || ksr_hname_init_index() < 0 || !find_layout())
        return -ENOTSUP;
    return 0;
}

static bool parse(char *text, size_t length)
{
    uint32_t size = (uint32_t)length;

    memset(msg, 0, used);
    memcpy(msg + buffer_at, &text, sizeof(text));
    memcpy(msg + length_at, &size, sizeof(size));
    /* A flag that no header has: on to the end. */
    return parse_msg(text, size, msg) == 0 && parse_headers(msg, 1ull << 63, 0) >= 0;
}

bool contender_parse(char *text, size_t length)
{
    bool good = parse(text, length);

    free_sip_msg(msg);
    return good;
}

/* The struct is cleared as far as a message was ever written to: its size is not exported. */
static void find_used(void)
{
    size_t end = MSG_BYTES_MAX;

    while (end > 0 && msg[end - 1] == 0)
        end--;
    end = (end + CLEARED_UNIT - 1) / CLEARED_UNIT * CLEARED_UNIT;
    used = used == MSG_BYTES_MAX || end > used ? end : used;
}

static const struct kamailio_text *find(const char *name)
{
    struct kamailio_header *header = get_hdr_by_name(msg, name, (int)strlen(name));

    return header != NULL ? &header->body : NULL;
}

bool contender_show(char *text, size_t length, struct contender_facts *ret)
{
    static const char branch[] = "branch=";
    bool good = parse(text, length);
    const struct kamailio_text *call_id = find("Call-ID"), *cseq = find("CSeq"), *via = find("Via");

    good = good && call_id != NULL && cseq != NULL && via != NULL;
    if (good) {
        char *at = memmem(via->s, (size_t)via->length, branch, sizeof(branch) - 1);

        contender_copy(ret->call_id, call_id->s, (size_t)call_id->length);
        ret->cseq = (uint32_t)strtoul(cseq->s, NULL, 10);
        good = at != NULL;
        if (good) {
            at += sizeof(branch) - 1;
            contender_copy(ret->branch, at, strcspn(at, ";,\r\n"));
        }
    }
    find_used();
    free_sip_msg(msg);
    return good;
}

/* ---- In the place of main() ---- */

typedef int (*main_function)(int, char **, char **);

static int in_its_place(int argc, char **argv, char **environment)
{
    (void)environment;
    unsetenv("LD_PRELOAD");
    return contender_main(argc, argv);
}

int __libc_start_main(main_function program, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(main_function program, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    __typeof__(&__libc_start_main) next =
        (__typeof__(&__libc_start_main))dlsym(RTLD_NEXT, "__libc_start_main");

    (void)program;
    return next(in_its_place, argc, argv, init, fini, rtld_fini, stack_end);
}
