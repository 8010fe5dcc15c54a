/* Validated WebAssembly to register code, one function at a time. */
#ifndef CN_LOADER_TRANSLATE_H
#define CN_LOADER_TRANSLATE_H

#include "core/code.h"
#include "core/error.h"
#include "core/module.h"

struct cn_translator; /* scratch memory kept between functions */

CN_CHECKED enum cn_status cn_translator_new(const struct cn_module *module,
                                            struct cn_allocator allocator,
                                            struct cn_translator **result);
void cn_translator_free(struct cn_translator *translator);

/* Translates function `func` (not an import) of the validated module. *code points into the
 * translator and is valid until its next call. Fails only for want of memory or when a limit
 * of spec/limits.def is passed. */
CN_CHECKED enum cn_status cn_translate(struct cn_translator *translator, uint32_t func,
                                       struct cn_code *code, struct cn_error *error);

/* What the code at an offset came from. */
struct cn_origin {
    uint64_t wasm_offset; /* in the file */
    uint32_t unspent;     /* fuel charged for operators that follow this one in its block */
};

/* Finds where the instruction at `offset` of the function's register code came from, by
 * translating the function once more: no table is kept for it. */
CN_CHECKED enum cn_status cn_translate_origin(struct cn_translator *translator, uint32_t func,
                                              uint32_t offset, struct cn_origin *origin);

#endif
