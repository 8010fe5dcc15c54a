/* Standard streams that are functions of the embedder's. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "include/cordon.h"

#define ALL CORDON_UNLIMITED
#define ROOM 100000

/* Copies its input to its output, 1000 bytes at a time; 1 when reading, 2 when writing fails. */
static const char copies[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_read\""
    "    (func $read (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_write\""
    "    (func $write (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"_start\")"
    "    (i32.store (i32.const 0) (i32.const 1024))"
    "    (loop $l (i32.store (i32.const 4) (i32.const 1000))"
    "      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))"
    "        (then (call $exit (i32.const 1))))"
    "      (if (i32.eqz (i32.load (i32.const 8))) (then (return)))"
    "      (i32.store (i32.const 4) (i32.load (i32.const 8)))"
    "      (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))"
    "        (then (call $exit (i32.const 2))))"
    "      (br $l))))";

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_module_t *module;
    cordon_config_t *config;
    cordon_vm_t *vm;
    cordon_error_t error;
    cordon_result_t result;
    pthread_mutex_t lock;    /* of what follows */
    char in[ROOM], out[ROOM];
    size_t in_size, in_at, out_size;
    size_t in_room, out_room; /* how much may be moved until somebody says more */
    bool is_broken;
    int64_t taken;            /* by each write at most, if above 0 */
    int laters;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int64_t give(void *user, cordon_vm_t *vm, void *bytes, size_t room)
{
    struct world *world = user;
    int64_t result = CORDON_LATER;

    cr_assert(vm == world->vm || world->vm == NULL);
    pthread_mutex_lock(&world->lock);
    size_t size = least(least(room, world->in_room), world->in_size - world->in_at);
    if (size > 0 || world->in_at == world->in_size) {
        memcpy(bytes, world->in + world->in_at, size);
        world->in_at += size;
        world->in_room -= size;
        result = (int64_t)size;
    }
    world->laters += result < 0;
    pthread_mutex_unlock(&world->lock);
    return result;
}

static int64_t take(void *user, cordon_vm_t *vm, const void *bytes, size_t size)
{
    struct world *world = user;

    (void)vm;
    if (world->is_broken)
        return CORDON_BROKEN;
    pthread_mutex_lock(&world->lock);
    size = least(size, world->out_room);
    if (world->taken > 0)
        size = least(size, (size_t)world->taken);
    memcpy(world->out + world->out_size, bytes, size);
    world->out_size += size;
    world->out_room -= size;
    world->laters += size == 0;
    pthread_mutex_unlock(&world->lock);
    return size > 0 ? (int64_t)size : CORDON_LATER;
}

static void open_world(struct world *world, const char *text)
{
    memset(world, 0, sizeof *world);
    pthread_mutex_init(&world->lock, NULL);
    world->host = cordon_host_new(&world->error);
    world->linker = cordon_linker_new(world->host, &world->error);
    world->config = cordon_config_new(&world->error);
    cordon_linker_allow_wasi(world->linker);
    world->module = cordon_module_load(world->host, text, strlen(text), &world->error);
    cr_assert_not_null(world->module, "%s", world->error.message);
    cr_assert(cordon_config_input(world->config, give, world, &world->error));
    cr_assert(cordon_config_output(world->config, 1, take, world, &world->error));
    world->in_size = 54321;
    for (size_t i = 0; i < world->in_size; i++)
        world->in[i] = (char)(i * 7 + i / 256);
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
    pthread_mutex_destroy(&world->lock);
}

static void expect_a_copy(const struct world *world)
{
    cr_expect_eq(world->result.end, CORDON_END_RETURN, "%s, exit code %d", world->result.message,
                 world->result.exit_code);
    cr_expect_eq(world->out_size, world->in_size);
    cr_expect_eq(memcmp(world->in, world->out, world->in_size), 0);
}

Test(feed, everything_comes_through, .timeout = 20)
{
    static struct world world;

    open_world(&world, copies);
    world.in_room = world.out_room = ROOM;
    world.taken = 77; /* short writes are gone on with */
    make(&world);
    cr_assert(cordon_vm_run(world.vm, &world.result, &world.error));
    expect_a_copy(&world);
    cr_expect_eq(world.laters, 0);
    close_world(&world);
}

/* Lets a little more through, again and again, from another thread. */
static void *let_through(void *context)
{
    struct world *world = context;
    size_t done = 0;

    for (unsigned i = 1; done < world->in_size; i++) {
        nanosleep(&(struct timespec){0, i % 3 * 100000}, NULL);
        pthread_mutex_lock(&world->lock);
        world->in_room += i % 2 ? 900 : 0;
        world->out_room += i % 2 ? 0 : 900;
        done = world->out_size;
        pthread_mutex_unlock(&world->lock);
        cordon_ctl_go_on(cordon_vm_ctl(world->vm), i % 2 ? 0 : 1);
    }
    return NULL;
}

static void throttle(struct world *world, uint32_t workers)
{
    pthread_t thread;

    open_world(world, copies);
    make(world);
    cr_assert_eq(pthread_create(&thread, NULL, let_through, world), 0);
    if (workers == 0) {
        cr_assert(cordon_vm_run(world->vm, &world->result, &world->error));
    } else {
        cr_assert(cordon_host_start(world->host, workers, &world->error));
        cr_assert(cordon_vm_start(world->vm, NULL, NULL, &world->error));
        cordon_vm_wait(world->vm, &world->result);
    }
    pthread_join(thread, NULL);
    expect_a_copy(world);
    close_world(world);
}

Test(feed, a_guest_waits_until_it_can_go_on, .timeout = 60)
{
    static struct world world;

    throttle(&world, 0);
    throttle(&world, 2);
}

static bool is_readable(int descriptor, int ms)
{
    struct pollfd entry = {.fd = descriptor, .events = POLLIN};

    return poll(&entry, 1, ms) == 1;
}

Test(feed, a_loop_is_told, .timeout = 60)
{
    static struct world world;
    int waits = 0;

    open_world(&world, copies);
    make(&world);
    cr_assert(cordon_vm_begin(world.vm, NULL, NULL, 0, &world.error));
    int descriptor = cordon_vm_descriptor(world.vm, &world.error);
    while (cordon_vm_step(world.vm, ALL, ALL, NULL) == CORDON_WAIT) {
        cr_assert_not(is_readable(descriptor, 0), "nothing has happened");
        world.in_room = world.in_room == 0 ? 4000 : world.in_room;
        world.out_room = world.out_room == 0 ? 4500 : world.out_room;
        cordon_ctl_go_on(cordon_vm_ctl(world.vm), 0);
        cordon_ctl_go_on(cordon_vm_ctl(world.vm), 1);
        cr_assert(is_readable(descriptor, 10000));
        waits++;
    }
    cr_assert(cordon_vm_end(world.vm, NULL, 0, &world.result, &world.error));
    expect_a_copy(&world);
    cr_expect_gt(waits, 10);
    close_world(&world);
}

Test(feed, a_broken_stream_is_an_error, .timeout = 20)
{
    static struct world world;

    open_world(&world, copies);
    world.in_room = ROOM;
    world.is_broken = true;
    make(&world);
    cr_assert(cordon_vm_run(world.vm, &world.result, &world.error));
    cr_expect_eq(world.result.end, CORDON_END_EXIT);
    cr_expect_eq(world.result.exit_code, 2);
    close_world(&world);
}

static int64_t lie(void *user, cordon_vm_t *vm, void *bytes, size_t room)
{
    (void)user, (void)vm, (void)bytes;
    return (int64_t)room + 1;
}

Test(feed, a_function_that_says_too_much_is_not_believed, .timeout = 20)
{
    static struct world world;

    open_world(&world, copies);
    cr_assert(cordon_config_input(world.config, lie, NULL, &world.error));
    make(&world);
    cr_assert(cordon_vm_run(world.vm, &world.result, &world.error));
    cr_expect_eq(world.result.exit_code, 1);
    close_world(&world);
}

Test(feed, output_is_held_to_its_rate, .timeout = 60)
{
    static struct world world;
    struct timespec before, after;

    open_world(&world, copies);
    world.in_room = world.out_room = ROOM;
    cr_assert(cordon_config_limit(world.config, CORDON_LOG_RATE, 100000, &world.error));
    make(&world);
    clock_gettime(CLOCK_MONOTONIC, &before);
    cr_assert(cordon_vm_run(world.vm, &world.result, &world.error));
    clock_gettime(CLOCK_MONOTONIC, &after);
    expect_a_copy(&world);
    cr_expect_gt((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000,
                 300, "54,321 bytes at 100,000 a second");
    close_world(&world);
}

/* poll_oneoff of standard input, which it then closes. */
static const char polls[] =
    "(module (import \"wasi_snapshot_preview1\" \"poll_oneoff\""
    "    (func $poll (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_close\" (func $close (param i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_read\""
    "    (func $read (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"_start\") (i32.store8 (i32.const 8) (i32.const 1))"
    "    (i32.store (i32.const 512) (i32.const 600)) (i32.store (i32.const 516) (i32.const 4))"
    "    (if (call $read (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 520))"
    "      (then unreachable))"
    "    (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))"
    "      (then unreachable))"
    "    (if (call $close (i32.const 0)) (then unreachable))))";

Test(feed, it_can_be_polled_and_closed, .timeout = 20)
{
    static struct world world;
    uint64_t size;

    open_world(&world, polls);
    make(&world);
    cr_assert(cordon_vm_begin(world.vm, NULL, NULL, 0, &world.error));
    cr_expect_eq(cordon_vm_step(world.vm, ALL, ALL, NULL), CORDON_WAIT, "to read");
    world.in_room = 4;
    cordon_ctl_go_on(cordon_vm_ctl(world.vm), 0);
    cr_expect_eq(cordon_vm_step(world.vm, ALL, ALL, NULL), CORDON_OVER,
                 "what could be read once is worth trying again");
    cr_assert(cordon_vm_end(world.vm, NULL, 0, &world.result, &world.error));
    cr_expect_eq(world.result.end, CORDON_END_RETURN, "%s", world.result.message);
    const uint8_t *memory = cordon_vm_memory(world.vm, &size);
    cr_expect_eq(memcmp(memory + 600, world.in, 4), 0);
    cr_expect_eq(memory[128], 1, "one event");
    cordon_ctl_go_on(cordon_vm_ctl(world.vm), 0); /* closed meanwhile */
    cordon_ctl_go_on(cordon_vm_ctl(world.vm), 2); /* and never there */
    cordon_ctl_go_on(cordon_vm_ctl(world.vm), 7);
    close_world(&world);
}

Test(feed, says_what_is_used_wrongly)
{
    static struct world world;

    open_world(&world, copies);
    cr_expect_not(cordon_config_output(world.config, 0, take, NULL, &world.error));
    cr_expect_not(cordon_config_output(world.config, 3, take, NULL, &world.error));
    cr_expect_null(cordon_cell_new(world.host, world.config, 0, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    close_world(&world);
}
