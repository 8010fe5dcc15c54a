/* Host functions that call the guest which called them, and so on. */
#include <pthread.h>
#include <time.h>

#include "core/limits.h"
#include "tests/unit/api_fixture.h"

TestSuite(nested, .timeout = 60);

/* call(which, n) has the host call one of the exports with n. */
static const char guest[] =
    "(module"
    "  (import \"env\" \"call\" (func $call (param i32 i32) (result i32)))"
    "  (import \"env\" \"refuse\" (func $refuse))"
    "  (memory (export \"memory\") 1 100 shared)"
    "  (func $down (export \"down\") (param $n i32) (result i32)"
    "    (if (result i32) (local.get $n)"
    "      (then (i32.add (i32.const 1)"
    "              (call $call (i32.const 0) (i32.sub (local.get $n) (i32.const 1)))))"
    "      (else (i32.const 0))))"
    "  (func $trap (export \"trap\") (param $n i32) (result i32)"
    "    (if (i32.eqz (local.get $n)) (then (unreachable)))"
    "    (call $call (i32.const 1) (i32.sub (local.get $n) (i32.const 1))))"
    "  (func $spin (export \"spin\") (param $n i32) (result i32)"
    "    (if (local.get $n) (then (return"
    "      (call $call (i32.const 2) (i32.sub (local.get $n) (i32.const 1))))))"
    "    (loop $again (br $again)) (unreachable))"
    "  (func $wait (export \"wait\") (param $n i32) (result i32)"
    "    (if (local.get $n) (then (return"
    "      (call $call (i32.const 3) (i32.sub (local.get $n) (i32.const 1))))))"
    "    (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))"
    "  (func $grow (export \"grow\") (param $n i32) (result i32)"
    "    (if (local.get $n) (then (return"
    "      (call $call (i32.const 4) (i32.sub (local.get $n) (i32.const 1))))))"
    "    (memory.grow (i32.const 1)))"
    "  (func (export \"refuse\") (param i32) (result i32) (call $refuse) (i32.const 1))"
    "  (func (export \"refuse_beneath\") (result i32)"
    "    (call $call (i32.const 5) (i32.const 0)))"
    "  (func $count (export \"count\") (param $n i32) (result i32) (local $i i32)"
    "    (loop $again"
    "      (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    "      (br_if $again (i32.lt_u (local.get $i) (local.get $n))))"
    "    (local.get $i))"
    "  (func (export \"counts\") (param $n i32) (result i32)"
    "    (call $call (i32.const 6) (local.get $n)))"
    "  (func (export \"many\") (param $n i32) (result i32)"
    "    (loop $again"
    "      (drop (call $call (i32.const 6) (i32.const 3)))"
    "      (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
    "      (br_if $again (local.get $n)))"
    "    (i32.const 0)))";

static const char *const names[] = {"down", "trap", "spin", "wait", "grow", "refuse", "count"};

/* What the calls beneath have come to, innermost first. */
static cordon_end_t ends[CN_LIMIT_NATIVE_NESTING + 1];
static char first_message[256];
static uint32_t end_count;
static unsigned depth, deepest, calls_after_end;

static bool call_back(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    cordon_value_t value = {.type = CORDON_I32, .i32 = (int32_t)slots[1]}, out = {0};
    cordon_result_t result;
    cordon_error_t error;

    (void)user;
    if (++depth > deepest)
        deepest = depth;
    cr_assert(cordon_vm_invoke(vm, names[slots[0]], &value, 1, &out, 1, &result, &error), "%s",
              error.message);
    depth--;
    if (end_count == 0)
        strcpy(first_message, result.message);
    ends[end_count++ % (CN_LIMIT_NATIVE_NESTING + 1)] = result.end;
    if (result.end != CORDON_END_RETURN) {
        cordon_result_t again;
        cr_assert(cordon_vm_invoke(vm, "count", &value, 1, &out, 1, &again, &error));
        calls_after_end += again.end == CORDON_END_RETURN;
        cr_assert_eq(again.end, result.end);
    }
    slots[0] = (uint32_t)out.i32;
    return true; /* also when the guest has ended: it must not go on */
}

static bool refuse(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    cordon_value_t value = {.type = CORDON_I32};
    cordon_result_t result;
    cordon_error_t error;

    (void)user, (void)slots;
    cordon_vm_trap(vm, "not this one");
    cr_assert(cordon_vm_invoke(vm, "count", &value, 1, &value, 1, &result, &error));
    cr_expect_eq(result.end, CORDON_END_TRAP);
    cr_expect_str_eq(result.message, "not this one");
    return true;
}

static void open_guest(struct api *api)
{
    end_count = depth = deepest = calls_after_end = 0;
    api_open(api, (struct cn_bytes){(const uint8_t *)guest, sizeof guest - 1});
    cr_assert(cordon_bind_raw(api->linker, "env", "call", "i32(i32, i32)", call_back, NULL,
                              &api->error));
    cr_assert(cordon_bind_raw(api->linker, "env", "refuse", "void()", refuse, NULL, &api->error));
}

static int32_t call(struct api *api, const char *name, int32_t n)
{
    cordon_value_t value = {.type = CORDON_I32, .i32 = n};
    uint32_t params = strcmp(name, "refuse_beneath") != 0;

    cr_assert(cordon_vm_invoke(api->vm, name, &value, params, &value, 1, &api->result,
                               &api->error), "%s", api->error.message);
    return value.i32;
}

static uint64_t fuel_used(struct api *api)
{
    cordon_stats_t stats;

    cordon_vm_stats(api->vm, &stats);
    return stats.fuel;
}

Test(nested, calls_return_through_every_level)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    cr_expect_eq(call(&api, "down", 20), 20);
    cr_expect_eq(api.result.end, CORDON_END_RETURN);
    cr_expect_eq(deepest, 20);
    cr_expect_eq(call(&api, "down", 3), 3);
    api_close(&api);
}

Test(nested, a_trap_passes_the_c_frames_with_all_of_the_backtrace)
{
    for (int at = 0; at <= 12; at++) {
        struct api api;
        open_guest(&api);
        api_start(&api);
        call(&api, "trap", at);
        cr_expect_eq(api.result.end, CORDON_END_TRAP);
        cr_expect_str_eq(api.result.message, "unreachable");
        cr_expect_eq(api.result.exit_code, 134);
        cr_expect_eq(api.result.frame_count, (uint32_t)at + 1);
        for (uint32_t i = 0; i < api.result.frame_count; i++)
            cr_expect_str_eq(api.result.frames[i].function, "trap");
        cr_expect(at == 0 || api.result.frames[0].offset < api.result.frames[1].offset);
        cr_expect_eq(end_count, (uint32_t)at);
        for (int i = 0; i < at; i++)
            cr_expect_eq(ends[i], CORDON_END_TRAP);
        cr_expect_eq(calls_after_end, 0);
        call(&api, "down", 1);
        cr_expect_str_eq(api.result.message, "unreachable", "it runs nothing any more");
        api_close(&api);
    }
}

Test(nested, has_a_deepest_level)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    cr_expect_eq(call(&api, "down", CN_LIMIT_NATIVE_NESTING), CN_LIMIT_NATIVE_NESTING);
    call(&api, "down", CN_LIMIT_NATIVE_NESTING + 1);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_str_eq(api.result.message, "native frames nested too deeply");
    cr_expect_eq(api.result.frame_count, CORDON_FRAMES_MAX);
    api_close(&api);
}

Test(nested, levels_are_charged_and_refused)
{
    struct api api;

    open_guest(&api);
    cordon_config_limit(api.config, CORDON_MEMORY, 1 << 20, &api.error);
    api_start(&api);
    call(&api, "down", 100);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_str_eq(api.result.message, "call stack exhausted");
    cr_expect_gt(deepest, 5);
    cr_expect_lt(deepest, 16);
    api_close(&api);
}

Test(nested, what_would_wait_traps)
{
    for (int at = 1; at <= 3; at++) {
        struct api api;
        open_guest(&api);
        api_start(&api);
        call(&api, "wait", at);
        cr_expect_eq(api.result.end, CORDON_END_TRAP);
        cr_expect_str_eq(api.result.message, "cannot suspend through native frame");
        cr_expect_eq(api.result.frame_count, (uint32_t)at + 1);
        api_close(&api);
    }
}

/* Sleeps for a second: a subscription of a clock. */
static const char sleeper[] =
    "(module"
    "  (import \"env\" \"call\" (func $call (param i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"poll_oneoff\""
    "    (func $poll (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (data (i32.const 16) \"\\01\\00\\00\\00\")"
    "  (func (export \"down\") (param $ms i32) (result i32)"
    "    (i64.store (i32.const 24)"
    "      (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000)))"
    "    (call $poll (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200)))"
    "  (func (export \"count\") (param i32) (result i32) (local.get 0))"
    "  (func (export \"beneath\") (param $ms i32) (result i32)"
    "    (call $call (i32.const 0) (local.get $ms))))";

Test(nested, a_system_call_that_would_wait_traps)
{
    struct api api;

    open_guest(&api);
    cordon_module_free(api.module);
    api.module = cordon_module_load(api.host, sleeper, sizeof sleeper - 1, &api.error);
    cr_assert_not_null(api.module, "%s", api.error.message);
    cordon_linker_allow_wasi(api.linker);
    api_start(&api);
    cr_expect_eq(call(&api, "down", 5), 0);
    cr_expect_eq(api.result.end, CORDON_END_RETURN);
    cr_expect_eq(call(&api, "beneath", 0), 0, "what need not wait is served");
    cr_expect_eq(api.result.end, CORDON_END_RETURN, "%s", api.result.message);
    call(&api, "beneath", 1000);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_str_eq(api.result.message, "cannot suspend through native frame");
    api_close(&api);
}

Test(nested, a_host_function_that_refuses_runs_nothing_more)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    call(&api, "refuse_beneath", 0);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_str_eq(api.result.message, "not this one");
    cr_expect_eq(api.result.frame_count, 2);
    cr_expect_eq(ends[0], CORDON_END_TRAP);
    api_close(&api);
}

Test(nested, fuel_is_exact_wherever_it_ends)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    call(&api, "down", 4);
    call(&api, "counts", 50);
    const uint64_t all = fuel_used(&api);
    api_close(&api);
    for (uint64_t fuel = 0; fuel <= all; fuel++) {
        open_guest(&api);
        cordon_config_limit(api.config, CORDON_FUEL, fuel, &api.error);
        cordon_config_test_mode(api.config, fuel % 2 == 1, false, false);
        api_start(&api);
        call(&api, "down", 4);
        if (api.result.end == CORDON_END_RETURN)
            call(&api, "counts", 50);
        cr_assert_leq(fuel_used(&api), fuel);
        cr_assert_eq(api.result.end, fuel < all ? CORDON_END_QUOTA : CORDON_END_RETURN,
                     "with %llu of %llu", (unsigned long long)fuel, (unsigned long long)all);
        if (fuel < all)
            cr_assert_eq(api.result.quota, CORDON_FUEL);
        cr_assert_eq(calls_after_end, 0);
        api_close(&api);
    }
}

Test(nested, many_short_calls_use_what_they_use)
{
    uint64_t used[2];

    for (int i = 0; i < 2; i++) {
        struct api api;
        open_guest(&api);
        cordon_config_test_mode(api.config, i == 1, false, false);
        api_start(&api);
        call(&api, "many", 2000);
        cr_expect_eq(api.result.end, CORDON_END_RETURN, "%s", api.result.message);
        used[i] = fuel_used(&api);
        api_close(&api);
    }
    cr_expect_eq(used[0], used[1]);
}

Test(nested, time_is_up_beneath_the_c_frames_too)
{
    for (int quota = 0; quota < 2; quota++) {
        struct api api;
        open_guest(&api);
        cordon_config_limit(api.config, quota == 0 ? CORDON_TIMEOUT : CORDON_CPU_TIME, 300000000,
                            &api.error);
        api_start(&api);
        call(&api, "spin", 3);
        cr_expect_eq(api.result.end, CORDON_END_QUOTA);
        cr_expect_eq(api.result.quota, quota == 0 ? CORDON_TIMEOUT : CORDON_CPU_TIME);
        cr_expect_eq(end_count, 3);
        api_close(&api);
    }
}

static void sleep_us(unsigned us)
{
    struct timespec time = {us / 1000000, us % 1000000 * 1000};

    nanosleep(&time, NULL);
}

static void *kill_later(void *context)
{
    struct api *api = context;

    sleep_us((unsigned)rand() % 3000);
    cordon_ctl_kill(cordon_vm_ctl(api->vm), 15);
    return NULL;
}

Test(nested, is_killed_at_any_moment)
{
    for (int i = 0; i < 60; i++) {
        struct api api;
        pthread_t killer;
        open_guest(&api);
        api_start(&api);
        cr_assert_eq(pthread_create(&killer, NULL, kill_later, &api), 0);
        do
            call(&api, i % 3 == 0 ? "spin" : i % 3 == 1 ? "many" : "down",
                 i % 3 == 1 ? 1000000 : i % 7);
        while (api.result.end == CORDON_END_RETURN);
        cr_expect_eq(api.result.end, CORDON_END_KILLED);
        cr_expect_eq(api.result.signal, 15);
        cr_expect_eq(calls_after_end, 0);
        pthread_join(killer, NULL);
        api_close(&api);
    }
}

Test(nested, the_overrun_of_a_slice_is_paid_back)
{
    struct api api;
    cordon_stats_t stats;

    open_guest(&api);
    cordon_config_limit(api.config, CORDON_CPUS, 200, &api.error);
    api_start(&api);
    call(&api, "counts", 30000000);
    call(&api, "count", 1);
    cordon_vm_stats(api.vm, &stats);
    /* At the end of the second call all but 10 ms' worth has been waited for. */
    cr_expect_geq(stats.wall_ns + 60000000, 5 * stats.cpu_ns,
                  "%llu ns of CPU time in %llu ns", (unsigned long long)stats.cpu_ns,
                  (unsigned long long)stats.wall_ns);
    api_close(&api);
}

Test(nested, memory_may_grow_between_the_host_functions)
{
    struct api api;

    open_guest(&api);
    cordon_config_test_mode(api.config, false, true, false);
    api_start(&api);
    cr_expect_eq(call(&api, "grow", 3), 1);
    cr_expect_eq(call(&api, "grow", 0), 2);
    cr_expect_eq(call(&api, "down", 2), 2);
    api_close(&api);
}

static void *call_from_elsewhere(void *context)
{
    struct api *api = context;
    cordon_value_t value = {.type = CORDON_I32};
    cordon_result_t result;
    cordon_error_t error;

    if (cordon_vm_invoke(api->vm, "count", &value, 1, &value, 1, &result, &error) ||
        error.kind != CORDON_MISUSE)
        return NULL;
    return api;
}

static bool ask_another_thread(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct api api = {.vm = vm};
    pthread_t other;
    void *answer;

    (void)user;
    cr_assert_eq(pthread_create(&other, NULL, call_from_elsewhere, &api), 0);
    pthread_join(other, &answer);
    slots[0] = answer == &api;
    return true;
}

Test(nested, another_thread_is_refused_while_one_is_at_it)
{
    struct api api;

    open_guest(&api);
    cr_assert(cordon_bind_raw(api.linker, "env", "call", "i32(i32, i32)", ask_another_thread,
                              NULL, &api.error));
    api_start(&api);
    cr_expect_eq(call(&api, "counts", 0), 1);
    cr_expect_null(call_from_elsewhere(&api), "nobody is at it now");
    api_close(&api);
}

static bool run_again(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    cordon_result_t result;
    cordon_error_t error = {0};

    (void)user;
    slots[0] = !cordon_vm_run(vm, &result, &error) && error.kind == CORDON_MISUSE;
    return true;
}

Test(nested, a_run_within_a_call_is_misuse)
{
    struct api api;

    open_guest(&api);
    cr_assert(cordon_bind_raw(api.linker, "env", "call", "i32(i32, i32)", run_again, NULL,
                              &api.error));
    api_start(&api);
    cr_expect_eq(call(&api, "counts", 0), 1);
    api_close(&api);
}

static void done(void *user, cordon_vm_t *vm, const cordon_result_t *result)
{
    (void)vm;
    *(cordon_result_t *)user = *result;
}

static const char program[] =
    "(module"
    "  (import \"env\" \"call\" (func $call (param i32 i32) (result i32)))"
    "  (import \"env\" \"refuse\" (func $refuse))"
    "  (func (export \"trap\") (param i32) (result i32) (unreachable))"
    "  (func (export \"count\") (param i32) (result i32) (local.get 0))"
    "  (func (export \"_start\") (drop (call $call (i32.const 1) (i32.const 0)))))";

Test(nested, on_a_worker_of_the_hosts)
{
    struct api api;

    open_guest(&api);
    cordon_module_free(api.module);
    api.module = cordon_module_load(api.host, program, sizeof program - 1, &api.error);
    api_start(&api);
    cr_assert(cordon_host_start(api.host, 1, &api.error));
    cr_assert(cordon_vm_start(api.vm, done, &api.result, &api.error));
    cordon_vm_wait(api.vm, &api.result);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_str_eq(api.result.message, "unreachable");
    cr_expect_eq(api.result.frame_count, 2);
    api_close(&api);
}

static uint64_t grown_to;
static bool has_kept_its_place;

static void grow_beneath(cordon_vm_t *vm, void *bytes, size_t size)
{
    cordon_value_t value = {.type = CORDON_I32};
    cordon_result_t result;
    cordon_error_t error;
    uint64_t memory_size;

    memset(bytes, 1, size);
    cr_assert(cordon_vm_invoke(vm, "grow", &value, 1, &value, 1, &result, &error));
    const uint8_t *memory = cordon_vm_memory(vm, &memory_size);
    grown_to = memory_size;
    has_kept_its_place = memory + 65536 - 8 == bytes;
    memset(bytes, 2, size);
}

static const char viewer[] =
    "(module"
    "  (import \"env\" \"view\" (func $view (param i32 i32)))"
    "  (memory (export \"memory\") 1 100)"
    "  (func (export \"grow\") (param i32) (result i32) (memory.grow (i32.const 1)))"
    "  (func (export \"f\") (result i64)"
    "    (call $view (i32.const 65528) (i32.const 8)) (i64.load (i32.const 65528))))";

Test(nested, memory_that_a_host_function_sees_does_not_move)
{
    struct api api;
    cordon_value_t value;

    api_open(&api, (struct cn_bytes){(const uint8_t *)viewer, sizeof viewer - 1});
    cr_assert(cordon_bind(api.linker, "env", "view", "void(vm, buf)",
                          (void (*)(void))grow_beneath, &api.error));
    for (int moves = 0; moves < 2; moves++) {
        cordon_config_test_mode(api.config, false, moves == 1, false);
        api_start(&api);
        cr_assert(cordon_vm_invoke(api.vm, "f", NULL, 0, &value, 1, &api.result, &api.error));
        cr_expect_eq(value.i64, 0x0202020202020202);
        cr_expect(has_kept_its_place);
        cr_expect(grown_to == 65536 || grown_to == 131072);
        value = (cordon_value_t){.type = CORDON_I32};
        cr_assert(cordon_vm_invoke(api.vm, "grow", &value, 1, &value, 1, &api.result, &api.error));
        cr_expect_eq(value.i32, (int32_t)(grown_to / 65536), "it may move afterwards");
        cordon_vm_free(api.vm);
    }
    api.vm = NULL;
    api_close(&api);
}
