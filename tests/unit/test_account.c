#include <criterion/criterion.h>
#include <string.h>

#include "governor/account.h"
#include "stdlib/include/cordon/quota.h"

/* Guests know the quotas by their numbers. */
#define QUOTA(name, ...)                                                                           \
    _Static_assert((int)CORDON_QUOTA_##name == (int)CN_QUOTA_##name, "stdlib/ does not follow");
#include "spec/quota.def"
#undef QUOTA

Test(account, begins_with_the_rows)
{
    struct cn_account account;

    cn_account_init(&account);
    for (int i = 0; i < CN_QUOTA_COUNT; i++) {
        cr_expect_eq(account.used[i], 0);
        cr_expect(account.limit[i] != 0 || i == CN_QUOTA_CPU_RESERVE);
        cr_expect_gt(strlen(cn_quota_key((enum cn_quota)i)), 0);
    }
    cr_expect_eq(account.limit[CN_QUOTA_MEMORY], 1ull << 30);
    cr_expect_eq(account.limit[CN_QUOTA_TIMEOUT], CN_UNLIMITED);
    cr_expect_str_eq(cn_quota_key(CN_QUOTA_CPU_TIME), "cpu_time");
}

Test(account, charges_to_the_limit_and_not_beyond)
{
    struct cn_account account;

    cn_account_init(&account);
    account.limit[CN_QUOTA_DISK] = 100;
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_DISK, 60), CN_OK);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_DISK, 41), CN_OVER_QUOTA);
    cr_expect_eq(account.used[CN_QUOTA_DISK], 60);
    cr_expect_eq(account.refused[CN_QUOTA_DISK], 1);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_DISK, UINT64_MAX), CN_OVER_QUOTA);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_DISK, 40), CN_OK);
    cr_expect_eq(cn_account_left(&account, CN_QUOTA_DISK), 0);
    cn_account_refund(&account, CN_QUOTA_DISK, 100);
    cr_expect_eq(account.used[CN_QUOTA_DISK], 0);
    cr_expect_eq(account.peak[CN_QUOTA_DISK], 100);
}

Test(account, charges_some)
{
    struct cn_account account;

    cn_account_init(&account);
    account.limit[CN_QUOTA_FUEL] = 10;
    cr_expect_eq(cn_account_charge_some(&account, CN_QUOTA_FUEL, 7), 7);
    cr_expect_eq(cn_account_charge_some(&account, CN_QUOTA_FUEL, 7), 3);
    cr_expect_eq(cn_account_charge_some(&account, CN_QUOTA_FUEL, 7), 0);
}

/* A limit that is lowered below what is in use leaves nothing, and does not wrap. */
Test(account, a_lowered_limit)
{
    struct cn_account account;

    cn_account_init(&account);
    cr_assert_eq(cn_account_charge(&account, CN_QUOTA_MEMORY, 1000), CN_OK);
    account.limit[CN_QUOTA_MEMORY] = 10;
    cr_expect_eq(cn_account_left(&account, CN_QUOTA_MEMORY), 0);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_MEMORY, 1), CN_OVER_QUOTA);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_MEMORY, 0), CN_OK);
    cn_account_refund(&account, CN_QUOTA_MEMORY, 1000);
}

Test(account, unlimited_does_not_wrap)
{
    struct cn_account account;

    cn_account_init(&account);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_FUEL, UINT64_MAX - 1), CN_OK);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_FUEL, 2), CN_OVER_QUOTA);
    cr_expect_eq(cn_account_charge_some(&account, CN_QUOTA_FUEL, 9), 1);
    cr_expect_eq(account.used[CN_QUOTA_FUEL], UINT64_MAX);
}

Test(account, the_allocator_charges_and_refunds_exactly)
{
    struct cn_account account;

    cn_account_init(&account);
    account.limit[CN_QUOTA_MEMORY] = 1 << 20;
    struct cn_allocator allocator = cn_account_allocator(&account);
    char *block = cn_alloc(allocator, 1000);
    cr_assert_not_null(block);
    cr_expect_geq(account.used[CN_QUOTA_MEMORY], 1000);
    memset(block, 7, 1000);
    char *moved = cn_resize(allocator, block, 1000, 5000);
    cr_assert_not_null(moved);
    cr_expect_eq(moved[999], 7);
    cr_expect_geq(account.used[CN_QUOTA_MEMORY], 5000);
    cr_expect_null(cn_resize(allocator, moved, 5000, 2 << 20), "above the quota");
    cr_expect_eq(moved[999], 7, "the block is as it was");
    moved = cn_resize(allocator, moved, 5000, 10);
    cr_expect_lt(account.used[CN_QUOTA_MEMORY], 100);
    cr_expect_null(cn_alloc_array(allocator, SIZE_MAX / 2, 3));
    cn_free(allocator, moved, 10);
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], 0);
}
