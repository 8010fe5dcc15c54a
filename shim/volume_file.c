#include "shim/volume_file.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim/errno.h"

/* Two copies of the header, on a page each. Then groups: a page of records, and the 64 blocks that
 * they are of. Nothing that is written at once lies across a page, so that a kill, which can stop
 * a write between two pages, leaves each of them as it was or as it should be. */
enum {
    PAGE = 4096,
    GROUPS_AT = 2 * PAGE,
    GROUP_BLOCKS = 64,
    GROUP_BYTES = (1 + GROUP_BLOCKS) * PAGE,
    PROMISE = 1 << 16,
};

static const uint8_t magic[8] = {'c', 'n', 's', 'e', 'a', 'l', 0, 1};

struct header {
    uint64_t generation, size, written, promised;
};

/* As it lies on the disk. */
struct header_page {
    uint8_t magic[8];
    uint8_t id[CN_SEALED_ID];
    struct cn_seal seal; /* bound to what is before it */
    uint8_t text[sizeof(struct header)];
};

/* Of a block: its seal, and the one before, which is the block's until the block itself has been
 * written, and again when that never happens. */
struct record {
    struct cn_seal now, before;
    uint8_t reserved[8];
};

_Static_assert(GROUP_BLOCKS * sizeof(struct record) == PAGE, "records of a group fill a page");

/* What a block is bound to: its place. */
struct bound {
    uint8_t magic[8];
    uint8_t id[CN_SEALED_ID];
    uint64_t block;
};

static enum cn_errno put(int host, const void *from, size_t size, uint64_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = pwrite(host, (const char *)from + done, size - done, (off_t)(at + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? cn_errno_of_host(errno) : CN_E_IO;
        done += (size_t)count;
    }
    return CN_E_SUCCESS;
}

/* What is not there is zeros: no seal fits them. */
static enum cn_errno get(int host, void *to, size_t size, uint64_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = pread(host, (char *)to + done, size - done, (off_t)(at + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return CN_E_IO;
        if (count == 0)
            memset((char *)to + done, 0, size - done);
        done += count > 0 ? (size_t)count : size - done;
    }
    return CN_E_SUCCESS;
}

static uint64_t blocks_of(uint64_t size)
{
    return size / CN_SEALED_BLOCK + (size % CN_SEALED_BLOCK != 0);
}

static uint64_t record_at(uint64_t block)
{
    return GROUPS_AT + block / GROUP_BLOCKS * GROUP_BYTES +
           block % GROUP_BLOCKS * sizeof(struct record);
}

static uint64_t block_at(uint64_t block)
{
    return GROUPS_AT + block / GROUP_BLOCKS * GROUP_BYTES + (1 + block % GROUP_BLOCKS) * PAGE;
}

static uint64_t end_of(uint64_t blocks)
{
    return blocks > 0 ? block_at(blocks - 1) + PAGE : GROUPS_AT;
}

/* ------------------------------------------------------------------ the header */

static struct cn_bytes bytes_of(const void *at, size_t size)
{
    return (struct cn_bytes){at, size};
}

/* Over the older copy: when that is torn, the present one is still there. */
static enum cn_errno put_header(struct cn_sealed_file *file)
{
    struct header_page *page = (void *)file->desk->small;
    struct header header = {file->generation + 1, file->size, file->written, file->promised};
    struct cn_sealer sealer;

    memcpy(page->magic, magic, sizeof magic);
    memcpy(page->id, file->id, sizeof page->id);
    enum cn_errno error = cn_sealer_begin(&sealer, file->keys, file->key);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_seal(&sealer, bytes_of(page, offsetof(struct header_page, seal)),
                    bytes_of(&header, sizeof header), page->text, &page->seal);
    cn_sealer_end(&sealer);
    if (error == CN_E_SUCCESS)
        error = put(file->host, page, sizeof *page, header.generation % 2 * PAGE);
    if (error != CN_E_SUCCESS)
        return error;
    file->generation = header.generation;
    file->seals++;
    file->is_header_due = false;
    return CN_E_SUCCESS;
}

static enum cn_errno unseal_header(struct cn_sealed_file *file, const struct header_page *page,
                                   struct header *header)
{
    struct cn_sealer sealer;

    memcpy(file->id, page->id, sizeof file->id);
    file->key = cn_volume_key_make(file->keys, "file", bytes_of(file->id, sizeof file->id));
    if (file->key == NULL)
        return CN_E_NOMEM;
    enum cn_errno error = cn_sealer_begin(&sealer, file->keys, file->key);
    if (error != CN_E_SUCCESS)
        return error;
    error = cn_unseal(&sealer, bytes_of(page, offsetof(struct header_page, seal)),
                      bytes_of(page->text, sizeof page->text), &page->seal, (uint8_t *)header);
    cn_sealer_end(&sealer);
    return error;
}

/* Takes over copy `number`, which is on the desk, when it is whole and newer. ILSEQ when it is not;
 * other errors say nothing about it. */
static enum cn_errno take_header(struct cn_sealed_file *file, uint32_t number)
{
    struct cn_sealed_file found = {.keys = file->keys, .desk = file->desk, .host = file->host};
    struct header_page page;
    struct header header;

    memcpy(&page, file->desk->text[number], sizeof page);
    if (memcmp(page.magic, magic, sizeof magic) != 0)
        return CN_E_ILSEQ;
    enum cn_errno error = unseal_header(&found, &page, &header);
    if (error == CN_E_IO)
        error = CN_E_ILSEQ;
    if (error == CN_E_SUCCESS &&
        (header.generation % 2 != number || header.generation <= file->generation ||
         header.size > CN_SEALED_SIZE_MAX || header.written > blocks_of(header.size)))
        error = CN_E_ILSEQ;
    if (error != CN_E_SUCCESS) {
        cn_sealed_close(&found);
        return error;
    }
    found.generation = header.generation;
    found.size = header.size;
    found.written = header.written;
    found.seals = found.promised = header.promised;
    cn_sealed_close(file);
    *file = found;
    return CN_E_SUCCESS;
}

enum cn_errno cn_sealed_create(struct cn_sealed_file *file)
{
    *file = (struct cn_sealed_file){
        .keys = file->keys, .desk = file->desk, .host = file->host};
    if (!cn_random(file->id, sizeof file->id))
        return CN_E_IO;
    file->key = cn_volume_key_make(file->keys, "file", bytes_of(file->id, sizeof file->id));
    if (file->key == NULL)
        return CN_E_NOMEM;
    enum cn_errno error = put_header(file);
    if (error != CN_E_SUCCESS)
        cn_sealed_close(file);
    return error;
}

enum cn_errno cn_sealed_open(struct cn_sealed_file *file)
{
    *file = (struct cn_sealed_file){
        .keys = file->keys, .desk = file->desk, .host = file->host};
    enum cn_errno error = get(file->host, file->desk->text, PAGE + sizeof(struct header_page), 0);
    for (uint32_t i = 0; error == CN_E_SUCCESS && i < 2; i++) {
        error = take_header(file, i);
        if (error == CN_E_ILSEQ)
            error = CN_E_SUCCESS;
    }
    /* Not known is not damaged: the other copy may be the older one. */
    if (error != CN_E_SUCCESS) {
        cn_sealed_close(file);
        return error;
    }
    return file->key != NULL ? CN_E_SUCCESS : CN_E_IO;
}

void cn_sealed_close(struct cn_sealed_file *file)
{
    cn_volume_key_drop(file->keys, file->key);
    file->key = NULL;
}

enum cn_errno cn_sealed_settle(struct cn_sealed_file *file)
{
    return file->is_header_due ? put_header(file) : CN_E_SUCCESS;
}

static void set_extent(struct cn_sealed_file *file, uint64_t size, uint64_t written)
{
    file->is_header_due |= size != file->size || written != file->written;
    file->size = size;
    file->written = written;
}

/* ------------------------------------------------------------------ runs of blocks */

/* Blocks of one group, few enough for the desk. */
struct run {
    uint64_t first;
    uint32_t count;
};

static struct run run_from(uint64_t first, uint64_t end)
{
    uint64_t room = GROUP_BLOCKS - first % GROUP_BLOCKS;
    uint64_t count = end - first < room ? end - first : room;

    return (struct run){first, (uint32_t)(count < CN_SEALED_RUN ? count : CN_SEALED_RUN)};
}

static void bind_block(const struct cn_sealed_file *file, uint64_t block, struct bound *bound)
{
    memcpy(bound->magic, magic, sizeof magic);
    memcpy(bound->id, file->id, sizeof bound->id);
    bound->block = block;
}

/* One block from the desk's text to its plain side. *record has its seal in front afterwards. */
static enum cn_errno unseal_block(const struct cn_sealed_file *file, struct cn_sealer *sealer,
                                  uint64_t block, uint32_t at, struct record *record)
{
    struct cn_sealed_desk *desk = file->desk;
    const struct cn_bytes text = {desk->text[at], CN_SEALED_BLOCK};
    struct bound bound;

    bind_block(file, block, &bound);
    enum cn_errno error = cn_unseal(sealer, bytes_of(&bound, sizeof bound), text, &record->now,
                                    desk->plain[at]);
    if (error == CN_E_IO) {
        error = cn_unseal(sealer, bytes_of(&bound, sizeof bound), text, &record->before,
                          desk->plain[at]);
        if (error == CN_E_SUCCESS)
            record->now = record->before;
    }
    /* Behind the end there are zeros, whatever a write that was cut off has left there. */
    uint64_t start = block * CN_SEALED_BLOCK;
    if (start + CN_SEALED_BLOCK > file->size) {
        size_t used = file->size > start ? (size_t)(file->size - start) : 0;
        memset(desk->plain[at] + used, 0, CN_SEALED_BLOCK - used);
    }
    return error;
}

/* Records and texts of blocks to the desk: with one call where they are side by side. */
static enum cn_errno fetch(const struct cn_sealed_file *file, uint64_t first, uint32_t count)
{
    struct cn_sealed_desk *desk = file->desk;
    size_t texts = (size_t)count * CN_SEALED_BLOCK, records = count * sizeof(struct record);
    struct iovec parts[] = {{desk->small, PAGE}, {desk->text, texts}};

    if (first % GROUP_BLOCKS == 0 &&
        preadv2(file->host, parts, 2, (off_t)record_at(first), 0) == (ssize_t)(PAGE + texts))
        return CN_E_SUCCESS;
    enum cn_errno error = get(file->host, desk->small, records, record_at(first));
    return error != CN_E_SUCCESS ? error : get(file->host, desk->text, texts, block_at(first));
}

/* The run's blocks to the plain side of the desk, and their records. Blocks that are not there are
 * zeros. *good says how many of the first were whole; the rest is zeros as well. */
static enum cn_errno get_run(const struct cn_sealed_file *file, struct run run, uint32_t *good)
{
    struct cn_sealed_desk *desk = file->desk;
    struct record *records = (void *)desk->small;
    uint64_t left = file->written > run.first ? file->written - run.first : 0;
    uint32_t there = left < run.count ? (uint32_t)left : run.count;
    struct cn_sealer sealer;

    *good = 0;
    memset((uint8_t *)desk->plain + (size_t)there * CN_SEALED_BLOCK, 0,
           (size_t)(run.count - there) * CN_SEALED_BLOCK);
    enum cn_errno error = CN_E_SUCCESS;
    if (there > 0)
        error = fetch(file, run.first, there);
    memset(records + there, 0, (run.count - there) * sizeof *records);
    if (error == CN_E_SUCCESS)
        error = cn_sealer_begin(&sealer, file->keys, file->key);
    if (error != CN_E_SUCCESS)
        return error;
    *good = run.count;
    for (uint32_t i = 0; i < there; i++) {
        enum cn_errno damaged = unseal_block(file, &sealer, run.first + i, i, &records[i]);
        if (damaged != CN_E_SUCCESS && *good == run.count) {
            *good = i;
            error = damaged;
        }
    }
    cn_sealer_end(&sealer);
    return *good > 0 ? CN_E_SUCCESS : error;
}

/* The header promises seals before they are made, so that a crash forgets none. */
static enum cn_errno promise(struct cn_sealed_file *file, uint32_t count)
{
    if (file->seals + count + 2 > CN_SEALS_MAX)
        return CN_E_FBIG;
    if (file->seals + count + 2 <= file->promised)
        return CN_E_SUCCESS;
    uint64_t before = file->promised;
    file->promised = file->seals + PROMISE;
    /* The present size may go with it: all its blocks have been written. */
    enum cn_errno error = put_header(file);
    if (error != CN_E_SUCCESS)
        file->promised = before;
    return error;
}

static enum cn_errno seal_run(struct cn_sealed_file *file, struct run run)
{
    struct cn_sealed_desk *desk = file->desk;
    struct record *records = (void *)desk->small;
    struct bound bound;
    struct cn_sealer sealer;
    enum cn_errno error = cn_sealer_begin(&sealer, file->keys, file->key);

    for (uint32_t i = 0; error == CN_E_SUCCESS && i < run.count; i++) {
        records[i].before = records[i].now;
        bind_block(file, run.first + i, &bound);
        error = cn_seal(&sealer, bytes_of(&bound, sizeof bound),
                        bytes_of(desk->plain[i], CN_SEALED_BLOCK), desk->text[i],
                        &records[i].now);
        file->seals++;
    }
    cn_sealer_end(&sealer);
    return error;
}

/* From the plain side of the desk to the disk, with the records that get_run left there. Records
 * first: until a block is written, it is opened with the seal before. */
static enum cn_errno put_run(struct cn_sealed_file *file, struct run run)
{
    struct cn_sealed_desk *desk = file->desk;
    enum cn_errno error = seal_run(file, run);

    if (error == CN_E_SUCCESS)
        error = put(file->host, desk->small, run.count * sizeof(struct record),
                    record_at(run.first));
    if (error == CN_E_SUCCESS)
        error = put(file->host, desk->text, (size_t)run.count * CN_SEALED_BLOCK,
                    block_at(run.first));
    return error;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ------------------------------------------------------------------ files */

enum cn_errno cn_sealed_read(const struct cn_sealed_file *file, void *to, size_t size,
                             uint64_t at, size_t *done)
{
    *done = 0;
    if (at >= file->size)
        return CN_E_SUCCESS;
    if (size > file->size - at)
        size = (size_t)(file->size - at);
    enum cn_errno error = CN_E_SUCCESS;
    while (error == CN_E_SUCCESS && *done < size) {
        uint64_t place = at + *done;
        size_t from = place % CN_SEALED_BLOCK;
        struct run run = run_from(place / CN_SEALED_BLOCK, blocks_of(at + size));
        uint32_t good;
        error = get_run(file, run, &good);
        size_t count = good > 0 ? good * (size_t)CN_SEALED_BLOCK - from : 0;
        if (count > size - *done)
            count = size - *done;
        memcpy((uint8_t *)to + *done, file->desk->plain[0] + from, count);
        *done += count;
        if (good < run.count && *done < size)
            break;
    }
    return *done > 0 ? CN_E_SUCCESS : error;
}

/* Bytes of the last block behind the end may be of a write that was cut off, or be what shrinking
 * left: they must be zeros before the end moves over them. */
static enum cn_errno clear_tail(struct cn_sealed_file *file)
{
    struct run run = {file->size / CN_SEALED_BLOCK, 1};
    uint32_t good;

    if (file->size % CN_SEALED_BLOCK == 0 || run.first >= file->written)
        return CN_E_SUCCESS;
    enum cn_errno error = promise(file, 1);
    if (error == CN_E_SUCCESS)
        error = get_run(file, run, &good);
    return error == CN_E_SUCCESS ? put_run(file, run) : error;
}

enum cn_errno cn_sealed_resize(struct cn_sealed_file *file, uint64_t size)
{
    uint64_t blocks = blocks_of(size);

    if (size > CN_SEALED_SIZE_MAX)
        return CN_E_FBIG;
    enum cn_errno error = size > file->size ? clear_tail(file) : CN_E_SUCCESS;
    if (error == CN_E_SUCCESS)
        error = promise(file, 0);
    if (error != CN_E_SUCCESS)
        return error;
    uint64_t old_size = file->size, old_written = file->written;
    set_extent(file, size, blocks < old_written ? blocks : old_written);
    error = cn_sealed_settle(file);
    if (error != CN_E_SUCCESS) {
        set_extent(file, old_size, old_written);
        return error;
    }
    /* What stays behind when this fails is beyond the header, and nobody's. */
    if (file->written < old_written && ftruncate(file->host, (off_t)end_of(file->written)) != 0)
        return CN_E_SUCCESS;
    return CN_E_SUCCESS;
}

/* Zeros between the last block that is there and the one that is to be written. */
static enum cn_errno fill_up(struct cn_sealed_file *file, uint64_t block)
{
    uint64_t stop = file->written + CN_SEALED_FILL;

    while (file->written < block) {
        uint32_t good;
        struct run run = run_from(file->written, block);
        enum cn_errno error = CN_E_YIELD;
        if (file->written < stop)
            error = promise(file, run.count);
        if (error == CN_E_SUCCESS)
            error = get_run(file, run, &good);
        if (error == CN_E_SUCCESS)
            error = put_run(file, run);
        if (error != CN_E_SUCCESS)
            return error;
        set_extent(file, file->size, run.first + run.count);
    }
    return CN_E_SUCCESS;
}

/* A run's bytes, some of its first and last block perhaps left out. */
static enum cn_errno write_run(struct cn_sealed_file *file, const uint8_t *from, size_t size,
                               uint64_t at, struct run run)
{
    uint32_t good;
    size_t in_first = at % CN_SEALED_BLOCK;
    bool is_whole = in_first == 0 && (size % CN_SEALED_BLOCK == 0 || at + size >= file->size);
    enum cn_errno error = promise(file, run.count);

    if (error == CN_E_SUCCESS)
        error = get_run(file, run, &good);
    /* A block that is damaged can be replaced as a whole, and not in part. */
    if (is_whole && error == CN_E_IO)
        error = CN_E_SUCCESS;
    else if (error == CN_E_SUCCESS && good < run.count && !is_whole)
        error = CN_E_IO;
    if (error != CN_E_SUCCESS)
        return error;
    memcpy(file->desk->plain[0] + in_first, from, size);
    error = put_run(file, run);
    if (error == CN_E_SUCCESS)
        set_extent(file, larger(file->size, at + size),
                   larger(file->written, run.first + run.count));
    return error;
}

enum cn_errno cn_sealed_write(struct cn_sealed_file *file, const void *from, size_t size,
                              uint64_t at, size_t *done)
{
    *done = 0;
    if (size == 0)
        return CN_E_SUCCESS;
    if (at > CN_SEALED_SIZE_MAX || size > CN_SEALED_SIZE_MAX - at)
        return CN_E_FBIG;
    uint64_t block = at / CN_SEALED_BLOCK;
    /* The last block, when the write goes on behind it. */
    enum cn_errno error = at > file->size ? cn_sealed_resize(file, at) : CN_E_SUCCESS;
    if (error == CN_E_SUCCESS)
        error = fill_up(file, block);
    while (error == CN_E_SUCCESS && *done < size) {
        uint64_t place = at + *done;
        struct run run = run_from(place / CN_SEALED_BLOCK, blocks_of(at + size));
        size_t count = run.count * (size_t)CN_SEALED_BLOCK - place % CN_SEALED_BLOCK;
        if (count > size - *done)
            count = size - *done;
        error = write_run(file, (const uint8_t *)from + *done, count, place, run);
        if (error == CN_E_SUCCESS)
            *done += count;
    }
    return *done > 0 ? CN_E_SUCCESS : error;
}

void cn_sealed_check(const struct cn_sealed_file *file, uint64_t *damaged)
{
    *damaged = 0;
    for (uint64_t block = 0; block < file->written; block++) {
        uint32_t good;
        struct run run = {block, 1};
        *damaged += get_run(file, run, &good) != CN_E_SUCCESS;
    }
}
