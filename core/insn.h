/* The instruction set as tables, made from spec/insn.def: what the translator chooses from, and
 * what verifier, disassembler and assembler read code by.
 *
 * An instruction (enum cn_insn) is a row. A variant is an instruction with one form for its
 * result and one for each operand; it has a number, a layout and a handler.
 */
#ifndef CN_CORE_INSN_H
#define CN_CORE_INSN_H

#include <stdbool.h>
#include <stdint.h>

#include "insn_rows.h"

/* Where an operand is. CN_F is the float accumulator of the operand's width. */
enum cn_form { CN_S, CN_R, CN_Q, CN_I, CN_F, CN_FORM_COUNT };

/* Where a result goes: a slot, the first accumulator (r0; f0 or g0 for floats), the second
 * (r1), the first and a slot, the second and a slot. */
enum cn_result_form { CN_TO_S, CN_TO_R, CN_TO_Q, CN_TO_B, CN_TO_C, CN_RESULT_FORM_COUNT };

/* What an operand or result is of. */
enum cn_of {
    CN_OF_NONE,
    CN_OF_NUMBER, /* i32, i64: integer accumulators, slots, immediates */
    CN_OF_F32,
    CN_OF_F64,
    CN_OF_V128,   /* two slots, from the one that is named on */
    CN_OF_ANY,    /* a number; in a slot-to-slot form a reference too, which is copied */
    CN_OF_REF,    /* a reference whose type another field or operand gives */
    CN_OF_FUNC,
    CN_OF_EXTERN,
    CN_OF_OBJ,    /* of the hierarchy any */
    CN_OF_EXN,
};

enum {
    CN_INSN_IS_PURE = 1,
    CN_INSN_IS_COMM = 2,
    CN_INSN_IS_LOAD = 4,
    CN_INSN_IS_STORE = 8,
    CN_INSN_IS_BRANCH = 16,
    CN_INSN_IS_CALL = 32,
    CN_INSN_IS_RETURN = 64,
    CN_INSN_IS_END = 128,
    CN_INSN_IS_HAND = 256, /* the guest may be stopped at it */
};

struct cn_insn_info {
    const char *text;
    uint16_t traits;           /* CN_INSN_IS_... */
    uint8_t result;            /* enum cn_of */
    uint8_t result_forms;      /* bit f: the result may have enum cn_result_form f */
    uint8_t operands[3];       /* enum cn_of */
    uint8_t operand_forms[3];  /* bit f: the operand may have enum cn_form f */
    uint8_t operand_count;
    uint32_t forms;            /* start in cn_insn_forms */
    uint16_t first_variant;
};

struct cn_field {
    uint8_t kind; /* enum cn_field_kind */
    uint8_t at;   /* bytes from the instruction's start */
    uint8_t of;   /* enum cn_of */
};

#define CN_FIELDS_MAX 8

struct cn_variant_info {
    uint16_t insn; /* enum cn_insn */
    uint8_t size;  /* bytes; a BR_TABLE's entries follow */
    uint8_t field_count;
    uint8_t forms[4]; /* result form, then operand forms */
    struct cn_field fields[CN_FIELDS_MAX];
};

extern const struct cn_insn_info cn_insn_infos[CN_INSN_COUNT];
extern const struct cn_variant_info cn_variant_infos[CN_VARIANT_COUNT];
extern const uint16_t cn_insn_forms[];

#define CN_NO_VARIANT 0xffffu

/* The variant with these forms, or CN_NO_VARIANT. `forms` holds the result's form (0 when the
 * instruction has no result: it is then not looked at), then one per operand. */
static inline uint32_t cn_variant_of(enum cn_insn insn, const uint8_t forms[4])
{
    const struct cn_insn_info *info = &cn_insn_infos[insn];
    uint32_t index = info->result == CN_OF_NONE ? 0 : forms[0];

    for (uint32_t i = 0; i < info->operand_count; i++)
        index = index * CN_FORM_COUNT + forms[i + 1];
    return cn_insn_forms[info->forms + index];
}

#endif
