#include "kernel.h"

/* Words as strings in an open-addressed map, counted. */
#define ROOM 16384u

static struct {
    char word[16];
    uint32_t count;
} entries[ROOM];

static uint32_t hash_of(const char *word)
{
    uint32_t hash = 2166136261u;

    for (; *word != '\0'; word++)
        hash = (hash ^ (uint8_t)*word) * 16777619u;
    return hash;
}

static uint32_t *count_of(const char *word)
{
    uint32_t at = hash_of(word) % ROOM;

    while (entries[at].count != 0 && strcmp(entries[at].word, word) != 0)
        at = (at + 1) % ROOM;
    if (entries[at].count == 0)
        strcpy(entries[at].word, word);
    return &entries[at].count;
}

uint32_t run(uint32_t n)
{
    uint32_t seed = 9, sum = 0;
    char word[16];

    memset(entries, 0, sizeof entries);
    for (uint32_t i = 0; i < n * 1000; i++) {
        uint32_t value = next_random(&seed) % 9000;
        char *at = word;
        for (*at++ = 'w'; value > 0; value /= 10)
            *at++ = (char)('a' + value % 10);
        *at = '\0';
        sum += ++*count_of(word);
    }
    return sum;
}

KERNEL_MAIN
