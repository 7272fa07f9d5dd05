/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of tandemctl: see args.h.
 */
#include "control/ctl/args.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 4, WEIGHT_MAX = 1000, COUNT_MAX = 1000000000, TIMEOUT_MAX_S = 31 * 86400 };

const char args_usage[] =
    "usage: tandemctl [--socket PATH] [--json] COMMAND\n"
    "  show backends     states, weights, expected shares and counts of all backends\n"
    "  show calls        calls in progress and totals, by backend (no Call-IDs: they are not "
    "kept)\n"
    "  show services     listeners, policies, messages and what became of them\n"
    "  show stats        the counters of the data plane, by worker\n"
    "  show names        next hops that are names: their targets, and for how long\n"
    "  show connections [--source ADDRESS] [--transport T] [--sni NAME]\n"
    "                    what came by TCP, TLS and WebSocket and is there; counters\n"
    "  kill connection ID\n"
    "                    closes one of them\n"
    "  show config       the running configuration, defaults filled in\n"
    "  show generation   snapshot offered and acknowledged, data plane connected or absent,\n"
    "                    ids of the keys, when they rotated and may rotate again\n"
    "  top [--count N]   what each backend does each second, the worst first; q or Ctrl-C ends "
    "it,\n"
    "                    or N tables\n"
    "  drain B [--wait [--calls-only] [--timeout T]] [--dry-run]\n"
    "                    no new calls to backend B; its dialogs go on. --wait says how many calls\n"
    "                    and registrations are left until there are none (each phone's next\n"
    "                    REGISTER goes elsewhere; --calls-only does not wait for them), or until "
    "T\n"
    "                    has passed (30s, 5m, 2h): exit status 1, as after Ctrl-C, and it goes on\n"
    "                    draining. --dry-run only says where new calls would go\n"
    "  drain node | enable node\n"
    "                    this node answers OPTIONS with 503, so that others send their calls\n"
    "                    elsewhere; what comes all the same is served. --wait: for the\n"
    "                    calls of all backends\n"
    "  disable B         nothing to B any more, its dialogs included\n"
    "  enable B          take calls again\n"
    "  weight B N        0 to 1000; default: what the configuration says\n"
    "  reload            read the configuration again, and the secret's file\n"
    "  rotate-secret [--dry-run]\n"
    "                    new keys for what signs tokens: next becomes current, current previous,\n"
    "                    a fresh one next. Then copy secret_file to the other nodes and reload\n"
    "                    there, in any order, at any time before the next rotation; which is\n"
    "                    refused until token_lifetime has passed, so that no token that may live\n"
    "                    is refused. --dry-run says what would be, or until when it may not be\n"
    "  why CALL-ID [POOL]\n"
    "                    which backend has the call, and which rule says so\n"
    "  capture [--call-id CALL-ID] [--count N] FILE\n"
    "                    copies messages into a pcapng file (mode 0600; - is standard output), as\n"
    "                    they came and as they left, with what was done and why as a comment; all\n"
    "                    of them or those of one Call-ID; until Ctrl-C, or N messages have come.\n"
    "                    Frames that were lost, since reading them took too long, are reported\n"
    "  stages on|off     whether workers count the cycles of each of their stages, which costs "
    "them\n"
    "                    a little: show stats tells them. Off when control starts\n"
    "B: NAME or POOL/NAME; of one that DNS resolves, all its members, those to come too, or\n"
    "NAME@ADDRESS:PORT, one of them. --json: for programs. --socket: /run/tandem/control.sock "
    "otherwise.\n"
    "Exit status: 0, 1 (refused or not reached, with the reason), 2 (usage).\n";

static const char *const SHOWS[] = {"backends", "services",    "stats",  "calls",
                                    "names",    "connections", "config", "generation"};

static const char FILTERS_WRONG[] = "--source, --transport and --sni are of show connections";

/* NULL, or why not. */
static const char *request_show(struct args *args, char **words, int n)
{
    args->what = n == 2 ? words[1] : "";
    if ((args->source != NULL || args->transport != NULL || args->sni != NULL) &&
        strcmp(args->what, "connections") != 0)
        return FILTERS_WRONG;
    for (size_t i = 0; i < sizeof(SHOWS) / sizeof(SHOWS[0]); i++) {
        if (strcmp(args->what, SHOWS[i]) == 0) {
            args->request =
                json_pack("{s:s, s:s, s:s*, s:s*, s:s*}", "request", "show", "what", args->what,
                          "source", args->source, "transport", args->transport, "sni", args->sni);
            return NULL;
        }
    }
    return "show what? backends, services, stats, calls, names, connections, config or generation";
}

static const char *request_kill(struct args *args, char **words, int n)
{
    if (n != 3 || strcmp(words[1], "connection") != 0)
        return "kill connection ID: of show connections";
    args->request = json_pack("{s:s, s:s}", "request", "kill", "connection", words[2]);
    return NULL;
}

static const char *request_weight(struct args *args, char **words, int n)
{
    char *end;
    long weight;

    if (n != 3)
        return "weight needs a backend and a number";
    if (strcmp(words[2], "default") == 0) {
        args->request =
            json_pack("{s:s, s:s, s:n}", "request", "weight", "backend", words[1], "weight");
        return NULL;
    }
    errno = 0;
    weight = strtol(words[2], &end, 10);
    if (errno != 0 || *end != '\0' || end == words[2] || weight < 0 || weight > WEIGHT_MAX)
        return "weight must be a number from 0 to 1000, or default";
    args->request = json_pack("{s:s, s:s, s:i}", "request", "weight", "backend", words[1], "weight",
                              (int)weight);
    return NULL;
}

static const char *request_why(struct args *args, char **words, int n)
{
    if (n < 2 || n > 3)
        return "why needs a Call-ID, and may have a pool";
    args->request = json_pack("{s:s, s:s}", "request", "why", "call_id", words[1]);
    if (n == 3)
        json_object_set_new(args->request, "pool", json_string(words[2]));
    return NULL;
}

static const char COUNT_WRONG[] = "--count must be a number from 1 to 1000000000";

static bool read_count(const char *text, uint64_t *ret)
{
    char *end;
    long long count;

    errno = 0;
    count = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || count < 1 || count > COUNT_MAX)
        return false;
    *ret = (uint64_t)count;
    return true;
}

static const char *request_capture(struct args *args, char **words, int n)
{
    uint64_t count = 0;

    if (n != 2)
        return "capture needs a file, or - for standard output";
    args->file = words[1];
    if (args->count != NULL && !read_count(args->count, &count))
        return COUNT_WRONG;
    if (args->call_id != NULL && *args->call_id == '\0')
        return "--call-id is empty";
    args->request = json_pack("{s:s, s:s?}", "request", "capture", "call_id", args->call_id);
    if (count > 0)
        json_object_set_new(args->request, "count", json_integer((json_int_t)count));
    return NULL;
}

static const char *request_stages(struct args *args, char **words, int n)
{
    bool on = n == 2 && strcmp(words[1], "on") == 0;

    args->request = json_pack("{s:s, s:b}", "request", "stages", "on", on);
    return on || (n == 2 && strcmp(words[1], "off") == 0) ? NULL : "stages: on or off";
}

static const char *request_top(struct args *args, int n)
{
    uint64_t count = 0;

    if (n != 1)
        return "top takes no argument but --count";
    if (args->json)
        return "top is for people: show backends --json";
    if (args->count != NULL && !read_count(args->count, &count))
        return COUNT_WRONG;
    args->frames = (uint32_t)count;
    args->request = json_object();
    return NULL;
}

/* 30s, 5m, 2h, or seconds. */
static bool read_timeout(const char *text, uint64_t *ret_s)
{
    static const char units[] = "smh";
    uint64_t s, unit = 1;
    char *end;

    errno = 0;
    s = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *text == '-' || s == 0 || s > TIMEOUT_MAX_S)
        return false;
    if (*end != '\0') {
        const char *found = strchr(units, *end);

        if (found == NULL || end[1] != '\0')
            return false;
        for (ptrdiff_t i = found - units; i > 0; i--)
            unit *= 60;
    }
    *ret_s = s * unit;
    return *ret_s <= TIMEOUT_MAX_S;
}

/* drain, enable and disable. */
static const char *request_admin(struct args *args, char **words, int n)
{
    bool drain = strcmp(words[0], "drain") == 0;

    if (n != 2)
        return "which backend? NAME or POOL/NAME";
    args->request = json_pack("{s:s, s:s}", "request", words[0], "backend", words[1]);
    if (!drain && (args->dry_run || args->wait))
        return "--wait and --dry-run are drain's";
    if (args->dry_run && args->wait)
        return "--wait or --dry-run, not both";
    if (args->wait && args->json)
        return "--wait is for people: show backends --json";
    if (args->timeout != NULL && !read_timeout(args->timeout, &args->timeout_s))
        return "--timeout must be a time as 30s, 5m or 2h, up to 31 days";
    if (args->dry_run)
        json_object_set_new(args->request, "dry_run", json_true());
    if (drain)
        args->target = words[1];
    return NULL;
}

/* What options may not stand beside a verb; NULL: they may. */
static const char *options_fit(const struct args *args, const char *verb)
{
    if (args->dry_run && strcmp(verb, "rotate-secret") != 0 && strcmp(verb, "drain") != 0)
        return "--dry-run is rotate-secret's and drain's";
    if (args->wait && strcmp(verb, "drain") != 0)
        return "--wait is drain's";
    if (args->timeout != NULL && !args->wait)
        return "--timeout is of drain --wait";
    if (args->calls_only && !args->wait)
        return "--calls-only is of drain --wait";
    if ((args->source != NULL || args->transport != NULL || args->sni != NULL) &&
        strcmp(verb, "show") != 0)
        return FILTERS_WRONG;
    if (args->call_id != NULL && strcmp(verb, "capture") != 0)
        return "--call-id is capture's";
    if (args->count != NULL && strcmp(verb, "capture") != 0 && strcmp(verb, "top") != 0)
        return "--count is capture's and top's";
    return NULL;
}

static const char *request_make(struct args *args, char **words, int n)
{
    const char *verb = args->verb = n > 0 ? words[0] : "";
    const char *reason;

    reason = options_fit(args, verb);
    if (reason != NULL)
        return reason;
    if (strcmp(verb, "top") == 0)
        return request_top(args, n);
    if (strcmp(verb, "capture") == 0)
        return request_capture(args, words, n);
    if (strcmp(verb, "show") == 0)
        return request_show(args, words, n);
    if (strcmp(verb, "kill") == 0)
        return request_kill(args, words, n);
    if (strcmp(verb, "why") == 0)
        return request_why(args, words, n);
    if (strcmp(verb, "weight") == 0)
        return request_weight(args, words, n);
    if (strcmp(verb, "reload") == 0) {
        args->request = json_pack("{s:s}", "request", verb);
        return n == 1 ? NULL : "reload takes no argument";
    }
    if (strcmp(verb, "rotate-secret") == 0) {
        args->request = json_pack("{s:s, s:b}", "request", verb, "dry_run", args->dry_run);
        return n == 1 ? NULL : "rotate-secret takes no argument but --dry-run";
    }
    if (strcmp(verb, "stages") == 0)
        return request_stages(args, words, n);
    if (strcmp(verb, "drain") != 0 && strcmp(verb, "enable") != 0 && strcmp(verb, "disable") != 0)
        return n == 0 ? "a command is missing" : "unknown command";
    return request_admin(args, words, n);
}

/* One of the options that have a value; NULL: it is none of them. */
static const char **value_of(struct args *args, const char *name, const char **ret_needs)
{
    const struct {
        const char *name, **value, *needs;
    } options[] = {
        {"--timeout", &args->timeout, "--timeout needs a time"},
        {"--socket", &args->socket, "--socket needs a path"},
        {"--call-id", &args->call_id, "--call-id needs a Call-ID"},
        {"--count", &args->count, "--count needs a number"},
        {"--source", &args->source, "--source needs an address"},
        {"--transport", &args->transport, "--transport needs one of tcp, tls, ws, wss"},
        {"--sni", &args->sni, "--sni needs a name"},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcmp(name, options[i].name) == 0) {
            *ret_needs = options[i].needs;
            return options[i].value;
        }
    }
    return NULL;
}

/* One option at argv[*i]; advances over its value. NULL, or why not. */
static const char *option(int argc, char **argv, int *i, struct args *args)
{
    const char *needs, **value = value_of(args, argv[*i], &needs);

    if (value != NULL) {
        if (++*i >= argc)
            return needs;
        *value = argv[*i];
        return NULL;
    }
    if (strcmp(argv[*i], "--json") == 0) {
        args->json = true;
    } else if (strcmp(argv[*i], "--dry-run") == 0) {
        args->dry_run = true;
    } else if (strcmp(argv[*i], "--wait") == 0) {
        args->wait = true;
    } else if (strcmp(argv[*i], "--calls-only") == 0) {
        args->calls_only = true;
    } else if (strcmp(argv[*i], "--help") == 0 || strcmp(argv[*i], "-h") == 0) {
        args->action = ARGS_HELP;
    } else if (strcmp(argv[*i], "--version") == 0) {
        args->action = ARGS_VERSION;
    } else {
        return "unknown option";
    }
    return NULL;
}

int args_parse(int argc, char **argv, struct args *ret, const char **ret_reason)
{
    struct args args = {.socket = "/run/tandem/control.sock"};
    char *words[WORDS_MAX];
    const char *reason = NULL;
    bool options = true;
    int n = 0;

    for (int i = 1; i < argc && reason == NULL; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1] != '\0')
            reason = option(argc, argv, &i, &args);
        else if (n < WORDS_MAX)
            words[n++] = argv[i];
        else
            reason = "too many arguments";
    }
    if (reason == NULL && args.action == ARGS_REQUEST) {
        reason = request_make(&args, words, n);
        if (reason == NULL && args.request == NULL)
            reason = "an argument is not UTF-8";
    }
    if (reason != NULL) {
        json_decref(args.request);
        *ret_reason = reason;
        return -EINVAL;
    }
    *ret = args;
    return 0;
}
