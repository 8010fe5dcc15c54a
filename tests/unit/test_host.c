/* Many VMs on the workers of one host. Shares are asserted loosely here, because test machines
 * are shared; bench/governor measures them. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "include/cordon.h"

#define SECOND 1000000000ull
#define MS 1000000ull

static const char spinner[] =
    "(module (memory (export \"memory\") 1)"
    "  (func (export \"_start\") (loop $l"
    "    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1))) (br $l))))";

/* Sleeps for ever in poll_oneoff, a millisecond at a time. */
static const char sleeper[] =
    "(module (import \"wasi_snapshot_preview1\" \"poll_oneoff\""
    "          (func $poll (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"_start\") (loop $l"
    "    (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 1000000))"
    "    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))"
    "    (i64.store (i32.const 256) (i64.add (i64.load (i32.const 256)) (i64.const 1)))"
    "    (br $l))))";

static const char exits[] =
    "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (memory (export \"memory\") 1)"
    "  (start $s) (func $s (i32.store (i32.const 0) (i32.const 7)))"
    "  (func (export \"_start\") (call $exit (i32.load (i32.const 0)))))";

static const char returns[] = "(module (func (export \"_start\")))";

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_error_t error;
};

static void world_init(struct world *world, uint32_t workers)
{
    world->host = cordon_host_new(&world->error);
    world->linker = cordon_linker_new(world->host, &world->error);
    cordon_linker_allow_wasi(world->linker);
    cr_assert(cordon_host_start(world->host, workers, &world->error), "%s", world->error.message);
}

static void world_release(struct world *world)
{
    cordon_linker_free(world->linker);
    cordon_host_free(world->host);
}

static cordon_module_t *load(struct world *world, const char *text)
{
    cordon_module_t *module =
        cordon_module_load(world->host, text, strlen(text), &world->error);

    cr_assert_not_null(module, "%s", world->error.message);
    return module;
}

static cordon_vm_t *vm_of(struct world *world, cordon_module_t *module, uint64_t weight,
                          uint64_t cpus)
{
    cordon_config_t *config = cordon_config_new(&world->error);

    cr_assert(cordon_config_limit(config, CORDON_WEIGHT, weight, &world->error));
    cr_assert(cordon_config_limit(config, CORDON_CPUS, cpus, &world->error));
    cordon_vm_t *vm = cordon_vm_new(world->host, module, world->linker, config, &world->error);
    cr_assert_not_null(vm, "%s", world->error.message);
    cordon_config_free(config);
    return vm;
}

static uint64_t cpu_of(cordon_vm_t *vm)
{
    cordon_stats_t stats;

    cordon_ctl_stats(cordon_vm_ctl(vm), &stats);
    return stats.cpu_ns;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void count_end(void *user, cordon_vm_t *vm, const cordon_result_t *result)
{
    (void)vm;
    if (result->end != CORDON_END_NONE)
        atomic_fetch_add((_Atomic int *)user, 1);
}

Test(host, runs_programs_to_their_end, .timeout = 20)
{
    struct world world;
    cordon_result_t result;
    _Atomic int ended = 0;
    world_init(&world, 2);
    cordon_module_t *modules[] = {load(&world, exits), load(&world, returns)};

    cordon_vm_t *vm = vm_of(&world, modules[0], 100, CORDON_UNLIMITED);
    cr_assert(cordon_vm_start(vm, count_end, &ended, &world.error), "%s", world.error.message);
    cordon_vm_wait(vm, &result);
    cr_expect_eq(result.end, CORDON_END_EXIT);
    cr_expect_eq(result.exit_code, 7, "the start function ran first");
    cr_expect_eq(ended, 1);
    cordon_vm_free(vm);
    vm = vm_of(&world, modules[1], 100, CORDON_UNLIMITED);
    cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
    cordon_vm_wait(vm, &result);
    cr_expect_eq(result.end, CORDON_END_RETURN);
    cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error), "again");
    cordon_vm_wait(vm, &result);
    cordon_vm_free(vm);
    cordon_module_free(modules[0]);
    cordon_module_free(modules[1]);
    world_release(&world);
}

Test(host, says_what_is_used_wrongly)
{
    struct world world;
    world_init(&world, 1);
    cordon_module_t *module = load(&world, spinner);
    cordon_vm_t *vm = vm_of(&world, module, 100, CORDON_UNLIMITED);
    cordon_result_t result;

    cr_expect_not(cordon_host_start(world.host, 1, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
    cr_expect_not(cordon_vm_start(vm, NULL, NULL, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_vm_run(vm, &result, &world.error));
    cr_expect_not(cordon_quota_check(CORDON_WEIGHT, 0, &world.error));
    cr_expect_not(cordon_quota_check(CORDON_WEIGHT, 10001, &world.error));
    cr_expect_not(cordon_quota_check(CORDON_CPUS, 1001, &world.error));
    cr_expect_not(cordon_quota_check(CORDON_CPU_RESERVE, 1001, &world.error));
    cr_expect(cordon_quota_check(CORDON_CPUS, CORDON_UNLIMITED, &world.error));
    cordon_vm_free(vm); /* kills it */
    cordon_module_free(module);
    world_release(&world);

    cordon_host_t *idle = cordon_host_new(&world.error);
    cordon_linker_t *linker = cordon_linker_new(idle, &world.error);
    cordon_config_t *config = cordon_config_new(&world.error);
    module = cordon_module_load(idle, returns, strlen(returns), &world.error);
    vm = cordon_vm_new(idle, module, linker, config, &world.error);
    cr_expect_not(cordon_vm_start(vm, NULL, NULL, &world.error), "no workers");
    cordon_vm_free(vm);
    cordon_config_free(config);
    cordon_module_free(module);
    cordon_linker_free(linker);
    cordon_host_free(idle);
}

Test(host, weights_share_a_worker, .timeout = 30)
{
    struct world world;
    cordon_vm_t *vms[3];
    world_init(&world, 1);
    cordon_module_t *module = load(&world, spinner);

    for (int i = 0; i < 3; i++) {
        vms[i] = vm_of(&world, module, 100u << i, CORDON_UNLIMITED);
        cr_assert(cordon_vm_start(vms[i], NULL, NULL, &world.error));
    }
    sleep_ms(1000);
    double all = 0, cpu[3];
    for (int i = 0; i < 3; i++)
        all += cpu[i] = (double)cpu_of(vms[i]);
    for (int i = 0; i < 3; i++)
        cr_expect_float_eq(cpu[i] / all, (1 << i) / 7.0, 0.05, "%d: %g", i, cpu[i] / all);
    cr_expect(cordon_ctl_limit(cordon_vm_ctl(vms[0]), CORDON_WEIGHT, 10000));
    cpu[0] = (double)cpu_of(vms[0]);
    cpu[2] = (double)cpu_of(vms[2]);
    sleep_ms(500);
    cr_expect_gt((double)cpu_of(vms[0]) - cpu[0], 5 * ((double)cpu_of(vms[2]) - cpu[2]));
    for (int i = 0; i < 3; i++)
        cordon_vm_free(vms[i]);
    cordon_module_free(module);
    world_release(&world);
}

Test(host, a_limit_holds_on_an_idle_machine, .timeout = 30)
{
    struct world world;
    world_init(&world, 2);
    cordon_module_t *module = load(&world, spinner);
    cordon_vm_t *vm = vm_of(&world, module, 100, 200);

    cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
    sleep_ms(1500);
    cordon_stats_t stats;
    cordon_ctl_stats(cordon_vm_ctl(vm), &stats);
    cr_expect_lt((double)stats.cpu_ns, 0.2 * (double)stats.wall_ns * 1.02 + 4e6);
    cordon_vm_free(vm);
    cordon_module_free(module);
    world_release(&world);
}

Test(host, reservations_are_promised_or_refused, .timeout = 30)
{
    struct world world;
    cordon_vm_t *vms[3];
    cordon_host_stats_t stats;
    world_init(&world, 2);
    cordon_module_t *module = load(&world, sleeper);
    cordon_config_t *config = cordon_config_new(&world.error);
    cr_assert(cordon_config_limit(config, CORDON_CPU_RESERVE, 900, &world.error));

    for (int i = 0; i < 3; i++) {
        vms[i] = cordon_vm_new(world.host, module, world.linker, config, &world.error);
        bool is_started = cordon_vm_start(vms[i], NULL, NULL, &world.error);
        cr_expect_eq(is_started, i < 2);
    }
    cr_expect_eq(world.error.kind, CORDON_QUOTA);
    cr_expect_eq(world.error.quota, CORDON_CPU_RESERVE);
    cr_expect_not(cordon_ctl_limit(cordon_vm_ctl(vms[0]), CORDON_CPU_RESERVE, 901));
    cr_expect(cordon_ctl_limit(cordon_vm_ctl(vms[0]), CORDON_CPU_RESERVE, 100));
    cr_expect(cordon_vm_start(vms[2], NULL, NULL, &world.error) == false, "1900 of 1800");
    cr_expect(cordon_ctl_limit(cordon_vm_ctl(vms[1]), CORDON_CPU_RESERVE, 0));
    cr_expect(cordon_vm_start(vms[2], NULL, NULL, &world.error));
    cordon_host_stats(world.host, &stats);
    cr_expect_eq(stats.reserved, 1000);
    cr_expect_eq(stats.vms, 3);
    for (int i = 0; i < 3; i++)
        cordon_vm_free(vms[i]);
    cordon_host_stats(world.host, &stats);
    cr_expect_eq(stats.reserved, 0);
    cr_expect_eq(stats.vms, 0);
    cordon_config_free(config);
    cordon_module_free(module);
    world_release(&world);
}

/* Waits until the VM has used more than that; machines may be slow. */
static bool uses_more_than(cordon_vm_t *vm, uint64_t cpu_ns)
{
    for (int i = 0; i < 1000 && cpu_of(vm) <= cpu_ns; i++)
        sleep_ms(10);
    return cpu_of(vm) > cpu_ns;
}

/* One that was refused has not run its start function, and does so when it is started after all. */
Test(host, a_refused_start_has_not_begun, .timeout = 30)
{
    struct world world;
    cordon_result_t result;
    cordon_vm_t *vm;
    world_init(&world, 1);
    cordon_module_t *module = load(&world, exits);
    cordon_config_t *config = cordon_config_new(&world.error);
    cr_assert(cordon_config_limit(config, CORDON_CPU_RESERVE, 901, &world.error));

    vm = cordon_vm_new(world.host, module, world.linker, config, &world.error);
    cr_expect_not(cordon_vm_start(vm, NULL, NULL, &world.error));
    cr_assert(cordon_ctl_limit(cordon_vm_ctl(vm), CORDON_CPU_RESERVE, 0));
    cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error), "%s", world.error.message);
    cordon_vm_wait(vm, &result);
    cr_expect_eq(result.exit_code, 7, "%d", result.exit_code);
    cordon_vm_free(vm);
    cordon_config_free(config);
    cordon_module_free(module);
    world_release(&world);
}

Test(host, paused_ones_stop_and_go_on, .timeout = 60)
{
    struct world world;
    world_init(&world, 2);
    cordon_module_t *modules[] = {load(&world, spinner), load(&world, sleeper)};

    for (int i = 0; i < 2; i++) {
        cordon_vm_t *vm = vm_of(&world, modules[i], 100, CORDON_UNLIMITED);
        cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
        cr_expect(uses_more_than(vm, MS));
        cordon_ctl_pause(cordon_vm_ctl(vm));
        sleep_ms(300);
        uint64_t before = cpu_of(vm);
        sleep_ms(100);
        cr_expect_lt(cpu_of(vm) - before, MS, "%d", i);
        cordon_ctl_resume(cordon_vm_ctl(vm));
        cr_expect(uses_more_than(vm, before));
        cordon_vm_free(vm);
    }
    cordon_module_free(modules[0]);
    cordon_module_free(modules[1]);
    world_release(&world);
}

Test(host, kills_reach_them_wherever_they_are, .timeout = 30)
{
    struct world world;
    cordon_result_t result;
    world_init(&world, 2);
    cordon_module_t *modules[] = {load(&world, spinner), load(&world, sleeper)};

    for (int i = 0; i < 40; i++) {
        cordon_vm_t *vm = vm_of(&world, modules[i % 2], 100, i % 3 ? CORDON_UNLIMITED : 1);
        cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
        usleep((unsigned)i * 200);
        if (i % 5 == 0)
            cordon_ctl_pause(cordon_vm_ctl(vm));
        cordon_ctl_kill(cordon_vm_ctl(vm), 15);
        cordon_vm_wait(vm, &result);
        cr_expect_eq(result.end, CORDON_END_KILLED);
        cr_expect_eq(result.exit_code, 143);
        cordon_vm_free(vm);
    }
    cordon_module_free(modules[0]);
    cordon_module_free(modules[1]);
    world_release(&world);
}

Test(host, timeouts_end_what_sleeps, .timeout = 30)
{
    struct world world;
    cordon_result_t result;
    world_init(&world, 1);
    cordon_module_t *module = load(&world, sleeper);
    cordon_vm_t *vm = vm_of(&world, module, 100, CORDON_UNLIMITED);

    cr_assert(cordon_ctl_limit(cordon_vm_ctl(vm), CORDON_TIMEOUT, 100 * MS));
    cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
    cordon_vm_wait(vm, &result);
    cr_expect_eq(result.end, CORDON_END_QUOTA);
    cr_expect_eq(result.quota, CORDON_TIMEOUT);
    cordon_vm_free(vm);
    cordon_module_free(module);
    world_release(&world);
}

/* A function of the embedder's that blocks its thread. */
static void block(void)
{
    sleep_ms(400);
}

static const char blocks[] =
    "(module (import \"env\" \"block\" (func $block))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"_start\") (call $block) (call $block)))";

Test(host, a_blocked_turn_keeps_nobody_else, .timeout = 60)
{
    struct world world;
    cordon_vm_t *blocked[5];
    _Atomic int ended = 0;
    world_init(&world, 1);
    cr_assert(cordon_bind(world.linker, "env", "block", "void()", block, &world.error));
    cordon_module_t *modules[] = {load(&world, spinner), load(&world, blocks)};
    cordon_vm_t *spins = vm_of(&world, modules[0], 100, CORDON_UNLIMITED);

    cr_assert(cordon_vm_start(spins, NULL, NULL, &world.error));
    for (int i = 0; i < 5; i++) {
        blocked[i] = vm_of(&world, modules[1], 100, CORDON_UNLIMITED);
        cr_assert(cordon_vm_start(blocked[i], count_end, &ended, &world.error));
    }
    uint64_t before = cpu_of(spins);
    sleep_ms(600);
    cr_expect_gt(cpu_of(spins) - before, 20 * MS, "%g ms", (double)(cpu_of(spins) - before) / MS);
    for (int i = 0; i < 5; i++) {
        cordon_ctl_pause(cordon_vm_ctl(blocked[i])); /* whatever happens meanwhile */
        cordon_ctl_resume(cordon_vm_ctl(blocked[i]));
        cordon_result_t result;
        cordon_vm_wait(blocked[i], &result);
        cr_expect_eq(result.end, CORDON_END_RETURN);
        cordon_vm_free(blocked[i]);
    }
    cr_expect_eq(ended, 5, "side by side, or it would have taken four seconds");
    cr_expect_lt(cpu_of(spins), 3000 * MS);
    cordon_vm_free(spins);
    cordon_module_free(modules[0]);
    cordon_module_free(modules[1]);
    world_release(&world);
}

static const char grows[] =
    "(module (memory (export \"memory\") 1) (func (export \"grow\") (param i32) (result i32)"
    "  (memory.grow (local.get 0))))";

static int32_t grow(cordon_vm_t *vm, int32_t pages)
{
    cordon_value_t argument = {.type = CORDON_I32, .i32 = pages}, result;
    cordon_result_t end;
    cordon_error_t error;

    cr_assert(cordon_vm_invoke(vm, "grow", &argument, 1, &result, 1, &end, &error));
    return result.i32;
}

Test(host, memory_of_all_is_bounded_and_reservations_are_kept)
{
    struct world world;
    cordon_host_stats_t stats;
    world_init(&world, 1);
    cordon_host_total(world.host, 8 << 20);
    cordon_module_t *module = load(&world, grows);
    cordon_vm_t *vms[2];
    for (int i = 0; i < 2; i++) {
        cordon_config_t *config = cordon_config_new(&world.error);
        cr_assert(cordon_config_limit(config, CORDON_MEMORY_RESERVE, i == 0 ? 4 << 20 : 0, NULL));
        vms[i] = cordon_vm_new(world.host, module, world.linker, config, &world.error);
        cr_assert(cordon_config_limit(config, CORDON_MEMORY_RESERVE, 7 << 20, NULL));
        cr_expect_null(cordon_vm_new(world.host, module, world.linker, config, &world.error));
        cr_expect_eq(world.error.quota, CORDON_MEMORY_RESERVE);
        cordon_config_free(config);
    }
    cr_expect_eq(grow(vms[1], 64), -1, "four of the eight are not its");
    cr_expect_eq(grow(vms[1], 48), 1);
    cr_expect_eq(grow(vms[0], 56), 1, "as it reserved");
    cr_expect_not(cordon_ctl_limit(cordon_vm_ctl(vms[1]), CORDON_MEMORY_RESERVE, 6 << 20));
    cr_expect(cordon_ctl_limit(cordon_vm_ctl(vms[0]), CORDON_MEMORY_RESERVE, 0));
    cordon_host_stats(world.host, &stats);
    cr_expect_leq(stats.memory, stats.memory_total);
    cordon_vm_free(vms[0]);
    cr_expect_eq(grow(vms[1], 56), 49, "what the other one had");
    cordon_host_total(world.host, 1 << 20);
    cr_expect_eq(grow(vms[1], 1), -1);
    cordon_vm_free(vms[1]);
    cordon_host_stats(world.host, &stats);
    cr_expect_eq(stats.memory, 0);
    cordon_module_free(module);
    world_release(&world);
}

#define MANY 1000

Test(host, a_thousand_run_and_stop, .timeout = 100)
{
    static cordon_vm_t *vms[MANY];
    struct world world;
    _Atomic int ended = 0;
    world_init(&world, 2);
    cordon_module_t *modules[] = {load(&world, spinner), load(&world, sleeper)};

    for (int i = 0; i < MANY; i++) {
        vms[i] = vm_of(&world, modules[i % 4 == 0 ? 0 : 1], 100, CORDON_UNLIMITED);
        cr_assert(cordon_vm_start(vms[i], count_end, &ended, &world.error));
    }
    sleep_ms(500);
    for (int i = 0; i < MANY; i++)
        cordon_ctl_kill(cordon_vm_ctl(vms[i]), 9);
    for (int i = 0; i < MANY; i++) {
        cordon_result_t result;
        cordon_vm_wait(vms[i], &result);
        cr_expect_eq(result.end, CORDON_END_KILLED);
        cordon_vm_free(vms[i]);
    }
    cr_expect_eq(ended, MANY);
    cordon_module_free(modules[0]);
    cordon_module_free(modules[1]);
    world_release(&world);
}
