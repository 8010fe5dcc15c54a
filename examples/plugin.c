/* A plug-in that works on a view of its memory: the host writes a text there, the guest turns its
 * letters into capitals, the host reads what has become of it. */
#include <stdio.h>
#include <string.h>

#include "include/cordon.h"

static const char guest[] =
    "(module (memory (export \"memory\") 1)"
    "  (func (export \"room\") (result i32) (i32.const 1024))"
    "  (func (export \"shout\") (param $at i32) (param $size i32) (local $end i32) (local $c i32)"
    "    (local.set $end (i32.add (local.get $at) (local.get $size)))"
    "    (loop $next"
    "      (local.set $c (i32.load8_u (local.get $at)))"
    "      (if (i32.lt_u (i32.sub (local.get $c) (i32.const 97)) (i32.const 26))"
    "        (then (i32.store8 (local.get $at) (i32.sub (local.get $c) (i32.const 32)))))"
    "      (local.set $at (i32.add (local.get $at) (i32.const 1)))"
    "      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))))";

static bool call(cordon_vm_t *vm, const char *name, const cordon_value_t *arguments,
                 uint32_t count, cordon_value_t *result, cordon_error_t *error)
{
    cordon_result_t how;

    if (!cordon_vm_invoke(vm, name, arguments, count, result, 1, &how, error))
        return false;
    if (how.end != CORDON_END_RETURN)
        snprintf(error->message, sizeof error->message, "%s", how.message);
    return how.end == CORDON_END_RETURN;
}

/* Where the guest says; NULL unless it is all in its memory. What a guest says may be anything. */
static char *view(cordon_vm_t *vm, uint32_t at, size_t size)
{
    uint64_t memory_size;
    char *memory = cordon_vm_memory_of(vm, "memory", &memory_size);

    return at <= memory_size && size <= memory_size - at ? memory + at : NULL;
}

static bool shout(cordon_vm_t *vm, char *text, size_t size, cordon_error_t *error)
{
    cordon_value_t given[] = {{.type = CORDON_I32}, {.type = CORDON_I32, .i32 = (int32_t)size}};

    if (!call(vm, "room", NULL, 0, &given[0], error))
        return false;
    char *there = view(vm, (uint32_t)given[0].i32, size);
    if (there != NULL)
        memcpy(there, text, size);
    if (!call(vm, "shout", given, 2, NULL, error))
        return false;
    there = view(vm, (uint32_t)given[0].i32, size); /* anew: memories move when they grow */
    if (there != NULL)
        memcpy(text, there, size);
    return there != NULL;
}

int main(void)
{
    char text[] = "plug-ins see their own memory, and nothing else";
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    cordon_module_t *module = cordon_module_load(host, guest, sizeof guest - 1, &error);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_config_t *config = cordon_config_new(&error);
    bool is_limited = cordon_config_limit(config, CORDON_MEMORY, 1 << 20, &error) &&
                      cordon_config_limit(config, CORDON_FUEL, 100000, &error);
    cordon_vm_t *vm =
        module && is_limited ? cordon_vm_new(host, module, linker, config, &error) : NULL;
    bool is_done = vm && shout(vm, text, sizeof text - 1, &error);

    puts(is_done ? text : error.message);
    cordon_vm_free(vm);
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    return is_done ? 0 : 1;
}
