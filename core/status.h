/* What a function that can fail returns, and how a failure travels upward. */
#ifndef CN_CORE_STATUS_H
#define CN_CORE_STATUS_H

#include <stdbool.h>

/* CN_OK is 0; then the rows of spec/error.def, the traps last. */
enum cn_status {
    CN_OK,
#define STATUS(name, exit_code, text) CN_##name,
#define TRAP(name, text) CN_TRAP_##name,
#include "spec/error.def"
#undef STATUS
#undef TRAP
    CN_STATUS_COUNT
};

/* The caller must look at the result. */
#define CN_CHECKED __attribute__((warn_unused_result))

/* Returns a failure upward. Only for functions that own nothing at that point. */
#define CN_TRY(expression)                                                                         \
    do {                                                                                           \
        enum cn_status cn_try_status = (expression);                                               \
        if (__builtin_expect(cn_try_status != CN_OK, 0))                                           \
            return cn_try_status;                                                                  \
    } while (0)

/* The row's text; never NULL. */
const char *cn_status_text(enum cn_status status);

/* The exit code that `cordon run` gives for this status (134 for a trap). */
int cn_status_exit_code(enum cn_status status);

/* True for the TRAP rows. */
bool cn_status_is_trap(enum cn_status status);

#endif
