/* One life of a VM: what the pool does of it. */
#ifndef CN_CLI_UP_LIFE_H
#define CN_CLI_UP_LIFE_H

#include "cli/up.h"

/* Reads the module, loads it and makes the VM, or starts a process that will do so; on failure
 * error says why. */
void up_life_make(struct up_life *life);
/* Runs it on the host's workers; host->done is woken when it is made and when it has ended. False
 * with the error. */
bool up_life_start(struct up_life *life);
/* Whether there is something that can be started; its control. */
bool up_life_is_made(const struct up_life *life);
cordon_ctl_t *up_life_ctl(const struct up_life *life);
/* Waits until no worker uses the VM any more, and frees everything but the life itself. */
void up_life_free(struct up_life *life);

/* The same where it is a process: up_cell.c. */
void up_cell_make(struct up_life *life);
bool up_cell_start(struct up_life *life);

/* How it ended, for people: "exit code 3", "trap: ...". */
const char *up_end_text(const cordon_result_t *result, char *text, size_t size);

#endif
