/* A whole host on the caller's thread: its queue deals out the turns, a descriptor says when. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "include/cordon.h"

#define MS 1000000ull
#define VMS_MAX 8

struct guest {
    cordon_vm_t *vm;
    cordon_result_t result;
    int ended; /* so often it was said to have */
};

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_module_t *module;
    struct guest guests[VMS_MAX];
    int count;
    cordon_token_t token;
    cordon_state_t within; /* what a step within a step says */
    cordon_error_t error;
};

static const char spins[] = "(module (func (export \"_start\") (loop $l (br $l))))";
static const char asks[] =
    "(module (import \"env\" \"ask\" (func $ask (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (func (export \"_start\") (call $exit (call $ask))))";
/* Sleeps for 30 ms, reads a byte from standard input, and exits with what that was. */
static const char reads[] =
    "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_read\""
    "    (func $read (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"poll_oneoff\""
    "    (func $poll (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (data (i32.const 0) \"\\40\\00\\00\\00\\01\\00\\00\\00\")"
    "  (data (i32.const 136) \"\\00\\00\\00\\00\\00\\00\\00\\00\\01\\00\\00\\00\\00\\00\\00\\00"
    "\\80\\c3\\c9\\01\\00\\00\\00\\00\")"
    "  (func (export \"_start\")"
    "    (drop (call $poll (i32.const 128) (i32.const 192) (i32.const 1) (i32.const 256)))"
    "    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))"
    "    (call $exit (i32.load8_u (i32.const 64)))))";

static bool ask(void *user, cordon_vm_t *vm, uint64_t *slots)
{
    struct world *world = user;

    (void)slots;
    world->within = cordon_host_step(world->host, MS, NULL);
    world->token = cordon_vm_pend(vm);
    return true;
}

static void open_host(struct world *world, const char *text)
{
    memset(world, 0, sizeof *world);
    world->host = cordon_host_new(&world->error);
    world->linker = cordon_linker_new(world->host, &world->error);
    cordon_linker_allow_wasi(world->linker);
    world->module = cordon_module_load(world->host, text, strlen(text), &world->error);
    cr_assert_not_null(world->module, "%s", world->error.message);
    cr_assert(cordon_bind_raw(world->linker, "env", "ask", "i32()", ask, world, &world->error));
}

static void open_world(struct world *world, const char *text)
{
    open_host(world, text);
    cr_assert(cordon_host_begin(world->host, &world->error));
}

static void close_world(struct world *world)
{
    for (int i = 0; i < world->count; i++)
        cordon_vm_free(world->guests[i].vm);
    cordon_linker_free(world->linker);
    cordon_module_free(world->module);
    cordon_host_free(world->host);
}

static void has_ended(void *user, cordon_vm_t *vm, const cordon_result_t *result)
{
    struct guest *guest = user;

    cr_expect_eq(vm, guest->vm);
    guest->result = *result;
    guest->ended++;
}

/* Up to three quotas and their values; 0 for none. Input is a descriptor, or -1. */
struct given {
    struct {
        cordon_quota_t quota;
        uint64_t value;
    } quotas[3];
    int input;
};

static struct guest *make(struct world *world, const struct given *given)
{
    struct guest *guest = &world->guests[world->count++];
    cordon_config_t *config = cordon_config_new(&world->error);

    for (int i = 0; given != NULL && i < 3; i++)
        if (given->quotas[i].value > 0)
            cr_assert(cordon_config_limit(config, given->quotas[i].quota, given->quotas[i].value,
                                          &world->error));
    if (given != NULL && given->input > 0)
        cr_assert(cordon_config_stdio(config, 0, given->input, &world->error));
    guest->vm = cordon_vm_new(world->host, world->module, world->linker, config, &world->error);
    cr_assert_not_null(guest->vm, "%s", world->error.message);
    cordon_config_free(config);
    return guest;
}

static struct guest *start(struct world *world, const struct given *given)
{
    struct guest *guest = make(world, given);

    cr_assert(cordon_vm_start(guest->vm, has_ended, guest, &world->error), "%s",
              world->error.message);
    return guest;
}

static uint64_t cpu_of(const struct guest *guest)
{
    cordon_stats_t stats;

    cordon_ctl_stats(cordon_vm_ctl(guest->vm), &stats);
    return stats.cpu_ns;
}

static uint64_t now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Steps of that length until the guests have had so much of the processor together. */
static void run_in(struct world *world, uint64_t step_ns, uint64_t ns)
{
    uint64_t sum;

    do {
        cr_assert_eq(cordon_host_step(world->host, step_ns, NULL), CORDON_AGAIN);
        sum = 0;
        for (int i = 0; i < world->count; i++)
            sum += cpu_of(&world->guests[i]);
    } while (sum < ns);
}

static void run_for(struct world *world, uint64_t ns)
{
    run_in(world, 2 * MS, ns);
}

static bool is_readable(int descriptor, int ms)
{
    struct pollfd entry = {.fd = descriptor, .events = POLLIN};

    return poll(&entry, 1, ms) == 1;
}

/* ------------------------------------------------------------------ shares */

static void expect_shares(uint64_t step_ns)
{
    struct world world;
    uint64_t sum = 0;

    open_world(&world, spins);
    for (uint64_t i = 0; i < 3; i++)
        start(&world, &(struct given){.quotas = {{CORDON_WEIGHT, 100 << i}}});
    run_in(&world, step_ns, 700 * MS);
    for (int i = 0; i < 3; i++)
        sum += cpu_of(&world.guests[i]);
    for (int i = 0; i < 3; i++) {
        double due = (double)sum * (1 << i) / 7, had = (double)cpu_of(&world.guests[i]);
        cr_expect(had > due * 0.93 && had < due * 1.07, "number %d had %.0f of %.0f ns", i, had,
                  due);
    }
    close_world(&world);
}

Test(host_step, shares_go_by_weight, .timeout = 60)
{
    expect_shares(2 * MS);
}

Test(host_step, shares_go_by_weight_in_short_steps, .timeout = 60)
{
    expect_shares(MS / 10);
}

Test(host_step, shares_go_by_weight_in_one_turn_after_the_other, .timeout = 60)
{
    expect_shares(0);
}

Test(host_step, reservations_hold_beside_heavier_ones, .timeout = 60)
{
    struct world world;

    open_world(&world, spins);
    struct guest *poor = start(&world, &(struct given){
        .quotas = {{CORDON_WEIGHT, 1}, {CORDON_CPU_RESERVE, 500}}});
    for (int i = 0; i < 4; i++)
        start(&world, &(struct given){.quotas = {{CORDON_WEIGHT, 10000}}});
    run_for(&world, 500 * MS);
    cr_expect_geq(cpu_of(poor), 225 * MS);
    /* Nine tenths of the one worker can be promised. */
    struct guest *more = make(&world, &(struct given){.quotas = {{CORDON_CPU_RESERVE, 401}}});
    cr_expect_not(cordon_vm_start(more->vm, NULL, NULL, &world.error));
    cr_expect_eq(world.error.kind, CORDON_QUOTA);
    cr_expect_eq(world.error.quota, CORDON_CPU_RESERVE);
    cr_expect(cordon_ctl_limit(cordon_vm_ctl(poor->vm), CORDON_CPU_RESERVE, 400));
    cr_expect(cordon_vm_start(more->vm, NULL, NULL, &world.error));
    close_world(&world);
}

Test(host_step, limits_hold_and_leave_the_rest_to_others, .timeout = 60)
{
    struct world world;

    open_world(&world, spins);
    const uint64_t begun = now(CLOCK_MONOTONIC);
    struct guest *slow = start(&world, &(struct given){.quotas = {{CORDON_CPUS, 100}}});
    struct guest *brief = start(&world, &(struct given){.quotas = {{CORDON_CPU_TIME, 50 * MS}}});
    start(&world, NULL);
    run_for(&world, 500 * MS);
    cr_expect_leq(cpu_of(slow), (now(CLOCK_MONOTONIC) - begun) / 10 + 10 * MS);
    cr_expect_gt(cpu_of(slow), 5 * MS);
    cr_expect_eq(brief->ended, 1);
    cr_expect_eq(brief->result.quota, CORDON_CPU_TIME);
    cr_expect_leq(cpu_of(brief), 55 * MS);
    close_world(&world);
}

/* A weight that is changed counts at once. */
Test(host_step, changes_are_seen, .timeout = 60)
{
    struct world world;

    open_world(&world, spins);
    struct guest *a = start(&world, NULL), *b = start(&world, NULL);
    run_for(&world, 50 * MS);
    cr_expect(cordon_ctl_limit(cordon_vm_ctl(a->vm), CORDON_WEIGHT, 9900));
    uint64_t before = cpu_of(b);
    run_for(&world, 350 * MS);
    cr_expect_leq(cpu_of(b) - before, 10 * MS);
    cordon_ctl_pause(cordon_vm_ctl(a->vm));
    before = cpu_of(a);
    run_for(&world, 450 * MS);
    cr_expect_leq(cpu_of(a) - before, 2 * MS);
    cordon_ctl_resume(cordon_vm_ctl(a->vm));
    run_for(&world, 550 * MS);
    cr_expect_gt(cpu_of(a) - before, 50 * MS);
    close_world(&world);
}

Test(host_step, a_step_is_over_when_its_time_is, .timeout = 60)
{
    struct world world;

    open_world(&world, spins);
    for (int i = 0; i < 5; i++)
        start(&world, NULL);
    for (uint64_t ns = 0; ns <= 8 * MS; ns += 2 * MS) {
        uint64_t cpu = now(CLOCK_THREAD_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
        uint64_t until = 1;
        cr_expect_eq(cordon_host_step(world.host, ns, &until), CORDON_AGAIN);
        cr_expect_eq(until, 0);
        cr_expect_geq(now(CLOCK_MONOTONIC) - wall, ns);
        cr_expect_leq(now(CLOCK_THREAD_CPUTIME_ID) - cpu, ns + 5 * MS);
    }
    close_world(&world);
}

/* ------------------------------------------------------------------ the descriptor */

/* Steps, each when the descriptor says so, until the state is that. */
static void step_until(struct world *world, int fd, cordon_state_t wanted, uint64_t *until)
{
    cordon_state_t state;

    do {
        cr_assert(is_readable(fd, 10000), "nobody is told of the next step");
        state = cordon_host_step(world->host, MS, until);
    } while (state != wanted);
}

Test(host_step, waits_for_what_guests_wait_for, .timeout = 60)
{
    struct world world;
    uint64_t until;
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    open_world(&world, reads);
    int fd = cordon_host_descriptor(world.host, &world.error);
    cr_assert_geq(fd, 0);
    cr_expect_eq(cordon_host_descriptor(world.host, &world.error), fd);
    cr_expect_eq(cordon_host_step(world.host, MS, &until), CORDON_OVER);
    cr_expect_not(is_readable(fd, 0), "there is nothing to do");

    const uint64_t begun = now(CLOCK_MONOTONIC);
    struct guest *guest = start(&world, &(struct given){.input = pair[0]});
    cr_expect(is_readable(fd, 0), "a VM was started");
    do
        step_until(&world, fd, CORDON_WAIT, &until);
    while (now(CLOCK_MONOTONIC) < begun + 30 * MS || is_readable(fd, 20));
    cr_expect_eq(guest->ended, 0, "it waits for its input");
    cr_assert_eq(write(pair[1], "Z", 1), 1);
    step_until(&world, fd, CORDON_OVER, &until);
    cr_expect_eq(guest->ended, 1);
    cr_expect_eq(guest->result.end, CORDON_END_EXIT);
    cr_expect_eq(guest->result.exit_code, 'Z');
    cr_expect_not(is_readable(fd, 0), "all is over");
    close_world(&world);
    close(pair[0]);
    close(pair[1]);
}

/* The moment is written, too, for those who wait otherwise. */
Test(host_step, waits_for_moments, .timeout = 60)
{
    struct world world;
    uint64_t until, begun = now(CLOCK_MONOTONIC);

    open_world(&world, asks);
    int fd = cordon_host_descriptor(world.host, &world.error);
    struct guest *guest = make(&world, &(struct given){.quotas = {{CORDON_TIMEOUT, 40 * MS}}});
    uint64_t made = now(CLOCK_MONOTONIC);
    cr_assert(cordon_vm_start(guest->vm, has_ended, guest, &world.error));
    step_until(&world, fd, CORDON_WAIT, &until);
    cr_expect_geq(until, begun + 40 * MS);
    cr_expect_leq(until, made + 40 * MS);
    step_until(&world, fd, CORDON_OVER, NULL);
    cr_expect_geq(now(CLOCK_MONOTONIC), until);
    cr_expect_eq(guest->result.quota, CORDON_TIMEOUT);
    close_world(&world);
}

static void *complete(void *context)
{
    struct world *world = context;
    cordon_value_t value = {.type = CORDON_I32, .i32 = 42};

    cr_expect(cordon_complete(world->host, world->token, &value, &(cordon_error_t){0}));
    return NULL;
}

static void *kill_it(void *context)
{
    struct world *world = context;

    cordon_ctl_kill(cordon_vm_ctl(world->guests[1].vm), 9);
    return NULL;
}

static void in_a_thread(struct world *world, void *(*act)(void *))
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, act, world), 0);
    pthread_join(thread, NULL);
}

Test(host_step, other_threads_are_heard, .timeout = 60)
{
    struct world world;
    uint64_t until;

    open_world(&world, asks);
    int fd = cordon_host_descriptor(world.host, &world.error);
    start(&world, NULL);
    step_until(&world, fd, CORDON_WAIT, &until);
    cr_expect_eq(world.within, CORDON_AGAIN, "a step within a step");
    cr_expect_eq(until, UINT64_MAX);
    cr_expect_not(is_readable(fd, 0));
    in_a_thread(&world, complete);
    step_until(&world, fd, CORDON_OVER, &until);
    cr_expect_eq(world.guests[0].result.exit_code, 42);
    start(&world, NULL);
    step_until(&world, fd, CORDON_WAIT, &until);
    cr_expect_not(is_readable(fd, 0));
    in_a_thread(&world, kill_it);
    step_until(&world, fd, CORDON_OVER, &until);
    cr_expect_eq(world.guests[1].result.end, CORDON_END_KILLED);
    close_world(&world);
}

/* ------------------------------------------------------------------ waiting and freeing */

Test(host_step, waiting_gives_turns, .timeout = 60)
{
    struct world world;
    cordon_result_t result;

    open_world(&world, spins);
    struct guest *other = start(&world, NULL);
    struct guest *brief = start(&world, &(struct given){.quotas = {{CORDON_FUEL, 10000000}}});
    cordon_vm_wait(brief->vm, &result);
    cr_expect_eq(result.quota, CORDON_FUEL);
    cr_expect_eq(brief->ended, 1);
    cr_expect_gt(cpu_of(other), 0, "the others go on meanwhile");
    cordon_vm_free(other->vm); /* that runs, and one that never did */
    other->vm = NULL;
    cr_expect_eq(other->ended, 1);
    cr_expect_eq(other->result.end, CORDON_END_KILLED);
    struct guest *never = start(&world, NULL);
    cordon_vm_free(never->vm);
    never->vm = NULL;
    cr_expect_eq(never->ended, 1);
    cr_expect_eq(cordon_host_step(world.host, MS, NULL), CORDON_OVER);
    close_world(&world);
}

static void *give_steps(void *context)
{
    struct world *world = context;

    while (cordon_host_step(world->host, MS, NULL) != CORDON_OVER)
        continue;
    return NULL;
}

/* One thread gives the turns, this one waits for a VM, and goes on when the other has stopped. */
Test(host_step, waiting_while_another_thread_gives_turns, .timeout = 60)
{
    struct world world;
    cordon_result_t result;
    pthread_t thread;

    open_world(&world, spins);
    for (int i = 0; i < 3; i++)
        start(&world, &(struct given){.quotas = {{CORDON_FUEL, 20000000}}});
    cr_assert_eq(pthread_create(&thread, NULL, give_steps, &world), 0);
    for (int i = 0; i < 3; i++) {
        cordon_vm_wait(world.guests[i].vm, &result);
        cr_expect_eq(result.quota, CORDON_FUEL);
    }
    pthread_join(thread, NULL);
    close_world(&world);
}

/* ------------------------------------------------------------------ calls */

/* The start function doubles what `f` adds. */
static const char adds[] =
    "(module (global $by (mut i64) (i64.const 10)) (start $s)"
    "  (func $s (global.set $by (i64.mul (global.get $by) (i64.const 2))))"
    "  (func (export \"f\") (param i32 i64) (result i64 i32)"
    "    (i64.add (local.get 1) (global.get $by)) (local.get 0))"
    "  (func (export \"g\") (unreachable)))";

struct answer {
    int ended;
    bool is_given; /* what the function returned */
    cordon_value_t values[2];
};

static void take_answer(void *user, cordon_vm_t *vm, const cordon_result_t *result)
{
    struct answer *answer = user;
    cordon_result_t again;
    cordon_error_t error;

    answer->ended++;
    answer->is_given = result->end == CORDON_END_RETURN &&
                       cordon_vm_end(vm, answer->values, 2, &again, &error);
}

static void expect_calls(struct world *world, bool has_workers)
{
    const cordon_value_t given[] = {{.type = CORDON_I32, .i32 = -3},
                                    {.type = CORDON_I64, .i64 = 1ll << 40}};
    struct guest *guest = make(world, NULL);
    struct answer answer = {0};
    cordon_result_t result;
    cordon_value_t values[2];

    for (int i = 1; i <= 3; i++) {
        cr_assert(cordon_vm_start_call(guest->vm, "f", given, 2, take_answer, &answer,
                                       &world->error), "%s", world->error.message);
        if (!has_workers) {
            cr_expect_not(cordon_vm_end(guest->vm, NULL, 0, &result, &world->error));
            cr_expect_eq(cordon_vm_step(guest->vm, 1, 1, NULL), CORDON_OVER, "it is the host's");
            cr_expect_not(cordon_vm_start_call(guest->vm, "f", given, 2, NULL, NULL,
                                               &world->error));
        }
        cordon_vm_wait(guest->vm, &result);
        cr_expect_eq(result.end, CORDON_END_RETURN);
        cr_expect_eq(answer.ended, i);
        cr_assert(answer.is_given);
        cr_expect_eq(answer.values[0].i64, (1ll << 40) + 20);
        cr_expect_eq(answer.values[1].i32, -3);
        cr_expect_not(cordon_vm_end(guest->vm, values, 2, &result, &world->error), "once");
    }
    /* Not asked for in `done`: afterwards, or not at all. */
    cr_assert(cordon_vm_start_call(guest->vm, "f", given, 2, NULL, NULL, &world->error));
    cordon_vm_wait(guest->vm, &result);
    cr_assert(cordon_vm_end(guest->vm, values, 2, &result, &world->error));
    cr_expect_eq(values[0].i64, (1ll << 40) + 20);
    cr_assert(cordon_vm_start_call(guest->vm, "f", given, 2, NULL, NULL, &world->error));
    cordon_vm_wait(guest->vm, &result);
    cr_expect(cordon_vm_begin(guest->vm, "f", given, 2, &world->error), "%s",
              world->error.message);
    while (cordon_vm_step(guest->vm, 1, CORDON_UNLIMITED, NULL) != CORDON_OVER)
        continue;
    cr_expect(cordon_vm_end(guest->vm, values, 2, &result, &world->error));
    cr_expect_not(cordon_vm_start_call(guest->vm, "f", given, 1, NULL, NULL, &world->error));
    cr_expect_eq(world->error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_vm_start_call(guest->vm, "h", NULL, 0, NULL, NULL, &world->error));
    cr_expect_eq(world->error.kind, CORDON_NO_EXPORT);
    cr_assert(cordon_vm_start_call(guest->vm, "g", NULL, 0, take_answer, &answer, &world->error));
    cordon_vm_wait(guest->vm, &result);
    cr_expect_eq(result.end, CORDON_END_TRAP);
    cr_expect_not(answer.is_given);
    cr_expect(cordon_vm_end(guest->vm, values, 2, &result, &world->error));
    cr_expect_eq(result.end, CORDON_END_TRAP);
}

Test(host_step, calls_can_be_started, .timeout = 60)
{
    struct world world;

    open_world(&world, adds);
    expect_calls(&world, false);
    close_world(&world);
}

Test(host_step, calls_can_be_started_on_workers, .timeout = 60)
{
    struct world world;

    open_host(&world, adds);
    cr_assert(cordon_host_start(world.host, 2, &world.error));
    expect_calls(&world, true);
    close_world(&world);
}

/* ------------------------------------------------------------------ misuse */

Test(host_step, says_what_is_used_wrongly, .timeout = 60)
{
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    struct world world;
    uint64_t until = 0;

    cr_expect_eq(cordon_host_step(host, MS, &until), CORDON_OVER);
    cr_expect_eq(until, UINT64_MAX);
    cr_expect_eq(cordon_host_descriptor(host, &error), -1);
    cr_expect_eq(error.kind, CORDON_MISUSE);
    cr_assert(cordon_host_start(host, 1, &error));
    cr_expect_not(cordon_host_begin(host, &error));
    cr_expect_eq(error.kind, CORDON_MISUSE);
    cr_expect_eq(cordon_host_step(host, MS, NULL), CORDON_OVER, "it has workers");
    cr_expect_eq(cordon_host_descriptor(host, &error), -1);
    cordon_host_free(host);

    open_world(&world, spins);
    cr_expect_not(cordon_host_begin(world.host, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_host_start(world.host, 1, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    struct guest *guest = start(&world, NULL);
    cr_expect_not(cordon_vm_run(guest->vm, &guest->result, &world.error), "the host has it");
    cr_expect_not(cordon_vm_begin(guest->vm, NULL, NULL, 0, &world.error));
    cr_expect_not(cordon_vm_start(guest->vm, NULL, NULL, &world.error));
    close_world(&world);
}

/* Cells need workers: the process is ended as if it had not been asked for. */
Test(host_step, cells_are_refused, .timeout = 60)
{
    struct world world;
    int pair[2];

    open_world(&world, spins);
    cordon_config_t *config = cordon_config_new(&world.error);
    cordon_cell_t *cell = cordon_cell_new(world.host, config, STDIN_FILENO, &world.error);
    cr_assert_not_null(cell);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    cr_expect_not(cordon_cell_start(cell, pid, pair[0], NULL, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    close(pair[1]);
    cordon_cell_free(cell);
    cordon_config_free(config);
    close_world(&world);
}
