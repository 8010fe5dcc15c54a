#include "cli/terminal.h"

#include <stdbool.h>
#include <string.h>

/* How long the sequence is that begins with that byte; 0 when none does. */
static int sequence_size(uint8_t byte)
{
    if (byte >= 0xc2 && byte <= 0xdf)
        return 2;
    if (byte >= 0xe0 && byte <= 0xef)
        return 3;
    return byte >= 0xf0 && byte <= 0xf4 ? 4 : 0;
}

/* Whether a whole sequence may be shown: not overlong, no surrogate, no control character of the
 * second set (U+0080 to U+009F) and none that turns the direction of text. */
static bool is_harmless(const uint8_t *held)
{
    if (held[0] == 0xc2 && held[1] < 0xa0)
        return false;
    if ((held[0] == 0xe0 && held[1] < 0xa0) || (held[0] == 0xed && held[1] >= 0xa0) ||
        (held[0] == 0xf0 && held[1] < 0x90) || (held[0] == 0xf4 && held[1] >= 0x90))
        return false;
    bool turns = held[0] == 0xe2 &&
                 ((held[1] == 0x80 && held[2] >= 0xaa && held[2] <= 0xae) ||
                  (held[1] == 0x81 && held[2] >= 0xa6 && held[2] <= 0xa9));
    return !turns;
}

size_t cli_filter(struct cli_filter *filter, const uint8_t *bytes, size_t size, uint8_t *shown)
{
    uint8_t *to = shown;

    for (size_t i = 0; i < size; i++) {
        uint8_t byte = bytes[i];
        if (filter->wanted > 0 && (byte & 0xc0) == 0x80) {
            filter->held[filter->size++] = byte;
            if (filter->size < filter->wanted)
                continue;
            if (is_harmless(filter->held)) {
                memcpy(to, filter->held, (size_t)filter->size);
                to += filter->size;
            } else
                *to++ = '?';
            filter->wanted = filter->size = 0;
            continue;
        }
        if (filter->wanted > 0)
            *to++ = '?'; /* it was cut short */
        filter->wanted = sequence_size(byte);
        filter->held[0] = byte;
        filter->size = 1;
        if (filter->wanted == 0)
            *to++ = (byte >= 0x20 && byte < 0x7f) || byte == '\n' || byte == '\t' ? byte : '?';
    }
    return (size_t)(to - shown);
}
