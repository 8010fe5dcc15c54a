/* Exceptions (core 4.2.11): what was thrown with which tag, and the values that it carries. */
#ifndef CN_VM_EXCEPTION_H
#define CN_VM_EXCEPTION_H

#include "vm/thread.h"

struct cn_exception {
    struct cn_exception *next, *before; /* in the store */
    const struct cn_tag *tag;
    bool is_shared; /* somebody may hold a reference to it */
    union cn_slot values[]; /* tag->type->param_slots */
};

/* CN_NO_MEMORY when the quota stands against it. It lives as long as the store, unless it is
 * dropped. */
CN_CHECKED enum cn_status cn_exception_new(struct cn_store *store, const struct cn_tag *tag,
                                           const union cn_slot *values,
                                           struct cn_exception **result);
/* Nobody but the caller knows it, unless it is shared: then nothing happens. */
void cn_exception_drop(struct cn_store *store, struct cn_exception *exception);
void cn_exceptions_free(struct cn_store *store);

/* ---------------------------------------------------------------- unwind.c */

/* A handler left with CN_STOP_THROW: makes the exception that the thread is to throw, unless it
 * is thrown again. */
CN_CHECKED enum cn_status cn_thread_throw(struct cn_thread *thread);

/* Looks for a handler, frame by frame; each costs a unit of fuel. CN_STOP_DONE: the thread stands
 * at one. CN_STOP_FUEL: goes on when there is more. CN_STOP_TRAP: there is none. */
enum cn_stop cn_thread_unwind(struct cn_thread *thread);

#endif
