/* What the loader finds valid, the translator translates and the verifier accepts; and what is
 * accepted runs the same way twice, whatever garbage lies around. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/load.h"
#include "loader/translate.h"
#include "tests/fuzz/capped.h"
#include "tests/fuzz/twin.h"

#define MEMORY_CAP ((size_t)64 << 20)
#define FUEL 2000
#define RUNS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *what, const char *text)
{
    fprintf(stderr, "fuzz_translate: %s: %s\n", what, text);
    abort();
}

/* False when a limit stands against it. */
static bool install_all(struct cn_translator *translator, struct cn_program *program)
{
    const struct cn_module *module = program->module;

    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        struct cn_error error = {CN_OK, 0, ""};
        struct cn_code code;
        enum cn_status status = cn_translate(translator, i, &code, &error);
        if (status == CN_OK)
            status = cn_program_install(program, &code, &error);
        if (status == CN_UNVERIFIED)
            die("valid code was translated to what is not safe", error.text);
        if (status != CN_OK)
            return false;
    }
    return true;
}

static void run_some(struct cn_program *program)
{
    const struct cn_module *module = program->module;
    uint32_t runs = 0;

    if (!twin_is_small(module))
        return;
    for (uint32_t i = module->imported_func_count; i < module->func_count && runs < RUNS_MAX;
         i++, runs++)
        (void)twin_compare(program, i, FUEL);
}

static void check(const struct cn_module *module, struct cn_allocator allocator)
{
    struct cn_translator *translator = NULL;
    struct cn_program *program = NULL;

    if (cn_translator_new(module, allocator, &translator) == CN_OK &&
        cn_program_new(&program, module, allocator) == CN_OK) {
        if (install_all(translator, program))
            run_some(program);
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
    check(module, capped_allocator(&capped));
    cn_module_free(module);
    if (capped.used != 0)
        die("memory was not given back", "");
    return 0;
}
