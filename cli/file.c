#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/options.h"

#define LARGEST ((size_t)1 << 30)

static bool fail(int *code, int with, const char *path, const char *why)
{
    cli_complain("%s: %s", path, why);
    *code = with;
    return false;
}

/* What begins like a module but is none is not worth reading on; all else may be text. */
static bool begins_well(const struct cli_file *file)
{
    return file->size < 4 || file->bytes[0] != 0 || memcmp(file->bytes, "\0asm", 4) == 0;
}

/* The bytes are copied, not mapped: a mapped file could change after it was validated. */
static bool read_all(int fd, struct cli_file *file, size_t room, const char *path, int *code)
{
    for (;;) {
        if (file->size > LARGEST)
            return fail(code, 126, path, "too large for a module: more than 1 GiB");
        if (!begins_well(file))
            return true;
        if (file->size == room) {
            room *= 2;
            uint8_t *more = realloc(file->bytes, room);
            if (more == NULL)
                return fail(code, 125, path, "no memory left");
            file->bytes = more;
        }
        ssize_t count = read(fd, file->bytes + file->size, room - file->size);
        if (count == 0)
            return true;
        if (count < 0 && errno != EINTR)
            return fail(code, 127, path, strerror(errno));
        file->size += count > 0 ? (size_t)count : 0;
    }
}

int cli_file_open(const char *path, int *code)
{
    int fd = strcmp(path, "-") == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        fail(code, 127, path, strerror(errno));
    return fd;
}

bool cli_file_take(struct cli_file *file, int fd, const char *path, int *code)
{
    struct stat status;

    *file = (struct cli_file){NULL, 0};
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        close(fd);
        return fail(code, 126, path, "is a directory, expected a WebAssembly module");
    }
    size_t room = status.st_size > 0 && (size_t)status.st_size < LARGEST
                      ? (size_t)status.st_size + 1
                      : 65536;
    file->bytes = malloc(room);
    bool done = file->bytes != NULL && read_all(fd, file, room, path, code);
    if (file->bytes == NULL)
        fail(code, 125, path, "no memory left");
    close(fd);
    if (!done)
        cli_file_free(file);
    return done;
}

bool cli_file_read(struct cli_file *file, const char *path, int *code)
{
    int fd = cli_file_open(path, code);

    *file = (struct cli_file){NULL, 0};
    return fd >= 0 && cli_file_take(file, fd, path, code);
}

void cli_file_free(struct cli_file *file)
{
    free(file->bytes);
    file->bytes = NULL;
}
