/* A random walk over operations on files, held against the rule of the disk quota.
 *
 *     disk_walk SEED STEPS
 *
 * Before every operation it is computed, from what the files are like, whether the quotas have room
 * for it and what it must cost; afterwards the counters have to say exactly that. Files named old0
 * to old2 were there before. In the end everything is closed, for the host to recount. */
#include <cordon/quota.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u
#define OLD_MAX 3
#define OPEN_MAX_OURS 6

struct opened {
    int fd;
    ino_t ino;
};

static struct opened fds[OPEN_MAX_OURS];
static struct {
    ino_t ino;
    uint64_t blocks;
} old[OLD_MAX];
static int old_count;
static uint64_t state, second_names;
static const char *doing = "";
static unsigned long step;

static uint64_t pick(uint64_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

static uint64_t quota(enum cordon_quota_id id, bool limit)
{
    struct cordon_quota found;

    if (cordon_quota_get(id, &found) != 0)
        abort();
    return limit ? found.limit : found.used;
}

static uint64_t left(enum cordon_quota_id id)
{
    return quota(id, true) - quota(id, false);
}

static uint64_t blocks(uint64_t size)
{
    return (size + BLOCK - 1) / BLOCK;
}

static bool is_old(ino_t ino)
{
    for (int i = 0; i < old_count; i++)
        if (old[i].ino == ino)
            return true;
    return false;
}

/* What is paid for an inode of that size. */
static int64_t due(ino_t ino, uint64_t size)
{
    uint64_t base = 0;

    for (int i = 0; i < old_count; i++)
        if (old[i].ino == ino)
            base = old[i].blocks;
    return blocks(size) > base ? (int64_t)(blocks(size) - base) : 0;
}

/* ------------------------------------------------------------------ what has to come */

static int64_t disk_before, inodes_before;

static void begin(const char *what)
{
    doing = what;
    disk_before = (int64_t)quota(CORDON_QUOTA_DISK, false);
    inodes_before = (int64_t)quota(CORDON_QUOTA_INODES, false);
    errno = 0;
}

static void fail(const char *what, long long expected, long long found)
{
    printf("step %lu, %s: %s: expected %lld, found %lld (errno %d)\n", step, doing, what, expected,
           found, errno);
    exit(1);
}

static void expect(const char *what, int64_t expected, int64_t found)
{
    if (expected != found)
        fail(what, expected, found);
}

static void costs(int64_t disk_blocks, int64_t inodes)
{
    expect("disk", disk_before + disk_blocks * (int64_t)BLOCK,
           (int64_t)quota(CORDON_QUOTA_DISK, false));
    expect("inodes", inodes_before + inodes, (int64_t)quota(CORDON_QUOTA_INODES, false));
}

static void is_refused(int64_t result)
{
    expect("result", -1, result);
    expect("errno", EDQUOT, errno);
    costs(0, 0);
}

/* ------------------------------------------------------------------ names and descriptors */

static const char *some_name(void)
{
    static char names[4][32];
    static int next;
    static const char *const known[] = {"a", "b", "c", "d", "e", "old0", "old1", "old2"};
    char *name = names[next++ % 4];
    uint64_t folder = pick(6);

    if (folder < 3)
        snprintf(name, sizeof names[0], "dir%u/%s", (unsigned)folder, known[pick(5)]);
    else
        snprintf(name, sizeof names[0], "%s", known[pick(8)]);
    return name;
}

static const char *some_folder(void)
{
    static const char *const known[] = {"dir0", "dir1", "dir2", "a", "dir0/b"};

    return known[pick(5)];
}

static int open_count(ino_t ino)
{
    int count = 0;

    for (int i = 0; i < OPEN_MAX_OURS; i++)
        count += fds[i].fd >= 0 && fds[i].ino == ino;
    return count;
}

/* What it gives back when this loses one of its names. */
static void loses_name(const struct stat *lost, int64_t *disk, int64_t *inodes)
{
    if (!S_ISDIR(lost->st_mode) && lost->st_nlink > 1) {
        second_names -= second_names > 0;
        return;
    }
    if (open_count(lost->st_ino) > 0)
        return;
    *inodes -= !is_old(lost->st_ino);
    if (!S_ISDIR(lost->st_mode))
        *disk -= due(lost->st_ino, (uint64_t)lost->st_size);
}

static void close_one(struct opened *one)
{
    struct stat status;

    begin("close");
    if (one->fd < 0 || fstat(one->fd, &status) != 0)
        return;
    bool is_last = status.st_nlink == 0 && open_count(one->ino) == 1;
    expect("result", 0, close(one->fd));
    one->fd = -1;
    costs(is_last ? -due(one->ino, (uint64_t)status.st_size) : 0,
          is_last ? -(int64_t)!is_old(one->ino) : 0);
}

/* A file that is open, or NULL. */
static struct opened *some_open(struct stat *status)
{
    struct opened *one = &fds[pick(OPEN_MAX_OURS)];

    return one->fd >= 0 && fstat(one->fd, status) == 0 ? one : NULL;
}

/* ------------------------------------------------------------------ operations */

static void do_open(void)
{
    struct opened *one = &fds[pick(OPEN_MAX_OURS)];
    const char *name = some_name();
    struct stat before, status;
    int flags = O_RDWR | O_NOFOLLOW | (pick(4) ? O_CREAT : 0) | (pick(3) ? 0 : O_TRUNC) |
                (pick(3) ? 0 : O_APPEND);

    close_one(one);
    begin("open");
    bool was_there = lstat(name, &before) == 0, is_reachable = was_there || errno == ENOENT;
    bool has_room = left(CORDON_QUOTA_INODES) > 0;
    int fd = open(name, flags, 0600);
    if (fd < 0) {
        if (is_reachable && !was_there && (flags & O_CREAT) && !has_room && errno != ENOENT)
            expect("errno", EDQUOT, errno);
        else if (errno == EDQUOT)
            fail("refused though there is room", 0, EDQUOT);
        costs(0, 0);
        return;
    }
    fstat(fd, &status);
    if (!was_there)
        costs(0, 1);
    else
        costs(flags & O_TRUNC ? -due(before.st_ino, (uint64_t)before.st_size) : 0, 0);
    if (!was_there && !has_room)
        fail("made without room", EDQUOT, 0);
    *one = (struct opened){fd, status.st_ino};
}

/* Where a write of `size` bytes at `at` has to end by the quota; `at` when it is refused. */
static uint64_t write_end(const struct stat *file, uint64_t at, uint64_t size)
{
    uint64_t now = (uint64_t)file->st_size, end = at + size;
    uint64_t room = left(CORDON_QUOTA_DISK) / BLOCK;

    if (end <= now || due(file->st_ino, end) - due(file->st_ino, now) <= (int64_t)room)
        return end;
    uint64_t own = (uint64_t)due(file->st_ino, now), base = 0;
    for (int i = 0; i < old_count; i++)
        if (old[i].ino == file->st_ino)
            base = old[i].blocks;
    uint64_t reach = (base + own + room) * BLOCK;
    if (reach < now)
        reach = now;
    return reach > at ? reach : at;
}

static void wrote(const struct stat *file, uint64_t at, uint64_t size, ssize_t result,
                  uint64_t end)
{
    uint64_t now = (uint64_t)file->st_size;

    if (size > 0 && end == at) {
        is_refused(result);
        return;
    }
    expect("bytes", (int64_t)(end - at), result);
    costs(size > 0 && end > now ? due(file->st_ino, end) - due(file->st_ino, now) : 0, 0);
}

static void do_write(void)
{
    static char bytes[30000];
    struct stat file;
    struct opened *one = some_open(&file);
    uint64_t size = pick(4) ? pick(sizeof bytes) + 1 : pick(3) * BLOCK;

    if (one == NULL)
        return;
    bool appends = fcntl(one->fd, F_GETFL) & O_APPEND;
    if (!appends && pick(2))
        lseek(one->fd, (off_t)pick(60000), SEEK_SET);
    uint64_t at = appends ? (uint64_t)file.st_size : (uint64_t)lseek(one->fd, 0, SEEK_CUR);
    begin(appends ? "append" : "write");
    uint64_t end = write_end(&file, at, size);
    wrote(&file, at, size, write(one->fd, bytes, size), end);
}

static void do_pwrite(void)
{
    static char bytes[30000];
    struct stat file;
    struct opened *one = some_open(&file);
    uint64_t size = pick(sizeof bytes) + 1, at = pick(3) ? pick(100000) : pick(25) * BLOCK;

    if (one == NULL)
        return;
    begin("pwrite");
    uint64_t end = write_end(&file, at, size);
    wrote(&file, at, size, pwrite(one->fd, bytes, size, (off_t)at), end);
}

/* The size becomes another one, all or nothing. */
static void do_resize(void)
{
    struct stat file;
    struct opened *one = some_open(&file);
    uint64_t size = pick(3) ? pick(100000) : pick(25) * BLOCK;

    if (one == NULL)
        return;
    begin("truncate");
    int64_t cost = due(one->ino, size) - due(one->ino, (uint64_t)file.st_size);
    bool fits = cost <= (int64_t)(left(CORDON_QUOTA_DISK) / BLOCK);
    int result = ftruncate(one->fd, (off_t)size);
    if (!fits) {
        is_refused(result);
        return;
    }
    expect("result", 0, result);
    costs(cost, 0);
}

static void do_allocate(void)
{
    struct stat file;
    struct opened *one = some_open(&file);
    uint64_t at = pick(60000), size = pick(40000) + 1;

    if (one == NULL)
        return;
    begin("allocate");
    uint64_t end = at + size > (uint64_t)file.st_size ? at + size : (uint64_t)file.st_size;
    int64_t cost = due(one->ino, end) - due(one->ino, (uint64_t)file.st_size);
    bool fits = cost <= (int64_t)(left(CORDON_QUOTA_DISK) / BLOCK);
    int result = posix_fallocate(one->fd, (off_t)at, (off_t)size);
    if (result == ENOTSUP || result == EOPNOTSUPP) {
        costs(0, 0);
        return;
    }
    expect("result", fits ? 0 : EDQUOT, result);
    costs(fits ? cost : 0, 0);
}

static void do_rename(void)
{
    const char *from = pick(4) ? some_name() : some_folder();
    const char *to = pick(4) ? some_name() : some_folder();
    struct stat source, victim;
    int64_t disk = 0, inodes = 0;

    begin("rename");
    bool has_source = lstat(from, &source) == 0, has_victim = lstat(to, &victim) == 0;
    if (rename(from, to) != 0) {
        costs(0, 0);
        return;
    }
    if (has_source && has_victim && source.st_ino != victim.st_ino)
        loses_name(&victim, &disk, &inodes);
    costs(disk, inodes);
}

static void do_link(void)
{
    const char *from = some_name(), *to = some_name();
    struct stat status;

    begin("link");
    bool is_free = lstat(to, &status) != 0;
    bool has_room = second_names < quota(CORDON_QUOTA_INODES, true);
    if (link(from, to) == 0) {
        if (!is_free || !has_room)
            fail("linked", -1, 0);
        second_names++;
    } else if (errno == EDQUOT && has_room) {
        fail("refused though there is room", 0, EDQUOT);
    }
    costs(0, 0);
}

static void do_unlink(void)
{
    const char *name = some_name();
    struct stat status;
    int64_t disk = 0, inodes = 0;

    begin("unlink");
    bool was_there = lstat(name, &status) == 0;
    if (unlink(name) == 0 && was_there)
        loses_name(&status, &disk, &inodes);
    costs(disk, inodes);
}

static void do_mkdir(void)
{
    const char *name = some_folder();
    struct stat status;

    begin("mkdir");
    bool was_there = lstat(name, &status) == 0, has_room = left(CORDON_QUOTA_INODES) > 0;
    int result = mkdir(name, 0700);
    if (result != 0 && errno == EDQUOT && (has_room || was_there) && !was_there)
        fail("refused though there is room", 0, EDQUOT);
    if (result == 0 && !has_room)
        fail("made without room", EDQUOT, 0);
    costs(0, result == 0);
}

static void do_rmdir(void)
{
    const char *name = some_folder();

    begin("rmdir");
    costs(0, rmdir(name) == 0 ? -1 : 0);
}

static void do_symlink(void)
{
    const char *name = some_name();
    struct stat status;

    begin("symlink");
    bool was_there = lstat(name, &status) == 0;
    bool has_room = left(CORDON_QUOTA_INODES) > 0 && left(CORDON_QUOTA_DISK) >= BLOCK;
    int result = symlink("a", name);
    if (result == 0 && (!has_room || was_there))
        fail("made without room", EDQUOT, 0);
    if (result != 0 && errno == EDQUOT && has_room)
        fail("refused though there is room", 0, EDQUOT);
    costs(result == 0, result == 0);
}

static void (*const operations[])(void) = {
    do_open,   do_open, do_open,   do_write,  do_write, do_write,  do_pwrite,
    do_pwrite, do_resize, do_resize, do_allocate, do_rename, do_rename, do_link,
    do_link,   do_unlink, do_unlink, do_mkdir, do_rmdir, do_symlink,
};

int main(int argc, char **argv)
{
    unsigned long steps = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

    state = argc > 1 ? strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15u : 0;
    for (int i = 0; i < OPEN_MAX_OURS; i++)
        fds[i].fd = -1;
    for (int i = 0; i < OLD_MAX; i++) {
        char name[8];
        struct stat status;
        snprintf(name, sizeof name, "old%d", i);
        if (stat(name, &status) != 0)
            continue;
        old[old_count].ino = status.st_ino;
        old[old_count++].blocks = blocks((uint64_t)status.st_size);
    }
    for (step = 0; step < steps; step++)
        operations[pick(sizeof operations / sizeof operations[0])]();
    for (int i = 0; i < OPEN_MAX_OURS; i++)
        close_one(&fds[i]);
    printf("%llu %llu\n", (unsigned long long)quota(CORDON_QUOTA_DISK, false),
           (unsigned long long)quota(CORDON_QUOTA_INODES, false));
    return 0;
}
