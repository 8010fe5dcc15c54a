/* Code outside all functions: where the outermost frame returns to, and where frames return to
 * that were called from another instance. */
#ifndef CN_VM_EDGE_H
#define CN_VM_EDGE_H

#include "vm/thread.h"

/* Where to go on, in which instance, when a call between instances returns. */
struct cn_switch {
    struct cn_instance *instance;
    const uint8_t *pc;
};

struct cn_edge;
extern const struct cn_edge cn_exit_edge, cn_switch_edge;

/* The return address that leads there. */
const uint8_t *cn_edge_pc(const struct cn_edge *edge);

#endif
