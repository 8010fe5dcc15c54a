#include "shim/terminal.h"

#include <stdbool.h>
#include <string.h>

#define ESCAPE 0x1b

static bool is_plain(uint8_t byte)
{
    return (byte >= 0x20 && byte < 0x7f) || (byte >= '\a' && byte <= '\n') || byte == '\r';
}

/* How long the character is that begins with that byte; 0 when none does. */
static int character_size(uint8_t byte)
{
    if (byte >= 0xc2 && byte <= 0xdf)
        return 2;
    if (byte >= 0xe0 && byte <= 0xef)
        return 3;
    return byte >= 0xf0 && byte <= 0xf4 ? 4 : 0;
}

/* Whether a whole character may be shown: not overlong, no surrogate, no control character of the
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

/* Whether a byte goes on with what is held. */
static bool continues(const struct cn_terminal *terminal, uint8_t byte)
{
    if (terminal->held[0] != ESCAPE)
        return (byte & 0xc0) == 0x80;
    if (terminal->size == 1)
        return byte == '[';
    bool is_parameter = (byte >= '0' && byte <= '9') || byte == ';' || byte == ':';
    return is_parameter ? terminal->size < CN_TERMINAL_HELD - 1
                        : byte != 0 && strchr("mKCDG", byte) != NULL;
}

static bool is_complete(const struct cn_terminal *terminal)
{
    uint8_t last = terminal->held[terminal->size - 1];

    if (terminal->held[0] == ESCAPE)
        return terminal->size > 2 && last > ';';
    return terminal->size == character_size(terminal->held[0]);
}

/* What is held is none that may be shown: a question mark, and what follows an escape as text. */
static size_t give_up(struct cn_terminal *terminal, uint8_t *shown)
{
    size_t size = terminal->held[0] == ESCAPE ? terminal->size : 1;

    memcpy(shown, terminal->held, size);
    shown[0] = '?';
    terminal->size = 0;
    return size;
}

static size_t show_held(struct cn_terminal *terminal, uint8_t *shown)
{
    size_t size = terminal->size;

    if (terminal->held[0] != ESCAPE && !is_harmless(terminal->held))
        return give_up(terminal, shown);
    memcpy(shown, terminal->held, size);
    terminal->size = 0;
    return size;
}

size_t cn_terminal_take(struct cn_terminal *terminal, uint8_t byte, uint8_t *shown)
{
    size_t before = 0;

    if (terminal->size > 0 && continues(terminal, byte)) {
        terminal->held[terminal->size++] = byte;
        return is_complete(terminal) ? show_held(terminal, shown) : 0;
    }
    if (terminal->size > 0)
        before = give_up(terminal, shown);
    if (byte == ESCAPE || character_size(byte) > 0) {
        terminal->held[0] = byte;
        terminal->size = 1;
        return before;
    }
    shown[before] = is_plain(byte) ? byte : '?';
    return before + 1;
}
