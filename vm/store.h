/* What the files that build a store share. */
#ifndef CN_VM_STORE_H
#define CN_VM_STORE_H

#include "vm/instance.h"

/* What the host has made for modules to import: lists that belong to the store. */
struct cn_host_memory {
    struct cn_host_memory *next;
    struct cn_memory memory;
};

struct cn_host_table {
    struct cn_host_table *next;
    struct cn_table table;
};

struct cn_host_global {
    struct cn_host_global *next;
    struct cn_global global;
};

/* CN_NO_MEMORY with a text: what asked for memory, how much, and what the quota leaves. */
enum cn_status cn_store_no_room(const struct cn_store *store, struct cn_error *error,
                                const char *what, uint64_t bytes);

/* Gives back everything that the instance owns; half-built ones are fine. */
void cn_instance_free(struct cn_instance *instance);

/* Writes the active segments in order, elements first; what was written before a failure stays
 * (core 4.5.4). Drops active and declarative ones. *escaped is set when a function may stand in
 * a table that is not the instance's own. */
CN_CHECKED enum cn_status cn_segments_write(struct cn_instance *instance, bool *escaped,
                                            struct cn_error *error);

/* Maps and charges the minimum; `memory` is zeroed before. The text names `number`. */
CN_CHECKED enum cn_status cn_memory_init(struct cn_store *store, struct cn_memory *memory,
                                         const struct cn_memory_type *type, uint32_t number,
                                         struct cn_error *error);
void cn_memory_release(struct cn_store *store, struct cn_memory *memory);
/* Wipes and gives back `most` bytes of its end, or all that there are; true when nothing is left.
 * Nothing of the guest's may run any more. */
bool cn_memory_give_back(struct cn_store *store, struct cn_memory *memory, uint64_t most);

/* As above; all elements are null. */
CN_CHECKED enum cn_status cn_table_init(struct cn_store *store, struct cn_table *table,
                                        const struct cn_table_type *type, uint32_t number,
                                        struct cn_error *error);
void cn_table_release(struct cn_store *store, struct cn_table *table);
/* As cn_memory_give_back. */
bool cn_table_give_back(struct cn_store *store, struct cn_table *table, uint64_t most);

#endif
