/* A VM's account: what it uses of each quota, how much it may, and how much it ever did.
 *
 * Pure bookkeeping; no clock, no I/O. The rows are those of spec/quota.def. Charge before the
 * act, refund exactly after. One thread at a time per account.
 *
 * Accounts may share a pot of memory: then what each of them has committed, the larger of what it
 * uses and what it has reserved, comes to no more than the pot holds. So a reservation can always
 * be used, and what nobody reserves is for whoever asks first.
 */
#ifndef CN_GOVERNOR_ACCOUNT_H
#define CN_GOVERNOR_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/alloc.h"
#include "core/status.h"

#define CN_UNLIMITED UINT64_MAX

enum cn_quota {
#define QUOTA(name, ...) CN_QUOTA_##name,
#include "spec/quota.def"
#undef QUOTA
    CN_QUOTA_COUNT
};

/* Shared by several threads. */
struct cn_pot {
    _Atomic uint64_t committed;
    _Atomic uint64_t size; /* CN_UNLIMITED: as much as is asked for */
    /* Where there is not enough, asked to make it `amount` larger; NULL where nobody can. */
    bool (*ask)(void *context, uint64_t amount);
    void *ask_context;
    /* Little of it is left (governor/pressure.h): kept up to date by the functions below, but where
     * there is `ask`: then by whoever sets that. */
    _Atomic bool is_tight;
    /* Called, by any thread, when that has changed; its context is set before it. */
    void (*_Atomic turned)(void *context);
    void *turned_context;
};

/* False when there is not so much left. */
bool cn_pot_take(struct cn_pot *pot, uint64_t amount);
void cn_pot_give(struct cn_pot *pot, uint64_t amount);
/* It may come to less than is committed: then it gives nothing until there is less. */
void cn_pot_resize(struct cn_pot *pot, uint64_t size);

struct cn_account {
    uint64_t used[CN_QUOTA_COUNT];
    uint64_t peak[CN_QUOTA_COUNT];
    uint64_t limit[CN_QUOTA_COUNT];
    uint64_t refused[CN_QUOTA_COUNT]; /* how often a charge was turned down */
    struct cn_pot *pot;               /* of memory, or NULL */
    uint64_t reserved;                /* of the pot, whatever the limit of MEMORY_RESERVE says */
};

/* All counters 0, all limits the defaults of the rows. */
void cn_account_init(struct cn_account *account);

/* Joins a pot, reserving so much of it: CN_OVER_QUOTA when that is not there. Before anything is
 * charged. */
CN_CHECKED enum cn_status cn_account_join(struct cn_account *account, struct cn_pot *pot,
                                          uint64_t reserve);
/* Changes what is reserved. `taken` is what the pot was asked for beforehand: what comes to less
 * goes back to it. A reservation that grows needs at most as much as it grows by. */
void cn_account_reserve(struct cn_account *account, uint64_t reserve, uint64_t taken);
/* Leaves the pot with all that is charged and reserved. */
void cn_account_leave(struct cn_account *account);

/* CN_OVER_QUOTA, and nothing is charged, when used + amount would pass the limit. */
CN_CHECKED enum cn_status cn_account_charge(struct cn_account *account, enum cn_quota quota,
                                            uint64_t amount);

/* As much of `amount` as still fits, charged; returns what was charged (0 to amount). */
uint64_t cn_account_charge_some(struct cn_account *account, enum cn_quota quota,
                                uint64_t amount);

/* Takes note of what has happened already, whatever the limit is. */
static inline void cn_account_count(struct cn_account *account, enum cn_quota quota,
                                    uint64_t amount)
{
    account->used[quota] += amount;
    if (account->used[quota] > account->peak[quota])
        account->peak[quota] = account->used[quota];
}

/* Something has come to `amount`, and does not become less: how deep, not how much. */
static inline void cn_account_reach(struct cn_account *account, enum cn_quota quota,
                                    uint64_t amount)
{
    if (amount > account->used[quota])
        account->used[quota] = account->peak[quota] = amount;
}

/* Gives back what was charged; more than was charged is our own mistake (asserted). */
void cn_account_refund(struct cn_account *account, enum cn_quota quota, uint64_t amount);

/* How much could still be charged. */
static inline uint64_t cn_account_left(const struct cn_account *account, enum cn_quota quota)
{
    uint64_t used = account->used[quota], limit = account->limit[quota];

    if (limit == CN_UNLIMITED)
        return CN_UNLIMITED - used;
    return used < limit ? limit - used : 0;
}

/* "memory", "cpu-time"...: the row's key as people type it. */
const char *cn_quota_key(enum cn_quota quota);

/* An allocator on the C heap whose blocks are charged to the account's MEMORY quota (with 16
 * bytes of overhead each). The account must outlive every block. */
struct cn_allocator cn_account_allocator(struct cn_account *account);

#endif
