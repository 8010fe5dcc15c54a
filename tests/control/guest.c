/* A guest that does what its first argument says. */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cordon/quota.h>

extern char **environ;

/* So many lines of 16 bytes each. */
static int print(long count)
{
    for (long i = 0; i < count; i++)
        printf("line %010ld\n", i);
    return 0;
}

static int spin(void)
{
    for (volatile unsigned i = 0;; i++)
        ;
}

static int show(int count, char **words)
{
    for (int i = 0; i < count; i++)
        printf("arg %s\n", words[i]);
    for (char **variable = environ; *variable != NULL; variable++)
        printf("env %s\n", *variable);
    FILE *file = fopen("/given/file", "r");
    char text[40] = "";
    if (file != NULL && fgets(text, sizeof text, file) != NULL)
        printf("file %s", text);
    printf("write %s\n", fopen("/given/new", "w") != NULL ? "yes" : "no");
    printf("stdin %d\n", getchar());
    return 0;
}

/* Answers one connection after another with a line. */
static int serve(int listener)
{
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            return 1;
        send(client, "hello\n", 6, 0);
        close(client);
    }
}

/* Controls, half a character, and text that must stay. */
static int dirty(void)
{
    static const char text[] = "a\033[31mb\302\205c\303\244d\342\200\256e\r\ttab\377\303";

    fwrite(text, 1, sizeof text - 1, stdout);
    return 0;
}

/* Counts, in a file there, how often it has been started, and says it; then it does as told. */
static int tally(const char *folder, const char *then)
{
    char name[80];
    int number = 0;

    snprintf(name, sizeof name, "%s/a-name-in-clear", folder);
    FILE *file = fopen(name, "r");
    if (file != NULL && fscanf(file, "content-in-clear %d", &number) != 1)
        return 3;
    if (file != NULL)
        fclose(file);
    file = fopen(name, "w");
    if (file == NULL || fprintf(file, "content-in-clear %d\n", ++number) < 0 ||
        fclose(file) != 0)
        return 4;
    printf("tally %d\n", number);
    fflush(stdout);
    if (strcmp(then, "sleep") == 0)
        sleep(1000);
    return strcmp(then, "fail") == 0;
}

/* Creates files of 4 KiB, writes into them and removes some, until the quota is exhausted; then it
 * has no end. */
static int litter(void)
{
    static char bytes[4096];
    char name[40];

    for (int i = 0;; i++) {
        snprintf(name, sizeof name, "/given/%d", i);
        FILE *file = fopen(name, "w");
        if (file == NULL || fwrite(bytes, 1, sizeof bytes, file) < sizeof bytes ||
            fclose(file) != 0)
            sleep(1000);
        if (i % 3 == 0)
            remove(name);
    }
}

__attribute__((import_module("cordon"), import_name("pressure_open"))) uint16_t
pressure_open(int *fd);
__attribute__((import_module("cordon"), import_name("pressure_get"))) uint16_t
pressure_get(int fd, int *causes);

/* Waits until it is told of memory pressure, and ends with the causes. */
static int wait_for_pressure(void)
{
    struct pollfd wait = {.events = POLLIN};
    int causes = 0;

    if (pressure_open(&wait.fd) != 0 || poll(&wait, 1, -1) != 1 ||
        pressure_get(wait.fd, &causes) != 0)
        return 100;
    return causes;
}

__attribute__((noinline)) static unsigned fall(unsigned depth)
{
    unsigned below = depth > 0 ? fall(depth - 1) : 0;

    return below * 31 + depth;
}

/* Waits until its call stack may have another size than this, and calls itself so often. */
static int dive(unsigned depth, unsigned long limit)
{
    struct cordon_quota now;

    do {
        usleep(10000);
        if (cordon_quota_get(CORDON_QUOTA_STACK, &now) != 0)
            return 100;
    } while (now.limit == limit);
    return fall(depth) == 0;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "exit";
    long number = count > 2 ? atol(words[2]) : 0;

    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    if (strcmp(what, "print") == 0)
        return print(number);
    if (strcmp(what, "talk") == 0) {
        printf("first\n");
        fflush(stdout);
        sleep(1000);
    }
    if (strcmp(what, "spin") == 0)
        return spin();
    if (strcmp(what, "sleep") == 0)
        return (int)sleep(1000);
    if (strcmp(what, "show") == 0)
        return show(count, words);
    if (strcmp(what, "serve") == 0)
        return serve((int)number);
    if (strcmp(what, "dirty") == 0)
        return dirty();
    if (strcmp(what, "dive") == 0)
        return dive((unsigned)number, count > 3 ? strtoul(words[3], NULL, 10) : 0);
    if (strcmp(what, "litter") == 0)
        return litter();
    if (strcmp(what, "tally") == 0)
        return count > 2 ? tally(words[2], count > 3 ? words[3] : "") : 2;
    if (strcmp(what, "pressure") == 0)
        return wait_for_pressure();
    return (int)number;
}
