/* Developers' commands: unlike `run` they look behind the public interface. */
#include "cli/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/file.h"
#include "cli/options.h"
#include "loader/load.h"
#include "loader/text.h"
#include "loader/translate.h"
#include "vm/disasm.h"
#include "vm/program.h"

struct inspected {
    struct cli_file file;
    struct cn_buffer binary; /* what a text became */
    struct cn_module *module;
    struct cn_translator *translator;
    struct cn_program *program;
    uint64_t code_bytes, register_bytes;
    double validate_s, translate_s, verify_s;
};

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int fail(const char *path, const struct cn_error *error)
{
    if (error->offset != CN_NO_OFFSET)
        cli_complain("%s: at offset 0x%llx: %s", path, (unsigned long long)error->offset,
                     error->text);
    else
        cli_complain("%s: %s", path, error->text[0] ? error->text : cn_status_text(error->status));
    return cn_status_exit_code(error->status);
}

/* Reads and validates; 0 or the exit code. */
static int open_module(struct inspected *it, const char *path)
{
    struct cn_error error = {.offset = CN_NO_OFFSET};
    int code = 0;

    memset(it, 0, sizeof *it);
    if (!cli_file_read(&it->file, path, &code))
        return code;
    double start = seconds();
    struct cn_bytes bytes = {it->file.bytes, it->file.size};
    it->binary.allocator = cn_heap;
    error.status = cn_is_text(bytes) ? cn_load_text(bytes, &it->binary, &it->module, &error)
                                     : cn_load(bytes, cn_heap, &it->module, &error);
    it->validate_s = seconds() - start;
    if (error.status == CN_OK)
        error.status = cn_translator_new(it->module, cn_heap, &it->translator);
    return error.status == CN_OK ? 0 : fail(path, &error);
}

static void close_module(struct inspected *it)
{
    cn_translator_free(it->translator);
    cn_program_free(it->program);
    cn_module_free(it->module);
    cn_buffer_free(&it->binary);
    cli_file_free(&it->file);
}

/* Translates and verifies every function. */
static enum cn_status verify_all(struct inspected *it, struct cn_error *error)
{
    const struct cn_module *module = it->module;

    CN_TRY(cn_program_new(&it->program, module, cn_heap));
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        struct cn_code code;
        double start = seconds();
        CN_TRY(cn_translate(it->translator, i, &code, error));
        double middle = seconds();
        CN_TRY(cn_program_install(it->program, &code, error));
        it->translate_s += middle - start;
        it->verify_s += seconds() - middle;
        it->code_bytes += module->funcs[i].body.size;
        it->register_bytes += code.size;
    }
    return CN_OK;
}

/* ------------------------------------------------------------------ check */

static void print_name(struct cn_bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        putchar(name.at[i] < 0x20 || name.at[i] == 0x7f ? '?' : name.at[i]);
}

static void print_limits(const struct cn_limits *limits, const char *unit)
{
    printf(" %llu", (unsigned long long)limits->min);
    if (limits->max != UINT64_MAX)
        printf(" to %llu", (unsigned long long)limits->max);
    printf(" %s", unit);
}

static void print_memory(const struct cn_memory_type *type)
{
    print_limits(&type->limits, type->page_log2 == 0 ? "bytes" : "pages of 64 KiB");
    printf("%s%s", type->is_64 ? ", 64-bit addresses" : "", type->is_shared ? ", shared" : "");
}

static void print_table(const struct cn_table_type *type)
{
    printf(" of %s,", cn_valtype_name(type->element));
    print_limits(&type->limits, "elements");
    printf("%s", type->is_64 ? ", 64-bit indices" : "");
}

static void print_type(const struct cn_module *module, enum cn_extern_kind kind, uint32_t index)
{
    char text[512];

    printf("%s", cn_extern_kind_name(kind));
    switch (kind) {
    case CN_EXTERN_FUNC:
        printf(" %s", cn_functype_print(cn_module_type_of(module, index), text,
                                        sizeof text));
        break;
    case CN_EXTERN_TABLE:
        print_table(&module->tables[index].type);
        break;
    case CN_EXTERN_MEMORY:
        printf(" of");
        print_memory(&module->memories[index]);
        break;
    case CN_EXTERN_TAG:
        printf(" %s", cn_functype_print(cn_module_functype(module, module->tags[index]), text,
                                        sizeof text));
        break;
    default:
        printf(" %s%s", module->globals[index].type.is_mutable ? "mutable " : "",
               cn_valtype_name(module->globals[index].type.type));
        break;
    }
    putchar('\n');
}

static void print_module(const struct cn_module *module)
{
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct cn_import *import = &module->imports[i];
        printf("import ");
        print_name(import->module);
        putchar('.');
        print_name(import->name);
        printf(": ");
        print_type(module, import->kind, import->index);
    }
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct cn_export *export = &module->exports[i];
        printf("export ");
        print_name(export->name);
        printf(": ");
        print_type(module, export->kind, export->index);
    }
    for (uint32_t i = module->imported_memory_count; i < module->memory_count; i++) {
        printf("memory");
        print_memory(&module->memories[i]);
        putchar('\n');
    }
    for (uint32_t i = module->imported_table_count; i < module->table_count; i++) {
        printf("table");
        print_table(&module->tables[i].type);
        putchar('\n');
    }
}

static void print_timing(const struct inspected *it)
{
    double mb = (double)it->code_bytes / 1e6;
    double all = it->validate_s + it->translate_s + it->verify_s;

    printf("timing: validate %.1f MB/s, translate %.1f, verify %.1f, all three %.1f\n",
           mb / it->validate_s, mb / it->translate_s, mb / it->verify_s, mb / all);
}

int cli_check(int argc, char **argv)
{
    bool timing = argc > 0 && strcmp(argv[0], "--timing") == 0;
    struct cn_error error = {.offset = CN_NO_OFFSET};
    struct inspected it;

    argc -= timing;
    argv += timing;
    if (argc != 1) {
        cli_complain("expected one module: cordon check app.wasm");
        return 125;
    }
    int code = open_module(&it, argv[0]);
    if (code == 0) {
        error.status = verify_all(&it, &error);
        if (error.status != CN_OK)
            code = fail(argv[0], &error);
    }
    if (code == 0) {
        print_module(it.module);
        printf("%zu bytes, %u functions with %llu bytes of code, %llu of register code\n",
               it.file.size, it.module->func_count - it.module->imported_func_count,
               (unsigned long long)it.code_bytes, (unsigned long long)it.register_bytes);
        puts("valid and verified");
        if (timing)
            print_timing(&it);
    }
    close_module(&it);
    return code;
}

/* ------------------------------------------------------------------ dump */

static void print_line(void *context, const char *text)
{
    (void)context;
    puts(text);
}

/* A function by number or by name; CN_NO_INDEX when there is none. */
static uint32_t find_function(const struct cn_module *module, const char *wanted)
{
    char *end;
    unsigned long number = strtoul(wanted, &end, 10);

    if (*wanted != '\0' && *end == '\0')
        return number < module->func_count ? (uint32_t)number : CN_NO_INDEX;
    for (uint32_t i = 0; i < module->func_count; i++)
        if (cn_bytes_equal(cn_module_func_name(module, i), cn_bytes_of(wanted)))
            return i;
    const struct cn_export *export = cn_module_find_export(module, cn_bytes_of(wanted));
    return export && export->kind == CN_EXTERN_FUNC ? export->index : CN_NO_INDEX;
}

static enum cn_status dump_function(struct inspected *it, uint32_t func, struct cn_error *error)
{
    struct cn_code code;

    CN_TRY(cn_translate(it->translator, func, &code, error));
    cn_disasm(it->module, &code, print_line, NULL);
    return CN_OK;
}

static int dump(struct inspected *it, const char *path, const char *wanted)
{
    const struct cn_module *module = it->module;
    struct cn_error error = {.offset = CN_NO_OFFSET};
    uint32_t first = module->imported_func_count, last = module->func_count;

    if (wanted != NULL) {
        first = find_function(module, wanted);
        if (first == CN_NO_INDEX || first < module->imported_func_count) {
            cli_complain(first == CN_NO_INDEX ? "%s: there is no function %s"
                                              : "%s: function %s is imported: it has no code",
                         path, wanted);
            return 127;
        }
        last = first + 1;
    }
    for (uint32_t i = first; i < last; i++) {
        error.status = dump_function(it, i, &error);
        if (error.status != CN_OK)
            return fail(path, &error);
    }
    return 0;
}

int cli_dump(int argc, char **argv)
{
    struct inspected it;

    if (argc < 1 || argc > 2) {
        cli_complain("expected a module: cordon dump app.wasm [function]");
        return 125;
    }
    int code = open_module(&it, argv[0]);
    if (code == 0)
        code = dump(&it, argv[0], argc > 1 ? argv[1] : NULL);
    close_module(&it);
    return code;
}
