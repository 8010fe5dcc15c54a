#include "cli/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/options.h"

bool cli_place(char path[CLI_PLACE_MAX], const char *given, bool make)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    bool is_root = geteuid() == 0;
    char folder[CLI_PLACE_MAX + 40];
    int size;

    if (given != NULL) {
        size = snprintf(path, CLI_PLACE_MAX, "%s", given);
    } else if (!is_root && (runtime == NULL || runtime[0] != '/')) {
        cli_complain("XDG_RUNTIME_DIR is not set: name the host's socket with --host PATH");
        return false;
    } else {
        snprintf(folder, sizeof folder, "%.130s/cordon", is_root ? "/run" : runtime);
        size = snprintf(path, CLI_PLACE_MAX, "%.140s/host.sock", folder);
        if (make && mkdir(folder, 0700) != 0 && errno != EEXIST) {
            cli_complain("%s: %s", folder, strerror(errno));
            return false;
        }
    }
    if (size > 0 && size < CLI_PLACE_MAX)
        return true;
    cli_complain("--host: expected a path of at most %d bytes", CLI_PLACE_MAX - 1);
    return false;
}

int cli_place_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

int cli_place_peer(int socket)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? (int)peer.pid : 0;
}
