/* Moves bytes in the ways that rates and totals hold back, and says how long that took: one line
 * "NAME BYTES NANOSECONDS". The first argument says what to do, the second how much. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cordon/listen.h>
#include <cordon/quota.h>

static char buffer[1 << 16];

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void say(const char *what, uint64_t amount, uint64_t start)
{
    printf("%s %llu %llu\n", what, (unsigned long long)amount,
           (unsigned long long)(now() - start));
}

/* `from` is read and `to` written, all of it. */
static void copy(uint64_t size)
{
    int from = open("from", O_RDONLY), to = open("to", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    uint64_t start = now(), done = 0;

    if (from < 0 || to < 0)
        die("open");
    while (done < size) {
        ssize_t count = read(from, buffer, sizeof buffer);
        if (count <= 0 || write(to, buffer, (size_t)count) != count)
            die("copy");
        done += (uint64_t)count;
    }
    say("copy", 2 * done, start);
}

static void write_log(uint64_t size)
{
    uint64_t start = now(), done = 0;

    memset(buffer, 'x', sizeof buffer);
    while (done < size) {
        ssize_t count = write(2, buffer, size - done < 1000 ? size - done : 1000);
        if (count <= 0)
            die("write");
        done += (uint64_t)count;
    }
    say("log", done, start);
}

static void stat_often(uint64_t times)
{
    uint64_t start = now();
    struct stat status;

    for (uint64_t i = 0; i < times; i++)
        if (stat(".", &status) != 0)
            die("stat");
    say("stat", times, start);
}

/* Without waiting: what cannot go on now is waited for by poll, and how often is counted. */
static void write_without_waiting(uint64_t size)
{
    struct pollfd entry = {.fd = open("to", O_WRONLY | O_CREAT | O_NONBLOCK, 0600),
                           .events = POLLOUT};
    uint64_t start = now(), done = 0, polls = 0;

    if (entry.fd < 0)
        die("open");
    while (done < size) {
        ssize_t count = write(entry.fd, buffer, size - done < 65536 ? size - done : 65536);
        if (count < 0 && errno != EAGAIN)
            die("write");
        done += count > 0 ? (uint64_t)count : 0;
        if (count < 0) {
            polls++;
            if (poll(&entry, 1, -1) != 1 || !(entry.revents & POLLOUT))
                die("poll");
        }
    }
    say("nowait", done, start);
    say("polls", polls, start);
}

/* Connections one after the other: 'e' is answered with what comes; 's' sends as much as it can
 * up to `size`; 'r' receives until the end. */
static void serve(uint64_t size)
{
    int listener = cordon_listener_first();
    char what;

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            die("accept");
        if (recv(fd, &what, 1, 0) != 1)
            return;
        uint64_t start = now(), done = 0;
        ssize_t count = 1;
        while (what == 's' ? done < size : count > 0) {
            count = what == 's' ? send(fd, buffer, sizeof buffer, 0)
                                : recv(fd, buffer, sizeof buffer, 0);
            if (count <= 0)
                break;
            if (what == 'e' && send(fd, buffer, (size_t)count, 0) != count)
                die("send");
            done += (uint64_t)count;
        }
        if (count < 0)
            printf("error %d\n", errno);
        say("socket", done, start);
        fflush(stdout);
        close(fd);
    }
}

/* Holds as many connections as it gets; then the next one is refused, and a poll does not call
 * the listener ready until one is closed. */
static void hold(uint64_t most)
{
    struct pollfd entry = {.fd = cordon_listener_first(), .events = POLLIN};
    int fds[16];

    for (uint64_t i = 0; i < most; i++) {
        fds[i] = accept(entry.fd, NULL, NULL);
        if (fds[i] < 0)
            die("accept");
    }
    int more = accept(entry.fd, NULL, NULL);
    printf("refused %d\n", more < 0 && errno == ENFILE);
    printf("held %d\n", poll(&entry, 1, 50) == 0);
    close(fds[0]);
    printf("ready %d\n", poll(&entry, 1, 5000) == 1 && accept(entry.fd, NULL, NULL) >= 0);
}

static void poll_many(uint64_t most)
{
    struct pollfd entries[16];

    for (int i = 0; i < 16; i++)
        entries[i] = (struct pollfd){.fd = 1, .events = POLLOUT};
    printf("fits %d\n", poll(entries, (nfds_t)most, -1) == (int)most);
    printf("refused %d\n", poll(entries, (nfds_t)most + 1, -1) < 0 && errno == ENOMEM);
}

/* Adds to a file, and fails, so that it is started again. */
static void append(uint64_t size)
{
    int fd = open("grown", O_WRONLY | O_CREAT | O_APPEND, 0600);

    if (fd >= 0)
        (void)!write(fd, buffer, size);
    exit(1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(uint64_t amount);
    } things[] = {
        {"copy", copy},   {"log", write_log}, {"stat", stat_often},
        {"serve", serve}, {"hold", hold},     {"poll", poll_many},
        {"nowait", write_without_waiting}, {"append", append},
    };

    for (size_t i = 0; argc == 3 && i < sizeof things / sizeof things[0]; i++)
        if (strcmp(argv[1], things[i].name) == 0)
            things[i].run(strtoull(argv[2], NULL, 10));
    return 0;
}
