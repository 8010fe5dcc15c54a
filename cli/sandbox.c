#include "cli/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/signals.h"

static bool parse_number(const char *text, uint32_t *number)
{
    char *end;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *number = (uint32_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && value < UINT32_MAX;
}

static bool find_group(const char *text, uint32_t *group)
{
    if (parse_number(text, group))
        return true;
    const struct group *found = getgrnam(text);
    if (found != NULL)
        *group = found->gr_gid;
    return found != NULL;
}

bool cli_sandbox_user(const char *text, uint32_t *user, uint32_t *group)
{
    char name[64];
    const char *colon = strchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : strlen(text);

    if (size == 0 || size >= sizeof name) {
        cli_complain("--user %s: expected USER[:GROUP]", text);
        return false;
    }
    memcpy(name, text, size);
    name[size] = '\0';
    bool is_number = parse_number(name, user);
    const struct passwd *found = is_number ? getpwuid(*user) : getpwnam(name);
    if (found == NULL && !is_number) {
        cli_complain("--user %s: there is no user %s", text, name);
        return false;
    }
    if (found != NULL)
        *user = found->pw_uid;
    *group = found != NULL ? found->pw_gid : *user;
    if (colon == NULL || find_group(colon + 1, group))
        return true;
    cli_complain("--user %s: there is no group %s", text, colon + 1);
    return false;
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
                               .has_user = options->user != NULL};
    cordon_error_t error;

    if (options->sandbox == CLI_SANDBOX_OFF)
        return true;
    if (wanted.has_user && !cli_sandbox_user(options->user, &wanted.user, &wanted.group))
        return false;
    cli_signals_stopped();
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
