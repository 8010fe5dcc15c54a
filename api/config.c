/* What a VM is given: arguments, environment, descriptors, quotas. Paths and addresses are
 * opened here and nowhere else. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/internal.h"
#include "core/locked.h"
#include "shim/ledger.h"
#include "shim/volume.h"

#define LISTEN_BACKLOG 511

cordon_config_t *cordon_config_new(cordon_error_t *error)
{
    cordon_config_t *config = cn_alloc(cn_heap, sizeof *config);
    struct cn_account defaults;

    if (config == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    cn_arena_init(&config->arena, cn_locked); /* kept for as long as VMs may be made from it */
    cn_account_init(&defaults);
    memcpy(config->limit, defaults.limit, sizeof config->limit);
    for (int i = 0; i < 3; i++)
        config->stdio[i] = config->own_stdio[i] = config->taken_stdio[i] = -1;
    config->ledger_fd = -1;
    return config;
}

static void close_ledger(cordon_config_t *config)
{
    cn_ledger_unmap(config->ledger);
    config->ledger = NULL;
    if (config->ledger_fd >= 0)
        close(config->ledger_fd);
}

void cordon_config_close_volumes(cordon_config_t *config)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < config->dir_count; i++)
        if (config->dirs[i].volume != NULL)
            cn_volume_let_go(config->dirs[i].volume);
        else
            config->dirs[kept++] = config->dirs[i];
    config->dir_count = kept;
}

void cordon_config_free(cordon_config_t *config)
{
    if (config == NULL)
        return;
    cordon_config_close_volumes(config);
    for (uint32_t i = 0; i < config->dir_count; i++)
        close(config->dirs[i].host);
    for (uint32_t i = 0; i < config->listener_count; i++)
        close(config->listeners[i]);
    for (int i = 0; i < 3; i++) {
        if (config->own_stdio[i] >= 0)
            close(config->own_stdio[i]);
        if (config->taken_stdio[i] >= 0)
            close(config->taken_stdio[i]);
    }
    cn_free(cn_heap, config->args, config->arg_room * sizeof *config->args);
    cn_free(cn_heap, config->environ, config->environ_room * sizeof *config->environ);
    cn_free(cn_heap, config->dirs, config->dir_room * sizeof *config->dirs);
    cn_free(cn_heap, config->listeners, config->listener_room * sizeof *config->listeners);
    close_ledger(config);
    cn_arena_release(&config->arena);
    cn_free(cn_heap, config, sizeof *config);
}

/* Room for one more element of a list. */
static bool grow(void *list, uint32_t count, uint32_t *room, size_t size, cordon_error_t *error)
{
    void **place = list;
    uint32_t more = *room ? *room * 2 : 8;

    if (count < *room)
        return true;
    void *moved = cn_resize(cn_heap, *place, *room * size, more * size);
    if (moved == NULL)
        return cn_api_fail(error, CORDON_QUOTA, "no memory left");
    *place = moved;
    *room = more;
    return true;
}

static const char *keep(cordon_config_t *config, const char *text, cordon_error_t *error)
{
    size_t size = strlen(text) + 1;
    char *kept = cn_arena_alloc(&config->arena, size);

    if (kept == NULL) {
        cn_api_fail(error, CORDON_QUOTA, "no memory left");
        return NULL;
    }
    return memcpy(kept, text, size);
}

bool cordon_config_arg(cordon_config_t *config, const char *text, cordon_error_t *error)
{
    if (!grow(&config->args, config->arg_count, &config->arg_room, sizeof *config->args, error))
        return false;
    const char *kept = keep(config, text, error);
    if (kept == NULL)
        return false;
    config->args[config->arg_count++] = kept;
    return true;
}

bool cordon_config_env(cordon_config_t *config, const char *text, cordon_error_t *error)
{
    if (strchr(text, '=') == NULL || text[0] == '=')
        return cn_api_fail(error, CORDON_MISUSE, "environment \"%s\": expected KEY=VALUE", text);
    if (!grow(&config->environ, config->environ_count, &config->environ_room,
              sizeof *config->environ, error))
        return false;
    const char *kept = keep(config, text, error);
    if (kept == NULL)
        return false;
    size_t key_size = strcspn(text, "=") + 1;
    uint32_t at = 0;
    while (at < config->environ_count && strncmp(config->environ[at], text, key_size) != 0)
        at++;
    config->environ[at] = kept;
    config->environ_count += at == config->environ_count;
    return true;
}

bool cordon_config_stdio(cordon_config_t *config, int number, int fd, cordon_error_t *error)
{
    if (number < 0 || number > 2)
        return cn_api_fail(error, CORDON_MISUSE, "stdio number %d: expected 0, 1 or 2", number);
    if (config->own_stdio[number] >= 0)
        close(config->own_stdio[number]);
    config->own_stdio[number] = -1;
    config->stdio[number] = fd;
    config->streams[number] = (struct cn_stream){0};
    return true;
}

bool cordon_config_input(cordon_config_t *config, cordon_read_fn read, void *user,
                         cordon_error_t *error)
{
    if (!cordon_config_stdio(config, 0, -1, error))
        return false;
    config->streams[0] = (struct cn_stream){.read = read, .user = user};
    return true;
}

bool cordon_config_output(cordon_config_t *config, int number, cordon_write_fn write, void *user,
                          cordon_error_t *error)
{
    if (number != 1 && number != 2)
        return cn_api_fail(error, CORDON_MISUSE, "output number %d: expected 1 or 2", number);
    if (!cordon_config_stdio(config, number, -1, error))
        return false;
    config->streams[number] = (struct cn_stream){.write = write, .user = user};
    return true;
}

bool cn_api_config_dir(cordon_config_t *config, int fd, const char *guest, bool read_only,
                       cordon_error_t *error)
{
    const char *kept = NULL;

    if (grow(&config->dirs, config->dir_count, &config->dir_room, sizeof *config->dirs, error))
        kept = keep(config, guest, error);
    if (kept == NULL) {
        close(fd);
        return false;
    }
    config->dirs[config->dir_count++] = (struct cn_wasi_dir){fd, kept, read_only, NULL};
    return true;
}

bool cn_api_config_mount(cordon_config_t *config, struct cn_volume_grant *mount, int fd,
                         const char *guest, bool read_only, cordon_error_t *error)
{
    const char *kept = NULL;

    if (grow(&config->dirs, config->dir_count, &config->dir_room, sizeof *config->dirs, error))
        kept = keep(config, guest, error);
    if (kept == NULL) {
        cn_volume_let_go(mount);
        return false;
    }
    config->dirs[config->dir_count++] = (struct cn_wasi_dir){fd, kept, read_only, mount};
    return true;
}

bool cordon_config_dir(cordon_config_t *config, const char *path, const char *guest,
                       bool read_only, cordon_error_t *error)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return cn_api_fail(error, CORDON_IO, "directory %s: %s", path, strerror(errno));
    return cn_api_config_dir(config, fd, guest, read_only, error);
}

bool cordon_config_dir_fd(cordon_config_t *config, int fd, const char *guest, bool read_only,
                          cordon_error_t *error)
{
    struct stat status;
    int own = fstat(fd, &status) == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;

    if (own < 0)
        return cn_api_fail(error, CORDON_IO, "directory %s: %s", guest, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return cn_api_config_dir(config, own, guest, read_only, error);
    close(own);
    return cn_api_fail(error, CORDON_MISUSE, "directory %s: the descriptor is of none", guest);
}

/* ------------------------------------------------------------------ listeners */

/* "HOST:PORT" or "[V6]:PORT" into a socket address; its size, or 0. */
static socklen_t parse_address(const char *text, struct sockaddr_storage *result)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    struct sockaddr_in *v4 = (struct sockaddr_in *)result;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)result;
    char *end;

    memset(result, 0, sizeof *result);
    if (colon == NULL || (size_t)(colon - text) >= sizeof host || colon[1] < '0' ||
        colon[1] > '9')
        return 0;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port > 65535)
        return 0;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    size_t size = strlen(host);
    if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
        host[size - 1] = '\0';
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1 ? sizeof *v6 : 0;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? sizeof *v4 : 0;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;

    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        return 0;
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}

static int open_listener(const struct sockaddr_storage *address, socklen_t size)
{
    const int yes = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (const struct sockaddr *)address, size) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

bool cn_api_config_listener(cordon_config_t *config, int fd, uint16_t *port,
                            cordon_error_t *error)
{
    if (!grow(&config->listeners, config->listener_count, &config->listener_room,
              sizeof *config->listeners, error)) {
        close(fd);
        return false;
    }
    config->listeners[config->listener_count++] = fd;
    if (port != NULL)
        *port = port_of(fd);
    return true;
}

bool cordon_config_listen(cordon_config_t *config, const char *address, uint16_t *port,
                          cordon_error_t *error)
{
    struct sockaddr_storage parsed;
    socklen_t size = parse_address(address, &parsed);

    if (size == 0)
        return cn_api_fail(error, CORDON_MISUSE,
                           "listener \"%s\": expected a numeric ADDRESS:PORT such as "
                           "127.0.0.1:8080 or [::1]:8080", address);
    int fd = open_listener(&parsed, size);
    if (fd < 0)
        return cn_api_fail(error, CORDON_IO, "listener %s: %s", address, strerror(errno));
    return cn_api_config_listener(config, fd, port, error);
}

/* An option of the socket; -1 when it is no socket or has no such option. */
static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

bool cordon_config_listener_fd(cordon_config_t *config, int fd, uint16_t *port,
                               cordon_error_t *error)
{
    int family = option_of(fd, SO_DOMAIN);

    if (option_of(fd, SO_ACCEPTCONN) != 1 || option_of(fd, SO_TYPE) != SOCK_STREAM ||
        (family != AF_INET && family != AF_INET6))
        return cn_api_fail(error, CORDON_MISUSE,
                           "listener: descriptor %d is no listening TCP socket", fd);
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0)
        return cn_api_fail(error, CORDON_IO, "listener: %s", strerror(errno));
    return cn_api_config_listener(config, own, port, error);
}

/* ------------------------------------------------------------------ quotas */

bool cordon_config_limit(cordon_config_t *config, cordon_quota_t quota, uint64_t value,
                         cordon_error_t *error)
{
    if (!cordon_quota_check(quota, value, error))
        return false;
    config->limit[quota] = value;
    return true;
}

bool cn_api_config_ledger(cordon_config_t *config, int fd, cordon_error_t *error)
{
    struct cn_error cause = {0};

    close_ledger(config);
    config->ledger_fd = fd;
    config->ledger = cn_ledger_map(fd, &cause);
    return config->ledger != NULL || cn_api_fail_with(error, &cause);
}

bool cordon_config_ledger(cordon_config_t *config, int fd, cordon_error_t *error)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (own < 0)
        return cn_api_fail(error, CORDON_IO, "the disk's ledger: %s", strerror(errno));
    return cn_api_config_ledger(config, own, error);
}

bool cordon_quota_check(cordon_quota_t quota, uint64_t value, cordon_error_t *error)
{
    if ((unsigned)quota >= CORDON_QUOTA_COUNT)
        return cn_api_fail(error, CORDON_MISUSE, "there is no quota number %d", (int)quota);
    if (quota == CORDON_WEIGHT && (value < 1 || value > CN_WEIGHT_MAX))
        return cn_api_fail(error, CORDON_MISUSE, "a weight is 1 to %d", CN_WEIGHT_MAX);
    if ((quota == CORDON_CPUS && value > 1000 && value != CORDON_UNLIMITED) ||
        (quota == CORDON_CPU_RESERVE && value > 1000))
        return cn_api_fail(error, CORDON_MISUSE,
                           "a VM runs on one core at a time, so 1 is the most it can use");
    if (quota == CORDON_MEMORY_RESERVE && value > 1ull << 50)
        return cn_api_fail(error, CORDON_MISUSE, "a reservation is an amount that can be had");
    return true;
}

void cordon_config_test_mode(cordon_config_t *config, bool preempt_everywhere, bool move_on_grow,
                             bool collect_everywhere)
{
    config->preempt_everywhere = preempt_everywhere;
    config->move_on_grow = move_on_grow;
    config->collect_everywhere = collect_everywhere;
}

const char *cordon_quota_name(cordon_quota_t quota)
{
    return (unsigned)quota < CORDON_QUOTA_COUNT ? cn_quota_key((enum cn_quota)quota) : "";
}
