/* Stores of private volumes, in the terms of cordon.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/internal.h"
#include "shim/volume_export.h"
#include "shim/volume_store.h"
#include "shim/volume_vault.h"

struct cordon_store {
    struct cn_volumes store;
};

bool cordon_lock_ciphers(void)
{
    return cn_vault_ciphers();
}

cordon_store_t *cordon_store_open(const cordon_store_options_t *options, cordon_error_t *error)
{
    const struct cn_host_key key = {.path = options->key_file,
                                    .may_be_on_same_disk = options->on_same_disk,
                                    .may_be_made = options->may_make_key};
    cordon_store_t *store = cn_alloc(cn_heap, sizeof *store);
    struct cn_error cause = {0};

    if (store == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    cause.status = cn_volumes_open(&store->store, options->path, &key, &cause);
    if (cause.status == CN_OK)
        return store;
    cn_api_fail_with(error, &cause);
    cn_free(cn_heap, store, sizeof *store);
    return NULL;
}

void cordon_store_close(cordon_store_t *store)
{
    if (store == NULL)
        return;
    cn_volumes_close(&store->store);
    cn_free(cn_heap, store, sizeof *store);
}

bool cordon_store_create(cordon_store_t *store, const char *name, uint64_t size, uint64_t inodes,
                         cordon_error_t *error)
{
    struct cn_error cause = {0};

    cause.status = cn_volumes_create(&store->store, name, size, inodes, &cause);
    return cause.status == CN_OK || cn_api_fail_with(error, &cause);
}

bool cordon_store_remove(cordon_store_t *store, const char *name, cordon_error_t *error)
{
    struct cn_error cause = {0};

    cause.status = cn_volumes_remove(&store->store, name, &cause);
    return cause.status == CN_OK || cn_api_fail_with(error, &cause);
}

bool cordon_store_list(const cordon_store_t *store, uint32_t index, cordon_volume_info_t *info)
{
    const struct cn_ring *ring = &store->store.ring;

    if (index + 1 >= ring->head.count) /* the first is the store's own */
        return false;
    const struct cn_ring_entry *entry = &ring->entries[index + 1];
    *info = (cordon_volume_info_t){.size = entry->size, .inodes = entry->inodes,
                                   .created = entry->created};
    memcpy(info->name, entry->name, sizeof info->name);
    info->in_use = cn_volumes_is_in_use(&store->store, entry->name);
    return true;
}

bool cordon_store_check_records(cordon_store_t *store, uint64_t *all, uint64_t *good,
                                cordon_error_t *error)
{
    struct cn_record_count count = {0};
    struct cn_error cause = {0};

    cause.status = cn_volumes_check_records(&store->store, &count, &cause);
    *all = count.all;
    *good = count.good;
    return cause.status == CN_OK || cn_api_fail_with(error, &cause);
}

/* ------------------------------------------------------------------ from outside of a VM */

static enum cn_status export_to(struct cn_volume *volume, int dir, void *context,
                                struct cn_error *error)
{
    const int *to = context;

    return cn_volume_export(volume, dir, *to, error);
}

/* Opens it for somebody who looks at all of it. */
typedef enum cn_status (*look_fn)(struct cn_volume *volume, int dir, void *context,
                                  struct cn_error *error);

static enum cn_status visit(cordon_store_t *store, const char *name, look_fn look, void *context,
                            struct cn_error *error)
{
    struct cn_account nobody;
    struct cn_mount *mount;
    struct cn_volume *volume;

    CN_TRY(cn_volumes_mount(&store->store, name, &mount, error));
    cn_account_init(&nobody);
    nobody.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    enum cn_status status = CN_NO_MEMORY;
    if (cn_volume_new(&mount->grant, &nobody, look == export_to, &volume) == CN_E_SUCCESS) {
        status = look(volume, mount->dir, context, error);
        cn_volume_free(volume);
    } else {
        status = cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory left");
    }
    cn_volume_let_go(&mount->grant);
    return status;
}

static enum cn_status check(struct cn_volume *volume, int dir, void *context,
                            struct cn_error *error)
{
    if (cn_volume_count(volume, dir, true, context) == CN_E_SUCCESS)
        return CN_OK;
    return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory left");
}

bool cordon_store_check(cordon_store_t *store, const char *name, cordon_volume_report_t *report,
                        cordon_error_t *error)
{
    struct cn_volume_faults faults = {0};
    struct cn_error cause = {0};

    cause.status = visit(store, name, check, &faults, &cause);
    *report = (cordon_volume_report_t){
        .files = faults.files, .dirs = faults.dirs, .links = faults.links, .bytes = faults.bytes,
        .foreign = faults.foreign, .unopened = faults.unopened, .blocks = faults.blocks,
        .leftovers = faults.leftovers, .is_incomplete = faults.is_incomplete,
    };
    return cause.status == CN_OK || cn_api_fail_with(error, &cause);
}

bool cordon_store_export(cordon_store_t *store, const char *name, int fd, cordon_error_t *error)
{
    struct cn_error cause = {0};

    cause.status = visit(store, name, export_to, &fd, &cause);
    return cause.status == CN_OK || cn_api_fail_with(error, &cause);
}

/* ------------------------------------------------------------------ for a VM */

static struct cn_mount *open_volume(cordon_store_t *store, const cordon_volume_t *volume,
                                    cordon_error_t *error)
{
    struct cn_error cause = {0};
    struct cn_mount *mount;

    cause.status = volume->name != NULL
                       ? cn_volumes_mount(&store->store, volume->name, &mount, &cause)
                       : cn_volumes_mount_ephemeral(&store->store, &mount, &cause);
    if (cause.status != CN_OK) {
        cn_api_fail_with(error, &cause);
        return NULL;
    }
    if (volume->size > 0)
        mount->grant.size = volume->size;
    if (volume->inodes > 0)
        mount->grant.inodes = volume->inodes;
    return mount;
}

bool cordon_config_volume(cordon_config_t *config, cordon_store_t *store,
                          const cordon_volume_t *volume, cordon_error_t *error)
{
    struct cn_mount *mount = open_volume(store, volume, error);

    return mount != NULL && cn_api_config_mount(config, &mount->grant, mount->dir, volume->guest,
                                                volume->read_only, error);
}

/* ------------------------------------------------------------------ for another process */

/* The key's way leads through the kernel's memory alone. */
static int pipe_of(const uint8_t *key)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    bool done = write(ends[1], key, CN_KEY_SIZE) == CN_KEY_SIZE;
    close(ends[1]);
    if (done)
        return ends[0];
    close(ends[0]);
    return -1;
}

bool cordon_store_lend(cordon_store_t *store, const cordon_volume_t *volume, cordon_lent_t *lent,
                       cordon_error_t *error)
{
    struct cn_mount *mount = open_volume(store, volume, error);

    if (mount == NULL)
        return false;
    *lent = (cordon_lent_t){fcntl(mount->dir, F_DUPFD_CLOEXEC, 3), -1, mount->grant.size,
                            mount->grant.inodes};
    bool done = lent->dir >= 0;
    if (done && !mount->is_ephemeral)
        done = (lent->key = pipe_of(mount->grant.keys->master)) >= 0;
    if (!done)
        cn_api_fail(error, CORDON_IO, "a volume for another process: %s", strerror(errno));
    if (!done && lent->dir >= 0)
        close(lent->dir);
    cn_volume_let_go(&mount->grant);
    return done;
}

/* All of it is there at once, or it is no such pipe. */
static bool read_key(int from, uint8_t *key)
{
    struct pollfd entry = {.fd = from, .events = POLLIN};
    struct stat stat;

    return fstat(from, &stat) == 0 && S_ISFIFO(stat.st_mode) && poll(&entry, 1, 0) == 1 &&
           (entry.revents & POLLIN) && read(from, key, CN_KEY_SIZE) == CN_KEY_SIZE;
}

static bool take_lent(const cordon_lent_t *lent, int dir, uint8_t *key, struct cn_mount **mount,
                      struct cn_error *cause)
{
    struct stat stat;

    if (fstat(dir, &stat) != 0 || !S_ISDIR(stat.st_mode) || flock(dir, LOCK_EX | LOCK_NB) != 0)
        cause->status = cn_fail(cause, CN_MISUSE, CN_NO_OFFSET,
                                "a volume's descriptor is of no directory that is locked for it");
    else if (lent->key >= 0 && !read_key(lent->key, key))
        cause->status = cn_fail(cause, CN_MISUSE, CN_NO_OFFSET,
                                "a volume's key is not in the pipe that it should be in");
    else {
        cause->status = cn_mount_new(dir, lent->key >= 0 ? key : NULL, mount, cause);
        return cause->status == CN_OK;
    }
    close(dir);
    return false;
}

bool cordon_config_lent(cordon_config_t *config, const cordon_lent_t *lent, const char *guest,
                        bool read_only, cordon_error_t *error)
{
    int dir = fcntl(lent->dir, F_DUPFD_CLOEXEC, 3);
    uint8_t *key = cn_secret_page();
    struct cn_error cause = {0};
    struct cn_mount *mount = NULL;

    if (key == NULL || dir < 0) {
        cn_api_fail(error, CORDON_IO, "a volume from another process: %s", strerror(errno));
        if (dir >= 0)
            close(dir);
    } else if (!take_lent(lent, dir, key, &mount, &cause)) {
        cn_api_fail_with(error, &cause);
    }
    cn_secret_free(key);
    if (mount == NULL)
        return false;
    mount->grant.size = lent->size;
    mount->grant.inodes = lent->inodes;
    return cn_api_config_mount(config, &mount->grant, mount->dir, guest, read_only, error);
}
