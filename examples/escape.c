/* Tries to leave its directory in every way that a path offers, and says what came of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const ways[] = {
    "/etc/passwd", "../../../../../../etc/passwd", "./../../../etc/passwd", "link-out",
    "/proc/self/environ",
};

int main(void)
{
    int escaped = 0;

    symlink("/etc/passwd", "link-out");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        int fd = open(ways[i], O_RDONLY);
        printf("open %-32s %s\n", ways[i], fd < 0 ? strerror(errno) : "OPENED");
        escaped += fd >= 0;
    }
    return escaped ? 1 : 0;
}
