/* One life of a VM in a process of its own: started here, made and run there. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/up_life.h"
#include "cli/worker.h"

static bool fail(struct up_life *life, int code, const char *what)
{
    life->error_code = code;
    life->error = (cordon_error_t){.kind = CORDON_IO, .offset = UINT64_MAX};
    snprintf(life->error.message, sizeof life->error.message, "%s%s", what, strerror(errno));
    return false;
}

/* Its standard streams are nothing; what the guest writes to comes over the socket. */
static int set_descriptors(posix_spawn_file_actions_t *actions, int socket, int nothing)
{
    int error = 0;

    for (int i = 0; error == 0 && i < 3; i++)
        error = posix_spawn_file_actions_adddup2(actions, nothing, i);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(actions, socket, CLI_WORKER_SOCKET);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(actions, CLI_WORKER_SOCKET + 1);
    return error;
}

/* A group of its own: what a terminal sends to the host is not meant for it. Signals as new. */
static void set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
}

/* The same program, with an empty environment. */
static int spawn(const struct up_spec *spec, int socket, int nothing, pid_t *pid)
{
    char name[] = "cordon", command[] = "worker", sandbox[16], parent[16], user[16], group[16],
         strict[8];
    char *arguments[] = {name, command, parent, sandbox, strict, spec->has_user ? user : NULL,
                         group, NULL};
    char *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(sandbox, sizeof sandbox, "%s", spec->sandbox);
    snprintf(strict, sizeof strict, "%s", spec->is_strict ? "strict" : "-");
    snprintf(user, sizeof user, "%u", spec->user);
    snprintf(group, sizeof group, "%u", spec->group);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    set_attributes(&attributes);
    /* All of them or nothing: a process without its own would have the host's. */
    int error = set_descriptors(&actions, socket, nothing);
    if (error == 0)
        error = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static bool open_module(struct up_life *life, int *fd)
{
    const struct up_spec *spec = &life->vm->spec;

    *fd = spec->module != NULL ? open(spec->module, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
                               : fcntl(spec->module_fd, F_DUPFD_CLOEXEC, 3);
    return *fd >= 0 || fail(life, 127, "");
}

void up_cell_make(struct up_life *life)
{
    struct up_vm *vm = life->vm;
    int module, ends[2];

    if (!open_module(life, &module))
        return;
    life->error_code = 125;
    /* What it was told of the VM, and what that writes, is in the host's memory. */
    if (vm->spec.is_strict && !cordon_lock_memory(&life->error)) {
        close(module);
        return;
    }
    cordon_cell_t *cell =
        cordon_cell_new(vm->host->cordon, vm->config, module, &life->error);
    close(module);
    if (cell == NULL) {
        life->error_code = life->error.kind == CORDON_QUOTA ? 137 : 125;
        return;
    }
    life->cell = cell;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        fail(life, 125, "a socket for its process: ");
        return;
    }
    errno = spawn(&vm->spec, ends[1], vm->host->nothing, &life->pid);
    close(ends[1]);
    if (errno != 0) {
        fail(life, 125, "its process cannot be started: ");
        close(ends[0]);
        life->pid = 0;
        return;
    }
    life->socket = ends[0];
}

/* On a worker of the host's. */
static void made(void *user, cordon_cell_t *cell)
{
    struct up_life *life = user;

    (void)cell;
    atomic_store(&life->is_made, true);
    uv_async_send(&life->vm->host->done);
}

static void ended(void *user, cordon_cell_t *cell, const cordon_result_t *result)
{
    struct up_life *life = user;

    (void)cell;
    life->result = *result;
    atomic_store(&life->is_done, true);
    uv_async_send(&life->vm->host->done);
}

bool up_cell_start(struct up_life *life)
{
    cordon_cell_events_t events = {made, ended, life};

    if (cordon_cell_start(life->cell, life->pid, life->socket, &events, &life->error))
        return true;
    life->error_code = life->error.kind == CORDON_QUOTA ? 137 : 125;
    return false;
}
