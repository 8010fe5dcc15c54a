/* Reading works in a read-only directory; nothing else does.
 * before: echo text >@/file; mkdir @/dir
 * after: [ "$(cat @/file)" = text ] && [ "$(ls @)" = "dir
 * after: file" ]
 * options: --dir @::/::ro */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void)
{
    char text[8];
    struct timespec times[2] = {{1, 0}, {1, 0}};
    int fd = open("file", O_RDONLY);

    CHECK(fd >= 0 && read(fd, text, 8) == 5);
    CHECK(write(fd, "x", 1) == -1);
    CHECK(ftruncate(fd, 0) == -1);
    CHECK(futimens(fd, times) == -1);
    FAILS(open("file", O_WRONLY), EROFS);
    FAILS(open("file", O_RDWR), EROFS);
    FAILS(open("file", O_RDWR | O_TRUNC), EROFS);
    FAILS(open("file", O_RDONLY | O_TRUNC), EROFS);
    FAILS(open("new", O_WRONLY | O_CREAT, 0666), EROFS);
    CHECK(open("file", O_RDONLY | O_CREAT, 0666) >= 0);
    CHECK(fopen("file", "r+") == NULL && errno == EROFS);
    FAILS(mkdir("new", 0777), EROFS);
    FAILS(rmdir("dir"), EROFS);
    FAILS(unlink("file"), EROFS);
    FAILS(rename("file", "new"), EROFS);
    FAILS(link("file", "new"), EROFS);
    FAILS(symlink("file", "new"), EROFS);
    FAILS(utimensat(AT_FDCWD, "file", times, 0), EROFS);
    FAILS(open("none", O_RDONLY), ENOENT);
    CHECK(opendir("dir") != NULL);
    puts("ok");
    return 0;
}
