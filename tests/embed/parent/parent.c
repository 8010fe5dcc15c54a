/* The least that shows that header and library belong together: C and C++ both take it. */
#include <cordon.h>
#include <stdio.h>
#include <string.h>

static const unsigned char guest[] =
    "\0asm\1\0\0\0\1\5\1\x60\0\1\x7f\3\2\1\0\7\5\1\1g\0\0\xa\6\1\4\0\x41\x2a\xb";

int main(void)
{
    cordon_error_t error;
    cordon_value_t answer;
    cordon_result_t how;
    cordon_host_t *host = cordon_host_new(&error);
    cordon_module_t *module = cordon_module_load(host, guest, sizeof guest - 1, &error);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_config_t *config = cordon_config_new(&error);
    cordon_vm_t *vm = cordon_vm_new(host, module, linker, config, &error);

    if (vm == NULL || strcmp(cordon_version(), CORDON_VERSION) != 0 ||
        !cordon_vm_invoke(vm, "g", NULL, 0, &answer, 1, &how, &error))
        return 1;
    printf("%d\n", (int)answer.i32);
    cordon_vm_free(vm);
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    return 0;
}
