/* The sandbox as embedders and workers use it: each case in a process of its own, as it is for
 * good. What it stops is tried in tests/isolation. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/platform.h"
#include "host/jail.h"
#include "include/cordon.h"

/* Runs it in a child: its return value, or 128 and the signal that ended it. */
static int in_child(int (*act)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(act());
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool enter(cordon_sandbox_t sandbox)
{
    cordon_sandbox_report_t report;
    cordon_error_t error;

    if (cordon_sandbox_enter(&sandbox, &report, &error))
        return report.active[CORDON_LAYER_SECCOMP] && report.active[CORDON_LAYER_LANDLOCK] &&
               report.active[CORDON_LAYER_NO_NEW_PRIVS];
    (void)!write(2, error.message, strlen(error.message));
    return false;
}

/* ------------------------------------------------------------------ with threads */

static void *wait_for_ever(void *context)
{
    pause();
    return context;
}

static int enter_with_a_thread(void)
{
    cordon_sandbox_t sandbox = {.has_threads = true};
    cordon_sandbox_report_t report;
    cordon_error_t error;
    pthread_t thread;

    if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
        return 1;
    bool entered = cordon_sandbox_enter(&sandbox, &report, &error);
    return !entered && error.kind == CORDON_MISUSE ? 0 : 2;
}

/* What there is, by the names that the rows have; nothing is changed by the question. */
Test(sandbox, tells_what_could_be_had)
{
    cordon_sandbox_report_t report, again;

    cordon_sandbox_probe(&report);
    cordon_sandbox_probe(&again);
    for (int i = 0; i < CORDON_LAYER_COUNT; i++) {
        cr_expect_not_null(cordon_layer_key((cordon_layer_t)i));
        cr_expect_eq(report.active[i], again.active[i], "%s", cordon_layer_key((cordon_layer_t)i));
    }
    cr_expect(report.active[CORDON_LAYER_LIMITS]);
    cr_expect_eq(report.active[CORDON_LAYER_LANDLOCK], report.landlock_abi > 0);
    cr_expect_str_eq(cordon_layer_key(CORDON_LAYER_LANDLOCK), "landlock");
}

Test(sandbox, refuses_to_be_entered_beside_threads)
{
    cr_expect_eq(in_child(enter_with_a_thread), 0);
}

static const char program[] =
    "(module (import \"wasi_snapshot_preview1\" \"random_get\" (func $r (param i32 i32)"
    "          (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"_start\") (local $i i32) (loop $l"
    "    (drop (call $r (i32.const 0) (i32.const 64)))"
    "    (drop (memory.grow (i32.const 1)))"
    "    (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
    "                        (i32.const 100000))))))";

#define VMS 4

/* A host's workers run VMs inside, and see through /proc whether one of them is blocked. */
/* A host with some VMs of one program. */
struct some {
    cordon_host_t *host;
    cordon_module_t *module;
    cordon_linker_t *linker;
    cordon_config_t *config;
    cordon_vm_t *vms[VMS];
};

static bool make_some(struct some *some, const char *text, size_t size)
{
    cordon_error_t error;

    some->host = cordon_host_new(&error);
    some->module = cordon_module_load(some->host, text, size, &error);
    some->linker = cordon_linker_new(some->host, &error);
    some->config = cordon_config_new(&error);
    return some->module != NULL && some->linker != NULL && some->config != NULL;
}

static bool start_some(struct some *some)
{
    cordon_error_t error;

    cordon_linker_allow_wasi(some->linker);
    for (int i = 0; i < VMS; i++) {
        some->vms[i] =
            cordon_vm_new(some->host, some->module, some->linker, some->config, &error);
        if (some->vms[i] == NULL || !cordon_vm_start(some->vms[i], NULL, NULL, &error))
            return false;
    }
    return true;
}

/* 0 when all of them have returned. */
static int end_some(struct some *some)
{
    cordon_result_t result;

    for (int i = 0; i < VMS; i++) {
        cordon_vm_wait(some->vms[i], &result);
        if (result.end != CORDON_END_RETURN)
            return 5;
        cordon_vm_free(some->vms[i]);
    }
    cordon_config_free(some->config);
    cordon_linker_free(some->linker);
    cordon_module_free(some->module);
    cordon_host_free(some->host);
    return 0;
}

static int run_on_workers(void)
{
    struct some some;
    cordon_error_t error;
    char path[64];

    if (!enter((cordon_sandbox_t){.has_threads = true}))
        return 1;
    if (!make_some(&some, program, sizeof program - 1) ||
        !cordon_host_start(some.host, 2, &error))
        return 2;
    if (!start_some(&some))
        return 3;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)gettid());
    int fd = cn_jail_open(path, O_RDONLY);
    if (fd < 0 || read(fd, path, sizeof path) < 10 ||
        cn_jail_open("/proc/self/maps", O_RDONLY) >= 0)
        return 4;
    return end_some(&some);
}

Test(sandbox, lets_workers_run, .timeout = 60)
{
    if (CN_IS_SANITIZED) /* which may read all of /proc */
        cr_skip_test("sanitizers need more");
    cr_expect_eq(in_child(run_on_workers), 0);
}

/* They sleep, so that something is waited for; all in this thread. */
static int run_in_steps(void)
{
    static const char sleeps[] =
        "(module (import \"wasi_snapshot_preview1\" \"poll_oneoff\""
        "    (func $poll (param i32 i32 i32 i32) (result i32)))"
        "  (memory (export \"memory\") 1)"
        "  (data (i32.const 144) \"\\01\\00\\00\\00\\00\\00\\00\\00\\80\\96\\98\")"
        "  (func (export \"_start\") (drop (call $poll (i32.const 128) (i32.const 192)"
        "    (i32.const 1) (i32.const 256)))))";
    struct some some;
    cordon_error_t error;
    cordon_result_t result;
    cordon_state_t state;

    if (!enter((cordon_sandbox_t){.has_threads = false}))
        return 1;
    if (!make_some(&some, sleeps, sizeof sleeps - 1) ||
        !cordon_host_begin(some.host, &error))
        return 2;
    struct pollfd entry = {.fd = cordon_host_descriptor(some.host, &error), .events = POLLIN};
    if (!start_some(&some))
        return 3;
    cordon_vm_wait(some.vms[0], &result);
    while ((state = cordon_host_step(some.host, 1000000, NULL)) != CORDON_OVER)
        if (state == CORDON_WAIT && ppoll(&entry, 1, NULL, NULL) != 1)
            return 4;
    return end_some(&some);
}

Test(sandbox, lets_a_host_run_in_steps, .timeout = 60)
{
    if (CN_IS_SANITIZED)
        cr_skip_test("sanitizers need more");
    cr_expect_eq(in_child(run_in_steps), 0);
}

/* ------------------------------------------------------------------ directories as descriptors */

static char folder[] = "/tmp/cordon-sandbox-XXXXXX";

static bool can_create(int dir, const char *name)
{
    int fd = openat(dir, name, O_CREAT | O_WRONLY, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* openat is not left in a sandbox; openat2 is. */
static int use_directories(void)
{
    char path[64];
    int dir = open(folder, O_PATH | O_DIRECTORY);

    snprintf(path, sizeof path, "%s/made", folder);
    if (!enter((cordon_sandbox_t){.dirs = &dir, .dir_count = 1}))
        return 1;
    if (cn_jail_open(path, O_RDONLY) < 0)
        return 2;
    if (cn_jail_open("/etc/passwd", O_RDONLY) >= 0)
        return 3;
    return mkdirat(dir, "folder", 0700) == 0 && unlinkat(dir, "folder", AT_REMOVEDIR) == 0 ? 0 : 4;
}

Test(sandbox, takes_directories_as_descriptors)
{
    cr_assert_not_null(mkdtemp(folder));
    int dir = open(folder, O_PATH | O_DIRECTORY);
    cr_assert(can_create(dir, "made"));
    cr_expect_eq(in_child(use_directories), 0);
    unlinkat(dir, "made", 0);
    close(dir);
    rmdir(folder);
}

/* ------------------------------------------------------------------ what ends the process */

static int make_a_socket(void)
{
    if (!enter((cordon_sandbox_t){.has_sockets = true}))
        return 1;
    socket(AF_UNIX, SOCK_STREAM, 0);
    return 2;
}

static int talk_to_a_socket(void)
{
    int pair[2];
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0 ||
        !enter((cordon_sandbox_t){.has_sockets = true}))
        return 1;
    return sendmsg(pair[0], &message, 0) == 1 && recvmsg(pair[1], &message, 0) == 1 ? 0 : 2;
}

Test(sandbox, ends_a_process_that_makes_deadly_calls)
{
    cr_expect_eq(in_child(make_a_socket), 128 + SIGSYS);
    cr_expect_eq(in_child(talk_to_a_socket), 0);
    cr_expect_str_eq(cordon_layer_key(CORDON_LAYER_LANDLOCK), "landlock");
    cr_expect_str_eq(cordon_layer_key((cordon_layer_t)99), "");
    cr_expect_null(cordon_sandbox_call(-1));
}
