/* Looks for secrets in the memory of a process or in a file: a core dump, the image of a disk.
 *
 *     hunt PID|FILE MASKED...
 *
 * Secrets are given as hexadecimal, every byte XORed with 0x5a, and are never put together here, so
 * that nobody who looks for them finds this program. It prints how often each was there, how many
 * AES-256 key schedules stand there, whatever their key, and how many bytes were looked at. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MASK 0x5a
#define SECRET_MAX 64
#define SECRETS_MAX 32
#define PIECE (1u << 20)
#define SCHEDULE 240u /* bytes: 15 round keys */
#define OVERLAP 256u  /* of pieces: more than anything that is looked for */
/* Mappings as large are the books of a sanitizer, a bit for a byte: nothing can be written out in
 * them, and they would take a week. */
#define BOOKS (1ull << 40)

struct secret {
    uint8_t masked[SECRET_MAX];
    size_t size;
    uint64_t hits;
};

static struct secret secrets[SECRETS_MAX];
static size_t secret_count;
static uint64_t schedules, bytes_seen;
static uint8_t sbox[256];

/* ------------------------------------------------------------------ key schedules */

static uint8_t times2(uint8_t value)
{
    return (uint8_t)(value << 1 ^ (value & 0x80 ? 0x1b : 0));
}

static uint8_t rotated(uint8_t value, int by)
{
    return (uint8_t)(value << by | value >> (8 - by));
}

/* FIPS 197: p runs through the field by 3, q by its inverse. */
static void make_sbox(void)
{
    uint8_t p = 1, q = 1;

    do {
        p = (uint8_t)(p ^ times2(p));
        q = (uint8_t)(q ^ q << 1);
        q = (uint8_t)(q ^ q << 2);
        q = (uint8_t)(q ^ q << 4);
        q = (uint8_t)(q ^ (q & 0x80 ? 0x09 : 0));
        sbox[p] = (uint8_t)(q ^ rotated(q, 1) ^ rotated(q, 2) ^ rotated(q, 3) ^ rotated(q, 4) ^
                            0x63);
    } while (p != 1);
    sbox[0] = 0x63;
}

/* What is XORed to the word eight before, for word number i of a schedule. */
static void step(const uint8_t *before, uint32_t i, uint8_t out[4])
{
    uint8_t rcon = 1;

    if (i % 8 != 0) {
        for (int k = 0; k < 4; k++)
            out[k] = i % 8 == 4 ? sbox[before[k]] : before[k];
        return;
    }
    for (uint32_t round = 1; round < i / 8; round++)
        rcon = times2(rcon);
    for (int k = 0; k < 4; k++)
        out[k] = sbox[before[(k + 1) % 4]];
    out[0] ^= rcon;
}

static bool is_schedule(const uint8_t *at)
{
    for (uint32_t i = 8; i < SCHEDULE / 4; i++) {
        uint8_t add[4];
        step(at + 4 * (i - 1), i, add);
        for (int k = 0; k < 4; k++)
            if (at[4 * i + (uint32_t)k] != (uint8_t)(at[4 * (i - 8) + (uint32_t)k] ^ add[k]))
                return false;
    }
    return true;
}

/* ------------------------------------------------------------------ looking */

static void look(uint8_t *piece, size_t size, bool is_last)
{
    size_t end = is_last ? size : size - OVERLAP;

    for (size_t at = 0; at < end && at + SCHEDULE <= size; at += 4)
        schedules += is_schedule(piece + at);
    for (size_t at = 0; at < size; at++)
        piece[at] ^= MASK;
    for (size_t s = 0; s < secret_count; s++) {
        struct secret *secret = &secrets[s];
        uint8_t *at = piece;
        while ((at = memmem(at, (size_t)(piece + size - at), secret->masked, secret->size))) {
            secret->hits += (size_t)(at - piece) < end;
            at++;
        }
    }
    memset(piece, 0, size);
}

static void look_through(int fd, uint64_t from, uint64_t to)
{
    static uint8_t piece[PIECE];

    while (from < to) {
        size_t wanted = to - from < PIECE ? (size_t)(to - from) : PIECE;
        ssize_t size = pread(fd, piece, wanted, (off_t)from);
        if (size <= 0) { /* a page that cannot be read */
            from += 4096;
            continue;
        }
        bool is_last = from + (uint64_t)size >= to || (size_t)size <= OVERLAP;
        look(piece, (size_t)size, is_last);
        from += is_last ? (uint64_t)size : (uint64_t)size - OVERLAP;
        bytes_seen += (uint64_t)size;
    }
}

static bool look_at_process(const char *pid)
{
    char path[64], line[512];

    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    FILE *maps = fopen(path, "re");
    if (memory < 0 || maps == NULL)
        return false;
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long from, to;
        char rights[5];
        if (sscanf(line, "%llx-%llx %4s", &from, &to, rights) == 3 && rights[0] == 'r' &&
            strstr(line, "[v") == NULL && to - from < BOOKS)
            look_through(memory, from, to);
    }
    fclose(maps);
    close(memory);
    return true;
}

static bool look_at_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;

    if (size < 0)
        return false;
    look_through(fd, 0, (uint64_t)size);
    close(fd);
    return true;
}

/* ------------------------------------------------------------------ */

static bool add_secret(const char *text)
{
    struct secret *secret = &secrets[secret_count];
    unsigned value;

    if (secret_count == SECRETS_MAX || strlen(text) > 2 * SECRET_MAX)
        return false;
    for (; sscanf(text, "%2x", &value) == 1; text += 2)
        secret->masked[secret->size++] = (uint8_t)value;
    secret_count++;
    return secret->size >= 8 && *text == '\0';
}

int main(int argc, char **argv)
{
    bool is_process = argc > 1 && strspn(argv[1], "0123456789") == strlen(argv[1]);

    make_sbox();
    for (int i = 2; i < argc; i++)
        if (!add_secret(argv[i])) {
            fprintf(stderr, "hunt: not a secret: %s\n", argv[i]);
            return 2;
        }
    if (argc < 2 || !(is_process ? look_at_process(argv[1]) : look_at_file(argv[1]))) {
        perror("hunt");
        return 2;
    }
    printf("{\"hits\": [");
    for (size_t s = 0; s < secret_count; s++)
        printf("%s%llu", s ? ", " : "", (unsigned long long)secrets[s].hits);
    printf("], \"schedules\": %llu, \"bytes\": %llu}\n", (unsigned long long)schedules,
           (unsigned long long)bytes_seen);
    return 0;
}
