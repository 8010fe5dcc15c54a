/* Everything that can fail fails, one thing after the other: every allocation once and from then
 * on, every place where Cordon calls the system with every error of tests/faults/calls.def, once
 * and on and on, at the first call from there, one in the middle and the last one.
 *
 *   faults [--every N] [--offset N] [SIDE] [--volume] [--whole] GUEST...
 *   faults --kills N [--seed N] [SIDE] [--volume] GUEST...
 *
 * GUEST is a module that ends well when nothing fails. Whatever fails, the process lives, memory,
 * mappings and descriptors are given back, and what the disk's ledger says is what is on the disk.
 * --every takes one case in N. --whole wants that the guest returns 0 as long as nothing fails.
 * --volume gives it a private volume as its root, and afterwards checks, exports and removes
 * volumes, which may fail, too; then the store opens, and what is left of its volumes is sound.
 *
 * SIDE: the guest runs on the thread that asks; with --workers on a host's threads; in a process of
 * its own (tests/faults/cell.c) with --cell, where the host's side fails, and --inside, where the
 * guest's does: then the host lives, and says how the VM has ended.
 *
 * --kills does not let anything fail: N times the process of that side is killed, two of three
 * times before or after one of its system calls, all of them in turn, else at a random moment; then
 * the ledger that it leaves has to become true. */
#include "guest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "cell.h"

#define MOMENT_MAX 3000 /* a run takes about so many microseconds */

/* What is made inside of the watched part, all of it or none. */
struct made {
    cordon_host_t *host;
    cordon_module_t *module;
    cordon_linker_t *linker;
    cordon_config_t *config;
    cordon_vm_t *vm;
};

struct guest guest;
static bool on_workers;

/* ------------------------------------------------------------------ one run */

static double half(double number)
{
    return number / 2;
}

/* Made and forgotten: the guest's descriptors keep their numbers. */
static bool try_ephemeral(cordon_store_t *store, cordon_error_t *error)
{
    const cordon_volume_t volume = {.guest = "/ephemeral"};
    cordon_config_t *config = cordon_config_new(error);
    bool is_granted = config != NULL && cordon_config_volume(config, store, &volume, error);

    cordon_config_free(config);
    return is_granted;
}

static bool grant_volume(cordon_config_t *config, const struct world *world, cordon_error_t *error)
{
    const cordon_volume_t volume = {.name = "kept", .guest = "/"};
    cordon_store_t *store = open_store(world, error);
    bool is_granted = store != NULL &&
                      cordon_store_create(store, "kept", 16 << 20, 100, error) &&
                      cordon_store_create(store, "other", 1 << 20, 10, error) &&
                      cordon_config_volume(config, store, &volume, error) &&
                      cordon_config_dir_fd(config, world->dirs[1], "/fixed", true, error) &&
                      try_ephemeral(store, error);

    cordon_store_close(store);
    return is_granted;
}

bool use_store(const struct world *world, cordon_error_t *error)
{
    cordon_store_t *store = open_store(world, error);
    cordon_volume_report_t report;
    cordon_volume_info_t info;
    uint64_t all, good;
    int out = memfd_create("archive", MFD_CLOEXEC);
    bool is_done = store != NULL && cordon_store_check(store, "kept", &report, error) &&
                   cordon_store_export(store, "kept", out, error) &&
                   cordon_store_remove(store, "kept", error) &&
                   cordon_store_check_records(store, &all, &good, error) &&
                   cordon_store_list(store, 0, &info);

    cordon_store_close(store);
    if (out >= 0)
        close(out);
    return is_done;
}

static bool grant_dirs(cordon_config_t *config, const struct world *world, cordon_error_t *error)
{
    if (guest.has_volume)
        return grant_volume(config, world, error);
    return cordon_config_dir_fd(config, world->dirs[0], "/", false, error) &&
           cordon_config_dir_fd(config, world->dirs[1], "/fixed", true, error);
}

bool grant_all(cordon_config_t *config, const struct world *world, cordon_error_t *error)
{
    static const char *const args[] = {"guest", "argument"};

    for (int i = 0; i < 2; i++)
        if (!cordon_config_arg(config, args[i], error))
            return false;
    return grant_dirs(config, world, error) && cordon_config_env(config, "KEY=value", error) &&
           cordon_config_stdio(config, 0, world->input[0], error) &&
           cordon_config_stdio(config, 1, world->output[1], error) &&
           cordon_config_stdio(config, 2, world->output[1], error) &&
           cordon_config_listener_fd(config, world->listener, NULL, error) &&
           cordon_config_limit(config, CORDON_TIMEOUT, 3000000000u, error) &&
           cordon_config_limit(config, CORDON_MEMORY, 32 << 20, error) &&
           cordon_config_ledger(config, world->ledger, error);
}

static bool make(struct made *made, const struct world *world, cordon_error_t *error)
{
    made->host = cordon_host_new(error);
    if (made->host == NULL)
        return false;
    made->module = cordon_module_load(made->host, guest.bytes, guest.size, error);
    made->linker = made->module ? cordon_linker_new(made->host, error) : NULL;
    made->config = made->linker ? cordon_config_new(error) : NULL;
    if (made->config == NULL ||
        !cordon_bind(made->linker, "env", "half", "f64(f64)", (void (*)(void))half, error))
        return false;
    cordon_linker_allow_wasi(made->linker);
    if (!grant_all(made->config, world, error))
        return false;
    if (on_workers && !cordon_host_start(made->host, 1, error))
        return false;
    made->vm = cordon_vm_new(made->host, made->module, made->linker, made->config, error);
    return made->vm != NULL;
}

static bool run(struct made *made, cordon_result_t *result, cordon_error_t *error)
{
    if (!on_workers)
        return cordon_vm_run(made->vm, result, error);
    if (!cordon_vm_start(made->vm, NULL, NULL, error))
        return false;
    cordon_vm_wait(made->vm, result);
    return true;
}

static void take_away(struct made *made)
{
    cordon_vm_free(made->vm);
    cordon_config_free(made->config);
    cordon_linker_free(made->linker);
    cordon_module_free(made->module);
    cordon_host_free(made->host);
}

/* ------------------------------------------------------------------ what has to hold */

bool is_whole_end(const cordon_result_t *result)
{
    if (!guest.is_whole || (result->exit_code == 0 && result->end != CORDON_END_TRAP))
        return true;
    printf("  %s, exit code %d\n", result->message, result->exit_code);
    return false;
}

bool check_world(const struct world *world)
{
    return guest.has_volume ? check_store(world)
                            : check_disk(world->root, world->dirs[0], world->ledger);
}

bool check_left(uint32_t open_before)
{
    if (hooks->blocks == 0 && hooks->mapped == 0 && open_count() == open_before)
        return true;
    printf("  left: %lld blocks, %lld bytes mapped, %d descriptors\n", (long long)hooks->blocks,
           (long long)hooks->mapped, (int)(open_count() - open_before));
    return false;
}

bool says_why(bool has_run, const cordon_error_t *error)
{
    if (has_run || error->message[0] != '\0')
        return true;
    printf("  an error that says nothing\n");
    return false;
}

/* True when all of it holds. */
static bool try_case(const struct fault *what)
{
    struct world world;
    struct made made = {.host = NULL};
    cordon_error_t error = {.message = ""};
    cordon_result_t result = {.end = CORDON_END_NONE};

    open_world(&world);
    uint32_t open_before = open_count();
    hooks->fault = *what;
    hooks_watch();
    bool has_run = make(&made, &world, &error) && run(&made, &result, &error);
    take_away(&made);
    if (guest.has_volume && has_run)
        has_run = use_store(&world, &error);
    hooks_rest();
    hooks->fault.count = 0;
    bool is_good = what->count > 0 || (has_run && is_whole_end(&result));
    is_good &= says_why(has_run, &error);
    is_good &= check_left(open_before);
    is_good &= check_world(&world);
    close_world(&world);
    return is_good;
}

/* ------------------------------------------------------------------ kill -9 */

/* Runs the guest until it is killed, or to its end. */
static void run_to_be_killed(const struct world *world)
{
    struct made made = {.host = NULL};
    cordon_error_t error;
    cordon_result_t result;

    hooks_watch();
    if (make(&made, world, &error))
        run(&made, &result, &error);
    take_away(&made);
    if (guest.has_volume)
        (void)use_store(world, &error);
    _exit(0);
}

static bool try_kill(const struct kill *how, bool *was_killed)
{
    struct world world;
    int status;

    open_world(&world);
    hooks->kill_before = how->before;
    hooks->kill_after = how->after;
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0)
        run_to_be_killed(&world);
    if (how->before + how->after == 0) {
        usleep(how->microseconds);
        kill(child, SIGKILL);
    }
    require(waitpid(child, &status, 0) == child, "waitpid");
    *was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    hooks->kill_before = hooks->kill_after = 0;
    bool is_good = (*was_killed || WIFEXITED(status)) && check_world(&world);
    close_world(&world);
    return is_good;
}

/* ------------------------------------------------------------------ guests */

static void read_guest(const char *path)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *slash = strrchr(path, '/');

    require(fd >= 0 && fstat(fd, &stat) == 0, path);
    guest.name = slash ? slash + 1 : path;
    guest.size = (size_t)stat.st_size;
    guest.bytes = mmap(NULL, guest.size, PROT_READ, MAP_PRIVATE, fd, 0);
    require(guest.bytes != MAP_FAILED, path);
    close(fd);
}

static void try_guest(struct cases_options *options, const char *side)
{
    char name[80];
    struct trial trial = {name, MOMENT_MAX, try_case, try_kill};

    snprintf(name, sizeof name, "%s%s%s", guest.name, side, guest.has_volume ? " on a volume" : "");
    if (guest.has_process)
        trial = cell_trial(name);
    cases_try(options, &trial);
}

int main(int argc, char **argv)
{
    struct cases_options options = {.every = 1};
    const char *side = "";

    signal(SIGPIPE, SIG_IGN);
    hooks_begin();
    for (int i = 1; i < argc; i++) {
        if (cases_option(&options, argc, argv, &i))
            continue;
        if (strcmp(argv[i], "--workers") == 0) {
            on_workers = true;
            side = " on workers";
        } else if (strcmp(argv[i], "--cell") == 0) {
            guest.has_process = true;
            side = " in a cell";
        } else if (strcmp(argv[i], "--inside") == 0) {
            guest.has_process = guest.is_inside = true;
            side = " inside a cell";
        } else if (strcmp(argv[i], "--volume") == 0) {
            guest.has_volume = true;
        } else if (strcmp(argv[i], "--whole") == 0) {
            guest.is_whole = true;
        } else {
            read_guest(argv[i]);
            try_guest(&options, side);
        }
    }
    return cases_end(&options);
}
