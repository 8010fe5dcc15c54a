#include "shim/volume_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/wipe.h"

#define ENTRIES_MAX 4000000u
#define LEVELS_FIRST 64u

/* A directory on the way down: where to go on in it, and where its path ends. It is not held open:
 * trees may be deeper than descriptors suffice for. */
struct level {
    int64_t next;
    uint32_t path_size;
};

struct walk {
    struct cn_volume *volume;
    cn_visit_fn visit;
    void *context;
    bool is_incomplete;
    int dir;              /* the present one */
    struct stat parent;   /* the same */
    struct level *levels; /* depth of them are in use */
    uint32_t depth, room, entries;
    char *path;
    uint32_t path_room;
    ssize_t at, size;     /* in the names that were read last */
    _Alignas(struct dirent64) char names[4096];
};

static enum cn_errno enter(struct walk *walk, int from, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    int dir = (int)syscall(SYS_openat2, from, name, &how, sizeof how);

    if (dir < 0 || fstat(dir, &walk->parent) != 0) {
        if (dir >= 0)
            close(dir);
        return CN_E_ACCES;
    }
    if (walk->dir >= 0)
        close(walk->dir);
    walk->dir = dir;
    walk->at = walk->size = 0;
    return CN_E_SUCCESS;
}

/* The next entry of the present directory; NULL after the last one. */
static const struct dirent64 *next_entry(struct walk *walk)
{
    if (walk->at == walk->size) {
        walk->at = 0;
        walk->size = getdents64(walk->dir, walk->names, sizeof walk->names);
        walk->is_incomplete |= walk->size < 0;
        if (walk->size <= 0) {
            walk->size = 0;
            return NULL;
        }
    }
    const struct dirent64 *entry = (const void *)(walk->names + walk->at);
    walk->at += entry->d_reclen;
    return entry;
}

/* Puts a name behind the path of the present directory. */
static bool set_path(struct walk *walk, const char *name)
{
    uint32_t base = walk->levels[walk->depth - 1].path_size;
    size_t size = strlen(name);

    if (base + size + 2 > walk->path_room) {
        uint32_t room = (uint32_t)(base + size + 2) * 2;
        char *path = cn_resize(walk->volume->allocator, walk->path, walk->path_room, room);
        if (path == NULL)
            return false;
        walk->path = path;
        walk->path_room = room;
    }
    if (base > 0)
        walk->path[base++] = '/';
    memcpy(walk->path + base, name, size + 1);
    return true;
}

static bool push(struct walk *walk, uint32_t path_size)
{
    if (walk->depth == walk->room) {
        uint32_t room = walk->room ? walk->room * 2 : LEVELS_FIRST;
        struct level *levels = cn_resize(walk->volume->allocator, walk->levels,
                                         walk->room * sizeof *levels, room * sizeof *levels);
        if (levels == NULL)
            return false;
        walk->levels = levels;
        walk->room = room;
    }
    walk->levels[walk->depth++] = (struct level){.path_size = path_size};
    return true;
}

/* Shows one entry when it is a directory, or when it is none. *is_dir says which. */
static enum cn_errno show(struct walk *walk, const char *hidden, bool wants_dirs, bool *is_dir)
{
    char name[CN_SEALED_NAME_MAX + 1];
    struct cn_found found = {.dir = walk->dir, .hidden = hidden, .parent = walk->parent};

    *is_dir = false;
    if (strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
        return CN_E_SUCCESS;
    if (fstatat(walk->dir, hidden, &found.stat, AT_SYMLINK_NOFOLLOW) != 0) {
        walk->is_incomplete |= errno != ENOENT;
        return CN_E_SUCCESS;
    }
    if (S_ISDIR(found.stat.st_mode) != wants_dirs)
        return CN_E_SUCCESS;
    if (walk->entries++ == ENTRIES_MAX)
        return CN_E_OVERFLOW;
    enum cn_errno error = cn_name_show(walk->volume->keys, hidden, name);
    if (error == CN_E_SUCCESS)
        found.name = name;
    else if (error != CN_E_ILSEQ)
        return error;
    if (!set_path(walk, found.name != NULL ? name : ""))
        return CN_E_NOMEM;
    found.path = walk->path;
    *is_dir = wants_dirs && found.name != NULL;
    return walk->visit(walk->context, &found);
}

/* All that is no directory, then back to the beginning. */
static enum cn_errno show_files(struct walk *walk)
{
    const struct dirent64 *entry;
    enum cn_errno error = CN_E_SUCCESS;
    bool is_dir;

    while (error == CN_E_SUCCESS && (entry = next_entry(walk)) != NULL)
        error = show(walk, entry->d_name, false, &is_dir);
    if (lseek(walk->dir, 0, SEEK_SET) != 0)
        walk->is_incomplete = true;
    walk->at = walk->size = 0;
    return error;
}

static enum cn_errno go_down(struct walk *walk, const struct dirent64 *entry)
{
    walk->levels[walk->depth - 1].next = entry->d_off;
    if (enter(walk, walk->dir, entry->d_name) != CN_E_SUCCESS) {
        walk->is_incomplete = true;
        return CN_E_SUCCESS;
    }
    if (!push(walk, (uint32_t)strlen(walk->path)))
        return CN_E_NOMEM;
    return show_files(walk);
}

static enum cn_errno go_up(struct walk *walk)
{
    if (--walk->depth == 0)
        return CN_E_SUCCESS;
    if (enter(walk, walk->dir, "..") == CN_E_SUCCESS &&
        lseek(walk->dir, walk->levels[walk->depth - 1].next, SEEK_SET) >= 0)
        return CN_E_SUCCESS;
    walk->is_incomplete = true;
    walk->depth = 0;
    return CN_E_SUCCESS;
}

static enum cn_errno go(struct walk *walk, int root)
{
    enum cn_errno error = enter(walk, root, ".");

    if (error == CN_E_SUCCESS && !push(walk, 0))
        error = CN_E_NOMEM;
    if (error == CN_E_SUCCESS)
        error = show_files(walk);
    while (error == CN_E_SUCCESS && walk->depth > 0) {
        const struct dirent64 *entry = next_entry(walk);
        bool is_dir = false;
        if (entry != NULL)
            error = show(walk, entry->d_name, true, &is_dir);
        if (error == CN_E_SUCCESS && entry == NULL)
            error = go_up(walk);
        else if (error == CN_E_SUCCESS && is_dir)
            error = go_down(walk, entry);
    }
    return error;
}

enum cn_errno cn_volume_walk(struct cn_volume *volume, int root, cn_visit_fn visit, void *context,
                             bool *is_incomplete)
{
    struct walk *walk = cn_alloc(volume->allocator, sizeof *walk);

    if (walk == NULL)
        return CN_E_NOMEM;
    walk->volume = volume;
    walk->visit = visit;
    walk->context = context;
    walk->dir = -1;
    enum cn_errno error = go(walk, root);
    *is_incomplete = walk->is_incomplete;
    if (walk->dir >= 0)
        close(walk->dir);
    cn_free(volume->allocator, walk->levels, walk->room * sizeof *walk->levels);
    cn_free(volume->allocator, walk->path, walk->path_room);
    cn_free(volume->allocator, walk, sizeof *walk);
    cn_wipe_stack(); /* of names: no turn of a VM's comes behind this */
    return error;
}
