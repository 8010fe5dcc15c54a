#include "cli/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/report.h"

/* Newer than some headers; the numbers are the same on all machines. */
#define SYS_MSEAL 462
#define SYS_MEMFD_SECRET 447

static const struct {
    bool is_required;
    const char *what, *needs;
} layers[] = {
#define LAYER(name, key, required, what, needs) {required, what, needs},
#define CALL(...)
#define ANSWER(...)
#define DEADLY(...)
#define SANITIZER(...)
#include "spec/sandbox.def"
#undef SANITIZER
#undef DEADLY
#undef ANSWER
#undef CALL
#undef LAYER
};

enum { BASE = 0, READ = 1, WRITE = 2, SOCKETS = 4, THREADS = 8 };

static const struct {
    const char *name, *check, *what;
    int grants;
} calls[] = {
#define LAYER(...)
#define CALL(name, grants, check, what) {#name, #check, what, grants},
#define ANSWER(...)
#define DEADLY(...)
#define SANITIZER(...)
#include "spec/sandbox.def"
#undef SANITIZER
#undef DEADLY
#undef ANSWER
#undef CALL
#undef LAYER
};

#define CALL_COUNT (sizeof calls / sizeof calls[0])

/* ------------------------------------------------------------------ what else the machine has */

struct fact {
    const char *key;
    char value[120];
};

#define FACTS_MAX 12

struct facts {
    struct fact list[FACTS_MAX];
    int count;
};

static char *add(struct facts *facts, const char *key)
{
    facts->list[facts->count].key = key;
    return facts->list[facts->count++].value;
}

/* The first line of a file of the kernel's, or `otherwise`. */
static void add_line(struct facts *facts, const char *key, const char *path,
                     const char *otherwise)
{
    char *value = add(facts, key);
    FILE *file = fopen(path, "re");

    snprintf(value, sizeof facts->list[0].value, "%s", otherwise);
    if (file == NULL)
        return;
    if (fgets(value, sizeof facts->list[0].value, file) == NULL)
        snprintf(value, sizeof facts->list[0].value, "%s", otherwise);
    value[strcspn(value, "\n")] = '\0';
    fclose(file);
}

static int count_lines(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[400];
    int count = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        count++;
    if (file != NULL)
        fclose(file);
    return count;
}

/* Whether the kernel has a call, asked with arguments that it refuses. */
static const char *has_call(long number)
{
    return syscall(number, -1L, -1L, -1L) >= 0 || errno != ENOSYS ? "yes" : "no";
}

static void add_namespaces(struct facts *facts)
{
    static const char *const names[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
    char *value = add(facts, "namespaces");
    char path[64];

    value[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size = strlen(value);
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        if (access(path, F_OK) == 0)
            snprintf(value + size, sizeof facts->list[0].value - size, "%s%s", size ? " " : "",
                     names[i]);
    }
}

static void add_memlock(struct facts *facts)
{
    struct rlimit limit = {0, 0};
    char *value = add(facts, "memlock");

    getrlimit(RLIMIT_MEMLOCK, &limit);
    cli_format_amount(limit.rlim_cur == RLIM_INFINITY ? CORDON_UNLIMITED : limit.rlim_cur,
                      CLI_BYTES, value, 40);
}

/* What `cordon up` would have around its processes. */
static void add_fence(struct facts *facts)
{
    char *value = add(facts, "fence");
    cordon_host_t *host = cordon_host_new(NULL);

    if (host == NULL || !cordon_host_fence(host, value, sizeof facts->list[0].value, NULL))
        snprintf(value, sizeof facts->list[0].value,
                 "none: no control group (memory, pids) is delegated to this process");
    cordon_host_free(host);
}

static void gather(struct facts *facts)
{
    struct utsname name;

    uname(&name);
    snprintf(add(facts, "kernel"), sizeof facts->list[0].value, "%.50s %.50s", name.release,
             name.machine);
    snprintf(add(facts, "memfd_secret"), 8, "%s", has_call(SYS_MEMFD_SECRET));
    snprintf(add(facts, "mseal"), 8, "%s", has_call(SYS_MSEAL));
    add_memlock(facts);
    snprintf(add(facts, "swap"), 16, "%s",
             count_lines("/proc/swaps") > 1 ? "in use" : "none");
    add_line(facts, "core_pattern", "/proc/sys/kernel/core_pattern", "unknown");
    add_namespaces(facts);
    add_fence(facts);
}

/* ------------------------------------------------------------------ a trial */

struct trial {
    bool stood;                   /* the sandbox was entered, and its self-check passed */
    cordon_sandbox_report_t what; /* which layers stood */
    cordon_error_t why;           /* when it was not */
};

/* In a process of its own, as it is for good. */
static void try_it(struct trial *trial)
{
    const cordon_sandbox_t wanted = {.is_best_effort = true};
    int pipes[2];

    memset(trial, 0, sizeof *trial);
    snprintf(trial->why.message, sizeof trial->why.message, "no process could be had for it");
    fflush(stdout);
    if (pipe(pipes) != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        trial->stood = cordon_sandbox_enter(&wanted, &trial->what, &trial->why);
        _exit(write(pipes[1], trial, sizeof *trial) == sizeof *trial ? 0 : 1);
    }
    close(pipes[1]);
    struct trial result;
    if (child > 0 && read(pipes[0], &result, sizeof result) == sizeof result)
        *trial = result;
    close(pipes[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
}

/* ------------------------------------------------------------------ saying it */

static bool is_enough(const struct trial *trial)
{
    for (int i = 0; i < CORDON_LAYER_COUNT; i++)
        if (layers[i].is_required && !trial->what.active[i])
            return false;
    return trial->stood;
}

static void print(const cordon_sandbox_report_t *offered, const struct trial *trial,
                  const struct facts *facts)
{
    for (int i = 0; i < facts->count; i++)
        printf("%-20s %s\n", facts->list[i].key, facts->list[i].value);
    printf("%-20s ABI %d\n\nlayers of a run's sandbox (--sandbox), as a trial found them:\n",
           "landlock", offered->landlock_abi);
    for (int i = 0; i < CORDON_LAYER_COUNT; i++)
        printf("  %-18s %-8s %s%s%s\n", cordon_layer_key((cordon_layer_t)i),
               trial->what.active[i]     ? "stands"
               : layers[i].is_required   ? "MISSING"
                                         : "no",
               layers[i].what, offered->active[i] ? "" : "; needs ",
               offered->active[i] ? "" : layers[i].needs);
    if (!trial->stood)
        printf("\n%s\n", trial->why.message);
    printf("\n%s\n", is_enough(trial)
                         ? "every required layer is there: runs are locked in by default"
                         : "a required layer is missing: runs need --sandbox=best-effort, "
                           "which goes without it");
    if (geteuid() == 0)
        printf("this is root: a run becomes --user, else the owner of its directories, "
               "else nobody\n");
}

static void print_json(const cordon_sandbox_report_t *offered, const struct trial *trial,
                       const struct facts *facts)
{
    printf("{\"ready\": %s, \"landlock_abi\": %d, \"layers\": {",
           is_enough(trial) ? "true" : "false", offered->landlock_abi);
    for (int i = 0; i < CORDON_LAYER_COUNT; i++)
        printf("%s\"%s\": {\"offered\": %s, \"stands\": %s, \"required\": %s}", i ? ", " : "",
               cordon_layer_key((cordon_layer_t)i), offered->active[i] ? "true" : "false",
               trial->what.active[i] ? "true" : "false",
               layers[i].is_required ? "true" : "false");
    printf("}, \"machine\": {");
    for (int i = 0; i < facts->count; i++) {
        printf("%s\"%s\": ", i ? ", " : "", facts->list[i].key);
        cli_report_string(stdout, facts->list[i].value);
    }
    printf("}}\n");
}

/* Calls with several rows are one call. */
static bool is_again(size_t at, int grants)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(calls[i].name, calls[at].name) == 0 &&
            (calls[i].grants == BASE || (calls[i].grants & grants)))
            return true;
    return false;
}

static int count_calls(int grants)
{
    int count = 0;

    for (size_t i = 0; i < CALL_COUNT; i++)
        count += (calls[i].grants == BASE || (calls[i].grants & grants)) && !is_again(i, grants);
    return count;
}

static void print_calls(void)
{
    static const struct {
        int grants;
        const char *name;
    } groups[] = {{BASE, "always"}, {READ, "directories for reading"},
                  {WRITE, "directories for writing"}, {SOCKETS, "listeners, sockets"},
                  {THREADS, "a host's workers"}};

    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        printf("%s (%d calls in all)\n", groups[g].name, count_calls(groups[g].grants));
        for (size_t i = 0; i < CALL_COUNT; i++) {
            if (groups[g].grants ? !(calls[i].grants & groups[g].grants) : calls[i].grants)
                continue;
            const char *check = strcmp(calls[i].check, "ANY") == 0 ? "" : calls[i].check;
            printf("  %-16s %s%s%s\n", calls[i].name, calls[i].what, *check ? ": " : "", check);
        }
    }
    printf("with all grants: %d calls\n", count_calls(READ | WRITE | SOCKETS | THREADS));
}

int cli_doctor(int argc, char **argv)
{
    cordon_sandbox_report_t offered;
    struct facts facts = {.count = 0};
    struct cli_words words;
    struct trial trial;

    if (!cli_words_parse(&words, CLI_COMMAND_doctor, argc, argv))
        return 125;
    cordon_sandbox_probe(&offered);
    try_it(&trial);
    gather(&facts);
    if (words.value[CLI_WORD_calls] != NULL)
        print_calls();
    else if (words.value[CLI_WORD_json] != NULL)
        print_json(&offered, &trial, &facts);
    else
        print(&offered, &trial, &facts);
    return is_enough(&trial) ? 0 : 1;
}
