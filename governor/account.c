#include "governor/account.h"

#include <assert.h>
#include <stdlib.h>

#define NONE CN_UNLIMITED
#define BLOCK_OVERHEAD 16 /* what the C library keeps beside each block, roughly */

static const struct {
    const char *key;
    uint64_t limit;
} rows[CN_QUOTA_COUNT] = {
#define QUOTA(name, key, unit, limit, what, over) [CN_QUOTA_##name] = {#key, limit},
#include "spec/quota.def"
#undef QUOTA
};

void cn_account_init(struct cn_account *account)
{
    *account = (struct cn_account){0};
    for (int i = 0; i < CN_QUOTA_COUNT; i++)
        account->limit[i] = rows[i].limit;
}

uint64_t cn_account_left(const struct cn_account *account, enum cn_quota quota)
{
    uint64_t used = account->used[quota];
    uint64_t limit = account->limit[quota];

    if (limit == CN_UNLIMITED)
        return CN_UNLIMITED - used;
    return used < limit ? limit - used : 0;
}

static void take(struct cn_account *account, enum cn_quota quota, uint64_t amount)
{
    account->used[quota] += amount;
    if (account->used[quota] > account->peak[quota])
        account->peak[quota] = account->used[quota];
}

enum cn_status cn_account_charge(struct cn_account *account, enum cn_quota quota, uint64_t amount)
{
    if (amount > cn_account_left(account, quota)) {
        account->refused[quota]++;
        return CN_OVER_QUOTA;
    }
    take(account, quota, amount);
    return CN_OK;
}

uint64_t cn_account_charge_some(struct cn_account *account, enum cn_quota quota, uint64_t amount)
{
    uint64_t left = cn_account_left(account, quota);

    if (amount > left) {
        account->refused[quota]++;
        amount = left;
    }
    take(account, quota, amount);
    return amount;
}

void cn_account_count(struct cn_account *account, enum cn_quota quota, uint64_t amount)
{
    take(account, quota, amount);
}

void cn_account_refund(struct cn_account *account, enum cn_quota quota, uint64_t amount)
{
    assert(amount <= account->used[quota]);
    account->used[quota] -= amount;
}

const char *cn_quota_key(enum cn_quota quota)
{
    return rows[quota].key;
}

static uint64_t block_cost(size_t size)
{
    return size ? (uint64_t)size + BLOCK_OVERHEAD : 0;
}

static void *charged_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct cn_account *account = context;
    uint64_t before = old ? block_cost(old_size) : 0;
    uint64_t after = block_cost(new_size);

    if (after > before && cn_account_charge(account, CN_QUOTA_MEMORY, after - before) != CN_OK)
        return NULL;
    void *block = cn_heap.resize(NULL, old, old_size, new_size);
    if (block == NULL && new_size > 0) {
        if (after > before)
            cn_account_refund(account, CN_QUOTA_MEMORY, after - before);
        return NULL;
    }
    if (after < before)
        cn_account_refund(account, CN_QUOTA_MEMORY, before - after);
    return block;
}

struct cn_allocator cn_account_allocator(struct cn_account *account)
{
    return (struct cn_allocator){charged_resize, account};
}
