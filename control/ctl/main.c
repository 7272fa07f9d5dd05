/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tandemctl: asks tandem-control and prints the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl/args.h"
#include "control/ctl/ask.h"
#include "control/ctl/capture.h"
#include "control/ctl/print.h"
#include "control/ctl/top.h"
#include "control/ctl/wait.h"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2 };

/* The result of a show or why. */
static int print_result(const struct args *args, json_t *result)
{
    char *text;

    if (args->json) {
        text = json_dumps(result, JSON_INDENT(2) | JSON_ENCODE_ANY);
        if (text != NULL)
            puts(text);
    } else {
        text = strcmp(args->verb, "why") == 0 ? print_why(result) : print_show(args->what, result);
        if (text != NULL)
            fputs(text, stdout);
    }
    if (text == NULL) {
        fprintf(stderr, "tandemctl: no memory\n");
        return EXIT_REFUSED;
    }
    free(text);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_REFUSED;
}

static int print_answer(const struct args *args, json_t *answer)
{
    json_t *result = json_object_get(answer, "result");
    const char *error = json_string_value(json_object_get(answer, "error"));
    const char *text = json_string_value(json_object_get(answer, "text"));

    if (!json_is_true(json_object_get(answer, "ok"))) {
        fprintf(stderr, "tandemctl: %s\n", error == NULL ? "refused without a reason" : error);
        return EXIT_REFUSED;
    }
    if (result != NULL)
        return print_result(args, result);
    if (args->json)
        return print_result(args, answer);
    printf("%s\n", text == NULL ? "done" : text);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_REFUSED;
}

/* The answer to a capture, and the file that follows it. */
static int begin_capture(const struct args *args, int fd, json_t *answer)
{
    if (!json_is_true(json_object_get(answer, "ok")))
        return print_answer(args, answer);
    return capture_run(fd, args->file) == 0 ? EXIT_SUCCESS : EXIT_REFUSED;
}

static int ask(const struct args *args)
{
    char reason[ASK_REASON_MAX];
    int fd = ask_connect(args->socket, reason);
    json_t *answer = fd < 0 ? NULL : ask_answer(fd, args->request, args->file != NULL, reason);
    int status = EXIT_REFUSED;

    if (answer == NULL)
        fprintf(stderr, "tandemctl: %s\n", reason);
    else
        status = args->file != NULL ? begin_capture(args, fd, answer) : print_answer(args, answer);
    if (fd >= 0)
        close(fd);
    json_decref(answer);
    return status;
}

/* The commands that go on, and those that are one question. */
static int run(const struct args *args)
{
    int status;

    if (strcmp(args->verb, "top") == 0)
        return top_run(args->socket, args->frames) == 0 ? EXIT_SUCCESS : EXIT_REFUSED;
    status = ask(args);
    if (status == EXIT_SUCCESS && args->target != NULL &&
        (args->wait || (args->dry_run && !args->json)))
        status = args->wait
                     ? wait_run(args->socket, args->target, args->timeout_s, args->calls_only)
                     : wait_preview(args->socket, args->target);
    return status == 0 ? EXIT_SUCCESS : EXIT_REFUSED;
}

int main(int argc, char **argv)
{
    struct args args = {0};
    const char *reason;
    int status;

    if (args_parse(argc, argv, &args, &reason) != 0) {
        fprintf(stderr, "tandemctl: %s\n%s", reason,
                argc == 1 ? args_usage : "tandemctl --help tells more\n");
        return EXIT_USAGE;
    }
    if (args.action == ARGS_HELP) {
        fputs(args_usage, stdout);
        return EXIT_SUCCESS;
    }
    if (args.action == ARGS_VERSION) {
        printf("tandemctl %s\n", TANDEM_VERSION);
        return EXIT_SUCCESS;
    }
    if (args.file != NULL && capture_is_terminal(args.file)) {
        fprintf(stderr, "tandemctl: a capture is nothing for a terminal: name a file\n");
        json_decref(args.request);
        return EXIT_USAGE;
    }
    status = run(&args);
    json_decref(args.request);
    return status;
}
