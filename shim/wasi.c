#include "shim/wasi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim/clock.h"
#include "shim/enter.h"
#include "shim/recount.h"
#include "shim/stream.h"
#include "shim/terminal.h"
#include "shim/volume.h"

#define PREOPEN_RIGHTS (uint64_t)CN_RIGHTS_DIR
#define PREOPEN_INHERITING ((uint64_t)CN_RIGHTS_DIR | CN_RIGHTS_FILE)
#define LISTENER_RIGHTS                                                                            \
    ((uint64_t)CN_RIGHT_SOCK_ACCEPT | CN_RIGHT_POLL_FD_READWRITE |                                 \
     CN_RIGHT_FD_FDSTAT_SET_FLAGS | CN_RIGHT_FD_FILESTAT_GET)
#define STDIO_RIGHTS                                                                               \
    ((uint64_t)CN_RIGHT_FD_FDSTAT_SET_FLAGS | CN_RIGHT_FD_FILESTAT_GET | CN_RIGHT_FD_SYNC |        \
     CN_RIGHT_FD_DATASYNC | CN_RIGHT_POLL_FD_READWRITE)

static enum cn_status join(struct cn_wasi *wasi, const char *const *list, uint32_t count,
                           struct cn_strings *result)
{
    size_t size = 0;

    for (uint32_t i = 0; i < count; i++) {
        size += strlen(list[i]) + 1;
        if (size > CN_STRINGS_MAX)
            return CN_TOO_LARGE;
    }
    char *bytes = cn_arena_alloc(&wasi->arena, size);
    if (bytes == NULL)
        return CN_OVER_QUOTA;
    *result = (struct cn_strings){.count = count, .size = (uint32_t)size, .bytes = bytes};
    for (uint32_t i = 0; i < count; i++) {
        size_t length = strlen(list[i]) + 1;
        memcpy(bytes, list[i], length);
        bytes += length;
    }
    return CN_OK;
}

static enum cn_status join_strings(struct cn_wasi *wasi, const struct cn_wasi_config *config,
                                   struct cn_error *error)
{
    enum cn_status status = join(wasi, config->args, config->arg_count, &wasi->args);

    if (status == CN_OK)
        status = join(wasi, config->environ, config->environ_count, &wasi->environ);
    if (status == CN_OK && wasi->args.size + wasi->environ.size > CN_STRINGS_MAX)
        status = CN_TOO_LARGE;
    if (status == CN_TOO_LARGE)
        return cn_fail(error, status, CN_NO_OFFSET,
                       "arguments and environment take more than %u bytes", CN_STRINGS_MAX);
    if (status != CN_OK)
        return cn_fail(error, status, CN_NO_OFFSET,
                       "the memory quota has no room for arguments and environment");
    return CN_OK;
}

/* A new descriptor of the guest over a duplicate of `host`. */
static enum cn_status give(struct cn_wasi *wasi, int host, const char *what,
                           struct cn_fd **result, struct cn_error *error)
{
    uint32_t number;
    struct cn_fd *fd;
    enum cn_errno refused = cn_fd_new(&wasi->fds, &number, &fd);

    if (refused == CN_E_MFILE)
        return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                       "the descriptor quota of %llu has no room for %s",
                       (unsigned long long)wasi->account->limit[CN_QUOTA_FDS], what);
    if (refused != CN_E_SUCCESS)
        return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                       "the memory quota has no room for %s", what);
    fd->host = fcntl(host, F_DUPFD_CLOEXEC, 0);
    if (fd->host < 0)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "%s: %s", what, strerror(errno));
    *result = fd;
    return CN_OK;
}

static enum cn_filetype filetype_of(int host)
{
    struct stat stat;
    socklen_t size = sizeof(int);
    int type = SOCK_STREAM;

    if (fstat(host, &stat) != 0)
        return CN_FILETYPE_UNKNOWN;
    if (S_ISSOCK(stat.st_mode) &&
        getsockopt(host, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type != SOCK_STREAM)
        return CN_FILETYPE_SOCKET_DGRAM;
    return cn_filetype_of_mode(stat.st_mode);
}

static enum cn_status give_stdio(struct cn_wasi *wasi, const struct cn_wasi_config *config,
                                 int number, struct cn_error *error)
{
    static const char *const names[] = {"standard input", "standard output", "standard error"};
    bool is_own = config->own_stdio != NULL && config->own_stdio[number] >= 0;
    struct cn_fd *fd;

    CN_TRY(give(wasi, is_own ? config->own_stdio[number] : config->stdio[number], names[number],
                &fd, error));
    int flags = fcntl(fd->host, F_GETFL);
    fd->kind = CN_FD_STDIO;
    fd->filetype = filetype_of(fd->host);
    fd->flags = flags >= 0 && (flags & O_APPEND) ? CN_FDFLAG_APPEND : 0;
    fd->rights = STDIO_RIGHTS | (number == 0 ? CN_RIGHT_FD_READ : CN_RIGHT_FD_WRITE);
    /* A guest takes a character device for a terminal unless it can seek. */
    fd->has_position = fd->filetype != CN_FILETYPE_DIRECTORY && !isatty(fd->host) &&
                       lseek(fd->host, 0, SEEK_CUR) >= 0;
    if (number > 0 && isatty(fd->host)) {
        fd->terminal = cn_alloc(cn_account_allocator(wasi->account), sizeof *fd->terminal);
        if (fd->terminal == NULL)
            return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                           "the memory quota has no room for %s", names[number]);
        *fd->terminal = (struct cn_terminal){.size = 0};
    }
    fd->is_nonblocking = is_own;
    if (!is_own)
        cn_stream_own(fd);
    if (fd->has_position)
        fd->rights |= CN_RIGHT_FD_SEEK | CN_RIGHT_FD_TELL | CN_RIGHT_FD_ADVISE;
    return CN_OK;
}

/* A function instead of a descriptor. */
static enum cn_status give_feed(struct cn_wasi *wasi, const struct cn_wasi_config *config,
                                int number, struct cn_error *error)
{
    struct cn_feed *feed = &wasi->feeds[number];
    struct cn_fd *fd;

    if (!cn_feed_open(feed, config->feeds[number], number > 0))
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "no descriptor is left: %s", strerror(errno));
    CN_TRY(give(wasi, feed->event, "a standard stream", &fd, error));
    fd->kind = CN_FD_STDIO;
    fd->filetype = CN_FILETYPE_UNKNOWN; /* as a pipe */
    fd->rights = STDIO_RIGHTS | (number == 0 ? CN_RIGHT_FD_READ : CN_RIGHT_FD_WRITE);
    fd->feed = feed;
    return CN_OK;
}

/* Was this standard stream given, and is it open at all? */
static bool has_stdio(const struct cn_wasi_config *config, int number)
{
    return config->stdio[number] >= 0 && fcntl(config->stdio[number], F_GETFD) >= 0;
}

/* Numbers 0 to 2, whichever of them are there; the others stay free for a moment so that
 * directories begin at 3 all the same. */
static enum cn_status give_all_stdio(struct cn_wasi *wasi, const struct cn_wasi_config *config,
                                     struct cn_error *error)
{
    for (int i = 0; i < 3; i++) {
        if (config->feeds[i].move != NULL) {
            CN_TRY(give_feed(wasi, config, i, error));
            continue;
        }
        if (has_stdio(config, i)) {
            CN_TRY(give_stdio(wasi, config, i, error));
            continue;
        }
        uint32_t number;
        struct cn_fd *fd;
        if (cn_fd_new(&wasi->fds, &number, &fd) != CN_E_SUCCESS)
            return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                           "the quotas have no room for the standard descriptors");
    }
    return CN_OK;
}

static enum cn_status give_dir(struct cn_wasi *wasi, const struct cn_wasi_dir *dir,
                               struct cn_error *error)
{
    struct cn_fd *fd;
    char what[128];
    size_t size = strlen(dir->guest_name) + 1;

    snprintf(what, sizeof what, "directory %.100s", dir->guest_name);
    CN_TRY(give(wasi, dir->host, what, &fd, error));
    if (filetype_of(fd->host) != CN_FILETYPE_DIRECTORY)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "%s: not a directory", what);
    char *name = cn_arena_alloc(&wasi->arena, size);
    if (name == NULL)
        return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                       "the memory quota has no room for %s", what);
    memcpy(name, dir->guest_name, size);
    fd->preopen_name = name;
    fd->kind = CN_FD_DIR;
    fd->filetype = CN_FILETYPE_DIRECTORY;
    fd->is_unreal = cn_is_procfs(fd->host);
    fd->is_read_only = dir->is_read_only || fd->is_unreal;
    fd->rights = PREOPEN_RIGHTS;
    fd->inheriting = PREOPEN_INHERITING;
    if (fd->is_read_only) {
        fd->rights &= ~(uint64_t)CN_RIGHTS_CHANGING;
        fd->inheriting &= ~(uint64_t)CN_RIGHTS_CHANGING;
    }
    return CN_OK;
}

/* What a volume holds is counted before the guest sees it. */
static enum cn_status open_volume(struct cn_wasi *wasi, const struct cn_wasi_dir *dir,
                                  uint32_t number, struct cn_error *error)
{
    struct cn_fd *fd = cn_fd_get(&wasi->fds, 3 + number);
    struct cn_volume_faults faults;

    if (cn_volume_key_is_there(dir->volume) != CN_E_SUCCESS)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory can be locked for a key");
    enum cn_errno refused = cn_volume_new(dir->volume, wasi->account, dir->is_read_only,
                                          &wasi->volumes[number]);

    if (refused == CN_E_SUCCESS)
        refused = cn_volume_count(wasi->volumes[number], fd->host, false, &faults);
    if (refused == CN_E_NOMEM)
        return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                       "the memory quota has no room for volume %.100s", dir->guest_name);
    if (refused != CN_E_SUCCESS || faults.is_incomplete)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "volume %.100s cannot be read through",
                       dir->guest_name);
    fd->volume = wasi->volumes[number];
    return CN_OK;
}

static enum cn_status open_volumes(struct cn_wasi *wasi, const struct cn_wasi_config *config,
                                   struct cn_error *error)
{
    wasi->volumes =
        cn_arena_array(&wasi->arena, config->dir_count + 1, sizeof(struct cn_volume *));
    if (wasi->volumes == NULL)
        return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                       "the memory quota has no room for directories");
    wasi->volume_count = config->dir_count;
    for (uint32_t i = 0; i < config->dir_count; i++)
        if (config->dirs[i].volume != NULL)
            CN_TRY(open_volume(wasi, &config->dirs[i], i, error));
    return CN_OK;
}

static enum cn_status give_listener(struct cn_wasi *wasi, int host, struct cn_error *error)
{
    socklen_t size = sizeof(int);
    struct cn_fd *fd;
    int listens = 0;

    CN_TRY(give(wasi, host, "a listener", &fd, error));
    if (getsockopt(fd->host, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "a listener is no listening socket");
    /* A connection can vanish between being announced and being accepted. */
    int flags = fcntl(fd->host, F_GETFL);
    if (flags < 0 || fcntl(fd->host, F_SETFL, flags | O_NONBLOCK) != 0)
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "a listener: %s", strerror(errno));
    fd->kind = CN_FD_LISTENER;
    fd->filetype = CN_FILETYPE_SOCKET_STREAM;
    fd->rights = LISTENER_RIGHTS;
    return CN_OK;
}

/* Where nothing is granted there is nothing whose numbers it would hide. */
static enum cn_status draw_salt(struct cn_wasi *wasi, struct cn_error *error)
{
    if (wasi->account->used[CN_QUOTA_FDS] > 0 &&
        getrandom(wasi->salt, sizeof wasi->salt, 0) != sizeof wasi->salt)
        return cn_fail(error, CN_IO, CN_NO_OFFSET, "the host gives no random numbers");
    return CN_OK;
}

static enum cn_status give_all(struct cn_wasi *wasi, const struct cn_wasi_config *config,
                               struct cn_error *error)
{
    CN_TRY(join_strings(wasi, config, error));
    CN_TRY(give_all_stdio(wasi, config, error));
    for (uint32_t i = 0; i < config->dir_count; i++)
        CN_TRY(give_dir(wasi, &config->dirs[i], error));
    CN_TRY(open_volumes(wasi, config, error));
    for (uint32_t i = 0; i < config->listener_count; i++)
        CN_TRY(give_listener(wasi, config->listeners[i], error));
    for (uint32_t i = 0; i < 3; i++) {
        if (cn_fd_get(&wasi->fds, i)->host < 0)
            cn_fd_close(&wasi->fds, i);
    }
    CN_TRY(draw_salt(wasi, error));
    wasi->first_listener = 3 + config->dir_count;
    wasi->listener_count = config->listener_count;
    return CN_OK;
}

static enum cn_status bind_rows(struct cn_wasi *wasi, struct cn_error *error)
{
    wasi->bindings =
        cn_arena_array(&wasi->arena, cn_import_row_count, sizeof *wasi->bindings);
    if (wasi->bindings == NULL)
        return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                       "the memory quota has no room for the system calls");
    for (uint32_t i = 0; i < cn_import_row_count; i++)
        wasi->bindings[i] = (struct cn_binding){wasi, &cn_import_rows[i]};
    return CN_OK;
}

/* The disk's books of whoever had the ledger before; after a crash they are compared with what is
 * there. */
static enum cn_status go_on(struct cn_wasi *wasi, const struct cn_wasi_config *config,
                            struct cn_error *error)
{
    bool is_all = true;

    CN_TRY(cn_ledger_open(&wasi->ledger, config->ledger, error));
    if (cn_disk_restore(&wasi->disk, &wasi->ledger) != CN_E_SUCCESS)
        return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                       "the memory quota has no room for the disk's books");
    for (uint32_t i = 0; wasi->ledger.was_open && i < config->dir_count; i++)
        if (!config->dirs[i].is_read_only && config->dirs[i].volume == NULL)
            is_all &= cn_recount(&wasi->disk, config->dirs[i].host);
    if (wasi->ledger.was_open)
        cn_disk_settle_found(&wasi->disk, is_all);
    wasi->ledger.is_true = true;
    return CN_OK;
}

enum cn_status cn_wasi_new(const struct cn_wasi_config *config, struct cn_wasi **result,
                           struct cn_error *error)
{
    struct cn_allocator allocator = cn_account_allocator(config->account);
    struct cn_wasi *wasi = cn_alloc(allocator, sizeof *wasi);

    if (wasi == NULL)
        return cn_fail(error, CN_OVER_QUOTA, CN_NO_OFFSET,
                       "the memory quota has no room for the system calls");
    wasi->account = config->account;
    wasi->allocator = allocator;
    wasi->cpu_ns = config->cpu_ns;
    wasi->cpu_context = config->cpu_context;
    wasi->blocks = config->blocks;
    wasi->blocks_context = config->blocks_context;
    cn_arena_init(&wasi->arena, allocator);
    cn_disk_init(&wasi->disk, config->account);
    cn_tolls_init(&wasi->tolls, config->account);
    cn_fd_table_init(&wasi->fds, config->account, &wasi->disk);
    cn_wait_init(&wasi->wait);
    enum cn_status status = bind_rows(wasi, error);
    if (status == CN_OK && config->ledger != NULL)
        status = go_on(wasi, config, error);
    if (status == CN_OK)
        status = give_all(wasi, config, error);
    if (status != CN_OK) {
        cn_wasi_free(wasi);
        return status;
    }
    *result = wasi;
    return CN_OK;
}

bool cn_wasi_give_back(struct cn_wasi *wasi)
{
    return cn_fd_table_close_some(&wasi->fds) && cn_disk_forget_some(&wasi->disk);
}

void cn_wasi_free(struct cn_wasi *wasi)
{
    if (wasi == NULL)
        return;
    struct cn_allocator allocator = wasi->allocator;
    cn_fd_table_release(&wasi->fds);
    for (int i = 0; i < 3; i++)
        cn_feed_close(&wasi->feeds[i]);
    for (uint32_t i = 0; i < wasi->volume_count; i++)
        cn_volume_free(wasi->volumes[i]);
    cn_wait_release(&wasi->wait);
    cn_disk_release(&wasi->disk);
    cn_ledger_close(&wasi->ledger);
    cn_arena_release(&wasi->arena);
    cn_free(allocator, wasi, sizeof *wasi);
}

int cn_wasi_wait_set(const struct cn_wasi *wasi)
{
    return wasi->wait.set;
}

void cn_wasi_feed_again(struct cn_wasi *wasi, int number)
{
    cn_feed_go_on(&wasi->feeds[number]);
}

bool cn_wasi_has_events(struct cn_wasi *wasi)
{
    return cn_wait_resume(&wasi->wait);
}

void cn_wasi_resume(struct cn_wasi *wasi)
{
    (void)cn_wait_resume(&wasi->wait);
    wasi->pressure_known = cn_wasi_pressure(wasi);
    cn_wait_anew(&wasi->wait);
}

bool cn_wasi_watches_pressure(const struct cn_wasi *wasi)
{
    return wasi->fds.pressure_count > 0;
}

bool cn_wasi_was_entered(struct cn_wasi *wasi)
{
    bool was_entered = wasi->was_entered;

    wasi->was_entered = false;
    return was_entered;
}

bool cn_wasi_has_news(struct cn_wasi *wasi)
{
    return cn_wasi_watches_pressure(wasi) && cn_wasi_pressure(wasi) != wasi->pressure_known;
}

struct cn_wasi_stats cn_wasi_stats(const struct cn_wasi *wasi)
{
    return wasi->stats;
}

bool cn_wasi_lookup(const struct cn_wasi *wasi, struct cn_bytes module, struct cn_bytes name,
                    struct cn_wasi_function *result)
{
    for (uint32_t i = 0; i < cn_import_row_count; i++) {
        const struct cn_import_row *row = &cn_import_rows[i];
        if (!cn_bytes_equal(module, cn_bytes_of(row->module)) ||
            !cn_bytes_equal(name, cn_bytes_of(row->name)))
            continue;
        *result = (struct cn_wasi_function){&row->type, cn_wasi_enter, &wasi->bindings[i]};
        return true;
    }
    return false;
}

bool cn_wasi_name(uint32_t index, const char **module, const char **name)
{
    if (index >= cn_import_row_count)
        return false;
    *module = cn_import_rows[index].module;
    *name = cn_import_rows[index].name;
    return true;
}

enum cn_errno cn_call_wait(struct cn_call *call, uint32_t events)
{
    struct cn_wait *wait = &call->wasi->wait;
    bool is_ready = false;

    if (call->fd->flags & CN_FDFLAG_NONBLOCK)
        return CN_E_AGAIN;
    enum cn_errno error = cn_wait_fd(wait, &call->wasi->fds, call->fd, events, &is_ready);
    if (error != CN_E_SUCCESS)
        return error;
    return is_ready ? CN_E_YIELD : cn_wait_park(wait);
}
