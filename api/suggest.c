#include <stddef.h>

#include "core/suggest.h"
#include "include/cordon.h"

const char *cordon_suggest(const char *word, const char *const *known)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;

    for (; *known != NULL; known++) {
        size_t distance = cn_edit_distance(word, *known);
        if (distance >= least)
            continue;
        least = distance;
        nearest = *known;
    }
    return nearest != NULL && cn_is_near(word, least) ? nearest : NULL;
}
