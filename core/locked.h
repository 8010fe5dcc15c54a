/* Memory for what must not outlive its use anywhere: texts that a VM is started with again. */
#ifndef CN_CORE_LOCKED_H
#define CN_CORE_LOCKED_H

#include "core/alloc.h"

/* Whole pages, which are in no core dump, and wiped when they are given back. They are locked as
 * far as the process may lock memory (RLIMIT_MEMLOCK); beyond that they are had all the same. */
extern const struct cn_allocator cn_locked;

#endif
