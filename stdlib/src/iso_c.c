/* What ISO C has and wasi-libc leaves out, because WASI has no processes and no directory of its
 * own for temporary files. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 100
#define NAME_LETTERS 12

int system(const char *command)
{
    if (command == NULL)
        return 0;
    errno = ENOSYS;
    return -1;
}

/* "/tmp/" and random letters; false when there are no random numbers. */
static int invent_name(char name[L_tmpnam])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    uint8_t random[NAME_LETTERS];
    char *end = stpcpy(name, "/tmp/");
    if (getentropy(random, sizeof random) != 0)
        return 0;
    for (size_t i = 0; i < sizeof random; i++)
        *end++ = letters[random[i] % 32];
    *end = '\0';
    return 1;
}

FILE *tmpfile(void)
{
    char name[L_tmpnam];
    for (int i = 0; i < TRIES && invent_name(name); i++) {
        int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0) {
            unlink(name);
            FILE *file = fdopen(fd, "w+");
            if (file == NULL)
                close(fd);
            return file;
        }
        if (errno != EEXIST)
            return NULL;
    }
    return NULL;
}

char *tmpnam(char *name)
{
    static char own[L_tmpnam];
    struct stat status;
    if (name == NULL)
        name = own;
    for (int i = 0; i < TRIES && invent_name(name); i++) {
        if (lstat(name, &status) != 0)
            return errno == ENOENT ? name : NULL;
    }
    return NULL;
}
