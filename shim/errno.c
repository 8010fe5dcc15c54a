#include "shim/errno.h"

#include <errno.h>

enum cn_errno cn_errno_of_host(int host)
{
    if (host == EMFILE)
        return CN_E_NFILE;
    switch (host) {
#define ERRNO(name, number, value)                                                                 \
    case value:                                                                                    \
        return CN_E_##name;
#define ERRNO_OURS(name, number)
#include "spec/wasi_errno.def"
#undef ERRNO
#undef ERRNO_OURS
    default:
        return CN_E_IO;
    }
}

const char *cn_errno_name(uint32_t error)
{
    switch (error) {
#define ERRNO(name, number, value)                                                                 \
    case number:                                                                                   \
        return #name;
#define ERRNO_OURS(name, number)                                                                   \
    case number:                                                                                   \
        return #name;
#include "spec/wasi_errno.def"
#undef ERRNO
#undef ERRNO_OURS
    default:
        return "?";
    }
}
