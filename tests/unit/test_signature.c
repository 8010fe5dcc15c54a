#include "tests/unit/api_fixture.h"

/* What the guest calls, with memory of a page: "text" stands at 16, 4 bytes from its end on no zero
 * does. */
#define WORLD(import, code)                                                                        \
    "(module (import \"env\" \"f\" (func $f " import "))"                                          \
    " (memory (export \"m\") 1)"                                                                   \
    " (data (i32.const 16) \"text\\00\") (data (i32.const 65532) \"ends\")"                        \
    " (func (export \"g\") (param i32 i32) (result i32) " code "))"

static void open_text(struct api *api, const char *text)
{
    api_open(api, (struct cn_bytes){(const uint8_t *)text, strlen(text)});
}

static int32_t call(struct api *api, int32_t a, int32_t b)
{
    cordon_value_t given[] = {{.type = CORDON_I32, .i32 = a}, {.type = CORDON_I32, .i32 = b}};
    cordon_value_t result = {0};

    cr_assert(cordon_vm_invoke(api->vm, "g", given, 2, &result, 1, &api->result, &api->error),
              "%s", api->error.message);
    return result.i32;
}

#define BIND(api, signature, function)                                                             \
    cr_assert(cordon_bind((api)->linker, "env", "f", signature, (void (*)(void))(function),        \
                          &(api)->error), "%s", (api)->error.message)

#define TWO "(param i32 i32) (result i32)"
#define CALL_TWO "(call $f (local.get 0) (local.get 1))"
#define ONE "(param i32) (result i32)"
#define CALL_ONE "(call $f (local.get 0))"

static int calls;

static int32_t sum(const uint8_t *bytes, size_t size)
{
    int32_t total = 0;

    calls++;
    for (size_t i = 0; i < size; i++)
        total += bytes[i];
    return total;
}

/* The guest ends; a new VM for the next call. */
static void expect_trap(struct api *api, int32_t a, int32_t b, const char *text)
{
    int before = calls;

    api_start(api);
    call(api, a, b);
    cr_expect_eq(api->result.end, CORDON_END_TRAP);
    cr_expect_not_null(strstr(api->result.message, text), "%s", api->result.message);
    cr_expect_eq(calls, before, "it was called with (%d, %d)", a, b);
    cordon_vm_free(api->vm);
    api->vm = NULL;
}

Test(signature, buffers_are_checked)
{
    struct api api;

    open_text(&api, WORLD(TWO, CALL_TWO));
    BIND(&api, "i32(buf)", sum);
    api_start(&api);
    cr_expect_eq(call(&api, 16, 4), 't' + 'e' + 'x' + 't');
    cr_expect_eq(call(&api, 65535, 1), 's');
    cr_expect_eq(call(&api, 65536, 0), 0);
    cordon_vm_free(api.vm);
    expect_trap(&api, 65535, 2, "out of bounds memory access: parameter 1 of env.f");
    expect_trap(&api, 65537, 0, "out of bounds");
    expect_trap(&api, -1, 2, "out of bounds");
    expect_trap(&api, 1, -1, "out of bounds");
    api_close(&api);
}

static char seen[64];

static int32_t keep(const char *text)
{
    calls++;
    strncpy(seen, text, sizeof seen - 1);
    return (int32_t)strlen(text);
}

Test(signature, strings_end_within_the_memory)
{
    struct api api;

    open_text(&api, WORLD(ONE, CALL_ONE));
    BIND(&api, "i32(str)", keep);
    api_start(&api);
    cr_expect_eq(call(&api, 17, 0), 3);
    cr_expect_str_eq(seen, "ext");
    cordon_vm_free(api.vm);
    expect_trap(&api, 65532, 0, "no zero byte");
    expect_trap(&api, 65536, 0, "out of bounds");
    api_close(&api);
}

Test(signature, texts_have_a_length_and_no_zero)
{
    struct api api;

    open_text(&api, WORLD(TWO, CALL_TWO));
    BIND(&api, "i32(text)", keep);
    api_start(&api);
    cr_expect_eq(call(&api, 65532, 4), 4);
    cr_expect_str_eq(seen, "ends");
    cr_expect_eq(call(&api, 0, 0), 0);
    cordon_vm_free(api.vm);
    expect_trap(&api, 16, 5, "a zero byte");
    expect_trap(&api, 65532, 5, "out of bounds");
    api_close(&api);
}

static int32_t divide(int64_t *value, double *rest)
{
    calls++;
    cr_expect_eq((uintptr_t)value % 8, 0);
    *rest = (double)(*value % 10) / 2;
    *value /= 10;
    return (int32_t)*value;
}

Test(signature, pointers_to_numbers_go_in_and_out)
{
    struct api api;
    uint64_t size;
    int64_t value = 1234567890123;
    double rest;

    open_text(&api, WORLD(TWO, CALL_TWO));
    BIND(&api, "i32(*i64, *f64)", divide);
    api_start(&api);
    uint8_t *memory = cordon_vm_memory(api.vm, &size);
    memcpy(memory + 101, &value, sizeof value); /* where C would not have it */
    cr_expect_eq(call(&api, 101, 65528), (int32_t)123456789012);
    memcpy(&value, memory + 101, sizeof value);
    memcpy(&rest, memory + 65528, sizeof rest);
    cr_expect_eq(value, 123456789012);
    cr_expect_eq(rest, 1.5);
    cordon_vm_free(api.vm);
    expect_trap(&api, 101, 65529, "parameter 2");
    api_close(&api);
}

static int32_t fill(void *view, void *user, cordon_vm_t *vm)
{
    uint64_t size;

    calls++;
    memset(view, *(int *)user, 8);
    return (int32_t)((uint8_t *)view - (uint8_t *)cordon_vm_memory(vm, &size));
}

Test(signature, views_user_and_vm)
{
    struct api api;
    int seven = 7;
    uint64_t size;

    open_text(&api, WORLD(ONE, CALL_ONE));
    cr_assert(cordon_bind_with(api.linker, "env", "f", "i32(ptr<8>, user, vm)",
                               (void (*)(void))fill, &seven, &api.error));
    api_start(&api);
    cr_expect_eq(call(&api, 65528, 0), 65528);
    cr_expect_eq(((uint8_t *)cordon_vm_memory(api.vm, &size))[65535], 7);
    cordon_vm_free(api.vm);
    expect_trap(&api, 65529, 0, "out of bounds");
    api_close(&api);
}

static int32_t as_wamr(cordon_vm_t *vm, int32_t a, const char *bytes, uint32_t size)
{
    uint64_t all;

    cr_expect_not_null(cordon_vm_memory(vm, &all));
    return a + bytes[size - 1];
}

static int32_t add(int32_t a, int32_t b)
{
    return a + b;
}

Test(signature, dialects_of_others)
{
    struct api api;

    open_text(&api, WORLD("(param i32 i32 i32) (result i32)",
                          "(call $f (local.get 0) (local.get 1) (i32.const 4))"));
    BIND(&api, "(i*~)i", as_wamr);
    api_start(&api);
    cr_expect_eq(call(&api, 1, 16), 1 + 't');
    api_close(&api);
    open_text(&api, WORLD(TWO, CALL_TWO));
    BIND(&api, "i(i i)", add);
    api_start(&api);
    cr_expect_eq(call(&api, 40, 2), 42);
    api_close(&api);
}

static int32_t refuse(cordon_vm_t *vm, int32_t value)
{
    if (value == 3)
        cordon_vm_trap(vm, "three is not served here");
    if (value == 3)
        cordon_vm_trap(vm, "a second reason");
    return value;
}

Test(signature, a_function_may_trap_with_words)
{
    struct api api;

    open_text(&api, WORLD(ONE, CALL_ONE));
    BIND(&api, "i32(vm, i32)", refuse);
    api_start(&api);
    cr_expect_eq(call(&api, 2, 0), 2);
    cordon_vm_trap(api.vm, "nobody is being called");
    cr_expect_eq(call(&api, 4, 0), 4);
    call(&api, 3, 0);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_str_eq(api.result.message, "three is not served here");
    cr_expect_eq(api.result.frame_count, 1);
    api_close(&api);
}

Test(signature, what_is_none_is_refused)
{
    static const char *const bad[] = {
        "i32(ptr)", "i32(ptr<0>)", "i32(ptr<99999999999999999999>)", "i32(ptr<8)", "i32(*)",
        "i32(*buf)", "i32(**i32)", "buf()", "str(i32)", "i32(void*)", "i32(*v128)", "i32(ptr<-1>)",
        "i32(i32,void)", "(ii", "(ii)ii", "(iz)i", "(~)i", "i(ii", "i(i)i", "x(i)", "i(~)",
        "*i32()", "(ii)$", "i32(v128)", "i32(i32;i32)",
    };
    static const char *const good[] = {"i32( * i32 , buf )", "()", "(i)", "v()", "v(iIfF*)",
                                       "($)I", "f32(ptr < 8 >)", " void(user,vm)"};
    struct api api;
    char many[256] = "void(i32";

    open_text(&api, WORLD(ONE, CALL_ONE));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(cordon_bind(api.linker, "env", "f", bad[i], (void (*)(void))add,
                                  &api.error), "\"%s\"", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(cordon_bind(api.linker, "env", "f", good[i], (void (*)(void))add, &api.error),
                  "\"%s\": %s", good[i], api.error.message);
    for (int i = 0; i < 31; i++)
        strcat(many, ",i32");
    strcat(many, ")");
    cr_expect(cordon_bind(api.linker, "env", "f", many, (void (*)(void))add, &api.error));
    strcpy(many + strlen(many) - 1, ",vm)");
    cr_expect_not(cordon_bind(api.linker, "env", "f", many, (void (*)(void))add, &api.error));
    api_close(&api);
}
