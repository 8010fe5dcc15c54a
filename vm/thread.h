/* One guest execution: a stack of frames and where it stands. A thread can stop at any
 * safepoint by returning from cn_thread_run, and its whole state is data: nothing of the guest
 * is ever on the C stack.
 */
#ifndef CN_VM_THREAD_H
#define CN_VM_THREAD_H

#include "core/code.h"
#include "core/error.h"
#include "vm/instance.h"

/* Why cn_thread_run came back. */
enum cn_stop {
    CN_STOP_DONE,       /* the function returned: results in thread->stack[0...] */
    CN_STOP_FUEL,       /* the slice is used up (fuel < the next block's cost): go on later */
    CN_STOP_PARKED,     /* a host call waits: run again after cn_thread_wake; or the guest itself
                         * does, where thread->sleeper says so: run again when it is not asleep */
    CN_STOP_YIELD,      /* a host call or a collection wants to go on: run again some time */
    CN_STOP_NEEDS_CODE, /* thread->needs is to be translated and installed: then run again */
    CN_STOP_TRAP,       /* thread->error.status is the TRAP row */
    CN_STOP_EXITED,     /* the guest called an exit: thread->exit_code */
    CN_STOP_FAILED,     /* a host call failed for good: thread->error */

    /* Between handlers and cn_thread_run alone: it deals with these and goes on. */
    CN_STOP_HOST_CALL,
    CN_STOP_TAIL_CALL,
    CN_STOP_SWITCH_BACK,
    CN_STOP_THROW,
    CN_STOP_STACK,
    CN_STOP_COLLECT,
};

/* State of one host call between its tries; the shim decides what the words mean. */
struct cn_call_state {
    uint64_t words[4];
};

/* A frame of the stopped thread, innermost first. */
struct cn_frame {
    const struct cn_instance *instance;
    const struct cn_funcode *code;
    uint32_t offset;            /* in the function's register code: inside the instruction where
                                 * the frame stands, or the call that it waits for */
};

/* Frames that are remembered of where an exception was thrown. */
#define CN_THROWN_FRAMES 16

/* What the collector has to know of a thread. */
enum cn_thread_state {
    CN_THREAD_IDLE, /* nothing of it lives: not called yet, trapped, exited */
    CN_THREAD_RUNS, /* in the middle of a call */
    CN_THREAD_DONE, /* the results stand in stack[0...] */
};

struct cn_thread {
    /* What the handlers use, first, so that offsets are small. */
    int64_t fuel;               /* left in this slice; a block that costs more is not entered */
    union cn_slot *stack_end;
    struct cn_instance *instance;
    struct cn_global **globals; /* of the current instance, as are the next four */
    struct cn_table **tables;
    struct cn_func **funcs;
    uint32_t *type_ids;
    struct cn_memory *memory;   /* memory 0, or an empty one */
    uint64_t memory_size;       /* memory->size, for builds without a register for it */

    /* Where it stands while it is not running. */
    const uint8_t *pc;
    union cn_slot *fp;
    uint64_t r0, r1;
    double f0;
    float g0;
    uint64_t pending;           /* fuel to be paid before pc may be executed */
    uint64_t wanted;            /* fuel that the instruction at pc itself will take */
    int stop;                   /* enum cn_stop, written by handlers that leave */
    enum cn_status trap;
    uint64_t trap_number;       /* which element is uninitialized */

    struct cn_store *store;
    struct cn_thread *next, **link; /* in the store */
    enum cn_thread_state state;
    const struct cn_func *called; /* by cn_thread_call */
    union cn_slot *stack;
    size_t stack_size;          /* bytes that it may have */
    size_t stack_room;          /* and that there is address space for */
    size_t stack_mapped;        /* and that it has: stack_end is not after it */
    bool lacks_memory;          /* that is why it did not grow, not its size */
    const struct cn_funcode *needs;
    struct cn_func *host_call;  /* the host function being called, or NULL */
    union cn_slot *host_slots;
    struct cn_tag *throw_tag;   /* of the exception to be made, or NULL */
    const union cn_slot *throw_values;
    struct cn_exception *thrown; /* on its way to a handler: fp is the frame to be looked at */
    struct cn_frame thrown_frames[CN_THROWN_FRAMES]; /* where it was thrown */
    uint32_t thrown_frame_count;
    uint32_t tail_header;       /* header slot of the frame that a tail call replaces */
    bool host_call_tried;       /* the call has been made and has to be made again */
    bool is_tail_call;          /* the host call replaces its caller's frame */
    bool stops_at_host_call;    /* CN_STOP_YIELD before the next one is made, and then no more */
    struct cn_call_state call_state;
    struct cn_table *growing;   /* table.grow is under way: it is filled up to grown_to */
    uint32_t grown_to;
    struct cn_switch *switches; /* instances to come back to after calls between instances */
    uint32_t switch_count, switch_room;
    struct cn_sleeper sleeper;  /* what it waits for in memory.atomic.wait */
    int exit_code;
    struct cn_error error;
    void *user;                 /* the layer above: whose thread this is */
    /* Called after every finished host call, unless NULL: fuel does not say how long those take,
     * so the layer above may end the slice by taking thread->fuel away. */
    void (*on_host_call)(void *context, struct cn_thread *thread);
    void *on_host_call_context;
};

/* A thread with a stack of that many bytes at most; what is in
 * use of it is charged to MEMORY, from 64 KiB on, doubling. */
CN_CHECKED enum cn_status cn_thread_new(struct cn_store *store, size_t stack_size,
                                        struct cn_thread **result);
void cn_thread_free(struct cn_thread *thread);
/* Another limit for its stack: below what is in use it does not grow any more; above the address
 * space that it has (1 GiB, or what it was made with if that was more) it ends there. */
void cn_thread_limit_stack(struct cn_thread *thread, uint64_t size);
/* Wipes and gives back `most` bytes of its stack, or all that there are; true when nothing is left.
 * It can only be freed then. */
bool cn_thread_give_back(struct cn_thread *thread, size_t most);

/* Prepares a call: copies the arguments and sets the thread before the function's first
 * instruction. The thread must not be in the middle of another one. */
CN_CHECKED enum cn_status cn_thread_call(struct cn_thread *thread, struct cn_func *func,
                                         const union cn_slot *arguments);

/* Runs until something in enum cn_stop happens. `slice` is the fuel that may be used now; on
 * return thread->fuel is what is left of it (never below 0: what was not paid was not run). */
enum cn_stop cn_thread_run(struct cn_thread *thread, int64_t slice);

/* The least slice with which the thread can take one more step. A run with just this stops at
 * the next safepoint. */
static inline uint64_t cn_thread_due(const struct cn_thread *thread)
{
    return thread->pending + thread->wanted;
}

/* The thread's view of its instance, taken anew: after growth, a host call, or a call between
 * instances. */
void cn_thread_enter(struct cn_thread *thread, struct cn_instance *instance);

/* Up to `max` frames, innermost first; returns how many were written. Valid after a trap, an
 * exit or any suspension. */
uint32_t cn_thread_frames(const struct cn_thread *thread, struct cn_frame *frames, uint32_t max);

/* The function in which the innermost frame stands, or NULL. */
const struct cn_funcode *cn_thread_code_at(const struct cn_thread *thread);

#endif
