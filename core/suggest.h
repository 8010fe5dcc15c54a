/* The nearest of several known words, for messages that say what was probably meant. */
#ifndef CN_CORE_SUGGEST_H
#define CN_CORE_SUGGEST_H

#include <stddef.h>

/* The number of letters to be changed, added or left out to get from one word to the other;
 * words longer than 63 letters are compared by their first 63. */
size_t cn_edit_distance(const char *a, const char *b);

/* Whether a word at this distance is near enough to be suggested for `word`. */
int cn_is_near(const char *word, size_t distance);

#endif
