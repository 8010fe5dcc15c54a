/* The modules that register code in tests belongs to: sample.wat and bare.wat, beside this file. */
#ifndef CN_TESTS_SAMPLE_MODULE_H
#define CN_TESTS_SAMPLE_MODULE_H

#include "core/module.h"

/* Every kind of thing, a few of each. */
const struct cn_module *sample_module(void);

/* The same types and functions, and nothing else. */
const struct cn_module *bare_module(void);

#endif
