/* The heap of one store: structures, arrays and exceptions, found and freed by a collector that
 * marks and sweeps and moves nothing.
 *
 * Whatever the heap takes is charged to the VM's MEMORY quota before it is taken. When it is
 * time, an allocation fails: the guest stops at the instruction that asked (CN_STOP_COLLECT in
 * vm/thread.c), the collector works in steps of bounded length, and then the instruction is
 * executed again. No guest of the store runs while a collection is under way, so that reads and
 * writes need no barriers.
 *
 * Marking needs no memory: objects that are found but not looked into yet form a list through
 * their headers.
 */
#ifndef CN_VM_HEAP_H
#define CN_VM_HEAP_H

#include <stdbool.h>

#include "core/code.h"
#include "vm/instance.h"

/* Every object begins so. A reference in a slot is an object's address where its two lowest bits
 * are 0 and it is not null: see cn_ref_object. */
struct cn_object {
    uint32_t type;          /* its number in the store; of an exception that of its tag's type */
    uint32_t length;        /* elements of an array, else 0 */
    struct cn_object *link; /* the collector's: NULL means not found (yet), and is so between
                             * collections; a free cell's next one */
};

/* What a thrown exception is: the values in the order and the slots of the tag's parameters. */
struct cn_exception {
    struct cn_object object;
    struct cn_tag *tag;
    union cn_slot values[];
};

/* The numbers of a reference that is not an object's address: see spec/bytecode.md. */
#define CN_REF_I31_BIT 1u
#define CN_REF_HOST_BITS 2u
#define CN_REF_TAG_BITS 3u

/* The object that a reference of the hierarchies any, extern and exn refers to, or NULL. */
static inline struct cn_object *cn_ref_object(uint64_t reference)
{
    return reference & CN_REF_TAG_BITS ? NULL : (struct cn_object *)(uintptr_t)reference;
}

static inline uint8_t *cn_object_body(struct cn_object *object)
{
    return (uint8_t *)(object + 1);
}

/* A new object of a structure's type, or of a function type: then an exception, whose tag and
 * values are the caller's to write. All its bytes are zero. NULL when the guest has to stop
 * for a collection first, or there is no room. */
struct cn_object *cn_heap_new(struct cn_store *store, uint32_t type);
/* The same of an array. */
struct cn_object *cn_heap_new_array(struct cn_store *store, uint32_t type, uint32_t length);

/* For those who cannot stop for a collection: NULL means that the quota is exhausted. */
struct cn_object *cn_heap_new_now(struct cn_store *store, uint32_t type);
struct cn_object *cn_heap_new_array_now(struct cn_store *store, uint32_t type, uint32_t length);

/* What an allocation costs in fuel, which pays for collecting too. */
uint64_t cn_heap_price(const struct cn_store *store, uint32_t type);
uint64_t cn_heap_price_of_array(const struct cn_store *store, uint32_t type, uint32_t length);

/* ------------------------------------------------------------------ collecting */

/* Whether the quota stands against so many bytes and a collection might help. */
bool cn_heap_may_make_room(const struct cn_store *store, uint64_t bytes);

/* Begins a collection when an allocation has failed. False when one has just been made: then
 * there is really no room. */
bool cn_heap_begin(struct cn_store *store);
static inline bool cn_heap_is_collecting(const struct cn_store *store)
{
    return store->is_collecting;
}
/* Some 100 us of work; true when the collection is finished. */
bool cn_heap_step(struct cn_store *store);
/* Brings a collection that is under way to its end: before anything of the store is changed or
 * looked at from outside. */
static inline void cn_heap_finish(struct cn_store *store)
{
    while (cn_heap_is_collecting(store))
        cn_heap_step(store);
}
/* A whole collection, now; the guest's threads are suspended. */
void cn_store_collect(struct cn_store *store);

struct cn_heap_stats {
    uint64_t live;        /* bytes of objects after the last collection */
    uint64_t allocated;   /* since then */
    uint64_t collections;
    uint64_t steps;
    uint64_t objects;     /* that are there, dead ones included */
};
struct cn_heap_stats cn_heap_stats(const struct cn_store *store);

/* Test mode: a collection before every allocation, and freed memory is overwritten. */
void cn_heap_collect_always(struct cn_store *store, bool always);

/* ------------------------------------------------------------------ roots of the host */

/* Keeps what a reference refers to alive. */
struct cn_handle {
    struct cn_handle *next, **link;
    uint64_t reference;
};
struct cn_handle *cn_handle_new(struct cn_store *store, uint64_t reference);
void cn_handle_free(struct cn_store *store, struct cn_handle *handle);

/* ------------------------------------------------------------------ for vm/store.c, roots.c */

CN_CHECKED enum cn_status cn_heap_open(struct cn_store *store);
void cn_heap_close(struct cn_store *store);
/* Leaves a collection that is under way as it is: from now on the heap can only be given back. */
void cn_heap_abandon(struct cn_store *store);
/* Wipes and gives back one of its blocks, or so many bytes of a large one; true when none is left.
 * Nothing of the guest's will run any more. */
bool cn_heap_give_back(struct cn_store *store, uint64_t most);

/* The collector found a reference of one of the three hierarchies. */
void cn_heap_mark(struct cn_heap *heap, uint64_t reference);

#endif
