/* The descriptor table against a model, and what rights and read-only directories refuse. */
#include "shim/fd_table.h"
#include "wasi_fixture.h"

static struct cn_fd *open_one(struct cn_fd_table *table, uint32_t expected)
{
    struct cn_fd *fd;
    uint32_t number;

    cr_assert_eq(cn_fd_new(table, &number, &fd), CN_E_SUCCESS);
    cr_assert_eq(number, expected);
    return fd;
}

Test(fd_table, gives_the_lowest_free_number)
{
    struct cn_account account;
    struct cn_disk disk;
    struct cn_fd_table table;
    cn_account_init(&account);
    cn_disk_init(&disk, &account);
    cn_fd_table_init(&table, &account, &disk);

    for (uint32_t i = 0; i < 20; i++)
        open_one(&table, i);
    cn_fd_close(&table, 7);
    cn_fd_close(&table, 3);
    cn_fd_close(&table, 12);
    struct cn_fd *third = open_one(&table, 3);
    cn_fd_renumber(&table, 3, 5);
    cr_expect_eq(cn_fd_get(&table, 5), third);
    cr_expect_null(cn_fd_get(&table, 3));
    cn_fd_renumber(&table, 5, 5);
    cr_expect_eq(cn_fd_get(&table, 5), third);
    open_one(&table, 3);
    open_one(&table, 7);
    cr_expect_null(cn_fd_get(&table, 12));
    cr_expect_null(cn_fd_get(&table, UINT32_MAX));
    cr_expect_eq(account.used[CN_QUOTA_FDS], 19);
    cn_fd_table_release(&table);
    cr_expect_eq(account.used[CN_QUOTA_FDS], 0);
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], 0);
}

Test(fd_table, stops_at_the_quota_and_at_the_hard_bound)
{
    struct cn_account account;
    struct cn_disk disk;
    struct cn_fd_table table;
    struct cn_fd *fd;
    uint32_t number;
    cn_account_init(&account);
    cn_disk_init(&disk, &account);
    cn_fd_table_init(&table, &account, &disk);

    account.limit[CN_QUOTA_FDS] = 3;
    for (uint32_t i = 0; i < 3; i++)
        open_one(&table, i);
    cr_expect_eq(cn_fd_new(&table, &number, &fd), CN_E_MFILE);
    account.limit[CN_QUOTA_FDS] = CN_UNLIMITED;
    for (uint32_t i = 3; i < CN_FDS_MAX; i++)
        open_one(&table, i);
    cr_expect_eq(cn_fd_new(&table, &number, &fd), CN_E_MFILE);
    cr_expect_eq(account.used[CN_QUOTA_FDS], CN_FDS_MAX);
    cn_fd_table_release(&table);
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], 0);
}

/* Random opening, closing and renumbering of files named after their contents. */
Test(fd_table, agrees_with_a_model_of_descriptors, .timeout = 60)
{
    enum { FILES = 6, NUMBERS = 24 };
    struct guest guest;
    int model[NUMBERS]; /* which file, or -1 */
    uint64_t random = 7;
    guest_prepare(&guest);
    guest.account.limit[CN_QUOTA_FDS] = 20;
    for (int i = 0; i < FILES; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        host_write(host_path(&guest, name), name);
    }
    guest_start(&guest, false);
    for (int i = 0; i < NUMBERS; i++)
        model[i] = i < 4 ? FILES : -1;

    for (int step = 0; step < 20000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t a = (uint32_t)(random >> 40) % NUMBERS, b = (uint32_t)(random >> 50) % NUMBERS;
        int file = (int)((random >> 35) % FILES);
        char name[2] = {(char)('a' + file), '\0'};
        int lowest = 0, open_count = 0;
        while (lowest < NUMBERS && model[lowest] >= 0)
            lowest++;
        for (int i = 0; i < NUMBERS; i++)
            open_count += model[i] >= 0;
        if (random >> 62 < 2) {
            uint32_t error = guest_open(&guest, name, 0);
            cr_assert_eq(error, open_count >= 20 ? CN_E_MFILE : CN_E_SUCCESS);
            if (error == CN_E_SUCCESS) {
                cr_assert_eq((int)out_u32(&guest), lowest);
                model[lowest] = file;
            }
        } else if (random >> 62 == 2 && a != 3 && b != 3) {
            uint32_t error = CALL(&guest, "fd_renumber", I(a), I(b));
            bool are_open = model[a] >= 0 && model[b] >= 0;
            cr_assert_eq(error, are_open ? CN_E_SUCCESS : CN_E_BADF);
            if (are_open && a != b) {
                model[b] = model[a];
                model[a] = -1;
            }
        } else if (a != 3) {
            uint32_t error = CALL(&guest, "fd_close", I(a));
            cr_assert_eq(error, model[a] >= 0 ? CN_E_SUCCESS : CN_E_BADF);
            model[a] = -1;
        }
        if (model[b] >= 0 && model[b] < FILES) {
            put_iovec(&guest, 1);
            MUST(CALL(&guest, "fd_pread", I(b), I(AT_IOVECS), I(1), I(0), I(AT_OUT)));
            cr_assert_eq(guest.memory.base[AT_DATA], 'a' + model[b]);
        }
    }
    guest_finish(&guest);
}

static void set_rights(struct guest *guest, uint32_t fd, uint64_t base, uint64_t inheriting)
{
    MUST(CALL(guest, "fd_fdstat_set_rights", I(fd), I(base), I(inheriting)));
}

/* Each call that needs a right, without it: NOTCAPABLE, and nothing has happened. */
Test(fd_table, refuses_every_call_whose_right_is_missing)
{
    static const struct {
        const char *name;
        uint64_t right;
    } calls[] = {
        {"path_create_directory", CN_RIGHT_PATH_CREATE_DIRECTORY},
        {"path_filestat_get", CN_RIGHT_PATH_FILESTAT_GET},
        {"path_filestat_set_times", CN_RIGHT_PATH_FILESTAT_SET_TIMES},
        {"path_open", CN_RIGHT_PATH_OPEN},
        {"path_readlink", CN_RIGHT_PATH_READLINK},
        {"path_remove_directory", CN_RIGHT_PATH_REMOVE_DIRECTORY},
        {"path_unlink_file", CN_RIGHT_PATH_UNLINK_FILE},
        {"path_link", CN_RIGHT_PATH_LINK_SOURCE},
        {"path_rename", CN_RIGHT_PATH_RENAME_SOURCE},
        {"fd_readdir", CN_RIGHT_FD_READDIR},
        {"fd_filestat_get", CN_RIGHT_FD_FILESTAT_GET},
        {"fd_filestat_set_times", CN_RIGHT_FD_FILESTAT_SET_TIMES},
        {"fd_sync", CN_RIGHT_FD_SYNC},
        {"fd_datasync", CN_RIGHT_FD_DATASYNC},
    };
    struct guest guest;
    guest_setup(&guest);

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        MUST(guest_open_full(&guest, 3, 0, ".", 2, CN_RIGHTS_DIR, ALL_RIGHTS & ~0x30000000, 0));
        uint32_t fd = out_u32(&guest);
        set_rights(&guest, fd, CN_RIGHTS_DIR & ~calls[i].right, 0);
        EXPECT_ERRNO(CALL(&guest, calls[i].name, I(fd), I(0), I(0), I(0), I(0), I(0), I(0), I(0),
                          I(0)),
                     NOTCAPABLE);
        EXPECT_ERRNO(CALL(&guest, "fd_fdstat_set_rights", I(fd), I(CN_RIGHTS_DIR), I(0)),
                     NOTCAPABLE);
        EXPECT_ERRNO(CALL(&guest, "fd_fdstat_set_rights", I(fd), I(0), I(1)), NOTCAPABLE);
        MUST(CALL(&guest, "fd_close", I(fd)));
    }
    guest_finish(&guest);
}

Test(fd_table, passes_on_no_right_that_a_directory_lacks)
{
    struct guest guest;
    guest_setup(&guest);
    MUST(guest_open(&guest, "file", CN_OFLAG_CREAT));
    MUST(guest_write(&guest, out_u32(&guest), 10));
    MUST(guest_open_full(&guest, 3, 0, ".", 2, CN_RIGHTS_DIR, CN_RIGHTS_DIR | CN_RIGHT_FD_READ,
                         0));
    uint32_t dir = out_u32(&guest);

    EXPECT_ERRNO(guest_open_full(&guest, dir, 0, "file", 0, CN_RIGHT_FD_WRITE, 0, 0),
                 NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, dir, 0, "file", 8, 0, 0, 0), NOTCAPABLE);
    EXPECT_ERRNO(guest_open_full(&guest, dir, 0, "new", 9, CN_RIGHT_FD_WRITE, 0, 0),
                 NOTCAPABLE);
    cr_expect_eq(access(host_path(&guest, "new"), F_OK), -1);
    MUST(guest_open_full(&guest, dir, 0, "file", 0, CN_RIGHT_FD_READ, ALL_RIGHTS, 0));
    uint32_t file = out_u32(&guest);
    EXPECT_ERRNO(guest_write(&guest, file, 1), NOTCAPABLE);
    EXPECT_ERRNO(CALL(&guest, "fd_filestat_set_size", I(file), I(0)), NOTCAPABLE);
    /* Nor does another name give it: not by a link, not by a rename. */
    EXPECT_ERRNO(guest_link(&guest, dir, "file", 3, "better"), NOTCAPABLE);
    EXPECT_ERRNO(guest_rename(&guest, dir, "file", 3, "better"), NOTCAPABLE);
    MUST(guest_link(&guest, 3, "file", dir, "worse"));
    MUST(guest_rename(&guest, 3, "worse", dir, "worst"));
    set_rights(&guest, 3, CN_RIGHTS_DIR & ~CN_RIGHT_PATH_CREATE_FILE,
               CN_RIGHTS_DIR | CN_RIGHTS_FILE);
    EXPECT_ERRNO(guest_open(&guest, "new", CN_OFLAG_CREAT), NOTCAPABLE);
    guest_finish(&guest);
}

static void expect_nothing_changes(struct guest *guest, uint32_t dir)
{
    uint64_t length = put_text(guest, AT_PATH, "new");

    EXPECT_ERRNO(CALL(guest, "path_create_directory", I(dir), I(AT_PATH), I(length)), ROFS);
    length = put_text(guest, AT_PATH, "file");
    EXPECT_ERRNO(CALL(guest, "path_unlink_file", I(dir), I(AT_PATH), I(length)), ROFS);
    EXPECT_ERRNO(CALL(guest, "path_remove_directory", I(dir), I(AT_PATH), I(length)), ROFS);
    EXPECT_ERRNO(CALL(guest, "path_filestat_set_times", I(dir), I(0), I(AT_PATH), I(length),
                      I(1), I(1), I(5)),
                 ROFS);
    EXPECT_ERRNO(CALL(guest, "fd_filestat_set_times", I(dir), I(1), I(1), I(5)), ROFS);
    EXPECT_ERRNO(CALL(guest, "path_symlink", I(AT_PATH), I(length), I(dir), I(AT_PATH),
                      I(length)),
                 ROFS);
    EXPECT_ERRNO(guest_rename(guest, dir, "file", dir, "new"), ROFS);
    EXPECT_ERRNO(guest_link(guest, dir, "file", dir, "new"), ROFS);
    EXPECT_ERRNO(guest_open_full(guest, dir, 0, "file", 0, CN_RIGHT_FD_WRITE, 0, 0), ROFS);
    EXPECT_ERRNO(guest_open_full(guest, dir, 0, "file", 8, 0, 0, 0), ROFS);
    EXPECT_ERRNO(guest_open_full(guest, dir, 0, "new", 1, 0, 0, 0), ROFS);
    EXPECT_ERRNO(guest_open_full(guest, dir, 0, "new", 5, 0, 0, 0), ROFS);
    EXPECT_ERRNO(guest_open_full(guest, dir, 0, "new", 0, CN_RIGHT_FD_WRITE, 0, 0), NOENT);
}

Test(fd_table, changes_nothing_in_a_read_only_directory)
{
    struct guest guest;
    struct stat before, after;
    guest_prepare(&guest);
    host_write(host_path(&guest, "file"), "text");
    mkdir(host_path(&guest, "sub"), 0777);
    host_write(host_path(&guest, "sub/file"), "text");
    stat(host_path(&guest, "file"), &before);
    guest_start(&guest, true);

    expect_nothing_changes(&guest, 3);
    MUST(CALL(&guest, "fd_fdstat_get", I(3), I(AT_OUT)));
    uint64_t base = cn_load_u64(guest.memory.base + AT_OUT + 8);
    uint64_t inheriting = cn_load_u64(guest.memory.base + AT_OUT + 16);
    cr_expect_eq(base & CN_RIGHT_PATH_CREATE_FILE, 0);
    MUST(guest_open_full(&guest, 3, 0, "sub", 2, base, inheriting, 0));
    expect_nothing_changes(&guest, out_u32(&guest));
    MUST(guest_open_full(&guest, 3, 0, "file", 1, CN_RIGHT_FD_READ, inheriting, 0));
    uint32_t file = out_u32(&guest);
    EXPECT_ERRNO(guest_write(&guest, file, 1), ROFS);
    EXPECT_ERRNO(CALL(&guest, "fd_filestat_set_size", I(file), I(0)), ROFS);
    EXPECT_ERRNO(CALL(&guest, "fd_allocate", I(file), I(0), I(100)), ROFS);
    EXPECT_ERRNO(CALL(&guest, "fd_filestat_set_times", I(file), I(1), I(1), I(5)), ROFS);
    MUST(guest_read(&guest, file, 10));
    cr_expect_eq(out_u32(&guest), 4);
    set_rights(&guest, 3, base, inheriting);
    stat(host_path(&guest, "file"), &after);
    cr_expect_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    cr_expect_eq(after.st_size, 4);
    guest_finish(&guest);
}

/* The same tree, granted twice: to read, and (another part of it) to write. */
Test(fd_table, makes_no_read_only_file_writable_by_a_second_name)
{
    struct guest guest;
    guest_prepare(&guest);
    mkdir(host_path(&guest, "ro"), 0777);
    mkdir(host_path(&guest, "rw"), 0777);
    host_write(host_path(&guest, "ro/file"), "text");
    int ro = open(host_path(&guest, "ro"), O_RDONLY | O_DIRECTORY);
    int rw = open(host_path(&guest, "rw"), O_RDONLY | O_DIRECTORY);
    struct cn_wasi_dir dirs[] = {{ro, "/ro", true, NULL}, {rw, "/rw", false, NULL}};
    struct cn_wasi_config config = {
        .stdio = {-1, -1, -1}, .dirs = dirs, .dir_count = 2, .account = &guest.account,
        .cpu_ns = guest_cpu_ns,
    };
    cr_assert_eq(cn_wasi_new(&config, &guest.wasi, NULL), CN_OK);
    close(ro);
    close(rw);

    EXPECT_ERRNO(guest_link(&guest, 3, "file", 4, "file"), ROFS);
    EXPECT_ERRNO(guest_rename(&guest, 3, "file", 4, "file"), ROFS);
    MUST(guest_open_full(&guest, 4, 0, "new", 1, READ_WRITE, 0, 0));
    EXPECT_ERRNO(guest_link(&guest, 4, "new", 3, "new"), ROFS);
    EXPECT_ERRNO(guest_rename(&guest, 4, "new", 3, "new"), ROFS);
    MUST(CALL(&guest, "fd_renumber", I(4), I(3)));
    EXPECT_ERRNO(guest_open_full(&guest, 3, 0, "../ro/file", 0, 2, 0, 0), NOTCAPABLE);
    guest_finish(&guest);
}
