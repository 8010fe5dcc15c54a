/* Running in steps: the same as without, whatever the steps, and a descriptor that tells when. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "include/cordon.h"

#define MS 1000000ull
#define ALL CORDON_UNLIMITED

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_module_t *module;
    cordon_config_t *config;
    cordon_vm_t *vm;
    cordon_error_t error;
    cordon_result_t result;
    cordon_step_t step;
    cordon_token_t token;
};

static bool ask(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct world *world = user;

    (void)slots;
    world->token = cordon_vm_pend(vm);
    return true;
}

static void open_world(struct world *world, const char *text)
{
    memset(world, 0, sizeof *world);
    world->host = cordon_host_new(&world->error);
    world->linker = cordon_linker_new(world->host, &world->error);
    world->config = cordon_config_new(&world->error);
    cordon_linker_allow_wasi(world->linker);
    world->module = cordon_module_load(world->host, text, strlen(text), &world->error);
    cr_assert_not_null(world->module, "%s", world->error.message);
    cr_assert(cordon_bind_raw(world->linker, "env", "ask", "i32()", ask, world, &world->error));
}

static void make(struct world *world)
{
    world->vm = cordon_vm_new(world->host, world->module, world->linker, world->config,
                              &world->error);
    cr_assert_not_null(world->vm, "%s", world->error.message);
}

static void close_world(struct world *world)
{
    cordon_vm_free(world->vm);
    cordon_config_free(world->config);
    cordon_linker_free(world->linker);
    cordon_module_free(world->module);
    cordon_host_free(world->host);
}

static cordon_state_t step(struct world *world, uint64_t fuel, uint64_t ns)
{
    cordon_state_t state = cordon_vm_step(world->vm, fuel, ns, &world->step);

    cr_expect_eq(state, world->step.state);
    return state;
}

static void begin(struct world *world, const char *name)
{
    cr_assert(cordon_vm_begin(world->vm, name, NULL, 0, &world->error), "%s",
              world->error.message);
}

/* Steps of that fuel until it is over; at no time has more been used than was given. */
static uint64_t run(struct world *world, uint64_t fuel)
{
    uint64_t given = 0, used = 0;
    cordon_state_t state;

    do {
        given = fuel == ALL ? ALL : given + fuel;
        state = step(world, fuel, ALL);
        used += world->step.fuel;
        cr_assert_leq(used, given);
        cr_assert_neq(state, CORDON_WAIT);
    } while (state == CORDON_AGAIN);
    return used;
}

static bool is_readable(int descriptor, int ms)
{
    struct pollfd entry = {.fd = descriptor, .events = POLLIN};

    return poll(&entry, 1, ms) == 1;
}

/* ------------------------------------------------------------------ the same */

/* Some of everything: a start function, calls, branches, memory, bulk operations. */
static const char computes[] =
    "(module (memory (export \"memory\") 1) (global $g (mut i32) (i32.const 0)) (start $s)"
    "  (func $s (global.set $g (i32.const 3)))"
    "  (func $f (param $n i32) (result i32)"
    "    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2)) (then (local.get $n))"
    "      (else (i32.add (call $f (i32.sub (local.get $n) (i32.const 1)))"
    "                     (call $f (i32.sub (local.get $n) (i32.const 2)))))))"
    "  (func (export \"f\") (param $n i32) (param $m i64) (result i64) (local $i i32)"
    "    (memory.fill (i32.const 100) (i32.const 7) (i32.const 300))"
    "    (loop $l (i32.store (local.get $i) (call $f (local.get $i)))"
    "      (memory.copy (i32.const 400) (i32.const 0) (local.get $i))"
    "      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
    "        (local.get $n))))"
    "    (i64.add (local.get $m) (i64.extend_i32_u (i32.add (global.get $g)"
    "      (i32.add (i32.load (i32.const 9)) (i32.load (i32.const 403))))))))";

static uint64_t compute(uint64_t fuel, bool everywhere, int64_t *answer)
{
    struct world world;
    cordon_value_t arguments[] = {{.type = CORDON_I32, .i32 = 12}, {.type = CORDON_I64, .i64 = 5}};
    cordon_value_t result = {0};

    open_world(&world, computes);
    cordon_config_test_mode(world.config, everywhere, false, false);
    make(&world);
    cr_assert(cordon_vm_begin(world.vm, "f", arguments, 2, &world.error));
    uint64_t used = run(&world, fuel);
    cr_assert(cordon_vm_end(world.vm, &result, 1, &world.result, &world.error));
    cr_expect_eq(world.result.end, CORDON_END_RETURN);
    cr_expect_eq(result.type, CORDON_I64);
    *answer = result.i64;
    close_world(&world);
    return used;
}

Test(step, steps_of_any_size_do_the_same, .timeout = 100)
{
    struct world world;
    cordon_value_t arguments[] = {{.type = CORDON_I32, .i32 = 12}, {.type = CORDON_I64, .i64 = 5}};
    cordon_value_t wanted;
    cordon_stats_t stats;
    int64_t answer;

    open_world(&world, computes);
    make(&world);
    cr_assert(cordon_vm_invoke(world.vm, "f", arguments, 2, &wanted, 1, &world.result,
                               &world.error));
    cordon_vm_stats(world.vm, &stats);
    close_world(&world);
    for (uint64_t fuel = 1; fuel <= 40; fuel++) {
        cr_assert_eq(compute(fuel, false, &answer), stats.fuel, "by steps of %d", (int)fuel);
        cr_assert_eq(answer, wanted.i64);
    }
    for (uint64_t fuel = 50; fuel < 4 * stats.fuel; fuel = fuel * 3 / 2) {
        cr_assert_eq(compute(fuel, false, &answer), stats.fuel);
        cr_assert_eq(answer, wanted.i64);
        cr_assert_eq(compute(fuel, true, &answer), stats.fuel, "stopping everywhere");
        cr_assert_eq(answer, wanted.i64);
    }
    cr_assert_eq(compute(ALL, false, &answer), stats.fuel);
    cr_assert_eq(answer, wanted.i64);
}

/* Three threads write down who runs when. */
static const char races[] =
    "(module (import \"env\" \"memory\" (memory 2 2 shared))"
    "  (import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))"
    "  (export \"memory\" (memory 0))"
    "  (func $write (param $who i32) (local $n i32)"
    "    (loop $l"
    "      (i32.store8 (i32.add (i32.const 1024)"
    "          (i32.atomic.rmw.add (i32.const 0) (i32.const 1))) (local.get $who))"
    "      (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))"
    "        (i32.const 30000))))"
    "    (drop (i32.atomic.rmw.add (i32.const 4) (i32.const 1))))"
    "  (func (export \"wasi_thread_start\") (param i32 i32) (call $write (local.get 1)))"
    "  (func (export \"_start\") (drop (call $spawn (i32.const 2)))"
    "    (drop (call $spawn (i32.const 3))) (call $write (i32.const 1))"
    "    (loop $l (br_if $l (i32.lt_u (i32.atomic.load (i32.const 4)) (i32.const 3))))))";

static uint64_t hash_of_race(uint64_t fuel)
{
    struct world world;
    uint64_t size, hash = 0xcbf29ce484222325;

    open_world(&world, races);
    make(&world);
    begin(&world, NULL);
    hash += run(&world, fuel);
    cr_assert(cordon_vm_end(world.vm, NULL, 0, &world.result, &world.error));
    cr_assert_eq(world.result.end, CORDON_END_RETURN, "%s", world.result.message);
    const uint8_t *bytes = cordon_vm_memory_of(world.vm, "memory", &size);
    int changes = 0;
    for (uint64_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    for (uint64_t i = 1025; i < 1024 + 90000; i++)
        changes += bytes[i] != bytes[i - 1];
    cr_assert_gt(changes, 3, "they take turns");
    close_world(&world);
    return hash;
}

Test(step, threads_take_the_same_turns_whatever_the_steps, .timeout = 100)
{
    uint64_t wanted = hash_of_race(ALL);

    for (uint64_t fuel = 37; fuel < 2000000; fuel *= 7)
        cr_assert_eq(hash_of_race(fuel), wanted, "by steps of %d", (int)fuel);
    cr_assert_eq(hash_of_race(200000), wanted);
    cr_assert_eq(hash_of_race(1000000), wanted);
}

/* ------------------------------------------------------------------ ends and bounds */

static const char spins[] = "(module (func (export \"_start\") (loop $l (br $l))))";

Test(step, time_ends_a_step_too, .timeout = 20)
{
    struct world world;

    open_world(&world, spins);
    make(&world);
    begin(&world, NULL);
    int descriptor = cordon_vm_descriptor(world.vm, &world.error);
    cr_expect(is_readable(descriptor, 10000), "the first step is due");
    cr_expect_eq(step(&world, ALL, 2 * MS), CORDON_AGAIN);
    cr_expect(is_readable(descriptor, 10000), "so is the next");
    cr_expect_gt(world.step.fuel, 0);
    cr_expect_eq(step(&world, 1000, ALL), CORDON_AGAIN);
    cr_expect_leq(world.step.fuel, 1000);
    cr_expect_eq(step(&world, 0, ALL), CORDON_AGAIN);
    cordon_ctl_kill(cordon_vm_ctl(world.vm), 15);
    cr_expect_eq(step(&world, ALL, ALL), CORDON_OVER);
    cr_expect_not(is_readable(descriptor, 0));
    cr_assert(cordon_vm_end(world.vm, NULL, 0, &world.result, &world.error));
    cr_expect_eq(world.result.end, CORDON_END_KILLED);
    begin(&world, NULL);
    cr_expect_eq(step(&world, ALL, ALL), CORDON_OVER, "nothing runs any more");
    close_world(&world);
}

static void *kill_soon(void *context)
{
    nanosleep(&(struct timespec){0, 20 * MS}, NULL);
    cordon_ctl_kill(context, 9);
    return NULL;
}

Test(step, a_step_without_bounds_can_be_killed, .timeout = 20)
{
    struct world world;
    pthread_t thread;

    open_world(&world, spins);
    make(&world);
    begin(&world, NULL);
    cr_assert_eq(pthread_create(&thread, NULL, kill_soon, cordon_vm_ctl(world.vm)), 0);
    cr_expect_eq(step(&world, ALL, ALL), CORDON_OVER);
    pthread_join(thread, NULL);
    close_world(&world);
}

Test(step, quotas_hold, .timeout = 20)
{
    struct world world;
    uint64_t used = 0;

    open_world(&world, spins);
    cr_assert(cordon_config_limit(world.config, CORDON_FUEL, 10000, &world.error));
    make(&world);
    begin(&world, NULL);
    while (step(&world, 333, ALL) == CORDON_AGAIN)
        used += world.step.fuel;
    cr_expect_leq(used, 10000);
    cr_assert(cordon_vm_end(world.vm, NULL, 0, &world.result, &world.error));
    cr_expect_eq(world.result.end, CORDON_END_QUOTA);
    cr_expect_eq(world.result.quota, CORDON_FUEL);
    close_world(&world);
}

/* The host function calls the guest, which cannot be suspended beneath it. */
static bool ask_the_guest(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct world *world = user;
    cordon_value_t result = {0};
    cordon_result_t how;

    cr_expect_eq(cordon_vm_step(vm, ALL, ALL, NULL), CORDON_OVER, "not from here");
    cr_assert(cordon_vm_invoke(vm, "long", NULL, 0, &result, 1, &how, &world->error));
    slots[0] = (uint32_t)result.i32;
    return true;
}

static const char nests[] =
    "(module (import \"env\" \"nest\" (func $nest (result i32)))"
    "  (func (export \"long\") (result i32) (local $n i32)"
    "    (loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))"
    "      (i32.const 1000))))"
    "    (local.get $n))"
    "  (func (export \"f\") (result i32) (i32.add (call $nest) (call $nest))))";

Test(step, what_cannot_stop_is_owed, .timeout = 30)
{
    struct world world;
    uint64_t wanted = 0;

    for (uint64_t fuel = 100000; fuel > 0; fuel /= 7) {
        cordon_value_t result = {0};
        uint64_t given = 0, used = 0;
        open_world(&world, nests);
        cr_assert(cordon_bind_raw(world.linker, "env", "nest", "i32()", ask_the_guest, &world,
                                  &world.error));
        make(&world);
        begin(&world, "f");
        while (step(&world, fuel, ALL) == CORDON_AGAIN) {
            given += fuel;
            used += world.step.fuel;
        }
        used += world.step.fuel;
        cr_assert(cordon_vm_end(world.vm, &result, 1, &world.result, &world.error));
        cr_expect_eq(world.result.end, CORDON_END_RETURN, "%s", world.result.message);
        cr_expect_eq(result.i32, 2000);
        wanted = wanted == 0 ? used : wanted;
        cr_expect_eq(used, wanted);
        /* The last of the two calls may have left a debt, and no other. */
        cr_expect_leq(used, given + fuel + wanted / 2, "steps of %d", (int)fuel);
        close_world(&world);
    }
}

Test(step, says_what_is_used_wrongly, .timeout = 20)
{
    struct world world;

    open_world(&world, computes);
    make(&world);
    cr_expect_eq(step(&world, ALL, ALL), CORDON_OVER, "nothing was begun");
    cr_expect_not(cordon_vm_end(world.vm, NULL, 0, &world.result, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_vm_begin(world.vm, "g", NULL, 0, &world.error));
    cr_expect_eq(world.error.kind, CORDON_NO_EXPORT);
    cr_expect_not(cordon_vm_begin(world.vm, "f", NULL, 0, &world.error), "arguments");
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    close_world(&world);

    open_world(&world, spins);
    make(&world);
    begin(&world, NULL);
    cr_expect_not(cordon_vm_begin(world.vm, NULL, NULL, 0, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_vm_run(world.vm, &world.result, &world.error));
    cr_expect_not(cordon_vm_invoke(world.vm, "_start", NULL, 0, NULL, 0, &world.result,
                                   &world.error));
    cr_expect_eq(step(&world, 100, ALL), CORDON_AGAIN);
    cr_expect_not(cordon_vm_end(world.vm, NULL, 0, &world.result, &world.error));
    cr_assert(cordon_host_start(world.host, 1, &world.error));
    cr_expect_not(cordon_vm_start(world.vm, NULL, NULL, &world.error));
    close_world(&world);
}

/* ------------------------------------------------------------------ waiting */

#define POLL                                                                                       \
    "(import \"wasi_snapshot_preview1\" \"poll_oneoff\""                                           \
    "  (func $poll (param i32 i32 i32 i32) (result i32)))"
#define READ                                                                                       \
    "(import \"wasi_snapshot_preview1\" \"fd_read\""                                               \
    "  (func $read (param i32 i32 i32 i32) (result i32)))"

static const char sleeps[] =
    "(module " POLL " (memory (export \"memory\") 1)"
    "  (func (export \"_start\")"
    "    (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 30000000))"
    "    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))";

/* Waits by the descriptor alone, as a loop would. */
static void drive(struct world *world)
{
    int descriptor = cordon_vm_descriptor(world->vm, &world->error), waits = 0;

    cr_assert_geq(descriptor, 0);
    while (step(world, ALL, ALL) != CORDON_OVER) {
        cr_assert_eq(world->step.state, CORDON_WAIT);
        cr_assert(is_readable(descriptor, 10000), "nobody tells");
        cr_assert_lt(++waits, 20, "it is readable for nothing");
    }
    cr_expect_gt(waits, 0);
    cr_assert(cordon_vm_end(world->vm, NULL, 0, &world->result, &world->error));
}

Test(step, a_sleep_is_waited_for, .timeout = 30)
{
    struct world world;

    open_world(&world, sleeps);
    make(&world);
    begin(&world, NULL);
    drive(&world);
    cr_expect_eq(world.result.end, CORDON_END_RETURN);
    close_world(&world);
}

Test(step, a_timeout_is_waited_for, .timeout = 30)
{
    static const char text[] = "(module (import \"env\" \"ask\" (func $ask (result i32)))"
                               "  (func (export \"_start\") (drop (call $ask))))";
    struct world world;

    open_world(&world, text);
    cr_assert(cordon_config_limit(world.config, CORDON_TIMEOUT, 30 * MS, &world.error));
    make(&world);
    begin(&world, NULL);
    drive(&world);
    cr_expect_eq(world.result.end, CORDON_END_QUOTA);
    cr_expect_eq(world.result.quota, CORDON_TIMEOUT);
    close_world(&world);
}

Test(step, input_is_waited_for, .timeout = 30)
{
    static const char text[] =
        "(module " READ " (memory (export \"memory\") 1)"
        "  (func (export \"_start\") (i32.store (i32.const 0) (i32.const 64))"
        "    (i32.store (i32.const 4) (i32.const 10))"
        "    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))))";
    struct world world;
    uint64_t size;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    open_world(&world, text);
    cr_assert(cordon_config_stdio(world.config, 0, ends[0], &world.error));
    make(&world);
    begin(&world, NULL);
    int descriptor = cordon_vm_descriptor(world.vm, &world.error);
    cr_expect_eq(step(&world, ALL, ALL), CORDON_WAIT);
    cr_expect_eq(world.step.until_ns, ALL);
    cr_expect_not(is_readable(descriptor, 20));
    cr_assert_eq(write(ends[1], "hello", 5), 5);
    cr_expect(is_readable(descriptor, 10000));
    cr_expect_eq(step(&world, ALL, ALL), CORDON_OVER);
    cr_expect_eq(memcmp((char *)cordon_vm_memory(world.vm, &size) + 64, "hello", 5), 0);
    close_world(&world);
    close(ends[0]);
    close(ends[1]);
}

static const char asks[] =
    "(module (import \"env\" \"ask\" (func $ask (result i32)))"
    "  (func (export \"f\") (result i32) (i32.add (call $ask) (call $ask))))";

static void *complete_soon(void *context)
{
    struct world *world = context;
    cordon_value_t answer = {.type = CORDON_I32, .i32 = 20};
    cordon_error_t error;

    nanosleep(&(struct timespec){0, 10 * MS}, NULL);
    cr_expect(cordon_complete(world->host, world->token, &answer, &error));
    return NULL;
}

Test(step, a_host_function_is_waited_for, .timeout = 30)
{
    struct world world;
    pthread_t thread;
    cordon_value_t result = {0};

    open_world(&world, asks);
    make(&world);
    begin(&world, "f");
    int descriptor = cordon_vm_descriptor(world.vm, &world.error);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(step(&world, 1000, ALL), CORDON_WAIT);
        cr_expect_eq(step(&world, 1000, ALL), CORDON_WAIT, "which does no harm");
        cr_expect_not(is_readable(descriptor, 0));
        cr_assert_eq(pthread_create(&thread, NULL, complete_soon, &world), 0);
        cr_assert(is_readable(descriptor, 10000));
        pthread_join(thread, NULL);
    }
    cr_expect_eq(step(&world, 1000, ALL), CORDON_OVER);
    cr_assert(cordon_vm_end(world.vm, &result, 1, &world.result, &world.error));
    cr_expect_eq(result.i32, 40);
    close_world(&world);
}

Test(step, a_paused_vm_waits_to_be_resumed, .timeout = 30)
{
    struct world world;

    open_world(&world, spins);
    make(&world);
    begin(&world, NULL);
    int descriptor = cordon_vm_descriptor(world.vm, &world.error);
    cr_expect_eq(step(&world, 1000, ALL), CORDON_AGAIN);
    cordon_ctl_pause(cordon_vm_ctl(world.vm));
    cr_expect_eq(step(&world, 1000, ALL), CORDON_WAIT);
    cr_expect_eq(world.step.fuel, 0);
    cr_expect_not(is_readable(descriptor, 0));
    cordon_ctl_resume(cordon_vm_ctl(world.vm));
    cr_expect(is_readable(descriptor, 10000));
    cr_expect_eq(step(&world, 1000, ALL), CORDON_AGAIN);
    cordon_ctl_pause(cordon_vm_ctl(world.vm));
    cr_expect_eq(step(&world, 1000, ALL), CORDON_WAIT);
    cordon_ctl_kill(cordon_vm_ctl(world.vm), 9);
    cr_expect(is_readable(descriptor, 10000));
    cr_expect_eq(step(&world, 1000, ALL), CORDON_OVER);
    close_world(&world);
}

/* Many in one loop, of which some are freed in the middle. */
Test(step, many_run_in_turns, .timeout = 60)
{
    enum { COUNT = 50 };
    struct world world;
    cordon_vm_t *vms[COUNT];
    cordon_value_t arguments[] = {{.type = CORDON_I32, .i32 = 9}, {.type = CORDON_I64, .i64 = 0}};
    int over = 0;

    cordon_value_t wanted;

    open_world(&world, computes);
    make(&world);
    cr_assert(cordon_vm_invoke(world.vm, "f", arguments, 2, &wanted, 1, &world.result,
                               &world.error));
    cordon_vm_free(world.vm);
    for (int i = 0; i < COUNT; i++) {
        make(&world);
        vms[i] = world.vm;
        arguments[1].i64 = i;
        cr_assert(cordon_vm_begin(vms[i], "f", arguments, 2, &world.error));
    }
    for (int i = 0; i < COUNT; i += 10) {
        cordon_vm_step(vms[i], 100, ALL, NULL);
        cordon_vm_free(vms[i]);
        vms[i] = NULL;
        over++;
    }
    while (over < COUNT) {
        for (int i = 0; i < COUNT; i++) {
            cordon_value_t result = {0};
            if (vms[i] == NULL || cordon_vm_step(vms[i], 100, ALL, NULL) != CORDON_OVER)
                continue;
            cr_assert(cordon_vm_end(vms[i], &result, 1, &world.result, &world.error));
            cr_expect_eq(result.i64, wanted.i64 + i);
            cordon_vm_free(vms[i]);
            vms[i] = NULL;
            over++;
        }
    }
    world.vm = NULL;
    close_world(&world);
}
