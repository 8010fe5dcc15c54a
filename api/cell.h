/* What the two sides of a cell say to each other beside host/cell.h: in the page, after the last
 * turn. */
#ifndef CN_API_CELL_H
#define CN_API_CELL_H

#include "host/cell.h"
#include "include/cordon.h"

struct cn_last_words {
    cordon_result_t result;
};

_Static_assert(sizeof(struct cn_last_words) <= CN_CELL_LAST, "they fit into the page");

#endif
