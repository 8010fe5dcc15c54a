/* Bytes as text (RFC 4648): logs inside JSON. */
#ifndef CN_CLI_BASE64_H
#define CN_CLI_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for the text of that many bytes, its end included. */
#define CLI_BASE64_SIZE(bytes) (((bytes) + 2) / 3 * 4 + 1)

void cli_base64_write(const uint8_t *bytes, size_t size, char *text);
/* Into room for strlen(text) / 4 * 3; false when it is no base64. */
bool cli_base64_read(const char *text, uint8_t *bytes, size_t *size);

#endif
