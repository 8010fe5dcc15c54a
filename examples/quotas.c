/* Guests that misbehave, each in another way, and what holds them. */
#include <stdio.h>
#include <string.h>

#include "include/cordon.h"

static const char guest[] =
    "(module (memory 1)"
    "  (func (export \"spins\") (loop $l (br $l)))"
    "  (func (export \"eats\") (loop $l (br_if $l (i32.ge_s (memory.grow (i32.const 16))"
    "      (i32.const 0)))) unreachable)"
    "  (func $deep (export \"digs\") (call $deep) (call $deep))"
    "  (func (export \"strays\") (i32.store (i32.const 0x7fffffff) (i32.const 1))))";

static const struct {
    const char *name;
    cordon_quota_t quota;
    uint64_t value;
} tries[] = {
    {"spins", CORDON_FUEL, 1000000},
    {"spins", CORDON_TIMEOUT, 20000000},
    {"eats", CORDON_MEMORY, 8 << 20},
    {"digs", CORDON_STACK, 1 << 20},
    {"strays", CORDON_FUEL, 1000000},
};

/* A VM for one call, held to one quota. */
static bool try_one(cordon_host_t *host, cordon_module_t *module, cordon_linker_t *linker,
                    size_t number, cordon_error_t *error)
{
    cordon_config_t *config = cordon_config_new(error);
    cordon_vm_t *vm = NULL;
    cordon_result_t how;
    bool is_done = false;

    if (config != NULL &&
        cordon_config_limit(config, tries[number].quota, tries[number].value, error))
        vm = cordon_vm_new(host, module, linker, config, error);
    if (vm != NULL)
        is_done = cordon_vm_invoke(vm, tries[number].name, NULL, 0, NULL, 0, &how, error);
    if (is_done)
        printf("%s: %s\n", tries[number].name,
               how.end == CORDON_END_QUOTA ? cordon_quota_name(how.quota) : how.message);
    cordon_vm_free(vm);
    cordon_config_free(config);
    return is_done;
}

int main(void)
{
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    cordon_linker_t *linker = host ? cordon_linker_new(host, &error) : NULL;
    cordon_module_t *module =
        linker ? cordon_module_load(host, guest, sizeof guest - 1, &error) : NULL;
    bool is_done = module != NULL;

    for (size_t i = 0; i < sizeof tries / sizeof tries[0] && is_done; i++)
        is_done = try_one(host, module, linker, i, &error);
    if (!is_done)
        fprintf(stderr, "%s\n", error.message);
    cordon_module_free(module);
    cordon_linker_free(linker);
    cordon_host_free(host);
    return is_done ? 0 : 1;
}
