#include "cli/signals.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define GRACE_NS 300000000u /* from when a VM should have ended to when the process does */

/* SIGALRM stands for the deadline. */
enum { CAUGHT = 4, DEADLINE = 3, STOPPED = 4, WORDS };
static const int caught[WORDS] = {SIGINT, SIGTERM, SIGHUP, SIGALRM, SIGSYS};

/* A line for stderr and a report, written in advance: a handler can only call write. */
struct last_words {
    char line[160];
    char *report;
    size_t size;
    int exit_code;
};

/* All that a signal handler can reach; a command runs one VM. */
static struct {
    cordon_ctl_t *volatile ctl;
    volatile sig_atomic_t is_done;
    volatile sig_atomic_t reason; /* which of caught was the first */
    int meta;
    struct last_words words[WORDS];
} state = {.reason = -1, .meta = -1};

static void set_timer(uint64_t ns)
{
    struct itimerval timer = {.it_value = {(time_t)(ns / 1000000000u),
                                           (suseconds_t)(ns % 1000000000u / 1000)}};

    if (timer.it_value.tv_sec > 1000000000)
        timer.it_value.tv_sec = 1000000000;
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void write_whole(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, text, size);
        if (count <= 0)
            return;
        text += count;
        size -= (size_t)count;
    }
}

static _Noreturn void end_now(const struct last_words *words)
{
    write_whole(2, words->line, strlen(words->line));
    if (words->report != NULL && state.meta >= 0)
        write_whole(state.meta, words->report, words->size);
    _exit(words->exit_code);
}

static void on_signal(int signal)
{
    int number = 0;

    if (state.is_done)
        return;
    while (caught[number] != signal)
        number++;
    if (state.reason < 0)
        state.reason = number;
    if (state.ctl == NULL || number == DEADLINE)
        end_now(&state.words[state.reason]);
    cordon_ctl_kill(state.ctl, signal);
    set_timer(GRACE_NS);
}

/* Nothing but write may be called here, and by now little else can be. */
static void on_stopped(int signal, siginfo_t *info, void *context)
{
    static const char text[] = "stopped by the sandbox: the system call ";
    static const char rest[] = " is one that Cordon never makes (please report it)\n";
    const struct last_words *words = &state.words[STOPPED];
    const char *name = cordon_sandbox_call(info->si_syscall);

    (void)signal;
    (void)context;
    write_whole(2, words->line, strlen(words->line));
    write_whole(2, text, sizeof text - 1);
    write_whole(2, name ? name : "?", name ? strlen(name) : 1);
    write_whole(2, rest, sizeof rest - 1);
    if (words->report != NULL && state.meta >= 0)
        write_whole(state.meta, words->report, words->size);
    _exit(128 + SIGSYS);
}

void cli_signals_stopped(void)
{
    struct sigaction action = {.sa_sigaction = on_stopped, .sa_flags = SA_SIGINFO};

    sigfillset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGSYS);
    sigprocmask(SIG_UNBLOCK, &action.sa_mask, NULL);
}

void cli_signals_prepare(const struct cli_report *report, int meta)
{
    state.meta = meta;
    for (int i = 0; i < WORDS; i++) {
        struct last_words *words = &state.words[i];
        struct cli_report last = *report;
        bool is_deadline = i == DEADLINE;
        last.status = is_deadline ? "quota" : "killed";
        last.quota = is_deadline ? CORDON_TIMEOUT : CORDON_QUOTA_COUNT;
        last.signal = is_deadline ? 0 : caught[i];
        last.exit_code = words->exit_code = is_deadline ? 124 : 128 + caught[i];
        snprintf(last.message, sizeof last.message, "%s",
                 is_deadline    ? "quota exhausted: timeout, outside the guest's own code"
                 : i == STOPPED ? "stopped by the sandbox: a system call that Cordon never makes"
                                : "killed outside the guest's own code");
        if (i == STOPPED)
            snprintf(words->line, sizeof words->line, "cordon: %.60s: ", report->module);
        if (is_deadline)
            snprintf(words->line, sizeof words->line,
                     "cordon: %.60s: ended: timeout quota exhausted (raise it with --timeout)\n",
                     report->module);
        words->report = meta >= 0 ? cli_report_text(&last, &words->size) : NULL;
    }
}

void cli_signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;

    sigemptyset(&action.sa_mask);
    for (int i = 0; i < CAUGHT; i++) {
        sigaddset(&action.sa_mask, caught[i]);
        state.words[i].exit_code = 128 + caught[i];
    }
    for (int i = 0; i < CAUGHT; i++) {
        /* Under nohup it stays ignored. */
        if (caught[i] == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 &&
            before.sa_handler == SIG_IGN)
            continue;
        sigaction(caught[i], &action, NULL);
    }
    sigprocmask(SIG_UNBLOCK, &action.sa_mask, NULL);
    /* What these stand for, the guest learns as an errno. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void cli_signals_deadline(uint64_t ns)
{
    if (ns != CORDON_UNLIMITED)
        set_timer(ns > 0 ? ns + 1000 : GRACE_NS);
}

void cli_signals_reach(cordon_ctl_t *ctl, uint64_t timeout)
{
    state.ctl = ctl;
    if (timeout != CORDON_UNLIMITED)
        set_timer(timeout < UINT64_MAX - GRACE_NS ? timeout + GRACE_NS : timeout);
}

void cli_signals_done(void)
{
    state.is_done = true;
    set_timer(0);
    for (int i = 0; i < WORDS; i++) {
        free(state.words[i].report);
        state.words[i].report = NULL;
    }
}
