/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that wait: see intake.h. Each is copied once more for each doubling of what is held.
 */
#include "control/stream/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 2048 };

/* 0, or -ENOMEM. */
static int make_room(struct intake *intake, uint32_t need)
{
    uint32_t room = intake->room == 0 ? ROOM_MIN : intake->room;
    char *held;

    if (need <= intake->room)
        return 0;
    while (room < need)
        room *= 2;
    held = realloc(intake->held, room);
    if (held == NULL)
        return -ENOMEM;
    intake->held = held;
    intake->room = room;
    return 0;
}

char *intake_take(struct intake *intake, char *came, uint32_t n, uint32_t *ret_n)
{
    if (intake->held == NULL) {
        *ret_n = n;
        return came;
    }
    if (make_room(intake, intake->n + n) != 0)
        return NULL;
    memcpy(intake->held + intake->n, came, n);
    intake->n += n;
    *ret_n = intake->n;
    return intake->held;
}

int intake_keep(struct intake *intake, const char *from, uint32_t n)
{
    if (n == 0) {
        intake_done(intake);
        return 0;
    }
    if (intake->held == NULL && make_room(intake, n) != 0)
        return -ENOMEM;
    if (from != intake->held)
        memmove(intake->held, from, n);
    intake->n = n;
    return 0;
}

void intake_done(struct intake *intake)
{
    free(intake->held);
    *intake = (struct intake){.held = NULL};
}
