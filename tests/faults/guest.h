/* The guest that is tried, what it is granted, and what has to hold when it has run. */
#ifndef CN_TESTS_FAULTS_GUEST_H
#define CN_TESTS_FAULTS_GUEST_H

#include "world.h"

struct guest {
    const char *name;
    void *bytes;
    size_t size;
    bool has_volume, is_whole;
    bool has_process, is_inside; /* of its own; it is that one that fails */
};

extern struct guest guest;

bool grant_all(cordon_config_t *config, const struct world *world, cordon_error_t *error);
/* What `cordon volume` does. */
bool use_store(const struct world *world, cordon_error_t *error);

/* Each prints what does not hold. */
bool is_whole_end(const cordon_result_t *result);
bool check_world(const struct world *world);
bool check_left(uint32_t open_before);
bool says_why(bool has_run, const cordon_error_t *error);

#endif
