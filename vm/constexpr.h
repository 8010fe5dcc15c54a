/* Constant expressions: what initialises globals and says where segments go (core 3.3.10). */
#ifndef CN_VM_CONSTEXPR_H
#define CN_VM_CONSTEXPR_H

#include "vm/instance.h"

/* Evaluates a validated expression over the instance's functions and its first `global_count`
 * globals. The loader has checked it; it is checked here again as far as memory safety and the
 * result's type need it, so that a mistake there cannot forge a reference (CN_INVALID).
 * CN_NO_MEMORY when the operands do not fit. An i32 or f32 has a zero upper half; a
 * v128 takes result[0] and result[1]. */
CN_CHECKED enum cn_status cn_constexpr_eval(const struct cn_instance *instance,
                                            struct cn_constexpr expression,
                                            uint32_t global_count, cn_valtype type,
                                            union cn_slot *result);

#endif
