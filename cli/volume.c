#include "cli/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"

#define PATH_ROOM 4200

/* ------------------------------------------------------------------ --volume */

bool cli_volume_is_named(const char *text)
{
    size_t size = strcspn(text, ":,");

    return size > 0 && text[0] != '.' && text[0] != '~' && memchr(text, '/', size) == NULL;
}

static bool set_part(struct cli_volume *volume, const char *part)
{
    if (strcmp(part, "ephemeral") == 0)
        return volume->is_ephemeral = true;
    if (strncmp(part, "size=", 5) == 0)
        return cli_parse_amount(part + 5, CLI_BYTES, &volume->size) && volume->size > 0;
    if (strncmp(part, "inodes=", 7) == 0)
        return cli_parse_amount(part + 7, CLI_COUNT, &volume->inodes) && volume->inodes > 0;
    return false;
}

/* NAME[:GUEST][:ro] */
static bool set_names(struct cli_volume *volume, char *text)
{
    char *guest = strchr(text, ':');

    if (guest != NULL)
        *guest++ = '\0';
    if (strlen(text) >= sizeof volume->name)
        return false;
    snprintf(volume->name, sizeof volume->name, "%s", text);
    if (guest != NULL && strcmp(guest, "ro") == 0) {
        volume->read_only = true;
        guest = NULL;
    }
    char *more = guest != NULL ? strchr(guest, ':') : NULL;
    if (more != NULL) {
        volume->read_only = strcmp(more, ":ro") == 0;
        *more = '\0';
    }
    snprintf(volume->guest, sizeof volume->guest, "%s%s", guest != NULL ? "" : "/",
             guest != NULL ? guest : text);
    return volume->guest[0] != '\0' && (more == NULL || volume->read_only);
}

bool cli_split_named(const char *text, struct cli_volume *volume, char *why)
{
    char parts[PATH_ROOM];

    *volume = (struct cli_volume){.name = ""};
    snprintf(why, CLI_WHY_MAX,
             "expected NAME[:GUEST][:ro][,size=SIZE][,inodes=N][,ephemeral], or a path with a /");
    if (strlen(text) >= sizeof parts)
        return false;
    snprintf(parts, sizeof parts, "%s", text);
    char *rest = parts, *part = strsep(&rest, ",");
    bool good = set_names(volume, part);
    while (good && (part = strsep(&rest, ",")) != NULL)
        good = set_part(volume, part);
    if (good && volume->is_ephemeral && volume->read_only)
        good = false;
    return good;
}

/* ------------------------------------------------------------------ the store */

static bool usual_path(char *path, size_t size)
{
    const char *home = getenv("HOME"), *data = getenv("XDG_DATA_HOME");

    if (geteuid() == 0)
        snprintf(path, size, "/var/lib/cordon/volumes");
    else if (data != NULL && data[0] == '/')
        snprintf(path, size, "%s/cordon/volumes", data);
    else if (home != NULL && home[0] == '/')
        snprintf(path, size, "%s/.local/share/cordon/volumes", home);
    else
        return false;
    return true;
}

cordon_store_t *cli_store_open(const struct cli_store *store, cordon_error_t *error)
{
    char path[PATH_ROOM] = "";
    cordon_store_options_t options = {.path = store->path, .key_file = store->key_file,
                                      .on_same_disk = store->on_same_disk, .may_make_key = true};

    if (store->path == NULL) {
        if (!usual_path(path, sizeof path)) {
            *error = (cordon_error_t){.kind = CORDON_MISUSE,
                                      .message = "--store: HOME does not say where it is"};
            return NULL;
        }
        options.path = path;
    }
    return cordon_store_open(&options, error);
}

static bool has(const cordon_store_t *store, const char *name)
{
    cordon_volume_info_t info;

    for (uint32_t i = 0; cordon_store_list(store, i, &info); i++)
        if (strcmp(info.name, name) == 0)
            return true;
    return false;
}

static bool is_there(cordon_store_t *store, const struct cli_volume *volume,
                     cordon_error_t *error)
{
    return volume->is_ephemeral || has(store, volume->name) ||
           cordon_store_create(store, volume->name,
                               volume->size ? volume->size : CORDON_UNLIMITED,
                               volume->inodes ? volume->inodes : CORDON_UNLIMITED, error);
}

static cordon_volume_t granted(const struct cli_volume *volume)
{
    return (cordon_volume_t){.name = volume->is_ephemeral ? NULL : volume->name,
                             .guest = volume->guest, .read_only = volume->read_only,
                             .size = volume->size, .inodes = volume->inodes};
}

bool cli_volume_grant(cordon_config_t *config, cordon_store_t *store,
                      const struct cli_volume *volume, cordon_error_t *error)
{
    cordon_volume_t wanted = granted(volume);

    return is_there(store, volume, error) && cordon_config_volume(config, store, &wanted, error);
}

bool cli_volume_lend(cordon_store_t *store, const struct cli_volume *volume, cordon_lent_t *lent,
                     cordon_error_t *error)
{
    cordon_volume_t wanted = granted(volume);

    return is_there(store, volume, error) && cordon_store_lend(store, &wanted, lent, error);
}

/* ------------------------------------------------------------------ cordon volume */

static bool complain(const cordon_error_t *error)
{
    cli_complain("%s", error->message);
    return false;
}

static bool amount(const struct cli_words *words, enum cli_word word, enum cli_unit unit,
                   uint64_t *result)
{
    const char *text = words->value[word];

    *result = CORDON_UNLIMITED;
    if (text == NULL || (cli_parse_amount(text, unit, result) && *result > 0))
        return true;
    cli_complain("--%s %s: expected %s", unit == CLI_BYTES ? "size" : "inodes", text,
                 unit == CLI_BYTES ? "a size such as 64m" : "a number");
    return false;
}

static int create(cordon_store_t *store, const struct cli_words *words)
{
    cordon_error_t error;
    uint64_t size, inodes;

    if (!amount(words, CLI_WORD_size, CLI_BYTES, &size) ||
        !amount(words, CLI_WORD_inodes, CLI_COUNT, &inodes))
        return 125;
    for (int i = 1; i < words->arg_count; i++)
        if (!cordon_store_create(store, words->args[i], size, inodes, &error))
            return complain(&error) ? 0 : 125;
    return 0;
}

static int list(cordon_store_t *store, const struct cli_words *words)
{
    bool is_json = words->value[CLI_WORD_json] != NULL;
    char size[32], inodes[32], made[32];
    cordon_volume_info_t info;

    if (!is_json)
        printf("%-24s %12s %12s  %-10s %s\n", "NAME", "SIZE", "INODES", "MADE", "STATE");
    for (uint32_t i = 0; cordon_store_list(store, i, &info); i++) {
        time_t created = (time_t)info.created;
        struct tm day;
        strftime(made, sizeof made, "%Y-%m-%d", gmtime_r(&created, &day));
        if (!is_json)
            printf("%-24s %12s %12s  %-10s %s\n", info.name,
                   info.size == CORDON_UNLIMITED
                       ? "-" : cli_format_amount(info.size, CLI_BYTES, size, sizeof size),
                   info.inodes == CORDON_UNLIMITED
                       ? "-" : cli_format_amount(info.inodes, CLI_COUNT, inodes, sizeof inodes),
                   made,
                   info.in_use ? "in use" : "-");
        else
            printf("{\"name\": \"%s\", \"size\": %lld, \"inodes\": %lld, \"created\": %llu, "
                   "\"in_use\": %s}\n", info.name,
                   info.size > INT64_MAX ? -1ll : (long long)info.size,
                   info.inodes > INT64_MAX ? -1ll : (long long)info.inodes,
                   (unsigned long long)info.created, info.in_use ? "true" : "false");
    }
    return 0;
}

static int remove_all(cordon_store_t *store, const struct cli_words *words)
{
    cordon_error_t error;

    for (int i = 1; i < words->arg_count; i++)
        if (!cordon_store_remove(store, words->args[i], &error))
            return complain(&error) ? 0 : 125;
    return 0;
}

static bool check_one(cordon_store_t *store, const char *name, bool *is_sound)
{
    cordon_volume_report_t report;
    cordon_error_t error;

    if (!cordon_store_check(store, name, &report, &error))
        return complain(&error);
    bool good = report.foreign == 0 && report.unopened == 0 && report.blocks == 0 &&
                !report.is_incomplete;
    printf("%s: %s: %llu files, %llu directories, %llu links, %llu bytes", name,
           good ? "sound" : "DAMAGED", (unsigned long long)report.files,
           (unsigned long long)report.dirs, (unsigned long long)report.links,
           (unsigned long long)report.bytes);
    if (report.leftovers > 0)
        printf("; %llu leftovers removed", (unsigned long long)report.leftovers);
    if (!good)
        printf("; %llu blocks damaged, %llu files or links that do not open, %llu foreign names%s",
               (unsigned long long)report.blocks, (unsigned long long)report.unopened,
               (unsigned long long)report.foreign,
               report.is_incomplete ? ", not read through" : "");
    putchar('\n');
    *is_sound &= good;
    return true;
}

static int check(cordon_store_t *store, const struct cli_words *words)
{
    cordon_volume_info_t info;
    cordon_error_t error;
    uint64_t all, good;
    bool is_sound = true, is_done = true;

    for (int i = 1; is_done && i < words->arg_count; i++)
        is_done = check_one(store, words->args[i], &is_sound);
    for (uint32_t i = 0; words->arg_count == 1 && is_done && cordon_store_list(store, i, &info);
         i++)
        is_done = check_one(store, info.name, &is_sound);
    if (!is_done)
        return 125;
    if (!cordon_store_check_records(store, &all, &good, &error))
        return complain(&error) ? 0 : 125;
    if (all > 0)
        printf("records: %llu of %llu as they were signed\n", (unsigned long long)good,
               (unsigned long long)all);
    return is_sound && good == all ? 0 : 1;
}

static int export_one(cordon_store_t *store, const struct cli_words *words)
{
    const char *path = words->value[CLI_WORD_output];
    cordon_error_t error;
    int to = STDOUT_FILENO;

    if (words->arg_count != 2) {
        cli_complain("expected: cordon volume export NAME [-o FILE]");
        return 125;
    }
    if (path == NULL && isatty(to)) {
        cli_complain("a tar archive is not for a terminal: -o FILE, or a pipe");
        return 125;
    }
    if (path != NULL)
        to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) {
        cli_complain("%s: %s", path, strerror(errno));
        return 125;
    }
    bool done = cordon_store_export(store, words->args[1], to, &error);
    if (path != NULL && close(to) != 0 && done) {
        cli_complain("%s: %s", path, strerror(errno));
        return 125;
    }
    return done || complain(&error) ? 0 : 125;
}

int cli_volume(int argc, char **argv)
{
    static const struct {
        const char *name;
        int least;
        int (*act)(cordon_store_t *store, const struct cli_words *words);
    } acts[] = {{"create", 2, create}, {"ls", 1, list}, {"rm", 2, remove_all},
                {"check", 1, check}, {"export", 2, export_one}};
    const char *const names[] = {"create", "ls", "rm", "check", "export", NULL};
    struct cli_words words;
    cordon_error_t error;
    size_t at = 0;

    if (!cli_words_parse(&words, CLI_COMMAND_volume, argc, argv))
        return 125;
    while (names[at] != NULL && strcmp(names[at], words.args[0]) != 0)
        at++;
    if (names[at] == NULL || words.arg_count < acts[at].least) {
        cli_complain("volume %s: expected create NAME, ls, rm NAME, check [NAME] or export NAME",
                     words.args[0]);
        return 125;
    }
    struct cli_store where = {.path = words.value[CLI_WORD_store],
                              .key_file = words.value[CLI_WORD_key_file],
                              .on_same_disk = words.value[CLI_WORD_key_on_same_disk] != NULL};
    cordon_store_t *store = cli_store_open(&where, &error);
    if (store == NULL)
        return complain(&error) ? 0 : 125;
    int code = acts[at].act(store, &words);
    cordon_store_close(store);
    return code;
}
