/* What a VM is given as descriptors that are open already. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "include/cordon.h"

static cordon_config_t *config;
static cordon_error_t error;

static void open_config(void)
{
    config = cordon_config_new(&error);
}

static void close_config(void)
{
    cordon_config_free(config);
}

TestSuite(grants, .init = open_config, .fini = close_config);

Test(grants, takes_a_directory_that_is_open)
{
    int fd = open("/", O_PATH | O_DIRECTORY);

    cr_expect(cordon_config_dir_fd(config, fd, "/", true, &error));
    cr_expect_eq(close(fd), 0, "the caller's is still its own");
}

Test(grants, refuses_what_is_no_directory)
{
    int fd = open("/dev/null", O_RDONLY);

    cr_expect_not(cordon_config_dir_fd(config, fd, "/", true, &error));
    cr_expect_eq(error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_config_dir_fd(config, -1, "/", true, &error));
    cr_expect_eq(error.kind, CORDON_IO);
    close(fd);
}

Test(grants, takes_a_listener_and_tells_its_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint16_t port = 0;

    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_expect_not(cordon_config_listener_fd(config, fd, &port, &error), "it does not listen yet");
    cr_expect_eq(error.kind, CORDON_MISUSE);
    cr_assert_eq(listen(fd, 1), 0);
    cr_expect(cordon_config_listener_fd(config, fd, &port, &error));
    cr_expect_gt(port, 0);
    close(fd);
}

Test(grants, refuses_what_is_no_tcp_listener)
{
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_expect_not(cordon_config_listener_fd(config, pair[0], NULL, &error));
    cr_expect_eq(error.kind, CORDON_MISUSE);
    cr_expect_not(cordon_config_listener_fd(config, -1, NULL, &error));
    close(pair[0]);
    close(pair[1]);
}
