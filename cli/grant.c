#include "cli/grant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/volume.h"

static bool say(const cordon_error_t *error)
{
    cli_complain("%s", error->message);
    return false;
}

/* Cuts the suffix from the text when it is there. */
static bool cut_suffix(char *text, const char *suffix)
{
    size_t size = strlen(text), cut = strlen(suffix);

    if (size < cut || strcmp(text + size - cut, suffix) != 0)
        return false;
    text[size - cut] = '\0';
    return true;
}

static bool split(const char *option, const char *text, const char *separator,
                  const char *read_only_suffix, struct cli_dir *dir)
{
    char host[CLI_PATH_MAX];
    const char *home = getenv("HOME");

    if (strlen(text) >= sizeof host) {
        cli_complain("%s: longer than any path", option);
        return false;
    }
    snprintf(host, sizeof host, "%s", text);
    dir->read_only = cut_suffix(host, read_only_suffix);
    char *split = strstr(host, separator);
    const char *guest = split != NULL ? split + strlen(separator) : host;
    if (split != NULL)
        *split = '\0';
    if (host[0] == '\0' || guest[0] == '\0') {
        cli_complain("%s %s: expected HOST%sGUEST", option, text, separator);
        return false;
    }
    bool is_home = host[0] == '~' && (host[1] == '/' || host[1] == '\0') && home != NULL;
    snprintf(dir->host, sizeof dir->host, "%.4100s%s", is_home ? home : "", host + is_home);
    snprintf(dir->guest, sizeof dir->guest, "%s", guest);
    return true;
}

bool cli_split_dir(const char *text, struct cli_dir *dir)
{
    return split("--dir", text, "::", "::ro", dir);
}

bool cli_split_volume(const char *text, struct cli_dir *dir)
{
    const char *guest = strchr(text, ':');
    const char *more = guest ? strchr(guest + 1, ':') : NULL;
    if (guest == NULL || strcmp(guest, ":ro") == 0 || (more != NULL && strcmp(more, ":ro") != 0)) {
        cli_complain("--volume %s: expected HOST:GUEST[:ro]", text);
        return false;
    }
    return split("--volume", text, ":", ":ro", dir);
}

static bool grant_dir(cordon_config_t *config, const struct cli_dir *dir)
{
    cordon_error_t error;

    return cordon_config_dir(config, dir->host, dir->guest, dir->read_only, &error) ||
           say(&error);
}

char *cli_variable(const char *text, bool *good)
{
    bool is_whole = strchr(text, '=') != NULL;
    const char *value = is_whole ? "" : getenv(text);

    *good = true;
    if (value == NULL)
        return NULL;
    size_t size = strlen(text) + strlen(value) + 2;
    char *variable = malloc(size);
    if (variable != NULL)
        snprintf(variable, size, "%s%s%s", text, is_whole ? "" : "=", value);
    else
        cli_complain("--env %s: no memory left", text);
    *good = variable != NULL;
    return variable;
}

/* The store is open for no longer than it takes. */
static bool grant_named(cordon_config_t *config, const struct cli_options *options)
{
    const struct cli_store where = {options->store, options->key_file, options->key_on_same_disk};
    static struct cli_volume volume;
    cordon_store_t *store = NULL;
    cordon_error_t error = {0};
    char why[CLI_WHY_MAX];
    bool granted = true;

    for (int i = 0; granted && i < options->volume.count; i++) {
        const char *text = options->volume.items[i];
        if (!cli_volume_is_named(text))
            continue;
        granted = cli_split_named(text, &volume, why);
        if (!granted) {
            cli_complain("--volume %s: %s", text, why);
            break;
        }
        if (store == NULL)
            store = cli_store_open(&where, &error);
        granted = store != NULL && cli_volume_grant(config, store, &volume, &error);
        if (!granted)
            say(&error);
    }
    cordon_store_close(store);
    return granted;
}

static bool grant_env(cordon_config_t *config, const char *text)
{
    cordon_error_t error;
    bool good;
    char *variable = cli_variable(text, &good);

    if (variable != NULL)
        good = cordon_config_env(config, variable, &error) || say(&error);
    free(variable);
    return good;
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && text[digits] == '\0';
}

void cli_split_listener(const char *text, char *address, size_t size)
{
    if (strncmp(text, "localhost:", 10) == 0)
        text += 10;
    snprintf(address, size, is_port(text) ? "127.0.0.1:%.50s" : "%.70s", text);
}

static bool grant_listener(cordon_config_t *config, const char *text, struct cli_report *report)
{
    char address[80];
    cordon_error_t error;
    uint16_t port;

    if (report->port_count == CLI_LISTENERS_MAX) {
        cli_complain("--listen: more than %d listeners", CLI_LISTENERS_MAX);
        return false;
    }
    cli_split_listener(text, address, sizeof address);
    if (!cordon_config_listen(config, address, &port, &error)) {
        cli_complain("--listen %s: %s", text, error.message);
        return false;
    }
    const char *asked = strrchr(address, ':');
    if (asked != NULL && strtoul(asked + 1, NULL, 10) == 0)
        fprintf(stderr, "cordon: listening on %.*s:%u\n", (int)(asked - address), address, port);
    report->ports[report->port_count++] = port;
    return true;
}

bool cli_grant(cordon_config_t *config, const struct cli_options *options,
               struct cli_report *report)
{
    static struct cli_dir dir;
    cordon_error_t error;
    bool granted = cordon_config_arg(config, options->module, &error) || say(&error);

    for (int i = 0; granted && i < options->arg_count; i++)
        granted = cordon_config_arg(config, options->args[i], &error) || say(&error);
    for (int i = 0; granted && i < options->env.count; i++)
        granted = grant_env(config, options->env.items[i]);
    for (int i = 0; granted && i < options->dir.count; i++)
        granted = cli_split_dir(options->dir.items[i], &dir) && grant_dir(config, &dir);
    for (int i = 0; granted && i < options->volume.count; i++)
        if (!cli_volume_is_named(options->volume.items[i]))
            granted =
                cli_split_volume(options->volume.items[i], &dir) && grant_dir(config, &dir);
    granted = granted && grant_named(config, options);
    for (int i = 0; granted && i < options->listen.count; i++)
        granted = grant_listener(config, options->listen.items[i], report);
    for (int i = 0; granted && i < 3; i++)
        granted = cordon_config_stdio(config, i, options->is_closed[i] ? -1 : i, &error) ||
                  say(&error);
    for (int i = 0; granted && i < CORDON_QUOTA_COUNT; i++)
        granted = cordon_config_limit(config, (cordon_quota_t)i, options->limit[i], &error) ||
                  say(&error);
    cordon_config_test_mode(config, options->preempt_everywhere, options->move_on_grow,
                            options->collect_everywhere);
    return granted;
}
