#include "core/status.h"

#include <stddef.h>

static const struct {
    const char *text;
    int exit_code;
} rows[CN_STATUS_COUNT] = {
    [CN_OK] = {"ok", 0},
#define STATUS(name, exit_code, text) [CN_##name] = {text, exit_code},
#define TRAP(name, text) [CN_TRAP_##name] = {text, 134},
#include "spec/error.def"
#undef STATUS
#undef TRAP
};

static bool is_known(enum cn_status status)
{
    return (unsigned)status < CN_STATUS_COUNT;
}

const char *cn_status_text(enum cn_status status)
{
    return is_known(status) ? rows[status].text : "unknown status";
}

int cn_status_exit_code(enum cn_status status)
{
    return is_known(status) ? rows[status].exit_code : 125;
}

bool cn_status_is_trap(enum cn_status status)
{
    return is_known(status) && status >= CN_TRAP_UNREACHABLE;
}
