#include "shim/recount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "shim/resolve.h"

#define DEPTH_MAX 128
#define ENTRIES_MAX 2000000u

/* A directory on the way down. */
struct level {
    int fd;
    struct stat stat;
    ssize_t at, size; /* in the names that were read last */
    _Alignas(struct dirent64) char names[2048];
};

struct walk {
    struct cn_disk *disk;
    struct level levels[DEPTH_MAX];
    int depth;
    uint32_t entries;
    bool is_complete;
};

/* The next one below, or the first. */
static void enter(struct walk *walk, int parent, const char *name)
{
    struct level *level = &walk->levels[walk->depth];

    if (walk->depth == DEPTH_MAX ||
        cn_resolve_open(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &level->fd) !=
            CN_E_SUCCESS) {
        walk->is_complete = false;
        return;
    }
    level->at = level->size = 0;
    if (fstat(level->fd, &level->stat) == 0) {
        walk->depth++;
        return;
    }
    walk->is_complete = false;
    close(level->fd);
}

/* The next name in the lowest directory; NULL after the last one. */
static const char *next_name(struct walk *walk)
{
    struct level *level = &walk->levels[walk->depth - 1];

    if (level->at == level->size) {
        level->at = 0;
        level->size = getdents64(level->fd, level->names, sizeof level->names);
        walk->is_complete &= level->size >= 0;
        if (level->size <= 0)
            return NULL;
    }
    const struct dirent64 *entry = (const void *)(level->names + level->at);
    level->at += entry->d_reclen;
    return entry->d_name;
}

static void look_at(struct walk *walk, const char *name)
{
    const struct level *level = &walk->levels[walk->depth - 1];
    struct stat stat;

    if (fstatat(level->fd, name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
        walk->is_complete &= errno == ENOENT;
        return;
    }
    cn_disk_found(walk->disk, &stat, &level->stat, name);
    if (S_ISDIR(stat.st_mode) && stat.st_dev == level->stat.st_dev)
        enter(walk, level->fd, name);
}

static void look_through(struct walk *walk)
{
    while (walk->depth > 0) {
        const char *name = next_name(walk);
        if (name == NULL || walk->entries == ENTRIES_MAX) {
            walk->is_complete &= name == NULL;
            close(walk->levels[--walk->depth].fd);
            continue;
        }
        walk->entries++;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            look_at(walk, name);
    }
}

bool cn_recount(struct cn_disk *disk, int dir)
{
    struct walk *walk = cn_alloc(cn_heap, sizeof *walk);

    if (walk == NULL)
        return false;
    walk->disk = disk;
    walk->is_complete = true;
    enter(walk, dir, ".");
    look_through(walk);
    bool is_complete = walk->is_complete;
    cn_free(cn_heap, walk, sizeof *walk);
    return is_complete;
}
