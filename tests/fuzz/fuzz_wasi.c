/* System calls in any order, with extremes in every parameter, against a model of what the gateway
 * has to refuse, of descriptors with their rights, and of what the disk is charged for. The guest's
 * memory is a block of its exact size: an access beside it is the sanitizer's. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim/enter.h"
#include "shim/errno.h"
#include "tests/fuzz/cursor.h"

#define MEMORY_SIZE 65536u
#define FDS_LIMIT 12u
#define DISK_LIMIT 100000u
#define INODES_LIMIT 12u
#define CALLS_MAX 40
#define SLOTS 16
#define BLOCK 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the model knows of a descriptor. */
struct known {
    bool is_open;
    enum cn_fd_kind kind;
    uint64_t rights, inheriting;
    bool is_read_only, has_position;
};

struct world {
    struct cn_account account;
    struct cn_memory memory;
    struct cn_thread thread;
    struct cn_wasi *wasi;
    struct known known[FDS_LIMIT];
    char root[64], other[64];
    uint8_t before[MEMORY_SIZE];
};

static void require(bool condition, const char *what, const char *where)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_wasi: %s: %s\n", where, what);
    abort();
}

/* ------------------------------------------------------------------ a guest's world */

static uint64_t no_time(const void *context)
{
    (void)context;
    return 0;
}

static int make_dir(char *path)
{
    snprintf(path, 64, "/dev/shm/cn-wasi-XXXXXX");
    if (mkdtemp(path) == NULL) {
        snprintf(path, 64, "/tmp/cn-wasi-XXXXXX");
        require(mkdtemp(path) != NULL, "no place for files", "mkdtemp");
    }
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int listener(void)
{
    static int kept = -1;
    struct sockaddr_in address = {.sin_family = AF_INET};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (kept < 0) {
        kept = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        require(bind(kept, (struct sockaddr *)&address, sizeof address) == 0 &&
                    listen(kept, 4) == 0, "no listener", "listen");
    }
    return kept;
}

static void learn(struct world *world)
{
    for (uint32_t i = 0; i < FDS_LIMIT; i++) {
        const struct cn_fd *fd = cn_fd_get(&world->wasi->fds, i);
        world->known[i] = (struct known){.is_open = fd != NULL};
        if (fd != NULL)
            world->known[i] = (struct known){true, fd->kind, fd->rights, fd->inheriting,
                                             fd->is_read_only, fd->has_position};
    }
}

static void open_world(struct world *world)
{
    static const char *const args[] = {"app", "argument"};
    static const char *const variables[] = {"KEY=value"};
    struct cn_error error = {.text = ""};
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), listens = listener();
    struct cn_wasi_dir dirs[] = {{make_dir(world->root), "/", false, NULL},
                                 {make_dir(world->other), "/fixed", true, NULL}};
    struct cn_wasi_config config = {
        .args = args, .arg_count = 2, .environ = variables, .environ_count = 1,
        .stdio = {nothing, nothing, nothing}, .dirs = dirs, .dir_count = 2,
        .listeners = &listens, .listener_count = 1, .account = &world->account, .cpu_ns = no_time,
    };
    char path[96];

    snprintf(path, sizeof path, "%s/a", world->other);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    cn_account_init(&world->account);
    world->account.limit[CN_QUOTA_FDS] = FDS_LIMIT;
    world->account.limit[CN_QUOTA_DISK] = DISK_LIMIT;
    world->account.limit[CN_QUOTA_INODES] = INODES_LIMIT;
    world->account.limit[CN_QUOTA_MEMORY] = 16u << 20;
    world->memory.base = malloc(MEMORY_SIZE);
    world->memory.size = MEMORY_SIZE;
    require(world->memory.base != NULL, "no memory", "malloc");
    memset(world->memory.base, 0xaa, MEMORY_SIZE);
    world->thread.memory = &world->memory;
    require(cn_wasi_new(&config, &world->wasi, &error) == CN_OK, error.text, "cn_wasi_new");
    for (int i = 0; i < 2; i++)
        close(dirs[i].host);
    close(nothing);
    learn(world);
}

/* ------------------------------------------------------------------ what is on the disk */

static struct {
    uint64_t blocks, count;
    ino_t seen[64];
} counted;

static int count_entry(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)type;
    if (walk->level == 0)
        return 0;
    for (uint64_t i = 0; i < counted.count; i++)
        if (counted.seen[i] == stat->st_ino)
            return 0;
    require(counted.count < 64, "more inodes than could be", path);
    counted.seen[counted.count++] = stat->st_ino;
    if (!S_ISDIR(stat->st_mode))
        counted.blocks += ((uint64_t)stat->st_size + BLOCK - 1) / BLOCK;
    return 0;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

/* Everything is closed, so what is there is what is charged, and nothing else is. */
static void close_world(struct world *world)
{
    cn_wasi_free(world->wasi);
    counted.blocks = counted.count = 0;
    require(nftw(world->root, count_entry, 16, FTW_PHYS) == 0, "nftw", "recount");
    require(world->account.used[CN_QUOTA_DISK] == counted.blocks * BLOCK, "disk", "recount");
    require(world->account.used[CN_QUOTA_INODES] == counted.count, "inodes", "recount");
    require(world->account.used[CN_QUOTA_FDS] == 0, "descriptors", "recount");
    require(world->account.used[CN_QUOTA_MEMORY] == 0, "memory", "recount");
    require(world->account.used[CN_QUOTA_CONNECTIONS] == 0, "connections", "recount");
    counted.blocks = counted.count = 0;
    require(nftw(world->other, count_entry, 16, FTW_PHYS) == 0, "nftw", "recount");
    require(counted.blocks == 0 && counted.count == 1, "a read-only directory", "recount");
    nftw(world->root, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
    nftw(world->other, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
    free(world->memory.base);
}

/* ------------------------------------------------------------------ parameters */

/* An address where it is often wrong, but only a little. */
static uint32_t pick_address(struct cursor *cursor)
{
    static const uint32_t edges[] = {0, 1, 7, MEMORY_SIZE - 1, MEMORY_SIZE - 8, MEMORY_SIZE,
                                     MEMORY_SIZE + 1, 0x7fffffff, 0x80000000, 0xfffffff8,
                                     0xffffffff, MEMORY_SIZE - 24, MEMORY_SIZE - 64};
    uint32_t way = cursor_byte(cursor);

    if (way < 200)
        return 64 + way * 128; /* good, and mostly apart from others */
    if (way < 216)
        return cursor_u32(cursor);
    return edges[way % (sizeof edges / sizeof *edges)];
}

static uint32_t pick_length(struct cursor *cursor)
{
    static const uint32_t edges[] = {0, 1, 1023, 1024, 1025, 4096, 4097, MEMORY_SIZE,
                                     0x10000000, 0x20000001, 0x80000000, 0xffffffff};
    uint32_t way = cursor_byte(cursor);

    return way < 200 ? way : edges[way % (sizeof edges / sizeof *edges)];
}

/* Writes a path where the guest would have one; returns its length. */
static uint32_t put_path(struct world *world, uint32_t address, struct cursor *cursor)
{
    static const char *const paths[] = {
        "a", "b", "d", "d/a", "d/b", "d/e", "l", "a/", "d/", ".", "..", "d/..", "../a", "d/../a",
        "/a", "d/./a", "l/a", "", "a/b", "d//a",
    };
    const char *path = paths[cursor_pick(cursor, sizeof paths / sizeof *paths)];
    size_t length = strlen(path);

    if (address <= MEMORY_SIZE && length <= MEMORY_SIZE - address)
        memcpy(world->memory.base + address, path, length);
    return (uint32_t)length;
}

/* A few entries, each anywhere. */
static uint32_t put_iovecs(struct world *world, uint32_t address, struct cursor *cursor)
{
    uint32_t count = cursor_pick(cursor, 4);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t entry[2] = {pick_address(cursor), pick_length(cursor)};
        if (address <= MEMORY_SIZE && (i + 1) * 8 <= MEMORY_SIZE - address)
            memcpy(world->memory.base + address + i * 8, entry, 8);
    }
    return count;
}

/* Subscriptions that ring at once, or are of what is not there. */
static uint32_t put_events(struct world *world, uint32_t address, struct cursor *cursor)
{
    uint32_t count = cursor_pick(cursor, 4);

    for (uint32_t i = 0; i < count && (uint64_t)address + (i + 1) * 56 <= MEMORY_SIZE; i++) {
        uint8_t *at = world->memory.base + address + i * 48;
        memset(at, 0, 48);
        at[8] = (uint8_t)cursor_pick(cursor, 4);
        at[16] = (uint8_t)cursor_pick(cursor, 16);
        at[24] = cursor_byte(cursor);
    }
    return count;
}

static uint64_t pick_number(struct cursor *cursor, bool is_wide)
{
    uint32_t way = cursor_byte(cursor);

    if (way < 128)
        return way;
    if (way < 160)
        return cursor_u32(cursor) % 300000;
    if (way < 200) /* rights, for the most part */
        return is_wide ? 0x3fffffff & ~(1u << way % 30) : 1u << way % 32;
    return is_wide ? (way < 228 ? UINT64_MAX : 1ull << way % 64) : cursor_u32(cursor);
}

static void fill(struct world *world, const struct cn_import_row *row, union cn_slot *slots,
                 struct cursor *cursor)
{
    for (const struct cn_param *param = row->params; param->kind != CN_PARAM_END;
         slots += param->slots, param++) {
        switch (param->kind) {
        case CN_PARAM_FD:
            slots[0].u64 = cursor_pick(cursor, 16) == 0 ? cursor_u32(cursor)
                                                        : cursor_pick(cursor, FDS_LIMIT + 2);
            break;
        case CN_PARAM_NUMBER:
            slots[0].u64 = pick_number(cursor, param->detail == 64);
            break;
        default:
            for (uint8_t i = 0; i < param->slots; i++)
                slots[i].u64 = i == param->slots - 1 && i > 0 && param->kind != CN_PARAM_STRINGS
                                   ? pick_length(cursor)
                                   : pick_address(cursor);
        }
        bool is_plain = cursor_pick(cursor, 8) != 0;
        if (param->kind == CN_PARAM_PATH && is_plain)
            slots[1].u64 = put_path(world, slots[0].u32, cursor);
        if (param->kind == CN_PARAM_IOVECS && is_plain)
            slots[1].u64 = put_iovecs(world, slots[0].u32, cursor);
        if (param->kind == CN_PARAM_EVENTS && is_plain)
            slots[2].u64 = put_events(world, slots[0].u32, cursor);
    }
}

/* ------------------------------------------------------------------ the model of the gateway */

static bool is_inside(uint64_t address, uint64_t size)
{
    return address + size <= MEMORY_SIZE;
}

/* The descriptor's class, by the words of spec/wasi.def. */
static uint32_t refused_class(const struct known *fd, uint8_t class)
{
    bool is_socket = fd->kind == CN_FD_SOCKET || fd->kind == CN_FD_LISTENER;

    if (class == CN_CLASS_DIR)
        return fd->kind == CN_FD_DIR ? CN_E_SUCCESS : CN_E_NOTDIR;
    if (class == CN_CLASS_SOCKET || class == CN_CLASS_LISTENER) {
        if (!is_socket)
            return CN_E_NOTSOCK;
        if (class == CN_CLASS_SOCKET)
            return fd->kind == CN_FD_LISTENER ? CN_E_NOTCONN : CN_E_SUCCESS;
        return fd->kind == CN_FD_SOCKET ? CN_E_INVAL : CN_E_SUCCESS;
    }
    if (class == CN_CLASS_ANY)
        return CN_E_SUCCESS;
    if (class == CN_CLASS_PRESSURE)
        return fd->kind == CN_FD_PRESSURE ? CN_E_SUCCESS : CN_E_INVAL;
    if (class == CN_CLASS_DATA && fd->kind == CN_FD_LISTENER)
        return CN_E_NOTCONN;
    if (fd->kind == CN_FD_DIR)
        return CN_E_ISDIR;
    if (class == CN_CLASS_SEEKABLE && fd->kind != CN_FD_FILE && !fd->has_position)
        return CN_E_SPIPE;
    return class == CN_CLASS_REGULAR && fd->kind != CN_FD_FILE ? CN_E_INVAL : CN_E_SUCCESS;
}

static uint32_t refused_fd(const struct world *world, const struct cn_param *param, uint32_t number)
{
    if (number >= FDS_LIMIT || !world->known[number].is_open)
        return CN_E_BADF;
    const struct known *fd = &world->known[number];
    uint32_t error = refused_class(fd, param->detail);
    uint64_t missing = param->rights & ~fd->rights;
    if (error != CN_E_SUCCESS || missing == 0)
        return error;
    return fd->is_read_only && !(missing & ~(uint64_t)CN_RIGHTS_CHANGING) ? CN_E_ROFS
                                                                          : CN_E_NOTCAPABLE;
}

static uint32_t refused_path(const struct world *world, uint32_t address, uint32_t length)
{
    if (!is_inside(address, length))
        return CN_E_FAULT;
    if (length == 0)
        return CN_E_NOENT;
    if (length > CN_PATH_MAX)
        return CN_E_NAMETOOLONG;
    for (uint32_t i = 0; i < length; i++)
        if (world->memory.base[address + i] == 0)
            return CN_E_INVAL;
    return world->memory.base[address] == '/' ? CN_E_NOTCAPABLE : CN_E_SUCCESS;
}

static uint32_t refused_iovecs(const struct world *world, uint32_t address, uint32_t count)
{
    uint32_t entry[2];

    if (count > CN_IOVECS_MAX)
        return CN_E_INVAL;
    if (!is_inside(address, (uint64_t)count * 8))
        return CN_E_FAULT;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(entry, world->memory.base + address + i * 8, 8);
        if (!is_inside(entry[0], entry[1]))
            return CN_E_FAULT;
    }
    return CN_E_SUCCESS;
}

static uint32_t refused_events(const struct cn_import_row *row, const union cn_slot *slots)
{
    uint64_t count = slots[2].u32;

    if (count == 0 || count > CN_EVENTS_MAX)
        return CN_E_INVAL;
    return is_inside(slots[0].u32, count * (row->is_unstable ? 56 : 48)) &&
                   is_inside(slots[1].u32, count * 32)
               ? CN_E_SUCCESS
               : CN_E_FAULT;
}

static uint32_t refused_one(const struct world *world, const struct cn_import_row *row,
                            const struct cn_param *param, const union cn_slot *slots)
{
    switch (param->kind) {
    case CN_PARAM_FD:
        return refused_fd(world, param, slots[0].u32);
    case CN_PARAM_PATH:
        return refused_path(world, slots[0].u32, slots[1].u32);
    case CN_PARAM_IOVECS:
        return refused_iovecs(world, slots[0].u32, slots[1].u32);
    case CN_PARAM_BUFFER:
        return is_inside(slots[0].u32, slots[1].u32) ? CN_E_SUCCESS : CN_E_FAULT;
    case CN_PARAM_STRINGS: /* of what open_world gives */
        return is_inside(slots[0].u32, param->detail ? 4 : 8) &&
                       is_inside(slots[1].u32, param->detail ? 10 : 13)
                   ? CN_E_SUCCESS
                   : CN_E_FAULT;
    case CN_PARAM_EVENTS:
        return refused_events(row, slots);
    case CN_PARAM_OUT:
        return is_inside(slots[0].u32, row->is_unstable ? param->size0 : param->size)
                   ? CN_E_SUCCESS
                   : CN_E_FAULT;
    default:
        return CN_E_SUCCESS;
    }
}

/* What the gateway must say before the call's own code runs; SUCCESS when it must let it in. */
static uint32_t refusal(const struct world *world, const struct cn_import_row *row,
                        const union cn_slot *slots)
{
    uint32_t error = CN_E_SUCCESS;

    for (const struct cn_param *param = row->params;
         param->kind != CN_PARAM_END && error == CN_E_SUCCESS; slots += param->slots, param++)
        error = refused_one(world, row, param, slots);
    return error;
}

/* ------------------------------------------------------------------ the model of descriptors */

static uint32_t lowest_free(const struct world *world)
{
    uint32_t number = 0;

    while (number < FDS_LIMIT && world->known[number].is_open)
        number++;
    return number;
}

/* A new one has no more than what it was opened from passes on. */
static void opened(struct world *world, const struct cn_import_row *row,
                   const union cn_slot *slots)
{
    const struct known dir = world->known[slots[0].u32];
    uint32_t number = cn_load_u32(world->memory.base + slots[8].u32);
    const struct cn_fd *fd = cn_fd_get(&world->wasi->fds, number);

    require(number == lowest_free(world) && fd != NULL, "another number", row->name);
    require((fd->rights & ~dir.inheriting) == 0 && (fd->inheriting & ~dir.inheriting) == 0,
            "rights that the directory has not", row->name);
    require((fd->rights & ~slots[5].u64) == 0 && (fd->inheriting & ~slots[6].u64) == 0,
            "rights that were not asked for", row->name);
    require(fd->is_read_only == dir.is_read_only, "a read-only directory", row->name);
    require(!fd->is_read_only || (fd->rights & CN_RIGHTS_CHANGING) == 0, "a right to change",
            row->name);
    require(fd->kind == CN_FD_FILE || fd->kind == CN_FD_DIR, "a kind", row->name);
    world->known[number] = (struct known){true, fd->kind, fd->rights, fd->inheriting,
                                          fd->is_read_only, fd->has_position};
}

/* Good for waiting alone. */
static void opened_pressure(struct world *world, const union cn_slot *slots)
{
    uint32_t number = cn_load_u32(world->memory.base + slots[0].u32);

    require(number == lowest_free(world), "another number", "pressure_open");
    world->known[number] = (struct known){.is_open = true, .kind = CN_FD_PRESSURE,
                                          .rights = CN_RIGHT_POLL_FD_READWRITE};
}

/* What a call that succeeded has changed in the table. */
static void follow(struct world *world, const struct cn_import_row *row,
                   const union cn_slot *slots)
{
    struct known *fd = &world->known[slots[0].u32 % FDS_LIMIT];

    if (strcmp(row->name, "fd_close") == 0) {
        fd->is_open = false;
    } else if (strcmp(row->name, "fd_renumber") == 0 && slots[0].u32 != slots[1].u32) {
        world->known[slots[1].u32] = *fd;
        fd->is_open = false;
    } else if (strcmp(row->name, "fd_fdstat_set_rights") == 0) {
        require((slots[1].u64 & ~fd->rights) == 0, "rights that grow", row->name);
        fd->rights = slots[1].u64;
        fd->inheriting &= slots[2].u64;
    } else if (strcmp(row->name, "path_open") == 0) {
        opened(world, row, slots);
    } else if (strcmp(row->name, "pressure_open") == 0) {
        opened_pressure(world, slots);
    }
}

static void check_table(const struct world *world, const char *name)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < FDS_LIMIT; i++) {
        const struct cn_fd *fd = cn_fd_get(&world->wasi->fds, i);
        const struct known *known = &world->known[i];
        require((fd != NULL) == known->is_open, "open or not", name);
        count += fd != NULL;
        if (fd != NULL)
            require(fd->rights == known->rights && fd->inheriting == known->inheriting &&
                        fd->kind == known->kind && fd->is_read_only == known->is_read_only,
                    "another descriptor than before", name);
    }
    require(cn_fd_get(&world->wasi->fds, FDS_LIMIT) == NULL, "beyond the quota", name);
    require(world->account.used[CN_QUOTA_FDS] == count, "the count of descriptors", name);
    require(world->account.used[CN_QUOTA_DISK] <= DISK_LIMIT, "the disk quota", name);
    require(world->account.used[CN_QUOTA_INODES] <= INODES_LIMIT, "the inode quota", name);
}

/* ------------------------------------------------------------------ calls */

/* False when the guest has exited. */
static bool make_call(struct world *world, struct cursor *cursor)
{
    uint32_t index = cursor_byte(cursor) % cn_import_row_count;
    const struct cn_import_row *row = &cn_import_rows[index];
    union cn_slot slots[SLOTS] = {{0}}, given[SLOTS];
    enum cn_status status;
    uint32_t tries = 0;

    fill(world, row, slots, cursor);
    memcpy(given, slots, sizeof given);
    memcpy(world->before, world->memory.base, MEMORY_SIZE);
    uint32_t expected = refusal(world, row, given);
    world->thread.call_state = (struct cn_call_state){{0}};
    do {
        memcpy(slots, given, sizeof slots);
        status = cn_wasi_enter(&world->thread, &world->wasi->bindings[index], slots);
    } while (status == CN_YIELD && tries++ < 10000);
    if (status == CN_PARKED) { /* the guest could be ended now: nobody waits with it */
        cn_wasi_resume(world->wasi);
        require(expected == CN_E_SUCCESS, "waits instead of refusing", row->name);
        check_table(world, row->name);
        return true;
    }
    if (status == CN_EXITED)
        return false;
    require(status == CN_OK && slots[0].u64 < 77, "no errno", row->name);
    if (expected != CN_E_SUCCESS && slots[0].u32 != expected) {
        fprintf(stderr, "fuzz_wasi: %s: expected %s, found %s\n", row->name,
                cn_errno_name(expected), cn_errno_name(slots[0].u32));
        abort();
    }
    if (expected != CN_E_SUCCESS)
        require(memcmp(world->before, world->memory.base, MEMORY_SIZE) == 0,
                "wrote though it refused", row->name);
    if (slots[0].u32 == CN_E_SUCCESS)
        follow(world, row, given);
    check_table(world, row->name);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct cursor cursor = {data, size};

    memset(&world, 0, sizeof world);
    open_world(&world);
    for (int i = 0; i < CALLS_MAX && cursor.left > 0; i++)
        if (!make_call(&world, &cursor))
            break;
    close_world(&world);
    return 0;
}
