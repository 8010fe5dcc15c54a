/* Register code as text for people, and for vm/asm.h, which turns it back into the same bytes.
 * The text form is described in spec/bytecode.md. */
#ifndef CN_VM_DISASM_H
#define CN_VM_DISASM_H

#include "core/code.h"
#include "core/module.h"

/* Gets each line in turn, without its end; the text is valid during the call. */
typedef void (*cn_line_fn)(void *context, const char *text);

/* Prints the code, verified or not: what is no instruction comes out as words and bytes. The
 * module is asked for names of functions and may be NULL. */
void cn_disasm(const struct cn_module *module, const struct cn_code *code, cn_line_fn line,
               void *context);

/* The instruction at `offset` alone, as in the listing but without comment, into text (cut to
 * size). Returns its size in bytes, 8 when it is none. */
uint32_t cn_disasm_insn(const struct cn_code *code, uint32_t offset, char *text, size_t size);

#endif
