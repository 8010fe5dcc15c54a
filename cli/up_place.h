/* The control socket's file: one host at a time, and none is left behind. */
#ifndef CN_CLI_UP_PLACE_H
#define CN_CLI_UP_PLACE_H

#include "cli/place.h"

struct up_place {
    char path[CLI_PLACE_MAX];
    char lock_path[CLI_PLACE_MAX + 8];
    int folder, lock, socket; /* -1 while there is none */
};

/* Takes the path, instead of a host that was killed; false after one line on stderr when one
 * lives there. */
bool up_place_take(struct up_place *place, const char *given);
/* The file in which a VM's disk books outlive it, and a host that was killed; -1 with errno. It is
 * removed with the VM, or by up_place_leave. */
int up_place_ledger(const struct up_place *place, const char *vm);
void up_place_forget_ledger(const struct up_place *place, const char *vm);

/* Removes what was made. */
void up_place_leave(struct up_place *place);

#endif
