/* The text form of register code back into code: the exact inverse of vm/disasm.h. What comes
 * out is as little trusted as what a translator makes; the text can say things that the
 * verifier refuses. */
#ifndef CN_VM_ASM_H
#define CN_VM_ASM_H

#include "core/arena.h"
#include "core/bytes.h"
#include "core/code.h"
#include "core/error.h"

/* Reads one function. The code lives in the arena. CN_MALFORMED with error->offset the number
 * of the line, counted from 1, when the text makes no sense. */
CN_CHECKED enum cn_status cn_asm(struct cn_bytes text, struct cn_arena *arena,
                                 struct cn_code *result, struct cn_error *error);

#endif
