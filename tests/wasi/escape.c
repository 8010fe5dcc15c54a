/* A guest that tries to leave its directory by every door it can think of.
 * options: --dir @::/ */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

/* wasi-libc finds the granted directory for a path; below, paths are relative to it. */
#define ROOT 3

static const char *const ways[] = {
    "..", "../..", "../secret", "a/../../secret", "./../secret", "a/b/../../../secret",
    "a/./../../secret", "a//..//..//secret", "up/secret", "up/../secret", "a/up2/secret",
    "../", "a/../../", "up/", "a/up2/", "up/.", "../.", "a/up2/.",
};

static void try_way(const char *path)
{
    struct stat status;
    struct timespec times[2] = {{1, 0}, {1, 0}};
    char text[8];

    CHECK(openat(ROOT, path, O_RDONLY) == -1);
    CHECK(openat(ROOT, path, O_RDONLY | O_DIRECTORY) == -1);
    CHECK(openat(ROOT, path, O_WRONLY | O_CREAT, 0666) == -1);
    CHECK(openat(ROOT, path, O_WRONLY | O_CREAT | O_TRUNC, 0666) == -1);
    CHECK(openat(ROOT, path, O_WRONLY | O_CREAT | O_EXCL, 0666) == -1);
    CHECK(fstatat(ROOT, path, &status, 0) == -1);
    CHECK(utimensat(ROOT, path, times, 0) == -1);
    CHECK(mkdirat(ROOT, path, 0777) == -1);
    CHECK(unlinkat(ROOT, path, 0) == -1);
    CHECK(unlinkat(ROOT, path, AT_REMOVEDIR) == -1);
    CHECK(renameat(ROOT, path, ROOT, "stolen") == -1);
    CHECK(renameat(ROOT, "a", ROOT, path) == -1);
    CHECK(linkat(ROOT, path, ROOT, "stolen", 0) == -1);
    CHECK(linkat(ROOT, "file", ROOT, path, 0) == -1);
    CHECK(symlinkat("x", ROOT, path) == -1);
    CHECK(readlinkat(ROOT, path, text, sizeof text) == -1);
}

int main(void)
{
    CHECK(mkdir("a", 0777) == 0 && mkdir("a/b", 0777) == 0);
    int fd = open("file", O_CREAT | O_WRONLY, 0666);
    CHECK(fd >= 0 && close(fd) == 0);

    /* Links out cannot even be made. */
    FAILS(symlink("/", "host"), ENOTCAPABLE);
    FAILS(symlink("..", "up"), ENOTCAPABLE);
    FAILS(symlink("../..", "a/up2"), ENOTCAPABLE);
    FAILS(symlinkat("/proc", ROOT, "proc"), ENOTCAPABLE);
    /* A link is judged again when it is used: this one leads out once it is moved up. */
    CHECK(symlink("../file", "a/up2") == 0);
    CHECK(rename("a/up2", "up2") == 0);
    FAILS(open("up2", O_RDONLY), ENOTCAPABLE);
    CHECK(unlink("up2") == 0);
    CHECK(symlink("..", "a/b/up") == 0 && rename("a/b/up", "up") == 0);
    FAILS(openat(ROOT, "up/secret", O_RDONLY), ENOTCAPABLE);
    CHECK(symlink("../..", "a/b/up") == 0 && rename("a/b/up", "a/up2") == 0);
    FAILS(openat(ROOT, "a/up2/secret", O_RDONLY), ENOTCAPABLE);

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        try_way(ways[i]);
    /* A directory that is held open while it is moved away is still no way up. */
    int held = openat(ROOT, "a/b", O_RDONLY | O_DIRECTORY);
    CHECK(held >= 0 && rename("a/b", "b") == 0);
    CHECK(openat(held, "..", O_RDONLY | O_DIRECTORY) == -1);
    CHECK(openat(held, "../..", O_RDONLY | O_DIRECTORY) == -1);
    CHECK(openat(held, "../file", O_RDONLY) == -1);
    puts("ok");
    return 0;
}
