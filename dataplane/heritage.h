/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of the data plane before this one, which control kept: taken into our table once, when
 * the first snapshot says which backends there are. Main only.
 */
#ifndef TANDEM_HERITAGE_H
#define TANDEM_HERITAGE_H

#include "dataplane/proxy/proxy.h"

struct heritage_block;

/* Maps and checks an offered memfd; the descriptor stays the caller's. NULL and the reason, a
 * literal, on failure. */
struct heritage_block *heritage_open(int fd, uint64_t size, const char **ret_reason);
void heritage_close(struct heritage_block *block); /* NULL does nothing */

/*
 * Takes the calls of backends that the view has into a table whose second 0 is start_mono_s, and
 * counts them. Returns how many entries there were; 0 also when the tables differ in size.
 */
uint64_t heritage_adopt(const struct heritage_block *block, const struct proxy_view *view,
                        struct lb_call_table *calls, uint64_t start_mono_s, uint32_t now_s,
                        struct lb_call_counts *counts);

#endif
