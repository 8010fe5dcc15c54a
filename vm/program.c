#include "vm/program.h"

#include "vm/handlers.h"

static uint32_t header_slots(const struct cn_functype *type)
{
    return type->param_count > type->result_count ? type->param_count : type->result_count;
}

enum cn_status cn_program_new(struct cn_program **result, const struct cn_module *module,
                              struct cn_allocator allocator)
{
    struct cn_program *program = cn_alloc(allocator, sizeof *program);
    size_t count = module->func_count;
    uint64_t stub = cn_stub_handler();

    if (program == NULL)
        return CN_NO_MEMORY;
    program->module = module;
    program->allocator = allocator;
    program->funcs = cn_alloc_array(allocator, count, sizeof *program->funcs);
    if (program->funcs == NULL) {
        cn_free(allocator, program, sizeof *program);
        return CN_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct cn_funcode *code = &program->funcs[i];
        code->func = i;
        code->params = module->types[module->funcs[i].type].param_count;
        code->stub = stub;
        code->entry = (const uint8_t *)&code->stub;
        code->header = header_slots(&module->types[module->funcs[i].type]);
        code->frame = code->header + CN_FRAME_HEADER;
    }
    *result = program;
    return CN_OK;
}

void cn_program_free(struct cn_program *program)
{
    if (program == NULL)
        return;
    for (uint32_t i = 0; i < program->module->func_count; i++)
        cn_free(program->allocator, program->funcs[i].bytes, program->funcs[i].size);
    cn_free(program->allocator, program->funcs,
            (size_t)program->module->func_count * sizeof *program->funcs);
    cn_free(program->allocator, program, sizeof *program);
}
