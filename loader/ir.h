/* The translator's inside: one function as a list of instructions that still know slots only,
 * the operand stack, the open blocks. Shared by the files of the translator alone.
 *
 * Stages: lower_*.c walk the WebAssembly operators and append struct cn_ir, fusing as they go;
 * regs.c gives accumulators to short-lived values; encode.c lays out and writes the code.
 */
#ifndef CN_LOADER_IR_H
#define CN_LOADER_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/code.h"
#include "core/insn.h"
#include "core/module.h"
#include "core/platform.h"
#include "core/status.h"
#include "core/wasm.h"

/* Not an instruction: the place of a label. `label` is its number in cn_translator.labels. */
#define CN_IR_LABEL CN_INSN_COUNT

enum {
    CN_IR_DEAD = 1,  /* fused away or superfluous; its weight has moved on */
    CN_IR_KEEP = 2,  /* somebody reads the result's slot without naming it as an operand */
    CN_IR_TEMP = 4,  /* the result's slot is an operand stack position */
    CN_IR_REF = 8,   /* the result is a reference: never in an accumulator */
};

struct cn_ir {
    uint16_t insn;
    uint8_t flags;
    uint8_t forms[4];    /* result form, operand forms: CN_S or CN_I until regs.c */
    uint8_t result_class; /* enum cn_class of what the result is, CN_CLASS_NONE for none */
    uint16_t variant;    /* once laid out */
    uint16_t d;          /* slot of the result */
    uint16_t s[3];       /* slots of the operands */
    uint16_t y[4];       /* 2-byte fields: window, first, count; further targets of MOV2, MOV3 */
    int32_t imm[3];      /* immediates of the operands */
    union {
        uint64_t wide[2]; /* 8-byte fields in the order of the row */
        uint32_t x[4];   /* 4-byte ones, behind the words that those take */
    };
    uint32_t label;      /* of a branch, or first entry of a table in cn_translator.targets */
    uint32_t weight;     /* operators that are paid for with this instruction */
    uint32_t late;       /* those of them that follow what may trap */
    uint32_t origin;     /* the operator's distance from the body's beginning */
    uint32_t ordinal;    /* operators up to and including the one it was made for */
};

/* Which accumulators can hold a value. A PAIR is two slots, a v128 or two numbers that one
 * instruction makes, and in none. */
enum cn_class { CN_CLASS_NONE, CN_CLASS_INT, CN_CLASS_F64, CN_CLASS_F32, CN_CLASS_PAIR };

enum cn_value_kind { CN_VALUE_TEMP, CN_VALUE_LOCAL, CN_VALUE_CONST, CN_VALUE_UPPER };

/* An entry of the operand stack. Every position has a home slot; a TEMP stands there, a LOCAL
 * or CONST would only be copied there when it has to be. A v128 takes two positions, as it takes
 * two slots: its value stands at the lower one, and the upper one holds an UPPER. */
struct cn_value {
    uint8_t kind;
    uint8_t type;   /* CN_I32... */
    uint16_t slot;  /* TEMP: home; LOCAL: the local's slot; CONST: home */
    int32_t def;    /* TEMP: the instruction that made it and that may still be fused, or -1 */
    uint64_t bits;  /* CONST */
};

struct cn_block {
    uint8_t opcode;        /* block, loop, if, else */
    bool is_dead;          /* begun in unreachable code: nothing is emitted for it */
    uint32_t label;        /* where branches to it go */
    uint32_t else_label;
    uint32_t stub;         /* of the BR_TABLE being translated: where branches here go first */
    uint32_t height;       /* operand stack below its parameters */
    const struct cn_functype *type;
    uint32_t try_start;    /* instructions that its clauses are for */
    uint32_t try_end;
    uint32_t first_clause; /* of try_table: in cn_translator.clauses */
    int32_t loop_start;    /* index after a loop's label */
    int32_t dup_end;       /* its header ends here in a BR_TABLE and may be repeated, or -1 */
};

/* A clause of a try that is open, and a handler once it is closed: then `start` and `end` are
 * the instructions between which it is asked. */
struct cn_ir_handler {
    uint32_t start, end;
    uint32_t tag;
    uint32_t label; /* of the translator; CN_NO_LABEL where it delegates */
    uint32_t level;
    uint16_t slot;
    uint8_t gives;
};

struct cn_ir_label {
    int32_t at;            /* index of its CN_IR_LABEL, or -1 while ahead */
    uint32_t uses;
    uint16_t live;
    uint16_t ref_count;
    uint32_t ref_first;
    uint32_t offset;       /* once laid out */
    uint32_t number;       /* in the code's order; before that of a stub: its block */
};

/* Vector constants that loops use are put into slots of their own, behind the locals, at the
 * function's entry: up to so many. */
#define CN_VECTOR_CONSTANTS 8

struct cn_translator {
    const struct cn_module *module;
    struct cn_allocator allocator;
    enum cn_status status;      /* the first failure; everything stops soon after */
    const char *refused;        /* an operator that cannot be translated */

    /* The function at hand. */
    const struct cn_functype *type;
    const uint8_t *body;
    const uint8_t *at;          /* the next operator */
    const uint8_t *end;
    uint32_t op_start;          /* distance of the current operator from body */
    uint32_t header;            /* slot of the header */
    uint32_t temps;             /* slot of the operand stack's bottom */
    uint32_t frame;             /* slots needed so far */
    uint32_t ordinal;
    uint32_t pending_weight;
    uint32_t constants;         /* place of the first vector constant that is set at entry */
    uint32_t constant_count;
    uint64_t constant_bits[CN_VECTOR_CONSTANTS][2];
    uint32_t last_loop;         /* block that was opened last of all loops; 0 for none */
    uint32_t scan_work;         /* steps of searches whose length a function can choose */
    uint32_t ir_limit;          /* more instructions than this are a hostile function's */
    uint32_t stack_refs;        /* references on the operand stack */
    uint32_t local_refs_first;  /* in refs: the list of the locals alone, once there is one */
    uint32_t local_refs_count;
    uint32_t repeated;          /* bytes of tables that were repeated at loops' ends */
    bool is_reachable;
    bool has_refs;              /* a reference may stand in a slot of this function */
    bool has_vector_locals;     /* numbers of locals are not their places: see local_places */
    bool in_entry;              /* no label or branch yet: locals may still be unset */
    uint32_t zero_first, zero_end; /* slots of locals to be zeroed at entry */

    struct cn_ir *ir;           /* ir[0] is the ZERO of the locals */
    struct cn_value *stack;
    struct cn_block *blocks;
    struct cn_ir_label *labels;
    uint32_t *targets;          /* of tables: label numbers */
    struct cn_ir_handler *clauses;  /* of the open try_tables */
    struct cn_ir_handler *handlers; /* of those that are closed, innermost first */
    uint32_t *pads;             /* labels where an exception leaves the function with a result */
    struct cn_ref_slot *refs;
    /* By a local's place: a v128 takes two, of which the upper has type 0. */
    uint8_t *local_types;       /* parameters included */
    bool *local_set;            /* known to be set, while in_entry */
    uint16_t *local_uses;       /* how often a local stands on the operand stack */
    uint32_t *local_places;     /* by a local's number, where has_vector_locals */
    struct cn_ir scratch;       /* where emission goes after a failure */

    uint32_t ir_count, ir_room;
    uint32_t stack_count, stack_room;
    uint32_t settled_count;     /* positions below this are settled */
    uint32_t block_count, block_room;
    uint32_t label_count, label_room;
    uint32_t target_count, target_room;
    uint32_t ref_count, ref_room;
    uint32_t clause_count, clause_room;
    uint32_t handler_count, handler_room;
    uint32_t pad_count, pad_room;
    uint32_t local_count;       /* places */
    uint32_t local_number;      /* locals */
    uint32_t local_type_room, local_set_room, local_use_room, local_place_room;

    /* Scratch of regs.c, one entry per instruction or per slot. */
    struct cn_interval *intervals;
    uint32_t *slot_def;
    uint32_t *slot_region;
    uint32_t interval_room, slot_def_room, slot_room;
    uint32_t regions_used;

    /* The result. */
    uint32_t *costs;
    uint32_t cost_room;
    uint32_t *offsets;          /* of instructions, where there are handlers */
    struct cn_handler_entry *out_handlers;
    uint32_t offset_room, out_handler_room;
    uint8_t *bytes;
    struct cn_label *out_labels;
    uint32_t byte_room, out_label_room;
};

/* ---------------------------------------------------------------- emit.c */

/* Appends an instruction with the given number of operands still to be set; it takes over the
 * pending weight. Never NULL: after a failure it is a scratch place. */
struct cn_ir *cn_emit(struct cn_translator *t, uint32_t insn);

/* Sets operand i of an instruction from a value; constants become immediates and must fit. */
void cn_set_operand(struct cn_ir *ir, int i, const struct cn_value *value);
/* The first operand becomes the second. */
void cn_swap_operands(struct cn_ir *ir);

/* Pops for an instruction that takes slots only: what was just made is settled first. */
struct cn_value cn_pop_slot(struct cn_translator *t);

/* The instruction's result becomes the top of the operand stack. */
void cn_push_result(struct cn_translator *t, struct cn_ir *ir, uint8_t type);

void cn_push_local(struct cn_translator *t, uint16_t slot, uint8_t type);
void cn_push_const(struct cn_translator *t, uint8_t type, uint64_t bits);
/* A value that stands in its home already, made by nothing that could be fused. */
void cn_push_home(struct cn_translator *t, uint8_t type);
void cn_push_value(struct cn_translator *t, struct cn_value value);
struct cn_value cn_pop(struct cn_translator *t);

/* A value as the operand of an instruction: a constant that is no immediate is first put into
 * its home. */
struct cn_value cn_as_operand(struct cn_translator *t, struct cn_value value, bool immediate);
struct cn_value cn_pop_operand(struct cn_translator *t, bool immediate);
bool cn_fits_immediate(const struct cn_value *value);

/* Puts a value into a slot. `keep` when something else than an operand will read it there. */
struct cn_ir *cn_emit_move(struct cn_translator *t, uint16_t to, const struct cn_value *value);

/* Puts the value at a stack position into its home and marks it kept. */
void cn_settle(struct cn_translator *t, uint32_t position);
/* All positions from `from` on; all at all. */
void cn_settle_from(struct cn_translator *t, uint32_t from);
void cn_settle_all(struct cn_translator *t);
/* Pops down to a height. */
void cn_truncate(struct cn_translator *t, uint32_t height);

static inline uint16_t cn_home(const struct cn_translator *t, uint32_t position)
{
    return (uint16_t)(t->temps + position);
}

/* The instruction that made a value, when it is still there to be fused with what follows;
 * NULL otherwise. */
struct cn_ir *cn_fusible(struct cn_translator *t, const struct cn_value *value);

/* Removes an instruction whose work another one now does. */
struct cn_ir cn_take(struct cn_translator *t, struct cn_ir *ir);

/* The place of the local whose number stands next in the code. */
uint32_t cn_code_local(struct cn_translator *t);
/* Pops into a local: writes it directly where the instruction that made the value allows. */
void cn_set_local(struct cn_translator *t, uint32_t local, bool tee);
void cn_get_local(struct cn_translator *t, uint32_t local);
uint16_t cn_local_slot(const struct cn_translator *t, uint32_t local);
enum cn_class cn_class_of(uint8_t type);
/* Whether the slot is that of an i32 local: an i64 one may pass for an i32 on the operand stack,
 * but must not be written as one. */
bool cn_is_i32_local(const struct cn_translator *t, uint16_t slot);

/* Notes that the frame needs this many slots; fails when there are too many. */
void cn_need_slots(struct cn_translator *t, uint64_t slots);

uint32_t cn_new_label(struct cn_translator *t);
/* The label stands here: settled stack up to `height`, all else forgotten. */
void cn_place_label(struct cn_translator *t, uint32_t label, uint32_t height);
/* Before the first label or branch: locals that are not set yet will be zeroed at entry. */
void cn_leave_entry(struct cn_translator *t);

/* Room for one more element; false (and t->status) when memory is exhausted. */
bool cn_room(struct cn_translator *t, void *array, uint32_t *room, uint32_t need, size_t size);

static inline bool cn_is_barrier(const struct cn_ir *ir)
{
    return ir->insn == CN_IR_LABEL ||
           (cn_insn_infos[ir->insn].traits &
            (CN_INSN_IS_BRANCH | CN_INSN_IS_CALL | CN_INSN_IS_RETURN | CN_INSN_IS_END));
}

/* Whether the instruction's result goes to one of `count` slots from `slot` on. */
static inline bool cn_writes(const struct cn_ir *ir, uint32_t slot, uint32_t count)
{
    uint32_t slots = ir->result_class == CN_CLASS_PAIR ? 2 : 1;

    return ir->result_class != CN_CLASS_NONE && ir->d < slot + count && slot < ir->d + slots;
}

/* Slots that operand i takes, which stands in slots. */
static inline uint32_t cn_operand_slots(const struct cn_insn_info *info, int i)
{
    return info->operands[i] == CN_OF_V128 ? 2 : 1;
}

/* Whether the instruction reads or writes one of `count` slots from `slot` on. */
bool cn_touches(const struct cn_ir *ir, uint32_t slot, uint32_t count);

/* ---------------------------------------------------------------- reading validated code */

static inline uint32_t cn_code_u32(struct cn_translator *t)
{
    uint32_t value = *t->at++;
    uint32_t shift = 7;

    if (CN_LIKELY(value < 0x80))
        return value;
    value &= 0x7f;
    for (;;) {
        uint32_t byte = *t->at++;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
        shift += 7;
    }
}

static inline uint64_t cn_code_u64(struct cn_translator *t)
{
    uint64_t value = 0;

    for (uint32_t shift = 0;; shift += 7) {
        uint64_t byte = *t->at++;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
}

static inline int64_t cn_code_s64(struct cn_translator *t)
{
    uint64_t value = 0;
    uint32_t shift = 0;

    for (;;) {
        uint64_t byte = *t->at++;
        value |= (byte & 0x7f) << shift;
        shift += 7;
        if (byte < 0x80) {
            if (shift < 64 && (byte & 0x40))
                value |= ~0ull << shift;
            return (int64_t)value;
        }
    }
}

/* skip.c: read a heap type, a value type; what the machine knows of it (cn_valtype_code). */
uint8_t cn_code_heaptype(struct cn_translator *t);
uint8_t cn_code_valtype(struct cn_translator *t);
/* skip.c: moves `at` behind what belongs to an operator. */
void cn_skip_immediates(struct cn_translator *t, uint32_t op);

/* ---------------------------------------------------------------- lower_*.c */

/* How one WebAssembly operator is translated: a function and what it needs to know. */
struct cn_lowering {
    void (*lower)(struct cn_translator *t, const struct cn_lowering *how);
    uint16_t insn;
    uint8_t type;   /* of the operands */
    uint8_t result;
    bool swap;      /* a > b is b < a */
};

/* NULL for operators that validation does not let through. */
const struct cn_lowering *cn_lowering_of(uint32_t op);

void cn_lower_binary(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_unary(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_extend(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_retype(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_select(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_load(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_store(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_atomic(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_fence(struct cn_translator *t, const struct cn_lowering *how);

/* Where an access goes, beside its address: what follows its operator. */
struct cn_place {
    uint32_t memory;
    uint64_t offset;
    bool is_64; /* the memory's addresses are i64 */
};
struct cn_place cn_code_place(struct cn_translator *t);
/* Memory 0 with addresses of 32 bits: the instructions that name no memory. */
bool cn_place_is_near(const struct cn_place *place);
/* The instruction that does the same in any memory, with its address in a slot, and its first
 * two fields. Its further ones begin with x[3]. */
uint32_t cn_far_access(uint32_t insn);
void cn_set_far(struct cn_ir *ir, const struct cn_place *place);

/* lower_control.c */
void cn_lower_block(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_if(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_else(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_end(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_br(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_br_if(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_br_table(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_unreachable(struct cn_translator *t, const struct cn_lowering *how);
void cn_open_block(struct cn_translator *t, uint8_t opcode, const struct cn_functype *type);
const struct cn_functype *cn_read_block_type(struct cn_translator *t);
struct cn_block *cn_block_at(struct cn_translator *t, uint32_t depth);
/* Puts the topmost values where the end of the block or its loop wants them. */
void cn_carry_values(struct cn_translator *t, const struct cn_block *target);
void cn_push_homes(struct cn_translator *t, const cn_valtype *types, uint32_t count);
/* What follows is reached by nothing until a label. */
void cn_become_unreachable(struct cn_translator *t);
/* A branch to `label` when the value is not 0 (sense) or is 0; in lower_branch.c */
void cn_emit_branch_if(struct cn_translator *t, struct cn_value condition, bool sense,
                       uint32_t label);
struct cn_ir *cn_emit_branch(struct cn_translator *t, uint32_t insn, uint32_t label);
/* For branches to an open block by its depth. Whether the values that it hands over stand where
 * the block wants them, so that a branch can go straight to its label... */
bool cn_is_label_in_place(const struct cn_translator *t, uint32_t depth);
/* ...which this returns, with the values settled; */
uint32_t cn_settle_for_label(struct cn_translator *t, uint32_t depth);
/* else this brings them there and goes, or returns from the function. */
void cn_emit_go(struct cn_translator *t, uint32_t depth);

/* lower_try.c */
void cn_lower_try(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_catch(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_delegate(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_throw(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_rethrow(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_throw_ref(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_try_table(struct cn_translator *t, const struct cn_lowering *how);
/* At the end of a block that is a try: its handlers, and values where they belong. */
void cn_end_try(struct cn_translator *t, struct cn_block *block);
/* At the function's end: code that handlers need beside it. */
void cn_emit_pads(struct cn_translator *t);

/* lower_misc.c */
void cn_lower_nop(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_drop(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_local_get(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_local_set(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_local_tee(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_global_get(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_global_set(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_const(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_ref_null(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_ref_func(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_size(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_memory_grow(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_bulk(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_drop_segment(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_table_get(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_table_set(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_table_grow(struct cn_translator *t, const struct cn_lowering *how);

/* lower_vector.c */
/* Which of the constants set at entry this one is; constant_count: none. */
uint32_t cn_vector_constant(const struct cn_translator *t, uint64_t low, uint64_t high);
void cn_lower_v128_const(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_vector(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_shuffle(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_replace_lane(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_extract_lane(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_load_lane(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_store_lane(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_wide(struct cn_translator *t, const struct cn_lowering *how);

/* lower_ref.c, lower_gc.c */
void cn_lower_ref_unary(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_ref_eq(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_cast(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_br_on_null(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_br_on_non_null(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_br_on_cast(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_call_ref(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_struct_new(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_struct_new_default(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_struct_get(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_struct_set(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_array_new(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_array_new_default(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_array_new_fixed(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_array_new_segment(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_array_get(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_array_set(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_array_bulk(struct cn_translator *t, const struct cn_lowering *how);

/* lower_call.c */
/* Settles the arguments, pops them, and reserves the callee's parameters, results and header.
 * Returns the window. */
uint16_t cn_pop_arguments(struct cn_translator *t, const struct cn_functype *type);
/* The first result also stands in an accumulator. */
void cn_push_results(struct cn_translator *t, struct cn_ir *call, const struct cn_functype *type);
void cn_lower_call(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_call_indirect(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_return_call(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_return_call_indirect(struct cn_translator *t, const struct cn_lowering *how);
void cn_lower_return(struct cn_translator *t, const struct cn_lowering *how);
void cn_emit_return(struct cn_translator *t);

/* ---------------------------------------------------------------- regs.c, encode.c */

size_t cn_interval_size(void);
/* Gives accumulators to values and drops moves that became superfluous. */
void cn_allocate_accumulators(struct cn_translator *t);

/* Writes the code; everything in `code` points into the translator. */
void cn_encode(struct cn_translator *t, uint32_t func, struct cn_code *code);

/* Fuel from instruction `index` to the end of its block: the sum of weights up to and including
 * the next branch, call or return. Valid after cn_encode. */
static inline uint32_t cn_cost_from(const struct cn_translator *t, uint32_t index)
{
    return t->costs[index];
}

/* Bytes that an instruction takes in the code. */
uint32_t cn_encoded_size(const struct cn_translator *t, const struct cn_ir *ir);

#endif
