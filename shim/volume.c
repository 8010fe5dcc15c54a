#include "shim/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/wipe.h"
#include "shim/errno.h"
#include "shim/volume_walk.h"

#define PAGE 4096u
#define DESK_BLOCK (sizeof(struct cn_sealed_desk) + PAGE)
#define TEMPORARY ".new-"
#define TRIES_MAX 1000

void cn_volume_hold(struct cn_volume_grant *grant)
{
    atomic_fetch_add(&grant->holders, 1);
}

void cn_volume_let_go(struct cn_volume_grant *grant)
{
    if (atomic_fetch_sub(&grant->holders, 1) == 1 && grant->end != NULL)
        grant->end(grant);
}

enum cn_errno cn_volume_key_is_there(struct cn_volume_grant *grant)
{
    return grant->keys->master != NULL ? CN_E_SUCCESS : cn_volume_keys_fill(grant->keys, NULL);
}

enum cn_errno cn_volume_new(struct cn_volume_grant *grant, struct cn_account *memory,
                            bool is_read_only, struct cn_volume **result)
{
    struct cn_allocator allocator = cn_account_allocator(memory);
    struct cn_volume *volume = cn_alloc(allocator, sizeof *volume);

    if (volume == NULL)
        return CN_E_NOMEM;
    volume->allocator = allocator;
    volume->keys = grant->keys;
    volume->grant = grant;
    volume->is_read_only = is_read_only;
    volume->desk_block = cn_alloc(allocator, DESK_BLOCK);
    if (volume->desk_block == NULL) {
        cn_free(allocator, volume, sizeof *volume);
        return CN_E_NOMEM;
    }
    uintptr_t desk = (uintptr_t)volume->desk_block;
    volume->desk = (struct cn_sealed_desk *)((desk + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    cn_account_init(&volume->account);
    volume->account.limit[CN_QUOTA_DISK] =
        grant->size != CN_UNLIMITED ? grant->size : memory->limit[CN_QUOTA_DISK];
    volume->account.limit[CN_QUOTA_INODES] =
        grant->inodes != CN_UNLIMITED ? grant->inodes : memory->limit[CN_QUOTA_INODES];
    cn_disk_init(&volume->disk, &volume->account);
    volume->disk.memory = memory;
    cn_volume_hold(grant);
    *result = volume;
    return CN_E_SUCCESS;
}

void cn_volume_free(struct cn_volume *volume)
{
    if (volume == NULL)
        return;
    struct cn_allocator allocator = volume->allocator;
    cn_volume_let_go(volume->grant);
    cn_disk_release(&volume->disk);
    cn_wipe(volume->desk, sizeof *volume->desk);
    cn_free(allocator, volume->desk_block, DESK_BLOCK);
    cn_free(allocator, volume, sizeof *volume);
}

/* ------------------------------------------------------------------ open files */

static struct cn_opened **chain_of(struct cn_volume *volume, uint64_t ino)
{
    return &volume->chains[ino % CN_VOLUME_CHAINS];
}

static struct cn_opened *find(struct cn_volume *volume, const struct stat *stat)
{
    struct cn_opened *opened = *chain_of(volume, stat->st_ino);

    while (opened != NULL && (opened->dev != stat->st_dev || opened->ino != stat->st_ino))
        opened = opened->next;
    return opened;
}

static void free_opened(struct cn_volume *volume, struct cn_opened *opened)
{
    if (opened->file.host >= 0)
        close(opened->file.host);
    cn_free(volume->allocator, opened, sizeof *opened);
}

/* Takes the file behind the descriptor, which stays the caller's, to the open ones. `found`: what
 * it is; NULL for a new one. */
static enum cn_errno add(struct cn_volume *volume, int host, const struct stat *found,
                         struct cn_opened **result)
{
    struct cn_opened *opened = cn_alloc(volume->allocator, sizeof *opened);
    struct stat stat;

    if (opened == NULL)
        return CN_E_NOMEM;
    opened->file = (struct cn_sealed_file){.keys = volume->keys, .desk = volume->desk};
    opened->file.host = fcntl(host, F_DUPFD_CLOEXEC, 0);
    enum cn_errno error = CN_E_SUCCESS;
    if (found != NULL)
        stat = *found;
    if (opened->file.host < 0 || (found == NULL && fstat(host, &stat) != 0))
        error = cn_errno_of_host(errno);
    if (error == CN_E_SUCCESS)
        error = found == NULL ? cn_sealed_create(&opened->file) : cn_sealed_open(&opened->file);
    if (error != CN_E_SUCCESS) {
        free_opened(volume, opened);
        return error;
    }
    opened->dev = stat.st_dev;
    opened->ino = stat.st_ino;
    opened->count = 1;
    opened->next = *chain_of(volume, opened->ino);
    *chain_of(volume, opened->ino) = opened;
    *result = opened;
    return CN_E_SUCCESS;
}

void cn_volume_close(struct cn_volume *volume, struct cn_opened *opened)
{
    if (opened == NULL || --opened->count > 0)
        return;
    struct cn_opened **link = chain_of(volume, opened->ino);
    while (*link != opened)
        link = &(*link)->next;
    *link = opened->next;
    (void)cn_sealed_settle(&opened->file);
    cn_sealed_close(&opened->file);
    free_opened(volume, opened);
}

enum cn_errno cn_volume_open(struct cn_volume *volume, const struct cn_place *place, int *host,
                             struct cn_opened **opened, struct stat *stat)
{
    int flags = (volume->is_read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    struct cn_opened *file = NULL;
    int fd = -1;
    enum cn_errno error = cn_resolve_open(place->dir, place->name, flags, &fd);

    if (error != CN_E_SUCCESS)
        return error;
    if (fstat(fd, stat) != 0)
        error = cn_errno_of_host(errno);
    else if (!S_ISREG(stat->st_mode))
        error = CN_E_IO;
    if (error == CN_E_SUCCESS && (file = find(volume, stat)) != NULL)
        file->count++;
    else if (error == CN_E_SUCCESS)
        error = add(volume, fd, stat, &file);
    if (error != CN_E_SUCCESS) {
        close(fd);
        return error;
    }
    stat->st_size = (off_t)file->file.size;
    *host = fd;
    *opened = file;
    return CN_E_SUCCESS;
}

/* ------------------------------------------------------------------ making files */

/* A file is made under a name that none in a volume has, so that none is ever there without its
 * header. Who comes after a crash removes it (cn_volume_count). */
static enum cn_errno make_temporary(struct cn_volume *volume, int dir, char *name, size_t size,
                                    int *host)
{
    enum cn_errno error = CN_E_EXIST;

    for (int tries = 0; error == CN_E_EXIST && tries < TRIES_MAX; tries++) {
        snprintf(name, size, TEMPORARY "%llu", (unsigned long long)volume->temporary++);
        error = cn_resolve_create(dir, name, O_RDWR | O_NONBLOCK | O_NOCTTY, 0600, host);
    }
    return error;
}

static enum cn_errno put_in_place(int dir, const char *temporary, const char *name)
{
    if (renameat2(dir, temporary, dir, name, RENAME_NOREPLACE) == 0)
        return CN_E_SUCCESS;
    if (errno != EINVAL)
        return cn_errno_of_host(errno);
    /* A file system that knows no such flag. */
    if (linkat(dir, temporary, dir, name, 0) != 0)
        return cn_errno_of_host(errno);
    return unlinkat(dir, temporary, 0) == 0 ? CN_E_SUCCESS : cn_errno_of_host(errno);
}

enum cn_errno cn_volume_create(struct cn_volume *volume, const struct cn_place *place, int *host,
                               struct cn_opened **opened, struct stat *stat)
{
    char temporary[40];
    struct cn_opened *file = NULL;
    int fd = -1;
    enum cn_errno error = make_temporary(volume, place->dir, temporary, sizeof temporary, &fd);

    if (error != CN_E_SUCCESS)
        return error;
    error = add(volume, fd, NULL, &file);
    if (error == CN_E_SUCCESS) {
        error = put_in_place(place->dir, temporary, place->name);
        if (error == CN_E_SUCCESS && fstat(fd, stat) != 0)
            error = cn_errno_of_host(errno);
        if (error != CN_E_SUCCESS)
            cn_volume_close(volume, file);
    }
    if (error != CN_E_SUCCESS) {
        (void)unlinkat(place->dir, temporary, 0);
        close(fd);
        return error;
    }
    stat->st_size = 0;
    *host = fd;
    *opened = file;
    return CN_E_SUCCESS;
}

/* ------------------------------------------------------------------ what is there */

struct count {
    struct cn_volume *volume;
    struct cn_volume_faults *faults;
    bool checks_blocks;
};

static void look_at_file(struct count *count, const struct cn_found *found, struct stat *stat)
{
    struct cn_place place = {.dir = found->dir, .name = found->hidden};
    struct cn_opened *opened;
    struct stat again;
    uint64_t damaged;
    int host;

    count->faults->files++;
    stat->st_size = 0;
    if (cn_volume_open(count->volume, &place, &host, &opened, &again) != CN_E_SUCCESS) {
        count->faults->unopened++;
        return;
    }
    stat->st_size = again.st_size;
    count->faults->bytes += (uint64_t)again.st_size;
    if (count->checks_blocks) {
        cn_sealed_check(&opened->file, &damaged);
        count->faults->blocks += damaged;
    }
    cn_volume_close(count->volume, opened);
    close(host);
}

static void look_at_link(struct count *count, const struct cn_found *found, struct stat *stat)
{
    char target[CN_PATH_MAX + 1];

    count->faults->links++;
    if (cn_volume_read_link(count->volume, found->dir, found->hidden, target) == CN_E_SUCCESS) {
        stat->st_size = (off_t)strlen(target);
        return;
    }
    count->faults->unopened++;
    stat->st_size = 0;
}

static enum cn_errno count_one(void *context, const struct cn_found *found)
{
    struct count *count = context;
    struct stat stat = found->stat;

    if (found->name == NULL && S_ISREG(stat.st_mode) && !count->volume->is_read_only &&
        strncmp(found->hidden, TEMPORARY, strlen(TEMPORARY)) == 0 &&
        unlinkat(found->dir, found->hidden, 0) == 0) {
        count->faults->leftovers++;
        return CN_E_SUCCESS;
    }
    bool is_known = S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode) || S_ISLNK(stat.st_mode);
    if (found->name == NULL || !is_known) {
        count->faults->foreign++;
        return CN_E_SUCCESS;
    }
    if (S_ISREG(stat.st_mode))
        look_at_file(count, found, &stat);
    else if (S_ISLNK(stat.st_mode))
        look_at_link(count, found, &stat);
    else
        count->faults->dirs++;
    return cn_disk_adopt(&count->volume->disk, &stat);
}

enum cn_errno cn_volume_count(struct cn_volume *volume, int root, bool checks_blocks,
                              struct cn_volume_faults *faults)
{
    struct count count = {volume, faults, checks_blocks};

    *faults = (struct cn_volume_faults){0};
    enum cn_errno error =
        cn_volume_walk(volume, root, count_one, &count, &faults->is_incomplete);
    if (error == CN_E_OVERFLOW)
        faults->is_incomplete = true;
    return error == CN_E_OVERFLOW ? CN_E_SUCCESS : error;
}
