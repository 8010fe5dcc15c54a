/* The threads of one guest: its first one, and those that it spawns (wasi-threads). At most one of
 * them runs at a time, in turns; so no data race of the guest's reaches C. A spawned one has an
 * instance of its own, which shares the imported memory, as the interface wants it. */
#ifndef CN_HOST_TASK_H
#define CN_HOST_TASK_H

#include "vm/thread.h"

struct cn_vm;

struct cn_task {
    struct cn_task *next;          /* all of a VM's, in a ring */
    struct cn_thread *thread;
    struct cn_instance *instance;  /* its own; NULL for the first */
    struct cn_func *entry;         /* what it calls after the module's start function, or NULL */
    union cn_slot arguments[2];
    bool is_parked;                /* its host call waits for the wait set */
};

/* The host function `wasi.thread-spawn`, (i32) -> i32; `vm` is a struct cn_vm. The result is the
 * thread's number, or below 0: -6 when a quota stands against one more, -52 when the module is not
 * made for threads. */
enum cn_status cn_task_spawn(struct cn_thread *thread, void *vm, union cn_slot *slots);

/* The task in hand has returned: it begins its next call, or is taken away; false when it was the
 * guest's first one, whose return is the program's. */
bool cn_task_returned(struct cn_vm *vm);

/* The task whose turn is next becomes the one in hand. False when all of them wait: *until_ns is
 * the earliest moment at which one does not, and vm->parked_count says how many wait for the wait
 * set. */
bool cn_task_next(struct cn_vm *vm, uint64_t *until_ns);
/* Whether any of them could run now; the same. */
bool cn_task_any_ready(struct cn_vm *vm, uint64_t *until_ns);

/* Ends and frees one, not the first; false when there is none. */
bool cn_task_drop_one(struct cn_vm *vm);

#endif
