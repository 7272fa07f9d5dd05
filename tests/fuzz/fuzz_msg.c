/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of the grammar: indexes the bytes as a message, runs every parser of a part over the
 * parts found (and over the raw bytes), walks all lists, and applies an edit drawn from the bytes
 * both ways. Checks what must hold for any input; aborts when it does not.
 */
#include "tests/fuzz/fuzz.h"

#include "dataplane/sip/edit.h"
#include "dataplane/sip/msg.h"
#include "dataplane/sip/uri.h"
#include "tests/fuzz/take.h"

enum { ROOM = 2 * SIP_EDIT_TEXT };

static void fuzz_params(struct sip_slice params)
{
    struct sip_slice rest = params, value, whole;
    struct sip_param param;

    while (sip_param_next(&rest, &param) == 1) {
        must(param.whole.length > 0 && param.name.length > 0);
        must_lie_in(param.whole, params);
        must_lie_in(param.name, param.whole);
        must_lie_in(param.value, param.whole);
        must(sip_param_find(params, param.name, &value, &whole));
        must_lie_in(whole, params);
        if (rest.length > 4096)
            break; /* finding each of many parameters is quadratic by nature */
    }
}

static void fuzz_uri(struct sip_slice text)
{
    struct sip_uri uri;
    struct sip_ip ip, again;
    char printed[SIP_IP_TEXT_MAX];

    if (sip_uri_parse(text, &uri) != 0)
        return;
    must_lie_in(uri.user, text);
    must_lie_in(uri.host, text);
    must_lie_in(uri.headers, text);
    must_lie_in(uri.params, text);
    must((uri.scheme != SIP_SCHEME_SIP && uri.scheme != SIP_SCHEME_SIPS) ||
         sip_host_valid(uri.host));
    fuzz_params(uri.params);
    if (sip_ip_parse(uri.host, &ip) == 0) {
        must(sip_ip_parse(sip_slice(printed, sip_ip_print(&ip, printed)), &again) == 0);
        must(sip_ip_equal(&ip, &again));
    }
}

static void fuzz_addresses(struct sip_slice value)
{
    struct sip_nameaddr address;

    while (sip_nameaddr_parse(value, &address) == 0) {
        must(address.uri.length > 0);
        must_lie_in(address.whole, value);
        must_lie_in(address.uri, address.whole);
        must_lie_in(address.params, address.whole);
        must_lie_in(address.rest, value);
        must(address.rest.length < value.length);
        fuzz_uri(address.uri);
        fuzz_params(address.params);
        value = address.rest;
    }
}

static void fuzz_vias(struct sip_slice value)
{
    struct sip_via via;

    while (sip_via_parse(value, &via) == 0) {
        must(sip_host_valid(via.host));
        must_lie_in(via.whole, value);
        must_lie_in(via.params, via.whole);
        must_lie_in(via.branch, via.params);
        must_lie_in(via.received_param, via.params);
        must_lie_in(via.received, via.params);
        must_lie_in(via.rport_param, via.params);
        must_lie_in(via.rest, value);
        must(via.rest.length < value.length);
        fuzz_params(via.params);
        value = via.rest;
    }
}

static void fuzz_list(struct sip_slice value)
{
    struct sip_slice rest = value, element;

    while (sip_list_next(&rest, &element)) {
        must_lie_in(element, value);
        must_lie_in(rest, value);
    }
}

static void fuzz_fields(const struct sip_msg *msg)
{
    struct sip_slice section = sip_slice(msg->buf + msg->headers, msg->body - msg->headers);
    uint32_t walked = 0;

    for (int id = 0; id < SIP_FIELD_COUNT; id++) {
        const struct sip_field *field = sip_msg_first(msg, (enum sip_field_id)id);

        for (; field != NULL; field = sip_msg_next(msg, field)) {
            struct sip_slice value = sip_msg_value(msg, field), line = sip_msg_line(msg, field);

            must(field->id == id);
            must_lie_in(line, section);
            must_lie_in(value, line);
            must(line.at[line.length - 1] == '\n');
            fuzz_addresses(value);
            fuzz_vias(value);
            fuzz_list(value);
            walked++;
        }
    }
    must(walked == msg->n_fields);
    sip_msg_has_token(msg, SIP_SUPPORTED, sip_slice_of("path"));
    must_lie_in(sip_msg_find_named(msg, sip_slice_of("Subject")), section);
}

static void check_good(const struct sip_msg *msg)
{
    must(msg->kind != SIP_NONE && msg->via_ok);
    must(msg->call_id.length > 0 && msg->from_uri.length > 0 && msg->to_uri.length > 0);
    must(msg->method_text.length > 0 && msg->cseq <= INT32_MAX);
    must(msg->kind == SIP_REQUEST ? msg->request_uri.length > 0
                                  : msg->status >= 100 && msg->status <= 699);
    must(msg->content_length < 0 || msg->length == msg->body + (uint32_t)msg->content_length);
}

/* Splices drawn from the front of the bytes, four for each: where, how much out, how much in. */
static void fuzz_edit(const uint8_t *data, size_t size)
{
    static struct sip_edit edit;
    size_t capacity = size + 2 * ROOM;
    char *copy = malloc(capacity), *frame = malloc(capacity);
    int32_t copied, placed, start = 0;

    must(copy != NULL && frame != NULL);
    sip_edit_init(&edit);
    for (size_t i = 0; i + 4 <= size && i < 4 * SIP_EDIT_SPLICES; i += 4) {
        uint32_t at = (uint32_t)(data[i] << 8 | data[i + 1]) % (uint32_t)(size + 1);

        sip_edit_splice(&edit, at, data[i + 2] % 32);
        sip_edit_put(&edit, (const char *)data, data[i + 3] < size ? data[i + 3] : 0);
        if (edit.overflow)
            edit.overflow = false; /* refused by itself; the edit so far stays whole */
    }
    copied = sip_edit_copy(&edit, (const char *)data, size, copy, capacity);
    memcpy(frame + ROOM, data, size);
    placed = sip_edit_in_place(&edit, frame + ROOM, size, size % 2 ? ROOM : 0, ROOM, &start);
    must(copied == placed);
    if (copied >= 0) {
        must(copied == (int32_t)size + sip_edit_growth(&edit));
        must(memcmp(copy, frame + ROOM + start, (size_t)copied) == 0);
    }
    free(copy);
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sip_slice raw = sip_slice((const char *)data, (uint32_t)size);
    struct sip_msg msg;
    enum sip_error error = sip_msg_index(raw.at, size, &msg);

    must(error == msg.error && error < SIP_ERROR_COUNT && msg.length <= size);
    must(sip_error_phrase(error) != NULL);
    must(msg.headers <= msg.body && msg.body <= size);
    must_lie_in(msg.call_id, raw);
    if (error == SIP_OK)
        check_good(&msg);
    fuzz_fields(&msg);
    fuzz_uri(msg.request_uri);
    fuzz_uri(raw);
    fuzz_addresses(raw);
    fuzz_vias(raw);
    fuzz_list(raw);
    if (size > 0)
        fuzz_edit(data, size);
    return 0;
}
