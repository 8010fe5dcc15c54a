#include "shim/volume_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"
#include "shim/resolve.h"
#include "shim/volume_record.h"

#define RECORDS "records"
#define RECORDS_MAX (64u << 20)
#define NOBODY 65534

static enum cn_status failed(const char *what, struct cn_error *error)
{
    return cn_fail(error, CN_IO, CN_NO_OFFSET, "the volume store: %.80s: %s", what,
                   strerror(errno));
}

/* ------------------------------------------------------------------ opening */

static enum cn_status open_dir(int beside, const char *name, int *result, struct cn_error *error)
{
    *result = -1;
    if ((mkdirat(beside, name, 0700) != 0 && errno != EEXIST) ||
        (*result = openat(beside, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return failed(name, error);
    return CN_OK;
}

/* All that leads to it, too. */
static void make_path(const char *path)
{
    char part[4096];

    for (size_t i = 1; path[i] != '\0' && i < sizeof part; i++) {
        if (path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        (void)mkdir(part, 0755);
    }
}

static enum cn_status open_all(struct cn_volumes *store, const char *path, struct cn_error *error)
{
    make_path(path);
    CN_TRY(open_dir(AT_FDCWD, path, &store->dir, error));
    store->lock = openat(store->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock < 0 || flock(store->lock, LOCK_EX) != 0)
        return failed("lock", error);
    CN_TRY(open_dir(store->dir, "volumes", &store->volumes, error));
    CN_TRY(open_dir(store->dir, "ephemeral", &store->ephemeral, error));
    return open_dir(store->dir, "trash", &store->trash, error);
}

/* ------------------------------------------------------------------ removing */

/* A directory of its own in the trash, under a name that nothing else has there. */
static bool throw_away(struct cn_volumes *store, int from, const char *name)
{
    uint64_t number;
    char thrown[40];

    if (!cn_random(&number, sizeof number))
        return false;
    snprintf(thrown, sizeof thrown, ".gone-%llu", (unsigned long long)number);
    return renameat(from, name, store->trash, thrown) == 0 || errno == ENOENT;
}

/* Every name in a directory for which `visit` says so goes to the trash. */
static void sweep(struct cn_volumes *store, int dir,
                  bool (*is_rubbish)(const struct cn_volumes *store, int dir, const char *name))
{
    _Alignas(struct dirent64) char names[4096];
    ssize_t size;

    (void)lseek(dir, 0, SEEK_SET);
    while ((size = getdents64(dir, names, sizeof names)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const struct dirent64 *entry = (const void *)(names + at);
            at += entry->d_reclen;
            bool is_dot = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
            if (!is_dot && is_rubbish(store, dir, entry->d_name))
                (void)throw_away(store, dir, entry->d_name);
        }
    }
}

static bool is_locked(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_free = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;

    if (fd >= 0)
        close(fd);
    return !is_free;
}

/* Its process has ended: nobody has the key any more. */
static bool is_left(const struct cn_volumes *store, int dir, const char *name)
{
    (void)store;
    return !is_locked(dir, name);
}

/* Who cannot use the host key can write that it is, but not seal it. */
static bool is_truly_erased(const struct cn_ring *ring, const struct cn_ring_entry *entry)
{
    static const uint8_t zeros[CN_KEY_SIZE];
    uint8_t *key = cn_secret_page();
    bool is_erased = key != NULL && ring->host_key != NULL &&
                     cn_ring_unwrap(ring, entry, key, NULL) == CN_OK &&
                     CRYPTO_memcmp(key, zeros, sizeof zeros) == 0;

    cn_secret_free(key);
    return is_erased;
}

/* Being made or removed when a process ended. */
static bool is_unknown(const struct cn_volumes *store, int dir, const char *name)
{
    const struct cn_ring_entry *entry = cn_ring_find(&store->ring, name);

    return (entry == NULL || (entry->is_erased && is_truly_erased(&store->ring, entry))) &&
           !is_locked(dir, name);
}

/* ------------------------------------------------------------------ records */

/* A last line without its end was being written when somebody was ended or the disk was full; who
 * goes on writes its record anew. */
static bool drop_torn(int fd)
{
    char tail[CN_RECORD_MAX];
    struct stat stat;

    if (fstat(fd, &stat) != 0)
        return false;
    off_t at = stat.st_size > (off_t)sizeof tail ? stat.st_size - (off_t)sizeof tail : 0;
    ssize_t size = pread(fd, tail, sizeof tail, at);
    if (size < 0)
        return false;
    const char *end = size > 0 ? memrchr(tail, '\n', (size_t)size) : NULL;
    if (end == NULL && at > 0) /* no record is as long: it is somebody else's, and stays */
        return true;
    off_t whole = end != NULL ? at + (end + 1 - tail) : 0;
    return whole == stat.st_size || ftruncate(fd, whole) == 0;
}

static void to_hex(const uint8_t *bytes, size_t size, char *text)
{
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static enum cn_status write_record(struct cn_volumes *store, const struct cn_ring_entry *entry,
                                   struct cn_error *error)
{
    char line[CN_RECORD_MAX], id[33];
    uint8_t *seed = cn_secret_page();

    if (seed == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    to_hex(entry->id, sizeof entry->id, id);
    snprintf(line, sizeof line - 1,
             "{\"event\": \"erased\", \"volume\": \"%s\", \"id\": \"%s\", \"created\": %llu, "
             "\"erased\": %llu, \"generation\": %llu, \"method\": \"%s\"}",
             entry->name, id, (unsigned long long)entry->created, (unsigned long long)time(NULL),
             (unsigned long long)store->ring.head.generation,
             store->ring.head.is_on_same_disk
                 ? "key removed; no claim: the host key was on the same device"
                 : "cryptographic erase (NIST SP 800-88): key destroyed");
    enum cn_status status = cn_ring_unwrap(&store->ring, &store->ring.entries[0], seed, error);
    if (status == CN_OK && !cn_record_sign(seed, line, sizeof line - 1))
        status = cn_fail(error, CN_IO, CN_NO_OFFSET, "the record cannot be signed");
    cn_secret_free(seed);
    if (status != CN_OK)
        return status;
    size_t size = strlen(line);
    line[size++] = '\n';
    int fd = openat(store->dir, RECORDS,
                    O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 || !drop_torn(fd) || write(fd, line, size) != (ssize_t)size || fsync(fd) != 0)
        status = failed(RECORDS, error);
    if (fd >= 0)
        close(fd);
    return status;
}

/* What is behind the erase of a key: its files, and the record. */
static enum cn_status settle(struct cn_volumes *store, struct cn_error *error)
{
    sweep(store, store->ephemeral, is_left);
    if (!store->ring.is_new) /* without a ring there is nothing that could be compared */
        sweep(store, store->volumes, is_unknown);
    if (!cn_empty_dir(store->trash, store->trash))
        return CN_OK; /* the next one tries again: the record comes after the files */
    bool changed = false;
    for (uint32_t i = 1; store->ring.host_key != NULL && i < store->ring.head.count;) {
        struct cn_ring_entry *entry = &store->ring.entries[i];
        if (!entry->is_erased || !is_truly_erased(&store->ring, entry)) {
            i++;
            continue;
        }
        CN_TRY(write_record(store, entry, error));
        cn_ring_drop(&store->ring, entry);
        changed = true;
    }
    return changed ? cn_ring_write(&store->ring, error) : CN_OK;
}

static enum cn_status check_line(const struct cn_volumes *store, const uint8_t *bytes, size_t size,
                                 struct cn_record_count *count)
{
    count->all++;
    count->good += cn_record_verify(store->ring.head.public_key, (struct cn_bytes){bytes, size});
    return CN_OK;
}

static ssize_t read_all(int fd, uint8_t *to, size_t size)
{
    size_t done = 0;
    ssize_t some;

    while (done < size && (some = pread(fd, to + done, size - done, (off_t)done)) > 0)
        done += (size_t)some;
    return (ssize_t)done;
}

enum cn_status cn_volumes_check_records(struct cn_volumes *store, struct cn_record_count *count,
                                      struct cn_error *error)
{
    int fd = openat(store->dir, RECORDS, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat stat = {.st_size = 0};

    *count = (struct cn_record_count){0};
    if (fd < 0)
        return errno == ENOENT ? CN_OK : failed(RECORDS, error);
    size_t size = fstat(fd, &stat) == 0 && stat.st_size < RECORDS_MAX ? (size_t)stat.st_size : 0;
    uint8_t *bytes = cn_alloc(cn_heap, size + 1);
    if (bytes == NULL) {
        close(fd);
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory left");
    }
    size_t length = (size_t)read_all(fd, bytes, size);
    close(fd);
    for (size_t at = 0; at < length;) {
        const uint8_t *end = memchr(bytes + at, '\n', length - at);
        size_t line = end != NULL ? (size_t)(end - bytes) - at : length - at;
        (void)check_line(store, bytes + at, line, count);
        at += line + 1;
    }
    cn_free(cn_heap, bytes, size + 1);
    return CN_OK;
}

/* ------------------------------------------------------------------ volumes */

enum cn_status cn_volumes_open(struct cn_volumes *store, const char *path,
                             const struct cn_host_key *key, struct cn_error *error)
{
    *store = (struct cn_volumes){.dir = -1, .lock = -1, .volumes = -1};
    store->ephemeral = store->trash = -1;
    store->ring.key_file = -1;
    enum cn_status status = open_all(store, path, error);
    if (status == CN_OK)
        status = cn_ring_open(&store->ring, store->dir, key, error);
    if (status == CN_OK)
        status = settle(store, error);
    if (status != CN_OK)
        cn_volumes_close(store);
    return status;
}

void cn_volumes_close(struct cn_volumes *store)
{
    const int fds[] = {store->dir, store->volumes, store->ephemeral, store->trash, store->lock};

    cn_ring_close(&store->ring);
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    store->dir = store->lock = store->volumes = store->ephemeral = store->trash = -1;
}

bool cn_volumes_name_is_good(const char *name)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t size = strlen(name);

    return size > 0 && size < CN_VOLUME_NAME_SIZE && strspn(name, known) == size &&
           strchr("-_.", name[0]) == NULL;
}

/* Root's runs become nobody, and that is whose the directory is: where there is somebody else. */
static bool make_dir(int beside, const char *name)
{
    return mkdirat(beside, name, 0700) == 0 &&
           (geteuid() != 0 || fchownat(beside, name, NOBODY, NOBODY, AT_SYMLINK_NOFOLLOW) == 0 ||
            errno == EINVAL);
}

enum cn_status cn_volumes_create(struct cn_volumes *store, const char *name, uint64_t size,
                               uint64_t inodes, struct cn_error *error)
{
    struct cn_ring_entry entry = {.size = size, .inodes = inodes,
                                  .created = (uint64_t)time(NULL)};

    if (!cn_volumes_name_is_good(name))
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET,
                       "volume \"%.80s\": a name begins with a letter or digit and has letters, "
                       "digits, and -_. (at most 63)", name);
    if (cn_ring_find(&store->ring, name) != NULL)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "volume %s: there is one already", name);
    if (store->ring.host_key == NULL)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET,
                       "volume %s is to be kept: --key-file says where the host key is", name);
    snprintf(entry.name, sizeof entry.name, "%s", name);
    if (!make_dir(store->volumes, name) || fsync(store->volumes) != 0)
        return failed(name, error);
    CN_TRY(cn_ring_add(&store->ring, &entry, error));
    return cn_ring_write(&store->ring, error);
}

static enum cn_status no_such(const char *name, struct cn_error *error)
{
    return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "volume %.80s: there is none", name);
}

bool cn_volumes_is_in_use(const struct cn_volumes *store, const char *name)
{
    return is_locked(store->volumes, name);
}

/* Its directory, locked for this process alone. */
static enum cn_status lock_dir(int beside, const char *name, int *dir, struct cn_error *error)
{
    *dir = openat(beside, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*dir < 0)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "volume %s: %s", name, strerror(errno));
    if (flock(*dir, LOCK_EX | LOCK_NB) == 0)
        return CN_OK;
    close(*dir);
    *dir = -1;
    return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "volume %s is in use by another VM", name);
}

enum cn_status cn_volumes_remove(struct cn_volumes *store, const char *name, struct cn_error *error)
{
    struct cn_ring_entry *entry = cn_ring_find(&store->ring, name);
    int dir;

    if (entry == NULL)
        return no_such(name, error);
    if (store->ring.host_key == NULL)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET,
                       "volume %s: erasing it changes the host key: --key-file says where that is",
                       name);
    enum cn_status status = lock_dir(store->volumes, name, &dir, error);
    if (status == CN_MISUSE)
        return status;
    entry->is_erased = true;
    status = cn_ring_rotate(&store->ring, error);
    if (dir >= 0)
        close(dir);
    if (status == CN_OK)
        status = settle(store, error);
    if (status == CN_OK && cn_ring_find(&store->ring, name) != NULL)
        return cn_fail(error, CN_IO, CN_NO_OFFSET,
                       "volume %s: its key is destroyed, but its files cannot be removed yet",
                       name);
    return status;
}

static void end_mount(struct cn_volume_grant *grant)
{
    struct cn_mount *mount = (struct cn_mount *)grant;

    cn_volume_keys_free(grant->keys);
    cn_mount_empty(mount);
    close(mount->dir);
    cn_free(cn_heap, mount, sizeof *mount);
}

void cn_mount_empty(struct cn_mount *mount)
{
    if (mount->is_ephemeral)
        (void)cn_empty_dir(mount->dir, mount->dir);
}

enum cn_status cn_mount_new(int dir, const uint8_t *key, struct cn_mount **result,
                            struct cn_error *error)
{
    struct cn_mount *mount = cn_alloc(cn_heap, sizeof *mount);

    enum cn_errno refused = CN_E_NOMEM;
    if (mount != NULL)
        refused = key != NULL ? cn_volume_keys_new(key, &mount->grant.keys)
                              : cn_volume_keys_open(&mount->grant.keys);
    if (refused == CN_E_SUCCESS) {
        mount->dir = dir;
        mount->is_ephemeral = key == NULL;
        mount->grant.size = mount->grant.inodes = CN_UNLIMITED;
        mount->grant.holders = 1;
        mount->grant.end = end_mount;
        *result = mount;
        return CN_OK;
    }
    cn_free(cn_heap, mount, sizeof *mount);
    close(dir);
    return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
}

enum cn_status cn_volumes_mount(struct cn_volumes *store, const char *name,
                              struct cn_mount **result, struct cn_error *error)
{
    const struct cn_ring_entry *entry = cn_ring_find(&store->ring, name);
    int dir;

    if (entry == NULL)
        return no_such(name, error);
    uint8_t *key = cn_secret_page();
    if (key == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    enum cn_status status = cn_ring_unwrap(&store->ring, entry, key, error);
    if (status == CN_OK)
        status = lock_dir(store->volumes, name, &dir, error);
    if (status == CN_OK)
        status = cn_mount_new(dir, key, result, error);
    cn_secret_free(key);
    if (status != CN_OK)
        return status;
    (*result)->grant.size = entry->size;
    (*result)->grant.inodes = entry->inodes;
    return CN_OK;
}

enum cn_status cn_volumes_mount_ephemeral(struct cn_volumes *store, struct cn_mount **result,
                                        struct cn_error *error)
{
    uint8_t bytes[8];
    char name[17];
    int dir;

    if (!cn_random(bytes, sizeof bytes))
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the host gives no random numbers");
    to_hex(bytes, sizeof bytes, name);
    if (!make_dir(store->ephemeral, name))
        return failed(name, error);
    CN_TRY(lock_dir(store->ephemeral, name, &dir, error));
    return cn_mount_new(dir, NULL, result, error);
}
