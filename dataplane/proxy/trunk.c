/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may ask a service, and which of its pools is asked: `sources:` and `match:`. Both go by what
 * a retransmission repeats: source address and Request-URI.
 */
#include "dataplane/proxy/work.h"

bool proxy_source_allowed(const struct proxy_work *w)
{
    const struct snapshot_prefix *sources = snapshot_at(w->s, w->service->sources.offset);

    if (w->service->sources.n == 0 || w->out->sender != LB_NO_BACKEND)
        return true;
    for (uint32_t i = 0; i < w->service->sources.n; i++) {
        if (snapshot_prefix_has(&sources[i], &w->in->from.peer.ip))
            return true;
    }
    return false;
}

/* As many bytes of a dialled number as a match may name, and some that it does not count. */
enum { NUMBER_MAX = 2 * SNAPSHOT_DIALLED_MAX };

struct number {
    bool read;
    uint32_t length;
    char text[NUMBER_MAX];
};

/* Whether a user part is a telephone's: then visual separators are no part of the number. */
static bool is_telephone(const struct sip_uri *uri)
{
    struct sip_slice value;

    return uri->scheme == SIP_SCHEME_TEL ||
           (sip_param_find(uri->params, sip_slice_of("user"), &value, NULL) &&
            sip_slice_equal_nocase(value, sip_slice_of("phone")));
}

/* How the user part of sip: or sips:, or the number of tel: begins; %HH is undone. */
static void read_number(const struct sip_uri *uri, struct number *ret)
{
    bool separated = is_telephone(uri);
    uint32_t length = 0;

    ret->read = true;
    ret->length = 0;
    if (uri->scheme == SIP_SCHEME_URN)
        return;
    length = sip_uri_unescape(uri->user, ret->text, NUMBER_MAX);
    if (length > NUMBER_MAX)
        length = NUMBER_MAX;
    for (uint32_t i = 0; i < length; i++) {
        /* RFC 3966 §3: visual-separator */
        if (!separated || ret->text[i] == '\0' || strchr("-.()", ret->text[i]) == NULL)
            ret->text[ret->length++] = ret->text[i];
    }
}

/* A prefix without + fits a number with one too: +49… and 49… are dialled for the same. */
static bool dialled_fits(const struct number *number, struct sip_slice prefix)
{
    struct sip_slice text = sip_slice(number->text, number->length);

    if (prefix.at[0] != '+' && text.length > 0 && text.at[0] == '+')
        text = sip_slice(text.at + 1, text.length - 1);
    return text.length >= prefix.length && memcmp(text.at, prefix.at, prefix.length) == 0;
}

uint32_t proxy_match(const struct proxy_work *w)
{
    const struct snapshot_match *matches = snapshot_at(w->s, w->service->matches.offset);
    struct number number = {.read = false};

    for (uint32_t i = 0; i < w->service->matches.n; i++) {
        const struct snapshot_match *match = &matches[i];

        if (!snapshot_prefix_has(&match->source, &w->in->from.peer.ip))
            continue;
        if (match->domain.length > 0 &&
            !sip_slice_equal_nocase(w->ruri.host, snapshot_text(w->s, match->domain)))
            continue;
        if (match->dialled.length > 0 && !number.read)
            read_number(&w->ruri, &number);
        if (match->dialled.length == 0 ||
            dialled_fits(&number, snapshot_text(w->s, match->dialled)))
            return match->pool;
    }
    return w->service->pool;
}
