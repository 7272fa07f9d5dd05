/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All connections of this node, by number, by peer and by source: who has which, and whether there
 * may be one more. Behind one lock; an entry is its thread's, and lives as long as it is in here.
 */
#ifndef TANDEM_STREAM_TABLE_H
#define TANDEM_STREAM_TABLE_H

#include <pthread.h>

#include "config/cfg.h"
#include "control/stream/phones.h"
#include "dataplane/sip/ip.h"

enum { TABLE_TEXT_MAX = 64 };

/* What is known of one connection. Its thread writes the numbers below as it goes (whole words);
 * the rest before it is added, or by table_note. */
struct table_entry {
    uint64_t id;                      /* given by table_add, never twice, also over restarts */
    uint32_t thread;
    uint8_t transport;                /* enum sip_transport */
    bool outgoing;                    /* we connected */
    struct sip_addr local, peer;      /* local: the listener's */
    const char *name;                 /* of outgoing ones: whom we asked for; "": nobody */
    uint64_t since_ms;                /* CLOCK_MONOTONIC */
    uint64_t active_ms;               /* when bytes came or went last */
    uint64_t bytes_in, bytes_out, messages_in, messages_out;
    char sni[TABLE_TEXT_MAX];         /* "": none */
    char cipher[TABLE_TEXT_MAX];      /* version and cipher of TLS; "": none */
    uint16_t alias;                   /* requests to this port of the peer's go by it, too; 0: none */
    /* The table's own: */
    char *names;                      /* that its peer showed to be, blanks between them; NULL: none */
    uint64_t phone;                   /* of the REGISTER that came last; 0: it did not say */
    bool registers;                   /* a REGISTER came */
    bool shared;                      /* by phones: REGISTERs of several came */
    bool former;                      /* its phone has another one now */
    struct table_entry *next_by_id, *next_by_peer, *next_by_alias;
    struct table_source *source;
};

struct table;

enum table_verdict { TABLE_ADDED, TABLE_FULL, TABLE_SOURCE_FULL, TABLE_NO_MEMORY };

/* NULL: no memory. */
struct table *table_new(void);
/* Keeps in files of that directory from now on which phone has which connection, and has what is there
 * from the process before: calls find a phone that comes back to another control. 0, or a negative
 * errno: it is forgotten with this process. Before any phone registers. */
int table_remember(struct table *table, const char *directory);
/* When it is empty. */
void table_free(struct table *table);

/* Takes an entry in and gives it its number; nothing is changed when it may not come in. What we
 * connect to counts for no source. Any thread. */
enum table_verdict table_add(struct table *table, struct table_entry *entry,
                             const struct cfg_streams *limits);
void table_remove(struct table *table, struct table_entry *entry);

/* Where a connection is, that is there or leads to one. */
struct table_place {
    uint64_t id;
    uint32_t thread;
    uint8_t transport;                /* enum sip_transport */
    struct table_entry *entry;        /* for its own thread alone */
};

/*
 * By number; when there is none of that any more, the one that its phone has now. False: there is none.
 * Any thread.
 */
bool table_find(struct table *table, uint64_t id, struct table_place *ret);

/* The same for what is new to a phone: also when the connection is still there (nobody may have told
 * of its end), but its phone alone had it, and has another one now, here or at another node. */
bool table_find_phone(struct table *table, uint64_t id, struct table_place *ret);

/*
 * By transport and both addresses, and where a name is given (not "") only one to it: one that we made,
 * or whose peer made it and said in table_alias that it has that address.
 */
bool table_find_peer(struct table *table, enum sip_transport transport,
                     const struct sip_addr *local, const struct sip_addr *peer, const char *name,
                     struct table_place *ret);

/*
 * A phone that registers by another connection is the same phone (RFC 5626 §4.2): once a REGISTER
 * was granted, the number of the connection that it had before leads to the one that it came by.
 * `phone`: a hash of who registers which of its flows, 0: it does not say; `request`: of what a
 * REGISTER by that connection and the answer to it, and to no other, have in common, never 0: many
 * may be under way, and who is granted one is not who asked by another. Returns the phone that came
 * so; 0: none. Any thread.
 */
void table_registers(struct table *table, uint64_t id, uint64_t phone, uint64_t request);
uint64_t table_registered(struct table *table, uint64_t id, uint64_t request);

/* A phone that was here is at another node now; unless `sure`, only if its connection here is gone.
 * Any thread. */
void table_phone_went(struct table *table, uint64_t phone, uint32_t node, bool sure);

/* The node where the phone is now that had this connection, and which phone. False: it is here, or
 * nobody knows. Any thread. */
bool table_find_node(struct table *table, uint64_t id, uint64_t *ret_phone, uint32_t *ret_node);

/* The connection that a phone has here. False: none. Any thread. */
bool table_find_here(struct table *table, uint64_t phone, struct table_place *ret);

/* The phones of a part (PHONES_PARTS) that have one. Returns how many. Any thread. */
uint32_t table_phones(struct table *table, uint32_t part, uint64_t ret[PHONES_PART_MAX]);

/*
 * What we send to that port of its peer's address, from its local one, goes by that connection
 * henceforth (RFC 5923 §8.2): of TLS what is for a name that its peer showed to be, of no TLS all.
 * Whether that is new; never of one that we made, or of TLS and nobody. Any thread.
 */
bool table_alias(struct table *table, uint64_t id, uint16_t port);

/* Writes what a handshake told; `names`: who the peer showed to be, blanks between them. Its own
 * thread. */
void table_note(struct table *table, struct table_entry *entry, const char *sni, const char *cipher,
                const char *names);

/* A copy, its numbers each read whole. From within table_each, or in its own thread. */
void table_copy(const struct table_entry *entry, struct table_entry *ret);

uint32_t table_size(struct table *table);

/* Calls fn for each entry while nobody else can use the table: be quick. */
void table_each(struct table *table, void (*fn)(void *arg, const struct table_entry *entry),
                void *arg);

#endif
