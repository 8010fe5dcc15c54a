/* What a module may have at most: enumerators CN_LIMIT_..., from spec/limits.def. */
#ifndef CN_CORE_LIMITS_H
#define CN_CORE_LIMITS_H

enum cn_limit {
#define LIMIT(name, value, text) CN_LIMIT_##name = (value),
#include "spec/limits.def"
#undef LIMIT
};

#endif
