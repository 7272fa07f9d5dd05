/* SPDX-License-Identifier: Apache-2.0 */
/* What was counted of streams, as metrics. */
#ifndef TANDEM_CONTROL_METRICS_STREAMS_H
#define TANDEM_CONTROL_METRICS_STREAMS_H

#include "control/metrics_text.h"
#include "control/stream/stream.h"

void metrics_streams_write(struct metrics_text *text, const struct stream *stream);

#endif
