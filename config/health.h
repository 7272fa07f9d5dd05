/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool's `health:` says, as plain numbers: how its backends are probed, which answers mean
 * what, and when passive detection takes one out. It knows nothing of probes.
 */
#ifndef TANDEM_CONFIG_HEALTH_H
#define TANDEM_CONFIG_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/sip/ip.h"

enum cfg_probe { CFG_PROBE_NONE, CFG_PROBE_OPTIONS };

/* A set of SIP statuses 0..703, one bit each. */
struct cfg_statuses {
    uint64_t bits[11];
};

static inline bool cfg_statuses_have(const struct cfg_statuses *set, uint16_t status)
{
    return status / 64 < 11 && (set->bits[status / 64] >> (status % 64) & 1) != 0;
}

/* Adds first to last; what is beyond 703 is left out. */
static inline void cfg_statuses_add(struct cfg_statuses *set, uint16_t first, uint16_t last)
{
    for (uint32_t status = first; status <= last && status / 64 < 11; status++)
        set->bits[status / 64] |= UINT64_C(1) << (status % 64);
}

/* A short call to an echo, over the backend. RFC 3551's payload type numbers. */
enum cfg_media_codec { CFG_MEDIA_PCMU = 0, CFG_MEDIA_PCMA = 8 };
enum cfg_media_srtp { CFG_MEDIA_PLAIN, CFG_MEDIA_SDES };

struct cfg_media {
    char *uri;                     /* whom to call, {backend} in it its address; NULL: no such calls */
    uint8_t srtp;                  /* enum cfg_media_srtp */
    uint8_t codec;                 /* enum cfg_media_codec */
    uint32_t interval_ms;          /* between two calls to a backend */
    uint32_t fast_interval_ms;     /* while its media is in doubt, or bad */
    uint32_t timeout_ms;           /* until the call must be answered */
    uint32_t length_ms;            /* of what is played */
    uint32_t rise, fall;           /* calls in a row until media is good, until bad; at least 1 */
    uint32_t max;                  /* no call begins while as many are on, over all pools */
};

struct cfg_health {
    uint8_t probe;                 /* enum cfg_probe */
    uint8_t transport;             /* enum sip_transport: UDP, TCP or TLS */
    bool passive;                  /* whether real traffic may take a backend out */
    uint32_t interval_ms;          /* between two probes of a backend, at least 1 */
    uint32_t fast_interval_ms;     /* while a backend is in doubt; not above interval_ms */
    uint32_t timeout_ms;           /* of one probe */
    uint32_t rise, fall;           /* probes in a row until up, until down; at least 1 */
    uint32_t retry_after_ms;       /* of a busy answer that does not say it */
    uint32_t slow_start_ms;        /* from a tenth of the weight to all of it; 0: at once */
    struct cfg_statuses accept;    /* answers of one that is well */
    struct cfg_statuses busy;      /* answers of one that lives and sheds; counts before accept */
    char *drain_header;            /* NAME of a field of answers that asks for no new calls; NULL */
    char *drain_text;              /* …only when its value has this in it; NULL: always */
    uint32_t eject_floor;          /* requests below which passive detection says nothing */
    uint32_t eject_percent;        /* share of failures that takes a backend out, 1..100 */
    uint32_t eject_max_percent;    /* of a pool that may be out for it to be allowed, 0..100 */
    struct cfg_media media;
};

#endif
