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

uint64_t cordon_quota_excess(enum cordon_quota_id id)
{
    struct cordon_quota quota;

    if (cordon_quota_get(id, &quota) != 0 || quota.used <= quota.limit)
        return 0;
    return quota.used - quota.limit;
}

__attribute__((import_module("cordon"), import_name("memory_discard"))) uint16_t
cordon_import_memory_discard(void *at, size_t size);

int cordon_memory_discard(void *at, size_t size)
{
    uint16_t error = cordon_import_memory_discard(at, size);

    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

__attribute__((import_module("cordon"), import_name("pressure_open"))) uint16_t
cordon_import_pressure_open(int *fd);

int cordon_pressure_open(void)
{
    int fd;
    uint16_t error = cordon_import_pressure_open(&fd);

    if (error == 0)
        return fd;
    errno = error;
    return -1;
}

__attribute__((import_module("cordon"), import_name("pressure_get"))) uint16_t
cordon_import_pressure_get(int fd, uint32_t *causes);

int cordon_pressure_get(int fd)
{
    uint32_t causes;
    uint16_t error = cordon_import_pressure_get(fd, &causes);

    if (error == 0)
        return (int)causes;
    errno = error;
    return -1;
}
