/* cordon set, pause, resume, kill, down, logs: one request each. */
#include "cli/control.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/base64.h"
#include "cli/client.h"
#include "cli/command.h"

/* How long `cordon pause` waits for what it has asked for: so many looks. */
#define PAUSE_LOOKS 500
#define PAUSE_LOOK_MS 10

/* ------------------------------------------------------------------ set */

static json_t *values_of(const struct cli_words *words)
{
    json_t *values = json_object();

    for (int i = 1; i < words->arg_count; i++) {
        const char *text = words->args[i], *equals = strchr(text, '=');
        char key[64];
        json_t *value = equals != NULL ? json_string(equals + 1) : NULL;
        if (value == NULL || equals == text || (size_t)(equals - text) >= sizeof key) {
            cli_complain("%s: expected key=value, such as memory=64m", text);
            json_decref(value);
            json_decref(values);
            return NULL;
        }
        snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
        json_object_set_new(values, key, value);
    }
    return values;
}

int cli_set(int argc, char **argv)
{
    struct cli_words words;
    struct cli_client client;
    json_t *ok = NULL;

    if (!cli_words_parse(&words, CLI_COMMAND_set, argc, argv))
        return 125;
    json_t *values = values_of(&words);
    if (values == NULL)
        return 125;
    if (cli_client_open(&client, words.value[CLI_WORD_host], false))
        ok = cli_client_ask(&client, json_pack("{s:s, s:s, s:O}", "do", "set", "vm",
                                               words.args[0], "values", values));
    json_decref(values);
    int code = ok ? 0 : client.code;
    json_decref(ok);
    cli_client_close(&client);
    return code;
}

/* ------------------------------------------------------------------ pause, resume, kill */

static json_t *vms_of(const struct cli_words *words)
{
    if (words->arg_count == 1 && strcmp(words->args[0], "all") == 0)
        return json_string("all");
    json_t *names = json_array();
    for (int i = 0; i < words->arg_count; i++)
        json_array_append_new(names, json_string(words->args[i]));
    return names;
}

/* "TERM", "SIGTERM" or "15"; 0 when it is none. */
static int signal_of(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (end != text)
        return *end == '\0' && number >= 1 && number <= 64 ? (int)number : 0;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (int i = 1; i < 32; i++)
        if (sigabbrev_np(i) != NULL && strcasecmp(sigabbrev_np(i), text) == 0)
            return i;
    return 0;
}

/* True when none of them runs any more, whatever else has become of it. */
static bool is_quiet(struct cli_client *client, const json_t *names)
{
    json_t *ok = cli_client_ask(client, json_pack("{s:s}", "do", "ps"));
    const json_t *row, *name;
    bool quiet = true;
    size_t i, k;

    json_array_foreach(json_object_get(ok, "vms"), i, row)
        json_array_foreach(names, k, name)
            if (json_equal(json_object_get(row, "name"), name) &&
                strcmp(json_string_value(json_object_get(row, "state")), "running") == 0)
                quiet = false;
    quiet = quiet || ok == NULL;
    json_decref(ok);
    return quiet;
}

/* Pausing is done when the guests stand still. One that waits for the host's disk may take its
 * time: then this says so. False when it has not come true. */
static bool wait_until_paused(struct cli_client *client, const json_t *ok)
{
    for (int i = 0; i < PAUSE_LOOKS; i++) {
        if (is_quiet(client, json_object_get(ok, "vms")))
            return true;
        poll(NULL, 0, PAUSE_LOOK_MS);
    }
    cli_complain("not yet paused: a call of the host's takes long; it will be after that");
    return false;
}

static int act(enum cli_command command, const char *name, int argc, char **argv)
{
    struct cli_words words;
    struct cli_client client;
    json_t *ok = NULL;
    int signal = 0;

    if (!cli_words_parse(&words, command, argc, argv))
        return 125;
    const char *text = words.value[CLI_WORD_signal];
    if (text != NULL && (signal = signal_of(text)) == 0) {
        cli_complain("--signal %s: expected a name such as TERM, or a number", text);
        return 125;
    }
    if (cli_client_open(&client, words.value[CLI_WORD_host], false)) {
        json_t *request = json_pack("{s:s, s:o}", "do", name, "vms", vms_of(&words));
        if (signal > 0)
            json_object_set_new(request, "signal", json_integer(signal));
        ok = cli_client_ask(&client, request);
    }
    int code = ok ? 0 : client.code;
    if (ok != NULL && command == CLI_COMMAND_pause && !wait_until_paused(&client, ok))
        code = 1;
    json_decref(ok);
    cli_client_close(&client);
    return code;
}

int cli_pause(int argc, char **argv)
{
    return act(CLI_COMMAND_pause, "pause", argc, argv);
}

int cli_resume(int argc, char **argv)
{
    return act(CLI_COMMAND_resume, "resume", argc, argv);
}

int cli_kill(int argc, char **argv)
{
    return act(CLI_COMMAND_kill, "kill", argc, argv);
}

/* ------------------------------------------------------------------ down */

/* Until the host's process has ended: then nothing of it is left, and its place is free. */
static void wait_for_end(int host)
{
    struct pollfd entry = {.fd = host, .events = POLLIN};

    while (host >= 0 && poll(&entry, 1, -1) < 0 && errno == EINTR)
        continue;
}

int cli_down(int argc, char **argv)
{
    struct cli_words words;
    struct cli_client client;
    json_t *ok = NULL;
    int host = -1;

    if (!cli_words_parse(&words, CLI_COMMAND_down, argc, argv))
        return 125;
    if (cli_client_open(&client, words.value[CLI_WORD_host], false)) {
        host = (int)syscall(SYS_pidfd_open, cli_place_peer(client.socket), 0);
        ok = cli_client_ask(&client, json_pack("{s:s}", "do", "down"));
    }
    int code = ok ? 0 : client.code;
    json_decref(ok);
    cli_client_close(&client);
    if (code == 0)
        wait_for_end(host);
    if (host >= 0)
        close(host);
    return code;
}

/* ------------------------------------------------------------------ logs */

static bool write_all(const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = write(1, bytes, size);
        if (count < 0 && errno != EINTR)
            return false;
        bytes += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

/* One line of the answer; false when it cannot be written. */
static bool show_piece(struct cli_client *client, const json_t *line, cordon_terminal_t *terminal)
{
    static uint8_t bytes[1 << 16];
    static uint8_t shown[sizeof bytes + CORDON_TERMINAL_MORE];
    const char *text = json_string_value(json_object_get(line, "log"));
    json_int_t lost = json_integer_value(json_object_get(line, "lost"));
    size_t size;

    if (text == NULL || strlen(text) / 4 * 3 > sizeof bytes ||
        !cli_base64_read(text, bytes, &size)) {
        cli_complain("%s: a piece of the log is no base64", client->path);
        return false;
    }
    if (lost > 0)
        cli_complain("%lld bytes of the log are lost: more came than is kept", (long long)lost);
    bool done = terminal != NULL
                    ? write_all(shown, cordon_terminal_show(terminal, bytes, size, shown))
                    : write_all(bytes, size);
    if (!done && errno != EPIPE)
        cli_complain("standard output: %s", strerror(errno));
    return done;
}

static int show_log(struct cli_client *client, bool follow)
{
    cordon_terminal_t terminal = {{0}};
    bool is_terminal = isatty(1) == 1;
    int code = -1;

    while (code < 0) {
        json_t *line = cli_client_line(client, !follow);
        if (line == NULL)
            code = client->code;
        else if (json_object_get(line, "log") != NULL) {
            if (!show_piece(client, line, is_terminal ? &terminal : NULL))
                code = 125;
            json_decref(line);
        } else {
            json_t *ok = cli_client_ok(client, line);
            code = ok ? 0 : client->code;
            json_decref(ok);
        }
    }
    return code;
}

int cli_logs(int argc, char **argv)
{
    struct cli_words words;
    struct cli_client client;
    uint64_t tail = 0;

    if (!cli_words_parse(&words, CLI_COMMAND_logs, argc, argv))
        return 125;
    const char *text = words.value[CLI_WORD_tail];
    if (text != NULL && (!cli_parse_amount(text, CLI_COUNT, &tail) || tail > INT64_MAX)) {
        cli_complain("--tail %s: expected a number of lines", text);
        return 125;
    }
    bool follow = words.value[CLI_WORD_follow] != NULL;
    json_t *request = json_pack("{s:s, s:s, s:b}", "do", "logs", "vm", words.args[0], "follow",
                                follow);
    if (text != NULL)
        json_object_set_new(request, "tail", json_integer((json_int_t)tail));
    int code = cli_client_open(&client, words.value[CLI_WORD_host], false) ? -1 : client.code;
    if (code >= 0)
        json_decref(request);
    else
        code = cli_client_send(&client, request, NULL, 0) ? show_log(&client, follow)
                                                          : client.code;
    cli_client_close(&client);
    return code;
}
