/* Loading, making and freeing a VM: what the loop's pool does, because it may take long. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/up_life.h"

#define LARGEST ((size_t)1 << 30)

static bool fail(struct up_life *life, int code, const char *why)
{
    life->error_code = code;
    life->error = (cordon_error_t){.kind = CORDON_IO, .offset = UINT64_MAX};
    snprintf(life->error.message, sizeof life->error.message, "%s", why);
    return false;
}

/* From the beginning, wherever the descriptor stands: a restart reads it again. Copied, not
 * mapped: a file can change after it was validated. */
static bool read_all(struct up_life *life, int fd)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return fail(life, 127, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fail(life, 126, "the module is no regular file");
    if ((uint64_t)status.st_size > LARGEST)
        return fail(life, 126, "too large for a module: more than 1 GiB");
    size_t room = (size_t)status.st_size;
    life->bytes = malloc(room ? room : 1);
    if (life->bytes == NULL)
        return fail(life, 125, "no memory left");
    while (life->size < room) {
        ssize_t count = pread(fd, life->bytes + life->size, room - life->size,
                              (off_t)life->size);
        if (count < 0 && errno != EINTR)
            return fail(life, 127, strerror(errno));
        if (count == 0)
            return true;
        life->size += count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool read_module(struct up_life *life)
{
    const struct up_spec *spec = &life->vm->spec;

    if (spec->module == NULL)
        return read_all(life, spec->module_fd);
    int fd = open(spec->module, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail(life, 127, strerror(errno));
    bool done = read_all(life, fd);
    close(fd);
    return done;
}

void up_life_make(struct up_life *life)
{
    struct up_host *host = life->vm->host;

    if (!read_module(life))
        return;
    life->error_code = 126;
    life->module = cordon_module_load(host->cordon, life->bytes, life->size, &life->error);
    if (life->module == NULL)
        return;
    life->handle = cordon_vm_new(host->cordon, life->module, host->linker, life->vm->config,
                                 &life->error);
    if (life->handle == NULL && life->error.kind == CORDON_QUOTA)
        life->error_code = 137;
    else if (life->handle == NULL && life->error.kind == CORDON_TRAP)
        life->error_code = 134;
}

/* On a worker of the host's. */
static void done(void *user, cordon_vm_t *vm, const cordon_result_t *result)
{
    struct up_life *life = user;

    (void)vm;
    life->result = *result;
    atomic_store(&life->is_done, true);
    uv_async_send(&life->vm->host->done);
}

bool up_life_start(struct up_life *life)
{
    if (cordon_vm_start(life->handle, done, life, &life->error))
        return true;
    life->error_code = life->error.kind == CORDON_NO_EXPORT ? 127
                       : life->error.kind == CORDON_QUOTA   ? 137
                                                            : 126;
    return false;
}

void up_life_free(struct up_life *life)
{
    cordon_vm_free(life->handle);
    cordon_module_free(life->module);
    free(life->bytes);
    life->handle = NULL;
    life->module = NULL;
    life->bytes = NULL;
}

const char *up_end_text(const cordon_result_t *result, char *text, size_t size)
{
    switch (result->end) {
    case CORDON_END_NONE:
        snprintf(text, size, "%s", "");
        break;
    case CORDON_END_TRAP:
        snprintf(text, size, "trap: %s", result->message);
        break;
    case CORDON_END_QUOTA:
        snprintf(text, size, "quota exhausted: %s", cordon_quota_name(result->quota));
        break;
    case CORDON_END_KILLED:
        snprintf(text, size, "killed, signal %d", result->signal);
        break;
    case CORDON_END_ERROR:
        snprintf(text, size, "%s", result->message);
        break;
    default:
        snprintf(text, size, "exit code %d", result->exit_code);
        break;
    }
    return text;
}
