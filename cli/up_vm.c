/* What becomes of a VM: started, ended, started again. Everything here runs on the loop's
 * thread. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/sweep.h"
#include "cli/up_life.h"

#define SECOND 1000000000u
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 30000
#define SETTLED_NS (10ull * SECOND) /* who ran so long starts again without a pause */

uint64_t up_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* A line on stderr, unless whoever reads that is too slow: the host waits for nobody. */
static bool say_line(const char *name, const char *text)
{
    struct pollfd entry = {.fd = 2, .events = POLLOUT};
    char line[800];

    int size = snprintf(line, sizeof line, "cordon: %s%s%s\n", name, name[0] ? ": " : "", text);
    return poll(&entry, 1, 0) == 1 && write(2, line, (size_t)size) == size;
}

void up_say(const struct up_host *host, const char *name, const char *format, ...)
{
    static unsigned lost;
    char text[700], more[40];
    va_list arguments;

    if (host->is_quiet)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    snprintf(more, sizeof more, "%u lines are lost", lost);
    if (lost > 0 && say_line("", more))
        lost = 0;
    lost += lost > 0 || !say_line(name, text);
}

struct up_vm *up_vm_named(const struct up_host *host, const char *name)
{
    struct up_vm *vm = host->vms;

    while (vm != NULL && strcmp(vm->spec.name, name) != 0)
        vm = vm->next;
    return vm;
}

bool up_vm_is_live(const struct up_vm *vm)
{
    return vm->state != UP_ENDED || vm->life != NULL;
}

/* ------------------------------------------------------------------ forgetting */

/* It will not run again: ports are free for others, the pipe has no writer. */
static void give_back(struct up_vm *vm)
{
    cordon_config_free(vm->config);
    vm->config = NULL;
    if (vm->log_write >= 0)
        close(vm->log_write);
    if (vm->spec.module_fd >= 0)
        close(vm->spec.module_fd);
    vm->log_write = vm->spec.module_fd = -1;
}

static void free_when_closed(struct up_vm *vm)
{
    if (vm->handles > 0)
        return;
    give_back(vm);
    up_spec_release(&vm->spec);
    up_log_release(&vm->log);
    free(vm->ports);
    bool lives_on = !vm->host->is_stopping;
    free(vm);
    if (lives_on)
        cli_sweep();
}

static void handle_closed(uv_handle_t *handle)
{
    struct up_vm *vm = handle->data;

    vm->handles--;
    free_when_closed(vm);
}

/* The VM is not live. */
static void forget(struct up_vm *vm)
{
    struct up_host *host = vm->host;
    struct up_vm **place = &host->vms;

    up_serve_forget(vm);
    up_place_forget_ledger(host->place, vm->spec.name);
    while (*place != vm)
        place = &(*place)->next;
    *place = vm->next;
    if (host->last == &vm->next)
        host->last = place;
    host->vm_count--;
    uv_close((uv_handle_t *)&vm->timer, handle_closed);
    uv_close((uv_handle_t *)&vm->pipe, handle_closed);
}

/* Of those who were started by `run --detach`, the oldest that have ended. */
static void forget_old(struct up_host *host)
{
    struct up_vm *oldest = NULL;
    int count = 0;

    for (struct up_vm *vm = host->vms; vm != NULL; vm = vm->next) {
        if (!vm->is_detached || up_vm_is_live(vm))
            continue;
        count++;
        if (oldest == NULL)
            oldest = vm;
    }
    if (count > UP_ENDED_MAX)
        forget(oldest);
}

/* Then nothing is left that keeps the loop going. Signals stay caught until the process is over:
 * one that comes now must not keep it from cleaning up. */
static void end_host(struct up_host *host)
{
    up_serve_stop(host);
    up_metrics_stop(host);
    while (host->vms != NULL)
        forget(host->vms);
    uv_close((uv_handle_t *)&host->done, NULL);
    uv_close((uv_handle_t *)&host->sampler, NULL);
    uv_close((uv_handle_t *)&host->linger, NULL);
}

static void linger_over(uv_timer_t *timer)
{
    struct up_host *host = timer->data;

    if (host->live_count == 0)
        up_host_stop(host);
}

void up_host_check(struct up_host *host)
{
    if (host->live_count > 0)
        return;
    if (host->is_stopping)
        end_host(host);
    else if (!host->stays && host->linger_ms == 0)
        up_host_stop(host);
    else if (!host->stays)
        uv_timer_start(&host->linger, linger_over, host->linger_ms, 0);
}

/* ------------------------------------------------------------------ lives */

static void start_life(struct up_vm *vm);
static void end_life(struct up_vm *vm);

static void backoff_over(uv_timer_t *timer)
{
    struct up_vm *vm = timer->data;

    vm->restarts++;
    start_life(vm);
}

static bool wants_restart(const struct up_vm *vm)
{
    const struct up_spec *spec = &vm->spec;

    if (vm->is_killed || vm->host->is_stopping || spec->restart == UP_RESTART_NO)
        return false;
    return spec->restart == UP_RESTART_ALWAYS ||
           (vm->end.exit_code != 0 && vm->restarts < spec->restarts_max);
}

static uint64_t backoff_ms(struct up_vm *vm)
{
    uint64_t ms = BACKOFF_FIRST_MS;

    if (vm->started_ns > 0 && up_now_ns() - vm->started_ns > SETTLED_NS)
        vm->failures = 0;
    for (uint32_t i = 0; i < vm->failures && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    vm->failures++;
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

/* The life is over and freed: what now? */
static void after_life(struct up_vm *vm)
{
    struct up_host *host = vm->host;
    char text[300];

    free(vm->life);
    vm->life = NULL;
    host->has_freed = true;
    up_end_text(&vm->end, text, sizeof text);
    if (wants_restart(vm)) {
        uint64_t ms = backoff_ms(vm);
        up_say(host, vm->spec.name, "%s; starts again in %g s", text, (double)ms / 1000);
        vm->state = UP_WAITING;
        uv_timer_start(&vm->timer, backoff_over, ms, 0);
        return;
    }
    up_say(host, vm->spec.name, "ended: %s", text);
    host->has_failed |= vm->end.exit_code != 0 && !vm->is_killed && !vm->is_detached &&
                        !host->is_stopping;
    vm->state = UP_ENDED;
    give_back(vm);
    host->live_count--;
    up_serve_log(vm);
    forget_old(host);
    up_host_check(host);
}

static void free_in_pool(uv_work_t *work)
{
    up_life_free(work->data);
}

static void freed(uv_work_t *work, int status)
{
    struct up_life *life = work->data;

    (void)status;
    after_life(life->vm);
}

static void end_life(struct up_vm *vm)
{
    struct up_life *life = vm->life;

    if (up_life_is_made(life))
        cordon_ctl_stats(up_life_ctl(life), &vm->stats);
    /* This is given back. */
    vm->stats.used[CORDON_MEMORY] = vm->stats.used[CORDON_STACK] = 0;
    vm->stats.used[CORDON_FDS] = 0;
    vm->millicores = 0;
    up_vm_drain(vm);
    uv_queue_work(vm->host->loop, &life->work, free_in_pool, freed);
}

static void end_with_error(struct up_vm *vm, int code, const char *text)
{
    vm->end = (cordon_result_t){.end = CORDON_END_ERROR, .exit_code = code,
                                .quota = CORDON_QUOTA_COUNT};
    snprintf(vm->end.message, sizeof vm->end.message, "%.250s", text);
    up_serve_started(vm, text);
    end_life(vm);
}

static void running(struct up_vm *vm)
{
    vm->state = vm->is_paused ? UP_PAUSED : UP_RUNNING;
    up_say(vm->host, vm->spec.name, vm->restarts ? "started again (%llu)" : "started",
           (unsigned long long)vm->restarts);
    up_serve_started(vm, NULL);
}

/* It is made, or its process is there; what was asked for meanwhile holds from the beginning. */
static void made(uv_work_t *work, int status)
{
    struct up_life *life = work->data;
    struct up_vm *vm = life->vm;

    (void)status;
    if (!up_life_is_made(life)) {
        end_with_error(vm, life->error_code, life->error.message);
        return;
    }
    cordon_ctl_t *ctl = up_life_ctl(life);
    if (vm->is_killed)
        cordon_ctl_kill(ctl, vm->end.signal);
    if (vm->is_paused)
        cordon_ctl_pause(ctl);
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++)
        if (vm->spec.limit[i] != life->given[i])
            cordon_ctl_limit(ctl, (cordon_quota_t)i, vm->spec.limit[i]);
    vm->started_ns = vm->cpu_seen_at_ns = up_now_ns();
    vm->cpu_seen_ns = 0;
    life->is_started = up_life_start(life);
    if (!life->is_started)
        end_with_error(vm, life->error_code, life->error.message);
    else if (atomic_load(&life->is_made))
        running(vm);
}

static void make_in_pool(uv_work_t *work)
{
    up_life_make(work->data);
}

static void start_life(struct up_vm *vm)
{
    struct up_life *life = calloc(1, sizeof *life);
    cordon_error_t error;

    vm->state = UP_STARTING;
    vm->life = life;
    vm->started_ns = 0;
    if (life == NULL) {
        after_life(vm);
        return;
    }
    life->vm = vm;
    life->work.data = life;
    memcpy(life->given, vm->spec.limit, sizeof life->given);
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++)
        cordon_config_limit(vm->config, (cordon_quota_t)i, life->given[i], &error);
    uv_queue_work(vm->host->loop, &life->work, make_in_pool, made);
}

/* A process that made no VM says why. */
static void reap(struct up_vm *vm)
{
    struct up_life *life = vm->life;

    if (vm->state == UP_STARTING && atomic_load(&life->is_made))
        running(vm);
    if (!atomic_load(&life->is_done))
        return;
    vm->end = life->result;
    if (vm->state == UP_STARTING)
        up_serve_started(vm, life->result.message);
    vm->state = UP_ENDED; /* or WAITING, once it is freed */
    end_life(vm);
}

void up_vms_reap(struct up_host *host)
{
    for (struct up_vm *vm = host->vms, *next; vm != NULL; vm = next) {
        next = vm->next;
        if (vm->life != NULL && vm->life->is_started && vm->state != UP_ENDED)
            reap(vm);
    }
}

/* ------------------------------------------------------------------ its output */

static uint8_t output[65536]; /* read and copied at once */

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    (void)handle;
    (void)wanted;
    *buffer = uv_buf_init((char *)output, sizeof output);
}

static void take_output(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct up_vm *vm = stream->data;

    if (size <= 0)
        return;
    up_log_write(&vm->log, (const uint8_t *)buffer->base, (size_t)size);
    explicit_bzero(buffer->base, (size_t)size);
    up_serve_log(vm);
}

/* No more than a pipe holds: who writes as fast as this reads must not keep it here. */
void up_vm_drain(struct up_vm *vm)
{
    size_t done = 0;
    ssize_t size;
    int fd;

    if (uv_fileno((uv_handle_t *)&vm->pipe, &fd) != 0)
        return;
    while (done < sizeof output && (size = read(fd, output, sizeof output)) > 0) {
        up_log_write(&vm->log, output, (size_t)size);
        explicit_bzero(output, (size_t)size);
        done += (size_t)size;
    }
    up_serve_log(vm);
}

static bool open_pipe(struct up_vm *vm, cordon_error_t *error)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        snprintf(error->message, sizeof error->message, "no pipe for its output: %s",
                 strerror(errno));
        return false;
    }
    vm->log_write = ends[1];
    uv_pipe_open(&vm->pipe, ends[0]);
    uv_read_start((uv_stream_t *)&vm->pipe, give_room, take_output);
    return cordon_config_stdio(vm->config, 0, vm->host->nothing, error) &&
           cordon_config_stdio(vm->config, 1, vm->log_write, error) &&
           cordon_config_stdio(vm->config, 2, vm->log_write, error);
}

/* ------------------------------------------------------------------ adding */

static bool writes(const struct up_spec *spec)
{
    for (uint32_t i = 0; i < spec->dir_count; i++)
        if (!spec->dirs[i].read_only)
            return true;
    return false;
}

/* What a life leaves on the disk, the next one pays for. */
static bool open_ledger(struct up_vm *vm, cordon_error_t *error)
{
    if (!writes(&vm->spec))
        return true;
    int fd = up_place_ledger(vm->host->place, vm->spec.name);
    if (fd < 0) {
        snprintf(error->message, sizeof error->message, "no file for its disk's books: %s",
                 strerror(errno));
        return false;
    }
    bool good = cordon_config_ledger(vm->config, fd, error);
    close(fd);
    return good;
}

static bool open_all(struct up_vm *vm, cordon_error_t *error)
{
    const struct up_spec *spec = &vm->spec;

    *error = (cordon_error_t){.kind = CORDON_IO, .offset = UINT64_MAX};
    vm->ports = calloc(spec->listener_count + 1, sizeof *vm->ports);
    if (vm->ports == NULL) {
        snprintf(error->message, sizeof error->message, "no memory left");
        return false;
    }
    vm->config = up_spec_config(spec, vm->ports, error);
    up_spec_close(&vm->spec);
    return vm->config != NULL && open_pipe(vm, error) && open_ledger(vm, error);
}

static void say_listeners(const struct up_vm *vm)
{
    for (uint32_t i = 0; i < vm->spec.listener_count; i++) {
        const char *address = vm->spec.listeners[i].address;
        if (address == NULL)
            continue;
        up_say(vm->host, vm->spec.name, "listening on %.*s:%u",
               (int)(strrchr(address, ':') - address), address, vm->ports[i]);
    }
}

struct up_vm *up_vm_add(struct up_host *host, struct up_spec *spec, bool is_detached,
                        cordon_error_t *error)
{
    struct up_vm *vm = calloc(1, sizeof *vm);
    struct up_vm *before = up_vm_named(host, spec->name);

    if (vm == NULL) {
        snprintf(error->message, sizeof error->message, "no memory left");
        return NULL;
    }
    if (before != NULL && !up_vm_is_live(before))
        forget(before);
    vm->host = host;
    vm->spec = *spec;
    up_spec_init(spec);
    vm->is_detached = is_detached;
    vm->log_write = -1;
    vm->end.quota = CORDON_QUOTA_COUNT;
    vm->state = UP_ENDED;
    up_log_init(&vm->log, vm->spec.log_size);
    uv_timer_init(host->loop, &vm->timer);
    uv_pipe_init(host->loop, &vm->pipe, 0);
    vm->timer.data = vm->pipe.data = vm;
    vm->handles = 2;
    *host->last = vm;
    host->last = &vm->next;
    host->vm_count++;
    if (!open_all(vm, error)) {
        forget(vm);
        return NULL;
    }
    say_listeners(vm);
    host->live_count++;
    uv_timer_stop(&host->linger);
    start_life(vm);
    return vm;
}

/* ------------------------------------------------------------------ control */

static cordon_ctl_t *ctl_of(const struct up_vm *vm)
{
    bool is_live = vm->life != NULL && vm->life->is_started && vm->state != UP_ENDED;

    return is_live ? up_life_ctl(vm->life) : NULL;
}

void up_vm_kill(struct up_vm *vm, int signal)
{
    cordon_ctl_t *ctl = ctl_of(vm);

    if (!up_vm_is_live(vm))
        return;
    vm->is_killed = true;
    if (ctl != NULL)
        cordon_ctl_kill(ctl, signal);
    if (vm->state == UP_STARTING)
        vm->end.signal = signal; /* for when it is made */
    if (vm->state != UP_WAITING)
        return;
    uv_timer_stop(&vm->timer);
    after_life(vm);
}

void up_vm_pause(struct up_vm *vm, bool paused)
{
    cordon_ctl_t *ctl = ctl_of(vm);

    vm->is_paused = paused;
    if (ctl != NULL && paused)
        cordon_ctl_pause(ctl);
    else if (ctl != NULL)
        cordon_ctl_resume(ctl);
    if (vm->state == UP_RUNNING || vm->state == UP_PAUSED)
        vm->state = paused ? UP_PAUSED : UP_RUNNING;
    up_say(vm->host, vm->spec.name, paused ? "paused" : "resumed");
}

static void say_set(const struct up_vm *vm, uint64_t mask)
{
    char text[400] = "", amount[32];
    size_t size = 0;

    for (int i = 0; i < CORDON_QUOTA_COUNT; i++) {
        enum cli_unit unit = cli_quota_unit((cordon_quota_t)i);
        if (!(mask & 1ull << i) || size >= sizeof text)
            continue;
        int more = snprintf(text + size, sizeof text - size, "%s%s %s", size ? ", " : "",
                            cordon_quota_name((cordon_quota_t)i),
                            cli_format_amount(vm->spec.limit[i], unit, amount, sizeof amount));
        size += more > 0 ? (size_t)more : 0;
    }
    up_say(vm->host, vm->spec.name, "set: %s", text);
}

bool up_vm_set(struct up_vm *vm, uint64_t mask, const uint64_t *values, cordon_quota_t *refused)
{
    cordon_ctl_t *ctl = ctl_of(vm);

    for (int i = 0; ctl != NULL && i < CORDON_QUOTA_COUNT; i++) {
        if (!(mask & 1ull << i) || cordon_ctl_limit(ctl, (cordon_quota_t)i, values[i]))
            continue;
        for (int k = 0; k < i; k++)
            if (mask & 1ull << k)
                cordon_ctl_limit(ctl, (cordon_quota_t)k, vm->spec.limit[k]);
        *refused = (cordon_quota_t)i;
        return false;
    }
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++)
        if (mask & 1ull << i)
            vm->spec.limit[i] = values[i];
    say_set(vm, mask);
    return true;
}

void up_vm_stats(struct up_vm *vm, cordon_stats_t *stats)
{
    cordon_ctl_t *ctl = ctl_of(vm);

    if (ctl != NULL)
        cordon_ctl_stats(ctl, stats);
    else
        *stats = vm->stats;
    /* What was asked for, also when the VM has not yet looked at it. */
    memcpy(stats->limit, vm->spec.limit, sizeof stats->limit);
}

void up_vms_sample(struct up_host *host)
{
    uint64_t now = up_now_ns();

    for (struct up_vm *vm = host->vms; vm != NULL; vm = vm->next) {
        cordon_stats_t stats;
        if (ctl_of(vm) == NULL || now - vm->cpu_seen_at_ns < 1000000)
            continue;
        up_vm_stats(vm, &stats);
        vm->millicores = (uint32_t)((stats.cpu_ns - vm->cpu_seen_ns) * 1000 /
                                    (now - vm->cpu_seen_at_ns));
        vm->cpu_seen_ns = stats.cpu_ns;
        vm->cpu_seen_at_ns = now;
    }
}

/* The last one that lives and was not told yet. It takes no memory: there may be none. */
static struct up_vm *last_untold(const struct up_host *host)
{
    struct up_vm *last = NULL;

    for (struct up_vm *vm = host->vms; vm != NULL; vm = vm->next)
        if (up_vm_is_live(vm) && !vm->is_told_to_end)
            last = vm;
    return last;
}

void up_host_stop(struct up_host *host)
{
    struct up_vm *vm;

    if (host->is_stopping)
        return;
    host->is_stopping = true;
    host->live_count++; /* so that the end of the last one does not end the host within the loop */
    while ((vm = last_untold(host)) != NULL) {
        vm->is_told_to_end = true;
        up_vm_kill(vm, SIGTERM);
    }
    host->live_count--;
    up_host_check(host);
}
