/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots and fibs under RCU. It must not know where an offer comes from, nor what workers do
 * with what they read.
 */
#include "dataplane/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <rte_rcu_qsbr.h>

#include "config/msg.h"
#include "dataplane/lb/slots.h"
#include "dataplane/services.h"

enum {
    RETIRED_MAX = 64, /* replaced and still read: a worker has been away for long */
    GRACE_POLL_US = 100,
    GRACE_POLLS = 5000, /* half a second; after it the old one is left to publish_reap */
};

/* A mapped snapshot and how its backends and services map to slots. */
struct view {
    struct proxy_view proxy;
    void *block;
    size_t size;
    uint16_t *slot_of;
    int32_t *backend_of;
    uint16_t *service_slots; /* [listeners.n] */
};

struct retired {
    uint64_t token;    /* of RCU: no worker reads it once this has passed */
    struct view *view; /* one of the two */
    struct io_fib *fib;
};

struct publish {
    _Atomic(struct view *) view;
    _Atomic(struct io_fib *) fib;
    struct rte_rcu_qsbr *rcu;
    /* Main's own: */
    struct counters_header *counters;
    struct lb_slots *slots;
    struct services *services;
    struct heritage_block *heritage; /* until the first snapshot… */
    struct lb_call_table *calls;     /* …when it goes in here */
    uint32_t heritage_s;
    uint32_t n_retired;
    struct retired retired[RETIRED_MAX];
};

static void view_free(struct view *view)
{
    if (view == NULL)
        return;
    if (view->block != NULL)
        munmap(view->block, view->size);
    free(view->slot_of);
    free(view->backend_of);
    free(view->service_slots);
    free(view);
}

struct publish *publish_new(uint32_t n_workers, struct counters_header *counters)
{
    struct publish *p = calloc(1, sizeof(*p));
    size_t size = RTE_ALIGN_CEIL(rte_rcu_qsbr_get_memsize(n_workers), RTE_CACHE_LINE_SIZE);

    if (p == NULL)
        return NULL;
    p->counters = counters;
    p->slots = lb_slots_new(COUNTERS_SLOTS);
    p->services = services_new(counters);
    p->rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
    if (p->slots == NULL || p->services == NULL || p->rcu == NULL ||
        rte_rcu_qsbr_init(p->rcu, n_workers) != 0) {
        publish_free(p);
        return NULL;
    }
    for (uint32_t i = 0; i < n_workers; i++)
        rte_rcu_qsbr_thread_register(p->rcu, i);
    return p;
}

void publish_free(struct publish *p)
{
    if (p == NULL)
        return;
    for (uint32_t i = 0; i < p->n_retired; i++) {
        view_free(p->retired[i].view);
        io_fib_free(p->retired[i].fib);
    }
    heritage_close(p->heritage);
    view_free(atomic_load(&p->view));
    io_fib_free(atomic_load(&p->fib));
    lb_slots_free(p->slots);
    services_free(p->services);
    free(p->rcu);
    free(p);
}

void publish_online(struct publish *p, uint32_t worker)
{
    rte_rcu_qsbr_thread_online(p->rcu, worker);
}

void publish_offline(struct publish *p, uint32_t worker)
{
    rte_rcu_qsbr_thread_offline(p->rcu, worker);
}

struct publish_current publish_read(const struct publish *p)
{
    const struct view *view = atomic_load_explicit(&p->view, memory_order_acquire);

    return (struct publish_current){
        .view = view == NULL ? NULL : &view->proxy,
        .service_slots = view == NULL ? NULL : view->service_slots,
        .fib = atomic_load_explicit(&p->fib, memory_order_acquire),
    };
}

void publish_quiescent(struct publish *p, uint32_t worker)
{
    rte_rcu_qsbr_quiescent(p->rcu, worker);
}

void publish_reap(struct publish *p)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < p->n_retired; i++) {
        if (rte_rcu_qsbr_check(p->rcu, p->retired[i].token, false) == 1) {
            view_free(p->retired[i].view);
            io_fib_free(p->retired[i].fib);
        } else {
            p->retired[kept++] = p->retired[i];
        }
    }
    p->n_retired = kept;
}

/* Lets workers finish with what was replaced, for a bounded time. True when none is left. */
static bool wait_for_workers(struct publish *p)
{
    const struct timespec pause = {.tv_nsec = GRACE_POLL_US * 1000L};

    publish_reap(p);
    for (uint32_t i = 0; i < GRACE_POLLS && p->n_retired > 0; i++) {
        nanosleep(&pause, NULL);
        publish_reap(p);
    }
    return p->n_retired == 0;
}

/* There is room for one more: publish_snapshot and publish_fib see to it before they swap. */
static void retire(struct publish *p, struct view *view, struct io_fib *fib)
{
    if (view == NULL && fib == NULL)
        return;
    p->retired[p->n_retired++] = (struct retired){rte_rcu_qsbr_start(p->rcu), view, fib};
}

/* Maps an offered memfd once nobody can change it any more. */
static int map_offer(int fd, uint64_t size, struct view *view, const char **ret_reason)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat status;

    *ret_reason = "not a sealed memfd";
    if (seals < 0 || (seals & msg_snapshot_seals()) != msg_snapshot_seals())
        return -EPERM;
    *ret_reason = "size differs from the offer's";
    if (fstat(fd, &status) < 0 || (uint64_t)status.st_size != size || size > SNAPSHOT_SIZE_MAX)
        return -EINVAL;
    *ret_reason = "cannot be mapped";
    view->block = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (view->block == MAP_FAILED) {
        view->block = NULL;
        return -errno;
    }
    view->size = size;
    return snapshot_check(view->block, size, ret_reason);
}

/* Sees to it that the services will find slots. */
static int make_room(struct publish *p, const struct view *view, const char **ret_reason)
{
    if (services_fit(p->services, view->block))
        return 0;
    *ret_reason = "a worker still reads older snapshots";
    if (!wait_for_workers(p))
        return -EBUSY;
    services_reclaim(p->services);
    return 0;
}

/* The last step that can fail: it changes the slots. */
static int assign_slots(struct publish *p, struct view *view, const char **ret_reason)
{
    const struct snapshot *s = view->block;
    const struct lb_backend *backends = snapshot_backends(s);
    uint32_t *slot_ids = counters_slot_ids(p->counters);
    uint32_t n = s->backends.n;
    uint32_t *ids = calloc((size_t)n + 1, sizeof(*ids));
    int error = -ENOMEM;

    view->slot_of = calloc((size_t)n + 1, sizeof(*view->slot_of));
    view->backend_of = calloc(COUNTERS_SLOTS, sizeof(*view->backend_of));
    view->service_slots = calloc((size_t)s->listeners.n + 1, sizeof(*view->service_slots));
    *ret_reason = "no memory";
    if (ids == NULL || view->slot_of == NULL || view->backend_of == NULL ||
        view->service_slots == NULL)
        goto out;
    for (uint32_t i = 0; i < n; i++)
        ids[i] = backends[i].id;
    error = lb_slots_assign(p->slots, ids, n, view->slot_of);
    *ret_reason = "too many backends";
    if (error < 0)
        goto out;
    for (uint32_t slot = 0; slot < COUNTERS_SLOTS; slot++)
        view->backend_of[slot] = LB_NO_BACKEND;
    for (uint32_t i = 0; i < n; i++) {
        view->backend_of[view->slot_of[i]] = (int32_t)i;
        __atomic_store_n(&slot_ids[view->slot_of[i]], ids[i], __ATOMIC_RELAXED);
    }
    services_assign(p->services, s, view->service_slots);
    view->proxy = (struct proxy_view){s, view->slot_of, view->backend_of, COUNTERS_SLOTS, false};
out:
    free(ids);
    return error;
}

bool publish_inherit(struct publish *p, struct heritage_block *block, struct lb_call_table *calls,
                     uint32_t now_s)
{
    if (atomic_load(&p->view) != NULL)
        return false;
    heritage_close(p->heritage);
    p->heritage = block;
    p->calls = calls;
    p->heritage_s = now_s;
    return true;
}

/* Before any worker has the view: what is inherited is older than whatever they will learn. */
static void adopt_heritage(struct publish *p, const struct view *view)
{
    struct lb_call_counts counts = counters_call_counts(p->counters, 0);
    uint64_t *inherited = &counters_block(p->counters, 0)[COUNTER_CALLS_INHERITED];

    if (p->heritage == NULL)
        return;
    counters_add(inherited, heritage_adopt(p->heritage, &view->proxy, p->calls,
                                           p->counters->start_mono_s, p->heritage_s, &counts));
    heritage_close(p->heritage);
    p->heritage = NULL;
}

int publish_snapshot(struct publish *p, int fd, uint64_t size, uint64_t generation,
                     const char **ret_reason)
{
    struct view *view = calloc(1, sizeof(*view));
    int error = -ENOMEM;

    *ret_reason = "no memory";
    if (view == NULL)
        return error;
    error = map_offer(fd, size, view, ret_reason);
    if (error < 0)
        goto out;
    error = -EINVAL;
    *ret_reason = "generation differs from the offer's";
    if (((const struct snapshot *)view->block)->generation != generation)
        goto out;
    error = -EBUSY;
    *ret_reason = "a worker still reads older snapshots";
    if (p->n_retired >= RETIRED_MAX / 2 && !wait_for_workers(p))
        goto out;
    error = make_room(p, view, ret_reason);
    if (error == 0)
        error = assign_slots(p, view, ret_reason);
    if (error < 0)
        goto out;
    adopt_heritage(p, view);
    retire(p, atomic_exchange(&p->view, view), NULL);
    view = NULL;
    wait_for_workers(p);
    __atomic_store_n(&p->counters->generation, generation, __ATOMIC_RELEASE);
out:
    view_free(view);
    return error;
}

bool publish_fib(struct publish *p, struct io_fib *fib)
{
    if (p->n_retired >= RETIRED_MAX - 1)
        publish_reap(p);
    if (p->n_retired >= RETIRED_MAX - 1) {
        io_fib_free(fib); /* a worker is stuck: keep what there is rather than free it */
        return false;
    }
    retire(p, NULL, atomic_exchange(&p->fib, fib));
    return true;
}

struct io_fib *publish_main_fib(struct publish *p)
{
    return atomic_load_explicit(&p->fib, memory_order_relaxed);
}

/* A worker that still reads an older snapshot may yet make an entry for a backend that has left
 * since, behind the sweep's back: then no slot comes free by this lap. */
void publish_sweep_begin(struct publish *p)
{
    publish_reap(p);
    for (uint32_t i = 0; i < p->n_retired; i++) {
        if (p->retired[i].view != NULL)
            return;
    }
    lb_slots_sweep_begin(p->slots);
}

void publish_sweep_end(struct publish *p, const uint32_t *used)
{
    uint32_t *slot_ids = counters_slot_ids(p->counters);

    lb_slots_sweep_end(p->slots, used);
    for (uint32_t slot = 0; slot < COUNTERS_SLOTS; slot++) {
        if (p->slots->use[slot] == LB_SLOT_FREE)
            __atomic_store_n(&slot_ids[slot], 0, __ATOMIC_RELAXED);
    }
}
