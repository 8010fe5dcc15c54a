/* Blocks and branches. A block costs nothing: it is a height of the operand stack and a label
 * that is placed only when something branches to it.
 *
 * At a label all values stand in their homes, so whoever opens a block settles the stack first,
 * and whoever branches puts the target's values where the target expects them.
 */
#include "loader/ir.h"

/* A loop header that ends in a BR_TABLE is repeated where control comes back, so that each copy
 * of the indirect jump can be predicted by itself. Only short ones. */
#define DUPLICATE_MAX 8
/* Copies of tables take no more room than this many bytes, or the function's body has. */
#define DUPLICATE_BYTES 4096u

struct cn_block *cn_block_at(struct cn_translator *t, uint32_t depth)
{
    return &t->blocks[t->block_count - 1 - depth];
}

static bool is_function(const struct cn_translator *t, const struct cn_block *block)
{
    return block == t->blocks;
}

/* How many slots the values take that a branch to the block carries. */
static uint32_t arity_of(const struct cn_block *block)
{
    return block->opcode == CN_WASM_LOOP ? block->type->param_slots : block->type->result_slots;
}

void cn_become_unreachable(struct cn_translator *t)
{
    t->is_reachable = false;
    cn_truncate(t, cn_block_at(t, 0)->height);
}

void cn_push_homes(struct cn_translator *t, const cn_valtype *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        cn_push_home(t, cn_valtype_code(types[i]));
}

void cn_open_block(struct cn_translator *t, uint8_t opcode, const struct cn_functype *type)
{
    if (!cn_room(t, &t->blocks, &t->block_room, t->block_count + 1, sizeof *t->blocks))
        return;
    struct cn_block *block = &t->blocks[t->block_count++];
    *block = (struct cn_block){.opcode = opcode, .type = type, .dup_end = -1,
                               .is_dead = !t->is_reachable};
    if (block->is_dead)
        return;
    block->height = t->stack_count - type->param_slots;
    block->label = cn_new_label(t);
    if (opcode == CN_WASM_LOOP) {
        cn_place_label(t, block->label, t->stack_count);
        block->loop_start = (int32_t)t->ir_count;
        t->last_loop = t->block_count - 1;
    }
}

/* The type of a block: none, one result, or a type of the module (core 5.4.1). */
const struct cn_functype *cn_read_block_type(struct cn_translator *t)
{
    static const cn_valtype singles[] = {CN_I32,       CN_I64,    CN_F32,   CN_F64,  CN_V128,
                                         CN_FUNCREF, CN_EXTERNREF, CN_ANYREF, CN_EXNREF};
    static const struct cn_functype none = {0, 0, singles, 0, 0};
    static const struct cn_functype results[] = {
        {0, 1, &singles[0], 0, 1}, {0, 1, &singles[1], 0, 1}, {0, 1, &singles[2], 0, 1},
        {0, 1, &singles[3], 0, 1}, {0, 1, &singles[4], 0, 2}, {0, 1, &singles[5], 0, 1},
        {0, 1, &singles[6], 0, 1}, {0, 1, &singles[7], 0, 1}, {0, 1, &singles[8], 0, 1}};
    uint8_t byte = *t->at;

    if ((byte & 0xc0) != 0x40)
        return cn_module_functype(t->module, cn_code_u32(t));
    if (byte == 0x40) {
        t->at++;
        return &none;
    }
    uint8_t code = cn_code_valtype(t);
    for (size_t i = 0; i < sizeof singles / sizeof singles[0]; i++)
        if (cn_valtype_code(singles[i]) == code)
            return &results[i];
    return &none;
}

void cn_lower_block(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_functype *type = cn_read_block_type(t);

    if (t->is_reachable)
        cn_settle_all(t);
    cn_open_block(t, (uint8_t)how->insn, type);
}

void cn_lower_if(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_functype *type = cn_read_block_type(t);

    if (!t->is_reachable) {
        cn_open_block(t, (uint8_t)how->insn, type);
        return;
    }
    struct cn_value condition = cn_pop(t);
    cn_settle_all(t);
    uint32_t else_label = cn_new_label(t);
    cn_emit_branch_if(t, condition, false, else_label);
    cn_open_block(t, CN_WASM_IF, type);
    cn_block_at(t, 0)->else_label = else_label;
}

void cn_lower_else(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_block *block = cn_block_at(t, 0);

    (void)how;
    if (block->is_dead)
        return;
    if (t->is_reachable) {
        cn_settle_from(t, block->height);
        cn_emit_branch(t, CN_INSN_BR, block->label);
    }
    cn_truncate(t, block->height);
    cn_push_homes(t, cn_functype_params(block->type), block->type->param_count);
    block->opcode = CN_WASM_ELSE;
    t->is_reachable = true;
    cn_place_label(t, block->else_label, t->stack_count);
}

/* An `if` without `else`: its parameters are its results. */
static void end_one_armed_if(struct cn_translator *t, struct cn_block *block)
{
    if (t->is_reachable) {
        cn_settle_from(t, block->height);
    } else {
        cn_truncate(t, block->height);
        cn_push_homes(t, cn_functype_params(block->type), block->type->param_count);
        t->is_reachable = true;
    }
    cn_place_label(t, block->else_label, t->stack_count);
}

void cn_lower_end(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_block block = *cn_block_at(t, 0);

    (void)how;
    if (t->block_count == 1) {
        if (t->is_reachable)
            cn_emit_return(t);
        cn_emit_pads(t);
        t->block_count = 0;
        return;
    }
    if (!block.is_dead && block.opcode == CN_WASM_IF)
        end_one_armed_if(t, &block);
    cn_end_try(t, &block);
    t->block_count--;
    if (block.is_dead || block.opcode == CN_WASM_LOOP || t->labels[block.label].uses == 0)
        return;
    if (t->is_reachable) {
        cn_settle_from(t, block.height);
    } else {
        cn_truncate(t, block.height);
        cn_push_homes(t, cn_functype_results(block.type), block.type->result_count);
        t->is_reachable = true;
    }
    cn_place_label(t, block.label, t->stack_count);
}

/* ------------------------------------------------------------------ branches */

/* Whether the values that a branch carries stand where the target wants them. */
static bool is_in_place(const struct cn_translator *t, const struct cn_block *target)
{
    uint32_t arity = arity_of(target);

    return arity == 0 || t->stack_count - arity == target->height;
}

/* Puts them there; lower positions first, so that nothing is overwritten before it is read. */
void cn_carry_values(struct cn_translator *t, const struct cn_block *target)
{
    uint32_t arity = arity_of(target);
    uint32_t from = t->stack_count - arity;

    if (is_in_place(t, target)) {
        cn_settle_from(t, from);
        return;
    }
    for (uint32_t i = 0; i < arity; i++) {
        if (t->stack[from + i].kind == CN_VALUE_UPPER)
            continue;
        struct cn_ir *ir =
            cn_emit_move(t, cn_home(t, target->height + i), &t->stack[from + i]);
        ir->flags |= CN_IR_TEMP | CN_IR_KEEP;
    }
}

/* Whether one more copy of the loop's header keeps the code within bounds. */
static bool may_repeat(struct cn_translator *t, const struct cn_block *loop)
{
    uint32_t size = 8 * t->ir[loop->dup_end - 1].x[0];
    uint32_t room = (uint32_t)(t->end - t->body);

    if (room < DUPLICATE_BYTES)
        room = DUPLICATE_BYTES;
    if (size > room - t->repeated)
        return false;
    t->repeated += size;
    return true;
}

/* Repeats the loop's header instead of branching to it. */
static void repeat_header(struct cn_translator *t, const struct cn_block *loop)
{
    for (int32_t i = loop->loop_start; i < loop->dup_end; i++) {
        if (t->ir[i].flags & CN_IR_DEAD)
            continue;
        struct cn_ir *ir = cn_emit(t, CN_INSN_BR);
        uint32_t weight = ir->weight;
        *ir = t->ir[i];
        ir->weight += weight;
        if (ir->insn == CN_INSN_BR_TABLE)
            for (uint32_t j = 0; j < ir->x[0]; j++)
                t->labels[t->targets[ir->label + j]].uses++;
    }
}

/* Goes to a block, unconditionally, with its values. */
static void emit_go(struct cn_translator *t, struct cn_block *target)
{
    if (is_function(t, target)) {
        cn_emit_return(t);
        return;
    }
    cn_carry_values(t, target);
    if (target->dup_end >= 0 && may_repeat(t, target))
        repeat_header(t, target);
    else
        cn_emit_branch(t, CN_INSN_BR, target->label);
}

void cn_lower_br(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)how;
    emit_go(t, cn_block_at(t, cn_code_u32(t)));
    cn_become_unreachable(t);
}

void cn_lower_br_if(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t depth = cn_code_u32(t);
    struct cn_value condition = cn_pop(t);

    (void)how;
    if (cn_is_label_in_place(t, depth)) {
        cn_emit_branch_if(t, condition, true, cn_settle_for_label(t, depth));
        return;
    }
    cn_settle_all(t);
    uint32_t skip = cn_new_label(t);
    cn_emit_branch_if(t, condition, false, skip);
    cn_emit_go(t, depth);
    cn_place_label(t, skip, t->stack_count);
}

bool cn_is_label_in_place(const struct cn_translator *t, uint32_t depth)
{
    const struct cn_block *target = &t->blocks[t->block_count - 1 - depth];

    return !is_function(t, target) && is_in_place(t, target);
}

uint32_t cn_settle_for_label(struct cn_translator *t, uint32_t depth)
{
    const struct cn_block *target = cn_block_at(t, depth);

    cn_settle_from(t, t->stack_count - arity_of(target));
    return target->label;
}

void cn_emit_go(struct cn_translator *t, uint32_t depth)
{
    const struct cn_block *target = cn_block_at(t, depth);

    if (is_function(t, target)) {
        cn_emit_return(t);
        return;
    }
    cn_carry_values(t, target);
    cn_emit_branch(t, CN_INSN_BR, target->label);
}

/* The loop that was opened last, when only a few plain instructions were emitted since its
 * beginning: then nothing but blocks can have been opened inside it. */
static struct cn_block *loop_just_begun(struct cn_translator *t)
{
    struct cn_block *loop = &t->blocks[t->last_loop];

    if (t->last_loop == 0 || t->last_loop >= t->block_count || loop->opcode != CN_WASM_LOOP ||
        loop->type->param_count > 0 || t->ir_count - (uint32_t)loop->loop_start > DUPLICATE_MAX)
        return NULL;
    for (uint32_t j = (uint32_t)loop->loop_start; j < t->ir_count; j++)
        if (!(t->ir[j].flags & CN_IR_DEAD) && cn_is_barrier(&t->ir[j]))
            return NULL;
    return loop;
}

/* The label that entry `depth` of a table goes to: the block's own, or a stub's that brings the
 * values into place first. Stubs are numbered from first_stub on, one per block. */
static uint32_t table_label(struct cn_translator *t, uint32_t depth, uint32_t first_stub)
{
    struct cn_block *block = cn_block_at(t, depth);

    if (!is_function(t, block) && is_in_place(t, block))
        return block->label;
    if (block->stub < first_stub) {
        block->stub = cn_new_label(t);
        t->labels[block->stub].number = t->block_count - 1 - depth;
    }
    return block->stub;
}

static void emit_stubs(struct cn_translator *t, uint32_t first_stub)
{
    uint32_t height = t->stack_count;
    uint32_t end = t->label_count;

    /* Until the code is laid out, a stub's number is that of its block. */
    for (uint32_t stub = first_stub; stub < end; stub++) {
        struct cn_block *block = &t->blocks[t->labels[stub].number];
        cn_place_label(t, stub, height);
        if (is_function(t, block)) {
            cn_emit_return(t);
            continue;
        }
        cn_carry_values(t, block);
        cn_emit_branch(t, CN_INSN_BR, block->label);
    }
}

void cn_lower_br_table(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t count = cn_code_u32(t) + 1;
    struct cn_value index = cn_pop_operand(t, false);
    struct cn_block *loop;

    (void)how;
    cn_leave_entry(t);
    cn_settle_all(t);
    if (!cn_room(t, &t->targets, &t->target_room, t->target_count + count, sizeof *t->targets))
        return;
    uint32_t first_stub = t->label_count;
    uint32_t first = t->target_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t label = table_label(t, cn_code_u32(t), first_stub);
        t->labels[label].uses++;
        t->targets[t->target_count++] = label;
    }
    struct cn_ir *ir = cn_emit(t, CN_INSN_BR_TABLE);
    cn_set_operand(ir, 0, &index);
    ir->x[0] = count;
    ir->label = first;
    if (t->label_count > first_stub) {
        emit_stubs(t, first_stub);
    } else if (t->ir_count > 0) {
        t->ir_count--;
        loop = loop_just_begun(t);
        t->ir_count++;
        if (loop != NULL)
            loop->dup_end = (int32_t)t->ir_count;
    }
    cn_become_unreachable(t);
}

void cn_lower_unreachable(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)how;
    cn_emit(t, CN_INSN_UNREACHABLE);
    cn_become_unreachable(t);
}

void cn_lower_return(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)how;
    cn_emit_return(t);
    cn_become_unreachable(t);
}
