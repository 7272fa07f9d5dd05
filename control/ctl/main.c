/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tandemctl: sends one request to tandem-control's socket and prints the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/ctl/args.h"
#include "control/ctl/capture.h"
#include "control/ctl/print.h"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, ANSWER_MAX = 64 << 20, ANSWER_S = 30 };

/* A connected socket, or -1 after a line on standard error. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ANSWER_S};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        fprintf(stderr, "tandemctl: %s: path too long for a socket\n", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        fprintf(stderr, "tandemctl: cannot reach tandem-control at %s: %s\n", path,
                strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
}

/* Sends the request as a line. */
static int send_request(int fd, const json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    size_t length, sent = 0;

    if (text == NULL)
        return -ENOMEM;
    length = strlen(text);
    text[length++] = '\n';
    while (sent < length) {
        ssize_t n = send(fd, text + sent, length - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(text);
            return -errno;
        }
        sent += (size_t)n;
    }
    free(text);
    return 0;
}

/* Reads up to the line end, and with `no_more` nothing behind it. The parsed answer, or NULL and
 * errno. */
static json_t *receive_answer(int fd, bool no_more)
{
    size_t size = 65536, length = 0;
    char *text = malloc(size);
    json_t *answer = NULL;

    while (text != NULL && length < ANSWER_MAX) {
        ssize_t n;

        if (length == size) {
            char *more = realloc(text, size *= 2);

            if (more == NULL)
                break;
            text = more;
        }
        n = recv(fd, text + length, no_more ? 1 : size - length, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ECONNRESET : errno;
            break;
        }
        length += (size_t)n;
        if (text[length - 1] == '\n') {
            answer = json_loadb(text, length - 1, 0, NULL);
            errno = EPROTO;
            break;
        }
    }
    free(text);
    return answer;
}

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
    int fd = connect_to(args->socket);
    json_t *answer = NULL;
    int status;

    if (fd < 0)
        return EXIT_REFUSED;
    /* Who does not want to hear us may have said why before it hung up. */
    status = send_request(fd, args->request);
    answer = receive_answer(fd, args->file != NULL);
    if (answer == NULL && status == 0)
        status = -errno;
    if (answer != NULL)
        status = args->file != NULL ? begin_capture(args, fd, answer) : print_answer(args, answer);
    close(fd);
    if (answer == NULL && (status == -EAGAIN || status == -EWOULDBLOCK)) {
        fprintf(stderr, "tandemctl: tandem-control has not answered within %d s\n", ANSWER_S);
        return EXIT_REFUSED;
    }
    if (answer == NULL) {
        fprintf(stderr, "tandemctl: no answer from tandem-control: %s\n", strerror(-status));
        return EXIT_REFUSED;
    }
    json_decref(answer);
    return status;
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
    status = ask(&args);
    json_decref(args.request);
    return status;
}
