/* What the governor's measurements share: a host with workers, VMs on it, and arithmetic. */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "include/cordon.h"

#define MS 1000000ull
#define SECOND 1000000000ull
#define UNLIMITED CORDON_UNLIMITED
#define VMS_MAX 2048

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    uint32_t workers;
    cordon_module_t *modules[VMS_MAX]; /* of each VM; NULL for one that was loaded before */
    cordon_vm_t *vms[VMS_MAX];
    uint32_t count;
};

/* Ends the program with a message when anything fails: there is nothing to measure then. The
 * control spinner runs from the beginning of a world to its first report. */
void world_init(struct world *world, uint32_t workers);
void world_release(struct world *world);
/* Adds a VM and starts it; returns its number. Rates in thousandths of a core. */
uint32_t add_vm(struct world *world, const char *guest, uint64_t weight, uint64_t limit,
                uint64_t reserve);

/* What else a VM may be given. */
struct given {
    const char *dir;     /* of the host, as "/" and descriptor 3; or NULL */
    uint16_t *port;      /* a listener, as descriptor 3, whose port is written there; or NULL */
    uint64_t timeout_ns; /* 0: none */
    uint64_t stack;      /* bytes; 0: as usual */
    bool has_all_quotas; /* each of them is set, and none is ever met */
};
/* A VM with that and weight 100, which start_vm starts. */
uint32_t make_vm(struct world *world, const char *guest, const struct given *given);
void start_vm(struct world *world, uint32_t vm);

/* Kills it and waits until it is freed; its number is not used again. */
void remove_vm(struct world *world, uint32_t vm);

/* A directory that is removed when the program ends, with the file "f" in it. */
const char *own_folder(void);

uint64_t now_ns(void);
void sleep_ns(uint64_t ns);
/* What the VM has used. */
uint64_t cpu_of(const struct world *world, uint32_t vm);
/* What the VM has counted at address 0; only while it is paused or its host is idle exactly. */
uint64_t counted_by(const struct world *world, uint32_t vm);

/* Of `count` values, sorted in place: the part of them, 0 to 1, that is at most the result. */
uint64_t quantile(uint64_t *values, uint32_t count, double part);

/* What an undisturbed thread gets of a core: the mean of its bursts of 2 ms in 50, and the least,
 * while it runs. The last figures are kept when it has stopped. */
struct spinner {
    double mean, least;
};
void spinner_start(void);
struct spinner spinner_stop(void);

/* One line of the table, and of the JSON file. `goal` is words. What the control got stands beside
 * the result. */
void report(const char *measure, const char *goal, bool is_reached, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
