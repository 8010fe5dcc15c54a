#include "governor/account.h"

#include <assert.h>
#include <stdlib.h>

#include "governor/pressure.h"

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

/* ------------------------------------------------------------------ the pot */

/* How much more it would need to give so much; 0 when it has been given. */
static uint64_t take_from(struct cn_pot *pot, uint64_t amount)
{
    uint64_t committed = atomic_load(&pot->committed);

    do {
        uint64_t size = atomic_load(&pot->size), wanted;
        if (__builtin_add_overflow(committed, amount, &wanted))
            wanted = UINT64_MAX;
        if (wanted > size)
            return wanted - size;
    } while (!atomic_compare_exchange_weak(&pot->committed, &committed, committed + amount));
    return 0;
}

/* Looks again after a change, because others may have committed or given back meanwhile: the last
 * one to look leaves what is true. */
static void look_at(struct cn_pot *pot)
{
    bool before = atomic_load(&pot->is_tight), now;

    while (pot->ask == NULL &&
           (now = cn_is_tight(atomic_load(&pot->committed), atomic_load(&pot->size), before)) !=
               before) {
        if (atomic_compare_exchange_strong(&pot->is_tight, &before, now)) {
            void (*turned)(void *) = atomic_load(&pot->turned);
            if (turned != NULL)
                turned(pot->turned_context);
            before = now;
        }
    }
}

bool cn_pot_take(struct cn_pot *pot, uint64_t amount)
{
    uint64_t missing = take_from(pot, amount);

    if (missing > 0 && pot->ask != NULL && pot->ask(pot->ask_context, missing))
        missing = take_from(pot, amount);
    if (missing == 0)
        look_at(pot);
    return missing == 0;
}

void cn_pot_give(struct cn_pot *pot, uint64_t amount)
{
    atomic_fetch_sub(&pot->committed, amount);
    look_at(pot);
}

void cn_pot_resize(struct cn_pot *pot, uint64_t size)
{
    atomic_store(&pot->size, size);
    look_at(pot);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What the pot is asked for beside what the account has committed already. */
static bool commit(struct cn_account *account, enum cn_quota quota, uint64_t amount)
{
    uint64_t used = account->used[quota];

    if (quota != CN_QUOTA_MEMORY || account->pot == NULL || used + amount <= account->reserved)
        return true;
    return cn_pot_take(account->pot, used + amount - larger(used, account->reserved));
}

enum cn_status cn_account_join(struct cn_account *account, struct cn_pot *pot, uint64_t reserve)
{
    if (!cn_pot_take(pot, reserve))
        return CN_OVER_QUOTA;
    account->pot = pot;
    account->reserved = reserve;
    return CN_OK;
}

void cn_account_reserve(struct cn_account *account, uint64_t reserve, uint64_t taken)
{
    uint64_t used = account->used[CN_QUOTA_MEMORY];
    uint64_t before = larger(used, account->reserved) + taken;

    account->reserved = reserve;
    if (account->pot != NULL)
        cn_pot_give(account->pot, before - larger(used, reserve));
}

void cn_account_leave(struct cn_account *account)
{
    if (account->pot != NULL)
        cn_pot_give(account->pot, larger(account->used[CN_QUOTA_MEMORY], account->reserved));
    account->pot = NULL;
}

/* ------------------------------------------------------------------ charges */

enum cn_status cn_account_charge(struct cn_account *account, enum cn_quota quota, uint64_t amount)
{
    if (amount > cn_account_left(account, quota) || !commit(account, quota, amount)) {
        account->refused[quota]++;
        return CN_OVER_QUOTA;
    }
    cn_account_count(account, quota, amount);
    return CN_OK;
}

uint64_t cn_account_charge_some(struct cn_account *account, enum cn_quota quota, uint64_t amount)
{
    uint64_t left = cn_account_left(account, quota);

    assert(quota != CN_QUOTA_MEMORY); /* memory is had whole or not at all */
    if (amount > left) {
        account->refused[quota]++;
        amount = left;
    }
    cn_account_count(account, quota, amount);
    return amount;
}

void cn_account_refund(struct cn_account *account, enum cn_quota quota, uint64_t amount)
{
    uint64_t before = account->used[quota], after = before - amount;

    assert(amount <= before);
    if (quota == CN_QUOTA_MEMORY && account->pot != NULL && before > account->reserved)
        cn_pot_give(account->pot, before - larger(after, account->reserved));
    account->used[quota] = after;
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
        assert(after > before); /* the heap makes every block smaller that it is told to */
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
