/* The guest's calls on a volume: the same as on a directory of the host, which is the model; what
 * they leave on the host; and what comes back after an end, a kill, and damage. */
#include <dirent.h>

#include "shim/state.h"
#include "shim/volume.h"
#include "wasi_fixture.h"

#define SIZE (1u << 20)
#define INODES 24u

static struct cn_volume_grant grant = {.size = SIZE, .inodes = INODES, .holders = 1};
static struct guest sealed, plain;

static void setup(void)
{
    cr_assert_eq(cn_volume_keys_new(NULL, &grant.keys), CN_E_SUCCESS);
    guest_prepare(&sealed);
    sealed.volume = &grant;
    guest_start(&sealed, false);
    guest_prepare(&plain);
    plain.account.limit[CN_QUOTA_DISK] = SIZE;
    plain.account.limit[CN_QUOTA_INODES] = INODES;
    guest_start(&plain, false);
}

static void teardown(void)
{
    guest_finish(&sealed);
    guest_finish(&plain);
    cn_volume_keys_free(grant.keys);
}

TestSuite(volume_calls, .init = setup, .fini = teardown);

static struct cn_volume *volume(void)
{
    return sealed.wasi->volumes[0];
}

static uint64_t random_state;

static uint32_t pick(uint32_t count)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % count;
}

static const char *const names[] = {
    "a", "b", "d", "d/a", "d/b", "d/e", "d/e/f", "l", "d/l", "a/", "d/", "l/", ".", "..", "d/..",
    "d/../a", "l/a", "l/..", "d/./a", "d/e/../../b", "d//a", "d/l/e", "nothing/a", "l/../d/a",
};
static const char *const targets[] = {"a", "d", "d/a", "../a", "l", ".", "d/l", "nowhere",
                                      "../d/e", "d/"};

#define PICK(list) (list)[pick(sizeof(list) / sizeof *(list))]

/* ------------------------------------------------------------------ one call on both */

static uint32_t both(const char *name, const union cn_slot *slots)
{
    uint32_t found = guest_call_slots(&sealed, name, slots);
    uint32_t expected = guest_call_slots(&plain, name, slots);

    /* Which of two errors comes first is not promised: on a directory a link is followed after
     * the quota was asked. */
    if (expected == CN_E_DQUOT && found != CN_E_SUCCESS)
        return found;
    cr_assert_eq(found, expected, "%s(%llu, ...) of \"%.40s\" and \"%.40s\" gives %s, not %s",
                 name, (unsigned long long)slots[0].u64, plain.memory.base + AT_PATH,
                 plain.memory.base + AT_PATH2, cn_errno_name(found), cn_errno_name(expected));
    return found;
}

#define BOTH(name, ...) both((name), (const union cn_slot[16]){__VA_ARGS__})

static uint64_t put_both(uint32_t address, const char *text)
{
    memset(sealed.memory.base + address, 0, 64);
    memset(plain.memory.base + address, 0, 64);
    put_text(&sealed, address, text);
    return put_text(&plain, address, text);
}

static void same_bytes(uint32_t address, size_t size, const char *what)
{
    const uint8_t *a = sealed.memory.base + address, *b = plain.memory.base + address;

    for (size_t i = 0; i < size; i++)
        cr_assert_eq(a[i], b[i], "%s: byte %zu is %d, not %d", what, i, a[i], b[i]);
}

static void put_list(uint32_t size)
{
    uint32_t first = pick(size + 1);

    for (struct guest *guest = &sealed; guest != NULL; guest = guest == &sealed ? &plain : NULL) {
        uint8_t *list = guest->memory.base + AT_IOVECS;
        cn_store_u32(list, AT_DATA);
        cn_store_u32(list + 4, first);
        cn_store_u32(list + 8, AT_DATA + first);
        cn_store_u32(list + 12, size - first);
    }
}

static void fill_data(uint32_t size)
{
    uint8_t byte = (uint8_t)pick(256);

    memset(sealed.memory.base + AT_DATA, byte, size);
    memset(plain.memory.base + AT_DATA, byte, size);
}

/* All that a status says but who and when, and how long a directory is. */
static void same_status(void)
{
    struct cn_abi_filestat a, b;

    memcpy(&a, sealed.memory.base + AT_OUT, sizeof a);
    memcpy(&b, plain.memory.base + AT_OUT, sizeof b);
    cr_assert_eq(a.filetype, b.filetype);
    cr_assert_eq(a.nlink, b.nlink);
    cr_assert(a.filetype == CN_FILETYPE_DIRECTORY || a.size == b.size, "size %llu, not %llu",
              (unsigned long long)a.size, (unsigned long long)b.size);
}

/* ------------------------------------------------------------------ directories */

struct listing {
    char names[64][64];
    uint32_t count;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void list(struct guest *guest, uint32_t fd, struct listing *result)
{
    uint32_t used = 0;

    result->count = 0;
    MUST(CALL(guest, "fd_readdir", I(fd), I(AT_DATA), I(65536), I(0), I(AT_OUT)));
    uint32_t size = out_u32(guest);
    while (used + sizeof(struct cn_abi_dirent) <= size) {
        struct cn_abi_dirent entry;
        memcpy(&entry, guest->memory.base + AT_DATA + used, sizeof entry);
        used += (uint32_t)sizeof entry;
        cr_assert_lt(result->count, 64);
        snprintf(result->names[result->count++], 64, "%.*s %d", (int)entry.name_length,
                 (char *)guest->memory.base + AT_DATA + used, entry.type);
        used += entry.name_length;
    }
    qsort(result->names, result->count, sizeof result->names[0], by_name);
}

static void same_directory(uint32_t fd)
{
    struct listing a, b;

    list(&sealed, fd, &a);
    list(&plain, fd, &b);
    cr_assert_eq(a.count, b.count);
    for (uint32_t i = 0; i < a.count; i++)
        cr_assert_str_eq(a.names[i], b.names[i]);
}

/* ------------------------------------------------------------------ random calls */

#define FDS 6

static uint32_t fds[FDS]; /* 0: closed */
static uint8_t types[FDS];

static uint32_t a_dir(void)
{
    uint32_t at = pick(FDS);

    return fds[at] != 0 && types[at] == CN_FILETYPE_DIRECTORY && pick(3) == 0 ? fds[at] : 3;
}

static void open_one(void)
{
    static const uint32_t oflags[] = {0, 0, CN_OFLAG_CREAT, CN_OFLAG_CREAT, CN_OFLAG_DIRECTORY,
                                      CN_OFLAG_CREAT | CN_OFLAG_EXCL, CN_OFLAG_TRUNC,
                                      CN_OFLAG_CREAT | CN_OFLAG_TRUNC};
    uint32_t at = pick(FDS), flags = pick(3) == 0 ? CN_FDFLAG_APPEND : 0;

    if (fds[at] != 0)
        BOTH("fd_close", I(fds[at]));
    fds[at] = 0;
    uint64_t length = put_both(AT_PATH, PICK(names));
    uint64_t rights = pick(4) == 0 ? CN_RIGHT_FD_READ | CN_RIGHT_FD_READDIR : ALL_RIGHTS;
    if (pick(4) == 0) /* a directory cannot be written */
        rights &= ~(uint64_t)CN_RIGHT_FD_WRITE;
    if (BOTH("path_open", I(a_dir()), I(pick(2)), I(AT_PATH), I(length), I(PICK(oflags)),
             I(rights), I(ALL_RIGHTS), I(flags), I(AT_OUT)) != 0)
        return;
    same_bytes(AT_OUT, 4, "the descriptor");
    fds[at] = out_u32(&plain);
    MUST(CALL(&plain, "fd_fdstat_get", I(fds[at]), I(AT_OUT)));
    types[at] = plain.memory.base[AT_OUT];
}

static void path_call(const char *name)
{
    BOTH(name, I(a_dir()), I(AT_PATH), I(put_both(AT_PATH, PICK(names))));
}

static void two_paths(const char *name, bool has_flags)
{
    uint64_t one = put_both(AT_PATH, PICK(names)), two = put_both(AT_PATH2, PICK(names));
    uint64_t from = a_dir(), to = a_dir();

    if (has_flags)
        BOTH(name, I(from), I(0), I(AT_PATH), I(one), I(to), I(AT_PATH2), I(two));
    else
        BOTH(name, I(from), I(AT_PATH), I(one), I(to), I(AT_PATH2), I(two));
}

static void name_step(void)
{
    uint64_t length, size;

    switch (pick(9)) {
    case 0:
        path_call("path_create_directory");
        break;
    case 1:
        path_call("path_remove_directory");
        break;
    case 2:
        path_call("path_unlink_file");
        break;
    case 3:
        two_paths("path_rename", false);
        break;
    case 4:
        two_paths("path_link", true);
        break;
    case 5:
        size = put_both(AT_PATH, PICK(targets));
        length = put_both(AT_PATH2, PICK(names));
        BOTH("path_symlink", I(AT_PATH), I(size), I(a_dir()), I(AT_PATH2), I(length));
        break;
    case 6:
        length = put_both(AT_PATH, PICK(names));
        size = pick(8);
        if (BOTH("path_readlink", I(a_dir()), I(AT_PATH), I(length), I(AT_DATA), I(size),
                 I(AT_OUT)) == 0) {
            same_bytes(AT_OUT, 4, "a link's size");
            same_bytes(AT_DATA, out_u32(&plain), "a link's text");
        }
        break;
    case 7:
        length = put_both(AT_PATH, PICK(names));
        BOTH("path_filestat_set_times", I(a_dir()), I(pick(2)), I(AT_PATH), I(length),
             I(1000000000), I(2000000000), I(CN_FST_ATIM | CN_FST_MTIM));
        break;
    default:
        length = put_both(AT_PATH, PICK(names));
        if (BOTH("path_filestat_get", I(a_dir()), I(pick(2)), I(AT_PATH), I(length),
                 I(AT_OUT)) == 0)
            same_status();
    }
}

static void read_or_write(uint32_t fd, bool writes, bool has_place)
{
    uint32_t size = pick(4) == 0 ? pick(60000) : pick(6000);
    uint64_t place = pick(3) == 0 ? pick(400000) : pick(20000);
    const char *names_of[2][2] = {{"fd_read", "fd_pread"}, {"fd_write", "fd_pwrite"}};
    const char *name = names_of[writes][has_place];

    fill_data(size);
    put_list(size);
    uint32_t error = has_place ? BOTH(name, I(fd), I(AT_IOVECS), I(2), I(place), I(AT_OUT))
                               : BOTH(name, I(fd), I(AT_IOVECS), I(2), I(AT_OUT));
    if (error == 0)
        same_bytes(AT_OUT, 4, name);
    if (error == 0 && !writes)
        same_bytes(AT_DATA, out_u32(&plain), name);
}

static void file_step(uint32_t fd)
{
    uint64_t place = pick(30000);

    switch (pick(8)) {
    case 0:
    case 1:
        read_or_write(fd, true, pick(2));
        break;
    case 2:
    case 3:
        read_or_write(fd, false, pick(2));
        break;
    case 4:
        if (BOTH("fd_seek", I(fd), I((int64_t)place - 10000), I(pick(3)), I(AT_OUT)) == 0)
            same_bytes(AT_OUT, 8, "fd_seek");
        break;
    case 5:
        BOTH("fd_filestat_set_size", I(fd), I(place));
        break;
    case 6:
        if (pick(4) == 0)
            BOTH("fd_allocate", I(fd), I(place), I(pick(9000)));
        else
            BOTH(pick(2) ? "fd_sync" : "fd_datasync", I(fd));
        break;
    default:
        if (BOTH("fd_filestat_get", I(fd), I(AT_OUT)) == 0)
            same_status();
    }
}

static void step(void)
{
    uint32_t at = pick(FDS);

    switch (pick(5)) {
    case 0:
        open_one();
        break;
    case 1:
    case 2:
        name_step();
        break;
    default:
        if (fds[at] != 0 && types[at] != CN_FILETYPE_DIRECTORY)
            file_step(fds[at]);
        else
            same_directory(3);
    }
}

static void same_books(void)
{
    const struct cn_account *account = &volume()->account;

    for (enum cn_quota quota = CN_QUOTA_DISK; quota <= CN_QUOTA_INODES; quota++)
        cr_assert_eq(account->used[quota], plain.account.used[quota], "%s: %llu, not %llu",
                     cn_quota_key(quota), (unsigned long long)account->used[quota],
                     (unsigned long long)plain.account.used[quota]);
}

/* Ends the VM and begins another one with the same volume: everything is as it was. */
static void restart(void)
{
    for (uint32_t i = 0; i < FDS; i++) {
        if (fds[i] != 0)
            BOTH("fd_close", I(fds[i]));
        fds[i] = 0;
    }
    same_books();
    cn_wasi_free(sealed.wasi);
    guest_start(&sealed, false);
    same_books();
    same_directory(3);
}

static void run_steps(uint64_t seed, int count)
{
    random_state = seed;
    memset(fds, 0, sizeof fds);
    for (int i = 0; i < count; i++) {
        step();
        same_books();
        if (i % 500 == 499)
            restart();
    }
    restart();
}

Test(volume_calls, give_what_they_give_on_a_directory)
{
    run_steps(1, 6000);
}

Test(volume_calls, give_it_with_other_random_numbers)
{
    run_steps(2, 6000);
}
