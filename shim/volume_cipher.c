#include "shim/volume_cipher.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#define TAG 16

enum cn_errno cn_sealer_begin(struct cn_sealer *sealer, const struct cn_volume_keys *keys,
                              const uint8_t key[CN_KEY_SIZE])
{
    const EVP_CIPHER *cipher = keys != NULL && keys->gcm != NULL ? keys->gcm : EVP_aes_256_gcm();
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

    sealer->context = context;
    if (context == NULL)
        return CN_E_NOMEM;
    if (EVP_CipherInit_ex(context, cipher, NULL, key, NULL, 1) == 1)
        return CN_E_SUCCESS;
    cn_sealer_end(sealer);
    return CN_E_NOMEM;
}

void cn_sealer_end(struct cn_sealer *sealer)
{
    EVP_CIPHER_CTX_free(sealer->context);
    sealer->context = NULL;
}

enum cn_errno cn_seal(struct cn_sealer *sealer, struct cn_bytes bound, struct cn_bytes text,
                      uint8_t *to, struct cn_seal *seal)
{
    EVP_CIPHER_CTX *context = sealer->context;
    int size;

    bool done = cn_random(seal->nonce, sizeof seal->nonce) &&
                EVP_CipherInit_ex(context, NULL, NULL, NULL, seal->nonce, 1) == 1 &&
                EVP_CipherUpdate(context, NULL, &size, bound.at, (int)bound.size) == 1 &&
                EVP_CipherUpdate(context, to, &size, text.at, (int)text.size) == 1 &&
                EVP_CipherFinal_ex(context, to + text.size, &size) == 1 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, seal->tag) == 1;
    return done ? CN_E_SUCCESS : CN_E_IO;
}

enum cn_errno cn_unseal(struct cn_sealer *sealer, struct cn_bytes bound, struct cn_bytes text,
                        const struct cn_seal *seal, uint8_t *to)
{
    EVP_CIPHER_CTX *context = sealer->context;
    struct cn_seal copy = *seal;
    int size;

    /* The tag is compared at the very end: whatever fails before says nothing about the text. */
    bool is_read = EVP_CipherInit_ex(context, NULL, NULL, NULL, copy.nonce, 0) == 1 &&
                   EVP_CipherUpdate(context, NULL, &size, bound.at, (int)bound.size) == 1 &&
                   EVP_CipherUpdate(context, to, &size, text.at, (int)text.size) == 1 &&
                   EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, copy.tag) == 1;
    if (is_read && EVP_CipherFinal_ex(context, to + text.size, &size) == 1)
        return CN_E_SUCCESS;
    OPENSSL_cleanse(to, text.size);
    return is_read ? CN_E_IO : CN_E_NOMEM;
}

static bool is_out_of_memory(void)
{
    return ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
}

/* Both ways; the tag is written or compared. IO when it is another one, else NOMEM. */
static enum cn_errno cipher_name(const struct cn_volume_keys *keys, bool is_hiding, uint8_t *tag,
                                 struct cn_bytes from, uint8_t *to)
{
    EVP_CIPHER_CTX *context = keys->siv != NULL ? EVP_CIPHER_CTX_new() : NULL;
    int size;

    bool is_ready =
        context != NULL &&
        EVP_CipherInit_ex(context, keys->siv, NULL, keys->names, NULL, is_hiding) == 1 &&
        (is_hiding || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1) &&
        /* Not without anything bound: CVE-2023-2975. */
        EVP_CipherUpdate(context, NULL, &size, (const uint8_t *)"name", 4) == 1;
    /* The text and its tag are one step, which takes memory, too. */
    ERR_clear_error();
    bool is_done =
        is_ready && EVP_CipherUpdate(context, to, &size, from.at, (int)from.size) == 1 &&
        EVP_CipherFinal_ex(context, to + from.size, &size) == 1 &&
        (!is_hiding || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1);
    enum cn_errno failed =
        !is_ready || is_hiding || is_out_of_memory() ? CN_E_NOMEM : CN_E_IO;
    EVP_CIPHER_CTX_free(context);
    return is_done ? CN_E_SUCCESS : failed;
}

enum cn_errno cn_name_hide(const struct cn_volume_keys *keys, const char *name, char *hidden)
{
    uint8_t sealed[TAG + CN_SEALED_NAME_MAX + TAG];
    size_t size = strlen(name);

    if (size > CN_SEALED_NAME_MAX)
        return CN_E_NAMETOOLONG;
    enum cn_errno error =
        cipher_name(keys, true, sealed, (struct cn_bytes){(const uint8_t *)name, size},
                    sealed + TAG);
    if (error != CN_E_SUCCESS)
        return error;
    cn_to_base64((struct cn_bytes){sealed, TAG + size}, hidden);
    return CN_E_SUCCESS;
}

enum cn_errno cn_name_show(const struct cn_volume_keys *keys, const char *hidden, char *name)
{
    uint8_t sealed[TAG + CN_SEALED_NAME_MAX], shown[CN_SEALED_NAME_MAX + TAG];
    long size = cn_from_base64(hidden, sealed, sizeof sealed) - TAG;

    if (size <= 0)
        return CN_E_ILSEQ;
    enum cn_errno error = cipher_name(keys, false, sealed,
                                      (struct cn_bytes){sealed + TAG, (size_t)size}, shown);
    if (error != CN_E_SUCCESS)
        return error == CN_E_IO ? CN_E_ILSEQ : error;
    memcpy(name, shown, (size_t)size);
    name[size] = '\0';
    return CN_E_SUCCESS;
}
