#include "vm/verify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/insn.h"
#include "tests/conformance/sample_module.h"
#include "vm/asm.h"
#include "vm/field.h"
#include "vm/maps.h"

/* The rules themselves are tested by tests/conformance. */

static struct cn_verdict verify(const struct cn_code *code)
{
    struct cn_program *program;

    cr_assert_eq(cn_program_new(&program, sample_module(), cn_heap), CN_OK);
    size_t scratch_size = cn_verify_scratch(code);
    uint8_t *scratch = cn_alloc(cn_heap, scratch_size);
    uint8_t *bytes = cn_alloc(cn_heap, code->size);
    if (code->size > 0)
        memcpy(bytes, code->bytes, code->size);
    struct cn_maps maps = {.allocator = cn_heap, .limit = 1 << 20};
    struct cn_verdict verdict = cn_verify(program, code, bytes, scratch, &maps);
    cn_maps_free(&maps);
    cn_free(cn_heap, bytes, code->size);
    cn_free(cn_heap, scratch, scratch_size);
    cn_program_free(program);
    return verdict;
}

Test(verify, names_every_rule)
{
    for (int i = 0; i < CN_RULE_COUNT; i++) {
        cr_expect_gt(strlen(cn_rule_name((enum cn_rule)i)), 2);
        cr_expect_gt(strlen(cn_rule_text((enum cn_rule)i)), 10);
        cr_expect_not_null(cn_rule_number((enum cn_rule)i));
    }
}

Test(verify, says_what_is_wrong_and_where)
{
    struct cn_arena arena;
    struct cn_error error;
    struct cn_code code;

    cn_arena_init(&arena, cn_heap);
    cr_assert_eq(cn_asm(cn_bytes_of("func 2 frame 9 header 0 entry $1\n"
                                    "    mov s8, 4\n    add s3, s8, s7\n    unreachable\n"),
                        &arena, &code, &error), CN_OK);
    struct cn_verdict verdict = verify(&code);
    cr_expect_eq(verdict.status, CN_UNVERIFIED);
    cr_expect_eq(verdict.rule, CN_RULE_SLOT_UNSET);
    cr_expect_eq(verdict.offset, 16);
    cr_expect_eq(verdict.number, 7);
    cn_arena_release(&arena);
}

/* What the verifier takes for granted about the tables made from spec/insn.def. */
Test(verify, reads_tables_that_are_as_it_expects)
{
    for (uint32_t number = 0; number < CN_VARIANT_COUNT; number++) {
        const struct cn_variant_info *variant = &cn_variant_infos[number];
        const struct cn_insn_info *row = &cn_insn_infos[variant->insn];
        uint32_t uncertain = 0, results = 0, branches = 0;
        bool moves = variant->insn == CN_INSN_MOV2 || variant->insn == CN_INSN_MOV3;

        cr_assert_eq(variant->size % 8, 0);
        for (uint32_t i = 0; i < variant->field_count; i++) {
            const struct cn_field *field = &variant->fields[i];
            uint32_t size = cn_field_size((enum cn_field_kind)field->kind);
            cr_assert_eq(field->at % size, 0);
            cr_assert(field->at >= 8 && field->at <= variant->size - size);
            if (field->kind == CN_FIELD_SOURCE && field->of >= CN_OF_ANY && !moves)
                uncertain++;
            if (field->kind == CN_FIELD_RESULT)
                results++;
            if (field->kind == CN_FIELD_AFTER)
                cr_assert_eq(field->at, variant->size - 4);
            if (field->kind == CN_FIELD_TABLE_SIZE)
                branches++;
            if (field->kind != CN_FIELD_TARGET)
                continue;
            branches++;
            cr_assert_eq(field[1].kind, CN_FIELD_COST);
            cr_assert_eq(field[1].at, field->at + 4);
            if (row->traits & CN_INSN_IS_END)
                continue;
            cr_assert_eq(field[2].kind, CN_FIELD_COST);
            cr_assert_eq(field[2].at, field->at + 8);
        }
        cr_assert_leq(uncertain, 3);
        cr_assert_leq(results, moves ? 3 : 1);
        cr_assert_eq(branches, (row->traits & CN_INSN_IS_BRANCH) != 0);
    }
}

/* Every slot operand of every instruction must be looked at: with all slots unset nothing may
 * read one, and nothing may touch the header or leave the frame. */
Test(verify, looks_at_every_slot_of_every_instruction)
{
    uint8_t bytes[128] __attribute__((aligned(8)));
    static const uint16_t slots[] = {0, 1, 5, 9, 10, 65535};

    for (uint32_t number = 0; number < CN_VARIANT_COUNT; number++) {
        const struct cn_variant_info *variant = &cn_variant_infos[number];
        for (uint32_t i = 0; i < variant->field_count; i++) {
            uint8_t kind = variant->fields[i].kind;
            if (kind != CN_FIELD_SOURCE && kind != CN_FIELD_RESULT)
                continue;
            for (size_t j = 0; j < sizeof slots / sizeof *slots; j++) {
                bool is_inside = slots[j] == 5 || slots[j] == 9;
                if (kind == CN_FIELD_RESULT && is_inside)
                    continue;
                struct cn_code code = {.func = 2, .bytes = bytes, .frame = 10, .entry_cost = 1,
                                       .size = variant->size + 8u};
                memset(bytes, 0, sizeof bytes);
                cn_store_u64(bytes, number);
                for (uint32_t k = 0; k < variant->field_count; k++)
                    if (variant->fields[k].kind == CN_FIELD_RESULT)
                        cn_store_u16(bytes + variant->fields[k].at, 4);
                cn_store_u16(bytes + variant->fields[i].at, slots[j]);
                cn_store_u64(bytes + variant->size,
                             cn_insn_infos[CN_INSN_UNREACHABLE].first_variant);
                cr_expect_eq(verify(&code).status, CN_UNVERIFIED, "variant %u, slot %u", number,
                             slots[j]);
            }
        }
    }
}

/* Slots 4 to 9 are set and the frame ends at 16; vectors are read from 4 and written to 12, but
 * for one field, which has another slot. */
static struct cn_verdict with_slot(uint32_t number, const struct cn_field *other, uint16_t slot)
{
    const struct cn_variant_info *variant = &cn_variant_infos[number];
    uint32_t size = CN_SIZE_ZERO + variant->size;
    uint8_t bytes[128] __attribute__((aligned(8))) = {0};
    struct cn_code code = {.func = 2, .bytes = bytes, .frame = 16, .entry_cost = 1,
                           .size = size + 8u};

    cn_store_u64(bytes, cn_insn_infos[CN_INSN_ZERO].first_variant);
    cn_store_u16(bytes + CN_AT_ZERO_first, 4);
    cn_store_u16(bytes + CN_AT_ZERO_count, 6);
    cn_store_u64(bytes + CN_SIZE_ZERO, number);
    for (uint32_t i = 0; i < variant->field_count; i++) {
        const struct cn_field *field = &variant->fields[i];
        if (field->kind == CN_FIELD_SOURCE || field->kind == CN_FIELD_RESULT)
            cn_store_u16(bytes + CN_SIZE_ZERO + field->at,
                         field == other ? slot : field->kind == CN_FIELD_SOURCE ? 4 : 12);
    }
    cn_store_u64(bytes + size, cn_insn_infos[CN_INSN_UNREACHABLE].first_variant);
    return verify(&code);
}

/* A vector is two slots, wherever an instruction names one. */
Test(verify, looks_at_the_upper_half_of_every_vector)
{
    uint32_t looked_at = 0;

    for (uint32_t number = 0; number < CN_VARIANT_COUNT; number++) {
        const struct cn_variant_info *variant = &cn_variant_infos[number];
        for (uint32_t i = 0; i < variant->field_count; i++) {
            const struct cn_field *field = &variant->fields[i];
            if (field->of != CN_OF_V128 || with_slot(number, NULL, 0).status != CN_OK)
                continue;
            bool is_source = field->kind == CN_FIELD_SOURCE;
            struct cn_verdict verdict = with_slot(number, field, is_source ? 9 : 15);
            cr_expect_eq(verdict.status, CN_UNVERIFIED, "variant %u", number);
            cr_expect_eq(verdict.rule, is_source ? CN_RULE_SLOT_UNSET : CN_RULE_SLOT_FRAME);
            cr_expect_eq(verdict.number, is_source ? 10 : 16);
            looked_at++;
        }
    }
    cr_expect_gt(looked_at, 500);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* 50,000 live slots, references among them, and a branch to the same label after every
 * instruction: a comparison slot by slot would take hours. */
Test(verify, is_linear_where_many_slots_are_live)
{
    enum { PAIRS = 200000, LIVE = 50000 };
    static const char head[] = "func 2 frame 60000 header 0 entry $1\n"
                               "    zero s2, x49998\n"
                               "    ref.null s100, externref\n    ref.null s40000, funcref\n";
    static const char tail[] = "    br L0, $1\n"
                               "L0: live 50000\n  .ref s100:externref s40000:funcref\n"
                               "    ret header s0\n";
    static char text[PAIRS * 64];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", head);
    struct cn_arena arena;
    struct cn_error error;
    struct cn_code code;

    for (int i = 0; i < PAIRS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "    add s50000, s3, 1\n    brnz s3, L0, $1, $1\n");
    snprintf(text + used, sizeof text - used, "%s", tail);
    cn_arena_init(&arena, cn_heap);
    cr_assert_eq(cn_asm(cn_bytes_of(text), &arena, &code, &error), CN_OK, "%s", error.text);
    double start = seconds();
    struct cn_verdict verdict = verify(&code);
    cr_expect_eq(verdict.status, CN_OK, "%s", cn_rule_text(verdict.rule));
    cr_expect_lt(seconds() - start, 2.0);
    cn_arena_release(&arena);
}

/* ------------------------------------------------------------------ too much work */

enum { REFS = 10000 };

/* That the text is refused for being too much work, when each of its labels lists all of the
 * references from slot 2 on, but the second, which leaves out the first. */
static void expect_work(const char *text)
{
    static struct cn_ref_slot refs[REFS];
    struct cn_arena arena;
    struct cn_error error;
    struct cn_code code;

    cn_arena_init(&arena, cn_heap);
    cr_assert_eq(cn_asm(cn_bytes_of(text), &arena, &code, &error), CN_OK, "%s", error.text);
    for (uint32_t i = 0; i < REFS; i++)
        refs[i] = (struct cn_ref_slot){(uint16_t)(2 + i), CN_HEAP_EXTERN};
    code.refs = refs;
    code.ref_count = REFS;
    for (uint32_t i = 0; i < code.label_count; i++) {
        code.labels[i].ref_first = i == 1;
        code.labels[i].ref_count = (uint16_t)(REFS - (i == 1));
    }
    struct cn_verdict verdict = verify(&code);
    cr_expect_eq(verdict.status, CN_UNVERIFIED);
    cr_expect_eq(verdict.rule, CN_RULE_WORK, "%s", cn_rule_text(verdict.rule));
    cn_arena_release(&arena);
}

/* Two labels with almost as many references, so that each branch has to compare them all. */
Test(verify, gives_up_where_branches_compare_too_many_references)
{
    static char text[1 << 20];
    size_t used = (size_t)snprintf(text, sizeof text, "func 2 frame 10010 header 0 entry $1\n"
                                                      "    mov s10002, 1\n");

    for (int i = 0; i < REFS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "    ref.null s%d, externref\n",
                                 2 + i);
    for (int i = 0; i < 2000; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "    brnz s10002, L%d, $1, $1\n", i % 2 * 2);
    snprintf(text + used, sizeof text - used,
             "    unreachable\nL0: live 10002\n    unreachable\nL1: live 10002\n"
             "    unreachable\nL2: live 10003\n    unreachable\n");
    expect_work(text);
}

Test(verify, gives_up_where_labels_list_too_many_references)
{
    static char text[1 << 16];
    size_t used = (size_t)snprintf(text, sizeof text, "func 2 frame 10010 header 0 entry $1\n"
                                                      "    unreachable\n");

    for (int i = 0; i < 400; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "L%d: live 10002\n    unreachable\n", i);
    expect_work(text);
}

Test(verify, gives_up_where_there_are_too_many_handlers)
{
    enum { HANDLERS = 2000000 };
    static struct cn_handler_entry handlers[HANDLERS];
    static const char calls[] = "    call func 2, window s2, $1\n    call func 2, window s2, $1\n"
                                "    call func 2, window s2, $1\n    call func 2, window s2, $1\n"
                                "    call func 2, window s2, $1\n    ret header s0\n";
    char text[512];
    struct cn_arena arena;
    struct cn_error error;
    struct cn_code code;

    snprintf(text, sizeof text, "func 2 frame 10 header 0 entry $1\n%s", calls);
    cn_arena_init(&arena, cn_heap);
    cr_assert_eq(cn_asm(cn_bytes_of(text), &arena, &code, &error), CN_OK, "%s", error.text);
    for (uint32_t i = 0; i < HANDLERS; i++)
        handlers[i] = (struct cn_handler_entry){.end = 8, .label = CN_NO_LABEL};
    code.handlers = handlers;
    static const uint32_t counts[] = {HANDLERS, 250000}; /* at once; at the calls */
    for (size_t i = 0; i < 2; i++) {
        code.handler_count = counts[i];
        struct cn_verdict verdict = verify(&code);
        cr_expect_eq(verdict.status, CN_UNVERIFIED);
        cr_expect_eq(verdict.rule, CN_RULE_WORK, "%s", cn_rule_text(verdict.rule));
    }
    cn_arena_release(&arena);
}

Test(verify, takes_no_code_of_more_than_2_gib)
{
    struct cn_code code = {.func = 2, .size = 0x80000000u, .frame = 2};
    struct cn_program *program;
    struct cn_maps maps = {.allocator = cn_heap, .limit = 1 << 20};
    uint8_t scratch[8];

    cr_assert_eq(cn_program_new(&program, sample_module(), cn_heap), CN_OK);
    struct cn_verdict verdict = cn_verify(program, &code, NULL, scratch, &maps);
    cr_expect_eq(verdict.status, CN_UNVERIFIED);
    cr_expect_eq(verdict.rule, CN_RULE_SIZE);
    cr_expect_eq(verdict.number, 0x80000000u);
    cn_program_free(program);
}
