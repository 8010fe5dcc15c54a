/* The front door of the loader: bytes in, validated module out. */
#ifndef CN_LOADER_LOAD_H
#define CN_LOADER_LOAD_H

#include "core/code.h"
#include "core/error.h"
#include "core/module.h"

/* Decodes and validates the whole module (core 5 and 3). `file` must outlive the module. Every
 * rejection names the offset, what was found and what was expected. On failure nothing is
 * kept. */
CN_CHECKED enum cn_status cn_load(struct cn_bytes file, struct cn_allocator allocator,
                                  struct cn_module **result, struct cn_error *error);

void cn_module_free(struct cn_module *module);

#endif
