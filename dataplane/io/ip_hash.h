/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an address belongs in a hash table of io/. Not keyed: for tables whose addresses come from
 * the kernel's, not from strangers.
 */
#ifndef TANDEM_IO_IP_HASH_H
#define TANDEM_IO_IP_HASH_H

#include <string.h>

#include "dataplane/sip/ip.h"

/* Two multiplications side by side and one behind them. */
static inline uint32_t io_ip_hash(const struct sip_ip *ip, uint8_t salt)
{
    uint64_t halves[2], mixed;

    memcpy(halves, ip->bytes, sizeof(halves));
    mixed = (halves[0] + salt) * 0xd6e8feb86659fd93ULL ^ halves[1] * 0x9e3779b97f4a7c15ULL;
    return (uint32_t)((mixed ^ mixed >> 32) * 0xd6e8feb86659fd93ULL >> 32);
}

#endif
