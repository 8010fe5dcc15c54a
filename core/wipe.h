/* Memory that held something of a guest's is zeroed before anybody else can have it: the C library
 * hands freed blocks out again, and not every kernel zeroes pages when they are given back. */
#ifndef CN_CORE_WIPE_H
#define CN_CORE_WIPE_H

#include <stddef.h>

/* Zeroes it, whatever the compiler thinks of that. */
void cn_wipe(void *at, size_t size);

/* The same of a private anonymous mapping, whole pages: those that were never touched stay so. */
void cn_wipe_pages(void *at, size_t size);

/* The same of what functions that have returned have left on the stack: paths, texts. */
void cn_wipe_stack(void);

#endif
