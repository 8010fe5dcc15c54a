/* Fences: where the kernel's control groups are, and what is told to them. A made-up tree stands
 * for the kernel's where it has none for us; where it has, that is used as well. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "governor/account.h"
#include "host/fence.h"
#include "host/fence_find.h"
#include "include/cordon.h"

struct tree {
    char folder[64], mounts[PATH_MAX], groups[PATH_MAX];
};

__attribute__((format(printf, 3, 4))) static void put(const struct tree *tree, const char *name,
                                                      const char *form, ...)
{
    char path[PATH_MAX];
    va_list list;

    snprintf(path, sizeof path, "%s/%s", tree->folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    va_start(list, form);
    vfprintf(file, form, list);
    va_end(list);
    fclose(file);
}

static void make(const struct tree *tree, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", tree->folder, name);
    cr_assert_eq(mkdir(path, 0755), 0, "%s", path);
}

static void tree_setup(struct tree *tree)
{
    strcpy(tree->folder, "/tmp/cordon-fence-XXXXXX");
    cr_assert_not_null(mkdtemp(tree->folder));
    snprintf(tree->mounts, sizeof tree->mounts, "%s/mounts", tree->folder);
    snprintf(tree->groups, sizeof tree->groups, "%s/groups", tree->folder);
}

static void tree_remove(const struct tree *tree)
{
    char command[PATH_MAX];

    snprintf(command, sizeof command, "rm -rf '%s'", tree->folder);
    cr_assert_eq(system(command), 0);
}

/* What the file in the host's group, or in its `inner` one, holds. */
static const char *text_of(const struct tree *tree, const char *group, const char *inner,
                           const char *name)
{
    static char text[200];
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s/%s/%s", tree->folder, group, inner, name);
    FILE *file = fopen(path, "r");
    text[0] = '\0';
    if (file == NULL)
        return "nothing";
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    fclose(file);
    return text;
}

Test(fence, groups_are_found_as_the_kernel_tells_of_them)
{
    static const struct {
        const char *mount, *group, *controller, *found;
    } cases[] = {
        {"35 31 0:32 / /c/memory rw,relatime - cgroup cgroup rw,memory\n", "4:memory:/a/b\n",
         "memory", "/c/memory/a/b"},
        {"35 31 0:32 / /c/m rw shared:9 master:1 - cgroup cgroup rw,cpu,memory\n",
         "4:cpu,memory:/\n", "memory", "/c/m/"},
        {"35 31 0:32 /docker/x /c/pids rw - cgroup cgroup rw,pids\n", "8:pids:/docker/x\n", "pids",
         "/c/pids"},
        {"35 31 0:32 /docker/x /c/pids rw - cgroup cgroup rw,pids\n", "8:pids:/docker/x/y\n",
         "pids", "/c/pids/y"},
        {"35 31 0:32 /docker/x /c/pids rw - cgroup cgroup rw,pids\n", "8:pids:/docker/xy\n",
         "pids", NULL},
        {"41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
         "1:name=systemd:/n\n0::/user.slice/u\n", NULL, "/sys/fs/cgroup/user.slice/u"},
        {"41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", "memory", NULL},
        {"41 31 0:38 / /c rw - cgroup cgroup rw,memoryx\n", "4:memory:/\n", "memory", NULL},
        {"41 31 0:38 / /c rw - cgroup cgroup rw,memory\n", "4:memoryx:/\n", "memory", NULL},
        {"41 31 0:38 / /c rw - cgroup cgroup rw,memory\n", "4:memory:/../x\n", "memory", NULL},
        {"41 31 0:38 / /a\\040b rw - cgroup cgroup rw,memory\n", "4:memory:/\n", "memory", NULL},
        {"41 31 0:38 /\n\n- - - - - - -\ncgroup\n", "::\n:\n4\n", "memory", NULL},
        {"", "", NULL, NULL},
    };
    struct tree tree;
    char path[PATH_MAX];
    tree_setup(&tree);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(&tree, "mounts", "%s", cases[i].mount);
        put(&tree, "groups", "%s", cases[i].group);
        bool found = cn_fence_find(tree.mounts, tree.groups, cases[i].controller, path);
        cr_expect_eq(found, cases[i].found != NULL, "case %zu", i);
        if (found && cases[i].found != NULL)
            cr_expect_str_eq(path, cases[i].found, "case %zu", i);
    }
    cr_expect_not(cn_fence_find("/nowhere", tree.groups, "memory", path));
    tree_remove(&tree);
}

static void limits(uint64_t limit[CN_QUOTA_COUNT], uint64_t memory, uint64_t disk)
{
    for (int i = 0; i < CN_QUOTA_COUNT; i++)
        limit[i] = CN_UNLIMITED;
    limit[CN_QUOTA_MEMORY] = memory;
    limit[CN_QUOTA_DISK] = disk;
}

#define MIB (1ull << 20)

static void expect_bound(const struct tree *tree, const char *group, const char *inner,
                         const char *name, uint64_t bytes)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
    cr_expect_str_eq(text_of(tree, group, inner, name), text, "%s/%s", inner, name);
}

Test(fence, version_2_is_divided_where_it_was_delegated)
{
    struct cn_error error;
    struct cn_fences fences;
    struct cn_fence fence, other;
    struct tree tree;
    char group[PATH_MAX], pid[16], what[60];
    uint64_t limit[CN_QUOTA_COUNT];
    tree_setup(&tree);

    put(&tree, "mounts", "41 31 0:38 / %s/v2 rw - cgroup2 cgroup2 rw\n", tree.folder);
    put(&tree, "groups", "0::/service\n");
    make(&tree, "v2");
    make(&tree, "v2/service");
    put(&tree, "v2/service/cgroup.controllers", "cpu memory pids\n");
    put(&tree, "v2/service/cgroup.subtree_control", "%s", "");
    cr_assert_eq(cn_fences_open(&fences, tree.mounts, tree.groups, &error), CN_OK);
    cn_fences_print(&fences, what, sizeof what);
    cr_expect_str_eq(what, "memory, pids (cgroup v2)");
    snprintf(group, sizeof group, "v2/service/%s", fences.name);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    cr_expect_str_eq(text_of(&tree, group, "host", "cgroup.procs"), pid, "it makes room");
    cr_expect_str_eq(text_of(&tree, "v2/service", ".", "cgroup.subtree_control"), "+memory +pids");
    cr_expect_str_eq(text_of(&tree, group, ".", "cgroup.subtree_control"), "+memory +pids");

    limits(limit, 64 * MIB, CN_UNLIMITED);
    cn_fence_put(&fences, &fence, 4711, limit, false);
    cr_expect_str_eq(text_of(&tree, group, "vm-1", "cgroup.procs"), "4711");
    cr_expect_str_eq(text_of(&tree, group, "vm-1", "pids.max"), "8");
    expect_bound(&tree, group, "vm-1", "memory.max", 129 * MIB);
    limits(limit, 32 * MIB, 0);
    cn_fence_raise(&fences, &fence, limit);
    expect_bound(&tree, group, "vm-1", "memory.max", 129 * MIB);
    limits(limit, 128 * MIB, 0);
    cn_fence_raise(&fences, &fence, limit);
    expect_bound(&tree, group, "vm-1", "memory.max", 194 * MIB);
    limits(limit, CN_UNLIMITED, 0);
    cn_fence_raise(&fences, &fence, limit);
    expect_bound(&tree, group, "vm-1", "memory.max", INT64_MAX);

    limits(limit, 64 * MIB, 100 * MIB);
    cn_fence_put(&fences, &other, 4712, limit, true);
    expect_bound(&tree, group, "vm-2", "memory.max", 229 * MIB);
    cn_fence_remove(&fences, &fence);
    limits(limit, 64 * MIB, CN_UNLIMITED);
    cn_fence_put(&fences, &fence, 4713, limit, true);
    cr_expect_str_eq(text_of(&tree, group, "vm-3", "memory.max"), "nothing",
                     "it may fill a disk in memory");
    cr_expect_str_eq(text_of(&tree, group, "vm-3", "cgroup.procs"), "4713");
    cn_fences_close(&fences);
    cr_expect_str_eq(text_of(&tree, "v2/service", ".", "cgroup.procs"), pid, "it moves back");
    tree_remove(&tree);
}

/* By cordon.h: once, or not at all, and then it says why. */
Test(fence, a_host_has_them_once)
{
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    char what[64] = "";

    if (cordon_host_fence(host, what, sizeof what, &error)) {
        cr_expect_not_null(strstr(what, "cgroup"), "%s", what);
        cr_expect_not(cordon_host_fence(host, NULL, 0, &error));
        cr_expect_eq(error.kind, CORDON_MISUSE);
    } else {
        cr_expect_eq(error.kind, CORDON_IO);
        cr_expect_str_eq(what, "");
    }
    cordon_host_free(host);
}

Test(fence, nothing_is_had_where_nothing_was_delegated)
{
    struct cn_error error;
    struct cn_fences fences;
    struct tree tree;
    tree_setup(&tree);

    put(&tree, "mounts", "41 31 0:38 / %s/v2 rw - cgroup2 cgroup2 rw\n", tree.folder);
    put(&tree, "groups", "0::/\n");
    cr_expect_eq(cn_fences_open(&fences, tree.mounts, tree.groups, &error), CN_IO);
    make(&tree, "v2");
    put(&tree, "v2/cgroup.controllers", "cpu hugetlb\n");
    cr_expect_eq(cn_fences_open(&fences, tree.mounts, tree.groups, &error), CN_IO);
    cr_expect_not_null(strstr(error.text, "delegated"));
    /* The group cannot give controllers on: the kernel says so when it is written to. */
    put(&tree, "v2/cgroup.controllers", "memory\n");
    make(&tree, "v2/cgroup.subtree_control");
    cr_expect_eq(cn_fences_open(&fences, tree.mounts, tree.groups, &error), CN_IO);
    tree_remove(&tree);
}

static pid_t sleeper(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    return pid;
}

/* Takes so much more than 64 MiB that the fence is in the way. */
static pid_t glutton(int *go)
{
    int pipes[2];
    char byte;

    cr_assert_eq(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char *bytes = read(pipes[0], &byte, 1) == 1 ? malloc(400 * MIB) : NULL;
        for (uint64_t i = 0; bytes != NULL && i < 400 * MIB; i += 4096)
            ((volatile char *)bytes)[i] = 1;
        _exit(0);
    }
    close(pipes[0]);
    *go = pipes[1];
    return pid;
}

static bool has_swap(void)
{
    FILE *file = fopen("/proc/swaps", "r");
    char line[200];
    int count = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        count++;
    if (file != NULL)
        fclose(file);
    return count > 1;
}

static bool says(pid_t pid, const char *word)
{
    char path[64], line[400];
    bool found = false;

    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, word) != NULL;
    if (file != NULL)
        fclose(file);
    return found;
}

/* What a host that was killed has left is removed by the next one. */
static void leave_a_group(struct cn_fences *left)
{
    struct cn_error error;
    int pipes[2];

    cr_assert_eq(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool is_good = cn_fences_open(left, CN_FENCE_MOUNTS, CN_FENCE_GROUPS, &error) == CN_OK &&
                       write(pipes[1], left, sizeof *left) == sizeof *left;
        _exit(is_good ? 0 : 1);
    }
    cr_assert_eq(read(pipes[0], left, sizeof *left), (ssize_t)sizeof *left);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    close(pipes[0]);
    close(pipes[1]);
}

Test(fence, the_kernels_own_hold_a_process)
{
    struct cn_error error;
    struct cn_fences fences, left;
    struct cn_fence fence;
    uint64_t limit[CN_QUOTA_COUNT];

    if (cn_fences_open(&fences, CN_FENCE_MOUNTS, CN_FENCE_GROUPS, &error) != CN_OK)
        return; /* this machine has none for us: the tree above has to do */
    limits(limit, 64 * MIB, 0);
    pid_t pid = sleeper();
    cn_fence_put(&fences, &fence, pid, limit, false);
    cr_assert_eq(fence.number, 1);
    cr_expect(says(pid, fences.name) && says(pid, "/vm-1"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    cn_fence_remove(&fences, &fence);
    for (int i = 0; i < 2; i++)
        if (fences.posts[i].parent >= 0)
            cr_expect_neq(faccessat(fences.posts[i].group, "vm-1", F_OK, 0), 0, "it has gone");
    bool bounds_memory = fences.posts[0].has_memory || fences.posts[1].has_memory;
    int go, status;
    pid = glutton(&go);
    cn_fence_put(&fences, &fence, pid, limit, false);
    cr_assert_eq(write(go, "", 1), 1);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    if (bounds_memory && !has_swap())
        cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the kernel stops it");
    cn_fence_remove(&fences, &fence);
    close(go);
    leave_a_group(&left);
    int parent = dup(fences.posts[0].parent);
    cr_expect_eq(faccessat(parent, left.name, F_OK, 0), 0);
    cn_fences_close(&fences);
    cr_assert_eq(cn_fences_open(&fences, CN_FENCE_MOUNTS, CN_FENCE_GROUPS, &error), CN_OK);
    cr_expect_neq(faccessat(parent, left.name, F_OK, 0), 0, "what was left is swept up");
    cr_expect_eq(faccessat(parent, fences.name, F_OK, 0), 0);
    cn_fences_close(&fences);
    cr_expect_neq(faccessat(parent, fences.name, F_OK, 0), 0, "and nothing stays");
    close(parent);
}
