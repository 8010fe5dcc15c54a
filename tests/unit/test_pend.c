/* Host functions whose answer comes later: by whom, when, how often, and what ends the wait. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "include/cordon.h"

#define MS 1000000ull

/* f gives what env.ask gives, plus 1; g only calls; many adds up so many answers. */
static const char asks[] =
    "(module (import \"env\" \"ask\" (func $ask (param i32) (result i32)))"
    "  (import \"env\" \"tell\" (func $tell (param i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"f\") (param i32) (result i32)"
    "    (i32.add (call $ask (local.get 0)) (i32.const 1)))"
    "  (func (export \"g\") (param i32) (call $tell (local.get 0)))"
    "  (func (export \"many\") (param $n i32) (result i32) (local $sum i32)"
    "    (loop $l (local.set $sum (i32.add (local.get $sum) (call $ask (local.get $n))))"
    "      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
    "    (local.get $sum))"
    "  (func (export \"_start\") (i32.store (i32.const 0) (call $ask (i32.const 7)))))";

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_module_t *module;
    cordon_config_t *config;
    cordon_error_t error;
    cordon_result_t result;
    _Atomic cordon_token_t token;
    _Atomic int calls, dropped;
    int answer;
};

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static cordon_value_t i32(int32_t number)
{
    return (cordon_value_t){.type = CORDON_I32, .i32 = number};
}

/* The host function: leaves its token for whoever completes it. */
static bool ask(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct world *world = user;

    slots[0] = 1000000; /* counts for nothing */
    atomic_fetch_add(&world->calls, 1);
    atomic_store(&world->token, cordon_vm_pend(vm));
    cr_assert_neq(atomic_load(&world->token), 0);
    cr_expect_eq(cordon_vm_pend(vm), 0, "once in a call");
    return true;
}

static void open_world(struct world *world, const char *text, cordon_raw_fn function)
{
    memset(world, 0, sizeof *world);
    world->host = cordon_host_new(&world->error);
    world->linker = cordon_linker_new(world->host, &world->error);
    world->config = cordon_config_new(&world->error);
    cordon_host_translation(world->host, CORDON_TRANSLATE_EAGER);
    world->module = cordon_module_load(world->host, text, strlen(text), &world->error);
    cr_assert_not_null(world->module, "%s", world->error.message);
    cr_assert(cordon_bind_raw(world->linker, "env", "ask", "i32(i32)", function, world,
                              &world->error));
    cr_assert(cordon_bind_raw(world->linker, "env", "tell", "void(i32)", function, world,
                              &world->error));
}

static void close_world(struct world *world)
{
    cordon_config_free(world->config);
    cordon_linker_free(world->linker);
    cordon_module_free(world->module);
    cordon_host_free(world->host);
}

static cordon_vm_t *make(struct world *world)
{
    cordon_vm_t *vm = cordon_vm_new(world->host, world->module, world->linker, world->config,
                                    &world->error);

    cr_assert_not_null(vm, "%s", world->error.message);
    return vm;
}

static int32_t call(struct world *world, cordon_vm_t *vm, const char *name, int32_t number)
{
    cordon_value_t argument = i32(number), result = i32(0);

    cr_assert(cordon_vm_invoke(vm, name, &argument, 1, &result, 1, &world->result,
                               &world->error), "%s", world->error.message);
    return result.i32;
}

static cordon_token_t wait_for_token(struct world *world)
{
    cordon_token_t token;

    while ((token = atomic_exchange(&world->token, 0)) == 0)
        sleep_ms(1);
    return token;
}

/* ------------------------------------------------------------------ by another thread */

static void *complete(void *context)
{
    struct world *world = context;
    cordon_error_t error;
    cordon_token_t token = wait_for_token(world);
    cordon_value_t wrong = {.type = CORDON_I64, .i64 = 4}, right = i32(world->answer);

    sleep_ms(5);
    cr_expect_not(cordon_complete(world->host, token, &wrong, &error));
    cr_expect_eq(error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_complete(world->host, token, NULL, &error), "it has a result");
    cr_expect_not(cordon_complete(world->host, token + ((uint64_t)1 << 32), &right, &error));
    cr_expect_not(cordon_complete(world->host, token + 1, &right, &error));
    cr_expect_not(cordon_complete(world->host, 0, &right, &error));
    cr_expect(cordon_complete(world->host, token, &right, &error), "%s", error.message);
    cr_expect_not(cordon_complete(world->host, token, &right, &error), "twice");
    cr_expect_eq(error.kind, CORDON_MISUSE);
    return NULL;
}

static void start(pthread_t *thread, void *(*run)(void *), struct world *world)
{
    cr_assert_eq(pthread_create(thread, NULL, run, world), 0);
}

Test(pend, a_caller_waits_for_the_answer, .timeout = 20)
{
    struct world world;
    pthread_t thread;
    cordon_stats_t before, after;

    open_world(&world, asks, ask);
    world.answer = 41;
    cordon_vm_t *vm = make(&world);
    cr_expect_eq(cordon_vm_pend(vm), 0, "nobody calls");
    cordon_vm_stats(vm, &before);
    start(&thread, complete, &world);
    cr_expect_eq(call(&world, vm, "f", 5), 42);
    cr_expect_eq(world.result.end, CORDON_END_RETURN);
    cr_expect_eq(world.calls, 1);
    pthread_join(thread, NULL);
    cordon_vm_stats(vm, &after);
    cr_expect_eq(before.used[CORDON_MEMORY], after.used[CORDON_MEMORY], "it was given back");
    cordon_vm_free(vm);
    close_world(&world);
}

static void *complete_without(void *context)
{
    struct world *world = context;

    cr_expect(cordon_complete(world->host, wait_for_token(world), NULL, &world->error));
    return NULL;
}

static void *complete_by_trap(void *context)
{
    struct world *world = context;

    cr_expect(cordon_complete_trap(world->host, wait_for_token(world), "no such page",
                                   &world->error));
    return NULL;
}

Test(pend, an_answer_can_be_nothing_or_a_trap, .timeout = 20)
{
    struct world world;
    pthread_t thread;
    cordon_value_t argument = i32(1);

    open_world(&world, asks, ask);
    cordon_vm_t *vm = make(&world);
    start(&thread, complete_without, &world);
    cr_assert(cordon_vm_invoke(vm, "g", &argument, 1, NULL, 0, &world.result, &world.error));
    pthread_join(thread, NULL);
    cr_expect_eq(world.result.end, CORDON_END_RETURN);
    start(&thread, complete_by_trap, &world);
    call(&world, vm, "f", 1);
    pthread_join(thread, NULL);
    cr_expect_eq(world.result.end, CORDON_END_TRAP);
    cr_expect_str_eq(world.result.message, "no such page");
    cordon_vm_free(vm);
    close_world(&world);
}

/* ------------------------------------------------------------------ at once */

static bool ask_and_answer(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct world *world = user;
    cordon_value_t answer = i32((int32_t)slots[0] * 2);

    cr_expect(cordon_complete(world->host, cordon_vm_pend(vm), &answer, &world->error));
    return true;
}

static bool ask_and_fail(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct world *world = user;

    (void)slots;
    atomic_store(&world->token, cordon_vm_pend(vm));
    return cordon_vm_trap(vm, "changed its mind");
}

Test(pend, an_answer_may_come_before_the_function_returns, .timeout = 20)
{
    struct world world;

    open_world(&world, asks, ask_and_answer);
    cordon_vm_t *vm = make(&world);
    cr_expect_eq(call(&world, vm, "f", 21), 43);
    cr_expect_eq(call(&world, vm, "many", 100), 100 * 101);
    cordon_vm_free(vm);
    close_world(&world);
}

Test(pend, a_function_that_traps_has_no_answer, .timeout = 20)
{
    struct world world;
    cordon_value_t answer = i32(1);

    open_world(&world, asks, ask_and_fail);
    cordon_vm_t *vm = make(&world);
    call(&world, vm, "f", 21);
    cr_expect_eq(world.result.end, CORDON_END_TRAP);
    cr_expect_str_eq(world.result.message, "changed its mind");
    cr_expect_not(cordon_complete(world.host, world.token, &answer, &world.error));
    cordon_vm_free(vm);
    close_world(&world);
}

static cordon_token_t tokens_of_ffi[4];
static int ffi_calls;

static int32_t ask_by_signature(cordon_vm_t *vm, const char *text, int32_t *out)
{
    cr_expect_str_eq(text, "abc");
    *out = 99; /* copied back when this returns */
    tokens_of_ffi[ffi_calls++] = cordon_vm_pend(vm);
    return -1;
}

static void *complete_ffi(void *context)
{
    struct world *world = context;
    cordon_value_t answer = i32(5);

    sleep_ms(20);
    cr_expect(cordon_complete(world->host, tokens_of_ffi[0], &answer, &world->error));
    return NULL;
}

Test(pend, functions_by_signature_wait_too, .timeout = 20)
{
    static const char text[] =
        "(module (import \"env\" \"ask2\" (func $ask (param i32 i32) (result i32)))"
        "  (memory (export \"memory\") 1) (data (i32.const 16) \"abc\\00\")"
        "  (func (export \"f\") (param i32) (result i32)"
        "    (i32.add (call $ask (i32.const 16) (i32.const 32)) (i32.load (i32.const 32)))))";
    struct world world;
    pthread_t thread;

    ffi_calls = 0;
    open_world(&world, text, ask);
    cr_assert(cordon_bind(world.linker, "env", "ask2", "i32(vm, str, *i32)",
                          (void (*)(void))ask_by_signature, &world.error));
    cordon_vm_t *vm = make(&world);
    start(&thread, complete_ffi, &world);
    cr_expect_eq(call(&world, vm, "f", 0), 104);
    cr_expect_eq(ffi_calls, 1);
    pthread_join(thread, NULL);
    cordon_vm_free(vm);
    close_world(&world);
}

/* ------------------------------------------------------------------ by a function */

/* Once more: the second answer is a number. */
static bool answer_by_waiting(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct world *world = user;
    uint64_t size;
    uint8_t *memory = vm != NULL ? cordon_vm_memory(vm, &size) : NULL;
    cordon_value_t answer = i32(300);

    if (vm == NULL) {
        cr_expect_null(slots);
        atomic_fetch_add(&world->dropped, 1);
        return false;
    }
    memcpy(memory + 8, "written", 7);
    cr_expect(cordon_complete(world->host, cordon_vm_pend(vm), &answer, &world->error));
    return true;
}

static bool answer_by_number(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    (void)user, (void)vm;
    slots[0] = (uint32_t)slots[0] + 1;
    return true;
}

static bool ask_and_answer_by_function(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct world *world = user;
    cordon_raw_fn function = slots[0] == 1 ? answer_by_waiting : answer_by_number;

    cr_expect(cordon_complete_with(world->host, cordon_vm_pend(vm), function, world,
                                   &world->error));
    return true;
}

Test(pend, an_answer_can_be_a_function, .timeout = 20)
{
    struct world world;
    uint64_t size;

    open_world(&world, asks, ask_and_answer_by_function);
    cordon_vm_t *vm = make(&world);
    cr_expect_eq(call(&world, vm, "f", 10), 12, "it sees the arguments");
    cr_expect_eq(call(&world, vm, "f", 1), 301);
    cr_expect_eq(memcmp((uint8_t *)cordon_vm_memory(vm, &size) + 8, "written", 7), 0);
    cr_expect_eq(world.dropped, 0);
    cordon_vm_free(vm);
    close_world(&world);
}

/* ------------------------------------------------------------------ ends */

static void *kill_it(void *context)
{
    cordon_vm_t *vm = context;

    sleep_ms(20);
    cordon_ctl_kill(cordon_vm_ctl(vm), 15);
    return NULL;
}

Test(pend, kill_and_timeout_end_the_wait, .timeout = 20)
{
    struct world world;
    pthread_t thread;
    cordon_value_t answer = i32(1);

    open_world(&world, asks, ask);
    cordon_vm_t *vm = make(&world);
    cr_assert_eq(pthread_create(&thread, NULL, kill_it, vm), 0);
    call(&world, vm, "f", 1);
    pthread_join(thread, NULL);
    cr_expect_eq(world.result.end, CORDON_END_KILLED);
    cr_expect_not(cordon_complete(world.host, world.token, &answer, &world.error),
                  "its VM is over");
    cordon_vm_free(vm);
    cr_expect_not(cordon_complete(world.host, world.token, &answer, &world.error),
                  "and gone");

    cr_assert(cordon_config_limit(world.config, CORDON_TIMEOUT, 20 * MS, &world.error));
    vm = make(&world);
    call(&world, vm, "f", 1);
    cr_expect_eq(world.result.end, CORDON_END_QUOTA);
    cr_expect_eq(world.result.quota, CORDON_TIMEOUT);
    cr_expect_not(cordon_complete(world.host, world.token, &answer, &world.error));
    cordon_vm_free(vm);
    close_world(&world);
}

Test(pend, who_has_no_memory_cannot_wait, .timeout = 20)
{
    struct world world;

    open_world(&world, asks, ask_and_fail);
    cordon_vm_t *vm = make(&world);
    cordon_stats_t stats;
    cordon_vm_stats(vm, &stats);
    cordon_ctl_limit(cordon_vm_ctl(vm), CORDON_MEMORY, stats.used[CORDON_MEMORY] + 100);
    call(&world, vm, "f", 1);
    cr_expect_eq(world.token, 0);
    cr_expect_str_eq(world.result.message, "changed its mind");
    cordon_vm_free(vm);
    close_world(&world);
}

/* ------------------------------------------------------------------ on workers */

static const char spins[] =
    "(module (func (export \"_start\") (local $n i32)"
    "  (loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))"
    "    (i32.const 1000000))))))";

Test(pend, others_run_meanwhile, .timeout = 30)
{
    struct world world;
    cordon_result_t other;
    cordon_value_t answer = i32(77);
    uint64_t size;

    open_world(&world, asks, ask);
    cr_assert(cordon_host_start(world.host, 1, &world.error));
    cordon_module_t *spinner =
        cordon_module_load(world.host, spins, strlen(spins), &world.error);
    cordon_vm_t *vm = make(&world);
    cordon_vm_t *busy =
        cordon_vm_new(world.host, spinner, world.linker, world.config, &world.error);
    cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
    cordon_token_t token = wait_for_token(&world);
    cr_assert(cordon_vm_start(busy, NULL, NULL, &world.error));
    cordon_vm_wait(busy, &other);
    cr_expect_eq(other.end, CORDON_END_RETURN, "on the only worker");
    cordon_ctl_pause(cordon_vm_ctl(vm));
    cr_expect(cordon_complete(world.host, token, &answer, &world.error));
    sleep_ms(20);
    cordon_host_stats_t stats;
    cordon_host_stats(world.host, &stats);
    cr_expect_eq(stats.vms, 1, "it is paused, whatever its call says");
    cordon_ctl_resume(cordon_vm_ctl(vm));
    cordon_vm_wait(vm, &world.result);
    cr_expect_eq(world.result.end, CORDON_END_RETURN);
    cr_expect_eq(*(int32_t *)cordon_vm_memory(vm, &size), 77);
    cordon_vm_free(vm);
    cordon_vm_free(busy);
    cordon_module_free(spinner);
    close_world(&world);
}

Test(pend, what_is_to_be_called_is_told_of_the_end, .timeout = 30)
{
    struct world world;

    open_world(&world, asks, ask);
    cr_assert(cordon_host_start(world.host, 1, &world.error));
    for (int i = 0; i < 20; i++) {
        cordon_vm_t *vm = make(&world);
        cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
        cordon_token_t token = wait_for_token(&world);
        cordon_ctl_pause(cordon_vm_ctl(vm));
        sleep_ms(2);
        cr_expect(cordon_complete_with(world.host, token, answer_by_waiting, &world,
                                       &world.error));
        cordon_vm_free(vm);
        cr_expect_eq(world.dropped, i + 1);
    }
    close_world(&world);
}

/* One thread of the guest waits for the host, and the other one counts until it is answered. */
static const char two_threads[] =
    "(module (import \"env\" \"memory\" (memory 1 1 shared))"
    "  (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))"
    "  (import \"env\" \"ask\" (func $ask (param i32) (result i32)))"
    "  (export \"memory\" (memory 0))"
    "  (func (export \"wasi_thread_start\") (param i32 i32)"
    "    (i32.atomic.store (i32.const 4) (call $ask (i32.const 3))))"
    "  (func (export \"_start\") (drop (call $spawn (i32.const 0)))"
    "    (loop $l (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))"
    "      (br_if $l (i32.eqz (i32.atomic.load (i32.const 4)))))))";

static void answer_threads(struct world *world, uint32_t workers)
{
    pthread_t thread;
    uint64_t size;

    open_world(world, two_threads, ask);
    world->answer = 12;
    cordon_linker_allow_wasi(world->linker);
    cordon_vm_t *vm = make(world);
    start(&thread, complete, world);
    if (workers > 0) {
        cr_assert(cordon_host_start(world->host, workers, &world->error));
        cr_assert(cordon_vm_start(vm, NULL, NULL, &world->error));
        cordon_vm_wait(vm, &world->result);
    } else {
        cr_assert(cordon_vm_run(vm, &world->result, &world->error));
    }
    pthread_join(thread, NULL);
    cr_expect_eq(world->result.end, CORDON_END_RETURN, "%s", world->result.message);
    const int32_t *memory = cordon_vm_memory_of(vm, "memory", &size);
    cr_expect_eq(memory[1], 12);
    cr_expect_gt(memory[0], 0);
    cordon_vm_free(vm);
    close_world(world);
}

Test(pend, other_threads_of_the_guest_run_meanwhile, .timeout = 30)
{
    struct world world;

    answer_threads(&world, 0);
    answer_threads(&world, 2);
}
