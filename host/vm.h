/* One virtual machine: a store, a thread and a WASI context that share an account, and the loop
 * that runs them in slices under the quotas.
 *
 * The layer above makes the parts and joins them; this layer decides when the guest runs, when
 * it waits, and when it ends. One thread at a time, but for what says otherwise.
 */
#ifndef CN_HOST_VM_H
#define CN_HOST_VM_H

#include <pthread.h>
#include <stdatomic.h>

#include "governor/bucket.h"
#include "governor/pace.h"
#include "host/pend.h"
#include "host/pool.h"
#include "host/task.h"
#include "shim/wasi.h"
#include "vm/nest.h"

/* How a run ended. */
enum cn_end_kind {
    CN_END_NONE,    /* it has not */
    CN_END_DONE,    /* the function returned */
    CN_END_EXIT,    /* the guest called proc_exit */
    CN_END_TRAP,
    CN_END_QUOTA,   /* vm->end.quota ran out and could not be refused */
    CN_END_KILLED,  /* cn_vm_kill; vm->end.signal says by what */
    CN_END_FAILED,  /* Cordon could not go on: vm->end.error */
};

struct cn_end {
    enum cn_end_kind kind;
    enum cn_quota quota;
    int exit_code;  /* of proc_exit */
    int signal;
    struct cn_error error;
};

/* Translates function `func` of the program when the guest calls it for the first time. */
typedef enum cn_status (*cn_translate_fn)(void *context, struct cn_program *program,
                                          uint32_t func, struct cn_error *error);

/* What a VM has used, at some moment. */
struct cn_figures {
    struct cn_account account;
    uint64_t wall_ns, cpu_ns;
    bool is_held; /* it is paused, all its threads at safepoints */
    struct cn_wasi_stats wasi;
};

/* A step (host/step.h): what it has left, and what stands between steps. */
struct cn_step {
    bool is_under_way, is_untimed;
    bool is_used_up;     /* it has ended because its fuel did */
    bool keeps_turn;     /* the task in hand goes on with what is left of its turn */
    uint64_t left, kept; /* fuel: of this step, and of the last one for the next */
    uint64_t owed;       /* used beyond steps where nothing can stop: beneath host functions */
    uint64_t turn_left;  /* of the turn of the task in hand */
};

struct cn_vm {
    struct cn_account account;
    struct cn_store *store;
    struct cn_task first_task;     /* of a ring: the guest's threads */
    struct cn_task *task;          /* the one in hand */
    struct cn_thread *thread;      /* its thread: whatever ended the VM, it was this one's doing */
    uint32_t parked_count;         /* tasks that are parked */
    uint32_t last_tid;
    struct cn_nest nest;           /* calls from within host functions of the task in hand */
    uint32_t end_depth;            /* of these, how many there were when one of them ended the VM */
    struct cn_instance *instance;
    struct cn_extern *externs;     /* what it was joined to, for instances of threads */
    bool refuses_threads;          /* others could keep references to functions of theirs */
    struct cn_wasi *wasi;          /* may be NULL */

    cn_translate_fn translate;
    void *translate_context;
    bool preempt_everywhere;       /* test mode: stop at every safepoint */

    struct cn_bucket bucket;
    uint64_t cpu_charged_ns;       /* of the VM's CPU time, what the bucket has seen */
    struct cn_pace pace;
    uint64_t slice_ns;             /* how long the present turn should be */
    uint64_t slice_end_ns;         /* wall clock: when host calls end the present slice */
    int64_t part_fuel;             /* what the thread was given last, and */
    int64_t withheld_fuel;         /* what of it was taken away, as host calls end the slice */
    int64_t unseen_fuel;           /* beneath host functions: left until the clocks are looked at */
    uint64_t wall_start_ns;        /* clock when the VM was made */
    uint64_t wall_end_ns;          /* and when the last run ended; 0 while one is under way */
    uint64_t cpu_start_ns;         /* the thread's clock when it began to work for the VM */
    uint64_t cpu_end_ns;           /* and when it last ended to */
    bool has_thread;               /* which works for nobody else: what lies between counts, too */
    uint64_t cpu_before_ns;        /* what was used before that, besides */
    uint64_t brief_fuel;           /* what short calls have used since: cn_vm_call_briefly */
    bool is_working;
    bool is_held;                  /* as of its last turn: see cn_figures */
    struct cn_end end;

    struct cn_seat seat;           /* in `pool`, while it is started */
    struct cn_func *const *calls;  /* of whoever started it */
    uint32_t calls_begun, call_count;
    const union cn_slot *last_arguments; /* of the last of them, or NULL */
    struct cn_step step;
    struct cn_watch *watch;        /* of host/step.h, or NULL */
    void (*ended)(struct cn_vm *vm);
    void (*blocks)(struct cn_vm *vm); /* where another process gives the turns: tells it */
    void *blocks_context;
    struct cn_pends *pends;        /* where calls stand that are answered later, while there are */
    uint32_t first_pend;           /* one of these */
    _Atomic bool is_answered;      /* one of them, since the parked ones were last tried */
    struct cn_waiter *waiter;      /* once something had to wait */
    _Atomic int kill_signal;       /* 0: nobody asked */
    _Atomic bool is_paused;
    _Atomic(struct cn_waiter *) shared_waiter; /* for whoever wants to wake it: one of these */
    _Atomic(struct cn_pool *) pool;
    _Atomic uint64_t asked_limit[CN_QUOTA_COUNT];
    _Atomic uint64_t reserve_taken; /* of the pot, for a reservation that was asked for */
    _Atomic uint32_t asked_limits; /* a bit for each that was asked for and not yet taken */
    pthread_mutex_t lock;          /* of what follows */
    struct cn_figures published;   /* as of the last slice, for other threads */
};

/* Sets the clocks going and the quotas to their defaults. Makes nothing that needs freeing. */
void cn_vm_init(struct cn_vm *vm);

/* What this thread does between the two is charged to the VM as CPU time. cn_vm_call says so
 * itself, and cn_vm_init has said the first: so making a VM counts until cn_vm_leave. */
void cn_vm_enter(struct cn_vm *vm);
void cn_vm_leave(struct cn_vm *vm);

/* Gives back everything that the VM holds, wiped; it may be half made. */
void cn_vm_release(struct cn_vm *vm);
/* The first and longer part of that, until then; true when it is done. From the first time on the
 * VM can only be released. */
bool cn_vm_give_back(struct cn_vm *vm, uint64_t until_ns);

/* Begins a call of a function of the instance: cn_vm_turn (host/turn.h) makes it go on, and
 * cn_vm_finish comes after its end. After another end than DONE nothing runs any more. */
void cn_vm_begin(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments);
void cn_vm_finish(struct cn_vm *vm);
/* cn_vm_begin without the clocks, of a VM that has not ended. */
void cn_vm_begin_call(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments);
/* Begins the next of vm->calls; false when the last one is over, or one has ended otherwise than
 * by returning. */
bool cn_vm_begin_next(struct cn_vm *vm);

/* When a VM without a seat, which waits until then, should look at the latest: what others leave
 * it of the host's memory it is not told. */
uint64_t cn_vm_look_moment(const struct cn_vm *vm, uint64_t until_ns);

/* What it waits with, made when it is first asked for; NULL when descriptors are exhausted. */
struct cn_waiter *cn_vm_waiter(struct cn_vm *vm);

/* Runs a function of the instance to its end on this thread, whatever that is: vm->end says.
 * Results stand in results[0...] when it is CN_END_DONE. */
void cn_vm_call(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments,
                union cn_slot *results);

/* From within a host function that the guest has called: runs a function of its store to the end,
 * beneath the C frames between, which cannot be suspended. So it does not stop when the slice ends
 * (what it takes beyond counts as used all the same), nor for a pause; and what would have to wait
 * traps (CN_TRAP_SUSPEND). Kills, quotas and changed limits are seen at its safepoints, about every
 * 5 us. False when something has ended the VM, as vm->end says, now or before: nothing was or will
 * be run, and the host function should return; then the call of it ends as a trap, or whatever it
 * was. */
bool cn_vm_call_beneath(struct cn_vm *vm, struct cn_func *func, const union cn_slot *arguments,
                        union cn_slot *results);

/* The threads that stood above one another when the VM ended, innermost first: number `level`, or
 * NULL when there are no more. */
const struct cn_thread *cn_vm_end_thread(const struct cn_vm *vm, uint32_t level);

/* The calls that turns of vm->seat make, one after the other, until it has ended; cn_vm_start says
 * so itself. */
void cn_vm_prepare(struct cn_vm *vm, struct cn_func *const *calls, uint32_t count);

/* Calls to be made one after the other; none but the last takes or gives anything. */
struct cn_calls {
    struct cn_func *const *funcs;
    uint32_t count;
    const union cn_slot *arguments; /* of the last; they must stay */
};

/* Gives the VM a seat in the pool, whose workers make the calls until one ends otherwise than by
 * returning; results of the last stand on the thread's stack. The last worker calls `ended`.
 * Meanwhile the VM is the workers': only what says so may be done from other threads. CN_OVER_QUOTA
 * when its reservation cannot be promised; CN_NO_MEMORY. */
CN_CHECKED enum cn_status cn_vm_start(struct cn_vm *vm, struct cn_pool *pool,
                                      const struct cn_calls *calls,
                                      void (*ended)(struct cn_vm *vm));

/* Gives the VM a seat once more, in whose turns it is given back (cn_vm_give_back); then `ended` is
 * called. CN_NO_MEMORY. */
CN_CHECKED enum cn_status cn_vm_tear_down(struct cn_vm *vm, struct cn_pool *pool,
                                          void (*ended)(struct cn_vm *vm));

/* On the VM's thread: it may wait in the kernel now, and others could run meanwhile. `vm` is a
 * struct cn_vm. */
void cn_vm_blocks(void *vm);

/* From any thread, or a signal handler: the guest ends at its next safepoint, or at once when it
 * waits. `signal` is what cn_end reports, above 0. */
void cn_vm_kill(struct cn_vm *vm, int signal);

/* From any thread, while the VM cannot end: a host call of its can go on. */
void cn_vm_go_on(struct cn_vm *vm);

/* From any thread: the guest stops at its next safepoint until resumed. */
void cn_vm_pause(struct cn_vm *vm, bool paused);

/* From any thread: a quota changes before the next slice. CN_OVER_QUOTA when a reservation
 * cannot be promised; nothing changes then. */
CN_CHECKED enum cn_status cn_vm_limit(struct cn_vm *vm, enum cn_quota quota, uint64_t value);
/* The same where another process has promised what there is to be promised. */
void cn_vm_told(struct cn_vm *vm, enum cn_quota quota, uint64_t value);
/* Between slices, on the VM's thread: what was asked for becomes true (false when nothing was),
 * and what was used can be seen by others. */
bool cn_vm_take_limits(struct cn_vm *vm);
void cn_vm_publish(struct cn_vm *vm);

/* What it has used: as of now, for the VM's thread; as of the last slice, for any thread. */
struct cn_figures cn_vm_figures(const struct cn_vm *vm);
struct cn_figures cn_vm_published(struct cn_vm *vm);

/* Time on the clocks so far. */
uint64_t cn_vm_wall_ns(const struct cn_vm *vm);
uint64_t cn_vm_cpu_ns(const struct cn_vm *vm);

#endif
