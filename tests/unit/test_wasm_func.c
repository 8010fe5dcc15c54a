/* wasm.h: calls in both directions, traps, instances. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/wasm_c_fixture.h"

static struct world world;
static int finalized;

static void count_up(void *env)
{
    cr_assert_eq(env, &finalized);
    finalized++;
}

static wasm_trap_t *twice(const wasm_val_vec_t *arguments, wasm_val_vec_t *results)
{
    cr_assert_eq(arguments->size, 1);
    cr_assert_eq(results->size, 1);
    cr_assert_eq(results->data[0].kind, WASM_I32);
    results->data[0].of.i32 = arguments->data[0].of.i32 * 2;
    return NULL;
}

static wasm_trap_t *trap_saying(const char *text)
{
    wasm_message_t message;

    wasm_name_new_from_string_nt(&message, text);
    wasm_trap_t *trap = wasm_trap_new(world.store, &message);
    wasm_name_delete(&message);
    return trap;
}

static wasm_trap_t *refuse(void *env, const wasm_val_vec_t *arguments, wasm_val_vec_t *results)
{
    (void)env, (void)arguments, (void)results;
    return trap_saying("not today");
}

static wasm_func_t *host_func(wasm_func_callback_with_env_t callback, void *env)
{
    wasm_functype_t *type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
    wasm_func_t *func = wasm_func_new_with_env(world.store, type, callback, env, NULL);

    wasm_functype_delete(type);
    return func;
}

Test(func, all_numbers)
{
    wasm_val_t given[] = {WASM_I32_VAL(-1), WASM_I64_VAL(1ll << 40), WASM_F32_VAL(1.5f),
                          WASM_F64_VAL(-0.25)};
    wasm_val_t got[4] = {WASM_INIT_VAL};
    wasm_val_vec_t arguments = WASM_ARRAY_VEC(given), results = WASM_ARRAY_VEC(got);

    open_world(&world);
    make(&world,
         "(module (func (export \"f\") (param i32 i64 f32 f64) (result f64 f32 i64 i32)"
         " (local.get 3) (local.get 2) (local.get 1) (local.get 0)))", NULL, 0);
    cr_assert_eq(wasm_func_param_arity(func_at(&world, 0)), 4);
    cr_assert_eq(wasm_func_result_arity(func_at(&world, 0)), 4);
    cr_assert_null(wasm_func_call(func_at(&world, 0), &arguments, &results));
    cr_assert_eq(got[0].of.f64, -0.25);
    cr_assert_eq(got[1].of.f32, 1.5f);
    cr_assert_eq(got[2].of.i64, 1ll << 40);
    cr_assert_eq(got[3].of.i32, -1);
    cr_assert_eq(got[3].kind, WASM_I32);
    close_world(&world);
}

/* More values than stand on the C stack. */
Test(func, many_values)
{
    enum { COUNT = 40 };
    wasm_val_t given[COUNT], got[COUNT];
    wasm_val_vec_t arguments = WASM_ARRAY_VEC(given), results = WASM_ARRAY_VEC(got);
    char text[4096] = "(module (func (export \"f\") (param";

    for (int i = 0; i < COUNT; i++) {
        given[i] = (wasm_val_t)WASM_I64_VAL(i);
        strcat(text, " i64");
    }
    strcat(text, ") (result");
    for (int i = 0; i < COUNT; i++)
        strcat(text, " i64");
    strcat(text, ")");
    for (int i = COUNT; i-- > 0;)
        snprintf(text + strlen(text), 32, " (local.get %d)", i);
    strcat(text, "))");
    open_world(&world);
    make(&world, text, NULL, 0);
    cr_assert_null(wasm_func_call(func_at(&world, 0), &arguments, &results));
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(got[i].of.i64, COUNT - 1 - i);
    close_world(&world);
}

Test(func, arguments_that_do_not_fit)
{
    wasm_val_t wide = WASM_I64_VAL(1), two[] = {WASM_I32_VAL(1), WASM_I32_VAL(2)};
    wasm_val_t got = WASM_INIT_VAL;
    const char *text = "the arguments do not fit the function's type (i32) -> i32";

    open_world(&world);
    make(&world,
         "(module (func (export \"f\") (param i32) (result i32) (local.get 0))"
         " (func (export \"v\") (param v128) (result i32) (i32.const 1))"
         " (func (export \"w\") (result v128 i32) (v128.const i64x2 1 2) (i32.const 7)))",
         NULL, 0);
    says(call(func_at(&world, 0), &wide, 1, &got), text);
    says(call(func_at(&world, 0), two, 2, &got), text);
    says(wasm_func_call(func_at(&world, 0), NULL, NULL), text);
    says(call(func_at(&world, 1), two, 1, &got),
         "the arguments do not fit the function's type (v128) -> i32");
    /* Of a v128 result the kind alone; and room for fewer results than there are. */
    wasm_val_t vector[2] = {WASM_INIT_VAL, WASM_INIT_VAL};
    wasm_val_vec_t results = WASM_ARRAY_VEC(vector);
    cr_assert_null(wasm_func_call(func_at(&world, 2), NULL, &results));
    cr_assert_eq(vector[0].kind, WASM_V128);
    cr_assert_eq(vector[1].of.i32, 7);
    cr_assert_null(wasm_func_call(func_at(&world, 2), NULL, NULL));
    close_world(&world);
}

Test(func, of_the_embedder)
{
    wasm_functype_t *type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());

    open_world(&world);
    wasm_func_t *func = wasm_func_new(world.store, type, twice);
    wasm_functype_delete(type);
    cr_assert_eq(call_i32(func, 21), 42); /* without a guest between */
    wasm_extern_t *imports[] = {wasm_func_as_extern(func)};
    make(&world,
         "(module (import \"\" \"f\" (func $f (param i32) (result i32)))"
         " (func (export \"g\") (param i32) (result i32) (call $f (call $f (local.get 0))))"
         " (export \"f\" (func $f)))", imports, 1);
    cr_assert_eq(call_i32(func_at(&world, 0), 5), 20);
    cr_assert(wasm_func_same(func_at(&world, 1), func));
    type = wasm_func_type(func_at(&world, 1));
    cr_assert_eq(wasm_valtype_kind(wasm_functype_results(type)->data[0]), WASM_I32);
    wasm_functype_delete(type);
    wasm_func_delete(func);
    close_world(&world);
}

Test(func, types_that_cannot_be_passed)
{
    wasm_functype_t *type = wasm_functype_new_1_0(wasm_valtype_new(WASM_V128));
    wasm_functype_t *broken = wasm_functype_new_1_0(NULL);

    open_world(&world);
    cr_assert_null(wasm_func_new(world.store, type, twice));
    cr_assert_null(wasm_func_new_with_env(world.store, broken, refuse, NULL, count_up));
    wasm_functype_delete(type);
    wasm_functype_delete(broken);
    close_world(&world);
    cr_assert_eq(finalized, 0);
}

Test(func, environment_is_finalized_with_the_store)
{
    wasm_functype_t *type = wasm_functype_new_0_0();

    open_world(&world);
    wasm_func_delete(wasm_func_new_with_env(world.store, type, refuse, &finalized, count_up));
    wasm_functype_delete(type);
    cr_assert_eq(finalized, 0);
    close_world(&world);
    cr_assert_eq(finalized, 1);
}

/* ------------------------------------------------------------------ traps */

Test(trap, shows_frames)
{
    wasm_frame_vec_t trace;

    open_world(&world);
    make(&world,
         "(module (func $inner unreachable) (func (export \"f\") (nop) (call $inner)))", NULL, 0);
    wasm_trap_t *trap = wasm_func_call(func_at(&world, 0), NULL, NULL);
    wasm_frame_t *origin = wasm_trap_origin(trap);
    wasm_trap_trace(trap, &trace);
    says(trap, "unreachable");
    cr_assert_eq(trace.size, 2);
    cr_assert_eq(wasm_frame_func_index(origin), 0);
    cr_assert_eq(wasm_frame_func_offset(origin), 1); /* behind the count of locals */
    cr_assert_eq(wasm_frame_func_index(trace.data[1]), 1);
    cr_assert_eq(wasm_frame_func_offset(trace.data[1]), 2);
    cr_assert_gt(wasm_frame_module_offset(trace.data[1]), wasm_frame_module_offset(origin));
    cr_assert(wasm_instance_same(wasm_frame_instance(origin), world.instance));
    /* Frames go on showing their instance when everything else is given up. */
    wasm_frame_t *copy = wasm_frame_copy(trace.data[1]);
    wasm_frame_vec_delete(&trace);
    wasm_frame_delete(origin);
    close_world(&world);
    cr_assert_not_null(wasm_frame_instance(copy));
    wasm_frame_delete(copy);
}

Test(trap, of_the_embedder)
{
    wasm_frame_vec_t trace;

    open_world(&world);
    wasm_func_t *func = host_func(refuse, NULL);
    wasm_extern_t *imports[] = {wasm_func_as_extern(func)};
    make(&world,
         "(module (import \"\" \"f\" (func $f (param i32) (result i32)))"
         " (func (export \"g\") (drop (call $f (i32.const 1)))))", imports, 1);
    wasm_trap_t *trap = wasm_func_call(func_at(&world, 0), NULL, NULL);
    wasm_trap_trace(trap, &trace);
    cr_assert_eq(trace.size, 1);
    cr_assert_eq(wasm_frame_func_index(trace.data[0]), 1);
    wasm_frame_vec_delete(&trace);
    says(trap, "not today");
    /* Called directly, there are no frames. */
    wasm_val_t one = WASM_I32_VAL(1);
    trap = call(func, &one, 1, NULL);
    cr_assert_null(wasm_trap_origin(trap));
    says(trap, "not today");
    wasm_func_delete(func);
    close_world(&world);
}

static wasm_trap_t *kept;

static wasm_trap_t *give_kept(void *env, const wasm_val_vec_t *arguments, wasm_val_vec_t *results)
{
    (void)env, (void)arguments, (void)results;
    return wasm_trap_copy(kept);
}

/* A trap that the embedder keeps does not collect the frames of every call. */
Test(trap, that_is_kept)
{
    wasm_frame_vec_t trace;
    wasm_message_t bare = {4, (char[]){'b', 'a', 'r', 'e'}};

    open_world(&world);
    kept = wasm_trap_new(world.store, &bare); /* without a zero */
    wasm_func_t *func = host_func(give_kept, NULL);
    wasm_extern_t *imports[] = {wasm_func_as_extern(func)};
    make(&world,
         "(module (import \"\" \"f\" (func $f (param i32) (result i32)))"
         " (func (export \"g\") (drop (call $f (i32.const 1)))))", imports, 1);
    for (int i = 0; i < 3; i++) {
        wasm_trap_t *trap = wasm_func_call(func_at(&world, 0), NULL, NULL);
        wasm_trap_trace(trap, &trace);
        cr_assert_eq(trace.size, 1);
        wasm_frame_vec_delete(&trace);
        says(trap, "bare");
    }
    wasm_trap_trace(kept, &trace);
    cr_assert_eq(trace.size, 0);
    wasm_frame_vec_delete(&trace);
    wasm_trap_delete(kept);
    wasm_func_delete(func);
    close_world(&world);
}

static wasm_trap_t *wrong_kind(void *env, const wasm_val_vec_t *arguments,
                               wasm_val_vec_t *results)
{
    (void)env, (void)arguments;
    results->data[0] = (wasm_val_t)WASM_F32_VAL(1);
    return NULL;
}

Test(trap, results_that_do_not_fit)
{
    wasm_val_t one = WASM_I32_VAL(1);

    open_world(&world);
    wasm_func_t *func = host_func(wrong_kind, NULL);
    says(call(func, &one, 1, NULL), "result 0 of a host function is not of its type");
    wasm_func_delete(func);
    close_world(&world);
}

Test(trap, stack_and_exceptions)
{
    open_world(&world);
    make(&world,
         "(module (tag $t) (func $f (export \"f\") (call $f))"
         " (func (export \"g\") (throw $t))"
         " (memory 1 1 shared)"
         " (func (export \"h\") (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0)"
         "  (i64.const -1))))"
         " (func (export \"i\") (result i32) (memory.atomic.wait32 (i32.const 0) (i32.const 0)"
         "  (i64.const 1000))))", NULL, 0);
    wasm_trap_t *trap = wasm_func_call(func_at(&world, 0), NULL, NULL);
    wasm_frame_vec_t trace;
    wasm_trap_trace(trap, &trace);
    cr_assert_eq(trace.size, 64);
    wasm_frame_vec_delete(&trace);
    says(trap, "call stack exhausted");
    says(wasm_func_call(func_at(&world, 1), NULL, NULL), "uncaught exception");
    says(wasm_func_call(func_at(&world, 2), NULL, NULL), "a wait that nobody can end");
    wasm_val_t got = WASM_INIT_VAL;
    cr_assert_null(call(func_at(&world, 3), NULL, 0, &got));
    cr_assert_eq(got.of.i32, 2); /* its time was up */
    close_world(&world);
}

/* ------------------------------------------------------------------ calls within calls */

/* Calls the guest's function, down to 0. */
static wasm_trap_t *go_down(void *env, const wasm_val_vec_t *arguments, wasm_val_vec_t *results)
{
    wasm_val_t next = WASM_I32_VAL(arguments->data[0].of.i32 - 1);

    (void)env;
    if (arguments->data[0].of.i32 == 0)
        return NULL;
    wasm_trap_t *trap = call(func_at(&world, 0), &next, 1, &results->data[0]);
    results->data[0].of.i32++;
    return trap;
}

static void make_well(void)
{
    open_world(&world);
    wasm_func_t *func = host_func(go_down, NULL);
    wasm_extern_t *imports[] = {wasm_func_as_extern(func)};
    make(&world,
         "(module (import \"\" \"f\" (func $f (param i32) (result i32)))"
         " (func (export \"g\") (param i32) (result i32) (call $f (local.get 0))))", imports, 1);
    wasm_func_delete(func);
}

Test(nesting, to_and_fro)
{
    make_well();
    cr_assert_eq(call_i32(func_at(&world, 0), 150), 150);
    cr_assert_eq(call_i32(func_at(&world, 0), 150), 150);
    close_world(&world);
}

Test(nesting, has_an_end)
{
    wasm_val_t deep = WASM_I32_VAL(100000);
    wasm_frame_vec_t trace;

    make_well();
    wasm_trap_t *trap = call(func_at(&world, 0), &deep, 1, NULL);
    wasm_trap_trace(trap, &trace);
    cr_assert_eq(trace.size, 64);
    wasm_frame_vec_delete(&trace);
    says(trap, "call stack exhausted");
    cr_assert_eq(call_i32(func_at(&world, 0), 3), 3);
    close_world(&world);
}

static wasm_trap_t *close_all(void *env, const wasm_val_vec_t *arguments, wasm_val_vec_t *results)
{
    (void)env, (void)arguments;
    close_world(&world);
    results->data[0].of.i32 = 9;
    return NULL;
}

/* The embedder's function gives up everything while the guest that calls it runs. */
Test(nesting, everything_is_deleted_in_a_callback)
{
    open_world(&world);
    wasm_func_t *func = host_func(close_all, NULL);
    wasm_extern_t *imports[] = {wasm_func_as_extern(func)};
    make(&world,
         "(module (import \"\" \"f\" (func $f (param i32) (result i32)))"
         " (func (export \"g\") (param i32) (result i32) (call $f (local.get 0))))", imports, 1);
    wasm_func_delete(func);
    cr_assert_eq(call_i32(func_at(&world, 0), 1), 9);
}

/* ------------------------------------------------------------------ instances */

static wasm_trap_t *why_not(const char *text, wasm_extern_t **imports, size_t count)
{
    wasm_extern_vec_t given = {count, imports};
    wasm_module_t *module = module_of(world.store, text);
    wasm_trap_t *trap = NULL;

    cr_assert_null(wasm_instance_new(world.store, module, &given, &trap));
    cr_assert_null(wasm_instance_new(world.store, module, &given, NULL));
    wasm_module_delete(module);
    return trap;
}

Test(instance, imports_that_do_not_fit)
{
    static const char text[] = "(module (import \"env\" \"f\" (func (param i64))))";
    struct world other;

    open_world(&world);
    open_world(&other);
    wasm_func_t *func = host_func(refuse, NULL);
    wasm_extern_t *imports[] = {wasm_func_as_extern(func)}, *nothing[] = {NULL};
    says(why_not(text, imports, 1),
         "incompatible import type: \"env\".\"f\": expected function (i64), "
         "found function (i32) -> i32");
    says(why_not(text, imports, 0), "the module has 1 imports, given were 0");
    says(why_not(text, nothing, 1), "import 0 is nothing of this store's");
    wasm_store_t *own = world.store;
    world.store = other.store;
    says(why_not(text, imports, 1), "import 0 is nothing of this store's");
    world.store = own;
    wasm_module_t *foreign = module_of(other.store, "(module)");
    wasm_trap_t *trap = NULL;
    cr_assert_null(wasm_instance_new(world.store, foreign, NULL, &trap));
    says(trap, "the module is another store's: share and obtain it");
    wasm_module_delete(foreign);
    wasm_func_delete(func);
    close_world(&other);
    close_world(&world);
}

Test(instance, start_and_segments_that_trap)
{
    open_world(&world);
    wasm_trap_t *trap = why_not("(module (func $s unreachable) (start $s))", NULL, 0);
    wasm_frame_t *origin = wasm_trap_origin(trap);
    cr_assert_eq(wasm_frame_func_index(origin), 0);
    wasm_frame_delete(origin);
    says(trap, "unreachable");
    trap = why_not("(module (memory 1) (data (i32.const 65536) \"x\"))", NULL, 0);
    cr_assert_null(wasm_trap_origin(trap));
    says(trap, "out of bounds memory access: data segment 0 has 1 bytes for address 65536 of a "
               "memory of 65536");
    close_world(&world);
}

/* What a failed instance has left in somebody's table can still be called. */
Test(instance, remains_of_a_failed_one)
{
    const wasm_limits_t limits = {1, 1};
    wasm_tabletype_t *type = wasm_tabletype_new(wasm_valtype_new_funcref(), &limits);

    open_world(&world);
    wasm_table_t *table = wasm_table_new(world.store, type, NULL);
    wasm_tabletype_delete(type);
    wasm_extern_t *imports[] = {wasm_table_as_extern(table)};
    wasm_trap_delete(
        why_not("(module (import \"\" \"t\" (table 1 funcref)) (memory 1)"
                " (func $f unreachable) (elem (i32.const 0) $f)"
                " (data (i32.const 65536) \"x\"))", imports, 1));
    wasm_ref_t *left = wasm_table_get(table, 0);
    wasm_trap_t *trap = wasm_func_call(wasm_ref_as_func(left), NULL, NULL);
    cr_assert_null(wasm_trap_origin(trap)); /* there is no instance to show */
    says(trap, "unreachable");
    wasm_ref_delete(left);
    wasm_table_delete(table);
    close_world(&world);
}

/* Two instances of one store, joined by every kind of external, a tag among them. */
Test(instance, joined_to_another)
{
    static const char user[] =
        "(module (import \"\" \"g\" (global $g (mut i32))) (import \"\" \"m\" (memory 1))"
        " (import \"\" \"t\" (table 1 funcref)) (import \"\" \"x\" (tag $x (param i32)))"
        " (import \"\" \"f\" (func $f (param i32)))"
        " (func (export \"f\") (param i32) (result i32)"
        "  (global.set $g (local.get 0))"
        "  (i32.store (i32.const 0) (local.get 0))"
        "  (block $caught (result i32)"
        "   (try_table (catch $x $caught) (call $f (local.get 0))) (i32.const -1))))";
    struct world other = {0};

    open_world(&world);
    make(&world,
         "(module (global $g (export \"g\") (mut i32) (i32.const 0)) (memory (export \"m\") 1)"
         " (table (export \"t\") 1 funcref) (tag $x (export \"x\") (param i32))"
         " (func (export \"f\") (param i32)"
         "  (throw $x (i32.add (global.get $g) (i32.load (i32.const 0))))))", NULL, 0);
    other.store = world.store;
    make(&other, user, world.exports.data, world.exports.size);
    cr_assert_eq(call_i32(func_at(&other, 0), 8), 16);
    cr_assert_eq(wasm_memory_data(wasm_extern_as_memory(world.exports.data[1]))[0], 8);
    wasm_extern_vec_delete(&other.exports);
    wasm_instance_delete(other.instance);
    wasm_module_delete(other.module);
    close_world(&world);
}

Test(instance, of_a_shared_module)
{
    struct world other;

    open_world(&world);
    wasm_module_t *module =
        module_of(world.store, "(module (func (export \"f\") (result i32) (i32.const 3)))");
    wasm_shared_module_t *shared = wasm_module_share(module);
    wasm_module_delete(module);
    close_world(&world);
    open_world(&other);
    other.module = wasm_module_obtain(other.store, shared);
    wasm_shared_module_delete(shared);
    other.instance = wasm_instance_new(other.store, other.module, NULL, NULL);
    cr_assert_not_null(other.instance);
    wasm_instance_exports(other.instance, &other.exports);
    wasm_val_t got = WASM_INIT_VAL;
    cr_assert_null(call(func_at(&other, 0), NULL, 0, &got));
    cr_assert_eq(got.of.i32, 3);
    close_world(&other);
}
