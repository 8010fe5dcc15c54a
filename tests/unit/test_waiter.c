#include <criterion/criterion.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "host/waiter.h"

#define MS 1000000ull

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

Test(waiter, waits_as_long_as_it_is_told)
{
    struct cn_waiter *waiter = cn_waiter_new();
    uint64_t start = now_ns();

    cr_assert_not_null(waiter);
    cn_waiter_wait(waiter, 0);
    cn_waiter_wait(waiter, 20 * MS);
    /* libuv's clock counts whole milliseconds. */
    cr_expect_geq(now_ns() - start, 19 * MS);
    cn_waiter_free(waiter);
    cn_waiter_free(NULL);
}

Test(waiter, a_wake_ends_the_next_wait_only, .timeout = 20)
{
    struct cn_waiter *waiter = cn_waiter_new();
    uint64_t start = now_ns();

    cn_waiter_wake(waiter);
    cn_waiter_wait(waiter, UINT64_MAX);
    cr_expect_lt(now_ns() - start, 1000 * MS);
    start = now_ns();
    cn_waiter_wait(waiter, 20 * MS);
    cr_expect_geq(now_ns() - start, 19 * MS);
    cn_waiter_free(waiter);
}

static void *interrupt_later(void *waiter)
{
    usleep(20000);
    cn_waiter_interrupt(waiter);
    return NULL;
}

Test(waiter, another_thread_ends_a_wait, .timeout = 20)
{
    struct cn_waiter *waiter = cn_waiter_new();
    pthread_t thread;

    for (int i = 0; i < 5; i++) {
        pthread_create(&thread, NULL, interrupt_later, waiter);
        cn_waiter_wait(waiter, UINT64_MAX);
        pthread_join(thread, NULL);
    }
    cn_waiter_free(waiter);
}

/* Not lost when it comes before the wait begins. */
Test(waiter, an_early_interrupt_counts, .timeout = 20)
{
    struct cn_waiter *waiter = cn_waiter_new();

    cn_waiter_interrupt(waiter);
    cn_waiter_wait(waiter, UINT64_MAX);
    cn_waiter_free(waiter);
}
