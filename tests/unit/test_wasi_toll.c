/* Rates and totals of what passes descriptors. Only "never more" is asserted about time. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "governor/rate.h"
#include "wasi_fixture.h"

#define SECOND 1000000000ull

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* So much is allowed between then and now, a burst of 100 ms (or 4 KiB) included. */
static uint64_t allowed(uint64_t rate, uint64_t start)
{
    uint64_t burst = rate / 10 > 4096 ? rate / 10 : 4096;

    return (uint64_t)((unsigned __int128)(now_ns() - start) * rate / SECOND) + burst + 1;
}

static uint32_t set_flags(struct guest *guest, uint32_t fd, uint32_t flags)
{
    return CALL(guest, "fd_fdstat_set_flags", I(fd), I(flags));
}

Test(wasi_toll, a_file_is_written_and_read_at_the_rate)
{
    struct guest guest;
    uint64_t rate = 1 << 20;

    guest_prepare(&guest);
    uint64_t start = now_ns();
    guest.account.limit[CN_QUOTA_DISK_RATE] = rate;
    guest_start(&guest, false);
    MUST(guest_open(&guest, "f", CN_OFLAG_CREAT));
    uint32_t fd = out_u32(&guest);
    for (int i = 0; i < 2; i++) {
        MUST(guest_write(&guest, fd, 131072));
        cr_expect_eq(out_u32(&guest), 131072, "all of it, though it has to wait");
    }
    uint64_t passed = guest.account.used[CN_QUOTA_DISK_RATE];
    cr_expect_eq(passed, 262144);
    cr_expect_leq(passed, allowed(rate, start));
    cr_expect_gt(guest.account.refused[CN_QUOTA_DISK_RATE], 0);
    MUST(CALL(&guest, "fd_seek", I(fd), I(0), I(SEEK_SET), I(AT_OUT)));
    MUST(guest_read(&guest, fd, 131072));
    cr_expect_eq(out_u32(&guest), 131072);
    cr_expect_leq(guest.account.used[CN_QUOTA_DISK_RATE], allowed(rate, start));
    guest_finish(&guest);
}

Test(wasi_toll, what_must_not_wait_is_refused)
{
    struct guest guest;

    guest_setup(&guest);
    MUST(guest_open(&guest, "f", CN_OFLAG_CREAT));
    uint32_t fd = out_u32(&guest);
    MUST(set_flags(&guest, fd, CN_FDFLAG_NONBLOCK));
    MUST(guest_write(&guest, fd, 100));
    guest.account.limit[CN_QUOTA_DISK_RATE] = 0;
    EXPECT_ERRNO(guest_write(&guest, fd, 100), AGAIN);
    MUST(guest_write(&guest, fd, 0));
    guest.account.limit[CN_QUOTA_DISK_RATE] = CN_UNLIMITED;
    MUST(guest_write(&guest, fd, 100));
    guest.account.limit[CN_QUOTA_DISK_OPS] = 0;
    EXPECT_ERRNO(guest_write(&guest, fd, 100), AGAIN);
    EXPECT_ERRNO(guest_write(&guest, fd + 1, 100), BADF);
    cr_expect_eq(guest.account.used[CN_QUOTA_DISK_RATE], 200);
    guest_finish(&guest);
}

Test(wasi_toll, a_change_reaches_a_call_that_waits)
{
    struct guest guest;
    union cn_slot slots[16] = {{.u64 = 0}};

    guest_setup(&guest);
    MUST(guest_open(&guest, "f", CN_OFLAG_CREAT));
    slots[0].u64 = out_u32(&guest);
    slots[1].u64 = AT_IOVECS;
    slots[2].u64 = 1;
    slots[3].u64 = AT_OUT;
    put_iovec(&guest, 1000);
    guest.account.limit[CN_QUOTA_DISK_RATE] = 0;
    guest.thread.call_state = (struct cn_call_state){{0}};
    cr_assert_eq(try_once(&guest, "fd_write", slots), CN_PARKED);
    cr_expect_not(guest_wakes(&guest, 30), "it would wait for ever");
    guest.account.limit[CN_QUOTA_DISK_RATE] = CN_UNLIMITED;
    cr_assert_eq(try_once(&guest, "fd_write", slots), CN_OK);
    cr_expect_eq(out_u32(&guest), 1000);
    guest_finish(&guest);
}

Test(wasi_toll, operations_count_once_each)
{
    struct guest guest;

    guest_setup(&guest);
    const uint64_t *used = &guest.account.used[CN_QUOTA_DISK_OPS];
    MUST(guest_path(&guest, "path_create_directory", "d"));
    cr_expect_eq(*used, 1);
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", "d"), EXIST);
    cr_expect_eq(*used, 2, "in vain, but it was tried");
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", ""), NOENT);
    cr_expect_eq(*used, 2, "a bad parameter costs nothing");
    MUST(guest_open(&guest, "f", CN_OFLAG_CREAT));
    uint32_t fd = out_u32(&guest);
    guest.account.limit[CN_QUOTA_DISK_RATE] = 1 << 20;
    MUST(guest_write(&guest, fd, 131072));
    cr_expect_eq(*used, 4, "one write, in many steps");
    MUST(CALL(&guest, "fd_seek", I(fd), I(0), I(SEEK_SET), I(AT_OUT)));
    MUST(guest_write(&guest, 1, 10));
    MUST(CALL(&guest, "fd_close", I(fd)));
    cr_expect_eq(*used, 4, "seeking, standard output and closing are free");
    uint64_t start = now_ns();
    guest.account.limit[CN_QUOTA_DISK_OPS] = 100;
    for (int i = 0; i < 30; i++)
        MUST(CALL(&guest, "fd_filestat_get", I(3), I(AT_OUT)));
    cr_expect_leq(*used - 4, (now_ns() - start) * 100 / SECOND + 11);
    guest_finish(&guest);
}

Test(wasi_toll, standard_output_is_the_log)
{
    struct guest guest;

    guest_setup(&guest);
    MUST(guest_write(&guest, 1, 300));
    MUST(guest_write(&guest, 2, 200));
    MUST(guest_read(&guest, 0, 100));
    cr_expect_eq(guest.account.used[CN_QUOTA_LOG_RATE], 500);
    cr_expect_eq(guest.account.used[CN_QUOTA_DISK_RATE], 0);
    guest.account.limit[CN_QUOTA_LOG_RATE] = 0;
    MUST(set_flags(&guest, 2, CN_FDFLAG_NONBLOCK));
    EXPECT_ERRNO(guest_write(&guest, 2, 1), AGAIN);
    MUST(guest_read(&guest, 0, 100));
    guest_finish(&guest);
}

/* One subscription at AT_DATA, its event behind it. */
static void put_subscription(struct guest *guest, uint32_t at, uint8_t tag, uint32_t fd)
{
    struct cn_abi_subscription subscription = {.tag = tag, .fd = fd};

    memcpy(guest->memory.base + AT_DATA + at * sizeof subscription, &subscription,
           sizeof subscription);
}

static uint32_t poll_all(struct guest *guest, uint32_t count)
{
    return CALL(guest, "poll_oneoff", I(AT_DATA), I(AT_DATA + 65536), I(count), I(AT_OUT));
}

Test(wasi_toll, a_poll_waits_for_the_rate)
{
    struct guest guest;

    guest_setup(&guest);
    MUST(guest_open(&guest, "f", CN_OFLAG_CREAT));
    uint32_t fd = out_u32(&guest);
    put_subscription(&guest, 0, CN_EVENT_FD_WRITE, fd);
    MUST(poll_all(&guest, 1));
    cr_expect_eq(guest.wakes, 0);
    uint64_t start = now_ns();
    guest.account.limit[CN_QUOTA_DISK_OPS] = 10;
    MUST(CALL(&guest, "fd_filestat_get", I(fd), I(AT_OUT + 64)));
    guest.wakes = 0;
    MUST(poll_all(&guest, 1));
    cr_expect_leq(guest.wakes, 2, "without asking again and again");
    cr_expect_geq(now_ns() - start, SECOND / 5, "not before the second one has come");
    cr_expect_eq(guest.account.used[CN_QUOTA_TIMERS], 0);
    guest_finish(&guest);
}

Test(wasi_toll, polls_have_so_many_subscriptions)
{
    struct guest guest;

    guest_setup(&guest);
    guest.account.limit[CN_QUOTA_TIMERS] = 3;
    for (uint32_t i = 0; i < 4; i++)
        put_subscription(&guest, i, CN_EVENT_FD_WRITE, 1);
    MUST(poll_all(&guest, 3));
    EXPECT_ERRNO(poll_all(&guest, 4), NOMEM);
    MUST(poll_all(&guest, 3));
    cr_expect_eq(guest.account.peak[CN_QUOTA_TIMERS], 3);
    cr_expect_eq(guest.account.refused[CN_QUOTA_TIMERS], 1);
    guest_finish(&guest);
}

struct net {
    struct guest guest;
    struct sockaddr_in address;
    int client;
};

static int connect_to(const struct net *net)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(connect(client, (const void *)&net->address, sizeof net->address), 0);
    return client;
}

static uint32_t start(struct net *net)
{
    socklen_t size = sizeof net->address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    guest_prepare(&net->guest);
    net->address = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(listener, (void *)&net->address, size), 0);
    cr_assert_eq(listen(listener, 16), 0);
    getsockname(listener, (void *)&net->address, &size);
    struct cn_wasi_config config = {
        .stdio = {-1, -1, -1}, .listeners = &listener, .listener_count = 1,
        .account = &net->guest.account, .cpu_ns = guest_cpu_ns,
    };
    cr_assert_eq(cn_wasi_new(&config, &net->guest.wasi, NULL), CN_OK);
    close(listener);
    net->client = connect_to(net);
    MUST(CALL(&net->guest, "sock_accept", I(3), I(0), I(AT_OUT)));
    return out_u32(&net->guest);
}

static void finish(struct net *net)
{
    close(net->client);
    guest_finish(&net->guest);
    cr_expect_eq(net->guest.account.used[CN_QUOTA_CONNECTIONS], 0);
}

Test(wasi_toll, totals_are_exact)
{
    struct net net;
    char bytes[2000] = "";
    uint32_t fd = start(&net);

    net.guest.account.limit[CN_QUOTA_NET_RX] = 1500;
    net.guest.account.limit[CN_QUOTA_NET_TX] = 700;
    cr_assert_eq(send(net.client, bytes, sizeof bytes, 0), (ssize_t)sizeof bytes);
    put_iovec(&net.guest, 2000);
    MUST(CALL(&net.guest, "sock_recv", I(fd), I(AT_IOVECS), I(1), I(CN_RECV_PEEK), I(AT_OUT),
              I(AT_OUT + 8)));
    cr_expect_eq(out_u32(&net.guest), 1500, "no more than that can be seen either");
    MUST(CALL(&net.guest, "sock_recv", I(fd), I(AT_IOVECS), I(1), I(CN_RECV_WAITALL), I(AT_OUT),
              I(AT_OUT + 8)));
    cr_expect_eq(out_u32(&net.guest), 1500);
    EXPECT_ERRNO(guest_read(&net.guest, fd, 1), DQUOT);
    MUST(guest_read(&net.guest, fd, 0));
    MUST(guest_write(&net.guest, fd, 1000));
    cr_expect_eq(out_u32(&net.guest), 700);
    EXPECT_ERRNO(guest_write(&net.guest, fd, 1), DQUOT);
    net.guest.account.limit[CN_QUOTA_NET_RX] = 2001;
    MUST(guest_read(&net.guest, fd, 1000));
    cr_expect_eq(out_u32(&net.guest), 500);
    cr_expect_eq(net.guest.account.used[CN_QUOTA_NET_RX], 2000);
    cr_expect_eq(net.guest.account.used[CN_QUOTA_NET_TX], 700);
    cr_expect_eq(net.guest.account.used[CN_QUOTA_NET_RX_RATE], 2000);
    finish(&net);
}

Test(wasi_toll, connections_are_given_back)
{
    struct net net;
    uint32_t fd = start(&net);

    net.guest.account.limit[CN_QUOTA_CONNECTIONS] = 1;
    int second = connect_to(&net);
    EXPECT_ERRNO(CALL(&net.guest, "sock_accept", I(3), I(0), I(AT_OUT)), NFILE);
    cr_expect_eq(net.guest.account.used[CN_QUOTA_FDS], 2, "nothing is left behind");
    MUST(CALL(&net.guest, "fd_close", I(fd)));
    MUST(CALL(&net.guest, "sock_accept", I(3), I(0), I(AT_OUT)));
    cr_expect_eq(net.guest.account.used[CN_QUOTA_CONNECTIONS], 1);
    cr_expect_eq(net.guest.account.peak[CN_QUOTA_CONNECTIONS], 1);
    close(second);
    finish(&net);
}

Test(wasi_toll, a_socket_is_held_to_its_rate)
{
    struct net net;
    uint32_t fd = start(&net);
    uint64_t rate = 1 << 20, begin = now_ns();
    static char bytes[200000];

    net.guest.account.limit[CN_QUOTA_NET_TX_RATE] = rate;
    net.guest.account.limit[CN_QUOTA_NET_RX_RATE] = rate;
    for (int i = 0; i < 2; i++) {
        MUST(guest_write(&net.guest, fd, 100000));
        cr_expect_eq(out_u32(&net.guest), 100000);
    }
    cr_expect_leq(200000, allowed(rate, begin));
    cr_assert_eq(send(net.client, bytes, sizeof bytes, 0), (ssize_t)sizeof bytes);
    for (uint32_t got = 0; got < sizeof bytes; got += out_u32(&net.guest))
        MUST(guest_read(&net.guest, fd, 131072));
    cr_expect_leq(200000, allowed(rate, begin));
    cr_expect_gt(net.guest.account.refused[CN_QUOTA_NET_TX_RATE], 0);
    finish(&net);
}
