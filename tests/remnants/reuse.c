/* Makes and ends VMs of random sizes in one process, again and again. Each first looks through all
 * that it was given (memory, table, locals, objects) and then fills it with secrets: none of them
 * may find what another has left (CVE-2022-39393, CVE-2026-34988).
 *
 *     reuse COUNT STORE [SEED [plain]]
 *
 * `plain` leaves objects and volumes out, whose pages Cordon itself believes to be zero: for the
 * control, where they are not. Every VM is made from one of some modules, which differ in the sizes
 * of their memories and tables. Exits with 0 when all was zero. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/cordon.h"

#define KINDS 12u
#define VOLUMES_EVERY 50u /* one of so many VMs has a volume, which takes long */

/* The function gives 0, or what it found. Everything is read before anything is written: what the
 * module wants of memory, then what it grows by; a table; an array of the heap; the stack, of which
 * `deep` uses much. */
static const char text[] =
    "(module"
    "  (type $array (array (mut i64)))"
    "  (memory (export \"memory\") %u) (table $t %u externref)"
    "  (global $g (mut i64) (i64.const 0)) (global $a (mut (ref null $array)) (ref.null $array))"
    "  (func $deep (param $n i32) (result i64)"
    "    (local $a i64) (local $b i64) (local $c i64) (local $d i64) (local $found i64)"
    "    (local.set $found (i64.or (i64.or (local.get $a) (local.get $b))"
    "                              (i64.or (local.get $c) (local.get $d))))"
    "    (local.set $a (i64.const 0x5ec7e75ec7e75ec7)) (local.set $b (local.get $a))"
    "    (local.set $c (local.get $a)) (local.set $d (local.get $a))"
    "    (if (local.get $n) (then (local.set $found (i64.or (local.get $found)"
    "      (call $deep (i32.sub (local.get $n) (i32.const 1)))))))"
    "    (local.get $found))"
    "  (func $read (result i64) (local $at i32) (local $end i32) (local $found i64)"
    "    (local.set $end (i32.shl (memory.size) (i32.const 16)))"
    "    (block $done (loop $more"
    "      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))"
    "      (local.set $found (i64.or (local.get $found) (i64.load (local.get $at))))"
    "      (local.set $at (i32.add (local.get $at) (i32.const 8))) (br $more)))"
    "    (local.get $found))"
    "  (func $tables (result i64) (local $i i32)"
    "    (block $done (loop $more"
    "      (br_if $done (i32.ge_u (local.get $i) (table.size $t)))"
    "      (if (i32.eqz (ref.is_null (table.get $t (local.get $i)))) (then (return (i64.const 1))))"
    "      (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more)))"
    "    (i64.const 0))"
    "  (func $array (param $size i32) (result i64) (local $i i32) (local $found i64)"
    "    (global.set $a (array.new_default $array (local.get $size)))"
    "    (block $done (loop $more"
    "      (br_if $done (i32.ge_u (local.get $i) (local.get $size)))"
    "      (local.set $found (i64.or (local.get $found) (array.get $array (global.get $a)"
    "                                                              (local.get $i))))"
    "      (array.set $array (global.get $a) (local.get $i) (i64.const 0x5ec7e75ec7e75ec7))"
    "      (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more)))"
    "    (local.get $found))"
    "  (func $write (local $at i32) (local $end i32)"
    "    (local.set $end (i32.shl (memory.size) (i32.const 16)))"
    "    (block $done (loop $more"
    "      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))"
    "      (i64.store (local.get $at) (i64.const 0x5ec7e75ec7e75ec7))"
    "      (local.set $at (i32.add (local.get $at) (i32.const 64))) (br $more))))"
    "  (func (export \"live\") (param $grow i32) (param $depth i32) (param $size i32) (result i64)"
    "    (local $found i64)"
    "    (local.set $found (call $read))"
    "    (drop (memory.grow (local.get $grow)))"
    "    (local.set $found (i64.or (local.get $found) (call $read)))"
    "    (local.set $found (i64.or (local.get $found) (call $tables)))"
    "    (local.set $found (i64.or (local.get $found) (global.get $g)))"
    "    (local.set $found (i64.or (local.get $found) (call $deep (local.get $depth))))"
    "    (if (local.get $size) (then (local.set $found"
    "      (i64.or (local.get $found) (call $array (local.get $size))))))"
    "    (call $write) (global.set $g (i64.const 0x5ec7e75ec7e75ec7))"
    "    (local.get $found)))";

struct world {
    cordon_host_t *host;
    cordon_linker_t *linker;
    cordon_module_t *modules[KINDS];
    cordon_error_t error;
    uint64_t random;
    bool is_plain;
};

static void must(bool is_good, const struct world *world, const char *what)
{
    if (is_good)
        return;
    fprintf(stderr, "reuse: %s: %s\n", what, world->error.message);
    exit(2);
}

static uint32_t below(struct world *world, uint32_t bound)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(world->random >> 33) % bound;
}

static void world_init(struct world *world)
{
    char module[sizeof text + 32];

    world->host = cordon_host_new(&world->error);
    world->linker = cordon_linker_new(world->host, &world->error);
    for (uint32_t i = 0; i < KINDS; i++) {
        int size = snprintf(module, sizeof module, text, i % 4, 1 + i * i * 40);
        world->modules[i] =
            cordon_module_load(world->host, module, (size_t)size, &world->error);
        must(world->modules[i] != NULL, world, "a module");
    }
}

static void grant_volume(struct world *world, cordon_config_t *config, const char *path)
{
    const cordon_store_options_t options = {.path = path};
    const cordon_volume_t volume = {.guest = "/v"};
    cordon_store_t *store = cordon_store_open(&options, &world->error);

    must(store != NULL && cordon_config_volume(config, store, &volume, &world->error), world,
         "a volume");
    cordon_store_close(store);
}

/* Whether it found something; it is ended in the middle of a call now and then. */
static bool live(struct world *world, uint32_t number, const char *store)
{
    cordon_config_t *config = cordon_config_new(&world->error);
    const cordon_value_t values[3] = {
        {CORDON_I32, {.i32 = (int32_t)below(world, 3)}},
        {CORDON_I32, {.i32 = (int32_t)below(world, 800)}},
        {CORDON_I32, {.i32 = world->is_plain ? 0 : (int32_t)below(world, 6000)}}};
    cordon_value_t found = {CORDON_I64, {.i64 = 0}};
    cordon_result_t result;

    if (number % VOLUMES_EVERY == 0 && !world->is_plain)
        grant_volume(world, config, store);
    must(cordon_config_arg(config, "an argument", &world->error), world, "an argument");
    if (number % 7 == 0)
        must(cordon_config_limit(config, CORDON_FUEL, 2000 + below(world, 60000), &world->error),
             world, "fuel");
    cordon_vm_t *vm = cordon_vm_new(world->host, world->modules[below(world, KINDS)],
                                    world->linker, config, &world->error);
    must(vm != NULL, world, "a VM");
    must(cordon_vm_invoke(vm, "live", values, 3, &found, 1, &result, &world->error), world,
         "a call");
    must(result.end == CORDON_END_RETURN || result.end == CORDON_END_QUOTA, world, result.message);
    cordon_vm_free(vm);
    cordon_config_free(config);
    return result.end == CORDON_END_RETURN && found.i64 != 0; /* else its fuel had ended it */
}

int main(int count, char **words)
{
    struct world world = {.random = count > 3 ? strtoull(words[3], NULL, 10) : 1,
                          .is_plain = count > 4};
    uint32_t vms = count > 2 ? (uint32_t)strtoul(words[1], NULL, 10) : 0, dirty = 0;

    must(vms > 0, &world, "COUNT STORE [SEED]");
    world_init(&world);
    for (uint32_t i = 0; i < vms; i++)
        dirty += live(&world, i, words[2]);
    printf("%u VMs, %u found something\n", vms, dirty);
    for (uint32_t i = 0; i < KINDS; i++)
        cordon_module_free(world.modules[i]);
    cordon_linker_free(world.linker);
    cordon_host_free(world.host);
    return dirty != 0;
}
