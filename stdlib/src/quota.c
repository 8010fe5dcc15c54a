#include <cordon/quota.h>

#include <errno.h>

__attribute__((import_module("cordon"), import_name("quota_get"))) uint16_t
cordon_import_quota_get(uint32_t id, struct cordon_quota *result);

int cordon_quota_get(enum cordon_quota_id id, struct cordon_quota *result)
{
    uint16_t error = cordon_import_quota_get((uint32_t)id, result);

    if (error == 0)
        return 0;
    errno = error;
    return -1;
}
