/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between a message and what was made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/sip/uri.h"
#include "tests/unit/dataplane/proxy/difference.h"

enum {
    TEXT = 80000,
    ROUTES_MAX = 40,
    OURS_MAX = 2,         /* Record-Routes that we add */
    POPPED_FRONT_MAX = 4, /* our address, a pair of tokens, and what became the Request-URI */
};

/* Fields in which something may change; the rest is compared as it is. */
static const enum sip_field_id varying[] = {SIP_VIA,  SIP_ROUTE,     SIP_RECORD_ROUTE,
                                            SIP_PATH, SIP_SUPPORTED, SIP_MAX_FORWARDS};

static void append(char *text, uint32_t *length, struct sip_slice more)
{
    assert_true(*length + more.length <= TEXT);
    if (more.length > 0)
        memcpy(text + *length, more.at, more.length);
    *length += more.length;
}

/* The header section without the lines of varying fields. */
static struct sip_slice other_lines(const struct sip_msg *msg, char text[TEXT])
{
    static bool leave_out[SIP_MSG_MAX + 1];
    uint32_t length = 0;

    memset(leave_out, 0, msg->body);
    for (size_t i = 0; i < sizeof(varying) / sizeof(varying[0]); i++) {
        const struct sip_field *field = sip_msg_first(msg, varying[i]);

        for (; field != NULL; field = sip_msg_next(msg, field))
            memset(leave_out + field->line, 1, sip_msg_line(msg, field).length);
    }
    for (uint32_t at = msg->headers; at < msg->body; at++) {
        if (!leave_out[at])
            append(text, &length, sip_slice(msg->buf + at, 1));
    }
    return sip_slice(text, length);
}

/* The values of these fields, with a comma between them. */
static struct sip_slice values_from(const struct sip_msg *msg, const struct sip_field *field,
                                    char text[TEXT])
{
    uint32_t length = 0;

    for (; field != NULL; field = sip_msg_next(msg, field)) {
        append(text, &length, sip_msg_value(msg, field));
        append(text, &length, sip_slice_of(","));
    }
    return sip_slice(text, length > 0 ? length - 1 : 0);
}

static struct sip_slice values(const struct sip_msg *msg, enum sip_field_id id, char text[TEXT])
{
    return values_from(msg, sip_msg_first(msg, id), text);
}

/* What follows a part that lies in a text. */
static struct sip_slice behind(struct sip_slice text, struct sip_slice part)
{
    uint32_t end = (uint32_t)(part.at + part.length - text.at);

    return sip_slice(text.at + end, text.length - end);
}

static void assert_same(struct sip_slice a, struct sip_slice b, const char *what)
{
    if (!sip_slice_equal(a, b))
        fail_msg("%s differs:\n%.*s\n---\n%.*s", what, (int)a.length, a.at ? a.at : "",
                 (int)b.length, b.at ? b.at : "");
}

/* ---- Via ---- */

static bool is_param_of_ours(const struct sip_param *param)
{
    return sip_slice_equal_nocase(param->name, sip_slice_of("received")) ||
           sip_slice_equal_nocase(param->name, sip_slice_of("rport"));
}

static void without_received(struct sip_slice params, char text[TEXT], uint32_t *ret_length)
{
    struct sip_param param;

    *ret_length = 0;
    while (sip_param_next(&params, &param) == 1) {
        if (!is_param_of_ours(&param))
            append(text, ret_length, param.whole);
    }
}

/* The sender's Via, as it came and as we send it: received and rport apart. */
static void check_senders_via(const struct sip_via *a, const struct sip_via *b)
{
    static char params_a[TEXT], params_b[TEXT];
    uint32_t length_a, length_b;

    assert_same(a->host, b->host, "sent-by");
    assert_same(a->transport_text, b->transport_text, "transport");
    assert_int_equal(a->port, b->port);
    without_received(a->params, params_a, &length_a);
    without_received(b->params, params_b, &length_b);
    assert_same(sip_slice(params_a, length_a), sip_slice(params_b, length_b), "Via parameters");
    /* What the sender wrote is never kept: it is as we saw it, or not there. */
    assert_true(b->received_param.length == 0 || b->received.length > 0);
    assert_true(b->rport_param.length == 0 || b->rport.length > 0);
}

/* What is below the first Via of a field: in that field, and in those after it. */
static void check_below(const struct sip_msg *in, const struct sip_via *old,
                        const struct sip_msg *out, const struct sip_field *field,
                        const struct sip_via *new)
{
    static char text_in[TEXT], text_out[TEXT];
    const struct sip_field *first = sip_msg_first(in, SIP_VIA);

    assert_same(behind(sip_msg_value(in, first), old->whole),
                behind(sip_msg_value(out, field), new->whole), "what is behind the sender's Via");
    assert_same(values_from(in, sip_msg_next(in, first), text_in),
                values_from(out, sip_msg_next(out, field), text_out), "the Vias below");
}

/* A response: what is left is what was below ours. */
static void check_popped(const struct sip_msg *in, const struct sip_msg *out)
{
    static char text_in[TEXT], text_out[TEXT];
    const struct sip_field *first = sip_msg_first(in, SIP_VIA);
    struct sip_slice left = values(out, SIP_VIA, text_out), rest = sip_slice_trim(in->top_via.rest);

    if (rest.length > 0) {
        assert_true(left.length >= rest.length);
        assert_same(rest, sip_slice(left.at, rest.length), "what was beside our Via");
        left = sip_slice(left.at + rest.length, left.length - rest.length);
        if (left.length > 0)
            left = sip_slice(left.at + 1, left.length - 1);
    }
    assert_same(values_from(in, sip_msg_next(in, first), text_in), left, "the Vias below ours");
}

static void check_vias(const struct sip_msg *in, const struct sip_msg *out)
{
    const struct sip_field *field = sip_msg_next(out, sip_msg_first(out, SIP_VIA));
    struct sip_via new;

    if (in->kind == SIP_RESPONSE) {
        check_popped(in, out);
        return;
    }
    assert_int_equal(out->top_via.rest.length, 0);
    assert_non_null(field);
    assert_int_equal(sip_via_parse(sip_msg_value(out, field), &new), 0);
    check_senders_via(&in->top_via, &new);
    check_below(in, &in->top_via, out, field, &new);
}

/* ---- Routes ---- */

struct routes {
    uint32_t n;
    struct sip_nameaddr at[ROUTES_MAX];
};

static void read_routes(const struct sip_msg *msg, struct routes *ret)
{
    const struct sip_field *field = sip_msg_first(msg, SIP_ROUTE);

    ret->n = 0;
    for (; field != NULL; field = sip_msg_next(msg, field)) {
        struct sip_slice rest = sip_msg_value(msg, field);

        while (rest.length > 0) {
            assert_true(ret->n < ROUTES_MAX);
            assert_int_equal(sip_nameaddr_parse(rest, &ret->at[ret->n]), 0);
            rest = ret->at[ret->n++].rest;
        }
    }
}

/* The same Route; or with another host and port, where a backend stands in for another. */
static bool same_route(const struct sip_nameaddr *a, const struct sip_nameaddr *b)
{
    struct sip_uri x, y;

    if (sip_slice_equal(a->whole, b->whole))
        return true;
    return sip_uri_parse(a->uri, &x) == 0 && sip_uri_parse(b->uri, &y) == 0 &&
           sip_slice_equal(x.user, y.user) && sip_slice_equal(x.params, y.params) &&
           sip_slice_equal(x.headers, y.headers) && sip_slice_equal(a->params, b->params);
}

/* Whether a URI is a Request-URI that the message had, or was given by a strict router's rule. */
static bool is_target(const struct sip_msg *in, const struct routes *routes, struct sip_slice uri)
{
    if (sip_slice_equal(uri, in->request_uri))
        return true;
    for (uint32_t i = 0; i < routes->n; i++) {
        if (sip_slice_equal(uri, routes->at[i].uri))
            return true;
    }
    return false;
}

/* Whether the first n Routes of `to` stand in a row in `from`, few of which were popped in front
 * and one behind at most. */
static bool in_a_row(const struct routes *from, const struct routes *to, uint32_t n)
{
    for (uint32_t front = 0; front <= from->n && front <= POPPED_FRONT_MAX; front++) {
        uint32_t same = 0;

        while (same < n && front + same < from->n &&
               same_route(&from->at[front + same], &to->at[same]))
            same++;
        if (same == n && from->n - front - same <= 1 + (n == 0 ? POPPED_FRONT_MAX : 0))
            return true;
    }
    return false;
}

/* What is left are Routes in a row; a Request-URI may have been added for a strict router. */
static void check_routes(const struct sip_msg *in, const struct sip_msg *out)
{
    static struct routes from, to;

    read_routes(in, &from);
    read_routes(out, &to);
    assert_true(is_target(in, &from, out->request_uri));
    if (in_a_row(&from, &to, to.n))
        return;
    if (to.n > 0 && !sip_slice_equal(in->request_uri, out->request_uri) &&
        is_target(in, &from, to.at[to.n - 1].uri) && in_a_row(&from, &to, to.n - 1))
        return;
    fail_msg("Routes:\n%.*s\n---\n%.*s", in->body, in->buf, out->body, out->buf);
}

/* ---- The rest ---- */

/* Values that we put in front of those that were there. */
static struct sip_slice added(const struct sip_msg *in, const struct sip_msg *out,
                              enum sip_field_id id)
{
    static char text_in[TEXT], text_out[TEXT];
    struct sip_slice from = values(in, id, text_in), to = values(out, id, text_out);
    bool any = sip_msg_first(in, id) != NULL;

    if (sip_slice_equal(from, to))
        return sip_slice(to.at, 0);
    assert_true(to.length >= from.length + any);
    assert_same(from, sip_slice(to.at + to.length - from.length, from.length), "what we add to");
    to.length -= from.length;
    if (any)
        assert_int_equal(to.at[--to.length], ',');
    return to;
}

static void check_added_routes(struct sip_slice ours, uint32_t max)
{
    struct sip_nameaddr address;
    uint32_t n = 0;

    for (; ours.length > 0; ours = address.rest) {
        assert_int_equal(sip_nameaddr_parse(ours, &address), 0);
        assert_true(address.uri.length > 8 && (memcmp(address.uri.at, "sip:t1.", 7) == 0 ||
                                               memcmp(address.uri.at, "sips:t1.", 8) == 0));
        n++;
    }
    assert_true(n <= max);
}

static void check_added(const struct sip_msg *in, const struct sip_msg *out)
{
    bool registers = in->kind == SIP_REQUEST && in->method == SIP_REGISTER;
    struct sip_slice supported;

    check_added_routes(added(in, out, SIP_RECORD_ROUTE),
                       in->kind == SIP_REQUEST && !registers ? OURS_MAX : 0);
    check_added_routes(added(in, out, SIP_PATH), registers ? 1 : 0);
    supported = added(in, out, SIP_SUPPORTED);
    assert_true(supported.length == 0 ||
                (registers && sip_slice_equal(supported, sip_slice_of("path"))));
}

static void check_max_forwards(const struct sip_msg *in, const struct sip_msg *out)
{
    if (in->kind == SIP_RESPONSE)
        assert_int_equal(in->max_forwards, out->max_forwards);
    else
        assert_int_equal(out->max_forwards, in->max_forwards < 0 ? 70 : in->max_forwards - 1);
}

static void check_start_line(const struct sip_msg *in, const struct sip_msg *out)
{
    struct sip_slice from = sip_slice(in->buf, in->headers), to = sip_slice(out->buf, out->headers);

    if (in->kind == SIP_REQUEST) {
        assert_same(sip_slice(from.at, (uint32_t)(in->request_uri.at - from.at)),
                    sip_slice(to.at, (uint32_t)(out->request_uri.at - to.at)), "the method");
        from = behind(from, in->request_uri);
        to = behind(to, out->request_uri);
    }
    assert_same(from, to, "the start-line");
}

void difference_check(const struct sip_msg *in, const struct sip_msg *out)
{
    static char text_in[TEXT], text_out[TEXT];
    uint32_t body = in->length - in->body;
    struct sip_slice from = other_lines(in, text_in), to = other_lines(out, text_out);

    assert_int_equal(in->kind, out->kind);
    check_start_line(in, out);
    if (in->open_end) /* the empty line that the sender left out */
        append(text_in, &from.length, sip_slice_of("\r\n"));
    assert_same(from, to, "a line that we must not touch");
    assert_int_equal(body, out->length - out->body);
    assert_memory_equal(in->buf + in->body, out->buf + out->body, body);
    check_vias(in, out);
    check_added(in, out);
    check_max_forwards(in, out);
    if (in->kind == SIP_REQUEST)
        check_routes(in, out);
}
