#include "cli/base64.h"

#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void cli_base64_write(const uint8_t *bytes, size_t size, char *text)
{
    for (size_t at = 0; at < size; at += 3) {
        uint32_t group = 0;
        for (size_t i = 0; i < 3; i++)
            group = group << 8 | (at + i < size ? bytes[at + i] : 0);
        for (int i = 0; i < 4; i++)
            *text++ = at + (size_t)i <= size ? letters[group >> (18 - 6 * i) & 63] : '=';
    }
    *text = '\0';
}

bool cli_base64_read(const char *text, uint8_t *bytes, size_t *size)
{
    size_t length = strlen(text), padding = 0;

    *size = 0;
    if (length % 4 != 0)
        return false;
    while (padding < 2 && length > padding && text[length - 1 - padding] == '=')
        padding++;
    for (size_t at = 0; at < length; at += 4) {
        uint32_t group = 0;
        for (size_t i = 0; i < 4; i++) {
            const char *letter =
                at + i < length - padding ? strchr(letters, text[at + i]) : letters;
            if (letter == NULL || *letter == '\0')
                return false;
            group = group << 6 | (uint32_t)(letter - letters);
        }
        for (size_t i = 0; i < 3 && at / 4 * 3 + i < length / 4 * 3 - padding; i++)
            bytes[(*size)++] = (uint8_t)(group >> (16 - 8 * i));
    }
    return true;
}
