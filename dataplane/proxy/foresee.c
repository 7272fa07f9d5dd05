/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look ahead, for memory's sake alone: which backend a message is likely to be about, so that
 * what is known of it comes into the cache while others are decided. It changes and decides
 * nothing.
 */
#include "dataplane/proxy/proxy.h"

int32_t proxy_foresee(const struct proxy_view *view, const struct proxy_input *in)
{
    const struct snapshot *s = view->snapshot;
    int32_t backend = LB_NO_BACKEND;
    struct lb_call call;

    if (in->msg->error != SIP_OK)
        return LB_NO_BACKEND;
    if (lb_call_find(in->calls, in->prepared->call_hash, in->now_s, &call))
        backend = proxy_backend_of_slot(view, call.slot);
    else if (in->msg->kind == SIP_REQUEST)
        backend = snapshot_table_lookup(s, in->prepared->pool, in->prepared->call_hash);
    if (backend >= 0) {
        __builtin_prefetch(&snapshot_backends(s)[backend]);
        __builtin_prefetch(&view->slot_of[backend]);
    }
    return backend;
}
