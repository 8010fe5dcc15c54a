/* Calls that are over before anybody looks at a clock. */
#include <stdio.h>
#include <time.h>

#include "tests/unit/api_fixture.h"

TestSuite(brief, .timeout = 60);

static const char guest[] =
    "(module"
    "  (import \"env\" \"work\" (func $work))"
    "  (func (export \"add\") (param i32 i32) (result i32)"
    "    (i32.add (local.get 0) (local.get 1)))"
    "  (func (export \"asks\") (param i32 i32) (result i32) (call $work) (i32.const 7))"
    "  (func (export \"traps\") (param i32 i32) (result i32) (unreachable))"
    "  (func (export \"long\") (param $n i32) (param i32) (result i32)"
    "    (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
    "    (i32.const 9)))";

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Ten milliseconds of the processor's. */
static bool work(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    uint64_t start = cpu_ns();

    (void)user, (void)vm, (void)slots;
    while (cpu_ns() - start < 10000000)
        ;
    return true;
}

static void open_guest(struct api *api)
{
    api_open(api, (struct cn_bytes){(const uint8_t *)guest, sizeof guest - 1});
    cr_assert(cordon_bind_raw(api->linker, "env", "work", "void()", work, NULL, &api->error));
}

static int32_t call(struct api *api, const char *name, int32_t a, int32_t b)
{
    cordon_value_t pair[] = {{.type = CORDON_I32, .i32 = a}, {.type = CORDON_I32, .i32 = b}};
    cordon_value_t value = {.type = CORDON_I32};

    cr_assert(cordon_vm_invoke(api->vm, name, pair, 2, &value, 1, &api->result, &api->error));
    return value.i32;
}

static cordon_stats_t stats_of(struct api *api)
{
    cordon_stats_t stats;

    cordon_vm_stats(api->vm, &stats);
    return stats;
}

Test(brief, every_call_is_made_and_counted)
{
    struct api api;
    cordon_stats_t seen;

    open_guest(&api);
    api_start(&api);
    call(&api, "add", 1, 1);
    const uint64_t each = stats_of(&api).fuel;
    for (int i = 0; i < 100000; i++)
        cr_assert_eq(call(&api, "add", i, 5), i + 5);
    cr_expect_eq(stats_of(&api).fuel, 100001 * each);
    cr_expect_gt(stats_of(&api).cpu_ns, 0);
    cordon_ctl_stats(cordon_vm_ctl(api.vm), &seen);
    cr_expect_gt(seen.fuel, 70000 * each, "others see nothing of it");
    api_close(&api);
}

/* A name is what stands there when the call is made, not where it stands. */
Test(brief, names_are_read_at_every_call)
{
    cordon_value_t pair[] = {{.type = CORDON_I32, .i32 = 9}, {.type = CORDON_I32, .i32 = 0}};
    struct api api;
    char name[8] = "add";

    open_guest(&api);
    api_start(&api);
    for (int i = 0; i < 4; i++) {
        memcpy(name, "add", 4);
        cr_expect_eq(call(&api, name, 1, 2), 3);
        memcpy(name, "ad", 3);
        cr_expect_not(cordon_vm_invoke(api.vm, name, pair, 2, NULL, 0, &api.result, &api.error));
        cr_expect_eq(api.error.kind, CORDON_NO_EXPORT);
        memcpy(name, "asks", 5);
        cr_expect_eq(call(&api, name, 1, 2), 7);
    }
    cr_expect_eq(call(&api, "add", 3, 4), 7);
    api_close(&api);
}

/* What stood in a result before says nothing of this call. */
Test(brief, results_say_nothing_of_earlier_ones)
{
    cordon_value_t pair[] = {{.type = CORDON_I32, .i32 = 9}, {.type = CORDON_I32, .i32 = -9}};
    cordon_value_t value;
    struct api api;

    open_guest(&api);
    api_start(&api);
    memset(&api.result, 0x55, sizeof api.result);
    memset(&value, 0x55, sizeof value);
    cr_assert(cordon_vm_invoke(api.vm, "add", pair, 2, &value, 1, &api.result, &api.error));
    cr_expect_eq(value.type, CORDON_I32);
    cr_expect_eq(value.i64, 0);
    cr_expect_eq(api.result.end, CORDON_END_RETURN);
    cr_expect_eq(api.result.exit_code, 0);
    cr_expect_eq(api.result.quota, CORDON_QUOTA_COUNT);
    cr_expect_eq(api.result.signal, 0);
    cr_expect_str_eq(api.result.message, "");
    cr_expect_eq(api.result.frame_count, 0);
    api_close(&api);
}

/* One argument too few, one too many, one of another type; no room for what is returned. */
Test(brief, what_does_not_fit_is_refused)
{
    cordon_value_t given[] = {{.type = CORDON_I32}, {.type = CORDON_I32}, {.type = CORDON_I32}};
    cordon_value_t value;
    struct api api;

    open_guest(&api);
    api_start(&api);
    for (uint32_t count = 0; count <= 3; count++)
        cr_expect_eq(cordon_vm_invoke(api.vm, "add", given, count, &value, 1, &api.result,
                                      &api.error), count == 2);
    cr_expect_not(cordon_vm_invoke(api.vm, "add", given, 2, &value, 0, &api.result, &api.error));
    for (int type = CORDON_I64; type <= CORDON_ANYREF; type++) {
        given[1] = (cordon_value_t){.type = (cordon_type_t)type};
        cr_expect_not(cordon_vm_invoke(api.vm, "add", given, 2, &value, 1, &api.result,
                                       &api.error));
        cr_expect_eq(api.error.kind, CORDON_MISUSE);
    }
    api_close(&api);
}

Test(brief, host_functions_are_charged_by_the_clock)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(call(&api, "asks", 0, 0), 7);
    cr_expect_geq(stats_of(&api).cpu_ns, 30000000);
    api_close(&api);
}

Test(brief, what_is_long_goes_on_in_turns)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    uint64_t start = cpu_ns();
    cr_expect_eq(call(&api, "long", 3000000, 0), 9);
    uint64_t took = cpu_ns() - start, counted = stats_of(&api).cpu_ns;
    cr_expect_leq(counted, took + 5000000);
    cr_expect_geq(counted + 5000000, took);
    api_close(&api);
}

Test(brief, fuel_ends_it_exactly)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    call(&api, "add", 1, 1);
    const uint64_t each = stats_of(&api).fuel;
    api_close(&api);
    open_guest(&api);
    cordon_config_limit(api.config, CORDON_FUEL, 10 * each + each - 1, &api.error);
    api_start(&api);
    for (int i = 0; i < 10; i++) {
        cr_expect_eq(call(&api, "add", i, i), 2 * i);
        cr_expect_eq(api.result.end, CORDON_END_RETURN);
    }
    call(&api, "add", 1, 1);
    cr_expect_eq(api.result.end, CORDON_END_QUOTA);
    cr_expect_eq(api.result.quota, CORDON_FUEL);
    cr_expect_leq(stats_of(&api).fuel, 10 * each + each - 1);
    api_close(&api);
}

Test(brief, kills_limits_and_traps_hold)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    call(&api, "add", 1, 1);
    cr_assert(cordon_ctl_limit(cordon_vm_ctl(api.vm), CORDON_FUEL, 1));
    call(&api, "add", 1, 1);
    cr_expect_eq(api.result.end, CORDON_END_QUOTA);
    cordon_vm_free(api.vm);
    api_start(&api);
    call(&api, "add", 1, 1);
    cordon_ctl_kill(cordon_vm_ctl(api.vm), 15);
    call(&api, "add", 1, 1);
    cr_expect_eq(api.result.end, CORDON_END_KILLED);
    cordon_vm_free(api.vm);
    api_start(&api);
    call(&api, "traps", 1, 1);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_eq(api.result.frame_count, 1);
    cr_expect_str_eq(api.result.message, "unreachable");
    call(&api, "add", 1, 1);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    api_close(&api);
}

/* Of many exports, whatever order their names come in, each is found, and nothing else. */
Test(brief, names_among_many_are_found)
{
    static char text[128 * 1024];
    const unsigned count = 1000;
    struct api api;
    char name[16];
    size_t at = (size_t)snprintf(text, sizeof text, "(module");

    for (unsigned i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "(func (export \"%x\") (param i32 i32) (result i32)"
                               "(i32.const %u))", i * 7919u % 65536, i);
    at += (size_t)snprintf(text + at, sizeof text - at, ")");
    cr_assert_lt(at, sizeof text - 1);
    api_open(&api, (struct cn_bytes){(const uint8_t *)text, at});
    api_start(&api);
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%x", i * 7919u % 65536);
        cr_expect_eq(call(&api, name, 0, 0), (int32_t)i);
        strcat(name, "x");
        cr_expect_not(cordon_module_signature(api.module, name, &(uint32_t){0}, &(uint32_t){0},
                                              NULL, 0));
    }
    api_close(&api);
}
