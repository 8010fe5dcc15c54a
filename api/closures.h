/* Where the pointers to guests' functions of a host are: api/closure.h. */
#ifndef CN_API_CLOSURES_H
#define CN_API_CLOSURES_H

#include <pthread.h>

struct cn_closure;
struct cn_closure_page;

/* From any thread. */
struct cn_closures {
    pthread_mutex_t lock;
    struct cn_closure_page *pages;
    struct cn_closure *first_free, *last_free; /* in the order in which they were given back */
};

void cn_closures_init(struct cn_closures *closures);
/* Unmaps all; nobody may be in one. */
void cn_closures_release(struct cn_closures *closures);

#endif
