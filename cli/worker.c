/* `cordon worker`: the process of one VM, which `cordon up` starts and nobody else. It is told
 * nothing but descriptors: a socket to its host stands at number 3. */
#include "cli/worker.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/options.h"
#include "include/cordon.h"

static bool is_socket(int fd)
{
    int type;
    socklen_t size = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* The rows of its arguments, written by cli_worker_arguments. */
static bool lock(void *user, cordon_config_t *config, cordon_error_t *error)
{
    char **words = user;
    cordon_sandbox_report_t report;
    cordon_sandbox_t wanted = {
        .config = config, .has_sockets = true, .dies_with_parent = true,
        .is_best_effort = strcmp(words[1], "best-effort") == 0,
        .is_strict = strcmp(words[2], "strict") == 0, .has_user = words[3] != NULL,
    };

    if (strcmp(words[1], "off") == 0)
        return true;
    if (wanted.has_user) {
        wanted.user = (uint32_t)strtoul(words[3], NULL, 10);
        wanted.group = (uint32_t)strtoul(words[4], NULL, 10);
    }
    if (!cordon_sandbox_enter(&wanted, &report, error)) {
        size_t size = strlen(error->message);
        if (strstr(error->message, " is missing: ") != NULL)
            snprintf(error->message + size, sizeof error->message - size,
                     " (sandbox: best-effort, or --sandbox=best-effort, goes without)");
        return false;
    }
    /* The kernel ends it with its parent, from now on; before, nobody did. */
    const struct timespec now = {0, 0};
    struct pollfd host = {.fd = CLI_WORKER_SOCKET};
    return ppoll(&host, 1, &now, NULL) == 0;
}

int cli_worker(int argc, char **argv)
{
    cordon_error_t error;

    if ((argc != 3 && argc != 5) || !is_socket(CLI_WORKER_SOCKET)) {
        cli_complain("worker: this is what cordon up starts for each VM, and of no use otherwise");
        return 125;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != strtol(argv[0], NULL, 10))
        return 125;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return cordon_cell_inside(CLI_WORKER_SOCKET, lock, argv, &error) ? 0 : 125;
}
