/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a worker share: its state, a message on its way, and the stages that each
 * offers the others. For classify.c, join.c, forward.c, direct.c,
 * capture.c and worker.c alone.
 */
#ifndef TANDEM_STAGES_H
#define TANDEM_STAGES_H

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "dataplane/io/frame.h"
#include "dataplane/io/payload.h"
#include "dataplane/io/transmit.h"
#include "dataplane/worker.h"

enum { REPLY_MAX = IO_FRAME_MAX - IO_HEADERS_MAX };

/* One message on its way through the stages: what each message needs in front, what few of them
 * reach behind. */
struct job {
    struct rte_mbuf *mbuf; /* that it lies in; NULL: it was joined, and lies in the worker */
    const char *text;      /* of the message; frame.length bytes */
    struct io_frame frame;
    struct proxy_input input;
    struct io_fib_way way; /* of the frame that is made of it */
    uint64_t call;               /* its Call-ID's snapshot_call_hash, while it is captured */
    struct sip_msg msg;
    struct proxy_prepared prepared;
    struct proxy_output output;
};

struct worker {
    struct worker_shared *shared;
    uint32_t index;
    bool yields;
    bool main_has_work;      /* this loop gave main something */
    uint64_t began;          /* to run, by the time stamp counter… */
    uint64_t worked;         /* …and had something to do last, since then */
    uint64_t pause_after, sleep_after; /* cycles without work */
    uint16_t ip_id, id_step; /* of our datagrams: see io_tx_id_step */
    struct io_tx *tx;
    struct io_reassembly *reassembly;
    uint64_t *counters;                     /* our block */
    uint64_t *by_slot[COUNTERS_SLOT_COUNT]; /* of it, and the next */
    uint64_t *by_service;                   /* COUNTERS_SERVICE_WORDS for each slot */
    struct lb_call_counts call_counts;
    struct publish_current current;
    int32_t listener;            /* found last in this turn, or -1… */
    struct sip_addr listens;     /* …at this address */
    struct io_payload_pools pools[IO_PORTS_MAX]; /* by the port that a message leaves by */
    uint32_t n_jobs;
    struct job jobs[IO_BURST];
    char reply[REPLY_MAX];
    uint8_t datagram[IO_DATAGRAM_MAX]; /* the one that was joined last */
};

static inline void worker_count(struct worker *w, enum counter counter, uint64_t n)
{
    counters_add(&w->counters[counter], n);
}

static inline void worker_drop(struct worker *w, struct rte_mbuf *mbuf, enum counter counter)
{
    worker_count(w, counter, 1);
    rte_pktmbuf_free(mbuf);
}

/* The IPv4 identification of the next datagram of ours. */
static inline uint16_t worker_ip_id(struct worker *w)
{
    uint16_t id = w->ip_id;

    w->ip_id += w->id_step;
    return id;
}

/* Classify: makes jobs of messages, anew, and gives the kernel and the owners of fragments what is
 * theirs. Takes over the frames that a port received. */
void worker_classify(struct worker *worker, uint8_t port, struct rte_mbuf **mbufs, uint32_t n);

/* The listener of ours of a datagram's destination in the snapshot that this turn uses, or -1; -1
 * also before the first snapshot. */
int32_t worker_find_listener(struct worker *worker, const struct sip_addr *dst);

/* Whether UDP to a port of control's says that it is from a backend, and is not to be believed:
 * control takes it for that one's, since the kernel does not tell it where a datagram comes from. A
 * piece, and what else bears no port, counts as sent to any port of its address. */
bool worker_is_forged(const struct worker *worker, uint8_t port, const struct io_frame *frame);

/* The place of the next job, which worker_add_job makes one. */
static inline struct job *worker_next_job(struct worker *w)
{
    return &w->jobs[w->n_jobs];
}

/* Adds the next job: a datagram to a listener, whose checksum holds, in a frame (mbuf, or NULL)
 * that begins at `bytes`, and is described in the job already. */
void worker_add_job(struct worker *worker, struct rte_mbuf *mbuf, const uint8_t *bytes,
                    int32_t listener);

/* Takes over frames that are the kernel's. */
void worker_give_kernel(struct worker *worker, uint8_t port, struct rte_mbuf **mbufs, uint32_t n);

/* Joins the fragments that other workers, or we, found to be ours; runs what they complete. Returns
 * how many there were. */
uint32_t worker_join(struct worker *worker);

/* Whether an operator wants copies of messages. Only while there are jobs, and so a snapshot. */
static inline bool worker_captures(const struct worker *w)
{
    return w->current.view->snapshot->capture.on &&
           atomic_load_explicit(&w->shared->control_connected, memory_order_relaxed);
}

/* CLOCK_REALTIME. */
uint64_t worker_capture_now(void);

/* Copies the frame of a job that was routed and not rewritten yet, if it is wanted. */
bool worker_capture_came(struct worker *worker, struct job *job, uint8_t port, uint64_t now_ns);

/* Copies the frame that was made of it. */
void worker_capture_leaves(struct worker *worker, const struct job *job, uint64_t now_ns);

/* Mode direct: puts the frame that goes by the job's hop to its target in the place of its mbuf;
 * NULL there: no mbuf takes it. */
void worker_make_direct(struct worker *worker, struct job *job);

/* Parse, route, rewrite: what classify made of a port's frames. */
void worker_run_jobs(struct worker *worker, uint8_t port);

/* Ends a stage that began at *at, by the time stamp counter: the next one begins now. */
static inline void worker_lap(struct worker *w, enum counter stage, uint64_t *at)
{
    uint64_t now = rte_rdtsc();

    worker_count(w, stage, now - *at);
    *at = now;
}

/* worker_run_jobs with the cycles of each stage counted, from *at on; *at is when it ended. */
void worker_run_jobs_timed(struct worker *worker, uint8_t port, uint64_t *at);

/* Sends a frame; what is SIP's is cut where the port, or what is known of an IPv6 path, asks it. */
void worker_send(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, enum io_kind kind);

#endif
