/* Private volumes by cordon.h: what a VM writes is there for the next one, for another process that
 * was lent it, and for nobody when it is removed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/cordon.h"

/* _start does what the first argument's length says: 1 writes "Z" to the file f, 2 reads a byte of
 * it and exits with that. The exit code is an error's number where that fails. */
static const char guest[] =
    "(module"
    "  (import \"wasi_snapshot_preview1\" \"args_sizes_get\""
    "    (func $args (param i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"path_open\""
    "    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_read\""
    "    (func $read (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"fd_write\""
    "    (func $write (param i32 i32 i32 i32) (result i32)))"
    "  (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "  (memory (export \"memory\") 1)"
    "  (data (i32.const 0) \"\\40\\00\\00\\00\\01\\00\\00\\00\") (data (i32.const 64) \"Zf\")"
    "  (func $check (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))"
    "  (func (export \"_start\") (local $reads i32)"
    "    (call $check (call $args (i32.const 16) (i32.const 20)))"
    "    (local.set $reads (i32.eq (i32.load (i32.const 20)) (i32.const 3)))"
    "    (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 65) (i32.const 1)"
    "      (i32.eqz (local.get $reads))"
    "      (select (i64.const 2) (i64.const 66) (local.get $reads)) (i64.const 0) (i32.const 0)"
    "      (i32.const 24)))"
    "    (if (local.get $reads)"
    "      (then (call $check (call $read (i32.load (i32.const 24)) (i32.const 0) (i32.const 1)"
    "          (i32.const 28)))"
    "        (call $exit (i32.load8_u (i32.const 64))))"
    "      (else (call $check (call $write (i32.load (i32.const 24)) (i32.const 0) (i32.const 1)"
    "          (i32.const 28)))))))";

struct world {
    char folder[64], path[128], key[128];
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_module_t *module;
    cordon_store_t *store;
    cordon_error_t error;
};

static void open_world(struct world *world)
{
    memset(world, 0, sizeof *world);
    strcpy(world->folder, "/tmp/cordon-volume-XXXXXX");
    cr_assert_not_null(mkdtemp(world->folder));
    snprintf(world->path, sizeof world->path, "%s/store", world->folder);
    snprintf(world->key, sizeof world->key, "%s/key", world->folder);
    world->host = cordon_host_new(&world->error);
    world->linker = cordon_linker_new(world->host, &world->error);
    cordon_linker_allow_wasi(world->linker);
    world->module = cordon_module_load(world->host, guest, sizeof guest - 1, &world->error);
    cr_assert_not_null(world->module, "%s", world->error.message);
    const cordon_store_options_t options = {world->path, world->key, true, true};
    world->store = cordon_store_open(&options, &world->error);
    cr_assert_not_null(world->store, "%s", world->error.message);
}

static void close_world(struct world *world)
{
    char command[128];

    cordon_store_close(world->store);
    cordon_linker_free(world->linker);
    cordon_module_free(world->module);
    cordon_host_free(world->host);
    snprintf(command, sizeof command, "rm -r %s", world->folder);
    cr_expect_eq(system(command), 0);
}

/* With what the config grants, "w" writes and "re" reads; the exit code. */
static int run(struct world *world, cordon_config_t *config, const char *what)
{
    cordon_result_t result = {.exit_code = -1};

    cr_assert(cordon_config_arg(config, what, &world->error));
    cordon_vm_t *vm =
        cordon_vm_new(world->host, world->module, world->linker, config, &world->error);
    cr_assert_not_null(vm, "%s", world->error.message);
    cr_assert(cordon_vm_run(vm, &result, &world->error));
    cordon_vm_free(vm);
    cordon_config_free(config);
    return result.exit_code;
}

static int run_on(struct world *world, const cordon_volume_t *volume, const char *what)
{
    cordon_config_t *config = cordon_config_new(&world->error);

    cr_assert(cordon_config_volume(config, world->store, volume, &world->error), "%s",
              world->error.message);
    return run(world, config, what);
}

static bool is_sound(struct world *world, uint64_t files)
{
    cordon_volume_report_t report;

    return cordon_store_check(world->store, "disk", &report, &world->error) &&
           report.files == files && report.foreign + report.unopened + report.blocks == 0 &&
           !report.is_incomplete;
}

Test(api_volume, keeps_what_was_written, .timeout = 60)
{
    const cordon_volume_t disk = {.name = "disk", .guest = "/"};
    const cordon_volume_t locked = {.name = "disk", .guest = "/", .read_only = true};
    const cordon_volume_t passing = {.guest = "/", .size = 1 << 20, .inodes = 10};
    cordon_volume_info_t info;
    struct world world;

    open_world(&world);
    cr_assert(cordon_store_create(world.store, "disk", 1 << 20, 10, &world.error));
    cr_assert(cordon_store_list(world.store, 0, &info));
    cr_expect_str_eq(info.name, "disk");
    cr_expect_eq(info.size, 1 << 20);
    cr_expect_not(cordon_store_list(world.store, 1, &info));
    cr_expect_eq(run_on(&world, &disk, "w"), 0);
    cr_expect_eq(run_on(&world, &disk, "re"), 'Z');
    cr_expect_eq(run_on(&world, &locked, "re"), 'Z');
    cr_expect_neq(run_on(&world, &locked, "w"), 0);
    cr_expect(is_sound(&world, 1));
    cr_expect_eq(run_on(&world, &passing, "w"), 0);
    cr_expect_neq(run_on(&world, &passing, "re"), 'Z', "an ephemeral one begins empty");
    close_world(&world);
}

Test(api_volume, one_vm_at_a_time_has_it, .timeout = 60)
{
    const cordon_volume_t disk = {.name = "disk", .guest = "/"};
    struct world world;

    open_world(&world);
    cr_assert(cordon_store_create(world.store, "disk", CORDON_UNLIMITED, CORDON_UNLIMITED,
                                  &world.error));
    cordon_config_t *first = cordon_config_new(&world.error);
    cordon_config_t *second = cordon_config_new(&world.error);
    cr_assert(cordon_config_volume(first, world.store, &disk, &world.error));
    cr_expect_not(cordon_config_volume(second, world.store, &disk, &world.error));
    cr_expect_eq(world.error.kind, CORDON_MISUSE);
    cordon_config_close_volumes(first);
    cr_expect(cordon_config_volume(second, world.store, &disk, &world.error));
    cordon_config_free(first);
    cordon_config_free(second);
    close_world(&world);
}

Test(api_volume, can_be_lent, .timeout = 60)
{
    const cordon_volume_t disk = {.name = "disk", .guest = "/"};
    cordon_lent_t lent, again;
    struct world world;

    open_world(&world);
    cr_assert(cordon_store_create(world.store, "disk", 1 << 20, 10, &world.error));
    cr_expect_eq(run_on(&world, &disk, "w"), 0);
    cr_assert(cordon_store_lend(world.store, &disk, &lent, &world.error), "%s",
              world.error.message);
    cr_expect_not(cordon_store_lend(world.store, &disk, &again, &world.error), "it is in use");
    cordon_config_t *config = cordon_config_new(&world.error);
    cr_assert(cordon_config_lent(config, &lent, "/", false, &world.error), "%s",
              world.error.message);
    close(lent.dir);
    close(lent.key);
    cr_expect_eq(run(&world, config, "re"), 'Z');
    cr_expect(is_sound(&world, 1), "it was given back");
    close_world(&world);
}

Test(api_volume, leaves_a_record_and_nothing_else, .timeout = 60)
{
    const cordon_volume_t disk = {.name = "disk", .guest = "/"};
    uint64_t all, good;
    struct world world;
    char archive[512];
    int ends[2];

    open_world(&world);
    cr_assert(cordon_store_create(world.store, "disk", 1 << 20, 10, &world.error));
    cr_expect_eq(run_on(&world, &disk, "w"), 0);
    cr_assert_eq(pipe(ends), 0);
    cr_expect(cordon_store_export(world.store, "disk", ends[1], &world.error), "%s",
              world.error.message);
    cr_expect_eq(read(ends[0], archive, sizeof archive), (ssize_t)sizeof archive);
    cr_expect_eq(memcmp(archive + 257, "ustar", 5), 0);
    close(ends[0]);
    close(ends[1]);
    cr_expect(cordon_store_remove(world.store, "disk", &world.error));
    cr_expect_not(cordon_store_remove(world.store, "disk", &world.error));
    cr_expect(cordon_store_check_records(world.store, &all, &good, &world.error));
    cr_expect_eq(all, 1);
    cr_expect_eq(good, 1);
    cordon_config_t *config = cordon_config_new(&world.error);
    cr_expect_not(cordon_config_volume(config, world.store, &disk, &world.error));
    cordon_config_free(config);
    close_world(&world);
}
