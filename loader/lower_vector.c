/* Vectors: a v128 takes two positions of the operand stack and two slots. */
#include "core/bytes.h"
#include "loader/ir.h"

void cn_lower_v128_const(struct cn_translator *t, const struct cn_lowering *how)
{
    struct cn_ir *ir = cn_emit(t, how->insn);

    ir->wide[0] = cn_load_u64(t->at);
    ir->wide[1] = cn_load_u64(t->at + 8);
    t->at += 16;
    cn_push_result(t, ir, how->result);
}
