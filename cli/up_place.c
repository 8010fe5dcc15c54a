#include "cli/up_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/options.h"

static bool say(const char *path)
{
    cli_complain("%s: %s", path, strerror(errno));
    return false;
}

/* Whether the locked file is still the one that has the name; false with errno when nobody can
 * say. */
static bool look_at_name(int fd, const char *path, bool *is_named)
{
    struct stat mine, named;

    if (fstat(fd, &mine) != 0)
        return false;
    bool is_there = stat(path, &named) == 0;
    *is_named = is_there && mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
    return is_there || errno == ENOENT;
}

static bool say_who(const struct up_place *place, int fd)
{
    char text[24] = "";
    ssize_t size = pread(fd, text, sizeof text - 1, 0);

    text[size > 0 ? strspn(text, "0123456789") : 0] = '\0';
    cli_complain("a host runs already at %s%s%s", place->path, text[0] ? ", pid " : "", text);
    return false;
}

/* Whoever holds the lock beside the socket is its host: two that start together cannot both. */
static bool take_lock(struct up_place *place)
{
    for (bool is_named;;) {
        int fd = open(place->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return say(place->lock_path);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            bool is_taken = errno == EWOULDBLOCK ? say_who(place, fd) : say(place->lock_path);
            close(fd);
            return is_taken;
        }
        bool is_known = look_at_name(fd, place->lock_path, &is_named);
        if (is_known && is_named) {
            place->lock = fd;
            return true;
        }
        if (!is_known)
            (void)say(place->lock_path);
        close(fd);
        if (!is_known)
            return false;
    }
}

/* What a killed host has left is removed; what is something else is not ours. */
static bool remove_stale(const struct up_place *place)
{
    struct stat status;

    if (lstat(place->path, &status) != 0)
        return errno == ENOENT || say(place->path);
    if (!S_ISSOCK(status.st_mode)) {
        cli_complain("%s: is there and no socket", place->path);
        return false;
    }
    int fd = cli_place_connect(place->path);
    if (fd >= 0) {
        cli_complain("%s: something listens there, pid %d", place->path, cli_place_peer(fd));
        close(fd);
        return false;
    }
    return unlink(place->path) == 0 || say(place->path);
}

static bool bind_socket(struct up_place *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask = umask(0177);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(address.sun_path, place->path, strlen(place->path) + 1);
    bool is_bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                    listen(fd, 256) == 0;
    umask(mask);
    place->socket = fd;
    return is_bound || say(place->path);
}

/* The folder is remembered as a descriptor: the process may go elsewhere before it cleans up. */
static bool open_folder(struct up_place *place)
{
    char folder[CLI_PLACE_MAX];

    snprintf(folder, sizeof folder, "%s", place->path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder] = '\0';
    place->folder = open(slash ? folder : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return place->folder >= 0 || say(slash ? folder : ".");
}

static void remove_name(const struct up_place *place, const char *path)
{
    const char *slash = strrchr(path, '/');

    unlinkat(place->folder, slash ? slash + 1 : path, 0);
}

bool up_place_take(struct up_place *place, const char *given)
{
    char pid[24];

    place->folder = place->lock = place->socket = -1;
    if (!cli_place(place->path, given, true))
        return false;
    snprintf(place->lock_path, sizeof place->lock_path, "%s.lock", place->path);
    if (!open_folder(place) || !take_lock(place))
        return false;
    int size = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    bool done = ftruncate(place->lock, 0) == 0 && pwrite(place->lock, pid, (size_t)size, 0) > 0;
    if ((done || say(place->lock_path)) && remove_stale(place) && bind_socket(place))
        return true;
    unlink(place->lock_path);
    close(place->lock);
    place->lock = -1;
    return false;
}

/* "SOCKET.NAME.disk"; false when that is too long for a file's name. */
static bool ledger_name(const struct up_place *place, const char *vm, char name[NAME_MAX + 1])
{
    const char *slash = strrchr(place->path, '/');

    return snprintf(name, NAME_MAX + 1, "%s.%s.disk", slash ? slash + 1 : place->path, vm) <=
           NAME_MAX;
}

int up_place_ledger(const struct up_place *place, const char *vm)
{
    char name[NAME_MAX + 1];

    errno = ENAMETOOLONG;
    return ledger_name(place, vm, name)
               ? openat(place->folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)
               : -1;
}

void up_place_forget_ledger(const struct up_place *place, const char *vm)
{
    char name[NAME_MAX + 1];

    if (ledger_name(place, vm, name))
        unlinkat(place->folder, name, 0);
}

/* Those of VMs that a killed host had, and this one has not. */
static void remove_ledgers(const struct up_place *place)
{
    const char *slash = strrchr(place->path, '/');
    const char *own = slash ? slash + 1 : place->path;
    size_t size = strlen(own);
    int fd = openat(place->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        const char *end = strrchr(entry->d_name, '.');
        if (end != NULL && strcmp(end, ".disk") == 0 && strncmp(entry->d_name, own, size) == 0 &&
            entry->d_name[size] == '.')
            unlinkat(place->folder, entry->d_name, 0);
    }
    if (dir != NULL)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
}

void up_place_leave(struct up_place *place)
{
    if (place->lock < 0)
        return;
    remove_ledgers(place);
    if (place->socket >= 0)
        close(place->socket);
    remove_name(place, place->path);
    remove_name(place, place->lock_path);
    close(place->lock);
    close(place->folder);
    place->folder = place->lock = place->socket = -1;
}
