/* The file that `cordon up` reads: spec/config.md. */
#ifndef CN_CLI_UP_FILE_H
#define CN_CLI_UP_FILE_H

#include "cli/up_spec.h"
#include "cli/up_yaml.h"

struct up_plan {
    struct up_spec *vms;
    uint32_t count, room;
    char metrics[80];  /* "ADDRESS:PORT"; "" for none */
    uint32_t workers;  /* 0: one per core */
    uint64_t memory;   /* of all VMs; 0: unlimited */
    struct cli_store store; /* of volumes; its texts are the plan's */
};

#define UP_VMS_MAX 4096

/* Reads the text; relative paths are below `folder`. False with a fault; the plan is to be freed
 * either way. */
bool up_plan_read(struct up_plan *plan, const char *text, size_t size, const char *folder,
                  struct up_fault *fault);
void up_plan_free(struct up_plan *plan);

#endif
