/* What is large is made, moved and given back in parts, between which others may have a turn. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/text_world.h"
#include "vm/heap.h"
#include "vm/pages.h"

#define MIB ((uint64_t)1 << 20)
#define PART (512u << 10)

Test(pages, are_zeroed_and_keep_what_is_in_them)
{
    uint8_t *at = cn_pages_map(64 << 10), *other = cn_pages_map(64 << 10);
    uint64_t size = 64 << 10;

    cr_assert(at != NULL && other != NULL);
    memset(other, 7, 64 << 10);
    while (size < 64 * MIB) {
        cr_assert_eq(at[size - 1], 0);
        at[size - 1] = 1;
        at = cn_pages_grow(at, size, 2 * size, true);
        cr_assert(at != NULL);
        size *= 2;
        cr_assert(size < 2 * MIB || (uintptr_t)at % (2 * MIB) == 0, "it can be moved quickly");
    }
    for (uint64_t end = 64 << 10; end < size; end *= 2)
        cr_expect_eq(at[end - 1], 1);
    cr_expect_eq(other[0], 7);
    cr_expect_eq(other[(64 << 10) - 1], 7);
    cr_expect_eq(cn_pages_shrink(at, size, MIB), size - MIB);
    cr_expect_eq(cn_pages_shrink(at, size - MIB, UINT64_MAX), 0);
    cr_expect_eq(cn_pages_shrink(other, 64 << 10, UINT64_MAX), 0);
}

Test(pages, cannot_be_had_without_room)
{
    uint8_t *at = cn_pages_map(4096);

    cr_assert(at != NULL);
    at[0] = 5;
    cr_expect(cn_pages_map((uint64_t)1 << 50) == NULL);
    cr_expect(cn_pages_grow(at, 4096, (uint64_t)1 << 50, true) == NULL);
    cr_expect(cn_pages_grow(at, 4096, (uint64_t)1 << 50, false) == NULL);
    cr_expect_eq(at[0], 5, "nothing has changed");
    cr_expect_eq(cn_pages_shrink(at, 4096, UINT64_MAX), 0);
}

/* Tables, an array, a memory and a stack of so many elements, pages or calls. */
static const char large[] =
    "(module (type $a (array (mut i64))) (table $t 0 10000000 funcref) (memory 0 10000)"
    " (elem declare func $down) (global $g (mut (ref null $a)) (ref.null $a))"
    " (func $down (param i32) (result i32)"
    "  (if (result i32) (local.get 0)"
    "   (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))"
    "   (else (i32.const 0))))"
    " (func (export \"table\") (param i32) (result i32)"
    "  (table.grow $t (ref.func $down) (local.get 0)))"
    " (func (export \"nulls\") (param i32) (result i32)"
    "  (table.grow $t (ref.null func) (local.get 0)))"
    " (func (export \"is_null\") (param i32) (result i32)"
    "  (ref.is_null (table.get $t (local.get 0))))"
    " (func (export \"size\") (param i32) (result i32) (table.size $t))"
    " (func (export \"memory\") (param i32) (result i32) (memory.grow (local.get 0)))"
    " (func (export \"array\") (param i32) (result i32)"
    "  (global.set $g (array.new $a (i64.const 1) (local.get 0))) (i32.const 0))"
    " (func (export \"drop\") (param i32) (result i32)"
    "  (global.set $g (ref.null $a)) (i32.const 0))"
    " (func (export \"deep\") (param i32) (result i32) (call $down (local.get 0))))";

/* Runs with slices of so much fuel; how many it took. */
static uint32_t call_by_slices(struct world *world, const char *name, uint32_t argument,
                               int64_t slice)
{
    struct cn_extern func;
    union cn_slot slot = {.u64 = argument};
    enum cn_stop stop;
    uint32_t slices = 0;

    world->fuel = 0;
    cr_assert(cn_instance_export(world->instance, cn_bytes_of(name), &func));
    cr_assert_eq(cn_thread_call(world->thread, func.func, &slot), CN_OK);
    do {
        int64_t due = (int64_t)cn_thread_due(world->thread), given = slice > due ? slice : due;
        stop = cn_thread_run(world->thread, given);
        world->fuel += (uint64_t)(given - world->thread->fuel);
        slices++;
    } while (stop == CN_STOP_FUEL || stop == CN_STOP_YIELD);
    cr_assert_eq(stop, CN_STOP_DONE, "%s", world->thread->error.text);
    return slices;
}

static uint32_t result_of(struct world *world, const char *name, uint32_t argument)
{
    call_by_slices(world, name, argument, INT64_MAX);
    return world->thread->stack[0].u32;
}

Test(teardown, tables_grow_in_parts)
{
    struct world world;

    open_world(&world, large);
    cr_expect_eq(result_of(&world, "table", 5), 0);
    uint64_t fuel = world.fuel;
    /* No slice has to be as large as the whole, and it is filled all the same. */
    cr_expect_gt(call_by_slices(&world, "table", 1000000, 2000), 400);
    cr_expect_eq(world.thread->stack[0].u32, 5);
    cr_expect_eq(world.fuel, fuel + 1000000 - 5, "an element costs what it did");
    cr_expect_eq(result_of(&world, "size", 0), 1000005);
    for (uint32_t i = 0; i < 1000005; i += 1111)
        cr_assert_eq(result_of(&world, "is_null", i), 0, "element %u", i);
    cr_expect_eq(result_of(&world, "is_null", 1000004), 0);
    cr_expect_eq(result_of(&world, "nulls", 1000), 1000005);
    cr_expect_eq(result_of(&world, "is_null", 1000005), 1);
    cr_expect_eq(result_of(&world, "table", 100000000), UINT32_MAX, "more than its maximum");
    cr_expect_leq(world.fuel, fuel, "what is refused costs nothing");
    uint64_t used = world.account.used[CN_QUOTA_MEMORY];
    world.account.limit[CN_QUOTA_MEMORY] = used + 100000;
    cr_expect_eq(result_of(&world, "table", 100000), UINT32_MAX, "more than its quota");
    cr_expect_eq(world.account.used[CN_QUOTA_MEMORY], used);
    cr_expect_eq(result_of(&world, "size", 0), 1001005);
    close_world(&world);
}

/* Every part gives back something, and no more than a part. */
static void gives_back(struct world *world, uint64_t size)
{
    uint64_t before = world->account.used[CN_QUOTA_MEMORY];
    uint32_t parts = 0;
    bool is_done;

    cr_assert_geq(before, size);
    do {
        is_done = cn_store_give_back(world->store, PART);
        uint64_t used = world->account.used[CN_QUOTA_MEMORY];
        cr_assert_leq(before - used, 2 * PART, "part %u", parts);
        before = used;
        parts++;
    } while (!is_done);
    cr_expect_geq(parts, size / PART);
    cr_expect_lt(before, 100000, "what is left is small");
    close_world(world);
}

Test(teardown, gives_back_tables_in_parts)
{
    struct world world;

    open_world(&world, large);
    result_of(&world, "table", 2000000);
    gives_back(&world, 16 * 1000 * 1000);
}

Test(teardown, gives_back_arrays_in_parts)
{
    struct world world;

    open_world(&world, large);
    result_of(&world, "array", 2000000);
    gives_back(&world, 16 * 1000 * 1000);
}

Test(teardown, gives_back_memories_in_parts)
{
    struct world world;

    open_world(&world, large);
    result_of(&world, "memory", 160);
    gives_back(&world, 10 * MIB);
}

Test(teardown, gives_back_stacks_in_parts)
{
    struct world world;

    open_world(&world, large);
    cn_thread_free(world.thread);
    cr_assert_eq(cn_thread_new(world.store, 64 * MIB, &world.thread), CN_OK);
    cr_expect_eq(result_of(&world, "deep", 500000), 500000);
    gives_back(&world, 12 * MIB);
}

Test(teardown, collects_large_arrays_in_parts)
{
    struct world world;

    open_world(&world, large);
    result_of(&world, "array", 2000000);
    result_of(&world, "drop", 0);
    uint64_t before = world.account.used[CN_QUOTA_MEMORY], steps = 0;
    cr_assert(cn_heap_begin(world.store));
    while (!cn_heap_step(world.store)) {
        uint64_t used = world.account.used[CN_QUOTA_MEMORY];
        cr_assert_leq(before - used, 4 * PART);
        before = used;
        steps++;
    }
    cr_expect_gt(steps, 8);
    cr_expect_eq(cn_heap_stats(world.store).objects, 0);
    close_world(&world);
}

/* One that is killed in the middle of a collection does not have to finish it. */
Test(teardown, leaves_a_collection_as_it_is)
{
    struct world world;

    open_world(&world, large);
    result_of(&world, "array", 2000000);
    result_of(&world, "drop", 0);
    cr_assert(cn_heap_begin(world.store));
    cr_assert_not(cn_heap_step(world.store));
    uint64_t steps = cn_heap_stats(world.store).steps;
    while (!cn_store_give_back(world.store, PART))
        continue;
    cn_thread_free(world.thread);
    world.thread = NULL;
    cr_expect_eq(cn_heap_stats(world.store).steps, steps);
    close_world(&world);
}
