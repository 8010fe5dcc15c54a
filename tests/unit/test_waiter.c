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
    cn_waiter_wait(waiter, -1, 0);
    cn_waiter_wait(waiter, -1, 20 * MS);
    cr_expect_geq(now_ns() - start, 20 * MS);
    cn_waiter_free(waiter);
    cn_waiter_free(NULL);
}

Test(waiter, a_readable_descriptor_ends_a_wait, .timeout = 20)
{
    struct cn_waiter *waiter = cn_waiter_new();
    int ends[2];
    uint64_t start = now_ns();

    cr_assert_eq(pipe(ends), 0);
    cn_waiter_wait(waiter, ends[0], 20 * MS);
    cr_expect_geq(now_ns() - start, 20 * MS);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cn_waiter_wait(waiter, ends[0], UINT64_MAX);
    close(ends[0]);
    close(ends[1]);
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
        cn_waiter_wait(waiter, -1, UINT64_MAX);
        pthread_join(thread, NULL);
    }
    cn_waiter_free(waiter);
}

/* Not lost when it comes before the wait begins. */
Test(waiter, an_early_interrupt_counts, .timeout = 20)
{
    struct cn_waiter *waiter = cn_waiter_new();

    uint64_t start = now_ns();

    cn_waiter_interrupt(waiter);
    cn_waiter_wait(waiter, -1, UINT64_MAX);
    cn_waiter_wait(waiter, -1, 20 * MS); /* and for one wait only */
    cr_expect_geq(now_ns() - start, 20 * MS);
    cn_waiter_free(waiter);
}
