/* What the host answers, for people. */
#ifndef CN_CLI_SHOW_H
#define CN_CLI_SHOW_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* A member that is a number or a text; 0 and "" when it is not there. */
uint64_t cli_number(const json_t *object, const char *key);
const char *cli_text(const json_t *object, const char *key);

/* "42 s", "3 min", "5 h", "12 d". */
const char *cli_show_age(uint64_t ns, char *text, size_t size);

/* How the VM is: its state, and how it ended. */
const char *cli_show_state(const json_t *vm, char *text, size_t size);

/* The table of `cordon ps`. */
void cli_show_ps(const json_t *vms);

#endif
