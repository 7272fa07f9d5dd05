/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that nobody on this project wrote, which lie beside it when they do: the RFCs' torture
 * tests by VERDICTS.tsv, all others by what two other parsers made of them (ORACLE.tsv), as far
 * as the grammar decides. Where it refuses what the other proxy routed, the table below says why.
 *
 * Usage: test_oracle FOLDER      Exit status 77 (skipped) when the folder is not there.
 */
#include <unistd.h>

#include "dataplane/sip/msg.h"
#include "dataplane/sip/uri.h"
#include "tests/corpus/manifest.h"
#include "tests/unit/guard.h"

enum { SKIPPED = 77 };

static const char CUT[] = "the last header line is cut: its value may be half of what was sent";
static const char SHORT[] = "§18.3: a datagram shorter than its Content-Length is answered 400";
static const char METHOD[] = "§8.1.1.5: the method of CSeq must be the request's";
static const char URI[] = "§19.1.1: the Request-URI (VERDICTS: ltgtruri, ipv6-bad) is no URI";
static const char LENGTH[] = "§20.14: Content-Length is a number, and one (VERDICTS: ncl, mcl01)";
static const char TEMPLATE[] = "a template of a test's source: {host}, %1$s and $1 are not SIP";
static const char BLANK[] = "a line of blanks continues the header; what follows has no colon";
static const char RANGE[] = "§8.1.1.5, §20.22: a scalar out of its range (VERDICTS: scalar02)";

/* Routed by the other proxy, refused here. Each must still be refused, or the row is stale. */
static const struct {
    const char *file, *reason;
} exceptions[] = {
    {"rfc4475/baddn.dat", "§25.1: a comma in an unquoted display name (VERDICTS: either)"},
    {"rfc4475/clerr.dat", SHORT},
    {"rfc4475/ltgtruri.dat", URI},
    {"rfc4475/mcl01.dat", LENGTH},
    {"rfc4475/mismatch01.dat", METHOD},
    {"rfc4475/mismatch02.dat", METHOD},
    {"rfc4475/ncl.dat", LENGTH},
    {"rfc4475/scalar02.dat", RANGE},
    {"rfc4475/scalarlg.dat", RANGE},
    {"rfc5118/ipv6-bad.dat", URI},
    {"rfc5118/ipv6-bug-abnf-3-colons.dat", URI},
    {"kamailio-misc-sip/message.sip", SHORT},
    {"kamailio-misc-sip/ms-invite-00-rpl.sip", CUT},
    {"sofia-sip-tests/test-ack-1.txt", METHOD},
    {"pjsip-fuzz-sip/multipart_basic.sip", SHORT},
    {"pjsip-fuzz-sip/multipart_alternative.sip", SHORT},
    {"jain-sip-torture/t001.sip", URI},
    {"jain-sip-torture/t014.sip", BLANK},
    {"jain-sip-torture/t054.sip", "§20.10: a Contact without a scheme is no URI"},
    {"jain-sip-torture/t092.sip", METHOD},
    {"embedded/sofia-sip/torture_sip_c_001.sip", METHOD},
    {"embedded/sofia-sip/torture_sip_c_011.sip", CUT},
    {"embedded/sofia-sip/torture_sip_c_015.sip", "§25.1: a parameter without a name (as badinv01)"},
    {"embedded/sofia-sip/torture_sip_c_016.sip", METHOD},
    {"embedded/sofia-sip/torture_sip_c_017.sip", METHOD},
    {"embedded/resiprocate/SipTortureTests_cxx_008.sip", METHOD},
    {"embedded/resiprocate/testDialogInfoContents_cxx_001.sip", SHORT},
    {"embedded/resiprocate/testExternalBodyContents_cxx_001.sip", SHORT},
    {"embedded/resiprocate/testGenericPidfContents_cxx_001.sip", SHORT},
    {"embedded/resiprocate/testHack_cxx_002.sip", SHORT},
    {"embedded/resiprocate/testSipFrag_cxx_012.sip", CUT},
    {"embedded/belle-sip/belle_sip_message_tester_c_002.sip", SHORT},
    {"embedded/belle-sip/belle_sip_message_tester_c_003.sip", SHORT},
    {"embedded/belle-sip/belle_sip_message_tester_c_008.sip", SHORT},
    {"embedded/belle-sip/belle_sip_message_tester_c_013.sip", METHOD},
    {"embedded/belle-sip/bench_cc_002.sip", SHORT},
    {"embedded/belle-sip/bench_cc_006.sip", SHORT},
    {"embedded/pjproject/msg_test_c_008.sip", RANGE},
    {"embedded/sprout/ifchandler_test_cpp_005.sip", TEMPLATE},
    {"embedded/sprout/session_expires_helper_test_cpp_001.sip", TEMPLATE},
    {"embedded/sprout/sip_parser_test_cpp_020.sip", METHOD},
    {"embedded/flexisip/msg-sip-tester_cc_004.sip", CUT},
    {"embedded/flexisip/module-pushnotification-tester_cc_001.sip", CUT},
    {"embedded/flexisip/response-sip-event-tester_cc_001.sip", CUT},
    {"embedded/heplify-server/lineproto_test_go_002.sip", CUT},
    {"embedded/heplify-server/parser_test_go_002.sip", SHORT},
    {"embedded/heplify-server/parser_test_go_003.sip", SHORT},
    {"embedded/jsip/MessageFactoryTest_java_001.sip", METHOD},
    {"embedded/jsip/JunkAtEndOfMessageTest_java_002.sip", BLANK},
    {"embedded/siphon-sip/httpprobe_client_py_001.sip", TEMPLATE},
    {"embedded/siphon-sip/probe_py_001.sip", TEMPLATE},
    {"embedded/siphon-sip/stuck_client_py_001.sip", TEMPLATE},
    {"pcap-msgs/zeek_invalid-content-length_f1.sip", LENGTH},
    {"pcap-msgs/zeek_invalid-content-length_f2.sip", LENGTH},
};

static struct manifest manifest;

static const char *exception(const char *file)
{
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
        if (strcmp(exceptions[i].file, file) == 0)
            return exceptions[i].reason;
    }
    return NULL;
}

static struct guard load(const char *dir, const char *file)
{
    static char bytes[CORPUS_MESSAGE];

    return guard_new(bytes, corpus_message(dir, file, manifest_is_lf(&manifest, file), bytes));
}

/* What the grammar makes of a message: its first fault, or that its Request-URI is no URI. */
struct outcome {
    struct sip_msg msg;
    struct sip_uri uri;
    bool refused;
};

static void judge(const struct guard *guard, struct outcome *ret)
{
    memset(&ret->uri, 0, sizeof(ret->uri));
    ret->refused = sip_msg_index(guard->at, guard->length, &ret->msg) != SIP_OK;
    if (!ret->refused && ret->msg.kind == SIP_REQUEST)
        ret->refused = sip_uri_parse(ret->msg.request_uri, &ret->uri) != 0;
}

static bool equals_hex(struct sip_slice bytes, const char *hex)
{
    if (strlen(hex) != 2 * (size_t)bytes.length)
        return false;
    for (uint32_t i = 0; i < bytes.length; i++) {
        char text[3];

        snprintf(text, sizeof(text), "%02x", (uint8_t)bytes.at[i]);
        if (strncmp(text, hex + 2 * i, 2) != 0)
            return false;
    }
    return true;
}

static bool wrong(const char *file, const char *what, const struct outcome *outcome)
{
    printf("%s: %s (%s)\n", file, what, sip_error_phrase((enum sip_error)outcome->msg.error));
    return false;
}

/* file, routed, kind, method, Call-ID, sanity, method, Call-IDs, agree */
static bool check_oracle(const char *dir, const struct corpus_table *table)
{
    const char *file = table->column[0], *agree = table->column[8];
    struct guard guard = load(dir, file);
    struct outcome outcome;
    bool good = true;

    judge(&guard, &outcome);
    if (strcmp(agree, "both") == 0) {
        bool routed = strcmp(table->column[1], "1") == 0;

        if (!equals_hex(outcome.msg.call_id, table->column[4]))
            good = wrong(file, "another Call-ID than both others found", &outcome);
        if (routed && outcome.refused && exception(file) == NULL)
            good = wrong(file, "refused without a reason", &outcome);
        if (!outcome.refused && exception(file) != NULL)
            good = wrong(file, "listed as refused, and is not", &outcome);
    } else if (strcmp(agree, "neither") == 0 && !outcome.refused) {
        good = wrong(file, "let through, where neither found a Call-ID", &outcome);
    }
    guard_free(&guard);
    return good;
}

/* file, verdict, why: as far as the grammar decides; 416 is a well-formed URI of another scheme. */
static bool check_verdict(const char *dir, const struct corpus_table *table)
{
    const char *file = table->column[0], *verdict = table->column[1];
    bool is_ours = strstr(table->column[2], "valid syntax") != NULL;
    struct guard guard = load(dir, file);
    struct outcome outcome;
    bool good = true;

    judge(&guard, &outcome);
    if (strcmp(verdict, "forward") == 0 && outcome.refused)
        good = wrong(file, "refused, must be forwarded", &outcome);
    if (strcmp(verdict, "400") == 0 && !outcome.refused)
        good = wrong(file, "let through, must be 400", &outcome);
    if (strcmp(verdict, "505") == 0 && outcome.msg.error != SIP_ERR_VERSION)
        good = wrong(file, "must be 505", &outcome);
    if (strcmp(verdict, "416") == 0 && (outcome.refused || outcome.uri.scheme != SIP_SCHEME_OTHER))
        good = wrong(file, "must be 416", &outcome);
    if (strcmp(verdict, "drop") == 0 &&
        (outcome.msg.kind != SIP_RESPONSE || (is_ours && outcome.refused)))
        good = wrong(file, "must be a response, and well-formed where it says so", &outcome);
    guard_free(&guard);
    return good;
}

static unsigned run_table(const char *dir, const char *name,
                          bool (*check)(const char *dir, const struct corpus_table *table))
{
    static struct corpus_table table;
    unsigned right = 0, bad = 0;

    corpus_open(&table, dir, name);
    while (corpus_row(&table)) {
        if (check(dir, &table))
            right++;
        else
            bad++;
    }
    printf("%s: %u messages as it says, %u not\n", name, right, bad);
    return right > 0 ? bad : 1;
}

int main(int argc, char **argv)
{
    unsigned bad;

    if (argc != 2)
        errx(2, "usage: test_oracle FOLDER");
    if (access(argv[1], R_OK) != 0) {
        printf("skipped: %s is not there\n", argv[1]);
        return SKIPPED;
    }
    manifest_read(&manifest, argv[1]);
    bad = run_table(argv[1], "ORACLE.tsv", check_oracle);
    bad += run_table(argv[1], "VERDICTS.tsv", check_verdict);
    printf("%zu exceptions, each with its reason:\n", sizeof(exceptions) / sizeof(exceptions[0]));
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
        printf("  %s: %s\n", exceptions[i].file, exceptions[i].reason);
    manifest_done(&manifest);
    return bad == 0 ? 0 : 1;
}
