/* The documented pattern: accept() in a loop on the first listener, one client after another;
 * then two at once with poll(). Ends when a client says so.
 * options: --listen 0 */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

__attribute__((import_module("cordon"), import_name("listeners"))) int
cordon_listeners(int *first, int *count);

static void serve_in_turn(int listener)
{
    char bytes[4096];

    for (int i = 0; i < 3; i++) {
        int client = accept(listener, NULL, NULL);
        ssize_t size;
        CHECK(client > listener);
        while ((size = recv(client, bytes, sizeof bytes, 0)) > 0)
            CHECK(send(client, bytes, (size_t)size, 0) == size);
        CHECK(size == 0 && shutdown(client, SHUT_RDWR) == 0 && close(client) == 0);
    }
}

static void serve_together(int listener)
{
    char bytes[4096];
    struct pollfd entries[3] = {{.fd = listener, .events = POLLIN}};
    int count = 1;

    while (count > 0) {
        CHECK(poll(entries, (nfds_t)count, 5000) > 0);
        for (int i = count - 1; i > 0; i--) {
            if (!(entries[i].revents & (POLLIN | POLLHUP)))
                continue;
            ssize_t size = read(entries[i].fd, bytes, sizeof bytes);
            CHECK(size >= 0 && write(entries[i].fd, bytes, (size_t)size) == size);
            if (size == 0) {
                CHECK(close(entries[i].fd) == 0);
                entries[i] = entries[--count];
            } else if (bytes[0] == 'q') {
                return;
            }
        }
        if (entries[0].revents & POLLIN && count < 3) {
            int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            CHECK(client >= 0);
            FAILS(read(client, bytes, 1), EAGAIN);
            entries[count++] = (struct pollfd){.fd = client, .events = POLLIN};
        }
    }
}

int main(void)
{
    int first = -1, count = -1, type = 0;
    socklen_t size = sizeof type;

    CHECK(cordon_listeners(&first, &count) == 0 && count == 1 && first == 3);
    CHECK(getsockopt(first, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM);
    serve_in_turn(first);
    serve_together(first);
    puts("ok");
    return 0;
}
