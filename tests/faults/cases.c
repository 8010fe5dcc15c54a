#include "cases.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

#define CASES_MAX 200000
#define FOREVER UINT32_MAX

static struct fault cases[CASES_MAX];
static uint32_t case_count;
static const struct trial *trial;

/* ------------------------------------------------------------------ all the cases */

static void describe(const struct fault *what)
{
    Dl_info info = {.dli_fbase = NULL};

    if (what->count == 0) {
        printf("%s: nothing fails", trial->name);
    } else if (what->site == NULL) {
        printf("%s: allocation %u%s", trial->name, what->first, what->count > 1 ? " and on" : "");
    } else {
        dladdr(what->site->at, &info);
        printf("%s: %s %s, call %u%s, at 0x%lx", trial->name, call_name(what->site->call),
               what->error == SHORT_TRANSFER ? "short" : strerrorname_np(what->error),
               what->first, what->count > 1 ? " and on" : "",
               (unsigned long)((char *)what->site->at - (char *)info.dli_fbase));
    }
}

static void add_case(const struct site *site, uint32_t first, uint32_t count, int error)
{
    require(case_count < CASES_MAX, "too many cases");
    cases[case_count++] = (struct fault){site, first, count, error};
}

static void add_site(const struct site *site)
{
    int error;

    for (uint32_t i = 0; (error = call_error(site->call, i)) != 0; i++) {
        /* The kernel does not say these for ever. */
        bool passes = error == EINTR || error == EAGAIN || error == SHORT_TRANSFER;
        add_case(site, 1, 1, error);
        add_case(site, 1, passes ? 20 : FOREVER, error);
        if (site->times > 1)
            add_case(site, site->times, 1, error);
        if (site->times > 3)
            add_case(site, site->times / 2, 1, error);
    }
}

static void add_all(void)
{
    uint32_t allocated = hooks->allocations;

    case_count = 0;
    for (uint32_t i = 1; i <= allocated; i++) {
        add_case(NULL, i, 1, ENOMEM);
        add_case(NULL, i, FOREVER, ENOMEM);
    }
    for (uint32_t i = 0; i < hooks->site_count; i++)
        if (hooks->sites[i].times > 0 && !call_allocates(hooks->sites[i].call))
            add_site(&hooks->sites[i]);
}

/* ------------------------------------------------------------------ processes of their own */

static void on_alarm(int number)
{
    (void)number;
    static const char text[] = "  it hangs\n";
    (void)!write(1, text, sizeof text - 1);
    _exit(4);
}

static bool try_case(const struct fault *what)
{
    alarm(SECONDS_MAX);
    bool is_good = trial->try_case(what);
    alarm(0);
    return is_good;
}

/* Cases from `from` on in a process of their own, until one of them ends it; the next one. */
static uint32_t try_some(uint32_t from, struct cases_options *options)
{
    uint32_t *now = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;

    require(now != MAP_FAILED, "mmap");
    fflush(stdout);
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        for (now[0] = from; now[0] < case_count; now[0] += options->every) {
            bool is_good = try_case(&cases[now[0]]);
            now[1] += is_good;
            now[2] += !is_good;
            now[3] += hooks->injected > 0;
            if (!is_good) {
                printf("FAILED ");
                describe(&cases[now[0]]);
                printf("\n");
            }
            fflush(stdout);
        }
        _exit(0);
    }
    require(waitpid(child, &status, 0) == child, "waitpid");
    options->passed += now[1];
    options->failed += now[2];
    options->hit += now[3];
    uint32_t next = now[0];
    munmap(now, 4096);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return UINT32_MAX;
    printf("FAILED (status 0x%x) ", (unsigned)status);
    describe(&cases[next]);
    printf("\n");
    options->failed++;
    return next + options->every;
}

static void try_all(struct cases_options *options)
{
    uint32_t allocated = hooks->allocations, tried = options->passed + options->failed;

    options->hit = 0;
    add_all();
    for (uint32_t next = options->offset % options->every; next < case_count;)
        next = try_some(next, options);
    tried = options->passed + options->failed - tried;
    /* What another thread or process does may come otherwise than the first time. */
    printf("%s: %u allocations, %u cases, of which %u were tried, and something failed in %u\n",
           trial->name, allocated, case_count, tried, options->hit);
}

/* ------------------------------------------------------------------ kill -9 */

static uint64_t random_state;

uint32_t cases_pick(uint32_t count)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % count;
}

static void describe_kill(const struct kill *kill, bool was_killed)
{
    if (kill->before + kill->after > 0)
        printf("FAILED %s: killed %s call %u", trial->name, kill->before ? "before" : "after",
               kill->before + kill->after);
    else
        printf("FAILED %s: killed after %u us", trial->name, kill->microseconds);
    printf(" (%s)\n", was_killed ? "it was" : "it ended by itself");
}

static void try_kills(struct cases_options *options, uint32_t call_count)
{
    uint32_t killed = 0;

    for (uint32_t i = 0; i < options->kills; i++) {
        uint32_t number = options->kills >= 3 * call_count
                              ? i
                              : cases_pick(call_count) * 3 + i % 3;
        uint32_t point = number / 3 % call_count + 1;
        struct kill kill = {.before = number % 3 == 0 ? point : 0,
                            .after = number % 3 == 1 ? point : 0,
                            .microseconds = cases_pick(trial->moment_max)};
        bool was_killed = false;
        fflush(stdout);
        bool is_good = trial->try_kill(&kill, &was_killed);
        if (!is_good)
            describe_kill(&kill, was_killed);
        options->passed += is_good;
        options->failed += !is_good;
        killed += was_killed;
    }
    printf("%s: %u system calls, killed %u of %u times\n", trial->name, call_count, killed,
           options->kills);
    if (killed < options->kills / 3) {
        printf("FAILED %s: was hardly ever killed\n", trial->name);
        options->failed++;
    }
}

/* ------------------------------------------------------------------ a program of trials */

bool cases_option(struct cases_options *options, int argc, char **argv, int *i)
{
    static const char *const names[] = {"--every", "--offset", "--kills", "--seed"};
    uint32_t which = 0;

    while (which < 4 && strcmp(argv[*i], names[which]) != 0)
        which++;
    if (which == 4 || *i + 1 >= argc)
        return false;
    uint64_t value = strtoull(argv[++*i], NULL, 10);
    uint32_t *const places[] = {&options->every, &options->offset, &options->kills};
    if (which == 3)
        random_state = value;
    else
        *places[which] = (uint32_t)value;
    if (options->every == 0)
        options->every = 1;
    return true;
}

void cases_try(struct cases_options *options, const struct trial *what)
{
    const struct fault nothing = {.count = 0};

    trial = what;
    signal(SIGALRM, on_alarm);
    /* Twice: the C library makes some things once. How often processes wait for one another depends
     * on the moment: points that most runs come by are those of the shorter one. */
    bool is_good = trial->try_case(&nothing);
    uint32_t calls = hooks->calls;
    is_good = is_good && trial->try_case(&nothing);
    if (!is_good) {
        printf("FAILED %s: nothing failed\n", trial->name);
        options->failed++;
    } else if (options->kills > 0) {
        try_kills(options, calls < hooks->calls ? calls : hooks->calls);
    } else {
        try_all(options);
    }
}

int cases_end(const struct cases_options *options)
{
    Dl_info info;

    for (uint32_t i = 0; i < hooks->site_count; i++)
        if (dladdr(hooks->sites[i].at, &info) != 0)
            printf("site %s 0x%lx\n", call_symbol(hooks->sites[i].call),
                   (unsigned long)((char *)hooks->sites[i].at - (char *)info.dli_fbase));
    printf("%u passed, %u failed\n", options->passed, options->failed);
    return options->failed > 0;
}
