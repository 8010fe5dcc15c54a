/* wasm.h: references, what they keep alive, globals, tables and memories. */
#include <string.h>

#include "api/wasm_internal.h"
#include "tests/unit/wasm_c_fixture.h"
#include "vm/heap.h"

static struct world world;
static char order[16];

static void note(void *info)
{
    order[strlen(order)] = *(const char *)info;
}

static void *info_of(const char *text)
{
    return (void *)(uintptr_t)text;
}

/* ------------------------------------------------------------------ what all of them can do */

Test(ref, is_one_for_one_thing)
{
    wasm_extern_vec_t again;

    open_world(&world);
    make(&world, "(module (func (export \"f\")) (export \"g\" (func 0)) (memory (export \"m\") 1))",
         NULL, 0);
    wasm_instance_exports(world.instance, &again);
    cr_assert(wasm_extern_same(again.data[0], world.exports.data[0]));
    cr_assert(wasm_extern_same(again.data[1], world.exports.data[0]));
    cr_assert_not(wasm_extern_same(again.data[2], world.exports.data[0]));
    wasm_extern_t *copy = wasm_extern_copy(again.data[2]);
    wasm_extern_vec_delete(&again);
    cr_assert(wasm_extern_same(copy, world.exports.data[2]));
    wasm_extern_delete(copy);
    close_world(&world);
}

Test(ref, views)
{
    open_world(&world);
    make(&world, "(module (func (export \"f\")) (memory (export \"m\") 1))", NULL, 0);
    wasm_func_t *func = func_at(&world, 0);
    wasm_ref_t *ref = wasm_func_as_ref(func);
    cr_assert_eq(wasm_ref_as_func(ref), func);
    cr_assert_eq(wasm_ref_as_extern(ref), world.exports.data[0]);
    cr_assert_null(wasm_ref_as_memory(ref));
    cr_assert_null(wasm_ref_as_instance(ref));
    cr_assert_null(wasm_ref_as_trap_const(ref));
    cr_assert_null(wasm_ref_as_foreign(NULL));
    cr_assert_null(wasm_extern_as_table(world.exports.data[0]));
    cr_assert_null(wasm_extern_as_func_const(world.exports.data[1]));
    cr_assert_eq(wasm_func_as_extern(func), world.exports.data[0]);
    cr_assert_eq(wasm_ref_as_module(wasm_module_as_ref(world.module)), world.module);
    close_world(&world);
}

Test(ref, host_info_outlives_the_handle)
{
    wasm_extern_vec_t again;

    open_world(&world);
    make(&world, "(module (func (export \"f\")) (memory (export \"m\") 1))", NULL, 0);
    cr_assert_null(wasm_extern_get_host_info(world.exports.data[0]));
    wasm_func_set_host_info_with_finalizer(func_at(&world, 0), info_of("a"), note);
    wasm_memory_set_host_info_with_finalizer(wasm_extern_as_memory(world.exports.data[1]),
                                             info_of("b"), note);
    wasm_instance_set_host_info(world.instance, info_of("c"));
    wasm_extern_vec_delete(&world.exports);
    wasm_instance_exports(world.instance, &again);
    cr_assert_str_eq(wasm_extern_get_host_info(again.data[0]), "a");
    wasm_extern_set_host_info_with_finalizer(again.data[0], info_of("d"), note);
    /* The end of the other one. */
    cr_assert_str_eq(order, "a");
    wasm_extern_vec_delete(&again);
    close_world(&world);
    cr_assert_eq(strlen(order), 3);
    cr_assert_not_null(strchr(order, 'b'));
    cr_assert_not_null(strchr(order, 'd'));
}

Test(ref, finalizers_of_what_ends_with_its_handle)
{
    wasm_message_t message = {0, NULL};

    open_world(&world);
    wasm_foreign_t *foreign = wasm_foreign_new(world.store), *copy = wasm_foreign_copy(foreign);
    wasm_foreign_set_host_info_with_finalizer(foreign, info_of("f"), note);
    wasm_foreign_delete(foreign);
    cr_assert_str_eq(order, "");
    wasm_foreign_delete(copy);
    cr_assert_str_eq(order, "f");
    wasm_trap_t *trap = wasm_trap_new(world.store, &message);
    wasm_trap_set_host_info_with_finalizer(trap, info_of("t"), note);
    says(trap, "");
    cr_assert_str_eq(order, "ft");
    wasm_module_t *module = module_of(world.store, "(module)");
    wasm_module_set_host_info_with_finalizer(module, info_of("m"), note);
    wasm_module_delete(module);
    cr_assert_str_eq(order, "ftm");
    close_world(&world);
}

/* The store and the engine go first; the rest follows. */
Test(ref, any_order_of_deletion)
{
    wasm_extern_t *memory;

    open_world(&world);
    make(&world, "(module (memory (export \"m\") 1))", NULL, 0);
    wasm_instance_set_host_info_with_finalizer(world.instance, info_of("i"), note);
    wasm_engine_delete(world.engine);
    wasm_store_delete(world.store);
    wasm_module_delete(world.module);
    wasm_instance_delete(world.instance);
    memory = world.exports.data[0];
    cr_assert_eq(wasm_memory_data_size(wasm_extern_as_memory(memory)), 65536);
    cr_assert_str_eq(order, "");
    wasm_extern_vec_delete(&world.exports);
    cr_assert_str_eq(order, "i");
    wasm_store_delete(NULL);
    wasm_engine_delete(NULL);
    wasm_engine_delete(wasm_engine_new_with_config(wasm_config_new()));
}

static void make_and_delete(void *store)
{
    wasm_foreign_delete(wasm_foreign_new(store));
    note(info_of("x"));
}

/* A finalizer that uses the store while that ends. */
Test(ref, finalizer_that_uses_the_store)
{
    open_world(&world);
    make(&world, "(module)", NULL, 0);
    wasm_instance_set_host_info_with_finalizer(world.instance, world.store, make_and_delete);
    close_world(&world);
    cr_assert_str_eq(order, "x");
}

/* ------------------------------------------------------------------ references of guests */

static const char keeper[] =
    "(module (type $box (struct (field i32)))"
    " (global $g (export \"global\") (mut externref) (ref.null extern))"
    " (table $t (export \"table\") 4 6 externref)"
    " (func (export \"set\") (param externref) (global.set $g (local.get 0)))"
    " (func (export \"get\") (result externref) (global.get $g))"
    " (func (export \"make\") (param i32) (result anyref) (struct.new $box (local.get 0)))"
    " (func (export \"read\") (param (ref null $box)) (result i32)"
    "  (struct.get $box 0 (local.get 0)))"
    " (func (export \"out\") (param anyref) (result externref)"
    "  (extern.convert_any (local.get 0)))"
    " (func (export \"churn\") (param i32) (result i32)"
    "  (loop $l (drop (struct.new $box (i32.const 1)))"
    "   (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 0))"
    " (func (export \"small\") (param i32) (result anyref) (ref.i31 (local.get 0)))"
    " (func (export \"func\") (param funcref) (result i32) (ref.is_null (local.get 0)))"
    " (func (export \"one\") (param (ref $box)) (result i32) (i32.const 1)))";
enum { GLOBAL, TABLE, SET, GET, MAKE, READ, OUT, CHURN, SMALL, FUNC, ONE };

static void open_keeper(void)
{
    open_world(&world);
    make(&world, keeper, NULL, 0);
}

static wasm_ref_t *call_ref(size_t number, wasm_val_t argument)
{
    wasm_val_t got = WASM_INIT_VAL;
    wasm_trap_t *trap = call(func_at(&world, number), &argument, number != GET, &got);

    cr_assert_null(trap);
    return got.of.ref;
}

static wasm_val_t val_of(wasm_ref_t *ref)
{
    return (wasm_val_t)WASM_REF_VAL(ref);
}

Test(guest, keeps_a_foreign)
{
    wasm_val_t no_value = WASM_INIT_VAL;

    open_keeper();
    wasm_foreign_t *foreign = wasm_foreign_new(world.store);
    wasm_foreign_set_host_info_with_finalizer(foreign, info_of("f"), note);
    wasm_val_t given = val_of(wasm_foreign_as_ref(foreign));
    cr_assert_null(call(func_at(&world, SET), &given, 1, NULL));
    wasm_foreign_delete(foreign);
    cr_assert_str_eq(order, ""); /* the guest has it */
    wasm_ref_t *got = call_ref(GET, no_value);
    cr_assert_str_eq(wasm_ref_get_host_info(got), "f");
    cr_assert_not_null(wasm_ref_as_foreign(got));
    wasm_ref_delete(got);
    close_world(&world);
    cr_assert_str_eq(order, "f");
}

/* Whatever it is, also what is no foreign. */
Test(guest, keeps_any_reference)
{
    wasm_val_t no_value = WASM_INIT_VAL;
    wasm_message_t message = {0, NULL};

    open_keeper();
    wasm_ref_t *refs[] = {wasm_func_as_ref(wasm_func_copy(func_at(&world, GET))),
                          wasm_instance_as_ref(wasm_instance_copy(world.instance)),
                          wasm_module_as_ref(wasm_module_copy(world.module)),
                          wasm_trap_as_ref(wasm_trap_new(world.store, &message))};
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
        wasm_val_t given = val_of(refs[i]);
        cr_assert_null(call(func_at(&world, SET), &given, 1, NULL));
        wasm_ref_t *got = call_ref(GET, no_value);
        cr_assert(wasm_ref_same(got, refs[i]));
        wasm_ref_delete(got);
        wasm_val_delete(&given);
    }
    close_world(&world);
}

Test(guest, objects_live_while_they_are_referred_to)
{
    open_keeper();
    cn_heap_collect_always(world.store->store, true);
    wasm_ref_t *object = call_ref(MAKE, (wasm_val_t)WASM_I32_VAL(77));
    wasm_ref_t *other = call_ref(MAKE, (wasm_val_t)WASM_I32_VAL(78));
    cr_assert_eq(call_i32(func_at(&world, CHURN), 50), 0);
    cr_assert_not(wasm_ref_same(object, other));
    wasm_val_t given = val_of(object), got = WASM_INIT_VAL;
    cr_assert_null(call(func_at(&world, READ), &given, 1, &got));
    cr_assert_eq(got.of.i32, 77);
    /* The same object seen as an externref is the same foreign. */
    wasm_ref_t *out = call_ref(OUT, given);
    cr_assert(wasm_ref_same(out, object));
    wasm_ref_delete(out);
    wasm_ref_delete(other);
    wasm_ref_delete(object);
    cn_store_collect(world.store->store);
    cr_assert_leq(cn_heap_stats(world.store->store).objects, 1); /* the last call's argument */
    close_world(&world);
}

Test(guest, small_numbers)
{
    open_keeper();
    wasm_ref_t *one = call_ref(SMALL, (wasm_val_t)WASM_I32_VAL(5));
    wasm_ref_t *same = call_ref(SMALL, (wasm_val_t)WASM_I32_VAL(5));
    wasm_ref_t *other = call_ref(SMALL, (wasm_val_t)WASM_I32_VAL(6));
    cr_assert(wasm_ref_same(one, same));
    cr_assert_not(wasm_ref_same(one, other));
    wasm_ref_delete(one);
    wasm_ref_delete(same);
    wasm_ref_delete(other);
    close_world(&world);
}

static void is_refused(size_t number, wasm_ref_t *ref)
{
    wasm_val_t given = val_of(ref);
    wasm_trap_t *trap = call(func_at(&world, number), &given, 1, NULL);

    cr_assert_not_null(trap);
    wasm_trap_delete(trap);
}

Test(guest, is_not_given_what_does_not_fit)
{
    struct world other;
    wasm_val_t null = WASM_INIT_VAL, got = WASM_INIT_VAL;

    open_keeper();
    open_world(&other);
    wasm_ref_t *theirs = wasm_foreign_as_ref(wasm_foreign_new(other.store));
    wasm_ref_t *ours = wasm_foreign_as_ref(wasm_foreign_new(world.store));
    wasm_ref_t *small = call_ref(SMALL, (wasm_val_t)WASM_I32_VAL(5));
    is_refused(SET, theirs);
    is_refused(READ, ours);  /* no structure */
    is_refused(READ, small); /* nor this */
    is_refused(ONE, NULL);
    is_refused(FUNC, ours);
    cr_assert_null(call(func_at(&world, FUNC), &null, 1, &got));
    cr_assert_eq(got.of.i32, 1);
    wasm_val_t func = val_of(wasm_func_as_ref(func_at(&world, GET)));
    cr_assert_null(call(func_at(&world, FUNC), &func, 1, &got));
    cr_assert_eq(got.of.i32, 0);
    wasm_ref_delete(theirs);
    wasm_ref_delete(ours);
    wasm_ref_delete(small);
    close_world(&other);
    close_world(&world);
}

static wasm_trap_t *keep_and_churn(const wasm_val_vec_t *arguments, wasm_val_vec_t *results)
{
    cr_assert_eq(call_i32(func_at(&world, CHURN), 50), 0);
    wasm_val_copy(&results->data[0], &arguments->data[0]);
    return NULL;
}

/* An object goes to the embedder, which has the guest collect meanwhile, and back. */
Test(guest, collects_during_a_callback)
{
    wasm_functype_t *type =
        wasm_functype_new_1_1(wasm_valtype_new(WASM_ANYREF), wasm_valtype_new(WASM_ANYREF));
    struct world user = {0};
    wasm_val_t given = WASM_I32_VAL(41), got = WASM_INIT_VAL;

    open_keeper();
    cn_heap_collect_always(world.store->store, true);
    wasm_func_t *func = wasm_func_new(world.store, type, keep_and_churn);
    wasm_functype_delete(type);
    wasm_extern_t *imports[] = {wasm_func_as_extern(func)};
    user.store = world.store;
    make(&user,
         "(module (type $box (struct (field i32)))"
         " (import \"\" \"f\" (func $f (param anyref) (result anyref)))"
         " (func (export \"f\") (param i32) (result i32) (local $b (ref null $box))"
         "  (local.set $b (struct.new $box (i32.const 1)))"
         "  (i32.add (struct.get $box 0"
         "   (ref.cast (ref $box) (call $f (struct.new $box (local.get 0)))))"
         "   (struct.get $box 0 (local.get $b)))))", imports, 1);
    cr_assert_null(call(func_at(&user, 0), &given, 1, &got));
    cr_assert_eq(got.of.i32, 42);
    wasm_func_delete(func);
    wasm_extern_vec_delete(&user.exports);
    wasm_instance_delete(user.instance);
    wasm_module_delete(user.module);
    close_world(&world);
}

/* ------------------------------------------------------------------ globals */

static wasm_global_t *new_global(wasm_valkind_t kind, wasm_mutability_t mutability,
                                 wasm_val_t value)
{
    wasm_globaltype_t *type = wasm_globaltype_new(wasm_valtype_new(kind), mutability);
    wasm_global_t *global = wasm_global_new(world.store, type, &value);

    wasm_globaltype_delete(type);
    return global;
}

Test(global, is_written_when_it_may_be)
{
    const wasm_val_t five = WASM_I32_VAL(5), six = WASM_I32_VAL(6), wide = WASM_I64_VAL(7);
    wasm_val_t got;

    open_world(&world);
    wasm_global_t *variable = new_global(WASM_I32, WASM_VAR, five);
    wasm_global_t *constant = new_global(WASM_I32, WASM_CONST, five);
    cr_assert_null(new_global(WASM_I32, WASM_VAR, wide));
    cr_assert_null(new_global(WASM_V128, WASM_VAR, wide));
    wasm_global_set(variable, &six);
    wasm_global_set(variable, &wide);
    wasm_global_set(constant, &six);
    wasm_global_get(variable, &got);
    cr_assert_eq(got.of.i32, 6);
    wasm_global_get(constant, &got);
    cr_assert_eq(got.of.i32, 5);
    wasm_globaltype_t *type = wasm_global_type(variable);
    cr_assert_eq(wasm_globaltype_mutability(type), WASM_VAR);
    wasm_globaltype_delete(type);
    wasm_global_delete(variable);
    wasm_global_delete(constant);
    close_world(&world);
}

/* What a global and a table of the embedder's refer to is not collected. */
Test(global, keeps_objects_alive)
{
    const wasm_limits_t limits = {2, wasm_limits_max_default};
    wasm_tabletype_t *type = wasm_tabletype_new(wasm_valtype_new(WASM_ANYREF), &limits);
    wasm_val_t got = WASM_INIT_VAL;

    open_keeper();
    cn_heap_collect_always(world.store->store, true);
    wasm_ref_t *one = call_ref(MAKE, (wasm_val_t)WASM_I32_VAL(31));
    wasm_ref_t *two = call_ref(MAKE, (wasm_val_t)WASM_I32_VAL(32));
    wasm_global_t *global = new_global(WASM_ANYREF, WASM_VAR, val_of(one));
    wasm_table_t *table = wasm_table_new(world.store, type, two);
    wasm_tabletype_delete(type);
    wasm_ref_delete(one);
    wasm_ref_delete(two);
    cr_assert_eq(call_i32(func_at(&world, CHURN), 50), 0);
    cn_store_collect(world.store->store);
    cr_assert_geq(cn_heap_stats(world.store->store).objects, 2);
    wasm_val_t value;
    wasm_global_get(global, &value);
    cr_assert_null(call(func_at(&world, READ), &value, 1, &got));
    cr_assert_eq(got.of.i32, 31);
    wasm_val_delete(&value);
    value = val_of(wasm_table_get(table, 1));
    cr_assert_null(call(func_at(&world, READ), &value, 1, &got));
    cr_assert_eq(got.of.i32, 32);
    wasm_val_delete(&value);
    wasm_global_delete(global);
    wasm_table_delete(table);
    close_world(&world);
}

/* ------------------------------------------------------------------ tables and memories */

Test(table, of_the_guest)
{
    open_keeper();
    wasm_table_t *table = wasm_extern_as_table(world.exports.data[TABLE]);
    wasm_ref_t *ref = wasm_foreign_as_ref(wasm_foreign_new(world.store));
    wasm_ref_t *func = wasm_func_as_ref(func_at(&world, GET));
    cr_assert_eq(wasm_table_size(table), 4);
    cr_assert(wasm_table_set(table, 3, ref));
    cr_assert_not(wasm_table_set(table, 4, ref));
    cr_assert(wasm_table_set(table, 0, func)); /* any reference can be an externref */
    wasm_ref_t *got = wasm_table_get(table, 3);
    cr_assert(wasm_ref_same(got, ref));
    wasm_ref_delete(got);
    cr_assert_null(wasm_table_get(table, 1));
    cr_assert_null(wasm_table_get(table, 4));
    cr_assert(wasm_table_grow(table, 2, ref));
    cr_assert_not(wasm_table_grow(table, 1, NULL));
    got = wasm_table_get(table, 5);
    cr_assert(wasm_ref_same(got, ref));
    wasm_ref_delete(got);
    wasm_tabletype_t *type = wasm_table_type(table);
    cr_assert_eq(wasm_tabletype_limits(type)->min, 6);
    cr_assert_eq(wasm_tabletype_limits(type)->max, 6);
    wasm_tabletype_delete(type);
    wasm_ref_delete(ref);
    close_world(&world);
}

Test(table, of_the_embedder)
{
    const wasm_limits_t limits = {2, 1}, good = {1, 3};
    wasm_tabletype_t *inverted = wasm_tabletype_new(wasm_valtype_new_funcref(), &limits);
    wasm_tabletype_t *numbers = wasm_tabletype_new(wasm_valtype_new_i32(), &good);
    wasm_tabletype_t *type = wasm_tabletype_new(wasm_valtype_new_funcref(), &good);

    open_world(&world);
    wasm_ref_t *foreign = wasm_foreign_as_ref(wasm_foreign_new(world.store));
    cr_assert_null(wasm_table_new(world.store, inverted, NULL));
    cr_assert_null(wasm_table_new(world.store, numbers, NULL));
    cr_assert_null(wasm_table_new(world.store, type, foreign));
    wasm_table_t *table = wasm_table_new(world.store, type, NULL);
    cr_assert_not(wasm_table_set(table, 0, foreign));
    cr_assert_not(wasm_table_grow(table, 1, foreign));
    cr_assert(wasm_table_grow(table, 2, NULL));
    cr_assert_not(wasm_table_grow(table, UINT32_MAX, NULL));
    wasm_externtype_t *shown = wasm_extern_type(wasm_table_as_extern(table));
    cr_assert_eq(wasm_externtype_kind(shown), WASM_EXTERN_TABLE);
    wasm_externtype_delete(shown);
    wasm_tabletype_delete(inverted);
    wasm_tabletype_delete(numbers);
    wasm_tabletype_delete(type);
    wasm_ref_delete(foreign);
    wasm_table_delete(table);
    close_world(&world);
}

Test(memory, grows)
{
    const wasm_limits_t limits = {1, 3}, inverted = {2, 1}, huge = {65537, 65537};
    wasm_memorytype_t *type = wasm_memorytype_new(&limits), *bad = wasm_memorytype_new(&inverted);
    wasm_memorytype_t *large = wasm_memorytype_new(&huge);

    open_world(&world);
    cr_assert_null(wasm_memory_new(world.store, bad));
    cr_assert_null(wasm_memory_new(world.store, large));
    wasm_memory_t *memory = wasm_memory_new(world.store, type);
    wasm_extern_t *imports[] = {wasm_memory_as_extern(memory)};
    make(&world,
         "(module (import \"\" \"m\" (memory 1 3))"
         " (func (export \"f\") (param i32) (result i32) (i32.load8_u (local.get 0))))",
         imports, 1);
    cr_assert_eq(wasm_memory_data_size(memory), MEMORY_PAGE_SIZE);
    cr_assert(wasm_memory_grow(memory, 2));
    cr_assert_not(wasm_memory_grow(memory, 1));
    cr_assert_eq(wasm_memory_size(memory), 3);
    wasm_memory_data(memory)[3 * MEMORY_PAGE_SIZE - 1] = 9;
    cr_assert_eq(call_i32(func_at(&world, 0), 3 * MEMORY_PAGE_SIZE - 1), 9);
    wasm_memorytype_t *shown = wasm_memory_type(memory);
    cr_assert_eq(wasm_memorytype_limits(shown)->min, 3);
    cr_assert_eq(wasm_memorytype_limits(shown)->max, 3);
    wasm_memorytype_delete(shown);
    wasm_memorytype_delete(type);
    wasm_memorytype_delete(bad);
    wasm_memorytype_delete(large);
    wasm_memory_delete(memory);
    close_world(&world);
}
