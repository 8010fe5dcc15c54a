/* The guest in a process of its own: tests/faults/cell.c. */
#ifndef CN_TESTS_FAULTS_CELL_H
#define CN_TESTS_FAULTS_CELL_H

#include "cases.h"

/* For cases_try; `name` stays the caller's. */
struct trial cell_trial(const char *name);

#endif
