/* One thing after the other fails, or kills the process: all the cases that there are of what a
 * trial calls, each in a process that its end does no harm. */
#ifndef CN_TESTS_FAULTS_CASES_H
#define CN_TESTS_FAULTS_CASES_H

#include "hooks.h"

#define SECONDS_MAX 30 /* of a case: then it hangs */

/* When a process is to be killed. */
struct kill {
    uint32_t before, after; /* its system call of that number, or 0 and 0: */
    uint32_t microseconds;  /* at that moment */
};

struct trial {
    const char *name;
    uint32_t moment_max; /* microseconds until the latest moment of a kill */
    /* True when all holds that has to. It calls hooks_watch once, in whatever process is to fail.
     * With a count of 0 nothing fails. */
    bool (*try_case)(const struct fault *what);
    bool (*try_kill)(const struct kill *kill, bool *was_killed);
};

struct cases_options {
    uint32_t every, offset, kills;
    uint32_t passed, failed, hit; /* hit: in which something did fail */
};

/* Whether the word of that number is one of --every N, --offset N, --kills N and --seed N; then *i
 * is that of its value. */
bool cases_option(struct cases_options *options, int argc, char **argv, int *i);
/* Everything that there is of it, or so many kills; failures are printed and counted. */
void cases_try(struct cases_options *options, const struct trial *trial);
/* Prints which places were reached, and the sums; the exit code. */
int cases_end(const struct cases_options *options);
/* A number below `count`. */
uint32_t cases_pick(uint32_t count);

#endif
