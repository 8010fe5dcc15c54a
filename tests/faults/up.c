/* A host (`cordon up`) in which everything fails, while somebody talks to it: each allocation of
 * Cordon's and each call of the system, as in tests/faults/faults.c.
 *
 *   faults_up [--every N] [--offset N] [--client]
 *   faults_up --kills N [--seed N]
 *
 * Whatever fails, the host lives, or says why it does not begin; each request is answered, or its
 * connection is closed; what an ended VM has used of its disk is what is there; the host ends when
 * it is told to, with all of its processes, and gives back what it had.
 *
 * --client lets everything fail in who talks to it instead: `cordon run --detach`, which opens what
 * it grants and sends it, and the other commands. Each ends, and says why when it could not do what
 * it was told; the host lives on.
 *
 * --kills kills the host, as tests/faults/faults.c does: then its processes end, the ledgers that
 * it leaves are true, and the next host at the same place begins as the first one did.
 *
 * libuv's own calls and blocks do not fail: where it can do nothing about that it ends the program,
 * as its manual says. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cases.h"
#include "cli/control.h"
#include "cli/worker.h"
#include "talk.h"
#include "world.h"

#define MOMENT_MAX 60000 /* a host lives about so many microseconds */
#define END_MS 10000
#define LOOK_US 500
#define PATIENCE_MS 15000 /* longer than the host's own */
#define LITTLE_MS 400     /* with one that may never answer, as something fails on and on */

/* A folder with a file for the host, its modules, and a directory for a guest. */
struct place {
    char folder[64], socket[96], file[96], dir[80];
    int dir_fd, said; /* what the host has to say */
    bool stays; /* the host does, without VMs */
    pid_t host; /* 0: it has ended, with: */
    int status;
};

static struct shared {
    int64_t blocks, mapped;
    int32_t open;
    bool has_ended; /* by itself: the figures above are what was left */
    bool is_silent; /* a client failed and did not say so */
} *shared;

static struct shared usual; /* what is left when nothing fails */
static const struct kill *killing;

/* Writes a line, and sleeps until it is killed. */
static const char web[] =
    "(module (import \"wasi_snapshot_preview1\" \"poll_oneoff\""
    "    (func $poll (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_write\""
    "    (func $write (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1) (data (i32.const 200) \"hello\\n\")"
    "  (func (export \"_start\")"
    "    (i32.store (i32.const 180) (i32.const 200)) (i32.store (i32.const 184) (i32.const 6))"
    "    (drop (call $write (i32.const 1) (i32.const 180) (i32.const 1) (i32.const 188)))"
    "    (loop $l"
    "      (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 5000000))"
    "      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))"
    "      (br $l))))";

/* Writes a line, and three blocks to a file. */
static const char job[] =
    "(module (import \"wasi_snapshot_preview1\" \"path_open\""
    "    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_write\""
    "    (func $write (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1) (data (i32.const 200) \"file\\n\")"
    "  (func (export \"_start\")"
    "    (i32.store (i32.const 180) (i32.const 200)) (i32.store (i32.const 184) (i32.const 5))"
    "    (drop (call $write (i32.const 1) (i32.const 180) (i32.const 1) (i32.const 188)))"
    "    (drop (call $open (i32.const 3) (i32.const 1) (i32.const 200) (i32.const 4) (i32.const 9)"
    "      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 300)))"
    "    (i32.store (i32.const 180) (i32.const 0)) (i32.store (i32.const 184) (i32.const 9000))"
    "    (drop (call $write (i32.load (i32.const 300)) (i32.const 180) (i32.const 1)"
    "      (i32.const 188)))))";

/* ------------------------------------------------------------------ the place */

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
    close(fd);
}

static void open_place(struct place *place)
{
    char text[400], path[96];

    *place = (struct place){.host = 0};
    snprintf(place->folder, sizeof place->folder, "/dev/shm/cn-faults-XXXXXX");
    require(mkdtemp(place->folder) != NULL, "mkdtemp");
    snprintf(place->socket, sizeof place->socket, "%s/h.sock", place->folder);
    snprintf(place->file, sizeof place->file, "%s/host.yaml", place->folder);
    snprintf(place->dir, sizeof place->dir, "%s/dir", place->folder);
    snprintf(path, sizeof path, "%s/web.wat", place->folder);
    write_file(path, web);
    snprintf(path, sizeof path, "%s/job.wat", place->folder);
    write_file(path, job);
    snprintf(text, sizeof text,
             "workers: 1\nvms:\n  web:\n    module: web.wat\n    args: [a]\n    env: {A: b}\n"
             "    dirs: [./dir::/]\n    listen: [0]\n"
             "    quotas: {memory: 16m, memory-reserve: 1m, weight: 200}\n");
    write_file(place->file, text);
    require(mkdir(place->dir, 0700) == 0, place->dir);
    place->dir_fd = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    place->said = memfd_create("said", MFD_CLOEXEC);
    require(place->dir_fd >= 0 && place->said >= 0, "a place");
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

static void close_place(struct place *place)
{
    close(place->dir_fd);
    close(place->said);
    nftw(place->folder, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
}

/* What was said, for a failure. */
static void show_said(const struct place *place)
{
    char text[1500];
    ssize_t size = pread(place->said, text, sizeof text - 1, 0);

    text[size > 0 ? size : 0] = '\0';
    printf("  it said: %s\n", text);
}

/* ------------------------------------------------------------------ the host */

static void on_moment(int number)
{
    (void)number;
    raise(SIGKILL);
}

static void arm(void)
{
    struct itimerval moment = {.it_value.tv_usec = 1};

    if (killing == NULL || killing->before + killing->after > 0)
        return;
    signal(SIGALRM, on_moment);
    moment.it_value.tv_usec += killing->microseconds;
    setitimer(ITIMER_REAL, &moment, NULL);
}

static void leave(uint32_t open_before)
{
    shared->blocks = hooks->blocks;
    shared->mapped = hooks->mapped;
    shared->open = (int32_t)(open_count() - open_before);
    shared->has_ended = true;
}

static void be_host(struct place *place, bool is_watched)
{
    char host[] = "--host", stay[] = "--stay";
    char *words[] = {place->file, host, place->socket, place->stays ? stay : NULL, NULL};
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    require(dup2(nothing, 0) == 0 && dup2(nothing, 1) == 1 && dup2(place->said, 2) == 2, "dup2");
    close_range(3, ~0u, 0);
    uint32_t open_before = open_count();
    alarm(0);
    if (is_watched) {
        arm();
        hooks_watch();
    }
    int code = cli_up(place->stays ? 4 : 3, words);
    hooks_rest();
    if (is_watched)
        leave(open_before);
    _exit(code);
}

static void start_host(struct place *place, bool is_watched)
{
    pid_t parent = getpid();

    fflush(stdout);
    shared->has_ended = false;
    place->host = fork();
    require(place->host >= 0, "fork");
    if (place->host != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    be_host(place, is_watched);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* True once it has; it is told by a signal when that is not 0. */
static bool has_ended(struct place *place, int signal, uint64_t ms)
{
    uint64_t until = now_ms() + ms;

    if (place->host == 0)
        return true;
    if (signal != 0)
        kill(place->host, signal);
    for (;;) {
        if (waitpid(place->host, &place->status, WNOHANG) == place->host) {
            place->host = 0;
            return true;
        }
        if (now_ms() >= until)
            return false;
        usleep(LOOK_US);
    }
}

/* Until it listens, or has ended. */
static bool reach(struct place *place, struct talk *talk)
{
    uint64_t until = now_ms() + (talk->patience_ms == LITTLE_MS ? LITTLE_MS : END_MS);

    while (!talk_begin(talk, place->socket))
        if (has_ended(place, 0, 1) || now_ms() >= until)
            return false;
    return true;
}

/* All that it had started has ended, too. */
static bool is_alone(void)
{
    uint64_t until = now_ms() + END_MS;

    while (now_ms() < until) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return true;
        if (pid == 0)
            usleep(LOOK_US);
    }
    printf("  a process is left\n");
    return false;
}

/* ------------------------------------------------------------------ what is asked */

/* Each is answered or the connection is lost; then the next one comes over a new one. */
static bool ask(struct place *place, struct talk *talk, const char *line, const int *fds,
                uint32_t fd_count)
{
    if (talk->fd < 0 && (place->host == 0 || !reach(place, talk)))
        return place->host == 0 || talk->patience_ms == LITTLE_MS;
    if (talk_ask(talk, line, fds, fd_count) || talk->fd < 0)
        return true;
    talk_end(talk);
    if (talk->patience_ms == LITTLE_MS)
        return true;
    printf("  no answer to %s\n", line);
    return false;
}

static bool ask_to_run(struct place *place, struct talk *talk)
{
    int module = memfd_create("job", MFD_CLOEXEC);
    int fds[] = {module, place->dir_fd};

    require(write(module, job, sizeof job - 1) == sizeof job - 1, "a module");
    bool is_answered = ask(place, talk,
                           "{\"id\": 5, \"do\": \"run\", \"name\": \"job\", \"module\": {\"fd\": 0,"
                           " \"name\": \"job\"}, \"args\": [\"x\"], \"env\": [\"A=b\"], \"dirs\":"
                           " [{\"fd\": 1, \"guest\": \"/\"}], \"quotas\": {\"memory\": \"8m\"}}",
                           fds, 2);
    close(module);
    return is_answered;
}

/* Its books are what is there, as far as anybody says what they are. */
static bool check_job(struct place *place, struct talk *talk)
{
    uint64_t used[2], bytes, inodes;

    if (!ask(place, talk, "{\"id\": 7, \"do\": \"stats\", \"vm\": \"job\"}", NULL, 0))
        return false;
    if (!talk_used(talk, "disk", &used[0]) || !talk_used(talk, "inodes", &used[1]))
        return true;
    count_disk(place->dir, &bytes, &inodes);
    if (used[0] == bytes && used[1] == inodes)
        return true;
    printf("  stats say %llu bytes and %llu inodes, there are %llu and %llu\n",
           (unsigned long long)used[0], (unsigned long long)used[1], (unsigned long long)bytes,
           (unsigned long long)inodes);
    return false;
}

static bool ask_all(struct place *place, struct talk *talk)
{
    static const char *const lines[] = {
        "{\"id\": 1, \"do\": \"ps\"}",
        "{\"id\": 2, \"do\": \"stats\"}",
        "{\"id\": 3, \"do\": \"set\", \"vm\": \"web\", \"values\": {\"memory\": \"32m\"}}",
        "{\"do\": \"set\", \"vm\": \"web\", \"values\": {\"memory-reserve\": \"2m\"}}",
        "{\"id\": 4, \"do\": \"pause\", \"vms\": [\"web\"]}",
        "{\"id\": 4, \"do\": \"resume\", \"vms\": \"all\"}",
        "{\"do\": \"metrics\"}",
        "{\"do\": \"set\", \"vm\": \"wbe\", \"values\": {}}",
        "{\"do\": \"logs\", \"vm\": \"web\", \"tail\": 5}",
        "no object",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!ask(place, talk, lines[i], NULL, 0))
            return false;
    return ask_to_run(place, talk) &&
           ask(place, talk, "{\"id\": 6, \"do\": \"logs\", \"vm\": \"job\", \"follow\": true}",
               NULL, 0) &&
           check_job(place, talk) &&
           ask(place, talk, "{\"id\": 8, \"do\": \"kill\", \"vms\": [\"web\"]}", NULL, 0);
}

/* Told over the socket first: once is enough when what failed does not fail again. */
static bool end_host(struct place *place, struct talk *talk, bool fails_on)
{
    for (int i = 0; i < 3 && place->host != 0; i++) {
        if (talk->fd < 0 && !reach(place, talk))
            break;
        (void)talk_ask(talk, "{\"do\": \"down\"}", NULL, 0);
        talk_end(talk);
        if (has_ended(place, 0, fails_on ? LITTLE_MS : END_MS))
            return true;
    }
    if (place->host == 0)
        return true;
    if (!fails_on)
        printf("  it does not end by being told so\n");
    bool is_over = has_ended(place, SIGTERM, END_MS);
    if (!is_over) {
        printf("  it does not end by a signal\n");
        (void)has_ended(place, SIGKILL, END_MS);
    }
    return is_over && fails_on;
}

/* ------------------------------------------------------------------ what has to hold */

static bool check_status(const struct place *place)
{
    int status = place->status;
    struct stat said;

    fstat(place->said, &said);
    if (WIFEXITED(status) && (WEXITSTATUS(status) != 125 || said.st_size > 0))
        return true;
    printf("  status 0x%x\n", (unsigned)status);
    return false;
}

static bool check_left(void)
{
    if (shared->has_ended && shared->blocks <= usual.blocks && shared->mapped <= usual.mapped &&
        shared->open <= usual.open)
        return true;
    printf("  left: %lld blocks, %lld bytes mapped, %d descriptors; usually %lld, %lld, %d\n",
           (long long)shared->blocks, (long long)shared->mapped, shared->open,
           (long long)usual.blocks, (long long)usual.mapped, usual.open);
    return false;
}

/* Nothing of the host's is left in its folder. */
static bool is_tidy(const struct place *place)
{
    char path[110];

    snprintf(path, sizeof path, "%s.lock", place->socket);
    if (access(place->socket, F_OK) != 0 && access(path, F_OK) != 0)
        return true;
    printf("  its socket or lock is left\n");
    return false;
}

static bool try_case(const struct fault *what)
{
    struct place place;
    struct talk talk = {.fd = -1, .patience_ms = what->count > 1 ? LITTLE_MS : PATIENCE_MS};
    bool is_nothing = what->count == 0;

    open_place(&place);
    hooks->fault = *what;
    start_host(&place, true);
    bool is_good = true;
    if (reach(&place, &talk))
        is_good = ask_all(&place, &talk);
    is_good &= end_host(&place, &talk, what->count > 1);
    talk_end(&talk);
    hooks->fault.count = 0;
    is_good &= check_status(&place);
    is_good &= is_alone();
    if (is_nothing)
        usual = *shared;
    is_good &= check_left();
    is_good &= !is_nothing || (WEXITSTATUS(place.status) == 0 && is_tidy(&place));
    if (!is_good)
        show_said(&place);
    close_place(&place);
    return is_good;
}

/* ------------------------------------------------------------------ kill -9 */

/* Of a VM that there was, or will never be. */
static bool check_ledger(const struct place *place, const char *name)
{
    char path[120];

    snprintf(path, sizeof path, "%s.%s.disk", place->socket, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return true;
    bool is_good = check_disk(place->dir, place->dir_fd, fd);
    close(fd);
    return is_good;
}

/* The next one at the same place. */
static bool begins_again(struct place *place)
{
    struct talk talk = {.fd = -1, .patience_ms = PATIENCE_MS};

    start_host(place, false);
    bool is_good = reach(place, &talk) &&
                   ask(place, &talk, "{\"do\": \"ps\"}", NULL, 0) && talk.fd >= 0;
    is_good &= end_host(place, &talk, false) && place->status == 0;
    talk_end(&talk);
    if (!is_good)
        printf("  the next host does not do\n");
    return is_good && is_alone();
}

static bool try_kill(const struct kill *how, bool *was_killed)
{
    struct place place;
    struct talk talk = {.fd = -1, .patience_ms = PATIENCE_MS};

    alarm(SECONDS_MAX);
    open_place(&place);
    hooks->kill_before = how->before;
    hooks->kill_after = how->after;
    killing = how;
    start_host(&place, true);
    if (reach(&place, &talk))
        (void)ask_all(&place, &talk);
    bool is_good = end_host(&place, &talk, false);
    talk_end(&talk);
    killing = NULL;
    hooks->kill_before = hooks->kill_after = 0;
    *was_killed = WIFSIGNALED(place.status) && WTERMSIG(place.status) == SIGKILL;
    is_good &= *was_killed || place.status == 0;
    is_good &= is_alone() && check_ledger(&place, "job");
    is_good &= begins_again(&place);
    if (!is_good)
        show_said(&place);
    close_place(&place);
    alarm(0);
    return is_good;
}

/* ------------------------------------------------------------------ who talks to it */

#define WORDS_MAX 24

static int split(char *text, char **words)
{
    int count = 0;

    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        require(count + 1 < WORDS_MAX, "too many words");
        words[count++] = word;
    }
    words[count] = NULL;
    return count;
}

static int detach(int count, char **words)
{
    struct cli_options options;
    int code = cli_options_parse(&options, count, words) ? cli_detach(&options) : 125;

    cli_options_release(&options);
    return code;
}

static off_t said_size(void)
{
    struct stat stat;

    return fstat(2, &stat) == 0 ? stat.st_size : 0;
}

static void run_command(const struct place *place, int (*command)(int, char **),
                        const char *before, const char *after)
{
    char text[500];
    char *words[WORDS_MAX];
    off_t said = said_size();
    static uint64_t begin;

    begin = begin ? begin : now_ms();
    if (now_ms() - begin > END_MS / 2) /* one that waits in vain does so ten seconds long */
        return;
    snprintf(text, sizeof text, "%s --host %s %s", before, place->socket, after);
    int code = command(split(text, words), words);
    shared->is_silent |= code != 0 && said_size() == said;
}

static void be_client(const struct place *place)
{
    char grants[300];
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    require(dup2(nothing, 0) == 0 && dup2(nothing, 1) == 1 && dup2(place->said, 2) == 2, "dup2");
    close_range(3, ~0u, 0);
    uint32_t open_before = open_count();
    snprintf(grants, sizeof grants,
             "--name job --dir %s::/ --env A=b --listen 0 --memory 8m %s/job.wat x", place->dir,
             place->folder);
    alarm(0);
    hooks_watch();
    run_command(place, detach, "cordon --detach", grants);
    run_command(place, cli_ps, "", "--json");
    run_command(place, cli_stats, "", "web");
    run_command(place, cli_set, "", "web memory=32m");
    run_command(place, cli_pause, "", "web");
    run_command(place, cli_resume, "", "web");
    run_command(place, cli_logs, "", "web");
    run_command(place, cli_kill, "", "web");
    fflush(stdout);
    hooks_rest();
    leave(open_before);
    _exit(0);
}

/* True when it has ended by itself. */
static bool run_client(const struct place *place)
{
    pid_t parent = getpid();
    uint64_t until = now_ms() + 2 * END_MS;
    int status = 0;

    fflush(stdout);
    shared->has_ended = shared->is_silent = false;
    pid_t client = fork();
    require(client >= 0, "fork");
    if (client == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        be_client(place);
    }
    while (waitpid(client, &status, WNOHANG) == 0) {
        if (now_ms() > until)
            kill(client, SIGKILL);
        usleep(LOOK_US);
    }
    if (status != 0 || shared->is_silent)
        printf("  a client: status 0x%x%s\n", (unsigned)status,
               shared->is_silent ? ", and said nothing" : "");
    return status == 0 && !shared->is_silent;
}

static bool try_client(const struct fault *what)
{
    struct place place;
    struct talk talk = {.fd = -1, .patience_ms = PATIENCE_MS};

    open_place(&place);
    place.stays = true;
    hooks->fault = *what;
    start_host(&place, false);
    bool is_good = reach(&place, &talk) && run_client(&place);
    if (what->count == 0)
        usual = *shared;
    is_good = is_good && check_left();
    hooks->fault.count = 0;
    is_good &= ask(&place, &talk, "{\"do\": \"ps\"}", NULL, 0) && talk.fd >= 0;
    is_good &= end_host(&place, &talk, false) && place.status == 0;
    talk_end(&talk);
    is_good &= is_alone();
    if (!is_good)
        show_said(&place);
    close_place(&place);
    return is_good;
}

int main(int argc, char **argv)
{
    struct cases_options options = {.every = 1};
    struct trial trial = {"cordon up", MOMENT_MAX, try_case, try_kill};

    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return cli_worker(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "up") == 0)
        return cli_up(argc - 2, argv + 2);
    signal(SIGPIPE, SIG_IGN);
    hooks_begin();
    void *page = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
    require(page != MAP_FAILED && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "a shared page");
    shared = page;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--client") == 0)
            trial = (struct trial){"a client of cordon up", MOMENT_MAX, try_client, NULL};
        else if (!cases_option(&options, argc, argv, &i))
            require(false, argv[i]);
    cases_try(&options, &trial);
    return cases_end(&options);
}
