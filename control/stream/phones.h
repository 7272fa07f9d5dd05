/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which phone has which connection, or has gone to which node, and whose a connection was: what
 * leads calls to a phone that connects anew (RFC 5626 §4.2). It has numbers only, does not know
 * which connections there are, and is locked by its user.
 */
#ifndef TANDEM_STREAM_PHONES_H
#define TANDEM_STREAM_PHONES_H

#include <stdbool.h>
#include <stdint.h>

/* Parts of all phones, about equal, by their numbers: the same on all nodes. */
enum { PHONES_PARTS = 64, PHONES_PART_MAX = 4352 };

struct phones;

/* Where a phone is. */
struct phones_place {
    uint64_t phone;
    uint64_t connection; /* of ours; 0: it is at another node: */
    uint32_t node;
};

/* NULL: no memory. */
struct phones *phones_new(void);
/* As table_remember. */
int phones_remember(struct phones *phones, const char *directory);
void phones_free(struct phones *phones);

/* A phone's REGISTER is under way; and whose one was that is granted (0: not known). */
void phones_ask(struct phones *phones, uint64_t request, uint64_t phone);
uint64_t phones_asked(struct phones *phones, uint64_t request);

/* A phone has that connection now. Returns the other one that it had; 0: none. */
uint64_t phones_come(struct phones *phones, uint64_t phone, uint64_t connection);
/* It is at another node now. Returns the connection that it had; 0: none. Of one that was never
 * here nothing is kept. */
uint64_t phones_go(struct phones *phones, uint64_t phone, uint32_t node);

/* Where a phone is, or where the phone is that had this connection. False: not known. */
bool phones_find(struct phones *phones, uint64_t phone, struct phones_place *ret);
bool phones_find_after(struct phones *phones, uint64_t connection, struct phones_place *ret);

/* Calls fn for each phone of a part that has a connection of ours. */
void phones_each(const struct phones *phones, uint32_t part,
                 void (*fn)(void *arg, uint64_t phone, uint64_t connection), void *arg);

#endif
