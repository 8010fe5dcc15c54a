/* Two processes that need one another: the host's side of a cell (api/cell.c, host/cell.c), and its
 * inside (api/inside.c, host/inside.c), with the parcel that goes from one to the other. One of
 * them fails; the other one has to come to an end that says so. */
#include "cell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/internal.h"
#include "guest.h"

#define MOMENT_MAX 12000 /* a run takes about so many microseconds */

struct made {
    cordon_host_t *host;
    cordon_config_t *config;
    cordon_cell_t *cell;
    int module, socket;
    pid_t pid;
};

/* What the process inside says of itself, and the host to the test. */
static struct shared {
    bool has_ended; /* by itself: what is left has been looked at */
    bool is_good;   /* nothing was */
    bool was_killed;
} *shared;

static const struct kill *killing; /* the process of the side that fails */

/* ------------------------------------------------------------------ the inside */

static void on_moment(int number)
{
    (void)number;
    raise(SIGKILL);
}

/* What fails from now on is this process, and it is what is to be killed. */
static void be_watched(void)
{
    struct itimerval moment = {.it_value.tv_usec = 1};

    if (killing != NULL && killing->before + killing->after == 0) {
        signal(SIGALRM, on_moment);
        moment.it_value.tv_usec += killing->microseconds;
        setitimer(ITIMER_REAL, &moment, NULL);
    }
    hooks_watch();
}

/* Never comes back. */
static void be_inside(int socket)
{
    cordon_error_t error = {.message = ""};

    close(0);
    require(open("/dev/null", O_RDWR) == 0 && dup2(socket, 3) == 3, "descriptors");
    close_range(4, ~0u, 0);
    uint32_t open_before = open_count();
    if (guest.is_inside)
        be_watched();
    bool has_joined = cordon_cell_inside(3, NULL, NULL, &error);
    if (guest.is_inside) {
        hooks_rest();
        shared->is_good = check_left(open_before);
        shared->is_good &= says_why(has_joined, &error);
        shared->has_ended = true;
        fflush(stdout);
    }
    _exit(has_joined ? 0 : 125);
}

static void fork_inside(struct made *made)
{
    int ends[2];
    pid_t parent = getpid();

    made->module = memfd_create("module", MFD_CLOEXEC);
    require(write(made->module, guest.bytes, guest.size) == (ssize_t)guest.size, "module");
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    fflush(stdout);
    *shared = (struct shared){.has_ended = false};
    made->pid = fork();
    require(made->pid >= 0, "fork");
    if (made->pid == 0) {
        alarm(0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        be_inside(ends[1]);
    }
    close(ends[1]);
    made->socket = ends[0];
}

/* ------------------------------------------------------------------ the host */

static bool start(struct made *made, const struct world *world, cordon_error_t *error)
{
    made->host = cordon_host_new(error);
    made->config = made->host ? cordon_config_new(error) : NULL;
    if (made->config == NULL || !grant_all(made->config, world, error) ||
        !cordon_host_start(made->host, 1, error))
        return false;
    cordon_host_total(made->host, 64 << 20);
    made->cell = cordon_cell_new(made->host, made->config, made->module, error);
    if (made->cell == NULL)
        return false;
    pid_t pid = made->pid;
    made->pid = 0; /* taken over, whatever comes of it */
    return cordon_cell_start(made->cell, pid, made->socket, NULL, error);
}

static void control(cordon_ctl_t *ctl)
{
    cordon_stats_t stats;

    cordon_ctl_pause(ctl);
    (void)cordon_ctl_limit(ctl, CORDON_WEIGHT, 200);
    (void)cordon_ctl_limit(ctl, CORDON_MEMORY_RESERVE, 1 << 20);
    cordon_ctl_stats(ctl, &stats);
    cordon_ctl_resume(ctl);
}

static bool run(struct made *made, const struct world *world, cordon_result_t *result,
                cordon_error_t *error)
{
    if (!start(made, world, error))
        return false;
    control(cordon_cell_ctl(made->cell));
    cordon_cell_wait(made->cell, result);
    return true;
}

static bool take_away(struct made *made)
{
    bool is_good = true;

    cordon_cell_free(made->cell);
    cordon_config_free(made->config);
    if (made->host != NULL && made->host->pot.committed != 0) {
        printf("  %llu bytes of memory are still promised\n",
               (unsigned long long)made->host->pot.committed);
        is_good = false;
    }
    cordon_host_free(made->host);
    return is_good;
}

/* What never was the cell's. */
static void end_inside(struct made *made)
{
    close(made->module);
    if (made->pid == 0)
        return;
    close(made->socket);
    kill(made->pid, SIGKILL);
    waitpid(made->pid, NULL, 0);
}

/* ------------------------------------------------------------------ what has to hold */

/* The host kills a process that it cannot talk to. */
static bool is_end(const cordon_result_t *result)
{
    const char *signal = strstr(result->message, "was killed by signal");

    if (result->end != CORDON_END_NONE &&
        (signal == NULL || (!guest.is_inside && strcmp(signal, "was killed by signal 9") == 0)))
        return true;
    printf("  an end of kind %d: %s\n", (int)result->end, result->message);
    return false;
}

static bool is_alone(void)
{
    if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
        return true;
    printf("  a process is left\n");
    return false;
}

static bool try_case(const struct fault *what)
{
    struct world world;
    struct made made = {.host = NULL};
    cordon_error_t error = {.message = ""};
    cordon_result_t result = {.end = CORDON_END_NONE};

    open_world(&world);
    uint32_t open_before = open_count();
    hooks->fault = *what;
    fork_inside(&made);
    if (!guest.is_inside)
        hooks_watch();
    bool has_run = run(&made, &world, &result, &error);
    bool is_good = take_away(&made);
    if (!guest.is_inside && guest.has_volume && has_run)
        (void)use_store(&world, &error);
    hooks_rest();
    end_inside(&made);
    hooks->fault.count = 0;
    is_good &= what->count > 0 || (has_run && is_whole_end(&result));
    is_good &= says_why(has_run, &error);
    is_good &= !has_run || is_end(&result);
    if (!guest.is_inside)
        is_good &= check_left(open_before);
    else
        is_good &= open_count() == open_before && (!shared->has_ended || shared->is_good);
    is_good &= what->count > 0 || !guest.is_inside || shared->has_ended;
    is_good &= is_alone();
    is_good &= check_world(&world);
    close_world(&world);
    return is_good;
}

/* ------------------------------------------------------------------ kill -9 */

static void run_to_be_killed(const struct world *world)
{
    struct made made = {.host = NULL};
    cordon_result_t result = {.end = CORDON_END_NONE};
    cordon_error_t error;

    fork_inside(&made);
    if (!guest.is_inside)
        be_watched();
    if (run(&made, world, &result, &error))
        shared->was_killed = strstr(result.message, "killed by signal 9") != NULL;
    bool is_good = take_away(&made);
    end_inside(&made);
    _exit(is_good ? 0 : 1);
}

static bool try_kill(const struct kill *how, bool *was_killed)
{
    struct world world;
    int status;

    open_world(&world);
    hooks->kill_before = how->before;
    hooks->kill_after = how->after;
    killing = how;
    shared->was_killed = false;
    alarm(SECONDS_MAX);
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0)
        run_to_be_killed(&world);
    require(waitpid(child, &status, 0) == child, "waitpid");
    while (waitpid(-1, NULL, 0) > 0) /* the inside of a host that was killed goes with it */
        continue;
    alarm(0);
    bool has_died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    *was_killed = guest.is_inside ? shared->was_killed : has_died;
    hooks->kill_before = hooks->kill_after = 0;
    killing = NULL;
    bool is_good = (guest.is_inside || !has_died ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                                                 : true) &&
                   check_world(&world);
    close_world(&world);
    return is_good;
}

struct trial cell_trial(const char *name)
{
    void *page = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);

    require(page != MAP_FAILED && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "a shared page");
    shared = page;
    return (struct trial){name, MOMENT_MAX, try_case, try_kill};
}
