/* The first thing that went wrong: what, where, and in words for the reader. */
#ifndef CN_CORE_ERROR_H
#define CN_CORE_ERROR_H

#include <stdint.h>

#include "core/status.h"

#define CN_ERROR_TEXT_MAX 256
#define CN_NO_OFFSET UINT64_MAX

struct cn_error {
    enum cn_status status;
    uint64_t offset; /* in the file that was read, or CN_NO_OFFSET */
    char text[CN_ERROR_TEXT_MAX];
};

/* Writes the error once, where it is found, and returns its status, so that a caller can
 * say `return cn_fail(error, CN_INVALID, at, "...")`. A NULL error is allowed: then only the
 * status travels. A text that is too long is cut. Earlier content is overwritten. */
enum cn_status cn_fail(struct cn_error *error, enum cn_status status, uint64_t offset,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
