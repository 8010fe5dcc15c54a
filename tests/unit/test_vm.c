#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/api_fixture.h"

#define GET(i) 0x20, i
#define PLAIN_TYPE FUNC, 0, 0
#define LOOP 0x03, 0x40, 0x0c, 0, END
/* (func (export "_start") ...) */
#define COMMAND(...)                                                                               \
    MODULE(SECTION(TYPES, 1, PLAIN_TYPE), SECTION(FUNCTIONS, 1, 0),                                \
           SECTION(EXPORTS, 1, 6, '_', 's', 't', 'a', 'r', 't', 0, 0),                             \
           SECTION(CODE, 1, BODY(0, __VA_ARGS__)))
#define SPIN COMMAND(LOOP)

static void run(struct api *api)
{
    cr_assert(cordon_vm_run(api->vm, &api->result, &api->error), "%s", api->error.message);
}

static void limit_and_run(struct api *api, struct cn_bytes module, cordon_quota_t quota,
                          uint64_t value)
{
    api_open(api, module);
    cr_assert(cordon_config_limit(api->config, quota, value, &api->error));
    api_start(api);
    run(api);
}

static void ends_by(cordon_quota_t quota, uint64_t value, int exit_code)
{
    struct api api;
    cordon_stats_t stats;

    limit_and_run(&api, SPIN, quota, value);
    cr_expect_eq(api.result.end, CORDON_END_QUOTA);
    cr_expect_eq(api.result.quota, quota);
    cr_expect_eq(api.result.exit_code, exit_code);
    cordon_vm_stats(api.vm, &stats);
    cr_expect_geq(stats.used[quota] + 5, value);
    api_close(&api);
}

Test(vm, endless_loops_end)
{
    ends_by(CORDON_FUEL, 1234567, 137);
    ends_by(CORDON_CPU_TIME, 50000000, 137);
    ends_by(CORDON_TIMEOUT, 50000000, 124);
}

Test(vm, a_trap_is_reported_once_and_for_all)
{
    struct api api;
    cordon_stats_t first, second;

    api_open(&api, COMMAND(0x41, 1, 0x1a, 0x00));
    api_start(&api);
    run(&api);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_eq(api.result.exit_code, 134);
    cr_expect_str_eq(api.result.message, "unreachable");
    cr_expect_eq(api.result.frame_count, 1);
    cordon_vm_stats(api.vm, &first);
    run(&api);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cordon_vm_stats(api.vm, &second);
    cr_expect_eq(first.fuel, second.fuel);
    api_close(&api);
}

Test(vm, fuel_is_enough_to_the_unit)
{
    /* i32.const, drop, four times; the end costs nothing */
    struct cn_bytes module = COMMAND(0x41, 1, 0x1a, 0x41, 1, 0x1a, 0x41, 1, 0x1a, 0x41, 1, 0x1a);
    struct api api;
    cordon_stats_t stats;

    api_open(&api, module);
    api_start(&api);
    run(&api);
    cordon_vm_stats(api.vm, &stats);
    cr_expect_eq(api.result.end, CORDON_END_RETURN);
    api_close(&api);

    limit_and_run(&api, module, CORDON_FUEL, stats.fuel);
    cr_expect_eq(api.result.end, CORDON_END_RETURN);
    api_close(&api);
    limit_and_run(&api, module, CORDON_FUEL, stats.fuel - 1);
    cr_expect_eq(api.result.end, CORDON_END_QUOTA);
    api_close(&api);
}

Test(vm, misuse_is_refused)
{
    struct api api;
    cordon_value_t value = {.type = CORDON_I64};

    api_open(&api, MODULE(SECTION(TYPES, 1, FUNC, 1, I32, 1, I32), SECTION(FUNCTIONS, 1, 0),
                          SECTION(EXPORTS, 1, 1, 'g', 0, 0), SECTION(CODE, 1, BODY(0, GET(0)))));
    cr_expect_not(cordon_config_limit(api.config, CORDON_QUOTA_COUNT, 1, &api.error));
    cr_expect_not(cordon_config_env(api.config, "no equals sign", &api.error));
    cr_expect_not(cordon_config_stdio(api.config, 3, 0, &api.error));
    cr_expect_not(cordon_config_dir(api.config, "/nonexistent", "/", false, &api.error));
    cr_expect_eq(api.error.kind, CORDON_IO);
    api_start(&api);
    cr_expect_not(cordon_vm_run(api.vm, &api.result, &api.error));
    cr_expect_eq(api.error.kind, CORDON_NO_EXPORT);
    cr_expect_not(cordon_vm_invoke(api.vm, "h", NULL, 0, NULL, 0, &api.result, &api.error));
    cr_expect_eq(api.error.kind, CORDON_NO_EXPORT);
    cr_expect_not(cordon_vm_invoke(api.vm, "g", &value, 1, &value, 1, &api.result, &api.error));
    cr_expect_eq(api.error.kind, CORDON_MISUSE);
    value.type = CORDON_I32;
    cr_expect_not(cordon_vm_invoke(api.vm, "g", &value, 1, NULL, 0, &api.result, &api.error));
    cr_expect(cordon_vm_invoke(api.vm, "g", &value, 1, &value, 1, &api.result, NULL));
    cr_expect_not(cordon_vm_invoke(api.vm, "h", NULL, 0, NULL, 0, &api.result, NULL));
    api_close(&api);
}

/* ------------------------------------------------------------------ control */

static void *run_thread(void *context)
{
    run(context);
    return NULL;
}

static uint64_t fuel_now(cordon_ctl_t *ctl)
{
    cordon_stats_t stats;

    cordon_ctl_stats(ctl, &stats);
    return stats.fuel;
}

static bool is_paused(cordon_ctl_t *ctl)
{
    cordon_stats_t stats;

    cordon_ctl_stats(ctl, &stats);
    return stats.is_paused;
}

/* Whether it comes to stand still, on a machine that may have other things to do first. */
static bool stands_still(cordon_ctl_t *ctl)
{
    for (int i = 0; i < 200; i++) {
        uint64_t before = fuel_now(ctl);
        usleep(50000);
        if (fuel_now(ctl) == before)
            return true;
    }
    return false;
}

Test(vm, another_thread_pauses_limits_and_kills)
{
    struct api api;
    pthread_t thread;

    api_open(&api, SPIN);
    api_start(&api);
    cordon_ctl_t *ctl = cordon_vm_ctl(api.vm);
    pthread_create(&thread, NULL, run_thread, &api);
    while (fuel_now(ctl) == 0)
        usleep(1000);
    cr_expect_not(is_paused(ctl));
    cordon_ctl_pause(ctl);
    while (!is_paused(ctl))
        usleep(1000);
    uint64_t before = fuel_now(ctl);
    usleep(50000);
    cr_expect_eq(fuel_now(ctl), before, "what is said to be paused stands still");
    cordon_ctl_resume(ctl);
    while (fuel_now(ctl) == before)
        usleep(1000);

    cr_expect_not(cordon_ctl_limit(ctl, CORDON_WEIGHT, 0));
    cr_expect_not(is_paused(ctl));
    cr_expect(cordon_ctl_limit(ctl, CORDON_CPUS, 0));
    cr_expect(stands_still(ctl));
    before = fuel_now(ctl);
    cr_expect(cordon_ctl_limit(ctl, CORDON_CPUS, CORDON_UNLIMITED));
    while (fuel_now(ctl) == before)
        usleep(1000);

    cordon_ctl_kill(ctl, 15);
    cordon_ctl_kill(ctl, 2);
    pthread_join(thread, NULL);
    cr_expect_eq(api.result.end, CORDON_END_KILLED);
    cr_expect_eq(api.result.signal, 15);
    cr_expect_eq(api.result.exit_code, 143);
    api_close(&api);
}

Test(vm, a_quota_that_is_lowered_ends_a_running_guest)
{
    struct api api;
    pthread_t thread;

    api_open(&api, SPIN);
    api_start(&api);
    pthread_create(&thread, NULL, run_thread, &api);
    while (fuel_now(cordon_vm_ctl(api.vm)) == 0)
        usleep(1000);
    cordon_ctl_limit(cordon_vm_ctl(api.vm), CORDON_FUEL, 1);
    pthread_join(thread, NULL);
    cr_expect_eq(api.result.end, CORDON_END_QUOTA);
    cr_expect_eq(api.result.quota, CORDON_FUEL);
    api_close(&api);
}

Test(vm, killed_before_it_runs)
{
    struct api api;

    api_open(&api, SPIN);
    api_start(&api);
    cordon_ctl_kill(cordon_vm_ctl(api.vm), 9);
    run(&api);
    cr_expect_eq(api.result.end, CORDON_END_KILLED);
    cr_expect_eq(api.result.exit_code, 137);
    api_close(&api);
}

/* (func (export "_start")
 *   (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const NS)))) */
#define SLEEPER(...)                                                                               \
    MODULE(SECTION(TYPES, 1, PLAIN_TYPE), SECTION(FUNCTIONS, 1, 0), SECTION(MEMORIES, 1, 3, 1, 1), \
           SECTION(EXPORTS, 1, 6, '_', 's', 't', 'a', 'r', 't', 0, 0),                             \
           SECTION(CODE, 1, BODY(0, 0x41, 0, 0x41, 0, 0x42, __VA_ARGS__, 0xfe, 1, 2, 0, 0x1a)))

Test(vm, a_guest_sleeps_at_an_address_until_its_time_is_up)
{
    struct api api;
    cordon_stats_t stats;

    api_open(&api, SLEEPER(0x80, 0xad, 0xe2, 0x04)); /* 10 ms */
    api_start(&api);
    run(&api);
    cr_expect_eq(api.result.end, CORDON_END_RETURN, "%s", api.result.message);
    cordon_vm_stats(api.vm, &stats);
    cr_expect_geq(stats.wall_ns, 10000000);
    cr_expect_lt(stats.cpu_ns, 9000000);
    api_close(&api);
}

Test(vm, a_guest_that_nobody_can_wake_ends_by_its_timeout)
{
    struct api api;

    limit_and_run(&api, SLEEPER(0x7f), CORDON_TIMEOUT, 30000000);
    cr_expect_eq(api.result.end, CORDON_END_QUOTA);
    cr_expect_eq(api.result.quota, CORDON_TIMEOUT);
    api_close(&api);
}

static void *kill_soon(void *ctl)
{
    usleep(20000);
    cordon_ctl_kill(ctl, 15);
    return NULL;
}

Test(vm, a_guest_that_nobody_can_wake_can_be_killed)
{
    struct api api;
    pthread_t thread;

    api_open(&api, SLEEPER(0x7f));
    api_start(&api);
    pthread_create(&thread, NULL, kill_soon, cordon_vm_ctl(api.vm));
    run(&api);
    pthread_join(thread, NULL);
    cr_expect_eq(api.result.end, CORDON_END_KILLED);
    api_close(&api);
}

/* What a thread of the host did before it came to the VM is not the VM's. */
Test(vm, cpu_time_is_that_of_the_thread_that_runs_it)
{
    struct api api;
    cordon_stats_t stats;
    pthread_t thread;

    api_open(&api, COMMAND(0x01));
    for (volatile int i = 0; i < 100000000; i++)
        continue;
    api_start(&api);
    pthread_create(&thread, NULL, run_thread, &api);
    pthread_join(thread, NULL);
    cordon_vm_stats(api.vm, &stats);
    cr_expect_lt(stats.cpu_ns, 50000000);
    api_close(&api);
}

Test(vm, two_hosts_know_nothing_of_each_other)
{
    struct api one, two;

    limit_and_run(&one, SPIN, CORDON_FUEL, 1000);
    api_open(&two, COMMAND(0x01));
    api_start(&two);
    run(&two);
    cr_expect_eq(one.result.end, CORDON_END_QUOTA);
    cr_expect_eq(two.result.end, CORDON_END_RETURN);
    api_close(&one);
    api_close(&two);
}

/* (module (memory 1) (memory i64 2) (memory 5 (pagesize 1))
 *   (export "b" (memory 1)) (export "c" (memory 2)) (export "_start" (func 0)) (func)) */
Test(vm, memories_are_found_by_their_names)
{
    struct api api;
    uint64_t size;

    api_open(&api, MODULE(SECTION(TYPES, 1, PLAIN_TYPE), SECTION(FUNCTIONS, 1, 0),
                          SECTION(MEMORIES, 3, 0, 1, 4, 2, 8, 5, 0),
                          SECTION(EXPORTS, 3, 1, 'b', 2, 1, 1, 'c', 2, 2,
                                  6, '_', 's', 't', 'a', 'r', 't', 0, 0),
                          SECTION(CODE, 1, BODY(0))));
    api_start(&api);
    cr_expect_not_null(cordon_vm_memory(api.vm, &size));
    cr_expect_eq(size, 65536);
    uint8_t *b = cordon_vm_memory_of(api.vm, "b", &size);
    cr_assert_not_null(b);
    cr_expect_eq(size, 2 * 65536);
    b[size - 1] = 1;
    cr_expect_not_null(cordon_vm_memory_of(api.vm, "c", &size));
    cr_expect_eq(size, 5);
    cr_expect_null(cordon_vm_memory_of(api.vm, "a", &size));
    cr_expect_eq(size, 0);
    cr_expect_null(cordon_vm_memory_of(api.vm, "_start", &size));
    run(&api);
    cr_expect_eq(api.result.end, CORDON_END_RETURN);
    api_close(&api);
}

#define STORM(limits, ...)                                                                         \
    MODULE(SECTION(TYPES, 1, PLAIN_TYPE), SECTION(FUNCTIONS, 1, 0), SECTION(MEMORIES, 1, limits),  \
           SECTION(EXPORTS, 1, 6, '_', 's', 't', 'a', 'r', 't', 0, 0),                             \
           SECTION(CODE, 1, BODY(0, 0x03, 0x40, __VA_ARGS__, 0x1a, 0x0c, 0, END)))
#define BYTE_PAGES 4 | 8, 0, 0
#define SHARED_PAGES 3, 1, 1

/* (loop (drop (memory.grow (i64.const 1))) (br 0)), by bytes: every one is cheap and small. */
Test(vm, a_memory_that_grows_by_bytes_stops_at_its_quota)
{
    struct api api;
    cordon_stats_t stats;

    api_open(&api, STORM(BYTE_PAGES, 0x42, 1, 0x40, 0));
    cr_assert(cordon_config_limit(api.config, CORDON_MEMORY, 1 << 20, &api.error));
    cr_assert(cordon_config_limit(api.config, CORDON_FUEL, 10000000, &api.error));
    api_start(&api);
    run(&api);
    cr_expect_eq(api.result.end, CORDON_END_QUOTA);
    cr_expect_eq(api.result.quota, CORDON_FUEL);
    cordon_vm_stats(api.vm, &stats);
    cr_expect_leq(stats.peak[CORDON_MEMORY], 1 << 20);
    cr_expect_geq(stats.peak[CORDON_MEMORY], (1 << 20) - 8192);
    cr_expect_lt(stats.cpu_ns, 2000000000);
    api_close(&api);
}

/* (loop (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 1))) (br 0)) */
Test(vm, a_guest_that_sleeps_again_and_again_ends_by_its_timeout)
{
    struct api api;

    limit_and_run(&api, STORM(SHARED_PAGES, 0x41, 0, 0x41, 0, 0x42, 1, 0xfe, 1, 2, 0),
                  CORDON_TIMEOUT, 50000000);
    cr_expect_eq(api.result.end, CORDON_END_QUOTA);
    cr_expect_eq(api.result.quota, CORDON_TIMEOUT);
    api_close(&api);
}

/* The same module in several VMs at a time, also when its code is made at the first call. */
Test(vm, a_module_serves_many_vms)
{
    struct api api;
    cordon_vm_t *others[10];
    cordon_result_t result;

    api_open(&api, COMMAND(0x01));
    for (int i = 0; i < 10; i++) {
        others[i] = cordon_vm_new(api.host, api.module, api.linker, api.config, &api.error);
        cr_assert_not_null(others[i]);
    }
    for (int i = 0; i < 10; i++) {
        cr_expect(cordon_vm_run(others[i], &result, &api.error));
        cr_expect_eq(result.end, CORDON_END_RETURN);
        cordon_vm_free(others[i]);
    }
    api_close(&api);
}
