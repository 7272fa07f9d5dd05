/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as text: see text.h. All are zero-terminated.
 */
#include "perf/tls/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const METHODS[TEXT_REQUESTS] = {"REGISTER", "INVITE", "ACK", "BYE"};
static const char BRANCH[] = ";branch=z9hG4bK-perf-";

/* Names of header fields in the forms of two makers of phones. */
enum name { VIA, FROM, TO, CALL_ID, CONTACT, TYPE, LENGTH, NAMES };
static const char *const FORMS[2][NAMES] = {
    {"Via", "From", "To", "Call-ID", "Contact", "Content-Type", "Content-Length"},
    {"v", "f", "t", "i", "m", "c", "l"}};

/* ---- Lines ---- */

static const char *next_line(const char *line)
{
    const char *end = strstr(line, "\r\n");

    return end == NULL ? NULL : end + 2;
}

static bool has_name(const char *line, const char *name)
{
    if (strncasecmp(line, name, strlen(name)) == 0)
        return true;
    return strcmp(name, "Via:") == 0 && strncasecmp(line, "v:", 2) == 0;
}

/* The next line, from this one on, of a header field of that name; NULL: there is none. */
static const char *find(const char *line, const char *name)
{
    while (line != NULL && strncmp(line, "\r\n", 2) != 0 && *line != '\0') {
        if (has_name(line, name))
            return line;
        line = next_line(line);
    }
    return NULL;
}

uint32_t text_count(const char *text, const char *name)
{
    uint32_t n = 0;

    for (const char *line = find(text, name); line != NULL; line = find(next_line(line), name))
        n++;
    return n;
}

/* ---- What is made ---- */

static uint32_t body_of(const struct text_phone *phone, char out[TEXT_PART])
{
    return (uint32_t)snprintf(
        out, TEXT_PART,
        "v=0\r\no=- %u%u 1 IN IP4 198.18.1.%u\r\ns=-\r\nc=IN IP4 198.18.1.%u\r\nt=0 0\r\n"
        "m=audio %u RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n"
        "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
        "a=sendrecv\r\n",
        phone->number, phone->call, phone->number, phone->number,
        16384 + 2 * (phone->call % 16384));
}

uint32_t text_request(const struct text_phone *phone, enum text_kind kind, char out[TEXT_MAX])
{
    const char *const *form = FORMS[phone->number % 2], *method = METHODS[kind];
    const bool dialog = kind == TEXT_ACK || kind == TEXT_BYE;
    const uint32_t number = phone->number, call = phone->call;
    char body[TEXT_PART] = "", type[TEXT_PART] = "", to[TEXT_PART], uri[TEXT_PART];
    uint32_t length = kind == TEXT_INVITE ? body_of(phone, body) : 0;

    if (kind == TEXT_REGISTER)
        snprintf(to, sizeof(to), "<sip:user%u@example.net>", number);
    else
        snprintf(to, sizeof(to), "<sip:+4930%07u@example.net>%s", call % 10000000,
                 dialog ? ";tag=peer-answers" : "");
    snprintf(uri, sizeof(uri),
             kind == TEXT_REGISTER ? "sip:example.net" : "sip:+4930%07u@example.net",
             call % 10000000);
    if (kind == TEXT_INVITE)
        snprintf(type, sizeof(type), "%s: application/sdp\r\n", form[TYPE]);
    return (uint32_t)snprintf(
        out, TEXT_MAX,
        "%s %s SIP/2.0\r\n%s: SIP/2.0/TLS %s%s%u-%u-%u;rport\r\n%sMax-Forwards: 70\r\n"
        "%s: \"User %u\" <sip:user%u@example.net>;tag=%08x\r\n%s: %s\r\n%s: %08x-%u-%u@phone\r\n"
        "CSeq: %u %s\r\n%s: <sip:user%u@%s;transport=tls>\r\n"
        "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY\r\n"
        "Supported: replaces, 100rel, timer, norefersub\r\nUser-Agent: Phone %u.%u\r\n"
        "%s%s%s: %u\r\n\r\n%s",
        method, dialog ? phone->target : uri, form[VIA], phone->sent_by, BRANCH, number, call, kind,
        dialog ? phone->routes : "", form[FROM], number, number, call * 2654435761u, form[TO], to,
        form[CALL_ID], call * 40503u + number, number, call - (kind == TEXT_REGISTER),
        kind == TEXT_BYE ? 2 : 1, method, form[CONTACT], number, phone->sent_by, number % 7,
        number % 10, kind == TEXT_REGISTER ? "Expires: 600\r\n" : "", type, form[LENGTH], length,
        body);
}

/* Appends the lines of a name as they are. */
static uint32_t copy_lines(const char *from, const char *name, char *out, uint32_t at)
{
    for (const char *line = find(from, name); line != NULL; line = find(next_line(line), name))
        at += (uint32_t)snprintf(out + at, TEXT_MAX - at, "%.*s", (int)(next_line(line) - line),
                                 line);
    return at;
}

uint32_t text_answer(const char *request, const char *status, const char *here, char out[TEXT_MAX])
{
    static const char *const KEPT[] = {
        "Via:", "Record-Route:", "From:", "f:", "Call-ID:", "i:", "CSeq:"};
    uint32_t at = (uint32_t)snprintf(out, TEXT_MAX, "SIP/2.0 %s\r\n", status);
    const char *to = find(request, "To:");

    for (uint32_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++)
        at = copy_lines(request, KEPT[i], out, at);
    if (to == NULL)
        to = find(request, "t:");
    if (to != NULL)
        at +=
            (uint32_t)snprintf(out + at, TEXT_MAX - at, "%.*s%s\r\n", (int)(next_line(to) - to - 2),
                               to, strncmp(request, "BYE", 3) == 0 ? "" : ";tag=peer-answers");
    return at + (uint32_t)snprintf(out + at, TEXT_MAX - at,
                                   "Contact: <sip:peer@%s>\r\nServer: Peer 1.0\r\n"
                                   "Content-Length: 0\r\n\r\n",
                                   here);
}

/* ---- What came ---- */

bool text_whose(const char *text, uint32_t *ret_phone, uint32_t *ret_call, uint32_t *ret_kind)
{
    const char *last = NULL, *at;

    for (const char *line = find(text, "Via:"); line != NULL; line = find(next_line(line), "Via:"))
        last = line;
    at = last == NULL ? NULL : strstr(last, BRANCH);
    return at != NULL && at < next_line(last) &&
           sscanf(at + sizeof(BRANCH) - 1, "%u-%u-%u", ret_phone, ret_call, ret_kind) == 3;
}

/* The next URI in angle brackets of a line; NULL: there is none. */
static const char *next_uri(const char *at, const char *end, int *ret_length)
{
    const char *begin = memchr(at, '<', (size_t)(end - at));
    const char *close = begin == NULL ? NULL : memchr(begin, '>', (size_t)(end - begin));

    if (close == NULL)
        return NULL;
    *ret_length = (int)(close + 1 - begin);
    return begin;
}

bool text_dialog(const char *answer, struct text_phone *phone)
{
    const char *contact = find(answer, "Contact:"), *uri;
    char before[sizeof(phone->routes)];
    int length;

    *phone->routes = '\0';
    for (const char *line = find(answer, "Record-Route:"); line != NULL;
         line = find(next_line(line), "Record-Route:")) {
        const char *at = line, *end = next_line(line);

        while ((uri = next_uri(at, end, &length)) != NULL) {
            strcpy(before, phone->routes); /* the last one is the first to be visited */
            if (snprintf(phone->routes, sizeof(phone->routes), "Route: %.*s\r\n%s", length, uri,
                         before) >= (int)sizeof(phone->routes))
                return false;
            at = uri + length;
        }
    }
    uri = contact == NULL ? NULL : next_uri(contact, next_line(contact), &length);
    if (uri == NULL || *phone->routes == '\0')
        return false;
    snprintf(phone->target, sizeof(phone->target), "%.*s", length - 2, uri + 1);
    return true;
}

/* Whether a line is the balancer's to change. */
static bool is_balancers(const char *line, bool response)
{
    static const char *const CHANGED[] = {"Via:",   "Record-Route:", "Path:", "Supported: path\r\n",
                                          "Route:", "Max-Forwards:"};

    for (uint32_t i = 0; i < (response ? 1 : sizeof(CHANGED) / sizeof(CHANGED[0])); i++) {
        if (has_name(line, CHANGED[i]))
            return true;
    }
    return false;
}

/* The first line from here on that is not the balancer's; bodies are one. */
static const char *essential(const char *line, bool response)
{
    while (line != NULL && strncmp(line, "\r\n", 2) != 0 && is_balancers(line, response))
        line = next_line(line);
    return line;
}

bool text_same(const char *sent, const char *came)
{
    const bool response = strncmp(sent, "SIP/2.0 ", 8) == 0;

    for (;;) {
        size_t length;

        sent = essential(sent, response);
        came = essential(came, response);
        if (sent == NULL || came == NULL)
            return false;
        if (strncmp(sent, "\r\n", 2) == 0)
            return strcmp(sent, came) == 0;
        length = (size_t)(next_line(sent) - sent);
        if (strncmp(sent, came, length) != 0)
            return false;
        sent += length;
        came += length;
    }
}
