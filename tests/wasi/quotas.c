/* A guest reads its own quotas.
 * options: --dir @::/ --disk 1m --max-fds 20 --memory 64m */
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "check.h"

struct quota {
    uint64_t used, limit, peak;
};

__attribute__((import_module("cordon"), import_name("quota_get"))) int
cordon_quota_get(int quota, struct quota *result);

int main(void)
{
    enum { MEMORY, STACK, FDS, DISK, INODES };
    struct quota quota;

    CHECK(cordon_quota_get(FDS, &quota) == 0 && quota.used == 4 && quota.limit == 20);
    int fd = open("a", O_RDWR | O_CREAT, 0666);
    CHECK(write(fd, "x", 1) == 1);
    CHECK(cordon_quota_get(DISK, &quota) == 0);
    CHECK(quota.used == 4096 && quota.limit == 1 << 20 && quota.peak == 4096);
    CHECK(unlink("a") == 0 && close(fd) == 0);
    CHECK(cordon_quota_get(DISK, &quota) == 0 && quota.used == 0 && quota.peak == 4096);
    CHECK(cordon_quota_get(INODES, &quota) == 0 && quota.used == 0 && quota.peak == 1);
    CHECK(cordon_quota_get(MEMORY, &quota) == 0 && quota.used > 65536 && quota.limit == 64 << 20);
    CHECK(cordon_quota_get(1000, &quota) == 28);
    puts("ok");
    return 0;
}
