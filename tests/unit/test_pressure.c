/* Memory pressure: when it begins and ends, and how guests are told, in processes and threads of
 * their own and on a host's workers. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "governor/pressure.h"
#include "include/cordon.h"
#include "wasi_fixture.h"

/* ------------------------------------------------------------------ bookkeeping */

Test(pressure, begins_at_seven_eighths_and_ends_below_three_quarters)
{
    struct cn_account account;
    uint32_t now = 0;

    cn_account_init(&account);
    account.limit[CN_QUOTA_MEMORY] = 800;
    static const struct {
        uint64_t used, limit;
        uint32_t causes;
    } steps[] = {
        {699, 800, 0},
        {700, 800, CN_PRESSURE_NEAR},
        {600, 800, CN_PRESSURE_NEAR},
        {599, 800, 0},
        {699, 800, 0},
        {800, 800, CN_PRESSURE_NEAR},
        {800, 799, CN_PRESSURE_NEAR | CN_PRESSURE_OVER},
        {800, 0, CN_PRESSURE_NEAR | CN_PRESSURE_OVER},
        {800, CN_UNLIMITED, 0},
        {CN_UNLIMITED - 1, CN_UNLIMITED, 0},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        account.used[CN_QUOTA_MEMORY] = steps[i].used;
        account.limit[CN_QUOTA_MEMORY] = steps[i].limit;
        now = cn_pressure_look(&account, now);
        cr_expect_eq(now, steps[i].causes, "step %zu: %u", i, now);
    }
}

static void count_turn(void *context)
{
    atomic_fetch_add((_Atomic int *)context, 1);
}

Test(pressure, of_the_host_is_for_those_above_their_reservation)
{
    _Atomic int turns = 0;
    struct cn_pot pot = {.size = 1000, .turned = count_turn, .turned_context = &turns};
    struct cn_account a, b;

    cn_account_init(&a);
    cn_account_init(&b);
    cr_assert_eq(cn_account_join(&a, &pot, 500), CN_OK);
    cr_assert_eq(cn_account_join(&b, &pot, 0), CN_OK);
    cr_assert_eq(cn_account_charge(&a, CN_QUOTA_MEMORY, 500), CN_OK);
    cr_assert_eq(cn_account_charge(&b, CN_QUOTA_MEMORY, 374), CN_OK);
    cr_expect_eq(cn_pressure_look(&b, 0), 0);
    cr_expect_eq(turns, 0);
    cr_assert_eq(cn_account_charge(&b, CN_QUOTA_MEMORY, 1), CN_OK);
    cr_expect_eq(turns, 1);
    cr_expect_eq(cn_pressure_look(&b, 0), CN_PRESSURE_HOST);
    cr_expect_eq(cn_pressure_look(&a, 0), 0, "what it has is its own");
    cn_account_refund(&b, CN_QUOTA_MEMORY, 125);
    cr_expect_eq(cn_pressure_look(&b, 0), CN_PRESSURE_HOST, "three quarters");
    cn_account_refund(&b, CN_QUOTA_MEMORY, 1);
    cr_expect_eq(cn_pressure_look(&b, 0), 0);
    cr_expect_eq(turns, 2);
    cn_pot_resize(&pot, 800);
    cr_expect_eq(cn_pressure_look(&b, 0), CN_PRESSURE_HOST, "the total is less");
    cn_pot_resize(&pot, CN_UNLIMITED);
    cr_expect_eq(cn_pressure_look(&b, 0), 0);
    cr_expect_eq(turns, 4);
    cn_account_leave(&a);
    cn_account_leave(&b);
}

struct crowd {
    struct cn_pot pot;
    pthread_barrier_t barrier;
    _Atomic int seed;
    _Atomic int turns;
};

/* What others take at the same moment must not leave a wrong word behind. */
static void *take_and_give(void *context)
{
    struct crowd *crowd = context;
    uint64_t random = (uint64_t)atomic_fetch_add(&crowd->seed, 1) * 2654435761u + 1, held = 0;

    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 200; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            uint64_t amount = (random >> 33) % 400;
            if ((random >> 20) % 2 == 0) {
                held += cn_pot_take(&crowd->pot, amount) ? amount : 0;
            } else if (held >= amount) {
                cn_pot_give(&crowd->pot, amount);
                held -= amount;
            }
        }
        pthread_barrier_wait(&crowd->barrier);
        uint64_t committed = crowd->pot.committed;
        cr_expect(crowd->pot.is_tight ? committed >= 750 : committed < 875, "%d, %llu of 1000",
                  (int)crowd->pot.is_tight, (unsigned long long)committed);
        cr_expect_eq(crowd->turns % 2, (int)crowd->pot.is_tight, "each change was told");
        pthread_barrier_wait(&crowd->barrier);
    }
    cn_pot_give(&crowd->pot, held);
    return NULL;
}

Test(pressure, of_the_host_is_right_whoever_changes_it, .timeout = 60)
{
    struct crowd crowd = {.pot = {.size = 1000, .turned = count_turn}};
    pthread_t threads[3];

    crowd.pot.turned_context = &crowd.turns;
    pthread_barrier_init(&crowd.barrier, NULL, 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give, &crowd), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(crowd.pot.committed, 0);
    cr_expect_not(crowd.pot.is_tight);
    cr_expect_gt(crowd.turns, 10);
    pthread_barrier_destroy(&crowd.barrier);
}

/* ------------------------------------------------------------------ the guest's interface */

enum { AT_SUB = 1024, AT_EVENT = 2048 };

static uint32_t pressure_open(struct guest *guest)
{
    guest->module = "cordon";
    MUST(CALL(guest, "pressure_open", I(AT_OUT)));
    guest->module = "wasi_snapshot_preview1";
    return out_u32(guest);
}

static uint32_t pressure_get(struct guest *guest, uint32_t fd)
{
    guest->module = "cordon";
    uint32_t error = CALL(guest, "pressure_get", I(fd), I(AT_OUT));
    guest->module = "wasi_snapshot_preview1";
    return error == CN_E_SUCCESS ? out_u32(guest) : 1000 + error;
}

/* One try of a poll for reading (or writing): whether there is an event, which is left. */
static bool polls(struct guest *guest, uint32_t fd, uint8_t tag, struct cn_abi_event *event)
{
    struct cn_abi_subscription subscription = {.userdata = 5, .tag = tag, .fd = fd};
    union cn_slot slots[16] = {I(AT_SUB), I(AT_EVENT), I(1), I(AT_OUT)};

    memcpy(guest->memory.base + AT_SUB, &subscription, sizeof subscription);
    enum cn_status status = try_once(guest, "poll_oneoff", slots);
    if (status == CN_PARKED) {
        /* So that the call's subscriptions are given back. */
        cr_expect_eq(guest->account.used[CN_QUOTA_TIMERS], 1);
        guest->account.used[CN_QUOTA_TIMERS] = 0;
        guest->thread.call_state = (struct cn_call_state){{0}};
        return false;
    }
    cr_assert_eq(status, CN_OK);
    guest->thread.call_state = (struct cn_call_state){{0}};
    cr_assert_eq(slots[0].u32, CN_E_SUCCESS);
    memcpy(event, guest->memory.base + AT_EVENT, sizeof *event);
    return true;
}

static bool is_told(struct guest *guest, uint32_t fd)
{
    struct cn_abi_event event;
    bool is_ready = polls(guest, fd, CN_EVENT_FD_READ, &event);

    cr_expect(!is_ready || (event.error == CN_E_SUCCESS && event.userdata == 5 &&
                            event.type == CN_EVENT_FD_READ && event.byte_count == 1));
    return is_ready;
}

Test(pressure, is_told_once_of_each_change_by_each_descriptor)
{
    struct guest guest;
    guest_setup(&guest);
    uint32_t a = pressure_open(&guest), b = pressure_open(&guest);
    uint64_t *limit = &guest.account.limit[CN_QUOTA_MEMORY];
    uint64_t used = guest.account.used[CN_QUOTA_MEMORY];

    cr_expect_neq(a, b);
    cr_expect_not(is_told(&guest, a));
    *limit = used + used / 16;
    cr_expect(is_told(&guest, a));
    cr_expect(is_told(&guest, a), "until it has looked");
    cr_expect_eq(pressure_get(&guest, a), CN_PRESSURE_NEAR);
    cr_expect_not(is_told(&guest, a));
    cr_expect(is_told(&guest, b), "the other one has not");
    *limit = used / 2;
    cr_expect(is_told(&guest, a));
    cr_expect_eq(pressure_get(&guest, a), CN_PRESSURE_NEAR | CN_PRESSURE_OVER);
    *limit = 1 << 30;
    cr_expect(is_told(&guest, a), "the end is news, too");
    cr_expect_not(is_told(&guest, b), "nothing was before, and nothing is");
    cr_expect_eq(pressure_get(&guest, a), 0);
    cr_expect_not(is_told(&guest, a));
    guest_finish(&guest);
}

Test(pressure, news_are_for_who_has_asked_for_them)
{
    struct guest guest;
    guest_setup(&guest);

    guest.account.limit[CN_QUOTA_MEMORY] = 1;
    cr_expect_not(cn_wasi_watches_pressure(guest.wasi));
    cr_expect_not(cn_wasi_has_news(guest.wasi));
    guest.account.limit[CN_QUOTA_MEMORY] = 1 << 30;
    uint32_t fd = pressure_open(&guest), other = pressure_open(&guest);
    cr_expect(cn_wasi_watches_pressure(guest.wasi));
    cr_expect_not(cn_wasi_has_news(guest.wasi));
    guest.account.limit[CN_QUOTA_MEMORY] = 1;
    cr_expect(cn_wasi_has_news(guest.wasi));
    cr_expect(cn_wasi_has_news(guest.wasi), "until calls are made again");
    cn_wasi_resume(guest.wasi);
    cr_expect_not(cn_wasi_has_news(guest.wasi));
    MUST(CALL(&guest, "fd_renumber", I(fd), I(other)));
    cr_expect(cn_wasi_watches_pressure(guest.wasi));
    MUST(CALL(&guest, "fd_close", I(other)));
    cr_expect_not(cn_wasi_watches_pressure(guest.wasi));
    guest_finish(&guest);
}

Test(pressure, descriptors_are_good_for_nothing_else)
{
    struct guest guest;
    struct cn_abi_event event;
    guest_setup(&guest);
    uint32_t fd = pressure_open(&guest);

    EXPECT_ERRNO(guest_read(&guest, fd, 4), NOTCAPABLE);
    EXPECT_ERRNO(guest_write(&guest, fd, 4), NOTCAPABLE);
    EXPECT_ERRNO(guest_pwrite(&guest, fd, 4, 0), SPIPE);
    EXPECT_ERRNO(CALL(&guest, "fd_seek", I(fd), I(0), I(0), I(AT_OUT)), SPIPE);
    EXPECT_ERRNO(CALL(&guest, "fd_filestat_get", I(fd), I(AT_OUT)), NOTCAPABLE);
    EXPECT_ERRNO(CALL(&guest, "fd_fdstat_set_flags", I(fd), I(4)), NOTCAPABLE);
    EXPECT_ERRNO(CALL(&guest, "sock_accept", I(fd), I(0), I(AT_OUT)), NOTSOCK);
    EXPECT_ERRNO(CALL(&guest, "fd_readdir", I(fd), I(AT_DATA), I(100), I(0), I(AT_OUT)), NOTDIR);
    MUST(CALL(&guest, "fd_fdstat_get", I(fd), I(AT_OUT)));
    cr_assert(polls(&guest, fd, CN_EVENT_FD_WRITE, &event));
    cr_expect_eq(event.error, CN_E_NOTCAPABLE);
    cr_expect_eq(pressure_get(&guest, 3), 1000 + CN_E_INVAL);
    cr_expect_eq(pressure_get(&guest, 99), 1000 + CN_E_BADF);
    uint32_t count = 0;
    guest.module = "cordon";
    while (CALL(&guest, "pressure_open", I(AT_OUT)) == CN_E_SUCCESS)
        count++;
    EXPECT_ERRNO(CALL(&guest, "pressure_open", I(AT_OUT)), MFILE);
    EXPECT_ERRNO(CALL(&guest, "pressure_open", I(GUEST_MEMORY - 2)), FAULT);
    cr_expect_eq(count, 256 - 5);
    guest_finish(&guest);
}

/* ------------------------------------------------------------------ whole VMs */

#define IMPORTS                                                                                    \
    "(import \"cordon\" \"pressure_open\" (func $open (param i32) (result i32)))"                  \
    "(import \"cordon\" \"pressure_get\" (func $get (param i32 i32) (result i32)))"                \
    "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"                   \
    "(import \"wasi_snapshot_preview1\" \"poll_oneoff\""                                           \
    "  (func $poll (param i32 i32 i32 i32) (result i32)))"
/* Ends with the causes that it was told. */
#define WAIT                                                                                       \
    "(drop (call $open (i32.const 16)))"                                                           \
    "(i32.store8 (i32.const 40) (i32.const 1)) (i32.store (i32.const 48) (i32.load (i32.const "    \
    "16))) (drop (call $poll (i32.const 32) (i32.const 128) (i32.const 1) (i32.const 20)))"        \
    "(drop (call $get (i32.load (i32.const 16)) (i32.const 24)))"                                  \
    "(call $exit (i32.load (i32.const 24)))"
static const char waits[] =
    "(module " IMPORTS "(memory (export \"memory\") 1) (func (export \"_start\") " WAIT "))";
static const char holds[] = "(module (memory 900) (func (export \"_start\") (loop (br 0))))";

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_config_t *config;
    cordon_error_t error;
};

static void world_init(struct world *world, uint32_t workers)
{
    world->host = cordon_host_new(&world->error);
    world->linker = cordon_linker_new(world->host, &world->error);
    world->config = cordon_config_new(&world->error);
    cordon_linker_allow_wasi(world->linker);
    cr_assert(workers == 0 || cordon_host_start(world->host, workers, &world->error));
}

static void world_release(struct world *world)
{
    cordon_config_free(world->config);
    cordon_linker_free(world->linker);
    cordon_host_free(world->host);
}

/* A VM goes on with its module until both are freed. */
static cordon_vm_t *vm_of(struct world *world, const char *text, cordon_module_t **module)
{
    *module = cordon_module_load(world->host, text, strlen(text), &world->error);
    cr_assert_not_null(*module, "%s", world->error.message);
    cordon_vm_t *vm =
        cordon_vm_new(world->host, *module, world->linker, world->config, &world->error);
    cr_assert_not_null(vm, "%s", world->error.message);
    return vm;
}

static void let_it_wait(void)
{
    nanosleep(&(struct timespec){0, 30000000}, NULL);
}

static int code_of(cordon_vm_t *vm)
{
    cordon_result_t result;

    cordon_vm_wait(vm, &result);
    cr_expect_eq(result.end, CORDON_END_EXIT, "%s", result.message);
    return result.exit_code;
}

Test(pressure, a_lowered_limit_wakes_who_waits_for_it, .timeout = 20)
{
    struct world world;
    cordon_module_t *module;
    cordon_stats_t stats;
    world_init(&world, 1);
    cordon_vm_t *vm = vm_of(&world, waits, &module);
    cordon_ctl_t *ctl = cordon_vm_ctl(vm);

    cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
    let_it_wait();
    cr_assert(cordon_ctl_limit(ctl, CORDON_MEMORY, 512 << 20));
    let_it_wait();
    cordon_ctl_stats(ctl, &stats);
    cr_expect_lt(stats.cpu_ns, 20000000, "it does not look by itself all the time");
    cr_assert(cordon_ctl_limit(ctl, CORDON_MEMORY, 1000));
    cr_expect_eq(code_of(vm), CN_PRESSURE_NEAR | CN_PRESSURE_OVER);
    cordon_vm_free(vm);
    cordon_module_free(module);
    world_release(&world);
}

Test(pressure, of_the_hosts_total_wakes_who_waits_for_it, .timeout = 20)
{
    struct world world;
    cordon_module_t *modules[2];
    world_init(&world, 1);
    cordon_host_total(world.host, 64 << 20);
    cordon_vm_t *vm = vm_of(&world, waits, &modules[0]);

    cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
    let_it_wait();
    cordon_vm_t *other = vm_of(&world, holds, &modules[1]);
    cr_expect_eq(code_of(vm), CN_PRESSURE_HOST);
    cordon_vm_free(other);
    cordon_vm_free(vm);
    cordon_module_free(modules[0]);
    cordon_module_free(modules[1]);
    world_release(&world);
}

struct lone {
    cordon_vm_t *vm;
    cordon_result_t result;
};

static void *run_alone(void *context)
{
    struct lone *lone = context;

    cordon_vm_run(lone->vm, &lone->result, NULL);
    return NULL;
}

Test(pressure, of_the_hosts_total_is_told_to_a_vm_without_workers, .timeout = 20)
{
    struct world world;
    struct lone lone;
    cordon_module_t *module;
    pthread_t thread;
    world_init(&world, 0);
    cordon_host_total(world.host, 64 << 20);
    lone.vm = vm_of(&world, waits, &module);

    cr_assert_eq(pthread_create(&thread, NULL, run_alone, &lone), 0);
    let_it_wait();
    cordon_host_total(world.host, 64 << 10);
    pthread_join(thread, NULL);
    cr_expect_eq(lone.result.end, CORDON_END_EXIT);
    cr_expect_eq(lone.result.exit_code, CN_PRESSURE_HOST);
    cordon_vm_free(lone.vm);
    cordon_module_free(module);
    world_release(&world);
}

Test(pressure, of_the_hosts_total_is_told_to_a_vm_in_steps, .timeout = 20)
{
    struct world world;
    cordon_module_t *module;
    cordon_result_t result;
    world_init(&world, 0);
    cordon_host_total(world.host, 64 << 20);
    cordon_vm_t *vm = vm_of(&world, waits, &module);
    struct pollfd entry = {.fd = cordon_vm_descriptor(vm, &world.error), .events = POLLIN};

    cr_assert(cordon_vm_begin(vm, NULL, NULL, 0, &world.error));
    cr_expect_eq(cordon_vm_step(vm, CORDON_UNLIMITED, CORDON_UNLIMITED, NULL), CORDON_WAIT);
    cordon_host_total(world.host, 64 << 10);
    cr_expect_eq(poll(&entry, 1, 10000), 1, "nobody tells it");
    cr_expect_eq(cordon_vm_step(vm, CORDON_UNLIMITED, CORDON_UNLIMITED, NULL), CORDON_OVER);
    cr_assert(cordon_vm_end(vm, NULL, 0, &result, &world.error));
    cr_expect_eq(result.exit_code, CN_PRESSURE_HOST);
    cordon_vm_free(vm);
    cordon_module_free(module);
    world_release(&world);
}

#define THREADED(then)                                                                             \
    "(module " IMPORTS "(import \"env\" \"memory\" (memory 1 64 shared))"                          \
    "(import \"wasi\" \"thread-spawn\" (func $spawn (param i32) (result i32)))"                    \
    "(func (export \"wasi_thread_start\") (param i32 i32)"                                         \
    "  (i32.atomic.store (i32.const 0) (i32.const 1)) " WAIT ")"                                   \
    "(func (export \"_start\") (drop (call $spawn (i32.const 0)))"                                 \
    "  (loop $l (br_if $l (i32.eqz (i32.atomic.load (i32.const 0)))))"                             \
    "  (if (i32.eq (memory.grow (i32.const 28)) (i32.const -1))"                                   \
    "    (then (call $exit (i32.const 99))))"                                                      \
    then "))"

/* The guest's own threads bring it about; one waits, and the other never does, or does for ever. */
Test(pressure, of_ones_own_making_wakes_another_thread, .timeout = 20)
{
    static const char *const texts[] = {
        THREADED("(loop (br 0))"),
        THREADED("(i64.store (i32.const 536) (i64.const 1000000000000))"
                 "(i32.store (i32.const 528) (i32.const 1))"
                 "(drop (call $poll (i32.const 512) (i32.const 640) (i32.const 1)"
                 "  (i32.const 700)))"),
    };

    for (int i = 0; i < 4; i++) {
        struct world world;
        struct lone lone;
        cordon_module_t *module;
        world_init(&world, i / 2);
        cr_assert(cordon_config_limit(world.config, CORDON_MEMORY, 2100 << 10, NULL));
        lone.vm = vm_of(&world, texts[i % 2], &module);
        if (i / 2 == 0) {
            run_alone(&lone);
        } else {
            cr_assert(cordon_vm_start(lone.vm, NULL, NULL, &world.error));
            cordon_vm_wait(lone.vm, &lone.result);
        }
        cr_expect_eq(lone.result.end, CORDON_END_EXIT, "%s", lone.result.message);
        cr_expect_eq(lone.result.exit_code, CN_PRESSURE_NEAR, "%d", lone.result.exit_code);
        cordon_vm_free(lone.vm);
        cordon_module_free(module);
        world_release(&world);
    }
}
