/* Whether memory might be swapped to a disk, by the kernel's list. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "host/jail.h"

static bool says(const char *text)
{
    char path[] = "/tmp/cn-swaps-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    bool may = cn_jail_may_swap(path);
    unlink(path);
    return may;
}

Test(strict, knows_swap_when_it_sees_it)
{
    cr_assert(!says("Filename\tType\tSize\tUsed\tPriority\n"));
    cr_assert(says("Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1 0 -2\n"));
    cr_assert(says("Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1 0 100\n"));
    cr_assert(says(""), "who does not know says yes");
    cr_assert(cn_jail_may_swap("/no/such/file"));
}
