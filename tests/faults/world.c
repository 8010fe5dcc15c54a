#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u
#define FDS_MAX 200

void require(bool condition, const char *what)
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

void open_world(struct world *world)
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

void close_world(struct world *world)
{
    const int all[] = {world->dirs[0],  world->dirs[1],  world->ledger,    world->listener,
                       world->client,   world->input[0], world->input[1],  world->output[0],
                       world->output[1]};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        close(all[i]);
    nftw(world->root, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
    nftw(world->fixed, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
}

uint32_t open_count(void)
{
    uint32_t count = 0;

    for (int fd = 0; fd < FDS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

cordon_store_t *open_store(const struct world *world, cordon_error_t *error)
{
    const cordon_store_options_t options = {world->store, world->key, true, true};

    return cordon_store_open(&options, error);
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

bool check_store(const struct world *world)
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

void count_disk(const char *path, uint64_t *bytes, uint64_t *inodes)
{
    counted.bytes = counted.inodes = 0;
    nftw(path, count_entry, 16, FTW_PHYS);
    *bytes = counted.bytes;
    *inodes = counted.inodes;
}

bool check_disk(const char *path, int dir, int ledger)
{
    static const char nothing[] = "(module)";
    cordon_error_t error = {.message = ""};
    cordon_stats_t stats = {.wall_ns = 0};
    cordon_host_t *host = cordon_host_new(&error);
    cordon_module_t *module = cordon_module_load(host, nothing, sizeof nothing - 1, &error);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_config_t *config = cordon_config_new(&error);
    require(cordon_config_dir_fd(config, dir, "/", false, &error) &&
                cordon_config_ledger(config, ledger, &error), error.message);
    cordon_linker_allow_wasi(linker);
    cordon_vm_t *vm = cordon_vm_new(host, module, linker, config, &error);
    require(vm != NULL, error.message);
    cordon_vm_stats(vm, &stats);
    cordon_vm_free(vm);
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    uint64_t bytes, inodes;
    count_disk(path, &bytes, &inodes);
    if (bytes == stats.used[CORDON_DISK] && inodes == stats.used[CORDON_INODES])
        return true;
    printf("  the ledger says %llu bytes and %llu inodes, there are %llu and %llu\n",
           (unsigned long long)stats.used[CORDON_DISK],
           (unsigned long long)stats.used[CORDON_INODES], (unsigned long long)bytes,
           (unsigned long long)inodes);
    return false;
}
