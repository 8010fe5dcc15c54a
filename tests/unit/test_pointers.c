/* Every address that a system call takes, one at a time, at every edge; generated from the rows of
 * spec/wasi.def. And every byte that a call gives out is one that it has written. */
#include "shim/enter.h"
#include "wasi_fixture.h"

#define SLOTS 16
#define BUFFER_SIZE 64u

/* A part of the guest's memory that a call may read or write, and the parameter that says where. */
struct range {
    uint32_t slot, size;
    bool is_written;
};

/* A call whose parameters are all good. */
struct good_call {
    const struct cn_import_row *row;
    union cn_slot slots[SLOTS];
    struct range ranges[SLOTS];
    uint32_t count, slot;
};

static uint32_t out_place(const struct good_call *call)
{
    return AT_OUT + 128 * call->count;
}

static void add_range(struct good_call *call, uint32_t address, uint32_t size, bool is_written)
{
    call->ranges[call->count++] = (struct range){call->slot, size, is_written};
    call->slots[call->slot++].u64 = address;
}

/* Names that are there (a, a directory d, a link l), and one that is not: n. */
static const char *path_for(const char *name, uint32_t number)
{
    static const struct {
        const char *call, *paths;
    } rows[] = {{"path_create_directory", "n"}, {"path_symlink", "an"}, {"path_link", "an"},
                {"path_rename", "an"}, {"path_remove_directory", "d"}, {"path_readlink", "l"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(name, rows[i].call) == 0)
            return rows[i].paths + number;
    return "a";
}

static void add_path(struct guest *guest, struct good_call *call)
{
    uint32_t number = 0, address = AT_PATH;

    for (uint32_t i = 0; i < call->count; i++)
        if (!call->ranges[i].is_written && call->ranges[i].size == 1)
            number = 1, address = AT_PATH2;
    guest->memory.base[address] = (uint8_t)*path_for(call->row->name, number);
    add_range(call, address, 1, false);
    call->slots[call->slot++].u32 = 1;
}

static void add_fd(struct good_call *call, const struct cn_param *param, uint32_t file)
{
    bool is_dir = param->detail == CN_CLASS_DIR || strstr(call->row->name, "prestat") != NULL;

    call->slots[call->slot++].u32 = is_dir ? 3 : file;
}

static void add_param(struct guest *guest, struct good_call *call, const struct cn_param *param,
                      uint32_t file)
{
    bool is_old = call->row->is_unstable;

    switch ((enum cn_param_kind)param->kind) {
    case CN_PARAM_FD:
        add_fd(call, param, file);
        return;
    case CN_PARAM_PATH:
        add_path(guest, call);
        return;
    case CN_PARAM_IOVECS:
        put_iovec(guest, 8);
        add_range(call, AT_IOVECS, 8, false);
        call->slots[call->slot++].u32 = 1;
        return;
    case CN_PARAM_BUFFER:
        add_range(call, AT_DATA + 4096, BUFFER_SIZE, true);
        call->slots[call->slot++].u32 = BUFFER_SIZE;
        return;
    case CN_PARAM_STRINGS: /* there are none */
        add_range(call, AT_DATA + 8192, 0, true);
        add_range(call, AT_DATA + 12288, 0, true);
        return;
    case CN_PARAM_EVENTS: /* one: no time at all */
        memset(guest->memory.base + AT_DATA + 16384, 0, sizeof(struct cn_abi_subscription0));
        add_range(call, AT_DATA + 16384, is_old ? 56 : 48, false);
        add_range(call, AT_DATA + 20480, sizeof(struct cn_abi_event), true);
        call->slots[call->slot++].u32 = 1;
        return;
    case CN_PARAM_OUT:
        add_range(call, out_place(call), is_old && param->size0 ? param->size0 : param->size,
                  true);
        return;
    default:
        call->slot += param->slots;
    }
}

/* The file has some bytes, and all names are there. */
static uint32_t set_scene(struct guest *guest)
{
    guest_setup(guest);
    MUST(guest_open(guest, "a", CN_OFLAG_CREAT));
    uint32_t file = out_u32(guest);
    MUST(guest_write(guest, file, 64));
    MUST(CALL(guest, "fd_seek", I(file), I(0), I(0), I(AT_OUT)));
    cr_assert_eq(mkdirat(AT_FDCWD, host_path(guest, "d"), 0700), 0);
    cr_assert_eq(symlink("a", host_path(guest, "l")), 0);
    return file;
}

static struct good_call good_call(struct guest *guest, const struct cn_import_row *row,
                                  uint32_t file)
{
    struct good_call call = {.row = row};

    for (const struct cn_param *param = row->params; param->kind != CN_PARAM_END; param++)
        add_param(guest, &call, param, file);
    guest->module = row->module;
    return call;
}

/* A number that changes with what lies in the directory. */
static uint64_t look_of(struct guest *guest)
{
    static const char *const names[] = {"a", "d", "l", "n"};
    uint64_t look = 0;

    for (int i = 0; i < 4; i++) {
        struct stat stat;
        bool is_there = lstat(host_path(guest, names[i]), &stat) == 0;
        look = look * 1000003 + (is_there ? stat.st_mode * 31 + (uint64_t)stat.st_size + 1 : 0);
    }
    return look;
}

static bool may_change(const struct good_call *call, uint32_t at)
{
    if (at >= AT_DATA && at < AT_DATA + 8) /* the buffer of the list */
        return true;
    for (uint32_t i = 0; i < call->count; i++) {
        uint32_t from = call->slots[call->ranges[i].slot].u32;
        if (call->ranges[i].is_written && at >= from && at - from < call->ranges[i].size)
            return true;
    }
    return false;
}

static void expect_unchanged(const struct guest *guest, const struct good_call *call,
                             const uint8_t *before, const char *what)
{
    for (uint32_t at = 0; at < GUEST_MEMORY; at++)
        if (guest->memory.base[at] != before[at] && !may_change(call, at))
            cr_assert_fail("%s writes beside its results, at %u", what, at);
}

/* One address of one call is an extreme. */
static uint32_t with_extreme(const struct cn_import_row *row, uint32_t number, uint32_t extreme)
{
    static uint8_t before[GUEST_MEMORY];
    struct guest guest;
    char what[120];
    uint32_t file = set_scene(&guest);
    struct good_call call = good_call(&guest, row, file);
    const struct range range = call.ranges[number];

    call.slots[range.slot].u64 = extreme;
    bool is_outside = range.size > GUEST_MEMORY || extreme > GUEST_MEMORY - range.size;
    snprintf(what, sizeof what, "%s.%s with %#x as parameter %u", row->module, row->name, extreme,
             range.slot);
    memcpy(before, guest.memory.base, GUEST_MEMORY);
    uint64_t look = look_of(&guest), fds = guest.account.used[CN_QUOTA_FDS];
    uint32_t error = guest_call_slots(&guest, row->name, call.slots);
    if (is_outside) {
        cr_expect_neq(error, CN_E_SUCCESS, "%s succeeds", what);
        cr_expect_eq(look_of(&guest), look, "%s did something", what);
        cr_expect_eq(guest.account.used[CN_QUOTA_FDS], fds, "%s opened something", what);
        cr_expect_arr_eq(guest.memory.base, before, GUEST_MEMORY, "%s wrote something", what);
    } else {
        expect_unchanged(&guest, &call, before, what);
    }
    guest.module = "wasi_snapshot_preview1";
    guest_finish(&guest);
    return error;
}

static uint32_t ranges_of(const struct cn_import_row *row)
{
    struct guest guest;
    uint32_t file = set_scene(&guest);
    struct good_call call = good_call(&guest, row, file);

    guest_finish(&guest);
    return call.count;
}

Test(pointers, at_every_edge_of_memory_in_every_call, .timeout = 200)
{
    static const uint32_t extremes[] = {0, 1, 3, GUEST_MEMORY - 1, GUEST_MEMORY, 0x7fffffff,
                                        0x80000000, 0xffffffff};
    uint32_t calls = 0, faults = 0;

    for (uint32_t i = 0; i < cn_import_row_count; i++) {
        uint32_t count = ranges_of(&cn_import_rows[i]);
        for (uint32_t number = 0; number < count; number++)
            for (size_t e = 0; e < sizeof extremes / sizeof *extremes; e++, calls++)
                faults += with_extreme(&cn_import_rows[i], number, extremes[e]) == CN_E_FAULT;
    }
    cr_expect_gt(calls, 800, "%u calls", calls);
    cr_expect_gt(faults, calls / 3, "%u of %u calls were good but for the address", faults, calls);
}

/* ------------------------------------------------------------------ what is given out */

__attribute__((noinline)) static void poison_stack(uint8_t poison)
{
    volatile uint8_t below[128 << 10];

    for (size_t i = 0; i < sizeof below; i++)
        below[i] = poison;
}

/* How much of a range the call says that it has filled: buffers need not be. */
static uint32_t filled(const struct guest *guest, const struct good_call *call, uint32_t number)
{
    const struct range *range = &call->ranges[number];
    uint32_t next = call->slots[range->slot + 1].u32;
    bool is_counted = range->size == BUFFER_SIZE && number + 1 < call->count &&
                      next == BUFFER_SIZE && call->ranges[number + 1].size == 4;

    if (strcmp(call->row->name, "fd_prestat_dir_name") == 0)
        return 1; /* "/" */
    if (!is_counted)
        return range->size;
    const struct range *count = &call->ranges[number + 1];
    uint32_t used = cn_load_u32(guest->memory.base + call->slots[count->slot].u32);
    return used < BUFFER_SIZE ? used : BUFFER_SIZE;
}

/* Notes which bytes of the results are as they were before; false when the call fails. */
static bool note_poison(const struct cn_import_row *row, uint8_t poison, uint8_t *is_poison)
{
    struct guest guest;
    uint32_t file = set_scene(&guest);
    struct good_call call = good_call(&guest, row, file);
    uint32_t at = 0;

    for (uint32_t i = 0; i < call.count; i++)
        if (call.ranges[i].is_written)
            memset(guest.memory.base + call.slots[call.ranges[i].slot].u32, poison,
                   call.ranges[i].size);
    poison_stack(poison);
    bool is_good = guest_call_slots(&guest, row->name, call.slots) == CN_E_SUCCESS;
    for (uint32_t i = 0; is_good && i < call.count; i++) {
        const uint8_t *from = guest.memory.base + call.slots[call.ranges[i].slot].u32;
        uint32_t size = call.ranges[i].is_written ? filled(&guest, &call, i) : 0;
        for (uint32_t k = 0; k < size; k++, at++)
            is_poison[at] += from[k] == poison;
    }
    guest.module = "wasi_snapshot_preview1";
    guest_finish(&guest);
    return is_good;
}

Test(pointers, give_out_no_byte_that_was_not_written, .timeout = 100)
{
    static const uint8_t poisons[] = {0xaa, 0x55, 0xc3, 0x3c};
    uint32_t good = 0, bytes = 0;

    for (uint32_t i = 0; i < cn_import_row_count; i++) {
        uint8_t is_poison[256] = {0};
        const struct cn_import_row *row = &cn_import_rows[i];
        if (ranges_of(row) == 0)
            continue;
        bool is_good = true;
        for (size_t p = 0; p < sizeof poisons; p++)
            is_good &= note_poison(row, poisons[p], is_poison);
        for (uint32_t at = 0; is_good && at < sizeof is_poison; at++, bytes++)
            cr_expect_lt(is_poison[at], sizeof poisons, "%s.%s: byte %u of its results is what "
                         "was there before", row->module, row->name, at);
        good += is_good;
    }
    cr_expect_gt(good, 40, "%u calls that succeed", good);
}
