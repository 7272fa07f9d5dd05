/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds of connections, one by one; then what must hold between them. */
#include "config/streams.h"

#include "config/check.h"
#include "config/convert.h"
#include "config/value.h"

static const char BASE[] = "control.streams";

static int take_number(const uint32_t *number, uint32_t otherwise, uint32_t max, uint32_t *ret,
                       const char *name, struct cfg_error *error)
{
    *ret = number == NULL ? otherwise : *number;
    return convert_number(*ret, 1, max, BASE, name, error);
}

static int take_timeout(const char *text, const char *otherwise, uint64_t max_ms, uint32_t *ret_ms,
                        const char *name, struct cfg_error *error)
{
    uint64_t ms = 0;
    int ret = convert_duration(text == NULL ? otherwise : text, SCHEMA_STREAMS_TIMEOUT_MIN, max_ms,
                               &ms, BASE, name, error);

    *ret_ms = (uint32_t)ms;
    return ret;
}

static int take_limit(const char *text, const char *otherwise, uint64_t min, uint64_t max,
                      uint32_t *ret_bytes, const char *name, struct cfg_error *error)
{
    uint64_t bytes = 0;
    int ret = convert_size(text == NULL ? otherwise : text, min, max, &bytes, BASE, name, error);

    *ret_bytes = (uint32_t)bytes;
    return ret;
}

static int take_numbers(const struct schema_streams *raw, struct cfg_streams *streams,
                        struct cfg_error *error)
{
    int ret = take_number(raw->threads, SCHEMA_STREAMS_THREADS, SCHEMA_STREAMS_THREADS_MAX,
                          &streams->threads, "threads", error);
    uint32_t per_source;

    if (ret == 0)
        ret = take_number(raw->connections, SCHEMA_STREAMS_CONNECTIONS,
                          SCHEMA_STREAMS_CONNECTIONS_MAX, &streams->connections, "connections",
                          error);
    if (ret != 0)
        return ret;
    per_source = streams->connections < SCHEMA_STREAMS_PER_SOURCE ? streams->connections
                                                                  : SCHEMA_STREAMS_PER_SOURCE;
    return take_number(raw->connections_per_source, per_source, streams->connections,
                       &streams->connections_per_source, "connections_per_source", error);
}

static int take_timeouts(const struct schema_streams *raw, struct cfg_streams *streams,
                         struct cfg_error *error)
{
    int ret = take_timeout(raw->idle_timeout, SCHEMA_STREAMS_IDLE_TIMEOUT,
                           SCHEMA_STREAMS_IDLE_TIMEOUT_MAX, &streams->idle_timeout_ms,
                           "idle_timeout", error);

    if (ret == 0)
        ret = take_timeout(raw->handshake_timeout, SCHEMA_STREAMS_HANDSHAKE_TIMEOUT,
                           SCHEMA_STREAMS_TIMEOUT_MAX, &streams->handshake_timeout_ms,
                           "handshake_timeout", error);
    if (ret == 0)
        ret = take_timeout(raw->message_timeout, SCHEMA_STREAMS_MESSAGE_TIMEOUT,
                           SCHEMA_STREAMS_TIMEOUT_MAX, &streams->message_timeout_ms,
                           "message_timeout", error);
    return ret;
}

static int take_limits(const struct schema_streams *raw, struct cfg_streams *streams,
                       struct cfg_error *error)
{
    int ret = take_limit(raw->header_limit, SCHEMA_STREAMS_HEADER_LIMIT, SCHEMA_STREAMS_HEADER_MIN,
                         SCHEMA_STREAMS_HEADER_MAX, &streams->header_limit, "header_limit", error);

    if (ret == 0)
        ret = take_limit(raw->body_limit, SCHEMA_STREAMS_BODY_LIMIT, SCHEMA_STREAMS_BODY_MIN,
                         SCHEMA_STREAMS_BODY_MAX, &streams->body_limit, "body_limit", error);
    if (ret == 0)
        ret = take_limit(raw->write_limit, SCHEMA_STREAMS_WRITE_LIMIT, SCHEMA_STREAMS_WRITE_MIN,
                         SCHEMA_STREAMS_WRITE_MAX, &streams->write_limit, "write_limit", error);
    if (ret == 0)
        ret = convert_size(raw->memory_limit == NULL ? SCHEMA_STREAMS_MEMORY_LIMIT
                                                     : raw->memory_limit,
                           SCHEMA_STREAMS_MEMORY_MIN, SCHEMA_STREAMS_MEMORY_MAX,
                           &streams->memory_limit, BASE, "memory_limit", error);
    return ret;
}

/* What is taken from one connection must fit into another, with what we add to the header section.
 */
static int check_limits(const struct cfg_streams *streams, struct cfg_error *error)
{
    uint32_t message = 2 * streams->header_limit + streams->body_limit;
    char limit[VALUE_UNIT_ROOM], wanted[VALUE_UNIT_ROOM];

    if (streams->write_limit >= message)
        return 0;
    value_size_print(streams->write_limit, limit);
    value_size_print(message, wanted);
    return check_refuse(error, BASE, "write_limit",
                        "%s holds no message of body_limit and twice header_limit: %s at least",
                        limit, wanted);
}

int streams_convert(const struct schema_streams *raw, struct cfg_streams *streams,
                    struct cfg_error *error)
{
    static const struct schema_streams none = {0};
    int ret;

    if (raw == NULL)
        raw = &none;
    ret = take_numbers(raw, streams, error);
    if (ret == 0)
        ret = take_timeouts(raw, streams, error);
    if (ret == 0)
        ret = take_limits(raw, streams, error);
    return ret == 0 ? check_limits(streams, error) : ret;
}
