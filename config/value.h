/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of single values: durations, sizes, addresses, names. Pure; knows neither keys nor YAML.
 */
#ifndef TANDEM_CONFIG_VALUE_H
#define TANDEM_CONFIG_VALUE_H

#include "config/dataplane.h"

/* The units that are read, for messages. */
#define VALUE_DURATION_UNITS "ms, s, m, h or d"
#define VALUE_SIZE_UNITS "KiB, MiB or GiB"

/*
 * A whole number and a unit without a blank: `500ms` to milliseconds, `64MiB` to bytes. Return 0;
 * -ENODATA: a number without a unit; -EINVAL: anything else; -ERANGE: beyond 64 bits.
 */
int value_duration(const char *text, uint64_t *ret_ms);
int value_size(const char *text, uint64_t *ret_bytes);

/* Writes them in the greatest unit that says them whole, without a unit where none does, and a NUL. */
enum { VALUE_UNIT_ROOM = 24 };
void value_duration_print(uint64_t ms, char ret_text[VALUE_UNIT_ROOM]);
void value_size_print(uint64_t bytes, char ret_text[VALUE_UNIT_ROOM]);

/* `192.0.2.10`, `2001:db8::1`: an address that one host can have (not unspecified, multicast or
 * broadcast). 0, or -EINVAL. */
int value_ip(const char *text, struct sip_ip *ret);

/* Where a server listens: `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`; the
 * port is `port` when none is given. 0, or -EINVAL. */
int value_server(const char *text, uint16_t port, struct sip_addr *ret);

/* An address, `/` and a length of 1 to 32 or 128. 0, or -EINVAL. */
int value_prefix(const char *text, struct cfg_prefix *ret);

/* A network's prefix, `198.51.100.0/24` or `0.0.0.0/0`, or the address of one host. 0; -EINVAL;
 * -EDOM: bits behind the length are set, so that another prefix may be meant. */
int value_network(const char *text, struct cfg_prefix *ret);

/* The beginning of a number: digits, `*` and `#`, and a `+` in front of digits. */
bool value_is_dialled(const char *text);

/* Whether an address lies in a prefix. */
bool value_prefix_has(const struct cfg_prefix *prefix, const struct sip_ip *ip);

/* Letters, digits, `.`, `_` and `-`, beginning with a letter or digit: a name for commands. */
bool value_is_name(const char *text);

/* A name the kernel takes for an interface: 1 to 15 visible bytes, no `/`, `:`; not `.` or `..`. */
bool value_is_interface(const char *text);

/* A token (RFC 3261 §25.1), as option tags and header names are. */
bool value_is_token(const char *text);

/* A host of a Request-URI: a name of labels, or an address. */
bool value_is_host(const char *text);

/* A host that is a name, not an address: what certificates are made for. */
bool value_is_host_name(const char *text);

/* An Origin (RFC 6454 §6.2): SCHEME://HOST or SCHEME://HOST:PORT, or `null` and `file://`, which
 * pages without a server have. */
bool value_is_origin(const char *text);

/* An absolute path of a URI without a query (RFC 3986 §3.3). */
bool value_is_path(const char *text);

/* Makes ASCII letters lower case. */
void value_lower(char *text);

#endif
