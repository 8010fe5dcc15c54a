#include "cli/up_module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LARGEST ((size_t)1 << 30)
#define SETTLED_S 2 /* a file that changed more recently may change again within one time stamp */

/* A file, as long as VMs run that were made from it. */
struct up_file_module {
    struct up_file_module *next;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
    uint32_t users;
    pthread_mutex_t lock;    /* of what follows, while it is being loaded */
    cordon_module_t *module; /* NULL until there is a second user */
    char *bytes;
};

bool up_modules_init(struct up_modules *modules, cordon_error_t *error)
{
    pthread_mutex_init(&modules->lock, NULL);
    modules->list = NULL;
    modules->lazy = cordon_host_new(error);
    modules->eager = cordon_host_new(error);
    if (modules->lazy == NULL || modules->eager == NULL)
        return false;
    cordon_host_memory(modules->lazy, LARGEST);
    cordon_host_memory(modules->eager, LARGEST);
    cordon_host_translation(modules->eager, CORDON_TRANSLATE_EAGER);
    return true;
}

void up_modules_release(struct up_modules *modules)
{
    cordon_host_free(modules->lazy);
    cordon_host_free(modules->eager);
    pthread_mutex_destroy(&modules->lock);
}

/* ------------------------------------------------------------------ reading */

static bool fail(struct up_loaded *loaded, int code, const char *why)
{
    loaded->error_code = code;
    loaded->error = (cordon_error_t){.kind = CORDON_IO, .offset = UINT64_MAX};
    snprintf(loaded->error.message, sizeof loaded->error.message, "%s", why);
    return false;
}

static bool is_module_file(struct up_loaded *loaded, int fd, struct stat *status)
{
    if (fstat(fd, status) != 0)
        return fail(loaded, 127, strerror(errno));
    if (!S_ISREG(status->st_mode))
        return fail(loaded, 126, "the module is no regular file");
    if ((uint64_t)status->st_size > LARGEST)
        return fail(loaded, 126, "too large for a module: more than 1 GiB");
    return true;
}

/* From the beginning, wherever the descriptor stands: a restart reads it again. Copied, not
 * mapped: a file can change after it was validated. */
static char *read_all(struct up_loaded *loaded, int fd, size_t *size)
{
    size_t room = *size;
    char *bytes = malloc(room ? room : 1);

    *size = 0;
    if (bytes == NULL)
        fail(loaded, 125, "no memory left");
    while (bytes != NULL && *size < room) {
        ssize_t count = pread(fd, bytes + *size, room - *size, (off_t)*size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            fail(loaded, 127, strerror(errno));
            free(bytes);
            return NULL;
        }
        if (count == 0)
            break;
        *size += (size_t)count;
    }
    return bytes;
}

/* The bytes have to stay as long as the module. */
static cordon_module_t *load(struct up_loaded *loaded, cordon_host_t *host, int fd, size_t size,
                             char **bytes)
{
    cordon_module_t *module = NULL;

    *bytes = read_all(loaded, fd, &size);
    if (*bytes == NULL)
        return NULL;
    loaded->error_code = 126;
    module = cordon_module_load(host, *bytes, size, &loaded->error);
    if (module == NULL) {
        free(*bytes);
        *bytes = NULL;
    }
    return module;
}

/* ------------------------------------------------------------------ sharing */

static bool is_settled(const struct stat *status)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - status->st_ctim.tv_sec > SETTLED_S;
}

static bool is_same(const struct up_file_module *file, const struct stat *status)
{
    return file->device == status->st_dev && file->inode == status->st_ino &&
           file->size == status->st_size && file->changed.tv_sec == status->st_ctim.tv_sec &&
           file->changed.tv_nsec == status->st_ctim.tv_nsec;
}

/* One user more of the file; *is_shared when there are others. NULL when it cannot be told apart
 * from what it may become, or there is no memory. */
static struct up_file_module *join(struct up_modules *modules, const struct stat *status,
                                   bool *is_shared)
{
    struct up_file_module *file;

    *is_shared = false;
    if (!is_settled(status))
        return NULL;
    pthread_mutex_lock(&modules->lock);
    for (file = modules->list; file != NULL && !is_same(file, status);)
        file = file->next;
    *is_shared = file != NULL;
    if (file == NULL && (file = calloc(1, sizeof *file)) != NULL) {
        *file = (struct up_file_module){.next = modules->list, .device = status->st_dev,
                                        .inode = status->st_ino, .size = status->st_size,
                                        .changed = status->st_ctim};
        pthread_mutex_init(&file->lock, NULL);
        modules->list = file;
    }
    if (file != NULL)
        file->users++;
    pthread_mutex_unlock(&modules->lock);
    return file;
}

static void leave(struct up_modules *modules, struct up_file_module *file)
{
    struct up_file_module **place = &modules->list;

    pthread_mutex_lock(&modules->lock);
    bool is_last = --file->users == 0;
    while (is_last && *place != file)
        place = &(*place)->next;
    if (is_last)
        *place = file->next;
    pthread_mutex_unlock(&modules->lock);
    if (!is_last)
        return;
    cordon_module_free(file->module);
    free(file->bytes);
    pthread_mutex_destroy(&file->lock);
    free(file);
}

/* Who comes first loads it for all who wait meanwhile. */
static void load_shared(struct up_modules *modules, struct up_loaded *loaded, int fd)
{
    struct up_file_module *file = loaded->file;

    pthread_mutex_lock(&file->lock);
    if (file->module == NULL)
        file->module = load(loaded, modules->eager, fd, (size_t)file->size, &file->bytes);
    loaded->module = file->module;
    pthread_mutex_unlock(&file->lock);
}

void up_module_load(struct up_modules *modules, const struct up_spec *spec,
                    struct up_loaded *loaded)
{
    int fd = spec->module_fd;
    struct stat status;
    bool is_shared;

    *loaded = (struct up_loaded){0};
    if (spec->module != NULL)
        fd = open(spec->module, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        fail(loaded, 127, strerror(errno));
        return;
    }
    if (is_module_file(loaded, fd, &status)) {
        loaded->file = join(modules, &status, &is_shared);
        if (is_shared)
            load_shared(modules, loaded, fd);
        else
            loaded->module = load(loaded, modules->lazy, fd, (size_t)status.st_size,
                                  &loaded->bytes);
    }
    if (spec->module != NULL)
        close(fd);
}

void up_module_release(struct up_modules *modules, struct up_loaded *loaded)
{
    if (loaded->bytes != NULL)
        cordon_module_free(loaded->module);
    free(loaded->bytes);
    if (loaded->file != NULL)
        leave(modules, loaded->file);
    *loaded = (struct up_loaded){0};
}
