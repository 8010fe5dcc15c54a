#include "host/fence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "governor/account.h"
#include "host/fence_find.h"

/* What a process needs beside its VM's memory: itself, the kernel's for its pipes and sockets; and
 * a part for page tables. */
#define ITSELF (64ull << 20)
#define TABLES 64

#define PREFIX "cordon-"

/* Files of the kernel's: each write is one command. */
static bool tell(int folder, const char *name, const char *text)
{
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (file < 0)
        return false;
    ssize_t size = (ssize_t)strlen(text);
    bool is_good = write(file, text, (size_t)size) == size;
    close(file);
    return is_good;
}

static bool tell_pid(int folder, pid_t pid)
{
    char text[16];

    snprintf(text, sizeof text, "%d", (int)pid);
    return tell(folder, "cgroup.procs", text);
}

/* Whether a list of words, which a file of the kernel's holds, has the word. */
static bool holds(int folder, const char *name, const char *word)
{
    char text[512], *rest = NULL;
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t size = file >= 0 ? read(file, text, sizeof text - 1) : -1;

    if (file >= 0)
        close(file);
    text[size > 0 ? size : 0] = '\0';
    for (char *each = strtok_r(text, " \n", &rest); each != NULL;
         each = strtok_r(NULL, " \n", &rest))
        if (strcmp(each, word) == 0)
            return true;
    return false;
}

static int open_folder(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int make_folder(int parent, const char *name)
{
    return mkdirat(parent, name, 0755) == 0 ? open_folder(parent, name) : -1;
}

/* ------------------------------------------------------------------ what killed hosts have left */

static bool is_of_the_dead(const char *name)
{
    char *end;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    long pid = strtol(name + strlen(PREFIX), &end, 10);
    return *end == '-' && pid > 0 && pid < INT32_MAX && kill((pid_t)pid, 0) != 0 &&
           errno == ESRCH;
}

/* Groups within the group, which are empty or busy: the kernel removes no others. */
static void remove_with_all_in_it(int parent, const char *name)
{
    int folder = open_folder(parent, name);
    DIR *list = folder >= 0 ? fdopendir(folder) : NULL;
    const struct dirent *entry;

    if (list == NULL && folder >= 0)
        close(folder);
    while (list != NULL && (entry = readdir(list)) != NULL)
        if (strncmp(entry->d_name, "vm-", 3) == 0 || strcmp(entry->d_name, "host") == 0)
            (void)unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
    if (list != NULL)
        closedir(list);
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

static void sweep(int parent)
{
    int folder = open_folder(parent, ".");
    DIR *list = folder >= 0 ? fdopendir(folder) : NULL;
    const struct dirent *entry;

    if (list == NULL && folder >= 0)
        close(folder);
    while (list != NULL && (entry = readdir(list)) != NULL)
        if (is_of_the_dead(entry->d_name))
            remove_with_all_in_it(parent, entry->d_name);
    if (list != NULL)
        closedir(list);
}

/* ------------------------------------------------------------------ posts */

/* Gives the post's controllers on to the groups in the folder, or takes them back: + or -. */
static bool give_on(const struct cn_fence_post *post, int folder, char sign)
{
    char text[24];

    snprintf(text, sizeof text, "%c%s", sign, post->has_memory ? "memory" : "pids");
    if (post->has_memory && post->has_pids)
        snprintf(text, sizeof text, "%cmemory %cpids", sign, sign);
    return tell(folder, "cgroup.subtree_control", text);
}

static const struct cn_fence_post no_post = {.parent = -1, .group = -1};

static void close_post(struct cn_fence_post *post, const char *name)
{
    if (post->is_moved) {
        (void)give_on(post, post->group, '-');
        (void)give_on(post, post->parent, '-');
        (void)tell_pid(post->parent, getpid());
    }
    if (post->group >= 0) {
        close(post->group);
        remove_with_all_in_it(post->parent, name);
    }
    if (post->parent >= 0)
        close(post->parent);
    *post = no_post;
}

static bool is_given(const struct cn_fence_post *post, const char *controller, bool is_wanted)
{
    return !is_wanted || holds(post->parent, "cgroup.subtree_control", controller);
}

/* The group and the one above it have to give the controllers on to groups of processes. */
static bool divide(struct cn_fence_post *post)
{
    if (!is_given(post, "memory", post->has_memory) || !is_given(post, "pids", post->has_pids)) {
        int leaf = make_folder(post->group, "host");
        post->is_moved = leaf >= 0 && tell_pid(leaf, getpid());
        if (leaf >= 0)
            close(leaf);
        if (!post->is_moved || !give_on(post, post->parent, '+'))
            return false;
    }
    return give_on(post, post->group, '+');
}

/* The directory that has the host's group, and in it one for this host. */
static bool open_post(struct cn_fence_post *post, const char *path, const char *name)
{
    post->parent = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (post->parent < 0)
        return false;
    sweep(post->parent);
    post->group = make_folder(post->parent, name);
    return post->group >= 0;
}

static void open_v1(struct cn_fences *fences, int at, const char *controller, const char *path)
{
    struct cn_fence_post *post = &fences->posts[at];

    if (!open_post(post, path, fences->name)) {
        close_post(post, fences->name);
        return;
    }
    post->has_memory = strcmp(controller, "memory") == 0;
    post->has_pids = !post->has_memory;
}

static void open_v2(struct cn_fences *fences, const char *path)
{
    struct cn_fence_post *post = &fences->posts[fences->posts[0].parent >= 0];

    if (open_post(post, path, fences->name)) {
        post->is_v2 = true;
        post->has_memory = fences->posts[0].parent < 0 || !fences->posts[0].has_memory;
        post->has_pids = fences->posts[0].parent < 0 || !fences->posts[0].has_pids;
        post->has_memory = post->has_memory && holds(post->parent, "cgroup.controllers", "memory");
        post->has_pids = post->has_pids && holds(post->parent, "cgroup.controllers", "pids");
        if ((post->has_memory || post->has_pids) && divide(post))
            return;
    }
    close_post(post, fences->name);
}

enum cn_status cn_fences_open(struct cn_fences *fences, const char *mounts, const char *groups,
                              struct cn_error *error)
{
    static const char *const controllers[] = {"memory", "pids"};
    struct cn_fence_post *posts = fences->posts;
    char path[PATH_MAX];
    int count = 0;

    *fences = (struct cn_fences){.posts[0] = no_post, .posts[1] = no_post};
    snprintf(fences->name, sizeof fences->name, PREFIX "%d-%llx", (int)getpid(),
             (unsigned long long)(uintptr_t)fences);
    for (int i = 0; i < 2; i++)
        if (cn_fence_find(mounts, groups, controllers[i], path)) {
            open_v1(fences, count, controllers[i], path);
            count += posts[count].parent >= 0;
        }
    if (count < 2 && cn_fence_find(mounts, groups, NULL, path))
        open_v2(fences, path);
    if (posts[0].parent >= 0 || posts[1].parent >= 0)
        return CN_OK;
    return cn_fail(error, CN_IO, CN_NO_OFFSET,
                   "no control group is this process's to divide: neither memory nor pids, of "
                   "cgroup v1 or v2, was delegated to it");
}

void cn_fences_close(struct cn_fences *fences)
{
    for (int i = 0; i < 2; i++)
        close_post(&fences->posts[i], fences->name);
}

void cn_fences_print(const struct cn_fences *fences, char *text, size_t size)
{
    size_t at = 0;

    text[0] = '\0';
    for (int i = 0; i < 2; i++) {
        const struct cn_fence_post *post = &fences->posts[i];
        if (post->parent >= 0 && at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s%s%s (cgroup v%d)", at ? ", " : "",
                                   post->has_memory ? "memory" : "",
                                   post->has_memory && post->has_pids ? ", " : "",
                                   post->has_pids ? "pids" : "", post->is_v2 ? 2 : 1);
    }
}

/* ------------------------------------------------------------------ fences */

/* More than the quotas let it have, by what the process itself needs. */
static uint64_t bound_of(const uint64_t limit[CN_QUOTA_COUNT], bool counts_disk)
{
    uint64_t memory = limit[CN_QUOTA_MEMORY], disk = counts_disk ? limit[CN_QUOTA_DISK] : 0;

    if (memory > UINT64_MAX / 4 || disk > UINT64_MAX / 4)
        return UINT64_MAX;
    return memory + memory / TABLES + disk + ITSELF;
}

static void name_of(const struct cn_fence *fence, char name[16])
{
    snprintf(name, 16, "vm-%u", fence->number);
}

static void bound_memory(const struct cn_fence_post *post, int group, uint64_t bytes)
{
    char text[24];

    if (!post->has_memory || bytes == UINT64_MAX)
        return;
    snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
    (void)tell(group, post->is_v2 ? "memory.max" : "memory.limit_in_bytes", text);
}

/* False when the process is not in the group then. */
static bool put_at(const struct cn_fence_post *post, const struct cn_fence *fence, pid_t pid)
{
    char name[16], text[16];

    name_of(fence, name);
    int group = make_folder(post->group, name);
    if (group < 0)
        return false;
    bound_memory(post, group, fence->memory);
    snprintf(text, sizeof text, "%d", CN_FENCE_TASKS);
    if (post->has_pids)
        (void)tell(group, "pids.max", text);
    bool is_in = tell_pid(group, pid);
    close(group);
    if (!is_in)
        (void)unlinkat(post->group, name, AT_REMOVEDIR);
    return is_in;
}

void cn_fence_put(struct cn_fences *fences, struct cn_fence *fence, pid_t pid,
                  const uint64_t limit[CN_QUOTA_COUNT], bool counts_disk)
{
    bool is_in = false;

    *fence = (struct cn_fence){.number = atomic_fetch_add(&fences->made, 1) + 1,
                               .memory = bound_of(limit, counts_disk),
                               .counts_disk = counts_disk};
    for (int i = 0; i < 2; i++)
        if (fences->posts[i].parent >= 0)
            is_in |= put_at(&fences->posts[i], fence, pid);
    if (!is_in)
        fence->number = 0;
}

void cn_fence_raise(struct cn_fences *fences, struct cn_fence *fence,
                    const uint64_t limit[CN_QUOTA_COUNT])
{
    uint64_t bound = bound_of(limit, fence->counts_disk);
    char name[16];

    if (fence->number == 0 || bound <= fence->memory)
        return;
    fence->memory = bound;
    name_of(fence, name);
    for (int i = 0; i < 2; i++) {
        const struct cn_fence_post *post = &fences->posts[i];
        int group = post->parent >= 0 ? open_folder(post->group, name) : -1;
        if (group < 0)
            continue;
        /* "No bound" is written as the largest that the kernel takes: both versions clip it. */
        bound_memory(post, group, bound < INT64_MAX ? bound : INT64_MAX);
        close(group);
    }
}

void cn_fence_remove(struct cn_fences *fences, struct cn_fence *fence)
{
    char name[16];

    if (fence->number == 0)
        return;
    name_of(fence, name);
    for (int i = 0; i < 2; i++)
        if (fences->posts[i].parent >= 0)
            (void)unlinkat(fences->posts[i].group, name, AT_REMOVEDIR);
    fence->number = 0;
}
