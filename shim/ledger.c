#include "shim/ledger.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x726567646c6e6f63u /* "conldger", and the format's only version */
#define SIZE (sizeof(struct cn_ledger_head) + CN_LEDGER_RECORDS * sizeof(struct cn_ledger_record))

static bool is_ledger(int fd, struct stat *status)
{
    return fstat(fd, status) == 0 && S_ISREG(status->st_mode) &&
           (status->st_size == 0 || status->st_size == (off_t)SIZE);
}

void *cn_ledger_map(int fd, struct cn_error *error)
{
    struct stat status;
    void *map = MAP_FAILED;

    if (!is_ledger(fd, &status)) {
        cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "the disk's ledger is some other file");
        return NULL;
    }
    /* All holes: every record is free. */
    if (status.st_size != 0 || ftruncate(fd, (off_t)SIZE) == 0)
        map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map != MAP_FAILED)
        return map;
    cn_fail(error, CN_IO, CN_NO_OFFSET, "the disk's ledger: %s", strerror(errno));
    return NULL;
}

void cn_ledger_unmap(void *map)
{
    if (map != NULL)
        munmap(map, SIZE);
}

static void find_free(struct cn_ledger *ledger)
{
    for (uint32_t number = ledger->head->count; number > 0; number--) {
        struct cn_ledger_record *record = cn_ledger_at(ledger, number);
        if (record->state != CN_LEDGER_FREE)
            continue;
        record->ino = ledger->free;
        ledger->free = number;
    }
}

enum cn_status cn_ledger_open(struct cn_ledger *ledger, void *map, struct cn_error *error)
{
    *ledger = (struct cn_ledger){0};
    /* Of a shared mapping this makes another one (mremap(2), old_size 0). */
    void *bytes = mremap(map, 0, SIZE, MREMAP_MAYMOVE);
    if (bytes == MAP_FAILED)
        return cn_fail(error, CN_NO_MEMORY, CN_NO_OFFSET, "the disk's ledger: %s",
                       strerror(errno));
    struct cn_ledger_head *head = bytes;
    if (head->magic == 0 && head->count == 0)
        head->magic = MAGIC;
    if (head->magic != MAGIC || head->count > CN_LEDGER_RECORDS) {
        munmap(bytes, SIZE);
        return cn_fail(error, CN_MISUSE, CN_NO_OFFSET, "the disk's ledger is some other file");
    }
    ledger->head = head;
    ledger->records = (struct cn_ledger_record *)(head + 1);
    ledger->was_open = head->is_open != 0;
    find_free(ledger);
    head->is_open = 1;
    return CN_OK;
}

void cn_ledger_close(struct cn_ledger *ledger)
{
    if (ledger->head == NULL)
        return;
    ledger->head->is_open = !ledger->is_true;
    munmap(ledger->head, SIZE);
    *ledger = (struct cn_ledger){0};
}

struct cn_ledger_record *cn_ledger_at(const struct cn_ledger *ledger, uint32_t number)
{
    return &ledger->records[number - 1];
}

uint32_t cn_ledger_take(struct cn_ledger *ledger)
{
    uint32_t number = ledger->free;

    if (number != 0) {
        uint64_t next = cn_ledger_at(ledger, number)->ino;
        ledger->free = next <= ledger->head->count ? (uint32_t)next : 0;
        return number;
    }
    return ledger->head->count < CN_LEDGER_RECORDS ? ++ledger->head->count : 0;
}

void cn_ledger_leave(struct cn_ledger *ledger, uint32_t number)
{
    struct cn_ledger_record *record = cn_ledger_at(ledger, number);

    record->state = CN_LEDGER_FREE;
    atomic_signal_fence(memory_order_seq_cst); /* what a crash leaves is what was stored last */
    record->ino = ledger->free;
    ledger->free = number;
}
