/* Acts that must fail now: a layer that only seems to stand is worse than none. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/platform.h"
#include "host/jail.h"

static enum cn_status fail(const char *act, struct cn_error *error)
{
    return cn_fail(error, CN_IO, CN_NO_OFFSET,
                   "the sandbox does not hold: %s was not stopped (please report it)", act);
}

static bool has_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    if (syscall(SYS_capget, &head, data) != 0)
        return true;
    for (int i = 0; i < 2; i++)
        if (data[i].effective | data[i].permitted | data[i].inheritable)
            return true;
    return false;
}

static enum cn_status check_user(const struct cn_jail *jail, struct cn_error *error)
{
    uid_t real, effective, saved;

    if (has_capabilities())
        return fail("keeping capabilities", error);
    if (getresuid(&real, &effective, &saved) != 0 || real != jail->user ||
        effective != jail->user || saved != jail->user)
        return fail("keeping another user", error);
    if (jail->user != 0 && (setuid(0) == 0 || seteuid(0) == 0))
        return fail("becoming root", error);
    return CN_OK;
}

static bool is_granted(const struct cn_jail *jail, const char *path)
{
    struct stat wanted, granted;

    if (stat(path, &wanted) != 0)
        return true;
    for (uint32_t i = 0; i < jail->dir_count; i++)
        if (fstat(jail->dirs[i].fd, &granted) != 0 ||
            (granted.st_dev == wanted.st_dev && granted.st_ino == wanted.st_ino))
            return true;
    return false;
}

static bool opens(const char *path, int flags)
{
    int fd = cn_jail_open(path, flags);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static enum cn_status check_landlock(const struct cn_jail *jail, struct cn_error *error)
{
    if (is_granted(jail, "/"))
        return CN_OK;
    if (opens("/", O_RDONLY | O_DIRECTORY))
        return fail("reading the root directory", error);
    if (opens("/dev", O_TMPFILE | O_WRONLY) && !is_granted(jail, "/dev"))
        return fail("making a file in /dev", error);
    if (!is_granted(jail, "/proc") && opens("/proc/self/mem", O_RDWR))
        return fail("writing the memory of the process as a file", error);
    return CN_OK;
}

enum cn_status cn_jail_check(const struct cn_jail *jail, struct cn_error *error)
{
    struct rlimit core;

    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
        return fail("dumping core", error);
    if (jail->active[CN_LAYER_USER])
        CN_TRY(check_user(jail, error));
    if (jail->active[CN_LAYER_DUMPABLE] && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != CN_IS_SANITIZED)
        return fail("being dumped or traced", error);
    if (jail->active[CN_LAYER_NO_NEW_PRIVS] && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return fail("gaining rights from files", error);
    return jail->active[CN_LAYER_LANDLOCK] ? check_landlock(jail, error) : CN_OK;
}

/* ------------------------------------------------------------------ after the filter */

static bool is_refused(long result)
{
    return result < 0 && errno == EPERM;
}

static bool maps_code(void)
{
    size_t size = 4096;
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *code = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool is_stopped = code == MAP_FAILED && errno == EPERM && data != MAP_FAILED &&
                      is_refused(mprotect(data, size, PROT_READ | PROT_EXEC));

    if (data != MAP_FAILED)
        munmap(data, size);
    return !is_stopped;
}

/* Each with an answer, not those that end the process. Sanitizers need some of them. */
enum cn_status cn_jail_check_filter(const struct cn_jail *jail, struct cn_error *error)
{
    char letter = '\n';

    if (!jail->active[CN_LAYER_SECCOMP])
        return CN_OK;
    if (!is_refused(syscall(SYS_mkdirat, -1, "", 0)) && !(jail->grants & CN_JAIL_WRITE))
        return fail("making a directory", error);
    if (!is_refused(syscall(SYS_getcwd, &letter, 0)))
        return fail("a system call without a row", error);
    if (!is_refused(ioctl(-1, TIOCSTI, &letter)))
        return fail("typing for somebody else", error);
    if (!is_refused(fcntl(0, F_SETOWN, 0)))
        return fail("an operation of fcntl without a row", error);
    if (CN_IS_SANITIZED)
        return CN_OK;
    if (!is_refused(syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY)))
        return fail("opening a path with openat", error);
    if (maps_code())
        return fail("making memory executable", error);
    if (!is_refused(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)))
        return fail("becoming dumpable", error);
    if (!is_refused(syscall(SYS_tgkill, -1, -1, 0)))
        return fail("sending a signal", error);
    if (syscall(SYS_clone3, NULL, 0) == 0 || errno != ENOSYS)
        return fail("starting a process", error);
    return CN_OK;
}
