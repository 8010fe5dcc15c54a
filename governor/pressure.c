#include "governor/pressure.h"

bool cn_is_tight(uint64_t used, uint64_t size, bool before)
{
    return size != CN_UNLIMITED && used >= size - size / (before ? 4 : 8);
}

static bool host_is_tight(const struct cn_account *account)
{
    return account->pot != NULL && atomic_load(&account->pot->is_tight) &&
           account->used[CN_QUOTA_MEMORY] > account->reserved;
}

uint32_t cn_pressure_look(const struct cn_account *account, uint32_t before)
{
    uint64_t used = account->used[CN_QUOTA_MEMORY], limit = account->limit[CN_QUOTA_MEMORY];
    uint32_t now = 0;

    if (cn_is_tight(used, limit, before & CN_PRESSURE_NEAR))
        now |= CN_PRESSURE_NEAR;
    if (used > limit)
        now |= CN_PRESSURE_OVER;
    if (host_is_tight(account))
        now |= CN_PRESSURE_HOST;
    return now;
}
