#include "vm/heap.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "tests/unit/text_world.h"

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void begin(struct world *world, const char *name, uint32_t argument)
{
    struct cn_extern func;
    union cn_slot slot = {.u64 = argument};

    cr_assert(cn_instance_export(world->instance, cn_bytes_of(name), &func));
    cr_assert_eq(cn_thread_call(world->thread, func.func, &slot), CN_OK);
    world->fuel = world->slowest_ns = world->yields = 0;
}

/* Runs with slices of so much fuel to the end. */
static enum cn_stop finish(struct world *world, int64_t slice)
{
    enum cn_stop stop;

    do {
        uint64_t before = now_ns();
        int64_t due = (int64_t)cn_thread_due(world->thread);
        int64_t given = slice > due ? slice : due;
        stop = cn_thread_run(world->thread, given);
        world->fuel += (uint64_t)(given - world->thread->fuel);
        if (stop == CN_STOP_YIELD && ++world->yields > 1 && now_ns() - before > world->slowest_ns)
            world->slowest_ns = now_ns() - before;
    } while (stop == CN_STOP_FUEL || stop == CN_STOP_YIELD);
    return stop;
}

static uint32_t call(struct world *world, const char *name, uint32_t argument)
{
    begin(world, name, argument);
    cr_assert_eq(finish(world, INT64_MAX), CN_STOP_DONE, "%s", world->thread->error.text);
    return world->thread->stack[0].u32;
}

static const char trees[] =
    "(module (type $n (struct (field (ref null $n) (ref null $n) i32)))"
    " (global $kept (mut (ref null $n)) (ref.null $n))"
    " (func $make (param i32) (result (ref null $n))"
    "  (if (result (ref null $n)) (i32.eqz (local.get 0))"
    "   (then (struct.new $n (ref.null $n) (ref.null $n) (i32.const 1)))"
    "   (else (struct.new $n (call $make (i32.sub (local.get 0) (i32.const 1)))"
    "     (call $make (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))))"
    " (func $sum (param (ref null $n)) (result i32)"
    "  (if (result i32) (ref.is_null (local.get 0)) (then (i32.const 0))"
    "   (else (i32.add (struct.get $n 2 (local.get 0))"
    "    (i32.add (call $sum (struct.get $n 0 (local.get 0)))"
    "             (call $sum (struct.get $n 1 (local.get 0))))))))"
    " (func (export \"keep\") (param i32) (result i32)"
    "  (global.set $kept (call $make (local.get 0))) (i32.const 0))"
    " (func (export \"drop\") (param i32) (result i32)"
    "  (global.set $kept (ref.null $n)) (i32.const 0))"
    " (func (export \"sum\") (param i32) (result i32) (call $sum (global.get $kept)))"
    " (func (export \"churn\") (param i32) (result i32)"
    "  (loop $l (drop (call $make (i32.const 10)))"
    "   (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))"
    "  (call $sum (global.get $kept)))"
    " (func (export \"list\") (param i32) (result i32)"
    "  (loop $l"
    "   (global.set $kept (struct.new $n (global.get $kept) (ref.null $n) (i32.const 1)))"
    "   (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 0))"
    " (func (export \"give\") (param i32) (result (ref null $n)) (call $make (local.get 0))))";

Test(heap, frees_what_nobody_can_reach_and_nothing_else)
{
    struct world world;

    open_world(&world, trees);
    call(&world, "keep", 12);
    uint64_t kept = cn_heap_stats(world.store).objects;
    cr_expect_eq(kept, (1 << 13) - 1);
    cr_expect_eq(call(&world, "churn", 200), (1 << 13) - 1);
    cr_expect_gt(cn_heap_stats(world.store).collections, 5);
    cn_store_collect(world.store);
    cr_expect_eq(cn_heap_stats(world.store).objects, kept);
    cr_expect_eq(call(&world, "sum", 0), (1 << 13) - 1);
    call(&world, "drop", 0);
    uint64_t full = world.account.used[CN_QUOTA_MEMORY];
    cn_store_collect(world.store);
    cr_expect_eq(cn_heap_stats(world.store).objects, 0);
    cr_expect_lt(world.account.used[CN_QUOTA_MEMORY], full - kept * 32, "memory is given back");
    close_world(&world);
}

Test(heap, costs_the_same_fuel_whenever_it_is_collected)
{
    struct world world;
    uint64_t fuel[4];

    for (int i = 0; i < 4; i++) {
        open_world(&world, trees);
        cn_heap_collect_always(world.store, i == 3);
        if (i == 1)
            world.account.limit[CN_QUOTA_MEMORY] = 512 * 1024;
        begin(&world, "churn", 3);
        cr_assert_eq(finish(&world, i == 2 ? 1 : INT64_MAX), CN_STOP_DONE);
        fuel[i] = world.fuel;
        close_world(&world);
    }
    cr_expect_eq(fuel[0], fuel[1], "with little memory");
    cr_expect_eq(fuel[0], fuel[2], "preempted everywhere");
    cr_expect_eq(fuel[0], fuel[3], "collected everywhere");
}

Test(heap, is_collected_before_the_quota_is_exhausted_and_then_ends_the_guest)
{
    struct world world;

    open_world(&world, trees);
    world.account.limit[CN_QUOTA_MEMORY] = world.account.used[CN_QUOTA_MEMORY] + (1 << 20);
    cr_expect_eq(call(&world, "churn", 1000), 0);
    cr_expect_leq(world.account.peak[CN_QUOTA_MEMORY], world.account.limit[CN_QUOTA_MEMORY]);
    begin(&world, "keep", 20);
    cr_expect_eq(finish(&world, INT64_MAX), CN_STOP_FAILED);
    cr_expect_eq(world.thread->error.status, CN_NO_MEMORY);
    cn_store_collect(world.store);
    cr_expect_eq(cn_heap_stats(world.store).objects, 0, "nothing of the dead thread is kept");
    cr_expect_eq(call(&world, "churn", 10), 0);
    close_world(&world);
}

Test(heap, is_collected_while_the_guest_is_suspended_anywhere)
{
    struct world world;
    enum cn_stop stop;

    open_world(&world, trees);
    call(&world, "keep", 6);
    cn_heap_collect_always(world.store, true);
    begin(&world, "churn", 1);
    do {
        stop = cn_thread_run(world.thread, (int64_t)cn_thread_due(world.thread));
        cn_store_collect(world.store);
    } while (stop == CN_STOP_FUEL || stop == CN_STOP_YIELD);
    cr_expect_eq(stop, CN_STOP_DONE);
    cr_expect_eq(world.thread->stack[0].u32, 127);
    close_world(&world);
}

Test(heap, keeps_results_and_handles)
{
    struct world world;

    open_world(&world, trees);
    call(&world, "give", 3);
    cn_store_collect(world.store);
    cr_expect_eq(cn_heap_stats(world.store).objects, 15, "results are roots");
    struct cn_handle *handle = cn_handle_new(world.store, world.thread->stack[0].u64);
    struct cn_handle *other = cn_handle_new(world.store, 2);
    call(&world, "sum", 0);
    cn_store_collect(world.store);
    cr_expect_eq(cn_heap_stats(world.store).objects, 15, "handles are");
    cn_handle_free(world.store, handle);
    cn_store_collect(world.store);
    cr_expect_eq(cn_heap_stats(world.store).objects, 0);
    cn_handle_free(world.store, other);
    cn_handle_free(world.store, NULL);
    close_world(&world);
}

/* Neither a list nor a wide array needs room for marking, and no step takes long. The bound is
 * far above what a step takes, because the test machine may be busy. */
Test(heap, marks_a_million_in_short_steps)
{
    struct world world;

    open_world(&world, trees);
    call(&world, "list", 1000000);
    uint64_t used = world.account.used[CN_QUOTA_MEMORY];
    uint64_t peak = world.account.peak[CN_QUOTA_MEMORY];
    cn_store_collect(world.store);
    cr_expect_eq(cn_heap_stats(world.store).objects, 1000000);
    cr_expect_eq(world.account.used[CN_QUOTA_MEMORY], used);
    cr_expect_eq(world.account.peak[CN_QUOTA_MEMORY], peak, "marking takes no memory");
    begin(&world, "churn", 20);
    cr_expect_neq(finish(&world, INT64_MAX), CN_STOP_DONE, "summing so deep a list");
    call(&world, "list", 1200000);
    cr_expect_gt(world.yields, 100);
    cr_expect_lt(world.slowest_ns, 5000000, "%" PRIu64 " ns", world.slowest_ns);
    close_world(&world);
}

static const char arrays[] =
    "(module (type $a (array (mut anyref))) (type $b (array (mut i8)))"
    " (global $g (mut (ref null $a)) (ref.null $a))"
    " (func (export \"wide\") (param i32) (result i32)"
    "  (local $i i32)"
    "  (global.set $g (array.new_default $a (local.get 0)))"
    "  (loop $l (array.set $a (global.get $g) (local.get $i)"
    "    (array.new $b (i32.const 1) (i32.and (local.get $i) (i32.const 63))))"
    "   (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
    "                       (local.get 0))))"
    "  (array.len (ref.cast (ref $b) (array.get $a (global.get $g)"
    "    (i32.sub (local.get 0) (i32.const 1))))))"
    " (func (export \"huge\") (param i32) (result i32)"
    "  (array.len (array.new $b (i32.const 1) (local.get 0))))"
    " (func (export \"storm\") (param i32) (result i32)"
    "  (loop $l (drop (array.new_default $b (i32.shl (i32.const 1)"
    "     (i32.rem_u (local.get 0) (i32.const 22)))))"
    "   (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 1)))";

Test(heap, holds_a_million_references_in_one_array)
{
    struct world world;

    open_world(&world, arrays);
    cr_expect_eq(call(&world, "wide", 1000000), 999999 & 63);
    cn_store_collect(world.store);
    cr_expect_eq(cn_heap_stats(world.store).objects, 1000001);
    close_world(&world);
}

Test(heap, refuses_what_is_larger_than_the_quota_at_once)
{
    struct world world;

    open_world(&world, arrays);
    begin(&world, "huge", UINT32_MAX);
    cr_expect_eq(finish(&world, 1000), CN_STOP_FAILED);
    cr_expect_lt(world.fuel, 1000u);
    cr_expect_eq(call(&world, "huge", 1 << 20), 1 << 20);
    close_world(&world);
}

Test(heap, gives_arrays_of_all_sizes_back)
{
    struct world world;

    open_world(&world, arrays);
    world.account.limit[CN_QUOTA_MEMORY] = 8 << 20;
    cr_expect_eq(call(&world, "storm", 20000), 1);
    cn_store_collect(world.store);
    cr_expect_eq(cn_heap_stats(world.store).objects, 0);
    close_world(&world);
}

static const char growing[] =
    "(module (type $b (array (mut i8))) (memory 0 100) (table $t 0 10000000 anyref)"
    " (func $waste (loop $l (drop (array.new_default $b (i32.const 1000)))"
    "   (br_if $l (i32.const 0))))"
    " (func (export \"memory\") (param i32) (result i32)"
    "  (loop $l (call $waste) (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))"
    "  (memory.grow (i32.const 10)))"
    " (func (export \"table\") (param i32) (result i32)"
    "  (loop $l (call $waste) (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))"
    "  (table.grow $t (ref.i31 (i32.const 1)) (i32.const 80000)))"
    " (func (export \"both\") (param i32) (result i32)"
    "  (memory.grow (local.get 0))))";

Test(heap, makes_room_for_memories_and_tables)
{
    struct world world;

    for (int i = 0; i < 2; i++) {
        open_world(&world, growing);
        world.account.limit[CN_QUOTA_MEMORY] = world.account.used[CN_QUOTA_MEMORY] + 800000;
        cr_expect_eq(call(&world, i ? "table" : "memory", 200), 0);
        cr_expect_eq(cn_heap_stats(world.store).collections, 1);
        cr_expect_eq(call(&world, "both", 20), UINT32_MAX, "there is really no room");
        cr_expect_eq(call(&world, "both", UINT32_MAX), UINT32_MAX);
        close_world(&world);
    }
}

static const char tight[] =
    "(module (type $c (struct (field (ref null $c)))) (global $g (mut (ref null $c)) (ref.null $c))"
    " (func (export \"fill\") (param i32) (result i32)"
    "  (loop $l (global.set $g (struct.new $c (global.get $g)))"
    "   (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 0))"
    " (func (export \"waste\") (param i32) (result i32)"
    "  (loop $l (drop (struct.new_default $c))"
    "   (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 0)))";

/* With room for a handful of objects beside a million that live. */
Test(heap, does_not_collect_for_every_object)
{
    struct world world;

    open_world(&world, tight);
    call(&world, "fill", 1000000);
    cn_store_collect(world.store);
    world.account.limit[CN_QUOTA_MEMORY] = world.account.used[CN_QUOTA_MEMORY];
    uint64_t before = cn_heap_stats(world.store).collections;
    begin(&world, "waste", 10000000);
    cr_expect_eq(finish(&world, INT64_MAX), CN_STOP_FAILED);
    cr_expect_lt(cn_heap_stats(world.store).collections, before + 20);
    close_world(&world);
}
