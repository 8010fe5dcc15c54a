#include "vm/asm.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/insn.h"
#include "vm/disasm.h"
#include "vm/field.h"

struct sheet {
    char text[1 << 16];
    size_t used;
};

static void add_line(void *context, const char *text)
{
    struct sheet *sheet = context;
    int length =
        snprintf(sheet->text + sheet->used, sizeof sheet->text - sheet->used, "%s\n", text);

    sheet->used += (size_t)length;
    cr_assert_lt(sheet->used, sizeof sheet->text);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Code to text and back must give the same code. */
static void expect_round_trip(const struct cn_code *code)
{
    static struct sheet sheet;
    struct cn_arena arena;
    struct cn_error error = {.text = ""};
    struct cn_code again;

    sheet.used = 0;
    cn_disasm(NULL, code, add_line, &sheet);
    cn_arena_init(&arena, cn_heap);
    struct cn_bytes text = {(const uint8_t *)sheet.text, sheet.used};
    cr_assert_eq(cn_asm(text, &arena, &again, &error), CN_OK, "%s in\n%s", error.text,
                 sheet.text);
    cr_assert(cn_code_equal(&again, code), "%s", sheet.text);
    cn_arena_release(&arena);
}

/* An instruction of this variant with any values in its fields and zeroes between them. */
static uint32_t make_insn(uint32_t number, uint64_t *seed, uint8_t *bytes)
{
    const struct cn_variant_info *variant = &cn_variant_infos[number];
    uint32_t size = variant->size;

    memset(bytes, 0, size);
    cn_store_u64(bytes, number);
    for (uint32_t i = 0; i < variant->field_count; i++) {
        const struct cn_field *field = &variant->fields[i];
        uint64_t value = next_random(seed) >> (next_random(seed) % 64);
        if (field->kind == CN_FIELD_REFTYPE && next_random(seed) % 2)
            value = next_random(seed) % 2 ? CN_HEAP_FUNC : CN_HEAP_EXTERN;
        if (field->kind == CN_FIELD_TABLE_SIZE) {
            value %= 5;
            for (uint32_t j = 0; j < 8 * value; j++)
                bytes[size + j] = (uint8_t)next_random(seed);
        }
        memcpy(bytes + field->at, &value, cn_field_size((enum cn_field_kind)field->kind));
        if (field->kind == CN_FIELD_TABLE_SIZE)
            return size + 8 * (uint32_t)value;
    }
    return size;
}

Test(asm, reads_every_variant_as_it_was_printed)
{
    uint8_t bytes[128] __attribute__((aligned(8)));
    uint64_t seed = 42;

    for (uint32_t number = 0; number < CN_VARIANT_COUNT; number++) {
        for (int i = 0; i < 4; i++) {
            struct cn_code code = {.bytes = bytes, .func = number, .frame = 7, .header = 3};
            code.size = make_insn(number, &seed, bytes);
            expect_round_trip(&code);
        }
    }
}

Test(asm, reads_any_bytes_as_they_were_printed)
{
    uint8_t bytes[400] __attribute__((aligned(8)));
    struct cn_label labels[8];
    struct cn_ref_slot refs[20];
    uint64_t seed = 7;

    for (int round = 0; round < 2000; round++) {
        struct cn_code code = {.bytes = bytes, .labels = labels, .refs = refs,
                               .func = (uint32_t)next_random(&seed), .label_count = 8,
                               .ref_count = 20, .frame = (uint32_t)next_random(&seed)};
        code.size = (uint32_t)(next_random(&seed) % sizeof bytes);
        for (uint32_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)next_random(&seed);
        uint32_t at = 0;
        while (sizeof bytes - at > 128 && next_random(&seed) % 8)
            at += make_insn((uint32_t)(next_random(&seed) % CN_VARIANT_COUNT), &seed, bytes + at);
        for (uint32_t i = 0, ref = 0; i < 8; i++) {
            uint16_t count = (uint16_t)(i < 7 ? next_random(&seed) % (21 - ref) : 20 - ref);
            labels[i] = (struct cn_label){(uint32_t)(next_random(&seed) % 400),
                                          (uint16_t)next_random(&seed), count, ref};
            ref += count;
        }
        for (uint32_t i = 0; i < 20; i++)
            refs[i] = (struct cn_ref_slot){(uint16_t)next_random(&seed),
                                           (uint8_t)next_random(&seed)};
        expect_round_trip(&code);
    }
}

static void expect_refusal(const char *text, const char *message)
{
    struct cn_arena arena;
    struct cn_error error = {.text = ""};
    struct cn_code code = {.func = 99};

    cn_arena_init(&arena, cn_heap);
    cr_expect_eq(cn_asm(cn_bytes_of(text), &arena, &code, &error), CN_MALFORMED, "%s", text);
    cr_expect_str_eq(error.text, message);
    cr_expect_eq(code.func, 99);
    cn_arena_release(&arena);
}

Test(asm, says_where_the_text_makes_no_sense)
{
    expect_refusal("func 1 frame 2\n", "line 1: expected \"header \", found \"\"");
    expect_refusal("\n\n  frobnicate s1",
                   "line 3: expected an instruction, found \"frobnicate s1\"");
    expect_refusal("add s1, s2", "line 1: expected a comma, found \"\"");
    expect_refusal("add s1, s2, f0", "line 1: expected an operand, found \"f0\"");
    expect_refusal("add 5, s2, s3", "line 1: expected a place for the result, found \"5, s2, s3\"");
    expect_refusal("add s1, 5, 6", "line 1: the instruction has no such form, found \"\"");
    expect_refusal("add s65536, s1, s1", "line 1: number too large, found \"65536, s1, s1\"");
    expect_refusal("ret header s1 s2", "line 1: expected the end of the line, found \"s2\"");
    expect_refusal("L1: live 4",
                   "line 1: labels are numbered in their order, found \" live 4\"");
    expect_refusal(".ref s1:funcref", "line 1: references belong to a label, found \"s1:funcref\"");
    expect_refusal("br Lx, $1", "line 1: expected a number, found \"x, $1\"");
}
