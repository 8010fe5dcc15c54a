/* A guest that uses every system call once or a few times, goes on whatever they say, and returns
 * how many of them failed. */
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

static int failed;
static char bytes[70000];
static const __wasi_fd_t root = 3, fixed = 4, listener = 5;

#define DO(call) (failed += (call) != 0)
#define ALL (0x1fffffffull & ~(uint64_t)__WASI_RIGHTS_FD_WRITE) /* or it is ISDIR */
#define FILE_RIGHTS                                                                                \
    (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_SEEK |                      \
     __WASI_RIGHTS_FD_TELL | __WASI_RIGHTS_FD_FILESTAT_SET_SIZE | __WASI_RIGHTS_FD_ALLOCATE |      \
     __WASI_RIGHTS_FD_FILESTAT_GET | __WASI_RIGHTS_FD_FILESTAT_SET_TIMES | __WASI_RIGHTS_FD_SYNC | \
     __WASI_RIGHTS_FD_DATASYNC | __WASI_RIGHTS_FD_ADVISE | __WASI_RIGHTS_POLL_FD_READWRITE |       \
     __WASI_RIGHTS_FD_FDSTAT_SET_FLAGS)

static double (*volatile use_half)(double);
double half(double number); /* the host's, or its own: half_import.c, half_own.c */

static __wasi_fd_t open_file(const char *path, __wasi_oflags_t oflags)
{
    __wasi_fd_t fd = 1000;

    DO(__wasi_path_open(root, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path, oflags, FILE_RIGHTS, 0, 0,
                        &fd));
    return fd;
}

static void write_to(__wasi_fd_t fd, size_t size)
{
    __wasi_ciovec_t list[2] = {{(uint8_t *)bytes, size / 2}, {(uint8_t *)bytes, size - size / 2}};
    __wasi_size_t done;

    DO(__wasi_fd_write(fd, list, 2, &done));
}

static void read_from(__wasi_fd_t fd, size_t size)
{
    __wasi_iovec_t list = {(uint8_t *)bytes, size};
    __wasi_size_t done;

    DO(__wasi_fd_read(fd, &list, 1, &done));
}

static void use_files(void)
{
    __wasi_fd_t fd = open_file("a", __WASI_OFLAGS_CREAT), other;
    __wasi_ciovec_t out = {(uint8_t *)bytes, 9000};
    __wasi_iovec_t in = {(uint8_t *)bytes, 9000};
    __wasi_filestat_t stat;
    __wasi_filesize_t at;
    __wasi_size_t done;
    __wasi_fdstat_t fdstat;

    write_to(fd, 20000);
    DO(__wasi_fd_pwrite(fd, &out, 1, 30000, &done));
    DO(__wasi_fd_pread(fd, &in, 1, 100, &done));
    DO(__wasi_fd_seek(fd, 5, __WASI_WHENCE_SET, &at));
    DO(__wasi_fd_seek(fd, -5, __WASI_WHENCE_END, &at));
    DO(__wasi_fd_tell(fd, &at));
    read_from(fd, 100);
    DO(__wasi_fd_allocate(fd, 0, 50000));
    DO(__wasi_fd_filestat_get(fd, &stat));
    DO(__wasi_fd_filestat_set_size(fd, 60000));
    DO(__wasi_fd_filestat_set_size(fd, 6000));
    DO(__wasi_fd_filestat_set_times(fd, 1, 2, __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM));
    DO(__wasi_fd_advise(fd, 0, 100, __WASI_ADVICE_WILLNEED));
    DO(__wasi_fd_sync(fd));
    DO(__wasi_fd_datasync(fd));
    DO(__wasi_fd_fdstat_get(fd, &fdstat));
    DO(__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_APPEND));
    write_to(fd, 3000);
    other = open_file("a", 0);
    DO(__wasi_fd_renumber(other, fd));
    DO(__wasi_path_unlink_file(root, "a"));
    write_to(fd, 5000);
    DO(__wasi_fd_close(fd));
    fd = open_file("kept", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL);
    write_to(fd, 9000);
    DO(__wasi_fd_close(fd));
    DO(__wasi_fd_close(open_file("kept", __WASI_OFLAGS_TRUNC)));
    fd = open_file("kept", 0);
    write_to(fd, 5000);
    DO(__wasi_fd_close(fd));
}

static void use_paths(void)
{
    static const char *const names[] = {"d", "d/e", "d/f"};
    __wasi_filestat_t stat;
    __wasi_size_t done;
    __wasi_fd_t dir = 1000;

    for (int i = 0; i < 3; i++)
        DO(__wasi_path_create_directory(root, names[i]));
    DO(__wasi_fd_close(open_file("d/x", __WASI_OFLAGS_CREAT)));
    DO(__wasi_path_symlink("new", root, "d/link"));
    DO(__wasi_path_readlink(root, "d/link", (uint8_t *)bytes, 100, &done));
    __wasi_fd_t fd = open_file("d/link", __WASI_OFLAGS_CREAT); /* makes d/new */
    write_to(fd, 100);
    DO(__wasi_fd_close(fd));
    DO(__wasi_path_link(root, 0, "d/x", root, "d/y"));
    DO(__wasi_path_rename(root, "d/y", root, "d/z"));
    DO(__wasi_path_rename(root, "d/new", root, "d/x"));
    DO(__wasi_path_rename(root, "d/f", root, "d/g"));
    DO(__wasi_path_filestat_get(root, 1, "d/x", &stat));
    DO(__wasi_path_filestat_set_times(root, 1, "d/x", 1, 2, __WASI_FSTFLAGS_ATIM));
    DO(__wasi_path_open(root, 0, "d", __WASI_OFLAGS_DIRECTORY, ALL, ALL, 0, &dir));
    DO(__wasi_fd_sync(dir));
    DO(__wasi_fd_readdir(dir, (uint8_t *)bytes, 200, 0, &done));
    DO(__wasi_fd_readdir(dir, (uint8_t *)bytes, 2000, 2, &done));
    DO(__wasi_path_unlink_file(dir, "link"));
    DO(__wasi_path_remove_directory(dir, "e"));
    DO(__wasi_fd_close(dir));
    DO(__wasi_path_open(fixed, 0, "d", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READDIR, 0, 0,
                        &dir));
    DO(__wasi_fd_close(dir));
}

static void use_sockets(void)
{
    __wasi_fd_t fd = 1000;
    __wasi_iovec_t in = {(uint8_t *)bytes, 5};
    __wasi_ciovec_t out = {(uint8_t *)bytes, 500};
    __wasi_size_t done;
    __wasi_roflags_t flags;

    DO(__wasi_sock_accept(listener, 0, &fd));
    DO(__wasi_sock_recv(fd, &in, 1, __WASI_RIFLAGS_RECV_PEEK, &done, &flags));
    DO(__wasi_sock_recv(fd, &in, 1, 0, &done, &flags));
    DO(__wasi_sock_send(fd, &out, 1, 0, &done));
    write_to(fd, 300);
    DO(__wasi_sock_shutdown(fd, __WASI_SDFLAGS_WR));
    DO(__wasi_fd_close(fd));
}

static void use_others(void)
{
    __wasi_subscription_t wanted[3] = {{.userdata = 1}};
    __wasi_event_t events[3];
    __wasi_size_t count, size;
    __wasi_timestamp_t now;
    uint8_t *pointers[8];
    __wasi_prestat_t prestat;

    DO(__wasi_args_sizes_get(&count, &size));
    DO(__wasi_args_get(pointers, (uint8_t *)bytes));
    DO(__wasi_environ_sizes_get(&count, &size));
    DO(__wasi_environ_get(pointers, (uint8_t *)bytes));
    DO(__wasi_clock_res_get(__WASI_CLOCKID_MONOTONIC, &now));
    DO(__wasi_clock_time_get(__WASI_CLOCKID_PROCESS_CPUTIME_ID, 0, &now));
    DO(__wasi_random_get((uint8_t *)bytes, 70000));
    DO(__wasi_sched_yield());
    DO(__wasi_fd_prestat_get(root, &prestat));
    DO(__wasi_fd_prestat_dir_name(root, (uint8_t *)bytes, 1));
    read_from(0, 5);
    wanted[0].u.tag = __WASI_EVENTTYPE_CLOCK;
    wanted[0].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    wanted[0].u.u.clock.timeout = 200000;
    DO(__wasi_poll_oneoff(wanted, events, 1, &count));
    wanted[0].u.u.clock.id = __WASI_CLOCKID_REALTIME;
    wanted[1].u.tag = __WASI_EVENTTYPE_FD_READ;
    wanted[1].u.u.fd_read.file_descriptor = listener; /* nobody comes */
    DO(__wasi_poll_oneoff(wanted, events, 2, &count));
    wanted[1].u.u.fd_read.file_descriptor = 0;
    wanted[2].u.tag = __WASI_EVENTTYPE_FD_WRITE;
    wanted[2].u.u.fd_write.file_descriptor = 1;
    DO(__wasi_poll_oneoff(wanted + 1, events, 2, &count));
    write_to(1, 1000);
    write_to(2, 10);
}

int main(void)
{
    void *block = malloc(3 << 20);

    if (block != NULL)
        memset(block, 1, 3 << 20);
    use_half = half;
    failed += use_half(3) != 1.5;
    use_files();
    use_paths();
    use_sockets();
    use_others();
    free(block);
    return failed > 99 ? 99 : failed;
}
