#include "host/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"

/* While the other side has the baton it is looked whether it lives, so often. */
#define LOOK_NS 20000000
/* A process that has used so much more than its slice is stopped until its next turn: reading a
 * large module takes that long, and what was taken over may take it. So often it is looked at from
 * then on. */
#define OVERDUE_NS 2000000
#define CHECK_NS 2000000
/* A VM that was told to end has that long until its process is killed, */
#define GRACE_NS 50000000
/* and for each MiB that it had so much more, while it goes on taking turns. */
#define TEARDOWN_NS 4000000
/* More questions than that in one turn are asked by nothing of ours: the process is killed. */
#define QUESTIONS_MAX 10000
/* A process whose VM has ended ends, too, or is made to. */
#define EXIT_MS 100

static struct cn_cell *cell_of(struct cn_seat *seat)
{
    return (struct cn_cell *)((char *)seat - offsetof(struct cn_cell, seat));
}

/* ------------------------------------------------------------------ the baton */

/* Not the private kind: the page is mapped by two processes. */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t ns)
{
    struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

    (void)syscall(SYS_futex, word, FUTEX_WAIT, value, ns == UINT64_MAX ? NULL : &time, NULL, 0);
}

void cn_baton_pass(struct cn_cell_page *page, enum cn_baton to)
{
    atomic_store(&page->baton, to);
    (void)syscall(SYS_futex, &page->baton, FUTEX_WAKE, 1, NULL, NULL, 0);
}

bool cn_baton_wait(struct cn_cell_page *page, enum cn_baton whose, uint64_t ns)
{
    uint64_t until = ns == UINT64_MAX ? ns
                                      : cn_moment_after(cn_clock_ns(CLOCK_MONOTONIC), ns);
    uint32_t other;

    while ((other = atomic_load(&page->baton)) != whose) {
        uint64_t now = cn_clock_ns(CLOCK_MONOTONIC);
        if (now >= until)
            return false;
        futex_wait(&page->baton, other, until == UINT64_MAX ? until : until - now);
    }
    return true;
}

/* ------------------------------------------------------------------ the process */

static bool has_died(const struct cn_cell *cell)
{
    struct pollfd entry = {.fd = cell->pid_fd, .events = POLLIN};

    return poll(&entry, 1, 0) == 1;
}

static void send_signal(const struct cn_cell *cell, int signal)
{
    (void)syscall(SYS_pidfd_send_signal, cell->pid_fd, signal, NULL, 0);
}

static void kill_process(const struct cn_cell *cell)
{
    send_signal(cell, SIGKILL);
}

/* How it has died; it is waited for here and nowhere else. */
static void bury(struct cn_cell *cell, enum cn_cell_end end)
{
    siginfo_t info = {0};

    cell->end = end;
    if (cell->pid_fd < 0)
        return;
    while (waitid(P_PIDFD, (id_t)cell->pid_fd, &info, WEXITED) != 0 && errno == EINTR)
        continue;
    cell->wait_status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
    close(cell->pid_fd);
    cell->pid_fd = -1;
}

/* All CPU time of the process since it was last charged, whatever it has used it for. */
static uint64_t cpu_since(const struct cn_cell *cell)
{
    struct timespec time;

    if (clock_gettime(cell->clock, &time) != 0)
        return 0;
    uint64_t now = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    return now > cell->cpu_ns ? now - cell->cpu_ns : 0;
}

static uint64_t charge_cpu(struct cn_cell *cell)
{
    uint64_t used = cpu_since(cell);

    cell->cpu_ns += used;
    return used;
}

/* ------------------------------------------------------------------ what it waits for */

static bool watch(const struct cn_cell *cell, int operation, int fd, bool is_on)
{
    struct epoll_event event = {.events = is_on ? EPOLLIN : 0};

    return epoll_ctl(cell->epoll, operation, fd, &event) == 0;
}

/* The wait set, which the process has sent with one byte. */
static int receive_wait_set(int socket)
{
    char byte;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    int fd = -1;

    if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
        return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

/* The seat's own descriptor stays the same: what is watched behind it changes. False when what
 * the VM waits for cannot be watched: then it looks for itself, now and then. */
static bool watch_wait_set(struct cn_cell *cell, bool has_it, bool is_parked)
{
    if (has_it && !cell->has_wait_set && cell->socket >= 0) {
        int fd = receive_wait_set(cell->socket);
        close(cell->socket);
        cell->socket = fd; /* by which what is watched is changed */
        cell->has_wait_set = fd >= 0 && watch(cell, EPOLL_CTL_ADD, fd, is_parked);
        cell->is_watching = is_parked;
    }
    if (cell->has_wait_set && cell->is_watching != is_parked) {
        cell->is_watching = is_parked;
        watch(cell, EPOLL_CTL_MOD, cell->socket, is_parked);
    }
    return cell->has_wait_set || !is_parked;
}

/* ------------------------------------------------------------------ turns */

/* Answers the question for memory. */
static void lend(struct cn_cell *cell, uint64_t wanted)
{
    pthread_mutex_lock(&cell->lock);
    if (cn_pot_take(cell->pot, wanted))
        cell->leased += wanted;
    cell->page->lease = cell->leased;
    pthread_mutex_unlock(&cell->lock);
}

/* What is not reserved, and not needed, goes back. */
static void take_back(struct cn_cell *cell, uint64_t spare)
{
    pthread_mutex_lock(&cell->lock);
    uint64_t kept = spare < cell->leased ? cell->leased - spare : 0;
    if (kept < cell->reserved)
        kept = cell->reserved;
    if (kept < cell->leased) {
        cn_pot_give(cell->pot, cell->leased - kept);
        cell->leased = kept;
    }
    pthread_mutex_unlock(&cell->lock);
}

/* Whether it was told to end long enough ago. */
static bool is_past_grace(const struct cn_cell *cell)
{
    uint64_t killed = atomic_load(&cell->killed_ns);

    return killed != 0 && cn_clock_ns(CLOCK_MONOTONIC) - killed > GRACE_NS;
}

static void put_down(struct cn_cell *cell)
{
    kill_process(cell);
    bury(cell, CN_CELL_KILLED);
}

/* What a turn of the process has come to. */
enum outcome {
    REPORTED, /* it says that it is over */
    STOPPED,  /* it was stopped in the middle of it */
    GONE,
};

/* Until the baton comes back, or has been away for too long. */
static enum outcome wait_for_baton(struct cn_cell *cell, uint64_t slice_ns)
{
    uint64_t wait = slice_ns + OVERDUE_NS;

    for (; !cn_baton_wait(cell->page, CN_BATON_HOST, wait); wait = CHECK_NS) {
        if (has_died(cell)) {
            bury(cell, CN_CELL_DIED);
            return GONE;
        }
        if (is_past_grace(cell)) {
            put_down(cell);
            return GONE;
        }
        if (cpu_since(cell) < slice_ns + OVERDUE_NS)
            continue;
        send_signal(cell, SIGSTOP);
        cell->is_stopped = true;
        return STOPPED;
    }
    return REPORTED;
}

/* What the other process may change at any moment is read once: what was checked is what is used.
 */
static uint64_t read_once(const uint64_t *place)
{
    return *(const volatile uint64_t *)place;
}

static uint32_t word_of(const uint32_t *place)
{
    return *(const volatile uint32_t *)place;
}

/* Answers what was said with the baton; false when it was a report. */
static bool answer(struct cn_cell *cell)
{
    struct cn_cell_page *page = cell->page;
    uint32_t word = word_of(&page->word);
    uint64_t wanted = read_once(&page->wanted);

    if (word == CN_CELL_ASK)
        lend(cell, wanted < UINT64_MAX / 4 ? wanted : UINT64_MAX / 4);
    else if (word == CN_CELL_BLOCKS)
        cn_pool_blocks(cell->pool, &cell->seat);
    else
        return false;
    page->word = CN_CELL_TURN;
    return true;
}

static void offer_turn(struct cn_cell *cell, uint64_t slice_ns)
{
    cell->questions = 0;
    cell->page->slice_ns = slice_ns;
    cell->page->is_tight = atomic_load(&cell->pot->is_tight);
    cell->page->word = CN_CELL_TURN;
    lend(cell, 0);
    cn_baton_pass(cell->page, CN_BATON_INSIDE);
}

static void go_on(struct cn_cell *cell)
{
    cell->is_stopped = false;
    send_signal(cell, SIGCONT);
}

/* Passes the baton with the slice, or lets it go on where it was stopped, and answers until there
 * is a report. */
static enum outcome run_inside(struct cn_cell *cell, uint64_t slice_ns)
{
    if (cell->is_stopped)
        go_on(cell);
    else
        offer_turn(cell, slice_ns);
    for (;;) {
        enum outcome outcome = wait_for_baton(cell, slice_ns);
        if (outcome != REPORTED || !answer(cell))
            return outcome;
        if (cell->questions++ > QUESTIONS_MAX || (cell->questions > 2 && is_past_grace(cell))) {
            put_down(cell);
            return GONE;
        }
        cn_baton_pass(cell->page, CN_BATON_INSIDE);
    }
}

/* One that was stopped may have been writing its figures: they are as they were. */
static void keep_figures(struct cn_cell *cell)
{
    pthread_mutex_lock(&cell->lock);
    if (!cell->is_stopped)
        cell->figures = cell->page->figures;
    cell->figures.cpu_ns = cell->cpu_ns;
    cell->figures.account.used[CN_QUOTA_CPU_TIME] = cell->cpu_ns;
    cell->figures.account.peak[CN_QUOTA_CPU_TIME] = cell->cpu_ns;
    memcpy(cell->figures.account.limit, cell->limit, sizeof cell->limit);
    pthread_mutex_unlock(&cell->lock);
}

/* When it wants its next turn. One that was told to end, and says that it waits, is looked at again
 * all the same: it may never end by itself. */
static uint64_t next_turn_at(struct cn_cell *cell)
{
    const struct cn_cell_page *page = cell->page;
    uint64_t at = read_once(&page->until_ns), look = cn_clock_ns(CLOCK_MONOTONIC) + LOOK_NS;
    bool is_watched = watch_wait_set(cell, word_of(&page->has_wait_set) != 0,
                                     word_of(&page->is_parked) != 0);

    if ((!is_watched || atomic_load(&cell->killed_ns) != 0) && at > look)
        return look;
    return at;
}

/* Also to wipe what it had, in turns of its own, which takes the longer the more that was. */
static bool is_past_teardown(const struct cn_cell *cell)
{
    uint64_t killed = atomic_load(&cell->killed_ns);
    uint64_t grace = GRACE_NS + (cell->leased >> 20) * TEARDOWN_NS;

    return killed != 0 && cn_clock_ns(CLOCK_MONOTONIC) - killed > grace;
}

/* What it says with the baton. Nothing of it need be true: what is not harms its own VM. */
static void take_report(struct cn_cell *cell, struct cn_turn_report *report)
{
    const struct cn_cell_page *page = cell->page;

    keep_figures(cell);
    take_back(cell, read_once(&page->spare));
    atomic_store(&cell->seat.is_watching, word_of(&page->is_watching) != 0);
    report->is_over = word_of(&page->is_over) != 0;
    report->until_ns = next_turn_at(cell);
    if (word_of(&page->is_made) != 0 && !cell->is_made) {
        cell->is_made = true;
        cell->made(cell);
    }
    if (!report->is_over && is_past_teardown(cell)) {
        put_down(cell);
        report->is_over = true;
    }
}

static void take_turn(struct cn_seat *seat, uint64_t slice_ns, struct cn_turn_report *report)
{
    struct cn_cell *cell = cell_of(seat);

    report->wait_set = cell->epoll;
    if (has_died(cell)) {
        bury(cell, CN_CELL_DIED);
        report->is_over = true;
        return;
    }
    enum outcome outcome = run_inside(cell, slice_ns);
    report->used_ns = charge_cpu(cell);
    report->is_over = outcome == GONE;
    if (outcome == REPORTED)
        take_report(cell, report);
    else if (outcome == STOPPED)
        keep_figures(cell); /* and it goes on in its next turn */
}

/* A process that has given the baton back sleeps because it should. */
static bool is_inside(const struct cn_seat *seat)
{
    const struct cn_cell *cell = (const struct cn_cell *)((const char *)seat -
                                                          offsetof(struct cn_cell, seat));

    return atomic_load(&cell->page->baton) == CN_BATON_INSIDE;
}

static void is_over(struct cn_seat *seat)
{
    struct cn_cell *cell = cell_of(seat);

    atomic_store(&cell->is_seated, false);
    cell->ended(cell);
}

/* ------------------------------------------------------------------ making */

static enum cn_status make_page(struct cn_cell *cell, size_t more)
{
    size_t size = sizeof *cell->page;

    cell->page_fd = memfd_create("cordon-cell", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    /* Whoever could make it smaller could end the other by a bus error. */
    if (cell->page_fd < 0 || ftruncate(cell->page_fd, (off_t)(size + more)) != 0 ||
        fcntl(cell->page_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return CN_IO;
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cell->page_fd, 0);
    if (page == MAP_FAILED)
        return CN_NO_MEMORY;
    cell->page = page;
    return CN_OK;
}

enum cn_status cn_cell_init(struct cn_cell *cell, struct cn_pot *pot,
                            const uint64_t limit[CN_QUOTA_COUNT], size_t more)
{
    uint64_t reserve = limit[CN_QUOTA_MEMORY_RESERVE];

    *cell = (struct cn_cell){.page_fd = -1, .pid_fd = -1, .socket = -1, .epoll = -1};
    if (!cn_pot_take(pot, reserve))
        return CN_OVER_QUOTA;
    cell->pot = pot;
    cell->leased = cell->reserved = reserve;
    memcpy(cell->limit, limit, sizeof cell->limit);
    cn_account_init(&cell->figures.account);
    memcpy(cell->figures.account.limit, limit, sizeof cell->limit);
    pthread_mutex_init(&cell->lock, NULL);
    enum cn_status status = make_page(cell, more);
    cell->epoll = status == CN_OK ? epoll_create1(EPOLL_CLOEXEC) : -1;
    if (status == CN_OK && cell->epoll < 0)
        status = CN_IO;
    if (status != CN_OK)
        cn_cell_release(cell);
    return status;
}

static void close_all(struct cn_cell *cell)
{
    const int fds[] = {cell->page_fd, cell->pid_fd, cell->socket, cell->epoll};

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

void cn_cell_release(struct cn_cell *cell)
{
    struct pollfd entry = {.fd = cell->pid_fd, .events = POLLIN};

    if (cell->pid_fd >= 0) {
        if (poll(&entry, 1, EXIT_MS) != 1)
            kill_process(cell);
        bury(cell, cell->end);
    }
    if (cell->page != NULL)
        munmap(cell->page, sizeof *cell->page);
    close_all(cell);
    cn_pot_give(cell->pot, cell->leased);
    pthread_mutex_destroy(&cell->lock);
}

enum cn_status cn_cell_start(struct cn_cell *cell, struct cn_pool *pool, pid_t pid, int socket)
{
    cell->pid = pid;
    cell->socket = socket;
    cell->pool = pool;
    cell->seat.turn = take_turn;
    cell->seat.over = is_over;
    cell->seat.process = pid;
    cell->seat.is_inside = is_inside;
    cell->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    enum cn_status status = CN_IO;
    if (cell->pid_fd >= 0 && clock_getcpuclockid(pid, &cell->clock) == 0 &&
        watch(cell, EPOLL_CTL_ADD, cell->pid_fd, true)) {
        atomic_store(&cell->is_seated, true);
        status = cn_pool_take(pool, &cell->seat, (uint32_t)cell->limit[CN_QUOTA_WEIGHT],
                              (uint32_t)cell->limit[CN_QUOTA_CPU_RESERVE]);
    }
    if (status == CN_OK)
        return CN_OK;
    atomic_store(&cell->is_seated, false);
    if (cell->pid_fd >= 0) {
        kill_process(cell);
    } else {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    return status;
}

/* ------------------------------------------------------------------ control */

static void poke(struct cn_cell *cell)
{
    if (atomic_load(&cell->is_seated))
        cn_pool_poke(cell->pool, &cell->seat);
}

void cn_cell_kill(struct cn_cell *cell, int signal)
{
    uint64_t never = 0;
    int nobody = 0;

    atomic_compare_exchange_strong(&cell->kill_signal, &nobody, signal);
    atomic_compare_exchange_strong(&cell->page->kill_signal, &nobody, signal);
    atomic_compare_exchange_strong(&cell->killed_ns, &never, cn_clock_ns(CLOCK_MONOTONIC));
    poke(cell);
}

void cn_cell_pause(struct cn_cell *cell, bool paused)
{
    atomic_store(&cell->page->is_paused, paused);
    poke(cell);
}

/* With the lock. What was not lent yet is had from the pot. */
static enum cn_status reserve(struct cn_cell *cell, uint64_t value)
{
    if (value > cell->leased) {
        if (!cn_pot_take(cell->pot, value - cell->leased))
            return CN_OVER_QUOTA;
        cell->leased = value;
    }
    cell->reserved = value;
    return CN_OK;
}

enum cn_status cn_cell_limit(struct cn_cell *cell, enum cn_quota quota, uint64_t value)
{
    uint64_t before = cell->limit[quota];
    enum cn_status status = CN_OK;

    pthread_mutex_lock(&cell->lock);
    cell->limit[quota] = value;
    if (quota == CN_QUOTA_MEMORY_RESERVE)
        status = reserve(cell, value);
    if ((quota == CN_QUOTA_WEIGHT || quota == CN_QUOTA_CPU_RESERVE) &&
        atomic_load(&cell->is_seated))
        status = cn_pool_set(cell->pool, &cell->seat, (uint32_t)cell->limit[CN_QUOTA_WEIGHT],
                             (uint32_t)cell->limit[CN_QUOTA_CPU_RESERVE]);
    if (status != CN_OK)
        cell->limit[quota] = before;
    pthread_mutex_unlock(&cell->lock);
    if (status != CN_OK)
        return status;
    atomic_store(&cell->page->asked_limit[quota], value);
    atomic_fetch_or(&cell->page->asked_limits, 1u << quota);
    poke(cell);
    return CN_OK;
}

struct cn_figures cn_cell_figures(struct cn_cell *cell)
{
    pthread_mutex_lock(&cell->lock);
    struct cn_figures seen = cell->figures;
    pthread_mutex_unlock(&cell->lock);
    return seen;
}
