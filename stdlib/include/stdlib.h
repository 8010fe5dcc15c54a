/* wasi-libc's <stdlib.h>, and what ISO C has besides. */
#include_next <stdlib.h>

#ifndef CORDON_STDLIB_H
#define CORDON_STDLIB_H

#ifdef __cplusplus
extern "C" {
#endif

/* ISO C 7.22.4.8. There is no command processor: 0 for NULL, else -1 and ENOSYS. */
int system(const char *command);

#ifdef __cplusplus
}
#endif

#endif
