/* Threads that guests spawn: `cordon run`'s way, and on a host's workers. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "include/cordon.h"

#define IMPORTS                                                                                    \
    "(import \"env\" \"memory\" (memory 1 16 shared))"                                             \
    "(import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))"                    \
    "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"                   \
    "(import \"wasi_snapshot_preview1\" \"poll_oneoff\""                                           \
    "  (func $poll (param i32 i32 i32 i32) (result i32)))"
#define THREAD(body)                                                                               \
    "(func (export \"wasi_thread_start\") (param $tid i32) (param $arg i32)" body ")"
#define MAIN(locals, body) "(func (export \"_start\") " locals " " body ")"
#define ADD(address) "(drop (i32.atomic.rmw.add (i32.const " address ") (i32.const 1)))"
/* Sleeps in the host, as long as the i64 says, with a place of its own for the subscription. */
#define SLEEP(tid, ns)                                                                             \
    "(i32.store (i32.add (i32.const 1040) (i32.mul " tid " (i32.const 128))) (i32.const 1))"       \
    "(i64.store (i32.add (i32.const 1048) (i32.mul " tid " (i32.const 128))) " ns ")"              \
    "(drop (call $poll (i32.add (i32.const 1024) (i32.mul " tid " (i32.const 128)))"               \
    "  (i32.add (i32.const 1072) (i32.mul " tid " (i32.const 128)))"                               \
    "  (i32.const 1) (i32.const 32)))"
/* Until the i32 at address 4 is that many. */
#define JOIN(count)                                                                                \
    "(loop $w (local.set $seen (i32.atomic.load (i32.const 4)))"                                   \
    "  (if (i32.lt_u (local.get $seen) (i32.const " count ")) (then"                               \
    "    (drop (memory.atomic.wait32 (i32.const 4) (local.get $seen) (i64.const -1))) (br $w))))"
#define LEAVE ADD("4") "(drop (memory.atomic.notify (i32.const 4) (i32.const -1)))"
#define SPAWN(count, argument)                                                                     \
    "(loop $l (if (i32.le_s (call $spawn (i32.const " argument ")) (i32.const 0))"                 \
    "    (then (call $exit (i32.const 99))))"                                                      \
    "  (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))"                  \
    "    (i32.const " count "))))"
#define LOCALS "(local $n i32) (local $seen i32)"

static cordon_error_t error;

/* Runs the text as a program, on a host's workers or on this thread. */
static cordon_result_t run(const char *text, uint32_t workers, cordon_quota_t quota,
                           uint64_t limit, cordon_stats_t *stats)
{
    cordon_result_t result;
    cordon_host_t *host = cordon_host_new(&error);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_config_t *config = cordon_config_new(&error);
    cordon_linker_allow_wasi(linker);
    cordon_module_t *module = cordon_module_load(host, text, strlen(text), &error);
    cr_assert_not_null(module, "%s", error.message);
    if (quota != CORDON_QUOTA_COUNT)
        cr_assert(cordon_config_limit(config, quota, limit, &error));
    cordon_vm_t *vm = cordon_vm_new(host, module, linker, config, &error);
    cr_assert_not_null(vm, "%s", error.message);
    cordon_config_free(config);
    if (workers > 0) {
        cr_assert(cordon_host_start(host, workers, &error));
        cr_assert(cordon_vm_start(vm, NULL, NULL, &error));
        cordon_vm_wait(vm, &result);
    } else {
        cr_assert(cordon_vm_run(vm, &result, &error));
    }
    if (stats != NULL)
        cordon_vm_stats(vm, stats);
    cordon_vm_free(vm);
    cordon_module_free(module);
    cordon_linker_free(linker);
    cordon_host_free(host);
    return result;
}

/* Counts, each in its own instance, sleeps in the host and leaves. */
static const char many[] =
    "(module " IMPORTS
    "(global $mine (mut i32) (i32.const 0)) (start $init) (func $init " ADD("16") ")"
    THREAD("(local $i i32)"
           "(if (global.get $mine) (then unreachable)) (global.set $mine (i32.const 7))"
           "(loop $l " ADD("0")
           "  (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
           "    (local.get $arg))))"
           SLEEP("(local.get $tid)", "(i64.mul (i64.extend_i32_u (i32.sub (i32.const 21)"
                                     " (local.get $tid))) (i64.const 2000000))") LEAVE)
    MAIN(LOCALS, SPAWN("20", "20000") JOIN("20")
         "(if (i32.ne (i32.load (i32.const 0)) (i32.const 400000))"
         "  (then (call $exit (i32.const 98))))"
         "(if (i32.ne (i32.load (i32.const 16)) (i32.const 21)) (then (call $exit (i32.const 97))))"
         "(call $exit (i32.const 5))") ")";

Test(threads, work_side_by_side, .timeout = 60)
{
    for (uint32_t workers = 0; workers < 4; workers++) {
        cordon_stats_t stats;
        cordon_result_t result = run(many, workers, CORDON_QUOTA_COUNT, 0, &stats);
        cr_expect_eq(result.end, CORDON_END_EXIT, "%s", result.message);
        cr_expect_eq(result.exit_code, 5);
        cr_expect_eq(stats.peak[CORDON_THREADS], 20);
    }
}

Test(threads, are_refused_by_quotas)
{
    cr_expect_eq(run(many, 0, CORDON_THREADS, 19, NULL).exit_code, 99);
    cr_expect_eq(run(many, 0, CORDON_THREADS, 0, NULL).exit_code, 99);
    cr_expect_eq(run(many, 0, CORDON_MEMORY, 1 << 20, NULL).exit_code, 99);
}

/* Ten thousand, one after the other: what they had is given back. */
static const char sequence[] =
    "(module " IMPORTS "(table 100 funcref)"
    THREAD(LEAVE)
    MAIN("(local $n i32) (local $seen i32)",
         "(loop $l (if (i32.le_s (call $spawn (i32.const 0)) (i32.const 0))"
         "    (then (call $exit (i32.const 99))))"
         "  (loop $w (local.set $seen (i32.atomic.load (i32.const 4)))"
         "    (if (i32.le_u (local.get $seen) (local.get $n)) (then"
         "      (drop (memory.atomic.wait32 (i32.const 4) (local.get $seen) (i64.const -1)))"
         "      (br $w))))"
         "  (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))"
         "    (i32.const 10000))))") ")";

Test(threads, give_everything_back, .timeout = 60)
{
    cordon_stats_t stats;
    cordon_result_t result = run(sequence, 0, CORDON_MEMORY, 1 << 20, &stats);

    cr_expect_eq(result.end, CORDON_END_RETURN, "%d %s", result.exit_code, result.message);
    cr_expect_leq(stats.used[CORDON_THREADS], 2);
    cr_expect_leq(stats.peak[CORDON_THREADS], 2);
}

static cordon_result_t run_thread(const char *body, const char *main_body, cordon_quota_t quota,
                                  uint64_t limit)
{
    char text[4000];

    snprintf(text, sizeof text, "(module " IMPORTS
             "(func (export \"wasi_thread_start\") (param $tid i32) (param $arg i32) %s)"
             "(func (export \"_start\") (drop (call $spawn (i32.const 1))) %s))", body, main_body);
    return run(text, 2, quota, limit, NULL);
}

#define FOR_EVER "(loop $l (br $l))"
#define SLEEP_FOR_EVER "(drop (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const -1)))"

Test(threads, end_the_program_by_trap_and_exit, .timeout = 20)
{
    cordon_result_t result = run_thread("unreachable", SLEEP_FOR_EVER, CORDON_QUOTA_COUNT, 0);
    cr_expect_eq(result.end, CORDON_END_TRAP);
    cr_expect_eq(result.frame_count, 1);
    cr_expect_eq(result.frames[0].index, 3, "the thread's own frame, not that of the first");
    result = run_thread("(call $exit (i32.const 3))", FOR_EVER, CORDON_QUOTA_COUNT, 0);
    cr_expect_eq(result.exit_code, 3);
}

Test(threads, end_with_the_first_one, .timeout = 20)
{
    cr_expect_eq(run_thread(FOR_EVER, "", CORDON_QUOTA_COUNT, 0).end, CORDON_END_RETURN);
    cr_expect_eq(run_thread(SLEEP_FOR_EVER, "", CORDON_QUOTA_COUNT, 0).end, CORDON_END_RETURN);
}

Test(threads, that_all_sleep_are_ended_by_time, .timeout = 20)
{
    cordon_result_t result =
        run_thread(SLEEP_FOR_EVER, SLEEP_FOR_EVER, CORDON_TIMEOUT, 50000000);
    cr_expect_eq(result.end, CORDON_END_QUOTA);
    cr_expect_eq(result.quota, CORDON_TIMEOUT);
    result = run_thread("", SLEEP_FOR_EVER, CORDON_TIMEOUT, 50000000);
    cr_expect_eq(result.quota, CORDON_TIMEOUT);
}

/* One that never stops does not keep others from running or from being woken by the host. */
Test(threads, take_turns_with_one_that_never_waits, .timeout = 20)
{
    cordon_result_t result = run_thread(FOR_EVER, SLEEP("(i32.const 0)", "(i64.const 20000000)")
                                        "(call $exit (i32.const 4))", CORDON_QUOTA_COUNT, 0);
    cr_expect_eq(result.exit_code, 4);
}

Test(threads, need_an_entry)
{
    static const char text[] = "(module " IMPORTS MAIN("",
        "(call $exit (i32.sub (i32.const 0) (call $spawn (i32.const 1))))") ")";

    cr_expect_eq(run(text, 0, CORDON_QUOTA_COUNT, 0, NULL).exit_code, 52);
}

Test(threads, share_only_memories_that_are_shared)
{
    static const char text[] = "(module (import \"env\" \"memory\" (memory 1)))";
    cordon_host_t *host = cordon_host_new(&error);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_config_t *config = cordon_config_new(&error);
    cordon_linker_allow_wasi(linker);
    cordon_module_t *module = cordon_module_load(host, text, strlen(text), &error);

    cr_expect_null(cordon_vm_new(host, module, linker, config, &error));
    cr_expect_eq(error.kind, CORDON_LINK);
    cordon_module_free(module);
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_host_free(host);
}
