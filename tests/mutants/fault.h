/* Faults of a translator, seeded on purpose: which there are, and where one strikes.
 *
 * The test program is linked so that functions which the translator's files call in one another
 * lead here first (-Wl,--wrap): the product holds nothing of this. */
#ifndef CN_TESTS_FAULT_H
#define CN_TESTS_FAULT_H

#include <stdbool.h>

#include "loader/ir.h"

enum fault {
    FAULT_NONE,
#define FAULT(name, text) FAULT_##name,
#include "tests/mutants/faults.def"
#undef FAULT
    FAULT_COUNT
};

#define FAULT_NOWHERE (UINT32_MAX - 1)
#define FAULT_EVERYWHERE UINT32_MAX

const char *fault_name(enum fault fault);
const char *fault_text(enum fault fault);

/* From now on this fault strikes at its place number `place`, counted over everything that is
 * translated. */
void fault_arm(enum fault fault, uint32_t place);

/* Places that the fault met since it was armed. */
uint32_t fault_places(void);

/* For the faults themselves: one more place of this fault; whether it strikes here. */
bool fault_strikes(enum fault fault);

/* The next row with operands, fields and traits of the same shape. */
uint32_t fault_next_row(uint32_t insn);

/* The stages between which instructions and code can be spoilt. */
void fault_spoil_ir(struct cn_translator *t);
void fault_spoil_forms(struct cn_translator *t);
void fault_spoil_code(const struct cn_translator *t, struct cn_code *code);

#endif
