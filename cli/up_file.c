#include "cli/up_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/mode.h"
#include "cli/options.h"
#include "cli/user.h"

#define PATH_ROOM 4200

struct reader {
    struct up_plan *plan;
    struct up_spec *spec; /* the VM that is read, or the defaults */
    struct up_spec defaults;
    const char *folder;
    struct up_fault *fault;
    const struct up_node *vms; /* read last: `defaults` may stand behind it */
    char key[48];              /* that is read, as it is written */
};

typedef bool (*take_fn)(struct reader *reader, const struct up_node *node);

static bool fail(struct reader *reader, const struct up_node *node, const char *expected)
{
    static const char *const kinds[] = {"", "a list", "a map"};
    const char *found = node->kind == UP_TEXT ? node->text : kinds[node->kind];

    return up_fail(reader->fault, node->place, "%s: expected %s, found %.60s%s", reader->key,
                   expected, found[0] ? found : "nothing", strlen(found) > 60 ? "..." : "");
}

static bool no_memory(struct reader *reader, const struct up_node *node)
{
    return up_fail(reader->fault, node->place, "no memory left");
}

static bool is_text(const struct up_node *node)
{
    return node->kind == UP_TEXT && node->text[0] != '\0';
}

static bool take_bool(struct reader *reader, const struct up_node *node, bool *value)
{
    *value = is_text(node) && strcmp(node->text, "true") == 0;
    return *value || (is_text(node) && strcmp(node->text, "false") == 0) ||
           fail(reader, node, "true or false");
}

/* The path as seen from the file's folder. */
static bool join(struct reader *reader, const struct up_node *node, const char *path, char *room)
{
    const char *home = getenv("HOME");
    bool is_home = path[0] == '~' && (path[1] == '/' || path[1] == '\0') && home != NULL;
    int size = snprintf(room, PATH_ROOM, "%s%s%s",
                        is_home ? home : path[0] == '/' ? "" : reader->folder,
                        is_home || path[0] == '/' ? "" : "/", path + is_home);

    return size < PATH_ROOM || fail(reader, node, "a path of at most 4 KiB");
}

/* ------------------------------------------------------------------ a VM's keys */

static bool take_module(struct reader *reader, const struct up_node *node)
{
    char path[PATH_ROOM];

    if (!is_text(node))
        return fail(reader, node, "the path of a module");
    if (!join(reader, node, node->text, path))
        return false;
    reader->spec->module = strdup(path);
    return reader->spec->module != NULL || no_memory(reader, node);
}

static bool take_args(struct reader *reader, const struct up_node *node)
{
    if (node->kind != UP_LIST)
        return fail(reader, node, "a list");
    for (const struct up_node *one = node->first; one != NULL; one = one->next) {
        if (one->kind != UP_TEXT)
            return fail(reader, one, "a list of texts");
        if (!up_strings_add(&reader->spec->args, one->text))
            return no_memory(reader, one);
    }
    return true;
}

static bool add_variable(struct reader *reader, const struct up_node *node, const char *key,
                         const char *value)
{
    size_t size = strlen(key) + strlen(value) + 2;
    char *text = malloc(size);

    if (text != NULL)
        snprintf(text, size, "%s=%s", key, value);
    bool added = text != NULL && up_strings_add(&reader->spec->env, text);
    if (text != NULL)
        explicit_bzero(text, size);
    free(text);
    return added || no_memory(reader, node);
}

static bool take_variable(struct reader *reader, const struct up_node *node)
{
    if (node->kind != UP_TEXT)
        return fail(reader, node, "texts");
    if (node->key != NULL)
        return (node->key[0] != '\0' && strchr(node->key, '=') == NULL) ||
                       fail(reader, node, "a variable's name before the colon")
                   ? add_variable(reader, node, node->key, node->text)
                   : false;
    if (node->text[0] == '\0' || node->text[0] == '=')
        return fail(reader, node, "KEY=VALUE or KEY");
    if (strchr(node->text, '=') != NULL)
        return up_strings_add(&reader->spec->env, node->text) || no_memory(reader, node);
    const char *value = getenv(node->text);
    return value == NULL || add_variable(reader, node, node->text, value);
}

static bool take_env(struct reader *reader, const struct up_node *node)
{
    if (node->kind == UP_TEXT)
        return fail(reader, node, "a map, or a list of KEY=VALUE");
    for (const struct up_node *one = node->first; one != NULL; one = one->next)
        if (!take_variable(reader, one))
            return false;
    return true;
}

/* HOST[::GUEST][::ro] */
static bool take_dir(struct reader *reader, const struct up_node *node)
{
    static const char expected[] = "HOST[::GUEST][::ro]";
    char text[PATH_ROOM], path[PATH_ROOM];
    struct up_dir dir = {.fd = -1};

    if (!is_text(node) || strlen(node->text) >= sizeof text)
        return fail(reader, node, expected);
    snprintf(text, sizeof text, "%s", node->text);
    size_t size = strlen(text);
    if (size > 4 && strcmp(text + size - 4, "::ro") == 0) {
        dir.read_only = true;
        text[size - 4] = '\0';
    }
    char *split = strstr(text, "::");
    dir.guest = split != NULL ? split + 2 : text;
    if (split != NULL)
        *split = '\0';
    if (text[0] == '\0' || dir.guest[0] == '\0')
        return fail(reader, node, expected);
    if (!join(reader, node, text, path))
        return false;
    dir.path = path;
    return up_spec_add_dir(reader->spec, dir) || no_memory(reader, node);
}

static bool take_dirs(struct reader *reader, const struct up_node *node)
{
    if (node->kind != UP_LIST)
        return fail(reader, node, "a list of HOST[::GUEST][::ro]");
    for (const struct up_node *one = node->first; one != NULL; one = one->next)
        if (!take_dir(reader, one))
            return false;
    return true;
}

/* NAME[:GUEST][:ro][,size=SIZE][,inodes=N][,ephemeral] */
static bool take_volume(struct reader *reader, const struct up_node *node)
{
    static struct cli_volume volume;
    char why[CLI_WHY_MAX];

    if (!is_text(node) || !cli_volume_is_named(node->text))
        return fail(reader, node, "NAME[:GUEST][:ro][,size=SIZE] (directories are under `dirs`)");
    if (!cli_split_named(node->text, &volume, why))
        return up_fail(reader->fault, node->place, "%s: %.60s: %s", reader->key, node->text, why);
    return up_strings_add(&reader->spec->volumes, node->text) || no_memory(reader, node);
}

static bool take_volumes(struct reader *reader, const struct up_node *node)
{
    if (node->kind != UP_LIST)
        return fail(reader, node, "a list of NAME[:GUEST][:ro][,size=SIZE]");
    for (const struct up_node *one = node->first; one != NULL; one = one->next)
        if (!take_volume(reader, one))
            return false;
    return true;
}

/* "8080" means 127.0.0.1; the numeric form is checked where it is opened. */
static bool take_address(struct reader *reader, const struct up_node *node, char *room,
                         size_t size)
{
    const char *text = node->kind == UP_TEXT ? node->text : "";
    size_t digits = strspn(text, "0123456789");

    if (strncmp(text, "localhost:", 10) == 0)
        text += 10, digits = strspn(text, "0123456789");
    bool is_port = digits > 0 && text[digits] == '\0';
    if (text[0] == '\0' || strlen(text) + 12 > size || (!is_port && strchr(text, ':') == NULL))
        return fail(reader, node, "[HOST:]PORT");
    snprintf(room, size, "%s%s", is_port ? "127.0.0.1:" : "", text);
    return true;
}

static bool take_listen(struct reader *reader, const struct up_node *node)
{
    char address[80];

    if (node->kind != UP_LIST)
        return fail(reader, node, "a list of [HOST:]PORT");
    for (const struct up_node *one = node->first; one != NULL; one = one->next) {
        if (!take_address(reader, one, address, sizeof address))
            return false;
        if (!up_spec_add_listener(reader->spec, (struct up_listener){address, -1}))
            return no_memory(reader, one);
    }
    return true;
}

static bool take_quota(struct reader *reader, const struct up_node *node)
{
    char why[CLI_WHY_MAX];
    const char *near;
    cordon_quota_t quota = up_quota_named(node->key, &near);

    if (quota == CORDON_QUOTA_COUNT)
        return up_fail(reader->fault, node->key_place, "unknown quota %.40s%s%s%s", node->key,
                       near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    snprintf(reader->key, sizeof reader->key, "%s", node->key);
    if (!is_text(node))
        return fail(reader, node, "an amount");
    if (cli_parse_quota(quota, node->text, &reader->spec->limit[quota], why))
        return true;
    return up_fail(reader->fault, node->place, "%s: %.40s: %s", node->key, node->text, why);
}

static bool take_quotas(struct reader *reader, const struct up_node *node)
{
    if (node->kind != UP_MAP)
        return fail(reader, node, "a map of quotas");
    for (const struct up_node *one = node->first; one != NULL; one = one->next)
        if (!take_quota(reader, one))
            return false;
    return true;
}

/* The one quota that people think of as a property. */
static bool take_weight(struct reader *reader, const struct up_node *node)
{
    return take_quota(reader, node);
}

static bool take_restart(struct reader *reader, const struct up_node *node)
{
    return (is_text(node) && up_parse_restart(node->text, reader->spec)) ||
           fail(reader, node, "no, on-failure, on-failure:N or always");
}

static bool take_log_size(struct reader *reader, const struct up_node *node)
{
    return (is_text(node) && cli_parse_amount(node->text, CLI_BYTES, &reader->spec->log_size) &&
            reader->spec->log_size <= UP_LOG_MAX) ||
           fail(reader, node, "a size such as 256k, at most 1g");
}

static bool take_count(struct reader *reader, const struct up_node *node)
{
    uint64_t count = 0;

    if (!is_text(node) || !cli_parse_amount(node->text, CLI_COUNT, &count) || count < 1 ||
        count > UP_VMS_MAX)
        return fail(reader, node, "a number from 1 to 4096");
    reader->spec->count = (uint32_t)count;
    return true;
}

static bool take_process(struct reader *reader, const struct up_node *node)
{
    bool is_own = is_text(node) && strcmp(node->text, "own") == 0;

    reader->spec->is_shared = is_text(node) && strcmp(node->text, "shared") == 0;
    return is_own || reader->spec->is_shared || fail(reader, node, "own or shared");
}

static bool take_sandbox(struct reader *reader, const struct up_node *node)
{
    const char *mode = is_text(node) ? cli_modes[cli_mode_of(node->text)] : NULL;

    reader->spec->sandbox = mode;
    return mode != NULL || fail(reader, node, "required, best-effort or off");
}

static bool take_strict(struct reader *reader, const struct up_node *node)
{
    return take_bool(reader, node, &reader->spec->is_strict);
}

static bool take_user(struct reader *reader, const struct up_node *node)
{
    struct up_spec *spec = reader->spec;
    const char *why;

    if (!is_text(node))
        return fail(reader, node, "USER or USER:GROUP");
    spec->has_user = true;
    return cli_parse_user(node->text, &spec->user, &spec->group, &why) ||
           up_fail(reader->fault, node->place, "%s: %.40s: %s", node->key, node->text, why);
}

/* ------------------------------------------------------------------ the file's keys */

static bool take_metrics(struct reader *reader, const struct up_node *node)
{
    return take_address(reader, node, reader->plan->metrics, sizeof reader->plan->metrics);
}

static bool take_workers(struct reader *reader, const struct up_node *node)
{
    uint64_t count = 0;

    if (!is_text(node) || !cli_parse_amount(node->text, CLI_COUNT, &count) || count < 1 ||
        count > 256)
        return fail(reader, node, "a number from 1 to 256");
    reader->plan->workers = (uint32_t)count;
    return true;
}

static bool take_memory(struct reader *reader, const struct up_node *node)
{
    uint64_t bytes = 0;

    if (!is_text(node) || !cli_parse_amount(node->text, CLI_BYTES, &bytes) || bytes == 0)
        return fail(reader, node, "a size such as 2g");
    reader->plan->memory = bytes;
    return true;
}

static bool take_path(struct reader *reader, const struct up_node *node, const char **kept)
{
    char path[PATH_ROOM];

    if (!is_text(node))
        return fail(reader, node, "a path");
    if (!join(reader, node, node->text, path))
        return false;
    *kept = strdup(path);
    return *kept != NULL || no_memory(reader, node);
}

static bool take_store(struct reader *reader, const struct up_node *node)
{
    return take_path(reader, node, &reader->plan->store.path);
}

static bool take_key_file(struct reader *reader, const struct up_node *node)
{
    return take_path(reader, node, &reader->plan->store.key_file);
}

static bool take_key_on_same_disk(struct reader *reader, const struct up_node *node)
{
    return take_bool(reader, node, &reader->plan->store.on_same_disk);
}

static bool take_vms(struct reader *reader, const struct up_node *node)
{
    reader->vms = node;
    return node->kind == UP_MAP || fail(reader, node, "a map of VMs by their names");
}

static bool take_defaults(struct reader *reader, const struct up_node *node);

enum where { HOST = 1, VM = 2, DEFAULT = 4 };

static const struct row {
    int where;
    const char *name;
    take_fn take;
} rows[] = {
#define KEY(where, name, ...) {where, #name, take_##name},
#include "spec/config.def"
#undef KEY
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static bool is_same(const char *key, const char *name)
{
    for (; *key != '\0' && (*key == *name || (*key == '-' && *name == '_')); key++)
        name++;
    return *key == *name;
}

static bool unknown_key(struct reader *reader, const struct up_node *node, int where)
{
    const char *names[ROW_COUNT + 1];
    size_t count = 0;

    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].where & where)
            names[count++] = rows[i].name;
    names[count] = NULL;
    const char *near = cordon_suggest(node->key, names);
    const char *no_such = "";
    if (near == NULL && where != HOST && up_quota_named(node->key, &near) != CORDON_QUOTA_COUNT)
        no_such = "; it belongs under `quotas`";
    else if (near != NULL)
        return up_fail(reader->fault, node->key_place, "unknown key %.40s; did you mean %s?",
                       node->key, near);
    return up_fail(reader->fault, node->key_place, "unknown key %.40s%s", node->key, no_such);
}

static bool take_map(struct reader *reader, const struct up_node *map, int where)
{
    for (const struct up_node *one = map->first; one != NULL; one = one->next) {
        const struct row *row = rows;
        while (row < rows + ROW_COUNT && !((row->where & where) && is_same(one->key, row->name)))
            row++;
        if (row == rows + ROW_COUNT)
            return unknown_key(reader, one, where);
        snprintf(reader->key, sizeof reader->key, "%s", one->key);
        if (!row->take(reader, one))
            return false;
    }
    return true;
}

static bool take_defaults(struct reader *reader, const struct up_node *node)
{
    reader->spec = &reader->defaults;
    return node->kind == UP_MAP ? take_map(reader, node, DEFAULT)
                                : fail(reader, node, "a map of quotas, env, restart, log-size");
}

/* ------------------------------------------------------------------ the whole */

static struct up_spec *new_spec(struct reader *reader, const struct up_node *node)
{
    struct up_plan *plan = reader->plan;
    const struct up_spec *defaults = &reader->defaults;

    if (plan->count == plan->room) {
        uint32_t room = plan->room ? plan->room * 2 : 8;
        struct up_spec *vms = realloc(plan->vms, room * sizeof *vms);
        if (vms == NULL)
            return NULL;
        plan->vms = vms;
        plan->room = room;
    }
    struct up_spec *spec = &plan->vms[plan->count++];
    up_spec_init(spec);
    snprintf(spec->name, sizeof spec->name, "%s", node->key);
    memcpy(spec->limit, defaults->limit, sizeof spec->limit);
    spec->restart = defaults->restart;
    spec->restarts_max = defaults->restarts_max;
    spec->log_size = defaults->log_size;
    spec->is_shared = defaults->is_shared;
    spec->sandbox = defaults->sandbox;
    spec->is_strict = defaults->is_strict;
    spec->has_user = defaults->has_user;
    spec->user = defaults->user;
    spec->group = defaults->group;
    for (uint32_t i = 0; i < defaults->env.count; i++)
        if (!up_strings_add(&spec->env, defaults->env.items[i]))
            return NULL;
    /* The module's name, the guest's first argument, is filled in when it is known. */
    return up_strings_add(&spec->args, "") ? spec : NULL;
}

/* The guest is told the module's path as it stands in the file. */
static bool name_module(struct up_spec *spec, const struct up_node *node)
{
    for (const struct up_node *one = node->first; one != NULL; one = one->next)
        if (strcmp(one->key, "module") == 0) {
            char *text = strdup(one->text);
            if (text == NULL)
                return false;
            free(spec->args.items[0]);
            spec->args.items[0] = text;
        }
    return true;
}

static bool take_vm(struct reader *reader, const struct up_node *node)
{
    if (!up_name_is_good(node->key))
        return up_fail(reader->fault, node->key_place,
                       "%.70s: a VM's name has at most %d letters, digits and -_., begins with "
                       "a letter or digit, and is not `all`", node->key, UP_NAME_MAX);
    snprintf(reader->key, sizeof reader->key, "%s", node->key);
    if (node->kind != UP_MAP)
        return fail(reader, node, "a map with at least `module`");
    reader->spec = new_spec(reader, node);
    if (reader->spec == NULL)
        return no_memory(reader, node);
    if (!take_map(reader, node, VM | DEFAULT))
        return false;
    if (reader->spec->module == NULL)
        return up_fail(reader->fault, node->key_place, "%s: no module is named", node->key);
    if (reader->spec->is_strict &&
        (reader->spec->is_shared || strcmp(reader->spec->sandbox, "off") == 0))
        return up_fail(reader->fault, node->key_place,
                       "%s: `strict` needs a process of its own, with a sandbox", node->key);
    return name_module(reader->spec, node) || no_memory(reader, node);
}

static bool take_all(struct reader *reader, const struct up_node *root)
{
    if (root->kind != UP_MAP)
        return up_fail(reader->fault, root->place, "expected keys such as `vms`");
    if (!take_map(reader, root, HOST))
        return false;
    if (reader->vms == NULL)
        return up_fail(reader->fault, root->place, "there is no `vms`");
    for (const struct up_node *one = reader->vms->first; one != NULL; one = one->next)
        if (!take_vm(reader, one))
            return false;
    return true;
}

bool up_plan_read(struct up_plan *plan, const char *text, size_t size, const char *folder,
                  struct up_fault *fault)
{
    struct reader reader = {.plan = plan, .folder = folder, .fault = fault};
    struct up_node *root = up_yaml_read(text, size, fault);

    *plan = (struct up_plan){0};
    up_spec_init(&reader.defaults);
    bool good = root != NULL && take_all(&reader, root);
    up_spec_release(&reader.defaults);
    up_yaml_free(root);
    return good;
}

void up_plan_free(struct up_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++)
        up_spec_release(&plan->vms[i]);
    free(plan->vms);
    free((char *)(uintptr_t)plan->store.path);
    free((char *)(uintptr_t)plan->store.key_file);
    *plan = (struct up_plan){0};
}
