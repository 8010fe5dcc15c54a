/* Latencies of what a VM is told, or told by its limits, in each of the things that it may be
 * doing. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/governor/guests.h"
#include "bench/governor/measures.h"
#include "bench/governor/world.h"

#define ROUNDS 100
#define BUSY 4
/* How long a paused VM is looked at, and how often. */
#define WATCHED_NS (15 * MS)
#define LOOK_NS 50000
#define TIMEOUT_NS (20 * MS)

/* ------------------------------------------------------------------ what they do */

struct deed {
    const char *name;
    const char *guest;
    bool has_dir, listens;
};

static const struct deed deeds[] = {
    {"compute", guest_spin, false, false},
    {"sleep", guest_tick, false, false},
    {"accept", guest_accept, false, true},
    {"file I/O", guest_files, true, false},
};
#define DEEDS (sizeof deeds / sizeof *deeds)

/* ------------------------------------------------------------------ who connects */

static _Atomic uint16_t connects_to; /* 0: nobody is to be connected to */

/* A connection in a millisecond or so, which is given up at once. */
static void *connect_always(void *unused)
{
    const struct linger at_once = {1, 0};

    for (;;) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(atomic_load(&connects_to)),
                                      .sin_addr = {htonl(INADDR_LOOPBACK)}};
        int fd = address.sin_port ? socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) : -1;
        if (fd >= 0) {
            (void)connect(fd, (struct sockaddr *)&address, sizeof address);
            sleep_ns(MS);
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            close(fd);
        } else {
            sleep_ns(MS);
        }
    }
    return unused;
}

static void start_client(void)
{
    static bool is_started;
    pthread_t thread;

    if (!is_started && pthread_create(&thread, NULL, connect_always, NULL) == 0)
        pthread_detach(thread);
    is_started = true;
}

/* ------------------------------------------------------------------ measuring */

static void add_busy(struct world *world, uint32_t workers)
{
    world_init(world, workers);
    for (uint32_t i = 0; i < BUSY; i++)
        add_vm(world, guest_spin, 100, UNLIMITED, 0);
}

/* Starts one, and waits until it does what it is to do. */
static uint32_t begin(struct world *world, const struct deed *deed, uint64_t timeout_ns)
{
    uint16_t port = 0;
    const struct given given = {.dir = deed->has_dir ? own_folder() : NULL,
                                .port = deed->listens ? &port : NULL, .timeout_ns = timeout_ns};
    uint32_t vm = make_vm(world, deed->guest, &given);

    atomic_store(&connects_to, port);
    start_vm(world, vm);
    return vm;
}

static void report_times(const char *what, const struct deed *deed, uint64_t *took)
{
    char line[100];
    uint64_t p99 = quantile(took, ROUNDS, 0.98); /* the last but one of a hundred */

    snprintf(line, sizeof line, "%s of a VM in %s, beside %d busy ones", what, deed->name, BUSY);
    report(line, "p99 <= 10 ms", p99 <= 10 * MS, "p50 %.2f ms, p99 %.2f ms, longest %.2f ms",
           (double)quantile(took, ROUNDS, 0.5) / MS, (double)p99 / MS,
           (double)quantile(took, ROUNDS, 1) / MS);
}

/* From the call until the last thing that the guest did. */
static uint64_t time_to_pause(struct world *world, uint32_t vm)
{
    uint64_t start = now_ns(), now = start, last = start, seen;

    cordon_ctl_pause(cordon_vm_ctl(world->vms[vm]));
    seen = counted_by(world, vm);
    while (now < start + WATCHED_NS) {
        sleep_ns(LOOK_NS);
        now = now_ns();
        uint64_t count = counted_by(world, vm);
        last = count != seen ? now : last;
        seen = count;
    }
    return last - start;
}

static void measure_pauses(uint32_t workers, const struct deed *deed)
{
    static uint64_t took[ROUNDS];
    struct world world;

    add_busy(&world, workers);
    uint32_t vm = begin(&world, deed, 0);
    while (counted_by(&world, vm) == 0)
        sleep_ns(MS);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        took[i] = time_to_pause(&world, vm);
        cordon_ctl_resume(cordon_vm_ctl(world.vms[vm]));
        sleep_ns((5 + i % 7) * MS);
    }
    report_times("pause", deed, took);
    atomic_store(&connects_to, 0);
    world_release(&world);
}

/* From the call of the control until the VM has ended. */
static void measure_kills(uint32_t workers, const struct deed *deed)
{
    static uint64_t took[ROUNDS];
    struct world world;

    add_busy(&world, workers);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        cordon_result_t result;
        uint32_t vm = begin(&world, deed, 0);
        sleep_ns(10 * MS);
        uint64_t start = now_ns();
        cordon_ctl_kill(cordon_vm_ctl(world.vms[vm]), 9);
        cordon_vm_wait(world.vms[vm], &result);
        took[i] = now_ns() - start;
        remove_vm(&world, vm);
    }
    report_times("kill", deed, took);
    atomic_store(&connects_to, 0);
    world_release(&world);
}

/* From the moment that its time is over until the VM has ended. */
static void measure_limit_hits(uint32_t workers, const struct deed *deed)
{
    static uint64_t took[ROUNDS];
    struct world world;

    add_busy(&world, workers);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        cordon_result_t result;
        uint64_t start = now_ns(); /* its time begins with its making, which is after this */
        uint32_t vm = begin(&world, deed, TIMEOUT_NS);
        cordon_vm_wait(world.vms[vm], &result);
        uint64_t wall = now_ns() - start;
        took[i] = wall > TIMEOUT_NS ? wall - TIMEOUT_NS : 0;
        if (result.end != CORDON_END_QUOTA) {
            fprintf(stderr, "bench/governor: a VM ended otherwise: %s\n", result.message);
            exit(1);
        }
        remove_vm(&world, vm);
    }
    report_times("end by a limit", deed, took);
    atomic_store(&connects_to, 0);
    world_release(&world);
}

void measure_latencies(uint32_t workers)
{
    start_client();
    for (size_t i = 0; i < DEEDS; i++)
        measure_pauses(workers, &deeds[i]);
    for (size_t i = 0; i < DEEDS; i++)
        measure_kills(workers, &deeds[i]);
    for (size_t i = 0; i < DEEDS; i++)
        measure_limit_hits(workers, &deeds[i]);
}
