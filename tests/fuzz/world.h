/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots for the fuzz targets that hold what the stage of proxy's unit tests does not: names
 * that control resolved, a capture, services in mode direct. Addresses and backends are the
 * stage's.
 */
#ifndef TANDEM_TESTS_FUZZ_WORLD_H
#define TANDEM_TESTS_FUZZ_WORLD_H

#include "config/snapshot.h"

enum world_kind {
    WORLD_NAMES,  /* mode proxy; carrier.example has two targets, others none or no answer */
    WORLD_TRUNKS, /* the same with sources, matches, a key by header and shared dialogs */
    WORLD_DIRECT, /* backends hold the address */
    WORLD_TUNNEL, /* and are reached through IP in IP */
    WORLD_COUNT,
};

/* Never freed: one for each kind lives as long as the target. Ends the process when it fails. */
const struct snapshot *world_snapshot(enum world_kind kind);

#endif
