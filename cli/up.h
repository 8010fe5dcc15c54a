/* The host that `cordon up` is: its VMs, and who talks to it. One thread and its event loop own
 * all of this; VMs run on the workers of cordon_host_start, and what may take long (loading a
 * module, freeing a VM) is done by the loop's pool. */
#ifndef CN_CLI_UP_H
#define CN_CLI_UP_H

#include <jansson.h>
#include <stdatomic.h>
#include <uv.h>

#include "cli/up_log.h"
#include "cli/up_module.h"
#include "cli/up_place.h"
#include "cli/up_spec.h"

#define UP_CONTROL_VERSION 1
#define UP_ENDED_MAX 100 /* VMs that were asked for by `run --detach` and have ended: kept */

/* The rows of control.def. */
enum up_state {
#define STATE(name, ...) UP_##name,
#define REQUEST(...)
#define REFUSAL(...)
#include "spec/control.def"
#undef REFUSAL
#undef REQUEST
#undef STATE
    UP_STATE_COUNT
};

struct up_host;
struct up_conn;

/* One life of a VM: made, run and freed, partly by other threads. It is a VM of this process
 * (handle), or a process (cell); neither when it could not be made: error. */
struct up_life {
    struct up_vm *vm;
    uv_work_t work;
    struct up_loaded loaded; /* its module */
    cordon_vm_t *handle;
    cordon_cell_t *cell;
    int pid, socket; /* of the cell's process */
    cordon_error_t error;
    int error_code; /* what `cordon run` would exit with for it */
    cordon_result_t result;
    uint64_t given[CORDON_QUOTA_COUNT]; /* the limits that it was made with */
    _Atomic bool is_made; /* a cell's process has made it */
    _Atomic bool is_done; /* set by the worker that gave it its last turn */
    bool is_started;
};

struct up_vm {
    struct up_vm *next; /* in the order in which they were asked for */
    struct up_host *host;
    struct up_spec spec;
    cordon_config_t *config;
    uint16_t *ports;
    enum up_state state;
    bool is_detached, is_paused, is_killed; /* killed: by somebody; it is not started again */
    bool is_told_to_end;                    /* by the host, which ends */
    bool is_leaving;                        /* its handles are being closed, then it is freed */
    int handles;                            /* that are open */
    struct up_life *life;
    uint64_t started_ns, restarts;
    uint32_t failures; /* in a row: for the back-off */
    cordon_stats_t stats; /* of the last life */
    uint64_t cpu_seen_ns, cpu_seen_at_ns; /* for the present rate */
    uint32_t millicores;
    cordon_result_t end; /* of the last life; its message also when there was none */
    struct up_log log;
    int log_write; /* the end of the pipe that the guest writes to */
    uv_pipe_t pipe;
    uv_timer_t timer; /* until it is started again */
    struct up_conn *asked; /* waits to hear that it has started */
};

struct up_host {
    uv_loop_t *loop;
    cordon_host_t *cordon;
    cordon_linker_t *linker;
    struct up_modules modules;
    struct up_vm *vms, **last;
    uint32_t vm_count, live_count; /* live: not ended */
    struct up_conn *conns;
    uint32_t conn_count;
    const struct up_place *place;
    const struct cli_store *store; /* of private volumes */
    int listener, nothing; /* the socket; /dev/null */
    uint64_t started_ns;
    uv_poll_t accept;
    uv_async_t done;    /* a VM has ended */
    uv_timer_t sampler; /* of CPU rates */
    uv_timer_t linger;  /* for a host in the background: until it ends */
    uv_signal_t signals[3];
    struct up_metrics *metrics;
    bool has_freed; /* VMs, since memory was last given back */
    bool is_quiet, stays, has_failed;
    bool is_told_to_stop;        /* by `cordon down` */
    bool is_stopping, is_urgent; /* urgent: told so twice */
    uint64_t linger_ms;
};

uint64_t up_now_ns(void);

/* A line about what happened, on stderr. */
void up_say(const struct up_host *host, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ------------------------------------------------------------------ VMs: up_vm.c */

/* Adds a VM and starts it. The spec is taken over (left empty). NULL with an error. */
struct up_vm *up_vm_add(struct up_host *host, struct up_spec *spec, bool is_detached,
                        cordon_error_t *error);
struct up_vm *up_vm_named(const struct up_host *host, const char *name);
bool up_vm_is_live(const struct up_vm *vm);
/* Reads what the guest wrote and is still in the pipe. */
void up_vm_drain(struct up_vm *vm);
void up_vm_kill(struct up_vm *vm, int signal);
void up_vm_pause(struct up_vm *vm, bool paused);
/* Changes quotas, all or none: `mask` has a bit for each. Otherwise the one that cannot be. */
bool up_vm_set(struct up_vm *vm, uint64_t mask, const uint64_t *values, cordon_quota_t *refused);
void up_vm_stats(struct up_vm *vm, cordon_stats_t *stats);
/* What the loop does when VMs have ended, and when it is time to look at CPU rates. */
void up_vms_reap(struct up_host *host);
void up_vms_sample(struct up_host *host);
/* Kills all, the last one first; the host ends when they have. */
void up_host_stop(struct up_host *host);
/* Called when something has ended: whether that was the last of it. */
void up_host_check(struct up_host *host);

/* ------------------------------------------------------------------ talking: up_serve.c */

bool up_serve_start(struct up_host *host);
void up_serve_stop(struct up_host *host);
/* Accepts again, if that had stopped for want of descriptors. */
void up_serve_again(struct up_host *host);
/* To whoever asked for the VM with `run`: it has started, or not. */
void up_serve_started(struct up_vm *vm, const char *failure);
/* Wakes those who follow its log. */
void up_serve_log(struct up_vm *vm);
/* Nobody may remember it any more. */
void up_serve_forget(struct up_vm *vm);

/* ------------------------------------------------------------------ figures: up_figures.c */

const char *up_state_name(enum up_state state);
json_t *up_figures_ps(struct up_vm *vm);
json_t *up_figures_stats(struct up_vm *vm);
/* All figures in the text format of Prometheus, to be freed; NULL when there is no memory. */
char *up_figures_metrics(struct up_host *host, size_t *size);

/* ------------------------------------------------------------------ metrics: up_metrics.c */

bool up_metrics_start(struct up_host *host, const char *address);
void up_metrics_stop(struct up_host *host);

#endif
