/* fd_readdir: cookies, small buffers, entries that come and go. */
#include "wasi_fixture.h"

enum { ENTRIES = 2500 };

/* Reads from the cookie with a buffer of that size; returns the bytes used. */
static uint32_t read_at(struct guest *guest, uint64_t cookie, uint32_t size)
{
    MUST(CALL(guest, "fd_readdir", I(3), I(AT_DATA), I(size), I(cookie), I(AT_OUT)));
    cr_assert_leq(out_u32(guest), size);
    return out_u32(guest);
}

/* The entry at `at`, if it is there as a whole; returns where the next one begins. */
static uint32_t entry_at(const struct guest *guest, uint32_t at, uint32_t used,
                         struct cn_abi_dirent *entry, char *name)
{
    const uint8_t *bytes = guest->memory.base + AT_DATA + at;

    if (used - at < sizeof *entry)
        return 0;
    memcpy(entry, bytes, sizeof *entry);
    if (used - at - sizeof *entry < entry->name_length)
        return 0;
    memcpy(name, bytes + sizeof *entry, entry->name_length);
    name[entry->name_length] = '\0';
    return at + (uint32_t)sizeof *entry + entry->name_length;
}

/* Walks the directory with that buffer; counts how often each "n<number>" comes. */
static uint32_t walk(struct guest *guest, uint32_t size, uint8_t *counts, bool removes)
{
    struct cn_abi_dirent entry;
    char name[300];
    uint64_t cookie = 0;
    uint32_t total = 0, used;

    do {
        uint32_t at = 0, next;
        used = read_at(guest, cookie, size);
        while ((next = entry_at(guest, at, used, &entry, name)) != 0) {
            at = next;
            cookie = entry.next;
            total++;
            if (name[0] == 'n')
                counts[atoi(name + 1)]++;
            if (removes && name[0] == 'n')
                cr_assert_eq(unlink(host_path(guest, name)), 0);
        }
    } while (used == size);
    return total;
}

static void fill(struct guest *guest)
{
    char name[16];

    guest_prepare(guest);
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(name, sizeof name, "n%d", i);
        host_write(host_path(guest, name), "");
    }
    guest_start(guest, false);
}

Test(dir_stream, shows_every_entry_once_whatever_the_buffer)
{
    struct guest guest;
    static const uint32_t sizes[] = {29, 30, 100, 4096, 131072};
    fill(&guest);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t counts[ENTRIES] = {0};
        cr_expect_eq(walk(&guest, sizes[i], counts, false), ENTRIES + 2);
        for (int n = 0; n < ENTRIES; n++)
            cr_assert_eq(counts[n], 1, "n%d came %d times", n, counts[n]);
    }
    guest_finish(&guest);
}

Test(dir_stream, misses_nothing_while_entries_are_removed)
{
    struct guest guest;
    uint8_t counts[ENTRIES] = {0};
    fill(&guest);

    walk(&guest, 128, counts, true);
    for (int n = 0; n < ENTRIES; n++)
        cr_assert_eq(counts[n], 1, "n%d came %d times", n, counts[n]);
    cr_expect_eq(read_at(&guest, 0, 4096), 24 + 1 + 24 + 2, "only the dots are left");
    guest_finish(&guest);
}

Test(dir_stream, goes_back_to_any_cookie_and_to_no_other)
{
    struct guest guest;
    struct cn_abi_dirent entry;
    char names[ENTRIES + 2][16], name[300];
    fill(&guest);

    uint32_t used = read_at(&guest, 0, 131072), at = 0;
    for (int i = 0; i < ENTRIES + 2; i++) {
        at = entry_at(&guest, at, used, &entry, names[i]);
        cr_expect_eq(entry.next, (uint64_t)i + 1);
    }
    for (int i = ENTRIES; i >= 0; i -= 37) {
        used = read_at(&guest, (uint64_t)i, 200);
        cr_assert_neq(entry_at(&guest, 0, used, &entry, name), 0);
        cr_expect_str_eq(name, names[i]);
    }
    cr_expect_eq(read_at(&guest, ENTRIES + 2, 100), 0, "the end");
    EXPECT_ERRNO(CALL(&guest, "fd_readdir", I(3), I(AT_DATA), I(99), I(ENTRIES + 3), I(AT_OUT)),
                 INVAL);
    EXPECT_ERRNO(CALL(&guest, "fd_readdir", I(3), I(AT_DATA), I(99), I(UINT64_MAX), I(AT_OUT)),
                 INVAL);
    EXPECT_ERRNO(CALL(&guest, "fd_readdir", I(3), I(AT_DATA), I(99), I(1ull << 63), I(AT_OUT)),
                 INVAL);
    guest_finish(&guest);
}

Test(dir_stream, cuts_the_last_entry_off)
{
    struct guest guest;
    guest_setup(&guest);

    for (uint32_t size = 0; size < 51; size++) {
        memset(guest.memory.base + AT_DATA, 0xaa, 64);
        cr_expect_eq(read_at(&guest, 0, size), size);
        cr_expect_eq(guest.memory.base[AT_DATA + size], 0xaa, "beyond the buffer");
    }
    cr_expect_eq(read_at(&guest, 0, 52), 51);
    guest_finish(&guest);
}

Test(dir_stream, names_the_inodes_that_status_names)
{
    struct guest guest;
    struct cn_abi_dirent entry;
    char name[300];
    uint64_t inode = 0;
    guest_prepare(&guest);
    host_write(host_path(&guest, "file"), "");
    guest_start(&guest, false);

    uint32_t used = read_at(&guest, 0, 4096), at = 0;
    while ((at = entry_at(&guest, at, used, &entry, name)) != 0) {
        if (strcmp(name, "file") == 0)
            inode = entry.ino;
    }
    put_text(&guest, AT_PATH, "file");
    MUST(CALL(&guest, "path_filestat_get", I(3), I(0), I(AT_PATH), I(4), I(AT_OUT)));
    cr_expect_eq(cn_load_u64(guest.memory.base + AT_OUT + 8), inode);
    struct stat stat_now;
    stat(host_path(&guest, "file"), &stat_now);
    cr_expect_neq(inode, stat_now.st_ino, "the host's number");
    guest_finish(&guest);
}

Test(dir_stream, charges_what_it_remembers)
{
    struct guest guest;
    fill(&guest);
    uint64_t before = guest.account.used[CN_QUOTA_MEMORY];

    read_at(&guest, 0, 131072);
    cr_expect_geq(guest.account.used[CN_QUOTA_MEMORY] - before, 8192 + ENTRIES * 8);
    guest.account.limit[CN_QUOTA_MEMORY] = guest.account.used[CN_QUOTA_MEMORY] + 4096;
    MUST(guest_open_full(&guest, 3, 0, ".", CN_OFLAG_DIRECTORY, CN_RIGHT_FD_READDIR, 0, 0));
    EXPECT_ERRNO(CALL(&guest, "fd_readdir", I(out_u32(&guest)), I(AT_DATA), I(9), I(0),
                      I(AT_OUT)),
                 NOMEM);
    guest_finish(&guest);
}
