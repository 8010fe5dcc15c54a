/* The store: keys that come and go, changes of the host key that are cut off at every step, copies
 * from before an erase, and what is swept up after others. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/volume_record.h"
#include "shim/volume_store.h"

static char top[32], path[64], key_path[64];
static struct cn_host_key key;
static struct cn_error error;
static struct cn_volumes store;

static int remove_entry(const char *name, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(name);
}

static void setup(void)
{
    strcpy(top, "/tmp/cn-store-XXXXXX");
    cr_assert_not_null(mkdtemp(top));
    snprintf(path, sizeof path, "%s/store", top);
    snprintf(key_path, sizeof key_path, "%s/key", top);
    key = (struct cn_host_key){key_path, true, true};
}

static void teardown(void)
{
    nftw(top, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
}

TestSuite(volume_store, .init = setup, .fini = teardown);

static void begin(void)
{
    cr_assert_eq(cn_volumes_open(&store, path, &key, &error), CN_OK, "%s", error.text);
}

static void create(const char *name)
{
    cr_assert_eq(cn_volumes_create(&store, name, CN_UNLIMITED, 10, &error), CN_OK, "%s",
                 error.text);
}

static void drop(const char *name)
{
    cr_assert_eq(cn_volumes_remove(&store, name, &error), CN_OK, "%s", error.text);
}

static bool is_there(const char *name)
{
    char full[256];
    struct stat stat;
    snprintf(full, sizeof full, "%s/%s", path, name);
    return lstat(full, &stat) == 0;
}

/* A file as it is now, and put back later. */
struct copy {
    uint8_t bytes[65536];
    ssize_t size;
};

static struct copy copy_of(const char *name)
{
    struct copy copy;
    int fd = open(name, O_RDONLY);
    copy.size = read(fd, copy.bytes, sizeof copy.bytes);
    cr_assert_gt(copy.size, 0);
    close(fd);
    return copy;
}

static void put_back(const char *name, const struct copy *copy)
{
    int fd = open(name, O_WRONLY | O_TRUNC);
    cr_assert_eq(write(fd, copy->bytes, (size_t)copy->size), copy->size);
    close(fd);
}

static void fails_to_open(enum cn_status status, const char *text)
{
    cr_assert_eq(cn_volumes_open(&store, path, &key, &error), status, "%s", error.text);
    cr_assert_not_null(strstr(error.text, text), "%s", error.text);
}

static void master_of(const char *name, uint8_t *master)
{
    struct cn_mount *mount;
    cr_assert_eq(cn_volumes_mount(&store, name, &mount, &error), CN_OK, "%s", error.text);
    memcpy(master, mount->grant.keys->master, CN_KEY_SIZE);
    cn_volume_let_go(&mount->grant);
}

Test(volume_store, keeps_keys_from_one_opening_to_the_next)
{
    uint8_t before[3][CN_KEY_SIZE], after[CN_KEY_SIZE];
    const char *names[] = {"a", "b", "c"};
    begin();
    for (int i = 0; i < 3; i++) {
        create(names[i]);
        master_of(names[i], before[i]);
    }
    cn_volumes_close(&store);
    begin();
    drop("b");
    cr_assert_eq(cn_volumes_create(&store, "a", 1, 1, &error), CN_MISUSE);
    cn_volumes_close(&store);
    begin();
    for (int i = 0; i < 3; i += 2) {
        master_of(names[i], after);
        cr_assert(memcmp(before[i], after, CN_KEY_SIZE) == 0);
    }
    cr_assert(memcmp(before[0], before[2], CN_KEY_SIZE) != 0);
    cr_assert_null(cn_ring_find(&store.ring, "b"));
    cr_assert_eq(cn_ring_find(&store.ring, "c")->inodes, 10);
    cr_assert(!is_there("volumes/b"));
    cr_assert(is_there("volumes/a"));
    cn_volumes_close(&store);
}

Test(volume_store, does_not_open_as_a_copy_from_before_an_erase)
{
    char ring[96];
    snprintf(ring, sizeof ring, "%s/keyring", path);
    begin();
    create("a");
    create("b");
    struct copy old = copy_of(ring), old_key = copy_of(key_path);
    drop("a");
    cn_volumes_close(&store);
    struct copy new_key = copy_of(key_path);
    put_back(ring, &old);
    fails_to_open(CN_IO, "from before an erase");
    /* The control: it is the key that is missing. */
    put_back(key_path, &old_key);
    begin();
    cr_assert_not_null(cn_ring_find(&store.ring, "a"));
    cn_volumes_close(&store);
    /* Nor does it open when its generation is made to fit. */
    put_back(key_path, &new_key);
    struct cn_ring_head head;
    memcpy(&head, old.bytes, sizeof head);
    head.generation++;
    memcpy(old.bytes, &head, sizeof head);
    put_back(ring, &old);
    fails_to_open(CN_IO, "does not go with its host key");
}

/* The key file with the old key and the new one, as between the steps of a change. */
static struct copy both_keys(const struct copy *old, const struct copy *new)
{
    struct copy both = *new;
    cr_assert_eq(old->size, new->size);
    for (ssize_t i = 0; i < both.size; i++)
        both.bytes[i] |= old->bytes[i];
    return both;
}

Test(volume_store, finishes_a_change_of_the_host_key_on_either_side)
{
    char ring[96];
    snprintf(ring, sizeof ring, "%s/keyring", path);
    begin();
    create("a");
    create("b");
    struct copy old = copy_of(ring), old_key = copy_of(key_path);
    drop("a");
    cn_volumes_close(&store);
    struct copy new = copy_of(ring), new_key = copy_of(key_path);
    struct copy both = both_keys(&old_key, &new_key);

    /* Cut off before the ring was replaced: nothing has happened. */
    put_back(ring, &old);
    put_back(key_path, &both);
    begin();
    cr_assert_not_null(cn_ring_find(&store.ring, "a"));
    cn_volumes_close(&store);
    struct copy left = copy_of(key_path);
    cr_assert(memcmp(left.bytes, old_key.bytes, (size_t)left.size) == 0);

    /* Cut off after it: the erase is done, and the old key goes. */
    put_back(ring, &new);
    put_back(key_path, &both);
    begin();
    cr_assert_null(cn_ring_find(&store.ring, "a"));
    cr_assert_not_null(cn_ring_find(&store.ring, "b"));
    cn_volumes_close(&store);
    left = copy_of(key_path);
    cr_assert(memcmp(left.bytes, new_key.bytes, (size_t)left.size) == 0);

    /* The new key half written. */
    both = both_keys(&old_key, &new_key);
    both.bytes[4096 + 40] ^= 1;
    put_back(ring, &old);
    put_back(key_path, &both);
    begin();
    cr_assert_not_null(cn_ring_find(&store.ring, "b"));
    drop("b");
    cn_volumes_close(&store);
    begin();
    cn_volumes_close(&store);
}

Test(volume_store, settles_what_was_erased_and_not_yet_removed)
{
    struct cn_record_count count;
    begin();
    create("a");
    cn_ring_find(&store.ring, "a")->is_erased = true;
    cr_assert_eq(cn_ring_rotate(&store.ring, &error), CN_OK);
    cn_volumes_close(&store); /* without files removed, without a record */
    cr_assert(is_there("volumes/a"));
    begin();
    cr_assert(!is_there("volumes/a"));
    cr_assert_null(cn_ring_find(&store.ring, "a"));
    cr_assert_eq(cn_volumes_check_records(&store, &count, &error), CN_OK);
    cr_assert_eq(count.all, 1);
    cr_assert_eq(count.good, 1);
    cn_volumes_close(&store);
}

Test(volume_store, notices_records_that_were_changed)
{
    char records[96];
    struct cn_record_count count;
    snprintf(records, sizeof records, "%s/records", path);
    begin();
    create("a");
    create("b");
    drop("a");
    drop("b");
    struct copy copy = copy_of(records);
    char *name = strstr((char *)copy.bytes, "\"b\"");
    cr_assert_not_null(name);
    name[1] = 'x';
    put_back(records, &copy);
    cr_assert_eq(cn_volumes_check_records(&store, &count, &error), CN_OK);
    cr_assert_eq(count.all, 2);
    cr_assert_eq(count.good, 1);
    name[1] = 'b';
    for (ssize_t i = 0; copy.bytes[i] != '\n'; i++) { /* any byte of the first line */
        copy.bytes[i] ^= 1;
        put_back(records, &copy);
        cr_assert_eq(cn_volumes_check_records(&store, &count, &error), CN_OK);
        cr_assert_eq(count.good, 1, "byte %zd was changed", i);
        copy.bytes[i] ^= 1;
    }
    cn_volumes_close(&store);
}

Test(volume_store, writes_a_record_anew_that_was_cut_off)
{
    char records[96];
    struct cn_record_count count;
    struct stat stat;
    snprintf(records, sizeof records, "%s/records", path);
    begin();
    for (int i = 0; i < 3; i++) {
        create("a");
        drop("a");
        if (i == 1) /* in the middle of the second */
            cr_assert(lstat(records, &stat) == 0 && truncate(records, stat.st_size - 40) == 0);
    }
    cr_assert_eq(cn_volumes_check_records(&store, &count, &error), CN_OK);
    cr_assert_eq(count.all, 2);
    cr_assert_eq(count.good, 2);
    cn_volumes_close(&store);
}

/* Who makes a store may be ended before the host key is in its file, or while it is written. */
Test(volume_store, is_made_again_when_its_making_was_cut_off)
{
    static const off_t sizes[] = {0, 50};
    for (size_t i = 0; i < 2; i++) {
        begin();
        cn_volumes_close(&store);
        cr_assert_eq(truncate(key_path, sizes[i]), 0);
        key.may_be_made = false;
        fails_to_open(CN_IO, "no key for this volume store");
        key.may_be_made = true;
        begin();
        cn_volumes_close(&store);
        begin();
        cn_volumes_close(&store);
    }
    begin();
    create("a"); /* now there is something to lose */
    cn_volumes_close(&store);
    cr_assert_eq(truncate(key_path, 0), 0);
    fails_to_open(CN_IO, "no key for this volume store");
}

Test(volume_store, wants_its_key_elsewhere_and_its_own)
{
    key.may_be_on_same_disk = false;
    fails_to_open(CN_MISUSE, "--key-on-same-disk");
    key.may_be_on_same_disk = true;
    unlink(key_path);
    begin();
    create("a");
    cn_volumes_close(&store);
    key.path = NULL;
    begin();
    struct cn_mount *mount;
    cr_assert_eq(cn_volumes_mount(&store, "a", &mount, &error), CN_MISUSE);
    cr_assert_eq(cn_volumes_remove(&store, "a", &error), CN_MISUSE);
    cr_assert_eq(cn_volumes_create(&store, "b", 1, 1, &error), CN_MISUSE);
    cn_volumes_close(&store);
    key.path = key_path;
    strcat(path, "2");
    fails_to_open(CN_MISUSE, "in use");
}

Test(volume_store, gives_a_volume_to_one_at_a_time)
{
    struct cn_mount *one, *two;
    begin();
    create("a");
    cr_assert_eq(cn_volumes_mount(&store, "a", &one, &error), CN_OK);
    cr_assert_eq(cn_volumes_mount(&store, "a", &two, &error), CN_MISUSE);
    cr_assert_eq(cn_volumes_remove(&store, "a", &error), CN_MISUSE);
    cr_assert(cn_volumes_is_in_use(&store, "a"));
    cn_volume_hold(&one->grant);
    cn_volume_let_go(&one->grant);
    cr_assert(cn_volumes_is_in_use(&store, "a"));
    cn_volume_let_go(&one->grant);
    cr_assert(!cn_volumes_is_in_use(&store, "a"));
    drop("a");
    cn_volumes_close(&store);
}

static void make_dirs(const char *below, int depth)
{
    char name[256];
    snprintf(name, sizeof name, "%s/%s", path, below);
    int at = open(name, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < depth; i++) {
        cr_assert_eq(mkdirat(at, "a-name", 0700), 0);
        cr_assert_eq(mkdirat(at, "another", 0700), 0);
        close(openat(at, "file", O_CREAT | O_WRONLY, 0600));
        int next = openat(at, "a-name", O_RDONLY | O_DIRECTORY);
        close(at);
        at = next;
    }
    close(at);
}

Test(volume_store, removes_trees_of_any_depth_and_what_nobody_knows)
{
    begin();
    create("a");
    make_dirs("volumes/a", 600);
    drop("a");
    cr_assert(!is_there("volumes/a"));
    make_dirs("volumes", 2); /* somebody was about to make them */
    make_dirs("ephemeral", 2);
    cn_volumes_close(&store);
    begin();
    cr_assert(!is_there("volumes/a-name"));
    cr_assert(!is_there("volumes/another"));
    cr_assert(!is_there("ephemeral/another"));
    cn_volumes_close(&store);
}

/* CVE-2024-28189, CVE-2026-1386: whoever can write there makes a link, and the clean-up goes
 * through it with rights of its own. */
Test(volume_store, removes_links_and_not_what_they_lead_to)
{
    char outside[] = "/tmp/cn-outside-XXXXXX", name[300];

    cr_assert_not_null(mkdtemp(outside));
    snprintf(name, sizeof name, "%s/file", outside);
    close(open(name, O_CREAT | O_WRONLY, 0600));
    begin();
    create("a");
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    cr_assert_eq(symlinkat(outside, dir, "volumes/a/link"), 0);
    cr_assert_eq(symlinkat(outside, dir, "volumes/left"), 0);
    cr_assert_eq(symlinkat(name, dir, "trash/file"), 0);
    drop("a");
    cn_volumes_close(&store);
    begin();
    cr_assert(!is_there("volumes/a") && !is_there("trash/file"));
    cn_volumes_close(&store);
    close(dir);
    cr_expect_eq(access(name, F_OK), 0, "what the links lead to is still there");
    unlink(name);
    rmdir(outside);
}

Test(volume_store, removes_ephemeral_ones_at_their_end)
{
    struct cn_mount *mount;
    char below[64] = "ephemeral/", name[17];
    key.path = NULL;
    begin();
    cr_assert_eq(cn_volumes_mount_ephemeral(&store, &mount, &error), CN_OK);
    for (size_t i = 0; i < 2; i++) { /* not swept while it is in use */
        cn_volumes_close(&store);
        begin();
    }
    snprintf(name, sizeof name, "/proc/self/fd");
    char link[96], target[256] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", mount->dir);
    cr_assert_gt(readlink(link, target, sizeof target - 1), 0);
    strcat(below, strrchr(target, '/') + 1);
    cr_assert(is_there(below));
    make_dirs(below, 5);
    cn_volume_let_go(&mount->grant);
    strcat(below, "/a-name");
    cr_assert(!is_there(below));
    cn_volumes_close(&store);
}

Test(volume_store, takes_only_names)
{
    const char *bad[] = {"", ".", "..", "a/b", "../x", "-a", ".a", "a b", "a\"", "a\n"};
    char longest[80];
    begin();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(cn_volumes_create(&store, bad[i], 1, 1, &error), CN_MISUSE, "%s", bad[i]);
    memset(longest, 'x', sizeof longest);
    longest[64] = '\0';
    cr_assert_eq(cn_volumes_create(&store, longest, 1, 1, &error), CN_MISUSE);
    longest[63] = '\0';
    create(longest);
    drop(longest);
    cn_volumes_close(&store);
}

#define USED_OF_ENTRY (offsetof(struct cn_ring_entry, key) + CN_KEY_SIZE)

Test(volume_store, never_opens_what_is_damaged)
{
    char ring[96];
    snprintf(ring, sizeof ring, "%s/keyring", path);
    begin();
    create("a");
    cn_volumes_close(&store);
    struct copy good = copy_of(ring);
    struct cn_mount *mount;
    struct cn_record_count count;
    for (ssize_t i = 0; i < good.size; i += 3) {
        struct copy bad = good;
        bad.bytes[i] ^= 0x10;
        put_back(ring, &bad);
        if (cn_volumes_open(&store, path, &key, &error) != CN_OK)
            continue;
        /* The public key, whether the disk is the same, and numbers that nothing hangs on. */
        if (cn_volumes_mount(&store, "a", &mount, &error) == CN_OK) {
            size_t in_entry = ((size_t)i - sizeof(struct cn_ring_head)) %
                              sizeof(struct cn_ring_entry);
            cr_assert(i < (ssize_t)sizeof(struct cn_ring_head) || in_entry >= USED_OF_ENTRY);
            cn_volume_let_go(&mount->grant);
        }
        cr_assert_eq(cn_volumes_check_records(&store, &count, &error), CN_OK);
        cr_assert_eq(count.all, 0, "a record of something that was not erased");
        cn_volumes_close(&store);
    }
}

/* Hidden names, so that the walk goes into directories. */
static void make_hidden(struct cn_mount *mount, const char *name, bool is_dir, uid_t user)
{
    char hidden[256];
    cr_assert_eq(cn_name_hide(mount->grant.keys, name, hidden), CN_E_SUCCESS);
    int fd = is_dir ? mkdirat(mount->dir, hidden, 0700)
                    : openat(mount->dir, hidden, O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    if (!is_dir)
        close(fd);
    cr_assert_eq(fchownat(mount->dir, hidden, user, user, 0), 0);
}

static uid_t owner_of(const struct cn_mount *mount, const char *name)
{
    char hidden[256];
    struct stat stat;
    cr_assert_eq(cn_name_hide(mount->grant.keys, name, hidden), CN_E_SUCCESS);
    cr_assert_eq(fstatat(mount->dir, hidden, &stat, AT_SYMLINK_NOFOLLOW), 0);
    return stat.st_uid;
}

Test(volume_store, gives_a_volume_to_who_uses_it_and_nothing_else)
{
    struct cn_mount *mount;
    struct stat stat;
    char foreign[96], hidden[256];
    if (geteuid() != 0)
        cr_skip_test("root alone can give files away");
    begin();
    create("a");
    cr_assert_eq(cn_volumes_mount(&store, "a", &mount, &error), CN_OK);
    cr_assert_eq(fstat(mount->dir, &stat), 0);
    cr_assert_eq(stat.st_uid, 65534);
    make_hidden(mount, "mine", false, 65534);
    make_hidden(mount, "folder", true, 65534);
    make_hidden(mount, "of root", false, 0); /* from a run without a sandbox */
    make_hidden(mount, "of another", false, 77);
    /* A file of root's that somebody has given a name in here. */
    snprintf(foreign, sizeof foreign, "%s/foreign", top);
    close(open(foreign, O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(cn_name_hide(mount->grant.keys, "foreign", hidden), CN_E_SUCCESS);
    cr_assert_eq(linkat(AT_FDCWD, foreign, mount->dir, hidden, 0), 0);
    cr_assert_eq(cn_mount_give_to(mount, 1234, 4321, &error), CN_OK, "%s", error.text);
    cr_assert_eq(fstat(mount->dir, &stat), 0);
    cr_assert_eq(stat.st_uid, 1234);
    cr_assert_eq(stat.st_gid, 4321);
    cr_assert_eq(owner_of(mount, "mine"), 1234);
    cr_assert_eq(owner_of(mount, "folder"), 1234);
    cr_assert_eq(owner_of(mount, "of root"), 1234);
    cr_assert_eq(owner_of(mount, "of another"), 77);
    cr_assert_eq(owner_of(mount, "foreign"), 0);
    cn_volume_let_go(&mount->grant);
    cn_volumes_close(&store);
}
