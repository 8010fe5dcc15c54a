/* The modules that register code in tests belongs to: every kind of thing, a few of each. */
#ifndef CN_TESTS_SAMPLE_MODULE_H
#define CN_TESTS_SAMPLE_MODULE_H

#include "core/module.h"

/* types     0 ()->()  1 (i32, i32)->(i32)  2 (f64)->(f64)  3 (externref, funcref)->(externref)
 *           4 (i64)->(i32, i64, f32)  5 (f32)->(f32)  6 ()->(i32)
 * functions 0 imported, of type 1; 1 to 7 of types 1, 0, 2, 3, 4, 5, 6
 * tables    0 funcref  1 externref  2 funcref          memories  0 and 1
 * globals   0 i32 mutable  1 i64  2 externref mutable  3 f64 mutable  4 funcref
 * segments  elements 0 funcref, 1 externref; data 0 */
const struct cn_module *sample_module(void);

/* The same types and functions, and nothing else. */
const struct cn_module *bare_module(void);

#endif
