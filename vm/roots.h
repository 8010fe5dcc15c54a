/* Finding the references that the collector starts from: those in frames, globals, tables,
 * element segments, and the host's handles, globals and tables. */
#ifndef CN_VM_ROOTS_H
#define CN_VM_ROOTS_H

#include "vm/heap.h"
#include "vm/thread.h"

/* How far the search has come. */
struct cn_root_cursor {
    enum cn_root_place {
        CN_ROOTS_HANDLES,
        CN_ROOTS_THREADS,
        CN_ROOTS_HOST_GLOBALS,
        CN_ROOTS_HOST_TABLES,
        CN_ROOTS_GLOBALS,
        CN_ROOTS_TABLES,
        CN_ROOTS_ELEMENTS,
        CN_ROOTS_DONE,
    } place;
    const struct cn_handle *handle;
    const struct cn_thread *thread;
    const struct cn_host_global *host_global;
    const struct cn_host_table *host_table;
    bool in_frames;           /* of the thread: the next ones are those that pc and fp say */
    const uint8_t *pc;        /* the return address into the frame at fp */
    const union cn_slot *fp;
    uint32_t switches;
    const struct cn_instance *instance;
    uint32_t index;           /* of the global, table, segment */
    uint64_t at;              /* in the table or segment */
};

void cn_roots_begin(struct cn_root_cursor *cursor, const struct cn_store *store);

/* Marks roots until `work` is used up; true when there are none left. */
bool cn_roots_step(struct cn_root_cursor *cursor, struct cn_store *store, int64_t *work);

#endif
