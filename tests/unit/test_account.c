#include "governor/account.h"

#include <criterion/criterion.h>

static struct cn_account account;

static void open_account(void)
{
    cn_account_init(&account);
}

TestSuite(account, .init = open_account);

Test(account, begins_with_the_defaults_of_the_rows)
{
    cr_expect_eq(account.limit[CN_QUOTA_MEMORY], 1ull << 30);
    cr_expect_eq(account.limit[CN_QUOTA_FUEL], CN_UNLIMITED);
    cr_expect_str_eq(cn_quota_key(CN_QUOTA_MEMORY), "memory");
}

Test(account, refuses_the_first_unit_too_many_and_charges_nothing_then)
{
    account.limit[CN_QUOTA_FDS] = 10;
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_FDS, 10), CN_OK);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_FDS, 1), CN_OVER_QUOTA);
    cr_expect_eq(account.used[CN_QUOTA_FDS], 10);
    cr_expect_eq(account.refused[CN_QUOTA_FDS], 1);
    cn_account_refund(&account, CN_QUOTA_FDS, 4);
    cr_expect_eq(cn_account_left(&account, CN_QUOTA_FDS), 4);
    cr_expect_eq(account.peak[CN_QUOTA_FDS], 10);
}

Test(account, cannot_be_tricked_by_amounts_near_the_end_of_the_numbers)
{
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_MEMORY, UINT64_MAX), CN_OVER_QUOTA);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_FUEL, UINT64_MAX - 5), CN_OK);
    cr_expect_eq(cn_account_charge(&account, CN_QUOTA_FUEL, 6), CN_OVER_QUOTA);
    cr_expect_eq(cn_account_charge_some(&account, CN_QUOTA_FUEL, 100), 5);
}

Test(account, has_nothing_left_when_the_limit_was_lowered_below_the_use)
{
    cr_assert_eq(cn_account_charge(&account, CN_QUOTA_DISK, 100), CN_OK);
    account.limit[CN_QUOTA_DISK] = 50;
    cr_expect_eq(cn_account_left(&account, CN_QUOTA_DISK), 0);
    cr_expect_eq(cn_account_charge_some(&account, CN_QUOTA_DISK, 1), 0);
}

Test(account, meters_an_allocator_exactly)
{
    struct cn_allocator allocator = cn_account_allocator(&account);

    account.limit[CN_QUOTA_MEMORY] = 1000;
    void *block = cn_alloc(allocator, 500);
    cr_assert_not_null(block);
    cr_expect_null(cn_alloc(allocator, 500));
    void *larger = cn_resize(allocator, block, 500, 900);
    cr_assert_not_null(larger);
    cr_expect_null(cn_resize(allocator, larger, 900, 2000), "the old block stays");
    larger = cn_resize(allocator, larger, 900, 10);
    cr_expect_lt(account.used[CN_QUOTA_MEMORY], 100);
    cn_free(allocator, larger, 10);
    cr_expect_eq(account.used[CN_QUOTA_MEMORY], 0);
}
