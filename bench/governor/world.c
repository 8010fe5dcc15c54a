#include "bench/governor/world.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static char folder[] = "/var/tmp/cordon-bench-XXXXXX";

static void remove_folder(void)
{
    char path[sizeof folder + 2];

    snprintf(path, sizeof path, "%s/f", folder);
    unlink(path);
    rmdir(folder);
}

const char *own_folder(void)
{
    static bool is_made;

    if (is_made)
        return folder;
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        exit(1);
    }
    is_made = true;
    atexit(remove_folder);
    return folder;
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
    spinner_start();
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

/* Guests that follow one another are mostly the same: their module is loaded once. */
static cordon_module_t *load(struct world *world, const char *guest)
{
    static const char *last_guest;
    static cordon_module_t *last_module;
    cordon_error_t error = {0};

    if (world->count > 0 && guest == last_guest)
        return last_module;
    last_module = cordon_module_load(world->host, guest, strlen(guest), &error);
    need(last_module != NULL, &error);
    last_guest = guest;
    world->modules[world->count] = last_module;
    return last_module;
}

static cordon_config_t *new_config(void)
{
    cordon_error_t error = {0};
    cordon_config_t *config = cordon_config_new(&error);

    need(config != NULL, &error);
    need(cordon_config_limit(config, CORDON_MEMORY, 8ull << 30, &error), &error);
    return config;
}

static uint32_t add_by(struct world *world, const char *guest, cordon_config_t *config)
{
    cordon_error_t error = {0};
    cordon_module_t *module = load(world, guest);
    uint32_t number = world->count++;

    world->vms[number] = cordon_vm_new(world->host, module, world->linker, config, &error);
    need(world->vms[number] != NULL, &error);
    cordon_config_free(config);
    return number;
}

void start_vm(struct world *world, uint32_t vm)
{
    cordon_error_t error = {0};

    need(cordon_vm_start(world->vms[vm], NULL, NULL, &error), &error);
}

uint32_t add_vm(struct world *world, const char *guest, uint64_t weight, uint64_t limit,
                uint64_t reserve)
{
    cordon_error_t error = {0};
    cordon_config_t *config = new_config();

    need(cordon_config_limit(config, CORDON_WEIGHT, weight, &error), &error);
    need(cordon_config_limit(config, CORDON_CPUS, limit, &error), &error);
    need(cordon_config_limit(config, CORDON_CPU_RESERVE, reserve, &error), &error);
    uint32_t number = add_by(world, guest, config);
    start_vm(world, number);
    return number;
}

/* So much of each that nobody comes near it; weights and cores have a largest value. */
static void limit_all(cordon_config_t *config)
{
    cordon_error_t error = {0};

    for (int i = 0; i < CORDON_QUOTA_COUNT; i++) {
        uint64_t value = i == CORDON_WEIGHT ? 100
                         : i == CORDON_CPUS ? 1000
                         : i == CORDON_CPU_RESERVE ? 500
                         : i == CORDON_STACK || i == CORDON_FDS ? 1 << 20
                         : i == CORDON_MEMORY_RESERVE ? 1 << 20
                                            : 1ull << 50;
        need(cordon_config_limit(config, (cordon_quota_t)i, value, &error), &error);
    }
}

uint32_t make_vm(struct world *world, const char *guest, const struct given *given)
{
    cordon_error_t error = {0};
    cordon_config_t *config = new_config();

    if (given->has_all_quotas)
        limit_all(config);
    if (given->stack != 0)
        need(cordon_config_limit(config, CORDON_STACK, given->stack, &error), &error);
    if (given->dir != NULL)
        need(cordon_config_dir(config, given->dir, "/", false, &error), &error);
    if (given->port != NULL)
        need(cordon_config_listen(config, "127.0.0.1:0", given->port, &error), &error);
    if (given->timeout_ns != 0)
        need(cordon_config_limit(config, CORDON_TIMEOUT, given->timeout_ns, &error), &error);
    return add_by(world, guest, config);
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
static bool has_spinner;
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
    (void)spinner_stop();
    atomic_store(&spins, true);
    has_spinner = pthread_create(&spinner_thread, NULL, spin, NULL) == 0;
}

struct spinner spinner_stop(void)
{
    atomic_store(&spins, false);
    if (has_spinner)
        pthread_join(spinner_thread, NULL);
    has_spinner = false;
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
    struct spinner control = spinner_stop();
    printf("{\"measure\": \"%s\", \"result\": \"%s\", \"goal\": \"%s\", \"reached\": %s, "
           "\"control\": {\"mean\": %.3f, \"least\": %.3f}}\n",
           measure, text, goal, is_reached ? "true" : "false", control.mean, control.least);
    fflush(stdout);
}
