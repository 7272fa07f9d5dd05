/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `health:` of a pool: its values and defaults, and what must hold between them. It must not know
 * what is probed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/check.h"
#include "config/convert.h"
#include "config/health_convert.h"
#include "config/value.h"
#include "dataplane/sip/uri.h"

enum { BASE_MAX = 112 }; /* bytes of a path like pools[1023].health.fast_interval */

static int take_duration(const char *text, const char *otherwise, uint64_t min_ms, uint64_t max_ms,
                         uint32_t *ret_ms, const char *base, const char *name,
                         struct cfg_error *error)
{
    uint64_t ms = 0;
    int ret =
        convert_duration(text == NULL ? otherwise : text, min_ms, max_ms, &ms, base, name, error);

    *ret_ms = (uint32_t)ms;
    return ret;
}

static int take_number(const uint32_t *number, uint32_t otherwise, uint32_t min, uint32_t max,
                       uint32_t *ret, const char *base, const char *name, struct cfg_error *error)
{
    *ret = number == NULL ? otherwise : *number;
    if (*ret >= min && *ret <= max)
        return 0;
    return check_refuse(error, base, name, "%u is out of range: %u to %u", *ret, min, max);
}

/* Three digits in range. */
static bool read_status(struct sip_slice text, uint64_t *ret)
{
    return text.length == 3 && sip_slice_number(text, 699, ret) == 0 && *ret >= 200;
}

/* `503`, `4xx` or `400-499`. 0 or -EINVAL. */
static int read_statuses(const char *text, uint16_t *ret_first, uint16_t *ret_last)
{
    size_t length = strlen(text);
    uint64_t first, last;

    if (length == 3 && text[0] >= '2' && text[0] <= '6' && strcmp(text + 1, "xx") == 0) {
        first = (uint64_t)(text[0] - '0') * 100;
        last = first + 99;
    } else if (length == 3 && read_status(sip_slice(text, 3), &first)) {
        last = first;
    } else if (length != 7 || text[3] != '-' || !read_status(sip_slice(text, 3), &first) ||
               !read_status(sip_slice(text + 4, 3), &last) || first > last) {
        return -EINVAL;
    }
    *ret_first = (uint16_t)first;
    *ret_last = (uint16_t)last;
    return 0;
}

/* A list of statuses, or the one word `none`. */
static int take_statuses(char *const *texts, uint32_t n, struct cfg_statuses *ret, const char *base,
                         const char *name, struct cfg_error *error)
{
    char key[BASE_MAX];

    if (n == 1 && strcmp(texts[0], "none") == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        uint16_t first, last;

        snprintf(key, sizeof(key), "%s.%s[%u]", base, name, i);
        if (read_statuses(texts[i], &first, &last) != 0)
            return check_refuse(error, key, "", "`%.40s` is no final status: 503, 4xx or 400-499",
                                texts[i]);
        cfg_statuses_add(ret, first, last);
    }
    return 0;
}

/* `NAME`, or `NAME: TEXT` */
static int take_drain_header(const char *text, struct cfg_health *health, const char *base,
                             struct cfg_error *error)
{
    const char *colon = strchr(text, ':');
    size_t length = colon == NULL ? strlen(text) : (size_t)(colon - text);
    struct sip_slice value = sip_slice_trim(sip_slice_of(colon == NULL ? "" : colon + 1));

    health->drain_header = strndup(text, length);
    if (value.length > 0)
        health->drain_text = strndup(value.at, value.length);
    if (health->drain_header == NULL || (value.length > 0 && health->drain_text == NULL)) {
        check_refuse(error, "", "", "out of memory");
        return -ENOMEM;
    }
    if (!value_is_token(health->drain_header) || (colon != NULL && value.length == 0))
        return check_refuse(error, base, "drain_header",
                            "`%.60s` is no header field's `NAME` or `NAME: TEXT`", text);
    return 0;
}

static int take_timers(const struct schema_health *raw, struct cfg_health *health, const char *base,
                       struct cfg_error *error)
{
    int ret =
        take_duration(raw->interval, SCHEMA_HEALTH_INTERVAL, SCHEMA_HEALTH_INTERVAL_MIN,
                      SCHEMA_HEALTH_INTERVAL_MAX, &health->interval_ms, base, "interval", error);

    if (ret == 0)
        ret = take_duration(raw->fast_interval, SCHEMA_HEALTH_FAST_INTERVAL,
                            SCHEMA_HEALTH_FAST_INTERVAL_MIN, SCHEMA_HEALTH_INTERVAL_MAX,
                            &health->fast_interval_ms, base, "fast_interval", error);
    if (ret == 0)
        ret = take_duration(raw->timeout, SCHEMA_HEALTH_TIMEOUT, SCHEMA_HEALTH_TIMEOUT_MIN,
                            SCHEMA_HEALTH_TIMEOUT_MAX, &health->timeout_ms, base, "timeout", error);
    if (ret == 0)
        ret = take_duration(raw->retry_after, SCHEMA_HEALTH_RETRY_AFTER, 0,
                            SCHEMA_HEALTH_RETRY_AFTER_MAX, &health->retry_after_ms, base,
                            "retry_after", error);
    if (ret == 0)
        ret = take_duration(raw->slow_start, SCHEMA_HEALTH_SLOW_START, 0,
                            SCHEMA_HEALTH_SLOW_START_MAX, &health->slow_start_ms, base,
                            "slow_start", error);
    if (ret != 0)
        return ret;
    if (raw->fast_interval == NULL && health->fast_interval_ms > health->interval_ms)
        health->fast_interval_ms = health->interval_ms;
    if (health->fast_interval_ms > health->interval_ms)
        return check_refuse(error, base, "fast_interval", "%ums is above the interval of %ums",
                            health->fast_interval_ms, health->interval_ms);
    return 0;
}

static int take_limits(const struct schema_health *raw, struct cfg_health *health, const char *base,
                       struct cfg_error *error)
{
    int ret = take_number(raw->rise, SCHEMA_HEALTH_RISE, 1, SCHEMA_HEALTH_COUNT_MAX, &health->rise,
                          base, "rise", error);

    if (ret == 0)
        ret = take_number(raw->fall, SCHEMA_HEALTH_FALL, 1, SCHEMA_HEALTH_COUNT_MAX, &health->fall,
                          base, "fall", error);
    if (ret == 0)
        ret = take_number(raw->eject_floor, SCHEMA_HEALTH_EJECT_FLOOR, 1,
                          SCHEMA_HEALTH_EJECT_FLOOR_MAX, &health->eject_floor, base, "eject_floor",
                          error);
    if (ret == 0)
        ret = take_number(raw->eject_share, SCHEMA_HEALTH_EJECT_SHARE, 1, 100,
                          &health->eject_percent, base, "eject_share", error);
    if (ret == 0)
        ret = take_number(raw->eject_max, SCHEMA_HEALTH_EJECT_MAX, 0, 100,
                          &health->eject_max_percent, base, "eject_max", error);
    return ret;
}

/* A sip: URI without headers, once the backend's address is in it. */
static int take_uri(const char *text, char **ret, const char *base, struct cfg_error *error)
{
    static const char mark[] = "{backend}", address[] = "192.0.2.1:5060";
    char filled[SCHEMA_TEXT_MAX + sizeof(address)];
    const char *at = strstr(text, mark);
    struct sip_uri uri;

    if (at == NULL)
        snprintf(filled, sizeof(filled), "%s", text);
    else
        snprintf(filled, sizeof(filled), "%.*s%s%s", (int)(at - text), text, address,
                 at + strlen(mark));
    if (sip_uri_parse(sip_slice_of(filled), &uri) != 0 || uri.scheme != SIP_SCHEME_SIP ||
        uri.headers.length > 0)
        return check_refuse(error, base, "uri",
                            "`%.80s` is no sip: URI (with {backend} for the backend's address)",
                            text);
    *ret = strdup(text);
    if (*ret != NULL)
        return 0;
    check_refuse(error, "", "", "out of memory");
    return -ENOMEM;
}

static int take_media_timers(const struct schema_media *raw, struct cfg_media *media,
                             const char *base, struct cfg_error *error)
{
    int ret =
        take_duration(raw->interval, SCHEMA_MEDIA_INTERVAL, SCHEMA_MEDIA_INTERVAL_MIN,
                      SCHEMA_MEDIA_INTERVAL_MAX, &media->interval_ms, base, "interval", error);

    if (ret == 0)
        ret = take_duration(raw->fast_interval, SCHEMA_MEDIA_FAST_INTERVAL,
                            SCHEMA_MEDIA_FAST_INTERVAL_MIN, SCHEMA_MEDIA_INTERVAL_MAX,
                            &media->fast_interval_ms, base, "fast_interval", error);
    if (ret == 0)
        ret = take_duration(raw->timeout, SCHEMA_MEDIA_TIMEOUT, SCHEMA_MEDIA_TIMEOUT_MIN,
                            SCHEMA_MEDIA_TIMEOUT_MAX, &media->timeout_ms, base, "timeout", error);
    if (ret == 0)
        ret = take_duration(raw->length, SCHEMA_MEDIA_LENGTH, SCHEMA_MEDIA_LENGTH_MIN,
                            SCHEMA_MEDIA_LENGTH_MAX, &media->length_ms, base, "length", error);
    if (ret != 0)
        return ret;
    if (raw->fast_interval == NULL && media->fast_interval_ms > media->interval_ms)
        media->fast_interval_ms = media->interval_ms;
    if (media->fast_interval_ms > media->interval_ms)
        return check_refuse(error, base, "fast_interval", "%ums is above the interval of %ums",
                            media->fast_interval_ms, media->interval_ms);
    return 0;
}

static int take_media(const struct schema_media *raw, struct cfg_media *media, const char *health,
                      struct cfg_error *error)
{
    char base[BASE_MAX + 8];
    int ret;

    snprintf(base, sizeof(base), "%s.media", health);
    media->srtp = raw->srtp == NULL ? CFG_MEDIA_PLAIN : (uint8_t)*raw->srtp;
    media->codec = raw->codec == NULL ? CFG_MEDIA_PCMU : (uint8_t)*raw->codec;
    ret = take_media_timers(raw, media, base, error);
    if (ret == 0)
        ret = take_number(raw->rise, SCHEMA_MEDIA_RISE, 1, SCHEMA_HEALTH_COUNT_MAX, &media->rise,
                          base, "rise", error);
    if (ret == 0)
        ret = take_number(raw->fall, SCHEMA_MEDIA_FALL, 1, SCHEMA_HEALTH_COUNT_MAX, &media->fall,
                          base, "fall", error);
    if (ret == 0)
        ret = take_number(raw->max, SCHEMA_MEDIA_MAX, 1, SCHEMA_MEDIA_MAX_MAX, &media->max, base,
                          "max", error);
    return ret == 0 ? take_uri(raw->uri, &media->uri, base, error) : ret;
}

int health_convert(const struct schema_health *raw, struct cfg_health *health, const char *base,
                   struct cfg_error *error)
{
    static char accept[] = SCHEMA_HEALTH_ACCEPT, busy[] = SCHEMA_HEALTH_BUSY;
    char *const accepted[] = {accept}, *const shed[] = {busy};
    char key[BASE_MAX];
    int ret;

    snprintf(key, sizeof(key), "%s.health", base);
    health->probe = raw->probe == NULL ? CFG_PROBE_OPTIONS : (uint8_t)*raw->probe;
    health->transport = raw->transport == NULL ? SIP_TRANSPORT_UDP : (uint8_t)*raw->transport;
    health->passive = raw->passive == NULL || *raw->passive != 0;
    ret = take_timers(raw, health, key, error);
    if (ret == 0)
        ret = take_limits(raw, health, key, error);
    if (ret == 0)
        ret = take_statuses(raw->accept == NULL ? accepted : raw->accept,
                            raw->accept == NULL ? 1 : raw->n_accept, &health->accept, key, "accept",
                            error);
    if (ret == 0)
        ret = take_statuses(raw->busy == NULL ? shed : raw->busy,
                            raw->busy == NULL ? 1 : raw->n_busy, &health->busy, key, "busy", error);
    if (ret == 0 && raw->drain_header != NULL)
        ret = take_drain_header(raw->drain_header, health, key, error);
    if (ret == 0 && raw->media != NULL)
        ret = take_media(raw->media, &health->media, key, error);
    return ret;
}

void health_done(struct cfg_health *health)
{
    free(health->drain_header);
    free(health->drain_text);
    free(health->media.uri);
}
