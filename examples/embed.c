/* Cordon inside your own program: a guest's function is called, which calls one of C's. */
#include <math.h>
#include <stdio.h>

#include "include/cordon.h"

/* (module
 *   (import "env" "hypot" (func $hypot (param f64 f64) (result f64)))
 *   (func (export "distance") (param f64 f64) (result f64)
 *     (call $hypot (local.get 0) (local.get 1)))) */
static const unsigned char guest[] =
    "\0asm\1\0\0\0\1\7\1\x60\2\x7c\x7c\1\x7c\2\xd\1\3env\5hypot\0\0\3\2\1\0"
    "\7\xc\1\10distance\0\1\xa\xa\1\10\0\x20\0\x20\1\x10\0\xb";

static int complain(const cordon_error_t *error)
{
    fprintf(stderr, "%s\n", error->message);
    return 1;
}

/* Calls it with 3 and 4, with a million operators and a MiB of memory at most. */
static int run(cordon_host_t *host, cordon_module_t *module, cordon_linker_t *linker,
               cordon_config_t *config, cordon_error_t *error)
{
    cordon_value_t sides[] = {{.type = CORDON_F64, .f64 = 3}, {.type = CORDON_F64, .f64 = 4}};
    cordon_value_t distance;
    cordon_result_t how;

    if (!cordon_config_limit(config, CORDON_MEMORY, 1 << 20, error) ||
        !cordon_config_limit(config, CORDON_FUEL, 1000000, error))
        return complain(error);
    cordon_vm_t *vm = cordon_vm_new(host, module, linker, config, error);
    if (vm == NULL)
        return complain(error);
    int code = 0;
    if (!cordon_vm_invoke(vm, "distance", sides, 2, &distance, 1, &how, error))
        code = complain(error);
    else if (how.end != CORDON_END_RETURN)
        code = printf("it ended otherwise: %s\n", how.message) != 0;
    else
        printf("the distance is %g\n", distance.f64);
    cordon_vm_free(vm);
    return code;
}

int main(void)
{
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    cordon_module_t *module =
        host ? cordon_module_load(host, guest, sizeof guest - 1, &error) : NULL;
    cordon_linker_t *linker = module ? cordon_linker_new(host, &error) : NULL;
    cordon_config_t *config = linker ? cordon_config_new(&error) : NULL;
    int code = 1;

    if (config == NULL || !cordon_bind(linker, "env", "hypot", "f64(f64, f64)",
                                       (void (*)(void))hypot, &error))
        complain(&error);
    else
        code = run(host, module, linker, config, &error);
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    return code;
}
