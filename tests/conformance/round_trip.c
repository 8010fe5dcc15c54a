/* For every function of the modules that are named: what the translator makes of it passes the
 * verifier, and printed as text and read back it is the same to the byte.
 *
 *   round_trip MODULE...      modules that do not load are passed over */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/load.h"
#include "loader/translate.h"
#include "vm/asm.h"
#include "vm/disasm.h"
#include "vm/program.h"

struct sheet {
    char *text;
    size_t used, room;
};

struct tally {
    unsigned modules, functions, failures;
    size_t bytes;
};

static void add_line(void *context, const char *text)
{
    struct sheet *sheet = context;
    size_t length = strlen(text);

    if (length + 1 > sheet->room - sheet->used) {
        sheet->room = (sheet->room + length + 1) * 2;
        sheet->text = realloc(sheet->text, sheet->room);
        if (sheet->text == NULL)
            abort();
    }
    memcpy(sheet->text + sheet->used, text, length);
    sheet->used += length;
    sheet->text[sheet->used++] = '\n';
}

static const char *check_text(const struct cn_module *module, const struct cn_code *code,
                              struct sheet *sheet, struct cn_error *error)
{
    struct cn_arena arena;
    struct cn_code again;
    const char *problem = NULL;

    sheet->used = 0;
    cn_disasm(module, code, add_line, sheet);
    cn_arena_init(&arena, cn_heap);
    struct cn_bytes text = {(const uint8_t *)sheet->text, sheet->used};
    if (cn_asm(text, &arena, &again, error) != CN_OK)
        problem = error->text;
    else if (!cn_code_equal(code, &again))
        problem = "the text gives other code";
    cn_arena_release(&arena);
    return problem;
}

static void check_module(const struct cn_module *module, struct cn_translator *translator,
                         struct cn_program *program, const char *path, struct tally *tally)
{
    struct sheet sheet = {NULL, 0, 0};
    struct cn_error error;
    struct cn_code code;

    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        const char *problem = NULL;
        if (cn_translate(translator, i, &code, &error) != CN_OK)
            continue;
        if (cn_program_install(program, &code, &error) != CN_OK)
            problem = error.text;
        else
            problem = check_text(module, &code, &sheet, &error);
        if (problem != NULL) {
            printf("%s: function %u: %s\n", path, i, problem);
            tally->failures++;
        }
        tally->functions++;
        tally->bytes += code.size;
    }
    tally->modules++;
    free(sheet.text);
}

static void check_file(const char *path, struct tally *tally)
{
    struct cn_translator *translator;
    struct cn_program *program;
    struct cn_module *module;
    struct cn_error error;
    FILE *file = fopen(path, "rb");
    static uint8_t bytes[64u << 20];

    if (file == NULL) {
        printf("%s: cannot be read\n", path);
        tally->failures++;
        return;
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (cn_load((struct cn_bytes){bytes, size}, cn_heap, &module, &error) != CN_OK)
        return;
    if (cn_translator_new(module, cn_heap, &translator) != CN_OK ||
        cn_program_new(&program, module, cn_heap) != CN_OK)
        abort();
    check_module(module, translator, program, path, tally);
    cn_program_free(program);
    cn_translator_free(translator);
    cn_module_free(module);
}

int main(int count, char **paths)
{
    struct tally tally = {0, 0, 0, 0};

    for (int i = 1; i < count; i++)
        check_file(paths[i], &tally);
    printf("%u modules, %u functions, %zu bytes of code, %u failures\n", tally.modules,
           tally.functions, tally.bytes, tally.failures);
    return tally.failures > 0;
}
