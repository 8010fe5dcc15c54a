/* Takes the code that the translator makes of real modules, changes one field at random, and
 * counts what the verifier lets pass. What passes is run, twice: accepted must mean safe.
 *
 *   mutate_verify [-runs=N] [-seed=N] [-v] MODULE... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/insn.h"
#include "loader/load.h"
#include "loader/translate.h"
#include "tests/fuzz/twin.h"
#include "vm/disasm.h"
#include "vm/field.h"
#include "vm/verify.h"

struct mutator {
    const struct cn_module *module;
    struct cn_translator *translator;
    uint64_t seed;
    uint32_t refused, accepted;
    bool is_verbose;
};

/* A copy of a function's code that may be changed. */
struct copy {
    struct cn_code code;
    char what[200];
};

static uint64_t next_random(struct mutator *m, uint64_t count)
{
    m->seed += 0x9e3779b97f4a7c15u;
    uint64_t z = (m->seed ^ m->seed >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % count;
}

static void *duplicate(const void *from, size_t size)
{
    void *to = malloc(size + 1);

    if (to == NULL)
        abort();
    if (size > 0)
        memcpy(to, from, size);
    return to;
}

static void copy_code(struct copy *copy, const struct cn_code *code)
{
    copy->code = *code;
    copy->code.bytes = duplicate(code->bytes, code->size);
    copy->code.labels = duplicate(code->labels, code->label_count * sizeof *code->labels);
    copy->code.refs = duplicate(code->refs, code->ref_count * sizeof *code->refs);
}

static void free_copy(struct copy *copy)
{
    free(copy->code.bytes);
    free(copy->code.labels);
    free(copy->code.refs);
}

/* The start of some instruction. */
static uint32_t choose_insn(struct mutator *m, const struct cn_code *code)
{
    uint32_t wanted = (uint32_t)next_random(m, code->size), at = 0;
    char text[8];

    for (;;) {
        uint32_t size = cn_disasm_insn(code, at, text, sizeof text);
        if (wanted < at + size)
            return at;
        at += size;
    }
}

/* A value near the old one, or any, or one of those that often break things. */
static uint64_t other_value(struct mutator *m, uint64_t old)
{
    switch (next_random(m, 4)) {
    case 0:
        return old + 1 + next_random(m, 3);
    case 1:
        return old - 1 - next_random(m, 3);
    case 2:
        return next_random(m, 40);
    default:
        return ~(uint64_t)0 >> next_random(m, 64);
    }
}

static void change_bytes(struct mutator *m, struct copy *copy)
{
    struct cn_code *code = &copy->code;
    uint32_t at = choose_insn(m, code);
    uint64_t number = cn_load_u64(code->bytes + at);
    const struct cn_variant_info *variant = &cn_variant_infos[number];
    uint32_t which = (uint32_t)next_random(m, variant->field_count + 1u);
    char before[80], after[80];
    uint64_t value = 0;

    cn_disasm_insn(code, at, before, sizeof before);
    if (which == variant->field_count) { /* the instruction itself, often one of equal shape */
        value = next_random(m, 3) ? number + next_random(m, 64) - 32
                                  : next_random(m, CN_VARIANT_COUNT);
        cn_store_u64(code->bytes + at, value);
    } else {
        const struct cn_field *field = &variant->fields[which];
        uint32_t size = cn_field_size((enum cn_field_kind)field->kind);
        memcpy(&value, code->bytes + at + field->at, size);
        value = other_value(m, value);
        memcpy(code->bytes + at + field->at, &value, size);
    }
    cn_disasm_insn(code, at, after, sizeof after);
    snprintf(copy->what, sizeof copy->what, "at %u: %s -> %s", at, before, after);
}

static void change_label(struct mutator *m, struct copy *copy)
{
    struct cn_label *label = &copy->code.labels[next_random(m, copy->code.label_count)];

    snprintf(copy->what, sizeof copy->what, "a label at %u, live %u", label->offset, label->live);
    if (next_random(m, 2))
        label->live = (uint16_t)other_value(m, label->live);
    else
        label->offset = (uint32_t)other_value(m, label->offset / 8) * 8;
}

static void change_shape(struct mutator *m, struct copy *copy)
{
    struct cn_code *code = &copy->code;

    snprintf(copy->what, sizeof copy->what, "the frame of %u slots", code->frame);
    if (next_random(m, 2))
        code->frame = (uint32_t)other_value(m, code->frame);
    else
        code->entry_cost = (uint32_t)other_value(m, code->entry_cost);
}

static void mutate(struct mutator *m, struct copy *copy)
{
    uint64_t kind = next_random(m, 16);

    if (kind == 0)
        change_shape(m, copy);
    else if (kind <= 2 && copy->code.label_count > 0)
        change_label(m, copy);
    else
        change_bytes(m, copy);
}

static void install_others(struct mutator *m, struct cn_program *program, uint32_t but)
{
    struct cn_error error;
    struct cn_code code;

    for (uint32_t i = m->module->imported_func_count; i < m->module->func_count; i++) {
        if (i == but)
            continue;
        if (cn_translate(m->translator, i, &code, &error) != CN_OK ||
            cn_program_install(program, &code, &error) != CN_OK) {
            fprintf(stderr, "translated code is refused: %s\n", error.text);
            abort();
        }
    }
}

static void run_mutant(struct mutator *m, struct cn_program *program, const struct copy *copy)
{
    m->accepted++;
    if (m->is_verbose)
        fprintf(stderr, "function %u accepted: %s\n", copy->code.func, copy->what);
    install_others(m, program, copy->code.func);
    (void)twin_compare(program, copy->code.func, 20000);
    for (uint32_t i = 0; i < m->module->export_count; i++)
        if (m->module->exports[i].kind == CN_EXTERN_FUNC && next_random(m, 4) == 0)
            (void)twin_compare(program, m->module->exports[i].index, 20000);
}

static void try_mutant(struct mutator *m)
{
    uint32_t first = m->module->imported_func_count;
    uint32_t func = first + (uint32_t)next_random(m, m->module->func_count - first);
    struct cn_program *program;
    struct cn_error error;
    struct cn_code code;
    struct copy copy;

    if (cn_translate(m->translator, func, &code, &error) != CN_OK ||
        cn_program_new(&program, m->module, cn_heap) != CN_OK)
        abort();
    copy_code(&copy, &code);
    mutate(m, &copy);
    if (cn_program_install(program, &copy.code, &error) == CN_OK)
        run_mutant(m, program, &copy);
    else
        m->refused++;
    free_copy(&copy);
    cn_program_free(program);
}

static bool suits(const struct cn_module *module)
{
    for (uint32_t i = 0; i < module->import_count; i++)
        if (module->imports[i].kind == CN_EXTERN_TABLE ||
            module->imports[i].kind == CN_EXTERN_MEMORY)
            return false;
    return module->func_count > module->imported_func_count;
}

static void try_module(struct mutator *m, const char *path, uint64_t runs)
{
    FILE *file = fopen(path, "rb");
    static uint8_t bytes[64u << 20];
    struct cn_module *module;
    struct cn_error error;

    if (file == NULL)
        return;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (cn_load((struct cn_bytes){bytes, size}, cn_heap, &module, &error) != CN_OK)
        return;
    m->module = module;
    if (suits(module) && cn_translator_new(module, cn_heap, &m->translator) == CN_OK) {
        for (uint64_t i = 0; i < runs; i++)
            try_mutant(m);
        cn_translator_free(m->translator);
    }
    cn_module_free(module);
}

int main(int count, char **words)
{
    struct mutator m = {.seed = 1};
    uint64_t runs = 100;

    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], "-runs=", 6) == 0)
            runs = strtoull(words[i] + 6, NULL, 10);
        else if (strncmp(words[i], "-seed=", 6) == 0)
            m.seed = strtoull(words[i] + 6, NULL, 10);
        else if (strcmp(words[i], "-v") == 0)
            m.is_verbose = true;
        else
            try_module(&m, words[i], runs);
    }
    printf("%u mutants refused, %u accepted and run\n", m.refused, m.accepted);
    return 0;
}
