/* The shortest of the embedders: loads a module and calls a function of it. */
#include <stdio.h>

#include "include/cordon.h"

static const char guest[] =
    "(module (func (export \"add\") (param i32 i32) (result i32)"
    "  (i32.add (local.get 0) (local.get 1))))";

int main(void)
{
    const cordon_value_t pair[] = {{.type = CORDON_I32, .i32 = 2}, {.type = CORDON_I32, .i32 = 40}};
    cordon_value_t sum = {0};
    cordon_result_t how = {0};
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    cordon_module_t *module = cordon_module_load(host, guest, sizeof guest - 1, &error);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_config_t *config = cordon_config_new(&error);
    cordon_vm_t *vm = module ? cordon_vm_new(host, module, linker, config, &error) : NULL;
    bool is_called = vm && cordon_vm_invoke(vm, "add", pair, 2, &sum, 1, &how, &error);

    if (is_called)
        printf("hello: 2 + 40 is %d\n", sum.i32);
    else
        fprintf(stderr, "%s\n", error.message);
    cordon_vm_free(vm);
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    return is_called && how.end == CORDON_END_RETURN ? 0 : 1;
}
