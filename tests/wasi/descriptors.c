/* As many descriptors as granted, and the lowest number first.
 * options: --dir @::/ --max-fds 10 */
#include <fcntl.h>
#include <unistd.h>
#include <wasi/api.h>

#include "check.h"

int main(void)
{
    int last = -1;

    for (int i = 4; i < 10; i++) {
        last = open("a", O_RDWR | O_CREAT, 0666);
        CHECK(last == i);
    }
    FAILS(open("a", O_RDONLY), EMFILE);
    FAILS(open("new", O_RDWR | O_CREAT, 0666), EMFILE);
    CHECK(access("new", F_OK) == -1);
    CHECK(close(6) == 0 && open("a", O_RDONLY) == 6);
    CHECK(write(5, "five", 4) == 4);
    CHECK(__wasi_fd_renumber(5, 8) == 0);
    FAILS(write(5, "x", 1), EBADF);
    CHECK(write(8, "!", 1) == 1 && lseek(8, 0, SEEK_CUR) == 5);
    CHECK(open("a", O_RDONLY) == 5);
    CHECK(__wasi_fd_renumber(3, 4) == 0 && openat(4, "a", O_RDONLY) == 3);
    puts("ok");
    return 0;
}
