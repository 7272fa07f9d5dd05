/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upgrade: the request line is judged as soon as it is whole; the end of the request is looked
 * for from line feed to line feed, on from where the last look ended; then each header field is
 * read once, and what was found is judged as a whole.
 */
#include "control/stream/http.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

enum { KEY_TEXT = 24, DIGEST_TEXT_MAX = 32, ANY = HTTP_HEADER_MAX };

/* RFC 6455 §1.3 */
static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/* ---- Grammar: RFC 9110 §5.5, §5.6; RFC 9112 §3, §5 ---- */

static bool is_token(struct sip_slice text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        char c = text.at[i];

        if (!sip_char_is(c, SIP_CHAR_TOKEN) && (c == '\0' || strchr("#$&^|", c) == NULL))
            return false;
    }
    return text.length > 0;
}

static bool is_value(struct sip_slice text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t c = (uint8_t)text.at[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_target(struct sip_slice text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f || text.at[i] == '#')
            return false;
    }
    return text.length > 0 && text.at[0] == '/';
}

static bool is_host(struct sip_slice text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        char c = text.at[i];

        if (!sip_char_is(c, SIP_CHAR_HOST) && c != ':' && c != '[' && c != ']')
            return false;
    }
    return text.length > 0;
}

/* Base64 of 16 bytes: 22 digits and two signs that fill up (RFC 6455 §4.1). */
static bool is_key(struct sip_slice text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        char c = text.at[i];
        bool digit = sip_char_is(c, SIP_CHAR_ALPHA | SIP_CHAR_DIGIT) || c == '+' || c == '/';

        if (i < KEY_TEXT - 2 ? !digit : c != '=')
            return false;
    }
    return text.length == KEY_TEXT;
}

static bool is_text(struct sip_slice text, const char *word)
{
    return sip_slice_equal(text, sip_slice_of(word));
}

/* Cuts what is before the first such byte off *rest, and the byte; all of *rest when there is none.
 */
static struct sip_slice cut(struct sip_slice *rest, char at)
{
    const char *found = rest->length > 0 ? memchr(rest->at, at, rest->length) : NULL;
    struct sip_slice text = *rest;

    if (found != NULL)
        text.length = (uint32_t)(found - text.at);
    rest->at += text.length + (found != NULL);
    rest->length -= text.length + (found != NULL);
    return text;
}

/* ---- The request line ---- */

/* Returns 0 or a status. */
static int read_request_line(const struct http_rules *rules, struct sip_slice line)
{
    struct sip_slice method = cut(&line, ' '), target = cut(&line, ' '), path;
    struct sip_slice name = sip_slice(line.at, line.length < 5 ? line.length : 5);

    if (!is_token(method) || line.length != 8 || !is_text(name, "HTTP/") ||
        !sip_char_is(line.at[5], SIP_CHAR_DIGIT) || line.at[6] != '.' ||
        !sip_char_is(line.at[7], SIP_CHAR_DIGIT))
        return 400;
    if (!is_text(line, "HTTP/1.1"))
        return 505;
    if (!is_text(method, "GET"))
        return 405;
    if (!is_target(target))
        return 400;
    path = cut(&target, '?');
    return is_text(path, rules->path) ? 0 : 404;
}

/* ---- Header fields ---- */

enum field {
    FIELD_HOST,
    FIELD_ORIGIN,
    FIELD_KEY,
    FIELD_VERSION,
    FIELD_USER_AGENT,
    FIELD_UPGRADE,
    FIELD_CONNECTION,
    FIELD_PROTOCOL,
    FIELD_CONTENT_LENGTH,
    FIELD_TRANSFER_ENCODING,
    FIELD_COUNT,
};

/* How often a field may be there, and for lists the word that one of its elements must be. */
static const struct {
    const char *name;
    uint32_t most;
    const char *word;
    bool any_case;
} fields[FIELD_COUNT] = {
    [FIELD_HOST] = {.name = "Host", .most = 1},
    [FIELD_ORIGIN] = {.name = "Origin", .most = 1},
    [FIELD_KEY] = {.name = "Sec-WebSocket-Key", .most = 1},
    [FIELD_VERSION] = {.name = "Sec-WebSocket-Version", .most = 1},
    [FIELD_USER_AGENT] = {.name = "User-Agent", .most = ANY},
    [FIELD_UPGRADE] = {.name = "Upgrade", .most = ANY, .word = "websocket", .any_case = true},
    [FIELD_CONNECTION] = {.name = "Connection", .most = ANY, .word = "upgrade", .any_case = true},
    [FIELD_PROTOCOL] = {.name = "Sec-WebSocket-Protocol", .most = ANY, .word = "sip"},
    [FIELD_CONTENT_LENGTH] = {.name = "Content-Length", .most = 0},
    [FIELD_TRANSFER_ENCODING] = {.name = "Transfer-Encoding", .most = 0},
};

/* What was found of each. */
struct found {
    struct {
        uint32_t times;
        struct sip_slice value; /* of the last one */
        bool word;
    } field[FIELD_COUNT];
};

static bool has_word(struct sip_slice list, const char *word, bool any_case)
{
    struct sip_slice wanted = sip_slice_of(word);

    while (list.length > 0) {
        struct sip_slice element = sip_slice_trim(cut(&list, ','));

        if (any_case ? sip_slice_equal_nocase(element, wanted) : sip_slice_equal(element, wanted))
            return true;
    }
    return false;
}

/* One header field, without its CRLF. False when it is none, or one too many. */
static bool read_field(struct found *found, struct sip_slice line)
{
    struct sip_slice rest = line, name = cut(&rest, ':'), value = sip_slice_trim(rest);
    uint32_t field = 0;

    if (name.length == line.length || !is_token(name) || !is_value(rest))
        return false;
    while (field < FIELD_COUNT && !sip_slice_equal_nocase(name, sip_slice_of(fields[field].name)))
        field++;
    if (field == FIELD_COUNT)
        return true;
    found->field[field].value = value;
    if (fields[field].word != NULL && has_word(value, fields[field].word, fields[field].any_case))
        found->field[field].word = true;
    return ++found->field[field].times <= fields[field].most;
}

static bool is_origin_allowed(const struct http_rules *rules, struct sip_slice origin)
{
    for (uint32_t i = 0; i < rules->n_origins; i++) {
        if (sip_slice_equal_nocase(origin, sip_slice_of(rules->origins[i])))
            return true;
    }
    return rules->n_origins == 0;
}

/* All fields together: RFC 6455 §4.2.1, RFC 7118 §4.1. Returns 0 or a status. */
static int judge(const struct found *found, const struct http_rules *rules)
{
    const struct sip_slice version = found->field[FIELD_VERSION].value;

    if (!is_host(found->field[FIELD_HOST].value) || !found->field[FIELD_UPGRADE].word ||
        !found->field[FIELD_CONNECTION].word || version.length == 0)
        return 400;
    if (!is_text(version, "13"))
        return 426;
    if (!is_key(found->field[FIELD_KEY].value) || !found->field[FIELD_PROTOCOL].word)
        return 400;
    return is_origin_allowed(rules, found->field[FIELD_ORIGIN].value) ? 0 : 403;
}

/* The fields of a whole request: its lines end in CRLF, and the last one is empty. */
static int read_fields(struct http_upgrade *upgrade, const struct http_rules *rules,
                       const char *bytes)
{
    struct sip_slice rest = sip_slice(bytes + upgrade->line, upgrade->length - upgrade->line - 2);
    struct sip_slice request_line = sip_slice(bytes, upgrade->line);
    struct found found = {0};
    int status;

    while (rest.length > 0) {
        struct sip_slice line = cut(&rest, '\n');

        if (!read_field(&found, sip_slice(line.at, line.length - 1)))
            return 400;
    }
    status = judge(&found, rules);
    if (status != 0)
        return status;
    cut(&request_line, ' ');
    upgrade->target = cut(&request_line, ' ');
    upgrade->host = found.field[FIELD_HOST].value;
    upgrade->origin = found.field[FIELD_ORIGIN].value;
    upgrade->user_agent = found.field[FIELD_USER_AGENT].value;
    upgrade->key = found.field[FIELD_KEY].value;
    return 0;
}

/* ---- The whole ---- */

/*
 * Goes from line feed to line feed. Returns a status, 0 when upgrade->length is known, or -EAGAIN.
 * A line feed without a carriage return ends nothing: it is refused.
 */
static int find_end(struct http_upgrade *upgrade, const struct http_rules *rules, const char *bytes,
                    uint32_t n)
{
    const char *at = bytes + upgrade->scanned, *end = bytes + n;

    for (; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
        uint32_t length = (uint32_t)(at + 1 - bytes);

        if (length < 2 || at[-1] != '\r')
            return 400;
        if (upgrade->line == 0) {
            int status = read_request_line(rules, sip_slice(bytes, length - 2));

            if (status != 0)
                return status;
            upgrade->line = length;
        } else if (at[-2] == '\n') {
            upgrade->length = length;
            return 0;
        }
    }
    upgrade->scanned = n;
    return -EAGAIN;
}

int http_upgrade_read(struct http_upgrade *upgrade, const struct http_rules *rules,
                      const char *bytes, uint32_t n)
{
    int result;

    if (n == 0)
        return -EAGAIN;
    if (!is_token(sip_slice(bytes, 1)))
        return 400;
    result = find_end(upgrade, rules, bytes, n < HTTP_HEADER_MAX ? n : HTTP_HEADER_MAX);
    if (result == -EAGAIN && n >= HTTP_HEADER_MAX)
        return upgrade->line == 0 ? 414 : 431;
    return result != 0 ? result : read_fields(upgrade, rules, bytes);
}

/* ---- Answers ---- */

int32_t http_accept_print(const struct http_upgrade *upgrade, char ret[HTTP_ANSWER_MAX])
{
    char text[KEY_TEXT + sizeof(GUID)], accept[DIGEST_TEXT_MAX];
    unsigned char digest[SHA_DIGEST_LENGTH];

    assert(upgrade->key.length == KEY_TEXT);
    sip_put_text(sip_put(text, upgrade->key.at, KEY_TEXT), GUID);
    if (EVP_Digest(text, KEY_TEXT + sizeof(GUID) - 1, digest, NULL, EVP_sha1(), NULL) != 1)
        return -EIO;
    EVP_EncodeBlock((unsigned char *)accept, digest, SHA_DIGEST_LENGTH);
    return snprintf(ret, HTTP_ANSWER_MAX,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                    "Sec-WebSocket-Protocol: sip\r\n\r\n",
                    accept);
}

static const struct {
    int status;
    const char *phrase, *fields;
} refusals[] = {
    {400, "Bad Request", ""},
    {403, "Forbidden", ""},
    {404, "Not Found", ""},
    {405, "Method Not Allowed", "Allow: GET\r\n"},
    {408, "Request Timeout", ""},
    {414, "URI Too Long", ""},
    {426, "Upgrade Required",
     "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"},
    {431, "Request Header Fields Too Large", ""},
    {503, "Service Unavailable", ""},
    {505, "HTTP Version Not Supported", ""},
};

int32_t http_refuse_print(int status, char ret[HTTP_ANSWER_MAX])
{
    size_t row = 0;

    while (refusals[row].status != status) {
        row++;
        assert(row < sizeof(refusals) / sizeof(refusals[0]));
    }
    return snprintf(ret, HTTP_ANSWER_MAX,
                    "HTTP/1.1 %d %s\r\n%sConnection: close\r\nContent-Length: 0\r\n\r\n", status,
                    refusals[row].phrase, refusals[row].fields);
}
