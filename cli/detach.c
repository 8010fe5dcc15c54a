/* cordon run --detach: everything is opened here, with the rights of whoever asks, and handed to
 * the host as descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/control.h"
#include "cli/file.h"
#include "cli/grant.h"
#include "cli/up_spec.h"
#include "cli/volume.h"

#define FDS_MAX 128
#define BACKLOG 511

/* The request that is put together. */
struct asked {
    const struct cli_options *options;
    json_t *body;
    int fds[FDS_MAX];
    int count;
    int code;
};

static bool fail(struct asked *asked, const char *what, const char *why)
{
    cli_complain("%s: %s", what, why);
    asked->code = 125;
    return false;
}

static bool add_fd(struct asked *asked, int fd, const char *what)
{
    if (fd < 0)
        return fail(asked, what, strerror(errno));
    if (asked->count == FDS_MAX) {
        close(fd);
        return fail(asked, what, "more than 128 directories and listeners");
    }
    asked->fds[asked->count++] = fd;
    return true;
}

/* ------------------------------------------------------------------ opening */

/* What is no file of its own, such as stdin, is handed over as one. */
static int module_copy(struct asked *asked)
{
    struct cli_file file;
    int fd = -1;

    if (!cli_file_read(&file, asked->options->module, &asked->code))
        return -1;
    fd = memfd_create("module", MFD_CLOEXEC);
    for (size_t done = 0; fd >= 0 && done < file.size;) {
        ssize_t count = write(fd, file.bytes + done, file.size - done);
        if (count < 0) {
            close(fd);
            fd = -1;
            break;
        }
        done += (size_t)count;
    }
    if (fd < 0)
        fail(asked, asked->options->module, strerror(errno));
    cli_file_free(&file);
    return fd;
}

static bool add_module(struct asked *asked)
{
    const char *path = asked->options->module;
    struct stat status;
    bool is_file = stat(path, &status) == 0 && S_ISREG(status.st_mode);
    int fd = is_file ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : module_copy(asked);

    if (fd < 0 && is_file) {
        cli_complain("%s: %s", path, strerror(errno));
        asked->code = 127;
    }
    if (fd < 0 || !add_fd(asked, fd, path))
        return false;
    json_object_set_new(asked->body, "module",
                        json_pack("{s:i, s:s}", "fd", asked->count - 1, "name", path));
    return true;
}

static bool add_dir(struct asked *asked, json_t *list, const struct cli_dir *dir)
{
    if (!add_fd(asked, open(dir->host, O_PATH | O_DIRECTORY | O_CLOEXEC), dir->host))
        return false;
    json_array_append_new(list, json_pack("{s:i, s:s, s:b}", "fd", asked->count - 1, "guest",
                                          dir->guest, "read_only", dir->read_only));
    return true;
}

static bool add_dirs(struct asked *asked)
{
    const struct cli_options *options = asked->options;
    static struct cli_dir dir;
    json_t *list = json_array();

    json_object_set_new(asked->body, "dirs", list);
    for (int i = 0; i < options->dir.count; i++)
        if (!cli_split_dir(options->dir.items[i], &dir) || !add_dir(asked, list, &dir))
            return false;
    for (int i = 0; i < options->volume.count; i++)
        if (!cli_volume_is_named(options->volume.items[i]) &&
            (!cli_split_volume(options->volume.items[i], &dir) || !add_dir(asked, list, &dir)))
            return false;
    return true;
}

/* Its directory, locked, and a pipe with its key, if it has one: the host gets no way to others. */
static bool add_lent(struct asked *asked, json_t *list, const struct cli_volume *volume,
                     const cordon_lent_t *lent)
{
    json_t *object = json_pack("{s:s, s:b}", "guest", volume->guest, "read_only",
                               volume->read_only);

    json_array_append_new(list, object);
    if (!add_fd(asked, lent->dir, volume->name)) {
        if (lent->key >= 0)
            close(lent->key);
        return false;
    }
    json_object_set_new(object, "fd", json_integer(asked->count - 1));
    if (lent->key >= 0 && !add_fd(asked, lent->key, volume->name))
        return false;
    if (lent->key >= 0)
        json_object_set_new(object, "key", json_integer(asked->count - 1));
    if (lent->size <= INT64_MAX)
        json_object_set_new(object, "size", json_integer((json_int_t)lent->size));
    if (lent->inodes <= INT64_MAX)
        json_object_set_new(object, "inodes", json_integer((json_int_t)lent->inodes));
    return true;
}

static bool add_volume(struct asked *asked, json_t *list, cordon_store_t **store, const char *text)
{
    const struct cli_options *options = asked->options;
    const struct cli_store where = {options->store, options->key_file, options->key_on_same_disk};
    static struct cli_volume volume;
    char why[CLI_WHY_MAX];
    cordon_error_t error;
    cordon_lent_t lent;

    if (!cli_split_named(text, &volume, why))
        return fail(asked, text, why);
    if (*store == NULL)
        *store = cli_store_open(&where, &error);
    if (*store == NULL || !cli_volume_lend(*store, &volume, &lent, &error)) {
        cli_complain("%s", error.message);
        asked->code = 125;
        return false;
    }
    return add_lent(asked, list, &volume, &lent);
}

static bool add_volumes(struct asked *asked)
{
    const struct cli_options *options = asked->options;
    json_t *list = json_array();
    cordon_store_t *store = NULL;
    bool good = true;

    json_object_set_new(asked->body, "volumes", list);
    for (int i = 0; good && i < options->volume.count; i++)
        if (cli_volume_is_named(options->volume.items[i]))
            good = add_volume(asked, list, &store, options->volume.items[i]);
    cordon_store_close(store);
    return good;
}

/* A listening socket on a numeric address; -1 with errno. */
static int open_listener(const char *host, const char *port)
{
    struct addrinfo wanted = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                              .ai_socktype = SOCK_STREAM}, *found = NULL;
    const int yes = 1;

    if (getaddrinfo(host, port, &wanted, &found) != 0) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool is_open = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 &&
                   listen(fd, BACKLOG) == 0;
    int why = errno;
    freeaddrinfo(found);
    if (!is_open && fd >= 0)
        close(fd);
    errno = why;
    return is_open ? fd : -1;
}

static void say_port(int fd, const char *host, const char *asked)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    char port[12];

    if (strtoul(asked, NULL, 10) != 0 || getsockname(fd, (struct sockaddr *)&bound, &size) != 0 ||
        getnameinfo((struct sockaddr *)&bound, size, NULL, 0, port, sizeof port,
                    NI_NUMERICSERV) != 0)
        return;
    fprintf(stderr, "cordon: listening on %s:%s\n", host, port);
}

static bool add_listener(struct asked *asked, json_t *list, const char *text)
{
    char address[80];

    cli_split_listener(text, address, sizeof address);
    char *colon = strrchr(address, ':');
    if (colon == NULL)
        return fail(asked, text, "expected [HOST:]PORT");
    *colon = '\0';
    char *host = address;
    size_t size = strlen(host);
    if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
        host[size - 1] = '\0';
        host++;
    }
    int fd = open_listener(host, colon + 1);
    if (!add_fd(asked, fd, text))
        return false;
    say_port(fd, host, colon + 1);
    json_array_append_new(list, json_pack("{s:i}", "fd", asked->count - 1));
    return true;
}

static bool add_listeners(struct asked *asked)
{
    json_t *list = json_array();

    json_object_set_new(asked->body, "listeners", list);
    for (int i = 0; i < asked->options->listen.count; i++)
        if (!add_listener(asked, list, asked->options->listen.items[i]))
            return false;
    return true;
}

/* ------------------------------------------------------------------ the rest of the request */

static bool add_texts(struct asked *asked)
{
    const struct cli_options *options = asked->options;
    json_t *args = json_array(), *env = json_array();

    json_object_set_new(asked->body, "args", args);
    json_object_set_new(asked->body, "env", env);
    for (int i = 0; i < options->arg_count; i++)
        if (json_array_append_new(args, json_string(options->args[i])) != 0)
            return fail(asked, options->args[i], "arguments of --detach must be UTF-8");
    for (int i = 0; i < options->env.count; i++) {
        bool good;
        char *variable = cli_variable(options->env.items[i], &good);
        if (variable != NULL && json_array_append_new(env, json_string(variable)) != 0)
            good = fail(asked, options->env.items[i], "variables of --detach must be UTF-8");
        free(variable);
        if (!good)
            return false;
    }
    return true;
}

static bool add_policy(struct asked *asked)
{
    const struct cli_options *options = asked->options;
    uint64_t size;

    json_t *quotas = json_object();
    json_object_set_new(asked->body, "quotas", quotas);
    for (int i = 0; i < CORDON_QUOTA_COUNT; i++)
        json_object_set_new(quotas, cordon_quota_name((cordon_quota_t)i),
                            options->limit[i] > INT64_MAX
                                ? json_null() : json_integer((json_int_t)options->limit[i]));
    if (options->name != NULL)
        json_object_set_new(asked->body, "name", json_string(options->name));
    if (options->restart != NULL)
        json_object_set_new(asked->body, "restart", json_string(options->restart));
    if (options->sandbox_mode != NULL)
        json_object_set_new(asked->body, "sandbox", json_string(options->sandbox_mode));
    if (options->strict)
        json_object_set_new(asked->body, "strict", json_true());
    if (options->user != NULL)
        json_object_set_new(asked->body, "user", json_string(options->user));
    if (options->log_size == NULL)
        return true;
    if (!cli_parse_amount(options->log_size, CLI_BYTES, &size) || size > UP_LOG_MAX)
        return fail(asked, "--log-size", "expected a size such as 256k, at most 1g");
    json_object_set_new(asked->body, "log_size", json_integer((json_int_t)size));
    return true;
}

/* What a VM that runs elsewhere cannot do. */
static bool is_possible(struct asked *asked)
{
    const struct cli_options *options = asked->options;
    const char *option = options->invoke  ? "--invoke"
                         : options->meta  ? "--meta"
                         : options->stats ? "--stats"
                         : options->import_native.count > 0 ? "--import-native"
                         : options->preload.count > 0 ? "--preload"
                         : options->eager || options->lazy ? "--eager and --lazy"
                         : options->preempt_everywhere || options->collect_everywhere ||
                                 options->move_on_grow ? "options for tests" : NULL;

    return option == NULL || fail(asked, option, "cannot be used with --detach");
}

/* ------------------------------------------------------------------ a host for it */

#define TRIES 500 /* of 10 ms */

/* What the process that should become a host has to say is kept: somebody else may have been
 * quicker, and then it does not matter. */
struct starting {
    char said[700];
    pid_t child;
    int pipe[2];
};

/* A host of its own for this user, which ends some seconds after its last VM. */
static bool start_host(struct starting *starting, const char *path)
{
    int status = 0;
    ssize_t size;

    *starting = (struct starting){.child = -1};
    if (pipe2(starting->pipe, O_CLOEXEC) != 0)
        return false;
    starting->child = fork();
    if (starting->child == 0) {
        dup2(starting->pipe[1], 2);
        execl("/proc/self/exe", "cordon", "up", "--background", "--linger", "10s", "--host", path,
              (char *)NULL);
        _exit(127);
    }
    close(starting->pipe[1]);
    bool is_over = starting->child > 0 && waitpid(starting->child, &status, 0) > 0;
    fcntl(starting->pipe[0], F_SETFL, O_NONBLOCK);
    size = read(starting->pipe[0], starting->said, sizeof starting->said - 1);
    starting->said[size > 0 ? size : 0] = '\0';
    close(starting->pipe[0]);
    return is_over;
}

static bool open_client(struct asked *asked, struct cli_client *client)
{
    const char *host = asked->options->host;
    struct starting starting;
    char path[CLI_PLACE_MAX];

    bool is_open = cli_client_open(client, host, true);
    asked->code = client->code;
    if (is_open || client->code != 0)
        return is_open;
    if (!cli_place(path, host, true))
        return fail(asked, "no host", "and none can be started");
    if (!start_host(&starting, path))
        return fail(asked, "the host cannot be started", strerror(errno));
    for (int i = 0; i < TRIES && !is_open; i++) {
        cli_client_close(client);
        if (i > 0)
            usleep(10000);
        is_open = cli_client_open(client, path, true);
        if (client->code != 0 && !is_open)
            return false;
    }
    if (!is_open)
        return fail(asked, "the host cannot be started",
                    starting.said[0] ? starting.said : "it does not answer");
    return true;
}

static bool ask(struct asked *asked)
{
    struct cli_client client;
    json_t *ok = NULL;

    if (!open_client(asked, &client)) {
        cli_client_close(&client);
        return false;
    }
    if (cli_client_send(&client, json_incref(asked->body), asked->fds, asked->count)) {
        json_t *line = cli_client_line(&client, false);
        ok = line ? cli_client_ok(&client, line) : NULL;
    }
    asked->code = ok ? 0 : client.code;
    if (ok != NULL)
        puts(json_string_value(json_object_get(ok, "vm")));
    json_decref(ok);
    cli_client_close(&client);
    return asked->code == 0;
}

int cli_detach(const struct cli_options *options)
{
    struct asked asked = {.options = options, .code = 125,
                          .body = json_pack("{s:s}", "do", "run")};

    if (is_possible(&asked) && add_module(&asked) && add_texts(&asked) && add_policy(&asked) &&
        add_dirs(&asked) && add_volumes(&asked) && add_listeners(&asked))
        ask(&asked);
    for (int i = 0; i < asked.count; i++)
        close(asked.fds[i]);
    json_decref(asked.body);
    return asked.code;
}
