/* Everything that can fail fails, one thing after the other: every allocation once and from then
 * on, every place where Cordon calls the system with every error of tests/faults/calls.def, once
 * and on and on, at the first call from there, one in the middle and the last one.
 *
 *   faults [--every N] [--offset N] [--workers] [--volume] [--whole] GUEST...
 *   faults --kills N [--seed N] GUEST...
 *
 * GUEST is a module that ends well when nothing fails. Whatever fails, the process lives, memory,
 * mappings and descriptors are given back, and what the disk's ledger says is what is on the disk.
 * --every takes one case in N. --workers runs the guest on a host's threads. --whole wants that
 * the guest returns 0 as long as nothing fails. --volume gives it a private volume as its root, and
 * afterwards checks, exports and removes volumes, which may fail, too; then the store opens, and
 * what is left of its volumes is sound.
 *
 * --kills does not let anything fail: N times a process that runs the guest is killed, two of three
 * times before or after one of its system calls, all of them in turn, else at a random moment; then
 * the ledger that it leaves has to become true. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hooks.h"
#include "include/cordon.h"

#define BLOCK 4096u
#define CASES_MAX 200000
#define FOREVER UINT32_MAX
#define SECONDS_MAX 30
#define FDS_MAX 200

struct world {
    char root[64], fixed[64], store[80], key[80];
    int dirs[2], ledger, listener, client, input[2], output[2];
    uint16_t port;
};

/* What is made inside of the watched part, all of it or none. */
struct made {
    cordon_host_t *host;
    cordon_module_t *module;
    cordon_linker_t *linker;
    cordon_config_t *config;
    cordon_vm_t *vm;
};

static struct fault cases[CASES_MAX];
static uint32_t case_count;
static const char *guest_name;
static void *guest_bytes;
static size_t guest_size;
static bool on_workers, has_volume, is_whole;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    printf("faults: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ------------------------------------------------------------------ a guest's world */

static int make_dir(char *path)
{
    snprintf(path, 64, "/dev/shm/cn-faults-XXXXXX");
    if (mkdtemp(path) == NULL) {
        snprintf(path, 64, "/tmp/cn-faults-XXXXXX");
        require(mkdtemp(path) != NULL, "mkdtemp");
    }
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void open_world(struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;

    *world = (struct world){.port = 0};
    world->dirs[0] = make_dir(world->root);
    world->dirs[1] = make_dir(world->fixed);
    require(mkdirat(world->dirs[1], "d", 0700) == 0, "mkdirat");
    snprintf(world->store, sizeof world->store, "%s/store", world->root);
    snprintf(world->key, sizeof world->key, "%s/key", world->fixed);
    world->ledger = memfd_create("ledger", MFD_CLOEXEC);
    world->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    world->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    require(bind(world->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                listen(world->listener, 4) == 0 &&
                getsockname(world->listener, (struct sockaddr *)&address, &size) == 0 &&
                connect(world->client, (struct sockaddr *)&address, sizeof address) == 0,
            "sockets");
    require(send(world->client, "hello", 5, 0) == 5, "send");
    require(pipe2(world->input, O_CLOEXEC) == 0 && pipe2(world->output, O_CLOEXEC) == 0, "pipe2");
    require(write(world->input[1], "some input\n", 11) == 11, "write");
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

static void close_world(struct world *world)
{
    const int all[] = {world->dirs[0],  world->dirs[1],  world->ledger,    world->listener,
                       world->client,   world->input[0], world->input[1],  world->output[0],
                       world->output[1]};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        close(all[i]);
    nftw(world->root, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
    nftw(world->fixed, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
}

static uint32_t open_count(void)
{
    uint32_t count = 0;

    for (int fd = 0; fd < FDS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ------------------------------------------------------------------ one run */

static double half(double number)
{
    return number / 2;
}

static cordon_store_t *open_store(const struct world *world, cordon_error_t *error)
{
    const cordon_store_options_t options = {world->store, world->key, true, true};

    return cordon_store_open(&options, error);
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

static bool grant_volume(struct made *made, const struct world *world, cordon_error_t *error)
{
    const cordon_volume_t volume = {.name = "kept", .guest = "/"};
    cordon_store_t *store = open_store(world, error);
    bool is_granted = store != NULL &&
                      cordon_store_create(store, "kept", 16 << 20, 100, error) &&
                      cordon_store_create(store, "other", 1 << 20, 10, error) &&
                      cordon_config_volume(made->config, store, &volume, error) &&
                      cordon_config_dir_fd(made->config, world->dirs[1], "/fixed", true, error) &&
                      try_ephemeral(store, error);

    cordon_store_close(store);
    return is_granted;
}

/* What `cordon volume` does. */
static bool use_store(const struct world *world, cordon_error_t *error)
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

static bool grant_dirs(struct made *made, const struct world *world, cordon_error_t *error)
{
    if (has_volume)
        return grant_volume(made, world, error);
    return cordon_config_dir_fd(made->config, world->dirs[0], "/", false, error) &&
           cordon_config_dir_fd(made->config, world->dirs[1], "/fixed", true, error);
}

static bool make(struct made *made, const struct world *world, cordon_error_t *error)
{
    static const char *const args[] = {"guest", "argument"};

    made->host = cordon_host_new(error);
    if (made->host == NULL)
        return false;
    made->module = cordon_module_load(made->host, guest_bytes, guest_size, error);
    made->linker = made->module ? cordon_linker_new(made->host, error) : NULL;
    made->config = made->linker ? cordon_config_new(error) : NULL;
    if (made->config == NULL ||
        !cordon_bind(made->linker, "env", "half", "f64(f64)", (void (*)(void))half, error))
        return false;
    cordon_linker_allow_wasi(made->linker);
    for (int i = 0; i < 2; i++)
        if (!cordon_config_arg(made->config, args[i], error))
            return false;
    if (!grant_dirs(made, world, error) || !cordon_config_env(made->config, "KEY=value", error) ||
        !cordon_config_stdio(made->config, 0, world->input[0], error) ||
        !cordon_config_stdio(made->config, 1, world->output[1], error) ||
        !cordon_config_stdio(made->config, 2, world->output[1], error) ||
        !cordon_config_listener_fd(made->config, world->listener, NULL, error) ||
        !cordon_config_limit(made->config, CORDON_TIMEOUT, 3000000000u, error) ||
        !cordon_config_limit(made->config, CORDON_MEMORY, 32 << 20, error) ||
        !cordon_config_ledger(made->config, world->ledger, error))
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

static struct {
    uint64_t bytes, inodes;
    ino_t seen[200];
} counted;

static int count_entry(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)type;
    (void)path;
    if (walk->level == 0)
        return 0;
    for (uint64_t i = 0; i < counted.inodes; i++)
        if (counted.seen[i] == stat->st_ino)
            return 0;
    require(counted.inodes < 200, "too many inodes");
    counted.seen[counted.inodes++] = stat->st_ino;
    if (!S_ISDIR(stat->st_mode))
        counted.bytes += ((uint64_t)stat->st_size + BLOCK - 1) / BLOCK * BLOCK;
    return 0;
}

/* Whatever failed, the store opens, which finishes what was begun, and nothing in it is damaged. */
static bool check_store(const struct world *world)
{
    cordon_error_t error = {.message = ""};
    cordon_volume_report_t report;
    cordon_volume_info_t info;
    cordon_store_t *store = open_store(world, &error);
    bool is_good = store != NULL;

    if (!is_good)
        printf("  the store does not open: %s\n", error.message);
    for (uint32_t i = 0; is_good && cordon_store_list(store, i, &info); i++) {
        is_good = cordon_store_check(store, info.name, &report, &error) && report.foreign == 0 &&
                  report.unopened == 0 && report.blocks == 0 && !report.is_incomplete &&
                  !info.in_use;
        if (!is_good)
            printf("  volume %s: %s, %llu foreign, %llu unopened, %llu blocks\n", info.name,
                   error.message, (unsigned long long)report.foreign,
                   (unsigned long long)report.unopened, (unsigned long long)report.blocks);
    }
    uint64_t all, good;
    if (is_good && (!cordon_store_check_records(store, &all, &good, &error) || all != good)) {
        printf("  records that were not signed: %s\n", error.message);
        is_good = false;
    }
    cordon_store_close(store);
    return is_good;
}

/* Whoever goes on with the ledger is charged for what is there, and nothing else. */
static bool check_disk(const struct world *world)
{
    static const char nothing[] = "(module)";
    cordon_error_t error = {.message = ""};
    cordon_stats_t stats = {.wall_ns = 0};
    struct made made = {.host = cordon_host_new(&error)};

    made.module = cordon_module_load(made.host, nothing, sizeof nothing - 1, &error);
    made.linker = cordon_linker_new(made.host, &error);
    made.config = cordon_config_new(&error);
    require(cordon_config_dir_fd(made.config, world->dirs[0], "/", false, &error) &&
                cordon_config_ledger(made.config, world->ledger, &error), error.message);
    cordon_linker_allow_wasi(made.linker);
    made.vm = cordon_vm_new(made.host, made.module, made.linker, made.config, &error);
    require(made.vm != NULL, error.message);
    cordon_vm_stats(made.vm, &stats);
    take_away(&made);
    counted.bytes = counted.inodes = 0;
    nftw(world->root, count_entry, 16, FTW_PHYS);
    if (counted.bytes == stats.used[CORDON_DISK] && counted.inodes == stats.used[CORDON_INODES])
        return true;
    printf("  the ledger says %llu bytes and %llu inodes, there are %llu and %llu\n",
           (unsigned long long)stats.used[CORDON_DISK],
           (unsigned long long)stats.used[CORDON_INODES], (unsigned long long)counted.bytes,
           (unsigned long long)counted.inodes);
    return false;
}

static void describe(const struct fault *what)
{
    Dl_info info = {.dli_fbase = NULL};

    if (what->count == 0) {
        printf("%s: nothing fails", guest_name);
    } else if (what->site == NULL) {
        printf("%s: allocation %u%s", guest_name, what->first, what->count > 1 ? " and on" : "");
    } else {
        dladdr(what->site->at, &info);
        printf("%s: %s %s, call %u%s, at 0x%lx", guest_name, call_name(what->site->call),
               what->error == SHORT_TRANSFER ? "short" : strerrorname_np(what->error),
               what->first, what->count > 1 ? " and on" : "",
               (unsigned long)((char *)what->site->at - (char *)info.dli_fbase));
    }
}

/* True when all of it holds. */
static bool try_case(const struct fault *what)
{
    struct world world;
    struct made made = {.host = NULL};
    cordon_error_t error = {.message = ""};
    cordon_result_t result = {.end = CORDON_END_NONE};
    bool is_good = true;

    open_world(&world);
    uint32_t open_before = open_count();
    fault = *what;
    blocks = mapped = 0;
    alarm(SECONDS_MAX);
    hooks_watch();
    bool is_made = make(&made, &world, &error);
    bool has_run = is_made && run(&made, &result, &error);
    take_away(&made);
    if (has_volume && has_run)
        has_run = use_store(&world, &error);
    hooks_rest();
    fault = (struct fault){.count = 0};
    if (what->count == 0 && is_whole &&
        (!has_run || result.exit_code != 0 || result.end == CORDON_END_TRAP)) {
        printf("  %s%s, exit code %d\n", error.message, result.message, result.exit_code);
        is_good = false;
    }
    if (!has_run && error.message[0] == '\0') {
        printf("  an error that says nothing\n");
        is_good = false;
    }
    if (blocks != 0 || mapped != 0 || open_count() != open_before) {
        printf("  left: %lld blocks, %lld bytes mapped, %d descriptors\n", (long long)blocks,
               (long long)mapped, (int)(open_count() - open_before));
        is_good = false;
    }
    is_good &= has_volume ? check_store(&world) : check_disk(&world);
    alarm(0);
    close_world(&world);
    return is_good;
}

/* ------------------------------------------------------------------ all the cases */

static void add_case(const struct site *site, uint32_t first, uint32_t count, int error)
{
    require(case_count < CASES_MAX, "too many cases");
    cases[case_count++] = (struct fault){site, first, count, error};
}

static void add_site(const struct site *site)
{
    int error;

    for (uint32_t i = 0; (error = call_error(site->call, i)) != 0; i++) {
        /* The kernel does not say these for ever. */
        bool passes = error == EINTR || error == EAGAIN || error == SHORT_TRANSFER;
        add_case(site, 1, 1, error);
        add_case(site, 1, passes ? 20 : FOREVER, error);
        if (site->times > 1)
            add_case(site, site->times, 1, error);
        if (site->times > 3)
            add_case(site, site->times / 2, 1, error);
    }
}

static void add_all(void)
{
    uint32_t allocated = allocations;

    case_count = 0;
    for (uint32_t i = 1; i <= allocated; i++) {
        add_case(NULL, i, 1, ENOMEM);
        add_case(NULL, i, FOREVER, ENOMEM);
    }
    for (uint32_t i = 0; i < site_count; i++)
        if (sites[i].times > 0 && !call_allocates(sites[i].call))
            add_site(&sites[i]);
}

/* ------------------------------------------------------------------ kill -9 */

static uint64_t random_state;

static uint32_t pick(uint32_t count)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % count;
}

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
    if (has_volume)
        (void)use_store(world, &error);
    _exit(0);
}

static bool try_kill(uint32_t number, uint32_t call_count, bool *was_killed)
{
    struct world world;
    int status;
    uint32_t point = number / 3 % call_count + 1;

    open_world(&world);
    kill_before = number % 3 == 0 ? point : 0;
    kill_after = number % 3 == 1 ? point : 0;
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0)
        run_to_be_killed(&world);
    if (number % 3 == 2) {
        usleep(pick(3000));
        kill(child, SIGKILL);
    }
    require(waitpid(child, &status, 0) == child, "waitpid");
    *was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    kill_before = kill_after = 0;
    bool is_good = (*was_killed || WIFEXITED(status)) &&
                   (has_volume ? check_store(&world) : check_disk(&world));
    if (!is_good)
        printf("FAILED %s: killed %s call %u (%s)\n", guest_name,
               number % 3 == 0 ? "before" : number % 3 == 1 ? "after" : "at random instead of",
               point, *was_killed ? "it was" : "it ended by itself");
    close_world(&world);
    return is_good;
}

static void try_kills(uint32_t count, uint32_t *passed, uint32_t *failed)
{
    const struct fault nothing = {.count = 0};
    uint32_t killed = 0;

    if (!try_case(&nothing) || !try_case(&nothing)) {
        ++*failed;
        return;
    }
    uint32_t call_count = calls;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = count >= 3 * call_count ? i : pick(call_count) * 3 + i % 3;
        bool was_killed, is_good = try_kill(number, call_count, &was_killed);
        *passed += is_good;
        *failed += !is_good;
        killed += was_killed;
    }
    printf("%s: %u system calls, killed %u of %u times\n", guest_name, call_count, killed, count);
    if (killed < count / 2) {
        printf("FAILED %s: was hardly ever killed\n", guest_name);
        ++*failed;
    }
}

/* ------------------------------------------------------------------ processes of their own */

static void on_alarm(int number)
{
    (void)number;
    static const char text[] = "  it hangs\n";
    (void)!write(1, text, sizeof text - 1);
    _exit(4);
}

/* Cases from `from` on in a process of their own, until one of them ends it; the next one. */
static uint32_t try_some(uint32_t from, uint32_t every, uint32_t *passed, uint32_t *failed)
{
    uint32_t *now = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;

    require(now != MAP_FAILED, "mmap");
    fflush(stdout);
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        signal(SIGALRM, on_alarm);
        for (now[0] = from; now[0] < case_count; now[0] += every) {
            bool is_good = try_case(&cases[now[0]]);
            now[1] += is_good;
            now[2] += !is_good;
            if (!is_good) {
                printf("FAILED ");
                describe(&cases[now[0]]);
                printf("\n");
                fflush(stdout);
            }
        }
        _exit(0);
    }
    require(waitpid(child, &status, 0) == child, "waitpid");
    *passed += now[1];
    *failed += now[2];
    uint32_t next = now[0];
    munmap(now, BLOCK);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return UINT32_MAX;
    printf("FAILED (status 0x%x) ", (unsigned)status);
    describe(&cases[next]);
    printf("\n");
    ++*failed;
    return next + every;
}

static void read_guest(const char *path)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *slash = strrchr(path, '/');

    require(fd >= 0 && fstat(fd, &stat) == 0, path);
    guest_name = slash ? slash + 1 : path;
    guest_size = (size_t)stat.st_size;
    guest_bytes = mmap(NULL, guest_size, PROT_READ, MAP_PRIVATE, fd, 0);
    require(guest_bytes != MAP_FAILED, path);
    close(fd);
}

static void try_all(uint32_t every, uint32_t offset, uint32_t *passed, uint32_t *failed)
{
    struct fault nothing = {.count = 0};

    /* Twice: the C library makes some things once. */
    if (!try_case(&nothing) || !try_case(&nothing)) {
        printf("FAILED %s: nothing failed\n", guest_name);
        ++*failed;
        return;
    }
    add_all();
    printf("%s%s: %u allocations, %u cases\n", guest_name, on_workers ? " on workers" : "",
           allocations, case_count);
    for (uint32_t next = offset % every; next < case_count;)
        next = try_some(next, every, passed, failed);
}

int main(int argc, char **argv)
{
    uint32_t every = 1, offset = 0, kills = 0, passed = 0, failed = 0;
    Dl_info info;

    signal(SIGPIPE, SIG_IGN);
    hooks_begin();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--every") == 0 && i + 1 < argc) {
            every = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--offset") == 0 && i + 1 < argc) {
            offset = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--kills") == 0 && i + 1 < argc) {
            kills = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            random_state = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--workers") == 0) {
            on_workers = true;
        } else if (strcmp(argv[i], "--volume") == 0) {
            has_volume = true;
        } else if (strcmp(argv[i], "--whole") == 0) {
            is_whole = true;
        } else {
            read_guest(argv[i]);
            if (kills > 0)
                try_kills(kills, &passed, &failed);
            else
                try_all(every ? every : 1, offset, &passed, &failed);
        }
    }
    for (uint32_t i = 0; i < site_count; i++)
        if (dladdr(sites[i].at, &info) != 0)
            printf("site %s 0x%lx\n", call_name(sites[i].call),
                   (unsigned long)((char *)sites[i].at - (char *)info.dli_fbase));
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0;
}
