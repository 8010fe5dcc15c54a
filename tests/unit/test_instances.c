/* Several modules in one VM, joined by name; what they share; what the host sees of it. */
#include <criterion/criterion.h>
#include <string.h>

#include "include/cordon.h"

#define MODULES_MAX 6

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_config_t *config;
    cordon_module_t *modules[MODULES_MAX];
    uint32_t module_count;
    cordon_vm_t *vm;
    cordon_error_t error;
    cordon_result_t result;
};

static void open_world(struct world *world)
{
    *world = (struct world){.host = cordon_host_new(NULL)};
    world->linker = cordon_linker_new(world->host, &world->error);
    world->config = cordon_config_new(&world->error);
}

static void close_world(struct world *world)
{
    cordon_vm_free(world->vm);
    for (uint32_t i = 0; i < world->module_count; i++)
        cordon_module_free(world->modules[i]);
    cordon_config_free(world->config);
    cordon_linker_free(world->linker);
    cordon_host_free(world->host);
}

static cordon_module_t *load(struct world *world, const char *text)
{
    cordon_module_t *module =
        cordon_module_load(world->host, text, strlen(text), &world->error);

    cr_assert_not_null(module, "%s", world->error.message);
    cr_assert_lt(world->module_count, MODULES_MAX);
    world->modules[world->module_count++] = module;
    return module;
}

static void start(struct world *world, cordon_module_t *module)
{
    world->vm =
        cordon_vm_new(world->host, module, world->linker, world->config, &world->error);
    cr_assert_not_null(world->vm, "%s", world->error.message);
}

static cordon_instance_t *add(struct world *world, const char *name, const char *text)
{
    cordon_instance_t *made =
        cordon_vm_add(world->vm, name, load(world, text), &world->error);

    cr_assert_not_null(made, "%s", world->error.message);
    return made;
}

static int32_t call_in(struct world *world, const char *instance, const char *name)
{
    cordon_value_t value = {0};

    cr_assert(cordon_instance_invoke(cordon_vm_instance(world->vm, instance), name, NULL, 0,
                                     &value, 1, &world->result, &world->error),
              "%s", world->error.message);
    cr_assert_eq(world->result.end, CORDON_END_RETURN, "%s", world->result.message);
    return value.i32;
}

/* ------------------------------------------------------------------ joining */

/* A counter in a memory, a table with a function, a global and a tag, all of them exported. */
static const char lib[] =
    "(module (memory (export \"memory\") 1 2) (global (export \"g\") (mut i32) (i32.const 5))"
    "  (tag (export \"tag\") (param i32))"
    "  (table (export \"table\") 4 funcref) (elem (i32.const 1) $seven)"
    "  (func $seven (result i32) (i32.const 7))"
    "  (func (export \"count\") (result i32)"
    "    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))"
    "    (i32.load (i32.const 8)))"
    "  (func (export \"throw\") (throw 0 (i32.const 33))))";

/* Uses all of it. */
static const char app[] =
    "(module (import \"lib\" \"memory\" (memory 1 2)) (import \"lib\" \"g\" (global $g (mut i32)))"
    "  (import \"lib\" \"table\" (table 4 funcref)) (import \"lib\" \"tag\" (tag $tag (param i32)))"
    "  (import \"lib\" \"count\" (func $count (result i32)))"
    "  (import \"lib\" \"throw\" (func $throw))"
    "  (type $t (func (result i32)))"
    "  (elem (i32.const 2) $nine) (func $nine (result i32) (i32.const 9))"
    "  (func (export \"count\") (result i32) (drop (call $count))"
    "    (global.set $g (i32.add (global.get $g) (i32.const 1)))"
    "    (i32.add (i32.load (i32.const 8)) (i32.mul (i32.const 100) (global.get $g))))"
    "  (func (export \"seven\") (result i32) (call_indirect (type $t) (i32.const 1)))"
    "  (func (export \"caught\") (result i32)"
    "    (block $caught (result i32)"
    "      (try_table (catch $tag $caught) (call $throw)) (i32.const 0))))";

Test(instances, share_all_that_can_be_exported)
{
    struct world world;
    uint64_t size;

    open_world(&world);
    start(&world, NULL);
    cordon_instance_t *first = add(&world, "lib", lib);
    add(&world, "main", app);
    cr_expect_eq(cordon_vm_instance(world.vm, "lib"), first);
    cr_expect_null(cordon_vm_instance(world.vm, "lab"));
    cr_expect_eq(call_in(&world, "main", "count"), 601);
    cr_expect_eq(call_in(&world, "main", "count"), 702);
    cr_expect_eq(call_in(&world, "lib", "count"), 3);
    cr_expect_eq(call_in(&world, "main", "seven"), 7);
    cr_expect_eq(call_in(&world, "main", "caught"), 33);
    const int32_t *words = cordon_instance_memory(first, "memory", &size);
    cr_assert_eq(size, 65536);
    cr_expect_eq(words[2], 3);
    cr_expect_eq(cordon_vm_memory(world.vm, &size), (const void *)words);
    close_world(&world);
}

Test(instances, come_with_the_linker)
{
    struct world world;

    open_world(&world);
    cr_assert(cordon_linker_module(world.linker, "lib", load(&world, lib), &world.error));
    cordon_module_t *module = load(&world, app);
    /* Each VM has its own. */
    for (int i = 0; i < 3; i++) {
        start(&world, module);
        cr_expect_eq(call_in(&world, "main", "count"), 601);
        cordon_vm_free(world.vm);
    }
    world.vm = NULL;
    close_world(&world);
}

Test(instances, say_which_import_is_missing)
{
    struct world world;

    open_world(&world);
    start(&world, NULL);
    add(&world, "lib", lib);
    cordon_module_t *wrong = load(&world, "(module (import \"lib\" \"cuont\" (func)))");
    cr_expect_null(cordon_vm_add(world.vm, "main", wrong, &world.error));
    cr_expect_eq(world.error.kind, CORDON_LINK);
    cr_expect_str_eq(world.error.message,
                     "unknown import lib.cuont: expected a function (), found nothing of "
                     "that name; the nearest is lib.count");
    wrong = load(&world, "(module (import \"lib\" \"g\" (global i32)))");
    cr_expect_null(cordon_vm_add(world.vm, "main", wrong, &world.error));
    cr_expect_eq(world.error.kind, CORDON_LINK);
    cr_expect_not_null(strstr(world.error.message, "incompatible import type"));
    /* The name is still free. */
    add(&world, "main", app);
    cr_expect_eq(call_in(&world, "main", "seven"), 7);
    cr_expect_null(cordon_vm_add(world.vm, "lib", world.modules[0], &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    close_world(&world);
}

/* The first one's start function and _initialize, then the second one's: each writes its digit. */
static const char first_digit[] =
    "(module (global $g (export \"g\") (mut i32) (i32.const 0))"
    "  (func $push (export \"push\") (param i32)"
    "    (global.set $g (i32.add (i32.mul (global.get $g) (i32.const 10)) (local.get 0))))"
    "  (func $start (call $push (i32.const 1))) (start $start)"
    "  (func (export \"_initialize\") (call $push (i32.const 2))))";
static const char next_digits[] =
    "(module (import \"first\" \"push\" (func $push (param i32)))"
    "  (import \"first\" \"g\" (global $g (mut i32)))"
    "  (func $start (call $push (i32.const 3))) (start $start)"
    "  (func (export \"_initialize\") (call $push (i32.const 4)))"
    "  (func (export \"_start\") (call $push (i32.const 5)))"
    "  (func (export \"get\") (result i32) (global.get $g)))";

Test(instances, start_in_the_order_in_which_they_were_added)
{
    struct world world;
    cordon_value_t value;

    open_world(&world);
    start(&world, NULL);
    cordon_instance_t *first = add(&world, "first", first_digit);
    cordon_module_t *module = load(&world, next_digits);
    cr_assert(cordon_instance_global(first, "g", &value, &world.error));
    cr_expect_eq(value.i32, 0, "nothing runs before it is asked for");
    cr_assert_not_null(cordon_vm_add(world.vm, "main", module, &world.error));
    /* A command has no _initialize. */
    cr_assert(cordon_vm_run(world.vm, &world.result, &world.error));
    cr_expect_eq(call_in(&world, "main", "get"), 1235);
    /* One that comes later is initialized later, and nobody else again. */
    cr_assert_not_null(cordon_vm_add(world.vm, "late", module, &world.error));
    cr_expect_eq(call_in(&world, "main", "get"), 123534);
    close_world(&world);
}

Test(instances, run_on_workers)
{
    struct world world;

    open_world(&world);
    cr_assert(cordon_host_start(world.host, 1, &world.error));
    cr_assert(cordon_linker_module(world.linker, "first", load(&world, first_digit), &world.error));
    start(&world, load(&world, next_digits));
    cr_assert(cordon_vm_start(world.vm, NULL, NULL, &world.error));
    cordon_vm_wait(world.vm, &world.result);
    cr_expect_eq(world.result.end, CORDON_END_RETURN, "%s", world.result.message);
    cr_expect_eq(call_in(&world, "main", "get"), 1235);
    close_world(&world);
}

/* ------------------------------------------------------------------ ends */

static const char trapping[] =
    "(module (func $deep (export \"trap\") unreachable))";
static const char calling[] =
    "(module (import \"lib\" \"trap\" (func $trap)) (func $run (export \"run\") (call $trap)))";

Test(instances, are_named_in_backtraces)
{
    struct world world;

    open_world(&world);
    cordon_host_translation(world.host, CORDON_TRANSLATE_LAZY);
    start(&world, NULL);
    add(&world, "lib", trapping);
    add(&world, "main", calling);
    cr_assert(cordon_vm_invoke(world.vm, "run", NULL, 0, NULL, 0, &world.result, &world.error));
    cr_assert_eq(world.result.end, CORDON_END_TRAP);
    cr_assert_eq(world.result.frame_count, 2);
    cr_expect_str_eq(world.result.frames[0].module, "lib");
    cr_expect_str_eq(world.result.frames[0].function, "deep");
    cr_expect_neq(world.result.frames[0].offset, 0);
    cr_expect_str_eq(world.result.frames[1].module, "");
    cr_expect_str_eq(world.result.frames[1].function, "run");
    cr_expect_null(cordon_vm_add(world.vm, "late", world.modules[0], &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE, "what has trapped is over");
    close_world(&world);
}

/* Its functions are in the table before it turns out that its data does not fit. */
static const char half_made[] =
    "(module (import \"lib\" \"table\" (table 4 funcref)) (import \"lib\" \"memory\" (memory 1))"
    "  (elem (i32.const 1) $left) (data (i32.const 70000) \"x\")"
    "  (func $left (result i32) (i32.const 11)))";

Test(instances, that_could_not_be_finished_leave_their_functions)
{
    struct world world;

    open_world(&world);
    cordon_host_translation(world.host, CORDON_TRANSLATE_LAZY);
    start(&world, NULL);
    add(&world, "lib", lib);
    cordon_module_t *module = load(&world, half_made);
    cr_expect_null(cordon_vm_add(world.vm, "half", module, &world.error));
    cr_expect_eq(world.error.kind, CORDON_TRAP, "%s", world.error.message);
    cr_expect_null(cordon_vm_instance(world.vm, "half"));
    add(&world, "main", app);
    cr_expect_eq(call_in(&world, "main", "seven"), 11, "it is translated only now");
    close_world(&world);
}

Test(instances, are_charged_to_one_account)
{
    struct world world;
    cordon_stats_t before, after;

    open_world(&world);
    cordon_config_limit(world.config, CORDON_MEMORY, 1 << 20, &world.error);
    start(&world, NULL);
    cordon_vm_stats(world.vm, &before);
    cordon_module_t *large = load(&world, "(module (memory 4))");
    cr_assert_not_null(cordon_vm_add(world.vm, "one", large, &world.error));
    cordon_vm_stats(world.vm, &after);
    cr_expect_geq(after.used[CORDON_MEMORY], before.used[CORDON_MEMORY] + 4 * 65536);
    cr_assert_not_null(cordon_vm_add(world.vm, "two", large, &world.error));
    cr_assert_not_null(cordon_vm_add(world.vm, "three", large, &world.error));
    cr_expect_null(cordon_vm_add(world.vm, "four", large, &world.error));
    cr_expect_eq(world.error.kind, CORDON_QUOTA, "%s", world.error.message);
    close_world(&world);
}

Test(instances, a_vm_without_a_main_module_runs_nothing)
{
    struct world world;
    uint64_t size;

    open_world(&world);
    start(&world, NULL);
    cr_expect_not(cordon_vm_run(world.vm, &world.result, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_vm_invoke(world.vm, "f", NULL, 0, NULL, 0, &world.result, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_expect_null(cordon_vm_memory(world.vm, &size));
    cr_expect_null(cordon_vm_memory_of(world.vm, "memory", &size));
    close_world(&world);
}

/* ------------------------------------------------------------------ the host's things */

static const char borrower[] =
    "(module (import \"env\" \"memory\" (memory 1)) (import \"env\" \"table\" (table 2 funcref))"
    "  (import \"env\" \"limit\" (global $limit i64)) (import \"env\" \"v\" (global $v (mut v128)))"
    "  (elem declare func $add) (type $t (func (param i32 i32) (result i32)))"
    "  (func $add (export \"add\") (type $t) (i32.add (local.get 0) (local.get 1)))"
    "  (func (export \"put\") (table.set (i32.const 1) (ref.func $add)))"
    "  (func (export \"call\") (result i32)"
    "    (call_indirect (type $t) (i32.const 40) (i32.const 2) (i32.const 0)))"
    "  (func (export \"load\") (result i32) (i32.load (i32.const 12)))"
    "  (func (export \"limit\") (result i32) (i32.wrap_i64 (global.get $limit)))"
    "  (func (export \"lane\") (result i32) (i32x4.extract_lane 3 (global.get $v))))";

static void offer_all(struct world *world)
{
    const cordon_value_t limit = {.type = CORDON_I64, .i64 = 77};
    const cordon_value_t lanes = {.type = CORDON_V128, .v128 = {[12] = 9}};

    cr_assert(cordon_linker_memory(world->linker, "env", "memory", 1, CORDON_UNLIMITED,
                                   &world->error));
    cr_assert(cordon_linker_table(world->linker, "env", "table", CORDON_FUNCREF, 2, 4,
                                  &world->error));
    cr_assert(cordon_linker_global(world->linker, "env", "limit", &limit, false, &world->error));
    cr_assert(cordon_linker_global(world->linker, "env", "v", &lanes, true, &world->error));
}

Test(instances, borrow_what_the_host_has_made)
{
    struct world world;
    uint64_t size;
    cordon_value_t value;

    open_world(&world);
    offer_all(&world);
    start(&world, load(&world, borrower));
    cordon_instance_t *env = cordon_vm_instance(world.vm, "env");
    int32_t *words = cordon_instance_memory(env, "memory", &size);
    cr_assert_eq(size, 65536);
    words[3] = 1234;
    cr_expect_eq(call_in(&world, "main", "load"), 1234);
    cr_expect_eq(call_in(&world, "main", "limit"), 77);
    cr_expect_eq(call_in(&world, "main", "lane"), 9);
    cordon_value_t lanes = {.type = CORDON_V128, .v128 = {[12] = 8}};
    cr_assert(cordon_instance_set_global(env, "v", &lanes, &world.error));
    cr_expect_eq(call_in(&world, "main", "lane"), 8);
    cr_assert(cordon_instance_global(env, "v", &value, &world.error));
    cr_expect_arr_eq(value.v128, lanes.v128, 16);
    cr_expect_not(cordon_instance_set_global(env, "limit", &lanes, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE, "it is constant");
    lanes.type = CORDON_I64;
    cr_expect_not(cordon_instance_set_global(env, "v", &lanes, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE, "of another type");
    cr_expect_not(cordon_instance_global(env, "memory", &value, &world.error));
    cr_expect_eq(world.error.kind, CORDON_NO_EXPORT);
    close_world(&world);
}

static const char growing[] =
    "(module (memory (export \"m\") 1 40) (table $t (export \"t\") 2 10 funcref)"
    "  (func $one (export \"one\") (result i32) (i32.const 1))"
    "  (func (export \"pages\") (result i32) (memory.size))"
    "  (func (export \"elements\") (result i32) (table.size $t))"
    "  (func (export \"last\") (result i32) (i32.store (i32.const 196604) (i32.const 3))"
    "    (i32.load (i32.const 196604)))"
    "  (func (export \"call\") (result i32)"
    "    (call_indirect (result i32) (i32.const 4))))";

Test(instances, grow_from_outside)
{
    struct world world;
    uint64_t size;
    cordon_value_t one, number = {.type = CORDON_I32};

    open_world(&world);
    cr_assert(cordon_config_limit(world.config, CORDON_MEMORY, 1 << 20, &world.error));
    start(&world, load(&world, growing));
    cordon_instance_t *main = cordon_vm_instance(world.vm, "main");
    cr_expect(cordon_instance_memory_grow(main, "m", 2, &world.error));
    cr_assert_not_null(cordon_instance_memory(main, "m", &size));
    cr_expect_eq(size, 3 * 65536);
    cr_expect_eq(call_in(&world, "main", "pages"), 3);
    cr_expect_eq(call_in(&world, "main", "last"), 3);
    cr_expect_not(cordon_instance_memory_grow(main, "m", 38, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE, "beyond its maximum");
    cr_expect_not(cordon_instance_memory_grow(main, "m", UINT64_MAX, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_instance_memory_grow(main, "m", 37, &world.error));
    cr_expect_eq(world.error.kind, CORDON_QUOTA, "beyond the VM's quota");
    cr_expect_not(cordon_instance_memory_grow(main, "t", 1, &world.error));
    cr_expect_eq(world.error.kind, CORDON_NO_EXPORT);
    cr_expect(cordon_instance_memory_grow(main, "m", 0, &world.error));

    cr_assert(cordon_instance_func(main, "one", &one, &world.error));
    cr_expect(cordon_instance_table_grow(main, "t", 3, &one, &world.error));
    cr_expect_eq(call_in(&world, "main", "elements"), 5);
    cr_expect_eq(call_in(&world, "main", "call"), 1);
    cr_expect_not(cordon_instance_table_grow(main, "t", 6, &one, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE, "beyond its maximum");
    cr_expect_not(cordon_instance_table_grow(main, "t", 1, &number, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE, "no reference");
    cr_expect_eq(call_in(&world, "main", "elements"), 5);
    close_world(&world);
}

Test(instances, references_to_functions_can_be_moved_and_called)
{
    struct world world;
    uint64_t size;
    cordon_value_t func, sum, none = {.type = CORDON_FUNCREF};
    const cordon_value_t pair[] = {{.type = CORDON_I32, .i32 = 20}, {.type = CORDON_I32, .i32 = 3}};

    open_world(&world);
    offer_all(&world);
    start(&world, load(&world, borrower));
    cordon_instance_t *env = cordon_vm_instance(world.vm, "env");
    call_in(&world, "main", "put");
    cr_assert(cordon_instance_table_get(env, "table", 1, &func, &world.error));
    cr_assert(cordon_vm_call(world.vm, &func, pair, 2, &sum, 1, &world.result, &world.error));
    cr_expect_eq(sum.i32, 23);
    cr_expect_not(cordon_vm_call(world.vm, &func, pair, 1, &sum, 1, &world.result, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_assert(cordon_instance_table_set(env, "table", 0, &func, &world.error));
    cr_expect_eq(call_in(&world, "main", "call"), 42);
    cr_assert(cordon_instance_func(cordon_vm_instance(world.vm, "main"), "call", &func,
                                   &world.error));
    cr_assert(cordon_vm_call(world.vm, &func, NULL, 0, &sum, 1, &world.result, &world.error));
    cr_expect_eq(sum.i32, 42);
    cr_expect_not(cordon_instance_func(env, "table", &func, &world.error));
    cr_expect_eq(world.error.kind, CORDON_NO_EXPORT);
    cr_assert(cordon_instance_table_set(env, "table", 1, &none, &world.error));
    cr_assert(cordon_instance_table_get(env, "table", 1, &func, &world.error));
    cr_expect_null(func.ref);
    cr_expect_not(cordon_vm_call(world.vm, &none, NULL, 0, &sum, 1, &world.result, &world.error));
    cr_expect_not(cordon_instance_table_set(env, "table", 1, &pair[0], &world.error));
    cr_expect_not(cordon_instance_table_get(env, "table", 2, &func, &world.error));
    cr_assert(cordon_instance_table_size(env, "table", &size, &world.error));
    cr_expect_eq(size, 2);
    close_world(&world);
}

Test(instances, offers_that_make_no_sense_are_refused)
{
    struct world world;
    cordon_value_t foreign = {.type = CORDON_FUNCREF, .ref = &world};

    open_world(&world);
    cr_expect_not(cordon_linker_memory(world.linker, "env", "m", 3, 2, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_linker_table(world.linker, "env", "t", CORDON_I32, 1, 2, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_linker_global(world.linker, "env", "g", &foreign, true, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    /* More than the quota: no VM. */
    cr_assert(cordon_linker_memory(world.linker, "env", "m", 60000, 60000, &world.error));
    cr_expect_null(cordon_vm_new(world.host, NULL, world.linker, world.config, &world.error));
    cr_expect_eq(world.error.kind, CORDON_QUOTA, "%s", world.error.message);
    close_world(&world);
}

/* ------------------------------------------------------------------ references as arguments */

static const char typed[] =
    "(module (type $t (func (param i32) (result i32))) (type $s (struct (field i32)))"
    "  (type $other (struct (field i64)))"
    "  (func $twice (export \"twice\") (type $t) (i32.mul (i32.const 2) (local.get 0)))"
    "  (func (export \"none\"))"
    "  (func (export \"give\") (result funcref) (ref.func $twice))"
    "  (func (export \"give_none\") (result funcref) (ref.func 1))"
    "  (func (export \"apply\") (param (ref $t)) (result i32)"
    "    (call_ref $t (i32.const 21) (local.get 0)))"
    "  (func (export \"make\") (result anyref) (struct.new $other (i64.const 1)))"
    "  (func (export \"field\") (param (ref $s)) (result i32) (struct.get $s 0 (local.get 0))))";

static cordon_value_t get(struct world *world, const char *name)
{
    cordon_value_t value = {0};

    cr_assert(cordon_vm_invoke(world->vm, name, NULL, 0, &value, 1, &world->result,
                               &world->error), "%s", world->error.message);
    return value;
}

static bool give(struct world *world, const char *name, const cordon_value_t *value,
                 cordon_value_t *result)
{
    return cordon_vm_invoke(world->vm, name, value, 1, result, 1, &world->result, &world->error);
}

Test(instances, take_no_reference_of_another_type)
{
    struct world world;
    cordon_value_t result, none = {.type = CORDON_FUNCREF}, null = {.type = CORDON_ANYREF};

    open_world(&world);
    start(&world, load(&world, typed));
    cordon_value_t right = get(&world, "give"), wrong = get(&world, "give_none");
    cr_assert(give(&world, "apply", &right, &result), "%s", world.error.message);
    cr_expect_eq(result.i32, 42);
    cr_expect_not(give(&world, "apply", &wrong, &result), "its type is () -> ()");
    cr_expect_not(give(&world, "apply", &none, &result), "it takes no null");
    cordon_value_t other = get(&world, "make");
    cr_expect_not(give(&world, "field", &other, &result), "another structure");
    cr_expect_not(give(&world, "field", &null, &result));
    cordon_ref_release(world.vm, &other);
    close_world(&world);
}
