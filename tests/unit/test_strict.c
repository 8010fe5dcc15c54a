/* Memory that is kept out of swap: what there is, and what is mapped later. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/platform.h"
#include "host/jail.h"

/* Mappings that can be written and are not locked. */
static int loose_count(void)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[4400], rights[5];
    unsigned long from, to;
    bool can_write = false;
    int count = 0;

    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3)
            can_write = rights[1] == 'w';
        else if (can_write && strncmp(line, "VmFlags:", 8) == 0)
            count += strstr(line, " lo") == NULL;
    }
    if (maps != NULL)
        fclose(maps);
    return count;
}

/* In a process of its own: it is for good. */
static int exit_code_of(int (*child)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(child());
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int locks(void)
{
    struct cn_error error;

    if (loose_count() == 0)
        return 2; /* the test would see nothing */
    if (cn_jail_lock(true, &error) != CN_OK)
        return 3;
    char *at = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *more = malloc(1 << 18);
    if (at == MAP_FAILED || more == NULL)
        return 4;
    memset(at, 1, 1 << 18);
    memset(more, 1, 1 << 18);
    at = mremap(at, 1 << 18, 1 << 20, MREMAP_MAYMOVE);
    return at == MAP_FAILED ? 5 : loose_count() > 0 ? 6 : 0;
}

static int is_refused(void)
{
    const struct rlimit little = {65536, 65536};
    struct cn_error error;

    if (setrlimit(RLIMIT_MEMLOCK, &little) != 0 || (geteuid() == 0 && setuid(65534) != 0))
        return 2;
    for (int may_be_bounded = 0; may_be_bounded < 2; may_be_bounded++)
        if (cn_jail_lock(may_be_bounded, &error) != CN_IO ||
            strstr(error.text, "RLIMIT_MEMLOCK is 64 KiB") == NULL)
            return 1;
    return 0;
}

Test(strict, locks_what_there_is_and_what_will_be)
{
    if (CN_IS_SANITIZED || geteuid() != 0)
        cr_skip("others may have no memory to lock, and sanitizers none at all");
    cr_expect_eq(exit_code_of(locks), 0);
}

Test(strict, is_refused_where_memory_is_bounded)
{
    if (CN_IS_SANITIZED)
        cr_skip("sanitizers lock nothing");
    cr_expect_eq(exit_code_of(is_refused), 0);
}
