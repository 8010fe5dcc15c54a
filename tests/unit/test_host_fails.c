/* What resolver, rights and volumes' paths do when a call of the host's fails that hardly ever
 * does: the linker leads these calls through here (tests/meson.build). */
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "shim/fd_table.h"
#include "shim/reach.h"
#include "shim/resolve.h"
#include "shim/volume.h"
#include "wasi_fixture.h"

/* Of each call: which one from now on fails (0: none), how many after it do too, and how. */
static struct failure {
    uint32_t first, more;
    int error;
} failures[8];

enum { OPENAT2, FSTAT, FSTATAT, FSTATFS, READLINKAT, SEALER_BEGIN, SEAL, ALLOCATE };

static bool fails(int call)
{
    struct failure *failure = &failures[call];

    if (failure->first == 0 || --failure->first > 0)
        return false;
    failure->first = failure->more > 0;
    failure->more -= failure->more > 0;
    errno = failure->error;
    return true;
}

static void let_fail(int call, uint32_t first, uint32_t count, int error)
{
    failures[call] = (struct failure){first, count - 1, error};
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_openat2 && fails(OPENAT2))
        return -1;
    return __real_syscall(number, a, b, c, d, e, f);
}

int __real_fstat64(int fd, struct stat *result);
int __wrap_fstat64(int fd, struct stat *result);
int __wrap_fstat64(int fd, struct stat *result)
{
    return fails(FSTAT) ? -1 : __real_fstat64(fd, result);
}

int __real_fstatat64(int dir, const char *name, struct stat *result, int flags);
int __wrap_fstatat64(int dir, const char *name, struct stat *result, int flags);
int __wrap_fstatat64(int dir, const char *name, struct stat *result, int flags)
{
    return fails(FSTATAT) ? -1 : __real_fstatat64(dir, name, result, flags);
}

int __real_fstatfs64(int fd, struct statfs *result);
int __wrap_fstatfs64(int fd, struct statfs *result);
int __wrap_fstatfs64(int fd, struct statfs *result)
{
    return fails(FSTATFS) ? -1 : __real_fstatfs64(fd, result);
}

ssize_t __real_readlinkat(int dir, const char *name, char *to, size_t size);
ssize_t __wrap_readlinkat(int dir, const char *name, char *to, size_t size);
ssize_t __wrap_readlinkat(int dir, const char *name, char *to, size_t size)
{
    return fails(READLINKAT) ? -1 : __real_readlinkat(dir, name, to, size);
}

enum cn_errno __real_cn_sealer_begin(struct cn_sealer *sealer, const uint8_t *key);
enum cn_errno __wrap_cn_sealer_begin(struct cn_sealer *sealer, const uint8_t *key);
enum cn_errno __wrap_cn_sealer_begin(struct cn_sealer *sealer, const uint8_t *key)
{
    return fails(SEALER_BEGIN) ? CN_E_NOMEM : __real_cn_sealer_begin(sealer, key);
}

enum cn_errno __real_cn_seal(struct cn_sealer *sealer, struct cn_bytes bound,
                             struct cn_bytes text, uint8_t *to, struct cn_seal *seal);
enum cn_errno __wrap_cn_seal(struct cn_sealer *sealer, struct cn_bytes bound,
                             struct cn_bytes text, uint8_t *to, struct cn_seal *seal);
enum cn_errno __wrap_cn_seal(struct cn_sealer *sealer, struct cn_bytes bound,
                             struct cn_bytes text, uint8_t *to, struct cn_seal *seal)
{
    return fails(SEAL) ? CN_E_IO : __real_cn_seal(sealer, bound, text, to, seal);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    return fails(ALLOCATE) ? NULL : __real_realloc(old, size);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fails(ALLOCATE) ? NULL : __real_malloc(size);
}

/* ------------------------------------------------------------------ directories */

static struct guest guest;
static int root;

static uint32_t open_count(void)
{
    uint32_t count = 0;

    for (int fd = 0; fd < 200; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

Test(host_fails, opening_is_tried_again_but_not_for_ever)
{
    int fd;
    guest_setup(&guest);
    root = open(guest.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    host_write(host_path(&guest, "a"), "text");

    let_fail(OPENAT2, 1, 3, EAGAIN); /* something was renamed above */
    cr_expect_eq(cn_resolve_open(root, "a", O_RDONLY, &fd), CN_E_SUCCESS);
    close(fd);
    let_fail(OPENAT2, 1, 3, EINTR);
    cr_expect_eq(cn_resolve_open(root, "a", O_RDONLY, &fd), CN_E_SUCCESS);
    close(fd);
    let_fail(OPENAT2, 1, 1000, EAGAIN);
    cr_expect_eq(cn_resolve_open(root, "a", O_RDONLY, &fd), CN_E_AGAIN);
    let_fail(OPENAT2, 1, 1, EMFILE);
    cr_expect_eq(cn_resolve_open(root, "a", O_RDONLY, &fd), CN_E_NFILE);
    let_fail(OPENAT2, 1, 1, EXDEV);
    cr_expect_eq(cn_resolve_open(root, "a", O_RDONLY, &fd), CN_E_NOTCAPABLE);
    close(root);
    guest_finish(&guest);
}

Test(host_fails, a_link_too_many_is_not_taken_for_a_magic_one)
{
    int fd;
    guest_setup(&guest);
    root = open(guest.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

    let_fail(OPENAT2, 1, 1, ELOOP);
    cr_expect_eq(cn_resolve_open(root, "a", O_RDONLY, &fd), CN_E_LOOP);
    let_fail(OPENAT2, 1, 1, ELOOP);
    cr_expect_eq(cn_resolve_open(proc, "a", O_RDONLY, &fd), CN_E_NOTCAPABLE);
    let_fail(OPENAT2, 1, 1, ELOOP);
    let_fail(FSTATFS, 1, 1, EIO);
    cr_expect_eq(cn_resolve_open(proc, "a", O_RDONLY, &fd), CN_E_LOOP);
    close(proc);
    close(root);
    guest_finish(&guest);
}

Test(host_fails, a_look_that_fails_leaves_nothing_open)
{
    struct cn_fd dir = {.host = -1};
    struct cn_place place;
    struct stat stat;
    char path[] = "a", deep[] = "nothing/a";
    int seen;
    guest_setup(&guest);
    dir.host = root = open(guest.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    host_write(host_path(&guest, "a"), "text");
    uint32_t before = open_count();

    let_fail(FSTAT, 1, 1, EIO);
    cr_expect_eq(cn_reach_look(&dir, path, true, &seen, &stat), CN_E_IO);
    cr_expect_eq(open_count(), before);
    cr_expect_eq(cn_reach_look(&dir, path, false, &seen, NULL), CN_E_SUCCESS);
    close(seen);
    let_fail(FSTAT, 1, 1, EIO);
    cr_expect_eq(cn_reach_stat(&dir, &stat), CN_E_IO);
    cr_expect_eq(cn_place_find(root, deep, &place), CN_E_NOENT);
    cr_expect_str_eq(deep, "nothing/a"); /* as it was */
    cr_expect_eq(cn_place_find(root, path, &place), CN_E_SUCCESS);
    let_fail(FSTATAT, 1, 1, EACCES);
    cr_expect_eq(cn_place_stat(&place, &stat), CN_E_ACCES);
    cr_expect_eq(open_count(), before);
    close(root);
    guest_finish(&guest);
}

Test(host_fails, every_kind_of_file_has_its_type)
{
    static const struct {
        mode_t mode;
        enum cn_filetype type;
    } rows[] = {
        {S_IFREG, CN_FILETYPE_REGULAR_FILE}, {S_IFDIR, CN_FILETYPE_DIRECTORY},
        {S_IFLNK, CN_FILETYPE_SYMBOLIC_LINK}, {S_IFCHR, CN_FILETYPE_CHARACTER_DEVICE},
        {S_IFBLK, CN_FILETYPE_BLOCK_DEVICE}, {S_IFSOCK, CN_FILETYPE_SOCKET_STREAM},
        {S_IFIFO, CN_FILETYPE_UNKNOWN}, {0, CN_FILETYPE_UNKNOWN},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(cn_filetype_of_mode(rows[i].mode | 0644), rows[i].type);
}

/* ------------------------------------------------------------------ descriptors */

Test(host_fails, a_descriptor_that_cannot_be_made_is_not_charged)
{
    struct cn_account account;
    struct cn_disk disk;
    struct cn_fd_table table;
    struct cn_fd *fd;
    uint32_t number, made = 0;
    cn_account_init(&account);
    cn_disk_init(&disk, &account);
    cn_fd_table_init(&table, &account, &disk);

    for (uint32_t first = 1; first <= 2; first++) { /* the table, the descriptor */
        let_fail(ALLOCATE, first, 1, ENOMEM);
        cr_expect_eq(cn_fd_new(&table, &number, &fd), CN_E_NOMEM);
        cr_expect_eq(account.used[CN_QUOTA_FDS], 0);
    }
    account.limit[CN_QUOTA_FDS] = account.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    while (cn_fd_new(&table, &number, &fd) == CN_E_SUCCESS)
        made++;
    cr_expect_eq(account.used[CN_QUOTA_FDS], made);
    cr_expect_leq(made, CN_FDS_MAX);
    cn_fd_table_release(&table);
    cr_expect_eq(account.used[CN_QUOTA_FDS], 0);
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], 0);
}

Test(host_fails, memory_that_does_not_grow_is_not_charged)
{
    struct cn_account account;
    cn_account_init(&account);
    struct cn_allocator allocator = cn_account_allocator(&account);
    void *block = cn_alloc(allocator, 1000);
    uint64_t used = account.used[CN_QUOTA_MEMORY];

    cr_assert_not_null(block);
    let_fail(ALLOCATE, 1, 1, ENOMEM);
    cr_expect_null(cn_resize(allocator, block, 1000, 2000));
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], used);
    let_fail(ALLOCATE, 1, 1, ENOMEM); /* at worst it stays as large as it was */
    cr_expect_eq(cn_resize(allocator, block, 1000, 500), block);
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], used - 500);
    cn_free(allocator, block, 500);
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], 0);
}

/* ------------------------------------------------------------------ volumes */

static struct cn_volume_grant grant = {.size = 1 << 20, .inodes = 50, .holders = 1};
static struct cn_volume *volume;

static void open_volume(void)
{
    cr_assert_eq(cn_volume_keys_new(NULL, &grant.keys), CN_E_SUCCESS);
    guest_prepare(&guest);
    root = open(guest.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_eq(cn_volume_new(&grant, &guest.account, false, &volume), CN_E_SUCCESS);
}

static void close_volume(void)
{
    cn_volume_free(volume);
    cr_expect_eq(guest.account.used[CN_QUOTA_MEMORY], 0);
    cn_volume_keys_free(grant.keys);
    close(root);
    free(guest.memory.base);
    remove_tree(guest.root);
    remove_tree(guest.outside);
}

TestSuite(volume_fails, .init = open_volume, .fini = close_volume);

/* The place has its name in itself. */
static void place_at(const char *path, struct cn_place *place)
{
    cr_assert_eq(cn_volume_find(volume, root, path, false, place), CN_E_SUCCESS, "%s", path);
}

static void make_dir(const char *path)
{
    struct cn_place place;

    place_at(path, &place);
    cr_assert_eq(mkdirat(place.dir, place.name, 0700), 0);
    cn_place_release(&place);
}

static void make_file(const char *path)
{
    struct cn_place place;
    struct cn_opened *opened;
    struct stat stat;
    int host;

    place_at(path, &place);
    cr_assert_eq(cn_volume_create(volume, &place, &host, &opened, &stat), CN_E_SUCCESS);
    cn_volume_close(volume, opened);
    close(host);
    cn_place_release(&place);
}

static void make_link(const char *path, const char *target)
{
    struct cn_place place;
    char hidden[CN_PATH_MAX + 1];

    place_at(path, &place);
    cr_assert_eq(cn_volume_hide_link(volume, target, hidden), CN_E_SUCCESS);
    cr_assert_eq(symlinkat(hidden, place.dir, place.name), 0);
    cn_place_release(&place);
}

/* What finding it gives; nothing is left open then. */
static enum cn_errno find(const char *path, bool follows)
{
    struct cn_place place;
    uint32_t before = open_count();
    enum cn_errno error = cn_volume_find(volume, root, path, follows, &place);

    if (error == CN_E_SUCCESS)
        cn_place_release(&place);
    cr_expect_eq(open_count(), before, "%s", path);
    return error;
}

Test(volume_fails, paths_lead_where_they_should)
{
    struct cn_place place;
    make_dir("d");
    make_dir("d/e");
    make_file("d/f");
    make_link("l", "d/e");
    make_link("up", "..");
    make_link("absolute", "/d");
    make_link("loop", "loop");
    make_link("gone", "d/nothing");
    make_link("through", "d/f/g");

    cr_expect_eq(find("d/e/../f", false), CN_E_SUCCESS);
    cr_expect_eq(find("l/../f", false), CN_E_SUCCESS);
    cr_expect_eq(find("l", true), CN_E_SUCCESS);
    cr_expect_eq(find("d/f", true), CN_E_SUCCESS);
    cr_expect_eq(find("gone", true), CN_E_SUCCESS);
    cr_expect_eq(find("", false), CN_E_NOENT);
    cr_expect_eq(find("..", false), CN_E_NOTCAPABLE);
    cr_expect_eq(find("/d", false), CN_E_NOTCAPABLE);
    cr_expect_eq(find("up", true), CN_E_NOTCAPABLE);
    cr_expect_eq(find("absolute", true), CN_E_NOTCAPABLE);
    cr_expect_eq(find("absolute/e", false), CN_E_NOTCAPABLE);
    cr_expect_eq(find("loop", true), CN_E_LOOP);
    cr_expect_eq(find("loop/a", false), CN_E_LOOP);
    cr_expect_eq(find("d/f/g", false), CN_E_NOTDIR);
    cr_expect_eq(find("through", true), CN_E_NOTDIR);
    cr_expect_eq(find("nothing/a", false), CN_E_NOENT);
    cr_expect_eq(cn_volume_find(volume, root, "d/e/..//", false, &place), CN_E_SUCCESS);
    cr_expect(place.is_dot && place.has_slash);
    cr_expect_str_eq(place.name, "..");
    cn_place_release(&place);
    cr_expect_eq(cn_volume_find(volume, root, "d/.", false, &place), CN_E_SUCCESS);
    cr_expect(place.is_dot && !place.has_slash);
    cr_expect_str_eq(place.name, ".");
    cn_place_release(&place);
}

Test(volume_fails, names_and_links_that_are_too_long_are_refused)
{
    char name[CN_PATH_MAX + 1], path[CN_PATH_MAX + 1], hidden[CN_PATH_MAX + 1];
    memset(name, 'n', sizeof name);
    name[CN_SEALED_NAME_MAX + 1] = '\0';

    cr_expect_eq(find(name, false), CN_E_NAMETOOLONG);
    memcpy(path, name, CN_SEALED_NAME_MAX + 1);
    strcpy(path + CN_SEALED_NAME_MAX + 1, "/a");
    cr_expect_eq(find(path, false), CN_E_NAMETOOLONG);
    memset(name, 'n', sizeof name);
    name[CN_SEALED_LINK_MAX + 1] = '\0';
    cr_expect_eq(cn_volume_hide_link(volume, name, hidden), CN_E_NAMETOOLONG);
    name[CN_SEALED_LINK_MAX] = '\0';
    make_link("long", name);
    memset(path, 'a', sizeof path);
    memcpy(path, "long/", 5);
    path[1200] = '\0'; /* with what the link says that is more than a path can be */
    cr_expect_eq(find(path, false), CN_E_NAMETOOLONG);
}

Test(volume_fails, links_that_are_none_of_ours_are_not_followed)
{
    struct cn_place place;
    char target[CN_PATH_MAX + 1], longest[4089]; /* 4088 characters are whole bytes */
    struct stat stat;
    place_at("foreign", &place);
    memset(longest, 'A', sizeof longest);
    longest[sizeof longest - 1] = '\0';

    cr_assert_eq(symlinkat("d", place.dir, place.name), 0);
    cr_expect_eq(cn_volume_read_link(volume, root, place.name, target), CN_E_IO);
    cr_expect_eq(find("foreign", true), CN_E_IO);
    cr_expect_eq(find("foreign/a", false), CN_E_IO);
    cr_expect_eq(cn_volume_stat(volume, &place, &stat), CN_E_SUCCESS);
    cr_expect_eq(stat.st_size, 0);
    cr_assert_eq(unlinkat(place.dir, place.name, 0), 0);
    cr_assert_eq(symlinkat(longest, place.dir, place.name), 0); /* longer than any of ours */
    cr_expect_eq(cn_volume_read_link(volume, root, place.name, target), CN_E_IO);
    longest[200] = '\0'; /* one that could be, but was not sealed */
    cr_assert_eq(unlinkat(place.dir, place.name, 0), 0);
    cr_assert_eq(symlinkat(longest, place.dir, place.name), 0);
    cr_expect_eq(cn_volume_read_link(volume, root, place.name, target), CN_E_IO);
    cn_place_release(&place);
}

Test(volume_fails, a_call_that_fails_on_the_way_fails_the_path)
{
    char hidden[CN_PATH_MAX + 1];
    make_dir("d");
    make_dir("d/e");
    make_link("l", "d/e");

    let_fail(OPENAT2, 1, 1, EMFILE);
    cr_expect_eq(find("d/e/a", false), CN_E_NFILE);
    let_fail(OPENAT2, 2, 1, EMFILE); /* the way up */
    cr_expect_eq(find("d/../a", false), CN_E_NFILE);
    let_fail(READLINKAT, 1, 1, EACCES);
    cr_expect_eq(find("l", true), CN_E_ACCES);
    let_fail(SEALER_BEGIN, 1, 1, ENOMEM);
    cr_expect_eq(find("l", true), CN_E_NOMEM);
    let_fail(SEALER_BEGIN, 1, 1, ENOMEM);
    cr_expect_eq(cn_volume_hide_link(volume, "a", hidden), CN_E_NOMEM);
    let_fail(SEAL, 1, 1, EIO);
    cr_expect_eq(cn_volume_hide_link(volume, "a", hidden), CN_E_IO);
}

/* The other copy may be the older one, with another size. */
Test(volume_fails, a_header_that_cannot_be_read_is_not_taken_for_damaged)
{
    struct cn_place place;
    struct cn_opened *opened;
    struct stat stat;
    int host;

    place_at("a", &place);
    cr_assert_eq(cn_volume_create(volume, &place, &host, &opened, &stat), CN_E_SUCCESS);
    for (uint64_t size = 1; size <= 2; size++) {
        cr_assert_eq(cn_sealed_resize(&opened->file, size * 5000), CN_E_SUCCESS);
        cn_volume_close(volume, opened);
        close(host);
        for (uint32_t copy = 1; copy <= 2; copy++) {
            let_fail(SEALER_BEGIN, copy, 1, ENOMEM);
            cr_expect_eq(cn_volume_open(volume, &place, &host, &opened, &stat), CN_E_NOMEM);
        }
        cr_assert_eq(cn_volume_open(volume, &place, &host, &opened, &stat), CN_E_SUCCESS);
        cr_expect_eq(opened->file.size, size * 5000);
    }
    cn_volume_close(volume, opened);
    close(host);
    cn_place_release(&place);
}

Test(volume_fails, a_look_that_fails_leaves_nothing_open)
{
    struct cn_fd dir = {.host = root, .volume = volume};
    struct cn_place place;
    struct stat stat;
    char file[] = "d/f", slash[] = "d/", not_dir[] = "d/f/", dot[] = "d/.", link[] = "l";
    char none[] = "n", above[] = "..";
    int seen;
    make_dir("d");
    make_file("d/f");
    make_link("l", "d/f");
    uint32_t before = open_count();

    char *const paths[] = {file, slash, dot, link};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        cr_expect_eq(cn_reach_look(&dir, paths[i], true, &seen, &stat), CN_E_SUCCESS);
        close(seen);
        cr_expect_eq(cn_reach_look(&dir, paths[i], false, &seen, NULL), CN_E_SUCCESS);
        close(seen);
    }
    cr_expect_eq(cn_reach_look(&dir, not_dir, false, &seen, &stat), CN_E_NOTDIR);
    cr_expect_eq(cn_reach_look(&dir, none, true, &seen, &stat), CN_E_NOENT);
    cr_expect_eq(cn_reach_look(&dir, above, true, &seen, &stat), CN_E_NOTCAPABLE);
    let_fail(FSTATAT, 1, 1, EIO);
    cr_expect_eq(cn_reach_look(&dir, file, false, &seen, &stat), CN_E_IO);
    let_fail(OPENAT2, 3, 1, EMFILE); /* the file's size is in its header */
    cr_expect_eq(cn_reach_look(&dir, file, false, &seen, &stat), CN_E_NFILE);
    cr_expect_eq(open_count(), before);
    cr_expect_eq(cn_reach_place(&dir, file, &place), CN_E_SUCCESS);
    cn_place_release(&place);
    cr_expect_eq(open_count(), before);
}
