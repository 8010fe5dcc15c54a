/* The format of private volumes, damaged: whatever the disk holds, what is read was written at that
 * place, or there is an error. The first byte picks what is damaged: a file, a store's ring and key
 * file, a record, names and links, or a whole tree. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/volume.h"
#include "shim/volume_record.h"
#include "shim/volume_ring.h"
#include "tests/fuzz/cursor.h"

#define BLOCK CN_SEALED_BLOCK
#define BLOCKS_MAX 80u
#define SIZE_MAX_HERE (BLOCKS_MAX * BLOCK)
#define VERSIONS_MAX 400
#define WRITES_MAX 10
#define VOLUMES 3
#define RING_SIZE (sizeof(struct cn_ring_head) + (VOLUMES + 1) * sizeof(struct cn_ring_entry))
#define KEY_FILE_SIZE (4096 + 96) /* two places, on pages of their own */
#define LINE_MAX_HERE 300
#define FILES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_volume: %s\n", what);
    abort();
}

/* ------------------------------------------------------------------ what is the same every time */

/* Made once: a store with volumes, the bytes that it has on the disk, and a signed line. */
static struct {
    int dir, tree;
    char key_path[80];
    struct cn_volume_keys *keys;
    const void *ciphers[2]; /* of the keys, whose pages no search for leaks looks through */
    uint8_t ring[RING_SIZE], key_file[KEY_FILE_SIZE];
    uint8_t masters[VOLUMES + 1][CN_KEY_SIZE];
    uint8_t seed[32], public_key[32];
    char line[LINE_MAX_HERE];
} kept;

static int make_dir(char *path)
{
    snprintf(path, 64, "/dev/shm/cn-volume-XXXXXX");
    if (mkdtemp(path) == NULL) {
        snprintf(path, 64, "/tmp/cn-volume-XXXXXX");
        require(mkdtemp(path) != NULL, "no place for files");
    }
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void get_file(int dir, const char *name, void *to, size_t size)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

    require(fd >= 0 && pread(fd, to, size, 0) == (ssize_t)size, name);
    close(fd);
}

static void put_file(int dir, const char *name, const void *from, size_t size)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    require(fd >= 0 && pwrite(fd, from, size, 0) == (ssize_t)size, name);
    close(fd);
}

static void make_store(void)
{
    const struct cn_host_key key = {kept.key_path, true, true};
    struct cn_ring_entry entry = {.size = 1 << 20, .inodes = 10};
    struct cn_ring ring;
    struct cn_error error;

    require(cn_ring_open(&ring, kept.dir, &key, &error) == CN_OK, "a new ring");
    for (int i = 0; i < VOLUMES; i++) {
        snprintf(entry.name, sizeof entry.name, "volume-%d", i);
        require(cn_ring_add(&ring, &entry, &error) == CN_OK, "an entry");
    }
    require(cn_ring_write(&ring, &error) == CN_OK, "the ring");
    for (int i = 0; i <= VOLUMES; i++)
        require(cn_ring_unwrap(&ring, &ring.entries[i], kept.masters[i], &error) == CN_OK,
                "a key");
    cn_ring_close(&ring);
    get_file(kept.dir, "keyring", kept.ring, RING_SIZE);
    get_file(kept.dir, "key", kept.key_file, KEY_FILE_SIZE);
}

static void clean_up(void)
{
    char path[80];

    snprintf(path, sizeof path, "%.64s", kept.key_path);
    unlink(path);
    *strrchr(path, '/') = '\0';
    unlinkat(kept.dir, "keyring", 0);
    unlinkat(kept.dir, "tree", AT_REMOVEDIR);
    rmdir(path);
}

static void make_all(void)
{
    char path[64];

    if (kept.keys != NULL)
        return;
    kept.dir = make_dir(path);
    snprintf(kept.key_path, sizeof kept.key_path, "%s/key", path);
    require(cn_volume_keys_new(NULL, &kept.keys) == CN_E_SUCCESS, "keys");
    kept.ciphers[0] = kept.keys->gcm;
    kept.ciphers[1] = kept.keys->siv;
    make_store();
    require(mkdirat(kept.dir, "tree", 0700) == 0, "a directory");
    kept.tree = openat(kept.dir, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(kept.seed, 7, sizeof kept.seed);
    strcpy(kept.line, "{\"volume\": \"web\", \"erased\": \"key\", \"time\": 1234567}");
    require(cn_record_public_key(kept.seed, kept.public_key) &&
                cn_record_sign(kept.seed, kept.line, sizeof kept.line), "a record");
    atexit(clean_up);
}

/* Changes some bytes; how many are left. */
static size_t damage(struct cursor *cursor, uint8_t *bytes, size_t size)
{
    uint32_t count = cursor_pick(cursor, 6);

    for (uint32_t i = 0; i < count && size > 0; i++) {
        size_t at = cursor_u32(cursor) % size, other = cursor_u32(cursor) % size;
        size_t room = size - (at > other ? at : other);
        switch (cursor_pick(cursor, 4)) {
        case 0:
            bytes[at] ^= cursor_byte(cursor);
            break;
        case 1: /* the same bytes in another place */
            memmove(bytes + at, bytes + other, room < 4096 ? room : 4096);
            break;
        case 2:
            memset(bytes + at, cursor_byte(cursor), cursor_byte(cursor) < room ? 1 : room);
            break;
        default:
            size = at;
            break;
        }
    }
    return size;
}

/* ------------------------------------------------------------------ a file */

/* Each contents that a block ever had, and the present bytes. */
static struct {
    uint8_t bytes[SIZE_MAX_HERE];
    size_t size;
    uint8_t versions[VERSIONS_MAX][BLOCK];
    uint32_t of_block[VERSIONS_MAX], count;
} model;

static void note_versions(size_t from, size_t to)
{
    for (uint32_t block = (uint32_t)(from / BLOCK); block * BLOCK < to; block++) {
        if (model.count == VERSIONS_MAX)
            return;
        memcpy(model.versions[model.count], model.bytes + block * BLOCK, BLOCK);
        model.of_block[model.count++] = block;
    }
}

static void write_some(struct cn_sealed_file *file, struct cursor *cursor)
{
    static uint8_t buffer[20 * BLOCK];
    size_t at = cursor_u32(cursor) % (SIZE_MAX_HERE - sizeof buffer);
    size_t size = 1 + cursor_u32(cursor) % (sizeof buffer - 1), done;

    if (model.count + size / BLOCK + 2 > VERSIONS_MAX)
        return;
    for (size_t i = 0; i < size; i++)
        buffer[i] = (uint8_t)(model.count + 1 + i / 3);
    memcpy(model.bytes + at, buffer, size);
    if (at + size > model.size)
        model.size = at + size;
    note_versions(at, at + size);
    require(cn_sealed_write(file, buffer, size, at, &done) == CN_E_SUCCESS && done == size &&
                cn_sealed_settle(file) == CN_E_SUCCESS, "a write");
}

static void resize(struct cn_sealed_file *file, struct cursor *cursor)
{
    size_t size = cursor_u32(cursor) % SIZE_MAX_HERE;
    size_t tail = size < model.size ? size : model.size;

    if (size < model.size)
        memset(model.bytes + size, 0, model.size - size);
    model.size = size;
    note_versions(tail, tail + 1); /* zeros behind the end come into the block there */
    require(cn_sealed_resize(file, size) == CN_E_SUCCESS, "another size");
}

/* What stands there, cut off at the file's end, was there once; or is zeros that were never
 * written, as the file itself says. */
static bool is_known(const struct cn_sealed_file *file, uint32_t block, const uint8_t *found,
                     size_t size)
{
    bool is_zero = block >= file->written;

    for (size_t i = 0; i < size && is_zero; i++)
        is_zero = found[i] == 0;
    for (uint32_t i = 0; i < model.count && !is_zero; i++)
        if (model.of_block[i] == block && memcmp(model.versions[i], found, size) == 0)
            return true;
    if (is_zero)
        return true;
    /* The zeros of a hole were sealed. */
    for (size_t i = 0; i < size; i++)
        if (found[i] != 0)
            return false;
    return true;
}

static void read_all(const struct cn_sealed_file *file)
{
    static uint8_t found[SIZE_MAX_HERE];
    uint32_t blocks = (uint32_t)((file->size + BLOCK - 1) / BLOCK);
    size_t done;

    require(file->size <= SIZE_MAX_HERE, "a size that it never had");
    for (uint32_t block = 0; block < blocks; block++) {
        size_t at = (size_t)block * BLOCK, size = file->size - at < BLOCK ? file->size - at : BLOCK;
        if (cn_sealed_read(file, found, size, at, &done) == CN_E_SUCCESS)
            require(done == size && is_known(file, block, found, size),
                    "bytes that were never there");
    }
}

static void damage_file(struct cursor *cursor)
{
    static struct cn_sealed_desk desk __attribute__((aligned(4096)));
    int host = memfd_create("volume", MFD_CLOEXEC);
    struct cn_sealed_file file = {.keys = kept.keys, .desk = &desk, .host = host};
    uint32_t writes = cursor_pick(cursor, WRITES_MAX);
    struct stat stat;
    uint64_t damaged;

    memset(model.bytes, 0, sizeof model.bytes);
    model.size = model.count = 0;
    require(host >= 0 && cn_sealed_create(&file) == CN_E_SUCCESS, "a file");
    for (uint32_t i = 0; i < writes; i++)
        (cursor_pick(cursor, 4) == 0 ? resize : write_some)(&file, cursor);
    require(file.size == model.size, "a size");
    cn_sealed_close(&file);
    require(fstat(host, &stat) == 0 && stat.st_size > 0, "what it takes up");
    uint8_t *image = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, host, 0);
    require(image != MAP_FAILED, "memory");
    size_t left = damage(cursor, image, (size_t)stat.st_size);
    munmap(image, (size_t)stat.st_size);
    require(ftruncate(host, (off_t)left) == 0, "a cut");
    if (cn_sealed_open(&file) == CN_E_SUCCESS) {
        read_all(&file);
        cn_sealed_check(&file, &damaged);
        require(damaged <= file.written, "more damage than blocks");
        cn_sealed_close(&file);
    }
    close(host);
}

/* ------------------------------------------------------------------ ring and records */

/* Of everything that an entry says, if its key is given out at all. */
static void check_entries(const struct cn_ring *ring)
{
    const struct cn_ring_entry *before =
        (const void *)(kept.ring + sizeof(struct cn_ring_head));
    uint8_t key[CN_KEY_SIZE];
    struct cn_error error;

    for (uint32_t i = 0; i < ring->head.count; i++) {
        const struct cn_ring_entry *entry = &ring->entries[i];
        int same = 0;
        if (cn_ring_unwrap(ring, entry, key, &error) != CN_OK)
            continue;
        while (same <= VOLUMES &&
               memcmp(entry, &before[same], offsetof(struct cn_ring_entry, seal)) != 0)
            same++;
        require(same <= VOLUMES && memcmp(key, kept.masters[same], CN_KEY_SIZE) == 0,
                "a key for what it was not made for");
    }
}

static void damage_ring(struct cursor *cursor)
{
    const struct cn_host_key key = {kept.key_path, true, false};
    uint8_t ring_bytes[RING_SIZE], key_bytes[KEY_FILE_SIZE];
    struct cn_ring ring;
    struct cn_error error = {.text = ""};

    memcpy(ring_bytes, kept.ring, RING_SIZE);
    memcpy(key_bytes, kept.key_file, KEY_FILE_SIZE);
    put_file(kept.dir, "keyring", ring_bytes, damage(cursor, ring_bytes, RING_SIZE));
    put_file(kept.dir, "key", key_bytes, damage(cursor, key_bytes, KEY_FILE_SIZE));
    if (cn_ring_open(&ring, kept.dir, &key, &error) != CN_OK) {
        require(error.text[0] != '\0', "an error that says nothing");
        return;
    }
    check_entries(&ring);
    cn_ring_close(&ring);
}

static void damage_record(struct cursor *cursor)
{
    char line[LINE_MAX_HERE];
    size_t before = strlen(kept.line);

    memcpy(line, kept.line, sizeof line);
    size_t size = damage(cursor, (uint8_t *)line, before);
    bool is_same = size == before && memcmp(line, kept.line, size) == 0;
    require(cn_record_verify(kept.public_key, (struct cn_bytes){(uint8_t *)line, size}) == is_same,
            "a record that was not signed");
}

/* ------------------------------------------------------------------ names, links, trees */

static void pick_text(struct cursor *cursor, char *text, size_t size, bool is_raw)
{
    static const char alphabet[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t count = cursor_byte(cursor) % size;

    for (size_t i = 0; i < count; i++) {
        uint8_t byte = cursor_byte(cursor);
        text[i] = is_raw && byte != 0 && byte != '/' ? (char)byte : alphabet[byte % 64];
    }
    text[count] = '\0';
}

static void damage_name(struct cursor *cursor)
{
    char name[256], hidden[CN_HIDDEN_MAX + 1], shown[CN_SEALED_NAME_MAX + 1], again[256];

    pick_text(cursor, name, 200, true);
    if (name[0] == '\0')
        return; /* no path has such a name */
    enum cn_errno error = cn_name_hide(kept.keys, name, hidden);
    require((error == CN_E_SUCCESS) == (strlen(name) <= CN_SEALED_NAME_MAX), "a name's length");
    if (error != CN_E_SUCCESS)
        return;
    require(cn_name_show(kept.keys, hidden, shown) == CN_E_SUCCESS && strcmp(shown, name) == 0,
            "a name is another");
    size_t size = damage(cursor, (uint8_t *)hidden, strlen(hidden));
    hidden[size] = '\0';
    if (cn_name_show(kept.keys, hidden, shown) == CN_E_SUCCESS)
        require(cn_name_hide(kept.keys, shown, again) == CN_E_SUCCESS &&
                    strcmp(again, hidden) == 0 && strcmp(shown, name) == 0,
                "a name in two ways, or that nobody gave");
}

/* A volume with a few things in it; some of them damaged. */
struct tree {
    struct cn_account memory;
    struct cn_volume_grant grant;
    struct cn_volume *volume;
};

static void place_at(struct tree *tree, const char *path, struct cn_place *place)
{
    require(cn_volume_find(tree->volume, kept.tree, path, false, place) == CN_E_SUCCESS, path);
}

static void plant(struct tree *tree)
{
    static const char *const targets[] = {"d/a", "../d", "l1", "nowhere"};
    char hidden[CN_PATH_MAX + 1], name[8];
    struct cn_place place;
    struct cn_opened *opened;
    struct stat stat;
    size_t done;
    int host;

    place_at(tree, "d", &place);
    require(mkdirat(place.dir, place.name, 0700) == 0, "a directory");
    cn_place_release(&place);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, i % 2 ? "d/%c" : "%c", 'a' + i);
        place_at(tree, name, &place);
        require(cn_volume_create(tree->volume, &place, &host, &opened, &stat) == CN_E_SUCCESS &&
                    cn_sealed_write(&opened->file, name, sizeof name, 0, &done) == CN_E_SUCCESS,
                "a file");
        cn_volume_close(tree->volume, opened);
        close(host);
        cn_place_release(&place);
        snprintf(name, sizeof name, "l%d", i);
        place_at(tree, name, &place);
        require(cn_volume_hide_link(tree->volume, targets[i], hidden) == CN_E_SUCCESS &&
                    symlinkat(hidden, place.dir, place.name) == 0, "a link");
        cn_place_release(&place);
    }
}

static void damage_entry(struct cursor *cursor, int dir, const char *name)
{
    char text[256];
    struct stat stat;
    uint8_t bytes[64] = {0};
    int fd;

    require(fstatat(dir, name, &stat, AT_SYMLINK_NOFOLLOW) == 0, "an entry");
    switch (cursor_pick(cursor, 8)) {
    case 0:
        pick_text(cursor, text, 200, true);
        (void)renameat(dir, name, dir, text);
        break;
    case 1: /* what is no file, or is another kind of thing */
        if (unlinkat(dir, name, S_ISDIR(stat.st_mode) ? AT_REMOVEDIR : 0) != 0)
            break;
        pick_text(cursor, text, 250, false);
        if (cursor_pick(cursor, 2) == 0)
            (void)symlinkat(text, dir, name);
        else
            (void)mknodat(dir, name, (cursor_pick(cursor, 2) ? S_IFIFO : S_IFSOCK) | 0600, 0);
        break;
    case 2:
        fd = S_ISREG(stat.st_mode) ? openat(dir, name, O_RDWR | O_CLOEXEC) : -1;
        if (fd < 0)
            break;
        bytes[0] = cursor_byte(cursor);
        (void)!pwrite(fd, bytes, sizeof bytes, (off_t)(cursor_u32(cursor) % 20000));
        (void)!ftruncate(fd, (off_t)(cursor_u32(cursor) % 20000));
        close(fd);
        break;
    default:
        break;
    }
}

/* All entries of a directory, and of those in it. */
static void each_entry(struct cursor *cursor, int dir, bool removes)
{
    DIR *stream = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry;

    require(stream != NULL, "a directory's entries");
    while ((entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int below = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0) {
            each_entry(cursor, below, removes);
            close(below);
        }
        if (removes)
            require(unlinkat(dir, entry->d_name, below >= 0 ? AT_REMOVEDIR : 0) == 0, "removing");
        else if (faccessat(dir, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            damage_entry(cursor, dir, entry->d_name);
    }
    closedir(stream);
}

/* Every path that there was leads to what was there, or to an error. */
static void look_at(struct tree *tree)
{
    static const char *const paths[] = {"a",  "d/b", "c",  "d/d", "l0",
                                        "l1", "l2",  "l3", "d",   "d/.."};
    struct cn_place place;
    struct cn_opened *opened;
    struct stat stat;
    char text[9] = "";
    size_t done;
    int host;

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (cn_volume_find(tree->volume, kept.tree, paths[i], i % 2, &place) != CN_E_SUCCESS)
            continue;
        (void)cn_volume_stat(tree->volume, &place, &stat);
        if (!place.is_dot &&
            cn_volume_open(tree->volume, &place, &host, &opened, &stat) == CN_E_SUCCESS) {
            if (cn_sealed_read(&opened->file, text, 8, 0, &done) == CN_E_SUCCESS && done > 0)
                require(strcmp(text + (text[1] == '/' ? 2 : 0), paths[i] + strlen(paths[i]) - 1) ==
                            0 || paths[i][0] == 'l', "another file's contents");
            cn_volume_close(tree->volume, opened);
            close(host);
        }
        cn_place_release(&place);
    }
}

static void damage_tree(struct cursor *cursor)
{
    struct tree tree = {.grant = {.keys = kept.keys, .size = 1 << 20, .inodes = 50, .holders = 1}};
    struct cn_volume_faults faults;

    cn_account_init(&tree.memory);
    require(cn_volume_new(&tree.grant, &tree.memory, false, &tree.volume) == CN_E_SUCCESS,
            "a volume");
    plant(&tree);
    each_entry(cursor, kept.tree, false);
    enum cn_errno error = cn_volume_count(tree.volume, kept.tree, true, &faults);
    require(error == CN_E_SUCCESS, "counting");
    require(faults.files + faults.dirs + faults.links + faults.foreign <= 2 * FILES + 1,
            "more than was there");
    look_at(&tree);
    cn_volume_free(tree.volume);
    require(tree.memory.used[CN_QUOTA_MEMORY] == 0, "memory that was not given back");
    each_entry(cursor, kept.tree, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const all[])(struct cursor *) = {damage_file, damage_ring, damage_record,
                                                   damage_name, damage_tree};
    struct cursor cursor = {data, size};

    make_all();
    all[cursor_pick(&cursor, sizeof all / sizeof *all)](&cursor);
    return 0;
}
