/* SPDX-License-Identifier: Apache-2.0 */
/* See load.h. */
#include "perf/burst/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf/burst/stamp.h"
#include "perf/messages/text.h"
#include "perf/pcap.h"

enum { GROWTH = 1024 };

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};

static int refuse(const char *what, const char *text, uint32_t length)
{
    fprintf(stderr, "perf-burst: %s:\n%.*s\n", what, (int)length, text);
    return -EPROTO;
}

/*
 * The message with one more line, in which the stamp is: the last one of its body, or of its header
 * section. Its Content-Length is made true. Returns its length or a negative errno.
 */
static int32_t add_line(const char *text, uint32_t length, char *out, size_t size)
{
    static const char header[] = "X-Burst: ", attribute[] = "a=burst:";
    const struct sip_field *field;
    struct sip_slice value;
    struct sip_msg msg;
    char stamp[STAMP_BYTES + 1] = "";
    int written;

    stamp_write(stamp, 0);
    sip_msg_index(text, length, &msg);
    if (msg.error != SIP_OK || msg.length != length)
        return refuse("not a whole message", text, length);
    field = sip_msg_first(&msg, SIP_CONTENT_LENGTH);
    if (msg.body == length) {
        written = snprintf(out, size, "%.*s%s%s\r\n\r\n", (int)length - 2, text, header, stamp);
    } else if (field != NULL) {
        value = sip_msg_value(&msg, field);
        written = snprintf(out, size, "%.*s%zu%.*s%s%s\r\n", (int)(value.at - text), text,
                           length - msg.body + strlen(attribute) + STAMP_BYTES + 2,
                           (int)(text + length - value.at - value.length), value.at + value.length,
                           attribute, stamp);
    } else {
        return refuse("a body without Content-Length", text, length);
    }
    return (size_t)written < size ? written : -EMSGSIZE;
}

/* What the core makes of it, and where it goes. */
static int foresee(struct world *world, const char *text, uint32_t length,
                   const struct io_frame *frame, struct load_message *ret)
{
    static struct proxy_output output;
    struct sip_msg msg;
    int32_t made = -1;

    sip_msg_index(text, length, &msg);
    world_decide(world, &msg, &frame->src, &frame->dst, &output);
    if (output.verdict == PROXY_FORWARD)
        made = sip_edit_copy(&output.edit, text, length, ret->result, sizeof(ret->result));
    if (made < 0 || made > LOAD_FRAME_MAX - IO_HEADERS_MAX)
        return refuse("the core does not send this on in one frame", text, length);
    ret->side = output.sender == LB_NO_BACKEND ? LOAD_OUTSIDE : LOAD_INSIDE;
    ret->new = msg.kind == SIP_REQUEST &&msg.to_tag.length == 0;
    ret->to = output.to.peer;
    ret->result_length = (uint16_t)made;
    ret->result_stamp = (uint16_t)stamp_offset(ret->result, (uint32_t)made);
    return 0;
}

static int add_message(struct load *load, struct world *world, const struct load_macs *macs,
                       const uint8_t *bytes, uint32_t length)
{
    struct load_message *message = &load->messages[load->n];
    char text[TEXT_MESSAGE_MAX];
    struct io_frame frame;
    uint32_t headers;
    int32_t made;
    int error;

    if (io_frame_parse(bytes, length, &frame) != IO_FRAME_UDP)
        return -EPROTO;
    made = add_line((const char *)bytes + frame.payload, frame.length, text, sizeof(text));
    if (made < 0)
        return made;
    headers = io_frame_headers(&frame.dst.ip);
    if (headers + (uint32_t)made > LOAD_FRAME_MAX)
        return refuse("too long for a frame", text, (uint32_t)made);
    error = foresee(world, text, (uint32_t)made, &frame, message);
    if (error != 0)
        return error;
    memcpy(message->frame + headers, text, (size_t)made);
    message->length = (uint16_t)(headers + (uint32_t)made);
    message->stamp = (uint16_t)(headers + (uint32_t)stamp_offset(text, (uint32_t)made));
    io_frame_build((uint8_t *)message->frame, own_mac, macs->port[message->side], &frame.src,
                   &frame.dst, (uint32_t)made, (uint16_t)load->n);
    load->n++;
    return 0;
}

static int make_room(struct load *load)
{
    struct load_message *more;

    if (load->n < load->room)
        return 0;
    more = realloc(load->messages, (load->room + GROWTH) * sizeof(*more));
    if (more == NULL)
        return -ENOMEM;
    load->messages = more;
    load->room += GROWTH;
    return 0;
}

int load_read(const char *path, struct world *world, const struct load_macs *macs, struct load *ret)
{
    struct pcap pcap;
    uint32_t length;
    uint8_t *frame;
    int error = 0;

    *ret = (struct load){0};
    if (!pcap_open(path, &pcap)) {
        fprintf(stderr, "perf-burst: %s cannot be read\n", path);
        return -EIO;
    }
    while (error == 0 && pcap_next(&pcap, &frame, &length)) {
        error = make_room(ret);
        if (error == 0)
            error = add_message(ret, world, macs, frame, length);
    }
    if (error == 0 && (ret->n == 0 || pcap.at < pcap.size))
        error = -EPROTO;
    if (error != 0)
        fprintf(stderr, "perf-burst: %s: %s\n", path, strerror(-error));
    pcap_close(&pcap);
    return error;
}

void load_free(struct load *load)
{
    free(load->messages);
    *load = (struct load){0};
}
