/* The keyed hash of names and types: what collides depends on keys that no module knows. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/hash.h"

#define BUCKETS 1024u
#define WORDS 4096u

static uint32_t bucket(const struct cn_hash_keys *keys, uint64_t word)
{
    return (uint32_t)cn_hash_add(keys, cn_hash_add(keys, 0, word), word >> 7) & (BUCKETS - 1);
}

/* Words that all fall into one bucket under these keys: what somebody would do who knew them. */
static void choose_words(const struct cn_hash_keys *keys, uint64_t words[WORDS])
{
    uint64_t word = 1;

    for (uint32_t i = 0; i < WORDS; i++) {
        while (bucket(keys, word) != 5)
            word++;
        words[i] = word++;
    }
}

static uint32_t fullest(const struct cn_hash_keys *keys, const uint64_t words[WORDS])
{
    static uint32_t counts[BUCKETS];
    uint32_t most = 0;

    memset(counts, 0, sizeof counts);
    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t count = ++counts[bucket(keys, words[i])];
        most = count > most ? count : most;
    }
    return most;
}

Test(hash, floods_nobody_who_has_other_keys)
{
    static uint64_t words[WORDS];
    struct cn_hash_keys known = cn_hash_keys(), other = known;

    choose_words(&known, words);
    cr_assert_eq(fullest(&known, words), WORDS, "who knows the keys can do it");
    for (int i = 0; i < 128; i++) {
        other = known;
        other.words[i / 64] ^= (uint64_t)1 << i % 64;
        if (i == 64)
            continue; /* the lowest bit of a factor is always set */
        cr_expect_lt(fullest(&other, words), WORDS / 4, "bit %d of the keys", i);
    }
    other = (struct cn_hash_keys){{known.words[1], known.words[0]}};
    cr_expect_lt(fullest(&other, words), 32, "4 in each is the mean");
}

Test(hash, keys_are_the_kernels_random_ones)
{
    struct cn_hash_keys keys = cn_hash_keys();

    cr_assert_neq(getauxval(AT_RANDOM), 0);
    cr_expect_eq(memcmp(&keys, (const void *)getauxval(AT_RANDOM), sizeof keys), 0);
}

/* Whatever bytes are usual in names and types, one way or the other. */
Test(hash, spreads_what_is_regular)
{
    static uint64_t words[WORDS];
    struct cn_hash_keys keys = cn_hash_keys();

    for (int kind = 0; kind < 5; kind++) {
        for (uint64_t i = 0; i < WORDS; i++)
            words[i] = kind == 0   ? i
                       : kind == 1 ? i << 52
                       : kind == 2 ? i * 0x0101010101010101u
                       : kind == 3 ? i << 20
                                   : ~(i << 32);
        cr_expect_lt(fullest(&keys, words), 64, "kind %d", kind);
    }
}
