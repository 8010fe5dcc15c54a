/* Exceptions. A try costs nothing until something is thrown: it is an entry in the function's
 * list of handlers. What is on the operand stack around a try stands in its homes before it
 * begins, and locals stand in their slots at every call, so a handler finds everything.
 *
 * The values that an exception carries are put where the label wants them: a clause of try_table
 * needs no code at all, except where it leaves the function.
 */
#include "loader/ir.h"

/* The exception that a legacy catch is about stands below its values, for rethrow. */
#define HIDDEN_SLOTS 1

static void open_try(struct cn_translator *t, uint8_t opcode, const struct cn_functype *type)
{
    if (t->is_reachable) {
        cn_leave_entry(t);
        cn_settle_all(t);
    }
    cn_open_block(t, opcode, type);
    if (t->status == CN_OK) {
        cn_block_at(t, 0)->try_start = t->ir_count;
        cn_block_at(t, 0)->first_clause = t->clause_count;
    }
}

static void add_handler(struct cn_translator *t, struct cn_ir_handler handler)
{
    if (cn_room(t, &t->handlers, &t->handler_room, t->handler_count + 1, sizeof handler))
        t->handlers[t->handler_count++] = handler;
}

/* ---------------------------------------------------------------- try_table */

/* Where a clause goes: the block's own label, or one at which the function is left. */
static uint32_t label_of(struct cn_translator *t, const struct cn_block *target)
{
    uint32_t label = target->label;

    if (target == t->blocks) {
        label = cn_new_label(t);
        if (!cn_room(t, &t->pads, &t->pad_room, t->pad_count + 1, sizeof *t->pads))
            return label;
        t->pads[t->pad_count++] = label;
    }
    t->labels[label].uses++;
    return label;
}

static void read_clause(struct cn_translator *t)
{
    enum { HAS_REF = 1, IS_ALL = 2 };
    uint8_t kind = *t->at++;
    uint32_t tag = kind & IS_ALL ? CN_ANY_TAG : cn_code_u32(t);
    struct cn_block *target = cn_block_at(t, cn_code_u32(t));
    struct cn_ir_handler clause = {.tag = tag};

    if (!t->is_reachable)
        return;
    clause.label = label_of(t, target);
    clause.slot = cn_home(t, target->height);
    clause.gives = (uint8_t)((kind & IS_ALL ? 0 : CN_GIVES_VALUES) |
                             (kind & HAS_REF ? CN_GIVES_REF_LAST : 0));
    if (cn_room(t, &t->clauses, &t->clause_room, t->clause_count + 1, sizeof clause))
        t->clauses[t->clause_count++] = clause;
}

void cn_lower_try_table(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_functype *type = cn_read_block_type(t);
    uint32_t first = t->clause_count;

    (void)how;
    for (uint32_t count = cn_code_u32(t); count > 0; count--)
        read_clause(t);
    open_try(t, CN_WASM_TRY_TABLE, type);
    if (t->status == CN_OK)
        cn_block_at(t, 0)->first_clause = first;
}

static void end_try_table(struct cn_translator *t, const struct cn_block *block)
{
    for (uint32_t i = block->first_clause; i < t->clause_count; i++) {
        struct cn_ir_handler handler = t->clauses[i];
        handler.start = block->try_start;
        handler.end = t->ir_count;
        handler.level = t->block_count - 1;
        add_handler(t, handler);
    }
    t->clause_count = block->first_clause;
}

/* ---------------------------------------------------------------- the legacy encoding */

void cn_lower_try(struct cn_translator *t, const struct cn_lowering *how)
{
    (void)how;
    open_try(t, CN_WASM_TRY, cn_read_block_type(t));
}

/* The part before a catch is done: its results go to the end of the block. */
static void leave_part(struct cn_translator *t, struct cn_block *block)
{
    if (block->opcode == CN_WASM_TRY)
        block->try_end = t->ir_count;
    if (!t->is_reachable)
        return;
    cn_carry_values(t, block);
    cn_emit_branch(t, CN_INSN_BR, block->label);
}

void cn_lower_catch(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_block *block = cn_block_at(t, 0);
    bool is_all = how->insn == CN_WASM_CATCH_ALL;
    uint32_t tag = is_all ? CN_ANY_TAG : cn_code_u32(t);

    if (block->is_dead)
        return;
    leave_part(t, block);
    block->opcode = is_all ? CN_WASM_CATCH_ALL : CN_WASM_CATCH;
    cn_truncate(t, block->height);
    t->is_reachable = true;
    uint32_t label = cn_new_label(t);
    t->labels[label].uses++;
    add_handler(t, (struct cn_ir_handler){
                       .start = block->try_start, .end = block->try_end, .tag = tag,
                       .label = label, .level = t->block_count - 1,
                       .slot = cn_home(t, block->height),
                       .gives = (uint8_t)(CN_GIVES_REF_FIRST | (is_all ? 0 : CN_GIVES_VALUES))});
    cn_push_home(t, CN_HEAP_EXN);
    if (!is_all) {
        const struct cn_functype *type = cn_module_functype(t->module, t->module->tags[tag]);
        cn_push_homes(t, cn_functype_params(type), type->param_count);
    }
    cn_place_label(t, label, t->stack_count);
}

void cn_lower_delegate(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_block *block = cn_block_at(t, 0);
    uint32_t depth = cn_code_u32(t);

    if (!block->is_dead)
        add_handler(t, (struct cn_ir_handler){
                           .start = block->try_start, .end = t->ir_count, .tag = CN_ANY_TAG,
                           .label = CN_NO_LABEL, .level = t->block_count - 2 - depth});
    block->opcode = CN_WASM_BLOCK;
    cn_lower_end(t, how);
}

/* A catch ends above the exception that it was about: its results are moved down. */
static void end_catch(struct cn_translator *t, const struct cn_block *block)
{
    if (!t->is_reachable)
        return;
    cn_carry_values(t, block);
    cn_truncate(t, block->height);
    cn_push_homes(t, cn_functype_results(block->type), block->type->result_count);
}

void cn_end_try(struct cn_translator *t, struct cn_block *block)
{
    if (block->opcode == CN_WASM_TRY_TABLE)
        end_try_table(t, block);
    else if (!block->is_dead &&
             (block->opcode == CN_WASM_CATCH || block->opcode == CN_WASM_CATCH_ALL))
        end_catch(t, block);
}

/* ---------------------------------------------------------------- throwing */

void cn_lower_throw(struct cn_translator *t, const struct cn_lowering *how)
{
    uint32_t tag = cn_code_u32(t);
    uint32_t slots = cn_module_functype(t->module, t->module->tags[tag])->param_slots;
    uint32_t first = t->stack_count - slots;

    (void)how;
    cn_leave_entry(t);
    cn_settle_from(t, first);
    struct cn_ir *ir = cn_emit(t, CN_INSN_THROW);
    ir->y[0] = cn_home(t, first);
    ir->x[0] = tag;
    cn_become_unreachable(t);
}

void cn_lower_throw_ref(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_value exception = cn_pop_operand(t, false);

    (void)how;
    cn_leave_entry(t);
    struct cn_ir *ir = cn_emit(t, CN_INSN_THROW_REF);
    cn_set_operand(ir, 0, &exception);
    cn_become_unreachable(t);
}

void cn_lower_rethrow(struct cn_translator *t, const struct cn_lowering *how)
{
    const struct cn_block *block = cn_block_at(t, cn_code_u32(t));
    struct cn_value exception = {.kind = CN_VALUE_TEMP, .type = CN_HEAP_EXN, .def = -1,
                                 .slot = cn_home(t, block->height)};

    (void)how;
    cn_leave_entry(t);
    struct cn_ir *ir = cn_emit(t, CN_INSN_THROW_REF);
    cn_set_operand(ir, 0, &exception);
    cn_become_unreachable(t);
}

/* Where an exception leaves the function: its values are the results. */
void cn_emit_pads(struct cn_translator *t)
{
    for (uint32_t i = 0; i < t->pad_count && t->status == CN_OK; i++) {
        cn_truncate(t, 0);
        cn_push_homes(t, cn_functype_results(t->type), t->type->result_count);
        t->is_reachable = true;
        cn_place_label(t, t->pads[i], t->stack_count);
        cn_emit_return(t);
    }
}
