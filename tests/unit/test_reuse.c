/* Mappings that one VM has done with and the next one gets: nothing is left in them. With the
 * wiping taken out (the linker leads its functions through here) the same look must find
 * something. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "api/internal.h"
#include "core/platform.h"
#include "core/wipe.h"
#include "vm/instance.h"
#include "vm/stock.h"

static bool wipes = true, kernel_lies;

void __real_cn_wipe(void *at, size_t size);
void __wrap_cn_wipe(void *at, size_t size);
void __real_cn_wipe_pages(void *at, size_t size);
void __wrap_cn_wipe_pages(void *at, size_t size);
int __real_mincore(void *at, size_t size, unsigned char *is_there);
int __wrap_mincore(void *at, size_t size, unsigned char *is_there);

void __wrap_cn_wipe(void *at, size_t size)
{
    if (wipes)
        __real_cn_wipe(at, size);
}

void __wrap_cn_wipe_pages(void *at, size_t size)
{
    if (wipes)
        __real_cn_wipe_pages(at, size);
}

/* Pages that were written to the swap are not there, and yet hold something. */
int __wrap_mincore(void *at, size_t size, unsigned char *is_there)
{
    if (!kernel_lies)
        return __real_mincore(at, size, is_there);
    memset(is_there, 0, (size + 4095) / 4096);
    return 0;
}

static bool is_zero(const void *at, size_t size)
{
    const uint8_t *bytes = at;

    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* ------------------------------------------------------------------ the stock alone */

Test(reuse, what_was_given_back_comes_again_as_zeros)
{
    struct cn_stock stock;

    cn_stock_init(&stock);
    uint8_t *at = cn_stock_take(&stock, 65536);
    memset(at + 5000, 7, 9000);
    at[65535] = 1;
    cn_stock_give(&stock, at, 65536);
    cr_expect_eq(stock.count, 1);
    cr_expect_eq(cn_stock_take(&stock, 65536), at);
    cr_expect_eq(stock.count, 0);
    cr_expect(is_zero(at, 65536));
    cn_stock_give(&stock, at, 65536);
    cr_expect_neq(cn_stock_take(&stock, 4096), at, "another size");
    cn_stock_release(&stock);
}

Test(reuse, pages_that_are_not_there_are_given_up)
{
    struct cn_stock stock;

    cn_stock_init(&stock);
    uint8_t *at = cn_stock_take(&stock, 65536);
    memset(at, 7, 65536);
    kernel_lies = true;
    cn_stock_give(&stock, at, 65536);
    kernel_lies = false;
    cr_expect_eq(cn_stock_take(&stock, 65536), at);
    cr_expect(is_zero(at, 65536));
    cn_stock_give(&stock, at, 65536);
    cn_stock_release(&stock);
}

Test(reuse, little_is_kept)
{
    struct cn_stock stock;
    uint8_t *at[CN_STOCK_MAX + 3];

    cn_stock_init(&stock);
    uint8_t *large = cn_stock_take(&stock, 1 << 20);
    memset(large, 7, (CN_STOCK_PAGES + 1) * 4096);
    cn_stock_give(&stock, large, 1 << 20);
    cr_expect_eq(stock.count, 0, "too many pages");
    for (uint32_t i = 0; i < CN_STOCK_MAX + 3; i++)
        at[i] = cn_stock_take(&stock, 4096);
    for (uint32_t i = 0; i < CN_STOCK_MAX + 3; i++)
        cn_stock_give(&stock, at[i], 4096);
    cr_expect_eq(stock.count, CN_STOCK_MAX);
    cr_expect_eq(stock.kept[0].at, at[3], "the oldest are gone");
    cn_stock_release(&stock);
    at[0] = cn_stock_take(NULL, 4096);
    cr_expect(is_zero(at[0], 4096));
    cn_stock_give(NULL, at[0], 4096);
}

/* ------------------------------------------------------------------ VMs */

/* Fills what it has with ones: a part of its memory, its table, its call stack. */
#define GUEST                                                                                      \
    "(module (memory (export \"memory\") %u) (table (export \"table\") %u externref)"              \
    "  (func $deep (param i32 i64) (result i64)"                                                   \
    "    (if (result i64) (local.get 0)"                                                           \
    "      (then (i64.xor (local.get 1)"                                                           \
    "             (call $deep (i32.sub (local.get 0) (i32.const 1)) (local.get 1))))"              \
    "      (else (local.get 1))))"                                                                 \
    "  (func (export \"fill\") (param $at i32) (param $size i32) (param $depth i32)"               \
    "      (param $pages i32) (param $value externref)"                                            \
    "    (memory.fill (local.get $at) (i32.const 255) (local.get $size))"                          \
    "    (table.fill (i32.const 0) (local.get $value) (table.size))"                               \
    "    (drop (memory.grow (local.get $pages)))"                                                  \
    "    (drop (call $deep (local.get $depth) (i64.const -1)))))"

static const uint32_t pages_of[] = {0, 1, 1, 2, 5, 17};
#define MODULES (sizeof pages_of / sizeof pages_of[0])

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_module_t *modules[MODULES];
    char texts[MODULES][1200];
    uint64_t random;
    uint32_t dirty_memories, dirty_tables, dirty_stacks;
};

static uint32_t pick(struct world *world, uint32_t count)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((world->random >> 33) % count);
}

static void open_world(struct world *world)
{
    cordon_error_t error;

    *world = (struct world){.host = cordon_host_new(&error), .random = 1};
    world->linker = cordon_linker_new(world->host, &error);
    cordon_host_translation(world->host, CORDON_TRANSLATE_EAGER);
    for (uint32_t i = 0; i < MODULES; i++) {
        snprintf(world->texts[i], sizeof world->texts[i], GUEST, pages_of[i], 10 + 100 * i);
        world->modules[i] = cordon_module_load(world->host, world->texts[i],
                                               strlen(world->texts[i]), &error);
        cr_assert_not_null(world->modules[i], "%s", error.message);
    }
}

static void close_world(struct world *world)
{
    for (uint32_t i = 0; i < MODULES; i++)
        cordon_module_free(world->modules[i]);
    cordon_linker_free(world->linker);
    cordon_host_free(world->host);
}

static cordon_vm_t *make(struct world *world, uint32_t module, uint64_t stack)
{
    cordon_error_t error;
    cordon_config_t *config = cordon_config_new(&error);

    cr_assert(cordon_config_limit(config, CORDON_STACK, stack, &error));
    cordon_vm_t *vm =
        cordon_vm_new(world->host, world->modules[module], world->linker, config, &error);
    cr_assert_not_null(vm, "%s", error.message);
    cordon_config_free(config);
    return vm;
}

/* What a new VM can read, or could without the checks. */
static void look_at(struct world *world, cordon_vm_t *vm)
{
    uint64_t size;
    const uint8_t *memory = cordon_vm_memory(vm, &size);
    const struct cn_table *table = vm->vm.instance->tables[0];

    size_t in_use = (size_t)(vm->vm.thread->stack_end - vm->vm.thread->stack) * 8;

    world->dirty_memories += !is_zero(memory, size);
    world->dirty_tables += !is_zero(table->elements, table->size * sizeof(void *));
    world->dirty_stacks += !is_zero(vm->vm.thread->stack, in_use);
}

static void soil(struct world *world, cordon_vm_t *vm)
{
    uint64_t size;
    cordon_result_t result;
    cordon_error_t error;

    cordon_vm_memory(vm, &size);
    uint32_t at = pick(world, (uint32_t)size + 1);
    const cordon_value_t arguments[] = {
        {.type = CORDON_I32, .i32 = (int32_t)at},
        {.type = CORDON_I32, .i32 = (int32_t)pick(world, (uint32_t)size - at + 1)},
        {.type = CORDON_I32, .i32 = (int32_t)pick(world, 1000)},
        {.type = CORDON_I32, .i32 = pick(world, 4) == 0 ? (int32_t)pick(world, 3) : 0},
        {.type = CORDON_EXTERNREF, .ref = world},
    };
    cr_assert(cordon_vm_invoke(vm, "fill", arguments, 5, NULL, 0, &result, &error), "%s",
              error.message);
    cr_assert_eq(result.end, CORDON_END_RETURN, "%s", result.message);
}

static void live(struct world *world)
{
    static const uint64_t stacks[] = {65536, 1 << 20, 8 << 20};
    cordon_vm_t *vm = make(world, pick(world, MODULES), stacks[pick(world, 3)]);

    look_at(world, vm);
    soil(world, vm);
    cordon_vm_free(vm);
}

Test(reuse, ten_thousand_vms_find_nothing_of_each_other, .timeout = 120)
{
    struct world world;
    cordon_host_stats_t stats;
    const uint32_t count = 10000;

    open_world(&world);
    for (uint32_t i = 0; i < count; i++)
        live(&world);
    cr_expect_eq(world.dirty_memories + world.dirty_tables + world.dirty_stacks, 0,
                 "%u memories, %u tables, %u stacks", world.dirty_memories, world.dirty_tables,
                 world.dirty_stacks);
    cr_expect_gt(world.host->stock.count, 2, "something was there to be used again");
    for (uint32_t i = 0; i < world.host->stock.count; i++) {
        uint64_t size = world.host->stock.kept[i].size; /* of a stack the first part can be read */
        cr_expect(is_zero(world.host->stock.kept[i].at, size < (1 << 30) ? size : 65536));
    }
    cordon_host_stats(world.host, &stats);
    cr_expect_eq(stats.memory, 0);
    close_world(&world);
}

Test(reuse, the_look_is_not_blind, .timeout = 120)
{
    struct world world;

    wipes = false;
    open_world(&world);
    for (uint32_t i = 0; i < 200; i++)
        live(&world);
    cr_expect_gt(world.dirty_memories, 0);
    cr_expect_gt(world.dirty_stacks, 0);
    close_world(&world);
}

/* ------------------------------------------------------------------ many, and at once */

static uint64_t resident_pages(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%llu %llu", &size, &resident), 2);
    fclose(file);
    return resident;
}

static void a_thousand(struct world *world)
{
    static cordon_vm_t *vms[1000];

    for (uint32_t i = 0; i < 1000; i++) {
        vms[i] = make(world, i % MODULES, 1 << 20);
        soil(world, vms[i]);
    }
    for (uint32_t i = 0; i < 1000; i++)
        cordon_vm_free(vms[i]);
}

Test(reuse, a_thousand_vms_leave_no_more_than_some_did, .timeout = 120)
{
    struct world world;

    if (CN_IS_SANITIZED)
        cr_skip_test("a sanitizer keeps what was freed");
    open_world(&world);
    a_thousand(&world);
    uint64_t before = resident_pages();
    for (int i = 0; i < 3; i++)
        a_thousand(&world);
    uint64_t after = resident_pages();
    cr_expect_lt(after, before + 512, "%llu pages, then %llu", (unsigned long long)before,
                 (unsigned long long)after);
    cr_expect_leq(world.host->stock.count, CN_STOCK_MAX);
    close_world(&world);
}

static void *work(void *argument)
{
    struct world *own = argument;

    for (uint32_t i = 0; i < 500; i++)
        live(own);
    return (void *)(uintptr_t)(own->dirty_memories + own->dirty_tables + own->dirty_stacks);
}

Test(reuse, threads_share_a_hosts_mappings, .timeout = 120)
{
    struct world world;
    static struct world own[4];
    pthread_t threads[4];
    void *dirty;

    open_world(&world);
    for (uint32_t i = 0; i < 4; i++) {
        own[i] = world;
        own[i].random = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &own[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        pthread_join(threads[i], &dirty);
        cr_expect_null(dirty);
    }
    close_world(&world);
}
