#include "core/name.h"

#include <stdint.h>

const char *cn_name_print(struct cn_bytes name, char *text, size_t size)
{
    size_t length = name.size < size - 1 ? name.size : size - 1;

    while (length > 0 && length < name.size && (name.at[length] & 0xc0) == 0x80)
        length--;
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = name.at[i];
        uint8_t next = i + 1 < length ? name.at[i + 1] : 0;
        bool is_odd = byte < 0x20 || byte == 0x7f || byte == '"';
        bool is_c1 = byte == 0xc2 && next < 0xa0;
        text[i] = is_odd || is_c1 ? '?' : (char)byte;
        if (is_c1 && next != 0)
            text[++i] = '?';
    }
    text[length] = '\0';
    return text;
}
