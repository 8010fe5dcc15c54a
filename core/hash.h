/* A keyed hash of words: whoever does not know the keys cannot choose what collides. */
#ifndef CN_CORE_HASH_H
#define CN_CORE_HASH_H

#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

struct cn_hash_keys {
    uint64_t words[2];
};

/* From the 16 random bytes that the kernel gives every process. */
static inline struct cn_hash_keys cn_hash_keys(void)
{
    struct cn_hash_keys keys = {{0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u}};
    const void *seed = (const void *)getauxval(AT_RANDOM);

    if (seed != NULL)
        memcpy(keys.words, seed, sizeof keys.words);
    return keys;
}

static inline uint64_t cn_hash_add(const struct cn_hash_keys *keys, uint64_t hash, uint64_t word)
{
    unsigned __int128 product =
        (unsigned __int128)((hash + keys->words[0]) ^ word) * (keys->words[1] | 1);

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#endif
