#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/machine_fixture.h"
#include "tests/unit/wasm_fixture.h"

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

/* ------------------------------------------------------------------ pages of one byte */

enum { LOAD, STORE, FILL, GROW, SIZE, IN_MEMORY_1 };
#define GET(i) 0x20, i
#define SMALL_PAGES 8
#define CODE_OF(...) BODY(0, __VA_ARGS__)

/* (module
 *   (memory 4097 8200 (pagesize 1))
 *   (memory 0 (pagesize 1))
 *   (func (param i32) (result i32) (i32.load16_u (local.get 0)))
 *   (func (param i32) (i32.store16 (local.get 0) (i32.const 1)))
 *   (func (param i32) (memory.fill (local.get 0) (i32.const 2) (i32.const 3)))
 *   (func (param i32) (result i32) (memory.grow (local.get 0)))
 *   (func (param i32) (result i32) (memory.size))
 *   (func (param i32) (result i32) (i32.load8_u 1 (local.get 0)))) */
#define SMALL                                                                                      \
    MODULE(SECTION(TYPES, 2, FUNC, 1, I32, 1, I32, FUNC, 1, I32, 0),                               \
           SECTION(FUNCTIONS, 6, 0, 1, 1, 0, 0, 0),                                                \
           SECTION(MEMORIES, 2, SMALL_PAGES | 1, 0x81, 0x20, 0x88, 0x40, 0, SMALL_PAGES, 0, 0),    \
           SECTION(CODE, 6, CODE_OF(GET(0), 0x2f, 0, 0), CODE_OF(GET(0), 0x41, 1, 0x3b, 0, 0),     \
                   CODE_OF(GET(0), 0x41, 2, 0x41, 3, 0xfc, 11, 0), CODE_OF(GET(0), 0x40, 0),       \
                   CODE_OF(0x3f, 0), CODE_OF(GET(0), 0x2d, 0x40, 1, 0)))

static void gives(struct machine *m, int func, uint32_t argument, uint32_t result)
{
    const union cn_slot slot = {.u64 = argument};

    cr_expect_eq(machine_start(m, 0, func, &slot), CN_STOP_DONE, "function %d of %u", func,
                 argument);
    if (m->f.instance->funcs[func]->type->result_count > 0)
        cr_expect_eq(m->threads[0]->stack[0].u32, result, "function %d of %u gives %u", func,
                     argument, m->threads[0]->stack[0].u32);
}

static void is_out_of_bounds(struct machine *m, int func, uint32_t argument)
{
    const union cn_slot slot = {.u64 = argument};

    cr_expect_eq(machine_start(m, 0, func, &slot), CN_STOP_TRAP, "function %d of %u", func,
                 argument);
    cr_expect_eq(m->threads[0]->trap, CN_TRAP_OUT_OF_BOUNDS_MEMORY);
}

Test(memory, has_pages_of_one_byte_and_ends_at_the_last_one)
{
    struct machine m;

    machine_open(&m, SMALL);
    uint64_t used = m.f.account.used[CN_QUOTA_MEMORY];
    gives(&m, SIZE, 0, 4097);
    gives(&m, LOAD, 4095, 0);
    is_out_of_bounds(&m, LOAD, 4096);
    gives(&m, STORE, 4095, 0);
    is_out_of_bounds(&m, STORE, 4096);
    is_out_of_bounds(&m, STORE, UINT32_MAX);
    gives(&m, FILL, 4094, 0);
    is_out_of_bounds(&m, FILL, 4095);
    gives(&m, GROW, 1, 4097);
    gives(&m, LOAD, 4096, 2);
    is_out_of_bounds(&m, LOAD, 4097);
    cr_expect_eq(m.f.account.used[CN_QUOTA_MEMORY], used, "a page of the host's is charged once");
    gives(&m, GROW, 8200, UINT32_MAX);
    gives(&m, GROW, 4103, UINT32_MAX);
    m.f.account.limit[CN_QUOTA_MEMORY] = used;
    gives(&m, GROW, 4094, 4098);
    gives(&m, GROW, 1, UINT32_MAX);
    m.f.account.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    m.f.store->move_on_grow = true;
    gives(&m, GROW, 8, 8192);
    gives(&m, LOAD, 8198, 0);
    gives(&m, LOAD, 4095, 0x202);
    is_out_of_bounds(&m, LOAD, 8199);
    gives(&m, GROW, 1, UINT32_MAX);
    machine_close(&m);
}

Test(memory, of_no_bytes_has_none)
{
    struct machine m;

    machine_open(&m, SMALL);
    is_out_of_bounds(&m, IN_MEMORY_1, 0);
    is_out_of_bounds(&m, IN_MEMORY_1, UINT32_MAX);
    cr_expect_eq(cn_memory_grow(m.f.store, m.f.instance->memories[1], 1), 0);
    gives(&m, IN_MEMORY_1, 0, 0);
    is_out_of_bounds(&m, IN_MEMORY_1, 1);
    machine_close(&m);
}

/* Whatever maximum is declared, only what is there is mapped and charged. */
Test(memory, of_64_bits_may_declare_more_than_there_is)
{
    static struct cn_memory_type huge[] = {
        {.limits = {1, (uint64_t)1 << 48}, .page_log2 = CN_PAGE_LOG2, .is_64 = true},
        {.limits = {3, UINT64_MAX - 1}, .page_log2 = 0, .is_64 = true},
    };
    static struct cn_module two = {.memories = huge, .memory_count = 2, .start = CN_NO_INDEX};
    struct fixture f;

    fixture_open(&f, &two);
    f.account.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    cr_expect_lt(f.account.used[CN_QUOTA_MEMORY], 100000);
    for (int i = 0; i < 2; i++) {
        struct cn_memory *memory = f.instance->memories[i];
        uint64_t pages = cn_memory_pages(memory);
        cr_expect_eq(cn_memory_grow(f.store, memory, UINT64_MAX), -1);
        cr_expect_eq(cn_memory_grow(f.store, memory, (uint64_t)1 << 63), -1);
        cr_expect_eq(cn_memory_grow(f.store, memory, ((uint64_t)1 << 48) - 1), -1);
        cr_expect_eq(cn_memory_grow(f.store, memory, CN_MEMORY_BYTES_MAX >> memory->page_log2), -1);
        cr_expect_eq(cn_memory_grow(f.store, memory, 0), (int64_t)pages);
    }
    huge[0].limits.min = (uint64_t)1 << 48;
    cn_program_free(f.program);
    cr_assert_eq(cn_program_new(&f.program, &two, cn_heap), CN_OK);
    cr_expect_eq(cn_instantiate(f.store, f.program, NULL, &f.instance, &f.error), CN_TOO_LARGE);
    huge[0].limits.min = (uint64_t)1 << 31;
    cr_expect_eq(cn_instantiate(f.store, f.program, NULL, &f.instance, &f.error), CN_NO_MEMORY);
    huge[0].limits.min = 1;
    fixture_close(&f);
}

static size_t resident(void)
{
    unsigned long total, pages;
    FILE *file = fopen("/proc/self/statm", "r");

    cr_assert(file != NULL && fscanf(file, "%lu %lu", &total, &pages) == 2);
    fclose(file);
    return pages * 4096;
}

Test(memory, what_is_discarded_is_zero_and_nothing_else)
{
    static const struct {
        uint32_t at, size;
    } ranges[] = {{0, 0}, {0, 1}, {4095, 1}, {4095, 2}, {4096, 4096}, {1, 8191}, {100, 50},
                  {5000, 20000}, {0, CN_PAGE_SIZE}, {CN_PAGE_SIZE - 4096, 4096},
                  {CN_PAGE_SIZE - 1, 1}};
    struct fixture f;

    fixture_open(&f, &module);
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    struct cn_memory *memory = f.instance->memories[0];
    uint64_t charged = f.account.used[CN_QUOTA_MEMORY];
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        memset(memory->base, 0xa5, CN_PAGE_SIZE);
        cn_memory_discard(memory->base + ranges[i].at, ranges[i].size);
        for (uint32_t at = 0; at < CN_PAGE_SIZE; at++) {
            bool is_inside = at >= ranges[i].at && at - ranges[i].at < ranges[i].size;
            cr_assert_eq(memory->base[at], is_inside ? 0 : 0xa5, "range %zu, byte %u", i, at);
        }
    }
    cr_expect_eq(f.account.used[CN_QUOTA_MEMORY], charged);
    fixture_close(&f);
}

Test(memory, what_is_discarded_goes_back_to_the_host)
{
    struct fixture f;
    const size_t size = 64 << 20;

    fixture_open(&f, &module);
    cr_assert_eq(fixture_make(&f, NULL), CN_OK);
    struct cn_memory *memory = f.instance->memories[0];
    cr_assert_geq(cn_memory_grow(f.store, memory, size / CN_PAGE_SIZE), 0);
    memset(memory->base, 1, size);
    size_t before = resident();
    cn_memory_discard(memory->base, size);
    cr_expect_leq(resident() + size / 2, before);
    fixture_close(&f);
}
