#include "cli/up_log.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 4096

void up_log_init(struct up_log *log, size_t room_max)
{
    *log = (struct up_log){.room_max = room_max};
}

void up_log_release(struct up_log *log)
{
    free(log->bytes);
    log->bytes = NULL;
}

/* The byte at a position stands at position % room. */
static size_t copy_out(const struct up_log *log, uint64_t at, uint8_t *bytes, size_t size)
{
    size_t from = (size_t)(at % log->room);
    size_t first = log->room - from < size ? log->room - from : size;

    memcpy(bytes, log->bytes + from, first);
    memcpy(bytes + first, log->bytes, size - first);
    return size;
}

static void copy_in(struct up_log *log, const uint8_t *bytes, size_t size)
{
    size_t to = (size_t)(log->end % log->room);
    size_t first = log->room - to < size ? log->room - to : size;

    memcpy(log->bytes + to, bytes, first);
    memcpy(log->bytes, bytes + first, size - first);
    log->end += size;
}

static bool grow(struct up_log *log, uint64_t wanted)
{
    size_t room = log->room ? log->room : ROOM_FIRST;

    while (room < wanted)
        room *= 2;
    if (room > log->room_max)
        room = log->room_max;
    if (room <= log->room)
        return true;
    struct up_log larger = {malloc(room), room, log->room_max, log->begin, log->begin};
    if (larger.bytes == NULL)
        return log->room > 0;
    for (uint8_t part[ROOM_FIRST]; larger.end < log->end;) {
        uint64_t at = larger.end;
        copy_in(&larger, part, up_log_read(log, &at, part, sizeof part));
    }
    free(log->bytes);
    *log = larger;
    return true;
}

void up_log_write(struct up_log *log, const uint8_t *bytes, size_t size)
{
    uint64_t kept = log->end - log->begin;

    if (kept + size > log->room && !grow(log, kept + size))
        size = 0;
    if (size > log->room) {
        log->end += size - log->room;
        bytes += size - log->room;
        size = log->room;
    }
    if (size > 0)
        copy_in(log, bytes, size);
    if (log->end - log->begin > log->room)
        log->begin = log->end - log->room;
}

size_t up_log_read(const struct up_log *log, uint64_t *at, uint8_t *bytes, size_t room)
{
    if (*at < log->begin)
        *at = log->begin;
    uint64_t left = *at < log->end ? log->end - *at : 0;
    size_t size = left < room ? (size_t)left : room;
    if (size > 0)
        copy_out(log, *at, bytes, size);
    *at += size;
    return size;
}

uint64_t up_log_tail(const struct up_log *log, uint64_t count)
{
    uint64_t at = log->end;

    if (count == 0)
        return at;
    for (; at > log->begin; at--) {
        bool ends_line = log->bytes[(at - 1) % log->room] == '\n';
        if (ends_line && at != log->end && --count == 0)
            break;
    }
    return at;
}
