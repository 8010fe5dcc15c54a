/* A whole program translated at once: where the two sides that never see each other meet. */
#ifndef CN_API_WHOLE_H
#define CN_API_WHOLE_H

#include "core/error.h"
#include "core/status.h"

struct cn_program;
struct cn_translator;

/* Translates every function of the program's module, and installs what the verifier accepts. The
 * translator is the module's. */
CN_CHECKED enum cn_status cn_translate_whole(struct cn_translator *translator,
                                             struct cn_program *program, struct cn_error *error);

/* The same with a translator for the occasion, of memory that is charged to nobody. */
CN_CHECKED enum cn_status cn_translate_program(struct cn_program *program, struct cn_error *error);

#endif
