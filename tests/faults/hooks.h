/* Calls of the C library that fail when they are told to. */
#ifndef CN_TESTS_FAULTS_HOOKS_H
#define CN_TESTS_FAULTS_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

enum call {
#define FAULT(name, ...) CALL_##name,
#define NUMBERED(name, ...) CALL_BY_NUMBER_##name,
#include "calls.def"
#undef NUMBERED
#undef FAULT
    CALL_COUNT
};

/* Where Cordon calls one of them. */
struct site {
    enum call call;
    void *at;        /* where it would come back to */
    uint32_t times;  /* it was called, the last time that calls were watched */
};

#define SITES_MAX 1500
#define SHORT_TRANSFER (-1) /* instead of an error */

/* What is to fail: of allocations all sites count together (call < 0), of others one site. */
struct fault {
    const struct site *site;  /* NULL: allocations */
    uint32_t first;           /* of its calls, from 1 */
    uint32_t count;           /* how many from then on */
    int error;                /* or SHORT_TRANSFER */
};

/* What is asked for and what was seen: in memory that all processes share which are forked from
 * the one that hooks_begin was called in. One of them watches at a time. */
struct hooks {
    struct site sites[SITES_MAX];
    uint32_t site_count;
    struct fault fault;
    _Atomic uint32_t injected;       /* since the last hooks_watch */
    _Atomic uint32_t allocations;    /* since then */
    _Atomic int64_t blocks, mapped;  /* since then, that Cordon has not given back */
    _Atomic uint32_t calls;          /* of the system, since then */
    /* The process that watches kills itself before or after its system call of that number, from 1;
     * 0: not. */
    uint32_t kill_before, kill_after;
};

extern struct hooks *hooks;

/* Before anything else. What the library of ciphers allocates may fail, but what it keeps for
 * itself is not missed. */
void hooks_begin(void);

/* Between these, calls of this process fail, and are counted; outside of them everything is the
 * test's own. */
void hooks_watch(void);
void hooks_rest(void);

const char *call_name(enum call call);
/* Of the function that it is made by. */
const char *call_symbol(enum call call);
/* Of a row: the error of that number, 0 behind the last one. The last may be SHORT_TRANSFER. */
int call_error(enum call call, uint32_t number);
bool call_allocates(enum call call);

#endif
