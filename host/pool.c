#include "host/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"
#include "host/alarm.h"
#include "host/clock.h"
#include "host/jail.h"

#define EVENTS 64
#define NANOSECONDS 1000000000u
/* What the pool's own descriptors are known by; seats by their number and its generation. */
#define NEWS UINT64_MAX
#define TIMER (UINT64_MAX - 1)
/* A moment that has passed. */
#define AT_ONCE 1

struct place {
    struct cn_seat *seat; /* NULL: free, and `next` is the next free one */
    uint32_t generation;  /* so that a late event of one seat is not another's */
    uint32_t next;
};

/* A turn that takes this much longer than its slice is looked at, and so often. */
#define OVERDUE_NS 3000000
#define LOOK_NS 2000000
/* What is left of a step may be less: then its last turn ends so much after it. */
#define TURN_SHORTEST_NS 50000

/* One of the pool's threads: it works while it has a place among the workers. */
struct worker {
    struct cn_pool *pool;
    pthread_t thread;
    int tid;
    struct cn_seat *seat;  /* whose turn it runs, or NULL */
    uint64_t due_ns;       /* when that should be over */
    uint64_t most_ns;      /* its turns are no longer than that, whatever the queue says */
    bool is_replaced;      /* it is blocked, and has no place any more */
};

struct cn_pool {
    pthread_mutex_t lock;    /* of all that follows, but for `news` and what is atomic */
    pthread_cond_t work;     /* something is ready */
    pthread_cond_t place;    /* a worker is missing */
    uint32_t missing;        /* places that no thread has */
    uint32_t spare_idle;     /* threads that wait for one */
    struct cn_fair fair;
    struct cn_alarms alarms;
    struct place *places;
    uint32_t place_count, free_place;
    int epoll;
    int news;                /* an event that wakes the watcher */
    _Atomic bool pokes_watching; /* who has an eye on the host's memory is to be woken, too */
    uint64_t watcher_until;  /* it sleeps until then; 0 when it does not */
    uint32_t wakes;          /* that it made in this round */
    uint64_t wake_ns;        /* what one took of the processor in the last round that had some */
    uint32_t idle;           /* workers */
    bool is_stopping;
    bool is_stepped;         /* without threads: */
    bool has_step;           /* somebody is in one */
    int timer;               /* for who waits for the next; -1 until somebody does */
    uint64_t timer_ns;       /* the moment that it is set to, 0 for none */
    struct cn_pool_figures figures;
    pthread_t watcher;
    bool has_watcher;
    uint32_t thread_count;
    struct worker threads[CN_POOL_WORKERS_MAX + CN_POOL_SPARE_MAX];
};

/* ------------------------------------------------------------------ places */

#define NO_PLACE UINT32_MAX

static enum cn_status add_places(struct cn_pool *pool)
{
    uint32_t room = pool->place_count ? pool->place_count * 2 : 16;
    struct place *places = cn_resize(cn_heap, pool->places, pool->place_count * sizeof *places,
                                     room * sizeof *places);

    if (places == NULL)
        return CN_NO_MEMORY;
    for (uint32_t i = pool->place_count; i < room; i++)
        places[i] = (struct place){.next = i + 1 < room ? i + 1 : NO_PLACE};
    pool->free_place = pool->place_count;
    pool->places = places;
    pool->place_count = room;
    return CN_OK;
}

static void take_place(struct cn_pool *pool, struct cn_seat *seat)
{
    struct place *place = &pool->places[pool->free_place];

    seat->number = pool->free_place;
    pool->free_place = place->next;
    place->seat = seat;
}

static void leave_place(struct cn_pool *pool, struct cn_seat *seat)
{
    struct place *place = &pool->places[seat->number];

    place->seat = NULL;
    place->generation++;
    place->next = pool->free_place;
    pool->free_place = seat->number;
}

static uint64_t known_as(const struct cn_pool *pool, const struct cn_seat *seat)
{
    return (uint64_t)pool->places[seat->number].generation << 32 | seat->number;
}

/* The seat that an event is of, or NULL when it has gone. */
static struct cn_seat *seat_known_as(const struct cn_pool *pool, uint64_t known)
{
    const struct place *place = &pool->places[(uint32_t)known];

    return place->generation == (uint32_t)(known >> 32) ? place->seat : NULL;
}

static bool is_seated(const struct cn_pool *pool, const struct cn_seat *seat)
{
    return seat->number < pool->place_count && pool->places[seat->number].seat == seat;
}

/* ------------------------------------------------------------------ waking and watching */

static void tell_watcher(struct cn_pool *pool)
{
    (void)eventfd_write(pool->news, 1);
}

static void wake(struct cn_pool *pool, struct cn_seat *seat)
{
    cn_alarm_clear(&pool->alarms, seat);
    if (seat->has_turn)
        seat->is_woken = true;
    if (seat->has_turn || seat->entity.state != CN_FAIR_ASLEEP)
        return;
    cn_fair_wake(&pool->fair, &seat->entity);
    if (pool->idle > 0)
        pthread_cond_signal(&pool->work);
    if (pool->is_stepped && !pool->has_step)
        tell_watcher(pool); /* whoever gives the steps */
}

/* The watcher wakes it, and what that takes of the processor is the VM's to pay: by what a wake
 * took when it last woke some. */
static void wake_by_watcher(struct cn_pool *pool, struct cn_seat *seat)
{
    cn_fair_charge(&pool->fair, &seat->entity, pool->wake_ns);
    pool->wakes++;
    wake(pool, seat);
}

/* One event, once: the watcher is told again when the seat waits again. */
static void watch(struct cn_pool *pool, struct cn_seat *seat, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = known_as(pool, seat)};
    int operation = seat->watched == fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    seat->watched = fd;
    /* Without memory for it the VM could sleep for ever: it looks for itself, every moment. */
    if (epoll_ctl(pool->epoll, operation, fd, &event) != 0)
        seat->until_ns = cn_clock_ns(CLOCK_MONOTONIC) + NANOSECONDS / 100;
}

static void sleep_until(struct cn_pool *pool, struct cn_seat *seat,
                        const struct cn_turn_report *report)
{
    seat->until_ns = report->until_ns;
    if (report->wait_set >= 0)
        watch(pool, seat, report->wait_set);
    if (seat->until_ns == UINT64_MAX)
        return;
    cn_alarm_set(&pool->alarms, seat);
    if (seat->until_ns < pool->watcher_until) {
        pool->watcher_until = seat->until_ns;
        tell_watcher(pool);
    }
}

static void ring_alarms(struct cn_pool *pool)
{
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);

    while (pool->alarms.count > 0 && pool->alarms.seats[0]->until_ns <= now)
        wake_by_watcher(pool, pool->alarms.seats[0]);
}

static void wake_poked(struct cn_pool *pool)
{
    eventfd_t count;

    (void)eventfd_read(pool->news, &count);
    bool pokes_watching = atomic_exchange(&pool->pokes_watching, false);
    for (uint32_t i = 0; i < pool->place_count; i++) {
        struct cn_seat *seat = pool->places[i].seat;
        if (seat == NULL)
            continue;
        bool is_poked = atomic_exchange(&seat->is_poked, false);
        if (pokes_watching && atomic_load(&seat->is_watching))
            wake_by_watcher(pool, seat);
        if (!is_poked)
            continue;
        wake(pool, seat);
        cn_fair_hurry(&pool->fair, &seat->entity); /* it is to be killed, paused, changed */
    }
}

/* Sleeps without the lock: until an alarm, and no longer than to look for blocked turns while
 * somebody waits for one of the workers. */
static int next_events(struct cn_pool *pool, struct epoll_event *events)
{
    uint64_t until = pool->alarms.count > 0 ? pool->alarms.seats[0]->until_ns : UINT64_MAX;
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);

    if (pool->fair.ready_count > 0 && until > now + LOOK_NS)
        until = now + LOOK_NS;
    uint64_t ns = until > now ? until - now : 0;
    struct timespec time = {(time_t)(ns / NANOSECONDS), (long)(ns % NANOSECONDS)};

    pool->watcher_until = until;
    pthread_mutex_unlock(&pool->lock);
    int count = epoll_pwait2(pool->epoll, events, EVENTS, until == UINT64_MAX ? NULL : &time, NULL);
    pthread_mutex_lock(&pool->lock);
    pool->watcher_until = 0;
    return count;
}

static void *work(void *context);

/* Signals are the process's, and its own threads' to handle. */
static int start_thread(pthread_t *thread, void *(*run)(void *), void *context)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static int add_worker(struct cn_pool *pool)
{
    struct worker *worker = &pool->threads[pool->thread_count];

    *worker = (struct worker){.pool = pool, .most_ns = UINT64_MAX};
    int error = start_thread(&worker->thread, work, worker);
    pool->thread_count += error == 0;
    return error;
}

/* Whether the thread waits in the kernel, or was stopped: it does not run, and is not kept from it
 * by others. */
static bool is_blocked(const struct worker *worker)
{
    char path[64], text[256];
    int process = worker->seat->process;

    if (process > 0 && !worker->seat->is_inside(worker->seat))
        return false;
    if (process > 0)
        snprintf(path, sizeof path, "/proc/%d/stat", process);
    else
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", worker->tid);
    int file = cn_jail_open(path, O_RDONLY); /* as the sandbox allows it */
    if (file < 0)
        return false;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    text[size > 0 ? size : 0] = '\0';
    const char *end = strrchr(text, ')'); /* of the thread's name, which may hold anything */
    return end != NULL && end[1] == ' ' && (end[2] == 'S' || end[2] == 'D' || end[2] == 'T');
}

static void replace(struct cn_pool *pool, struct worker *worker)
{
    uint32_t spare = pool->thread_count - pool->figures.workers;

    if (pool->spare_idle == 0 && (spare == CN_POOL_SPARE_MAX || add_worker(pool) != 0))
        return;
    worker->is_replaced = true;
    pool->figures.blocked++;
    cn_fair_put(&pool->fair, &worker->seat->entity, 0, false);
    pool->missing++;
    pthread_cond_signal(&pool->place);
}

/* While others are ready, no place is kept for turns that are blocked. */
static void replace_blocked(struct cn_pool *pool)
{
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);

    for (uint32_t i = 0; i < pool->thread_count && pool->fair.ready_count > 0; i++) {
        struct worker *worker = &pool->threads[i];
        if (worker->seat != NULL && !worker->is_replaced && now > worker->due_ns &&
            is_blocked(worker))
            replace(pool, worker);
    }
}

/* Wakes whoever it concerns. `before` is this thread's CPU time when it began to look. */
static void take_events(struct cn_pool *pool, const struct epoll_event *events, int count,
                        uint64_t before)
{
    for (int i = 0; i < count; i++) {
        struct cn_seat *seat;
        if (events[i].data.u64 == NEWS)
            wake_poked(pool);
        else if (events[i].data.u64 != TIMER &&
                 (seat = seat_known_as(pool, events[i].data.u64)) != NULL)
            wake_by_watcher(pool, seat);
    }
    ring_alarms(pool);
    if (pool->wakes > 0)
        pool->wake_ns = (cn_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / pool->wakes;
    pool->wakes = 0;
}

static void *watch_all(void *context)
{
    struct cn_pool *pool = context;
    struct epoll_event events[EVENTS];

    pthread_mutex_lock(&pool->lock);
    while (!pool->is_stopping) {
        uint64_t before = cn_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        int count = next_events(pool, events);
        take_events(pool, events, count, before);
        replace_blocked(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ------------------------------------------------------------------ turns */

static void give_up(struct cn_pool *pool, struct cn_seat *seat)
{
    if (seat->watched >= 0)
        (void)epoll_ctl(pool->epoll, EPOLL_CTL_DEL, seat->watched, NULL);
    cn_fair_remove(&pool->fair, &seat->entity);
    leave_place(pool, seat);
    pool->figures.reserved -= seat->entity.reserve;
    pool->figures.seats--;
    pthread_mutex_unlock(&pool->lock);
    seat->over(seat);
    pthread_mutex_lock(&pool->lock);
}

static void note_turn(struct cn_pool *pool, uint64_t slice_ns, uint64_t used_ns)
{
    pool->figures.busy_ns += used_ns;
    pool->figures.turns++;
    for (uint32_t i = 0; i < CN_OVERRUNS && used_ns >= slice_ns + (1000ull << i); i++)
        pool->figures.overruns[i]++;
}

/* A turn that lost its place: its seat sleeps, and what it used is still to be charged. */
static void come_back(struct cn_pool *pool, struct cn_seat *seat, uint64_t used_ns,
                      bool wants_more)
{
    cn_fair_charge(&pool->fair, &seat->entity, used_ns);
    if (wants_more)
        wake(pool, seat);
}

/* Somebody waits for this worker: the watcher has to look whether it is blocked. */
static void have_looked_at(struct cn_pool *pool, uint64_t now)
{
    if (pool->watcher_until <= now + LOOK_NS)
        return;
    pool->watcher_until = now + LOOK_NS;
    tell_watcher(pool);
}

static void run_turn(struct cn_pool *pool, struct worker *worker, struct cn_seat *seat,
                     struct cn_turn_report *report)
{
    uint64_t slice = cn_fair_slice_ns(&pool->fair);

    if (slice > worker->most_ns)
        slice = worker->most_ns;
    worker->seat = seat;
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);
    worker->due_ns = now + slice + OVERDUE_NS;
    if (pool->fair.ready_count > 0)
        have_looked_at(pool, now);
    worker->is_replaced = false;
    seat->is_woken = false;
    seat->has_turn = true;
    pthread_mutex_unlock(&pool->lock);
    seat->turn(seat, slice, report);
    pthread_mutex_lock(&pool->lock);
    worker->seat = NULL;
    seat->has_turn = false;
    note_turn(pool, slice, report->used_ns);
}

static void give_turn(struct cn_pool *pool, struct worker *worker, struct cn_seat *seat)
{
    struct cn_turn_report report = {.wait_set = -1};

    run_turn(pool, worker, seat, &report);
    bool wants_more = !report.is_over && (report.until_ns == 0 || seat->is_woken);
    if (worker->is_replaced)
        come_back(pool, seat, report.used_ns, wants_more);
    else
        cn_fair_put(&pool->fair, &seat->entity, report.used_ns, wants_more);
    if (report.is_over)
        give_up(pool, seat);
    else if (!wants_more)
        sleep_until(pool, seat, &report);
}

/* Gives turns until the pool stops, or another thread has its place. */
static void work_in_place(struct cn_pool *pool, struct worker *worker)
{
    worker->is_replaced = false;
    while (!pool->is_stopping && !worker->is_replaced) {
        struct cn_fair_entity *entity = cn_fair_pick(&pool->fair);
        if (entity != NULL) {
            give_turn(pool, worker, (struct cn_seat *)entity);
            continue;
        }
        pool->idle++;
        pthread_cond_wait(&pool->work, &pool->lock);
        pool->idle--;
    }
}

/* ------------------------------------------------------------------ steps */

static void set_timer(struct cn_pool *pool, uint64_t moment)
{
    struct itimerspec when = {
        .it_value = {(time_t)(moment / NANOSECONDS), (long)(moment % NANOSECONDS)}};

    if (pool->timer < 0 || pool->timer_ns == moment)
        return;
    pool->timer_ns = moment;
    (void)timerfd_settime(pool->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Without a wait. */
static void look_for_events(struct cn_pool *pool)
{
    struct epoll_event events[EVENTS];
    uint64_t before = cn_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    int count;

    do {
        count = epoll_pwait(pool->epoll, events, EVENTS, 0, NULL);
        take_events(pool, events, count, before);
    } while (count == EVENTS);
}

static void give_turns(struct cn_pool *pool, uint64_t ns)
{
    uint64_t now = cn_clock_ns(CLOCK_MONOTONIC), end = cn_moment_after(now, ns);
    struct worker worker = {.pool = pool};
    struct cn_fair_entity *entity;

    do {
        look_for_events(pool);
        entity = cn_fair_pick(&pool->fair);
        worker.most_ns = end > now + TURN_SHORTEST_NS ? end - now : TURN_SHORTEST_NS;
        if (entity != NULL)
            give_turn(pool, &worker, (struct cn_seat *)entity);
        now = cn_clock_ns(CLOCK_MONOTONIC);
    } while (entity != NULL && now < end);
}

/* What there is to do next, and when. */
static enum cn_pool_state state_of(struct cn_pool *pool, uint64_t *until_ns)
{
    *until_ns = 0;
    if (pool->fair.ready_count > 0)
        return CN_POOL_AGAIN;
    *until_ns = pool->alarms.count > 0 ? pool->alarms.seats[0]->until_ns : UINT64_MAX;
    return pool->figures.seats > 0 ? CN_POOL_WAIT : CN_POOL_EMPTY;
}

enum cn_pool_state cn_pool_step(struct cn_pool *pool, uint64_t ns, uint64_t *until_ns)
{
    enum cn_pool_state state = CN_POOL_BUSY;

    *until_ns = 0;
    pthread_mutex_lock(&pool->lock);
    if (!pool->has_step) {
        pool->has_step = true;
        give_turns(pool, ns);
        pool->has_step = false;
        state = state_of(pool, until_ns);
        set_timer(pool, state == CN_POOL_AGAIN ? AT_ONCE : *until_ns == UINT64_MAX ? 0 : *until_ns);
    }
    pthread_mutex_unlock(&pool->lock);
    return state;
}

static void add_timer(struct cn_pool *pool)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = TIMER};

    pool->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (pool->timer < 0)
        return;
    if (epoll_ctl(pool->epoll, EPOLL_CTL_ADD, pool->timer, &event) == 0) {
        set_timer(pool, AT_ONCE); /* the step that comes knows better */
        return;
    }
    close(pool->timer);
    pool->timer = -1;
}

int cn_pool_descriptor(struct cn_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->timer < 0)
        add_timer(pool);
    int descriptor = pool->timer >= 0 ? pool->epoll : -1;
    pthread_mutex_unlock(&pool->lock);
    return descriptor;
}

void cn_pool_wait(struct cn_pool *pool, uint64_t ns)
{
    struct pollfd polled = {.fd = pool->epoll, .events = POLLIN};
    struct timespec time = {(time_t)(ns / NANOSECONDS), (long)(ns % NANOSECONDS)};

    (void)ppoll(&polled, 1, &time, NULL);
}

bool cn_pool_is_stepped(const struct cn_pool *pool)
{
    return pool->is_stepped;
}

/* ------------------------------------------------------------------ workers */

static void *work(void *context)
{
    struct worker *worker = context;
    struct cn_pool *pool = worker->pool;

    pthread_mutex_lock(&pool->lock);
    worker->tid = (int)syscall(SYS_gettid);
    while (!pool->is_stopping) {
        if (pool->missing > 0) {
            pool->missing--;
            work_in_place(pool, worker);
            continue;
        }
        pool->spare_idle++;
        pthread_cond_wait(&pool->place, &pool->lock);
        pool->spare_idle--;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ------------------------------------------------------------------ the pool itself */

static int open_watch(struct cn_pool *pool)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = NEWS};

    pool->epoll = epoll_create1(EPOLL_CLOEXEC);
    pool->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->epoll < 0 || pool->news < 0 ||
        epoll_ctl(pool->epoll, EPOLL_CTL_ADD, pool->news, &event) != 0)
        return errno;
    return 0;
}

static struct cn_pool *pool_for(uint32_t workers, struct cn_error *error)
{
    struct cn_pool *pool = cn_alloc(cn_heap, sizeof *pool);

    if (pool == NULL) {
        cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "no memory left");
        return NULL;
    }
    memset(pool, 0, sizeof *pool);
    pool->timer = -1;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->place, NULL);
    cn_fair_init(&pool->fair, cn_heap, workers);
    pool->free_place = NO_PLACE;
    pool->figures.workers = workers;
    return pool;
}

static struct cn_pool *fail_to_start(struct cn_pool *pool, int failure, struct cn_error *error)
{
    cn_fail(error, CN_IO, CN_NO_OFFSET, "the workers cannot be started: %s", strerror(failure));
    cn_pool_free(pool);
    return NULL;
}

struct cn_pool *cn_pool_new(uint32_t workers, struct cn_error *error)
{
    struct cn_pool *pool = pool_for(workers, error);

    if (pool == NULL)
        return NULL;
    int failure = open_watch(pool);
    pool->missing = workers;
    for (uint32_t i = 0; failure == 0 && i < workers; i++)
        failure = add_worker(pool);
    if (failure == 0)
        failure = start_thread(&pool->watcher, watch_all, pool);
    pool->has_watcher = failure == 0;
    return failure == 0 ? pool : fail_to_start(pool, failure, error);
}

struct cn_pool *cn_pool_new_stepped(struct cn_error *error)
{
    struct cn_pool *pool = pool_for(1, error);

    if (pool == NULL)
        return NULL;
    pool->is_stepped = true;
    int failure = open_watch(pool);
    return failure == 0 ? pool : fail_to_start(pool, failure, error);
}

void cn_pool_free(struct cn_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_cond_broadcast(&pool->place);
    pthread_mutex_unlock(&pool->lock);
    tell_watcher(pool);
    if (pool->has_watcher)
        pthread_join(pool->watcher, NULL);
    for (uint32_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i].thread, NULL);
    if (pool->epoll >= 0)
        close(pool->epoll);
    if (pool->news >= 0)
        close(pool->news);
    if (pool->timer >= 0)
        close(pool->timer);
    cn_fair_release(&pool->fair);
    cn_alarms_release(&pool->alarms);
    cn_free(cn_heap, pool->places, pool->place_count * sizeof *pool->places);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->place);
    pthread_mutex_destroy(&pool->lock);
    cn_free(cn_heap, pool, sizeof *pool);
}

static bool is_promisable(const struct cn_pool *pool, uint64_t before, uint64_t reserve)
{
    return reserve == 0 || pool->figures.reserved - before + reserve <=
                               (uint64_t)CN_POOL_RESERVABLE * pool->figures.workers;
}

static enum cn_status take(struct cn_pool *pool, struct cn_seat *seat, uint32_t weight,
                           uint32_t reserve)
{
    if (!is_promisable(pool, 0, reserve))
        return CN_OVER_QUOTA;
    enum cn_status status = pool->free_place == NO_PLACE ? add_places(pool) : CN_OK;
    if (status == CN_OK)
        status = cn_alarms_reserve(&pool->alarms, pool->figures.seats + 1);
    if (status == CN_OK)
        status = cn_fair_add(&pool->fair, &seat->entity, weight, reserve);
    if (status != CN_OK)
        return status;
    take_place(pool, seat);
    seat->has_turn = false;
    seat->alarm = CN_NO_ALARM;
    seat->watched = -1;
    atomic_store(&seat->is_poked, false);
    atomic_store(&seat->is_watching, false);
    pool->figures.seats++;
    pool->figures.reserved += reserve;
    wake(pool, seat);
    have_looked_at(pool, cn_clock_ns(CLOCK_MONOTONIC)); /* it may wait for one that is blocked */
    return CN_OK;
}

enum cn_status cn_pool_take(struct cn_pool *pool, struct cn_seat *seat, uint32_t weight,
                            uint32_t reserve)
{
    pthread_mutex_lock(&pool->lock);
    enum cn_status status = take(pool, seat, weight, reserve);
    pthread_mutex_unlock(&pool->lock);
    return status;
}

enum cn_status cn_pool_set(struct cn_pool *pool, struct cn_seat *seat, uint32_t weight,
                           uint32_t reserve)
{
    enum cn_status status = CN_OK;

    pthread_mutex_lock(&pool->lock);
    if (is_seated(pool, seat)) {
        uint32_t before = seat->entity.reserve;
        status = is_promisable(pool, before, reserve) ? CN_OK : CN_OVER_QUOTA;
        if (status == CN_OK) {
            cn_fair_set(&pool->fair, &seat->entity, weight, reserve);
            pool->figures.reserved += (uint64_t)reserve - before;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}

void cn_pool_blocks(struct cn_pool *pool, struct cn_seat *seat)
{
    pthread_mutex_lock(&pool->lock);
    for (uint32_t i = 0; i < pool->thread_count; i++)
        if (pool->threads[i].seat == seat && !pool->threads[i].is_replaced)
            replace(pool, &pool->threads[i]);
    pthread_mutex_unlock(&pool->lock);
}

void cn_pool_poke(struct cn_pool *pool, struct cn_seat *seat)
{
    int before = errno; /* it may be a signal handler that calls */

    atomic_store(&seat->is_poked, true);
    tell_watcher(pool);
    errno = before;
}

void cn_pool_wake(struct cn_pool *pool, struct cn_seat *seat)
{
    pthread_mutex_lock(&pool->lock);
    if (is_seated(pool, seat))
        wake(pool, seat);
    pthread_mutex_unlock(&pool->lock);
}

void cn_pool_poke_watching(void *context)
{
    struct cn_pool *pool = context;

    atomic_store(&pool->pokes_watching, true);
    tell_watcher(pool);
}

struct cn_pool_figures cn_pool_figures(struct cn_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct cn_pool_figures figures = pool->figures;
    figures.active = pool->fair.active;
    pthread_mutex_unlock(&pool->lock);
    return figures;
}
