/* Clocks, sleeping and waiting with a timeout. */
#include <poll.h>
#include <sched.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static double now(clockid_t clock)
{
    struct timespec time;

    CHECK(clock_gettime(clock, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(void)
{
    struct timespec short_time = {0, 20000000}, resolution, moment;
    double start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);

    CHECK(nanosleep(&short_time, NULL) == 0);
    double slept = now(CLOCK_MONOTONIC) - start;
    CHECK(slept >= 0.02 && slept < 1);
    CHECK(clock_nanosleep(CLOCK_REALTIME, 0, &short_time, NULL) == 0);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &moment) == 0);
    moment.tv_nsec += 20000000;
    if (moment.tv_nsec >= 1000000000) {
        moment.tv_nsec -= 1000000000;
        moment.tv_sec++;
    }
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL) == 0);
    CHECK(now(CLOCK_MONOTONIC) - start >= 0.06);
    CHECK(now(CLOCK_PROCESS_CPUTIME_ID) - cpu < 0.05);
    CHECK(clock_getres(CLOCK_MONOTONIC, &resolution) == 0 && resolution.tv_nsec == 1000);
    CHECK(now(CLOCK_REALTIME) > 1.6e9);

    struct pollfd entries[2] = {{.fd = 1, .events = POLLOUT}, {.fd = 77, .events = POLLIN}};
    CHECK(poll(entries, 1, 1000) == 1 && (entries[0].revents & POLLOUT));
    CHECK(poll(entries, 2, 1000) == 2 && (entries[1].revents & POLLNVAL));
    start = now(CLOCK_MONOTONIC);
    CHECK(poll(NULL, 0, 30) == 0 && now(CLOCK_MONOTONIC) - start >= 0.03);
    CHECK(sched_yield() == 0 && usleep(1000) == 0 && sleep(0) == 0);
    puts("ok");
    return 0;
}
