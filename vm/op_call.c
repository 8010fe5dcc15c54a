/* Calls and what happens at the edges of a run. */
#include "handlers_made.h"
#include "vm/handlers.h"

/* A host function, or one of another instance: the driver in thread.c goes on from here, with
 * pc after the call. */
static CN_HANDLER_CC void leave_to_call(CN_PARAMS)
{
    t->host_call = (struct cn_func *)(uintptr_t)r0;
    t->host_slots = (union cn_slot *)(uintptr_t)r1;
    SAVE(pc);
    t->stop = CN_STOP_HOST_CALL;
}

OP(leave_fuel)
{
    FUEL += (int64_t)t->pending;
    SAVE(pc);
    t->stop = CN_STOP_FUEL;
}

OP(leave_trap)
{
    t->trap = (enum cn_status)r0;
    SAVE(pc);
    t->stop = CN_STOP_TRAP;
}

/* The call at pc finds the stack too short: the driver extends it and the call is made again,
 * or it traps. */
OP(leave_stack)
{
    SAVE(pc);
    t->stop = CN_STOP_STACK;
}

OP(exit)
{
    SAVE(pc);
    t->stop = CN_STOP_DONE;
}

OP(switch_back)
{
    SAVE(pc);
    t->stop = CN_STOP_SWITCH_BACK;
}

OP(needs_code)
{
    t->needs = (const struct cn_funcode *)(const void *)(pc - offsetof(struct cn_funcode, stub));
    SAVE(pc);
    t->stop = CN_STOP_NEEDS_CODE;
}

OP(call)
{
    const struct cn_funcode *callee =
        (const struct cn_funcode *)(uintptr_t)FIELD64(CN_AT_CALL_code);

    CALL_CODE(callee, FIELD16(CN_AT_CALL_window), pc + CN_SIZE_CALL);
}

OP(call_import)
{
    r0 = (uintptr_t)t->funcs[FIELD32(CN_AT_CALL_IMPORT_func)];
    r1 = (uintptr_t)(fp + FIELD16(CN_AT_CALL_IMPORT_window));
    CN_TAIL leave_to_call(CN_ARGS(pc + CN_SIZE_CALL_IMPORT));
}

/* A function may be called as one of its own type or of a supertype. */
#define CHECK_CALLEE(callee, type_at)                                                              \
    const uint32_t wanted = t->type_ids[FIELD32(type_at)];                                         \
    if (CN_UNLIKELY((callee)->type_id != wanted) &&                                                \
        !cn_types_are_sub(t->store->types, (callee)->type_id, wanted))                             \
        TRAP(CN_TRAP_INDIRECT_CALL_TYPE);

/* The function that a table's element refers to, after the checks of call_indirect (core
 * 4.4.8), or a trap. */
#define CALLEE_FROM_TABLE(name)                                                                    \
    const struct cn_table *table = t->tables[FIELD32(CN_AT_##name##_tab)];                         \
    uint32_t index = (uint32_t)r0;                                                                 \
    if (CN_UNLIKELY(index >= table->size))                                                         \
        TRAP(CN_TRAP_UNDEFINED_ELEMENT);                                                           \
    const struct cn_func *callee = table->elements[index];                                         \
    if (CN_UNLIKELY(callee == NULL)) {                                                             \
        t->trap_number = index;                                                                    \
        TRAP(CN_TRAP_UNINITIALIZED_ELEMENT);                                                       \
    }                                                                                              \
    CHECK_CALLEE(callee, CN_AT_##name##_type)

/* The function that a slot refers to. */
#define CALLEE_FROM_SLOT(name)                                                                     \
    const struct cn_func *callee = (const struct cn_func *)(uintptr_t)S64(CN_AT_##name##_a);       \
    TRAP_IF(callee == NULL, NULL_FUNCTION)                                                         \
    CHECK_CALLEE(callee, CN_AT_##name##_type)

OP(call_ref)
{
    CALLEE_FROM_SLOT(CALL_REF)
    if (CN_UNLIKELY(callee->instance != t->instance)) {
        r0 = (uintptr_t)callee;
        r1 = (uintptr_t)(fp + FIELD16(CN_AT_CALL_REF_window));
        CN_TAIL leave_to_call(CN_ARGS(pc + CN_SIZE_CALL_REF));
    }
    CALL_CODE(callee->code, FIELD16(CN_AT_CALL_REF_window), pc + CN_SIZE_CALL_REF);
}

OP(call_indirect)
{
    CALLEE_FROM_TABLE(CALL_INDIRECT)
    if (CN_UNLIKELY(callee->instance != t->instance)) {
        r0 = (uintptr_t)callee;
        r1 = (uintptr_t)(fp + FIELD16(CN_AT_CALL_INDIRECT_window));
        CN_TAIL leave_to_call(CN_ARGS(pc + CN_SIZE_CALL_INDIRECT));
    }
    CALL_CODE(callee->code, FIELD16(CN_AT_CALL_INDIRECT_window), pc + CN_SIZE_CALL_INDIRECT);
}

/* Indices of 64 bits: no table is longer than 32 bits can say. */
_Static_assert((int)CN_AT_CALL_INDIRECT_64_tab == CN_AT_CALL_INDIRECT_tab &&
                   (int)CN_SIZE_CALL_INDIRECT_64 == CN_SIZE_CALL_INDIRECT,
               "one layout for both");
OP(call_indirect_64)
{
    r0 = S64(CN_AT_CALL_INDIRECT_64_a);
    TRAP_IF(r0 > UINT32_MAX, UNDEFINED_ELEMENT)
    CN_TAIL cn_op_call_indirect(CN_ARGS(pc));
}

/* A tail call moves the arguments down to this frame's beginning and takes over its return
 * address; the header may come to stand elsewhere, because it lies above the larger of
 * parameters and results. `count` slots are moved. */
#define TAIL_CALL_CODE(callee, window, header_slot, count)                                         \
    do {                                                                                           \
        void *back = fp[header_slot].ref, *caller = fp[(header_slot) + 1].ref;                     \
        if (CN_UNLIKELY((size_t)(t->stack_end - fp) < (callee)->frame))                            \
            CN_TAIL cn_op_leave_stack(CN_ARGS(pc));                                                \
        const union cn_slot *from = fp + (window);                                                 \
        for (uint32_t i = 0; i < (count); i++)                                                     \
            fp[i] = from[i];                                                                       \
        fp[(callee)->header].ref = back;                                                           \
        fp[(callee)->header + 1].ref = caller;                                                     \
        ENTER((callee)->entry, (callee)->entry_cost);                                              \
    } while (0)

OP(return_call)
{
    const struct cn_funcode *callee =
        (const struct cn_funcode *)(uintptr_t)FIELD64(CN_AT_RETURN_CALL_code);

    TAIL_CALL_CODE(callee, FIELD16(CN_AT_RETURN_CALL_window),
                   FIELD16(CN_AT_RETURN_CALL_header), callee->params);
}

/* Tail calls of functions that are not this instance's: the driver calls them from this
 * frame's place and then returns from this frame. */
static CN_HANDLER_CC void leave_to_tail_call(CN_PARAMS)
{
    t->host_call = (struct cn_func *)(uintptr_t)r0;
    t->host_slots = (union cn_slot *)(uintptr_t)r1;
    SAVE(pc);
    t->stop = CN_STOP_TAIL_CALL;
}

OP(return_call_import)
{
    r0 = (uintptr_t)t->funcs[FIELD32(CN_AT_RETURN_CALL_IMPORT_func)];
    r1 = (uintptr_t)(fp + FIELD16(CN_AT_RETURN_CALL_IMPORT_window));
    t->tail_header = FIELD16(CN_AT_RETURN_CALL_IMPORT_header);
    CN_TAIL leave_to_tail_call(CN_ARGS(pc));
}

OP(return_call_ref)
{
    CALLEE_FROM_SLOT(RETURN_CALL_REF)
    if (CN_UNLIKELY(callee->instance != t->instance)) {
        r0 = (uintptr_t)callee;
        r1 = (uintptr_t)(fp + FIELD16(CN_AT_RETURN_CALL_REF_window));
        t->tail_header = FIELD16(CN_AT_RETURN_CALL_REF_header);
        CN_TAIL leave_to_tail_call(CN_ARGS(pc));
    }
    TAIL_CALL_CODE(callee->code, FIELD16(CN_AT_RETURN_CALL_REF_window),
                   FIELD16(CN_AT_RETURN_CALL_REF_header), callee->code->params);
}

OP(return_call_indirect)
{
    CALLEE_FROM_TABLE(RETURN_CALL_INDIRECT)
    if (CN_UNLIKELY(callee->instance != t->instance)) {
        r0 = (uintptr_t)callee;
        r1 = (uintptr_t)(fp + FIELD16(CN_AT_RETURN_CALL_INDIRECT_window));
        t->tail_header = FIELD16(CN_AT_RETURN_CALL_INDIRECT_header);
        CN_TAIL leave_to_tail_call(CN_ARGS(pc));
    }
    TAIL_CALL_CODE(callee->code, FIELD16(CN_AT_RETURN_CALL_INDIRECT_window),
                   FIELD16(CN_AT_RETURN_CALL_INDIRECT_header), callee->code->params);
}

OP(return_call_indirect_64)
{
    r0 = S64(CN_AT_RETURN_CALL_INDIRECT_64_a);
    TRAP_IF(r0 > UINT32_MAX, UNDEFINED_ELEMENT)
    CN_TAIL cn_op_return_call_indirect(CN_ARGS(pc));
}

/* Several results: moved down to the frame's beginning. The accumulators get the first one
 * each in its own way; the caller uses the one of its type. */
OP(retn)
{
    const union cn_slot *from = fp + FIELD16(CN_AT_RETN_first);
    uint32_t count = FIELD16(CN_AT_RETN_count);

    for (uint32_t i = 0; i < count; i++)
        fp[i] = from[i];
    r0 = fp[0].u64;
    f0 = fp[0].f64;
    g0 = fp[0].f32;
    RETURN(CN_AT_RETN_header);
}

static CN_HANDLER_CC void leave_to_throw(CN_PARAMS)
{
    SAVE(pc);
    t->stop = CN_STOP_THROW;
}

OP(throw)
{
    t->throw_tag = t->instance->tags[FIELD32(CN_AT_THROW_tag)];
    t->throw_values = fp + FIELD16(CN_AT_THROW_first);
    CN_TAIL leave_to_throw(CN_ARGS(pc));
}

OP(throw_ref)
{
    t->thrown = (struct cn_exception *)(uintptr_t)S64(CN_AT_THROW_REF_a);
    if (CN_UNLIKELY(t->thrown == NULL))
        TRAP(CN_TRAP_NULL_EXCEPTION);
    CN_TAIL leave_to_throw(CN_ARGS(pc));
}

uint64_t cn_handler_of(uint32_t variant, uint32_t salt)
{
    uint32_t first = cn_handler_first[variant];
    uint32_t copies = cn_handler_first[variant + 1] - first;

    return (uintptr_t)cn_handlers[first + salt % copies];
}

uint64_t cn_stub_handler(void)
{
    return (uintptr_t)cn_op_needs_code;
}
