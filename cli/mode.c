#include "cli/mode.h"

#include <stddef.h>
#include <string.h>

const char *const cli_modes[] = {"required", "best-effort", "off", NULL};

int cli_mode_of(const char *text)
{
    int i = 0;

    while (cli_modes[i] != NULL && strcmp(text, cli_modes[i]) != 0)
        i++;
    return i;
}
