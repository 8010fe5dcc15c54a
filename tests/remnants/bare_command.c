/* The part of bare.c that is for the command alone. */
#include "bare.h"
#include "cli/sweep.h"

void __real_cli_stay_out_of_dumps(void);
void __wrap_cli_stay_out_of_dumps(void);
void __wrap_cli_stay_out_of_dumps(void)
{
    if (!is_bare("filter"))
        __real_cli_stay_out_of_dumps();
}
