#include "shim/volume_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"
#include "shim/volume_record.h"

#define RING "keyring"
#define SLOT 4096 /* of the key file: two of them */

static const uint8_t ring_magic[8] = {'c', 'n', 'r', 'i', 'n', 'g', 0, 1};
static const uint8_t key_magic[8] = {'c', 'n', 'h', 'k', 'e', 'y', 0, 1};

/* A host key in its file. */
struct slot {
    uint8_t magic[8];
    uint8_t store[16];
    uint64_t generation;
    uint8_t key[CN_KEY_SIZE];
    uint8_t check[32]; /* SHA-256 of what is before it: a torn one is none */
};

static struct cn_bytes bytes_of(const void *at, size_t size)
{
    return (struct cn_bytes){at, size};
}

/* ------------------------------------------------------------------ files */

static bool put_all(int fd, const void *from, size_t size, off_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = pwrite(fd, (const char *)from + done, size - done, at + (off_t)done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        done += (size_t)count;
    }
    return true;
}

static bool get_all(int fd, void *to, size_t size, off_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = pread(fd, (char *)to + done, size - done, at + (off_t)done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        done += (size_t)count;
    }
    return true;
}

enum cn_status cn_volumes_replace(int store, const char *name, struct cn_bytes bytes,
                                struct cn_error *error)
{
    char beside[80];

    snprintf(beside, sizeof beside, "%s.new", name);
    int fd = openat(store, beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool done = fd >= 0 && put_all(fd, bytes.at, bytes.size, 0) && fsync(fd) == 0 &&
                renameat(store, beside, store, name) == 0 && fsync(store) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (!done)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the volume store's %s cannot be written: %s",
                       name, strerror(why));
    return CN_OK;
}

/* ------------------------------------------------------------------ the host key */

static enum cn_status no_memory(struct cn_error *error)
{
    return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory left");
}

static bool check_of(const struct slot *slot, uint8_t check[32])
{
    return EVP_Digest(slot, offsetof(struct slot, check), check, NULL, EVP_sha256(), NULL) == 1;
}

/* *is_whole is false when there is none, or a torn one. What cannot be found out is an error: else
 * a key that is there could be written over. */
static enum cn_status get_slot(const struct cn_ring *ring, uint32_t number, struct slot *slot,
                               bool *is_whole, struct cn_error *error)
{
    uint8_t check[32];
    struct stat stat;

    *is_whole = false;
    if (fstat(ring->key_file, &stat) != 0)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the key file: %s", strerror(errno));
    if (stat.st_size < (off_t)number * SLOT + (off_t)sizeof *slot)
        return CN_OK;
    if (!get_all(ring->key_file, slot, sizeof *slot, (off_t)number * SLOT))
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the key file cannot be read: %s",
                       strerror(errno));
    if (!check_of(slot, check))
        return no_memory(error);
    *is_whole = memcmp(slot->magic, key_magic, sizeof key_magic) == 0 &&
                memcmp(slot->check, check, sizeof check) == 0;
    return CN_OK;
}

static enum cn_status put_slot(const struct cn_ring *ring, uint32_t number, const uint8_t *key,
                               struct cn_error *error)
{
    struct slot *slot = cn_secret_page();
    bool done = false;

    if (slot == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    if (key != NULL) { /* else zeros */
        memcpy(slot->magic, key_magic, sizeof key_magic);
        memcpy(slot->store, ring->head.store, sizeof slot->store);
        slot->generation = ring->head.generation;
        memcpy(slot->key, key, CN_KEY_SIZE);
        if (!check_of(slot, slot->check)) {
            cn_secret_free(slot);
            return no_memory(error);
        }
    }
    done = put_all(ring->key_file, slot, sizeof *slot, (off_t)number * SLOT) &&
           fsync(ring->key_file) == 0;
    int why = errno;
    cn_secret_free(slot);
    if (!done)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the key file cannot be written: %s",
                       strerror(why));
    return CN_OK;
}

static bool is_on_disk_of(int file, int store)
{
    struct stat a, b;

    return fstat(file, &a) != 0 || fstat(store, &b) != 0 || a.st_dev == b.st_dev;
}

/* Nothing was ever in it but its own key, so that it may be made anew: somebody who made it was
 * ended before the key was in its file. */
static bool is_unused(const struct cn_ring *ring)
{
    return ring->is_new || (ring->head.generation == 1 && ring->head.count == 1);
}

static enum cn_status open_key_file(struct cn_ring *ring, const struct cn_host_key *key,
                                    struct cn_error *error)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;

    if (key->path == NULL)
        return CN_OK;
    if (is_unused(ring) && key->may_be_made)
        flags |= O_CREAT;
    ring->key_file = open(key->path, flags, 0600);
    /* One that cannot be changed opens volumes, and removes none. */
    if (ring->key_file < 0 && (errno == EROFS || errno == EACCES))
        ring->key_file = open(key->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (ring->key_file < 0)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "key file %.200s: %s", key->path,
                       strerror(errno));
    bool is_on_same_disk = is_on_disk_of(ring->key_file, ring->store);
    if (is_on_same_disk && !key->may_be_on_same_disk)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET,
                       "key file %.200s is on the volume store's own device, where an old copy of "
                       "it could outlive an erase; --key-on-same-disk gives up that claim",
                       key->path);
    ring->head.is_on_same_disk |= is_on_same_disk;
    ring->host_key = cn_secret_page();
    return ring->host_key != NULL
               ? CN_OK
               : cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
}

/* The key of the ring's generation; another one that is there is of a change that was cut off, on
 * either side of the moment that decides, and goes. */
static enum cn_status take_key(struct cn_ring *ring, struct cn_error *error)
{
    struct slot *slot = cn_secret_page();
    uint64_t other = 0;
    bool is_found = false;

    if (slot == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    enum cn_status status = CN_OK;
    for (uint32_t i = 0; i < 2 && status == CN_OK; i++) {
        bool is_whole;
        status = get_slot(ring, i, slot, &is_whole, error);
        if (!is_whole)
            continue;
        bool is_ours = memcmp(slot->store, ring->head.store, sizeof slot->store) == 0;
        if (is_ours && slot->generation == ring->head.generation) {
            memcpy(ring->host_key, slot->key, CN_KEY_SIZE);
            ring->slot = i;
            is_found = true;
        } else {
            other = is_ours ? slot->generation : UINT64_MAX;
        }
    }
    cn_secret_free(slot);
    if (status != CN_OK)
        return status;
    if (is_found)
        return other != 0 ? put_slot(ring, 1 - ring->slot, NULL, error) : CN_OK;
    if (other == UINT64_MAX)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the key file is another volume store's");
    if (other > ring->head.generation)
        return cn_fail(error, CN_IO, CN_NO_OFFSET,
                       "the volume store is a copy from before an erase: its keys are of "
                       "generation %llu, the host key is of %llu",
                       (unsigned long long)ring->head.generation, (unsigned long long)other);
    return cn_fail(error, CN_IO, CN_NO_OFFSET, "the key file has no key for this volume store");
}

/* Whether a key of any store is in the key file. */
static enum cn_status look_for_keys(const struct cn_ring *ring, bool *is_taken,
                                    struct cn_error *error)
{
    struct slot *slot = cn_secret_page();

    if (slot == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    enum cn_status status = get_slot(ring, 0, slot, is_taken, error);
    if (status == CN_OK && !*is_taken)
        status = get_slot(ring, 1, slot, is_taken, error);
    cn_secret_free(slot);
    return status;
}

/* Not in the key file yet. */
static enum cn_status make_key(struct cn_ring *ring, struct cn_error *error)
{
    bool is_taken;

    CN_TRY(look_for_keys(ring, &is_taken, error));
    if (is_taken)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET,
                       "the key file is in use: each volume store needs one of its own");
    if (!cn_random(ring->host_key, CN_KEY_SIZE))
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the host gives no random numbers");
    ring->slot = 0;
    return CN_OK;
}

/* ------------------------------------------------------------------ wrapping */

/* What an entry's key is bound to. */
struct bound {
    uint64_t generation;
    uint8_t before[offsetof(struct cn_ring_entry, seal)];
};

static struct bound bound_of(const struct cn_ring *ring, const struct cn_ring_entry *entry)
{
    struct bound bound = {.generation = ring->head.generation};

    memcpy(bound.before, entry, sizeof bound.before);
    return bound;
}

static enum cn_status failed(enum cn_errno why, struct cn_error *error)
{
    if (why == CN_E_SUCCESS)
        return CN_OK;
    return cn_fail(error, CN_IO, CN_NO_OFFSET,
                   "the volume store's keyring does not go with its host key");
}

static enum cn_status wrap(const struct cn_ring *ring, struct cn_ring_entry *entry,
                           const uint8_t *key, struct cn_error *error)
{
    struct bound bound = bound_of(ring, entry);
    struct cn_sealer sealer;
    enum cn_errno why = cn_sealer_begin(&sealer, NULL, ring->host_key);

    if (why != CN_E_SUCCESS)
        return failed(why, error);
    why = cn_seal(&sealer, bytes_of(&bound, sizeof bound), bytes_of(key, CN_KEY_SIZE), entry->key,
                  &entry->seal);
    cn_sealer_end(&sealer);
    return failed(why, error);
}

enum cn_status cn_ring_unwrap(const struct cn_ring *ring, const struct cn_ring_entry *entry,
                              uint8_t *key, struct cn_error *error)
{
    struct bound bound = bound_of(ring, entry);
    struct cn_sealer sealer;

    if (ring->host_key == NULL)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET,
                       "volume %s is kept: --key-file says where the host key is", entry->name);
    enum cn_errno why = cn_sealer_begin(&sealer, NULL, ring->host_key);
    if (why != CN_E_SUCCESS)
        return failed(why, error);
    why = cn_unseal(&sealer, bytes_of(&bound, sizeof bound),
                    bytes_of(entry->key, sizeof entry->key), &entry->seal, key);
    cn_sealer_end(&sealer);
    return failed(why, error);
}

/* ------------------------------------------------------------------ the ring */

static bool make_room(struct cn_ring *ring, uint32_t count)
{
    uint32_t room = ring->room;

    while (room < count)
        room = room ? room * 2 : 16;
    struct cn_ring_entry *entries =
        room == ring->room ? ring->entries
                           : cn_resize(cn_heap, ring->entries, ring->room * sizeof *entries,
                                       room * sizeof *entries);
    if (entries == NULL)
        return false;
    ring->entries = entries;
    ring->room = room;
    return true;
}

static enum cn_status damaged(struct cn_error *error)
{
    return cn_fail(error, CN_IO, CN_NO_OFFSET, "the volume store's keyring is damaged");
}

static enum cn_status read_ring(struct cn_ring *ring, struct cn_error *error)
{
    int fd = openat(ring->store, RING, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct cn_ring_head *head = &ring->head;

    if (fd < 0 && errno != ENOENT)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the volume store's keyring: %s",
                       strerror(errno));
    ring->is_new = fd < 0;
    if (ring->is_new)
        return CN_OK;
    bool is_good = get_all(fd, head, sizeof *head, 0) &&
                   memcmp(head->magic, ring_magic, sizeof ring_magic) == 0 && head->count >= 1 &&
                   head->count <= CN_RING_MAX && make_room(ring, head->count) &&
                   get_all(fd, ring->entries, head->count * sizeof *ring->entries, sizeof *head);
    close(fd);
    for (uint32_t i = 0; is_good && i < head->count; i++)
        is_good = memchr(ring->entries[i].name, '\0', CN_VOLUME_NAME_SIZE) != NULL &&
                  (ring->entries[i].name[0] == '\0') == (i == 0);
    return is_good ? CN_OK : damaged(error);
}

/* The store's own entry is the key that it signs with. The host key comes into its file last: a
 * ring without one is made anew, a key without a ring could be of any store. */
static enum cn_status make_ring(struct cn_ring *ring, struct cn_error *error)
{
    struct cn_ring_entry own = {.created = (uint64_t)time(NULL)};

    ring->head.count = 0;
    memcpy(ring->head.magic, ring_magic, sizeof ring_magic);
    ring->head.generation = 1;
    if (!cn_random(ring->head.store, sizeof ring->head.store))
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the host gives no random numbers");
    CN_TRY(make_key(ring, error));
    CN_TRY(cn_ring_add(ring, &own, error));
    uint8_t *seed = cn_secret_page();
    if (seed == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    enum cn_status status = cn_ring_unwrap(ring, &ring->entries[0], seed, error);
    if (status == CN_OK && !cn_record_public_key(seed, ring->head.public_key))
        status = damaged(error);
    cn_secret_free(seed);
    if (status == CN_OK)
        status = cn_ring_write(ring, error);
    if (status == CN_OK)
        status = put_slot(ring, 0, ring->host_key, error);
    if (status == CN_OK)
        status = put_slot(ring, 1, NULL, error);
    ring->is_new = false;
    return status;
}

static enum cn_status make_or_take(struct cn_ring *ring, bool may_be_made, struct cn_error *error)
{
    bool is_taken = true;

    if (may_be_made && is_unused(ring) && !ring->is_new)
        CN_TRY(look_for_keys(ring, &is_taken, error));
    return ring->is_new || !is_taken ? make_ring(ring, error) : take_key(ring, error);
}

/* That the key goes with the ring is seen by the first entry. */
static enum cn_status try_key(const struct cn_ring *ring, struct cn_error *error)
{
    uint8_t *key = cn_secret_page();

    if (key == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    enum cn_status status = cn_ring_unwrap(ring, &ring->entries[0], key, error);
    cn_secret_free(key);
    return status;
}

enum cn_status cn_ring_open(struct cn_ring *ring, int store, const struct cn_host_key *key,
                            struct cn_error *error)
{
    *ring = (struct cn_ring){.store = store, .key_file = -1};
    enum cn_status status = read_ring(ring, error);
    if (status == CN_OK)
        status = open_key_file(ring, key, error);
    if (status == CN_OK && ring->host_key != NULL)
        status = make_or_take(ring, key->may_be_made, error);
    if (status == CN_OK && ring->host_key != NULL)
        status = try_key(ring, error);
    if (status != CN_OK)
        cn_ring_close(ring);
    return status;
}

void cn_ring_close(struct cn_ring *ring)
{
    cn_secret_free(ring->host_key);
    ring->host_key = NULL;
    if (ring->key_file >= 0)
        close(ring->key_file);
    ring->key_file = -1;
    cn_free(cn_heap, ring->entries, ring->room * sizeof *ring->entries);
    ring->entries = NULL;
    ring->room = 0;
}

struct cn_ring_entry *cn_ring_find(const struct cn_ring *ring, const char *name)
{
    for (uint32_t i = 1; i < ring->head.count; i++)
        if (strcmp(ring->entries[i].name, name) == 0)
            return &ring->entries[i];
    return NULL;
}

enum cn_status cn_ring_add(struct cn_ring *ring, const struct cn_ring_entry *volume,
                           struct cn_error *error)
{
    if (ring->head.count == CN_RING_MAX || !make_room(ring, ring->head.count + 1))
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "a volume store has at most %u volumes",
                       CN_RING_MAX - 1);
    struct cn_ring_entry *entry = &ring->entries[ring->head.count];
    *entry = *volume;
    uint8_t *key = cn_secret_page();
    if (key == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    enum cn_status status =
        cn_random(key, CN_KEY_SIZE) && cn_random(entry->id, sizeof entry->id)
            ? CN_OK
            : cn_fail(error, CN_IO, CN_NO_OFFSET, "the host gives no random numbers");
    if (status == CN_OK)
        status = wrap(ring, entry, key, error);
    cn_secret_free(key);
    ring->head.count += status == CN_OK;
    return status;
}

void cn_ring_drop(struct cn_ring *ring, struct cn_ring_entry *entry)
{
    *entry = ring->entries[--ring->head.count];
}

enum cn_status cn_ring_write(struct cn_ring *ring, struct cn_error *error)
{
    size_t entries = ring->head.count * sizeof *ring->entries;
    size_t size = sizeof ring->head + entries;
    uint8_t *bytes = cn_alloc(cn_heap, size);

    if (bytes == NULL)
        return no_memory(error);
    memcpy(bytes, &ring->head, sizeof ring->head);
    memcpy(bytes + sizeof ring->head, ring->entries, entries);
    enum cn_status status = cn_volumes_replace(ring->store, RING, bytes_of(bytes, size), error);
    cn_free(cn_heap, bytes, size);
    return status;
}

/* Every key from the old wrapping into the new one; those of erased volumes become zeros, which say
 * under seal that they are. */
static enum cn_status rewrap(struct cn_ring *ring, struct cn_ring *with, struct cn_error *error)
{
    enum cn_status status = CN_OK;
    uint8_t *key = cn_secret_page();

    if (key == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    for (uint32_t i = 0; status == CN_OK && i < ring->head.count; i++) {
        struct cn_ring_entry *entry = &ring->entries[i];
        if (entry->is_erased)
            OPENSSL_cleanse(key, CN_KEY_SIZE);
        else
            status = cn_ring_unwrap(ring, entry, key, error);
        if (status == CN_OK)
            status = wrap(with, entry, key, error);
    }
    cn_secret_free(key);
    return status;
}

enum cn_status cn_ring_rotate(struct cn_ring *ring, struct cn_error *error)
{
    struct cn_ring with = *ring;
    enum cn_status status;

    with.head.generation++;
    with.host_key = cn_secret_page();
    if (with.host_key == NULL)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    if (!cn_random(with.host_key, CN_KEY_SIZE))
        status = cn_fail(error, CN_IO, CN_NO_OFFSET, "the host gives no random numbers");
    else
        status = put_slot(&with, 1 - ring->slot, with.host_key, error);
    if (status == CN_OK)
        status = rewrap(ring, &with, error);
    if (status == CN_OK)
        status = cn_ring_write(&with, error);
    if (status != CN_OK) { /* what is in memory is not to be used any more */
        cn_secret_free(with.host_key);
        return status;
    }
    cn_secret_free(ring->host_key);
    *ring = with;
    ring->slot = 1 - ring->slot;
    return put_slot(ring, 1 - ring->slot, NULL, error);
}
