/* SPDX-License-Identifier: Apache-2.0 */
/* `why CALL-ID`: rules 4 and 6 asked again, without a message and without changing anything. */
#include "dataplane/lb/maglev.h"
#include "dataplane/proxy/work.h"

/* Whether a known Call-ID stays at a backend for a request of its dialog. */
static bool keeps(const struct snapshot *s, uint32_t pool, int32_t backend)
{
    const struct lb_backend *b;

    if (backend < 0)
        return false;
    b = &snapshot_backends(s)[backend];
    return b->pool == pool && proxy_backend_lives(b);
}

void proxy_why(const struct proxy_view *view, uint32_t pool, struct sip_slice call_id,
               const struct lb_call_table *calls, uint32_t now_s, struct proxy_why *ret)
{
    const struct snapshot *s = view->snapshot;
    const struct lb_pool *p = &snapshot_pools(s)[pool];
    bool by_call_id = p->keys[SIP_INVITE] == LB_KEY_CALL_ID;

    memset(ret, 0, sizeof(*ret));
    ret->hash = proxy_hash(s, p->id, call_id);
    ret->table_backend = LB_NO_BACKEND;
    ret->call_backend = LB_NO_BACKEND;
    ret->backend = LB_NO_BACKEND;
    if (by_call_id) {
        ret->key_hash = ret->hash;
        if (p->table_size > 0)
            ret->table_position = lb_maglev_position(ret->hash, p->table_size);
        ret->table_backend = snapshot_table_lookup(s, pool, ret->hash);
    }
    ret->in_table = calls != NULL && lb_call_find(calls, ret->hash, now_s, &ret->call);
    if (ret->in_table)
        ret->call_backend = proxy_backend_of_slot(view, ret->call.slot);
    /* A registration says nothing of the next request (proxy_rule_4_call). */
    if (keeps(s, pool, ret->call_backend) && ret->call.state != LB_CALL_REGISTRATION) {
        ret->rule = PROXY_RULE_CALL;
        ret->backend = ret->call_backend;
    } else if (ret->table_backend >= 0) {
        ret->rule = PROXY_RULE_TABLE;
        ret->backend = ret->table_backend;
    }
}
