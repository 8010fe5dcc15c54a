#include "vm/segment.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "vm/constexpr.h"
#include "vm/store.h"
#include "vm/types.h"

static enum cn_status evaluate(struct cn_instance *instance, uint32_t segment, uint32_t at,
                               void **result)
{
    const struct cn_element_segment *from = &instance->module->elements[segment];
    union cn_slot value = {.ref = NULL};

    CN_TRY(cn_constexpr_eval(instance, from->exprs[at], instance->module->global_count,
                             from->type, &value));
    *result = value.ref;
    return CN_OK;
}

enum cn_status cn_segment_evaluate(struct cn_instance *instance, uint32_t segment,
                                   struct cn_error *error)
{
    const struct cn_element_segment *from = &instance->module->elements[segment];

    if (from->exprs == NULL || from->count == 0 || !cn_valtype_is_heap_ref(from->type))
        return CN_OK;
    void **values =
        cn_alloc_array(instance->store->allocator, from->count, sizeof *values);
    if (values == NULL)
        return cn_store_no_room(instance->store, error, "elements of a segment",
                                (uint64_t)from->count * sizeof *values);
    instance->element_values[segment] = values;
    for (uint32_t i = 0; i < from->count; i++) {
        enum cn_status status = evaluate(instance, segment, i, &values[i]);
        if (status != CN_OK)
            return cn_fail(error, status, CN_NO_OFFSET, "element %u of segment %u: %s", i,
                           segment, cn_status_text(status));
    }
    return CN_OK;
}

void cn_segment_drop(struct cn_instance *instance, uint32_t segment)
{
    void **values = instance->element_values[segment];

    cn_free(instance->store->allocator, values,
            instance->module->elements[segment].count * sizeof *values);
    instance->element_values[segment] = NULL;
    instance->element_dropped[segment] = true;
}

void *cn_segment_element(struct cn_instance *instance, uint32_t segment, uint32_t at)
{
    const struct cn_element_segment *from = &instance->module->elements[segment];
    void *value = NULL;

    assert(at < from->count);
    if (from->funcs != NULL)
        return instance->funcs[from->funcs[at]];
    if (instance->element_values[segment] != NULL)
        return instance->element_values[segment][at];
    /* One operator that gives a function: needs no memory, and validation has passed it. */
    if (evaluate(instance, segment, at, &value) != CN_OK)
        return NULL;
    return value;
}

static enum cn_status segment_start(const struct cn_instance *instance,
                                    struct cn_constexpr offset, bool is_64,
                                    struct cn_error *error, uint64_t *start)
{
    union cn_slot value;
    enum cn_status status = cn_constexpr_eval(instance, offset, instance->module->global_count,
                                              is_64 ? CN_I64 : CN_I32, &value);

    if (status != CN_OK)
        return cn_fail(error, status, CN_NO_OFFSET, "offset of a segment: %s",
                       cn_status_text(status));
    *start = is_64 ? value.u64 : value.u32;
    return CN_OK;
}

static enum cn_status write_elements(struct cn_instance *instance, uint32_t segment,
                                     struct cn_error *error)
{
    const struct cn_element_segment *from = &instance->module->elements[segment];
    struct cn_table *table = instance->tables[from->table];
    uint64_t start;

    CN_TRY(segment_start(instance, from->offset, cn_table_is_64(table), error, &start));
    if (start > table->size || from->count > table->size - start)
        return cn_fail(error, CN_TRAP_OUT_OF_BOUNDS_TABLE, CN_NO_OFFSET,
                       "out of bounds table access: element segment %u has %u elements for place "
                       "%" PRIu64 " of a table of %u",
                       segment, from->count, start, table->size);
    for (uint32_t i = 0; i < from->count; i++)
        table->elements[start + i] = cn_segment_element(instance, segment, i);
    return CN_OK;
}

static enum cn_status write_data(struct cn_instance *instance, uint32_t segment,
                                 struct cn_error *error)
{
    const struct cn_data_segment *from = &instance->module->datas[segment];
    struct cn_memory *memory = instance->memories[from->memory];
    uint64_t start;

    CN_TRY(segment_start(instance, from->offset, cn_memory_is_64(memory), error, &start));
    if (start > memory->size || from->bytes.size > memory->size - start)
        return cn_fail(error, CN_TRAP_OUT_OF_BOUNDS_MEMORY, CN_NO_OFFSET,
                       "out of bounds memory access: data segment %u has %zu bytes for address "
                       "%" PRIu64 " of a memory of %" PRIu64,
                       segment, from->bytes.size, start, memory->size);
    if (from->bytes.size > 0)
        memcpy(memory->base + start, from->bytes.at, from->bytes.size);
    return CN_OK;
}

enum cn_status cn_segments_write(struct cn_instance *instance, bool *escaped,
                                 struct cn_error *error)
{
    const struct cn_module *module = instance->module;

    for (uint32_t i = 0; i < module->element_count; i++) {
        const struct cn_element_segment *segment = &module->elements[i];
        if (segment->mode != CN_SEGMENT_DECLARATIVE)
            CN_TRY(cn_segment_evaluate(instance, i, error));
    }
    for (uint32_t i = 0; i < module->element_count; i++) {
        const struct cn_element_segment *segment = &module->elements[i];
        if (segment->mode == CN_SEGMENT_PASSIVE)
            continue;
        if (segment->mode == CN_SEGMENT_ACTIVE) {
            CN_TRY(write_elements(instance, i, error));
            if (segment->table < module->imported_table_count && segment->count > 0)
                *escaped = true;
        }
        cn_segment_drop(instance, i);
    }
    for (uint32_t i = 0; i < module->data_count; i++) {
        if (module->datas[i].mode != CN_SEGMENT_ACTIVE)
            continue;
        CN_TRY(write_data(instance, i, error));
        instance->data_dropped[i] = true;
    }
    return CN_OK;
}
