#include "core/suggest.h"

#include <string.h>

#define LONGEST 63

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

size_t cn_edit_distance(const char *a, const char *b)
{
    size_t row[LONGEST + 1];
    size_t a_size = strnlen(a, LONGEST), b_size = strnlen(b, LONGEST);

    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_size];
}

int cn_is_near(const char *word, size_t distance)
{
    size_t size = strlen(word);

    return distance <= (size < 4 ? 1 : size < 8 ? 2 : 3) && distance < size;
}
