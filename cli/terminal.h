/* What a guest wrote, made harmless for a terminal: control characters and what is no UTF-8 become
 * question marks, line ends and tabs stay. */
#ifndef CN_CLI_TERMINAL_H
#define CN_CLI_TERMINAL_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed at the beginning; a character may be cut between two pieces. */
struct cli_filter {
    uint8_t held[4];
    int size, wanted;
};

/* Room for what a piece of that size can become. */
#define CLI_FILTER_ROOM(size) ((size) + 4)

size_t cli_filter(struct cli_filter *filter, const uint8_t *bytes, size_t size, uint8_t *shown);

#endif
