/* Escapes by paths, over generated trees: a directory full of directories, files and links in all
 * directions, and outside of it the same names with other contents, while a host thread exchanges
 * entries at random. No call may show anything of the outside or change it.
 *
 * The class of CVE-2023-51661 and wazero's issue 2321 (dots and links), CVE-2024-38358 (creating
 * through a link), GHSA-vqjp-4c8c-hfgg (slashes at the end), GHSA-m9f7-9w4p-gv38 (renaming links
 * with slashes), CVE-2026-1386 and CVE-2024-28185 (a helper follows a guest's link). */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <linux/openat2.h>

#include "wasi_fixture.h"

#define TREES 60
#define CALLS 1500
#define OUTSIDE "OUTSIDE"
#define OLD 1000 /* seconds: when everything outside was last changed */

struct walk {
    struct guest guest;
    uint64_t random;
    atomic_bool is_over;
    uint64_t done; /* calls that succeeded: a test in which none does shows nothing */
};

static uint32_t pick(uint64_t *random, uint32_t count)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % count;
}

/* ------------------------------------------------------------------ trees */

/* One to three names of a to e. */
static void pick_name(uint64_t *random, char *name)
{
    uint32_t depth = 1 + pick(random, 3);

    for (uint32_t i = 0; i < depth; i++) {
        *name++ = (char)('a' + pick(random, 5));
        *name++ = '/';
    }
    name[-1] = '\0';
}

static void plant_outside(const char *folder, int depth)
{
    char path[300];

    for (char name = 'a'; name <= 'e'; name++) {
        snprintf(path, sizeof path, "%s/%c", folder, name);
        if (depth < 2 && name < 'd') {
            mkdir(path, 0777);
            plant_outside(path, depth + 1);
        } else if (name == 'e') {
            cr_assert_eq(symlink(OUTSIDE, path), 0);
        } else {
            host_write(path, OUTSIDE);
        }
    }
    /* One that the guest asks for, and one that it could only find. */
    snprintf(path, sizeof path, "%s/wanted", folder);
    host_write(path, OUTSIDE);
    snprintf(path, sizeof path, "%s/beacon", folder);
    host_write(path, OUTSIDE);
}

/* Where links lead: out by dots, by the root, through /proc, or about inside. */
static void pick_target(const struct guest *guest, uint64_t *random, char *target, size_t size)
{
    static const char *const formats[] = {
        "..", "../..", "../../..", ".", "a", "b/c", "../a", "../../b", "%s", "%s/a", "%s/d",
        "%s/new", "..%.0s/..%.0s/../../../tmp", "/proc/self/root%s", "/proc/self/cwd", "/", "a/",
        "../../../../../..%s", "../../../../../..%s/", "e",
    };

    snprintf(target, size, formats[pick(random, sizeof formats / sizeof *formats)],
             guest->outside, guest->outside);
}

static void plant_inside(struct guest *guest, uint64_t *random)
{
    char name[16], path[100], target[200];

    for (int i = 0; i < 60; i++) {
        pick_name(random, name);
        snprintf(path, sizeof path, "%s/%s", guest->root, name);
        char *slash = strrchr(path, '/');
        struct stat status;
        *slash = '\0';
        bool is_here = lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
        char real[300];
        is_here = is_here && realpath(path, real) != NULL && strcmp(real, path) == 0;
        *slash = '/';
        if (!is_here)
            continue;
        uint32_t kind = pick(random, 10);
        pick_target(guest, random, target, sizeof target);
        if (kind < 4)
            mkdir(path, 0777);
        else if (kind < 6 && lstat(path, &status) != 0)
            host_write(path, "inside");
        else if (kind >= 6)
            (void)!symlink(target, path);
    }
}

/* ------------------------------------------------------------------ the outside, as it was */

static uint64_t print_of_outside;

static int add_print(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    char target[20] = "";

    (void)type;
    (void)walk;
    if (S_ISLNK(status->st_mode))
        (void)!readlink(path, target, sizeof target - 1);
    const uint64_t parts[] = {status->st_ino, status->st_mode, (uint64_t)status->st_size,
                              status->st_nlink, (uint64_t)status->st_mtim.tv_sec};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        print_of_outside = (print_of_outside ^ parts[i]) * 1099511628211u;
    for (const char *c = path; *c != '\0'; c++)
        print_of_outside = (print_of_outside ^ (uint8_t)*c) * 1099511628211u;
    for (const char *c = target; *c != '\0'; c++)
        print_of_outside = (print_of_outside ^ (uint8_t)*c) * 1099511628211u;
    return 0;
}

static uint64_t print_outside(const struct guest *guest)
{
    print_of_outside = 14695981039346656037u;
    nftw(guest->outside, add_print, 16, FTW_PHYS);
    return print_of_outside;
}

static int make_old(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    const struct timespec times[2] = {{.tv_sec = OLD}, {.tv_sec = OLD}};

    (void)status;
    (void)type;
    (void)walk;
    return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

/* ------------------------------------------------------------------ the racing host */

/* The directory of a name, found without following a link: the host may not be fooled either. */
static int open_parent(int root, char *name, const char **last)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    char *slash = strrchr(name, '/');

    *last = slash != NULL ? slash + 1 : name;
    if (slash != NULL)
        *slash = '\0';
    return (int)syscall(SYS_openat2, root, slash != NULL ? name : ".", &how, sizeof how);
}

static void *exchange_at_random(void *context)
{
    struct walk *walk = context;
    uint64_t random = walk->random + 1;
    int root = open(walk->guest.root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    while (!atomic_load(&walk->is_over)) {
        char names[2][16];
        const char *last[2];
        int dirs[2];
        for (int i = 0; i < 2; i++) {
            pick_name(&random, names[i]);
            dirs[i] = open_parent(root, names[i], &last[i]);
        }
        if (dirs[0] >= 0 && dirs[1] >= 0)
            syscall(SYS_renameat2, dirs[0], last[0], dirs[1], last[1], 2 /* RENAME_EXCHANGE */);
        for (int i = 0; i < 2; i++)
            if (dirs[i] >= 0)
                close(dirs[i]);
    }
    close(root);
    return NULL;
}

/* ------------------------------------------------------------------ the guest */

/* Names with dots and slashes between and behind them. */
static void pick_path(uint64_t *random, char *path, size_t size)
{
    static const char *const parts[] = {"a", "b", "c", "d", "e", "..", ".", "new", "wanted"};
    static const char *const ends[] = {"", "", "", "", "/", "//", "/.", "/..", "/./", "/../a"};
    uint32_t depth = 1 + pick(random, 4);
    size_t at = 0;

    for (uint32_t i = 0; i < depth; i++)
        at += (size_t)snprintf(path + at, size - at, "%s%s", i ? "/" : "",
                               parts[pick(random, pick(random, 3) ? 5 : 9)]);
    snprintf(path + at, size - at, "%s", ends[pick(random, 10)]);
}

static void expect_not_outside(struct walk *walk, uint32_t size, const char *path)
{
    const char *at = (const char *)walk->guest.memory.base + AT_DATA;

    cr_assert(memmem(at, size, OUTSIDE, strlen(OUTSIDE)) == NULL, "%s showed the outside", path);
    cr_assert(memmem(at, size, "beacon", 6) == NULL, "%s listed the outside", path);
}

static void try_open(struct walk *walk, const char *path)
{
    struct guest *guest = &walk->guest;
    uint32_t oflags = pick(&walk->random, 16), lookup = pick(&walk->random, 2);
    uint64_t rights = oflags & CN_OFLAG_DIRECTORY ? CN_RIGHT_FD_READDIR : READ_WRITE;

    if (guest_open_full(guest, 3, lookup, path, oflags, rights, 0, 0) != CN_E_SUCCESS)
        return;
    uint32_t fd = out_u32(guest);
    walk->done++;
    memset(guest->memory.base + AT_DATA, 0, 600);
    if (oflags & CN_OFLAG_DIRECTORY)
        CALL(guest, "fd_readdir", I(fd), I(AT_DATA), I(600), I(0), I(AT_OUT));
    else if (guest_read(guest, fd, 20) == CN_E_SUCCESS)
        guest_pwrite(guest, fd, 3, 0);
    expect_not_outside(walk, 600, path);
    CALL(guest, "fd_close", I(fd));
}

static void try_looking(struct walk *walk, const char *path)
{
    struct guest *guest = &walk->guest;
    uint64_t length = put_text(guest, AT_PATH, path);
    uint32_t lookup = pick(&walk->random, 2);

    if (CALL(guest, "path_filestat_get", I(3), I(lookup), I(AT_PATH), I(length), I(AT_DATA)) == 0) {
        uint64_t changed = cn_load_u64(guest->memory.base + AT_DATA + 48);
        cr_assert_neq(changed, OLD * 1000000000ull, "%s: the outside was looked at", path);
        walk->done++;
    }
    memset(guest->memory.base + AT_DATA, 0, 100);
    if (CALL(guest, "path_readlink", I(3), I(AT_PATH), I(length), I(AT_DATA), I(100),
             I(AT_OUT)) == 0 && strcmp((char *)guest->memory.base + AT_DATA, OUTSIDE) == 0)
        cr_assert_fail("%s: a link outside was read", path);
    CALL(guest, "path_filestat_set_times", I(3), I(lookup), I(AT_PATH), I(length), I(7), I(7),
         I(5));
}

static void try_changing(struct walk *walk, const char *path, const char *other)
{
    struct guest *guest = &walk->guest;
    uint32_t result = 1;

    switch (pick(&walk->random, 6)) {
    case 0:
        result = guest_path(guest, "path_create_directory", path);
        break;
    case 1:
        result = guest_path(guest, "path_unlink_file", path);
        break;
    case 2:
        result = guest_path(guest, "path_remove_directory", path);
        break;
    case 3:
        result = guest_rename(guest, 3, path, 3, other);
        break;
    case 4:
        result = guest_link(guest, 3, path, 3, other);
        break;
    default:
        result = guest_symlink(guest, other, path);
        break;
    }
    walk->done += result == 0;
}

static void walk_tree(uint64_t seed)
{
    struct walk walk = {.random = seed * 7919, .is_over = false};
    char path[64], other[64];
    pthread_t thread;

    guest_prepare(&walk.guest);
    plant_outside(walk.guest.outside, 0);
    plant_inside(&walk.guest, &walk.random);
    nftw(walk.guest.outside, make_old, 16, FTW_PHYS);
    uint64_t before = print_outside(&walk.guest);
    guest_start(&walk.guest, false);
    cr_assert_eq(pthread_create(&thread, NULL, exchange_at_random, &walk), 0);
    for (int i = 0; i < CALLS; i++) {
        pick_path(&walk.random, path, sizeof path);
        pick_path(&walk.random, other, sizeof other);
        try_open(&walk, path);
        try_looking(&walk, path);
        if (i % 3 == 0)
            try_changing(&walk, path, other);
    }
    atomic_store(&walk.is_over, true);
    pthread_join(thread, NULL);
    cr_assert_eq(print_outside(&walk.guest), before, "tree %llu: the outside was changed",
                 (unsigned long long)seed);
    cr_assert_gt(walk.done, 0);
    guest_finish(&walk.guest);
}

Test(escape, shows_and_changes_nothing_outside_of_generated_trees, .timeout = 200)
{
    for (uint64_t seed = 1; seed <= TREES; seed++)
        walk_tree(seed);
}

/* The control: what the guest's calls could do without the resolver's rules, they would do. */
Test(escape, is_seen_by_the_test_itself)
{
    struct walk walk = {.random = 1};
    char path[200];

    guest_prepare(&walk.guest);
    plant_outside(walk.guest.outside, 0);
    nftw(walk.guest.outside, make_old, 16, FTW_PHYS);
    uint64_t before = print_outside(&walk.guest);
    cr_expect_eq(print_outside(&walk.guest), before);
    snprintf(path, sizeof path, "%s/a/d", walk.guest.outside);
    host_write(path, "changed");
    cr_expect_neq(print_outside(&walk.guest), before, "a change of contents is seen");
    before = print_outside(&walk.guest);
    snprintf(path, sizeof path, "%s/a/b/new", walk.guest.outside);
    host_write(path, "");
    cr_expect_neq(print_outside(&walk.guest), before, "a new file is seen");
    guest_start(&walk.guest, false);
    guest_finish(&walk.guest);
}
