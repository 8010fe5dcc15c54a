/* What a guest writes to a terminal, made harmless. A terminal obeys what it is shown: escape
 * sequences can answer as if somebody had typed, set titles and clipboards, and overwrite what
 * others wrote. Text in UTF-8 passes, with line ends, tabs, backspaces, bells, and of the escape
 * sequences colours (CSI ... m) and those that stay within the line (CSI ... K, C, D, G). Of
 * everything else the first byte becomes a question mark. */
#ifndef CN_SHIM_TERMINAL_H
#define CN_SHIM_TERMINAL_H

#include <stddef.h>
#include <stdint.h>

#define CN_TERMINAL_HELD 32

/* Zeroed at the beginning. */
struct cn_terminal {
    uint8_t held[CN_TERMINAL_HELD]; /* a sequence or character that is not complete */
    uint8_t size;
    uint8_t rest[CN_TERMINAL_HELD + 1]; /* what is to be shown before anything else */
    uint8_t rest_size;
};

/* Takes one byte; returns how many bytes there are to be shown now, at most CN_TERMINAL_HELD + 1,
 * and in all at most one for each that was taken. */
size_t cn_terminal_take(struct cn_terminal *terminal, uint8_t byte, uint8_t *shown);

#endif
