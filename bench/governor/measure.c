/* Measures the governor on one host: shares, limits, attacks, latencies. Prints a line of JSON
 * per measure; bench/governor/run makes a table of them.
 *
 *     governor_measure WORKERS [NAME...]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/governor/guests.h"
#include "bench/governor/measures.h"
#include "bench/governor/world.h"

/* ------------------------------------------------------------------ shares */

struct shares {
    double jain;        /* of CPU time by weight */
    double worst;       /* furthest from its part, as a part of that */
};

/* What each VM used between two readings, against its weight's part of what all used. Those that
 * were due less than `least` ns are left out of the worst. */
static struct shares compare_shares(const uint64_t *before, const uint64_t *after,
                                    const uint64_t *weights, uint32_t count, double least)
{
    double all = 0, weight_sum = 0, sum = 0, squares = 0;
    struct shares shares = {0};

    for (uint32_t i = 0; i < count; i++) {
        all += (double)(after[i] - before[i]);
        weight_sum += (double)weights[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        double used = (double)(after[i] - before[i]);
        double due = all * (double)weights[i] / weight_sum;
        double rate = used / (double)weights[i];
        sum += rate;
        squares += rate * rate;
        if (due >= least && fabs(used - due) / due > shares.worst)
            shares.worst = fabs(used - due) / due;
    }
    shares.jain = sum * sum / (count * squares);
    return shares;
}

static void read_all(const struct world *world, uint64_t *cpu)
{
    for (uint32_t i = 0; i < world->count; i++)
        cpu[i] = cpu_of(world, i);
}

static void measure_shares(uint32_t workers, uint32_t count)
{
    static uint64_t first[VMS_MAX], before[VMS_MAX], after[VMS_MAX], weights[VMS_MAX];
    struct world world;
    cordon_host_stats_t stats;
    char name[60];
    double worst_second = 0;

    world_init(&world, workers);
    for (uint32_t i = 0; i < count; i++)
        add_vm(&world, guest_spin, weights[i] = 100u << i % 4, UNLIMITED, 0);
    sleep_ns(SECOND / 5);
    read_all(&world, first);
    memcpy(before, first, sizeof before);
    spinner_start();
    for (int second = 0; second < 10; second++) {
        sleep_ns(SECOND);
        read_all(&world, after);
        cordon_host_stats(world.host, &stats);
        double turn_ns = (double)stats.busy_ns / (double)stats.turns;
        struct shares shares = compare_shares(before, after, weights, count, 20 * turn_ns);
        worst_second = shares.worst > worst_second ? shares.worst : worst_second;
        memcpy(before, after, sizeof before);
    }
    struct spinner control = spinner_stop();
    struct shares shares = compare_shares(first, after, weights, count, 0);
    double received = 0;
    for (uint32_t i = 0; i < count; i++)
        received += (double)(after[i] - first[i]);
    snprintf(name, sizeof name, "share of %u VMs, weights 1:2:4:8", count);
    report(name, "Jain >= 0.999; <= 2% over 10 s; <= 5% over 1 s",
           shares.jain >= 0.999 && shares.worst <= 0.02 && worst_second <= 0.05,
           "Jain %.5f; %.2f%% over 10 s; %.2f%% over 1 s (control %.2f, received %.2f cores)",
           shares.jain, shares.worst * 100, worst_second * 100, control.mean, received / 1e10);
    world_release(&world);
}

/* ------------------------------------------------------------------ changes */

#define STEPS 50
#define STEP_NS (10 * MS)
#define WINDOW 20

/* Readings every 10 ms after a change of weight: from which one on the windows of 200 ms show a
 * part that is within 5% of the new one. (A reading may be a turn old, so that shorter windows
 * would show that.) */
static uint32_t settled_at(uint64_t cpu[STEPS][VMS_MAX], uint32_t count, double due)
{
    uint32_t settled = 0;

    for (uint32_t at = 0; at + WINDOW < STEPS; at++) {
        double all = 0;
        for (uint32_t i = 0; i < count; i++)
            all += (double)(cpu[at + WINDOW][i] - cpu[at][i]);
        double part = (double)(cpu[at + WINDOW][0] - cpu[at][0]) / all;
        if (fabs(part - due) > 0.05 * due)
            settled = at + 1;
    }
    return settled;
}

static void measure_settling(uint32_t workers)
{
    static uint64_t cpu[STEPS][VMS_MAX];
    struct world world;
    uint32_t worst = 0;

    world_init(&world, workers);
    for (uint32_t i = 0; i < 2 * workers; i++)
        add_vm(&world, guest_spin, 100, UNLIMITED, 0);
    sleep_ns(SECOND / 5);
    for (int round = 0; round < 10; round++) {
        uint64_t weight = round % 2 ? 100 : 150;
        double due = (double)weight / (double)(weight + 100 * (world.count - 1));
        cordon_ctl_limit(cordon_vm_ctl(world.vms[0]), CORDON_WEIGHT, weight);
        for (uint32_t step = 0; step < STEPS; step++) {
            read_all(&world, cpu[step]);
            sleep_ns(STEP_NS);
        }
        uint32_t settled = settled_at(cpu, world.count, due);
        worst = settled > worst ? settled : worst;
    }
    report("change of weight settles to 5%", "<= 100 ms", worst <= 10, "%u ms", worst * 10);
    world_release(&world);
}

/* The same of a limit, for a VM that has the workers to itself: within 5% of the new rate from when
 * on. */
static void measure_settling_of_limits(uint32_t workers)
{
    static uint64_t cpu[STEPS];
    struct world world;
    uint32_t worst = 0;

    world_init(&world, workers);
    add_vm(&world, guest_spin, 100, 200, 0);
    sleep_ns(SECOND / 5);
    for (int round = 0; round < 6; round++) {
        uint64_t limit = round % 2 ? 200 : 600, start = now_ns();
        double due = (double)limit / 1000;
        uint32_t settled = 0;
        cordon_ctl_limit(cordon_vm_ctl(world.vms[0]), CORDON_CPUS, limit);
        for (uint32_t step = 0; step < STEPS; step++) {
            cpu[step] = cpu_of(&world, 0);
            while (now_ns() < start + (step + 1) * STEP_NS)
                sleep_ns(MS / 2);
        }
        for (uint32_t at = 0; at + WINDOW < STEPS; at++)
            if (fabs((double)(cpu[at + WINDOW] - cpu[at]) / (WINDOW * STEP_NS) - due) > 0.05 * due)
                settled = at + 1;
        worst = settled > worst ? settled : worst;
    }
    report("change of a limit settles to 5%", "<= 100 ms", worst <= 10, "%u ms", worst * 10);
    world_release(&world);
}

static void measure_limit(uint32_t workers, uint32_t others)
{
    struct world world;
    char name[60];

    world_init(&world, workers);
    add_vm(&world, guest_spin, 100, 200, 0);
    for (uint32_t i = 0; i < others; i++)
        add_vm(&world, guest_spin, 10, UNLIMITED, 0);
    sleep_ns(SECOND / 5);
    spinner_start();
    uint64_t cpu = cpu_of(&world, 0), wall = now_ns();
    sleep_ns(10 * SECOND);
    double part = (double)(cpu_of(&world, 0) - cpu) / (double)(now_ns() - wall);
    struct spinner control = spinner_stop();
    snprintf(name, sizeof name, "limit of 0.2 cores, %s machine", others ? "busy" : "idle");
    report(name, "never above +2%; below by what the control lost",
           part <= 0.204 && part >= 0.2 * 0.98 * (control.mean < 1 ? control.mean : 1),
           "%.4f (%+.2f%%; control %.2f)", part, (part / 0.2 - 1) * 100, control.mean);
    world_release(&world);
}

static void measure_reservation(uint32_t workers)
{
    struct world world;
    cordon_host_stats_t before, after;

    world_init(&world, workers);
    add_vm(&world, guest_spin, 1, UNLIMITED, 500);
    for (uint32_t i = 0; i < 10 * workers; i++)
        add_vm(&world, guest_spin, 1000, UNLIMITED, 0);
    sleep_ns(SECOND / 5);
    uint64_t cpu = cpu_of(&world, 0);
    cordon_host_stats(world.host, &before);
    sleep_ns(5 * SECOND);
    cordon_host_stats(world.host, &after);
    double received = (double)(after.busy_ns - before.busy_ns) / workers;
    double kept = (double)(cpu_of(&world, 0) - cpu) / (0.5 * received);
    report("reservation of 0.5 under 10x overload", ">= 98%", kept >= 0.98,
           "%.2f%% of what the workers received of it", kept * 100);
    world_release(&world);
}

/* ------------------------------------------------------------------ attacks */

/* What an attacker has beside three busy neighbours of the same weight, against its part. */
static void measure_attack(uint32_t workers, const char *name, const char *guest)
{
    static uint64_t before[VMS_MAX], after[VMS_MAX];
    struct world world;
    char line[80];
    uint32_t others = workers * 4 - 1;
    double all = 0;

    world_init(&world, workers);
    const struct given given = {.dir = guest == guest_files ? own_folder() : NULL};
    start_vm(&world, make_vm(&world, guest, &given));
    for (uint32_t i = 0; i < others; i++)
        add_vm(&world, guest_spin, 100, UNLIMITED, 0);
    sleep_ns(SECOND / 2);
    read_all(&world, before);
    sleep_ns(5 * SECOND);
    read_all(&world, after);
    for (uint32_t i = 0; i < world.count; i++)
        all += (double)(after[i] - before[i]);
    double gain = (double)(after[0] - before[0]) / (all / world.count) - 1;
    snprintf(line, sizeof line, "attacker's gain by %s", name);
    report(line, "<= 2%", gain <= 0.02, "%+.2f%%", gain * 100);
    world_release(&world);
}

/* ------------------------------------------------------------------ latencies */

/* Since the world's beginning; 2^i us is below what is said. */
static void report_turns(const struct world *world, const char *name)
{
    cordon_host_stats_t stats;
    uint32_t p99 = 0, longest = 0;

    cordon_host_stats(world->host, &stats);
    for (uint32_t i = 0; i < CORDON_OVERRUNS; i++) {
        if (stats.overruns[i] * 100 > stats.turns)
            p99 = i + 1;
        if (stats.overruns[i] > 0)
            longest = i + 1;
    }
    report(name, "p99 <= 1 ms, max <= 5 ms", (1u << p99) <= 1024 && (1u << longest) <= 4096,
           "p99 below %.3f ms, max below %.3f ms of %llu turns", (1u << p99) / 1000.0,
           (1u << longest) / 1000.0, (unsigned long long)stats.turns);
}

static void measure_overrun(uint32_t workers)
{
    const char *const guests[] = {guest_fill, guest_calls, guest_touch, guest_spin, guest_flood};
    struct world world;

    world_init(&world, workers);
    for (uint32_t i = 0; i < 10; i++)
        add_vm(&world, guests[i % 5], 100, UNLIMITED, 0);
    sleep_ns(5 * SECOND);
    report_turns(&world,
                 "turn longer than its slice; 4 GiB fills, fresh pages, host calls, timers");
    world_release(&world);
}

/* Large things are made, grown, moved and collected, and given back when their VM is killed. */
static void measure_teardown(uint32_t workers)
{
    const char *const guests[] = {guest_table, guest_array, guest_arrays, guest_deep, guest_grow};
    const struct given given = {.stack = 1ull << 30};
    struct world world;

    world_init(&world, workers);
    add_vm(&world, guest_spin, 10, UNLIMITED, 0);
    for (uint32_t i = 0; i < sizeof guests / sizeof *guests; i++) {
        uint32_t vm = make_vm(&world, guests[i], &given);
        start_vm(&world, vm);
        for (int step = 0; step < 30 && (step < 10 || counted_by(&world, vm) == 0); step++)
            sleep_ns(100 * MS);
        remove_vm(&world, vm);
    }
    report_turns(&world, "turn longer than its slice; tables, arrays, stacks and memories of up to "
                         "2 GiB grow, move and are given back");
    world_release(&world);
}

/* Gigabytes are filled, and given back when their VM is killed, again and again. */
static uint32_t kill_giants(struct world *world, uint64_t ns)
{
    uint64_t end = now_ns() + ns;
    uint32_t killed = 0;

    while (now_ns() < end) {
        uint32_t vm = add_vm(world, guest_fill, 1000, UNLIMITED, 0);
        while (counted_by(world, vm) == 0 && now_ns() < end)
            sleep_ns(20 * MS);
        remove_vm(world, vm);
        killed++;
    }
    return killed;
}

/* Four that sleep and look how late they are, beside eight that work. */
static void measure_wakes(uint32_t workers, bool beside_giants)
{
    static uint64_t late[4096 * 4];
    struct world world;
    uint32_t count = 0, killed = 0;

    world_init(&world, workers);
    for (uint32_t i = 0; i < 4; i++)
        add_vm(&world, guest_interactive, 100, UNLIMITED, 0);
    for (uint32_t i = 0; i < 8; i++)
        add_vm(&world, guest_spin, 100, UNLIMITED, 0);
    if (beside_giants)
        killed = kill_giants(&world, 10 * SECOND);
    else
        sleep_ns(10 * SECOND);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t size, n;
        cordon_ctl_pause(cordon_vm_ctl(world.vms[i]));
        sleep_ns(20 * MS);
        const uint8_t *memory = cordon_vm_memory(world.vms[i], &size);
        n = counted_by(&world, i);
        for (uint64_t k = 0; k < n && k < 4096; k++)
            memcpy(&late[count++], memory + 1024 + 8 * k, 8);
    }
    uint64_t half = quantile(late, count, 0.5), p99 = quantile(late, count, 0.99);
    report(beside_giants ? "wake to run beside 8 busy VMs, while others of 4 GiB are killed"
                         : "wake to run beside 8 busy VMs",
           "p50 <= 2 ms, p99 <= 10 ms", half <= 2 * MS && p99 <= 10 * MS,
           "p50 %.2f ms, p99 %.2f ms, longest %.2f ms of %u wakes, %u killed", (double)half / MS,
           (double)p99 / MS, (double)quantile(late, count, 1) / MS, count, killed);
    world_release(&world);
}

/* ------------------------------------------------------------------ many */

static uint64_t resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long size = 0, resident = 0;

    if (file == NULL || fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return resident * 4;
}

static void measure_thousand(uint32_t workers)
{
    uint64_t before = 0, start_ns = 0, stop_ns = 0, after = 0;
    double jain = 0;

    for (int round = 0; round < 3; round++) { /* the first fills the allocator's pools */
        static uint64_t cpu[2][VMS_MAX], weights[VMS_MAX];
        struct world world;
        world_init(&world, workers);
        start_ns = now_ns();
        for (uint32_t i = 0; i < 1000; i++) {
            add_vm(&world, guest_spin, 100, UNLIMITED, 0);
            weights[i] = 100;
        }
        start_ns = now_ns() - start_ns;
        read_all(&world, cpu[0]);
        sleep_ns(3 * SECOND);
        read_all(&world, cpu[1]);
        jain = compare_shares(cpu[0], cpu[1], weights, 1000, 0).jain;
        stop_ns = now_ns();
        world_release(&world);
        stop_ns = now_ns() - stop_ns;
        if (round == 1)
            before = resident_kib();
        after = resident_kib();
    }
    report("1,000 busy VMs in one process", "start, share, stop; flat memory",
           after <= before + 1024 && jain > 0.9,
           "start %.0f us each, Jain %.4f over 3 s, stop %.0f us each; %+lld KiB after another "
           "round", (double)start_ns / 1e6, jain, (double)stop_ns / 1e6,
           (long long)after - (long long)before);
}

/* ------------------------------------------------------------------ all of it */

static bool is_wanted(int argc, char **argv, const char *name)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc == 2;
}

static void measure_all_shares(uint32_t workers)
{
    for (uint32_t count = 8; count <= 64; count *= 2)
        measure_shares(workers, count);
}

static void measure_all_settling(uint32_t workers)
{
    measure_settling(workers);
    measure_settling_of_limits(workers);
}

static void measure_limits(uint32_t workers)
{
    measure_limit(workers, 0);
    measure_limit(workers, 8);
}

static void measure_attacks(uint32_t workers)
{
    measure_attack(workers, "yielding before the end of its turn", guest_yield);
    measure_attack(workers, "sleeping a nanosecond again and again", guest_doze);
    measure_attack(workers, "waiting a nanosecond for its own memory", guest_nap);
    measure_attack(workers, "hiding in host calls", guest_calls);
    measure_attack(workers, "bulk operations", guest_fill_small);
    measure_attack(workers, "reads and writes of files", guest_files);
}

static void measure_plain_wakes(uint32_t workers)
{
    measure_wakes(workers, false);
}

static void measure_giants(uint32_t workers)
{
    measure_wakes(workers, true);
}

static const struct measure {
    const char *name;
    void (*measure)(uint32_t workers);
} measures[] = {
    {"shares", measure_all_shares}, {"settling", measure_all_settling},
    {"limit", measure_limits},      {"reservation", measure_reservation},
    {"attacks", measure_attacks},   {"overrun", measure_overrun},
    {"teardown", measure_teardown}, {"wakes", measure_plain_wakes}, {"giants", measure_giants},
    {"latencies", measure_latencies}, {"thousand", measure_thousand},
};
#define MEASURES (sizeof measures / sizeof *measures)

/* Spins until standard input ends: beside what other programs measure. */
static void print_control(void)
{
    spinner_start();
    while (getchar() != EOF)
        continue;
    struct spinner control = spinner_stop();
    printf("{\"mean\": %.3f, \"least\": %.3f}\n", control.mean, control.least);
}

static int usage(void)
{
    fprintf(stderr, "usage: governor_measure WORKERS [NAME...]\n"
                    "       governor_measure WORKERS governed | alone | control\n");
    return 2;
}

int main(int argc, char **argv)
{
    uint32_t workers = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    const char *word = argc > 2 ? argv[2] : "";

    if (workers == 0)
        return usage();
    if (strcmp(word, "control") == 0)
        print_control();
    else if (strcmp(word, "governed") == 0 || strcmp(word, "alone") == 0)
        print_costs(workers, word[0] == 'g');
    for (size_t i = 0; i < MEASURES; i++)
        if (is_wanted(argc, argv, measures[i].name))
            measures[i].measure(workers);
    return 0;
}
