/* Users and groups, as people name them. */
#ifndef CN_CLI_USER_H
#define CN_CLI_USER_H

#include <stdbool.h>
#include <stdint.h>

/* "USER" or "USER:GROUP", by names or numbers; without a group it is the user's own. False with
 * *why. */
bool cli_parse_user(const char *text, uint32_t *user, uint32_t *group, const char **why);

#endif
