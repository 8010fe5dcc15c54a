/* From the binary format to the text format: what cordon print shows. */
#ifndef CN_LOADER_PRINT_H
#define CN_LOADER_PRINT_H

#include "core/module.h"
#include "loader/buffer.h"

/* Prints a validated module so that reading the text gives an equivalent one: one instruction per
 * line, functions by their names where those can be told apart, floats so that they read back bit
 * by bit, custom sections as annotations. CN_NO_MEMORY is the only failure. */
CN_CHECKED enum cn_status cn_print(const struct cn_module *module, struct cn_buffer *out);

#endif
