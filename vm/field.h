/* The fields of instructions: how large they are and how the text form writes them. */
#ifndef CN_VM_FIELD_H
#define CN_VM_FIELD_H

#include "core/insn.h"

/* Bytes. */
uint32_t cn_field_size(enum cn_field_kind kind);

/* What stands before the number in the text form: "s" for slots, "global " for globals... */
const char *cn_field_prefix(enum cn_field_kind kind);

/* "r0", "r1", "f0" or "g0": the first or second accumulator for what an operand is of. */
const char *cn_accumulator_name(enum cn_of of, bool second);

#endif
