#include "bench/governor/world.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

void sleep_ns(uint64_t ns)
{
    nanosleep(&(struct timespec){(time_t)(ns / SECOND), (long)(ns % SECOND)}, NULL);
}

static void need(bool is_fine, const cordon_error_t *error)
{
    if (is_fine)
        return;
    fprintf(stderr, "bench/governor: %s\n", error->message);
    exit(1);
}

void world_init(struct world *world, uint32_t workers)
{
    cordon_error_t error = {0};

    *world = (struct world){.host = cordon_host_new(&error), .workers = workers};
    need(world->host != NULL, &error);
    world->linker = cordon_linker_new(world->host, &error);
    need(world->linker != NULL, &error);
    cordon_linker_allow_wasi(world->linker);
    need(cordon_host_start(world->host, workers, &error), &error);
}

void world_release(struct world *world)
{
    for (uint32_t i = 0; i < world->count; i++)
        if (world->vms[i] != NULL)
            cordon_ctl_kill(cordon_vm_ctl(world->vms[i]), 9);
    for (uint32_t i = 0; i < world->count; i++)
        cordon_vm_free(world->vms[i]);
    for (uint32_t i = 0; i < world->count; i++)
        cordon_module_free(world->modules[i]);
    cordon_linker_free(world->linker);
    cordon_host_free(world->host);
}

void remove_vm(struct world *world, uint32_t vm)
{
    cordon_vm_free(world->vms[vm]);
    world->vms[vm] = NULL;
}

uint32_t add_vm(struct world *world, const char *guest, uint64_t weight, uint64_t limit,
                uint64_t reserve)
{
    static const char *last_guest;
    static cordon_module_t *last_module;
    cordon_error_t error = {0};
    uint32_t number = world->count++;
    bool is_new = number == 0 || guest != last_guest;

    if (is_new) {
        last_module = cordon_module_load(world->host, guest, strlen(guest), &error);
        need(last_module != NULL, &error);
        last_guest = guest;
        world->modules[number] = last_module;
    }
    cordon_config_t *config = cordon_config_new(&error);
    need(config != NULL, &error);
    need(cordon_config_limit(config, CORDON_WEIGHT, weight, &error), &error);
    need(cordon_config_limit(config, CORDON_CPUS, limit, &error), &error);
    need(cordon_config_limit(config, CORDON_CPU_RESERVE, reserve, &error), &error);
    need(cordon_config_limit(config, CORDON_MEMORY, 8ull << 30, &error), &error);
    world->vms[number] =
        cordon_vm_new(world->host, last_module, world->linker, config, &error);
    need(world->vms[number] != NULL, &error);
    cordon_config_free(config);
    need(cordon_vm_start(world->vms[number], NULL, NULL, &error), &error);
    return number;
}

uint64_t cpu_of(const struct world *world, uint32_t vm)
{
    cordon_stats_t stats;

    cordon_ctl_stats(cordon_vm_ctl(world->vms[vm]), &stats);
    return stats.cpu_ns;
}

uint64_t counted_by(const struct world *world, uint32_t vm)
{
    uint64_t size, count;

    memcpy(&count, cordon_vm_memory(world->vms[vm], &size), sizeof count);
    return count;
}

static int compare(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

uint64_t quantile(uint64_t *values, uint32_t count, double part)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, compare);
    uint32_t at = (uint32_t)(part * count);
    return values[at < count ? at : count - 1];
}

/* ------------------------------------------------------------------ the control */

static _Atomic bool spins;
static pthread_t spinner_thread;
static struct spinner measured;

/* Sleeps most of the time, so as not to disturb: a burst of 2 ms in 50 tells as much. */
static void *spin(void *unused)
{
    double sum = 0;
    int bursts = 0;

    (void)unused;
    measured = (struct spinner){0, 1};
    for (; atomic_load(&spins); bursts++) {
        uint64_t wall = now_ns(), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        while (now_ns() - wall < 2 * MS) {
        }
        double part = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / (double)(now_ns() - wall);
        sum += part;
        measured.least = part < measured.least ? part : measured.least;
        sleep_ns(48 * MS);
    }
    measured.mean = bursts ? sum / bursts : 1;
    return NULL;
}

void spinner_start(void)
{
    atomic_store(&spins, true);
    pthread_create(&spinner_thread, NULL, spin, NULL);
}

struct spinner spinner_stop(void)
{
    atomic_store(&spins, false);
    pthread_join(spinner_thread, NULL);
    return measured;
}

/* ------------------------------------------------------------------ results */

void report(const char *measure, const char *goal, bool is_reached, const char *format, ...)
{
    char text[200];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("{\"measure\": \"%s\", \"result\": \"%s\", \"goal\": \"%s\", \"reached\": %s}\n",
           measure, text, goal, is_reached ? "true" : "false");
    fflush(stdout);
}
