/* Runs verified code twice, side by side, with different garbage wherever verified code must
 * not look: in unused stack. Whatever happens must be the same both times. */
#ifndef CN_TESTS_TWIN_H
#define CN_TESTS_TWIN_H

#include "vm/thread.h"

/* Everything that is to be seen of a run from outside. References are compared by what they
 * name, never by address. */
struct outcome {
    enum cn_stop stop;
    enum cn_status trap;
    int64_t fuel_left;
    uint64_t state; /* hash of results, globals, tables, memories */
};

/* Whether instances of it are made quickly and need nothing but functions and globals. */
bool twin_is_small(const struct cn_module *module);

/* Instantiates the program's module, calls `func`, gives it `fuel` in slices, and looks at what
 * is left. `garbage` fills the stack before. Aborts when a reference has been forged. Functions
 * without code stop the run. */
struct outcome twin_run(struct cn_program *program, uint32_t func, int64_t fuel,
                        uint64_t garbage, bool move_on_grow);

/* Functions are called with other arguments from now on; 0 at first. */
#define TWIN_ARGUMENT_SETS 4
void twin_choose_arguments(uint32_t set);

/* How long threads run before they are stopped and go on: for irregular pieces at first, for as
 * long as they can, or for as short as they can. */
enum twin_slices { TWIN_MIXED, TWIN_WHOLE, TWIN_LEAST };
void twin_choose_slices(enum twin_slices slices);

/* Two runs; aborts, with a message, when they differ. Returns the first one's outcome. */
struct outcome twin_compare(struct cn_program *program, uint32_t func, int64_t fuel);

#endif
