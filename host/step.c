#include "host/step.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/alloc.h"
#include "host/clock.h"
#include "host/waiter.h"

#define NANOSECONDS 1000000000u

/* ------------------------------------------------------------------ what is waited for */

struct cn_watch {
    int epoll, timer;
    int set; /* the VM's wait set, once that is there; or -1 */
};

void cn_watch_free(struct cn_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->timer >= 0)
        close(watch->timer);
    if (watch->epoll >= 0)
        close(watch->epoll);
    cn_free(cn_heap, watch, sizeof *watch);
}

static bool add(struct cn_watch *watch, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static struct cn_watch *watch_new(struct cn_waiter *waiter)
{
    struct cn_watch *watch = cn_alloc(cn_heap, sizeof *watch);

    if (watch == NULL)
        return NULL;
    watch->set = -1;
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    watch->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (watch->epoll >= 0 && watch->timer >= 0 && add(watch, watch->timer) &&
        add(watch, cn_waiter_descriptor(waiter)))
        return watch;
    cn_watch_free(watch);
    return NULL;
}

/* A moment that has passed. */
#define AT_ONCE 1

static void set_timer(struct cn_watch *watch, uint64_t moment)
{
    struct itimerspec when = {0};

    if (moment == 0)
        moment = AT_ONCE;
    if (moment != UINT64_MAX)
        when.it_value = (struct timespec){(time_t)(moment / NANOSECONDS),
                                          (long)(moment % NANOSECONDS)};
    (void)timerfd_settime(watch->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

int cn_step_descriptor(struct cn_vm *vm)
{
    struct cn_waiter *waiter = cn_vm_waiter(vm);

    if (vm->watch == NULL && waiter != NULL)
        vm->watch = watch_new(waiter);
    if (vm->watch != NULL)
        set_timer(vm->watch, AT_ONCE); /* the step that comes knows better */
    return vm->watch != NULL ? vm->watch->epoll : -1;
}

/* The wait set counts while calls are parked alone: otherwise it may be readable all the time. */
static void watch_for(struct cn_vm *vm, enum cn_turn turn, uint64_t until_ns)
{
    struct cn_watch *watch = vm->watch;
    int set = vm->wasi != NULL ? cn_wasi_wait_set(vm->wasi) : -1;
    struct epoll_event event = {.events = turn == CN_TURN_PARKED ? EPOLLIN : 0};

    if (set >= 0) {
        int operation = watch->set == set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        if (epoll_ctl(watch->epoll, operation, set, &event) == 0)
            watch->set = set;
        else if (until_ns > cn_clock_ns(CLOCK_MONOTONIC) + NANOSECONDS / 100)
            until_ns = cn_clock_ns(CLOCK_MONOTONIC) + NANOSECONDS / 100; /* it has to ask */
    }
    set_timer(watch, until_ns);
}

/* ------------------------------------------------------------------ steps */

void cn_step_begin(struct cn_vm *vm, struct cn_func *const *calls, uint32_t count,
                   const union cn_slot *arguments)
{
    vm->calls = calls;
    vm->call_count = count;
    vm->calls_begun = 0;
    vm->last_arguments = arguments;
    vm->step = (struct cn_step){0};
    cn_vm_enter(vm);
    (void)cn_vm_begin_next(vm);
    cn_vm_leave(vm);
    if (vm->watch != NULL)
        set_timer(vm->watch, AT_ONCE);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* One turn. Who had news before there was a waiter has interrupted nobody: then it looks again. */
static enum cn_turn take_turn(struct cn_vm *vm, uint64_t ns, uint64_t *until_ns)
{
    bool has_waiter = vm->waiter != NULL;
    enum cn_turn turn =
        vm->end.kind == CN_END_NONE ? cn_vm_turn(vm, ns, until_ns) : CN_TURN_OVER;

    if (turn == CN_TURN_OVER)
        return cn_vm_begin_next(vm) ? CN_TURN_AGAIN : CN_TURN_OVER;
    if (turn == CN_TURN_AGAIN || has_waiter)
        return turn;
    if (cn_vm_waiter(vm) != NULL)
        return CN_TURN_AGAIN;
    uint64_t soon = cn_clock_ns(CLOCK_MONOTONIC) + NANOSECONDS / 100; /* it has to ask */
    if (*until_ns > soon)
        *until_ns = soon;
    return turn;
}

static void pay_back(struct cn_step *step)
{
    uint64_t paid = step->owed < step->left ? step->owed : step->left;

    step->owed -= paid;
    if (step->left != UINT64_MAX)
        step->left -= paid;
}

enum cn_turn cn_step_run(struct cn_vm *vm, uint64_t fuel, uint64_t ns, uint64_t *until_ns)
{
    const uint64_t end = cn_moment_after(cn_clock_ns(CLOCK_MONOTONIC), ns);
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);
    enum cn_turn turn;

    cn_vm_enter(vm);
    if (vm->waiter != NULL)
        cn_waiter_calm(vm->waiter);
    vm->step.is_under_way = true;
    vm->step.is_untimed = ns == UINT64_MAX;
    vm->step.left = sum(vm->step.kept, fuel);
    pay_back(&vm->step);
    do {
        vm->step.is_used_up = false;
        turn = take_turn(vm, end - now < CN_SLICE_NS ? end - now + 1 : CN_SLICE_NS, until_ns);
        now = cn_clock_ns(CLOCK_MONOTONIC);
    } while (turn == CN_TURN_AGAIN && !vm->step.is_used_up && now < end);
    vm->step.kept = vm->step.is_used_up && vm->step.left != UINT64_MAX ? vm->step.left : 0;
    vm->step.is_under_way = false;
    if (turn == CN_TURN_AGAIN || turn == CN_TURN_OVER)
        *until_ns = 0;
    else
        *until_ns = cn_vm_look_moment(vm, *until_ns);
    if (vm->watch != NULL)
        watch_for(vm, turn, turn == CN_TURN_OVER ? UINT64_MAX : *until_ns);
    if (turn == CN_TURN_OVER)
        cn_vm_finish(vm);
    else
        cn_vm_leave(vm);
    cn_vm_publish(vm);
    return turn;
}
