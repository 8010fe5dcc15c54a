#include "vm/disasm.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/insn.h"
#include "tests/conformance/sample_module.h"
#include "vm/field.h"

struct sheet {
    char text[4096];
};

static void add_line(void *context, const char *text)
{
    struct sheet *sheet = context;
    size_t used = strlen(sheet->text);

    snprintf(sheet->text + used, sizeof sheet->text - used, "%s\n", text);
}

static uint32_t find(enum cn_insn insn, uint8_t to, uint8_t a, uint8_t b)
{
    uint32_t variant = cn_variant_of(insn, (const uint8_t[4]){to, a, b});

    cr_assert_neq(variant, CN_NO_VARIANT);
    return variant;
}

Test(disasm, prints_labels_slots_accumulators_and_names)
{
    uint8_t bytes[64] __attribute__((aligned(8))) = {0};
    struct cn_ref_slot refs[] = {{1, CN_HEAP_FUNC}, {4, CN_HEAP_EXTERN}};
    struct cn_label labels[] = {{16, 5, 2, 0}};
    struct cn_code code = {.func = 1, .size = 48, .bytes = bytes, .entry_cost = 3, .frame = 8,
                           .header = 2, .label_count = 1, .ref_count = 2, .labels = labels,
                           .refs = refs};
    struct sheet sheet = {""};

    cn_store_u64(bytes, find(CN_INSN_ADD, CN_TO_B, CN_S, CN_I));
    cn_store_u16(bytes + 8, 4);
    cn_store_u16(bytes + 10, 5);
    cn_store_u32(bytes + 12, (uint32_t)-7);
    cn_store_u64(bytes + 16, find(CN_INSN_CALL, 0, 0, 0));
    cn_store_u64(bytes + 24, 7);
    cn_store_u16(bytes + 32, 4);
    cn_store_u32(bytes + 44, 9);
    cn_disasm(sample_module(), &code, add_line, &sheet);
    cr_expect_str_eq(sheet.text,
                     "func 1 frame 8 header 2 entry $3 ; \n"
                     "    add s4/r0, s5, -7                       ; 0\n"
                     "L0: live 5\n"
                     "  .ref s1:funcref s4:externref\n"
                     "    call func 7, window s4, $9              ; 16 \n");
}

Test(disasm, prints_what_is_no_instruction)
{
    uint8_t bytes[12] __attribute__((aligned(8))) = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    struct cn_code code = {.size = 11, .bytes = bytes};
    struct sheet sheet = {""};

    cn_disasm(NULL, &code, add_line, &sheet);
    cr_expect_str_eq(sheet.text, "func 0 frame 0 header 0 entry $0 ; \n"
                                 "    .word 0x807060504030201\n"
                                 "    .byte 0x09\n    .byte 0x0a\n    .byte 0x0b\n");
}

Test(disasm, prints_single_instructions)
{
    uint8_t bytes[64] __attribute__((aligned(8))) = {0};
    struct cn_code code = {.size = 40, .bytes = bytes};
    char text[64];

    cn_store_u64(bytes, find(CN_INSN_BR_TABLE, 0, CN_Q, 0));
    uint32_t head = cn_variant_infos[cn_load_u64(bytes)].size;
    cn_store_u32(bytes + cn_variant_infos[cn_load_u64(bytes)].fields[0].at, 2);
    cr_expect_eq(cn_disasm_insn(&code, 0, text, sizeof text), head + 16);
    cr_expect_str_eq(text, "br_table r1, x2");
    cr_expect_eq(cn_disasm_insn(&code, 0, text, 5), head + 16);
    cr_expect_str_eq(text, "br_t", "cut to size");
}
