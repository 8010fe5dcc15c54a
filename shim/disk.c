#include "shim/disk.h"

#include <assert.h>
#include <fcntl.h>
#include <stdatomic.h>

#define CHAINS_FIRST 64u
#define CHAINS_MAX (1u << 24)
#define FORGOTTEN_AT_ONCE 512 /* chains of about one each: some 50 us */

static struct cn_allocator allocator_of(const struct cn_disk *disk)
{
    return cn_account_allocator(disk->memory);
}

static uint64_t blocks_of(uint64_t size)
{
    return size / CN_DISK_BLOCK + (size % CN_DISK_BLOCK != 0);
}

/* Blocks that this VM pays for when the inode has that size. */
static uint64_t due_blocks(const struct cn_inode *inode, uint64_t size)
{
    uint64_t blocks = blocks_of(size);

    return blocks > inode->base_blocks ? blocks - inode->base_blocks : 0;
}

static uint64_t hash_of(uint64_t dev, uint64_t ino)
{
    uint64_t hash = (ino ^ (dev << 32 | dev >> 32)) * 0x9e3779b97f4a7c15u;

    return hash ^ hash >> 29;
}

static struct cn_inode **chain_of(const struct cn_disk *disk, uint64_t dev, uint64_t ino)
{
    return &disk->chains[hash_of(dev, ino) & (disk->chain_count - 1)];
}

static struct cn_inode *find(const struct cn_disk *disk, uint64_t dev, uint64_t ino)
{
    struct cn_inode *inode = disk->chain_count ? *chain_of(disk, dev, ino) : NULL;

    while (inode != NULL && (inode->dev != dev || inode->ino != ino || inode->is_gone))
        inode = inode->next;
    return inode;
}

/* Makes room for one more; a table that cannot grow is merely slower. */
static enum cn_errno reserve(struct cn_disk *disk)
{
    uint32_t count = disk->chain_count ? disk->chain_count * 2 : CHAINS_FIRST;

    if (disk->chain_count != 0 &&
        (disk->inode_count < disk->chain_count || count > CHAINS_MAX))
        return CN_E_SUCCESS;
    struct cn_inode **chains =
        cn_alloc_array(allocator_of(disk), count, sizeof(struct cn_inode *));
    if (chains == NULL)
        return disk->chain_count ? CN_E_SUCCESS : CN_E_NOMEM;

    struct cn_disk grown = *disk;
    grown.chains = chains;
    grown.chain_count = count;
    for (uint32_t i = 0; i < disk->chain_count; i++) {
        struct cn_inode *inode = disk->chains[i];
        while (inode != NULL) {
            struct cn_inode *next = inode->next;
            struct cn_inode **chain = chain_of(&grown, inode->dev, inode->ino);
            inode->next = *chain;
            *chain = inode;
            inode = next;
        }
    }
    cn_free(allocator_of(disk), disk->chains, disk->chain_count * sizeof *disk->chains);
    *disk = grown;
    return CN_E_SUCCESS;
}

/* ------------------------------------------------------------------ the ledger */

/* Its state is written last, so that a crash leaves no record that is half true. */
static void set_state(struct cn_ledger_record *record, enum cn_ledger_state state)
{
    atomic_signal_fence(memory_order_seq_cst);
    record->state = state;
}

/* The inode has changed. */
static void note(const struct cn_disk *disk, const struct cn_inode *inode)
{
    if (inode->number == 0 || inode->ino == 0) /* it is not there yet */
        return;
    struct cn_ledger_record *record = cn_ledger_at(disk->ledger, inode->number);
    record->dev = inode->dev;
    record->ino = inode->ino;
    record->size = inode->size;
    record->base_blocks = inode->base_blocks;
    set_state(record, inode->is_gone   ? CN_LEDGER_GONE
                      : inode->is_ours ? CN_LEDGER_OURS
                                       : CN_LEDGER_KNOWN);
}

static void note_names(struct cn_disk *disk)
{
    if (disk->ledger != NULL)
        disk->ledger->head->second_names = disk->second_names;
}

static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
    return hash;
}

/* Something will be there, or not: who comes after a crash has to look. What is there already is
 * not what this VM is about to create. */
static void note_intent(const struct cn_disk *disk, const struct cn_inode *inode, int dir,
                        const char *name)
{
    struct stat stat;

    if (inode->number == 0 || fstatat(dir, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 ||
        fstat(dir, &stat) != 0)
        return;
    struct cn_ledger_record *record = cn_ledger_at(disk->ledger, inode->number);
    record->dir_dev = stat.st_dev;
    record->dir_ino = stat.st_ino;
    record->name = hash_name(name);
    set_state(record, CN_LEDGER_INTENDED);
}

/* ------------------------------------------------------------------ inodes */

/* With a record of that number, or of a new one. */
static enum cn_errno new_inode(struct cn_disk *disk, uint32_t number, struct cn_inode **result)
{
    enum cn_errno error = reserve(disk);

    if (error != CN_E_SUCCESS)
        return error;
    struct cn_inode *inode = cn_alloc(allocator_of(disk), sizeof *inode);
    if (inode == NULL)
        return CN_E_NOMEM;
    inode->number = number;
    if (disk->ledger != NULL && number == 0 &&
        (inode->number = cn_ledger_take(disk->ledger)) == 0) {
        cn_free(allocator_of(disk), inode, sizeof *inode);
        return CN_E_NOMEM;
    }
    disk->inode_count++;
    *result = inode;
    return CN_E_SUCCESS;
}

static void free_inode(struct cn_disk *disk, struct cn_inode *inode)
{
    if (inode->number != 0)
        cn_ledger_leave(disk->ledger, inode->number);
    disk->inode_count--;
    cn_free(allocator_of(disk), inode, sizeof *inode);
}

static void put(struct cn_disk *disk, struct cn_inode *inode, const struct stat *stat)
{
    struct cn_inode **chain = chain_of(disk, stat->st_dev, stat->st_ino);

    inode->dev = stat->st_dev;
    inode->ino = stat->st_ino;
    inode->next = *chain;
    *chain = inode;
    note(disk, inode);
}

static void take_out(struct cn_disk *disk, struct cn_inode *inode)
{
    struct cn_inode **link = chain_of(disk, inode->dev, inode->ino);

    while (*link != inode)
        link = &(*link)->next;
    *link = inode->next;
    free_inode(disk, inode);
}

static void set_size(struct cn_disk *disk, struct cn_inode *inode, uint64_t size)
{
    uint64_t before = due_blocks(inode, inode->size);
    uint64_t after = due_blocks(inode, size);

    assert(after <= before);
    cn_account_refund(disk->account, CN_QUOTA_DISK, (before - after) * CN_DISK_BLOCK);
    inode->size = size;
    note(disk, inode);
}

/* Gives back everything that the inode cost. */
static void refund(struct cn_disk *disk, struct cn_inode *inode)
{
    set_size(disk, inode, 0);
    if (inode->is_ours)
        cn_account_refund(disk->account, CN_QUOTA_INODES, 1);
}

/* Drops a record that says nothing any more. */
static void settle(struct cn_disk *disk, struct cn_inode *inode)
{
    if (inode->open_count > 0)
        return;
    if (inode->is_gone)
        refund(disk, inode);
    else if (inode->is_ours || blocks_of(inode->size) != inode->base_blocks)
        return;
    take_out(disk, inode);
}

void cn_disk_init(struct cn_disk *disk, struct cn_account *account)
{
    *disk = (struct cn_disk){.account = account, .memory = account};
}

static bool outlives(const struct cn_inode *inode)
{
    return !inode->is_gone && (inode->is_ours || blocks_of(inode->size) != inode->base_blocks);
}

static void forget(struct cn_disk *disk, uint32_t chain)
{
    while (disk->chains[chain] != NULL) {
        struct cn_inode *inode = disk->chains[chain];
        disk->chains[chain] = inode->next;
        if (outlives(inode))
            inode->number = 0; /* its record stays */
        free_inode(disk, inode);
    }
}

bool cn_disk_forget_some(struct cn_disk *disk)
{
    for (int i = 0; disk->forgotten < disk->chain_count && i < FORGOTTEN_AT_ONCE; i++)
        forget(disk, disk->forgotten++);
    return disk->forgotten == disk->chain_count;
}

void cn_disk_release(struct cn_disk *disk)
{
    while (!cn_disk_forget_some(disk))
        continue;
    cn_free(allocator_of(disk), disk->chains, disk->chain_count * sizeof *disk->chains);
    disk->chains = NULL;
    disk->chain_count = disk->forgotten = 0;
    disk->ledger = NULL;
}

/* ------------------------------------------------------------------ going on with a ledger */

static enum cn_errno restore(struct cn_disk *disk, uint32_t number)
{
    const struct cn_ledger_record record = *cn_ledger_at(disk->ledger, number);
    struct stat stat = {.st_dev = record.dev, .st_ino = record.ino};
    struct cn_inode *inode;

    if (record.state != CN_LEDGER_KNOWN && record.state != CN_LEDGER_OURS)
        return CN_E_SUCCESS;
    enum cn_errno error = new_inode(disk, number, &inode);
    if (error != CN_E_SUCCESS)
        return error;
    inode->size = record.size;
    inode->base_blocks = record.base_blocks;
    inode->is_ours = record.state == CN_LEDGER_OURS;
    put(disk, inode, &stat);
    cn_account_count(disk->account, CN_QUOTA_DISK,
                     due_blocks(inode, inode->size) * CN_DISK_BLOCK);
    cn_account_count(disk->account, CN_QUOTA_INODES, inode->is_ours);
    return CN_E_SUCCESS;
}

/* What is of no use for who goes on. */
static void clear(struct cn_disk *disk, uint32_t number)
{
    uint32_t state = cn_ledger_at(disk->ledger, number)->state;

    if (state == CN_LEDGER_INTENDED && disk->intended_count < CN_INTENDED_MAX)
        disk->intended[disk->intended_count++] = number;
    else if (state == CN_LEDGER_INTENDED || state >= CN_LEDGER_GONE)
        cn_ledger_leave(disk->ledger, number);
}

enum cn_errno cn_disk_restore(struct cn_disk *disk, struct cn_ledger *ledger)
{
    enum cn_errno error = CN_E_SUCCESS;

    disk->ledger = ledger;
    disk->second_names = ledger->head->second_names;
    for (uint32_t number = 1; error == CN_E_SUCCESS && number <= ledger->head->count; number++) {
        error = restore(disk, number);
        clear(disk, number);
    }
    return error;
}

/* The record of what was to be created there, or 0. */
static uint32_t intent(const struct cn_disk *disk, const struct stat *parent, const char *name)
{
    for (uint32_t i = 0; i < disk->intended_count; i++) {
        uint32_t number = disk->intended[i];
        const struct cn_ledger_record *record = cn_ledger_at(disk->ledger, number);
        if (record->state == CN_LEDGER_INTENDED && record->dir_dev == parent->st_dev &&
            record->dir_ino == parent->st_ino && record->name == hash_name(name))
            return number;
    }
    return 0;
}

/* Counts what is there as our own, with a record of that number. */
static enum cn_errno adopt(struct cn_disk *disk, const struct stat *stat, uint32_t number)
{
    struct cn_inode *inode;
    enum cn_errno error = new_inode(disk, number, &inode);

    if (error != CN_E_SUCCESS)
        return error;
    inode->is_ours = inode->is_found = true;
    inode->size = S_ISDIR(stat->st_mode) ? 0 : (uint64_t)stat->st_size;
    put(disk, inode, stat);
    cn_account_count(disk->account, CN_QUOTA_DISK, blocks_of(inode->size) * CN_DISK_BLOCK);
    cn_account_count(disk->account, CN_QUOTA_INODES, 1);
    return CN_E_SUCCESS;
}

enum cn_errno cn_disk_adopt(struct cn_disk *disk, const struct stat *stat)
{
    if (find(disk, stat->st_dev, stat->st_ino) == NULL)
        return adopt(disk, stat, 0);
    disk->second_names++;
    note_names(disk);
    return CN_E_SUCCESS;
}

void cn_disk_found(struct cn_disk *disk, const struct stat *stat, const struct stat *parent,
                   const char *name)
{
    struct cn_inode *inode = find(disk, stat->st_dev, stat->st_ino);
    uint32_t number = inode == NULL ? intent(disk, parent, name) : 0;

    /* It was created, and the VM ended before it could be written down. */
    if (number != 0)
        (void)adopt(disk, stat, number);
    if (inode == NULL)
        return;
    inode->is_found = true;
    if (S_ISREG(stat->st_mode))
        cn_disk_measure(disk, inode, (uint64_t)stat->st_size);
}

void cn_disk_settle_found(struct cn_disk *disk, bool is_all)
{
    for (uint32_t i = 0; i < disk->chain_count; i++) {
        for (struct cn_inode *inode = disk->chains[i], *next; inode != NULL; inode = next) {
            next = inode->next;
            inode->is_gone = is_all && !inode->is_found;
            inode->is_found = false;
            settle(disk, inode);
        }
    }
    for (uint32_t i = 0; i < disk->intended_count; i++)
        if (cn_ledger_at(disk->ledger, disk->intended[i])->state == CN_LEDGER_INTENDED)
            cn_ledger_leave(disk->ledger, disk->intended[i]);
    disk->intended_count = 0;
}

/* ------------------------------------------------------------------ what becomes of files */

enum cn_errno cn_disk_prepare(struct cn_disk *disk, int dir, const char *name,
                              struct cn_inode **result)
{
    if (cn_account_charge(disk->account, CN_QUOTA_INODES, 1) != CN_OK)
        return CN_E_DQUOT;
    enum cn_errno error = new_inode(disk, 0, result);
    if (error != CN_E_SUCCESS) {
        cn_account_refund(disk->account, CN_QUOTA_INODES, 1);
        return error;
    }
    (*result)->is_ours = true;
    note_intent(disk, *result, dir, name);
    return CN_E_SUCCESS;
}

void cn_disk_created(struct cn_disk *disk, struct cn_inode *inode, const struct stat *stat)
{
    struct cn_inode *stale = find(disk, stat->st_dev, stat->st_ino);

    /* Somebody outside removed a file of ours, and the host gave its number to the new one. */
    if (stale != NULL) {
        stale->is_gone = true;
        settle(disk, stale);
    }
    put(disk, inode, stat);
}

void cn_disk_abandon(struct cn_disk *disk, struct cn_inode *inode)
{
    cn_account_refund(disk->account, CN_QUOTA_INODES, 1);
    cn_account_refund(disk->account, CN_QUOTA_DISK,
                      due_blocks(inode, inode->size) * CN_DISK_BLOCK);
    free_inode(disk, inode);
}

void cn_disk_measure(struct cn_disk *disk, struct cn_inode *inode, uint64_t size)
{
    uint64_t found = blocks_of(size);
    uint64_t paid = due_blocks(inode, inode->size);

    if (found <= blocks_of(inode->size)) {
        set_size(disk, inode, size);
        return;
    }
    if (found - paid > inode->base_blocks)
        inode->base_blocks = found - paid;
    inode->size = size;
    note(disk, inode);
}

enum cn_errno cn_disk_open(struct cn_disk *disk, const struct stat *stat,
                           struct cn_inode **result)
{
    struct cn_inode *inode = find(disk, stat->st_dev, stat->st_ino);
    bool is_file = S_ISREG(stat->st_mode);

    if (inode == NULL && is_file) {
        enum cn_errno error = new_inode(disk, 0, &inode);
        if (error != CN_E_SUCCESS)
            return error;
        inode->size = (uint64_t)stat->st_size;
        inode->base_blocks = blocks_of(inode->size);
        put(disk, inode, stat);
    }
    if (inode != NULL) {
        if (is_file && inode->open_count == 0)
            cn_disk_measure(disk, inode, (uint64_t)stat->st_size);
        inode->open_count++;
    }
    *result = inode;
    return CN_E_SUCCESS;
}

void cn_disk_close(struct cn_disk *disk, struct cn_inode *inode)
{
    if (inode == NULL)
        return;
    assert(inode->open_count > 0);
    inode->open_count--;
    settle(disk, inode);
}

enum cn_errno cn_disk_named(struct cn_disk *disk)
{
    if (disk->second_names >= disk->account->limit[CN_QUOTA_INODES]) {
        disk->account->refused[CN_QUOTA_INODES]++;
        return CN_E_DQUOT;
    }
    disk->second_names++;
    note_names(disk);
    return CN_E_SUCCESS;
}

void cn_disk_unnamed(struct cn_disk *disk)
{
    /* Names that were there before may be removed as well; they give no credit. */
    if (disk->second_names > 0)
        disk->second_names--;
    note_names(disk);
}

void cn_disk_unlinked(struct cn_disk *disk, const struct stat *stat)
{
    struct cn_inode *inode = find(disk, stat->st_dev, stat->st_ino);

    if (stat->st_nlink > 1 && !S_ISDIR(stat->st_mode)) {
        cn_disk_unnamed(disk);
        return;
    }
    if (inode == NULL)
        return;
    inode->is_gone = true;
    note(disk, inode);
    settle(disk, inode);
}

uint64_t cn_disk_reach(const struct cn_disk *disk, const struct cn_inode *inode, uint64_t end)
{
    if (end <= inode->size)
        return end;
    uint64_t blocks = cn_account_left(disk->account, CN_QUOTA_DISK) / CN_DISK_BLOCK;
    uint64_t free_blocks = inode->base_blocks + due_blocks(inode, inode->size);
    if (blocks_of(end) <= free_blocks || blocks_of(end) - free_blocks <= blocks)
        return end;
    uint64_t reach = (free_blocks + blocks) * CN_DISK_BLOCK;
    return reach > inode->size ? reach : inode->size;
}

enum cn_errno cn_disk_resize(struct cn_disk *disk, struct cn_inode *inode, uint64_t size)
{
    uint64_t before = due_blocks(inode, inode->size);
    uint64_t after = due_blocks(inode, size);

    if (after > before) {
        uint64_t amount = (after - before) * CN_DISK_BLOCK;
        if (cn_account_charge(disk->account, CN_QUOTA_DISK, amount) != CN_OK)
            return CN_E_DQUOT;
        inode->size = size;
        note(disk, inode);
    } else {
        set_size(disk, inode, size);
    }
    return CN_E_SUCCESS;
}
