#include "cli/up_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/options.h"

void up_spec_init(struct up_spec *spec)
{
    static const uint64_t defaults[] = {
#define NONE CORDON_UNLIMITED
#define QUOTA(name, key, unit, limit, ...) [CORDON_##name] = limit,
#include "spec/quota.def"
#undef QUOTA
#undef NONE
    };

    *spec = (struct up_spec){.module_fd = -1, .log_size = UP_LOG_DEFAULT,
                             .sandbox = "required"};
    memcpy(spec->limit, defaults, sizeof spec->limit);
}

static void free_strings(struct up_strings *strings)
{
    for (uint32_t i = 0; i < strings->count; i++) {
        explicit_bzero(strings->items[i], strlen(strings->items[i]));
        free(strings->items[i]);
    }
    free(strings->items);
    *strings = (struct up_strings){0};
}

static void release_dir(struct up_dir *dir)
{
    if (dir->fd >= 0)
        close(dir->fd);
    free(dir->path);
    free(dir->guest);
}

static void release_listener(struct up_listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    free(listener->address);
}

static void close_lent(struct up_lent *lent)
{
    if (lent->lent.dir >= 0)
        close(lent->lent.dir);
    if (lent->lent.key >= 0)
        close(lent->lent.key);
    lent->lent.dir = lent->lent.key = -1;
}

static void release_lent(struct up_lent *lent)
{
    close_lent(lent);
    free(lent->guest);
}

void up_spec_release(struct up_spec *spec)
{
    for (uint32_t i = 0; i < spec->lent_count; i++)
        release_lent(&spec->lent[i]);
    for (uint32_t i = 0; i < spec->dir_count; i++)
        release_dir(&spec->dirs[i]);
    for (uint32_t i = 0; i < spec->listener_count; i++)
        release_listener(&spec->listeners[i]);
    if (spec->module_fd >= 0)
        close(spec->module_fd);
    free_strings(&spec->args);
    free_strings(&spec->env);
    free_strings(&spec->volumes);
    free(spec->module);
    free(spec->lent);
    free(spec->dirs);
    free(spec->listeners);
    up_spec_init(spec);
}

/* ------------------------------------------------------------------ adding */

/* Room for one element more; the lists are short. */
static void *grown(void *items, uint32_t count, size_t size)
{
    return count % 8 == 0 ? realloc(items, (count + 8) * size) : items;
}

bool up_strings_add(struct up_strings *strings, const char *text)
{
    char **items = grown(strings->items, strings->count, sizeof *items);

    if (items == NULL)
        return false;
    strings->items = items;
    items[strings->count] = strdup(text);
    return items[strings->count] != NULL && ++strings->count > 0;
}

/* A copy of the text, where there is one. */
static bool keep(char **text)
{
    if (*text != NULL)
        *text = strdup(*text);
    return *text != NULL;
}

bool up_spec_add_dir(struct up_spec *spec, struct up_dir dir)
{
    struct up_dir *dirs = grown(spec->dirs, spec->dir_count, sizeof dir);
    bool has_path = dir.path != NULL;

    if (dirs != NULL)
        spec->dirs = dirs;
    bool good = keep(&dir.guest);
    if (has_path)
        good = keep(&dir.path) && good;
    if (good && dirs != NULL)
        dirs[spec->dir_count++] = dir;
    else
        release_dir(&dir);
    return good && dirs != NULL;
}

bool up_spec_add_listener(struct up_spec *spec, struct up_listener listener)
{
    struct up_listener *listeners =
        grown(spec->listeners, spec->listener_count, sizeof listener);
    bool good = listener.address == NULL || keep(&listener.address);

    if (listeners != NULL)
        spec->listeners = listeners;
    if (good && listeners != NULL)
        listeners[spec->listener_count++] = listener;
    else
        release_listener(&listener);
    return good && listeners != NULL;
}

bool up_spec_add_lent(struct up_spec *spec, struct up_lent lent)
{
    struct up_lent *all = grown(spec->lent, spec->lent_count, sizeof lent);
    bool good = keep(&lent.guest);

    if (all != NULL)
        spec->lent = all;
    if (good && all != NULL)
        all[spec->lent_count++] = lent;
    else
        release_lent(&lent);
    return good && all != NULL;
}

static bool copy_strings(struct up_strings *copy, const struct up_strings *strings)
{
    *copy = (struct up_strings){0};
    for (uint32_t i = 0; i < strings->count; i++)
        if (!up_strings_add(copy, strings->items[i]))
            return false;
    return true;
}

bool up_spec_copy(struct up_spec *copy, const struct up_spec *spec)
{
    bool good = true;

    *copy = *spec;
    copy->module = spec->module ? strdup(spec->module) : NULL;
    copy->dirs = NULL;
    copy->listeners = NULL;
    copy->dir_count = copy->listener_count = 0;
    copy->env = copy->volumes = (struct up_strings){0};
    copy->lent = NULL;
    copy->lent_count = 0;
    good = copy_strings(&copy->args, &spec->args) && copy_strings(&copy->env, &spec->env) &&
           copy_strings(&copy->volumes, &spec->volumes);
    for (uint32_t i = 0; good && i < spec->dir_count; i++)
        good = up_spec_add_dir(copy, spec->dirs[i]);
    for (uint32_t i = 0; good && i < spec->listener_count; i++)
        good = up_spec_add_listener(copy, spec->listeners[i]);
    return good && copy->module != NULL;
}

/* ------------------------------------------------------------------ texts */

bool up_name_is_good(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    size_t size = strlen(name);

    return size > 0 && size <= UP_NAME_MAX && strchr("-_.", name[0]) == NULL &&
           strspn(name, letters) == size && strcmp(name, "all") != 0;
}

bool up_parse_restart(const char *text, struct up_spec *spec)
{
    uint64_t most;

    spec->restarts_max = UINT32_MAX;
    spec->restart = UP_RESTART_ON_FAILURE;
    if (strcmp(text, "no") == 0)
        spec->restart = UP_RESTART_NO;
    else if (strcmp(text, "always") == 0)
        spec->restart = UP_RESTART_ALWAYS;
    else if (strncmp(text, "on-failure:", 11) == 0) {
        if (!cli_parse_amount(text + 11, CLI_COUNT, &most) || most > 1000000)
            return false;
        spec->restarts_max = (uint32_t)most;
    } else if (strcmp(text, "on-failure") != 0)
        return false;
    return true;
}

cordon_quota_t up_quota_named(const char *key, const char **near)
{
    const char *names[CORDON_QUOTA_COUNT + 1];
    char name[64];

    snprintf(name, sizeof name, "%s", key);
    for (char *c = name; *c != '\0'; c++)
        if (*c == '-')
            *c = '_';
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++) {
        names[i] = cordon_quota_name((cordon_quota_t)i);
        if (strcmp(names[i], name) == 0)
            return (cordon_quota_t)i;
    }
    names[CORDON_QUOTA_COUNT] = NULL;
    *near = cordon_suggest(name, names);
    return CORDON_QUOTA_COUNT;
}

/* ------------------------------------------------------------------ opening */

static bool grant_listener(cordon_config_t *config, const struct up_listener *listener,
                           uint16_t *port, cordon_error_t *why)
{
    return listener->address != NULL
               ? cordon_config_listen(config, listener->address, port, why)
               : cordon_config_listener_fd(config, listener->fd, port, why);
}

static bool grant_dir(cordon_config_t *config, const struct up_dir *dir, cordon_error_t *why)
{
    return dir->path != NULL
               ? cordon_config_dir(config, dir->path, dir->guest, dir->read_only, why)
               : cordon_config_dir_fd(config, dir->fd, dir->guest, dir->read_only, why);
}

static bool grant(cordon_config_t *config, const struct up_spec *spec, uint16_t *ports,
                  cordon_error_t *why)
{
    bool good = true;

    for (uint32_t i = 0; good && i < spec->args.count; i++)
        good = cordon_config_arg(config, spec->args.items[i], why);
    for (uint32_t i = 0; good && i < spec->env.count; i++)
        good = cordon_config_env(config, spec->env.items[i], why);
    for (uint32_t i = 0; good && i < spec->dir_count; i++)
        good = grant_dir(config, &spec->dirs[i], why);
    for (uint32_t i = 0; good && i < spec->lent_count; i++)
        good = cordon_config_lent(config, &spec->lent[i].lent, spec->lent[i].guest,
                                  spec->lent[i].read_only, why);
    for (uint32_t i = 0; good && i < spec->listener_count; i++)
        good = grant_listener(config, &spec->listeners[i], &ports[i], why);
    return good;
}

cordon_config_t *up_spec_config(const struct up_spec *spec, uint16_t *ports, cordon_error_t *why)
{
    cordon_config_t *config = cordon_config_new(why);

    if (config == NULL || grant(config, spec, ports, why))
        return config;
    cordon_config_free(config);
    return NULL;
}

/* Of several of a kind each has its own. */
static bool numbered(struct cli_volume *volume, uint32_t number)
{
    char name[sizeof volume->name + 12];

    if (number == 0 || volume->is_ephemeral)
        return true;
    snprintf(name, sizeof name, "%s-%u", volume->name, number);
    bool fits = strlen(name) < sizeof volume->name;
    memcpy(volume->name, name, fits ? strlen(name) + 1 : 0);
    return fits;
}

/* The store is open for no longer than it takes. */
bool up_spec_open_volumes(const struct up_spec *spec, const struct cli_store *where,
                          cordon_config_t *config, cordon_error_t *why)
{
    char text[CLI_WHY_MAX];

    if (spec->volumes.count == 0)
        return true;
    struct cli_volume *volume = malloc(sizeof *volume);
    cordon_store_t *store = volume != NULL ? cli_store_open(where, why) : NULL;
    bool good = store != NULL;
    if (volume == NULL)
        *why = (cordon_error_t){.kind = CORDON_QUOTA, .message = "no memory left"};
    for (uint32_t i = 0; good && i < spec->volumes.count; i++) {
        good = cli_split_named(spec->volumes.items[i], volume, text) &&
               numbered(volume, spec->number);
        if (!good) {
            *why = (cordon_error_t){.kind = CORDON_MISUSE};
            snprintf(why->message, sizeof why->message, "volume %.100s: %.100s",
                     spec->volumes.items[i], "its name is too long");
        }
        good = good && cli_volume_grant(config, store, volume, why);
    }
    cordon_store_close(store);
    free(volume);
    if (!good)
        cordon_config_close_volumes(config);
    return good;
}

void up_spec_close(struct up_spec *spec)
{
    free_strings(&spec->args);
    free_strings(&spec->env);
    for (uint32_t i = 0; i < spec->lent_count; i++)
        close_lent(&spec->lent[i]);
    for (uint32_t i = 0; i < spec->dir_count; i++) {
        if (spec->dirs[i].fd >= 0)
            close(spec->dirs[i].fd);
        spec->dirs[i].fd = -1;
    }
    for (uint32_t i = 0; i < spec->listener_count; i++) {
        if (spec->listeners[i].fd >= 0)
            close(spec->listeners[i].fd);
        spec->listeners[i].fd = -1;
    }
}
