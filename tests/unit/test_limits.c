/* Limits that change while a guest runs or waits, in a thread of its own and on workers. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/cordon.h"

/* Writes "x" to standard output 1000 times, then exits with the last error. */
static const char writer[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_write\""
    "          (func $write (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (memory (export \"memory\") 1) (data (i32.const 0) \"\\10\\00\\00\\00\\01\\00\\00\\00\")"
    "  (func (export \"_start\") (local $i i32) (local $e i32)"
    "    (loop $l"
    "      (local.set $e (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
    "      (br_if $l (i32.and (i32.eqz (local.get $e)) (i32.lt_u"
    "        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000)))))"
    "    (call $exit (local.get $e))))";

/* Waits at 64 until it is not 0, then says by its exit code whether it could grow (1) and whether
 * it sees that it uses more than it may (2). */
static const char grower[] =
    "(module (import \"cordon\" \"quota_get\" (func $get (param i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (memory (export \"memory\") 100)"
    "  (func (export \"_start\")"
    "    (loop $l (drop (call $get (i32.const 0) (i32.const 0)))"
    "      (br_if $l (i64.eq (i64.load (i32.const 8)) (i64.const 67108864))))"
    "    (i32.store8 (i32.const 6000000) (i32.const 1))"
    "    (call $exit (i32.or (i32.ge_s (memory.grow (i32.const 1)) (i32.const 0))"
    "      (i32.shl (i64.gt_u (i64.load (i32.const 0)) (i64.load (i32.const 8)))"
    "        (i32.const 1))))))";

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_config_t *config;
    cordon_module_t *module;
    cordon_vm_t *vm;
    cordon_result_t result;
    cordon_error_t error;
    bool is_on_workers;
    pthread_t thread;
};

static void prepare(struct world *world, const char *text, bool is_on_workers)
{
    memset(world, 0, sizeof *world);
    world->is_on_workers = is_on_workers;
    world->host = cordon_host_new(&world->error);
    world->linker = cordon_linker_new(world->host, &world->error);
    cordon_linker_allow_wasi(world->linker);
    world->config = cordon_config_new(&world->error);
    cr_assert(cordon_config_stdio(world->config, 1, open("/dev/null", 1), &world->error));
    cordon_host_translation(world->host, CORDON_TRANSLATE_EAGER);
    world->module = cordon_module_load(world->host, text, strlen(text), &world->error);
    cr_assert_not_null(world->module, "%s", world->error.message);
    if (is_on_workers)
        cr_assert(cordon_host_start(world->host, 2, &world->error), "%s", world->error.message);
}

static void *run(void *context)
{
    struct world *world = context;

    cordon_vm_run(world->vm, &world->result, &world->error);
    return NULL;
}

static cordon_ctl_t *start(struct world *world)
{
    world->vm = cordon_vm_new(world->host, world->module, world->linker, world->config,
                              &world->error);
    cr_assert_not_null(world->vm, "%s", world->error.message);
    if (world->is_on_workers)
        cr_assert(cordon_vm_start(world->vm, NULL, NULL, &world->error));
    else
        pthread_create(&world->thread, NULL, run, world);
    return cordon_vm_ctl(world->vm);
}

static void finish(struct world *world)
{
    if (world->is_on_workers)
        cordon_vm_wait(world->vm, &world->result);
    else
        pthread_join(world->thread, NULL);
    cordon_vm_free(world->vm);
    cordon_config_free(world->config);
    cordon_module_free(world->module);
    cordon_linker_free(world->linker);
    cordon_host_free(world->host);
}

static uint64_t used(cordon_ctl_t *ctl, cordon_quota_t quota)
{
    cordon_stats_t stats;

    cordon_ctl_stats(ctl, &stats);
    return stats.used[quota];
}

static uint64_t refused(cordon_ctl_t *ctl, cordon_quota_t quota)
{
    cordon_stats_t stats;

    cordon_ctl_stats(ctl, &stats);
    return stats.refused[quota];
}

static void rate_changes_under_a_waiting_guest(bool is_on_workers)
{
    struct world world;

    prepare(&world, writer, is_on_workers);
    cordon_config_limit(world.config, CORDON_LOG_RATE, 0, &world.error);
    cordon_ctl_t *ctl = start(&world);
    while (refused(ctl, CORDON_LOG_RATE) == 0)
        usleep(1000);
    cr_expect_eq(used(ctl, CORDON_LOG_RATE), 0);
    cr_expect(cordon_ctl_limit(ctl, CORDON_LOG_RATE, 1));
    while (used(ctl, CORDON_LOG_RATE) == 0)
        usleep(1000);
    cr_expect_leq(used(ctl, CORDON_LOG_RATE), 100);
    cr_expect(cordon_ctl_limit(ctl, CORDON_LOG_RATE, CORDON_UNLIMITED));
    finish(&world);
    cr_expect_eq(world.result.end, CORDON_END_EXIT, "%s", world.result.message);
    cr_expect_eq(world.result.exit_code, 0);
}

Test(limits, a_rate_changes_under_a_waiting_guest)
{
    rate_changes_under_a_waiting_guest(false);
}

Test(limits, a_rate_changes_under_a_waiting_guest_on_workers)
{
    rate_changes_under_a_waiting_guest(true);
}

Test(limits, a_guest_that_waits_for_a_rate_can_be_killed)
{
    for (int i = 0; i < 2; i++) {
        struct world world;
        prepare(&world, writer, i);
        cordon_config_limit(world.config, CORDON_LOG_RATE, 0, &world.error);
        cordon_ctl_t *ctl = start(&world);
        while (refused(ctl, CORDON_LOG_RATE) == 0)
            usleep(1000);
        cordon_ctl_pause(ctl);
        cordon_ctl_resume(ctl);
        cordon_ctl_kill(ctl, 9);
        finish(&world);
        cr_expect_eq(world.result.end, CORDON_END_KILLED);
    }
}

Test(limits, less_memory_than_is_in_use_takes_nothing_away)
{
    for (int i = 0; i < 2; i++) {
        struct world world;
        prepare(&world, grower, i);
        cordon_config_limit(world.config, CORDON_MEMORY, 64 << 20, &world.error);
        cordon_ctl_t *ctl = start(&world);
        while (used(ctl, CORDON_MEMORY) == 0)
            usleep(1000);
        cr_expect(cordon_ctl_limit(ctl, CORDON_MEMORY, 1 << 20));
        finish(&world);
        cr_expect_eq(world.result.end, CORDON_END_EXIT, "%s", world.result.message);
        cr_expect_eq(world.result.exit_code, 2, "it cannot grow, and knows why: %d",
                     world.result.exit_code);
    }
}
