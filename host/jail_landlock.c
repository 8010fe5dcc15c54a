/* Landlock: files below the granted directories alone, no TCP, no signals to others. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/platform.h"
#include "host/jail.h"

/* The kernel's interface as of ABI 6 (linux/landlock.h), which the headers of Debian 12 know in
 * part only. */
#define ASK_VERSION 1u
#define PATH_BENEATH 1

enum {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_DIR = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_DIR = 1 << 7,
    MAKE_REG = 1 << 8,
    MAKE_SYM = 1 << 12,
    REFER = 1 << 13,
    TRUNCATE = 1 << 14,
    ALL_OF_ABI_2 = (1 << 14) - 1,
    IOCTL_DEV = 1 << 15,
};
#define NET_BIND_AND_CONNECT 3
#define SCOPE_SOCKETS_AND_SIGNALS 3

struct ruleset {
    uint64_t fs, net, scoped;
};

struct path_beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static int create_ruleset(const struct ruleset *ruleset, size_t size, unsigned flags)
{
    return (int)syscall(SYS_landlock_create_ruleset, ruleset, size, flags);
}

int cn_jail_landlock_abi(void)
{
    int abi = create_ruleset(NULL, 0, ASK_VERSION);

    return abi > 0 ? abi : 0;
}

int cn_jail_open(const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC)};

    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

bool cn_jail_has_openat2(void)
{
    /* It looks at the size first. */
    return syscall(SYS_openat2, -1, "", NULL, 0) < 0 && errno == EINVAL;
}

static bool allow(int ruleset, int dir, uint64_t rights)
{
    struct path_beneath rule = {.allowed = rights, .parent = dir};

    return syscall(SYS_landlock_add_rule, ruleset, PATH_BENEATH, &rule, 0) == 0;
}

static bool allow_path(int ruleset, const char *path, uint64_t rights)
{
    int dir = cn_jail_open(path, O_PATH | O_DIRECTORY);
    bool allowed = dir >= 0 && allow(ruleset, dir, rights);

    /* The rule of a process's directory lasts while the directory is held. */
    if (dir >= 0 && !allowed)
        close(dir);
    return allowed;
}

static bool allow_all(const struct cn_jail *jail, int ruleset)
{
    const uint64_t reads = READ_FILE | READ_DIR;
    uint64_t writes = reads | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG |
                      MAKE_SYM | REFER;

    if (jail->landlock_abi >= 3)
        writes |= TRUNCATE;
    for (uint32_t i = 0; i < jail->dir_count; i++)
        if (!allow(ruleset, jail->dirs[i].fd, jail->dirs[i].is_read_only ? reads : writes))
            return false;
    /* Workers look whether one of them is blocked. */
    if ((jail->grants & CN_JAIL_THREADS) && !allow_path(ruleset, "/proc/self/task", READ_FILE))
        return false;
    return !CN_IS_SANITIZED || allow_path(ruleset, "/proc", reads);
}

enum cn_status cn_jail_landlock(struct cn_jail *jail, struct cn_error *error)
{
    int abi = jail->landlock_abi;
    struct ruleset handled = {.fs = ALL_OF_ABI_2};

    handled.fs |= (abi >= 3 ? TRUNCATE : 0) | (abi >= 5 ? IOCTL_DEV : 0);
    handled.net = abi >= 4 ? NET_BIND_AND_CONNECT : 0;
    handled.scoped = abi >= 6 ? SCOPE_SOCKETS_AND_SIGNALS : 0;
    int ruleset = create_ruleset(&handled, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
    bool is_done = ruleset >= 0 && allow_all(jail, ruleset) &&
                   syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    int why = errno;
    if (ruleset >= 0)
        close(ruleset);
    if (!is_done && jail->is_best_effort && jail->user != 0)
        return CN_OK;
    if (!is_done)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the sandbox's layer landlock: %s",
                       strerror(why));
    jail->active[CN_LAYER_LANDLOCK] = true;
    jail->active[CN_LAYER_TRUNCATE] = abi >= 3;
    jail->active[CN_LAYER_NETWORK] = abi >= 4;
    jail->active[CN_LAYER_DEVICES] = abi >= 5;
    jail->active[CN_LAYER_SCOPE] = abi >= 6;
    return CN_OK;
}
