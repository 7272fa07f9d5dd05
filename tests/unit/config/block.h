/* SPDX-License-Identifier: Apache-2.0 */
/* A good snapshot with all that one can have, made anew for each test; its block ends at an
 * unreadable page. */
#ifndef TANDEM_TESTS_UNIT_CONFIG_BLOCK_H
#define TANDEM_TESTS_UNIT_CONFIG_BLOCK_H

#include "tests/unit/config/sample.h"

#include "tests/unit/guard.h"

/* A good snapshot in a block of its own. */
struct block {
    struct cfg *cfg;
    struct guard guard;
};

static inline int block_setup(void **state)
{
    static struct block block;
    struct compile_input input = {.secret = &sample_secret, .live = &sample_live, .generation = 1};
    struct snapshot *s;

    block.cfg = sample_load("good.yaml");
    input.cfg = block.cfg;
    s = sample_compile(&input);
    block.guard = guard_new(s, s->size);
    free(s);
    *state = &block;
    return 0;
}

static inline int block_teardown(void **state)
{
    struct block *block = *state;

    guard_free(&block->guard);
    cfg_free(block->cfg);
    return 0;
}

static inline struct snapshot *good(void **state)
{
    struct block *block = *state;

    return (struct snapshot *)(void *)block->guard.at;
}

#define WITH_BLOCK(test) cmocka_unit_test_setup_teardown(test, block_setup, block_teardown)

#endif
