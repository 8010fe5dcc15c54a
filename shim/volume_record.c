#include "shim/volume_record.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "shim/volume_cipher.h"

#define SIGNATURE 64u
#define TEXT_OF_SIGNATURE 86u /* in base64 */

static const char before[] = ", \"signature\": \"";
static const char behind[] = "\"}";

bool cn_record_public_key(const uint8_t seed[32], uint8_t key[32])
{
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    size_t size = 32;
    bool done = pair != NULL && EVP_PKEY_get_raw_public_key(pair, key, &size) == 1;

    EVP_PKEY_free(pair);
    return done;
}

static bool sign(const uint8_t seed[32], struct cn_bytes text, uint8_t signature[SIGNATURE])
{
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = SIGNATURE;
    bool done = pair != NULL && context != NULL &&
                EVP_DigestSignInit(context, NULL, NULL, NULL, pair) == 1 &&
                EVP_DigestSign(context, signature, &size, text.at, text.size) == 1;

    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pair);
    return done;
}

bool cn_record_sign(const uint8_t seed[32], char *line, size_t room)
{
    uint8_t signature[SIGNATURE];
    char text[TEXT_OF_SIGNATURE + 1];
    size_t size = strlen(line) - 1; /* without the brace */

    if (size + sizeof before + TEXT_OF_SIGNATURE + sizeof behind > room ||
        !sign(seed, (struct cn_bytes){(const uint8_t *)line, size}, signature))
        return false;
    cn_to_base64((struct cn_bytes){signature, sizeof signature}, text);
    snprintf(line + size, room - size, "%s%s%s", before, text, behind);
    return true;
}

bool cn_record_verify(const uint8_t key[32], struct cn_bytes line)
{
    const size_t end = sizeof behind - 1, tail = sizeof before - 1 + TEXT_OF_SIGNATURE + end;
    uint8_t signature[SIGNATURE];
    char text[TEXT_OF_SIGNATURE + 1] = "";

    if (line.size <= tail || memcmp(line.at + line.size - tail, before, sizeof before - 1) != 0 ||
        memcmp(line.at + line.size - end, behind, end) != 0)
        return false;
    memcpy(text, line.at + line.size - TEXT_OF_SIGNATURE - end, TEXT_OF_SIGNATURE);
    if (cn_from_base64(text, signature, sizeof signature) != (long)SIGNATURE)
        return false;
    EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = public != NULL && context != NULL &&
                   EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1 &&
                   EVP_DigestVerify(context, signature, sizeof signature, line.at,
                                    line.size - tail) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(public);
    return is_good;
}
