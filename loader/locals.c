/* Locals of the function that is being typed: their types, and which of those without a default
 * value are set (core 3.4.12: "uninitialized local"). */
#include <string.h>

#include "core/limits.h"
#include "loader/decode.h"

static enum cn_status grow(struct cn_validator *v, void *array, uint32_t *room, uint32_t first,
                           size_t size)
{
    uint32_t more = *room ? *room * 2 : first;
    void *longer = cn_resize(v->allocator, *(void **)array, *room * size, more * size);

    if (longer == NULL)
        return cn_fail_memory(v->reader.error);
    *(void **)array = longer;
    *room = more;
    return CN_OK;
}

/* Adds `count` locals of a type. Only the near ones are written down one by one: a body of few
 * bytes must not cost the work of many locals. */
static enum cn_status add_locals(struct cn_validator *v, uint32_t count, cn_valtype type)
{
    cn_valtype near = cn_valtype_has_default(type) ? type : CN_TYPE_UNSET;

    for (uint32_t i = v->local_count; i < CN_LOCALS_NEAR && i < v->local_count + count; i++)
        v->near_locals[i] = near;
    v->local_count += count;
    if (count == 0)
        return CN_OK;
    if (v->run_count == v->run_room)
        CN_TRY(grow(v, &v->runs, &v->run_room, 64, sizeof *v->runs));
    v->runs[v->run_count++] = (struct cn_local_run){v->local_count, type};
    return CN_OK;
}

/* A new stamp unsets all locals at once. */
static enum cn_status forget_inits(struct cn_validator *v)
{
    enum { LOCALS_MAX = CN_LIMIT_LOCALS + CN_LIMIT_PARAMS };

    v->init_count = 0;
    if (v->stamps == NULL) {
        v->stamps = cn_alloc_array(v->allocator, LOCALS_MAX, sizeof *v->stamps);
        if (v->stamps == NULL)
            return cn_fail_memory(v->reader.error);
    }
    if (++v->stamp == 0) {
        memset(v->stamps, 0, LOCALS_MAX * sizeof *v->stamps);
        v->stamp = 1;
    }
    return CN_OK;
}

enum cn_status cn_read_locals(struct cn_validator *v, uint32_t *declared)
{
    struct cn_reader *reader = &v->reader;
    uint64_t total = 0, start = cn_reader_offset(reader);
    uint32_t runs;
    bool has_unset = false;

    v->run_count = 0;
    v->init_count = 0;
    v->local_count = v->type->param_count;
    for (uint32_t i = 0; i < v->local_count && i < CN_LOCALS_NEAR; i++)
        v->near_locals[i] = cn_functype_params(v->type)[i];
    CN_TRY(cn_read_count(reader, UINT32_MAX, 2, "runs of locals", &runs));
    for (uint32_t i = 0; i < runs; i++) {
        uint32_t count;
        cn_valtype type;
        CN_TRY(cn_read_u32(reader, &count));
        CN_TRY(cn_read_valtype(v->module, reader, &type));
        total += count;
        has_unset = has_unset || !cn_valtype_has_default(type);
        if (total <= CN_LIMIT_LOCALS)
            CN_TRY(add_locals(v, count, type));
    }
    if (total > CN_LIMIT_LOCALS)
        return cn_fail(reader->error, total > UINT32_MAX ? CN_MALFORMED : CN_TOO_LARGE, start,
                       "too many locals: found %llu, at most %u are supported",
                       (unsigned long long)total, CN_LIMIT_LOCALS);
    *declared = (uint32_t)total;
    return has_unset ? forget_inits(v) : CN_OK;
}

static cn_valtype type_of_local(const struct cn_validator *v, uint32_t index)
{
    uint32_t low = 0, high = v->run_count - 1;

    if (index < v->type->param_count)
        return cn_functype_params(v->type)[index];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index < v->runs[middle].end)
            high = middle;
        else
            low = middle + 1;
    }
    return v->runs[low].type;
}

enum cn_status cn_read_local(struct cn_validator *v, uint32_t *index, cn_valtype *type)
{
    uint64_t offset = cn_reader_offset(&v->reader);

    CN_TRY(cn_read_u32(&v->reader, index));
    if (*index >= v->local_count)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "unknown local %u: the function has %u locals, parameters included",
                       *index, v->local_count);
    *type = type_of_local(v, *index);
    return CN_OK;
}

static bool must_be_set(const struct cn_validator *v, uint32_t index, cn_valtype type)
{
    return index >= v->type->param_count && !cn_valtype_has_default(type);
}

enum cn_status cn_check_local_is_set(struct cn_validator *v, uint32_t index, cn_valtype type)
{
    char text[CN_TYPE_TEXT];

    if (!must_be_set(v, index, type) || v->stamps[index] == v->stamp)
        return CN_OK;
    return cn_reject(v, CN_INVALID, "uninitialized local %u: %s has no default value", index,
                     cn_type_text(type, text));
}

enum cn_status cn_mark_local_set(struct cn_validator *v, uint32_t index, cn_valtype type)
{
    if (!must_be_set(v, index, type) || v->stamps[index] == v->stamp)
        return CN_OK;
    if (v->init_count == v->init_room)
        CN_TRY(grow(v, &v->inits, &v->init_room, 64, sizeof *v->inits));
    v->inits[v->init_count++] = index;
    v->stamps[index] = v->stamp;
    if (index < CN_LOCALS_NEAR)
        v->near_locals[index] = type;
    return CN_OK;
}

void cn_unset_locals(struct cn_validator *v, uint32_t init_height)
{
    while (v->init_count > init_height) {
        uint32_t index = v->inits[--v->init_count];
        v->stamps[index] = 0;
        if (index < CN_LOCALS_NEAR)
            v->near_locals[index] = CN_TYPE_UNSET;
    }
}
