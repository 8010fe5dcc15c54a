#include "tests/unit/wasm_fixture.h"

#include "core/limits.h"
#include "core/wasm.h"

/* A module with one function of type [] -> [], a table, a memory, two globals, of which the first
 * is mutable, a passive element and data segment. Function 0 is imported: [i32 i64] -> [f32]. */
#define WORLD(...)                                                                                 \
    MODULE(SECTION(TYPES, 4, FUNC, 2, I32, I64, 1, F32, NO_TYPE, FUNC, 1, I32, 2, I32, I32, FUNC,  \
                   1, I32, 1, I32),                                                                \
           SECTION(IMPORTS, 1, 0, 0, 0, 0), SECTION(FUNCTIONS, 1, 1),                              \
           SECTION(TABLES, 2, FREF, 0, 9, XREF, 0, 9), SECTION(MEMORIES, 1, 0, 1),                 \
           SECTION(GLOBALS, 2, I32, 1, 0x41, 0, END, F64, 0, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, END),   \
           SECTION(ELEMENTS, 1, 1, 0, 1, 1), SECTION(DATA_COUNT, 1),                               \
           SECTION(CODE, 1, BODY(__VA_ARGS__)), SECTION(DATAS, 1, 1, 1, 'x'))

#define VALID(...) accepts(WORLD(0, __VA_ARGS__))
#define INVALID(text, ...) refuses(WORLD(0, __VA_ARGS__), text)

/* Operators that push a value of a type, and take anything away. */
#define I 0x41, 0
#define L 0x42, 0
#define F 0x43, 0, 0, 0, 0
#define D 0x44, 0, 0, 0, 0, 0, 0, 0, 0
#define FN 0xd2, 1
#define EX 0xd0, XREF
#define DROP 0x1a
#define DEAD 0x00
#define FUNC_F32_F32 FUNC, 1, F32, 1, F32

/* ---------------------------------------------------------------- the table of operators */

static const uint8_t *const pushes[256] = {
    ['i'] = (const uint8_t[]){2, 0x41, 0},
    ['l'] = (const uint8_t[]){2, 0x42, 0},
    ['f'] = (const uint8_t[]){5, 0x43, 0, 0, 0, 0},
    ['d'] = (const uint8_t[]){9, 0x44, 0, 0, 0, 0, 0, 0, 0, 0},
};

static void append(uint8_t *body, size_t *size, const void *bytes, size_t count)
{
    memcpy(body + *size, bytes, count);
    *size += count;
}

static size_t immediates_of(enum cn_wasm_immediate kind)
{
    static const uint8_t sizes[] = {[CN_IMM_MEMARG] = 2, [CN_IMM_MEMORY] = 1, [CN_IMM_I32] = 1,
                                    [CN_IMM_I64] = 1, [CN_IMM_F32] = 4, [CN_IMM_F64] = 8,
                                    [CN_IMM_DATA_MEMORY] = 2, [CN_IMM_DATA] = 1,
                                    [CN_IMM_MEMORY_MEMORY] = 2, [CN_IMM_ELEM_TABLE] = 2,
                                    [CN_IMM_ELEM] = 1, [CN_IMM_TABLE_TABLE] = 2,
                                    [CN_IMM_TABLE] = 1};

    return (size_t)kind < sizeof sizes ? sizes[kind] : 0;
}

/* Loads a function that pushes `operands`, does the operator and drops what it leaves. */
static enum cn_status try_operator(uint32_t op, enum cn_wasm_immediate kind,
                                   const char *operands, bool has_result)
{
    static const uint8_t zeros[16];
    uint8_t body[128] = {0};
    size_t size = 1; /* no locals */

    for (const char *operand = operands; *operand; operand++)
        append(body, &size, pushes[(uint8_t)*operand] + 1, pushes[(uint8_t)*operand][0]);
    if (op > 0xff)
        append(body, &size, (const uint8_t[]){0xfc}, 1);
    append(body, &size, (const uint8_t[]){(uint8_t)op}, 1);
    append(body, &size, zeros, immediates_of(kind));
    if (has_result)
        append(body, &size, (const uint8_t[]){DROP}, 1);
    append(body, &size, (const uint8_t[]){END}, 1);

    struct cn_bytes before = MODULE(
        SECTION(TYPES, 1, NO_TYPE), SECTION(FUNCTIONS, 1, 0), SECTION(TABLES, 1, FREF, 0, 9),
        SECTION(MEMORIES, 1, 0, 1), SECTION(ELEMENTS, 1, 1, 0, 0), SECTION(DATA_COUNT, 1));
    const uint8_t after[] = {SECTION(DATAS, 1, 1, 0)};
    const uint8_t code[] = {CODE, (uint8_t)(size + 2), 1, (uint8_t)size};
    uint8_t bytes[512];
    size_t total = 0;
    append(bytes, &total, before.at, before.size);
    append(bytes, &total, code, sizeof code);
    append(bytes, &total, body, size);
    append(bytes, &total, after, sizeof after);

    struct loaded loaded = load_bytes((struct cn_bytes){bytes, total}, cn_heap);
    unload(&loaded);
    return loaded.status;
}

/* With its operands an operator is valid; with one less, or another one, it is not. */
static void check_operator(const char *name, uint32_t op, enum cn_wasm_immediate kind,
                           const char *types)
{
    const char *colon = strchr(types, ':');
    char operands[8] = "";

    if (colon == NULL || strlen(colon) > 2)
        return;
    size_t count = 0;
    bool has_result = colon[1] != '\0';
    for (const char *at = types; at < colon; at++)
        if (*at < '0' || *at > '9')
            operands[count++] = *at == 'a' ? 'i' : *at;
    cr_assert_eq(try_operator(op, kind, operands, has_result), CN_OK, "%s", name);
    cr_assert_neq(try_operator(op, kind, operands, !has_result), CN_OK, "%s: result", name);
    if (count == 0)
        return;
    cr_assert_eq(try_operator(op, kind, operands + 1, has_result), CN_INVALID, "%s: too few",
                 name);
    for (size_t i = 0; i < count; i++) {
        char held = operands[i];
        for (const char *other = "ilfd"; *other; other++) {
            operands[i] = *other;
            cr_assert_eq(try_operator(op, kind, operands, has_result),
                         *other == held ? CN_OK : CN_INVALID, "%s with %s", name, operands);
        }
        operands[i] = held;
    }
}

Test(validate, types_every_row_of_the_table)
{
#define OP(byte, name, text, immediate, types)                                                     \
    check_operator(text, CN_WASM_##name, CN_IMM_##immediate, types);
#define OP_FB(...)
#define OP_FC(number, name, text, immediate, types)                                                \
    check_operator(text, CN_WASM_##name, CN_IMM_##immediate, types);
#define OP_FD(...)
#define OP_FE(...)
#include "spec/wasm.def"
#undef OP
#undef OP_FB
#undef OP_FC
#undef OP_FD
#undef OP_FE
}

Test(validate, says_what_was_expected_and_found)
{
    cr_assert_str_eq(INVALID("", I, F, 0x6a, DROP).text,
                     "type mismatch: instruction requires [i32] but stack has [f32] (i32.add)");
    cr_assert_str_eq(INVALID("", I, 0x6a, DROP).text,
                     "type mismatch: instruction requires [i32] but stack has [] (i32.add)");
    cr_assert_str_eq(INVALID("", FN, 0x45, DROP).text,
                     "type mismatch: instruction requires [i32] but stack has [(ref 1)] (i32.eqz)");
}

Test(validate, says_where)
{
    refuses_at(MODULE(FUNCTION(NO_TYPE, 0, 0x01, L, 0x45, DROP)), 26,
               "type mismatch: instruction requires [i32] but stack has [i64] (i32.eqz)");
    refuses_at(MODULE(FUNCTION(NO_TYPE, 0, 0x01, 0xff)), 24, "illegal opcode ff");
    refuses_at(MODULE(FUNCTION(NO_TYPE, 0, 0x20, 0)), 24, "unknown local 0");
}

Test(validate, refuses_operators_that_are_none)
{
    INVALID("illegal opcode ff", 0xff);
    INVALID("illegal opcode 27", 0x27);
    INVALID("illegal opcode 27", 0x27);
    INVALID("illegal opcode fc 12", 0xfc, 18);
    INVALID("illegal opcode fc 4000", 0xfc, 0x80, 0x80, 1);
    INVALID("illegal opcode fd 154", 0xfd, 0xd4, 2);
}

/* ---------------------------------------------------------------- blocks */

Test(validate, types_blocks)
{
    VALID(0x02, 0x40, 0x0b);
    VALID(0x02, I32, I, 0x0b, DROP);
    VALID(I, 0x02, 2, 0x1a, I, I, 0x0b, DROP, DROP);
    VALID(0x03, 0x40, 0x0c, 0, 0x0b);
    INVALID("type mismatch: instruction requires [i32] but stack has []", 0x02, I32, 0x0b, DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has [i64]",
            0x02, I32, L, 0x0b, DROP);
    INVALID("type mismatch: block requires [] but stack has [i32]", 0x02, 0x40, I, 0x0b,
            DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has []",
            I, 0x02, 0x40, 0x45, DROP, 0x0b,
            DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has []",
            0x02, 2, 0x0b, DROP, DROP);
    INVALID("type mismatch: block requires [] but stack has [i32]", I);
    INVALID("unknown type 9", 0x02, 9, 0x0b);
    INVALID("malformed value type: found 0x41", 0x02, 0x41, 0x0b);
    INVALID("malformed block type", 0x02, 0xc0, 0x7f, 0x0b);
}

Test(validate, types_if_and_else)
{
    VALID(I, 0x04, 0x40, 0x0b);
    VALID(I, 0x04, I32, I, 0x05, I, 0x0b, DROP);
    VALID(I, I, 0x04, 3, 0x0b, DROP);
    INVALID("type mismatch: an if without else", I, 0x04, I32, I, 0x0b, DROP);
    INVALID("type mismatch: an if without else", I, I, 0x04, 2, I, 0x0b, DROP, DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has",
            I, 0x04, I32, I, 0x05, L, 0x0b, DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has",
            I, 0x04, I32, L, 0x05, I, 0x0b, DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has", L, 0x04, 0x40, 0x0b);
    INVALID("END opcode expected: else without if", 0x05);
    INVALID("END opcode expected: else without if", I, 0x04, 0x40, 0x05, 0x05, 0x0b);
}

Test(validate, wants_every_block_closed)
{
    INVALID("section size mismatch", 0x02, 0x40); /* what follows looks like an end */
    INVALID("section size mismatch: 2 bytes follow", END, 0x01);
    refuses(MODULE(SECTION(TYPES, 1, NO_TYPE), SECTION(FUNCTIONS, 1, 0),
                   SECTION(CODE, 1, 1, 0)),
            "unexpected end of section or function");
}

Test(validate, types_branches)
{
    VALID(0x02, 0x40, 0x0c, 0, 0x0b);
    VALID(0x02, I32, I, 0x0c, 0, 0x0b, DROP);
    VALID(0x02, I32, I, I, 0x0d, 0, 0x0b, DROP);
    VALID(I, 0x03, 3, I, 0x0d, 0, 0x0b, DROP);
    VALID(0x02, 0x40, 0x02, 0x40, I, 0x0e, 2, 0, 1, 2, 0x0b, 0x0b);
    VALID(0x0f);
    INVALID("unknown label 1", 0x0c, 1);
    INVALID("unknown label 3", I, 0x0e, 1, 0, 3);
    INVALID("type mismatch: instruction requires [i32] but stack has",
            0x02, I32, 0x0c, 0, 0x0b, DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has [i64]",
            0x02, I32, L, I, 0x0d, 0, 0x0b, DROP);
    INVALID("type mismatch: br_table expects the same number", 0x02, I32, I, I, 0x0e, 1, 0, 1,
            0x0b, DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has [i64]", L, 0x0e, 0, 0);
    INVALID("type mismatch: instruction requires [i64] but stack has [i32]",
            0x02, I64, 0x02, I32, I, I, 0x0e, 1,
            0, 1, 0x0b, DROP, L, 0x0b, DROP);
    INVALID("unexpected end of section or function: 100 targets", I, 0x0e, 100, 0);
}

Test(validate, takes_any_type_in_dead_code)
{
    VALID(DEAD, 0x6a, DROP);
    VALID(DEAD, 0x6a, 0x45, DROP);
    VALID(DEAD, 0x1b, DROP);
    VALID(DEAD, 0x1b, 0x8c, DROP);
    VALID(DEAD, 0xd1, DROP);
    VALID(0x0f, DROP, DROP, DROP);
    VALID(0x0c, 0, 0x10, 0, DROP);
    VALID(0x02, I32, DEAD, 0x0b, DROP);
    VALID(DEAD, 0x02, 0x40, 0x0b);
    VALID(0x02, I32, 0x02, I64, DEAD, I, 0x0e, 1, 0, 1, 0x0b, DROP, I, 0x0b, DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has [i64]", DEAD, L, 0x6a, DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has [i64]",
            DEAD, 0x7c, 0x45, DROP);
    INVALID("type mismatch: instruction requires [i32] but stack has []",
            DEAD, 0x02, 0x40, 0x45, DROP,
            0x0b);
    INVALID("type mismatch: block requires [] but stack has [i32]", DEAD, I);
    INVALID("type mismatch: instruction requires [i64] but stack has [i32]",
            DEAD, I, 0x0d, 0, I, 0x50, DROP);
    INVALID("unknown local 7", DEAD, 0x20, 7);
}

Test(validate, forgets_the_death_of_an_if_in_its_else)
{
    VALID(I, 0x04, 0x40, DEAD, 0x05, 0x0b);
    INVALID("type mismatch: instruction requires [i32] but stack has []",
            I, 0x04, 0x40, DEAD, 0x05, 0x45,
            DROP, 0x0b);
}

/* ---------------------------------------------------------------- calls and variables */

Test(validate, types_calls)
{
    VALID(I, L, 0x10, 0, DROP);
    VALID(I, L, I, 0x11, 0, 0, DROP);
    VALID(0x12, 1);
    VALID(I, 0x13, 1, 0);
    INVALID("unknown function 2", 0x10, 2);
    INVALID("type mismatch: instruction requires [i64] but stack has [i32]", L, I, 0x10, 0, DROP);
    INVALID("unknown type 9", I, 0x11, 9, 0);
    INVALID("unknown table 9", I, 0x11, 1, 9);
    INVALID("type mismatch: call_indirect expects a table of funcref", I, 0x11, 1, 1);
    INVALID("type mismatch: return_call expects a callee with the results", I, L, 0x12, 0);
    INVALID("type mismatch: return_call_indirect expects a callee", I, L, I, 0x13, 0, 0);
}

Test(validate, types_locals)
{
    accepts(WORLD(2, 2, I32, 1, F64, 0x20, 0, 0x21, 1, D, 0x22, 2, DROP));
    refuses(WORLD(1, 1, I32, L, 0x21, 0),
            "type mismatch: instruction requires [i32] but stack has [i64]");
    refuses(WORLD(1, 1, I32, 0x22, 0, DROP),
            "type mismatch: instruction requires [i32] but stack has []");
    refuses(WORLD(1, 1, I32, 0x20, 1, DROP), "unknown local 1");
    refuses(WORLD(1, 1, 0x7a), "malformed value type");
    accepts(MODULE(FUNCTION(FUNC_F32_F32, 1, 1, I64, 0x20, 1, DROP, 0x20, 0)));
}

Test(validate, keeps_the_limit_of_locals)
{
    accepts(WORLD(1, 0xd0, 0x86, 0x03, I32));                     /* 50000 */
    refuses(WORLD(1, 0xd1, 0x86, 0x03, I32), "too many locals");  /* 50001 */
    refuses(WORLD(2, 0xcf, 0x86, 0x03, I32, 2, I64), "too many locals: found 50001");
    refuses(WORLD(2, 0xff, 0xff, 0xff, 0xff, 0x0f, I32, 1, I32), "too many locals");
}

Test(validate, knows_the_types_of_far_locals)
{
    /* 3000 i32, no f32, 1 i64, 3000 f64 */
    accepts(WORLD(4, 0xb8, 0x17, I32, 0, F32, 1, I64, 0xb8, 0x17, F64, 0x20, 0xb7, 0x17, 0x45,
                  DROP, 0x20, 0xb8, 0x17, 0x50, DROP, 0x20, 0xb9, 0x17, 0x99, DROP, 0x20, 0xf0,
                  0x2e, 0x99, DROP));
    refuses(WORLD(3, 0xb8, 0x17, I32, 1, I64, 0xb8, 0x17, F64, 0x20, 0xb8, 0x17, 0x45, DROP),
            "type mismatch: instruction requires [i32] but stack has [i64]");
    refuses(WORLD(1, 0xb8, 0x17, I32, 0x20, 0xb8, 0x17, DROP), "unknown local 3000");
}

Test(validate, types_globals)
{
    VALID(0x23, 0, 0x45, DROP, 0x23, 1, 0x99, DROP, I, 0x24, 0);
    INVALID("unknown global 2", 0x23, 2, DROP);
    INVALID("immutable global", D, 0x24, 1);
    INVALID("type mismatch: instruction requires [i32] but stack has", D, 0x24, 0);
}

/* ---------------------------------------------------------------- parametric, references */

Test(validate, types_select)
{
    VALID(I, I, I, 0x1b, DROP);
    VALID(FN, FN, I, 0x1c, 1, FREF, DROP);
    INVALID("type mismatch: select without a type expects numbers", FN, FN, I, 0x1b, DROP);
    INVALID("type mismatch: select expects two values of one type, found i32 and i64", I, L, I,
            0x1b, DROP);
    INVALID("invalid result arity", I, I, I, 0x1c, 2, I32, I32, DROP);
    INVALID("invalid result arity", I, I, I, 0x1c, 0, DROP);
    INVALID("type mismatch: instruction requires [externref] but stack has",
            FN, FN, I, 0x1c, 1, XREF, DROP);
    INVALID("malformed value type", I, I, I, 0x1c, 1, 0x40, DROP);
    INVALID("type mismatch: instruction requires [any] but stack has []", DROP);
}

Test(validate, types_references)
{
    VALID(EX, 0xd1, DROP, FN, 0xd1, DROP);
    INVALID("type mismatch: instruction requires [ref] but stack has [i32]", I, 0xd1, DROP);
    INVALID("malformed heap type", 0xd0, I32, DROP);
    INVALID("unknown function 7", 0xd2, 7, DROP);
    INVALID("undeclared function reference", 0xd2, 0, DROP);
}

Test(validate, types_tables)
{
    VALID(I, 0x25, 1, DROP, I, EX, 0x26, 1, EX, I, 0xfc, 15, 1, DROP, I, EX, I, 0xfc, 17, 1);
    VALID(I, I, I, 0xfc, 14, 1, 1, I, I, I, 0xfc, 12, 0, 0);
    INVALID("unknown table 2", I, 0x25, 2, DROP);
    INVALID("type mismatch: instruction requires [externref]", I, FN, 0x26, 1);
    INVALID("type mismatch: instruction requires [externref]", FN, I, 0xfc, 15, 1, DROP);
    INVALID("type mismatch: table.copy into a table of funcref", I, I, I, 0xfc, 14, 0, 1);
    INVALID("type mismatch: table.init into a table of externref", I, I, I, 0xfc, 12, 0, 1);
    INVALID("unknown elem segment 1", I, I, I, 0xfc, 12, 1, 0);
    INVALID("unknown elem segment 1", 0xfc, 13, 1);
}

/* ---------------------------------------------------------------- memories */

Test(validate, types_memory_accesses)
{
    VALID(I, 0x29, 3, 0, DROP);
    VALID(I, 0x28, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, DROP);
    INVALID("alignment must not be larger than natural: i32.load expects at most 2^2, found 2^3",
            I, 0x28, 3, 0, DROP);
    INVALID("malformed memop flags", I, 0x28, 0x80, 1, 0, DROP);
    INVALID("unknown memory 1", I, 0x28, 0x40, 1, 0, DROP);
    INVALID("offset out of range", I, 0x28, 2, 0xff, 0xff, 0xff, 0xff, 0x1f, DROP);
    INVALID("unknown memory 1", 0x3f, 1, DROP);
    INVALID("unknown data segment 1", I, I, I, 0xfc, 8, 1, 0);
    INVALID("unknown data segment 1", 0xfc, 9, 1);
}

Test(validate, wants_a_memory)
{
    refuses(MODULE(FUNCTION(NO_TYPE, 0, I, 0x28, 2, 0, DROP)), "unknown memory 0");
    refuses(MODULE(FUNCTION(NO_TYPE, 0, 0x3f, 0, DROP)), "unknown memory 0");
    refuses(MODULE(FUNCTION(NO_TYPE, 0, I, I, I, 0xfc, 11, 0)), "unknown memory 0");
}

Test(validate, wants_a_data_count)
{
    refuses(MODULE(FUNCTION(NO_TYPE, 0, 0xfc, 9, 0), SECTION(DATAS, 1, 1, 0)),
            "data count section required: data.drop is used without it");
}

/* ---------------------------------------------------------------- depth */

/* A module whose one function holds `count` times `piece`, then `count` times `closing`. */
static struct loaded load_repeated(uint32_t count, struct cn_bytes piece, struct cn_bytes closing)
{
    const uint8_t start[] = {HEADER, SECTION(TYPES, 1, NO_TYPE), SECTION(FUNCTIONS, 1, 0), CODE};
    uint32_t size = 2 + count * (uint32_t)(piece.size + closing.size);
    uint32_t sizes[2] = {size + 6, size};
    uint8_t *bytes = malloc(sizeof start + size + 16);
    size_t at = 0;

    append(bytes, &at, start, sizeof start);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 5; k++)
            bytes[at++] = (uint8_t)((sizes[i] >> 7 * k & 0x7f) | (k < 4 ? 0x80 : 0));
        bytes[at++] = i == 0 ? 1 : 0; /* one body; no locals */
    }
    for (uint32_t i = 0; i < count; i++)
        append(bytes, &at, piece.at, piece.size);
    for (uint32_t i = 0; i < count; i++)
        append(bytes, &at, closing.at, closing.size);
    bytes[at++] = END;
    struct loaded loaded = load_bytes((struct cn_bytes){bytes, at}, cn_heap);
    free(bytes);
    return loaded;
}

static void expect_repeated(uint32_t count, struct cn_bytes piece, struct cn_bytes closing,
                            enum cn_status expected)
{
    struct loaded loaded = load_repeated(count, piece, closing);

    cr_assert_eq(loaded.status, expected, "%u: %s", count, loaded.error.text);
    unload(&loaded);
}

Test(validate, nests_blocks_up_to_the_limit)
{
    expect_repeated(CN_LIMIT_NESTING - 1, BYTES(0x02, 0x40), BYTES(0x0b), CN_OK);
    expect_repeated(CN_LIMIT_NESTING, BYTES(0x02, 0x40), BYTES(0x0b), CN_TOO_LARGE);
}

Test(validate, keeps_operands_up_to_the_limit)
{
    expect_repeated(CN_LIMIT_OPERANDS, BYTES(I), BYTES(DROP), CN_OK);
    expect_repeated(CN_LIMIT_OPERANDS + 1, BYTES(I), BYTES(DROP), CN_TOO_LARGE);
}
