#include <math.h>

#include "tests/unit/api_fixture.h"

/* (import "env" "f" (func <type>)) (func (export "g") <type> <arguments> call 0) */
#define CALLS(type, ...)                                                                           \
    MODULE(SECTION(TYPES, 1, type), SECTION(IMPORTS, 1, 3, 'e', 'n', 'v', 1, 'f', 0, 0),           \
           SECTION(FUNCTIONS, 1, 0), SECTION(EXPORTS, 1, 1, 'g', 0, 1),                            \
           SECTION(CODE, 1, BODY(0, __VA_ARGS__, 0x10, 0)))
#define GET(i) 0x20, i

#define HYPOT CALLS(FUNC_TYPE2(F64, F64, F64), GET(0), GET(1))
#define FUNC_TYPE2(a, b, result) FUNC, 2, a, b, 1, result
#define FUNC_TYPE5 FUNC, 5, I32, I64, F32, F64, I32, 1, I64
#define FLOAT_TYPE FUNC, 1, F32, 1, F32

static cordon_value_t call(struct api *api, const cordon_value_t *arguments, uint32_t count)
{
    cordon_value_t result = {0};

    cr_assert(cordon_vm_invoke(api->vm, "g", arguments, count, &result, 1, &api->result,
                               &api->error), "%s", api->error.message);
    return result;
}

Test(linker, binds_a_c_function_by_its_signature)
{
    struct api api;
    cordon_value_t sides[] = {{.type = CORDON_F64, .f64 = 3}, {.type = CORDON_F64, .f64 = 4}};

    api_open(&api, HYPOT);
    cr_assert(cordon_bind(api.linker, "env", "f", "f64(f64, f64)", (void (*)(void))hypot,
                          &api.error));
    api_start(&api);
    cordon_value_t result = call(&api, sides, 2);
    cr_expect_eq(result.type, CORDON_F64);
    cr_expect_eq(result.f64, 5.0);
    cr_expect_eq(api.result.end, CORDON_END_RETURN);
    api_close(&api);
}

static int64_t mix(int32_t a, int64_t b, float c, double d, uint32_t e)
{
    return a + b * 10 + (int64_t)(c * 100) + (int64_t)(d * 1000) + e;
}

Test(linker, passes_every_type)
{
    struct api api;
    const cordon_value_t given[] = {
        {.type = CORDON_I32, .i32 = -1}, {.type = CORDON_I64, .i64 = -2},
        {.type = CORDON_F32, .f32 = 1.5f}, {.type = CORDON_F64, .f64 = 2.5},
        {.type = CORDON_I32, .i32 = -1},
    };

    api_open(&api, CALLS(FUNC_TYPE5, GET(0), GET(1), GET(2), GET(3), GET(4)));
    cr_assert(cordon_bind(api.linker, "env", "f", "i64(i32,i64, f32 ,f64,u32)",
                          (void (*)(void))mix, &api.error));
    api_start(&api);
    cr_expect_eq(call(&api, given, 5).i64, mix(-1, -2, 1.5f, 2.5, UINT32_MAX));
    api_close(&api);
}

static int32_t negate(int32_t value)
{
    return -value;
}

static float halve(float value)
{
    return value / 2;
}

Test(linker, narrow_results_are_clean)
{
    struct api api;
    cordon_value_t one = {.type = CORDON_I32, .i32 = 1};
    cordon_value_t three = {.type = CORDON_F32, .f32 = 3};

    /* As an i64: the upper half must be 0. */
    api_open(&api, MODULE(SECTION(TYPES, 2, FUNC, 1, I32, 1, I32, FUNC, 1, I32, 1, I64),
                          SECTION(IMPORTS, 1, 3, 'e', 'n', 'v', 1, 'f', 0, 0),
                          SECTION(FUNCTIONS, 1, 1), SECTION(EXPORTS, 1, 1, 'g', 0, 1),
                          SECTION(CODE, 1, BODY(0, GET(0), 0x10, 0, 0xad))));
    cr_assert(cordon_bind(api.linker, "env", "f", "i32(i32)", (void (*)(void))negate,
                          &api.error));
    api_start(&api);
    cr_expect_eq(call(&api, &one, 1).i64, 0xffffffff);
    api_close(&api);

    api_open(&api, CALLS(FLOAT_TYPE, GET(0)));
    cr_assert(cordon_bind(api.linker, "env", "f", "f32(f32)", (void (*)(void))halve,
                          &api.error));
    api_start(&api);
    cr_expect_eq(call(&api, &three, 1).f32, 1.5f);
    api_close(&api);
}

Test(linker, a_wrong_signature_names_both)
{
    struct api api;

    api_open(&api, HYPOT);
    cr_assert(cordon_bind(api.linker, "env", "f", "f64(f32, f64)", (void (*)(void))hypot,
                          &api.error));
    cr_assert_not(api_try(&api));
    cr_expect_eq(api.error.kind, CORDON_LINK);
    cr_expect_not_null(strstr(api.error.message, "(f64, f64) -> f64"), "%s", api.error.message);
    cr_expect_not_null(strstr(api.error.message, "(f32, f64) -> f64"), "%s", api.error.message);
    cr_expect_not_null(strstr(api.error.message, "env"), "%s", api.error.message);
    api_close(&api);
}

Test(linker, a_missing_import_names_the_nearest)
{
    struct api api;

    api_open(&api, HYPOT);
    cr_assert(cordon_bind(api.linker, "env", "ff", "f64(f64, f64)", (void (*)(void))hypot,
                          &api.error));
    cordon_linker_allow_wasi(api.linker);
    cr_assert_not(api_try(&api));
    cr_expect_eq(api.error.kind, CORDON_LINK);
    cr_expect_not_null(strstr(api.error.message, "env.f"), "%s", api.error.message);
    cr_expect_not_null(strstr(api.error.message, "(f64, f64) -> f64"), "%s", api.error.message);
    api_close(&api);
}

Test(linker, refuses_signatures_that_are_none)
{
    static const char *const bad[] = {
        "", "f64", "f64(", "f64(f64", "f64(f64,)", "f64(f64) ", "f64(f65)", "(f64)", "int(int)",
        "f64(f64))", "f64(void, f64)", "f64 f64(f64)", "i32(i32x)", "void",
    };
    static const char *const good[] = {"void()", "void(void)", "void ( void )", "i32()",
                                       " f64 ( f64 , i64 )", "u64(u32)"};
    struct api api;

    api_open(&api, HYPOT);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bool accepted = cordon_bind(api.linker, "env", "f", bad[i], (void (*)(void))hypot,
                                    &api.error);
        /* A blank behind the end is nobody's harm. */
        cr_expect(!accepted || strcmp(bad[i], "f64(f64) ") == 0, "\"%s\"", bad[i]);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(cordon_bind(api.linker, "env", "f", good[i], (void (*)(void))hypot,
                              &api.error), "\"%s\": %s", good[i], api.error.message);
    cr_expect_not(cordon_bind(api.linker, "env", "f", "void()", NULL, &api.error));
    api_close(&api);
}

struct seen {
    int calls;
    uint64_t memory;
};

static bool raw(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct seen *seen = user;

    seen->calls++;
    cordon_vm_memory(vm, &seen->memory);
    if (slots[0] == 7)
        return false;
    slots[0] += 1;
    return true;
}

Test(linker, raw_functions_see_slots_and_memory_and_may_trap)
{
    struct api api;
    struct seen seen = {0};
    cordon_value_t value = {.type = CORDON_I32, .i32 = 1};

    api_open(&api, MODULE(SECTION(TYPES, 1, FUNC, 1, I32, 1, I32),
                          SECTION(IMPORTS, 1, 3, 'e', 'n', 'v', 1, 'f', 0, 0),
                          SECTION(FUNCTIONS, 1, 0), SECTION(MEMORIES, 1, 0, 2),
                          SECTION(EXPORTS, 1, 1, 'g', 0, 1),
                          SECTION(CODE, 1, BODY(0, GET(0), 0x10, 0))));
    cr_assert(cordon_bind_raw(api.linker, "env", "f", "i32(i32)", raw, &seen, &api.error));
    api_start(&api);
    cr_expect_eq(call(&api, &value, 1).i32, 2);
    cr_expect_eq(seen.memory, 2 * 65536);
    value.i32 = 7;
    call(&api, &value, 1);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_eq(api.result.exit_code, 134);
    cr_expect_eq(seen.calls, 2);
    api_close(&api);
}
