/* Records of what was erased: lines of JSON, each signed with the volume store's own key
 * (Ed25519), which only who has the host key can use. */
#ifndef CN_SHIM_VOLUME_RECORD_H
#define CN_SHIM_VOLUME_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bytes.h"

#define CN_RECORD_MAX 1024u

/* False when the library of ciphers has no such signatures. */
bool cn_record_public_key(const uint8_t seed[32], uint8_t key[32]);

/* Puts a signature behind a line that ends with a brace, inside of it. `room` is of the line; false
 * when it does not fit. */
bool cn_record_sign(const uint8_t seed[32], char *line, size_t room);

/* Whether a line, without its end, is as it was signed. */
bool cn_record_verify(const uint8_t key[32], struct cn_bytes line);

#endif
