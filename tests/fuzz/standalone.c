/* Runs a fuzz target without libFuzzer: on the files that are named, or on random inputs.
 *
 *   target -runs=N [-seed=N] [-len=N]     N inputs of up to `len` bytes
 *   target FILE...                        each file once, and each file of a folder
 *
 * Says how many inputs passed: one that does not ends the process. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t input[INPUT_MAX];

static uint64_t next_random(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u;
    uint64_t z = (*seed ^ *seed >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void run_random(uint64_t seed, uint64_t runs, uint64_t length)
{
    for (uint64_t i = 0; i < runs; i++) {
        uint64_t state = seed + i;
        size_t size = next_random(&state) % (length + 1);
        for (size_t j = 0; j < size; j++)
            input[j] = (uint8_t)next_random(&state);
        LLVMFuzzerTestOneInput(input, size);
    }
}

static bool run_file(const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    size_t size = fread(input, 1, sizeof input, file);
    fclose(file);
    LLVMFuzzerTestOneInput(input, size);
    return true;
}

/* How many inputs; those that cannot be read are added to *failed. */
static uint64_t run_named(const char *path, uint64_t *failed)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    uint64_t passed = 0;
    char name[4096];

    if (folder == NULL) {
        passed = run_file(path);
        *failed += passed == 0;
        return passed;
    }
    while ((entry = readdir(folder)) != NULL) {
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            passed += run_named(name, failed);
    }
    closedir(folder);
    return passed;
}

int main(int count, char **words)
{
    uint64_t seed = 1, runs = 0, length = 2048, passed = 0, failed = 0;

    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], "-runs=", 6) == 0)
            runs = strtoull(words[i] + 6, NULL, 10);
        else if (strncmp(words[i], "-seed=", 6) == 0)
            seed = strtoull(words[i] + 6, NULL, 10);
        else if (strncmp(words[i], "-len=", 5) == 0)
            length = strtoull(words[i] + 5, NULL, 10);
        else
            passed += run_named(words[i], &failed);
    }
    run_random(seed, runs, length < INPUT_MAX ? length : INPUT_MAX);
    printf("%llu passed, %llu failed\n", (unsigned long long)(passed + runs),
           (unsigned long long)failed);
    return failed > 0;
}
