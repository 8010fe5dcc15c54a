/* Guests' functions as pointers of C. */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/platform.h"
#include "tests/unit/api_fixture.h"

TestSuite(fn, .timeout = 60);

#define COUNT 64

/* sort(n) fills 4 n bytes at 1024 with falling numbers and has C sort them; compare traps when
 * `left` has come down to 0. */
static const char guest[] =
    "(module"
    "  (import \"env\" \"sort\" (func $sort (param i32 i32 i32)))"
    "  (memory (export \"memory\") 1 100)"
    "  (table (export \"table\") 8 funcref)"
    "  (elem (i32.const 1) $compare $backwards $odd $growing)"
    "  (global $left (export \"left\") (mut i32) (i32.const -1))"
    "  (global $calls (export \"calls\") (mut i32) (i32.const 0))"
    "  (func $compare (export \"compare\") (param i32 i32) (result i32)"
    "    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))"
    "    (if (i32.eqz (global.get $left)) (then (unreachable)))"
    "    (global.set $left (i32.sub (global.get $left) (i32.const 1)))"
    "    (i32.sub (i32.load (local.get 0)) (i32.load (local.get 1))))"
    "  (func $backwards (param i32 i32) (result i32)"
    "    (call $compare (local.get 1) (local.get 0)))"
    "  (func $odd (param i64) (result i32) (i32.const 0))"
    "  (func $growing (param i32 i32) (result i32)"
    "    (drop (memory.grow (i32.const 1)))"
    "    (call $compare (local.get 0) (local.get 1)))"
    "  (func (export \"sort\") (param $n i32) (param $how i32) (local $i i32)"
    "    (loop $again"
    "      (i32.store (i32.add (i32.const 1024) (i32.shl (local.get $i) (i32.const 2)))"
    "        (i32.sub (local.get $n) (local.get $i)))"
    "      (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    "      (br_if $again (i32.lt_u (local.get $i) (local.get $n))))"
    "    (call $sort (i32.const 1024) (i32.shl (local.get $n) (i32.const 2)) (local.get $how)))"
    "  (func (export \"mix\") (param i32 i64 f32 f64) (result f64)"
    "    (f64.add (f64.add (f64.convert_i32_s (local.get 0)) (f64.convert_i64_s (local.get 1)))"
    "             (f64.add (f64.promote_f32 (local.get 2)) (local.get 3))))"
    "  (func (export \"negate\") (param i32) (result i32) (i32.sub (i32.const 0) (local.get 0)))"
    "  (func (export \"half\") (param f32) (result f32) (f32.div (local.get 0) (f32.const 2)))"
    "  (func (export \"wide\") (param i64) (result i64) (i64.shl (local.get 0) (i64.const 8)))"
    "  (func (export \"sum\") (param $at i32) (param $n i32) (result i32) (local $sum i32)"
    "    (loop $again (if (local.get $n) (then"
    "      (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))"
    "      (local.set $at (i32.add (local.get $at) (i32.const 1)))"
    "      (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
    "      (br $again))))"
    "    (local.get $sum))"
    "  (func (export \"spin\") (loop $again (br $again))))";

typedef int (*compare_fn)(const void *, const void *);

static unsigned zeros_after_end, answers;

/* Calls on when the guest has ended, as C does that knows nothing of it. */
static void sort(void *bytes, size_t size, compare_fn compare)
{
    answers++;
    if (compare != NULL)
        qsort(bytes, size / 4, 4, compare);
}

static void open_guest(struct api *api)
{
    answers = zeros_after_end = 0;
    api_open(api, (struct cn_bytes){(const uint8_t *)guest, sizeof guest - 1});
    cr_assert(cordon_bind(api->linker, "env", "sort", "void(buf, fn<i32(ptr<4>, ptr<4>)>)",
                          (void (*)(void))sort, &api->error), "%s", api->error.message);
}

static void set(struct api *api, const char *name, int32_t number)
{
    cordon_value_t value = {.type = CORDON_I32, .i32 = number};

    cr_assert(cordon_instance_set_global(cordon_vm_instance(api->vm, "main"), name, &value,
                                         &api->error));
}

static int32_t get(struct api *api, const char *name)
{
    cordon_value_t value;

    cr_assert(cordon_instance_global(cordon_vm_instance(api->vm, "main"), name, &value,
                                     &api->error));
    return value.i32;
}

static void call_sort(struct api *api, int32_t n, int32_t how)
{
    cordon_value_t values[] = {{.type = CORDON_I32, .i32 = n}, {.type = CORDON_I32, .i32 = how}};

    cr_assert(cordon_vm_invoke(api->vm, "sort", values, 2, NULL, 0, &api->result, &api->error));
}

static int32_t *numbers(struct api *api)
{
    uint64_t size;

    return (int32_t *)((char *)cordon_vm_memory(api->vm, &size) + 1024);
}

static bool page_is_both(void)
{
    char line[512];
    bool is_both = false, has_code = false;
    FILE *maps = fopen("/proc/self/maps", "r");

    while (fgets(line, sizeof line, maps) != NULL) {
        is_both = is_both || strstr(line, " rwx") != NULL || strstr(line, " -wx") != NULL;
        has_code = has_code || (strstr(line, " r-x") != NULL && strstr(line, "memfd") != NULL);
    }
    fclose(maps);
    cr_expect(has_code, "the code was not seen");
    return is_both;
}

Test(fn, c_sorts_with_a_guests_function)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    call_sort(&api, COUNT, 1);
    cr_assert_eq(api.result.end, CORDON_END_RETURN, "%s", api.result.message);
    for (int i = 0; i < COUNT; i++)
        cr_expect_eq(numbers(&api)[i], i + 1);
    call_sort(&api, COUNT, 2);
    for (int i = 0; i < COUNT; i++)
        cr_expect_eq(numbers(&api)[i], COUNT - i);
    cr_expect_not(page_is_both());
    call_sort(&api, COUNT, 0);
    cr_expect_eq(api.result.end, CORDON_END_RETURN, "0 is the null pointer");
    cr_expect_eq(answers, 3);
    api_close(&api);
}

static unsigned mappings;

void *__real_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    mappings++;
    return __real_mmap64(at, size, protection, flags, fd, offset);
}

/* Code is written for a VM's first calls alone. */
Test(fn, pointers_for_a_call_are_made_once)
{
    struct api api;

    open_guest(&api);
    api_start(&api);
    mappings = 0;
    call_sort(&api, 4, 1);
    cr_expect_gt(mappings, 0, "nothing was counted");
    mappings = 0;
    for (int i = 0; i < 200; i++) {
        call_sort(&api, 4, 1 + i % 2);
        cr_assert_eq(numbers(&api)[0], i % 2 ? 4 : 1);
    }
    cr_expect_eq(mappings, 0);
    api_close(&api);
}

static compare_fn kept;

static void keep(void *bytes, size_t size, compare_fn compare)
{
    (void)bytes, (void)size;
    kept = compare;
}

Test(fn, what_is_kept_for_calls_is_gone_between_them)
{
    struct api api;
    const int32_t pair[] = {1, 2};

    open_guest(&api);
    cr_assert(cordon_bind(api.linker, "env", "sort", "void(buf, fn<i32(ptr<4>, ptr<4>)>)",
                          (void (*)(void))keep, &api.error));
    api_start(&api);
    call_sort(&api, 4, 1);
    cr_assert_not_null(kept);
    cr_expect_eq(kept(&pair[0], &pair[1]), 0, "its call is over");
    cr_expect_eq(get(&api, "calls"), 0);
    call_sort(&api, 4, 2);
    cr_expect_eq(kept(&pair[0], &pair[1]), 0);
    cr_expect_eq(get(&api, "calls"), 0);
    cordon_vm_free(api.vm);
    cr_expect_eq(kept(&pair[0], &pair[1]), 0, "its VM is gone");
    api.vm = NULL;
    api_close(&api);
}

static void call_it(int32_t (*next)(void))
{
    answers += (unsigned)next();
}

/* More signatures than pointers are kept for, in one another's places again and again. */
Test(fn, many_signatures_share_what_is_kept)
{
    static char text[4096];
    struct api api;
    char name[8];
    int at = snprintf(text, sizeof text, "(module");

    for (int i = 0; i < 20; i++)
        at += snprintf(text + at, sizeof text - (size_t)at,
                       "(import \"env\" \"f%d\" (func (param i32)))", i);
    at += snprintf(text + at, sizeof text - (size_t)at,
                   "(table funcref (elem $one)) (func $one (result i32) (i32.const 1))"
                   "(func (export \"f\")");
    for (int i = 0; i < 20; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "(call %d (i32.const 0))", i);
    at += snprintf(text + at, sizeof text - (size_t)at, "))");
    api_open(&api, (struct cn_bytes){(const uint8_t *)text, (size_t)at});
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "f%d", i);
        cr_assert(cordon_bind(api.linker, "env", name, "void(fn<i32()>)", (void (*)(void))call_it,
                              &api.error));
    }
    api_start(&api);
    answers = 0;
    for (int i = 0; i < 30; i++)
        cr_assert(cordon_vm_invoke(api.vm, "f", NULL, 0, NULL, 0, &api.result, &api.error));
    cr_expect_eq(answers, 600);
    api_close(&api);
}

Test(fn, numbers_of_no_function_trap)
{
    static const struct {
        int32_t number;
        const char *message;
    } rows[] = {{3, "indirect call type mismatch: parameter 2 of env.sort"},
                {7, "null function reference: parameter 2 of env.sort"},
                {8, "undefined element: parameter 2 of env.sort"},
                {-1, "undefined element: parameter 2 of env.sort"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct api api;
        open_guest(&api);
        api_start(&api);
        call_sort(&api, 4, rows[i].number);
        cr_expect_eq(api.result.end, CORDON_END_TRAP);
        cr_expect_str_eq(api.result.message, rows[i].message);
        cr_expect_eq(answers, 0);
        api_close(&api);
    }
}

Test(fn, a_trap_passes_c_and_runs_nothing_more)
{
    for (int at = 0; at < 40; at++) {
        struct api api;
        open_guest(&api);
        api_start(&api);
        set(&api, "left", at);
        call_sort(&api, COUNT, 1 + at % 2);
        cr_expect_eq(api.result.end, CORDON_END_TRAP);
        cr_expect_str_eq(api.result.message, "unreachable");
        cr_expect_eq(api.result.frame_count, 2 + at % 2u);
        cr_expect_str_eq(api.result.frames[0].function, "compare");
        cr_expect_eq(get(&api, "calls"), at + 1, "it ran after its end");
        api_close(&api);
    }
}

Test(fn, every_amount_of_fuel_ends_it_exactly)
{
    uint64_t all = 0;

    for (uint64_t fuel = CORDON_UNLIMITED; fuel != all; fuel = fuel > all ? 0 : fuel + 7) {
        struct api api;
        cordon_stats_t stats;
        open_guest(&api);
        cordon_config_limit(api.config, CORDON_FUEL, fuel, &api.error);
        api_start(&api);
        call_sort(&api, 8, 1);
        cordon_vm_stats(api.vm, &stats);
        if (all == 0)
            all = stats.fuel - stats.fuel % 7;
        cr_assert_leq(stats.fuel, fuel);
        cr_assert_eq(api.result.end, fuel == CORDON_UNLIMITED ? CORDON_END_RETURN
                                                              : CORDON_END_QUOTA);
        api_close(&api);
    }
}

Test(fn, memory_does_not_move_beneath_c)
{
    for (int moves = 0; moves < 2; moves++) {
        struct api api;
        open_guest(&api);
        cordon_config_test_mode(api.config, false, moves == 1, false);
        api_start(&api);
        call_sort(&api, COUNT, 4);
        cr_assert_eq(api.result.end, CORDON_END_RETURN, "%s", api.result.message);
        for (int i = 0; i < COUNT; i++)
            cr_expect_eq(numbers(&api)[i], i + 1);
        api_close(&api);
    }
}

#define FN(type, name, signature)                                                                  \
    ((type)cordon_export_fn(api.vm, name, signature, &api.error))

Test(fn, passes_every_type_from_outside)
{
    struct api api;
    cordon_value_t element;

    open_guest(&api);
    api_start(&api);
    double (*mix)(int32_t, int64_t, float, double) =
        FN(double (*)(int32_t, int64_t, float, double), "mix", "f64(i32, i64, f32, f64)");
    int32_t (*negate)(int32_t) = FN(int32_t (*)(int32_t), "negate", "i32(i32)");
    uint32_t (*negate_u)(uint32_t) = FN(uint32_t (*)(uint32_t), "negate", "u32(u32)");
    float (*half)(float) = FN(float (*)(float), "half", "f32(f32)");
    int64_t (*wide)(int64_t) = FN(int64_t (*)(int64_t), "wide", "i64(i64)");
    int32_t (*sum)(const void *, size_t) =
        FN(int32_t (*)(const void *, size_t), "sum", "i32(buf)");
    cr_assert(mix && negate && negate_u && half && wide && sum, "%s", api.error.message);
    cr_expect_eq(mix(-1, 2, 0.5f, 0.25), 1.75);
    cr_expect_eq(negate(5), -5);
    cr_expect_eq(negate_u(5), 4294967291u);
    cr_expect_eq(half(3), 1.5f);
    cr_expect_eq(wide(0x0102030405), 0x010203040500);
    memset(numbers(&api), 3, 40);
    cr_expect_eq(sum(numbers(&api), 40), 120);
    cr_expect_eq(sum(NULL, 0), 0);
    cr_assert(cordon_instance_table_get(cordon_vm_instance(api.vm, "main"), "table", 1, &element,
                                        &api.error));
    compare_fn compare =
        (compare_fn)cordon_vm_fn(api.vm, &element, "i32(*i32, *i32)", &api.error);
    cr_assert(compare != NULL, "%s", api.error.message);
    for (int i = 0; i < COUNT; i++)
        numbers(&api)[i] = i * 37 % COUNT;
    qsort(numbers(&api), COUNT, 4, compare);
    for (int i = 0; i < COUNT; i++)
        cr_expect_eq(numbers(&api)[i], i);
    api_close(&api);
}

Test(fn, pointers_from_elsewhere_trap)
{
    struct api api;
    int32_t mine[2] = {1, 2};

    open_guest(&api);
    api_start(&api);
    compare_fn compare = FN(compare_fn, "compare", "i32(ptr<4>, ptr<4>)");
    cr_expect_eq(compare(numbers(&api), numbers(&api) + 1), 0);
    cr_expect_eq(compare(mine, mine + 1), 0);
    cr_expect_eq(get(&api, "calls"), 1);
    cr_expect_eq(compare(numbers(&api), numbers(&api) + 1), 0);
    cr_expect_eq(get(&api, "calls"), 1);
    cordon_vm_wait(api.vm, &api.result);
    cr_expect_eq(api.result.end, CORDON_END_TRAP);
    cr_expect_str_eq(api.result.message, "out of bounds memory access: parameter 1 of a call from "
                                         "C does not point into the guest's memory");
    cordon_vm_free(api.vm);
    api_start(&api);
    compare = FN(compare_fn, "compare", "i32(ptr<4>, ptr<4>)");
    char *end = (char *)(numbers(&api) - 256) + 65536;
    cr_expect_eq(compare(end - 4, end - 4), 0);
    cr_expect_eq(get(&api, "calls"), 1);
    cr_expect_eq(compare(end - 4, end - 3), 0);
    cr_expect_eq(get(&api, "calls"), 1);
    api_close(&api);
}

Test(fn, stale_pointers_return_zero)
{
    struct api api;
    double (*mix)(int32_t, int64_t, float, double);
    int32_t (*negate)(int32_t);

    open_guest(&api);
    api_start(&api);
    negate = FN(int32_t (*)(int32_t), "negate", "i32(i32)");
    mix = FN(double (*)(int32_t, int64_t, float, double), "mix", "f64(i32, i64, f32, f64)");
    cr_expect_eq(negate(1), -1);
    cordon_fn_free(api.vm, (cordon_c_fn)negate);
    cr_expect_eq(negate(1), 0);
    cordon_fn_free(api.vm, (cordon_c_fn)negate);
    for (int i = 0; i < 1000; i++) {
        cordon_c_fn more = cordon_export_fn(api.vm, "half", "f32(f32)", &api.error);
        cr_assert(more != NULL);
        cr_expect_eq(((float (*)(float))more)(3), 1.5f);
        if (i % 3 != 0)
            cordon_fn_free(api.vm, more);
    }
    cr_expect_eq(mix(1, 2, 3, 4), 10.0);
    cordon_vm_free(api.vm);
    api.vm = NULL;
    cr_expect_eq(mix(1, 2, 3, 4), 0.0);
    cr_expect_not(page_is_both());
    api_close(&api);
}

Test(fn, signatures_that_do_not_fit_are_refused)
{
    static const char *const bad[] = {"i32(i32, i64)", "void(ptr<4>, ptr<4>)", "i32(str, str)",
                                      "i32(vm, i32, i32)", "i32(user, i32, i32)", "i32(",
                                      "i32(fn<void()>, i32)"};
    struct api api;

    open_guest(&api);
    api_start(&api);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect(cordon_export_fn(api.vm, "compare", bad[i], &api.error) == NULL, "%s", bad[i]);
        cr_expect_eq(api.error.kind, CORDON_MISUSE);
    }
    cr_expect(cordon_export_fn(api.vm, "nothing", "i32()", &api.error) == NULL);
    cr_expect_eq(api.error.kind, CORDON_NO_EXPORT);
    cr_expect_not(cordon_bind(api.linker, "env", "f", "void(fn<i32(str)>)", (void (*)(void))sort,
                              &api.error));
    cr_expect_not(cordon_bind(api.linker, "env", "f", "void(fn<i32(fn<void()>)>)",
                              (void (*)(void))sort, &api.error));
    cr_expect_not(cordon_bind(api.linker, "env", "f", "void(fn)", (void (*)(void))sort,
                              &api.error));
    api_close(&api);
}

static void *call_negate(void *context)
{
    int32_t (*negate)(int32_t) = (int32_t (*)(int32_t))(uintptr_t)context;

    return (void *)(intptr_t)negate(7);
}

static cordon_c_fn for_others;

static void ask_others(void *bytes, size_t size, compare_fn compare)
{
    pthread_t other;
    void *answer;

    (void)bytes, (void)size, (void)compare;
    cr_assert_eq(pthread_create(&other, NULL, call_negate, (void *)(uintptr_t)for_others), 0);
    pthread_join(other, &answer);
    cr_expect_null(answer);
    cr_expect_eq(((int32_t (*)(int32_t))for_others)(7), -7);
}

Test(fn, other_threads_are_refused_and_counted)
{
    struct api api;
    cordon_stats_t stats;

    open_guest(&api);
    cr_assert(cordon_bind(api.linker, "env", "sort", "void(buf, fn<i32(ptr<4>, ptr<4>)>)",
                          (void (*)(void))ask_others, &api.error));
    api_start(&api);
    for_others = cordon_export_fn(api.vm, "negate", "i32(i32)", &api.error);
    call_sort(&api, 1, 1);
    cordon_vm_stats(api.vm, &stats);
    cr_expect_eq(stats.foreign_calls, 1);
    cr_expect_eq((intptr_t)call_negate((void *)(uintptr_t)for_others), -7);
    cordon_ctl_stats(cordon_vm_ctl(api.vm), &stats);
    cr_expect_eq(stats.foreign_calls, 1);
    api_close(&api);
}

Test(fn, time_limits_hold_in_calls_from_outside)
{
    struct api api;

    open_guest(&api);
    cordon_config_limit(api.config, CORDON_CPU_TIME, 20000000, &api.error);
    api_start(&api);
    void (*spin)(void) = FN(void (*)(void), "spin", "void()");
    spin();
    cordon_vm_wait(api.vm, &api.result);
    cr_expect_eq(api.result.end, CORDON_END_QUOTA);
    cr_expect_eq(api.result.quota, CORDON_CPU_TIME);
    api_close(&api);
}

/* In a process of its own, which is locked when it has made one pointer. */
static int try_locked(void)
{
    const cordon_sandbox_t sandbox = {.is_best_effort = true};
    cordon_sandbox_report_t report;
    struct api api;

    open_guest(&api);
    api_start(&api);
    int32_t (*negate)(int32_t) = FN(int32_t (*)(int32_t), "negate", "i32(i32)");
    if (negate == NULL || !cordon_sandbox_enter(&sandbox, &report, &api.error))
        return 10;
    if (negate(3) != -3)
        return 11;
    cordon_host_t *host = cordon_host_new(&api.error);
    cordon_module_t *module =
        host != NULL ? cordon_module_load(host, guest, sizeof guest - 1, &api.error) : NULL;
    cordon_vm_t *vm = module != NULL
                          ? cordon_vm_new(host, module, api.linker, api.config, &api.error) : NULL;
    if (vm == NULL)
        return 12;
    if (cordon_export_fn(vm, "negate", "i32(i32)", &api.error) != NULL)
        return 13;
    return api.error.kind == CORDON_LOCKED ? 0 : 14;
}

Test(fn, a_locked_process_makes_none)
{
    int status;

    if (CN_IS_SANITIZED)
        cr_skip_test("sanitizers need what the sandbox takes away");
    pid_t child = fork();
    if (child == 0)
        _exit(try_locked());
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0, "%x", (unsigned)status);
}
