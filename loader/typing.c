/* The stack of types and the stack of blocks. */
#include <string.h>

#include "core/limits.h"
#include "loader/decode.h"

#define STACK_FIRST 1024
#define FRAMES_FIRST 64
#define SPARE 2 /* types that can be pushed without a look */

const char *cn_type_text(cn_valtype type, char text[CN_TYPE_TEXT])
{
    if (type == CN_TYPE_ANY)
        return "any";
    if (type == CN_TYPE_ANY_REF)
        return "ref";
    return cn_valtype_print(type, text, CN_TYPE_TEXT);
}

static enum cn_status grow_stack(struct cn_validator *v, size_t need)
{
    size_t top = (size_t)(v->sp - v->memory);
    size_t floor = (size_t)(v->floor - v->memory);
    size_t size = v->memory_size ? v->memory_size * 2 : STACK_FIRST;

    while (size < need)
        size *= 2;
    if (size > CN_STACK_GUARD + CN_LIMIT_OPERANDS + SPARE)
        size = CN_STACK_GUARD + CN_LIMIT_OPERANDS + SPARE;
    cn_valtype *memory = cn_resize(v->allocator, v->memory, v->memory_size * sizeof *memory,
                                   size * sizeof *memory);
    if (memory == NULL)
        return cn_fail_memory(v->reader.error);
    v->memory = memory;
    v->memory_size = size;
    memset(memory, 0, CN_STACK_GUARD * sizeof *memory);
    v->stack = memory + CN_STACK_GUARD;
    v->limit = memory + size;
    v->sp = memory + (top ? top : CN_STACK_GUARD);
    v->floor = memory + (floor ? floor : CN_STACK_GUARD);
    return CN_OK;
}

enum cn_status cn_stack_reserve(struct cn_validator *v, size_t count)
{
    if (CN_LIKELY((size_t)(v->limit - v->sp) >= count + SPARE))
        return CN_OK;
    size_t height = (size_t)(v->sp - v->stack);
    if (count > CN_LIMIT_OPERANDS - height)
        return cn_reject(v, CN_TOO_LARGE, "too many values on the stack: at most %u are "
                         "supported", CN_LIMIT_OPERANDS);
    return grow_stack(v, CN_STACK_GUARD + height + count + SPARE);
}

enum cn_status cn_push(struct cn_validator *v, cn_valtype type)
{
    CN_TRY(cn_stack_reserve(v, 1));
    *v->sp++ = type;
    return CN_OK;
}

enum cn_status cn_push_all(struct cn_validator *v, struct cn_type_list list)
{
    if (list.count == 0)
        return CN_OK;
    CN_TRY(cn_stack_reserve(v, list.count));
    memcpy(v->sp, list.types, list.count * sizeof *list.types);
    v->sp += list.count;
    return CN_OK;
}

enum cn_status cn_fail_type(struct cn_validator *v, const char *who, cn_valtype expected,
                            const cn_valtype *found)
{
    char wanted[CN_TYPE_TEXT], given[CN_TYPE_TEXT];

    return cn_reject(v, CN_INVALID,
                     "type mismatch: instruction requires [%s] but stack has [%s] (%s)",
                     cn_type_text(expected, wanted),
                     found != NULL ? cn_type_text(*found, given) : "", who);
}

enum cn_status cn_pop_any(struct cn_validator *v, const char *who, cn_valtype *found)
{
    if (CN_LIKELY(v->sp > v->floor)) {
        *found = *--v->sp;
        return CN_OK;
    }
    if (!cn_top_frame(v)->is_unreachable)
        return cn_fail_type(v, who, CN_TYPE_ANY, NULL);
    *found = CN_TYPE_ANY;
    return CN_OK;
}

enum cn_status cn_pop_ref(struct cn_validator *v, const char *who, cn_valtype *found)
{
    CN_TRY(cn_pop_any(v, who, found));
    if (*found == CN_TYPE_ANY)
        *found = CN_TYPE_ANY_REF;
    if (*found != CN_TYPE_ANY_REF && !cn_valtype_is_ref(*found))
        return cn_fail_type(v, who, CN_TYPE_ANY_REF, found);
    return CN_OK;
}

enum cn_status cn_pop_type(struct cn_validator *v, cn_valtype expected, const char *who)
{
    if (CN_LIKELY(v->sp > v->floor)) {
        cn_valtype found = *--v->sp;
        if (CN_LIKELY(cn_type_fits(v, found, expected)))
            return CN_OK;
        return cn_fail_type(v, who, expected, &found);
    }
    if (cn_top_frame(v)->is_unreachable)
        return CN_OK;
    return cn_fail_type(v, who, expected, NULL);
}

enum cn_status cn_peek_all(struct cn_validator *v, struct cn_type_list list, const char *who)
{
    size_t height = (size_t)(v->sp - v->floor);

    if (list.count == 0)
        return CN_OK;
    if (CN_LIKELY(height >= list.count && memcmp(v->sp - list.count, list.types,
                                                 list.count * sizeof *list.types) == 0))
        return CN_OK;
    for (uint32_t i = 1; i <= list.count && i <= height; i++) {
        cn_valtype found = v->sp[-(ptrdiff_t)i];
        if (!cn_type_fits(v, found, list.types[list.count - i]))
            return cn_fail_type(v, who, list.types[list.count - i], &found);
    }
    if (height < list.count && !cn_top_frame(v)->is_unreachable)
        return cn_fail_type(v, who, list.types[list.count - 1 - height], NULL);
    return CN_OK;
}

enum cn_status cn_pop_all(struct cn_validator *v, struct cn_type_list list, const char *who)
{
    size_t height = (size_t)(v->sp - v->floor);

    CN_TRY(cn_peek_all(v, list, who));
    v->sp -= list.count < height ? list.count : height;
    return CN_OK;
}

enum cn_status cn_apply(struct cn_validator *v, const struct cn_op_rule *rule)
{
    struct cn_type_list operands = {rule->want + CN_RULE_POPS - rule->pops, rule->pops};
    struct cn_type_list results = {rule->results, rule->pushes};

    CN_TRY(cn_pop_all(v, operands, rule->text));
    return cn_push_all(v, results);
}

static enum cn_status grow_frames(struct cn_validator *v)
{
    uint32_t room = v->frame_room ? v->frame_room * 2 : FRAMES_FIRST;

    if (room > CN_LIMIT_NESTING)
        room = CN_LIMIT_NESTING;
    if (room == v->frame_room)
        return cn_reject(v, CN_TOO_LARGE, "too many nested blocks: at most %u are supported",
                         CN_LIMIT_NESTING);
    struct cn_block_frame *frames = cn_resize(v->allocator, v->frames,
                                              v->frame_room * sizeof *frames,
                                              room * sizeof *frames);
    if (frames == NULL)
        return cn_fail_memory(v->reader.error);
    v->frames = frames;
    v->frame_room = room;
    return CN_OK;
}

enum cn_status cn_open_frame(struct cn_validator *v, uint8_t op, struct cn_block_type type)
{
    if (v->frame_count == v->frame_room)
        CN_TRY(grow_frames(v));
    v->floor = v->sp;
    v->frames[v->frame_count++] = (struct cn_block_frame){
        .type = type,
        .height = (uint32_t)(v->sp - v->stack),
        .init_height = v->init_count,
        .op = op,
    };
    return CN_OK;
}

void cn_become_dead(struct cn_validator *v)
{
    v->sp = v->floor;
    cn_top_frame(v)->is_unreachable = true;
}
