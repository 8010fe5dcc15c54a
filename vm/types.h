/* Canonical numbers for function types within one store: structurally equal types get equal
 * numbers, so that call_indirect compares two integers. */
#ifndef CN_VM_TYPES_H
#define CN_VM_TYPES_H

#include "core/alloc.h"
#include "core/module.h"
#include "core/status.h"

struct cn_type_registry;

/* CN_NO_MEMORY is the only failure of all functions here. */
CN_CHECKED enum cn_status cn_types_new(struct cn_allocator allocator,
                                       struct cn_type_registry **result);
void cn_types_free(struct cn_type_registry *types);

/* The number of the type. The registry keeps the pointer: the type must outlive it, or be taken
 * out by cn_types_forget. */
CN_CHECKED enum cn_status cn_types_number(struct cn_type_registry *types,
                                          const struct cn_functype *type, uint32_t *number);

uint32_t cn_types_count(const struct cn_type_registry *types);

/* Takes out the types numbered `count` and above, and gives back exactly the memory that was
 * taken for them. */
void cn_types_forget(struct cn_type_registry *types, uint32_t count);

#endif
