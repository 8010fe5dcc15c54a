/* memory.atomic.wait and notify (threads proposal). A thread that has to wait leaves its
 * instruction as it is, which is simply executed again: whether to check anew, to go on waiting
 * or to go on is told by the thread's struct cn_sleeper. */
#include "handlers_made.h"

#define FIND(name, type)                                                                           \
    CHECK_ATOMIC(type, S64(CN_AT_##name##_a), CN_AT_##name##_far, CN_AT_##name##_mem)

static CN_HANDLER_CC void leave_asleep(CN_PARAMS)
{
    SAVE(pc);
    t->stop = CN_STOP_PARKED;
}

/* What wait gives: 0 when it was woken, 1 when the value was another one, 2 when its time was
 * up. A negative time is for ever. */
#define WAIT(name, type)                                                                           \
    do {                                                                                           \
        if (t->sleeper.state == CN_ASLEEP)                                                         \
            CN_TAIL leave_asleep(CN_ARGS(pc));                                                     \
        if (t->sleeper.state != CN_AWAKE) {                                                        \
            SET_S(CN_AT_##name##_d, t->sleeper.state == CN_WOKEN ? 0 : 2);                         \
            t->sleeper.state = CN_AWAKE;                                                           \
            NEXT(CN_SIZE_##name);                                                                  \
        }                                                                                          \
        FIND(name, type)                                                                           \
        TRAP_IF(!other->is_shared, NOT_SHARED)                                                     \
        const int64_t timeout = (int64_t)S64(CN_AT_##name##_c);                                    \
        if (LOADED_AT(type) != (type)S64(CN_AT_##name##_b)) {                                      \
            SET_S(CN_AT_##name##_d, 1);                                                            \
            NEXT(CN_SIZE_##name);                                                                  \
        }                                                                                          \
        if (timeout == 0) {                                                                        \
            SET_S(CN_AT_##name##_d, 2);                                                            \
            NEXT(CN_SIZE_##name);                                                                  \
        }                                                                                          \
        cn_sleep_begin(&other->sleepers, &t->sleeper, ea,                                          \
                       timeout < 0 ? UINT64_MAX : (uint64_t)timeout);                              \
        CN_TAIL leave_asleep(CN_ARGS(pc));                                                         \
    } while (0)

OP(atomic_wait32)
{
    WAIT(ATOMIC_WAIT32, uint32_t);
}

OP(atomic_wait64)
{
    WAIT(ATOMIC_WAIT64, uint64_t);
}

OP(atomic_notify)
{
    FIND(ATOMIC_NOTIFY, uint32_t)
    SET_S(CN_AT_ATOMIC_NOTIFY_d,
          cn_sleep_notify(&other->sleepers, ea, S32(CN_AT_ATOMIC_NOTIFY_b)));
    NEXT(CN_SIZE_ATOMIC_NOTIFY);
}
