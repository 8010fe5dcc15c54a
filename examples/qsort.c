/* The C library sorts a guest's words, in the guest's memory and by the guest's own comparison. */
#include <stdio.h>
#include <stdlib.h>

#include "include/cordon.h"

/* Twelve bytes each, compared backwards: by the number in their table, compilers for C say. */
static const char guest[] =
    "(module"
    "  (import \"env\" \"sort\" (func $sort (param i32 i32 i32)))"
    "  (memory (export \"memory\") 1)"
    "  (data (i32.const 64) \"plum        apple       quince      cherry      \")"
    "  (table 2 funcref) (elem (i32.const 1) $backwards)"
    "  (func $backwards (param i32 i32) (result i32)"
    "    (i32.sub (i32.load8_u (local.get 1)) (i32.load8_u (local.get 0))))"
    "  (func (export \"run\") (call $sort (i32.const 64) (i32.const 48) (i32.const 1))))";

typedef int (*compare_fn)(const void *, const void *);

/* A comparison of a guest's may answer anything, and some C libraries' qsort goes astray then when
 * there is no memory for a copy: so only what is small is sorted. */
static void sort(cordon_vm_t *vm, void *bytes, size_t size, compare_fn compare)
{
    if (size > 65536 || compare == NULL)
        cordon_vm_trap(vm, "too much to sort, or by nothing");
    else
        qsort(bytes, size / 12, 12, compare);
}

static int run(cordon_vm_t *vm, cordon_error_t *error)
{
    cordon_result_t how;
    uint64_t size;

    if (!cordon_vm_invoke(vm, "run", NULL, 0, NULL, 0, &how, error))
        return fprintf(stderr, "%s\n", error->message);
    if (how.end != CORDON_END_RETURN)
        return fprintf(stderr, "%s\n", how.message);
    printf("%.41s\n", (const char *)cordon_vm_memory(vm, &size) + 64);
    return 0;
}

int main(void)
{
    cordon_error_t error = {0};
    cordon_host_t *host = cordon_host_new(&error);
    cordon_module_t *module = cordon_module_load(host, guest, sizeof guest - 1, &error);
    cordon_linker_t *linker = cordon_linker_new(host, &error);
    cordon_config_t *config = cordon_config_new(&error);
    cordon_vm_t *vm = NULL;

    if (module != NULL && cordon_bind(linker, "env", "sort",
                                      "void(vm, buf, fn<i32(ptr<12>, ptr<12>)>)",
                                      (void (*)(void))sort, &error))
        vm = cordon_vm_new(host, module, linker, config, &error);
    int failed = vm != NULL ? run(vm, &error) : fprintf(stderr, "%s\n", error.message);
    cordon_vm_free(vm);
    cordon_config_free(config);
    cordon_linker_free(linker);
    cordon_module_free(module);
    cordon_host_free(host);
    return failed != 0;
}
