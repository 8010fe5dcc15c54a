/* Cells: VMs in processes of their own, seen from the host. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/cell.h"
#include "api/internal.h"
#include "api/parcel.h"

struct cordon_cell {
    struct cn_cell cell; /* first */
    struct cordon_ctl ctl;
    struct cordon_host *host;
    int *fds; /* to be sent: the page, the module, and what the config grants */
    uint32_t fd_count;
    uint8_t *keys; /* to be sent, of volumes: a page of locked memory */
    uint32_t key_count;
    struct cn_mount **ephemeral; /* to be emptied, whatever becomes of the process */
    uint32_t ephemeral_count;
    struct cn_fence fence;
    bool writes_to_memory; /* it may write to a file system that lives there */
    cordon_cell_events_t events;
    cordon_result_t result;
    pthread_mutex_t lock; /* of is_started, and of the fence */
    pthread_cond_t changed;
    bool is_started;
};

/* ------------------------------------------------------------------ the control */

static struct cn_cell *cell_of(cordon_ctl_t *ctl)
{
    return &((struct cordon_cell *)((char *)ctl - offsetof(struct cordon_cell, ctl)))->cell;
}

static void kill_cell(cordon_ctl_t *ctl, int signal)
{
    cn_cell_kill(cell_of(ctl), signal);
}

static void pause_cell(cordon_ctl_t *ctl, bool paused)
{
    cn_cell_pause(cell_of(ctl), paused);
}

static enum cn_status limit_cell(cordon_ctl_t *ctl, enum cn_quota quota, uint64_t value)
{
    struct cordon_cell *cell = (struct cordon_cell *)cell_of(ctl);
    uint64_t limit[CN_QUOTA_COUNT];

    pthread_mutex_lock(&cell->lock);
    memcpy(limit, cell->cell.limit, sizeof limit);
    limit[quota] = value;
    cn_fence_raise(&cell->host->fences, &cell->fence, limit); /* before the VM may have it */
    enum cn_status status = cn_cell_limit(&cell->cell, quota, value);
    pthread_mutex_unlock(&cell->lock);
    return status;
}

static struct cn_figures figures_of_cell(cordon_ctl_t *ctl)
{
    return cn_cell_figures(cell_of(ctl));
}

static const struct cn_ctl_ops ops = {kill_cell, pause_cell, limit_cell, figures_of_cell, NULL};

cordon_ctl_t *cordon_cell_ctl(cordon_cell_t *cell)
{
    return &cell->ctl;
}

/* ------------------------------------------------------------------ making */

/* The descriptors are the cell's own: the config may be gone when they are sent. */
static bool copy_fds(struct cordon_cell *cell, const cordon_config_t *config, int module,
                     cordon_error_t *error)
{
    uint32_t count = cn_parcel_fd_count(config) + 2;
    int *fds = cn_alloc_array(cn_heap, count, sizeof *fds);

    if (fds == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    cell->fds = fds;
    cell->fd_count = count;
    fds[0] = cell->cell.page_fd;
    fds[1] = module;
    cn_parcel_fds(config, fds + 2);
    for (uint32_t i = 0; i < count; i++)
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
    for (uint32_t i = 0; i < count; i++)
        if (fds[i] < 0)
            return cn_api_fail(error, CORDON_IO, "the VM's descriptors: %s", strerror(errno));
    return true;
}

/* So are the keys; ephemeral volumes are held to the end. */
static bool copy_volumes(struct cordon_cell *cell, const cordon_config_t *config,
                         cordon_error_t *error)
{
    cell->key_count = cn_parcel_key_count(config);
    if (cell->key_count > CN_PARCEL_KEYS_MAX)
        return cn_api_fail(error, CORDON_MISUSE, "more than %u private volumes",
                           CN_PARCEL_KEYS_MAX);
    if (cell->key_count > 0 && (cell->keys = cn_secret_page()) == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory can be locked for a key");
    if (cell->keys != NULL)
        cn_parcel_keys(config, cell->keys);
    cell->ephemeral = cn_alloc_array(cn_heap, config->dir_count, sizeof(struct cn_mount *));
    if (cell->ephemeral == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    cell->ephemeral_count = config->dir_count; /* NULL for what is none */
    for (uint32_t i = 0; i < config->dir_count; i++) {
        struct cn_mount *mount = (struct cn_mount *)config->dirs[i].volume;
        if (mount == NULL || !mount->is_ephemeral)
            continue;
        cn_volume_hold(&mount->grant);
        cell->ephemeral[i] = mount;
    }
    return true;
}

static void empty_volumes(struct cordon_cell *cell)
{
    for (uint32_t i = 0; i < cell->ephemeral_count; i++) {
        if (cell->ephemeral[i] == NULL)
            continue;
        cn_mount_empty(cell->ephemeral[i]);
        cn_volume_let_go(&cell->ephemeral[i]->grant);
    }
    cn_free(cn_heap, cell->ephemeral, cell->ephemeral_count * sizeof(struct cn_mount *));
    cell->ephemeral = NULL;
    cell->ephemeral_count = 0;
}

/* Descriptors and keys that were sent, or will not be. */
static void close_fds(struct cordon_cell *cell)
{
    cn_secret_free(cell->keys);
    cell->keys = NULL;
    cell->key_count = 0;
    for (uint32_t i = 0; i < cell->fd_count; i++)
        if (cell->fds[i] >= 0)
            close(cell->fds[i]);
    cn_free(cn_heap, cell->fds, cell->fd_count * sizeof *cell->fds);
    cell->fds = NULL;
    cell->fd_count = 0;
}

/* Whether what it writes to files may stay in memory for good. */
static bool writes_to_memory(const cordon_config_t *config)
{
    struct statfs system;

    for (uint32_t i = 0; i < config->dir_count; i++)
        if (!config->dirs[i].is_read_only &&
            (fstatfs(config->dirs[i].host, &system) != 0 || system.f_type == TMPFS_MAGIC ||
             system.f_type == RAMFS_MAGIC || system.f_type == OVERLAYFS_SUPER_MAGIC))
            return true;
    return false;
}

/* The description stands in the page's file, behind the page. */
static bool write_parcel(struct cordon_cell *cell, const cordon_config_t *config, size_t size,
                         cordon_error_t *error)
{
    uint8_t *bytes = cn_alloc(cn_heap, size);
    ssize_t written = -1;

    if (bytes != NULL) {
        cn_parcel_write(config, bytes);
        written = pwrite(cell->cell.page_fd, bytes, size, sizeof *cell->cell.page);
        explicit_bzero(bytes, size);
    }
    cn_free(cn_heap, bytes, size);
    return written == (ssize_t)size ||
           cn_api_fail(error, CORDON_QUOTA, "no memory left for the VM's description");
}

static bool make(struct cordon_cell *cell, const cordon_config_t *config, int module,
                 cordon_error_t *error)
{
    size_t size = cn_parcel_size(config);

    switch (cn_cell_init(&cell->cell, &cell->host->pot, config->limit, size)) {
    case CN_OK:
        break;
    case CN_OVER_QUOTA:
        return cn_api_fail_quota(error, CN_QUOTA_MEMORY_RESERVE,
                                 "the host cannot promise that much memory (--memory-reserve)");
    default:
        return cn_api_fail(error, CORDON_IO, "a page for the VM's process: %s", strerror(errno));
    }
    if (write_parcel(cell, config, size, error) && copy_fds(cell, config, module, error) &&
        copy_volumes(cell, config, error))
        return true;
    close_fds(cell);
    empty_volumes(cell);
    cn_cell_release(&cell->cell);
    return false;
}

static bool has_functions(const cordon_config_t *config)
{
    bool has_some = false;

    for (int i = 0; i < 3; i++)
        has_some |= config->streams[i].read != NULL || config->streams[i].write != NULL;
    return has_some;
}

cordon_cell_t *cordon_cell_new(cordon_host_t *host, const cordon_config_t *config, int module,
                               cordon_error_t *error)
{
    if (has_functions(config)) {
        cn_api_fail(error, CORDON_MISUSE, "a function cannot be given to another process");
        return NULL;
    }
    struct cordon_cell *cell = cn_alloc(cn_heap, sizeof *cell);
    if (cell == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    cell->ctl.ops = &ops;
    cell->host = host;
    cell->writes_to_memory = writes_to_memory(config);
    cell->result.quota = CORDON_QUOTA_COUNT;
    if (!make(cell, config, module, error)) {
        cn_free(cn_heap, cell, sizeof *cell);
        return NULL;
    }
    pthread_mutex_init(&cell->lock, NULL);
    pthread_cond_init(&cell->changed, NULL);
    return cell;
}

/* ------------------------------------------------------------------ its end */

/* A process says what it likes: what is kept is what fits the types. */
static void take_last_words(struct cordon_cell *cell)
{
    cordon_result_t *result = &cell->result;
    struct cn_last_words words;

    memcpy(&words, cell->cell.page->last, sizeof words);
    *result = words.result;
    if ((unsigned)result->end > CORDON_END_ERROR)
        result->end = CORDON_END_ERROR;
    if ((unsigned)result->quota > CORDON_QUOTA_COUNT)
        result->quota = CORDON_QUOTA_COUNT;
    if (result->frame_count > CORDON_FRAMES_MAX)
        result->frame_count = CORDON_FRAMES_MAX;
    result->exit_code &= 0xff;
    result->message[sizeof result->message - 1] = '\0';
    for (int i = 0; i < CORDON_FRAMES_MAX; i++)
        result->frames[i].function[sizeof result->frames[i].function - 1] = '\0';
}

static void say_killed(cordon_result_t *result, int signal)
{
    result->end = CORDON_END_KILLED;
    result->signal = signal;
    result->exit_code = 128 + signal;
    snprintf(result->message, sizeof result->message, "killed by signal %d", signal);
}

static void say_died(cordon_result_t *result, int status)
{
    result->end = CORDON_END_ERROR;
    result->exit_code = 125;
    if (WIFSIGNALED(status))
        snprintf(result->message, sizeof result->message, "its process was killed by signal %d%s",
                 WTERMSIG(status),
                 WTERMSIG(status) == SIGSYS
                     ? ": it made a system call that the sandbox does not allow"
                     : "");
    else
        snprintf(result->message, sizeof result->message, "its process ended with code %d",
                 WEXITSTATUS(status));
}

static void take_result(struct cordon_cell *cell)
{
    int signal = atomic_load(&cell->cell.kill_signal);

    if (cell->cell.end == CN_CELL_OVER)
        take_last_words(cell);
    else if (signal != 0)
        say_killed(&cell->result, signal);
    else
        say_died(&cell->result, cell->cell.wait_status);
}

static void made(struct cn_cell *inner)
{
    struct cordon_cell *cell = (struct cordon_cell *)inner;

    if (cell->events.made != NULL)
        cell->events.made(cell->events.user, cell);
}

static void set_started(struct cordon_cell *cell, bool is_started)
{
    pthread_mutex_lock(&cell->lock);
    cell->is_started = is_started;
    pthread_cond_broadcast(&cell->changed);
    pthread_mutex_unlock(&cell->lock);
}

static void ended(struct cn_cell *inner)
{
    struct cordon_cell *cell = (struct cordon_cell *)inner;

    take_result(cell);
    if (cell->events.ended != NULL)
        cell->events.ended(cell->events.user, cell, &cell->result);
    set_started(cell, false);
}

/* ------------------------------------------------------------------ starting */

static bool send_all(struct cordon_cell *cell, int pid, int socket, cordon_error_t *error)
{
    /* The first two alone: with them the other side knows how many follow. */
    bool sent = cn_parcel_send_fds(socket, cell->fds, 2) &&
                cn_parcel_send_fds(socket, cell->fds + 2, cell->fd_count - 2) &&
                cn_parcel_send_keys(socket, cell->keys, cell->key_count);
    bool is_deaf = !sent && (errno == EPIPE || errno == ECONNRESET);

    if (!sent && !is_deaf)
        return cn_api_fail(error, CORDON_IO, "the VM's process: %s", strerror(errno));
    /* How a process has ended that is dead already is found out like that of any other. One that
     * lives and does not listen would wait for ever. */
    if (is_deaf)
        kill(pid, SIGKILL);
    return true;
}

static bool refuse(enum cn_status status, cordon_error_t *error)
{
    if (status == CN_OVER_QUOTA)
        return cn_api_fail_quota(error, CN_QUOTA_CPU_RESERVE,
                                 "the host cannot promise that reservation beside the others "
                                 "(--cpu-reserve): nine tenths of its workers can be reserved");
    return cn_api_fail(error, CORDON_IO, "the VM's process cannot be watched: %s",
                       strerror(errno));
}

bool cordon_cell_start(cordon_cell_t *cell, int pid, int socket,
                       const cordon_cell_events_t *events, cordon_error_t *error)
{
    bool has_workers = cell->host->pool != NULL && !cn_pool_is_stepped(cell->host->pool);
    bool good = has_workers || cn_api_fail(error, CORDON_MISUSE,
                                           "the host has no workers: cordon_host_start");

    cell->cell.made = made;
    cell->cell.ended = ended;
    if (events != NULL)
        cell->events = *events;
    /* It waits for its descriptors until then, and has read nothing of the guest's. */
    if (good && cell->host->has_fences)
        cn_fence_put(&cell->host->fences, &cell->fence, pid, cell->cell.limit,
                     cell->writes_to_memory);
    good = good && send_all(cell, pid, socket, error);
    close_fds(cell);
    if (!good) {
        close(socket);
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        cn_fence_remove(&cell->host->fences, &cell->fence);
        return false;
    }
    set_started(cell, true);
    enum cn_status status = cn_cell_start(&cell->cell, cell->host->pool, pid, socket);
    if (status == CN_OK)
        return true;
    set_started(cell, false);
    return refuse(status, error);
}

void cordon_cell_wait(cordon_cell_t *cell, cordon_result_t *result)
{
    pthread_mutex_lock(&cell->lock);
    while (cell->is_started)
        pthread_cond_wait(&cell->changed, &cell->lock);
    pthread_mutex_unlock(&cell->lock);
    *result = cell->result;
}

void cordon_cell_free(cordon_cell_t *cell)
{
    cordon_result_t result;

    if (cell == NULL)
        return;
    if (cell->cell.pid > 0)
        cn_cell_kill(&cell->cell, SIGKILL);
    cordon_cell_wait(cell, &result);
    close_fds(cell);
    empty_volumes(cell);
    cn_cell_release(&cell->cell);
    cn_fence_remove(&cell->host->fences, &cell->fence);
    pthread_cond_destroy(&cell->changed);
    pthread_mutex_destroy(&cell->lock);
    cn_free(cn_heap, cell, sizeof *cell);
}
