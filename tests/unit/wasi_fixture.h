/* A guest without a machine: a memory, a thread that never runs, and system calls by name.
 * Tests call what a module would import, through the same gateway. */
#ifndef CN_TESTS_WASI_FIXTURE_H
#define CN_TESTS_WASI_FIXTURE_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shim/abi.h"
#include "shim/errno.h"
#include "shim/wasi.h"
#include "vm/thread.h"

#define GUEST_MEMORY (4u * 65536)
/* Where the fixture puts things in the guest's memory. */
enum { AT_OUT = 64, AT_PATH = 4096, AT_PATH2 = 12288, AT_IOVECS = 20480, AT_DATA = 65536 };
#define ALL_RIGHTS 0x1fffffff

struct guest {
    struct cn_account account;
    struct cn_memory memory;
    struct cn_thread thread;
    struct cn_wasi *wasi;
    void *ledger;            /* the books are kept there, or NULL */
    struct cn_volume_grant *volume; /* the root is one, or NULL */
    uint32_t wakes;
    const char *module;
    char root[64];           /* a directory of the host: descriptor 3, "/" */
    char outside[64];        /* another one that is not granted */
};

static uint64_t guest_cpu_ns(const void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Whether what the parked call waits for happens within that time; -1 is for ever. */
static inline bool guest_wakes(struct guest *guest, int milliseconds)
{
    struct pollfd set = {.fd = cn_wasi_wait_set(guest->wasi), .events = POLLIN};

    if (poll(&set, 1, milliseconds) <= 0)
        return false;
    guest->wakes++;
    cn_wasi_resume(guest->wasi);
    return true;
}

static inline int remove_entry(const char *path, const struct stat *stat, int type,
                               struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void remove_tree(const char *path)
{
    nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
}

/* The account and the memory alone; guest->wasi is the test's to make. */
static inline void guest_prepare(struct guest *guest)
{
    *guest = (struct guest){.module = "wasi_snapshot_preview1"};
    cn_account_init(&guest->account);
    guest->memory.base = malloc(GUEST_MEMORY);
    guest->memory.size = GUEST_MEMORY;
    memset(guest->memory.base, 0xaa, GUEST_MEMORY);
    guest->thread.memory = &guest->memory;
    strcpy(guest->root, "/tmp/cn-root-XXXXXX");
    strcpy(guest->outside, "/tmp/cn-out-XXXXXX");
    cr_assert_not_null(mkdtemp(guest->root));
    cr_assert_not_null(mkdtemp(guest->outside));
}

static inline void guest_start(struct guest *guest, bool is_read_only)
{
    struct cn_error error = {.text = ""};
    int dir = open(guest->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct cn_wasi_dir dirs[] = {{dir, "/", is_read_only, guest->volume}};
    struct cn_wasi_config config = {
        .stdio = {nothing, nothing, nothing},
        .dirs = dirs,
        .dir_count = 1,
        .account = &guest->account,
        .ledger = guest->ledger,
        .cpu_ns = guest_cpu_ns,
    };

    cr_assert_eq(cn_wasi_new(&config, &guest->wasi, &error), CN_OK, "%s", error.text);
    close(dir);
    close(nothing);
}

static inline void guest_setup(struct guest *guest)
{
    guest_prepare(guest);
    guest_start(guest, false);
}

/* Frees everything, and finds that nothing is left charged but what is on the disk. */
static inline void guest_finish(struct guest *guest)
{
    cn_wasi_free(guest->wasi);
    cr_expect_eq(guest->account.used[CN_QUOTA_MEMORY], 0);
    cr_expect_eq(guest->account.used[CN_QUOTA_FDS], 0);
    free(guest->memory.base);
    remove_tree(guest->root);
    remove_tree(guest->outside);
}

/* One try of a call. */
static inline enum cn_status try_once(struct guest *guest, const char *name,
                                      union cn_slot *slots)
{
    struct cn_wasi_function function;

    cr_assert(cn_wasi_lookup(guest->wasi, cn_bytes_of(guest->module), cn_bytes_of(name),
                             &function),
              "no %s", name);
    return function.call(&guest->thread, function.env, slots);
}

/* Makes the call until it is done, and waits in between; returns the guest's errno. */
static inline uint32_t guest_call_slots(struct guest *guest, const char *name,
                                        const union cn_slot *arguments)
{
    union cn_slot slots[16];
    enum cn_status status;

    guest->thread.call_state = (struct cn_call_state){{0}};
    do {
        memcpy(slots, arguments, sizeof slots);
        status = try_once(guest, name, slots);
        if (status == CN_PARKED)
            guest_wakes(guest, -1);
    } while (status == CN_PARKED || status == CN_YIELD);
    cr_assert_eq(status, CN_OK);
    return slots[0].u32;
}

#define CALL(guest, name, ...)                                                                     \
    guest_call_slots((guest), (name), (const union cn_slot[16]){__VA_ARGS__})
#define I(value) {.u64 = (uint64_t)(value)}

#define EXPECT_ERRNO(call, expected)                                                               \
    do {                                                                                           \
        uint32_t got_errno = (call);                                                               \
        cr_expect_eq(got_errno, CN_E_##expected, "%s gives %s, not " #expected, #call,             \
                     cn_errno_name(got_errno));                                                    \
    } while (0)
#define MUST(call)                                                                                 \
    do {                                                                                           \
        uint32_t got_errno = (call);                                                               \
        cr_assert_eq(got_errno, CN_E_SUCCESS, "%s gives %s", #call, cn_errno_name(got_errno));     \
    } while (0)

/* Puts a text into the guest's memory; returns its length. */
static inline uint64_t put_text(struct guest *guest, uint32_t address, const char *text)
{
    memcpy(guest->memory.base + address, text, strlen(text));
    return strlen(text);
}

static inline uint32_t out_u32(const struct guest *guest)
{
    return cn_load_u32(guest->memory.base + AT_OUT);
}

static inline uint64_t out_u64(const struct guest *guest)
{
    return cn_load_u64(guest->memory.base + AT_OUT);
}

static inline uint32_t guest_open_full(struct guest *guest, uint32_t dir, uint32_t lookup,
                                       const char *path, uint32_t oflags, uint64_t rights,
                                       uint64_t inheriting, uint32_t flags)
{
    uint64_t length = put_text(guest, AT_PATH, path);

    return CALL(guest, "path_open", I(dir), I(lookup), I(AT_PATH), I(length), I(oflags),
                I(rights), I(inheriting), I(flags), I(AT_OUT));
}

#define READ_WRITE                                                                                 \
    (CN_RIGHT_FD_READ | CN_RIGHT_FD_WRITE | CN_RIGHT_FD_SEEK | CN_RIGHT_FD_TELL |                  \
     CN_RIGHT_FD_ALLOCATE | CN_RIGHT_FD_FILESTAT_SET_SIZE | CN_RIGHT_FD_FILESTAT_GET |             \
     CN_RIGHT_FD_FDSTAT_SET_FLAGS | CN_RIGHT_POLL_FD_READWRITE | CN_RIGHT_FD_FILESTAT_SET_TIMES)

static inline uint32_t guest_open(struct guest *guest, const char *path, uint32_t oflags)
{
    return guest_open_full(guest, 3, 0, path, oflags, READ_WRITE, 0, 0);
}

/* For calls (fd, path). */
static inline uint32_t guest_path(struct guest *guest, const char *name, const char *path)
{
    uint64_t length = put_text(guest, AT_PATH, path);

    return CALL(guest, name, I(3), I(AT_PATH), I(length));
}

/* One buffer of that many bytes at AT_DATA. */
static inline void put_iovec(struct guest *guest, uint32_t size)
{
    cn_store_u32(guest->memory.base + AT_IOVECS, AT_DATA);
    cn_store_u32(guest->memory.base + AT_IOVECS + 4, size);
}

static inline uint32_t guest_write(struct guest *guest, uint32_t fd, uint32_t size)
{
    put_iovec(guest, size);
    return CALL(guest, "fd_write", I(fd), I(AT_IOVECS), I(1), I(AT_OUT));
}

static inline uint32_t guest_read(struct guest *guest, uint32_t fd, uint32_t size)
{
    put_iovec(guest, size);
    return CALL(guest, "fd_read", I(fd), I(AT_IOVECS), I(1), I(AT_OUT));
}

static inline uint32_t guest_pwrite(struct guest *guest, uint32_t fd, uint32_t size,
                                    uint64_t offset)
{
    put_iovec(guest, size);
    return CALL(guest, "fd_pwrite", I(fd), I(AT_IOVECS), I(1), I(offset), I(AT_OUT));
}

static inline uint32_t guest_rename(struct guest *guest, uint32_t from, const char *old_path,
                                    uint32_t to, const char *new_path)
{
    uint64_t length = put_text(guest, AT_PATH, old_path);
    uint64_t length2 = put_text(guest, AT_PATH2, new_path);

    return CALL(guest, "path_rename", I(from), I(AT_PATH), I(length), I(to), I(AT_PATH2),
                I(length2));
}

static inline uint32_t guest_link(struct guest *guest, uint32_t from, const char *old_path,
                                  uint32_t to, const char *new_path)
{
    uint64_t length = put_text(guest, AT_PATH, old_path);
    uint64_t length2 = put_text(guest, AT_PATH2, new_path);

    return CALL(guest, "path_link", I(from), I(0), I(AT_PATH), I(length), I(to), I(AT_PATH2),
                I(length2));
}

static inline uint32_t guest_symlink(struct guest *guest, const char *target, const char *path)
{
    uint64_t length = put_text(guest, AT_PATH, target);
    uint64_t length2 = put_text(guest, AT_PATH2, path);

    return CALL(guest, "path_symlink", I(AT_PATH), I(length), I(3), I(AT_PATH2), I(length2));
}

/* A path of the host: `name` in the granted directory. */
static inline const char *host_path(const struct guest *guest, const char *name)
{
    static char path[2][4200];
    static int which;

    which ^= 1;
    snprintf(path[which], sizeof path[which], "%s/%s", guest->root, name);
    return path[which];
}

static inline void host_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

#endif
