#include "host/waiter.h"

#include <uv.h>

#include "core/alloc.h"

struct cn_waiter {
    uv_loop_t loop;
    uv_async_t interrupt;
    uv_timer_t timer;
    bool is_woken;
};

static void on_interrupt(uv_async_t *handle)
{
    cn_waiter_wake(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
    cn_waiter_wake(handle->data);
}

struct cn_waiter *cn_waiter_new(void)
{
    struct cn_waiter *waiter = cn_alloc(cn_heap, sizeof *waiter);

    if (waiter == NULL)
        return NULL;
    if (uv_loop_init(&waiter->loop) != 0) {
        cn_free(cn_heap, waiter, sizeof *waiter);
        return NULL;
    }
    if (uv_async_init(&waiter->loop, &waiter->interrupt, on_interrupt) != 0) {
        uv_loop_close(&waiter->loop);
        cn_free(cn_heap, waiter, sizeof *waiter);
        return NULL;
    }
    uv_timer_init(&waiter->loop, &waiter->timer);
    waiter->interrupt.data = waiter->timer.data = waiter;
    return waiter;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void cn_waiter_free(struct cn_waiter *waiter)
{
    if (waiter == NULL)
        return;
    uv_walk(&waiter->loop, close_handle, NULL);
    uv_run(&waiter->loop, UV_RUN_DEFAULT);
    uv_loop_close(&waiter->loop);
    cn_free(cn_heap, waiter, sizeof *waiter);
}

struct uv_loop_s *cn_waiter_loop(struct cn_waiter *waiter)
{
    return &waiter->loop;
}

void cn_waiter_wake(struct cn_waiter *waiter)
{
    waiter->is_woken = true;
}

void cn_waiter_interrupt(struct cn_waiter *waiter)
{
    uv_async_send(&waiter->interrupt);
}

void cn_waiter_wait(struct cn_waiter *waiter, uint64_t ns)
{
    if (ns == 0) {
        uv_run(&waiter->loop, UV_RUN_NOWAIT);
        waiter->is_woken = false;
        return;
    }
    if (ns != UINT64_MAX) {
        uv_update_time(&waiter->loop);
        uv_timer_start(&waiter->timer, on_timer, ns / 1000000 + (ns % 1000000 != 0), 0);
    }
    while (!waiter->is_woken)
        uv_run(&waiter->loop, UV_RUN_ONCE);
    uv_timer_stop(&waiter->timer);
    waiter->is_woken = false;
}
