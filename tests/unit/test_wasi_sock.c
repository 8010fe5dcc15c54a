/* Listeners and connections. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "wasi_fixture.h"

struct server {
    struct guest guest;
    struct sockaddr_in address;
};

static void start(struct server *server)
{
    socklen_t size = sizeof server->address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    guest_prepare(&server->guest);
    server->address = (struct sockaddr_in){.sin_family = AF_INET,
                                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(listener, (void *)&server->address, size), 0);
    cr_assert_eq(listen(listener, 16), 0);
    getsockname(listener, (void *)&server->address, &size);
    struct cn_wasi_config config = {
        .stdio = {-1, -1, -1}, .listeners = &listener, .listener_count = 1,
        .account = &server->guest.account, .cpu_ns = guest_cpu_ns,
    };
    cr_assert_eq(cn_wasi_new(&config, &server->guest.wasi, NULL), CN_OK);
    close(listener);
}

static int connect_to(const struct server *server)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(connect(client, (const void *)&server->address, sizeof server->address), 0);
    return client;
}

static uint32_t accept_one(struct server *server, uint64_t flags)
{
    return CALL(&server->guest, "sock_accept", I(3), I(flags), I(AT_OUT));
}

static uint32_t receive(struct server *server, uint32_t fd, uint32_t size, uint32_t flags)
{
    put_iovec(&server->guest, size);
    return CALL(&server->guest, "sock_recv", I(fd), I(AT_IOVECS), I(1), I(flags), I(AT_OUT),
                I(AT_OUT + 8));
}

static uint32_t send_bytes(struct server *server, uint32_t fd, uint32_t size, uint32_t flags)
{
    put_iovec(&server->guest, size);
    return CALL(&server->guest, "sock_send", I(fd), I(AT_IOVECS), I(1), I(flags), I(AT_OUT));
}

Test(wasi_sock, tells_listeners_from_directories)
{
    struct server server;
    struct guest *guest = &server.guest;
    start(&server);

    EXPECT_ERRNO(CALL(guest, "fd_prestat_get", I(3), I(AT_OUT)), BADF);
    MUST(CALL(guest, "fd_fdstat_get", I(3), I(AT_OUT)));
    cr_expect_eq(guest->memory.base[AT_OUT], CN_FILETYPE_SOCKET_STREAM);
    EXPECT_ERRNO(guest_read(guest, 3, 10), NOTCONN);
    EXPECT_ERRNO(receive(&server, 3, 10, 0), NOTCONN);
    EXPECT_ERRNO(CALL(guest, "sock_shutdown", I(3), I(1)), NOTCONN);
    guest->module = "cordon";
    MUST(CALL(guest, "listeners", I(AT_OUT), I(AT_OUT + 4)));
    cr_expect_eq(out_u64(guest), 3 | (uint64_t)1 << 32);
    guest_finish(guest);
}

Test(wasi_sock, accepts_talks_and_counts)
{
    struct server server;
    char text[16] = "";
    start(&server);
    int client = connect_to(&server);

    MUST(accept_one(&server, 0));
    uint32_t fd = out_u32(&server.guest);
    cr_assert_eq(write(client, "hello", 5), 5);
    MUST(receive(&server, fd, 100, CN_RECV_PEEK));
    cr_expect_eq(out_u32(&server.guest), 5);
    MUST(receive(&server, fd, 3, 0));
    MUST(guest_read(&server.guest, fd, 100));
    cr_expect_arr_eq(server.guest.memory.base + AT_DATA, "lolol", 2);
    MUST(send_bytes(&server, fd, 2, 0));
    MUST(guest_write(&server.guest, fd, 2));
    cr_expect_eq(recv(client, text, 4, MSG_WAITALL), 4);
    EXPECT_ERRNO(send_bytes(&server, fd, 2, 1), INVAL);
    EXPECT_ERRNO(receive(&server, fd, 2, 4), INVAL);
    struct cn_wasi_stats stats = cn_wasi_stats(server.guest.wasi);
    cr_expect_eq(stats.net_in, 5);
    cr_expect_eq(stats.net_out, 4);
    cr_expect_eq(stats.connections, 1);
    close(client);
    guest_finish(&server.guest);
}

Test(wasi_sock, shuts_down_and_sees_the_end)
{
    struct server server;
    char text[16];
    start(&server);
    int client = connect_to(&server);
    MUST(accept_one(&server, 0));
    uint32_t fd = out_u32(&server.guest);

    EXPECT_ERRNO(CALL(&server.guest, "sock_shutdown", I(fd), I(0)), INVAL);
    EXPECT_ERRNO(CALL(&server.guest, "sock_shutdown", I(fd), I(4)), INVAL);
    MUST(CALL(&server.guest, "sock_shutdown", I(fd), I(CN_SHUT_WR)));
    cr_expect_eq(read(client, text, 10), 0);
    EXPECT_ERRNO(send_bytes(&server, fd, 10, 0), PIPE);
    close(client);
    MUST(receive(&server, fd, 10, 0));
    cr_expect_eq(out_u32(&server.guest), 0);
    EXPECT_ERRNO(CALL(&server.guest, "sock_accept", I(fd), I(0), I(AT_OUT)), INVAL);
    guest_finish(&server.guest);
}

Test(wasi_sock, does_not_wait_when_told_so)
{
    struct server server;
    start(&server);

    MUST(CALL(&server.guest, "fd_fdstat_set_flags", I(3), I(CN_FDFLAG_NONBLOCK)));
    EXPECT_ERRNO(accept_one(&server, 0), AGAIN);
    cr_expect_eq(server.guest.account.used[CN_QUOTA_FDS], 1);
    int client = connect_to(&server);
    MUST(accept_one(&server, CN_FDFLAG_NONBLOCK));
    uint32_t fd = out_u32(&server.guest);
    EXPECT_ERRNO(receive(&server, fd, 10, 0), AGAIN);
    EXPECT_ERRNO(receive(&server, fd, 10, CN_RECV_WAITALL), AGAIN);
    EXPECT_ERRNO(accept_one(&server, 1), INVAL);
    while (guest_write(&server.guest, fd, 65536) == CN_E_SUCCESS) {
    }
    EXPECT_ERRNO(guest_write(&server.guest, fd, 65536), AGAIN);
    close(client);
    guest_finish(&server.guest);
}

Test(wasi_sock, keeps_a_connection_waiting_when_descriptors_are_used_up)
{
    struct server server;
    start(&server);
    server.guest.account.limit[CN_QUOTA_FDS] = 2;
    int client = connect_to(&server), other = connect_to(&server);

    MUST(accept_one(&server, 0));
    uint32_t fd = out_u32(&server.guest);
    EXPECT_ERRNO(accept_one(&server, 0), MFILE);
    MUST(CALL(&server.guest, "fd_close", I(fd)));
    MUST(accept_one(&server, 0));
    cr_expect_eq(out_u32(&server.guest), fd);
    close(client);
    close(other);
    guest_finish(&server.guest);
}

static void *talk_slowly(void *context)
{
    const struct server *server = context;
    static char buffer[65536];
    size_t total = 0;
    ssize_t size;

    usleep(20000);
    int client = connect_to(server);
    for (int i = 0; i < 5; i++) {
        usleep(3000);
        if (write(client, "0123456789", 10) != 10)
            return NULL;
    }
    while ((size = read(client, buffer, sizeof buffer)) > 0) {
        total += (size_t)size;
        usleep(100);
    }
    close(client);
    return (void *)total;
}

Test(wasi_sock, waits_for_a_client_for_all_bytes_and_for_room, .timeout = 30)
{
    struct server server;
    pthread_t thread;
    void *total;
    start(&server);

    cr_assert_eq(pthread_create(&thread, NULL, talk_slowly, &server), 0);
    MUST(accept_one(&server, 0));
    uint32_t fd = out_u32(&server.guest);
    MUST(receive(&server, fd, 50, CN_RECV_WAITALL));
    cr_expect_eq(out_u32(&server.guest), 50);
    cr_expect_arr_eq(server.guest.memory.base + AT_DATA + 40, "0123456789", 10);
    for (uint32_t i = 0; i < 60; i++) {
        cn_store_u32(server.guest.memory.base + AT_IOVECS + i * 8, AT_DATA);
        cn_store_u32(server.guest.memory.base + AT_IOVECS + i * 8 + 4, 150000);
    }
    MUST(CALL(&server.guest, "sock_send", I(fd), I(AT_IOVECS), I(60), I(0), I(AT_OUT)));
    cr_expect_eq(out_u32(&server.guest), 9000000);
    MUST(CALL(&server.guest, "fd_close", I(fd)));
    pthread_join(thread, &total);
    cr_expect_eq((size_t)total, 9000000);
    guest_finish(&server.guest);
}

Test(wasi_sock, survives_a_client_that_gives_up)
{
    struct server server;
    struct linger now = {1, 0};
    start(&server);
    int client = connect_to(&server);
    MUST(accept_one(&server, 0));
    uint32_t fd = out_u32(&server.guest);

    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(client);
    EXPECT_ERRNO(receive(&server, fd, 10, 0), CONNRESET);
    EXPECT_ERRNO(send_bytes(&server, fd, 10, 0), PIPE);
    guest_finish(&server.guest);
}
