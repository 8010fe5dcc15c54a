#include "vm/sleeper.h"

#include <stddef.h>

void cn_sleep_begin(struct cn_sleep_queue *queue, struct cn_sleeper *sleeper, uint64_t address,
                    uint64_t timeout_ns)
{
    *sleeper = (struct cn_sleeper){
        .state = CN_ASLEEP,
        .address = address,
        .timeout_ns = timeout_ns,
        .queue = queue,
        .before = queue->last,
    };
    if (queue->last != NULL)
        queue->last->after = sleeper;
    else
        queue->first = sleeper;
    queue->last = sleeper;
}

void cn_sleep_leave(struct cn_sleeper *sleeper)
{
    struct cn_sleep_queue *queue = sleeper->queue;

    if (sleeper->before != NULL)
        sleeper->before->after = sleeper->after;
    else
        queue->first = sleeper->after;
    if (sleeper->after != NULL)
        sleeper->after->before = sleeper->before;
    else
        queue->last = sleeper->before;
    sleeper->queue = NULL;
    sleeper->before = sleeper->after = NULL;
}

uint32_t cn_sleep_notify(struct cn_sleep_queue *queue, uint64_t address, uint32_t count)
{
    struct cn_sleeper *next = queue->first;
    uint32_t woken = 0;

    while (next != NULL && woken < count) {
        struct cn_sleeper *sleeper = next;
        next = sleeper->after;
        if (sleeper->address != address)
            continue;
        cn_sleep_end(sleeper, CN_WOKEN);
        woken++;
    }
    return woken;
}

void cn_sleep_forget(struct cn_sleep_queue *queue)
{
    while (queue->first != NULL)
        cn_sleep_end(queue->first, CN_OVERSLEPT);
}
