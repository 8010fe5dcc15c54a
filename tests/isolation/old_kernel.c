/* Runs a command as if the kernel lacked something:
 *
 *   old_kernel openat2 | landlock | seccomp | mdwe | linux-6.1  COMMAND...
 *   old_kernel fail:CALL  COMMAND...           that call fails with EPERM
 *   old_kernel fail:prctl:OPTION  COMMAND...   one option of prctl, by its number, does
 *
 * linux-6.1 is the kernel of Debian 12: Landlock ABI 2, which refuses what later versions know,
 * and neither PR_SET_MDWE nor mseal. A filter answers in the kernel's stead; where an answer is a
 * number, this process gives it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ABI_2_RIGHTS 0x3fffu
#define MSEAL 462

static void must(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "old_kernel: %s: %s\n", what, strerror(-result));
    exit(99);
}

static void refuse(scmp_filter_ctx filter, int call, int error)
{
    must(seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)error), call, 0), "rule");
}

static void refuse_prctl(scmp_filter_ctx filter, unsigned option)
{
    must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
                          SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, option)), "rule");
}

static void fail_call(scmp_filter_ctx filter, const char *name)
{
    if (strncmp(name, "prctl:", 6) == 0) {
        must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX,
                                      (unsigned)atoi(name + 6))), "rule");
        return;
    }
    int call = seccomp_syscall_resolve_name(name);
    must(call == __NR_SCMP_ERROR ? -EINVAL : 0, name);
    refuse(filter, call, EPERM);
}

/* Whether the answers are this process's to give. */
static int fill(scmp_filter_ctx filter, const char *what)
{
    int is_61 = strcmp(what, "linux-6.1") == 0;

    if (strncmp(what, "fail:", 5) == 0) {
        fail_call(filter, what + 5);
        return 0;
    }
    if (strcmp(what, "openat2") == 0)
        refuse(filter, SCMP_SYS(openat2), ENOSYS);
    else if (strcmp(what, "landlock") == 0)
        refuse(filter, SCMP_SYS(landlock_create_ruleset), ENOSYS);
    else if (strcmp(what, "seccomp") == 0)
        refuse(filter, SCMP_SYS(seccomp), ENOSYS);
    else if (!is_61 && strcmp(what, "mdwe") != 0)
        must(-EINVAL, what);
    if (is_61 || strcmp(what, "mdwe") == 0) {
        refuse_prctl(filter, 65);
        refuse_prctl(filter, 66);
        refuse(filter, MSEAL, ENOSYS);
    }
    if (is_61)
        must(seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(landlock_create_ruleset), 0),
             "rule");
    return is_61;
}

/* What the attribute of a ruleset asks for, of the process that waits; nothing where this process
 * may not look, because it is not root and the other cannot be traced any more. */
static int read_rights(const struct seccomp_notif *asked, uint64_t *rights)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%u/mem", asked->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return geteuid() != 0;
    ssize_t size = pread(fd, rights, sizeof *rights, (off_t)asked->data.args[0]);
    close(fd);
    return size == sizeof *rights;
}

static void answer_one(int notify, struct seccomp_notif *asked, struct seccomp_notif_resp *answer)
{
    uint64_t rights = 0;

    memset(answer, 0, sizeof *answer);
    answer->id = asked->id;
    if (asked->data.args[2] & 1)
        answer->val = 2; /* the version */
    else if (asked->data.args[1] > 8)
        answer->error = -E2BIG;
    else if (!read_rights(asked, &rights) || (rights & ~(uint64_t)ABI_2_RIGHTS))
        answer->error = -EINVAL;
    else
        answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    seccomp_notify_respond(notify, answer);
}

/* Until the process that is answered has gone. It may have become somebody who cannot signal this
 * one, and this one has the filter too, so that nothing but its parent says so. */
static void answer_all(int notify, pid_t watched)
{
    struct pollfd question = {.fd = notify, .events = POLLIN};
    struct seccomp_notif *asked;
    struct seccomp_notif_resp *answer;

    must(seccomp_notify_alloc(&asked, &answer), "notify");
    while (getppid() == watched) {
        if (poll(&question, 1, 50) <= 0)
            continue;
        memset(asked, 0, sizeof *asked);
        int result = seccomp_notify_receive(notify, asked);
        if (result == 0)
            answer_one(notify, asked, answer);
        else if (errno != EINTR && errno != ENOENT)
            return; /* nobody is left to ask */
    }
}

/* The filter is this process's too, and its child inherits it; the child of a child answers. */
static void answer_beside(int notify)
{
    pid_t watched = getpid(), helper = fork();

    if (helper < 0)
        must(-errno, "fork");
    if (helper > 0) {
        close(notify);
        return;
    }
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    answer_all(notify, watched);
    _exit(0);
}

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    if (argc < 3 || filter == NULL)
        must(-EINVAL, "usage: old_kernel LAYER COMMAND...");
    int answers = fill(filter, argv[1]);
    must(seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, geteuid() != 0), "attribute");
    must(seccomp_load(filter), "load");
    if (answers) {
        int notify = seccomp_notify_fd(filter);
        must(notify, "notify");
        fcntl(notify, F_SETFD, FD_CLOEXEC);
        answer_beside(notify);
    }
    execvp(argv[2], argv + 2);
    must(-errno, argv[2]);
    return 99;
}
