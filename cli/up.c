/* cordon up */
#include "cli/up.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/control.h"
#include "cli/options.h"
#include "cli/sweep.h"
#include "cli/up_file.h"
#include "cli/up_place.h"
#include "cli/wiped.h"

#define FILE_ROOM ((1u << 20) + 2) /* more than a file may have */

/* Everything of one `cordon up`, so that one place gives it back. */
struct up {
    struct cli_words words;
    struct up_plan plan;
    struct up_place place;
    struct up_host host;
    uv_loop_t loop;
    int ready; /* a pipe to the process that has started it in the background, or -1 */
};

/* ------------------------------------------------------------------ the file */

static char *read_file(const char *path, size_t *size)
{
    int fd = strcmp(path, "-") == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char *text = fd >= 0 ? malloc(FILE_ROOM) : NULL;
    ssize_t count = 1;

    *size = 0;
    while (text != NULL && count > 0 && *size < FILE_ROOM) {
        count = read(fd, text + *size, FILE_ROOM - *size);
        *size += count > 0 ? (size_t)count : 0;
    }
    if (text == NULL || count < 0) {
        cli_complain("%s: %s", path, strerror(errno));
        free(text);
        text = NULL;
    }
    if (fd >= 0)
        close(fd);
    return text;
}

static bool folder_of(const char *path, char folder[PATH_MAX])
{
    char copy[PATH_MAX];

    if (strlen(path) < sizeof copy) {
        snprintf(copy, sizeof copy, "%s", strcmp(path, "-") == 0 ? "." : path);
        if (realpath(strcmp(copy, ".") == 0 ? copy : dirname(copy), folder) != NULL)
            return true;
    }
    cli_complain("%s: its folder: %s", path, strerror(errno));
    return false;
}

static bool read_plan(struct up_plan *plan, const char *path)
{
    char folder[PATH_MAX];
    struct up_fault fault;
    size_t size;
    char *text = read_file(path, &size);

    if (text == NULL || !folder_of(path, folder)) {
        free(text);
        return false;
    }
    bool good = up_plan_read(plan, text, size, folder, &fault);
    explicit_bzero(text, size);
    free(text);
    if (!good && fault.place.line > 0)
        cli_complain("%s:%d:%d: %s", path, fault.place.line, fault.place.column, fault.text);
    else if (!good)
        cli_complain("%s: %s", path, fault.text);
    return good;
}

/* ------------------------------------------------------------------ in the background */

/* The parent waits for the child to be ready, or to have said why not, and gives its exit code
 * in *code; false in the parent. */
static bool go_behind(struct up *up, int *code)
{
    int ends[2];
    char byte;

    /* Nothing that whoever has started it holds open shall stay open as long as it runs. */
    close_range(3, UINT_MAX, 0);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        cli_complain("%s", strerror(errno));
        *code = 125;
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        up->ready = ends[1];
        setsid();
        return true;
    }
    close(ends[1]);
    *code = child > 0 && read(ends[0], &byte, 1) == 1 ? 0 : 125;
    if (child < 0)
        cli_complain("%s", strerror(errno));
    close(ends[0]);
    return false;
}

/* From now on there is nobody to say anything to. */
static void say_ready(struct up *up)
{
    int nothing = up->host.nothing;

    if (up->ready < 0)
        return;
    up->host.is_quiet = true;
    for (int i = 0; i < 3; i++)
        dup2(nothing, i);
    if (chdir("/") != 0 || write(up->ready, "", 1) != 1)
        up->host.has_failed = true;
    close(up->ready);
    up->ready = -1;
}

/* ------------------------------------------------------------------ the loop */

static void on_done(uv_async_t *async)
{
    struct up_host *host = async->data;

    up_vms_reap(host);
    if (host->is_told_to_stop)
        up_host_stop(host);
}

static void give_back(uv_work_t *work)
{
    (void)work;
    malloc_trim(0);
}

/* The allocator keeps what VMs have freed: once in a while it is given back to the kernel. */
static void given_back(uv_work_t *work, int status)
{
    (void)status;
    free(work);
}

static void on_sample(uv_timer_t *timer)
{
    struct up_host *host = timer->data;
    uv_work_t *work = host->has_freed ? malloc(sizeof *work) : NULL;

    up_vms_sample(host);
    up_serve_again(host);
    if (work == NULL)
        return;
    host->has_freed = false;
    uv_queue_work(host->loop, work, give_back, given_back);
}

static void on_signal(uv_signal_t *handle, int signal)
{
    struct up_host *host = handle->data;

    (void)signal;
    host->is_urgent = host->is_stopping;
    if (host->is_urgent)
        uv_stop(host->loop);
    else
        up_host_stop(host);
}

/* Where the kernel has a fence for its processes, unless it is told otherwise. */
static bool fence_in(struct up *up)
{
    const char *mode = up->words.value[CLI_WORD_fence];
    cordon_error_t error;

    if (mode != NULL && strcmp(mode, "off") == 0)
        return true;
    if (cordon_host_fence(up->host.cordon, NULL, 0, &error) || mode == NULL ||
        strcmp(mode, "required") != 0)
        return true;
    cli_complain("%s (without that: --fence=auto)", error.message);
    return false;
}

static bool open_host(struct up *up)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct up_host *host = &up->host;
    struct sigaction before;
    cordon_error_t error = {0};

    host->last = &host->vms;
    host->started_ns = up_now_ns();
    host->place = &up->place;
    host->store = &up->plan.store;
    host->listener = up->place.socket;
    host->nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    host->cordon = cordon_host_new(&error);
    host->linker = host->cordon ? cordon_linker_new(host->cordon, &error) : NULL;
    bool can_load = up_modules_init(&host->modules, &error);
    if (host->linker == NULL || !can_load || host->nothing < 0 || uv_loop_init(&up->loop) != 0) {
        cli_complain("the host cannot be made: %s",
                     error.message[0] ? error.message : strerror(errno));
        return false;
    }
    if (!cordon_host_start(host->cordon, up->plan.workers, &error)) {
        cli_complain("the host cannot be started: %s", error.message);
        return false;
    }
    if (!fence_in(up))
        return false;
    if (up->plan.memory > 0)
        cordon_host_total(host->cordon, up->plan.memory);
    cordon_linker_allow_wasi(host->linker);
    host->loop = &up->loop;
    uv_async_init(host->loop, &host->done, on_done);
    uv_timer_init(host->loop, &host->sampler);
    uv_timer_init(host->loop, &host->linger);
    host->done.data = host->sampler.data = host->linger.data = host;
    uv_timer_start(&host->sampler, on_sample, 1000, 1000);
    for (int i = 0; i < 3; i++) {
        uv_signal_init(host->loop, &host->signals[i]);
        host->signals[i].data = host;
        /* Under nohup it stays ignored. */
        if (sigaction(signals[i], NULL, &before) != 0 || before.sa_handler != SIG_IGN)
            uv_signal_start(&host->signals[i], on_signal, signals[i]);
        uv_unref((uv_handle_t *)&host->signals[i]);
    }
    return up_serve_start(host);
}

/* One VM of the file, or several of a kind. */
static bool add_vms(struct up_host *host, struct up_spec *spec)
{
    uint32_t count = spec->count ? spec->count : 1;
    cordon_error_t error;

    for (uint32_t i = 1; i <= count; i++) {
        struct up_spec one;
        bool good = up_spec_copy(&one, spec);
        one.number = spec->count > 0 ? i : 0;
        if (spec->count > 0)
            snprintf(one.name, sizeof one.name, "%.52s-%u", spec->name, i);
        snprintf(error.message, sizeof error.message, "no memory left");
        if (good && up_vm_named(host, one.name) != NULL) {
            snprintf(error.message, sizeof error.message, "another VM has that name already");
            good = false;
        } else if (good && host->vm_count >= UP_VMS_MAX) {
            snprintf(error.message, sizeof error.message, "more than %d VMs", UP_VMS_MAX);
            good = false;
        }
        good = good && up_vm_add(host, &one, false, &error) != NULL;
        up_spec_release(&one);
        if (!good) {
            cli_complain("%s%s: %s", spec->name, spec->count ? "-N" : "", error.message);
            return false;
        }
    }
    return true;
}

static bool start(struct up *up)
{
    struct up_host *host = &up->host;
    bool good = up->plan.metrics[0] == '\0' || up_metrics_start(host, up->plan.metrics);

    for (uint32_t i = 0; i < up->plan.count; i++) {
        good = good && add_vms(host, &up->plan.vms[i]);
        up_spec_release(&up->plan.vms[i]); /* each VM has its own by now */
    }
    if (good)
        up_say(host, "", "host at %s, pid %d", up->place.path, (int)getpid());
    return good;
}

/* What the file said of VMs is theirs now. */
static void forget_plan(struct up *up)
{
    for (uint32_t i = 0; i < up->plan.count; i++)
        up_spec_release(&up->plan.vms[i]);
    up->plan.count = 0;
    cli_sweep();
}

static int run(struct up *up)
{
    struct up_host *host = &up->host;
    int code = 0;

    bool is_started = start(up);
    forget_plan(up);
    if (!is_started) {
        code = 125;
        up_host_stop(host);
    } else {
        say_ready(up);
        up_host_check(host);
    }
    uv_run(&up->loop, UV_RUN_DEFAULT);
    if (host->is_urgent) {
        /* A second signal: at once, whatever still runs. */
        up_place_leave(&up->place);
        _exit(130);
    }
    return code ? code : host->has_failed;
}

/* Descriptors are what many VMs need most. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int serve(struct up *up)
{
    int code = 125;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    raise_limits();
    if (up_place_take(&up->place, up->words.value[CLI_WORD_host]) && open_host(up))
        code = run(up);
    cordon_linker_free(up->host.linker);
    up_modules_release(&up->host.modules);
    cordon_host_free(up->host.cordon);
    up_place_leave(&up->place);
    return code;
}

static bool take_words(struct up *up, int argc, char **argv)
{
    struct cli_words *words = &up->words;
    uint64_t linger = 0;

    if (!cli_words_parse(words, CLI_COMMAND_up, argc, argv))
        return false;
    up->host.stays = words->value[CLI_WORD_stay] != NULL;
    const char *text = words->value[CLI_WORD_linger];
    if (text != NULL && (!cli_parse_amount(text, CLI_NANOSECONDS, &linger) ||
                         linger / 1000000 > INT_MAX || linger < 1000000)) {
        cli_complain("--linger %s: expected a time such as 10s", text);
        return false;
    }
    up->host.linger_ms = linger / 1000000;
    text = words->value[CLI_WORD_fence];
    if (text != NULL && strcmp(text, "auto") != 0 && strcmp(text, "off") != 0 &&
        strcmp(text, "required") != 0) {
        cli_complain("--fence %s: expected auto, off or required", text);
        return false;
    }
    if (words->arg_count == 0 && !up->host.stays && linger == 0) {
        cli_complain("no file is named, and neither --stay nor --linger given: there would be "
                     "nothing to do");
        return false;
    }
    return words->arg_count == 0 || read_plan(&up->plan, words->args[0]);
}

int cli_up(int argc, char **argv)
{
    static struct up up = {.ready = -1}; /* signals may come until the end */
    int code = 125;

    up.place.folder = up.place.lock = up.place.socket = -1;
    cli_json_wipes();
    if (take_words(&up, argc, argv) &&
        (up.words.value[CLI_WORD_background] == NULL || go_behind(&up, &code)))
        code = serve(&up);
    up_plan_free(&up.plan);
    return code;
}
