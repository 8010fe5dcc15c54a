/* The guest's call stack under a quota that changes. */
#include <criterion/criterion.h>

#include "tests/unit/text_world.h"

#define KIB ((size_t)1024)

static const char deep[] =
    "(module (func $down (export \"down\") (param i32) (result i32)"
    "  (if (result i32) (local.get 0)"
    "   (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))"
    "   (else (i32.const 0)))))";

static void open_with(struct world *world, size_t stack_size)
{
    open_world(world, deep);
    cn_thread_free(world->thread);
    world->account.used[CN_QUOTA_STACK] = 0;
    cr_assert_eq(cn_thread_new(world->store, stack_size, &world->thread), CN_OK);
}

/* Whether the stack carries so many calls. */
static bool carries(struct world *world, uint32_t calls)
{
    struct cn_extern func;
    union cn_slot slot = {.u64 = calls};

    cr_assert(cn_instance_export(world->instance, cn_bytes_of("down"), &func));
    if (cn_thread_call(world->thread, func.func, &slot) != CN_OK)
        return false;
    enum cn_stop stop = cn_thread_run(world->thread, INT64_MAX);
    cr_assert(stop == CN_STOP_DONE || world->thread->trap == CN_TRAP_STACK_OVERFLOW);
    return stop == CN_STOP_DONE && world->thread->stack[0].u32 == calls;
}

Test(stack, grows_to_its_limit_and_no_further)
{
    struct world world;

    open_with(&world, 256 * KIB);
    uint64_t before = world.account.used[CN_QUOTA_MEMORY];
    cr_expect(carries(&world, 1000));
    cr_expect_eq(world.account.used[CN_QUOTA_MEMORY], before, "the first part is enough");
    cr_expect_not(carries(&world, 100000));
    cr_expect_eq(world.account.used[CN_QUOTA_MEMORY], before + 192 * KIB, "all of it is in use");
    close_world(&world);
}

/* The least that carries so many calls. */
static size_t least_for(uint32_t calls)
{
    size_t low = 0, high = 1024 * KIB;

    while (high - low > 1) {
        struct world world;
        size_t middle = (low + high) / 2;
        open_with(&world, middle);
        if (carries(&world, calls))
            high = middle;
        else
            low = middle;
        cr_expect_leq(world.account.used[CN_QUOTA_STACK], middle);
        cr_expect_eq(world.account.refused[CN_QUOTA_STACK], middle == low);
        close_world(&world);
    }
    return high;
}

/* However far it is from a page's end. */
Test(stack, every_call_costs_the_same)
{
    size_t few = least_for(10), frame = least_for(11) - few;

    cr_expect_lt(frame, 100);
    cr_expect_eq(least_for(100), few + 90 * frame);
    cr_expect_eq(least_for(3000), few + 2990 * frame);
    cr_expect_eq(least_for(10001), few + 9991 * frame);
}

Test(stack, a_limit_that_is_raised_counts)
{
    struct world world;

    open_with(&world, 256 * KIB);
    cr_expect_not(carries(&world, 100000));
    cn_thread_limit_stack(world.thread, 64 * 1024 * KIB);
    cr_expect(carries(&world, 100000));
    cn_thread_limit_stack(world.thread, UINT64_MAX);
    cr_expect(carries(&world, 1000000));
    close_world(&world);
}

Test(stack, a_limit_that_is_lowered_takes_nothing_away)
{
    struct world world;

    open_with(&world, 64 * 1024 * KIB);
    cr_expect(carries(&world, 100000));
    uint64_t used = world.account.used[CN_QUOTA_MEMORY];
    cn_thread_limit_stack(world.thread, 0);
    cr_expect(carries(&world, 100000), "it is in use");
    cr_expect_not(carries(&world, 1000000));
    cr_expect_eq(world.account.used[CN_QUOTA_MEMORY], used);
    close_world(&world);
}

Test(stack, the_memory_quota_holds_it_back)
{
    struct world world;

    open_with(&world, 64 * 1024 * KIB);
    uint64_t used = world.account.used[CN_QUOTA_MEMORY];
    world.account.limit[CN_QUOTA_MEMORY] = used + 200 * KIB;
    cr_expect_not(carries(&world, 100000));
    cr_expect_leq(world.account.used[CN_QUOTA_MEMORY], used + 200 * KIB);
    world.account.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    cr_expect(carries(&world, 100000));
    close_world(&world);
}
