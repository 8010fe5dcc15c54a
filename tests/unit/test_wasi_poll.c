/* poll_oneoff: clocks, descriptors, mistakes, and all of them at once. */
#include <sys/socket.h>
#include <time.h>

#include "wasi_fixture.h"

enum { AT_SUBS = 65536, AT_EVENTS = 131072 };

struct poller {
    struct guest guest;
    int in[2], out[2];
    uint32_t count;
};

static void start(struct poller *poller)
{
    *poller = (struct poller){.count = 0};
    guest_prepare(&poller->guest);
    cr_assert_eq(pipe(poller->in), 0);
    cr_assert_eq(pipe(poller->out), 0);
    struct cn_wasi_config config = {
        .stdio = {poller->in[0], poller->out[1], -1},
        .account = &poller->guest.account,
        .cpu_ns = guest_cpu_ns,
    };
    cr_assert_eq(cn_wasi_new(&config, &poller->guest.wasi, NULL), CN_OK);
}

static void finish(struct poller *poller)
{
    for (int i = 0; i < 2; i++) {
        close(poller->in[i]);
        close(poller->out[i]);
    }
    guest_finish(&poller->guest);
}

static void add(struct poller *poller, struct cn_abi_subscription subscription)
{
    subscription.userdata = 1000 + poller->count;
    memcpy(poller->guest.memory.base + AT_SUBS + poller->count * sizeof subscription,
           &subscription, sizeof subscription);
    poller->count++;
}

static void add_clock(struct poller *poller, uint32_t clock, uint64_t timeout, uint16_t flags)
{
    add(poller, (struct cn_abi_subscription){
                    .tag = CN_EVENT_CLOCK,
                    .clock = {.id = clock, .timeout = timeout, .flags = flags},
                });
}

static void add_fd(struct poller *poller, uint8_t tag, uint32_t fd)
{
    add(poller, (struct cn_abi_subscription){.tag = tag, .fd = fd});
}

static uint32_t ask(struct poller *poller)
{
    uint32_t error = CALL(&poller->guest, "poll_oneoff", I(AT_SUBS), I(AT_EVENTS),
                          I(poller->count), I(AT_OUT));
    poller->count = 0;
    return error;
}

static struct cn_abi_event event_at(const struct poller *poller, uint32_t index)
{
    struct cn_abi_event event;

    memcpy(&event, poller->guest.memory.base + AT_EVENTS + index * sizeof event, sizeof event);
    return event;
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void expect_event(const struct poller *poller, uint32_t index, uint64_t userdata,
                         uint8_t type, uint16_t error)
{
    struct cn_abi_event event = event_at(poller, index);

    cr_expect_eq(event.userdata, 1000 + userdata);
    cr_expect_eq(event.type, type);
    cr_expect_eq(event.error, error, "%s", cn_errno_name(event.error));
}

Test(wasi_poll, sleeps_for_a_time_on_each_clock)
{
    struct poller poller;
    start(&poller);

    for (uint32_t clock = 0; clock < 2; clock++) {
        uint64_t before = now_ns(CLOCK_MONOTONIC);
        add_clock(&poller, clock, 20000000, 0);
        MUST(ask(&poller));
        uint64_t slept = now_ns(CLOCK_MONOTONIC) - before;
        cr_expect(slept >= 20000000 && slept < 200000000, "%llu", (unsigned long long)slept);
        cr_expect_eq(out_u32(&poller.guest), 1);
        expect_event(&poller, 0, 0, CN_EVENT_CLOCK, CN_E_SUCCESS);
    }
    cr_expect_eq(poller.guest.wakes, 2);
    finish(&poller);
}

Test(wasi_poll, sleeps_until_a_moment_on_each_clock)
{
    struct poller poller;
    static const clockid_t ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};
    start(&poller);

    for (uint32_t clock = 0; clock < 2; clock++) {
        uint64_t moment = now_ns(ids[clock]) + 15000000;
        add_clock(&poller, clock, moment, CN_SUBCLOCK_ABSTIME);
        add_clock(&poller, clock, UINT64_MAX, 0);
        add_clock(&poller, clock, UINT64_MAX, CN_SUBCLOCK_ABSTIME);
        MUST(ask(&poller));
        cr_expect_geq(now_ns(ids[clock]), moment);
        cr_expect_eq(out_u32(&poller.guest), 1);
    }
    add_clock(&poller, 0, 1, CN_SUBCLOCK_ABSTIME);
    add_clock(&poller, 1, 0, 0);
    MUST(ask(&poller));
    cr_expect_eq(out_u32(&poller.guest), 2, "both are past");
    finish(&poller);
}

Test(wasi_poll, tells_what_is_ready_and_how_much)
{
    struct poller poller;
    start(&poller);

    add_fd(&poller, CN_EVENT_FD_READ, 0);
    add_fd(&poller, CN_EVENT_FD_WRITE, 1);
    add_clock(&poller, 1, 1000000000, 0);
    MUST(ask(&poller));
    cr_expect_eq(out_u32(&poller.guest), 1);
    expect_event(&poller, 0, 1, CN_EVENT_FD_WRITE, CN_E_SUCCESS);

    cr_assert_eq(write(poller.in[1], "hello", 5), 5);
    add_fd(&poller, CN_EVENT_FD_READ, 0);
    MUST(ask(&poller));
    expect_event(&poller, 0, 0, CN_EVENT_FD_READ, CN_E_SUCCESS);
    cr_expect_eq(event_at(&poller, 0).byte_count, 5);
    cr_expect_eq(event_at(&poller, 0).flags, 0);

    close(poller.in[1]);
    add_fd(&poller, CN_EVENT_FD_READ, 0);
    MUST(ask(&poller));
    cr_expect_eq(event_at(&poller, 0).flags, CN_EVENT_HANGUP);
    finish(&poller);
}

Test(wasi_poll, parks_on_many_and_wakes_for_the_first)
{
    struct poller poller;
    start(&poller);
    union cn_slot slots[16] = {I(AT_SUBS), I(AT_EVENTS), I(4), I(AT_OUT)}, arguments[16];
    memcpy(arguments, slots, sizeof slots);

    add_clock(&poller, 1, 5000000000, 0);
    add_clock(&poller, 0, 6000000000, 0);
    add_fd(&poller, CN_EVENT_FD_READ, 0);
    add_fd(&poller, CN_EVENT_FD_READ, 0); /* the same descriptor twice */
    cr_assert_eq(try_once(&poller.guest, "poll_oneoff", slots), CN_PARKED);
    cr_assert_eq(write(poller.in[1], "x", 1), 1);
    cr_expect(guest_wakes(&poller.guest, -1));
    memcpy(slots, arguments, sizeof slots);
    cr_assert_eq(try_once(&poller.guest, "poll_oneoff", slots), CN_OK);
    cr_expect_eq(out_u32(&poller.guest), 2);
    expect_event(&poller, 0, 2, CN_EVENT_FD_READ, CN_E_SUCCESS);
    expect_event(&poller, 1, 3, CN_EVENT_FD_READ, CN_E_SUCCESS);
    cr_expect_eq(fcntl(poller.in[0], F_GETFL) & O_NONBLOCK, 0);
    finish(&poller);
}

Test(wasi_poll, reports_mistakes_as_events)
{
    struct poller poller;
    start(&poller);

    add_fd(&poller, CN_EVENT_FD_READ, 77);
    add_fd(&poller, CN_EVENT_FD_READ, 1);
    add_clock(&poller, 2, 5, 0);
    add_clock(&poller, 9, 5, 0);
    add_clock(&poller, 1, 5, 2);
    add_fd(&poller, 3, 0);
    MUST(ask(&poller));
    cr_expect_eq(out_u32(&poller.guest), 6);
    expect_event(&poller, 0, 0, CN_EVENT_FD_READ, CN_E_BADF);
    expect_event(&poller, 1, 1, CN_EVENT_FD_READ, CN_E_NOTCAPABLE);
    expect_event(&poller, 2, 2, CN_EVENT_CLOCK, CN_E_NOTSUP);
    expect_event(&poller, 3, 3, CN_EVENT_CLOCK, CN_E_INVAL);
    expect_event(&poller, 4, 4, CN_EVENT_CLOCK, CN_E_INVAL);
    expect_event(&poller, 5, 5, 3, CN_E_INVAL);
    finish(&poller);
}

Test(wasi_poll, bounds_the_number_of_subscriptions)
{
    struct poller poller;
    start(&poller);
    struct guest *guest = &poller.guest;
    static const uint64_t bad[] = {0, 4097, 0x10000000, 0x05555556, UINT32_MAX};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT_ERRNO(CALL(guest, "poll_oneoff", I(0), I(0), I(bad[i]), I(AT_OUT)), INVAL);
    EXPECT_ERRNO(CALL(guest, "poll_oneoff", I(GUEST_MEMORY - 47), I(0), I(1), I(AT_OUT)), FAULT);
    EXPECT_ERRNO(CALL(guest, "poll_oneoff", I(0), I(GUEST_MEMORY - 31), I(1), I(AT_OUT)), FAULT);
    EXPECT_ERRNO(CALL(guest, "poll_oneoff", I(0), I(65536), I(4096), I(GUEST_MEMORY - 3)),
                 FAULT);
    memset(guest->memory.base, 0, GUEST_MEMORY);
    for (uint32_t i = 0; i < 1300; i++)
        add_fd(&poller, CN_EVENT_FD_READ, 77);
    MUST(ask(&poller));
    cr_expect_eq(out_u32(guest), 1300);
    guest->account.limit[CN_QUOTA_MEMORY] = guest->account.used[CN_QUOTA_MEMORY] + 1000;
    for (uint32_t i = 0; i < 1300; i++)
        add_fd(&poller, CN_EVENT_FD_READ, 77);
    EXPECT_ERRNO(ask(&poller), NOMEM);
    finish(&poller);
}

/* Events written over the subscriptions that they answer. */
Test(wasi_poll, is_not_confused_by_overlapping_ranges)
{
    struct poller poller;
    start(&poller);

    for (int i = 0; i < 40; i++)
        add_fd(&poller, CN_EVENT_FD_WRITE, 1);
    MUST(CALL(&poller.guest, "poll_oneoff", I(AT_SUBS), I(AT_SUBS + 8), I(40), I(AT_OUT)));
    cr_expect_eq(out_u32(&poller.guest), 40);
    finish(&poller);
}

Test(wasi_poll, reads_the_older_layout)
{
    struct poller poller;
    struct cn_abi_subscription0 old = {.userdata = 7, .tag = CN_EVENT_CLOCK};
    start(&poller);
    poller.guest.module = "wasi_unstable";

    old.clock.id = CN_CLOCK_MONOTONIC;
    old.clock.timeout = 10000000;
    memcpy(poller.guest.memory.base + AT_SUBS, &old, sizeof old);
    uint64_t before = now_ns(CLOCK_MONOTONIC);
    MUST(CALL(&poller.guest, "poll_oneoff", I(AT_SUBS), I(AT_EVENTS), I(1), I(AT_OUT)));
    cr_expect_geq(now_ns(CLOCK_MONOTONIC) - before, 10000000);
    cr_expect_eq(event_at(&poller, 0).userdata, 7);
    finish(&poller);
}

Test(wasi_poll, finds_files_always_ready)
{
    struct guest guest;
    guest_setup(&guest);
    MUST(guest_open(&guest, "a", CN_OFLAG_CREAT));
    uint32_t fd = out_u32(&guest);
    MUST(guest_write(&guest, fd, 100));
    MUST(CALL(&guest, "fd_seek", I(fd), I(40), I(0), I(AT_OUT)));
    struct cn_abi_subscription sub = {.tag = CN_EVENT_FD_READ, .fd = fd};
    memcpy(guest.memory.base + AT_SUBS, &sub, sizeof sub);

    MUST(CALL(&guest, "poll_oneoff", I(AT_SUBS), I(AT_EVENTS), I(1), I(AT_OUT)));
    cr_expect_eq(cn_load_u64(guest.memory.base + AT_EVENTS + 16), 60);
    guest_finish(&guest);
}
