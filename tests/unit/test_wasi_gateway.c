/* Hostile numbers at the border: addresses, lengths, counts and descriptors. */
#include "shim/enter.h"
#include "wasi_fixture.h"

static void write_sentinel(struct guest *guest)
{
    memset(guest->memory.base, 0xaa, GUEST_MEMORY);
}

static bool memory_is_untouched(const struct guest *guest)
{
    for (uint32_t i = 0; i < GUEST_MEMORY; i++) {
        if (guest->memory.base[i] != 0xaa)
            return false;
    }
    return true;
}

Test(wasi_gateway, refuses_results_outside_the_memory_and_does_nothing)
{
    struct guest guest;
    static const uint32_t bad[] = {GUEST_MEMORY, GUEST_MEMORY - 3, UINT32_MAX, UINT32_MAX - 3,
                                   0x80000000};
    guest_setup(&guest);
    write_sentinel(&guest);

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t length = put_text(&guest, AT_PATH, "made");
        EXPECT_ERRNO(CALL(&guest, "path_open", I(3), I(0), I(AT_PATH), I(length), I(1), I(0),
                          I(0), I(0), I(bad[i])),
                     FAULT);
        cr_expect_eq(access(host_path(&guest, "made"), F_OK), -1, "it was created");
        EXPECT_ERRNO(CALL(&guest, "args_sizes_get", I(bad[i]), I(0)), FAULT);
        EXPECT_ERRNO(CALL(&guest, "args_sizes_get", I(0), I(bad[i])), FAULT);
        EXPECT_ERRNO(CALL(&guest, "clock_time_get", I(0), I(0), I(bad[i])), FAULT);
        EXPECT_ERRNO(CALL(&guest, "fd_fdstat_get", I(3), I(bad[i])), FAULT);
    }
    cr_expect_eq(cn_load_u32(guest.memory.base), 0xaaaaaaaa, "a half result was written");
    guest_finish(&guest);
}

Test(wasi_gateway, refuses_bad_lists_before_it_moves_a_byte)
{
    struct guest guest;
    guest_setup(&guest);
    MUST(guest_open(&guest, "a", CN_OFLAG_CREAT));
    uint32_t fd = out_u32(&guest);
    uint8_t *list = guest.memory.base + AT_IOVECS;

    cn_store_u32(list, AT_DATA);
    cn_store_u32(list + 4, 16);
    cn_store_u32(list + 8, GUEST_MEMORY - 15);
    cn_store_u32(list + 12, 16);
    EXPECT_ERRNO(CALL(&guest, "fd_write", I(fd), I(AT_IOVECS), I(2), I(AT_OUT)), FAULT);
    EXPECT_ERRNO(CALL(&guest, "fd_write", I(fd), I(AT_IOVECS), I(1025), I(AT_OUT)), INVAL);
    EXPECT_ERRNO(CALL(&guest, "fd_write", I(fd), I(AT_IOVECS), I(UINT32_MAX), I(AT_OUT)), INVAL);
    EXPECT_ERRNO(CALL(&guest, "fd_write", I(fd), I(GUEST_MEMORY - 8), I(2), I(AT_OUT)), FAULT);
    EXPECT_ERRNO(CALL(&guest, "fd_write", I(fd), I(UINT32_MAX), I(1), I(AT_OUT)), FAULT);
    EXPECT_ERRNO(CALL(&guest, "fd_write", I(fd), I(AT_IOVECS), I(1), I(UINT32_MAX)), FAULT);
    struct stat stat_now;
    cr_assert_eq(stat(host_path(&guest, "a"), &stat_now), 0);
    cr_expect_eq(stat_now.st_size, 0);

    /* Lengths that wrap around 32 bits. */
    cn_store_u32(list, AT_DATA);
    cn_store_u32(list + 4, UINT32_MAX - AT_DATA + 1);
    EXPECT_ERRNO(CALL(&guest, "fd_read", I(fd), I(AT_IOVECS), I(1), I(AT_OUT)), FAULT);
    /* The last byte, and none at all at the very end. */
    cn_store_u32(list, GUEST_MEMORY - 1);
    cn_store_u32(list + 4, 1);
    cn_store_u32(list + 8, GUEST_MEMORY);
    cn_store_u32(list + 12, 0);
    MUST(CALL(&guest, "fd_write", I(fd), I(AT_IOVECS), I(2), I(GUEST_MEMORY - 4)));
    guest_finish(&guest);
}

Test(wasi_gateway, takes_paths_only_in_full_and_without_tricks)
{
    struct guest guest;
    guest_setup(&guest);
    char long_path[5000];

    EXPECT_ERRNO(CALL(&guest, "path_create_directory", I(3), I(GUEST_MEMORY - 2), I(3)), FAULT);
    EXPECT_ERRNO(CALL(&guest, "path_create_directory", I(3), I(1), I(UINT32_MAX)), FAULT);
    EXPECT_ERRNO(CALL(&guest, "path_create_directory", I(3), I(AT_PATH), I(0)), NOENT);
    put_text(&guest, AT_PATH, "ab");
    guest.memory.base[AT_PATH + 1] = '\0';
    EXPECT_ERRNO(CALL(&guest, "path_create_directory", I(3), I(AT_PATH), I(2)), INVAL);
    memset(long_path, 'x', sizeof long_path);
    long_path[4097] = '\0';
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", long_path), NAMETOOLONG);
    long_path[4096] = '\0';
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", long_path), NAMETOOLONG);
    long_path[256] = '\0';
    EXPECT_ERRNO(guest_path(&guest, "path_create_directory", long_path), NAMETOOLONG);
    long_path[255] = '\0';
    MUST(guest_path(&guest, "path_create_directory", long_path));
    guest_finish(&guest);
}

Test(wasi_gateway, knows_only_its_own_descriptors)
{
    struct guest guest;
    static const uint64_t bad[] = {4, 100, 0x7fffffff, 0x80000000, UINT32_MAX};
    guest_setup(&guest);

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EXPECT_ERRNO(CALL(&guest, "fd_close", I(bad[i])), BADF);
        EXPECT_ERRNO(CALL(&guest, "fd_renumber", I(3), I(bad[i])), BADF);
        EXPECT_ERRNO(CALL(&guest, "fd_renumber", I(bad[i]), I(3)), BADF);
        EXPECT_ERRNO(CALL(&guest, "fd_prestat_get", I(bad[i]), I(AT_OUT)), BADF);
    }
    MUST(CALL(&guest, "fd_renumber", I(3), I(3)));
    MUST(CALL(&guest, "fd_prestat_get", I(3), I(AT_OUT)));
    guest_finish(&guest);
}

Test(wasi_gateway, writes_no_stray_byte_into_results)
{
    struct guest guest;
    guest_setup(&guest);

    MUST(CALL(&guest, "fd_filestat_get", I(3), I(AT_OUT)));
    for (int i = 17; i < 24; i++)
        cr_expect_eq(guest.memory.base[AT_OUT + i], 0, "padding of filestat");
    MUST(CALL(&guest, "fd_fdstat_get", I(3), I(AT_OUT)));
    for (int i = 4; i < 8; i++)
        cr_expect_eq(guest.memory.base[AT_OUT + i], 0, "padding of fdstat");
    cr_expect_eq(guest.memory.base[AT_OUT + 24], guest.memory.base[AT_OUT + 24]);
    MUST(CALL(&guest, "fd_prestat_get", I(3), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest), (uint64_t)1 << 32);
    guest_finish(&guest);
}

/* The host's numbers of files and disks say what is there besides, and by whom it is shared. */
Test(wasi_gateway, shows_no_numbers_of_the_hosts_files)
{
    uint64_t dev[2], ino[2];
    struct stat stat;

    for (int i = 0; i < 2; i++) {
        struct guest guest;
        guest_setup(&guest);
        MUST(CALL(&guest, "fd_filestat_get", I(3), I(AT_OUT)));
        dev[i] = out_u64(&guest);
        ino[i] = cn_load_u64(guest.memory.base + AT_OUT + 8);
        cr_assert_eq(lstat(guest.root, &stat), 0);
        cr_expect_neq(dev[i], stat.st_dev);
        cr_expect_neq(ino[i], stat.st_ino);
        guest_finish(&guest);
    }
    cr_expect_neq(dev[0], dev[1], "one device, two guests");
}

/* Every function of every module, with every parameter at its extremes: nothing may happen to
 * memory outside (the sanitizers watch) or to the descriptors that are needed for the rest. */
Test(wasi_gateway, survives_every_call_with_extreme_numbers, .timeout = 60)
{
    static const uint64_t extremes[] = {0, 1, 3, GUEST_MEMORY - 1, GUEST_MEMORY, 0x7fffffff,
                                        0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX};
    enum { COUNT = sizeof extremes / sizeof *extremes };
    struct guest guest;
    const char *module, *name;
    uint64_t random = 1;
    guest_setup(&guest);

    for (uint32_t i = 0; cn_wasi_name(i, &module, &name); i++) {
        struct cn_wasi_function function;
        cr_assert(cn_wasi_lookup(guest.wasi, cn_bytes_of(module), cn_bytes_of(name), &function));
        if (strcmp(name, "poll_oneoff") == 0)
            continue; /* would wait for ever; has tests of its own */
        for (int round = 0; round < 600; round++) {
            union cn_slot slots[16] = {{0}}, arguments[16];
            for (uint32_t p = 0; p < function.type->param_count; p++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                slots[p].u64 = extremes[(random >> 40) % COUNT];
                if (cn_functype_params(function.type)[p] == CN_I32)
                    slots[p].u64 &= 0xffffffff;
            }
            if (strstr(name, "fd_close") || strstr(name, "fd_renumber"))
                slots[0].u32 = slots[1].u32 = slots[0].u32 == 3 ? 4 : slots[0].u32;
            memcpy(arguments, slots, sizeof slots);
            guest.thread.call_state = (struct cn_call_state){{0}};
            while (function.call(&guest.thread, function.env, slots) == CN_YIELD)
                memcpy(slots, arguments, sizeof slots);
        }
    }
    cr_expect(!memory_is_untouched(&guest));
    MUST(CALL(&guest, "fd_prestat_get", I(3), I(AT_OUT)));
    guest_finish(&guest);
}

Test(wasi_gateway, offers_every_function_in_its_modules)
{
    struct guest guest;
    struct cn_wasi_function function;
    const char *module, *name;
    uint32_t count[3] = {0};
    guest_setup(&guest);

    for (uint32_t i = 0; cn_wasi_name(i, &module, &name); i++) {
        count[0] += strcmp(module, "wasi_snapshot_preview1") == 0;
        count[1] += strcmp(module, "wasi_unstable") == 0;
        count[2] += strcmp(module, "cordon") == 0;
        cr_assert(cn_wasi_lookup(guest.wasi, cn_bytes_of(module), cn_bytes_of(name), &function));
    }
    cr_expect_eq(count[0], 46);
    cr_expect_eq(count[1], 45, "all but sock_accept");
    cr_expect_eq(count[2], 5);
    cr_expect(!cn_wasi_lookup(guest.wasi, cn_bytes_of("wasi_unstable"),
                              cn_bytes_of("sock_accept"), &function));
    cr_assert(cn_wasi_lookup(guest.wasi, cn_bytes_of("wasi_unstable"), cn_bytes_of("path_open"),
                             &function));
    cr_expect_eq(function.type->param_count, 9);
    cr_expect_eq(cn_functype_params(function.type)[5], CN_I64);
    cr_expect_eq(cn_functype_results(function.type)[0], CN_I32);
    cr_assert(cn_wasi_lookup(guest.wasi, cn_bytes_of("wasi_unstable"), cn_bytes_of("proc_exit"),
                             &function));
    cr_expect_eq(function.type->result_count, 0);
    guest_finish(&guest);
}

Test(wasi_gateway, gives_arguments_and_environment)
{
    static const char *const args[] = {"prog", "", "x y"}, *const environ_list[] = {"A=1"};
    struct guest guest;
    guest_prepare(&guest);
    struct cn_wasi_config config = {
        .args = args, .arg_count = 3, .environ = environ_list, .environ_count = 1,
        .stdio = {-1, -1, -1}, .account = &guest.account, .cpu_ns = guest_cpu_ns,
    };
    cr_assert_eq(cn_wasi_new(&config, &guest.wasi, NULL), CN_OK);

    MUST(CALL(&guest, "args_sizes_get", I(AT_OUT), I(AT_OUT + 4)));
    cr_expect_eq(out_u64(&guest), 3 | (uint64_t)10 << 32);
    MUST(CALL(&guest, "args_get", I(AT_OUT), I(AT_DATA)));
    cr_expect_eq(cn_load_u32(guest.memory.base + AT_OUT + 8), AT_DATA + 6);
    cr_expect_arr_eq(guest.memory.base + AT_DATA, "prog\0\0x y\0", 10);
    EXPECT_ERRNO(CALL(&guest, "args_get", I(GUEST_MEMORY - 11), I(AT_DATA)), FAULT);
    EXPECT_ERRNO(CALL(&guest, "args_get", I(AT_OUT), I(GUEST_MEMORY - 9)), FAULT);
    MUST(CALL(&guest, "environ_get", I(AT_OUT), I(AT_DATA)));
    cr_expect_str_eq((char *)guest.memory.base + AT_DATA, "A=1");
    EXPECT_ERRNO(CALL(&guest, "fd_close", I(0)), BADF);
    guest_finish(&guest);
}

Test(wasi_gateway, refuses_more_than_the_quotas_hold_at_the_start)
{
    struct guest guest;
    struct cn_error error;
    static char big[1 << 20];
    const char *args[] = {big};
    guest_prepare(&guest);
    memset(big, 'x', sizeof big - 1);
    struct cn_wasi_config config = {
        .stdio = {0, 1, 2}, .account = &guest.account, .cpu_ns = guest_cpu_ns,
    };

    guest.account.limit[CN_QUOTA_FDS] = 2;
    cr_expect_eq(cn_wasi_new(&config, &guest.wasi, &error), CN_OVER_QUOTA);
    cr_expect(strstr(error.text, "descriptor quota of 2"), "%s", error.text);
    guest.account.limit[CN_QUOTA_FDS] = 3;
    guest.account.limit[CN_QUOTA_MEMORY] = 1000;
    cr_expect_eq(cn_wasi_new(&config, &guest.wasi, &error), CN_OVER_QUOTA);
    guest.account.limit[CN_QUOTA_MEMORY] = CN_UNLIMITED;
    config.args = args;
    config.arg_count = 1;
    cr_expect_eq(cn_wasi_new(&config, &guest.wasi, &error), CN_OK);
    cn_wasi_free(guest.wasi);
    config.environ = args;
    config.environ_count = 1;
    cr_expect_eq(cn_wasi_new(&config, &guest.wasi, &error), CN_TOO_LARGE);
    config.environ_count = 0;
    config.stdio[0] = 999; /* closed: the guest finds it so */
    cr_expect_eq(cn_wasi_new(&config, &guest.wasi, &error), CN_OK);
    cn_wasi_free(guest.wasi);
    struct cn_wasi_dir no_dir = {.host = 999, .guest_name = "/"};
    config.dirs = &no_dir;
    config.dir_count = 1;
    guest.account.limit[CN_QUOTA_FDS] = 4;
    cr_expect_eq(cn_wasi_new(&config, &guest.wasi, &error), CN_MISUSE);
    no_dir.host = 0;
    cr_expect_eq(cn_wasi_new(&config, &guest.wasi, &error), CN_MISUSE, "stdin is no directory");
    guest.wasi = NULL;
    guest_finish(&guest);
}

Test(wasi_gateway, tells_quotas_and_listeners)
{
    struct guest guest;
    guest_setup(&guest);
    guest.module = "cordon";

    MUST(CALL(&guest, "quota_get", I(CN_QUOTA_FDS), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest), 4);
    cr_expect_eq(cn_load_u64(guest.memory.base + AT_OUT + 8), 256);
    EXPECT_ERRNO(CALL(&guest, "quota_get", I(CN_QUOTA_COUNT), I(AT_OUT)), INVAL);
    EXPECT_ERRNO(CALL(&guest, "quota_get", I(0), I(GUEST_MEMORY - 23)), FAULT);
    MUST(CALL(&guest, "listeners", I(AT_OUT), I(AT_OUT + 4)));
    cr_expect_eq(out_u64(&guest), 4);
    guest_finish(&guest);
}

Test(wasi_gateway, ends_and_yields_and_fills_with_randomness)
{
    struct guest guest;
    union cn_slot slots[2] = {{.u64 = 42}};
    guest_setup(&guest);

    cr_expect_eq(try_once(&guest, "proc_exit", slots), CN_EXITED);
    cr_expect_eq(guest.thread.exit_code, 42);
    EXPECT_ERRNO(CALL(&guest, "proc_raise", I(9)), NOTSUP);
    guest.thread.call_state = (struct cn_call_state){{0}};
    cr_expect_eq(try_once(&guest, "sched_yield", slots), CN_YIELD);
    cr_expect_eq(try_once(&guest, "sched_yield", slots), CN_OK);
    cr_expect_eq(slots[0].u64, 0);
    write_sentinel(&guest);
    MUST(CALL(&guest, "random_get", I(1), I(GUEST_MEMORY - 2)));
    cr_expect_eq(guest.memory.base[0], 0xaa);
    cr_expect_eq(guest.memory.base[GUEST_MEMORY - 1], 0xaa);
    uint32_t same = 0;
    for (uint32_t i = 0; i < GUEST_MEMORY; i++)
        same += guest.memory.base[i] == 0xaa;
    cr_expect_lt(same, GUEST_MEMORY / 64);
    EXPECT_ERRNO(CALL(&guest, "random_get", I(1), I(GUEST_MEMORY)), FAULT);
    EXPECT_ERRNO(CALL(&guest, "clock_time_get", I(4), I(0), I(AT_OUT)), INVAL);
    MUST(CALL(&guest, "clock_time_get", I(1), I(0), I(AT_OUT)));
    cr_expect_eq(out_u64(&guest) % 1000, 0);
    MUST(CALL(&guest, "clock_res_get", I(2), I(AT_OUT)));
    guest_finish(&guest);
}
