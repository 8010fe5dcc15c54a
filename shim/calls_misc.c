/* Arguments, environment, clocks, randomness, and the end. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "shim/call.h"
#include "shim/clock.h"
#include "shim/errno.h"

static enum cn_errno put_strings(struct cn_call *call)
{
    const struct cn_strings *strings = call->strings;
    uint32_t at = 0;

    for (uint32_t i = 0; i < strings->count; i++) {
        cn_store_u32(call->pointers.at + i * sizeof at, call->strings_address + at);
        at += (uint32_t)strlen(strings->bytes + at) + 1;
    }
    if (strings->size > 0)
        memcpy(call->buffer.at, strings->bytes, strings->size);
    return CN_E_SUCCESS;
}

static enum cn_errno put_sizes(struct cn_call *call, const struct cn_strings *strings)
{
    call->out[0].u32 = strings->count;
    call->out[1].u32 = strings->size;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_args_get(struct cn_call *call)
{
    return put_strings(call);
}

enum cn_errno cn_wasi_args_sizes_get(struct cn_call *call)
{
    return put_sizes(call, &call->wasi->args);
}

enum cn_errno cn_wasi_environ_get(struct cn_call *call)
{
    return put_strings(call);
}

enum cn_errno cn_wasi_environ_sizes_get(struct cn_call *call)
{
    return put_sizes(call, &call->wasi->environ);
}

enum cn_errno cn_wasi_clock_res_get(struct cn_call *call)
{
    if (call->numbers[0] > CN_CLOCK_THREAD_CPU)
        return CN_E_INVAL;
    call->out[0].u64 = CN_CLOCK_GRAIN;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_clock_time_get(struct cn_call *call)
{
    if (call->numbers[0] > CN_CLOCK_THREAD_CPU)
        return CN_E_INVAL;
    int clock = (int)call->numbers[0];
    uint64_t now = clock < CN_CLOCK_PROCESS_CPU ? cn_clock_now(clock)
                                                : call->wasi->cpu_ns(call->wasi->cpu_context);
    call->out[0].u64 = now - now % CN_CLOCK_GRAIN;
    return CN_E_SUCCESS;
}

enum cn_errno cn_wasi_random_get(struct cn_call *call)
{
    uint64_t *done = &cn_call_words(call)[0];
    uint64_t left = call->buffer.size - *done;
    size_t step = left < CN_RANDOM_STEP ? left : CN_RANDOM_STEP;

    while (step > 0) {
        ssize_t size = getrandom(call->buffer.at + *done, step, 0);
        if (size < 0 && errno != EINTR)
            return cn_errno_of_host(errno);
        if (size > 0) {
            *done += (uint64_t)size;
            step -= (size_t)size;
        }
    }
    return *done < call->buffer.size ? CN_E_YIELD : CN_E_SUCCESS;
}

enum cn_errno cn_wasi_sched_yield(struct cn_call *call)
{
    uint64_t *has_yielded = &cn_call_words(call)[0];

    if (*has_yielded)
        return CN_E_SUCCESS;
    *has_yielded = 1;
    return CN_E_YIELD;
}

enum cn_errno cn_wasi_proc_exit(struct cn_call *call)
{
    call->thread->exit_code = (int)(uint32_t)call->numbers[0];
    return CN_E_EXIT;
}

/* There are no signals and no other processes. */
enum cn_errno cn_wasi_proc_raise(struct cn_call *call)
{
    (void)call;
    return CN_E_NOTSUP;
}
