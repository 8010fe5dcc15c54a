/* The stack of types and the stack of blocks. */
#include <string.h>

#include "core/limits.h"
#include "loader/decode.h"

#define STACK_FIRST 1024
#define FRAMES_FIRST 64

const char *cn_type_text(uint8_t type)
{
    if (type == CN_TYPE_ANY)
        return "any";
    return cn_valtype_name(cn_code_is_ref(type) ? cn_ref_abstract(type, true) : type);
}

static enum cn_status grow_stack(struct cn_validator *v, size_t need)
{
    size_t top = (size_t)(v->sp - v->memory);
    size_t floor = (size_t)(v->floor - v->memory);
    size_t size = v->memory_size ? v->memory_size * 2 : STACK_FIRST;

    while (size < need)
        size *= 2;
    if (size > CN_STACK_GUARD + CN_LIMIT_OPERANDS + 1)
        size = CN_STACK_GUARD + CN_LIMIT_OPERANDS + 1;
    uint8_t *memory = cn_resize(v->allocator, v->memory, v->memory_size, size);
    if (memory == NULL)
        return cn_fail_memory(v->reader.error);
    v->memory = memory;
    v->memory_size = size;
    memset(memory, 0, CN_STACK_GUARD);
    v->stack = memory + CN_STACK_GUARD;
    v->limit = memory + size;
    v->sp = memory + (top ? top : CN_STACK_GUARD);
    v->floor = memory + (floor ? floor : CN_STACK_GUARD);
    return CN_OK;
}

enum cn_status cn_stack_reserve(struct cn_validator *v, size_t count)
{
    if (CN_LIKELY((size_t)(v->limit - v->sp) > count))
        return CN_OK;
    size_t height = (size_t)(v->sp - v->stack);
    if (count > CN_LIMIT_OPERANDS - height)
        return cn_reject(v, CN_TOO_LARGE, "too many values on the stack: at most %u are "
                         "supported", CN_LIMIT_OPERANDS);
    return grow_stack(v, CN_STACK_GUARD + height + count + 1);
}

enum cn_status cn_push(struct cn_validator *v, uint8_t type)
{
    CN_TRY(cn_stack_reserve(v, 1));
    *v->sp++ = type;
    return CN_OK;
}

enum cn_status cn_push_all(struct cn_validator *v, const uint8_t *types, uint32_t count)
{
    if (count == 0)
        return CN_OK;
    CN_TRY(cn_stack_reserve(v, count));
    memcpy(v->sp, types, count);
    v->sp += count;
    return CN_OK;
}

static enum cn_status fail_type(struct cn_validator *v, const char *who, uint8_t expected,
                                const char *found)
{
    return cn_reject(v, CN_INVALID, "type mismatch: %s expects %s, found %s on the stack", who,
                     expected == CN_TYPE_ANY ? "a value" : cn_type_text(expected), found);
}

enum cn_status cn_pop_any(struct cn_validator *v, const char *who, uint8_t *found)
{
    if (CN_LIKELY(v->sp > v->floor)) {
        *found = *--v->sp;
        return CN_OK;
    }
    if (!cn_top_frame(v)->is_unreachable)
        return fail_type(v, who, CN_TYPE_ANY, "nothing");
    *found = CN_TYPE_ANY;
    return CN_OK;
}

enum cn_status cn_pop_type(struct cn_validator *v, uint8_t expected, const char *who)
{
    if (CN_LIKELY(v->sp > v->floor)) {
        uint8_t found = *--v->sp;
        if (CN_LIKELY(found == expected || found == CN_TYPE_ANY))
            return CN_OK;
        return fail_type(v, who, expected, cn_type_text(found));
    }
    if (cn_top_frame(v)->is_unreachable)
        return CN_OK;
    return fail_type(v, who, expected, "nothing");
}

enum cn_status cn_peek_all(struct cn_validator *v, const uint8_t *types, uint32_t count,
                           const char *who)
{
    size_t height = (size_t)(v->sp - v->floor);

    if (count == 0)
        return CN_OK;
    if (CN_LIKELY(height >= count && memcmp(v->sp - count, types, count) == 0))
        return CN_OK;
    for (uint32_t i = 1; i <= count && i <= height; i++) {
        uint8_t found = v->sp[-(ptrdiff_t)i];
        if (found != types[count - i] && found != CN_TYPE_ANY)
            return fail_type(v, who, types[count - i], cn_type_text(found));
    }
    if (height < count && !cn_top_frame(v)->is_unreachable)
        return fail_type(v, who, types[count - 1 - height], "nothing");
    return CN_OK;
}

enum cn_status cn_pop_all(struct cn_validator *v, const uint8_t *types, uint32_t count,
                          const char *who)
{
    size_t height = (size_t)(v->sp - v->floor);

    CN_TRY(cn_peek_all(v, types, count, who));
    v->sp -= count < height ? count : height;
    return CN_OK;
}

enum cn_status cn_apply(struct cn_validator *v, const struct cn_op_rule *rule)
{
    uint8_t types[4];

    memcpy(types, &rule->want, sizeof types);
    CN_TRY(cn_pop_all(v, types + 4 - rule->pops, rule->pops, rule->text));
    return rule->pushes ? cn_push(v, rule->result) : CN_OK;
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

enum cn_status cn_open_frame(struct cn_validator *v, uint8_t op, const struct cn_sig *sig)
{
    if (v->frame_count == v->frame_room)
        CN_TRY(grow_frames(v));
    v->floor = v->sp;
    v->frames[v->frame_count++] =
        (struct cn_block_frame){.sig = sig, .height = (uint32_t)(v->sp - v->stack), .op = op};
    return CN_OK;
}

void cn_become_dead(struct cn_validator *v)
{
    v->sp = v->floor;
    cn_top_frame(v)->is_unreachable = true;
}

const struct cn_sig *cn_sig_of_result(uint8_t type)
{
    static const uint8_t types[] = {CN_HEAP_EXTERN, CN_HEAP_FUNC, CN_F64, CN_F32, CN_I64, CN_I32};
    static const struct cn_sig none = {0};
    static const struct cn_sig sigs[] = {{NULL, &types[0], 0, 1}, {NULL, &types[1], 0, 1},
                                         {NULL, &types[2], 0, 1}, {NULL, &types[3], 0, 1},
                                         {NULL, &types[4], 0, 1}, {NULL, &types[5], 0, 1}};

    if (type == CN_TYPE_ANY)
        return &none;
    for (size_t i = 0; i < sizeof types; i++)
        if (types[i] == type)
            return &sigs[i];
    return NULL;
}
