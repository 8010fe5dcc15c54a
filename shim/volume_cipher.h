/* The ciphers of private volumes: what is sealed can be read by nobody without its key, and not be
 * changed unnoticed. By themselves, so that tests can link something weaker and see that they
 * notice. */
#ifndef CN_SHIM_VOLUME_CIPHER_H
#define CN_SHIM_VOLUME_CIPHER_H

#include <stdbool.h>

#include "shim/volume_key.h"

#define CN_SEALED_NAME_MAX 175u /* so that what becomes of it is a name, too */
#define CN_HIDDEN_MAX 255u

/* What is kept beside a text that was sealed. */
struct cn_seal {
    uint8_t nonce[12], tag[16];
};

/* AES-256-GCM with one key, for as many texts as one likes. */
struct cn_sealer {
    void *context;
};

/* `keys` has looked the cipher up; NULL: it is looked up now. */
enum cn_errno cn_sealer_begin(struct cn_sealer *sealer, const struct cn_volume_keys *keys,
                              const uint8_t key[CN_KEY_SIZE]);
/* Wipes what was made from the key. */
void cn_sealer_end(struct cn_sealer *sealer);

/* Seals with a fresh random nonce; bound to `bound`, which is not kept. `to` gets as many bytes as
 * `text` has and may be the same. */
enum cn_errno cn_seal(struct cn_sealer *sealer, struct cn_bytes bound, struct cn_bytes text,
                      uint8_t *to, struct cn_seal *seal);
/* The other way. IO when anything was changed, NOMEM when that could not be found out; `to` is
 * zeroed then, and is another place. */
enum cn_errno cn_unseal(struct cn_sealer *sealer, struct cn_bytes bound, struct cn_bytes text,
                        const struct cn_seal *seal, uint8_t *to);

/* A file name as the host sees it: AES-256-SIV in base64url, the same for the same name. `hidden`
 * has room for CN_HIDDEN_MAX + 1 bytes. NAMETOOLONG beyond CN_SEALED_NAME_MAX. */
enum cn_errno cn_name_hide(const struct cn_volume_keys *keys, const char *name, char *hidden);
/* The other way, into CN_SEALED_NAME_MAX + 1 bytes. ILSEQ when no name of this volume looks so;
 * NOMEM. */
enum cn_errno cn_name_show(const struct cn_volume_keys *keys, const char *hidden, char *name);

/* Base64url without padding: how many characters, and the zero behind them; how many bytes, or -1
 * when that is no text of ours or does not fit: each is spelled in one way only. */
size_t cn_to_base64(struct cn_bytes bytes, char *text);
long cn_from_base64(const char *text, uint8_t *bytes, size_t room);

#endif
