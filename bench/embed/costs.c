/* What embedding costs: each figure beside the goal it was given. Prints, never fails. Of calls the
 * least of many rounds counts: others' load makes them longer, nothing makes them shorter. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "include/cordon.h"

static const char guest[] =
    "(module"
    "  (import \"env\" \"raw\" (func $raw (param i32) (result i32)))"
    "  (import \"env\" \"hypot\" (func $hypot (param f64 f64) (result f64)))"
    "  (import \"env\" \"apply\" (func $apply (param i32) (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (data (i32.const 1024) \"what the module brings along\")"
    "  (func $add (export \"add\") (param i32 i32) (result i32)"
    "    (i32.add (local.get 0) (local.get 1)))"
    "  (func (export \"none\") (param $n i32)"
    "    (loop $again"
    "      (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
    "      (br_if $again (local.get $n))))"
    "  (func (export \"raw\") (param $n i32)"
    "    (loop $again"
    "      (drop (call $raw (local.get $n)))"
    "      (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
    "      (br_if $again (local.get $n))))"
    "  (table funcref (elem $add))"
    "  (func (export \"fn\") (param $n i32)"
    "    (loop $again"
    "      (drop (call $apply (i32.const 0)))"
    "      (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
    "      (br_if $again (local.get $n))))"
    "  (func (export \"ffi\") (param $n i32)"
    "    (loop $again"
    "      (drop (call $hypot (f64.const 3) (f64.const 4)))"
    "      (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
    "      (br_if $again (local.get $n)))))";

struct world {
    cordon_host_t *host;
    cordon_module_t *module;
    cordon_linker_t *linker;
    cordon_config_t *config;
};

static void die(const char *what)
{
    fprintf(stderr, "costs: %s\n", what);
    exit(1);
}

static double now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void show(const char *what, double value, const char *unit, const char *goal)
{
    printf("%-38s %9.1f %-10s goal %s\n", what, value, unit, goal);
}

static bool raw(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    (void)user;
    (void)vm;
    slots[0] += 1;
    return true;
}

static double cheap(double a, double b)
{
    return a + b;
}

static int32_t apply(int32_t (*function)(int32_t, int32_t))
{
    return function != NULL;
}

static void open_world(struct world *world)
{
    cordon_error_t error;

    world->host = cordon_host_new(&error);
    world->module = cordon_module_load(world->host, guest, sizeof guest - 1, &error);
    if (world->module == NULL)
        die(error.message);
    world->linker = cordon_linker_new(world->host, &error);
    world->config = cordon_config_new(&error);
    if (!cordon_bind_raw(world->linker, "env", "raw", "i32(i32)", raw, NULL, &error) ||
        !cordon_bind(world->linker, "env", "apply", "i32(fn<i32(i32, i32)>)",
                     (void (*)(void))apply, &error) ||
        !cordon_bind(world->linker, "env", "hypot", "f64(f64, f64)", (void (*)(void))cheap, &error))
        die(error.message);
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
    cordon_error_t error;
    cordon_vm_t *vm =
        cordon_vm_new(world->host, world->module, world->linker, world->config, &error);

    if (vm == NULL)
        die(error.message);
    return vm;
}

static void invoke(cordon_vm_t *vm, const char *name, const cordon_value_t *arguments,
                   uint32_t count)
{
    cordon_value_t value;
    cordon_result_t result;
    cordon_error_t error;

    if (!cordon_vm_invoke(vm, name, arguments, count, &value, 1, &result, &error))
        die(error.message);
    if (result.end != CORDON_END_RETURN)
        die(result.message);
}

#define VMS 500
#define CALLS 10000
#define ROUNDS 100

/* What is made and freed: modules that are small in several ways, with WASI and without. */
static const struct {
    const char *what, *module;
    bool has_wasi;
} made[] = {
    {"without memory", "(module (func (export \"add\") (param i32 i32) (result i32)"
                       "  (i32.add (local.get 0) (local.get 1))))", false},
    {"a memory of one page", "(module (memory 1)"
                             "  (func (export \"add\") (param i32 i32) (result i32)"
                             "  (i32.add (local.get 0) (local.get 1))))", false},
    {"and with data", guest, false},
    {"and with WASI", guest, true},
};

/* CPU time of one, in ns: the best of some rounds. */
static double make_many(struct world *world, bool call)
{
    const cordon_value_t pair[] = {{.type = CORDON_I32, .i32 = 1}, {.type = CORDON_I32, .i32 = 2}};
    double best = INFINITY;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now(CLOCK_PROCESS_CPUTIME_ID);
        for (int i = 0; i < VMS; i++) {
            cordon_vm_t *vm = make(world);
            if (call)
                invoke(vm, "add", pair, 2);
            cordon_vm_free(vm);
        }
        best = fmin(best, (now(CLOCK_PROCESS_CPUTIME_ID) - start) / VMS);
    }
    return best;
}

static void measure_making(struct world *world)
{
    cordon_module_t *usual = world->module;
    char what[80];

    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        cordon_error_t error;
        world->module =
            cordon_module_load(world->host, made[i].module, strlen(made[i].module), &error);
        if (world->module == NULL)
            die(error.message);
        if (made[i].has_wasi)
            cordon_linker_allow_wasi(world->linker);
        snprintf(what, sizeof what, "create, destroy: %s", made[i].what);
        show(what, make_many(world, false) / 1e3, "us", "10");
        cordon_module_free(world->module);
    }
    world->module = usual;
    show("fresh VMs that make a call", 1e9 / make_many(world, true), "per s", "5000 per core");
}

static void call(cordon_vm_t *vm, const cordon_value_t *function, const cordon_value_t *arguments,
                 uint32_t count)
{
    cordon_value_t value;
    cordon_result_t result;
    cordon_error_t error;

    if (!cordon_vm_call(vm, function, arguments, count, &value, 1, &result, &error))
        die(error.message);
    if (result.end != CORDON_END_RETURN)
        die(result.message);
}

static void measure_in(struct world *world)
{
    const cordon_value_t pair[] = {{.type = CORDON_I32, .i32 = 1}, {.type = CORDON_I32, .i32 = 2}};
    cordon_vm_t *vm = make(world);
    double by_name = HUGE_VAL, by_reference = HUGE_VAL;
    cordon_value_t function;
    cordon_error_t error;

    if (!cordon_instance_func(cordon_vm_instance(vm, "main"), "add", &function, &error))
        die(error.message);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now(CLOCK_MONOTONIC);
        for (int i = 0; i < CALLS; i++)
            invoke(vm, "add", pair, 2);
        by_name = fmin(by_name, now(CLOCK_MONOTONIC) - start);
        start = now(CLOCK_MONOTONIC);
        for (int i = 0; i < CALLS; i++)
            call(vm, &function, pair, 2);
        by_reference = fmin(by_reference, now(CLOCK_MONOTONIC) - start);
    }
    show("host to guest, by name", by_name / CALLS, "ns", "60");
    show("host to guest, by reference", by_reference / CALLS, "ns", "60");
    cordon_vm_free(vm);
}

static double loop_ns(cordon_vm_t *vm, const char *name)
{
    const cordon_value_t count = {.type = CORDON_I32, .i32 = CALLS};
    double least = HUGE_VAL;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now(CLOCK_MONOTONIC);
        invoke(vm, name, &count, 1);
        least = fmin(least, now(CLOCK_MONOTONIC) - start);
    }
    return least / CALLS;
}

static void measure_out(struct world *world)
{
    cordon_vm_t *vm = make(world);
    double none = loop_ns(vm, "none");

    show("guest to host, raw", loop_ns(vm, "raw") - none, "ns", "30");
    show("guest to host, libffi", loop_ns(vm, "ffi") - none, "ns", "80");
    show("and with a function of the guest's", loop_ns(vm, "fn") - none, "ns", "-");
    cordon_vm_free(vm);
}

int main(void)
{
    struct world world;

    open_world(&world);
    measure_making(&world);
    measure_in(&world);
    measure_out(&world);
    close_world(&world);
    return 0;
}
