/* Exceptions on their way (core 4.2.11): an exception is an object of the heap (vm/heap.h). */
#ifndef CN_VM_EXCEPTION_H
#define CN_VM_EXCEPTION_H

#include "vm/heap.h"
#include "vm/thread.h"

/* A handler left with CN_STOP_THROW: makes the exception that the thread is to throw, unless it
 * is thrown again. False when the heap has to be collected first: then the instruction is
 * executed again. */
bool cn_thread_throw(struct cn_thread *thread);

/* Looks for a handler, frame by frame; each costs a unit of fuel. CN_STOP_DONE: the thread stands
 * at one. CN_STOP_FUEL: goes on when there is more. CN_STOP_TRAP: there is none. */
enum cn_stop cn_thread_unwind(struct cn_thread *thread);

#endif
