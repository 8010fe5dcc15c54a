/* A guest that has secrets. They are compiled in masked (secrets.h is made for every run of the
 * tests), so that they stand in clear only where it puts them.
 *
 *     guest hold FOLDER|- [anything]   puts them everywhere, says "ready", and stays
 *     guest once FOLDER|- [anything]   the same, and ends
 *     guest churn FOLDER SEED          files with secrets come and go, until it is killed
 *     guest clear FOLDER               removes them all
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cordon/listen.h>

#include "secrets.h"

enum { IN_MEMORY, ON_STACK, IN_GLOBAL, IN_DATA, IN_NAME, IN_LINK, IN_OUTPUT };

#define PLACES 64

static volatile unsigned char mask = 0x5a;
static char *kept[PLACES];

static void unmask(int which, char *to)
{
    for (int i = 0; i < SECRET_SIZE; i++)
        to[i] = (char)(masked[which][i] ^ mask);
    to[SECRET_SIZE] = '\0';
}

/* A global of WebAssembly's, which is no part of the memory. */
__asm__(".globaltype secret_global, i64\n"
        "secret_global:\n");

static void keep_in_global(uint64_t value)
{
    __asm__ volatile("local.get %0\n\tglobal.set secret_global" : : "r"(value));
}

/* Values that are operands of calls while the stack is deep. */
static uint64_t deep(int depth, uint64_t value)
{
    char here[SECRET_SIZE + 1];

    unmask(ON_STACK, here);
    uint64_t more = value ^ (uint64_t)here[depth % SECRET_SIZE];
    if (depth > 0)
        more = deep(depth - 1, more);
    return more + (uint64_t)here[0];
}

static void keep_in_memory(void)
{
    uint64_t value;
    char secret[SECRET_SIZE + 1];

    for (int i = 0; i < PLACES; i++) {
        kept[i] = malloc(30000);
        unmask(IN_MEMORY, kept[i] + 10000);
    }
    unmask(IN_GLOBAL, secret);
    memcpy(&value, secret, sizeof value);
    keep_in_global(value);
    deep(200, 1);
}

/* ------------------------------------------------------------------ files */

static void name_in(const char *folder, unsigned number, char *name)
{
    char secret[SECRET_SIZE + 1];

    unmask(IN_NAME, secret);
    sprintf(name, "%s/%s%u", folder, secret, number);
}

/* So many blocks with the secret at different places in them. */
static int write_file(const char *name, unsigned blocks)
{
    static char block[4096];
    int fd = open(name, O_WRONLY | O_CREAT, 0600);

    if (fd < 0)
        return -1;
    memset(block, 'x', sizeof block);
    for (unsigned i = 0; i < blocks; i++) {
        char secret[SECRET_SIZE + 1];
        unmask(IN_DATA, secret);
        memcpy(block + i * 97 % 4000, secret, SECRET_SIZE);
        if (write(fd, block, sizeof block) != (ssize_t)sizeof block)
            break;
    }
    return close(fd);
}

static int link_in(const char *folder, unsigned number)
{
    char secret[SECRET_SIZE + 1], name[300];

    unmask(IN_LINK, secret);
    snprintf(name, sizeof name, "%s/l%u", folder, number);
    /* Longer than what file systems keep in the inode, too. */
    char text[200] = "to/";
    for (unsigned i = 0; i <= number % 4; i++)
        strcat(strcat(text, secret), "/");
    unlink(name);
    return symlink(text, name);
}

static void put_into_files(const char *folder)
{
    char name[300], other[300];

    for (unsigned i = 0; i < 8; i++) {
        name_in(folder, i, name);
        if (write_file(name, 1 + i * 5) != 0 || link_in(folder, i) != 0) {
            perror("files");
            exit(9);
        }
    }
    name_in(folder, 7, name);
    open(name, O_RDONLY); /* stays open, with its keys */
    name_in(folder, 100, name);
    mkdir(name, 0700);
    name_in(name, 1, other);
    write_file(other, 3);
}

static void clear(const char *folder)
{
    char name[300], other[300];

    for (unsigned i = 0; i < 64; i++) {
        name_in(folder, i, name);
        unlink(name);
        snprintf(name, sizeof name, "%s/l%u", folder, i);
        unlink(name);
    }
    name_in(folder, 100, name);
    name_in(name, 1, other);
    unlink(other);
    rmdir(name);
}

static int churn(const char *folder, unsigned random)
{
    char name[300], other[300];

    printf("ready\n");
    fflush(stdout);
    for (;;) {
        random = random * 1664525 + 1013904223;
        unsigned what = random >> 28, which = random >> 16 & 31;
        name_in(folder, which, name);
        name_in(folder, random >> 8 & 31, other);
        if (what < 8)
            write_file(name, random >> 12 & 15);
        else if (what < 10)
            unlink(name);
        else if (what < 12)
            rename(name, other);
        else if (what < 14)
            truncate(name, random & 0xffff);
        else if (what == 14)
            link_in(folder, which);
        else {
            snprintf(name, sizeof name, "%s/l%u", folder, which);
            unlink(name);
        }
    }
}

/* ------------------------------------------------------------------ */

/* What a client sends is answered with the same. */
static void talk(int listener)
{
    static char heard[4096];
    int client = accept(listener, NULL, NULL);
    ssize_t size = client >= 0 ? recv(client, heard, sizeof heard, 0) : -1;

    if (size > 0)
        send(client, heard, (size_t)size, 0);
}

static void put_everywhere(const char *folder)
{
    char secret[SECRET_SIZE + 1];

    keep_in_memory();
    if (strcmp(folder, "-") != 0)
        put_into_files(folder);
    if (cordon_listener_count() > 0)
        talk(cordon_listener_first());
    unmask(IN_OUTPUT, secret);
    for (int i = 0; i < 50; i++)
        printf("%s\n", secret);
    printf("ready\n");
    fflush(stdout);
}

int main(int count, char **words)
{
    const char *what = count > 2 ? words[1] : "";

    if (strcmp(what, "churn") == 0 && count > 3)
        return churn(words[2], (unsigned)atol(words[3]));
    if (strcmp(what, "clear") == 0) {
        clear(words[2]);
        return 0;
    }
    if (strcmp(what, "hold") != 0 && strcmp(what, "once") != 0)
        return 2;
    put_everywhere(words[2]);
    while (strcmp(what, "hold") == 0)
        sleep(1);
    return 0;
}
