/* A guest whose files can be checked: everything it writes follows from a number, and it says what
 * it has synced.
 *
 *     ledger write FOLDER        entries, blocks that are overwritten, a file that is replaced;
 *                                until it is killed
 *     ledger verify FOLDER SYNCED PASSED [lossy]
 *                                so many entries and passes at least, and all that can be read is
 *                                right; lossy: what was not synced may be an error, or missing
 *     ledger fill FOLDER         files until the disk is full
 *     ledger filled FOLDER COUNT all of them are right; then the last one is removed
 *     ledger many FOLDER COUNT   small files; stops at the first that cannot be made
 *     ledger count FOLDER        how many there are, with all their contents
 *     ledger clear FOLDER        removes what `many` or `fill` made
 *     ledger add FOLDER          one more to a number that is kept there
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096
#define ODD 1000   /* entries that cross blocks */
#define BLOCKS 20  /* of the table that is overwritten */

static const char *folder;
static bool is_lossy;

static void end(const char *why, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void end(const char *why, ...)
{
    va_list rest;

    va_start(rest, why);
    vprintf(why, rest);
    va_end(rest);
    printf(" (errno %d)\n", errno);
    fflush(stdout);
    exit(1);
}

static const char *in_folder(const char *name)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *numbered(const char *kind, unsigned number)
{
    static char name[40];

    snprintf(name, sizeof name, "%s%u", kind, number);
    return in_folder(name);
}

static int open_in(const char *name, int flags)
{
    int fd = open(in_folder(name), flags, 0600);

    if (fd < 0)
        end("%s cannot be opened", name);
    return fd;
}

/* Bytes that follow from a number, which they begin with. */
static void draw(uint32_t number, unsigned char *bytes, size_t size)
{
    uint32_t state = number * 2654435761u + 12345;

    memcpy(bytes, &number, sizeof number);
    for (size_t i = sizeof number; i < size; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (unsigned char)(state >> 24);
    }
}

static bool is_drawn(const unsigned char *bytes, size_t size, uint32_t *number)
{
    static unsigned char right[BLOCK];

    memcpy(number, bytes, sizeof *number);
    draw(*number, right, size);
    return memcmp(bytes, right, size) == 0;
}

static bool write_at(int fd, uint32_t number, size_t size, off_t at)
{
    static unsigned char bytes[BLOCK];

    draw(number, bytes, size);
    return pwrite(fd, bytes, size, at) == (ssize_t)size;
}

/* ------------------------------------------------------------------ what may be lost */

static void replace(uint32_t number)
{
    int fd = open_in("state.new", O_WRONLY | O_CREAT | O_TRUNC);

    for (int i = 0; i < 5; i++)
        if (!write_at(fd, number, ODD, i * ODD))
            end("state");
    if (fsync(fd) != 0 || close(fd) != 0)
        end("state");
    char old[300];
    strcpy(old, in_folder("state.new"));
    if (rename(old, in_folder("state")) != 0)
        end("state cannot be replaced");
}

/* Entries are blocks that are written once; of `odd` those that cross blocks; the table is written
 * over and over. */
static void write_for_ever(void)
{
    int entries = open_in("entries", O_RDWR | O_CREAT), odd = open_in("odd", O_RDWR | O_CREAT);
    int table = open_in("table", O_RDWR | O_CREAT);
    off_t whole = lseek(entries, 0, SEEK_END) / BLOCK, odds = lseek(odd, 0, SEEK_END) / ODD;
    uint32_t number = (uint32_t)(whole < odds ? whole : odds);
    uint32_t pass = 0;

    if (pread(table, &pass, sizeof pass, 0) < 0)
        end("table");
    for (;; number++) {
        if (number == 500) { /* from the beginning, so that it does not grow for ever */
            printf("synced 0\n");
            fflush(stdout);
            if (ftruncate(entries, 0) != 0 || ftruncate(odd, 0) != 0)
                end("truncating");
            number = 0;
        }
        if (!write_at(entries, number, BLOCK, (off_t)number * BLOCK) ||
            !write_at(odd, number, ODD, (off_t)number * ODD))
            end("entry %u", (unsigned)number);
        if (fsync(entries) != 0 || fsync(odd) != 0)
            end("fsync");
        printf("synced %u\n", (unsigned)number + 1);
        fflush(stdout);
        if (number % 4 == 0)
            replace(number);
        if (number % 4 == 2) {
            pass++;
            for (int i = 0; i < BLOCKS; i++)
                if (!write_at(table, pass, BLOCK, (off_t)i * BLOCK))
                    end("table");
            if (fsync(table) != 0)
                end("fsync");
            printf("passed %u\n", (unsigned)pass);
            fflush(stdout);
        }
    }
}

/* What was made and never synced may be gone, or have no header yet. */
static int open_lossy(const char *name, bool was_synced)
{
    int fd = open(in_folder(name), O_RDONLY);

    if (fd < 0 && !was_synced && (errno == ENOENT || (is_lossy && errno == EIO)))
        return -1;
    return fd >= 0 ? fd : open_in(name, O_RDONLY);
}

/* How many entries are right from the beginning on; behind `synced` they may be unreadable. */
static unsigned verify_entries(const char *name, size_t size, unsigned synced)
{
    static unsigned char bytes[BLOCK];
    int fd = open_lossy(name, synced > 0);
    unsigned count = 0, failed = 0;

    for (unsigned i = 0; fd >= 0; i++) {
        uint32_t number;
        ssize_t got = pread(fd, bytes, size, (off_t)i * (off_t)size);
        if (got < 0 && errno == EIO && is_lossy && i >= synced && failed < 1000) {
            failed++;
            continue;
        }
        if (got < 0)
            end("%s: entry %u of %u cannot be read", name, i, synced);
        if ((size_t)got < size) {
            if (i < synced)
                end("%s: only %u of %u entries", name, i, synced);
            break;
        }
        static const unsigned char zeros[BLOCK];
        bool is_empty = is_lossy && i >= synced && memcmp(bytes, zeros, size) == 0;
        if (!is_empty && (!is_drawn(bytes, size, &number) || number != i))
            end("%s: entry %u is wrong", name, i);
        count += !is_empty;
    }
    close(fd);
    return count;
}

static unsigned verify_table(unsigned passed)
{
    static unsigned char bytes[BLOCK];
    int fd = open_lossy("table", passed > 0);
    uint32_t low = UINT32_MAX, last = UINT32_MAX;
    unsigned unread = 0;

    if (fd < 0)
        return 0;
    for (int i = 0; i < BLOCKS; i++) {
        uint32_t pass;
        ssize_t got = pread(fd, bytes, BLOCK, (off_t)i * BLOCK);
        if (got == 0 && passed == 0)
            break;
        if (got < 0 && errno == EIO && is_lossy) {
            unread++;
            continue;
        }
        if (got != BLOCK)
            end("table: block %d cannot be read", i);
        static const unsigned char zeros[BLOCK];
        if (is_lossy && passed == 0 && memcmp(bytes, zeros, BLOCK) == 0)
            continue;
        if (!is_drawn(bytes, BLOCK, &pass))
            end("table: block %d is wrong", i);
        if (!is_lossy && pass > last)
            end("table: block %d is of pass %u behind %u", i, (unsigned)pass, (unsigned)last);
        last = pass;
        low = pass < low ? pass : low;
    }
    if (low < passed)
        end("table: pass %u, of %u", (unsigned)low, passed);
    close(fd);
    return unread;
}

static void verify_state(void)
{
    static unsigned char bytes[5 * ODD + 1];
    int fd = open(in_folder("state"), O_RDONLY);
    uint32_t number, first = 0;

    if (fd < 0 && errno == ENOENT)
        return;
    ssize_t got = read(fd, bytes, sizeof bytes);
    if (got != 5 * ODD)
        end("state: %d bytes", (int)got);
    for (int i = 0; i < 5; i++, first = number)
        if (!is_drawn(bytes + i * ODD, ODD, &number) || (i > 0 && number != first))
            end("state: part %d is wrong", i);
    close(fd);
}

static void verify(unsigned synced, unsigned passed)
{
    unsigned entries = verify_entries("entries", BLOCK, synced);
    /* The block at its end is written again with each of its entries. */
    unsigned odd = verify_entries("odd", ODD, is_lossy && synced > 5 ? synced - 5 : synced);
    unsigned unread = verify_table(passed);

    verify_state();
    printf("entries %u odd %u unread %u\n", entries, odd, unread);
}

/* ------------------------------------------------------------------ a full disk */

/* Of 13 and a half blocks. False, and the error, when that cannot be made whole. */
static bool fill_one(unsigned number)
{
    int fd = open(numbered("full", number), O_RDWR | O_CREAT | O_EXCL, 0600);
    bool good = fd >= 0;

    for (int i = 0; good && i < 54; i++)
        good = write_at(fd, number, ODD, (off_t)i * ODD);
    good = good && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return good;
}

static void fill(void)
{
    unsigned count = 0;

    while (fill_one(count))
        count++;
    printf("filled %u %s\n", count, strerror(errno));
    /* It can be removed, and read, when nothing can be written. */
    if (unlink(numbered("full", count)) != 0 && errno != ENOENT)
        end("what is half there cannot be removed");
}

static void verify_filled(unsigned count)
{
    static unsigned char bytes[ODD];

    for (unsigned n = 0; n < count; n++) {
        int fd = open(numbered("full", n), O_RDONLY);
        for (int i = 0; i < 54; i++) {
            uint32_t number;
            if (pread(fd, bytes, ODD, (off_t)i * ODD) != ODD || !is_drawn(bytes, ODD, &number) ||
                number != n)
                end("file %u is wrong at %d", n, i * ODD);
        }
        close(fd);
    }
    if (count > 0 && unlink(numbered("full", count - 1)) != 0)
        end("the last one cannot be removed");
}

/* ------------------------------------------------------------------ many files */

static void make_many(unsigned count)
{
    unsigned made = 0;

    for (; made < count; made++) {
        int fd = open(numbered("many", made), O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || !write_at(fd, made, 100, 0) || close(fd) != 0)
            break;
    }
    printf("made %u %s\n", made, made < count ? strerror(errno) : "all");
}

static unsigned number_of(const char *name)
{
    return (unsigned)strtoul(name + strcspn(name, "0123456789"), NULL, 10);
}

/* Every name once, with what its number says in it. */
static void count_many(void)
{
    static unsigned char seen[1 << 16], bytes[101];
    DIR *dir = opendir(folder);
    unsigned count = 0;

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, "many", 4) != 0)
            continue;
        uint32_t number, wanted = number_of(entry->d_name);
        int fd = open(in_folder(entry->d_name), O_RDONLY);
        if (wanted >= sizeof seen || seen[wanted]++ || read(fd, bytes, sizeof bytes) != 100 ||
            !is_drawn(bytes, 100, &number) || number != wanted)
            end("%s is wrong", entry->d_name);
        close(fd);
        count++;
    }
    printf("counted %u\n", count);
}

static void clear(void)
{
    /* Names are collected first: a directory that is changed may be listed in any way. */
    static char names[1 << 14][20];
    DIR *dir = opendir(folder);
    unsigned count = 0;

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.' && count < sizeof names / sizeof names[0])
            snprintf(names[count++], sizeof names[0], "%s", entry->d_name);
    while (count > 0)
        if (unlink(in_folder(names[--count])) != 0)
            end("%s cannot be removed", names[count]);
}

/* ------------------------------------------------------------------ one after the other */

static void add(void)
{
    unsigned number = 0;
    FILE *file = fopen(in_folder("sum"), "r");

    if (file != NULL && (fscanf(file, "%u", &number) != 1 || fclose(file) != 0))
        end("sum cannot be read");
    usleep(30000);
    file = fopen(in_folder("sum"), "w");
    if (file == NULL || fprintf(file, "%u\n", number + 1) < 0 || fclose(file) != 0)
        end("sum cannot be written");
    printf("added %u\n", number + 1);
}

int main(int count, char **words)
{
    const char *what = count > 2 ? words[1] : "";
    unsigned number = count > 3 ? (unsigned)strtoul(words[3], NULL, 10) : 0;

    folder = count > 2 ? words[2] : ".";
    is_lossy = count > 5 && strcmp(words[5], "lossy") == 0;
    if (strcmp(what, "write") == 0)
        write_for_ever();
    else if (strcmp(what, "verify") == 0 && count > 4)
        verify(number, (unsigned)strtoul(words[4], NULL, 10));
    else if (strcmp(what, "fill") == 0)
        fill();
    else if (strcmp(what, "filled") == 0)
        verify_filled(number);
    else if (strcmp(what, "many") == 0)
        make_many(number);
    else if (strcmp(what, "count") == 0)
        count_many();
    else if (strcmp(what, "clear") == 0)
        clear();
    else if (strcmp(what, "add") == 0)
        add();
    else
        return 2;
    return 0;
}
