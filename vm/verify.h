/* The verifier: proves that register code is safe, whoever made it.
 *
 * One pass over the code from its beginning to its end. It knows nothing of WebAssembly and
 * nothing of the translator; it reads the tables of core/insn.h, the label maps that come with
 * the code, and what the module declares. spec/bytecode.md tells the rules in prose, the rows
 * of spec/verify.def name them.
 */
#ifndef CN_VM_VERIFY_H
#define CN_VM_VERIFY_H

#include "core/code.h"
#include "core/error.h"
#include "vm/program.h"

struct cn_maps;

enum cn_rule {
#define RULE(name, text, number) CN_RULE_##name,
#include "spec/verify.def"
#undef RULE
    CN_RULE_COUNT
};

/* The three columns of a row: "SLOT_UNSET", "a slot is read before it is written", "slot". */
const char *cn_rule_name(enum cn_rule rule);
const char *cn_rule_text(enum cn_rule rule);
const char *cn_rule_number(enum cn_rule rule);

/* What was proven, or the rule that the code breaks. */
struct cn_verdict {
    enum cn_status status; /* CN_OK or CN_UNVERIFIED */
    enum cn_rule rule;
    uint32_t offset;       /* of the instruction in the function's code */
    uint32_t number;       /* the slot, label... that the rule's row speaks of */
};

/* Bytes of scratch memory that cn_verify needs for this code: a byte per slot of the frame and
 * per label. */
size_t cn_verify_scratch(const struct cn_code *code);

/* Proves the code, of which `bytes` is a copy of its own, and threads the copy on the way:
 * numbers of instructions become handlers, labels distances, functions addresses. When the
 * proof fails, the copy is to be thrown away. Where the guest can stand still, `maps` is told
 * which slots hold references. */
struct cn_verdict cn_verify(struct cn_program *program, const struct cn_code *code,
                            uint8_t *bytes, uint8_t *scratch, struct cn_maps *maps);

#endif
