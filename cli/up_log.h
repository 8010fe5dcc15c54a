/* The last part of what a VM wrote: a ring of bytes, counted from the first one ever. */
#ifndef CN_CLI_UP_LOG_H
#define CN_CLI_UP_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct up_log {
    uint8_t *bytes;
    size_t room, room_max; /* room grows up to the bound as more is written */
    uint64_t end;          /* how much was ever written */
    uint64_t begin;        /* the oldest byte that is still there */
};

void up_log_init(struct up_log *log, size_t room_max);
void up_log_release(struct up_log *log);

/* Adds; what is older than the bound allows is forgotten, and everything when there is no
 * memory. */
void up_log_write(struct up_log *log, const uint8_t *bytes, size_t size);

/* Copies up to `room` bytes from position *at on, which moves behind them; returns how many. A
 * position that is gone moves to the oldest byte first. */
size_t up_log_read(const struct up_log *log, uint64_t *at, uint8_t *bytes, size_t room);

/* Where the last `count` lines begin (a part of a line at the end counts as one). */
uint64_t up_log_tail(const struct up_log *log, uint64_t count);

#endif
