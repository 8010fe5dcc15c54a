#include "api/whole.h"

#include "core/alloc.h"
#include "loader/translate.h"
#include "vm/program.h"

enum cn_status cn_translate_whole(struct cn_translator *translator, struct cn_program *program,
                                  struct cn_error *error)
{
    const struct cn_module *module = program->module;

    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        struct cn_code code;
        CN_TRY(cn_translate(translator, i, &code, error));
        CN_TRY(cn_program_install(program, &code, error));
    }
    return CN_OK;
}

enum cn_status cn_translate_program(struct cn_program *program, struct cn_error *error)
{
    struct cn_translator *translator;

    CN_TRY(cn_translator_new(program->module, cn_heap, &translator));
    enum cn_status status = cn_translate_whole(translator, program, error);
    cn_translator_free(translator);
    return status;
}
