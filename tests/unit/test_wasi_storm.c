/* Calls in random order with plausible arguments, while a host process turns the tree upside
 * down. Nothing outside may change, no book may go below zero, nothing may be left behind. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "wasi_fixture.h"

static const char *const names[] = {
    "a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/f", "l", "d/l", "../secret", "out/secret",
    "out", "d/", "a/", ".", "d/..", "d/../..", "out/new", "d/out/new", "d/out", "l/secret",
};
#define NAME_COUNT (sizeof names / sizeof *names)

struct storm {
    struct guest guest;
    uint64_t random;
    atomic_bool is_over;
};

static uint32_t pick(uint64_t *random, uint32_t count)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % count;
}

/* A name among the first ten in the tree, as a directory's descriptor and a name in it. The host
 * does not follow its own links either. */
static int pick_place(const struct storm *storm, uint64_t *random, const char **name)
{
    const char *path = names[pick(random, 10)];
    int dir = open(storm->guest.root, O_PATH | O_DIRECTORY);

    for (const char *slash; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
        char part[8] = "";
        memcpy(part, path, (size_t)(slash - path));
        int next = openat(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW);
        close(dir);
        dir = next;
    }
    *name = path;
    return dir;
}

/* The host: exchanges, moves, links and removes whatever it finds. */
static void *disturb(void *context)
{
    struct storm *storm = context;
    uint64_t random = 99;

    while (!atomic_load(&storm->is_over)) {
        const char *name, *other;
        int from = pick_place(storm, &random, &name), to = pick_place(storm, &random, &other);
        switch (pick(&random, 6)) {
        case 0:
            syscall(SYS_renameat2, from, name, to, other, 2 /* RENAME_EXCHANGE */);
            break;
        case 1:
            (void)!renameat(from, name, to, other);
            break;
        case 2:
            (void)!symlinkat(storm->guest.outside, to, other);
            break;
        case 3:
            (void)!unlinkat(from, name, pick(&random, 2) ? AT_REMOVEDIR : 0);
            break;
        case 4:
            (void)!linkat(from, name, to, other, 0);
            break;
        default:
            (void)!mkdirat(to, other, 0777);
        }
        close(from);
        close(to);
    }
    return NULL;
}

static union cn_slot number(struct storm *storm, uint32_t count)
{
    return (union cn_slot){.u64 = pick(&storm->random, count)};
}

/* Fills the slots of one call: descriptors are small, addresses point to names, sizes fit. */
static void arrange(struct storm *storm, const char *name, union cn_slot *slots)
{
    struct guest *guest = &storm->guest;
    uint64_t length = put_text(guest, AT_PATH, names[pick(&storm->random, NAME_COUNT)]);
    uint64_t length2 = put_text(guest, AT_PATH2, names[pick(&storm->random, NAME_COUNT)]);
    union cn_slot path = {.u64 = AT_PATH}, size = {.u64 = length}, out = {.u64 = AT_OUT};
    union cn_slot path2 = {.u64 = AT_PATH2}, size2 = {.u64 = length2};
    union cn_slot list = {.u64 = AT_IOVECS}, one = {.u64 = 1}, data = {.u64 = AT_DATA};
    union cn_slot fd = number(storm, 12), fd2 = number(storm, 12);

    put_iovec(guest, pick(&storm->random, 70000));
    memset(slots, 0, 16 * sizeof *slots);
    slots[0] = fd;
    if (strcmp(name, "path_open") == 0) {
        union cn_slot rights = {.u64 = pick(&storm->random, 4) ? READ_WRITE : CN_RIGHTS_DIR};
        union cn_slot all[] = {number(storm, 4).u64 ? (union cn_slot){.u64 = 3} : fd,
                               number(storm, 2), path, size, number(storm, 16), rights,
                               {.u64 = ALL_RIGHTS & ~0x30000000}, number(storm, 32), out};
        memcpy(slots, all, sizeof all);
    } else if (strcmp(name, "path_rename") == 0) {
        memcpy(slots, (union cn_slot[]){fd, path, size, fd2, path2, size2}, 48);
    } else if (strcmp(name, "path_link") == 0) {
        memcpy(slots, (union cn_slot[]){fd, {.u64 = 0}, path, size, fd2, path2, size2}, 56);
    } else if (strcmp(name, "path_symlink") == 0) {
        memcpy(slots, (union cn_slot[]){path, size, fd, path2, size2}, 40);
    } else if (strncmp(name, "path_filestat", 13) == 0) {
        memcpy(slots, (union cn_slot[]){fd, number(storm, 2), path, size,
                                        strstr(name, "get") ? out : number(storm, 99),
                                        number(storm, 99), number(storm, 16)}, 56);
    } else if (strncmp(name, "path_", 5) == 0) {
        memcpy(slots, (union cn_slot[]){fd, path, size, data, number(storm, 99), out}, 48);
    } else if (strcmp(name, "fd_readdir") == 0) {
        memcpy(slots, (union cn_slot[]){fd, data, number(storm, 2000), number(storm, 9), out}, 40);
    } else if (strstr(name, "set_size") || strcmp(name, "fd_allocate") == 0) {
        memcpy(slots, (union cn_slot[]){fd, number(storm, 99999), number(storm, 99999)}, 24);
    } else if (strcmp(name, "fd_seek") == 0) {
        memcpy(slots, (union cn_slot[]){fd, number(storm, 99999), number(storm, 3), out}, 32);
    } else if (strcmp(name, "fd_renumber") == 0) {
        slots[1] = fd2;
    } else if (strncmp(name, "fd_p", 4) == 0) {
        memcpy(slots, (union cn_slot[]){fd, list, one, number(storm, 99999), out}, 40);
    } else {
        memcpy(slots, (union cn_slot[]){fd, list, one, out}, 32);
    }
}

/* Rates come and go; all of them let something pass. */
static void change_rates(struct storm *storm)
{
    uint64_t *limit = storm->guest.account.limit;

    limit[CN_QUOTA_DISK_RATE] = pick(&storm->random, 2) ? CN_UNLIMITED : 64 << 20;
    limit[CN_QUOTA_DISK_OPS] = pick(&storm->random, 2) ? CN_UNLIMITED : 100000;
    limit[CN_QUOTA_LOG_RATE] = pick(&storm->random, 2) ? CN_UNLIMITED : 64 << 20;
}

static void make_one_call(struct storm *storm)
{
    static const char *const calls[] = {
        "path_open", "path_open", "path_open", "path_open", "fd_close", "fd_close", "fd_write",
        "fd_pwrite", "fd_read", "fd_pread", "fd_seek", "fd_allocate", "fd_filestat_set_size",
        "fd_filestat_get", "fd_readdir", "fd_renumber", "fd_sync", "path_create_directory",
        "path_remove_directory", "path_unlink_file", "path_rename", "path_rename", "path_link",
        "path_symlink", "path_readlink", "path_filestat_get", "path_filestat_set_times",
        "fd_fdstat_get", "fd_datasync",
    };
    const char *name = calls[pick(&storm->random, sizeof calls / sizeof *calls)];
    union cn_slot slots[16];

    if (pick(&storm->random, 100) == 0)
        change_rates(storm);
    arrange(storm, name, slots);
    if (strcmp(name, "fd_close") == 0 && slots[0].u32 == 3)
        return;
    if (strcmp(name, "fd_renumber") == 0 && (slots[0].u32 == 3 || slots[1].u32 == 3))
        return;
    guest_call_slots(&storm->guest, name, slots);
    cr_assert_leq(storm->guest.account.used[CN_QUOTA_DISK], 300000);
    cr_assert_leq(storm->guest.account.used[CN_QUOTA_FDS], 12);
}

static void run_storm(bool has_disturbance)
{
    struct storm storm = {.random = 4711};
    char path[256], text[16] = "";
    pthread_t thread;
    struct stat before, after;
    guest_prepare(&storm.guest);
    snprintf(path, sizeof path, "%s/secret", storm.guest.outside);
    host_write(path, "secret");
    stat(storm.guest.outside, &before);
    cr_assert_eq(symlink(storm.guest.outside, host_path(&storm.guest, "out")), 0);
    storm.guest.account.limit[CN_QUOTA_DISK] = 300000;
    storm.guest.account.limit[CN_QUOTA_FDS] = 12;
    guest_start(&storm.guest, false);

    if (has_disturbance)
        cr_assert_eq(pthread_create(&thread, NULL, disturb, &storm), 0);
    for (int i = 0; i < 40000; i++)
        make_one_call(&storm);
    atomic_store(&storm.is_over, true);
    if (has_disturbance)
        pthread_join(thread, NULL);

    stat(storm.guest.outside, &after);
    cr_expect_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec, "something happened outside");
    int fd = open(path, O_RDONLY);
    cr_expect(fd >= 0 && read(fd, text, sizeof text) == 6 && strcmp(text, "secret") == 0);
    close(fd);
    guest_finish(&storm.guest);
}

Test(wasi_storm, leaves_nothing_behind, .timeout = 100)
{
    run_storm(false);
}

Test(wasi_storm, is_not_shaken_by_a_host_that_interferes, .timeout = 100)
{
    run_storm(true);
}
