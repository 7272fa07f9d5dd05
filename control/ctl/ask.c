/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to tandem-control: see ask.h.
 */
#include "control/ctl/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 << 20, ANSWER_S = 30 };

int ask_connect(const char *path, char *ret_reason)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ANSWER_S};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        snprintf(ret_reason, ASK_REASON_MAX, "%.150s: path too long for a socket", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        snprintf(ret_reason, ASK_REASON_MAX, "cannot reach tandem-control at %.120s: %s", path,
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

json_t *ask_answer(int fd, const json_t *request, bool no_more, char *ret_reason)
{
    /* Who does not want to hear us may have said why before it hung up. */
    int status = send_request(fd, request);
    json_t *answer = receive_answer(fd, no_more);

    if (answer != NULL)
        return answer;
    if (status == 0)
        status = -errno;
    if (status == -EAGAIN || status == -EWOULDBLOCK)
        snprintf(ret_reason, ASK_REASON_MAX, "tandem-control has not answered within %d s",
                 ANSWER_S);
    else
        snprintf(ret_reason, ASK_REASON_MAX, "no answer from tandem-control: %s",
                 strerror(-status));
    return NULL;
}

json_t *ask_once(const char *path, const json_t *request, char *ret_reason)
{
    int fd = ask_connect(path, ret_reason);
    json_t *answer;

    if (fd < 0)
        return NULL;
    answer = ask_answer(fd, request, false, ret_reason);
    close(fd);
    return answer;
}

json_t *ask_show(const char *path, const char *what, char *ret_reason)
{
    json_t *request = json_pack("{s:s, s:s}", "request", "show", "what", what);
    json_t *answer = ask_once(path, request, ret_reason);
    json_t *result = json_incref(json_object_get(answer, "result"));
    const char *error = json_string_value(json_object_get(answer, "error"));

    if (answer != NULL && result == NULL)
        snprintf(ret_reason, ASK_REASON_MAX, "%s", error == NULL ? "refused" : error);
    json_decref(answer);
    json_decref(request);
    return result;
}
