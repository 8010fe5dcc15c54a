/* What is left of a VM in the memory of its process: nothing. The scanner looks at all of it that
 * can be written, and each proof has its control: with the wiping taken out (the linker leads its
 * functions through here) it must find what it looks for, or it is blind. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/platform.h"
#include "core/wipe.h"
#include "include/cordon.h"

static bool wipes = true;

void __real_cn_wipe(void *at, size_t size);
void __wrap_cn_wipe(void *at, size_t size);
void __real_cn_wipe_pages(void *at, size_t size);
void __wrap_cn_wipe_pages(void *at, size_t size);

void __wrap_cn_wipe(void *at, size_t size)
{
    if (wipes)
        __real_cn_wipe(at, size);
}

void __wrap_cn_wipe_pages(void *at, size_t size)
{
    if (wipes)
        __real_cn_wipe_pages(at, size);
}

/* Eight bytes, which stand nowhere but masked: in the guest's code, and here. */
#define MASKED 0x1b3c5d7e9fa0c2e4u
#define MASK 0x5a5a5a5a5a5a5a5au

static volatile uint64_t masked = MASKED;

/* How often they are found in memory that can be written. The numbers that it works with are on
 * the stack of the main thread, which is left out. */
static uint32_t scan_range(int memory, uint64_t from, uint64_t to)
{
    static uint8_t piece[1 << 16]; /* is found itself: masked as it is read */
    uint32_t hits = 0;

    for (uint64_t at = from; at < to; at += sizeof piece) {
        ssize_t size = pread(memory, piece, sizeof piece, (off_t)at);
        for (ssize_t i = 0; i < size; i++)
            piece[i] ^= 0x5a;
        for (ssize_t i = 0; i + 8 <= size; i += 4) {
            uint64_t value;
            memcpy(&value, piece + i, 8);
            hits += value == masked;
        }
        memset(piece, 0, sizeof piece);
    }
    return hits;
}

static uint32_t scan(void)
{
    static char line[512];
    int memory = open("/proc/self/mem", O_RDONLY);
    FILE *maps = fopen("/proc/self/maps", "re");
    uint32_t hits = 0;

    cr_assert(memory >= 0 && maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long from, to;
        char rights[5];
        if (sscanf(line, "%llx-%llx %4s", &from, &to, rights) == 3 && rights[1] == 'w' &&
            strstr(line, "[stack]") == NULL)
            hits += scan_range(memory, from, to);
    }
    fclose(maps);
    close(memory);
    return hits;
}

/* Puts them into its memory, a global, a table's neighbour in the heap (an array), its call stack,
 * and a buffer that it writes to a pipe. */
static const char guest[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_write\""
    "          (func $write (param i32 i32 i32 i32) (result i32)))"
    "  (type $words (array (mut i64)))"
    "  (memory (export \"memory\") 40) (global $g (mut i64) (i64.const 0))"
    "  (global $words (mut (ref null $words)) (ref.null $words))"
    "  (func $deep (param i32 i64) (result i64)"
    "    (if (result i64) (local.get 0)"
    "      (then (i64.xor (local.get 1)"
    "             (call $deep (i32.sub (local.get 0) (i32.const 1)) (local.get 1))))"
    "      (else (local.get 1))))"
    "  (func (export \"_start\") (local $i i32) (local $c i64)"
    "    (local.set $c (i64.xor (i64.const 0x1b3c5d7e9fa0c2e4) (i64.const 0x5a5a5a5a5a5a5a5a)))"
    "    (global.set $g (local.get $c))"
    "    (global.set $words (array.new $words (local.get $c) (i32.const 5000)))"
    "    (drop (call $deep (i32.const 3000) (local.get $c)))"
    "    (loop $l (i64.store (local.get $i) (local.get $c))"
    "      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4096)))"
    "                          (i32.const 2600000))))"
    "    (i32.store (i32.const 16) (i32.const 4096)) (i32.store (i32.const 20) (i32.const 8))"
    "    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))))";

struct world {
    cordon_host_t *host;
    cordon_module_t *module;
    cordon_linker_t *linker;
    cordon_config_t *config;
    cordon_error_t error;
    int pipe[2];
};

static void world_init(struct world *world)
{
    cordon_error_t *error = &world->error;

    world->host = cordon_host_new(error);
    world->module = cordon_module_load(world->host, guest, sizeof guest - 1, error);
    cr_assert_not_null(world->module, "%s", error->message);
    world->linker = cordon_linker_new(world->host, error);
    cordon_linker_allow_wasi(world->linker);
    world->config = cordon_config_new(error);
    cr_assert_eq(pipe2(world->pipe, O_CLOEXEC), 0);
    cordon_config_stdio(world->config, 1, world->pipe[1], error);
}

/* An argument and a variable that are the bytes, where they are text. */
static void grant_secrets(struct world *world)
{
    char text[16] = "K=";
    uint64_t value = masked ^ MASK;

    memcpy(text + 4, &value, 8); /* none of them is 0 */
    text[2] = text[3] = 'x';
    cordon_config_env(world->config, text, &world->error);
    cordon_config_arg(world->config, text + 4, &world->error);
    explicit_bzero(text, sizeof text);
    explicit_bzero(&value, sizeof value);
}

static void world_release(struct world *world)
{
    cordon_config_free(world->config);
    cordon_linker_free(world->linker);
    cordon_module_free(world->module);
    cordon_host_free(world->host);
    close(world->pipe[0]);
    close(world->pipe[1]);
}

/* Hits while it is there, and when it is gone. A sanitizer maps terabytes of its own, which
 * nobody wants to look through. */
static void live_and_die(bool on_workers, uint32_t *before, uint32_t *after)
{
    struct world world;
    cordon_result_t result;

    if (CN_IS_SANITIZED)
        cr_skip_test("a sanitizer maps too much");
    world_init(&world);
    grant_secrets(&world);
    if (on_workers)
        cr_assert(cordon_host_start(world.host, 1, &world.error));
    cordon_vm_t *vm =
        cordon_vm_new(world.host, world.module, world.linker, world.config, &world.error);
    cr_assert_not_null(vm, "%s", world.error.message);
    if (on_workers) {
        cr_assert(cordon_vm_start(vm, NULL, NULL, &world.error));
        cordon_vm_wait(vm, &result);
    } else {
        cr_assert(cordon_vm_run(vm, &result, &world.error));
    }
    cr_expect_eq(result.end, CORDON_END_RETURN, "%s", result.message);
    *before = scan();
    cordon_vm_free(vm);
    world_release(&world);
    *after = scan();
}

Test(remnants, the_scanner_is_not_blind, .timeout = 60)
{
    uint32_t before, after;

    wipes = false;
    live_and_die(false, &before, &after);
    cr_expect_gt(before, 5000 + 600, "an array, pages of memory: %u", before);
    cr_expect_gt(after, 0, "what is not wiped stays");
}

Test(remnants, nothing_is_left_of_a_run, .timeout = 60)
{
    uint32_t before, after;

    live_and_die(false, &before, &after);
    cr_expect_gt(before, 5000 + 600, "%u", before);
    cr_expect_eq(after, 0, "%u", after);
}

Test(remnants, nothing_is_left_after_turns_of_workers, .timeout = 60)
{
    uint32_t before, after;

    live_and_die(true, &before, &after);
    cr_expect_gt(before, 5000 + 600, "%u", before);
    cr_expect_eq(after, 0, "%u", after);
}
