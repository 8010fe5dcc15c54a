/* The verifier's inside, shared by the files of the verifier alone. */
#ifndef CN_VM_VERIFIER_H
#define CN_VM_VERIFIER_H

#include "core/bytes.h"
#include "core/insn.h"
#include "vm/maps.h"
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
    bool may_stop;          /* a thread can stand in front of whatever is at `at` */
    bool reachable;         /* control comes here from the instruction before */
    bool paid;              /* every way here has paid fuel since the last call or branch */
    struct cn_verify_state state;
    struct cn_maps *maps;
    struct cn_verdict verdict;
};

/* What the fields of one instruction came to, before it takes effect. */
struct insn {
    const struct cn_variant_info *variant;
    const struct cn_insn_info *row;
    uint32_t size;          /* with the entries of a branch table */
    uint32_t sources[3];    /* slots whose kind depends on other fields */
    uint32_t source_count;
    uint32_t result;        /* slot, or NO_SLOT */
    uint8_t result_of;      /* enum cn_of */
    enum cn_kind kind;      /* of operands and result that may be anything; UNSET: not known */
    uint32_t window, header, first, count;
    uint32_t callee;        /* function, tag or type number */
    uint32_t source_type;   /* the second type that is named */
    uint32_t type_count;    /* how many types are */
    uint32_t element;       /* element segment */
    uint32_t field_at;      /* where the number of a structure's field stands */
    uint32_t table;
    uint32_t target_at;     /* where the target field stands, 0: there is none */
    uint32_t after;
};

#define NO_SLOT UINT32_MAX

/* Notes which rule is broken at the instruction at hand, and by what; CN_UNVERIFIED. */
enum cn_status cn_refuse(struct cn_verifier *v, enum cn_rule rule, uint32_t number);
/* The slot may be named; it is set; it holds this kind. */
CN_CHECKED enum cn_status cn_check_place(struct cn_verifier *v, uint32_t slot);
CN_CHECKED enum cn_status cn_check_set(struct cn_verifier *v, uint32_t slot);
CN_CHECKED enum cn_status cn_check_kind(struct cn_verifier *v, uint32_t slot, enum cn_kind kind);
CN_CHECKED enum cn_status cn_check_numbers(struct cn_verifier *v, uint32_t first,
                                           uint32_t count);
/* The slot holds this from now on. */
CN_CHECKED enum cn_status cn_give_slot(struct cn_verifier *v, uint32_t slot, enum cn_kind kind);
/* Whether what stands in the slots now is what the label's map says. */
CN_CHECKED enum cn_status cn_check_map(struct cn_verifier *v, uint32_t index);

/* ---------------------------------------------------------------- verify_call.c */

CN_CHECKED enum cn_status cn_check_call_insn(struct cn_verifier *v, const struct insn *insn);
CN_CHECKED enum cn_status cn_check_return_insn(struct cn_verifier *v, struct insn *insn);

/* ---------------------------------------------------------------- verify_object.c */

/* What an instruction needs that names types of objects; a type to cast to. */
CN_CHECKED enum cn_status cn_check_object(struct cn_verifier *v, struct insn *insn);
CN_CHECKED enum cn_status cn_check_cast_type(struct cn_verifier *v, struct insn *insn,
                                             cn_valtype type);

/* ---------------------------------------------------------------- verify_handlers.c */

/* The handlers by themselves, before any instruction. */
CN_CHECKED enum cn_status cn_check_handler_list(struct cn_verifier *v);
/* Something may be thrown at the instruction at hand: whichever handler takes it finds what its
 * label's map says. */
CN_CHECKED enum cn_status cn_check_handlers(struct cn_verifier *v);

#endif
