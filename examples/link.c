/* Two modules linked in one VM: a library of numbers, and a program that imports its functions and
 * its memory. */
#include <stdio.h>

#include "include/cordon.h"

/* Keeps the sum of what it is told, at address 0. */
static const char library[] =
    "(module (memory (export \"memory\") 1)"
    "  (func (export \"tell\") (param i64)"
    "    (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (local.get 0)))))";

/* Tells it the squares of 1 to n, and looks the sum up itself. */
static const char program[] =
    "(module (import \"sum\" \"memory\" (memory 1))"
    "  (import \"sum\" \"tell\" (func $tell (param i64)))"
    "  (func (export \"squares\") (param $n i64) (result i64)"
    "    (loop $next"
    "      (call $tell (i64.mul (local.get $n) (local.get $n)))"
    "      (local.set $n (i64.sub (local.get $n) (i64.const 1)))"
    "      (br_if $next (i64.ne (local.get $n) (i64.const 0))))"
    "    (i64.load (i32.const 0))))";

int main(void)
{
    const cordon_value_t ten = {.type = CORDON_I64, .i64 = 10};
    cordon_value_t sum = {0};
    cordon_result_t how = {0};
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    cordon_module_t *first = cordon_module_load(host, library, sizeof library - 1, &error);
    cordon_module_t *second = cordon_module_load(host, program, sizeof program - 1, &error);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_config_t *config = cordon_config_new(&error);
    cordon_vm_t *vm = cordon_vm_new(host, NULL, linker, config, &error);
    bool is_linked = vm && cordon_vm_add(vm, "sum", first, &error) &&
                     cordon_vm_add(vm, "main", second, &error);
    bool is_called =
        is_linked && cordon_vm_invoke(vm, "squares", &ten, 1, &sum, 1, &how, &error);

    if (is_called)
        printf("1 + 4 + ... + 100 is %lld\n", (long long)sum.i64);
    else
        fprintf(stderr, "%s\n", error.message);
    cordon_vm_free(vm);
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(second);
    cordon_module_free(first);
    cordon_host_free(host);
    return is_called && how.end == CORDON_END_RETURN ? 0 : 1;
}
