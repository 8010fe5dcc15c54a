#include "host/alarm.h"

#include "core/alloc.h"

enum cn_status cn_alarms_reserve(struct cn_alarms *alarms, uint32_t count)
{
    size_t size = sizeof *alarms->seats;

    if (count <= alarms->room)
        return CN_OK;
    uint32_t room = count < 16 ? 16 : count + count / 2;
    void *seats = cn_resize(cn_heap, alarms->seats, alarms->room * size, room * size);
    if (seats == NULL)
        return CN_NO_MEMORY;
    alarms->seats = seats;
    alarms->room = room;
    return CN_OK;
}

void cn_alarms_release(struct cn_alarms *alarms)
{
    cn_free(cn_heap, alarms->seats, alarms->room * sizeof *alarms->seats);
    *alarms = (struct cn_alarms){0};
}

static void place(struct cn_alarms *alarms, uint32_t at, struct cn_seat *seat)
{
    alarms->seats[at] = seat;
    seat->alarm = at;
}

/* Puts the seat where it belongs, at `at` or above it. */
static void rise(struct cn_alarms *alarms, uint32_t at, struct cn_seat *seat)
{
    while (at > 0 && alarms->seats[(at - 1) / 2]->until_ns > seat->until_ns) {
        place(alarms, at, alarms->seats[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(alarms, at, seat);
}

/* The same, at `at` or below it. */
static void sink(struct cn_alarms *alarms, uint32_t at, struct cn_seat *seat)
{
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child + 1 < alarms->count &&
            alarms->seats[child + 1]->until_ns < alarms->seats[child]->until_ns)
            child++;
        if (child >= alarms->count || alarms->seats[child]->until_ns >= seat->until_ns)
            break;
        place(alarms, at, alarms->seats[child]);
        at = child;
    }
    place(alarms, at, seat);
}

void cn_alarm_set(struct cn_alarms *alarms, struct cn_seat *seat)
{
    rise(alarms, alarms->count++, seat);
}

void cn_alarm_clear(struct cn_alarms *alarms, struct cn_seat *seat)
{
    uint32_t at = seat->alarm;

    if (at == CN_NO_ALARM)
        return;
    seat->alarm = CN_NO_ALARM;
    struct cn_seat *last = alarms->seats[--alarms->count];
    if (last == seat)
        return;
    if (at > 0 && alarms->seats[(at - 1) / 2]->until_ns > last->until_ns)
        rise(alarms, at, last);
    else
        sink(alarms, at, last);
}
