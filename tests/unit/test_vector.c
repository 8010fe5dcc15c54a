/* Vectors where they are more than operands of one another: in locals, blocks, calls, globals, at
 * the border to C; and wide arithmetic. The operators themselves are the official suite's. */
#include "tests/unit/api_fixture.h"

enum { V128 = CN_V128 };
#define GET(i) 0x20, i
#define SET(i) 0x21, i
#define CONST(low, high) 0xfd, 12, low, 0, 0, 0, 0, 0, 0, 0, high, 0, 0, 0, 0, 0, 0, 0
#define OP(...) 0xfd, __VA_ARGS__
#define I64X2_ADD 0xfd, 0xce, 1
#define I64X2_LANE(i) 0xfd, 0x1d, i
#define EXPORT_GO SECTION(EXPORTS, 1, 2, 'g', 'o', 0, 0)

static cordon_value_t vector(uint64_t low, uint64_t high)
{
    cordon_value_t value = {.type = CORDON_V128};

    memcpy(value.v128, &low, 8);
    memcpy(value.v128 + 8, &high, 8);
    return value;
}

static cordon_value_t i32(int32_t number)
{
    return (cordon_value_t){.type = CORDON_I32, .i32 = number};
}

static void expect_vector(const cordon_value_t *value, uint64_t low, uint64_t high)
{
    uint64_t halves[2];

    memcpy(halves, value->v128, sizeof halves);
    cr_expect_eq(value->type, CORDON_V128);
    cr_expect_eq(halves[0], low, "low half %" PRIx64 ", not %" PRIx64, halves[0], low);
    cr_expect_eq(halves[1], high, "high half %" PRIx64 ", not %" PRIx64, halves[1], high);
}

/* Calls the export "go" of a module. */
static void call(struct api *api, struct cn_bytes module, const cordon_value_t *arguments,
                 uint32_t count, cordon_value_t *results)
{
    api_open(api, module);
    api_start(api);
    cr_assert(cordon_vm_invoke(api->vm, "go", arguments, count, results, 4, &api->result,
                               &api->error),
              "%s", api->error.message);
}

static void call_one(struct cn_bytes module, const cordon_value_t *arguments, uint32_t count,
                     cordon_value_t *results)
{
    struct api api;

    call(&api, module, arguments, count, results);
    cr_expect_eq(api.result.end, CORDON_END_RETURN, "%s", api.result.message);
    api_close(&api);
}

/* (i32, v128, i64) -> (i64, v128, i32) gives its parameters backwards. */
Test(vector, stands_between_other_values)
{
    const cordon_value_t arguments[] = {
        i32(-3), vector(5, 6), {.type = CORDON_I64, .i64 = 7}};
    cordon_value_t results[4];

    call_one(MODULE(SECTION(TYPES, 1, FUNC, 3, I32, V128, I64, 3, I64, V128, I32),
                    SECTION(FUNCTIONS, 1, 0), EXPORT_GO,
                    SECTION(CODE, 1, BODY(0, GET(2), GET(1), GET(0)))),
             arguments, 3, results);
    cr_expect_eq(results[0].i64, 7);
    expect_vector(&results[1], 5, 6);
    cr_expect_eq(results[2].i32, -3);
}

/* Locals of all kinds among one another; those that are not written are zero. */
Test(vector, locals_are_found_and_zeroed)
{
    const cordon_value_t arguments[] = {vector(1, 2)};
    cordon_value_t results[4];

    call_one(MODULE(SECTION(TYPES, 1, FUNC, 1, V128, 3, V128, V128, I32),
                    SECTION(FUNCTIONS, 1, 0), EXPORT_GO,
                    SECTION(CODE, 1,
                            BODY(4, 1, I32, 2, V128, 1, I64, 1, V128,
                                 /* 5 = 0 + 3; 1 = 9; result 5 + 0, 2, 1 */
                                 GET(0), GET(3), I64X2_ADD, SET(5), 0x41, 9, SET(1),
                                 GET(5), GET(0), I64X2_ADD, GET(2), GET(1)))),
             arguments, 1, results);
    expect_vector(&results[0], 2, 4);
    expect_vector(&results[1], 0, 0);
    cr_expect_eq(results[2].i32, 9);
}

/* The old value of a local stays on the operand stack when the local is written. */
Test(vector, operands_keep_their_value)
{
    const cordon_value_t arguments[] = {vector(1, 2)};
    cordon_value_t results[4];

    call_one(MODULE(SECTION(TYPES, 1, FUNC, 1, V128, 2, V128, V128), SECTION(FUNCTIONS, 1, 0),
                    EXPORT_GO,
                    SECTION(CODE, 1,
                            BODY(0, GET(0), GET(0), GET(0), I64X2_ADD, SET(0), GET(0)))),
             arguments, 1, results);
    expect_vector(&results[0], 1, 2);
    expect_vector(&results[1], 2, 4);
}

/* A loop carries a vector and a counter; each branch of an if and of a table brings one. */
#define LOOP_BODY                                                                                  \
    1, 1, V128, GET(0), GET(1), 0x03, 1, /* loop (v128 i32) -> (v128) */                           \
        SET(1), GET(0), I64X2_ADD, GET(1), 0x41, 0x7f, 0x6a, 0x22, 1, 0x04, 2, /* if v -> v */     \
        GET(1), 0x0c, 1, 0x0b, 0x0b
Test(vector, is_carried_by_branches)
{
    const cordon_value_t arguments[] = {vector(1, 10), i32(5)};
    cordon_value_t results[4];

    call_one(MODULE(SECTION(TYPES, 3, FUNC, 2, V128, I32, 1, V128, FUNC, 2, V128, I32, 1, V128,
                            FUNC, 1, V128, 1, V128),
                    SECTION(FUNCTIONS, 1, 0), EXPORT_GO, SECTION(CODE, 1, BODY(LOOP_BODY))),
             arguments, 2, results);
    expect_vector(&results[0], 6, 60);
}

static void go_by_table(int32_t index, uint64_t low, uint64_t high)
{
    const cordon_value_t arguments[] = {i32(index)};
    cordon_value_t results[4];

    /* (7, 7) + (block: (2, 3), to 0 its end, 1 the outer block's, else the function's), + 16 */
    call_one(MODULE(SECTION(TYPES, 1, FUNC, 1, I32, 1, V128), SECTION(FUNCTIONS, 1, 0), EXPORT_GO,
                    SECTION(CODE, 1,
                            BODY(0, 0x02, V128, CONST(7, 7), 0x02, V128, CONST(2, 3), GET(0),
                                 0x0e, 2, 0, 1, 2, END, I64X2_ADD, END, CONST(16, 16),
                                 I64X2_ADD))),
             arguments, 1, results);
    expect_vector(&results[0], low, high);
}

Test(vector, is_carried_by_tables)
{
    go_by_table(0, 25, 26);
    go_by_table(1, 18, 19);
    go_by_table(2, 2, 3);
    go_by_table(99, 2, 3);
}

/* select, with and without its type. */
static void go_by_select(int32_t which, uint64_t low)
{
    const cordon_value_t arguments[] = {i32(which), vector(1, 1), vector(2, 2)};
    cordon_value_t results[4];

    call_one(MODULE(SECTION(TYPES, 1, FUNC, 3, I32, V128, V128, 2, V128, V128),
                    SECTION(FUNCTIONS, 1, 0), EXPORT_GO,
                    SECTION(CODE, 1,
                            BODY(0, GET(1), GET(2), GET(0), 0x1b, GET(2), GET(1), GET(0), 0x1c,
                                 1, V128))),
             arguments, 3, results);
    expect_vector(&results[0], low, low);
    expect_vector(&results[1], 3 - low, 3 - low);
}

Test(vector, is_selected)
{
    go_by_select(1, 1);
    go_by_select(0, 2);
}

/* A tail call with more slots of parameters than the caller has, back to one with fewer. */
Test(vector, goes_through_calls_and_tail_calls)
{
    const cordon_value_t arguments[] = {vector(1, 2)};
    cordon_value_t results[4];

    call_one(MODULE(SECTION(TYPES, 2, FUNC, 1, V128, 1, V128, FUNC, 3, V128, I32, V128, 1, V128),
                    SECTION(FUNCTIONS, 3, 0, 1, 0), EXPORT_GO,
                    SECTION(CODE, 3, BODY(0, GET(0), 0x41, 1, CONST(5, 5), 0x12, 1),
                            BODY(0, GET(2), GET(0), I64X2_ADD, 0x10, 2, 0x12, 2),
                            BODY(0, GET(0), GET(0), I64X2_ADD))),
             arguments, 1, results);
    expect_vector(&results[0], 24, 28);
}

/* (global (mut v128)) is 16 bytes of which each half is kept. */
Test(vector, is_kept_in_globals)
{
    const cordon_value_t arguments[] = {vector(0x1111111111111111u, 0x2222222222222222u)};
    cordon_value_t results[4];

    call_one(MODULE(SECTION(TYPES, 1, FUNC, 1, V128, 2, V128, V128), SECTION(FUNCTIONS, 1, 0),
                    SECTION(GLOBALS, 2, V128, 1, CONST(3, 4), END, V128, 0, CONST(5, 6), END),
                    EXPORT_GO,
                    SECTION(CODE, 1,
                            BODY(0, 0x23, 0, 0x23, 1, I64X2_ADD, GET(0), 0x24, 0, 0x23, 0))),
             arguments, 1, results);
    expect_vector(&results[0], 8, 10);
    expect_vector(&results[1], 0x1111111111111111u, 0x2222222222222222u);
}

/* What comes out of a lane is a copy: writing the vector afterwards does not change it. */
Test(vector, lanes_are_copies)
{
    const cordon_value_t arguments[] = {vector(1, 2)};
    cordon_value_t results[4];

    call_one(MODULE(SECTION(TYPES, 1, FUNC, 1, V128, 3, I64, I64, V128), SECTION(FUNCTIONS, 1, 0),
                    EXPORT_GO,
                    SECTION(CODE, 1,
                            BODY(0, GET(0), I64X2_LANE(0), GET(0), I64X2_LANE(1), CONST(8, 9),
                                 SET(0), GET(0)))),
             arguments, 1, results);
    cr_expect_eq(results[0].i64, 1);
    cr_expect_eq(results[1].i64, 2);
    expect_vector(&results[2], 8, 9);
}

static bool raw_swap(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    uint64_t low = slots[1];

    (void)vm;
    *(uint64_t *)user = slots[0];
    slots[0] = slots[2];
    slots[1] = low;
    return true;
}

Test(vector, reaches_functions_of_the_host)
{
    const cordon_value_t argument = vector(1, 2);
    struct api api;
    cordon_value_t result;
    uint64_t number = 0;

    api_open(&api, MODULE(SECTION(TYPES, 2, FUNC, 2, I32, V128, 1, V128, FUNC, 1, V128, 1, V128),
                          SECTION(IMPORTS, 1, 1, 'e', 1, 'f', 0, 0), SECTION(FUNCTIONS, 1, 1),
                          SECTION(EXPORTS, 1, 2, 'g', 'o', 0, 1),
                          SECTION(CODE, 1, BODY(0, 0x41, 42, GET(0), 0x10, 0))));
    cr_expect_not(cordon_bind(api.linker, "e", "f", "v128(i32, v128)", (void (*)(void))abort,
                              &api.error));
    cr_assert(cordon_bind_raw(api.linker, "e", "f", "v128(i32, v128)", raw_swap, &number,
                              &api.error));
    api_start(&api);
    cr_assert(cordon_vm_invoke(api.vm, "go", &argument, 1, &result, 1, &api.result, &api.error));
    cr_expect_eq(number, 42);
    expect_vector(&result, 2, 1);
    api_close(&api);
}

/* A load that became part of an operator traps with the fuel of what came before it: what
 * follows it, here the two operators behind the load, is not paid for. */
Test(vector, a_load_in_an_operator_traps_where_it_stands)
{
    struct api api;
    cordon_value_t result;
    cordon_stats_t stats;

    call(&api,
         MODULE(SECTION(TYPES, 1, FUNC, 0, 1, V128), SECTION(FUNCTIONS, 1, 0),
                SECTION(MEMORIES, 1, 0, 1), EXPORT_GO,
                SECTION(CODE, 1,
                        BODY(1, 1, V128, GET(0), GET(0), 0x41, 0x7f, OP(0x00, 4, 0),
                             OP(0xe6, 1), OP(0xe4, 1)))),
         NULL, 0, &result);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cordon_vm_stats(api.vm, &stats);
    cr_expect_eq(stats.used[CORDON_FUEL], 4);
    api_close(&api);
}

/* (a * b wide) + (c, d), where the product's halves stand in locals in between. */
Test(vector, wide_arithmetic_has_two_results)
{
    const cordon_value_t arguments[] = {{.type = CORDON_I64, .i64 = -1},
                                        {.type = CORDON_I64, .i64 = 3}};
    cordon_value_t results[4];

    call_one(MODULE(SECTION(TYPES, 1, FUNC, 2, I64, I64, 3, I64, I64, I64),
                    SECTION(FUNCTIONS, 1, 0), EXPORT_GO,
                    SECTION(CODE, 1,
                            BODY(1, 2, I64, GET(0), GET(1), 0xfc, 0x16, SET(3), SET(2), GET(2),
                                 GET(3), 0x42, 5, 0x42, 0, 0xfc, 0x13, GET(2)))),
             arguments, 2, results);
    cr_expect_eq(results[0].i64, 2);
    cr_expect_eq(results[1].i64, 3);
    cr_expect_eq(results[2].i64, -3);
}

/* Constants of loops are set at entry, once each, whatever reaches them; here more than there
 * are slots for, some of them twice. */
Test(vector, loops_have_their_constants)
{
    const cordon_value_t arguments[] = {vector(0, 0), i32(3)};
    cordon_value_t results[4];

#define ADD(low) CONST(low, 2 * low), GET(0), I64X2_ADD, SET(0)
    call_one(MODULE(SECTION(TYPES, 1, FUNC, 2, V128, I32, 1, V128), SECTION(FUNCTIONS, 1, 0),
                    EXPORT_GO,
                    CODE, 0xd8, 2, 1, 0xd5, 2, 0, 0x03, 0x40, ADD(1), ADD(2), ADD(3), ADD(4),
                    ADD(5), ADD(6), ADD(7), ADD(8), ADD(9), ADD(10), ADD(1), ADD(10), GET(1),
                    0x41, 0x7f, 0x6a, 0x22, 1, 0x0d, 0, END, GET(0), ADD(1), END),
             arguments, 2, results);
    expect_vector(&results[0], 3 * 66, 6 * 66);
}
