/* How much a process locks itself: the values of --sandbox. */
#ifndef CN_CLI_MODE_H
#define CN_CLI_MODE_H

/* In the order of enum cli_sandbox, up to a NULL. */
extern const char *const cli_modes[];

/* The mode's number; that of the NULL when there is none of that name. */
int cli_mode_of(const char *text);

#endif
