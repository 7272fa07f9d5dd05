/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output that is drawn again and again: see screen.h. Escape sequences are ECMA-48's and xterm's
 * alternate screen.
 */
#include "control/ctl/screen.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 200 /* for a signal that came just before we wait */ };

static volatile sig_atomic_t stop_asked;

static struct {
    bool terminal, whole, keys;
    struct termios before; /* of standard input, with `keys` */
    double due;
} screen;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

double screen_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Keys come one by one and are not shown. */
static bool take_keys(void)
{
    struct termios raw;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &screen.before) != 0)
        return false;
    raw = screen.before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

bool screen_begin(enum screen_kind kind)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* screen_draw says it */
    screen.terminal = isatty(STDOUT_FILENO);
    screen.whole = screen.terminal && kind == SCREEN_WHOLE;
    screen.keys = screen.whole && take_keys();
    screen.due = screen_now();
    if (screen.whole)
        fputs("\033[?1049h\033[?25l", stdout);
    return screen.terminal;
}

void screen_end(void)
{
    if (screen.whole)
        fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (screen.keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
}

/* The length of a text's first n lines, without the last one's end. */
static size_t lines_length(const char *text, uint32_t n)
{
    const char *at = text;

    while (n > 0 && (at = strchr(at, '\n')) != NULL && --n > 0)
        at++;
    return at == NULL ? strlen(text) : (size_t)(at - text);
}

bool screen_draw(const char *text)
{
    struct winsize size = {.ws_row = 0};

    if (screen.whole) {
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
            size.ws_row = 24;
        printf("\033[H\033[J%.*s", (int)lines_length(text, size.ws_row), text);
    } else if (screen.terminal) {
        printf("\r\033[K%s", text);
    } else {
        fputs(text, stdout);
    }
    return fflush(stdout) == 0;
}

/* Whether `q` was pressed, waiting for a key or a signal at most so long. */
static bool look(int ms)
{
    struct pollfd key = {.fd = screen.keys ? STDIN_FILENO : -1, .events = POLLIN};
    char pressed;

    if (poll(&key, 1, ms) <= 0 || (key.revents & (POLLIN | POLLHUP)) == 0)
        return false;
    return read(STDIN_FILENO, &pressed, 1) != 1 || pressed == 'q';
}

bool screen_wait(uint32_t ms)
{
    screen.due += ms / 1000.0;
    while (stop_asked == 0) {
        double left = (screen.due - screen_now()) * 1000;

        if (left <= 0) {
            if (left < -1000.0 * ms)
                screen.due = screen_now(); /* we were stopped: nothing is caught up with */
            return false;
        }
        if (look(left < LOOK_MS ? (int)left + 1 : LOOK_MS))
            return true;
    }
    return true;
}
