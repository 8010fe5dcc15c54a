/* Names out of modules, which may hold anything, as text for people. */
#ifndef CN_CORE_NAME_H
#define CN_CORE_NAME_H

#include "core/bytes.h"

/* Writes the name into text and returns text: cut to size at a letter, and with question marks
 * for quotes and for what could move a terminal's cursor. */
const char *cn_name_print(struct cn_bytes name, char *text, size_t size);

#endif
