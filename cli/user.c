#include "cli/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

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

bool cli_parse_user(const char *text, uint32_t *user, uint32_t *group, const char **why)
{
    char name[64];
    const char *colon = strchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : strlen(text);

    *why = "expected USER[:GROUP]";
    if (size == 0 || size >= sizeof name)
        return false;
    memcpy(name, text, size);
    name[size] = '\0';
    bool is_number = parse_number(name, user);
    const struct passwd *found = is_number ? getpwuid(*user) : getpwnam(name);
    *why = "there is no such user";
    if (found == NULL && !is_number)
        return false;
    if (found != NULL)
        *user = found->pw_uid;
    *group = found != NULL ? found->pw_gid : *user;
    *why = "there is no such group";
    return colon == NULL || find_group(colon + 1, group);
}
