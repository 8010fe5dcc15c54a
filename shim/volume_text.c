/* Bytes as names that every file system takes. */
#include <string.h>

#include "shim/volume_cipher.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t cn_to_base64(struct cn_bytes bytes, char *text)
{
    size_t length = 0;
    uint32_t bits = 0, held = 0;

    for (size_t i = 0; i < bytes.size; i++) {
        bits = (bits << 8 | bytes.at[i]) & 0xffff;
        for (held += 8; held >= 6; held -= 6)
            text[length++] = alphabet[bits >> (held - 6) & 63];
    }
    if (held > 0)
        text[length++] = alphabet[bits << (6 - held) & 63];
    text[length] = '\0';
    return length;
}

long cn_from_base64(const char *text, uint8_t *bytes, size_t room)
{
    size_t size = 0;
    uint32_t bits = 0, held = 0;

    for (; *text != '\0'; text++) {
        const char *at = strchr(alphabet, *text);
        if (at == NULL)
            return -1;
        bits = (bits << 6 | (uint32_t)(at - alphabet)) & 0xffff;
        held += 6;
        if (held < 8)
            continue;
        if (size == room)
            return -1;
        held -= 8;
        bytes[size++] = (uint8_t)(bits >> held);
    }
    return held < 6 && (bits & ((1u << held) - 1)) == 0 ? (long)size : -1;
}
