#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

enum cn_status cn_fail(struct cn_error *error, enum cn_status status, uint64_t offset,
                       const char *format, ...)
{
    if (error == NULL)
        return status;

    va_list arguments;
    error->status = status;
    error->offset = offset;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return status;
}
