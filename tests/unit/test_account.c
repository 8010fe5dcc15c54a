#include <criterion/criterion.h>
#include <pthread.h>
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
        cr_expect(account.limit[i] != 0 || i == CN_QUOTA_CPU_RESERVE ||
                  i == CN_QUOTA_MEMORY_RESERVE || i == CN_QUOTA_CPU_BURST);
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

/* What each has committed is the larger of what it uses and what it has reserved. */
Test(account, a_pot_keeps_what_is_reserved)
{
    struct cn_pot pot = {.size = 1000};
    struct cn_account a, b;

    cn_account_init(&a);
    cn_account_init(&b);
    cr_expect_eq(cn_account_join(&a, &pot, 1001), CN_OVER_QUOTA);
    cr_assert_eq(cn_account_join(&a, &pot, 400), CN_OK);
    cr_assert_eq(cn_account_join(&b, &pot, 0), CN_OK);
    cr_expect_eq(cn_account_charge(&b, CN_QUOTA_MEMORY, 601), CN_OVER_QUOTA);
    cr_expect_eq(b.refused[CN_QUOTA_MEMORY], 1);
    cr_expect_eq(cn_account_charge(&b, CN_QUOTA_MEMORY, 600), CN_OK);
    cr_expect_eq(cn_account_charge(&a, CN_QUOTA_MEMORY, 400), CN_OK);
    cr_expect_eq(cn_account_charge(&a, CN_QUOTA_MEMORY, 1), CN_OVER_QUOTA);
    cn_account_refund(&b, CN_QUOTA_MEMORY, 100);
    cr_expect_eq(cn_account_charge(&a, CN_QUOTA_MEMORY, 100), CN_OK);
    cr_expect_eq(pot.committed, 1000);
    cn_account_refund(&a, CN_QUOTA_MEMORY, 300); /* 200 used, 400 reserved */
    cr_expect_eq(pot.committed, 900);
    cr_assert(cn_pot_take(&pot, 100));
    cn_account_reserve(&a, 500, 100);
    cr_expect_eq(pot.committed, 1000);
    cn_account_reserve(&a, 100, 0);
    cr_expect_eq(pot.committed, 700);
    cr_assert(cn_pot_take(&pot, 50));
    cn_account_reserve(&a, 150, 50); /* it uses more than that: all of it goes back */
    cr_expect_eq(pot.committed, 700);
    cn_account_leave(&a);
    cn_account_leave(&b);
    cr_expect_eq(pot.committed, 0);
}

Test(account, a_pot_is_asked_for_too_much)
{
    struct cn_pot pot = {.size = 1000};
    struct cn_account account;

    cr_assert(cn_pot_take(&pot, 10));
    cr_expect_not(cn_pot_take(&pot, UINT64_MAX));
    cr_expect_not(cn_pot_take(&pot, UINT64_MAX - 10));
    cr_expect_eq(pot.committed, 10);
    cn_account_init(&account);
    cn_account_reserve(&account, 100, 0); /* that has never joined one */
    cn_account_leave(&account);
    cr_expect_eq(cn_account_join(&account, &pot, UINT64_MAX), CN_OVER_QUOTA);
    cr_expect_eq(pot.committed, 10);
}

/* Threads that take and give at the size at which a pot becomes tight: for so long that two of
 * them meet in the middle of it. */
enum { THREADS = 3, ROUNDS = 1000000 };

static pthread_barrier_t all_are_there;

static void *take_and_give(void *context)
{
    struct cn_pot *pot = context;

    pthread_barrier_wait(&all_are_there);
    for (int i = 0; i < ROUNDS; i++)
        if (cn_pot_take(pot, 300))
            cn_pot_give(pot, 300);
    return NULL;
}

Test(account, a_pot_holds_whatever_threads_do, .timeout = 120)
{
    struct cn_pot pot = {.size = 600};
    pthread_t threads[THREADS];

    pthread_barrier_init(&all_are_there, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give, &pot), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_are_there);
    cr_expect_eq(pot.committed, 0);
    cr_expect_not(pot.is_tight);
}

Test(account, a_pot_holds_through_random_changes)
{
    struct cn_pot pot = {.size = 100000};
    struct cn_account accounts[8];
    uint64_t seed = 1;

    for (int i = 0; i < 8; i++) {
        cn_account_init(&accounts[i]);
        cr_assert_eq(cn_account_join(&accounts[i], &pot, 0), CN_OK);
    }
    for (int step = 0; step < 200000; step++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        struct cn_account *account = &accounts[seed >> 61];
        uint64_t amount = (seed >> 33) % 20000, sum = 0;
        if (step % 3 == 0) {
            uint64_t more = amount > account->reserved ? amount - account->reserved : 0;
            if (cn_pot_take(&pot, more))
                cn_account_reserve(account, amount, more);
        } else if (step % 3 == 1) {
            (void)!cn_account_charge(account, CN_QUOTA_MEMORY, amount);
        } else if (account->used[CN_QUOTA_MEMORY] > 0) {
            cn_account_refund(account, CN_QUOTA_MEMORY,
                              amount % (account->used[CN_QUOTA_MEMORY] + 1));
        }
        for (int i = 0; i < 8; i++) {
            uint64_t used = accounts[i].used[CN_QUOTA_MEMORY];
            sum += used > accounts[i].reserved ? used : accounts[i].reserved;
        }
        cr_assert_eq(pot.committed, sum, "step %d", step);
        cr_assert_leq(sum, 100000);
    }
}
