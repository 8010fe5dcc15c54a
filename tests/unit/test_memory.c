#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "tests/unit/vm_fixture.h"

static struct cn_memory_type memories[] = {
    {.limits = {1, UINT64_MAX}, .page_log2 = CN_PAGE_LOG2},
    {.limits = {0, 3}, .page_log2 = CN_PAGE_LOG2},
};
static struct cn_module module = {.memories = memories, .memory_count = 2, .start = CN_NO_INDEX};

Test(memory, grows_to_its_maximum_and_keeps_what_it_holds)
{
    struct fixture f;

    fixture_open(&f, &module);
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    struct cn_memory *memory = f.instance->memories[1];
    cr_assert_not_null(memory->base, "also a memory of no bytes has a beginning");
    cr_expect_eq(cn_memory_grow(f.store, memory, 4), -1);
    cr_expect_eq(cn_memory_grow(f.store, memory, UINT64_MAX), -1);
    cr_expect_eq(cn_memory_grow(f.store, memory, 0), 0);
    cr_assert_eq(cn_memory_grow(f.store, memory, 2), 0);
    for (uint32_t i = 0; i < 2 * CN_PAGE_SIZE; i++)
        cr_assert_eq(memory->base[i], 0);
    memset(memory->base, 0xa5, 2 * CN_PAGE_SIZE);
    cr_assert_eq(cn_memory_grow(f.store, memory, 1), 2);
    cr_expect_eq(memory->size, 3 * CN_PAGE_SIZE);
    cr_expect_eq(memory->base[2 * CN_PAGE_SIZE - 1], 0xa5);
    cr_expect_eq(memory->base[2 * CN_PAGE_SIZE], 0);
    cr_expect_eq(memory->base[3 * CN_PAGE_SIZE - 1], 0);
    cr_expect_eq(cn_memory_grow(f.store, memory, 1), -1);
    cr_expect_eq(cn_memory_grow(f.store, memory, 0), 3);
    fixture_close(&f);
}

Test(memory, stops_at_the_quota_and_is_charged_exactly)
{
    struct fixture f;

    fixture_open(&f, &module);
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    struct cn_memory *memory = f.instance->memories[0];
    uint64_t used = f.account.used[CN_QUOTA_MEMORY];
    f.account.limit[CN_QUOTA_MEMORY] = used + 2 * CN_PAGE_SIZE + 100;
    cr_expect_eq(cn_memory_grow(f.store, memory, 3), -1);
    cr_expect_eq(f.account.used[CN_QUOTA_MEMORY], used);
    cr_expect_eq(cn_memory_grow(f.store, memory, 2), 1);
    cr_expect_eq(f.account.used[CN_QUOTA_MEMORY], used + 2 * CN_PAGE_SIZE);
    cr_expect_eq(cn_memory_grow(f.store, memory, 1), -1);
    fixture_close(&f);
}

Test(memory, never_passes_four_gibibytes)
{
    struct fixture f;

    fixture_open(&f, &module);
    f.account.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    struct cn_memory *memory = f.instance->memories[0];
    cr_expect_eq(cn_memory_grow(f.store, memory, 65536), -1);
    cr_assert_eq(cn_memory_grow(f.store, memory, 65535), 1);
    cr_expect_eq(memory->size, (uint64_t)1 << 32);
    memory->base[memory->size - 1] = 1;
    cr_expect_eq(cn_memory_grow(f.store, memory, 1), -1);
    fixture_close(&f);
}

static sigjmp_buf back;

static void on_fault(int signal)
{
    siglongjmp(back, signal);
}

static bool is_readable(const volatile uint8_t *at)
{
    struct sigaction action = {.sa_handler = on_fault}, old;

    sigaction(SIGSEGV, &action, &old);
    bool fine = sigsetjmp(back, 1) == 0;
    if (fine)
        (void)*at;
    sigaction(SIGSEGV, &old, NULL);
    return fine;
}

Test(memory, moves_at_every_growth_in_the_test_mode)
{
    struct fixture f;

    fixture_open(&f, &module);
    f.store->move_on_grow = true;
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    struct cn_memory *memory = f.instance->memories[0];
    for (uint8_t i = 1; i < 20; i++) {
        uint8_t *old = memory->base;
        memory->base[i] = i;
        cr_assert_eq(cn_memory_grow(f.store, memory, 1), i);
        cr_assert_neq(memory->base, old);
        cr_assert_eq(memory->base[i], i);
        cr_assert_eq(memory->base[1], 1);
        cr_assert_not(is_readable(old + i), "a stale address must crash");
    }
    fixture_close(&f);
}

Test(memory, is_there_for_instances_that_have_none)
{
    struct fixture f;

    fixture_open(&f, &module);
    cr_expect_eq(f.store->no_memory.size, 0);
    cr_expect_not_null(f.store->no_memory.base);
    cr_expect_eq(cn_memory_grow(f.store, &f.store->no_memory, 1), -1);

    struct cn_module empty = {.start = CN_NO_INDEX};
    struct cn_program *program;
    cr_assert_eq(cn_program_new(&program, &empty, cn_heap), CN_OK);
    cr_assert_eq(cn_instantiate(f.store, program, NULL, &f.instance, &f.error), CN_OK);
    cr_expect_eq(f.instance->memories[0], &f.store->no_memory);
    cn_program_free(program);
    fixture_close(&f);
}
