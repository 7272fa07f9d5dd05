/* SPDX-License-Identifier: Apache-2.0 */
/* See bomb.h. */
#include "perf/attack/bomb.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Which of the usual fields a message goes without, since the bomb has its own; and what it is. */
enum {
    NO_VIA = 1,
    NO_FROM = 2,
    NO_TO = 4,
    NO_CALL_ID = 8,
    NO_CSEQ = 16,
    NO_MAX_FORWARDS = 32,
    NO_LENGTH = 64,
    NO_START = 128, /* begins with the bomb, and has a start-line after it or never */
    NOTHING = 256,  /* is nothing else */
    RESPONSE = 512,
    REGISTRATION = 1024,
};

#define VIA_OF_OURS \
    "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK0123456789abcdef;tandem=AAAAAAAAAAAAAAAA"
#define VIA_VALUE "SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKbomb;rport\r\n"
#define VIA_LINE "Via: " VIA_VALUE
#define FORGED "<sip:t1.AgHAAAIKE8TGEgACNMdvCJtWE8R5nTI9cnqwNQ@192.0.2.10:5060;lr>"

const struct bomb bombs[] = {
    /* RFC 3261 sets no limit to how many fields there are. */
    {"headers", "10,000 of one byte", "", "a:b\r\n", "", 10000, 0},
    {"headers", "10,000 without a value", "", "x:\r\n", "", 10000, 0},
    {"headers", "13,000 ended by LF", "", "a:b\n", "", 13000, 0},
    {"headers", "as many Subjects as fit", "", "Subject: a\r\n", "", 0, 0},
    {"headers", "as many Routes as fit", "", "Route: <sip:a@b;lr>\r\n", "", 0, 0},
    {"headers", "as many Record-Routes as fit", "", "Record-Route:a\r\n", "", 0, 0},
    {"headers", "as many equal Call-IDs as fit", "", "i:a@b\r\n", "", 0, NO_CALL_ID},
    {"headers", "as many equal Tos as fit", "", "t:<sip:a@b>\r\n", "", 0, NO_TO},
    {"headers", "as many Contacts as fit", "", "m:<sip:a@b>\r\n", "", 0, 0},
    {"headers", "as many Supporteds as fit", "", "k:a\r\n", "", 0, REGISTRATION},
    {"headers", "as many Replaces as fit", "", "Replaces:a;to-tag=b;from-tag=c\r\n", "", 0, 0},
    {"headers", "10,000 that nearly are one that counts", "", "Ca:b\r\n", "", 10000, 0},
    {"headers", "one name of 60,000 bytes", "", "a", ": b\r\n", 60000, 0},
    {"headers", "a name, 60,000 blanks, a colon", "Via", " ", ":a\r\n", 60000, 0},
    {"headers", "60,000 bytes and no colon", "", "a", "\r\n", 60000, 0},
    {"folding", "Subject", "Subject: a", "\r\n ", "\r\n", 0, 0},
    {"folding", "Subject, ended by LF", "Subject: a", "\n ", "\r\n", 0, 0},
    {"folding", "top Via, in front", "Via:", "\r\n ", VIA_VALUE, 0, NO_VIA},
    {"folding", "top Via, between parameters", "Via: SIP/2.0/UDP 203.0.113.66;branch=z9hG4bKb",
     "\r\n ;a\r\n ", "\r\n", 0, NO_VIA},
    {"folding", "Call-ID", "Call-ID:", "\r\n ", "a@b\r\n", 0, NO_CALL_ID},
    {"folding", "CSeq", "CSeq: 1", "\r\n ", "INVITE\r\n", 0, NO_CSEQ},
    {"folding", "From", "From: a", "\r\n ", "<sip:a@b>;tag=a\r\n", 0, NO_FROM},
    {"folding", "To, behind its tag", "To: <sip:a@b>;tag=a", "\r\n ", ";b\r\n", 0, NO_TO},
    {"folding", "Max-Forwards", "Max-Forwards:", "\r\n\t", "70\r\n", 0, NO_MAX_FORWARDS},
    {"folding", "Content-Length", "Content-Length:", "\r\n ", "0\r\n", 0, NO_LENGTH},
    {"folding", "Route", "Route:", "\r\n ", "<sip:a@b;lr>\r\n", 0, 0},
    {"folding", "Contact, quoted", "Contact: \"", "\r\n \\\"", "\" <sip:a@b>\r\n", 0, 0},
    {"folding", "Supported, a list", "Supported: a", "\r\n ,b", "\r\n", 0, REGISTRATION},
    {"folding", "one blank after another", "Subject: a", " ", "\r\n", 60000, 0},
    {"Vias", "70 lines", "", "v:SIP/2.0/UDP a;branch=z9hG4bKa\r\n", "", 70, 0},
    {"Vias", "as many lines as fit", "", "v:SIP/2.0/UDP a\r\n", "", 0, 0},
    {"Vias", "as many in one line as fit", "Via: SIP/2.0/UDP 203.0.113.66;branch=z9hG4bKb",
     ",SIP/2.0/UDP a", "\r\n", 0, NO_VIA},
    {"Vias", "forged ones of ours, a line each", "", "v:" VIA_OF_OURS "\r\n", "", 0, 0},
    {"Vias", "forged ones of ours in one line", "Via: SIP/2.0/UDP 203.0.113.66;branch=z9hG4bKb",
     "," VIA_OF_OURS, "\r\n", 0, NO_VIA},
    {"Vias", "parameters", "Via: SIP/2.0/UDP 203.0.113.66", ";a=b", "\r\n", 0, NO_VIA},
    {"Vias", "a branch of 60,000 bytes", "Via: SIP/2.0/UDP 203.0.113.66;branch=z9hG4bK", "a",
     "\r\n", 60000, NO_VIA},
    {"Vias", "a quoted string of escapes", "Via: SIP/2.0/UDP 203.0.113.66;a=\"", "\\\"", "\"\r\n",
     0, NO_VIA},
    {"Vias", "quoted commas", "Via: SIP/2.0/UDP 203.0.113.66;a=\"", ",", "\"\r\n", 0, NO_VIA},
    {"Vias", "commas", "Via: SIP/2.0/UDP 203.0.113.66", ",", "\r\n", 0, NO_VIA},
    {"Vias", "a host of 60,000 bytes", "Via: SIP/2.0/UDP ", "a.", "a\r\n", 30000, NO_VIA},
    {"Vias", "response: as many lines as fit", "v:" VIA_OF_OURS "\r\n", "v:SIP/2.0/UDP a\r\n", "",
     0, NO_VIA | RESPONSE},
    {"Vias", "response: in one line", "v:" VIA_OF_OURS, ",SIP/2.0/UDP a", "\r\n", 0,
     NO_VIA | RESPONSE},
    {"Vias", "response: forged ones of ours", "v:" VIA_OF_OURS, "," VIA_OF_OURS, "\r\n", 0,
     NO_VIA | RESPONSE},
    {"fields", "Call-ID of 60,000 bytes", "Call-ID: ", "a", "\r\n", 60000, NO_CALL_ID},
    {"fields", "Request-URI of parameters", "INVITE sip:a@example.net", ";a=b", " SIP/2.0\r\n", 0,
     NO_START},
    {"fields", "Request-URI of escapes", "INVITE sip:", "%61", "@example.net SIP/2.0\r\n", 20000,
     NO_START},
    {"fields", "forged tokens in one Route", "Route: " FORGED, "," FORGED, "\r\n", 0, 0},
    {"fields", "a token of 60,000 bytes", "Route: <sip:t1.", "A", "@192.0.2.10:5060;lr>\r\n", 60000,
     0},
    {"fields", "a token of escapes", "Route: <sip:t1.", "%41", "@192.0.2.10:5060;lr>\r\n", 20000,
     0},
    {"fields", "Route of commas", "Route: <sip:a@b;lr>", ",", "\r\n", 0, 0},
    {"fields", "Proxy-Require, a list", "Proxy-Require: privacy", ",a", "\r\n", 0, 0},
    {"fields", "Proxy-Require, all allowed", "Proxy-Require: privacy", ",privacy", "\r\n", 0, 0},
    {"fields", "Supported, a list", "Supported: a", ",b", "\r\n", 0, REGISTRATION},
    {"fields", "From tag of 60,000 bytes", "From: <sip:a@b>;tag=", "a", "\r\n", 60000, NO_FROM},
    {"fields", "To, parameters before its tag", "To: <sip:a@b>", ";a=b", ";tag=c\r\n", 0, NO_TO},
    {"fields", "To, a quoted name of escapes", "To: \"", "\\\"", "\" <sip:a@b>\r\n", 0, NO_TO},
    {"fields", "Replaces of 60,000 bytes", "Replaces: ", "a", ";to-tag=b;from-tag=c\r\n", 60000, 0},
    {"fields", "Refer-To with an escaped Replaces", "Refer-To: <sip:a@b?Replaces=", "%61",
     "%3Bto-tag%3Db%3Bfrom-tag%3Dc>\r\n", 20000, 0},
    {"fields", "Refer-To of header fields", "Refer-To: <sip:a@b?a=b", "&a=b", ">\r\n", 0, 0},
    {"fields", "Contact, a list", "Contact: <sip:a@b>", ",<sip:a@b>", "\r\n", 0, 0},
    {"fields", "digits of CSeq", "CSeq: ", "0", "1 INVITE\r\n", 60000, NO_CSEQ},
    {"fields", "digits of Content-Length", "Content-Length: ", "0", "\r\n", 60000, NO_LENGTH},
    {"junk", "CR and LF only", "", "\r\n", "", 0, NOTHING},
    {"junk", "CR and LF in front", "", "\r\n", "INVITE sip:a@example.net SIP/2.0\r\n", 30000,
     NO_START},
    {"junk", "no line at all", "", "A", "", 0, NOTHING},
    {"junk", "SIP/2.0 and blanks", "SIP/2.0", " ", "", 0, NOTHING},
    {"junk", "a method of 60,000 bytes", "", "A", " sip:a@example.net SIP/2.0\r\n", 60000,
     NO_START},
    {"junk", "bare CRs", "", "a:b\r", "\r\n", 0, 0},
    {"junk", "one byte", "", "a", "", 1, NOTHING},
    {"junk", "a keep-alive", "", "\r\n\r\n", "", 1, NOTHING},
    {"junk", "the shortest request", "BYE sip:a SIP/2.0\r\nv:SIP/2.0/UDP b\r\nf:<c:>;tag=d\r\n",
     "t:<c:>\r\n", "i:g\r\nCSeq:1 BYE\r\n\r\n", 1, NOTHING},
    {"junk", "the shortest response", "SIP/2.0 200 O\r\nv:SIP/2.0/UDP b\r\nf:<c:>;tag=d\r\n",
     "t:<c:>\r\n", "i:g\r\nCSeq:1 BYE\r\n\r\n", 1, NOTHING},
    {0},
};

/* A message that is being written. */
struct paper {
    char *text;
    uint32_t length;
};

static void put(struct paper *paper, const char *text)
{
    size_t length = strlen(text);

    assert(length <= BOMB_MAX - paper->length);
    memcpy(paper->text + paper->length, text, length);
    paper->length += (uint32_t)length;
}

static void put_unless(struct paper *paper, uint32_t kind, uint32_t without, const char *text)
{
    if ((kind & (without | NOTHING)) == 0)
        put(paper, text);
}

static void put_start(struct paper *paper, uint32_t kind)
{
    if ((kind & RESPONSE) != 0)
        put(paper, "SIP/2.0 200 OK\r\n");
    else if ((kind & REGISTRATION) != 0)
        put(paper, "REGISTER sip:example.net SIP/2.0\r\n");
    else
        put_unless(paper, kind, NO_START, "INVITE sip:bob@example.net SIP/2.0\r\n");
}

static void put_usual(struct paper *paper, uint32_t kind)
{
    put_unless(paper, kind, NO_VIA, VIA_LINE);
    put_unless(paper, kind, NO_MAX_FORWARDS, "Max-Forwards: 70\r\n");
    put_unless(paper, kind, NO_FROM, "From: <sip:mallory@example.net>;tag=bomb\r\n");
    put_unless(paper, kind, NO_TO, "To: <sip:bob@example.net>\r\n");
    put_unless(paper, kind, NO_CALL_ID, "Call-ID: bomb@203.0.113.66\r\n");
    put_unless(paper, kind, NO_CSEQ,
               (kind & REGISTRATION) != 0 ? "CSeq: 1 REGISTER\r\n" : "CSeq: 1 INVITE\r\n");
}

/* The end of a message, which must fit behind the bomb. */
static void put_end(struct paper *paper, uint32_t kind)
{
    put_unless(paper, kind, NO_LENGTH, "Content-Length: 0\r\n");
    put_unless(paper, kind, 0, "\r\n");
}

static void put_repeated(struct paper *paper, const struct bomb *bomb)
{
    enum { END_MAX = 400 }; /* the usual fields, when they come behind */
    uint32_t unit = (uint32_t)strlen(bomb->unit), after = (uint32_t)strlen(bomb->after);
    uint32_t room;

    put(paper, bomb->before);
    room = BOMB_MAX - paper->length - after - END_MAX;
    for (uint32_t i = 0; bomb->times == 0 ? (i + 1) * unit <= room : i < bomb->times; i++)
        put(paper, bomb->unit);
    put(paper, bomb->after);
}

uint32_t bomb_write(const struct bomb *bomb, char *ret_text)
{
    struct paper paper = {.text = ret_text};

    put_start(&paper, bomb->kind);
    if ((bomb->kind & NO_START) != 0) {
        put_repeated(&paper, bomb);
        put_usual(&paper, bomb->kind);
    } else {
        put_usual(&paper, bomb->kind);
        put_repeated(&paper, bomb);
    }
    put_end(&paper, bomb->kind);
    return paper.length;
}

/* ---- Chosen Call-IDs ---- */

static const char *const choice_names[BOMB_CHOICE_COUNT] = {
    "random", "counted", "shuffled words", "differing in the midst", "ever longer"};

const char *bomb_choice_name(enum bomb_choice choice)
{
    return choice_names[choice];
}

static void put_number(struct paper *paper, const char *format, uint32_t number)
{
    char text[40];

    snprintf(text, sizeof(text), format, number);
    put(paper, text);
}

static void put_same(struct paper *paper, char c, uint32_t n)
{
    memset(paper->text + paper->length, c, n);
    paper->length += n;
}

/* The number's permutation of twelve words. */
static void put_shuffled(struct paper *paper, uint32_t number)
{
    enum { WORDS = 12 };
    char words[WORDS] = "abcdefghijkl";

    for (uint32_t left = WORDS; left > 0; left--) {
        uint32_t taken = number % left;

        number /= left;
        put_same(paper, words[taken], 8);
        words[taken] = words[left - 1];
    }
}

static void put_call_id(struct paper *paper, enum bomb_choice choice, uint32_t number)
{
    enum { ENDS = 100, LONGEST = 1000 };

    switch (choice) {
    case BOMB_RANDOM: /* well mixed, and different for different numbers */
        put_number(paper, "%08x", number * 0x9e3779b1u);
        put_number(paper, "%08x", (number ^ number >> 15) * 0x85ebca77u);
        break;
    case BOMB_COUNTED:
        put_number(paper, "%u", number);
        break;
    case BOMB_SHUFFLED:
        put_shuffled(paper, number);
        break;
    case BOMB_LONG_ENDS:
        put_same(paper, 'a', ENDS);
        put_number(paper, "%06x", number);
        put_same(paper, 'b', ENDS);
        break;
    default:
        put_number(paper, "%u", number / LONGEST);
        put_same(paper, 'a', 1 + number % LONGEST);
    }
}

uint32_t bomb_write_call(enum bomb_choice choice, uint32_t number, char *ret_text)
{
    struct paper paper = {.text = ret_text};

    put_start(&paper, 0);
    put_usual(&paper, NO_CALL_ID);
    put(&paper, "Call-ID: ");
    put_call_id(&paper, choice, number);
    put(&paper, "\r\n");
    put_end(&paper, 0);
    return paper.length;
}
