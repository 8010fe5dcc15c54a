/* Paths that try to leave: by dots, links, slashes, magic, and by exchanging things under the
 * resolver's hands. Nothing outside the granted directory may be read, made or changed. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "shim/resolve.h"
#include "wasi_fixture.h"

/* root: dir/file, file, and links of all kinds; outside: secret, dir. */
static void plant(struct guest *guest)
{
    char path[256];

    guest_prepare(guest);
    host_write(host_path(guest, "file"), "inside");
    mkdir(host_path(guest, "dir"), 0777);
    host_write(host_path(guest, "dir/file"), "inside too");
    snprintf(path, sizeof path, "%s/secret", guest->outside);
    host_write(path, "secret");
    cr_assert_eq(symlink(path, host_path(guest, "abs_file")), 0);
    snprintf(path, sizeof path, "%s/new", guest->outside);
    cr_assert_eq(symlink(path, host_path(guest, "abs_new")), 0);
    cr_assert_eq(symlink(guest->outside, host_path(guest, "abs_dir")), 0);
    snprintf(path, sizeof path, "..%s", guest->outside + 4);
    cr_assert_eq(symlink(path, host_path(guest, "rel_dir")), 0);
    snprintf(path, sizeof path, "../..%s/new", guest->outside + 4);
    cr_assert_eq(symlink(path, host_path(guest, "dir/rel_new")), 0);
    cr_assert_eq(symlink("/proc/self/root", host_path(guest, "magic_root")), 0);
    cr_assert_eq(symlink("/proc/self/cwd", host_path(guest, "magic_cwd")), 0);
    cr_assert_eq(symlink("/proc/self/fd/0", host_path(guest, "magic_fd")), 0);
    cr_assert_eq(symlink("..", host_path(guest, "dotdot")), 0);
    cr_assert_eq(symlink("loop", host_path(guest, "loop")), 0);
    cr_assert_eq(symlink("file", host_path(guest, "to_file")), 0);
    cr_assert_eq(symlink("dir", host_path(guest, "to_dir")), 0);
    cr_assert_eq(symlink("dir/made", host_path(guest, "to_made")), 0);
    guest_start(guest, false);
}

static void expect_outside_untouched(const struct guest *guest)
{
    char path[256], text[16] = "";
    uint32_t count = 0;

    DIR *dir = opendir(guest->outside);
    cr_assert_not_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    cr_expect_eq(count, 3, "something was made or removed outside");
    snprintf(path, sizeof path, "%s/secret", guest->outside);
    int fd = open(path, O_RDONLY);
    cr_expect(fd >= 0 && read(fd, text, sizeof text) == 6 && strcmp(text, "secret") == 0);
    close(fd);
}

static const char *const escapes[] = {
    "..", "../", "../x", "dir/../..", "dir/../../x", "./../x", "dir/./../../x", ".././file",
    "abs_file/", "abs_dir/secret", "abs_dir/", "abs_dir/.", "abs_dir/..", "abs_dir/new",
    "rel_dir/secret", "rel_dir/", "rel_dir/./", "magic_root/etc/passwd", "magic_root/",
    "magic_cwd/x", "magic_fd/", "dotdot/x", "dotdot/", "dotdot/.", "dotdot/..", "to_dir/../../x",
    "dir/rel_new/", "dir/rel_new/x",
};
#define ESCAPE_COUNT (sizeof escapes / sizeof *escapes)

/* Every call that takes a path, once with each way out. */
static void try_escape(struct guest *guest, const char *path)
{
    uint64_t length = strlen(path);

    for (uint32_t lookup = 0; lookup < 2; lookup++) {
        EXPECT_ERRNO(guest_open_full(guest, 3, lookup, path, 0, CN_RIGHT_FD_READ, 0, 0),
                     NOTCAPABLE);
        EXPECT_ERRNO(guest_open_full(guest, 3, lookup, path, CN_OFLAG_DIRECTORY, 0, 0, 0),
                     NOTCAPABLE);
        uint32_t made = guest_open_full(guest, 3, lookup, path, CN_OFLAG_CREAT, 0, 0, 0);
        cr_expect(made == CN_E_NOTCAPABLE || made == CN_E_ISDIR, "open %s", path);
        made = guest_open_full(guest, 3, lookup, path, CN_OFLAG_CREAT | CN_OFLAG_EXCL, 0, 0, 0);
        cr_expect(made == CN_E_NOTCAPABLE || made == CN_E_ISDIR, "open %s", path);
        put_text(guest, AT_PATH, path);
        EXPECT_ERRNO(CALL(guest, "path_filestat_get", I(3), I(lookup), I(AT_PATH), I(length),
                          I(AT_OUT)),
                     NOTCAPABLE);
        EXPECT_ERRNO(CALL(guest, "path_filestat_set_times", I(3), I(lookup), I(AT_PATH),
                          I(length), I(1), I(1), I(5)),
                     NOTCAPABLE);
    }
    cr_expect_neq(guest_path(guest, "path_create_directory", path), CN_E_SUCCESS);
    cr_expect_neq(guest_path(guest, "path_remove_directory", path), CN_E_SUCCESS);
    cr_expect_neq(guest_path(guest, "path_unlink_file", path), CN_E_SUCCESS);
    cr_expect_neq(guest_rename(guest, 3, path, 3, "stolen"), CN_E_SUCCESS, "%s", path);
    cr_expect_neq(guest_rename(guest, 3, "file", 3, path), CN_E_SUCCESS, "%s", path);
    cr_expect_neq(guest_link(guest, 3, path, 3, "stolen"), CN_E_SUCCESS, "%s", path);
    cr_expect_neq(guest_link(guest, 3, "file", 3, path), CN_E_SUCCESS, "%s", path);
    cr_expect_neq(guest_symlink(guest, "file", path), CN_E_SUCCESS, "%s", path);
    put_text(guest, AT_PATH, path);
    cr_expect_neq(CALL(guest, "path_readlink", I(3), I(AT_PATH), I(length), I(AT_DATA), I(99),
                       I(AT_OUT)),
                  CN_E_SUCCESS);
}

Test(resolve, lets_no_call_leave_the_directory)
{
    struct guest guest;
    plant(&guest);

    for (size_t i = 0; i < ESCAPE_COUNT; i++)
        try_escape(&guest, escapes[i]);
    expect_outside_untouched(&guest);
    guest_finish(&guest);
}

Test(resolve, refuses_absolute_paths)
{
    struct guest guest;
    plant(&guest);

    EXPECT_ERRNO(guest_open(&guest, "/file", 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open(&guest, "/", 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open(&guest, "//file", 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_path(&guest, "path_unlink_file", guest.outside), NOTCAPABLE);
    guest_finish(&guest);
}

Test(resolve, follows_links_that_stay_inside_and_only_when_asked)
{
    struct guest guest;
    plant(&guest);

    EXPECT_ERRNO(guest_open(&guest, "to_file", 0), LOOP);
    EXPECT_ERRNO(guest_open(&guest, "loop", 0), LOOP);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "loop", 0, 0, 0, 0), LOOP);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "loop/x", 0, 0, 0, 0), LOOP);
    MUST(guest_open_full(&guest, 3, 1, "to_file", 0, 0, 0, 0));
    MUST(guest_open(&guest, "to_dir/file", 0));
    MUST(guest_open(&guest, "dir/./../dir//file", 0));
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "abs_file", 0, 0, 0, 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open(&guest, "abs_file", 0), LOOP);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "dotdot", 0, 0, 0, 0), NOTCAPABLE);
    guest_finish(&guest);
}

Test(resolve, creates_through_a_dangling_link_only_inside)
{
    struct guest guest;
    plant(&guest);

    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "abs_new", 1, READ_WRITE, 0, 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "dir/rel_new", 1, READ_WRITE, 0, 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 0, "abs_new", 1, READ_WRITE, 0, 0), LOOP);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "abs_new", 5, READ_WRITE, 0, 0), EXIST);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "to_made", 5, READ_WRITE, 0, 0), EXIST);
    MUST(guest_open_full(&guest, 3, 1, "to_made", 1, READ_WRITE, 0, 0));
    cr_expect_eq(access(host_path(&guest, "dir/made"), F_OK), 0);
    cr_expect_eq(guest.account.used[CN_QUOTA_INODES], 1);
    expect_outside_untouched(&guest);
    guest_finish(&guest);
}

/* The trailing slash, in all its forms, for every call: as Linux has it. */
Test(resolve, treats_a_trailing_slash_as_a_demand_for_a_directory)
{
    struct guest guest;
    plant(&guest);
    static const char *const forms[] = {"file/", "file//", "file/.", "to_file/", "to_file/."};

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        EXPECT_ERRNO(guest_open(&guest, forms[i], 0), NOTDIR);
        EXPECT_ERRNO(guest_open_full(&guest, 3, 1, forms[i], 0, 0, 0, 0), NOTDIR);
        EXPECT_ERRNO(guest_path(&guest, "path_unlink_file", forms[i]), NOTDIR);
        EXPECT_ERRNO(guest_path(&guest, "path_remove_directory", forms[i]), NOTDIR);
        EXPECT_ERRNO(guest_rename(&guest, 3, forms[i], 3, "x"), NOTDIR);
        EXPECT_ERRNO(guest_link(&guest, 3, forms[i], 3, "x"), NOTDIR);
    }
    EXPECT_ERRNO(guest_open(&guest, "new/", CN_OFLAG_CREAT), ISDIR);
    EXPECT_ERRNO(guest_path(&guest, "path_unlink_file", "dir/"), ISDIR);
    EXPECT_ERRNO(guest_path(&guest, "path_unlink_file", "to_dir/"), NOTDIR);
    EXPECT_ERRNO(guest_path(&guest, "path_remove_directory", "to_dir/"), NOTDIR);
    EXPECT_ERRNO(guest_rename(&guest, 3, "to_dir/", 3, "x"), NOTDIR);
    EXPECT_ERRNO(guest_rename(&guest, 3, "file", 3, "x/"), NOTDIR);
    EXPECT_ERRNO(guest_link(&guest, 3, "file", 3, "x/"), NOENT);
    EXPECT_ERRNO(guest_link(&guest, 3, "file", 3, "dir/"), EXIST);
    EXPECT_ERRNO(guest_symlink(&guest, "file", "x/"), NOENT);
    EXPECT_ERRNO(guest_symlink(&guest, "file", "dir/"), EXIST);
    EXPECT_ERRNO(guest_symlink(&guest, "file", "file/"), NOTDIR);
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", "dir/"), EXIST);
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", "dir/."), EXIST);
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", "x/."), NOENT);
    EXPECT_ERRNO(guest_path(&guest, "path_remove_directory", "dir/."), INVAL);
    EXPECT_ERRNO(guest_path(&guest, "path_remove_directory", "dir/.."), NOTEMPTY);
    EXPECT_ERRNO(guest_rename(&guest, 3, "dir/.", 3, "x"), BUSY);
    MUST(guest_open(&guest, "to_dir/", 0) == CN_E_ISDIR ? 0 : CN_E_IO);
    MUST(guest_open_full(&guest, 3, 0, "to_dir/", 0, 0, 0, 0));
    MUST(guest_path(&guest, "path_create_directory", "sub//"));
    MUST(guest_rename(&guest, 3, "sub/", 3, "bus/"));
    MUST(guest_path(&guest, "path_remove_directory", "bus/"));
    expect_outside_untouched(&guest);
    guest_finish(&guest);
}

Test(resolve, reads_the_depth_of_links_as_text)
{
    cr_expect(cn_link_stays_inside("l", "a/../b"));
    cr_expect(cn_link_stays_inside("d/l", ".."));
    cr_expect(cn_link_stays_inside("d/l", "../a"));
    cr_expect(cn_link_stays_inside("d/e//l/", "../../a"));
    cr_expect(!cn_link_stays_inside("l", ".."));
    cr_expect(!cn_link_stays_inside("l", "a/../.."));
    cr_expect(!cn_link_stays_inside("l", "a/../../b"));
    cr_expect(!cn_link_stays_inside("d/l", "../.."));
    cr_expect(!cn_link_stays_inside("d/../l", "../x"));
    cr_expect(!cn_link_stays_inside("../l", "x"));
    cr_expect(!cn_link_stays_inside("./././l", "./../x"));
}

Test(resolve, makes_only_links_that_stay_inside)
{
    struct guest guest;
    plant(&guest);

    EXPECT_ERRNO(guest_symlink(&guest, "/etc", "l"), NOTCAPABLE);
    EXPECT_ERRNO(guest_symlink(&guest, "..", "l"), NOTCAPABLE);
    EXPECT_ERRNO(guest_symlink(&guest, "", "l"), NOENT);
    EXPECT_ERRNO(guest_symlink(&guest, "../..", "dir/l"), NOTCAPABLE);
    MUST(guest_symlink(&guest, "../file", "dir/l"));
    MUST(guest_open_full(&guest, 3, 1, "dir/l", 0, 0, 0, 0));
    put_text(&guest, AT_PATH, "dir/l");
    MUST(CALL(&guest, "path_readlink", I(3), I(AT_PATH), I(5), I(AT_DATA), I(3), I(AT_OUT)));
    cr_expect_eq(out_u32(&guest), 3);
    cr_expect_arr_eq(guest.memory.base + AT_DATA, "../\xaa", 4);
    guest_finish(&guest);
}

Test(resolve, opens_nothing_but_files_and_directories)
{
    struct guest guest;
    plant(&guest);
    cr_assert_eq(mkfifo(host_path(&guest, "fifo"), 0666), 0);
    int has_device = mknod(host_path(&guest, "null"), S_IFCHR | 0666, makedev(1, 3)) == 0;

    EXPECT_ERRNO(guest_open_full(&guest, 3, 0, "fifo", 0, CN_RIGHT_FD_READ, 0, 0), NOTSUP);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 0, "fifo", 0, CN_RIGHT_FD_WRITE, 0, 0), NOTSUP);
    EXPECT_ERRNO(guest_open(&guest, "fifo", CN_OFLAG_CREAT | CN_OFLAG_TRUNC), NOTSUP);
    if (has_device)
        EXPECT_ERRNO(guest_open(&guest, "null", 0), NOTSUP);
    guest_finish(&guest);
}

Test(resolve, opens_no_file_of_procfs)
{
    struct guest guest;
    guest_prepare(&guest);
    int proc = open("/proc", O_PATH | O_DIRECTORY);
    struct cn_wasi_dir dirs[] = {{.host = proc, .guest_name = "/"}};
    struct cn_wasi_config config = {
        .stdio = {-1, -1, -1}, .dirs = dirs, .dir_count = 1, .account = &guest.account,
        .cpu_ns = guest_cpu_ns,
    };
    cr_assert_eq(cn_wasi_new(&config, &guest.wasi, NULL), CN_OK);
    close(proc);

    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "self/mem", 0, READ_WRITE, 0, 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "self/environ", 0, 2, 0, 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "self/fd/0", 0, 2, 0, 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "self/root/etc/passwd", 0, 2, 0, 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "self/cwd/", 2, 0, 0, 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "self/exe", 0, 2, 0, 0), NOTCAPABLE);
    put_text(&guest, AT_PATH, "self/cwd");
    EXPECT_ERRNO(CALL(&guest, "path_readlink", I(3), I(AT_PATH), I(8), I(AT_DATA), I(99),
                      I(AT_OUT)),
                 NOTCAPABLE);
    MUST(guest_open_full(&guest, 3, 1, "self", 2, CN_RIGHT_FD_READDIR, 0, 0));
    guest_finish(&guest);
}

Test(resolve, does_not_cross_into_another_file_system)
{
    struct guest guest;
    guest_prepare(&guest);
    int top = open("/", O_PATH | O_DIRECTORY);
    struct cn_wasi_dir dirs[] = {{.host = top, .guest_name = "/"}};
    struct cn_wasi_config config = {
        .stdio = {-1, -1, -1}, .dirs = dirs, .dir_count = 1, .account = &guest.account,
        .cpu_ns = guest_cpu_ns,
    };
    cr_assert_eq(cn_wasi_new(&config, &guest.wasi, NULL), CN_OK);
    close(top);

    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "proc/self/mem", 0, READ_WRITE, 0, 0),
                 NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, 3, 1, "proc/version", 0, 2, 0, 0), NOTCAPABLE);
    guest_finish(&guest);
}

/* A host process exchanges a directory for a link to the outside, as fast as it can. */
struct exchange {
    char dir[128], link[128];
    atomic_bool is_over;
};

static void *exchange_loop(void *context)
{
    struct exchange *exchange = context;

    while (!atomic_load(&exchange->is_over))
        syscall(SYS_renameat2, AT_FDCWD, exchange->dir, AT_FDCWD, exchange->link,
                2 /* RENAME_EXCHANGE */);
    return NULL;
}

static void use_while_exchanged(struct guest *guest, int round)
{
    uint64_t length;
    char name[32];

    snprintf(name, sizeof name, "swap/new%d", round % 7);
    if (guest_open_full(guest, 3, 1, "swap/secret", 0, READ_WRITE, 0, 0) == CN_E_SUCCESS) {
        uint32_t fd = out_u32(guest);
        MUST(guest_read(guest, fd, 6));
        cr_assert_neq(memcmp(guest->memory.base + AT_DATA, "secret", 6), 0, "a secret was read");
        guest_pwrite(guest, fd, 3, 0);
        CALL(guest, "fd_close", I(fd));
    }
    if (guest_open_full(guest, 3, 1, name, CN_OFLAG_CREAT, READ_WRITE, 0, 0) == CN_E_SUCCESS)
        CALL(guest, "fd_close", I(out_u32(guest)));
    length = put_text(guest, AT_PATH, "swap/secret");
    CALL(guest, "path_filestat_set_times", I(3), I(1), I(AT_PATH), I(length), I(7), I(7), I(5));
    if (CALL(guest, "path_filestat_get", I(3), I(1), I(AT_PATH), I(length), I(AT_DATA)) == 0)
        cr_assert_eq(cn_load_u64(guest->memory.base + AT_DATA + 32), 9, "outside was looked at");
    guest_path(guest, "path_create_directory", "swap/sub");
    guest_symlink(guest, "secret", "swap/link");
    guest_link(guest, 3, "plain", 3, "swap/hard");
    guest_rename(guest, 3, "plain", 3, "swap/moved");
    guest_rename(guest, 3, "swap/moved", 3, "plain");
    guest_path(guest, "path_unlink_file", "swap/hard");
    guest_path(guest, "path_unlink_file", "swap/link");
    guest_path(guest, "path_unlink_file", name);
    guest_path(guest, "path_remove_directory", "swap/sub");
}

Test(resolve, is_not_fooled_by_a_directory_that_becomes_a_link, .timeout = 60)
{
    struct guest guest;
    struct exchange exchange = {.is_over = false};
    char path[256];
    pthread_t thread;
    struct stat stat_now;
    guest_prepare(&guest);
    snprintf(path, sizeof path, "%s/secret", guest.outside);
    host_write(path, "secret");
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    utimensat(AT_FDCWD, path, times, 0);
    mkdir(host_path(&guest, "swap"), 0777);
    host_write(host_path(&guest, "swap/secret"), "harmless!");
    host_write(host_path(&guest, "plain"), "plain");
    cr_assert_eq(symlink(guest.outside, host_path(&guest, "other")), 0);
    snprintf(exchange.dir, sizeof exchange.dir, "%s/swap", guest.root);
    snprintf(exchange.link, sizeof exchange.link, "%s/other", guest.root);
    guest_start(&guest, false);

    cr_assert_eq(pthread_create(&thread, NULL, exchange_loop, &exchange), 0);
    for (int round = 0; round < 3000; round++)
        use_while_exchanged(&guest, round);
    atomic_store(&exchange.is_over, true);
    pthread_join(thread, NULL);
    expect_outside_untouched(&guest);
    cr_assert_eq(stat(path, &stat_now), 0);
    cr_expect_eq(stat_now.st_mtim.tv_sec, 1000, "times outside were changed");
    guest_finish(&guest);
}

/* The final name alternates between a file and a link to the outside. */
Test(resolve, is_not_fooled_by_a_final_name_that_becomes_a_link, .timeout = 60)
{
    struct guest guest;
    struct exchange exchange = {.is_over = false};
    char path[256];
    pthread_t thread;
    guest_prepare(&guest);
    snprintf(path, sizeof path, "%s/secret", guest.outside);
    host_write(path, "secret");
    host_write(host_path(&guest, "name"), "harmless!");
    cr_assert_eq(symlink(path, host_path(&guest, "other")), 0);
    snprintf(exchange.dir, sizeof exchange.dir, "%s/name", guest.root);
    snprintf(exchange.link, sizeof exchange.link, "%s/other", guest.root);
    guest_start(&guest, false);

    cr_assert_eq(pthread_create(&thread, NULL, exchange_loop, &exchange), 0);
    for (int round = 0; round < 6000; round++) {
        uint32_t oflags = round % 3 == 0 ? CN_OFLAG_CREAT : round % 3 == 1 ? CN_OFLAG_TRUNC : 0;
        if (guest_open_full(&guest, 3, round & 1, "name", oflags, READ_WRITE, 0, 0) != 0)
            continue;
        uint32_t fd = out_u32(&guest);
        memset(guest.memory.base + AT_DATA, 0, 6);
        MUST(guest_read(&guest, fd, 6));
        cr_assert_neq(memcmp(guest.memory.base + AT_DATA, "secret", 6), 0, "a secret was read");
        guest_pwrite(&guest, fd, 3, 0);
        CALL(&guest, "fd_close", I(fd));
    }
    atomic_store(&exchange.is_over, true);
    pthread_join(thread, NULL);
    expect_outside_untouched(&guest);
    guest_finish(&guest);
}
