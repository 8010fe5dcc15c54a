#include "cli/sandbox.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/signals.h"
#include "cli/user.h"

/* ------------------------------------------------------------------ what the caller left */

#define INHERITED_MAX 1024

static int inherited[INHERITED_MAX];
static int inherited_count;

void cli_sandbox_begin(const struct cli_options *options)
{
    DIR *dir = options->sandbox != CLI_SANDBOX_OFF ? opendir("/proc/self/fd") : NULL;
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (fd > 2 && fd != dirfd(dir) && inherited_count < INHERITED_MAX)
            inherited[inherited_count++] = fd;
    }
    if (dir != NULL)
        closedir(dir);
}

/* All that was granted by such a number (/dev/fd/63) has a descriptor of its own by now. */
static void close_inherited(void)
{
    for (int i = 0; i < inherited_count; i++)
        close(inherited[i]);
}

/* What the caller's environment says is no business of a process that a guest may take over: what
 * was granted of it has been copied. */
static void forget_environment(void)
{
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++)
        explicit_bzero(*variable, strlen(*variable));
    clearenv();
}

bool cli_sandbox_enter(const struct cli_options *options, cordon_config_t *config,
                       struct cli_report *report)
{
    cordon_sandbox_t wanted = {.config = config,
                               .is_best_effort = options->sandbox == CLI_SANDBOX_BEST_EFFORT,
                               .is_strict = options->strict, .has_user = options->user != NULL};
    cordon_error_t error;
    const char *why;

    if (options->sandbox == CLI_SANDBOX_OFF)
        return true;
    if (wanted.has_user && !cli_parse_user(options->user, &wanted.user, &wanted.group, &why)) {
        cli_complain("--user %s: %s", options->user, why);
        return false;
    }
    cli_signals_stopped();
    close_inherited();
    if (!cordon_sandbox_enter(&wanted, &report->jail, &error)) {
        bool can_do_without = strstr(error.message, " is missing: ") != NULL;
        cli_complain("%s%s", error.message,
                     can_do_without ? " (--sandbox=best-effort goes without)" : "");
        return false;
    }
    forget_environment();
    report->sandbox = wanted.is_best_effort ? "best-effort" : "required";
    return true;
}
