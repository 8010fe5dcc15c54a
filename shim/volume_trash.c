/* Removing trees of any depth: directories are first brought to one level. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shim/resolve.h"
#include "shim/volume_store.h"

#define LEVEL ".gone-" /* no name of a volume's begins so */

struct sweep {
    int beside;
    bool is_same; /* as the directory that is emptied */
    uint64_t number; /* of the next directory that is moved */
};

static bool move_up(struct sweep *sweep, int dir, const char *name)
{
    char moved[40];

    for (int tries = 0; tries < 1000; tries++) {
        snprintf(moved, sizeof moved, LEVEL "%llu", (unsigned long long)sweep->number++);
        if (mkdirat(sweep->beside, moved, 0700) != 0)
            continue; /* the name is taken */
        return renameat(dir, name, sweep->beside, moved) == 0;
    }
    return false;
}

static bool is_level(const char *name)
{
    return strncmp(name, LEVEL, strlen(LEVEL)) == 0;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Removes one name, or brings it up; *changed when there is something new there. */
static bool remove_one(struct sweep *sweep, int dir, const char *name, bool *changed)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return false;
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
        return true;
    *changed = true;
    return move_up(sweep, dir, name);
}

static bool empty_one(struct sweep *sweep, int dir, bool *changed)
{
    _Alignas(struct dirent64) char names[4096];
    bool good = true;
    ssize_t size;

    while (good && (size = getdents64(dir, names, sizeof names)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const struct dirent64 *entry = (const void *)(names + at);
            at += entry->d_reclen;
            if (!is_dot(entry->d_name) && !(sweep->is_same && is_level(entry->d_name)))
                good &= remove_one(sweep, dir, entry->d_name, changed);
        }
    }
    return good;
}

/* What was brought up is emptied in turn. */
static bool empty_level(struct sweep *sweep, int dir, bool *changed)
{
    _Alignas(struct dirent64) char names[4096];
    bool good = true;
    ssize_t size;

    while (good && (size = getdents64(dir, names, sizeof names)) > 0) {
        for (ssize_t at = 0; good && at < size;) {
            const struct dirent64 *entry = (const void *)(names + at);
            int below = -1;
            at += entry->d_reclen;
            if (!is_level(entry->d_name))
                continue;
            good = cn_resolve_open(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                                   &below) == CN_E_SUCCESS &&
                   empty_one(sweep, below, changed);
            if (below >= 0)
                close(below);
            good = good && unlinkat(dir, entry->d_name, AT_REMOVEDIR) == 0;
        }
    }
    return good;
}

bool cn_empty_dir(int dir, int beside)
{
    struct sweep sweep = {.beside = beside, .is_same = beside == dir};
    bool changed = true, good = true;

    while (good && changed) {
        int again = -1;
        changed = false;
        good = cn_resolve_open(dir, ".", O_RDONLY | O_DIRECTORY, &again) == CN_E_SUCCESS &&
               empty_one(&sweep, again, &changed);
        if (again >= 0)
            close(again);
        again = -1;
        good = good && cn_resolve_open(beside, ".", O_RDONLY | O_DIRECTORY, &again) ==
                           CN_E_SUCCESS;
        good = good && empty_level(&sweep, again, &changed);
        if (again >= 0)
            close(again);
    }
    return good;
}
