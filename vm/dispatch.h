/* How one handler reaches the next, and what it may use: the words of the instruction bodies
 * in spec/insn.def and of vm/op_*.c.
 *
 * A handler is a function of the machine's registers that ends by tail-calling the next one, so
 * the registers stay in the processor's. pc is the instruction itself. A handler never calls
 * ordinary C on its hot path; what is rare tail-calls a stub (cn_leave_...) of the same shape.
 */
#ifndef CN_VM_DISPATCH_H
#define CN_VM_DISPATCH_H

#include <string.h>

#include "core/insn.h"
#include "core/platform.h"
#include "vm/numeric.h"
#include "vm/object.h"
#include "vm/thread.h"
#include "vm/vector.h"

#define CN_IDLE __attribute__((unused)) /* not every handler needs every register */
#define CN_PARAMS                                                                                  \
    CN_IDLE const uint8_t *pc, CN_IDLE union cn_slot *fp, CN_IDLE uint8_t *mem,                    \
        CN_IDLE struct cn_thread *t, CN_IDLE uint64_t r0, CN_IDLE uint64_t r1,                     \
        CN_IDLE double f0, CN_IDLE float g0                                                        \
        CN_SPARE(, CN_IDLE uint64_t memlen, CN_IDLE int64_t fuel)
#define CN_ARGS(p) (p), fp, mem, t, r0, r1, f0, g0 CN_SPARE(, memlen, fuel)

typedef CN_HANDLER_CC void cn_handler(CN_PARAMS);

#define OP(name) CN_HANDLER_CC void cn_op_##name(CN_PARAMS)

/* Length of memory 0 and the fuel left: registers where the convention has room for them. */
#define MEMLEN CN_SPARE_OR(memlen, t->memory_size)
#define FUEL CN_SPARE_OR(fuel, t->fuel)

/* Fields of the instruction, by their distance from its start. */
#define FIELD16(at) (*(const uint16_t *)(pc + (at)))
#define FIELD32(at) (*(const uint32_t *)(pc + (at)))
#define FIELD64(at) (*(const uint64_t *)(pc + (at)))
#define IMM32(at) FIELD32(at)
#define IMM64(at) ((uint64_t)(int64_t)*(const int32_t *)(pc + (at)))

/* Slots named by a field. An i32 is stored as 64 bits: a 32-bit store followed by a 64-bit load
 * would break store forwarding. */
#define S32(at) (fp[FIELD16(at)].u32)
#define S64(at) (fp[FIELD16(at)].u64)
#define SF32(at) (fp[FIELD16(at)].f32)
#define SF64(at) (fp[FIELD16(at)].f64)
#define SV128(at) (((const struct cn_unaligned_cn_u64x2 *)(fp + FIELD16(at)))->value)

#define SET_S(at, ...) (fp[FIELD16(at)].u64 = (uint64_t)(__VA_ARGS__))
#define SET_R0(...) (r0 = (uint64_t)(__VA_ARGS__))
#define SET_R1(...) (r1 = (uint64_t)(__VA_ARGS__))
#define SET_B(at, ...) (r0 = (uint64_t)(__VA_ARGS__), fp[FIELD16(at)].u64 = r0)
#define SET_C(at, ...) (r1 = (uint64_t)(__VA_ARGS__), fp[FIELD16(at)].u64 = r1)
#define SET_SF64(at, ...) (fp[FIELD16(at)].f64 = (__VA_ARGS__))
#define SET_SV128(at, ...)                                                                         \
    (((struct cn_unaligned_cn_u64x2 *)(fp + FIELD16(at)))->value = (cn_u64x2)(__VA_ARGS__))
#define SET_F0(...) (f0 = (__VA_ARGS__))
#define SET_BF64(at, ...) (f0 = (__VA_ARGS__), fp[FIELD16(at)].f64 = f0)
#define SET_SF32(at, ...) (fp[FIELD16(at)].f32 = (__VA_ARGS__))
#define SET_G0(...) (g0 = (__VA_ARGS__))
#define SET_BF32(at, ...) (g0 = (__VA_ARGS__), fp[FIELD16(at)].f32 = g0)

/* On to the instruction at an address. */
#define DISPATCH(p)                                                                                \
    do {                                                                                           \
        const uint8_t *next = (p);                                                                 \
        CN_TAIL(*(cn_handler *const *)next)(CN_ARGS(next));                                        \
    } while (0)
#define NEXT(size) DISPATCH(pc + (size))

/* Pays for the block at p and goes there; where the slice does not suffice the thread stops
 * before p, owing the cost. */
#define ENTER(p, cost)                                                                             \
    do {                                                                                           \
        const uint8_t *entered = (p);                                                              \
        int64_t price = (cost);                                                                    \
        FUEL -= price;                                                                             \
        if (CN_UNLIKELY(FUEL < 0)) {                                                               \
            t->pending = (uint64_t)price;                                                          \
            CN_TAIL cn_leave_fuel(CN_ARGS(entered));                                               \
        }                                                                                          \
        DISPATCH(entered);                                                                         \
    } while (0)

/* Branches: `at` is the target field; taken and passed follow it. */
#define GO(at) ENTER(pc + (int32_t)FIELD32(at), FIELD32((at) + 4))
#define GO_IF(at, condition)                                                                       \
    if (condition)                                                                                 \
        GO(at);
#define PASS(at, size) ENTER(pc + (size), FIELD32(at))

/* The entries of a table: pairs of distance and cost, the last one for all other indices. */
#define SWITCH(at, size, index)                                                                    \
    do {                                                                                           \
        uint32_t last = FIELD32(at) - 1;                                                           \
        uint32_t chosen = (index) < last ? (index) : last;                                         \
        const uint8_t *entry = pc + (size) + 8 * (uint64_t)chosen;                                 \
        ENTER(pc + *(const int32_t *)entry, *(const uint32_t *)(entry + 4));                       \
    } while (0)

/* Traps leave through a stub; r0 carries the row of spec/error.def. */
#define TRAP(status)                                                                               \
    do {                                                                                           \
        r0 = (status);                                                                             \
        CN_TAIL cn_leave_trap(CN_ARGS(pc));                                                        \
    } while (0)
#define TRAP_IF(condition, row)                                                                    \
    if (CN_UNLIKELY(condition))                                                                    \
        TRAP(CN_TRAP_##row);

/* A guest address is 32 bits and an offset 32: their sum cannot wrap in 64. */
#define CHECK_ACCESS(type, address, off_at)                                                        \
    const uint64_t ea = (uint64_t)(uint32_t)(address) + FIELD32(off_at);                           \
    if (CN_UNLIKELY(ea + sizeof(type) > MEMLEN))                                                   \
        TRAP(CN_TRAP_OUT_OF_BOUNDS_MEMORY);
/* The same with 64-bit addresses, which the offset may carry beyond the highest one. */
#define CHECK_ACCESS64(type, address, off_at)                                                      \
    uint64_t end;                                                                                  \
    if (CN_UNLIKELY(__builtin_add_overflow((uint64_t)(address),                                    \
                                           FIELD32(off_at) + (uint64_t)sizeof(type), &end) ||      \
                    end > MEMLEN))                                                                 \
        TRAP(CN_TRAP_OUT_OF_BOUNDS_MEMORY);                                                        \
    const uint64_t ea = end - sizeof(type);
/* The same in the memory that is named. */
#define FIND_AT(address, far_at, mem_at)                                                           \
    struct cn_memory *other = t->instance->memories[FIELD32(mem_at)];                        \
    uint64_t ea;                                                                                   \
    if (CN_UNLIKELY(__builtin_add_overflow((uint64_t)(address) & other->address_mask,              \
                                           FIELD64(far_at), &ea)))                                 \
        TRAP(CN_TRAP_OUT_OF_BOUNDS_MEMORY);
#define CHECK_AT(type)                                                                             \
    if (CN_UNLIKELY(ea > other->size || other->size - ea < sizeof(type)))                          \
        TRAP(CN_TRAP_OUT_OF_BOUNDS_MEMORY);
#define CHECK_ACCESS_AT(type, address, far_at, mem_at)                                             \
    FIND_AT(address, far_at, mem_at) CHECK_AT(type)
#define CHECK_ATOMIC(type, address, far_at, mem_at)                                                \
    FIND_AT(address, far_at, mem_at)                                                               \
    TRAP_IF(ea % sizeof(type) != 0, UNALIGNED_ATOMIC)                                              \
    CHECK_AT(type)
#define LOADED_AT(type) (((const struct cn_unaligned_##type *)(other->base + ea))->value)
#define STORED_AT(type, v) ((struct cn_unaligned_##type *)(other->base + ea))->value = (type)(v)
#define UPDATED(type, v)                                                                           \
    const type found = LOADED_AT(type);                                                            \
    STORED_AT(type, v);
#define LOADED(type) (((const struct cn_unaligned_##type *)(mem + ea))->value)
#define STORED(type, v) ((struct cn_unaligned_##type *)(mem + ea))->value = (type)(v)

#define CN_UNALIGNED(type)                                                                         \
    struct cn_unaligned_##type {                                                                   \
        type value;                                                                                \
    } __attribute__((packed, may_alias))
CN_UNALIGNED(uint8_t);
CN_UNALIGNED(int8_t);
CN_UNALIGNED(uint16_t);
CN_UNALIGNED(int16_t);
CN_UNALIGNED(uint32_t);
CN_UNALIGNED(int32_t);
CN_UNALIGNED(uint64_t);
CN_UNALIGNED(float);
CN_UNALIGNED(double);
CN_UNALIGNED(cn_u64x2);

#define GLOBAL_AT(at) (t->globals[FIELD32(at)]->value.u64)
#define GLOBAL_V128_AT(at)                                                                         \
    (((struct cn_unaligned_cn_u64x2 *)t->globals[FIELD32(at)]->values)->value)
#define MEMORY_PAGES(at) cn_memory_pages(t->instance->memories[FIELD32(at)])

/* Returns: the header holds the return address and the caller's frame; the word before the
 * return address is the cost of what follows the call. */
#define RETURN(header_at)                                                                          \
    do {                                                                                           \
        const union cn_slot *header = fp + FIELD16(header_at);                                     \
        const uint8_t *back = header[0].ref;                                                       \
        fp = header[1].ref;                                                                        \
        ENTER(back, *(const uint32_t *)(back - 4));                                                \
    } while (0)
#define RETURN_INT(header_at, ...)                                                                 \
    do {                                                                                           \
        r0 = (__VA_ARGS__);                                                                        \
        fp[0].u64 = r0;                                                                            \
        RETURN_FROM_0(header_at);                                                                  \
    } while (0)
#define RETURN_F64(header_at, ...)                                                                 \
    do {                                                                                           \
        f0 = (__VA_ARGS__);                                                                        \
        fp[0].f64 = f0;                                                                            \
        RETURN_FROM_0(header_at);                                                                  \
    } while (0)
#define RETURN_F32(header_at, ...)                                                                 \
    do {                                                                                           \
        g0 = (__VA_ARGS__);                                                                        \
        fp[0].f32 = g0;                                                                            \
        RETURN_FROM_0(header_at);                                                                  \
    } while (0)
#define RETURN_FROM_0(header_at) RETURN(header_at)

/* Into a function of the same instance whose frame begins at `window`: checks the stack, links
 * the frame and pays for the function's first block. */
#define CALL_CODE(callee, window, back)                                                            \
    do {                                                                                           \
        union cn_slot *frame = fp + (window);                                                      \
        if (CN_UNLIKELY((size_t)(t->stack_end - frame) < (callee)->frame))                         \
            CN_TAIL cn_op_leave_stack(CN_ARGS(pc));                                                \
        union cn_slot *link = frame + (callee)->header;                                            \
        link[0].ref = (void *)(uintptr_t)(back);                                                   \
        link[1].ref = fp;                                                                          \
        fp = frame;                                                                                \
        ENTER((callee)->entry, (callee)->entry_cost);                                              \
    } while (0)

/* Writes the machine's registers to the thread, so that it can be left or ordinary C can see it. */
#define SAVE(p)                                                                                    \
    do {                                                                                           \
        t->pc = (p);                                                                               \
        t->fp = fp;                                                                                \
        t->r0 = r0;                                                                                \
        t->r1 = r1;                                                                                \
        t->f0 = f0;                                                                                \
        t->g0 = g0;                                                                                \
        t->fuel = FUEL;                                                                            \
    } while (0)

/* Stubs that end a run: they save everything and return to cn_thread_run. */
OP(leave_fuel);
#define cn_leave_fuel cn_op_leave_fuel
OP(leave_trap);
OP(leave_stack);
OP(leave_bulk);
OP(leave_collect);
#define cn_leave_trap cn_op_leave_trap

/* The table of all handlers: those of variant v are cn_handlers[cn_handler_first[v]] up to but
 * not including cn_handlers[cn_handler_first[v + 1]]: copies of one another. */
extern cn_handler *const cn_handlers[];
extern const uint16_t cn_handler_first[];

#endif
