/* Takes memory until it is told that there is no more, and says how much that was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (1u << 20)

int main(void)
{
    unsigned megabytes = 0;

    /* Kept where the compiler must believe that somebody looks at it. */
    static char *volatile piece;

    for (; (piece = malloc(PIECE)) != NULL; megabytes++)
        memset(piece, 0xaa, PIECE);
    printf("took %u MiB, then malloc said no; still alive\n", megabytes);
    return 0;
}
