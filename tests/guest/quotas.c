/* Reads its own quotas while it uses them. Runs with memory 8m, max-fds 16, disk 64k, inodes 5,
 * fuel 1000000000, and a writable directory. */
#include <cordon/quota.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures;

static void expect(int holds, const char *what)
{
    if (holds)
        return;
    failures++;
    printf("not so: %s\n", what);
}

static struct cordon_quota get(enum cordon_quota_id id)
{
    struct cordon_quota quota = {1, 2, 3};

    expect(cordon_quota_get(id, &quota) == 0, "quota is there");
    return quota;
}

static void test_limits(void)
{
    expect(get(CORDON_QUOTA_MEMORY).limit == 8 << 20, "memory limit");
    expect(get(CORDON_QUOTA_STACK).limit == 8 << 20, "stack limit");
    expect(get(CORDON_QUOTA_FDS).limit == 16, "descriptor limit");
    expect(get(CORDON_QUOTA_DISK).limit == 64 << 10, "disk limit");
    expect(get(CORDON_QUOTA_INODES).limit == 5, "inode limit");
    expect(get(CORDON_QUOTA_CPUS).limit == CORDON_UNLIMITED, "no rate");
    expect(get(CORDON_QUOTA_TIMEOUT).limit == CORDON_UNLIMITED, "no timeout");
    expect(get(CORDON_QUOTA_FUEL).limit == 1000000000, "fuel limit");
}

static void test_memory(void)
{
    struct cordon_quota before = get(CORDON_QUOTA_MEMORY);
    char *volatile block = malloc(1 << 20); /* or the compiler does without */
    char *volatile too_much;

    memset(block, 1, 1 << 20);
    struct cordon_quota after = get(CORDON_QUOTA_MEMORY);
    expect(after.used >= before.used + (7 << 17), "about a MiB more");
    expect(after.peak >= after.used && after.used <= after.limit, "used, peak, limit in order");
    too_much = malloc(16 << 20);
    expect(too_much == NULL && errno == ENOMEM, "too much is refused");
    expect(get(CORDON_QUOTA_MEMORY).peak <= 8 << 20, "and never taken");
    free(block);
}

static void test_files(void)
{
    static char bytes[70000];
    struct cordon_quota before = get(CORDON_QUOTA_FDS);
    int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0600);

    expect(fd >= 0 && get(CORDON_QUOTA_FDS).used == before.used + 1, "a descriptor more");
    expect(get(CORDON_QUOTA_INODES).used == 1, "an inode more");
    expect(write(fd, bytes, 5000) == 5000 && get(CORDON_QUOTA_DISK).used == 8192, "two blocks");
    expect(write(fd, bytes, 70000) < 70000, "a short write at the limit");
    expect(write(fd, bytes, 70000) == -1 && errno == EDQUOT, "then EDQUOT");
    expect(get(CORDON_QUOTA_DISK).used == 65536, "all of the disk");
    expect(ftruncate(fd, 100) == 0 && get(CORDON_QUOTA_DISK).used == 4096, "given back");
    expect(unlink("file") == 0 && get(CORDON_QUOTA_DISK).used == 4096, "kept while open");
    expect(close(fd) == 0 && get(CORDON_QUOTA_DISK).used == 0, "all given back");
    expect(get(CORDON_QUOTA_INODES).used == 0, "the inode too");
    expect(get(CORDON_QUOTA_DISK).peak == 65536, "the peak stays");
    int opened = 0;
    while (opened < 100 && open(".", O_RDONLY | O_DIRECTORY) >= 0)
        opened++;
    expect(errno == EMFILE && get(CORDON_QUOTA_FDS).used == 16, "no descriptor left");
}

static void test_discard(void)
{
    static char bytes[40000];
    struct cordon_quota before = get(CORDON_QUOTA_MEMORY);
    int wrong = 0;

    memset(bytes, 7, sizeof bytes);
    expect(cordon_memory_discard(bytes + 100, 30000) == 0, "memory can be given back");
    for (int i = 0; i < (int)sizeof bytes; i++)
        wrong += bytes[i] != (i >= 100 && i < 30100 ? 0 : 7);
    expect(wrong == 0, "it is zero, and the rest is as it was");
    bytes[5000] = 1;
    expect(bytes[5000] == 1 && bytes[5001] == 0, "and can be used again");
    expect(get(CORDON_QUOTA_MEMORY).used == before.used, "the charge is for the size");
    errno = 0;
    expect(cordon_memory_discard((void *)0xfffff000u, 0x1000) == -1 && errno == EFAULT,
           "nothing outside memory");
    expect(cordon_memory_discard(bytes, 0) == 0 && bytes[0] == 7, "nothing is nothing");
    expect(cordon_quota_excess(CORDON_QUOTA_MEMORY) == 0, "nobody lowered the limit");
}

static void test_pressure(void)
{
    struct pollfd news = {.fd = cordon_pressure_open(), .events = POLLIN};

    expect(news.fd > 2 && poll(&news, 1, 0) == 0, "there is no news of memory pressure");
    expect(cordon_pressure_get(news.fd) == 0, "and no pressure");
    char *volatile block = NULL; /* all of them are given back at the end */
    for (int i = 0; i < 32 && poll(&news, 1, 0) == 0; i++) {
        char *more = malloc(256 << 10);
        if (more != NULL) {
            memcpy(more, (const void *)&block, sizeof block);
            block = more;
        }
    }
    expect(poll(&news, 1, 0) == 1 && news.revents == POLLIN, "now there is");
    expect(cordon_pressure_get(news.fd) == CORDON_PRESSURE_NEAR, "as it nears the limit");
    expect(poll(&news, 1, 0) == 0, "which is told once");
    while (block != NULL) {
        char *next;
        memcpy(&next, block, sizeof next);
        free(block);
        block = next;
    }
    expect(close(news.fd) == 0, "it can be closed");
    errno = 0;
    expect(cordon_pressure_get(news.fd) == -1 && errno == EBADF, "and is nothing then");
    errno = 0;
    expect(cordon_pressure_get(1) == -1 && errno == EINVAL, "stdout tells of none");
}

static void test_time(void)
{
    uint64_t fuel = get(CORDON_QUOTA_FUEL).used;
    uint64_t cpu = get(CORDON_QUOTA_CPU_TIME).used;
    volatile unsigned sum = 0;

    for (unsigned i = 0; i < 3000000; i++)
        sum += i;
    uint64_t used = get(CORDON_QUOTA_FUEL).used - fuel;
    expect(used >= 3000000 && used < 100000000, "fuel goes down with work");
    expect(get(CORDON_QUOTA_CPU_TIME).used > cpu, "so does time");
    usleep(20000);
    expect(get(CORDON_QUOTA_TIMEOUT).used >= 20000000, "wall time counts sleep");
}

int main(void)
{
    struct cordon_quota quota;

    test_limits();
    test_memory();
    test_pressure();
    test_files();
    test_discard();
    test_time();
    errno = 0;
    expect(cordon_quota_get((enum cordon_quota_id)99, &quota) == -1 && errno == EINVAL,
           "there is no quota 99");
    errno = 0;
    expect(cordon_quota_get(CORDON_QUOTA_FUEL, (struct cordon_quota *)0xfffffff0u) == -1 &&
               errno == EFAULT,
           "no answer outside memory");
    if (failures == 0)
        puts("ok");
    return failures != 0;
}
