#include <stdarg.h>
#include <stdio.h>

#include "api/internal.h"

static void write_error(cordon_error_t *error, cordon_kind_t kind, const char *format,
                        va_list arguments)
{
    if (error == NULL)
        return;
    error->kind = kind;
    error->offset = UINT64_MAX;
    error->quota = kind == CORDON_QUOTA ? CORDON_MEMORY : CORDON_QUOTA_COUNT;
    vsnprintf(error->message, sizeof error->message, format, arguments);
}

bool cn_api_fail(cordon_error_t *error, cordon_kind_t kind, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_error(error, kind, format, arguments);
    va_end(arguments);
    return false;
}

bool cn_api_fail_quota(cordon_error_t *error, enum cn_quota quota, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_error(error, CORDON_QUOTA, format, arguments);
    va_end(arguments);
    if (error != NULL)
        error->quota = (int)quota;
    return false;
}

static cordon_kind_t kind_of(enum cn_status status)
{
    switch (status) {
    case CN_MALFORMED:
    case CN_INVALID:
    case CN_TOO_LARGE:
        return CORDON_BAD_MODULE;
    case CN_UNVERIFIED:
        return CORDON_INTERNAL;
    case CN_UNLINKABLE:
        return CORDON_LINK;
    case CN_NO_MEMORY:
    case CN_OVER_QUOTA:
        return CORDON_QUOTA;
    case CN_NOT_FOUND:
        return CORDON_NO_EXPORT;
    case CN_IO:
        return CORDON_IO;
    default:
        return cn_status_is_trap(status) ? CORDON_TRAP : CORDON_MISUSE;
    }
}

bool cn_api_fail_with(cordon_error_t *error, const struct cn_error *cause)
{
    const char *text = cause->text[0] ? cause->text : cn_status_text(cause->status);

    cn_api_fail(error, kind_of(cause->status), "%s", text);
    if (error != NULL)
        error->offset = cause->offset;
    return false;
}
