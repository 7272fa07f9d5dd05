/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a probe call: see media_text.h.
 */
#include "control/health/media_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "dataplane/sip/uri.h"

#define COOKIE "z9hG4bK"
#define BACKEND "{backend}"

enum { ROUTES = 32, SIP_PORT = 5060 };

/* A message as it grows. */
struct text {
    char *at;
    uint32_t length;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    uint32_t room = MEDIA_TEXT_MAX - text->length;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text->at + text->length, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (uint32_t)length >= room)
        text->full = true;
    else
        text->length += (uint32_t)length;
}

static int finish(const struct text *text)
{
    return text->full ? -EMSGSIZE : (int)text->length;
}

bool media_uri_print(const char *uri, const struct sip_addr *backend, char ret_uri[MEDIA_URI_MAX])
{
    const char *mark = strstr(uri, BACKEND);
    char host[SIP_ADDR_TEXT_MAX + 1];
    int length;

    host[sip_addr_print(backend, host)] = '\0';
    if (mark == NULL)
        length = snprintf(ret_uri, MEDIA_URI_MAX, "%s", uri);
    else
        length = snprintf(ret_uri, MEDIA_URI_MAX, "%.*s%s%s", (int)(mark - uri), uri, host,
                          mark + strlen(BACKEND));
    return length > 0 && length < MEDIA_URI_MAX;
}

/*
 * A request up to CSeq. kind makes the branch of another transaction another one: "" for INVITE and
 * what belongs to its transaction.
 */
static void begin(struct text *text, const struct media_id *id, const char *method,
                  const char *target, const char *kind, struct sip_slice to_tag, uint32_t cseq)
{
    char us[SIP_ADDR_TEXT_MAX + 1], host[SIP_IP_TEXT_MAX + 1];

    us[sip_addr_print(&id->local, us)] = '\0';
    host[sip_ip_print(&id->local.ip, host)] = '\0';
    add(text,
        "%s %s SIP/2.0\r\n"
        "Via: SIP/2.0/UDP %s;rport;branch=" COOKIE "%s%s\r\n"
        "Max-Forwards: 70\r\n"
        "From: <sip:tandem@%s>;tag=%s\r\n"
        "To: <%s>%s%.*s\r\n"
        "Call-ID: %s@%s\r\n"
        "CSeq: %u %s\r\n",
        method, target, us, id->branch, kind, host, id->tag, id->uri,
        to_tag.length > 0 ? ";tag=" : "", (int)to_tag.length, to_tag.at, id->call_id, host, cseq,
        method);
}

int media_text_invite(const struct media_id *id, const char *offer, char ret_text[MEDIA_TEXT_MAX])
{
    struct text text = {.at = ret_text};
    char us[SIP_ADDR_TEXT_MAX + 1];

    us[sip_addr_print(&id->local, us)] = '\0';
    begin(&text, id, "INVITE", id->uri, "", sip_slice("", 0), 1);
    add(&text,
        "Contact: <sip:tandem@%s>\r\n"
        "Allow: INVITE, ACK, CANCEL, BYE\r\n"
        "User-Agent: tandem\r\n"
        "Content-Type: application/sdp\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        us, strlen(offer), offer);
    return finish(&text);
}

int media_text_cancel(const struct media_id *id, char ret_text[MEDIA_TEXT_MAX])
{
    struct text text = {.at = ret_text};

    begin(&text, id, "CANCEL", id->uri, "", sip_slice("", 0), 1);
    add(&text, "Content-Length: 0\r\n\r\n");
    return finish(&text);
}

int media_text_ack(const struct media_id *id, const struct sip_msg *response,
                   char ret_text[MEDIA_TEXT_MAX])
{
    struct text text = {.at = ret_text};

    begin(&text, id, "ACK", id->uri, "", response->to_tag, 1);
    add(&text, "Content-Length: 0\r\n\r\n");
    return finish(&text);
}

int media_text_within(const struct media_id *id, const struct media_dialog *dialog,
                      enum sip_method method, char ret_text[MEDIA_TEXT_MAX])
{
    struct text text = {.at = ret_text};
    bool ack = method == SIP_ACK;

    begin(&text, id, sip_method_name(method), dialog->target, ack ? "a" : "b",
          sip_slice_of(dialog->tag), ack ? 1 : 2);
    add(&text, "%sUser-Agent: tandem\r\nContent-Length: 0\r\n\r\n", dialog->routes);
    return finish(&text);
}

int media_text_reply(const struct sip_msg *request, uint16_t status, char ret_text[MEDIA_TEXT_MAX])
{
    static const enum sip_field_id copied[] = {SIP_VIA, SIP_FROM, SIP_TO, SIP_CALL_ID, SIP_CSEQ};
    struct text text = {.at = ret_text};

    add(&text, "SIP/2.0 %u %s\r\n", status, status == 200 ? "OK" : "Not Here");
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        const struct sip_field *field = sip_msg_first(request, copied[i]);

        for (; field != NULL; field = sip_msg_next(request, field)) {
            struct sip_slice line = sip_msg_line(request, field);

            add(&text, "%.*s", (int)line.length, line.at);
            if (copied[i] != SIP_VIA)
                break; /* the same again, when there are two */
        }
    }
    add(&text, "Content-Length: 0\r\n\r\n");
    return finish(&text);
}

/* Copies a slice as a string; false: it is empty, or has no room, and nothing was changed. */
static bool copy(struct sip_slice from, char *ret, uint32_t size)
{
    if (from.length == 0 || from.length >= size)
        return false;
    memcpy(ret, from.at, from.length);
    ret[from.length] = '\0';
    return true;
}

/* The route set of a caller: the Record-Routes from the last to the first, §12.1.2. */
static bool read_routes(const struct sip_msg *response, char ret_routes[MEDIA_ROUTES_MAX])
{
    const struct sip_field *field = sip_msg_first(response, SIP_RECORD_ROUTE);
    struct sip_slice routes[ROUTES];
    uint32_t n = 0, length = 0;

    for (; field != NULL; field = sip_msg_next(response, field)) {
        struct sip_slice rest = sip_msg_value(response, field), one;

        while (sip_list_next(&rest, &one)) {
            if (n == ROUTES)
                return false;
            routes[n++] = one;
        }
    }
    ret_routes[0] = '\0';
    while (n-- > 0) {
        int more = snprintf(ret_routes + length, MEDIA_ROUTES_MAX - length, "Route: %.*s\r\n",
                            (int)routes[n].length, routes[n].at);

        if (more < 0 || (uint32_t)more >= MEDIA_ROUTES_MAX - length)
            return false;
        length += (uint32_t)more;
    }
    return true;
}

/* The Contact's URI, when it has one that we can ask; else the one that was called. */
static void read_target(const struct media_id *id, const struct sip_msg *response,
                        struct media_dialog *dialog)
{
    const struct sip_field *field = sip_msg_first(response, SIP_CONTACT);
    struct sip_nameaddr contact;
    struct sip_uri uri;

    memcpy(dialog->target, id->uri, sizeof(dialog->target));
    if (field == NULL || sip_nameaddr_parse(sip_msg_value(response, field), &contact) != 0 ||
        sip_uri_parse(contact.uri, &uri) != 0 || uri.scheme != SIP_SCHEME_SIP ||
        !copy(contact.uri, dialog->target, sizeof(dialog->target)))
        return;
    if (dialog->routes[0] == '\0' && sip_ip_parse(uri.host, &dialog->hop.ip) == 0)
        dialog->hop.port = uri.port == 0 ? SIP_PORT : uri.port;
}

int media_dialog_read(const struct media_id *id, const struct sip_msg *response,
                      struct media_dialog *ret)
{
    struct media_dialog dialog = {.hop = id->backend};

    if (!copy(response->to_tag, dialog.tag, sizeof(dialog.tag)) ||
        !read_routes(response, dialog.routes))
        return -EINVAL;
    read_target(id, response, &dialog);
    *ret = dialog;
    return 0;
}

/* Whether a slice begins with a word and ends there or with what `stop` has. */
static bool is_word(struct sip_slice text, const char *word, const char *stop)
{
    size_t length = strlen(word);

    return text.length >= length && memcmp(text.at, word, length) == 0 &&
           (text.length == length || strchr(stop, text.at[length]) != NULL);
}

bool media_is_ours(const struct media_id *id, const struct sip_msg *msg)
{
    struct sip_slice branch = msg->top_via.branch;

    if (msg->kind == SIP_NONE || !msg->via_ok || !is_word(msg->call_id, id->call_id, "@"))
        return false;
    if (msg->kind == SIP_REQUEST)
        return is_word(msg->to_tag, id->tag, "");
    if (branch.length <= strlen(COOKIE) || memcmp(branch.at, COOKIE, strlen(COOKIE)) != 0)
        return false;
    branch = sip_slice(branch.at + strlen(COOKIE), branch.length - (uint32_t)strlen(COOKIE));
    return is_word(branch, id->branch, "ab") && is_word(msg->from_tag, id->tag, "");
}
