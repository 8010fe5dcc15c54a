/* The requests, one function each: a row of control.def is a name, its answer_ function. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/mode.h"
#include "cli/options.h"
#include "cli/up_conn.h"
#include "cli/up_file.h"
#include "cli/user.h"

/* One request under way. */
struct request {
    struct up_conn *conn;
    struct up_host *host;
    json_t *body;
};

typedef void (*answer_fn)(struct request *request);

static json_t *more_of(const char *key, const char *value, const char *near)
{
    json_t *more = json_object();

    /* json_string gives NULL for what is no UTF-8, and setting that does nothing. */
    if (value != NULL)
        json_object_set_new(more, key, json_string(value));
    if (near != NULL)
        json_object_set_new(more, "near", json_string(near));
    return more;
}

static void refuse_member(struct request *request, const char *member, const char *expected)
{
    up_conn_refuse(request->conn, UP_REFUSED_BAD_REQUEST, NULL,
                   "%s: expected %s", member, expected);
}

/* ------------------------------------------------------------------ naming VMs */

static void refuse_name(struct request *request, const char *name)
{
    const char **names = calloc(request->host->vm_count + 1, sizeof *names);
    const char *near = NULL;
    uint32_t count = 0;

    if (names != NULL) {
        for (struct up_vm *vm = request->host->vms; vm != NULL; vm = vm->next)
            names[count++] = vm->spec.name;
        near = cordon_suggest(name, names);
    }
    up_conn_refuse(request->conn, UP_REFUSED_NO_SUCH_VM, more_of("vm", name, near),
                   "there is no VM %.80s%s%s%s", name, near ? "; did you mean " : "",
                   near ? near : "", near ? "?" : "");
    free(names);
}

/* The VM that the member `vm` names; NULL after a refusal. */
static struct up_vm *named_vm(struct request *request)
{
    const char *name = json_string_value(json_object_get(request->body, "vm"));

    if (name == NULL) {
        refuse_member(request, "vm", "the name of a VM");
        return NULL;
    }
    struct up_vm *vm = up_vm_named(request->host, name);
    if (vm == NULL)
        refuse_name(request, name);
    return vm;
}

/* Those that `vms` names, up to a NULL, to be freed: "all" are all that live. NULL after a
 * refusal: nothing is done to some when others are not there. */
static struct up_vm **named_vms(struct request *request)
{
    const json_t *names = json_object_get(request->body, "vms");
    const char *word = json_string_value(names);
    bool is_all = word != NULL && strcmp(word, "all") == 0;
    size_t count = is_all ? request->host->vm_count : json_array_size(names), found = 0;
    struct up_vm **vms = calloc(count + 1, sizeof(struct up_vm *));

    if (vms == NULL || (!is_all && (!json_is_array(names) || count == 0))) {
        refuse_member(request, "vms", "a list of names, or \"all\"");
        free(vms);
        return NULL;
    }
    for (struct up_vm *vm = request->host->vms; is_all && vm != NULL; vm = vm->next)
        if (up_vm_is_live(vm))
            vms[found++] = vm;
    for (size_t i = 0; !is_all && i < count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        struct up_vm *vm = name != NULL ? up_vm_named(request->host, name) : NULL;
        if (vm == NULL && name != NULL)
            refuse_name(request, name);
        else if (vm == NULL)
            refuse_member(request, "vms", "a list of names, or \"all\"");
        else if (!up_vm_is_live(vm))
            up_conn_refuse(request->conn, UP_REFUSED_ENDED,
                           more_of("vm", name, NULL), "%s has ended", name);
        if (vm == NULL || !up_vm_is_live(vm)) {
            free(vms);
            return NULL;
        }
        vms[found++] = vm;
    }
    return vms;
}

static void answer_names(struct request *request, struct up_vm **vms)
{
    json_t *names = json_array();

    for (size_t i = 0; vms[i] != NULL; i++)
        json_array_append_new(names, json_string(vms[i]->spec.name));
    up_conn_answer(request->conn, json_pack("{s:o}", "vms", names));
}

/* ------------------------------------------------------------------ looking */

static void answer_ps(struct request *request)
{
    json_t *rows = json_array();

    for (struct up_vm *vm = request->host->vms; vm != NULL; vm = vm->next)
        json_array_append_new(rows, up_figures_ps(vm));
    up_conn_answer(request->conn, json_pack("{s:o}", "vms", rows));
}

static void answer_stats(struct request *request)
{
    struct up_vm *one = NULL;

    if (json_object_get(request->body, "vm") != NULL && (one = named_vm(request)) == NULL)
        return;
    json_t *rows = json_array();
    for (struct up_vm *vm = request->host->vms; vm != NULL; vm = vm->next)
        if (one == NULL || vm == one)
            json_array_append_new(rows, up_figures_stats(vm));
    up_conn_answer(request->conn, json_pack("{s:o}", "vms", rows));
}

static void answer_metrics(struct request *request)
{
    size_t size;
    char *text = up_figures_metrics(request->host, &size);

    up_conn_answer(request->conn, json_pack("{s:s%}", "text", text ? text : "",
                                                         text ? size : (size_t)0));
    free(text);
}

static void answer_logs(struct request *request)
{
    struct up_vm *vm = named_vm(request);
    const json_t *tail = json_object_get(request->body, "tail");
    const json_t *follow = json_object_get(request->body, "follow");

    if (vm == NULL)
        return;
    if (tail != NULL && (!json_is_integer(tail) || json_integer_value(tail) < 0)) {
        refuse_member(request, "tail", "a number of lines");
        return;
    }
    if (follow != NULL && !json_is_boolean(follow)) {
        refuse_member(request, "follow", "true or false");
        return;
    }
    up_vm_drain(vm);
    uint64_t from = tail ? up_log_tail(&vm->log, (uint64_t)json_integer_value(tail))
                         : vm->log.begin;
    up_conn_send_log(request->conn, vm, from, json_is_true(follow) ? UINT64_MAX : vm->log.end);
}

/* ------------------------------------------------------------------ changing */

static void answer_pause(struct request *request)
{
    struct up_vm **vms = named_vms(request);

    for (size_t i = 0; vms != NULL && vms[i] != NULL; i++)
        up_vm_pause(vms[i], true);
    if (vms != NULL)
        answer_names(request, vms);
    free(vms);
}

static void answer_resume(struct request *request)
{
    struct up_vm **vms = named_vms(request);

    for (size_t i = 0; vms != NULL && vms[i] != NULL; i++)
        up_vm_pause(vms[i], false);
    if (vms != NULL)
        answer_names(request, vms);
    free(vms);
}

/* The host stops when this is done: where it has no VMs, it ends its connections at once. */
static void answer_down(struct request *request)
{
    struct up_host *host = request->conn->host;
    json_t *names = json_array();

    for (const struct up_vm *vm = host->vms; vm != NULL; vm = vm->next)
        if (up_vm_is_live(vm))
            json_array_append_new(names, json_string(vm->spec.name));
    up_conn_answer(request->conn, json_pack("{s:o}", "vms", names));
    host->is_told_to_stop = true;
    uv_async_send(&host->done);
}

static void answer_kill(struct request *request)
{
    const json_t *signal = json_object_get(request->body, "signal");

    if (signal != NULL && (!json_is_integer(signal) || json_integer_value(signal) < 1 ||
                           json_integer_value(signal) > 64)) {
        refuse_member(request, "signal", "a number from 1 to 64");
        return;
    }
    struct up_vm **vms = named_vms(request);
    if (vms == NULL)
        return;
    answer_names(request, vms);
    for (size_t i = 0; vms[i] != NULL; i++)
        up_vm_kill(vms[i], signal ? (int)json_integer_value(signal) : SIGKILL);
    free(vms);
}

/* One entry of `values` or `quotas`; false after a refusal. */
static bool take_value(struct request *request, const char *key, const json_t *value,
                       uint64_t *limits, uint64_t *mask)
{
    const char *near = NULL, *text = json_string_value(value);
    cordon_quota_t quota = up_quota_named(key, &near);
    char why[CLI_WHY_MAX] = "expected a text, a number or null";
    uint64_t amount = CORDON_UNLIMITED;
    bool good;

    if (quota == CORDON_QUOTA_COUNT) {
        up_conn_refuse(request->conn, UP_REFUSED_BAD_KEY, more_of("key", key, near),
                       "there is no quota %.40s%s%s%s", key, near ? "; did you mean " : "",
                       near ? near : "", near ? "?" : "");
        return false;
    }
    if (text != NULL)
        good = cli_parse_quota(quota, text, &amount, why);
    else {
        if (json_is_integer(value))
            amount = (uint64_t)json_integer_value(value);
        good = json_is_null(value) ||
               (json_is_integer(value) && json_integer_value(value) >= 0);
        good = good && cli_check_quota(quota, amount, why);
    }
    if (!good) {
        up_conn_refuse(request->conn, UP_REFUSED_BAD_VALUE,
                       more_of("key", key, NULL), "%s%s%.40s: %s", key, text ? "=" : "",
                       text ? text : "", why);
        return false;
    }
    limits[quota] = amount;
    *mask |= 1ull << quota;
    return true;
}

static bool take_values(struct request *request, json_t *values, uint64_t *limits,
                        uint64_t *mask)
{
    const char *key;
    json_t *value;

    *mask = 0;
    json_object_foreach(values, key, value)
        if (!take_value(request, key, value, limits, mask))
            return false;
    return true;
}

static json_t *amount_of(uint64_t amount)
{
    return amount > INT64_MAX ? json_null() : json_integer((json_int_t)amount);
}

static void answer_set(struct request *request)
{
    struct up_vm *vm = named_vm(request);
    json_t *values = json_object_get(request->body, "values");
    uint64_t limits[CORDON_QUOTA_COUNT], mask;
    cordon_quota_t refused;

    if (vm == NULL)
        return;
    if (json_object_size(values) == 0) {
        refuse_member(request, "values", "an object of quotas and amounts");
        return;
    }
    if (!take_values(request, values, limits, &mask))
        return;
    if (!up_vm_is_live(vm)) {
        up_conn_refuse(request->conn, UP_REFUSED_ENDED,
                       more_of("vm", vm->spec.name, NULL), "%s has ended", vm->spec.name);
        return;
    }
    if (!up_vm_set(vm, mask, limits, &refused)) {
        const char *name = cordon_quota_name(refused);
        up_conn_refuse(request->conn, UP_REFUSED_BAD_VALUE,
                       more_of("key", name, NULL),
                       "%s: the host cannot promise that much", name);
        return;
    }
    json_t *now = json_object();
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++)
        if (mask & 1ull << i)
            json_object_set_new(now, cordon_quota_name((cordon_quota_t)i),
                                amount_of(vm->spec.limit[i]));
    up_conn_answer(request->conn, json_pack("{s:s, s:o}", "vm", vm->spec.name, "values", now));
}

/* ------------------------------------------------------------------ run */

static bool refuse_fd(struct request *request, const char *what)
{
    up_conn_refuse(request->conn, UP_REFUSED_BAD_FD, NULL,
                   "%s: `fd` is none of the %d descriptors that came with the line", what,
                   request->conn->fd_count);
    return false;
}

static bool no_memory(struct request *request)
{
    up_conn_refuse(request->conn, UP_REFUSED_FAILED,
                   json_pack("{s:i}", "exit_code", 125), "no memory left");
    return false;
}

/* A descriptor that came along, which is then the caller's; -1 when it is not there. */
static int claim(struct request *request, const json_t *number)
{
    json_int_t at = json_is_integer(number) ? json_integer_value(number) : -1;

    if (at < 0 || at >= request->conn->fd_count)
        return -1;
    int fd = request->conn->fds[at];
    request->conn->fds[at] = -1;
    return fd;
}

static bool take_strings(struct request *request, const char *member, struct up_strings *strings)
{
    const json_t *list = json_object_get(request->body, member);
    const json_t *item;
    size_t i;

    if (list != NULL && !json_is_array(list)) {
        refuse_member(request, member, "a list of texts");
        return false;
    }
    json_array_foreach(list, i, item) {
        if (!json_is_string(item)) {
            refuse_member(request, member, "a list of texts");
            return false;
        }
        if (!up_strings_add(strings, json_string_value(item)))
            return no_memory(request);
    }
    return true;
}

static bool take_dirs(struct request *request, struct up_spec *spec)
{
    const json_t *list = json_object_get(request->body, "dirs");
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item) {
        const char *guest = json_string_value(json_object_get(item, "guest"));
        if (guest == NULL || guest[0] == '\0') {
            refuse_member(request, "dirs", "objects with `fd`, `guest` and perhaps `read_only`");
            return false;
        }
        struct up_dir dir = {.fd = claim(request, json_object_get(item, "fd")),
                             .guest = (char *)(uintptr_t)guest,
                             .read_only = json_is_true(json_object_get(item, "read_only"))};
        if (dir.fd < 0)
            return refuse_fd(request, "dirs");
        if (!up_spec_add_dir(spec, dir))
            return no_memory(request);
    }
    return true;
}

/* A number of its own kind, or none: unlimited. */
static uint64_t size_of(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);
    json_int_t value = json_is_integer(number) ? json_integer_value(number) : 0;

    return value > 0 ? (uint64_t)value : CORDON_UNLIMITED;
}

static bool take_volumes(struct request *request, struct up_spec *spec)
{
    const json_t *list = json_object_get(request->body, "volumes");
    const json_t *item, *key;
    size_t i;

    json_array_foreach(list, i, item) {
        const char *guest = json_string_value(json_object_get(item, "guest"));
        if (guest == NULL || guest[0] == '\0') {
            refuse_member(request, "volumes", "objects with `fd`, `guest` and perhaps `key`, "
                                              "`read_only`, `size`, `inodes`");
            return false;
        }
        key = json_object_get(item, "key");
        struct up_lent one = {
            .lent = {claim(request, json_object_get(item, "fd")),
                     key != NULL ? claim(request, key) : -1, size_of(item, "size"),
                     size_of(item, "inodes")},
            .guest = (char *)(uintptr_t)guest,
            .read_only = json_is_true(json_object_get(item, "read_only")),
        };
        bool is_there = one.lent.dir >= 0 && (key == NULL || one.lent.key >= 0);
        if (!up_spec_add_lent(spec, one))
            return no_memory(request);
        if (!is_there)
            return refuse_fd(request, "volumes");
    }
    return true;
}

static bool take_listeners(struct request *request, struct up_spec *spec)
{
    const json_t *list = json_object_get(request->body, "listeners");
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item) {
        int fd = claim(request, json_object_get(item, "fd"));
        if (fd < 0)
            return refuse_fd(request, "listeners");
        if (!up_spec_add_listener(spec, (struct up_listener){NULL, fd}))
            return no_memory(request);
    }
    return true;
}

static bool take_module(struct request *request, struct up_spec *spec)
{
    const json_t *module = json_object_get(request->body, "module");
    const char *name = json_string_value(json_object_get(module, "name"));

    if (name == NULL) {
        refuse_member(request, "module", "an object with `fd` and `name`");
        return false;
    }
    spec->module_fd = claim(request, json_object_get(module, "fd"));
    if (spec->module_fd < 0)
        return refuse_fd(request, "module");
    return up_strings_add(&spec->args, name) || no_memory(request);
}

/* The letters of the module's file name, with a number behind them where that is taken. */
static void make_name(const struct up_host *host, const char *module, char *name)
{
    const char *base = strrchr(module, '/') ? strrchr(module, '/') + 1 : module;
    size_t size = strspn(base, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    unsigned number = 1;

    if (size > 40)
        size = 40;
    if (size == 0) {
        base = "vm";
        size = 2;
    }
    snprintf(name, UP_NAME_MAX + 1, "%.*s", (int)size, base);
    while (up_vm_named(host, name) != NULL)
        snprintf(name, UP_NAME_MAX + 1, "%.*s-%u", (int)size, base, ++number);
}

static bool take_name(struct request *request, struct up_spec *spec)
{
    const json_t *member = json_object_get(request->body, "name");
    const char *name = json_string_value(member);

    if (member == NULL) {
        make_name(request->host, spec->args.items[0], spec->name);
        return true;
    }
    if (name == NULL || !up_name_is_good(name)) {
        refuse_member(request, "name",
                      "at most 63 letters, digits and -_., a letter or digit first, not `all`");
        return false;
    }
    const struct up_vm *vm = up_vm_named(request->host, name);
    if (vm != NULL && up_vm_is_live(vm)) {
        up_conn_refuse(request->conn, UP_REFUSED_NAME_TAKEN,
                       more_of("vm", name, NULL), "there is a VM %s already", name);
        return false;
    }
    snprintf(spec->name, sizeof spec->name, "%s", name);
    return true;
}

static bool take_sandbox(struct request *request, struct up_spec *spec)
{
    const json_t *sandbox = json_object_get(request->body, "sandbox");

    if (sandbox == NULL)
        return true;
    const char *mode =
        json_is_string(sandbox) ? cli_modes[cli_mode_of(json_string_value(sandbox))] : NULL;
    if (mode == NULL) {
        refuse_member(request, "sandbox", "required, best-effort or off");
        return false;
    }
    spec->sandbox = mode;
    return true;
}

static bool take_strict(struct request *request, struct up_spec *spec)
{
    spec->is_strict = json_is_true(json_object_get(request->body, "strict"));
    if (!spec->is_strict || strcmp(spec->sandbox, "off") != 0)
        return true;
    refuse_member(request, "strict", "a sandbox, which is off");
    return false;
}

static bool take_user(struct request *request, struct up_spec *spec)
{
    const json_t *user = json_object_get(request->body, "user");
    const char *why = "expected a text";

    if (user == NULL)
        return true;
    spec->has_user = true;
    if (json_is_string(user) &&
        cli_parse_user(json_string_value(user), &spec->user, &spec->group, &why))
        return true;
    up_conn_refuse(request->conn, UP_REFUSED_BAD_REQUEST, NULL, "user: %s", why);
    return false;
}

static bool take_policy(struct request *request, struct up_spec *spec)
{
    const json_t *restart = json_object_get(request->body, "restart");
    const json_t *log_size = json_object_get(request->body, "log_size");

    if (restart != NULL && (!json_is_string(restart) ||
                            !up_parse_restart(json_string_value(restart), spec))) {
        refuse_member(request, "restart", "no, on-failure, on-failure:N or always");
        return false;
    }
    if (!take_sandbox(request, spec) || !take_strict(request, spec) ||
        !take_user(request, spec))
        return false;
    if (log_size == NULL)
        return true;
    if (!json_is_integer(log_size) || json_integer_value(log_size) < 0 ||
        json_integer_value(log_size) > UP_LOG_MAX) {
        refuse_member(request, "log_size", "a number of bytes, at most 1 GiB");
        return false;
    }
    spec->log_size = (uint64_t)json_integer_value(log_size);
    return true;
}

/* False after a refusal, or when memory is exhausted. */
static bool take_spec(struct request *request, struct up_spec *spec)
{
    json_t *quotas = json_object_get(request->body, "quotas");
    uint64_t mask;

    if (quotas != NULL && !json_is_object(quotas)) {
        refuse_member(request, "quotas", "an object of quotas and amounts");
        return false;
    }
    return take_module(request, spec) && take_name(request, spec) &&
           take_policy(request, spec) &&
           (quotas == NULL || take_values(request, quotas, spec->limit, &mask)) &&
           take_strings(request, "args", &spec->args) &&
           take_strings(request, "env", &spec->env) && take_dirs(request, spec) &&
           take_volumes(request, spec) &&
           take_listeners(request, spec);
}

static void answer_run(struct request *request)
{
    struct up_host *host = request->host;
    struct up_spec spec;
    cordon_error_t error;

    if (host->is_stopping) {
        up_conn_refuse(request->conn, UP_REFUSED_STOPPING, NULL,
                       "the host is about to end");
        return;
    }
    if (host->vm_count >= UP_VMS_MAX) {
        up_conn_refuse(request->conn, UP_REFUSED_TOO_MANY, NULL,
                       "more than %d VMs", UP_VMS_MAX);
        return;
    }
    up_spec_init(&spec);
    if (take_spec(request, &spec)) {
        struct up_vm *vm = up_vm_add(host, &spec, true, &error);
        if (vm == NULL)
            up_conn_refuse(request->conn, UP_REFUSED_FAILED,
                           json_pack("{s:i}", "exit_code", 125), "%s", error.message);
        else {
            vm->asked = request->conn;
            request->conn->is_waiting = true;
        }
    }
    up_spec_release(&spec);
}

/* ------------------------------------------------------------------ lines */

static const struct {
    const char *name;
    answer_fn answer;
} requests[] = {
#define STATE(...)
#define REQUEST(name, ...) {#name, answer_##name},
#define REFUSAL(...)
#include "spec/control.def"
#undef REFUSAL
#undef REQUEST
#undef STATE
};
#define REQUEST_COUNT (sizeof requests / sizeof requests[0])

static void greet(struct up_conn *conn, const json_t *body)
{
    const json_t *version = json_object_get(body, "cordon");

    if (!json_is_integer(version) || json_integer_value(version) != UP_CONTROL_VERSION) {
        up_conn_refuse(conn, UP_REFUSED_VERSION, NULL,
                       "expected {\"cordon\": %d} as the first line", UP_CONTROL_VERSION);
        conn->is_ending = true;
        return;
    }
    conn->is_greeted = true;
    up_conn_send(conn, json_pack("{s:i, s:s, s:i, s:I}", "cordon", UP_CONTROL_VERSION, "version",
                                 cordon_version(), "pid", (int)getpid(), "uptime_ns",
                                 (json_int_t)(up_now_ns() - conn->host->started_ns)));
}

static void dispatch(struct request *request)
{
    const char *names[REQUEST_COUNT + 1] = {NULL};
    const char *name = json_string_value(json_object_get(request->body, "do"));

    if (name == NULL) {
        refuse_member(request, "do", "the name of a request");
        return;
    }
    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        names[i] = requests[i].name;
        if (strcmp(name, names[i]) == 0) {
            requests[i].answer(request);
            return;
        }
    }
    const char *near = cordon_suggest(name, names);
    up_conn_refuse(request->conn, UP_REFUSED_BAD_REQUEST,
                   more_of("do", name, near), "unknown request %.40s%s%s%s", name,
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

void up_answer_line(struct up_conn *conn, const char *line, size_t size)
{
    json_error_t error;
    json_t *body = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);

    if (!json_is_object(body)) {
        up_conn_refuse(conn, UP_REFUSED_BAD_LINE, NULL, "%s",
                       body ? "the line is no JSON object" : error.text);
        conn->is_ending = true;
    } else if (!conn->is_greeted)
        greet(conn, body);
    else {
        struct request request = {conn, conn->host, body};
        conn->id = json_integer_value(json_object_get(body, "id"));
        dispatch(&request);
    }
    json_decref(body);
}
