/* Included before everything else in programs that expect a whole Unix: what WASI has no
 * answer for fails as it would where it is forbidden. Wherever the program asks for one of
 * these in the tests, the answer changes nothing that it prints. */
#ifndef CORDON_TESTS_NO_PROCESSES_H
#define CORDON_TESTS_NO_PROCESSES_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* SQLite's Unix file system. */
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#define F_GETLK 5
#define F_SETLK 6

static inline int fchmod(int fd, mode_t mode)
{
    (void)fd, (void)mode;
    errno = ENOSYS;
    return -1;
}

static inline int chmod(const char *path, mode_t mode)
{
    (void)path, (void)mode;
    errno = ENOSYS;
    return -1;
}

static inline int fchown(int fd, uid_t uid, gid_t gid)
{
    (void)fd, (void)uid, (void)gid;
    return 0;
}

static inline uid_t getuid(void)
{
    return 0;
}

static inline uid_t geteuid(void)
{
    return 0;
}

#endif
