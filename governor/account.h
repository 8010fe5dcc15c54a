/* A VM's account: what it uses of each quota, how much it may, and how much it ever did.
 *
 * Pure bookkeeping; no clock, no I/O. The rows are those of spec/quota.def. Charge before the
 * act, refund exactly after. One thread at a time per account.
 */
#ifndef CN_GOVERNOR_ACCOUNT_H
#define CN_GOVERNOR_ACCOUNT_H

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

struct cn_account {
    uint64_t used[CN_QUOTA_COUNT];
    uint64_t peak[CN_QUOTA_COUNT];
    uint64_t limit[CN_QUOTA_COUNT];
    uint64_t refused[CN_QUOTA_COUNT]; /* how often a charge was turned down */
};

/* All counters 0, all limits the defaults of the rows. */
void cn_account_init(struct cn_account *account);

/* CN_OVER_QUOTA, and nothing is charged, when used + amount would pass the limit. */
CN_CHECKED enum cn_status cn_account_charge(struct cn_account *account, enum cn_quota quota,
                                            uint64_t amount);

/* As much of `amount` as still fits, charged; returns what was charged (0 to amount). */
uint64_t cn_account_charge_some(struct cn_account *account, enum cn_quota quota,
                                uint64_t amount);

/* Takes note of what has happened already, whatever the limit is. */
void cn_account_count(struct cn_account *account, enum cn_quota quota, uint64_t amount);

/* Gives back what was charged; more than was charged is our own mistake (asserted). */
void cn_account_refund(struct cn_account *account, enum cn_quota quota, uint64_t amount);

/* How much could still be charged. */
uint64_t cn_account_left(const struct cn_account *account, enum cn_quota quota);

/* "memory", "cpu-time"...: the row's key as people type it. */
const char *cn_quota_key(enum cn_quota quota);

/* An allocator on the C heap whose blocks are charged to the account's MEMORY quota (with 16
 * bytes of overhead each). The account must outlive every block. */
struct cn_allocator cn_account_allocator(struct cn_account *account);

#endif
