/* Memory pressure: what a VM is told of before it is refused anything.
 *
 * Pure bookkeeping. Both kinds begin at seven eighths and end below three quarters, so that who
 * uses a little more and a little less in turn is not told each time. */
#ifndef CN_GOVERNOR_PRESSURE_H
#define CN_GOVERNOR_PRESSURE_H

#include "governor/account.h"

/* Of the guest's interface (spec/wasi.md). */
enum {
    CN_PRESSURE_NEAR = 1, /* it uses most of what it may */
    CN_PRESSURE_OVER = 2, /* it uses more: the limit was lowered */
    CN_PRESSURE_HOST = 4, /* the host has little left, for what is above its reservation */
};

/* What holds now, when `before` held at the last look; 0: nothing. */
uint32_t cn_pressure_look(const struct cn_account *account, uint32_t before);

/* Whether so much of `size` is little left, when it was (not) at the last look. */
bool cn_is_tight(uint64_t used, uint64_t size, bool before);

#endif
