/* The format of private volumes: files against a model, damage of every kind, and names. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/volume_file.h"

#define MODEL_MAX 40000u
#define RECORDS 8192
#define BLOCKS (RECORDS + 4096)
#define BLOCK CN_SEALED_BLOCK

static struct cn_volume_keys *keys;
static struct cn_sealed_file file;
static struct cn_sealed_desk desk __attribute__((aligned(4096)));
static int host;

static uint32_t seed;
static uint32_t next_random(uint32_t bound)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % bound;
}

static void setup(void)
{
    cr_assert_eq(cn_volume_keys_new(NULL, &keys), CN_E_SUCCESS);
    host = memfd_create("volume", 0);
    cr_assert_geq(host, 0);
    file = (struct cn_sealed_file){.keys = keys, .desk = &desk, .host = host};
    cr_assert_eq(cn_sealed_create(&file), CN_E_SUCCESS);
}

static void teardown(void)
{
    cn_sealed_close(&file);
    cn_volume_keys_free(keys);
    close(host);
}

TestSuite(volume, .init = setup, .fini = teardown);

static enum cn_errno try_write(const void *from, size_t size, uint64_t at, size_t *done)
{
    enum cn_errno error;
    do
        error = cn_sealed_write(&file, from, size, at, done);
    while (error == CN_E_YIELD);
    return error == CN_E_SUCCESS ? cn_sealed_settle(&file) : error;
}

static void write_all(const void *from, size_t size, uint64_t at)
{
    size_t done;
    cr_assert_eq(try_write(from, size, at, &done), CN_E_SUCCESS);
    cr_assert_eq(done, size);
}

static void reopen(void)
{
    cn_sealed_close(&file);
    cr_assert_eq(cn_sealed_open(&file), CN_E_SUCCESS);
}

static uint64_t damaged(void)
{
    uint64_t count;
    cn_sealed_check(&file, &count);
    return count;
}

static void expect(const uint8_t *model, size_t size)
{
    static uint8_t found[MODEL_MAX + 1];
    size_t done;
    cr_assert_eq(file.size, size);
    cr_assert_eq(cn_sealed_read(&file, found, sizeof(found), 0, &done), CN_E_SUCCESS);
    cr_assert_eq(done, size);
    cr_assert(memcmp(found, model, size) == 0);
}

static uint8_t model[MODEL_MAX];
static size_t model_size;

static void step(void)
{
    uint8_t bytes[9000];
    size_t at = next_random(MODEL_MAX);
    size_t size = 1 + next_random(sizeof(bytes));
    switch (next_random(3)) {
    case 0:
        cr_assert_eq(cn_sealed_resize(&file, at), CN_E_SUCCESS);
        if (at < model_size)
            memset(model + at, 0, model_size - at);
        model_size = at;
        break;
    case 1:
        reopen();
        break;
    default:
        if (size > MODEL_MAX - at)
            size = MODEL_MAX - at;
        memset(bytes, (int)(1 + next_random(255)), sizeof(bytes));
        write_all(bytes, size, at);
        memcpy(model + at, bytes, size);
        if (at + size > model_size)
            model_size = at + size;
    }
}

Test(volume, holds_what_a_model_holds)
{
    seed = 7;
    for (int i = 0; i < 400; i++) {
        step();
        expect(model, model_size);
    }
    cr_assert_eq(damaged(), 0);
}

/* True when the host's file holds those bytes. */
static bool is_in_host(const void *bytes, size_t size)
{
    static uint8_t raw[1 << 16];
    ssize_t length = pread(host, raw, sizeof(raw), 0);
    return length > 0 && memmem(raw, (size_t)length, bytes, size) != NULL;
}

Test(volume, shows_nothing_of_its_contents)
{
    static const char canary[] = "a canary that stands in the file";
    write_all(canary, sizeof(canary), 5000);
    cr_assert(!is_in_host(canary, sizeof(canary)));
    cr_assert(!is_in_host(file.key, CN_KEY_SIZE));
    /* The same search finds it in clear. */
    cr_assert_eq(pwrite(host, canary, sizeof(canary), 30000), (ssize_t)sizeof(canary));
    cr_assert(is_in_host(canary, sizeof(canary)));
}

Test(volume, seals_equal_blocks_differently)
{
    uint8_t equal[2 * BLOCK] = {0};
    uint8_t both[2][64];
    write_all(equal, sizeof(equal), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pread(host, both[i], 64, BLOCKS + i * (off_t)BLOCK), 64);
    cr_assert(memcmp(both[0], both[1], 64) != 0);
}

static void flip(off_t at)
{
    uint8_t byte;
    cr_assert_eq(pread(host, &byte, 1, at), 1);
    byte ^= 1;
    cr_assert_eq(pwrite(host, &byte, 1, at), 1);
}

Test(volume, notices_every_changed_byte_of_a_block)
{
    uint8_t bytes[BLOCK];
    size_t done;
    memset(bytes, 7, sizeof(bytes));
    write_all(bytes, sizeof(bytes), 0);
    for (off_t at = 0; at < (off_t)BLOCK + 28; at++) {
        off_t place = at < (off_t)BLOCK ? BLOCKS + at : RECORDS + at - (off_t)BLOCK;
        flip(place);
        cr_assert_eq(cn_sealed_read(&file, bytes, 10, 0, &done), CN_E_IO);
        cr_assert_eq(done, 0);
        flip(place);
    }
    cr_assert_eq(damaged(), 0);
}

Test(volume, replaces_a_damaged_block_as_a_whole_only)
{
    uint8_t bytes[BLOCK];
    size_t done;
    memset(bytes, 7, sizeof(bytes));
    write_all(bytes, sizeof(bytes), 0);
    flip(BLOCKS);
    cr_assert_eq(try_write("x", 1, 5, &done), CN_E_IO);
    write_all(bytes, sizeof(bytes), 0);
    expect(bytes, sizeof(bytes));
}

Test(volume, notices_blocks_that_changed_places_or_are_gone)
{
    static uint8_t bytes[4 * BLOCK];
    size_t done;
    memset(bytes, 7, sizeof(bytes));
    write_all(bytes, sizeof(bytes), 0);
    cr_assert_eq(pread(host, bytes, BLOCK, BLOCKS), (ssize_t)BLOCK);
    cr_assert_eq(pwrite(host, bytes, BLOCK, BLOCKS + (off_t)BLOCK), (ssize_t)BLOCK);
    cr_assert_eq(pread(host, bytes, 64, RECORDS), 64);
    cr_assert_eq(pwrite(host, bytes, 64, RECORDS + 64), 64);
    cr_assert_eq(cn_sealed_read(&file, bytes, sizeof(bytes), 0, &done), CN_E_SUCCESS);
    cr_assert_eq(done, BLOCK);
    cr_assert_eq(cn_sealed_read(&file, bytes, 1, BLOCK, &done), CN_E_IO);
    cr_assert_eq(ftruncate(host, BLOCKS + 3 * (off_t)BLOCK), 0);
    cr_assert_eq(cn_sealed_read(&file, bytes, BLOCK, 2 * BLOCK, &done), CN_E_SUCCESS);
    cr_assert_eq(damaged(), 2);
    cr_assert_eq(ftruncate(host, RECORDS), 0);
    cr_assert_eq(damaged(), 4);
}

Test(volume, falls_back_to_the_header_that_is_whole)
{
    write_all("old", 3, 0);
    off_t newest = (off_t)(file.generation % 2 * 4096);
    for (off_t at = 0; at < 84; at++) {
        flip(newest + at);
        cn_sealed_close(&file);
        cr_assert_eq(cn_sealed_open(&file), CN_E_SUCCESS);
        cr_assert_eq(file.size, 0);
        flip(newest + at);
    }
    flip(30);
    flip(4096 + 30);
    cn_sealed_close(&file);
    cr_assert_eq(cn_sealed_open(&file), CN_E_IO);
}

/* Every part of the file's beginning as it was, one after the other. */
static uint8_t before[BLOCKS + 3 * BLOCK];

static void put_back(off_t from, size_t size)
{
    cr_assert_eq(pwrite(host, before + from, size, from), (ssize_t)size);
}

Test(volume, drops_what_a_kill_left_without_a_header)
{
    static uint8_t bytes[10000];
    memset(bytes, 7, sizeof(bytes));
    write_all(bytes, 100, 0);
    cr_assert_gt(pread(host, before, sizeof(before), 0), 0);
    memset(bytes, 9, sizeof(bytes));
    write_all(bytes, sizeof(bytes), 100);
    put_back(0, RECORDS);
    reopen();
    memset(bytes, 7, 100);
    expect(bytes, 100);
    /* What comes behind is zeros, not what the kill left there. */
    cr_assert_eq(cn_sealed_resize(&file, 9000), CN_E_SUCCESS);
    memset(bytes + 100, 0, 8900);
    expect(bytes, 9000);
    write_all("", 1, 9999);
    memset(bytes + 9000, 0, 1000);
    expect(bytes, 10000);
    cr_assert_eq(damaged(), 0);
}

Test(volume, leaves_every_block_old_or_new_after_a_kill)
{
    static uint8_t bytes[3 * BLOCK], found[3 * BLOCK];
    size_t done;
    memset(bytes, 'o', sizeof(bytes));
    write_all(bytes, sizeof(bytes), 0);
    cr_assert_eq(pread(host, before, sizeof(before), 0), (ssize_t)sizeof(before));
    memset(bytes, 'n', sizeof(bytes));
    write_all(bytes, sizeof(bytes), 0);
    /* The kill comes after the records and `whole` blocks. */
    for (int whole = 2; whole >= 0; whole--) {
        put_back(BLOCKS + whole * (off_t)BLOCK, BLOCK);
        reopen();
        cr_assert_eq(cn_sealed_read(&file, found, sizeof(found), 0, &done), CN_E_SUCCESS);
        cr_assert_eq(done, sizeof(found));
        for (int i = 0; i < 3; i++)
            cr_assert_eq(found[i * (int)BLOCK], i < whole ? 'n' : 'o');
    }
    /* And then whoever goes on writes once more, and is killed once more. */
    cr_assert_eq(pread(host, before, sizeof(before), 0), (ssize_t)sizeof(before));
    write_all(bytes, sizeof(bytes), 0);
    put_back(BLOCKS, 3 * (size_t)BLOCK);
    reopen();
    memset(bytes, 'o', sizeof(bytes));
    expect(bytes, sizeof(bytes));
}

Test(volume, is_lost_without_its_key)
{
    struct cn_volume_keys *others;
    write_all("secret", 6, 0);
    cr_assert_eq(cn_volume_keys_new(NULL, &others), CN_E_SUCCESS);
    struct cn_sealed_file other = {.keys = others, .desk = &desk, .host = host};
    cr_assert_eq(cn_sealed_open(&other), CN_E_IO);
    cn_volume_keys_free(others);
    cr_assert_eq(cn_volume_keys_new(keys->master, &others), CN_E_SUCCESS);
    other = (struct cn_sealed_file){.keys = others, .desk = &desk, .host = host};
    cr_assert_eq(cn_sealed_open(&other), CN_E_SUCCESS);
    cn_sealed_close(&other);
    cn_volume_keys_free(others);
}

Test(volume, writes_no_more_blocks_than_a_key_is_safe_for)
{
    size_t done;
    write_all("x", 1, 0);
    file.seals = file.promised = CN_SEALS_MAX - 2;
    cr_assert_eq(try_write("y", 1, 0, &done), CN_E_FBIG);
    cr_assert_eq(try_write("y", 1, CN_SEALED_SIZE_MAX, &done), CN_E_FBIG);
    cr_assert_eq(cn_sealed_settle(&file), CN_E_SUCCESS);
}

Test(volume, promises_seals_before_it_makes_them)
{
    uint8_t bytes[BLOCK] = {0};
    uint64_t made = 0;
    for (int i = 0; i < 100; i++) {
        write_all(bytes, sizeof(bytes), 0);
        made = file.seals;
        cr_assert_leq(made, file.promised);
    }
    reopen();
    cr_assert_geq(file.seals, made);
}

Test(volume, writes_far_behind_the_end_in_steps)
{
    size_t done;
    uint64_t at = 3 * (uint64_t)CN_SEALED_FILL * BLOCK;
    uint8_t byte = 1;
    int steps = 0;
    while (cn_sealed_write(&file, "x", 1, at, &done) == CN_E_YIELD)
        steps++;
    cr_assert_geq(steps, 2);
    cr_assert_eq(done, 1);
    cr_assert_eq(cn_sealed_read(&file, &byte, 1, at - 1, &done), CN_E_SUCCESS);
    cr_assert_eq(byte, 0);
    cr_assert_eq(damaged(), 0);
}

Test(volume, hides_names_and_finds_them_again)
{
    char name[CN_SEALED_NAME_MAX + 2];
    char hidden[CN_HIDDEN_MAX + 1];
    char again[CN_HIDDEN_MAX + 1];
    char shown[CN_SEALED_NAME_MAX + 1];
    for (size_t size = 1; size <= CN_SEALED_NAME_MAX; size++) {
        memset(name, 'n', size);
        name[size] = 0;
        cr_assert_eq(cn_name_hide(keys, name, hidden), CN_E_SUCCESS);
        cr_assert_eq(cn_name_hide(keys, name, again), CN_E_SUCCESS);
        cr_assert_str_eq(hidden, again);
        cr_assert_null(size > 8 ? strstr(hidden, name) : NULL);
        cr_assert_eq(cn_name_show(keys, hidden, shown), CN_E_SUCCESS);
        cr_assert_str_eq(shown, name);
        hidden[size % strlen(hidden)] ^= 4;
        cr_assert_eq(cn_name_show(keys, hidden, shown), CN_E_ILSEQ);
    }
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    cr_assert_eq(cn_name_hide(keys, name, hidden), CN_E_NAMETOOLONG);
    cr_assert_eq(cn_name_show(keys, "notes.txt", shown), CN_E_ILSEQ);
    cr_assert_eq(cn_name_show(keys, "", shown), CN_E_ILSEQ);
}

Test(volume, keeps_keys_apart_and_wipes_them)
{
    uint8_t *made[300];
    for (uint32_t i = 0; i < 300; i++) {
        made[i] = cn_volume_key_make(keys, "file", (struct cn_bytes){(uint8_t *)&i, sizeof(i)});
        cr_assert_not_null(made[i]);
        for (uint32_t j = 0; j < i; j++)
            cr_assert(memcmp(made[i], made[j], CN_KEY_SIZE) != 0);
    }
    static const uint8_t zeros[CN_KEY_SIZE];
    for (uint32_t i = 0; i < 300; i++) {
        cn_volume_key_drop(keys, made[i]);
        cr_assert(memcmp(made[i], zeros, CN_KEY_SIZE) == 0);
    }
}
