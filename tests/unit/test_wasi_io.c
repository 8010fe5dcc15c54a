/* Reading, writing and waiting: files, pipes that fill up, ends that go away. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "wasi_fixture.h"

/* A guest whose stdin and stdout are given. */
static void start_with(struct guest *guest, int in, int out)
{
    guest_prepare(guest);
    struct cn_wasi_config config = {
        .stdio = {in, out, -1}, .account = &guest->account, .cpu_ns = guest_cpu_ns,
    };
    cr_assert_eq(cn_wasi_new(&config, &guest->wasi, NULL), CN_OK);
    signal(SIGPIPE, SIG_IGN);
}

Test(wasi_io, moves_positions_as_files_do)
{
    struct guest guest;
    guest_setup(&guest);
    MUST(guest_open(&guest, "a", CN_OFLAG_CREAT));
    uint32_t fd = out_u32(&guest);

    memcpy(guest.memory.base + AT_DATA, "0123456789", 10);
    MUST(guest_write(&guest, fd, 10));
    MUST(CALL(&guest, "fd_seek", I(fd), I(-4), I(1), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest), 6);
    MUST(guest_read(&guest, fd, 100));
    cr_expect_eq(out_u32(&guest), 4);
    cr_expect_arr_eq(guest.memory.base + AT_DATA, "6789", 4);
    MUST(CALL(&guest, "fd_seek", I(fd), I(-1), I(2), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest), 9);
    EXPECT_ERRNO(CALL(&guest, "fd_seek", I(fd), I(-10), I(1), I(AT_OUT)), INVAL);
    EXPECT_ERRNO(CALL(&guest, "fd_seek", I(fd), I(INT64_MAX), I(1), I(AT_OUT)), INVAL);
    EXPECT_ERRNO(CALL(&guest, "fd_seek", I(fd), I(0), I(3), I(AT_OUT)), INVAL);
    MUST(CALL(&guest, "fd_seek", I(fd), I(INT64_MAX), I(0), I(AT_OUT)));
    EXPECT_ERRNO(guest_write(&guest, fd, 1), FBIG);
    MUST(CALL(&guest, "fd_tell", I(fd), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest), INT64_MAX);
    put_iovec(&guest, 8);
    EXPECT_ERRNO(CALL(&guest, "fd_pread", I(fd), I(AT_IOVECS), I(1), I(INT64_MAX), I(AT_OUT)),
                 INVAL);
    EXPECT_ERRNO(CALL(&guest, "fd_pread", I(fd), I(AT_IOVECS), I(1), I(UINT64_MAX), I(AT_OUT)),
                 INVAL);
    EXPECT_ERRNO(guest_pwrite(&guest, fd, 8, INT64_MAX - 3), INVAL);
    guest_finish(&guest);
}

Test(wasi_io, counts_origins_as_the_older_module_does)
{
    struct guest guest;
    guest_setup(&guest);
    guest.module = "wasi_unstable";
    MUST(guest_open(&guest, "a", CN_OFLAG_CREAT));
    uint32_t fd = out_u32(&guest);

    MUST(guest_write(&guest, fd, 10));
    MUST(CALL(&guest, "fd_seek", I(fd), I(-4), I(0), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest), 6, "0 is the present place");
    MUST(CALL(&guest, "fd_seek", I(fd), I(-1), I(1), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest), 9, "1 is the end");
    MUST(CALL(&guest, "fd_seek", I(fd), I(3), I(2), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest), 3, "2 is the start");
    memset(guest.memory.base + AT_OUT, 0xaa, 64);
    MUST(CALL(&guest, "fd_filestat_get", I(fd), I(AT_OUT)));
    cr_expect_eq(cn_load_u32(guest.memory.base + AT_OUT + 20), 1, "links");
    cr_expect_eq(cn_load_u64(guest.memory.base + AT_OUT + 24), 10, "size");
    cr_expect_eq(guest.memory.base[AT_OUT + 56], 0xaa, "56 bytes, not 64");
    guest_finish(&guest);
}

Test(wasi_io, appends_whatever_the_position_says)
{
    struct guest guest;
    struct stat stat_now;
    guest_setup(&guest);
    MUST(guest_open_full(&guest, 3, 0, "a", CN_OFLAG_CREAT, READ_WRITE, 0, CN_FDFLAG_APPEND));
    uint32_t fd = out_u32(&guest);

    MUST(guest_write(&guest, fd, 4));
    MUST(CALL(&guest, "fd_seek", I(fd), I(0), I(0), I(AT_OUT)));
    MUST(guest_write(&guest, fd, 4));
    MUST(CALL(&guest, "fd_tell", I(fd), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest), 8);
    MUST(guest_pwrite(&guest, fd, 3, 0));
    stat(host_path(&guest, "a"), &stat_now);
    cr_expect_eq(stat_now.st_size, 8);
    MUST(CALL(&guest, "fd_fdstat_set_flags", I(fd), I(CN_FDFLAG_SYNC)));
    MUST(CALL(&guest, "fd_seek", I(fd), I(0), I(0), I(AT_OUT)));
    MUST(guest_write(&guest, fd, 4));
    stat(host_path(&guest, "a"), &stat_now);
    cr_expect_eq(stat_now.st_size, 8);
    EXPECT_ERRNO(CALL(&guest, "fd_fdstat_set_flags", I(fd), I(32)), INVAL);
    guest_finish(&guest);
}

/* More than one step of 1 MiB, in pieces that do not fit the steps. */
Test(wasi_io, moves_everything_in_steps)
{
    struct guest guest;
    struct stat stat_now;
    guest_setup(&guest);
    MUST(guest_open(&guest, "a", CN_OFLAG_CREAT));
    uint32_t fd = out_u32(&guest), total = 0;

    for (uint32_t i = 0; i < 60; i++) {
        cn_store_u32(guest.memory.base + AT_IOVECS + i * 8, AT_DATA + i);
        cn_store_u32(guest.memory.base + AT_IOVECS + i * 8 + 4, 100001);
        total += 100001;
    }
    for (uint32_t i = 0; i < 100100; i++)
        guest.memory.base[AT_DATA + i] = (uint8_t)(i % 251);
    MUST(CALL(&guest, "fd_write", I(fd), I(AT_IOVECS), I(60), I(AT_OUT)));
    cr_expect_eq(out_u32(&guest), total);
    stat(host_path(&guest, "a"), &stat_now);
    cr_expect_eq(stat_now.st_size, total);
    MUST(CALL(&guest, "fd_pread", I(fd), I(AT_IOVECS), I(60), I(0), I(AT_OUT)));
    cr_expect_eq(out_u32(&guest), total);
    put_iovec(&guest, 100001);
    MUST(CALL(&guest, "fd_pread", I(fd), I(AT_IOVECS), I(1), I(57 * 100001), I(AT_OUT)));
    for (uint32_t i = 0; i < 100001; i++)
        cr_assert_eq(guest.memory.base[AT_DATA + i], (i + 57) % 251);
    struct cn_wasi_stats stats = cn_wasi_stats(guest.wasi);
    cr_expect_eq(stats.file_written, total);
    guest_finish(&guest);
}

Test(wasi_io, parks_a_reader_until_something_comes)
{
    struct guest guest;
    int ends[2];
    union cn_slot slots[16] = {I(0), I(AT_IOVECS), I(1), I(AT_OUT)};
    cr_assert_eq(pipe(ends), 0);
    start_with(&guest, ends[0], -1);
    put_iovec(&guest, 100);

    cr_assert_eq(try_once(&guest, "fd_read", slots), CN_PARKED);
    cr_expect_not(guest_wakes(&guest, 0));
    cr_assert_eq(write(ends[1], "hello", 5), 5);
    cr_expect(guest_wakes(&guest, -1));
    cr_assert_eq(try_once(&guest, "fd_read", slots), CN_OK);
    cr_expect_eq(slots[0].u64, 0);
    cr_expect_eq(out_u32(&guest), 5);
    cr_expect_eq(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0, "the host's flag was changed");

    slots[0].u64 = 0;
    cr_assert_eq(try_once(&guest, "fd_read", slots), CN_PARKED);
    close(ends[1]);
    MUST(guest_read(&guest, 0, 100));
    cr_expect_eq(out_u32(&guest), 0, "the end");
    close(ends[0]);
    guest_finish(&guest);
}

Test(wasi_io, tries_again_without_a_reason_and_waits_anew)
{
    struct guest guest;
    int ends[2];
    union cn_slot slots[16] = {I(0), I(AT_IOVECS), I(1), I(AT_OUT)};
    cr_assert_eq(pipe(ends), 0);
    start_with(&guest, ends[0], -1);
    put_iovec(&guest, 100);

    cr_assert_eq(try_once(&guest, "fd_read", slots), CN_PARKED);
    cn_wasi_resume(guest.wasi);
    slots[0].u64 = 0;
    cr_assert_eq(try_once(&guest, "fd_read", slots), CN_PARKED);
    cr_assert_eq(write(ends[1], "hello", 5), 5);
    cn_wasi_resume(guest.wasi); /* it was the event this time, and nobody looked */
    slots[0].u64 = 0;
    cr_assert_eq(try_once(&guest, "fd_read", slots), CN_OK);
    slots[0].u64 = 0;
    cr_assert_eq(try_once(&guest, "fd_read", slots), CN_PARKED);
    cr_expect_not(guest_wakes(&guest, 0), "a stale event");
    cr_assert_eq(write(ends[1], "again", 5), 5);
    cr_expect(guest_wakes(&guest, -1));
    cr_assert_eq(try_once(&guest, "fd_read", slots), CN_OK);
    slots[0].u64 = 0;
    cr_assert_eq(try_once(&guest, "fd_read", slots), CN_PARKED);
    guest_finish(&guest); /* freed while it waits */
    close(ends[0]);
    close(ends[1]);
}

static void *read_slowly(void *context)
{
    static char buffer[7000];
    int fd = *(int *)context;
    size_t total = 0;
    ssize_t size;

    while ((size = read(fd, buffer, sizeof buffer)) > 0) {
        total += (size_t)size;
        usleep(200);
    }
    return (void *)total;
}

Test(wasi_io, writes_all_into_a_pipe_that_is_read_slowly, .timeout = 30)
{
    struct guest guest;
    pthread_t thread;
    void *total;
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    start_with(&guest, -1, ends[1]);

    cr_assert_eq(pthread_create(&thread, NULL, read_slowly, &ends[0]), 0);
    for (uint32_t i = 0; i < 10; i++) {
        cn_store_u32(guest.memory.base + AT_IOVECS + i * 8, AT_DATA);
        cn_store_u32(guest.memory.base + AT_IOVECS + i * 8 + 4, 150000);
    }
    MUST(CALL(&guest, "fd_write", I(1), I(AT_IOVECS), I(10), I(AT_OUT)));
    cr_expect_eq(out_u32(&guest), 1500000);
    cr_expect_gt(guest.wakes, 0);
    cr_expect_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    close(ends[1]);
    cn_wasi_resume(guest.wasi);
    MUST(CALL(&guest, "fd_close", I(1)));
    pthread_join(thread, &total);
    cr_expect_eq((size_t)total, 1500000);
    close(ends[0]);
    guest_finish(&guest);
}

Test(wasi_io, never_blocks_on_a_pipe_that_nobody_reads)
{
    struct guest guest;
    int ends[2];
    uint32_t total = 0, error;
    cr_assert_eq(pipe(ends), 0);
    start_with(&guest, ends[0], ends[1]);

    MUST(CALL(&guest, "fd_fdstat_set_flags", I(1), I(CN_FDFLAG_NONBLOCK)));
    MUST(CALL(&guest, "fd_fdstat_set_flags", I(0), I(CN_FDFLAG_NONBLOCK)));
    EXPECT_ERRNO(guest_read(&guest, 0, 10), AGAIN);
    while ((error = guest_write(&guest, 1, 30000)) == CN_E_SUCCESS)
        total += out_u32(&guest);
    EXPECT_ERRNO(error, AGAIN);
    cr_expect_geq(total, 60000);
    cr_expect_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    MUST(CALL(&guest, "fd_close", I(0)));
    close(ends[0]);
    EXPECT_ERRNO(guest_write(&guest, 1, 10), PIPE);
    close(ends[1]);
    guest_finish(&guest);
}

Test(wasi_io, uses_redirected_files_as_streams_with_a_position)
{
    struct guest guest;
    char name[] = "/tmp/cn-in-XXXXXX";
    int fd = mkstemp(name);
    cr_assert_eq(write(fd, "0123456789", 10), 10);
    lseek(fd, 2, SEEK_SET);
    start_with(&guest, fd, fd);

    MUST(guest_read(&guest, 0, 3));
    cr_expect_arr_eq(guest.memory.base + AT_DATA, "234", 3);
    MUST(CALL(&guest, "fd_seek", I(0), I(0), I(0), I(AT_OUT)));
    put_iovec(&guest, 4);
    MUST(CALL(&guest, "fd_pread", I(0), I(AT_IOVECS), I(1), I(6), I(AT_OUT)));
    cr_expect_arr_eq(guest.memory.base + AT_DATA, "6789", 4);
    MUST(guest_write(&guest, 1, 4));
    cr_expect_eq(guest.account.used[CN_QUOTA_DISK], 0);
    EXPECT_ERRNO(guest_write(&guest, 0, 4), NOTCAPABLE);
    EXPECT_ERRNO(guest_read(&guest, 1, 4), NOTCAPABLE);
    EXPECT_ERRNO(CALL(&guest, "fd_filestat_set_size", I(1), I(0)), INVAL);
    EXPECT_ERRNO(CALL(&guest, "sock_shutdown", I(1), I(1)), NOTSOCK);
    unlink(name);
    close(fd);
    guest_finish(&guest);
}

Test(wasi_io, says_what_a_stream_cannot)
{
    struct guest guest;
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    start_with(&guest, ends[0], ends[1]);

    EXPECT_ERRNO(CALL(&guest, "fd_seek", I(0), I(0), I(0), I(AT_OUT)), SPIPE);
    EXPECT_ERRNO(CALL(&guest, "fd_tell", I(0), I(AT_OUT)), SPIPE);
    EXPECT_ERRNO(guest_pwrite(&guest, 1, 4, 0), SPIPE);
    EXPECT_ERRNO(CALL(&guest, "fd_readdir", I(0), I(AT_DATA), I(100), I(0), I(AT_OUT)), NOTDIR);
    EXPECT_ERRNO(guest_open_full(&guest, 0, 0, "x", 0, 0, 0, 0), NOTDIR);
    MUST(CALL(&guest, "fd_fdstat_get", I(0), I(AT_OUT)));
    cr_expect_eq(guest.memory.base[AT_OUT], CN_FILETYPE_UNKNOWN);
    close(ends[0]);
    close(ends[1]);
    guest_finish(&guest);
}

/* A terminal whose other side reads nothing: what does not fit waits, and the guest with it. */
Test(wasi_io, never_blocks_on_a_terminal, .timeout = 20)
{
    struct guest guest;
    uint32_t total = 0, error;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        cr_skip("no pseudo-terminals here");
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    cr_assert_geq(slave, 0);
    start_with(&guest, slave, slave);

    MUST(CALL(&guest, "fd_fdstat_get", I(1), I(AT_OUT)));
    cr_expect_eq(guest.memory.base[AT_OUT], CN_FILETYPE_CHARACTER_DEVICE);
    cr_expect_eq(cn_load_u64(guest.memory.base + AT_OUT + 8) & CN_RIGHT_FD_SEEK, 0, "isatty");
    MUST(CALL(&guest, "fd_fdstat_set_flags", I(1), I(CN_FDFLAG_NONBLOCK)));
    memset(guest.memory.base + AT_DATA, '\n', 30000);
    while ((error = guest_write(&guest, 1, 30000)) == CN_E_SUCCESS)
        total += out_u32(&guest);
    EXPECT_ERRNO(error, AGAIN);
    cr_expect_gt(total, 0);
    MUST(CALL(&guest, "fd_fdstat_set_flags", I(0), I(CN_FDFLAG_NONBLOCK)));
    EXPECT_ERRNO(guest_read(&guest, 0, 10), AGAIN);
    cr_expect_eq(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
    close(master);
    close(slave);
    guest_finish(&guest);
}
