/* The disk quota as a program meets it.
 * options: --dir @::/ --disk 64k --inodes 4 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char block[100000];

int main(void)
{
    struct stat status;
    int fd = open("a", O_RDWR | O_CREAT, 0666);

    CHECK(write(fd, block, 100000) == 65536);
    FAILS(write(fd, block, 1), EDQUOT);
    FAILS(ftruncate(fd, 65537), EDQUOT);
    FAILS(ftruncate(fd, (off_t)1 << 50), EDQUOT);
    CHECK(ftruncate(fd, 60000) == 0 && lseek(fd, 0, SEEK_END) == 60000);
    CHECK(write(fd, block, 10000) == 5536);
    CHECK(posix_fallocate(fd, 65536, 1) == EDQUOT);
    /* A second name costs nothing, an unlinked open file costs until it is closed. */
    CHECK(link("a", "b") == 0 && unlink("a") == 0 && unlink("b") == 0);
    int other = open("c", O_RDWR | O_CREAT, 0666);
    FAILS(write(other, block, 1), EDQUOT);
    CHECK(close(fd) == 0);
    CHECK(pwrite(other, block, 1, 65535) == 1);
    CHECK(fstat(other, &status) == 0 && status.st_size == 65536);
    FAILS(pwrite(other, block, 1, 65536), EDQUOT);
    CHECK(close(open("c", O_WRONLY | O_TRUNC)) == 0);
    CHECK(write(other, block, 100000) == 65536);
    CHECK(mkdir("d", 0777) == 0 && mkdir("d/e", 0777) == 0 && mkdir("f", 0777) == 0);
    FAILS(mkdir("g", 0777), EDQUOT);
    FAILS(open("g", O_CREAT | O_WRONLY, 0666), EDQUOT);
    CHECK(rename("c", "d/c") == 0 && rmdir("f") == 0);
    CHECK(open("g", O_CREAT | O_WRONLY, 0666) >= 0);
    CHECK(rename("g", "d/c") == 0);
    FAILS(write(open("d/c", O_WRONLY), block, 1), EDQUOT); /* the victim is still open */
    CHECK(close(other) == 0);
    CHECK(write(open("d/c", O_WRONLY), block, 100000) == 65536);
    puts("ok");
    return 0;
}
