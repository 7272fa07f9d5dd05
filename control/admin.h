/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's UNIX socket: one JSON request a line, one JSON answer a line, several clients at
 * once. A slow client waits for itself alone: its next request is read when its answer was taken.
 *
 *   {"request":"show","what":"backends"}          {"request":"reload"}
 *   {"request":"show","what":"connections","source":"192.0.2.7","transport":"tls","sni":"a.example"}
 *                                                 (each may be absent: all)
 *   {"request":"kill","connection":"ID"}          (of show connections)
 *   {"request":"drain","backend":"POOL/NAME"}     (enable, disable alike; drain with "dry_run" if
 *                                                wished; backend "node": drain or enable this node)
 *   {"request":"weight","backend":"NAME","weight":50}    (null: the configuration's again)
 *   {"request":"rotate-secret","dry_run":true}    (false when absent)
 *   {"request":"why","call_id":"…","pool":"…"}    (pool may be absent)
 *   {"request":"stages","on":true}                (workers count the cycles of their stages, or not)
 *   {"request":"capture","call_id":"…","count":N} (null or absent: all, without end)
 *
 *   {"ok":true,"result":…} | {"ok":true,"status":"done|pending","generation":N,"text":"…"}
 *   {"ok":false,"error":"…"}
 *
 * After a capture's {"ok":true,"status":"capturing"} comes a pcapng file, until the client shuts down
 * its side (what it says meanwhile is ignored) or the number is reached; then control closes.
 */
#ifndef TANDEM_CONTROL_ADMIN_H
#define TANDEM_CONTROL_ADMIN_H

#include "control/health/health.h"
#include "control/names.h"
#include "control/reload.h"
#include "control/show_connections.h"

enum {
    ADMIN_REQUEST_MAX = 4096,         /* bytes of a line; a longer one is refused and ends the connection */
    ADMIN_ANSWER_MAX = 64 << 20,      /* bytes; a longer one becomes an error */
    ADMIN_CLIENTS_MAX = 64,           /* one more is turned away with an error */
    ADMIN_IDLE_MS = 60000,            /* a client that neither asks nor reads for so long is left */
};

enum admin_kind { ADMIN_SHOW, ADMIN_CHANGE, ADMIN_WHY, ADMIN_CAPTURE, ADMIN_STAGES, ADMIN_KILL };

struct admin_request {
    enum admin_kind kind;
    char what[32];                    /* of ADMIN_SHOW */
    struct show_connections_filter filter;   /* of ADMIN_SHOW of connections */
    uint64_t connection;              /* of ADMIN_KILL */
    struct plan_change change;        /* of ADMIN_CHANGE */
    char call_id[1024];               /* of ADMIN_WHY; of ADMIN_CAPTURE, "": every message */
    bool on;                          /* of ADMIN_STAGES */
    uint64_t count;                   /* of ADMIN_CAPTURE: received messages, 0: no end */
    char pool[PLAN_BACKEND_MAX];      /* "": all */
};

/* Reads one request (no line end). 0, or -EINVAL and why, a literal, in *ret_reason. */
int admin_parse(const char *line, size_t length, struct admin_request *ret,
                const char **ret_reason);

struct admin;
struct handover;

/* Whom the requests are about. */
struct admin_parts {
    struct handover *handover;        /* NULL: the socket is nobody's before and after */
    struct reload *reload;
    const struct names *names;
    struct stream *stream;
    struct health *health;            /* NULL: nobody watches backends */
};

/*
 * Listens at a path: makes its directory (0755), takes the place of a socket that nobody listens
 * at, mode 0660 and that group, or 0600 without one. NULL and one line in ret_text[PLAN_TEXT_MAX].
 */
struct admin *admin_new(struct loop *loop, const struct admin_parts *parts, const char *path,
                        const char *group, char *ret_text);
/* Leaves all clients and removes the socket. */
void admin_free(struct admin *admin);

/* Hands the socket over: admin_free, which is to follow, leaves it to the successor. */
void admin_leave(struct admin *admin);

#endif
