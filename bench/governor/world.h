/* What the governor's measurements share: a host with workers, VMs on it, and arithmetic. */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "include/cordon.h"

#define MS 1000000ull
#define SECOND 1000000000ull
#define VMS_MAX 1024

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    uint32_t workers;
    cordon_module_t *modules[VMS_MAX]; /* of each VM; NULL for one that was loaded before */
    cordon_vm_t *vms[VMS_MAX];
    uint32_t count;
};

/* Ends the program with a message when anything fails: there is nothing to measure then. */
void world_init(struct world *world, uint32_t workers);
void world_release(struct world *world);
/* Adds a VM and starts it; returns its number. Rates in thousandths of a core. */
uint32_t add_vm(struct world *world, const char *guest, uint64_t weight, uint64_t limit,
                uint64_t reserve);

/* Kills it and waits until it is freed; its number is not used again. */
void remove_vm(struct world *world, uint32_t vm);

uint64_t now_ns(void);
void sleep_ns(uint64_t ns);
/* What the VM has used. */
uint64_t cpu_of(const struct world *world, uint32_t vm);
/* What the VM has counted at address 0; only while it is paused or its host is idle exactly. */
uint64_t counted_by(const struct world *world, uint32_t vm);

/* Of `count` values, sorted in place: the part of them, 0 to 1, that is at most the result. */
uint64_t quantile(uint64_t *values, uint32_t count, double part);

/* What an undisturbed thread gets of a core: the least that was seen in slots of 100 ms, and the
 * mean, while it runs. */
struct spinner {
    double mean, least;
};
void spinner_start(void);
struct spinner spinner_stop(void);

/* One line of the table, and of the JSON file. `goal` is words. */
void report(const char *measure, const char *goal, bool is_reached, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
