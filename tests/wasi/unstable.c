/* The older module's differences: origins of fd_seek, the status of files, subscriptions.
 * options: --dir @::/ */
#include <stdint.h>
#include <wasi/api.h>

#include "check.h"

#define OLD(name) __attribute__((import_module("wasi_unstable"), import_name(#name)))

OLD(fd_seek) int old_seek(int fd, int64_t offset, int whence, uint64_t *result);
OLD(fd_filestat_get) int old_filestat(int fd, void *result);
OLD(path_filestat_get)
int old_path_filestat(int fd, int flags, const char *path, size_t length, void *result);
OLD(path_open)
int old_open(int dir, int dirflags, const char *path, size_t length, int oflags, int64_t base,
             int64_t inheriting, int flags, int *result);
OLD(fd_write) int old_write(int fd, const void *list, size_t count, size_t *result);
OLD(poll_oneoff) int old_poll(const void *in, void *out, size_t count, size_t *result);

struct old_filestat {
    uint64_t dev, ino;
    uint8_t type;
    uint32_t nlink;
    uint64_t size, atim, mtim, ctim;
    uint64_t sentinel;
};

struct old_subscription {
    uint64_t userdata;
    uint8_t tag;
    uint64_t identifier;
    uint32_t clock;
    uint64_t timeout, precision;
    uint16_t flags;
};

int main(void)
{
    struct old_filestat status = {.sentinel = 77};
    struct old_subscription clock = {.userdata = 5, .clock = 1, .timeout = 5000000};
    struct { const char *bytes; size_t size; } list = {"hello", 5};
    __wasi_event_t event;
    uint64_t place;
    size_t count;
    int fd;

    _Static_assert(sizeof status == 64 && sizeof clock == 56, "layouts");
    CHECK(old_open(3, 0, "file", 4, 1, 0x7fffff, 0, 0, &fd) == __WASI_ERRNO_SUCCESS);
    CHECK(old_write(fd, &list, 1, &count) == 0 && count == 5);
    CHECK(old_seek(fd, 0, 0, &place) == 0 && place == 5);
    CHECK(old_seek(fd, -1, 1, &place) == 0 && place == 4);
    CHECK(old_seek(fd, 2, 2, &place) == 0 && place == 2);
    CHECK(old_filestat(fd, &status) == 0 && status.size == 5 && status.nlink == 1);
    CHECK(status.type == __WASI_FILETYPE_REGULAR_FILE && status.sentinel == 77);
    CHECK(old_path_filestat(3, 0, "file", 4, &status) == 0 && status.size == 5);
    CHECK(old_poll(&clock, &event, 1, &count) == 0 && count == 1 && event.userdata == 5);
    puts("ok");
    return 0;
}
