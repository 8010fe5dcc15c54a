/* The verifier's inside, shared by the files of the verifier alone. */
#ifndef CN_VM_VERIFIER_H
#define CN_VM_VERIFIER_H

#include "vm/verify.h"
#include "vm/verify_state.h"

/* One run of the verifier. `at` is the instruction that is being looked at. */
struct cn_verifier {
    const struct cn_module *module;
    struct cn_program *program;
    const struct cn_code *code;
    const struct cn_functype *type;
    uint8_t *bytes;
    uint8_t *label_unpaid;  /* per label: some way there, from above, costs nothing */
    uint32_t at;
    uint32_t next_label;    /* the first label that is not behind us */
    bool reachable;         /* control comes here from the instruction before */
    bool paid;              /* every way here has paid fuel since the last call or branch */
    struct cn_verify_state state;
    struct cn_verdict verdict;
};

/* Notes which rule is broken at the instruction at hand, and by what; CN_UNVERIFIED. */
enum cn_status cn_refuse(struct cn_verifier *v, enum cn_rule rule, uint32_t number);
/* Whether what stands in the slots now is what the label's map says. */
CN_CHECKED enum cn_status cn_check_map(struct cn_verifier *v, uint32_t index);

/* ---------------------------------------------------------------- verify_handlers.c */

/* The handlers by themselves, before any instruction. */
CN_CHECKED enum cn_status cn_check_handler_list(struct cn_verifier *v);
/* Something may be thrown at the instruction at hand: whichever handler takes it finds what its
 * label's map says. */
CN_CHECKED enum cn_status cn_check_handlers(struct cn_verifier *v);

#endif
