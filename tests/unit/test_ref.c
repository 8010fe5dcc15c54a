#include <criterion/criterion.h>
#include <string.h>

#include "core/bytes.h"
#include "tests/unit/api_fixture.h"

static const char text[] =
    "(module (type $box (struct (field (mut i32))))"
    " (tag $tag (param (ref $box)))"
    " (func (export \"make\") (param i32) (result anyref) (struct.new $box (local.get 0)))"
    " (func (export \"read\") (param anyref) (result i32)"
    "  (struct.get $box 0 (ref.cast (ref $box) (local.get 0))))"
    " (func (export \"small\") (param i32) (result i31ref) (ref.i31 (local.get 0)))"
    " (func (export \"get\") (param i31ref) (result i32) (i31.get_s (local.get 0)))"
    " (func (export \"out\") (param anyref) (result externref)"
    "  (extern.convert_any (local.get 0)))"
    " (func (export \"in\") (param externref) (result anyref)"
    "  (any.convert_extern (local.get 0)))"
    " (func (export \"same\") (param externref) (result externref) (local.get 0))"
    " (func (export \"throw\") (param i32) (result exnref)"
    "  (block $h (result exnref)"
    "   (try_table (catch_all_ref $h) (throw $tag (struct.new $box (local.get 0))))"
    "   (unreachable)))"
    " (func (export \"caught\") (param exnref) (result i32)"
    "  (block $h (result (ref $box))"
    "   (try_table (catch $tag $h) (throw_ref (local.get 0))) (unreachable))"
    "  (struct.get $box 0))"
    " (func (export \"func\") (param funcref) (result i32) (ref.is_null (local.get 0)))"
    " (func (export \"churn\") (param i32) (result i32)"
    "  (loop $l (drop (struct.new $box (i32.const 1)))"
    "   (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 0)))";

static struct api api;

static void open(void)
{
    api_open(&api, cn_bytes_of(text));
    cordon_config_test_mode(api.config, false, false, true);
    api_start(&api);
}

static cordon_value_t call(const char *name, cordon_value_t argument)
{
    cordon_value_t result = {0};

    cr_assert(cordon_vm_invoke(api.vm, name, &argument, 1, &result, 1, &api.result, &api.error),
              "%s: %s", name, api.error.message);
    cr_assert_eq(api.result.end, CORDON_END_RETURN, "%s: %s", name, api.result.message);
    return result;
}

static cordon_value_t i32(int32_t number)
{
    return (cordon_value_t){.type = CORDON_I32, .i32 = number};
}

static cordon_value_t extern_of(uintptr_t number)
{
    return (cordon_value_t){.type = CORDON_EXTERNREF, .ref = (void *)number};
}

static bool is_refused(const char *name, cordon_value_t argument)
{
    cordon_value_t result;

    return !cordon_vm_invoke(api.vm, name, &argument, 1, &result, 1, &api.result, &api.error) &&
           api.error.kind == CORDON_MISUSE;
}

Test(ref, keeps_objects_until_they_are_released)
{
    open();
    cordon_value_t box = call("make", i32(41)), other = call("make", i32(42));
    cr_expect_eq(box.type, CORDON_ANYREF);
    call("churn", i32(10));
    cr_expect_eq(call("read", box).i32, 41);
    cordon_ref_release(api.vm, &box);
    call("churn", i32(10));
    cr_expect_eq(call("read", other).i32, 42);
    api_close(&api);
}

Test(ref, gives_small_integers_and_exceptions_and_takes_them_back)
{
    open();
    cr_expect_eq(call("get", call("small", i32(-7))).i32, -7);
    cordon_value_t thrown = call("throw", i32(9));
    call("churn", i32(10));
    cr_expect_eq(call("caught", thrown).i32, 9);
    cordon_value_t null = call("in", extern_of(0));
    cr_expect_null(null.ref);
    cr_expect_eq(call("out", null).type, CORDON_EXTERNREF);
    api_close(&api);
}

Test(ref, hands_the_hosts_values_through_unchanged)
{
    static int place;

    open();
    cr_expect_eq(call("same", extern_of((uintptr_t)&place)).ref, &place);
    cr_expect_eq((uintptr_t)call("same", extern_of(1)).ref, 1);
    cr_expect_eq((uintptr_t)call("same", extern_of(((uintptr_t)1 << 62) - 1)).ref,
                 ((uintptr_t)1 << 62) - 1);
    cr_expect_null(call("same", extern_of(0)).ref);
    cordon_value_t inside = call("in", extern_of(12));
    cr_expect_eq(inside.type, CORDON_EXTERNREF, "whose value it is does not change");
    cr_expect_eq((uintptr_t)call("out", inside).ref, 12);
    cordon_value_t box = call("out", call("make", i32(5)));
    cr_expect_eq(box.type, CORDON_ANYREF);
    cr_expect_eq(call("read", call("in", box)).i32, 5);
    api_close(&api);
}

Test(ref, refuses_what_could_forge_a_reference)
{
    static int thing;

    open();
    cr_expect(is_refused("same", extern_of((uintptr_t)1 << 62)));
    cr_expect(is_refused("same", extern_of(UINTPTR_MAX)));
    cr_expect(is_refused("func", (cordon_value_t){.type = CORDON_FUNCREF, .ref = &thing}));
    cr_expect(is_refused("func", extern_of(8)));
    cr_expect(is_refused("caught", extern_of(8)));
    cr_expect(is_refused("caught", call("make", i32(1))), "an object is no exception");
    cr_expect(is_refused("read", i32(1)));
    cr_expect_eq(call("func", (cordon_value_t){.type = CORDON_FUNCREF}).i32, 1);
    api_close(&api);
}
