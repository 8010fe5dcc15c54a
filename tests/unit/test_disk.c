#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "shim/state.h"
#include "wasi_fixture.h"

/* What a tree takes up by the rules of spec/wasi.md. */
struct usage {
    uint64_t bytes;
    uint64_t inodes;
};

static struct usage walked;
static struct {
    dev_t dev;
    ino_t ino;
} seen[4096];
static uint32_t seen_count;

static bool is_new(const struct stat *stat)
{
    for (uint32_t i = 0; i < seen_count; i++) {
        if (seen[i].ino == stat->st_ino && seen[i].dev == stat->st_dev)
            return false;
    }
    seen[seen_count].dev = stat->st_dev;
    seen[seen_count++].ino = stat->st_ino;
    return true;
}

/* What was there before: inodes with their sizes. */
static struct {
    ino_t ino;
    uint64_t size;
} old_files[8];
static uint32_t old_count;

static uint64_t blocks_of(uint64_t size)
{
    return (size + 4095) / 4096;
}

/* Bytes that are charged for a file of that size. */
static uint64_t due(ino_t ino, uint64_t size)
{
    for (uint32_t i = 0; i < old_count; i++) {
        if (old_files[i].ino == ino) {
            uint64_t base = blocks_of(old_files[i].size);
            return blocks_of(size) > base ? (blocks_of(size) - base) * 4096 : 0;
        }
    }
    return blocks_of(size) * 4096;
}

static bool is_old(ino_t ino)
{
    for (uint32_t i = 0; i < old_count; i++) {
        if (old_files[i].ino == ino)
            return true;
    }
    return false;
}

static int add_entry(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)path;
    (void)type;
    if (walk->level == 0 || !is_new(stat))
        return 0;
    walked.inodes += !is_old(stat->st_ino);
    if (!S_ISDIR(stat->st_mode))
        walked.bytes += due(stat->st_ino, (uint64_t)stat->st_size);
    return 0;
}

/* Counted anew, each inode once; open files without a name are the caller's to add. */
static struct usage recount(const struct guest *guest)
{
    walked = (struct usage){0};
    seen_count = 0;
    nftw(guest->root, add_entry, 32, FTW_PHYS);
    return walked;
}

static void expect_recount(const struct guest *guest)
{
    struct usage usage = recount(guest);

    cr_assert_eq(guest->account.used[CN_QUOTA_DISK], usage.bytes, "%llu, not %llu bytes",
                 (unsigned long long)guest->account.used[CN_QUOTA_DISK],
                 (unsigned long long)usage.bytes);
    cr_assert_eq(guest->account.used[CN_QUOTA_INODES], usage.inodes);
}

static uint64_t disk_used(const struct guest *guest)
{
    return guest->account.used[CN_QUOTA_DISK];
}

static uint32_t open_new(struct guest *guest, const char *path)
{
    MUST(guest_open(guest, path, CN_OFLAG_CREAT));
    return out_u32(guest);
}

static uint32_t set_size(struct guest *guest, uint32_t fd, uint64_t size)
{
    return CALL(guest, "fd_filestat_set_size", I(fd), I(size));
}

static uint32_t close_fd(struct guest *guest, uint32_t fd)
{
    return CALL(guest, "fd_close", I(fd));
}

Test(disk, rounds_a_byte_up_to_a_block)
{
    struct guest guest;
    guest_setup(&guest);
    uint32_t fd = open_new(&guest, "a");

    cr_expect_eq(disk_used(&guest), 0);
    MUST(guest_write(&guest, fd, 1));
    cr_expect_eq(disk_used(&guest), 4096);
    MUST(guest_write(&guest, fd, 4095));
    cr_expect_eq(disk_used(&guest), 4096);
    MUST(guest_write(&guest, fd, 1));
    cr_expect_eq(disk_used(&guest), 8192);
    expect_recount(&guest);
    guest_finish(&guest);
}

Test(disk, writes_what_fits_and_then_says_dquot)
{
    struct guest guest;
    guest_setup(&guest);
    guest.account.limit[CN_QUOTA_DISK] = 10000; /* two whole blocks */
    uint32_t fd = open_new(&guest, "a");

    MUST(guest_write(&guest, fd, 20000));
    cr_expect_eq(out_u32(&guest), 8192);
    EXPECT_ERRNO(guest_write(&guest, fd, 1), DQUOT);
    EXPECT_ERRNO(guest_pwrite(&guest, fd, 1, 8192), DQUOT);
    EXPECT_ERRNO(guest_pwrite(&guest, fd, 1, 1u << 30), DQUOT);
    MUST(guest_pwrite(&guest, fd, 10, 8190));
    cr_expect_eq(out_u32(&guest), 2);
    EXPECT_ERRNO(set_size(&guest, fd, 8193), DQUOT);
    EXPECT_ERRNO(set_size(&guest, fd, INT64_MAX), DQUOT);
    EXPECT_ERRNO(set_size(&guest, fd, 1ull << 63), FBIG);
    EXPECT_ERRNO(CALL(&guest, "fd_allocate", I(fd), I(8000), I(1000)), DQUOT);
    EXPECT_ERRNO(CALL(&guest, "fd_allocate", I(fd), I(1ull << 62), I(1ull << 62)), FBIG);
    MUST(set_size(&guest, fd, 8192));
    expect_recount(&guest);
    guest_finish(&guest);
}

Test(disk, counts_holes_and_gives_back_what_is_cut_off)
{
    struct guest guest;
    guest_setup(&guest);
    uint32_t fd = open_new(&guest, "a");

    MUST(guest_pwrite(&guest, fd, 1, 1 << 20));
    cr_expect_eq(disk_used(&guest), (1 << 20) + 4096);
    MUST(set_size(&guest, fd, 4097));
    cr_expect_eq(disk_used(&guest), 8192);
    MUST(CALL(&guest, "fd_allocate", I(fd), I(0), I(20480)));
    cr_expect_eq(disk_used(&guest), 20480);
    MUST(guest_open(&guest, "a", CN_OFLAG_TRUNC));
    cr_expect_eq(disk_used(&guest), 0);
    expect_recount(&guest);
    guest_finish(&guest);
}

Test(disk, charges_until_the_last_close_and_the_last_link)
{
    struct guest guest;
    guest_setup(&guest);
    uint32_t fd = open_new(&guest, "a");

    MUST(guest_write(&guest, fd, 5000));
    MUST(guest_link(&guest, 3, "a", 3, "b"));
    cr_expect_eq(disk_used(&guest), 8192);
    MUST(guest_path(&guest, "path_unlink_file", "a"));
    cr_expect_eq(disk_used(&guest), 8192);
    MUST(guest_path(&guest, "path_unlink_file", "b"));
    cr_expect_eq(disk_used(&guest), 8192, "still open");
    MUST(guest_write(&guest, fd, 5000));
    cr_expect_eq(disk_used(&guest), 12288, "and still growing");
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 1);
    MUST(close_fd(&guest, fd));
    cr_expect_eq(disk_used(&guest), 0);
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 0);
    guest_finish(&guest);
}

Test(disk, refunds_the_victim_of_a_rename)
{
    struct guest guest;
    guest_setup(&guest);
    uint32_t a = open_new(&guest, "a"), b = open_new(&guest, "b");

    MUST(guest_write(&guest, a, 4096));
    MUST(guest_write(&guest, b, 9000));
    MUST(close_fd(&guest, b));
    MUST(guest_rename(&guest, 3, "a", 3, "b"));
    cr_expect_eq(disk_used(&guest), 4096);
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 1);
    MUST(guest_link(&guest, 3, "b", 3, "c"));
    MUST(guest_rename(&guest, 3, "b", 3, "c")); /* the same file: nothing happens */
    cr_expect_eq(disk_used(&guest), 4096);
    MUST(guest_path(&guest, "path_create_directory", "d"));
    MUST(guest_path(&guest, "path_create_directory", "e"));
    MUST(guest_rename(&guest, 3, "d", 3, "e"));
    expect_recount(&guest);
    guest_finish(&guest);
}

Test(disk, gives_no_credit_for_what_was_there_before)
{
    struct guest guest;
    guest_prepare(&guest);
    host_write(host_path(&guest, "old"), "");
    cr_assert_eq(truncate(host_path(&guest, "old"), 3 * 4096), 0);
    host_write(host_path(&guest, "older"), "text");
    guest_start(&guest, false);

    MUST(guest_open(&guest, "old", 0));
    uint32_t fd = out_u32(&guest);
    MUST(guest_pwrite(&guest, fd, 4096, 0));
    cr_expect_eq(disk_used(&guest), 0, "inside what was there");
    MUST(guest_pwrite(&guest, fd, 1, 3 * 4096));
    cr_expect_eq(disk_used(&guest), 4096);
    MUST(set_size(&guest, fd, 0));
    cr_expect_eq(disk_used(&guest), 0);
    MUST(close_fd(&guest, fd));
    MUST(guest_open(&guest, "old", 0));
    fd = out_u32(&guest);
    MUST(guest_pwrite(&guest, fd, 1, 3 * 4096 - 1));
    cr_expect_eq(disk_used(&guest), 0, "back to the old size");
    MUST(guest_pwrite(&guest, fd, 4096, 3 * 4096));
    cr_expect_eq(disk_used(&guest), 4096);
    MUST(guest_path(&guest, "path_unlink_file", "old"));
    MUST(guest_path(&guest, "path_unlink_file", "older"));
    cr_expect_eq(disk_used(&guest), 4096);
    MUST(close_fd(&guest, fd));
    cr_expect_eq(disk_used(&guest), 0);
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 0);
    guest_finish(&guest);
}

Test(disk, leaves_aside_what_others_do)
{
    struct guest guest;
    guest_setup(&guest);
    uint32_t fd = open_new(&guest, "a");

    MUST(guest_write(&guest, fd, 4096));
    cr_assert_eq(truncate(host_path(&guest, "a"), 10 * 4096), 0);
    MUST(CALL(&guest, "fd_fdstat_set_flags", I(fd), I(CN_FDFLAG_APPEND)));
    MUST(guest_write(&guest, fd, 4096));
    cr_expect_eq(disk_used(&guest), 8192);
    MUST(close_fd(&guest, fd));
    cr_assert_eq(unlink(host_path(&guest, "a")), 0);
    fd = open_new(&guest, "b"); /* probably the same inode number */
    MUST(guest_write(&guest, fd, 1));
    cr_expect(disk_used(&guest) == 4096 || disk_used(&guest) == 8192 + 4096);
    guest_finish(&guest);
}

Test(disk, counts_links_directories_and_the_inode_quota)
{
    struct guest guest;
    guest_setup(&guest);
    guest.account.limit[CN_QUOTA_INODES] = 3;

    MUST(guest_path(&guest, "path_create_directory", "d"));
    MUST(guest_symlink(&guest, "d", "s"));
    cr_expect_eq(disk_used(&guest), 4096);
    open_new(&guest, "f");
    EXPECT_ERRNO(guest_open(&guest, "g", CN_OFLAG_CREAT), DQUOT);
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", "h"), DQUOT);
    EXPECT_ERRNO(guest_symlink(&guest, "d", "t"), DQUOT);
    MUST(guest_open(&guest, "f", CN_OFLAG_CREAT));
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", "d"), DQUOT);
    MUST(guest_path(&guest, "path_remove_directory", "d"));
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", "f"), EXIST);
    MUST(guest_path(&guest, "path_unlink_file", "s"));
    expect_recount(&guest);
    guest_finish(&guest);
}

Test(disk, bounds_second_names_by_the_inode_quota)
{
    struct guest guest;
    char name[8];
    guest_setup(&guest);
    guest.account.limit[CN_QUOTA_INODES] = 5;
    open_new(&guest, "a");

    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "l%d", i);
        MUST(guest_link(&guest, 3, "a", 3, name));
    }
    EXPECT_ERRNO(guest_link(&guest, 3, "a", 3, "more"), DQUOT);
    EXPECT_ERRNO(guest_link(&guest, 3, "a", 3, "l0"), DQUOT);
    MUST(guest_path(&guest, "path_unlink_file", "l0"));
    EXPECT_ERRNO(guest_link(&guest, 3, "a", 3, "l1"), EXIST);
    MUST(guest_link(&guest, 3, "a", 3, "more"));
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 1);
    guest_finish(&guest);
}

Test(disk, keeps_a_removed_directory_until_it_is_closed)
{
    struct guest guest;
    guest_setup(&guest);

    MUST(guest_path(&guest, "path_create_directory", "d"));
    MUST(guest_open_full(&guest, 3, 0, "d", CN_OFLAG_DIRECTORY, 0, 0, 0));
    uint32_t fd = out_u32(&guest);
    MUST(guest_path(&guest, "path_remove_directory", "d"));
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 1);
    MUST(close_fd(&guest, fd));
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 0);
    guest_finish(&guest);
}

Test(disk, refuses_politely_when_memory_is_short)
{
    struct guest guest;
    guest_setup(&guest);
    guest.account.limit[CN_QUOTA_MEMORY] = guest.account.used[CN_QUOTA_MEMORY];

    EXPECT_ERRNO(guest_open(&guest, "a", CN_OFLAG_CREAT), NOMEM);
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", "d"), NOMEM);
    cr_expect_eq(access(host_path(&guest, "a"), F_OK), -1);
    cr_expect_eq(access(host_path(&guest, "d"), F_OK), -1);
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 0);
    guest_finish(&guest);
}

/* A model that is simply the tree: random operations, and after each the books are compared
 * with what is found by walking. */
struct play {
    struct guest guest;
    uint32_t fds[8];
    uint64_t random;
};

static uint32_t pick(struct play *play, uint32_t count)
{
    play->random = play->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(play->random >> 33) % count;
}

static const char *pick_name(struct play *play)
{
    static const char *const names[] = {"a", "b", "c", "d", "d/x", "d/y", "e", "e/z"};

    return names[pick(play, sizeof names / sizeof *names)];
}

static void play_fd(struct play *play)
{
    struct guest *guest = &play->guest;
    uint32_t *fd = &play->fds[pick(play, 8)];
    uint32_t oflags = CN_OFLAG_CREAT | (pick(play, 4) == 0 ? CN_OFLAG_TRUNC : 0);

    if (*fd == 0) {
        if (guest_open_full(guest, 3, 1, pick_name(play), oflags, READ_WRITE, 0,
                            pick(play, 3) == 0 ? CN_FDFLAG_APPEND : 0) == CN_E_SUCCESS)
            *fd = out_u32(guest);
        return;
    }
    switch (pick(play, 6)) {
    case 0:
        close_fd(guest, *fd);
        *fd = 0;
        break;
    case 1:
        set_size(guest, *fd, pick(play, 50000));
        break;
    case 2:
        guest_pwrite(guest, *fd, pick(play, 9000), pick(play, 40000));
        break;
    case 3:
        CALL(guest, "fd_allocate", I(*fd), I(pick(play, 40000)), I(1 + pick(play, 9000)));
        break;
    default:
        guest_write(guest, *fd, pick(play, 9000));
    }
}

static void play_path(struct play *play)
{
    struct guest *guest = &play->guest;
    const char *name = pick_name(play), *other = pick_name(play);

    switch (pick(play, 7)) {
    case 0:
        guest_path(guest, "path_create_directory", name);
        break;
    case 1:
        guest_path(guest, "path_remove_directory", name);
        break;
    case 2:
    case 3:
        guest_path(guest, "path_unlink_file", name);
        break;
    case 4:
        guest_rename(guest, 3, name, 3, other);
        break;
    case 5:
        guest_link(guest, 3, name, 3, other);
        break;
    default:
        guest_symlink(guest, other, name);
    }
}

/* The host's view of a guest's descriptor. */
static struct stat stat_of(struct play *play, uint32_t fd)
{
    struct stat found;

    cr_assert_eq(fstat(cn_fd_get(&play->guest.wasi->fds, fd)->host, &found), 0);
    return found;
}

/* The tree, and the open files that have lost their names. */
static struct usage count_all(struct play *play)
{
    struct usage usage = recount(&play->guest);

    for (int i = 0; i < 8; i++) {
        if (play->fds[i] == 0)
            continue;
        struct stat found = stat_of(play, play->fds[i]);
        if (found.st_nlink > 0 || !is_new(&found))
            continue;
        usage.bytes += due(found.st_ino, (uint64_t)found.st_size);
        usage.inodes += !is_old(found.st_ino);
    }
    return usage;
}

/* Files that are there before; kept open, so that their numbers are not used again. */
static void plant_old_files(struct guest *guest, int held[4])
{
    static const char *const names[] = {"a", "b", "d/x"};
    static const off_t sizes[] = {10000, 4096, 0};

    mkdir(host_path(guest, "d"), 0777);
    for (int i = 0; i < 3; i++) {
        struct stat found;
        held[i] = open(host_path(guest, names[i]), O_CREAT | O_RDWR, 0666);
        cr_assert_eq(ftruncate(held[i], sizes[i]), 0);
        fstat(held[i], &found);
        old_files[i].ino = found.st_ino;
        old_files[i].size = (uint64_t)sizes[i];
    }
    struct stat dir;
    held[3] = open(host_path(guest, "d"), O_RDONLY);
    fstat(held[3], &dir);
    old_files[3].ino = dir.st_ino;
    old_count = 4;
}

/* The VM ends, whatever is open, and another one goes on with its books. */
static void live_again(struct play *play)
{
    struct guest *guest = &play->guest;

    memset(play->fds, 0, sizeof play->fds);
    cn_wasi_free(guest->wasi);
    cr_expect_eq(guest->account.used[CN_QUOTA_MEMORY], 0);
    guest->account.used[CN_QUOTA_DISK] = 0;
    guest->account.used[CN_QUOTA_INODES] = 0;
    guest_start(guest, false);
}

static void use_ledger(struct guest *guest)
{
    struct cn_error error;

    int fd = memfd_create("ledger", MFD_CLOEXEC);

    guest->ledger = cn_ledger_map(fd, &error);
    cr_assert_not_null(guest->ledger);
    close(fd);
}

static void play_game(uint64_t seed)
{
    struct play play = {.random = seed};
    int held[4] = {-1, -1, -1, -1};
    old_count = 0;
    guest_prepare(&play.guest);
    if (seed % 2 == 0)
        plant_old_files(&play.guest, held);
    use_ledger(&play.guest);
    guest_start(&play.guest, false);
    play.guest.account.limit[CN_QUOTA_DISK] = 150000;
    play.guest.account.limit[CN_QUOTA_INODES] = 10;

    for (int step = 0; step < 1500; step++) {
        if (step % 200 == 199)
            live_again(&play);
        if (pick(&play, 3) == 0)
            play_path(&play);
        else
            play_fd(&play);
        struct usage usage = count_all(&play);
        cr_assert_eq(play.guest.account.used[CN_QUOTA_DISK], usage.bytes,
                     "seed %llu, step %d: %llu, not %llu bytes", (unsigned long long)seed, step,
                     (unsigned long long)play.guest.account.used[CN_QUOTA_DISK],
                     (unsigned long long)usage.bytes);
        cr_assert_eq(play.guest.account.used[CN_QUOTA_INODES], usage.inodes, "step %d", step);
        cr_assert_leq(usage.bytes, 150000);
    }
    for (int i = 0; i < 4; i++) {
        if (held[i] >= 0)
            close(held[i]);
    }
    old_count = 0;
    cn_ledger_unmap(play.guest.ledger);
    guest_finish(&play.guest);
}

Test(disk, books_agree_with_the_tree_after_every_random_step, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 12; seed++)
        play_game(seed);
}

/* Plays until it is killed. */
static void play_on(struct play *play)
{
    guest_start(&play->guest, false);
    for (;;) {
        if (pick(play, 3) == 0)
            play_path(play);
        else
            play_fd(play);
    }
}

/* A process dies in the middle of anything, again and again; who goes on with its ledger finds
 * what it had added, no more and no less. */
static void play_deadly_game(uint64_t seed)
{
    struct play play = {.random = seed};
    int held[4] = {-1, -1, -1, -1};
    old_count = 0;
    guest_prepare(&play.guest);
    if (seed % 2 == 0)
        plant_old_files(&play.guest, held);
    use_ledger(&play.guest);

    for (int round = 0; round < 60; round++) {
        play.guest.account.limit[CN_QUOTA_DISK] = 150000;
        play.guest.account.limit[CN_QUOTA_INODES] = 10;
        pid_t child = fork();
        if (child == 0)
            play_on(&play);
        usleep(pick(&play, 4000) + 500);
        kill(child, SIGKILL);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        for (int i = 0; i <= round; i++)
            pick(&play, 3); /* so that the next child plays another game */
        guest_start(&play.guest, false);
        struct usage usage = recount(&play.guest);
        cr_expect_eq(play.guest.account.used[CN_QUOTA_DISK], usage.bytes,
                     "seed %llu, round %d: %llu, not %llu bytes", (unsigned long long)seed, round,
                     (unsigned long long)play.guest.account.used[CN_QUOTA_DISK],
                     (unsigned long long)usage.bytes);
        cr_expect_eq(play.guest.account.used[CN_QUOTA_INODES], usage.inodes, "round %d", round);
        cn_wasi_free(play.guest.wasi);
        play.guest.account.used[CN_QUOTA_DISK] = play.guest.account.used[CN_QUOTA_INODES] = 0;
    }
    for (int i = 0; i < 4; i++) {
        if (held[i] >= 0)
            close(held[i]);
    }
    old_count = 0;
    guest_start(&play.guest, false);
    cn_ledger_unmap(play.guest.ledger);
    guest_finish(&play.guest);
}

Test(disk, books_survive_a_process_that_is_killed, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        play_deadly_game(seed);
}

/* What was there already when a VM tried to create it is not the VM's, whenever it died. */
Test(disk, what_was_there_is_not_adopted, .timeout = 20)
{
    struct guest guest;
    struct cn_inode *inode;
    guest_prepare(&guest);
    use_ledger(&guest);
    cr_assert_eq(mkdir(host_path(&guest, "old"), 0700), 0);

    pid_t child = fork();
    if (child == 0) {
        int dir = open(guest.root, O_PATH | O_DIRECTORY);
        guest_start(&guest, false);
        (void)cn_disk_prepare(&guest.wasi->disk, dir, "old", &inode);
        (void)cn_disk_prepare(&guest.wasi->disk, dir, "new", &inode);
        mkdirat(dir, "new", 0700);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    guest_start(&guest, false);
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 1, "the new one alone");
    cn_ledger_unmap(guest.ledger);
    guest_finish(&guest);
}

Test(disk, what_is_no_ledger_is_refused, .timeout = 20)
{
    struct cn_ledger ledger;
    struct cn_error error;
    int fd = memfd_create("other", MFD_CLOEXEC);

    cr_assert_eq(write(fd, "text", 4), 4);
    cr_expect_null(cn_ledger_map(fd, &error), "too short");
    cr_assert_eq(ftruncate(fd, 0), 0);
    void *map = cn_ledger_map(fd, &error);
    cr_assert_not_null(map);
    cr_assert_eq(pwrite(fd, "text", 4, 0), 4);
    cr_expect_eq(cn_ledger_open(&ledger, map, &error), CN_MISUSE, "of something else");
    cn_ledger_unmap(map);
    close(fd);
}
