/* cordon.h as an embedder sees it: nothing but the public header. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "include/cordon.h"

/* (module
 *   (import "env" "hypot" (func (param f64 f64) (result f64)))
 *   (func (export "go") (param f64 f64) (result f64) local.get 0 local.get 1 call 0)
 *   (func (export "spin") (loop br 0))
 *   (func (export "twice") (param i32) (result i32) local.get 0 i32.const 2 i32.mul)
 *   (func (export "grow") (result i32) i32.const 100 memory.grow)
 *   (memory 1)) */
static const uint8_t sample[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x13, 0x04, 0x60, 0x02, 0x7c, 0x7c, 0x01,
    0x7c, 0x60, 0x00, 0x00, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x60, 0x00, 0x01, 0x7f, 0x02, 0x0d, 0x01,
    0x03, 0x65, 0x6e, 0x76, 0x05, 0x68, 0x79, 0x70, 0x6f, 0x74, 0x00, 0x00, 0x03, 0x05, 0x04, 0x00,
    0x01, 0x02, 0x03, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x1c, 0x04, 0x02, 0x67, 0x6f, 0x00, 0x01,
    0x04, 0x73, 0x70, 0x69, 0x6e, 0x00, 0x02, 0x05, 0x74, 0x77, 0x69, 0x63, 0x65, 0x00, 0x03, 0x04,
    0x67, 0x72, 0x6f, 0x77, 0x00, 0x04, 0x0a, 0x22, 0x04, 0x08, 0x00, 0x20, 0x00, 0x20, 0x01, 0x10,
    0x00, 0x0b, 0x07, 0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b, 0x07, 0x00, 0x20, 0x00, 0x41, 0x02,
    0x6c, 0x0b, 0x07, 0x00, 0x41, 0xe4, 0x00, 0x40, 0x00, 0x0b,
};

static cordon_host_t *host;
static cordon_module_t *module;
static cordon_linker_t *linker;
static cordon_config_t *config;
static cordon_error_t error;

static void open_host(void)
{
    host = cordon_host_new(&error);
    module = cordon_module_load(host, sample, sizeof sample, &error);
    cr_assert_not_null(module, "%s", error.message);
    linker = cordon_linker_new(host, &error);
    config = cordon_config_new(&error);
    cr_assert(linker != NULL && config != NULL);
}

static void close_host(void)
{
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
}

TestSuite(api, .init = open_host, .fini = close_host, .timeout = 30);

static cordon_vm_t *new_vm(void)
{
    cordon_vm_t *vm = cordon_vm_new(host, module, linker, config, &error);

    cr_assert_not_null(vm, "%s", error.message);
    return vm;
}

static void bind_hypot(void)
{
    cr_assert(cordon_bind(linker, "env", "hypot", "f64(f64, f64)", (void (*)(void))hypot, &error),
              "%s", error.message);
}

Test(api, calls_a_c_function_through_libffi)
{
    const cordon_value_t arguments[] = {{.type = CORDON_F64, .f64 = 3},
                                        {.type = CORDON_F64, .f64 = 4}};
    cordon_value_t answer;
    cordon_result_t result;

    bind_hypot();
    cordon_vm_t *vm = new_vm();
    cr_assert(cordon_vm_invoke(vm, "go", arguments, 2, &answer, 1, &result, &error), "%s",
              error.message);
    cr_expect_eq(result.end, CORDON_END_RETURN);
    cr_expect_eq(answer.type, CORDON_F64);
    cr_expect_float_eq(answer.f64, 5, 1e-12);
    cordon_vm_free(vm);
}

static bool raw_hypot(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    double a, b, sum;

    cr_expect_not_null(vm);
    memcpy(&a, &slots[0], sizeof a);
    memcpy(&b, &slots[1], sizeof b);
    sum = a + b + *(double *)user;
    memcpy(&slots[0], &sum, sizeof sum);
    return a >= 0;
}

Test(api, calls_a_raw_function_and_carries_its_trap)
{
    cordon_value_t arguments[] = {{.type = CORDON_F64, .f64 = 1}, {.type = CORDON_F64, .f64 = 2}};
    double user = 10;
    cordon_value_t answer;
    cordon_result_t result;

    cr_assert(cordon_bind_raw(linker, "env", "hypot", "f64(f64,f64)", raw_hypot, &user, &error));
    cordon_vm_t *vm = new_vm();
    cr_assert(cordon_vm_invoke(vm, "go", arguments, 2, &answer, 1, &result, &error));
    cr_expect_float_eq(answer.f64, 13, 1e-12);
    arguments[0].f64 = -1;
    cr_assert(cordon_vm_invoke(vm, "go", arguments, 2, &answer, 1, &result, &error));
    cr_expect_eq(result.end, CORDON_END_TRAP);
    cr_expect_eq(result.exit_code, 134);
    cr_expect_str_eq(result.frames[0].function, "go");
    cordon_vm_free(vm);
}

Test(api, refuses_a_signature_that_does_not_fit_and_names_both)
{
    cr_assert(cordon_bind(linker, "env", "hypot", "i32(i32)", (void (*)(void))hypot, &error));
    cr_expect_null(cordon_vm_new(host, module, linker, config, &error));
    cr_expect_eq(error.kind, CORDON_LINK);
    cr_expect_not_null(strstr(error.message, "(f64, f64) -> f64"), "%s", error.message);
    cr_expect_not_null(strstr(error.message, "(i32) -> i32"), "%s", error.message);
}

Test(api, refuses_signatures_that_are_none)
{
    static const char *const wrong[] = {"", "f64", "f64(", "f64(f64", "f64(f64,)", "f32 f32()",
                                        "f64(f64) x", "int(i32)", "f64(void, f64)"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_not(cordon_bind(linker, "env", "hypot", wrong[i], (void (*)(void))hypot,
                                  &error), "%s", wrong[i]);
        cr_expect_eq(error.kind, CORDON_MISUSE);
    }
}

Test(api, names_the_import_that_nothing_satisfies)
{
    cr_expect_null(cordon_vm_new(host, module, linker, config, &error));
    cr_expect_eq(error.kind, CORDON_LINK);
    cr_expect_not_null(strstr(error.message, "env.hypot"), "%s", error.message);
}

Test(api, refuses_arguments_of_another_type)
{
    const cordon_value_t wrong = {.type = CORDON_F64, .f64 = 1};
    cordon_value_t answer;
    cordon_result_t result;

    bind_hypot();
    cordon_vm_t *vm = new_vm();
    cr_expect_not(cordon_vm_invoke(vm, "twice", &wrong, 1, &answer, 1, &result, &error));
    cr_expect_eq(error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_vm_invoke(vm, "twice", &wrong, 1, NULL, 0, &result, &error));
    cr_expect_str_eq(error.message, "function twice has 1 results, there is room for 0");
    cr_expect_not(cordon_vm_invoke(vm, "thrice", NULL, 0, &answer, 1, &result, &error));
    cr_expect_eq(error.kind, CORDON_NO_EXPORT);
    cordon_vm_free(vm);
}

Test(api, ends_by_fuel_exactly)
{
    cordon_result_t result;
    cordon_stats_t stats;

    bind_hypot();
    cr_assert(cordon_config_limit(config, CORDON_FUEL, 12345, &error));
    cordon_vm_t *vm = new_vm();
    cr_assert(cordon_vm_invoke(vm, "spin", NULL, 0, NULL, 0, &result, &error));
    cr_expect_eq(result.end, CORDON_END_QUOTA);
    cr_expect_eq(result.quota, CORDON_FUEL);
    cr_expect_eq(result.exit_code, 137);
    cordon_vm_stats(vm, &stats);
    cr_expect_eq(stats.fuel, 12345);
    cordon_vm_free(vm);
}

Test(api, tells_the_guest_that_memory_is_short_and_lets_it_live)
{
    cordon_value_t answer;
    cordon_result_t result;
    cordon_stats_t stats;

    bind_hypot();
    cr_assert(cordon_config_limit(config, CORDON_MEMORY, 2 << 20, &error));
    cordon_vm_t *vm = new_vm();
    cr_assert(cordon_vm_invoke(vm, "grow", NULL, 0, &answer, 1, &result, &error));
    cr_expect_eq(result.end, CORDON_END_RETURN);
    cr_expect_eq(answer.i32, -1);
    cordon_vm_stats(vm, &stats);
    cr_expect_leq(stats.peak[CORDON_MEMORY], 2 << 20);
    cr_expect_geq(stats.refused[CORDON_MEMORY], 1);
    cordon_vm_free(vm);
}

static void *kill_later(void *ctl)
{
    usleep(100000);
    cordon_ctl_kill(ctl, 15);
    return NULL;
}

Test(api, is_killed_from_another_thread)
{
    cordon_result_t result;
    pthread_t thread;

    bind_hypot();
    cordon_vm_t *vm = new_vm();
    pthread_create(&thread, NULL, kill_later, cordon_vm_ctl(vm));
    cr_assert(cordon_vm_invoke(vm, "spin", NULL, 0, NULL, 0, &result, &error));
    pthread_join(thread, NULL);
    cr_expect_eq(result.end, CORDON_END_KILLED);
    cr_expect_eq(result.exit_code, 143);
    cordon_vm_free(vm);
}

static void *pause_resume_kill(void *ctl)
{
    cordon_ctl_pause(ctl);
    usleep(200000);
    cordon_ctl_resume(ctl);
    usleep(50000);
    cordon_ctl_kill(ctl, 9);
    return NULL;
}

Test(api, uses_no_processor_while_paused)
{
    cordon_result_t result;
    cordon_stats_t stats;
    pthread_t thread;

    bind_hypot();
    cordon_vm_t *vm = new_vm();
    pthread_create(&thread, NULL, pause_resume_kill, cordon_vm_ctl(vm));
    cr_assert(cordon_vm_invoke(vm, "spin", NULL, 0, NULL, 0, &result, &error));
    pthread_join(thread, NULL);
    cordon_vm_stats(vm, &stats);
    cr_expect_eq(result.end, CORDON_END_KILLED);
    cr_expect_lt(stats.cpu_ns, stats.wall_ns * 2 / 3);
    cordon_vm_free(vm);
}

Test(api, gives_the_same_fuel_in_every_mode)
{
    static const struct {
        cordon_translation_t how;
        bool preempt;
    } modes[] = {{CORDON_TRANSLATE_EAGER, false}, {CORDON_TRANSLATE_LAZY, false},
                 {CORDON_TRANSLATE_EAGER, true}, {CORDON_TRANSLATE_LAZY, true}};
    const cordon_value_t argument = {.type = CORDON_I32, .i32 = 21};
    uint64_t fuel = 0;

    bind_hypot();
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        cordon_value_t answer;
        cordon_result_t result;
        cordon_stats_t stats;
        cordon_host_translation(host, modes[i].how);
        cordon_module_t *again = cordon_module_load(host, sample, sizeof sample, &error);
        cordon_config_test_mode(config, modes[i].preempt, false, false);
        cordon_vm_t *vm = cordon_vm_new(host, again, linker, config, &error);
        cr_assert(cordon_vm_invoke(vm, "twice", &argument, 1, &answer, 1, &result, &error));
        cr_expect_eq(answer.i32, 42);
        cordon_vm_stats(vm, &stats);
        cr_expect(i == 0 || stats.fuel == fuel);
        fuel = stats.fuel;
        cordon_vm_free(vm);
        cordon_module_free(again);
    }
    cr_expect_eq(fuel, 3, "two pushes and a multiplication");
}

Test(api, gives_back_what_loading_and_running_took)
{
    for (int i = 0; i < 200; i++) {
        if (i == 0)
            bind_hypot();
        cordon_vm_free(new_vm());
    }
}

Test(api, refuses_garbage_with_its_place)
{
    uint8_t broken[sizeof sample];

    memcpy(broken, sample, sizeof sample);
    broken[sizeof sample - 2] = 0xff;
    cr_expect_null(cordon_module_load(host, broken, sizeof broken, &error));
    cr_expect_eq(error.kind, CORDON_BAD_MODULE);
    cr_expect_neq(error.offset, UINT64_MAX);
}
