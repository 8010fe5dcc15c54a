#include "shim/fd_table.h"

#include <assert.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shim/dir_stream.h"
#include "shim/terminal.h"
#include "shim/volume.h"

#define SLOTS_FIRST 8u
#define CLOSED_AT_ONCE 32u /* some 100 us, where they are connections */

static struct cn_allocator allocator_of(const struct cn_fd_table *table)
{
    return cn_account_allocator(table->account);
}

void cn_fd_table_init(struct cn_fd_table *table, struct cn_account *account,
                      struct cn_disk *disk)
{
    *table = (struct cn_fd_table){.account = account, .disk = disk, .wait_set = -1};
}

bool cn_fd_table_close_some(struct cn_fd_table *table)
{
    uint32_t count = 0;

    for (; table->closed < table->slot_count && count < CLOSED_AT_ONCE; table->closed++) {
        if (table->slots[table->closed] == NULL)
            continue;
        cn_fd_close(table, table->closed);
        count++;
    }
    return table->closed == table->slot_count;
}

void cn_fd_table_release(struct cn_fd_table *table)
{
    while (!cn_fd_table_close_some(table))
        continue;
    cn_free(allocator_of(table), table->slots, table->slot_count * sizeof *table->slots);
    table->slots = NULL;
    table->slot_count = table->closed = 0;
}

struct cn_fd *cn_fd_get(const struct cn_fd_table *table, uint32_t number)
{
    return number < table->slot_count ? table->slots[number] : NULL;
}

static enum cn_errno add_slots(struct cn_fd_table *table)
{
    uint32_t count = table->slot_count ? table->slot_count * 2 : SLOTS_FIRST;

    if (count > CN_FDS_MAX)
        return CN_E_MFILE;
    struct cn_fd **slots =
        cn_resize(allocator_of(table), table->slots, table->slot_count * sizeof *slots,
                  count * sizeof *slots);
    if (slots == NULL)
        return CN_E_NOMEM;
    for (uint32_t i = table->slot_count; i < count; i++)
        slots[i] = NULL;
    table->slots = slots;
    table->slot_count = count;
    return CN_E_SUCCESS;
}

static enum cn_errno place(struct cn_fd_table *table, uint32_t *number, struct cn_fd **result)
{
    uint32_t at = table->lowest;

    while (at < table->slot_count && table->slots[at] != NULL)
        at++;
    table->lowest = at;
    if (at == table->slot_count) {
        enum cn_errno error = add_slots(table);
        if (error != CN_E_SUCCESS)
            return error;
    }
    struct cn_fd *fd = cn_alloc(allocator_of(table), sizeof *fd);
    if (fd == NULL)
        return CN_E_NOMEM;
    fd->host = -1;
    table->slots[at] = fd;
    *number = at;
    *result = fd;
    return CN_E_SUCCESS;
}

enum cn_errno cn_fd_new(struct cn_fd_table *table, uint32_t *number, struct cn_fd **result)
{
    if (cn_account_charge(table->account, CN_QUOTA_FDS, 1) != CN_OK)
        return CN_E_MFILE;
    enum cn_errno error = place(table, number, result);
    if (error != CN_E_SUCCESS)
        cn_account_refund(table->account, CN_QUOTA_FDS, 1);
    return error;
}

static void release(struct cn_fd_table *table, struct cn_fd *fd)
{
    if (fd->is_in_wait_set)
        (void)epoll_ctl(table->wait_set, EPOLL_CTL_DEL, fd->host, NULL);
    cn_dir_stream_free(fd->stream, allocator_of(table));
    if (fd->terminal != NULL)
        cn_free(allocator_of(table), fd->terminal, sizeof *fd->terminal);
    if (fd->host >= 0)
        close(fd->host);
    if (fd->volume != NULL)
        cn_volume_close(fd->volume, fd->opened);
    cn_disk_close(fd->volume != NULL ? &fd->volume->disk : table->disk, fd->inode);
    cn_account_refund(table->account, CN_QUOTA_FDS, 1);
    if (fd->kind == CN_FD_SOCKET)
        cn_account_refund(table->account, CN_QUOTA_CONNECTIONS, 1);
    if (fd->kind == CN_FD_PRESSURE)
        table->pressure_count--;
    cn_free(allocator_of(table), fd, sizeof *fd);
}

static void vacate(struct cn_fd_table *table, uint32_t number)
{
    table->slots[number] = NULL;
    if (number < table->lowest)
        table->lowest = number;
}

void cn_fd_close(struct cn_fd_table *table, uint32_t number)
{
    struct cn_fd *fd = cn_fd_get(table, number);

    assert(fd != NULL);
    vacate(table, number);
    release(table, fd);
}

void cn_fd_renumber(struct cn_fd_table *table, uint32_t from, uint32_t to)
{
    struct cn_fd *fd = cn_fd_get(table, from);
    struct cn_fd *replaced = cn_fd_get(table, to);

    assert(fd != NULL && replaced != NULL);
    if (from == to)
        return;
    table->slots[to] = fd;
    vacate(table, from);
    release(table, replaced);
}
