/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue between threads: see inbox.h.
 */
#include "control/stream/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/stream/view.h"

struct inbox {
    pthread_mutex_t lock;
    struct task *first, **end;
    size_t bytes;
    int fd;
};

struct inbox *inbox_new(void)
{
    struct inbox *inbox = calloc(1, sizeof(*inbox));

    if (inbox == NULL)
        return NULL;
    inbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (inbox->fd < 0) {
        free(inbox);
        return NULL;
    }
    pthread_mutex_init(&inbox->lock, NULL);
    inbox->end = &inbox->first;
    return inbox;
}

void inbox_free(struct inbox *inbox)
{
    if (inbox == NULL)
        return;
    while (inbox->first != NULL) {
        struct task *task = inbox->first;

        inbox->first = task->next;
        task_free(task);
    }
    pthread_mutex_destroy(&inbox->lock);
    close(inbox->fd);
    free(inbox);
}

int inbox_fd(const struct inbox *inbox)
{
    return inbox->fd;
}

struct task *task_new(enum task_kind kind, const struct proxy_flow *flow, const char *name,
                      const char *text, uint32_t length)
{
    size_t name_size = strlen(name) + 1;
    struct task *task = malloc(sizeof(*task) + length + name_size);

    if (task == NULL)
        return NULL;
    *task = (struct task){.kind = kind, .length = length};
    if (flow != NULL)
        task->flow = *flow;
    if (length > 0)
        memcpy(task->text, text, length);
    task->name = memcpy(task->text + length, name, name_size);
    return task;
}

void task_free(struct task *task)
{
    if (task == NULL)
        return;
    view_release(task->view);
    free(task);
}

bool inbox_put(struct inbox *inbox, struct task *task)
{
    const uint64_t one = 1;
    bool was_empty;

    pthread_mutex_lock(&inbox->lock);
    if (task->length > 0 && inbox->bytes + task->length > INBOX_BYTES_MAX) {
        pthread_mutex_unlock(&inbox->lock);
        return false;
    }
    was_empty = inbox->first == NULL;
    task->next = NULL;
    *inbox->end = task;
    inbox->end = &task->next;
    inbox->bytes += task->length;
    pthread_mutex_unlock(&inbox->lock);
    /* An eventfd takes a 1 unless it was written 2^64 times. */
    if (was_empty && write(inbox->fd, &one, sizeof(one)) < 0)
        abort();
    return true;
}

struct task *inbox_take(struct inbox *inbox)
{
    struct task *first;
    uint64_t woken;

    /* Before the queue is looked at: what is put after that wakes again. */
    if (read(inbox->fd, &woken, sizeof(woken)) < 0 && errno != EAGAIN)
        abort();
    pthread_mutex_lock(&inbox->lock);
    first = inbox->first;
    inbox->first = NULL;
    inbox->end = &inbox->first;
    inbox->bytes = 0;
    pthread_mutex_unlock(&inbox->lock);
    return first;
}
