/* What being governed costs: the same work in both ways. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/governor/guests.h"
#include "bench/governor/measures.h"
#include "bench/governor/world.h"

#define ROUNDS 4
#define NEIGHBOURS 8

struct cost {
    uint64_t wall_ns, cpu_ns;
};

static uint64_t cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * SECOND + (uint64_t)used.tv_nsec;
}

static struct cost run_once(struct world *world, const char *guest, bool is_governed)
{
    const struct given given = {.has_all_quotas = is_governed};
    uint32_t vm = make_vm(world, guest, &given);
    cordon_result_t result = {0};
    cordon_error_t error;
    uint64_t wall = now_ns(), cpu = cpu_ns();

    if (is_governed) {
        start_vm(world, vm);
        cordon_vm_wait(world->vms[vm], &result);
    } else {
        (void)cordon_vm_run(world->vms[vm], &result, &error);
    }
    const struct cost cost = {now_ns() - wall, cpu_ns() - cpu};
    remove_vm(world, vm);
    if (result.end != CORDON_END_RETURN) {
        fprintf(stderr, "bench/governor: a VM ended otherwise: %s\n", result.message);
        exit(1);
    }
    return cost;
}

static void print_cost(struct world *world, const char *name, const char *guest, bool is_governed)
{
    struct cost best = {UINT64_MAX, UINT64_MAX};

    for (int i = 0; i < ROUNDS; i++) {
        const struct cost cost = run_once(world, guest, is_governed);
        best.wall_ns = cost.wall_ns < best.wall_ns ? cost.wall_ns : best.wall_ns;
        best.cpu_ns = cost.cpu_ns < best.cpu_ns ? cost.cpu_ns : best.cpu_ns;
    }
    printf("{\"work\": \"%s\", \"wall\": %" PRIu64 ", \"cpu\": %" PRIu64 "}\n", name, best.wall_ns,
           best.cpu_ns);
}

void print_costs(uint32_t workers, int is_governed)
{
    struct world world;

    world_init(&world, workers);
    (void)spinner_stop();
    for (int i = 0; is_governed && i < NEIGHBOURS; i++)
        add_vm(&world, guest_sleep, 100, UNLIMITED, 0);
    print_cost(&world, "compute", guest_work, is_governed);
    print_cost(&world, "host calls", guest_ask, is_governed);
    world_release(&world);
}
