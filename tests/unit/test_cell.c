/* VMs in processes of their own. The child is a fork of the test here; `cordon up` starts a fresh
 * program (tests/control). */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/cell.h"
#include "include/cordon.h"

#define MS 1000000ull

static const char spinner[] =
    "(module (memory (export \"memory\") 1) (func (export \"_start\") (loop $l (br $l))))";

static const char exits[] =
    "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (memory (export \"memory\") 1)"
    "  (start $s) (func $s (i32.store (i32.const 0) (i32.const 7)))"
    "  (func (export \"_start\") (call $exit (i32.load (i32.const 0)))))";

static const char traps[] = "(module (func $deep (export \"_start\") (unreachable)))";

static const char library[] = "(module (func (export \"f\")))";

/* Sleeps 5 ms at a time, and counts. */
static const char sleeper[] =
    "(module (import \"wasi_snapshot_preview1\" \"poll_oneoff\""
    "          (func $poll (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"_start\") (loop $l"
    "    (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 5000000))"
    "    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))"
    "    (br $l))))";

/* Sleeps for as long as a turn takes to be given and taken, again and again. */
static const char napper[] =
    "(module (import \"wasi_snapshot_preview1\" \"poll_oneoff\""
    "          (func $poll (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"_start\") (loop $l"
    "    (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 10000))"
    "    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))"
    "    (br $l))))";

/* Writes its input to its output, until there is no more. */
static const char echo[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_read\""
    "          (func $read (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_write\""
    "          (func $write (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"_start\") (loop $l"
    "    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 1024))"
    "    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))"
    "    (i32.store (i32.const 4) (i32.load (i32.const 16)))"
    "    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))"
    "    (br_if $l (i32.load (i32.const 4))))))";

/* Takes all the memory that it can get, page by page, and exits with how many pages that is,
 * divided by 4. */
static const char hoard[] =
    "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"_start\")"
    "    (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"
    "    (call $exit (i32.shr_u (memory.size) (i32.const 2)))))";

struct world {
    cordon_host_t *host;
    cordon_config_t *config;
    cordon_error_t error;
};

static void world_init(struct world *world, uint32_t workers)
{
    world->host = cordon_host_new(&world->error);
    world->config = cordon_config_new(&world->error);
    cr_assert(cordon_host_start(world->host, workers, &world->error), "%s", world->error.message);
}

static void world_release(struct world *world)
{
    cordon_config_free(world->config);
    cordon_host_free(world->host);
}

static int file_of(const char *text)
{
    int fd = memfd_create("module", MFD_CLOEXEC);

    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

/* A child that does so with its end of the socket. */
static pid_t child(int *socket, void (*inside)(int socket))
{
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of the test */
        dup2(ends[1], 3); /* and nothing else of the test's */
        close_range(4, ~0u, 0);
        inside(3);
        _exit(0);
    }
    close(ends[1]);
    *socket = ends[0];
    return pid;
}

static void behave(int socket)
{
    cordon_error_t error;

    cordon_cell_inside(socket, NULL, NULL, &error);
}

static cordon_cell_t *start_with(struct world *world, const char *text,
                                 void (*inside)(int socket),
                                 const cordon_cell_events_t *events)
{
    int module = file_of(text), socket;
    cordon_cell_t *cell = cordon_cell_new(world->host, world->config, module, &world->error);

    close(module);
    cr_assert_not_null(cell, "%s", world->error.message);
    pid_t pid = child(&socket, inside);
    cr_assert(cordon_cell_start(cell, pid, socket, events, &world->error), "%s",
              world->error.message);
    return cell;
}

static cordon_cell_t *start(struct world *world, const char *text)
{
    return start_with(world, text, behave, NULL);
}

static cordon_result_t result_of(cordon_cell_t *cell)
{
    cordon_result_t result;

    cordon_cell_wait(cell, &result);
    cordon_cell_free(cell);
    return result;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static uint64_t cpu_of(cordon_cell_t *cell)
{
    cordon_stats_t stats;

    cordon_ctl_stats(cordon_cell_ctl(cell), &stats);
    return stats.cpu_ns;
}

/* Waits until it has used so much more than at first; false when it never does. */
static bool goes_on(cordon_cell_t *cell, uint64_t more)
{
    uint64_t first = cpu_of(cell);

    for (int i = 0; i < 1000 && cpu_of(cell) - first < more; i++)
        sleep_ms(10);
    return cpu_of(cell) - first >= more;
}

struct seen {
    _Atomic int made, ended;
};

static void see_made(void *user, cordon_cell_t *cell)
{
    (void)cell;
    atomic_fetch_add(&((struct seen *)user)->made, 1);
}

static void see_ended(void *user, cordon_cell_t *cell, const cordon_result_t *result)
{
    (void)cell;
    (void)result;
    atomic_fetch_add(&((struct seen *)user)->ended, 1);
}

Test(cell, ends_are_those_of_any_vm, .timeout = 20)
{
    struct world world;
    struct seen seen = {0};
    cordon_cell_events_t events = {see_made, see_ended, &seen};
    world_init(&world, 2);

    cordon_result_t result = result_of(start_with(&world, exits, behave, &events));
    cr_expect_eq(result.end, CORDON_END_EXIT, "%d %s", result.end, result.message);
    cr_expect_eq(result.exit_code, 7);
    cr_expect_eq(seen.made, 1);
    cr_expect_eq(seen.ended, 1);
    result = result_of(start(&world, traps));
    cr_expect_eq(result.end, CORDON_END_TRAP);
    cr_expect_eq(result.frame_count, 1);
    cr_expect_str_eq(result.frames[0].function, "deep");
    cordon_config_limit(world.config, CORDON_CPU_TIME, 30 * MS, &world.error);
    result = result_of(start(&world, spinner));
    cr_expect_eq(result.end, CORDON_END_QUOTA);
    cr_expect_eq(result.quota, CORDON_CPU_TIME);
    world_release(&world);
}

Test(cell, what_cannot_be_made_is_said, .timeout = 20)
{
    struct world world;
    struct seen seen = {0};
    cordon_cell_events_t events = {see_made, see_ended, &seen};
    world_init(&world, 1);

    cordon_result_t result = result_of(start_with(&world, "(module (oops))", behave, &events));
    cr_expect_eq(result.end, CORDON_END_ERROR);
    cr_expect_eq(result.exit_code, 126);
    cr_expect_not_null(strstr(result.message, "oops"), "%s", result.message);
    result = result_of(start_with(&world, library, behave, &events));
    cr_expect_eq(result.exit_code, 127, "%s", result.message);
    cr_expect_eq(seen.made, 0);
    cr_expect_eq(seen.ended, 2);
    world_release(&world);
}

static void die(int socket)
{
    (void)socket;
    raise(SIGUSR1); /* sanitizers handle the signals of faults */
}

static void leave(int socket)
{
    (void)socket;
    _exit(3);
}

/* Takes the turns and never gives one back. */
static void hang(int socket)
{
    (void)socket;
    for (;;)
        pause();
}

Test(cell, a_process_that_dies_is_an_end, .timeout = 20)
{
    struct world world;
    world_init(&world, 1);

    cordon_result_t result = result_of(start_with(&world, spinner, die, NULL));
    cr_expect_eq(result.end, CORDON_END_ERROR);
    cr_expect_eq(result.exit_code, 125);
    cr_expect_not_null(strstr(result.message, "signal 10"), "%s", result.message);
    result = result_of(start_with(&world, spinner, leave, NULL));
    cr_expect_not_null(strstr(result.message, "code 3"), "%s", result.message);
    world_release(&world);
}

Test(cell, a_process_that_does_not_listen_is_killed, .timeout = 20)
{
    struct world world;
    world_init(&world, 1);
    cordon_cell_t *stuck = start_with(&world, spinner, hang, NULL);
    cordon_cell_t *other = start(&world, spinner);

    cr_expect(goes_on(other, 20 * MS), "the place of who is blocked is given to others");
    cordon_ctl_kill(cordon_cell_ctl(stuck), SIGTERM);
    cordon_result_t result = result_of(stuck);
    cr_expect_eq(result.end, CORDON_END_KILLED);
    cr_expect_eq(result.exit_code, 128 + SIGTERM);
    cordon_cell_free(other);
    world_release(&world);
}

/* Works in its turns and never ends one, as the reading of a large module does not. */
static void keep(int socket)
{
    (void)socket;
    for (volatile unsigned i = 0;; i++)
        continue;
}

static void stop(int socket)
{
    (void)socket;
    raise(SIGSTOP);
}

Test(cell, a_process_that_keeps_its_turn_gets_its_share, .timeout = 60)
{
    struct world world;
    world_init(&world, 1);
    cordon_cell_t *keeper = start_with(&world, spinner, keep, NULL);
    cordon_cell_t *other = start(&world, spinner);

    cr_assert(goes_on(other, 20 * MS), "the worker is given to others");
    cr_expect(goes_on(keeper, 20 * MS), "and it goes on");
    uint64_t kept = cpu_of(keeper), used = cpu_of(other);
    cr_expect(goes_on(other, 300 * MS));
    kept = cpu_of(keeper) - kept;
    used = cpu_of(other) - used;
    cr_expect_gt(kept, used / 2, "%llu of %llu", (unsigned long long)kept,
                 (unsigned long long)used);
    cr_expect_lt(kept, used * 2, "%llu of %llu", (unsigned long long)kept,
                 (unsigned long long)used);
    cordon_ctl_pause(cordon_cell_ctl(other)); /* it goes on alone, too */
    cr_expect(goes_on(keeper, 20 * MS));
    cordon_ctl_kill(cordon_cell_ctl(keeper), SIGTERM);
    cr_expect_eq(result_of(keeper).exit_code, 128 + SIGTERM);
    cordon_cell_free(other);
    world_release(&world);
}

Test(cell, a_process_that_is_stopped_keeps_nobody, .timeout = 60)
{
    struct world world;
    world_init(&world, 1);
    cordon_cell_t *stopped = start_with(&world, spinner, stop, NULL);
    cordon_cell_t *other = start(&world, spinner);

    cr_assert(goes_on(other, 20 * MS), "the place of who is stopped is given to others");
    cordon_ctl_kill(cordon_cell_ctl(stopped), SIGTERM);
    cr_expect_eq(result_of(stopped).exit_code, 128 + SIGTERM);
    cordon_cell_free(other);
    world_release(&world);
}

Test(cell, killed_and_paused_like_any_vm, .timeout = 20)
{
    struct world world;
    world_init(&world, 1);
    cordon_cell_t *cell = start(&world, spinner);
    cordon_ctl_t *ctl = cordon_cell_ctl(cell);

    cr_expect(goes_on(cell, 1));
    cordon_ctl_pause(ctl);
    sleep_ms(50);
    uint64_t before = cpu_of(cell);
    sleep_ms(100);
    cr_expect_lt(cpu_of(cell) - before, 5 * MS, "it is paused");
    cordon_ctl_resume(ctl);
    cr_expect(goes_on(cell, 10 * MS));
    cordon_ctl_kill(ctl, SIGTERM);
    cordon_result_t result = result_of(cell);
    cr_expect_eq(result.end, CORDON_END_KILLED);
    cr_expect_eq(result.signal, SIGTERM);
    world_release(&world);
}

Test(cell, waits_for_what_vms_wait_for, .timeout = 20)
{
    struct world world;
    int in[2], out[2];
    char bytes[16] = "";
    world_init(&world, 1);
    cordon_cell_t *asleep = start(&world, sleeper);

    cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
    cordon_config_stdio(world.config, 0, in[0], &world.error);
    cordon_config_stdio(world.config, 1, out[1], &world.error);
    cordon_cell_t *cell = start(&world, echo);
    close(in[0]);
    close(out[1]);
    for (int i = 0; i < 3; i++) {
        sleep_ms(50);
        cr_assert_eq(write(in[1], "hello", 5), 5);
        cr_expect_eq(read(out[0], bytes, sizeof bytes), 5);
        cr_expect_str_eq(bytes, "hello");
    }
    close(in[1]);
    cr_expect_eq(result_of(cell).end, CORDON_END_RETURN);
    cr_expect_lt(cpu_of(asleep), 200 * MS, "who sleeps uses little");
    cordon_cell_free(asleep);
    world_release(&world);
}

/* A process that is killed while its VM has no turn. */
static _Atomic int *pid_seen;

static void behave_and_tell(int socket)
{
    atomic_store(pid_seen, (int)getpid());
    behave(socket);
}

Test(cell, a_process_that_dies_asleep_is_an_end, .timeout = 20)
{
    struct world world;
    world_init(&world, 1);
    pid_seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cordon_cell_t *cell = start_with(&world, sleeper, behave_and_tell, NULL);

    while (atomic_load(pid_seen) == 0)
        sleep_ms(10);
    cordon_ctl_pause(cordon_cell_ctl(cell));
    sleep_ms(50);
    kill(atomic_load(pid_seen), SIGKILL);
    cordon_result_t result = result_of(cell);
    cr_expect_eq(result.end, CORDON_END_ERROR);
    cr_expect_not_null(strstr(result.message, "signal 9"), "%s", result.message);
    world_release(&world);
}

Test(cell, shares_are_kept_across_processes, .timeout = 30)
{
    struct world world;
    cordon_cell_t *cells[3];
    world_init(&world, 1);

    for (int i = 0; i < 3; i++) {
        cordon_config_limit(world.config, CORDON_WEIGHT, i == 2 ? 200 : 100, &world.error);
        cells[i] = start(&world, spinner);
    }
    for (int i = 0; i < 3; i++)
        cr_expect(goes_on(cells[i], 1));
    uint64_t before[3], used[3];
    for (int i = 0; i < 3; i++)
        before[i] = cpu_of(cells[i]);
    sleep_ms(1500);
    for (int i = 0; i < 3; i++)
        used[i] = cpu_of(cells[i]) - before[i];
    cr_expect_gt(used[2], used[0] * 3 / 2, "twice the weight: %llu of %llu",
                 (unsigned long long)used[2], (unsigned long long)used[0]);
    cr_expect_lt(used[2], used[0] * 3, "twice the weight");
    cr_expect_gt(used[0], used[1] / 2);
    cr_expect_lt(used[0], used[1] * 2);
    for (int i = 0; i < 3; i++)
        cordon_cell_free(cells[i]);
    world_release(&world);
}

Test(cell, limits_change_while_it_runs, .timeout = 20)
{
    struct world world;
    world_init(&world, 1);
    cordon_cell_t *cell = start(&world, spinner);
    cordon_ctl_t *ctl = cordon_cell_ctl(cell);

    sleep_ms(50);
    cr_assert(cordon_ctl_limit(ctl, CORDON_CPUS, 100));
    sleep_ms(50);
    uint64_t before = cpu_of(cell);
    sleep_ms(500);
    cr_expect_lt(cpu_of(cell) - before, 90 * MS, "a tenth of a core");
    cr_expect_not(cordon_ctl_limit(ctl, CORDON_CPU_RESERVE, 950), "nine tenths can be reserved");
    cr_assert(cordon_ctl_limit(ctl, CORDON_FUEL, 1));
    cordon_result_t result = result_of(cell);
    cr_expect_eq(result.end, CORDON_END_QUOTA);
    cr_expect_eq(result.quota, CORDON_FUEL);
    world_release(&world);
}

/* What taking and giving turns costs the process is the VM's, too. */
Test(cell, a_limit_holds_for_who_wakes_all_the_time, .timeout = 20)
{
    struct world world;

    world_init(&world, 1);
    cordon_config_limit(world.config, CORDON_CPUS, 50, &world.error);
    cordon_cell_t *cell = start(&world, napper);
    sleep_ms(300);
    uint64_t before = cpu_of(cell);
    sleep_ms(2000);
    uint64_t used = cpu_of(cell) - before;
    cr_expect_lt(used, 115 * MS, "%g ms of 100", (double)used / MS);
    cordon_ctl_kill(cordon_cell_ctl(cell), SIGKILL);
    cordon_cell_free(cell);
    world_release(&world);
}

/* What the VMs of several processes have comes to no more than the host's total. */
Test(cell, memory_is_the_hosts, .timeout = 30)
{
    struct world world;
    cordon_host_stats_t stats;
    world_init(&world, 2);
    cordon_host_total(world.host, 32 << 20);
    cordon_config_limit(world.config, CORDON_MEMORY_RESERVE, 12 << 20, &world.error);
    cordon_cell_t *holder = start(&world, sleeper);
    cordon_cell_t *none = NULL;

    sleep_ms(100);
    cordon_config_limit(world.config, CORDON_MEMORY_RESERVE, 24 << 20, &world.error);
    int module = file_of(hoard);
    none = cordon_cell_new(world.host, world.config, module, &world.error);
    close(module);
    cr_expect_null(none, "12 and 24 are more than 32");
    cr_expect_eq(world.error.quota, CORDON_MEMORY_RESERVE);
    cordon_config_limit(world.config, CORDON_MEMORY_RESERVE, 0, &world.error);
    cordon_config_limit(world.config, CORDON_MEMORY, CORDON_UNLIMITED, &world.error);
    int pages = result_of(start(&world, hoard)).exit_code;
    cr_expect_geq(pages, 72, "%d of 256 KiB: 20 MiB but for other things", pages);
    cr_expect_leq(pages, 80);
    cordon_host_stats(world.host, &stats);
    cr_expect_eq(stats.memory, 12 << 20, "only the reservation is left");
    cr_assert(cordon_ctl_limit(cordon_cell_ctl(holder), CORDON_MEMORY_RESERVE, 30 << 20));
    cr_expect_not(cordon_ctl_limit(cordon_cell_ctl(holder), CORDON_MEMORY_RESERVE, 40 << 20));
    cordon_cell_free(holder);
    cordon_host_stats(world.host, &stats);
    cr_expect_eq(stats.memory, 0);
    world_release(&world);
}

static struct cn_cell_page *take_page(int socket)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control;
    char byte;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    int page;

    if (recvmsg(socket, &message, 0) != 1)
        _exit(1);
    memcpy(&page, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof page);
    return mmap(NULL, sizeof(struct cn_cell_page), PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
}

/* Writes nonsense into all of the page, for ever, the baton included. */
static void lie(int socket)
{
    uint64_t *words = (uint64_t *)take_page(socket);
    uint64_t random = (uint64_t)getpid() * 0x9e3779b97f4a7c15u;
    for (;;) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        words[1 + (random >> 33) % (sizeof(struct cn_cell_page) / 8 - 1)] =
            random >> 60 ? random : random >> 62;
        if (random >> 58 == 0)
            cn_baton_pass((struct cn_cell_page *)words, CN_BATON_HOST);
    }
}

/* What it says is its own VM's harm: the host lives, others run, and it can be ended. */
Test(cell, a_process_that_lies_harms_itself_alone, .timeout = 60)
{
    struct world world;
    cordon_host_stats_t stats;
    world_init(&world, 2);
    cordon_host_total(world.host, 64 << 20);
    cordon_cell_t *other = start(&world, spinner);

    for (int i = 0; i < 12; i++) {
        cordon_cell_t *liar = start_with(&world, spinner, lie, NULL);
        sleep_ms(80);
        cordon_host_stats(world.host, &stats);
        cr_expect_leq(stats.memory, 64 << 20);
        cordon_cell_free(liar);
    }
    cr_expect(goes_on(other, 20 * MS));
    cordon_cell_free(other);
    cordon_host_stats(world.host, &stats);
    cr_expect_eq(stats.memory, 0, "%llu bytes are still lent", (unsigned long long)stats.memory);
    world_release(&world);
}

/* Asks for memory and never ends its turn. */
static void beg(int socket)
{
    struct cn_cell_page *page = take_page(socket);

    for (;;) {
        cn_baton_wait(page, CN_BATON_INSIDE, UINT64_MAX);
        page->word = CN_CELL_ASK;
        page->wanted = 4096;
        cn_baton_pass(page, CN_BATON_HOST);
    }
}

Test(cell, a_process_that_only_asks_is_killed, .timeout = 60)
{
    struct world world;
    world_init(&world, 1);

    cordon_result_t result = result_of(start_with(&world, spinner, beg, NULL));
    cr_expect_eq(result.end, CORDON_END_ERROR, "%s", result.message);
    cordon_cell_t *beggar = start_with(&world, spinner, beg, NULL);
    cordon_ctl_kill(cordon_cell_ctl(beggar), SIGTERM);
    result = result_of(beggar);
    cr_expect_eq(result.end, CORDON_END_KILLED);
    cordon_cell_t *other = start(&world, spinner);
    cr_expect(goes_on(other, 10 * MS), "the worker is free");
    cordon_cell_free(other);
    world_release(&world);
}
