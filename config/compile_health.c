/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was observed of a backend, put into the snapshot's. It must not know who observes.
 */
#include <stdlib.h>

#include "config/compile.h"

static int by_id(const void *key, const void *element)
{
    const uint32_t *id = key;
    const struct compile_health *health = element;

    return (*id > health->id) - (*id < health->id);
}

void compile_health_apply(const struct compile_live *live, struct lb_backend *backend)
{
    const struct compile_health *seen = NULL;
    uint64_t weight;

    if (live != NULL && live->n_health > 0)
        seen = bsearch(&backend->id, live->health, live->n_health, sizeof(*seen), by_id);
    if (seen == NULL)
        return;
    weight = (uint64_t)backend->weight * seen->weight_permille / 1000;
    backend->health = seen->health;
    backend->weight = backend->weight > 0 && weight == 0 ? 1 : (uint32_t)weight;
}
