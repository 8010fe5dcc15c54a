/* What is taken away: bare.c. */
#ifndef CN_TESTS_BARE_H
#define CN_TESTS_BARE_H

#include <stdbool.h>

bool is_bare(const char *name);

#endif
