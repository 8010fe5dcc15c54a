/* Keys of private volumes (spec/volume.md) and where they live: memory of their own that is
 * locked, in no core dump and in no child, and wiped when it is given back. Where the kernel has
 * memfd_secret it has no way to that memory itself, nor has a debugger. */
#ifndef CN_SHIM_VOLUME_KEY_H
#define CN_SHIM_VOLUME_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"
#include "shim/abi.h"

#define CN_KEY_SIZE 32u
#define CN_KEYS_ON_PAGE 126u

/* A page of keys. */
struct cn_key_page {
    struct cn_key_page *next;
    uint64_t taken[2]; /* a bit for each */
    uint8_t keys[CN_KEYS_ON_PAGE][CN_KEY_SIZE];
};

/* Keys of files that were made last, so that opening one again takes no making: a page. */
#define CN_KNOWN_KEYS 64u
#define CN_KEY_ID 16u
struct cn_known_keys {
    struct cn_known_key {
        uint8_t id[CN_KEY_ID], key[CN_KEY_SIZE];
        bool is_there;
    } at[CN_KNOWN_KEYS];
};

/* A volume's keys: the one that all others are made from, and those of its open files. */
struct cn_volume_keys {
    struct cn_key_page *pages;
    uint8_t *area; /* pages that the kernel does not map, of which this is the first; or NULL */
    uint32_t area_taken;
    struct cn_known_keys *known;
    void *gcm, *siv;   /* the ciphers: looking one up takes longer than using it */
    uint8_t *master; /* NULL: there are none yet */
    uint8_t *names; /* two keys long */
    uint8_t *links;
};

/* A page of locked memory; NULL when the process may lock no more. */
void *cn_secret_page(void);
/* Wipes it first. NULL is fine. */
void cn_secret_free(void *page);

/* With that key, or a new random one when `master` is NULL. NOMEM when memory cannot be locked. */
enum cn_errno cn_volume_keys_new(const uint8_t master[CN_KEY_SIZE],
                                 struct cn_volume_keys **result);
/* The same in two steps: room for keys, to be had before a sandbox stands, and the keys. */
enum cn_errno cn_volume_keys_open(struct cn_volume_keys **result);
enum cn_errno cn_volume_keys_fill(struct cn_volume_keys *keys,
                                  const uint8_t master[CN_KEY_SIZE]);
/* Wipes all of them. NULL is fine. */
void cn_volume_keys_free(struct cn_volume_keys *keys);

/* A key for that purpose (a word) and id, in locked memory; NULL when there is none left. */
uint8_t *cn_volume_key_make(struct cn_volume_keys *keys, const char *purpose,
                            struct cn_bytes id);
/* Wipes it. NULL is fine. */
void cn_volume_key_drop(struct cn_volume_keys *keys, uint8_t *key);

/* Random bytes from the kernel, not from the cipher library, whose own generator would keep keys in
 * the heap for as long as the process lives. */
bool cn_random(void *to, size_t size);

/* HKDF with SHA-256: `size` bytes from the key for a purpose (a word) and id. */
enum cn_errno cn_key_derive(const uint8_t key[CN_KEY_SIZE], const char *purpose,
                            struct cn_bytes id, uint8_t *out, size_t size);

#endif
