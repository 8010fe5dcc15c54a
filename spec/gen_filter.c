/* Makes the seccomp filters from the rows of sandbox.def: one for every set of grants, as data.
 *
 *   gen_filter ARCHITECTURE SANITIZED(0 or 1) OUTPUT
 *
 * At build time, because making one with libseccomp takes longer than a whole run may. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BASE = 0, READ = 1, WRITE = 2, SOCKETS = 4, THREADS = 8, PROFILES = 16 };
#define CONDITIONS 2

struct condition {
    unsigned argument;
    uint64_t mask, value; /* mask 0: no condition */
};

struct row {
    const char *name;
    int grants;
    uint32_t action;
    struct condition conditions[CONDITIONS];
};

/* Arguments that are compared are ints: the kernel looks at their low halves alone. */
#define ANY {0, 0, 0}
#define AND ,
#define IS(argument, value) {argument, UINT32_MAX, value}
#define IS_NULL(argument) {argument, UINT64_MAX, 0}
#define ONLY(argument, bits) {argument, UINT32_MAX & ~(uint64_t)(bits), 0}
#define HAS(argument, bits) {argument, bits, bits}
/* The signal that glibc changes the user of all threads by. */
#define SIG_OF_SETXID 33
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define OTHER_FLAGS                                                                                \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
     CLONE_NEWNET | CLONE_PTRACE | CLONE_UNTRACED | CLONE_VFORK)
#define NEW_THREAD {0, THREAD_FLAGS | OTHER_FLAGS, THREAD_FLAGS}

static const struct row rows[] = {
#define LAYER(...)
#define CALL(name, grants, check, what) {#name, grants, SCMP_ACT_ALLOW, {check}},
#define ANSWER(name, grants, error) {#name, grants, SCMP_ACT_ERRNO(error), {ANY}},
#define DEADLY(name) {#name, BASE, SCMP_ACT_TRAP, {ANY}},
#define SANITIZER(name)
#include "spec/sandbox.def"
#undef SANITIZER
#undef DEADLY
#undef ANSWER
#undef CALL
};

static const struct row for_sanitizers[] = {
#define CALL(...)
#define ANSWER(...)
#define DEADLY(...)
#define SANITIZER(name) {#name, BASE, SCMP_ACT_ALLOW, {ANY}},
#include "spec/sandbox.def"
#undef SANITIZER
#undef DEADLY
#undef ANSWER
#undef CALL
#undef LAYER
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static struct row all[COUNT(rows) + COUNT(for_sanitizers)];
static size_t count;

static void check(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "gen_filter: %s: %s\n", what, strerror(-result));
    exit(1);
}

/* Whether a row without conditions, or one that comes later, says it all for this call. */
static bool is_covered(size_t at, int grants)
{
    for (size_t i = 0; i < count; i++) {
        bool applies = all[i].grants == BASE || (all[i].grants & grants);
        bool says_all = all[i].conditions[0].mask == 0;
        if (i != at && applies && says_all && strcmp(all[i].name, all[at].name) == 0 &&
            (i > at || all[at].conditions[0].mask != 0))
            return true;
    }
    return false;
}

static void add(scmp_filter_ctx filter, const struct row *row)
{
    struct scmp_arg_cmp compared[CONDITIONS];
    unsigned used = 0;
    int call = seccomp_syscall_resolve_name(row->name);

    if (call == __NR_SCMP_ERROR) {
        fprintf(stderr, "gen_filter: note: libseccomp knows no call %s\n", row->name);
        return;
    }
    for (; used < CONDITIONS && row->conditions[used].mask != 0; used++)
        compared[used] = SCMP_CMP(row->conditions[used].argument, SCMP_CMP_MASKED_EQ,
                                  row->conditions[used].mask, row->conditions[used].value);
    check(seccomp_rule_add_array(filter, row->action, call, used, compared), row->name);
}

static void print(FILE *out, scmp_filter_ctx filter, int grants)
{
    FILE *file = tmpfile();
    struct sock_filter insn;

    if (file == NULL)
        check(-errno, "a temporary file");
    check(seccomp_export_bpf(filter, fileno(file)), "export");
    rewind(file);
    fprintf(out, "static const struct sock_filter filter_%d[] = {\n", grants);
    while (fread(&insn, sizeof insn, 1, file) == 1)
        fprintf(out, "    {%u, %u, %u, %uu},\n", insn.code, insn.jt, insn.jf, insn.k);
    fprintf(out, "};\n");
    fclose(file);
}

static void make(FILE *out, uint32_t machine, int grants)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));

    if (filter == NULL)
        check(-ENOMEM, "init");
    if (machine != seccomp_arch_native()) {
        check(seccomp_arch_add(filter, machine), "architecture");
        check(seccomp_arch_remove(filter, SCMP_ARCH_NATIVE), "architecture");
    }
    check(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "attribute");
    check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "attribute");
    for (size_t i = 0; i < count; i++)
        if ((all[i].grants == BASE || (all[i].grants & grants)) && !is_covered(i, grants))
            add(filter, &all[i]);
    print(out, filter, grants);
    seccomp_release(filter);
}

static void print_names(FILE *out, uint32_t machine)
{
    fprintf(out, "static const struct {\n    int number;\n    const char *name;\n} deadly[] = {\n");
    for (size_t i = 0; i < COUNT(rows); i++) {
        int call = seccomp_syscall_resolve_name_arch(machine, rows[i].name);
        if (rows[i].action == SCMP_ACT_TRAP && call >= 0)
            fprintf(out, "    {%d, \"%s\"},\n", call, rows[i].name);
    }
    fprintf(out, "};\n");
}

int main(int argc, char **argv)
{
    FILE *out = argc == 4 ? fopen(argv[3], "w") : NULL;
    uint32_t machine = argc == 4 ? seccomp_arch_resolve_name(argv[1]) : 0;

    if (out == NULL || machine == 0) {
        fprintf(stderr, "usage: gen_filter ARCHITECTURE SANITIZED OUTPUT\n");
        return 1;
    }
    memcpy(all, rows, sizeof rows);
    count = COUNT(rows);
    if (argv[2][0] == '1') {
        memcpy(all + count, for_sanitizers, sizeof for_sanitizers);
        count += COUNT(for_sanitizers);
    }
    fprintf(out, "/* Made by spec/gen_filter.c from spec/sandbox.def. */\n");
    for (int grants = 0; grants < PROFILES; grants++)
        make(out, machine, grants);
    fprintf(out, "static const struct sock_fprog filters[] = {\n");
    for (int grants = 0; grants < PROFILES; grants++)
        fprintf(out, "    {sizeof filter_%d / sizeof filter_%d[0],\n"
                     "     (void *)(uintptr_t)filter_%d},\n", grants, grants, grants);
    fprintf(out, "};\n");
    print_names(out, machine);
    return fclose(out) == 0 ? 0 : 1;
}
