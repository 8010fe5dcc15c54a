/* A module runs the same way whether it is left alone or stopped at every safepoint: results,
 * memory, tables, globals, traps and the fuel that was used. */
#include <stdio.h>
#include <stdlib.h>

#include "loader/load.h"
#include "loader/translate.h"
#include "tests/fuzz/capped.h"
#include "tests/fuzz/twin.h"

#define MEMORY_CAP ((size_t)64 << 20)
#define FUEL 5000
#define RUNS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool install_all(struct cn_translator *translator, struct cn_program *program)
{
    const struct cn_module *module = program->module;
    struct cn_code code;

    for (uint32_t i = module->imported_func_count; i < module->func_count; i++)
        if (cn_translate(translator, i, &code, NULL) != CN_OK ||
            cn_program_install(program, &code, NULL) != CN_OK)
            return false;
    return true;
}

static void compare(struct cn_program *program, uint32_t func)
{
    twin_choose_slices(TWIN_WHOLE);
    struct outcome whole = twin_run(program, func, FUEL, 0, false);
    twin_choose_slices(TWIN_LEAST);
    struct outcome least = twin_run(program, func, FUEL, 0, false);

    if (whole.stop == least.stop && whole.trap == least.trap &&
        whole.fuel_left == least.fuel_left && whole.state == least.state)
        return;
    fprintf(stderr, "fuzz_preempt: function %u: stops %d %d, traps %d %d, fuel %lld %lld\n", func,
            whole.stop, least.stop, whole.trap, least.trap, (long long)whole.fuel_left,
            (long long)least.fuel_left);
    abort();
}

static void check(const struct cn_module *module, struct cn_allocator allocator)
{
    struct cn_translator *translator = NULL;
    struct cn_program *program = NULL;

    if (cn_translator_new(module, allocator, &translator) == CN_OK &&
        cn_program_new(&program, module, allocator) == CN_OK) {
        if (install_all(translator, program))
            for (uint32_t i = 0; i < RUNS_MAX; i++)
                if (module->imported_func_count + i < module->func_count)
                    compare(program, module->imported_func_count + i);
        cn_program_free(program);
    }
    cn_translator_free(translator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capped capped = {0, MEMORY_CAP};
    struct cn_module *module;

    if (cn_load((struct cn_bytes){data, size}, capped_allocator(&capped), &module, NULL) != CN_OK)
        return 0;
    if (twin_is_small(module))
        check(module, capped_allocator(&capped));
    cn_module_free(module);
    if (capped.used != 0)
        abort(); /* memory was not given back */
    return 0;
}
