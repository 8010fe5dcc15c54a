#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "door.h"

/* Paths of the test's folder, made before the act. */
static struct {
    char in[300], file[300], link[300], dotdot[300], secret[300], readable[300], new_out[300],
        new_in[300], mount[300];
} at;

static long done(long result)
{
    return result < 0 ? -errno : result;
}

static int parent_number;
static char abstract_name[100];

void door_prepare(const char *parent, const char *abstract)
{
    parent_number = parent != NULL ? atoi(parent) : getppid();
    snprintf(abstract_name, sizeof abstract_name, "%s", abstract != NULL ? abstract : "none");
}

/* The test itself: after the filter nobody is told who that is. */
static int parent(void)
{
    return parent_number;
}

static long by_openat2(const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)flags, .mode = flags & O_CREAT ? 0600 : 0};

    return done(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
}

/* ------------------------------------------------------------------ files */

static long act_openat_outside(void)
{
    return done(syscall(SYS_openat, AT_FDCWD, at.secret, O_RDONLY));
}

static long act_openat2_outside(void)
{
    return by_openat2(at.secret, O_RDONLY);
}

static long act_openat2_dotdot(void)
{
    return by_openat2(at.dotdot, O_RDONLY);
}

static long act_openat2_symlink(void)
{
    return by_openat2(at.link, O_RDONLY);
}

static long act_openat2_readable(void)
{
    return by_openat2(at.readable, O_RDONLY);
}

static long act_openat2_write(void)
{
    return by_openat2(at.secret, O_WRONLY);
}

static long act_openat2_create(void)
{
    return by_openat2(at.new_out, O_CREAT | O_WRONLY);
}

static long act_openat2_proc_mem(void)
{
    return by_openat2("/proc/self/mem", O_RDWR);
}

static long act_openat2_proc_other(void)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/environ", parent());
    return by_openat2(path, O_RDONLY);
}

static long act_mkdirat_outside(void)
{
    return done(syscall(SYS_mkdirat, AT_FDCWD, at.new_out, 0700));
}

static long act_unlinkat_outside(void)
{
    return done(syscall(SYS_unlinkat, AT_FDCWD, at.readable, 0));
}

static long act_renameat_outside(void)
{
    return done(syscall(SYS_renameat, AT_FDCWD, at.file, AT_FDCWD, at.new_out));
}

static long act_linkat_inside(void)
{
    return done(syscall(SYS_linkat, AT_FDCWD, at.secret, AT_FDCWD, at.new_in, 0));
}

static long act_symlinkat_outside(void)
{
    return done(syscall(SYS_symlinkat, "x", AT_FDCWD, at.new_out));
}

static long act_truncate_outside(void)
{
    return done(syscall(SYS_truncate, at.secret, 0));
}

static long act_mknodat_fifo(void)
{
    return done(syscall(SYS_mknodat, AT_FDCWD, at.new_in, S_IFIFO | 0600, 0));
}

static long act_mknodat_device(void)
{
    return done(syscall(SYS_mknodat, AT_FDCWD, at.new_in, S_IFCHR | 0600, 0x103));
}

static long act_bind_unix(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0 || chdir(at.in) != 0)
        return -errno;
    memcpy(address.sun_path, "socket", 7);
    return done(bind(fd, (struct sockaddr *)&address, sizeof address));
}

static long act_fchmodat_setuid(void)
{
    return done(syscall(SYS_fchmodat, AT_FDCWD, at.file, 04755));
}

static long act_fchmod_setuid(void)
{
    long fd = by_openat2(at.file, O_RDONLY);

    return fd < 0 ? -ENOTSUP : done(fchmod((int)fd, 04755));
}

static long act_fchownat_root(void)
{
    return done(fchownat(AT_FDCWD, at.file, 1, 1, 0));
}

static long act_setxattr_capability(void)
{
    /* A version-2 record: cap_setuid, permitted and effective. */
    const uint32_t record[5] = {0x02000001, 1u << CAP_SETUID, 0, 0, 0};

    return done(syscall(SYS_setxattr, at.file, "security.capability", record, sizeof record, 0));
}

static long act_open_by_handle(void)
{
    struct {
        struct file_handle head;
        unsigned char bytes[8];
    } handle = {.head = {.handle_bytes = 8, .handle_type = 1}};

    long result = done(syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY));
    return result == -ESTALE ? 0 : result; /* there is no such file */
}

/* Where only the lower half of the pointer is zero. */
static long act_utimensat_path(void)
{
    char *place = mmap((void *)(0x77ull << 32), 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    if (place == MAP_FAILED)
        return -ENOTSUP;
    snprintf(place, 4096, "%s", at.file);
    return done(syscall(SYS_utimensat, AT_FDCWD, place, NULL, 0));
}

static long act_inotify(void)
{
    return done(syscall(SYS_inotify_init1, 0));
}

static long act_fcntl_lease(void)
{
    return done(fcntl(0, F_SETSIG, 0));
}

/* ------------------------------------------------------------------ processes */

static long act_execve(void)
{
    char *const words[] = {(char *)(uintptr_t)"true", NULL}, *const none[] = {NULL};

    return done(execve("/bin/true", words, none));
}

static long act_execveat_memfd(void)
{
    char *const words[] = {(char *)(uintptr_t)"x", NULL}, *const none[] = {NULL};
    int fd = memfd_create("x", 0);

    if (fd < 0)
        return -errno;
    if (write(fd, "#!/bin/true\n", 12) != 12)
        return -ENOTSUP;
    return done(syscall(SYS_execveat, fd, "", words, none, AT_EMPTY_PATH));
}

static long by_clone(long flags)
{
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

    if (child == 0)
        _exit(0);
    return done(child);
}

static long act_fork(void)
{
    return by_clone(0);
}

static long act_clone_new_user(void)
{
    return by_clone(CLONE_NEWUSER);
}

static long act_unshare_user(void)
{
    return done(unshare(CLONE_NEWUSER));
}

static long act_unshare_net(void)
{
    return done(unshare(CLONE_NEWNET));
}

static long act_ptrace_parent(void)
{
    return done(syscall(SYS_ptrace, 0x4206 /* PTRACE_SEIZE */, parent(), 0, 0));
}

static long act_read_parent(void)
{
    struct {
        char *base;
        size_t size;
    } here = {at.in, 1}, there = {NULL, 1};
    /* The last argument goes over the stack, where of an int's eight bytes four are anything. */
    long result = done(syscall(SYS_process_vm_readv, parent(), &here, 1L, &there, 1L, 0L));

    return result == -EFAULT ? 0 : result; /* it was allowed to look, and nothing is there */
}

static long act_getfd_parent(void)
{
    long fd = syscall(SYS_pidfd_open, parent(), 0);

    return fd < 0 ? -errno : done(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static long act_kill_parent(void)
{
    return done(syscall(SYS_kill, parent(), 0));
}

static long act_tgkill_parent(void)
{
    return done(syscall(SYS_tgkill, parent(), parent(), 0));
}

static long act_sigqueue_parent(void)
{
    siginfo_t info = {.si_code = SI_QUEUE};

    return done(syscall(SYS_rt_sigqueueinfo, parent(), 0, &info));
}

/* ------------------------------------------------------------------ who one is */

static long act_setuid_root(void)
{
    return done(syscall(SYS_setuid, 0));
}

static long act_setresuid_root(void)
{
    return done(syscall(SYS_setresuid, 0, 0, 0));
}

static long act_setgroups(void)
{
    return done(syscall(SYS_setgroups, 0, NULL));
}

static long act_capset(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct some[2] = {{1u << CAP_SETUID, 1u << CAP_SETUID, 0}, {0}};

    return done(syscall(SYS_capset, &head, some));
}

static long act_dumpable(void)
{
    return done(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static long act_personality(void)
{
    return done(syscall(SYS_personality, ADDR_NO_RANDOMIZE));
}

static long act_core_limit(void)
{
    struct rlimit any = {1 << 20, 1 << 20};

    return done(setrlimit(RLIMIT_CORE, &any));
}

/* ------------------------------------------------------------------ code */

static long map_with(int protection)
{
    void *map = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return map == MAP_FAILED ? -errno : 0;
}

static long act_mmap_rwx(void)
{
    return map_with(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static long act_mmap_rx(void)
{
    return map_with(PROT_READ | PROT_EXEC);
}

static long protect_by(long call)
{
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return -ENOTSUP;
    return done(syscall(call, map, 4096L, PROT_READ | PROT_EXEC, -1L));
}

static long act_mprotect_rx(void)
{
    return protect_by(SYS_mprotect);
}

static long act_pkey_mprotect_rx(void)
{
    return protect_by(SYS_pkey_mprotect);
}

static long act_mmap_file_rx(void)
{
    long fd = by_openat2(at.file, O_RDONLY);
    void *map = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, (int)fd, 0);

    return fd < 0 ? -ENOTSUP : map == MAP_FAILED ? -errno : 0;
}

static long act_memfd(void)
{
    return done(memfd_create("x", 0));
}

/* ------------------------------------------------------------------ parts of the kernel */

static long act_io_uring(void)
{
    uint32_t parameters[30] = {0};

    return done(syscall(425, 1, parameters));
}

static long act_userfaultfd(void)
{
    return done(syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */));
}

static long act_bpf(void)
{
    union bpf_attr attributes = {.start_id = 0};
    long result = done(syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &attributes, sizeof attributes));

    return result == -ENOENT ? 0 : result; /* there is none */
}

static long act_perf_event(void)
{
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event,
                                    .config = PERF_COUNT_SW_CPU_CLOCK};

    return done(syscall(SYS_perf_event_open, &event, -1, 0, -1, 0));
}

static long act_keyctl(void)
{
    return done(syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -2, 1));
}

static long act_add_key(void)
{
    return done(syscall(SYS_add_key, "user", "cordon-test", "x", 1, -2 /* the process's */));
}

static long act_modify_ldt(void)
{
    char room[16];

    return done(syscall(154, 0, room, sizeof room));
}

static long act_ioperm(void)
{
    return done(syscall(173, 0x80, 1, 0));
}

static long act_int80(void)
{
    long result = 20; /* getpid of 32-bit programs */

#ifdef __x86_64__
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
#endif
    return result;
}

static long act_own_filter(void)
{
    uint32_t action = 0;

    return done(syscall(SYS_seccomp, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0, &action));
}

static long act_fanotify(void)
{
    return done(syscall(SYS_fanotify_init, 0, 0));
}

static long act_shared_memory(void)
{
    long id = done(syscall(SYS_shmget, 0, 4096, 0600));

    if (id >= 0)
        syscall(SYS_shmctl, id, 0 /* IPC_RMID */, NULL);
    return id;
}

static long act_message_queue(void)
{
    char name[40];

    snprintf(name, sizeof name, "cordon-test-%d", parent());
    long fd = done(syscall(SYS_mq_open, name, O_CREAT | O_EXCL | O_RDWR, 0600, NULL));
    syscall(SYS_mq_unlink, name); /* Landlock refuses to open what has been made by then */
    return fd;
}

/* ------------------------------------------------------------------ network */

static long with_socket(int family, int type, long (*use)(int fd))
{
    int fd = socket(family, type, 0);

    return fd < 0 ? -errno : use(fd);
}

static const struct sockaddr_in *local(uint16_t port)
{
    static struct sockaddr_in address;

    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return &address;
}

static long use_connect(int fd)
{
    long result = done(connect(fd, (const struct sockaddr *)local(9), sizeof *local(9)));

    return result == -ECONNREFUSED ? 0 : result; /* somebody was asked */
}

static long use_bind(int fd)
{
    return done(bind(fd, (const struct sockaddr *)local(0), sizeof *local(0)));
}

static long use_send(int fd)
{
    return done(sendto(fd, "x", 1, 0, (const struct sockaddr *)local(9), sizeof *local(9)));
}

static long use_abstract(int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(abstract_name);

    memcpy(address.sun_path + 1, abstract_name, size);
    return done(connect(fd, (struct sockaddr *)&address,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size)));
}

static long use_nothing(int fd)
{
    return fd;
}

static long act_connect_tcp(void)
{
    return with_socket(AF_INET, SOCK_STREAM, use_connect);
}

static long act_bind_tcp(void)
{
    return with_socket(AF_INET, SOCK_STREAM, use_bind);
}

static long act_send_udp(void)
{
    return with_socket(AF_INET, SOCK_DGRAM, use_send);
}

static long act_connect_abstract(void)
{
    return with_socket(AF_UNIX, SOCK_STREAM, use_abstract);
}

static long act_netlink(void)
{
    return with_socket(AF_NETLINK, SOCK_RAW, use_nothing);
}

static long act_packet(void)
{
    return with_socket(AF_PACKET, SOCK_RAW, use_nothing);
}

static long act_socketpair(void)
{
    int pair[2];

    return done(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

/* ------------------------------------------------------------------ the machine */

static long act_mount(void)
{
    long result = done(syscall(SYS_mount, "none", at.mount, "tmpfs", 0, ""));

    if (result == 0)
        syscall(SYS_umount2, at.mount, 2 /* MNT_DETACH */);
    return result;
}

/* From here on with arguments that are refused behind the question of who may. */
static long reaches(long result, int refusal)
{
    return result < 0 && errno == refusal ? 0 : done(result);
}

static long act_umount(void)
{
    return reaches(syscall(SYS_umount2, at.in, 0), EINVAL);
}

static long act_pivot_root(void)
{
    return reaches(syscall(SYS_pivot_root, at.in, at.in), EBUSY);
}

static long act_chroot(void)
{
    return done(chroot("/"));
}

static long act_swapon(void)
{
    return reaches(syscall(SYS_swapon, at.secret, 0), EINVAL);
}

static long act_init_module(void)
{
    return reaches(syscall(SYS_init_module, NULL, 0, ""), ENOEXEC);
}

static long act_kexec(void)
{
    return reaches(syscall(SYS_kexec_load, 0, 0, NULL, ~0UL), EINVAL);
}

static long act_reboot(void)
{
    return reaches(syscall(SYS_reboot, 0, 0, 0, NULL), EINVAL);
}

static long act_sethostname(void)
{
    return reaches(syscall(SYS_sethostname, NULL, -1), EINVAL);
}

static long act_syslog(void)
{
    return reaches(syscall(SYS_syslog, 8, NULL, 0), EINVAL);
}

static long (*const acts[])(void) = {
#define ACT(name, alone, together, what) act_##name,
#include "acts.def"
#undef ACT
};

long door_act(int number, const char *root)
{
    if (root == NULL || number < 0 || (size_t)number >= sizeof acts / sizeof acts[0])
        return -ENOTSUP;
    snprintf(at.in, sizeof at.in, "%s/in", root);
    snprintf(at.file, sizeof at.file, "%s/in/file", root);
    snprintf(at.link, sizeof at.link, "%s/in/link", root);
    snprintf(at.dotdot, sizeof at.dotdot, "%s/in/../secret", root);
    snprintf(at.secret, sizeof at.secret, "%s/secret", root);
    snprintf(at.readable, sizeof at.readable, "%s/readable", root);
    snprintf(at.new_out, sizeof at.new_out, "%s/new", root);
    snprintf(at.new_in, sizeof at.new_in, "%s/in/new", root);
    snprintf(at.mount, sizeof at.mount, "%s/in/mount", root);
    return acts[number]();
}
