/* cordon top */
#include <curses.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/show.h"

#define BAR_MOST 30

/* What is shown, and by what time the rates were measured. */
struct view {
    struct cli_client client;
    json_t *vms, *before; /* two answers of `ps` */
    double seconds;       /* between them */
    int first;            /* row that stands at the top */
};

static json_t *before_of(const struct view *view, const char *name)
{
    json_t *vm;
    size_t i;

    json_array_foreach(view->before, i, vm)
        if (strcmp(cli_text(vm, "name"), name) == 0)
            return vm;
    return NULL;
}

/* Cores that the VM had between the two looks; what the host says when there was only one. */
static double cores_of(const struct view *view, const json_t *vm)
{
    const json_t *before = before_of(view, cli_text(vm, "name"));
    uint64_t now = cli_number(vm, "cpu_ns"), then = cli_number(before, "cpu_ns");

    if (before == NULL || view->seconds < 0.05 || now < then)
        return (double)cli_number(vm, "millicores") / 1000;
    return (double)(now - then) / 1e9 / view->seconds;
}

static double share_of_memory(const json_t *vm)
{
    uint64_t limit = cli_number(vm, "memory_limit");

    return limit == CORDON_UNLIMITED || limit == 0
               ? 0 : (double)cli_number(vm, "memory") / (double)limit;
}

/* "#####     " */
static const char *bar(double share, int width, char *text)
{
    int full = (int)((share < 0 ? 0 : share > 1 ? 1 : share) * width + 0.5);

    memset(text, '#', (size_t)full);
    memset(text + full, ' ', (size_t)(width - full));
    text[width] = '\0';
    return text;
}

static void row_text(const struct view *view, const json_t *vm, int columns, char *text,
                     size_t size)
{
    char cpu[BAR_MOST + 1], memory[BAR_MOST + 1], amount[32], state[200], weight[24] = "-";
    int width = (columns - 62) / 2;
    double cores = cores_of(view, vm);

    width = width < 4 ? 4 : width > BAR_MOST ? BAR_MOST : width;
    if (json_object_get(vm, "weight") != NULL)
        snprintf(weight, sizeof weight, "%llu", (unsigned long long)cli_number(vm, "weight"));
    cli_format_amount(cli_number(vm, "memory"), CLI_BYTES, amount, sizeof amount);
    snprintf(text, size, "%-16.16s %5.5s %5.1f%% [%s] %10.10s [%s] %s", cli_text(vm, "name"),
             weight, cores * 100, bar(cores, width, cpu), amount,
             bar(share_of_memory(vm), width, memory), cli_show_state(vm, state, sizeof state));
}

static void head_text(const struct view *view, int columns, char *text, size_t size)
{
    int width = (columns - 62) / 2;

    width = width < 4 ? 4 : width > BAR_MOST ? BAR_MOST : width;
    (void)view;
    snprintf(text, size, "%-16s %5s %6s %-*s %10s %-*s %s", "NAME", "WEIGHT", "CPU", width + 2,
             "of a core", "MEMORY", width + 2, "of its limit", "STATE");
}

static void summary_text(const struct view *view, char *text, size_t size)
{
    double cores = 0;
    uint64_t memory = 0;
    size_t i, running = 0;
    const json_t *vm;
    char amount[32];

    json_array_foreach(view->vms, i, vm) {
        bool is_running = strcmp(cli_text(vm, "state"), "running") == 0;
        running += is_running;
        cores += is_running ? cores_of(view, vm) : 0;
        memory += cli_number(vm, "memory");
    }
    snprintf(text, size, "%zu VMs, %zu running   cpu %.2f cores   memory %s   %s",
             json_array_size(view->vms), running, cores,
             cli_format_amount(memory, CLI_BYTES, amount, sizeof amount), view->client.path);
}

/* Asks anew; false after one line on stderr, which the caller has cleared the screen for. */
static bool look(struct view *view)
{
    json_t *ok = cli_client_ask(&view->client, json_pack("{s:s}", "do", "ps"));

    if (ok == NULL)
        return false;
    json_decref(view->before);
    view->before = view->vms;
    view->vms = json_incref(json_object_get(ok, "vms"));
    json_decref(ok);
    return true;
}

/* ------------------------------------------------------------------ once */

static int print_once(struct view *view)
{
    char text[500];
    const json_t *vm;
    size_t i;

    if (!look(view))
        return view->client.code;
    summary_text(view, text, sizeof text);
    puts(text);
    head_text(view, 80, text, sizeof text);
    puts(text);
    json_array_foreach(view->vms, i, vm) {
        row_text(view, vm, 80, text, sizeof text);
        puts(text);
    }
    return 0;
}

/* ------------------------------------------------------------------ live */

static volatile sig_atomic_t is_over;

static void on_signal(int signal)
{
    (void)signal;
    is_over = 1;
}

static void draw(struct view *view)
{
    int count = (int)json_array_size(view->vms), rows = LINES - 3;
    char text[1000];

    if (view->first > count - rows)
        view->first = count - rows;
    if (view->first < 0)
        view->first = 0;
    erase();
    summary_text(view, text, sizeof text);
    mvaddnstr(0, 0, text, COLS);
    head_text(view, COLS, text, sizeof text);
    attron(A_REVERSE);
    mvaddnstr(1, 0, text, COLS);
    attroff(A_REVERSE);
    for (int i = 0; i < rows && view->first + i < count; i++) {
        row_text(view, json_array_get(view->vms, (size_t)(view->first + i)), COLS, text,
                 sizeof text);
        mvaddnstr(2 + i, 0, text, COLS);
    }
    mvaddnstr(LINES - 1, 0, count > rows ? "q quits, arrows scroll" : "q quits", COLS);
    refresh();
}

/* A key until `ms` are over; false for those that quit. */
static bool take_key(struct view *view, int ms)
{
    timeout(ms);
    switch (getch()) {
    case 'q':
    case 'Q':
    case 3: /* ^C */
        return false;
    case KEY_DOWN:
        view->first++;
        break;
    case KEY_UP:
        view->first--;
        break;
    case KEY_NPAGE:
        view->first += LINES - 3;
        break;
    case KEY_PPAGE:
        view->first -= LINES - 3;
        break;
    default:
        break;
    }
    return !is_over;
}

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool start_screen(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    const char *terminal = getenv("TERM");
    SCREEN *screen = newterm(terminal, stdout, stdin);

    if (screen == NULL) {
        cli_complain("the terminal %s is not known: cordon top --once",
                     terminal ? terminal : "(TERM is not set)");
        return false;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    return true;
}

/* Until q, a signal, or the host's end. */
static int watch(struct view *view, double interval)
{
    double looked = now_seconds();
    bool goes_on = look(view);

    if (!goes_on)
        return view->client.code;
    if (!start_screen())
        return 125;
    while (goes_on) {
        draw(view);
        double left = looked + interval - now_seconds();
        if (!take_key(view, left > 0 ? (int)(left * 1000) + 1 : 0))
            break;
        double now = now_seconds();
        if (now < looked + interval)
            continue;
        goes_on = look(view);
        view->seconds = now_seconds() - looked;
        looked = now_seconds();
    }
    endwin();
    if (!goes_on) /* said on a screen that is gone */
        fprintf(stderr, "cordon: %s\n", cli_complaint());
    return goes_on ? 0 : view->client.code;
}

int cli_top(int argc, char **argv)
{
    struct cli_words words;
    struct view view = {0};
    uint64_t interval = 1000000000;

    if (!cli_words_parse(&words, CLI_COMMAND_top, argc, argv))
        return 125;
    const char *text = words.value[CLI_WORD_interval];
    if (text != NULL && (!cli_parse_amount(text, CLI_NANOSECONDS, &interval) ||
                         interval < 100000000 || interval > 3600000000000)) {
        cli_complain("--interval %s: expected a time from 100ms to 1h", text);
        return 125;
    }
    setlocale(LC_ALL, "");
    bool is_once = words.value[CLI_WORD_once] != NULL || isatty(0) != 1 || isatty(1) != 1;
    int code = 125;
    if (cli_client_open(&view.client, words.value[CLI_WORD_host], false))
        code = is_once ? print_once(&view) : watch(&view, (double)interval / 1e9);
    else
        code = view.client.code;
    json_decref(view.vms);
    json_decref(view.before);
    cli_client_close(&view.client);
    return code;
}
