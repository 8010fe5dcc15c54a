/* The file calls of a libc, as ordinary programs use them.
 * options: --dir @::/ */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

static void streams(void)
{
    char line[64];
    FILE *file = fopen("text", "w");

    CHECK(file && fprintf(file, "one\ntwo\n%d\n", 3) > 0 && fclose(file) == 0);
    file = fopen("text", "a");
    CHECK(file && fputs("four\n", file) >= 0 && fclose(file) == 0);
    file = fopen("text", "r+");
    CHECK(file && fgets(line, sizeof line, file) && strcmp(line, "one\n") == 0);
    CHECK(fseek(file, -5, SEEK_END) == 0 && fgets(line, sizeof line, file));
    CHECK(strcmp(line, "four\n") == 0);
    rewind(file);
    CHECK(fputs("ONE", file) >= 0 && fflush(file) == 0);
    rewind(file);
    CHECK(fgets(line, sizeof line, file) && strcmp(line, "ONE\n") == 0 && fclose(file) == 0);
    CHECK(fopen("none", "r") == NULL && errno == ENOENT);
    CHECK(fopen("text/x", "r") == NULL && errno == ENOTDIR);
}

static void descriptors(void)
{
    char bytes[16] = "";
    struct stat status;
    int fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0644);

    CHECK(fd >= 4);
    FAILS(open("data", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
    CHECK(write(fd, "0123456789", 10) == 10);
    CHECK(lseek(fd, 0, SEEK_CUR) == 10 && lseek(fd, 2, SEEK_SET) == 2);
    CHECK(read(fd, bytes, 3) == 3 && memcmp(bytes, "234", 3) == 0);
    CHECK(pwrite(fd, "xy", 2, 8) == 2 && pread(fd, bytes, 4, 7) == 3);
    CHECK(memcmp(bytes, "7xy", 3) == 0 && lseek(fd, 0, SEEK_CUR) == 5);
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK(ftruncate(fd, 4) == 0 && fstat(fd, &status) == 0 && status.st_size == 4);
    CHECK(posix_fallocate(fd, 0, 100) == 0 && fstat(fd, &status) == 0 && status.st_size == 100);
    CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
    CHECK(S_ISREG(status.st_mode) && status.st_nlink == 1);
    CHECK(!isatty(fd));
    CHECK(posix_fadvise(fd, 0, 10, POSIX_FADV_DONTNEED) == 0);
    CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0 && (fcntl(fd, F_GETFL) & O_APPEND));
    CHECK(write(fd, "end", 3) == 3 && lseek(fd, 0, SEEK_CUR) == 103);
    CHECK(close(fd) == 0);
    FAILS(close(fd), EBADF);
    FAILS(read(fd, bytes, 1), EBADF);
    FAILS(write(99, bytes, 1), EBADF);
}

static void names(void)
{
    char target[32];
    struct stat status, other;

    CHECK(mkdir("dir", 0777) == 0 && mkdir("dir/sub", 0777) == 0);
    FAILS(mkdir("dir", 0777), EEXIST);
    FAILS(rmdir("dir"), ENOTEMPTY);
    FAILS(unlink("dir"), EISDIR);
    FAILS(rmdir("data"), ENOTDIR);
    CHECK(rename("data", "dir/data") == 0 && access("data", F_OK) == -1);
    CHECK(link("dir/data", "twin") == 0 && stat("twin", &status) == 0 && status.st_nlink == 2);
    CHECK(stat("dir/data", &other) == 0 && other.st_ino == status.st_ino);
    CHECK(other.st_dev == status.st_dev);
    CHECK(symlink("dir/data", "soft") == 0 && readlink("soft", target, sizeof target) == 8);
    CHECK(lstat("soft", &status) == 0 && S_ISLNK(status.st_mode));
    CHECK(stat("soft", &status) == 0 && S_ISREG(status.st_mode));
    FAILS(open("soft", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK(unlink("soft") == 0 && unlink("twin") == 0 && stat("dir/data", &status) == 0);
    CHECK(status.st_nlink == 1);
    FAILS(rename("none", "other"), ENOENT);
    FAILS(rename("dir", "dir/sub/x"), EINVAL);
    CHECK(mkdir("empty", 0777) == 0 && rename("empty", "dir/sub") == 0);
}

static void times(void)
{
    struct timespec when[2] = {{1000, 5}, {2000, 7}};
    struct stat status;

    CHECK(utimensat(AT_FDCWD, "dir/data", when, 0) == 0 && stat("dir/data", &status) == 0);
    CHECK(status.st_atim.tv_sec == 1000 && status.st_mtim.tv_sec == 2000);
    CHECK(status.st_mtim.tv_nsec == 7);
}

/* Removes while reading, as rm -r does. */
static void directories(void)
{
    char name[32];
    int count = 0;

    CHECK(mkdir("many", 0777) == 0);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "many/file%d", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0644);
        CHECK(fd >= 0 && close(fd) == 0);
    }
    DIR *dir = opendir("many");
    CHECK(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        CHECK(entry->d_type == DT_REG);
        CHECK(unlinkat(dirfd(dir), entry->d_name, 0) == 0);
        count++;
    }
    CHECK(count == 500);
    rewinddir(dir);
    while (readdir(dir) != NULL)
        count++;
    CHECK(count == 502 && closedir(dir) == 0 && rmdir("many") == 0);
    CHECK(opendir("dir/data") == NULL && errno == ENOTDIR);
}

int main(void)
{
    streams();
    descriptors();
    names();
    times();
    directories();
    puts("ok");
    return 0;
}
