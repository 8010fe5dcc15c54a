/* Modules written as bytes that run on the machine itself, without the layers above it. */
#ifndef CN_TESTS_MACHINE_FIXTURE_H
#define CN_TESTS_MACHINE_FIXTURE_H

#include "loader/load.h"
#include "loader/translate.h"
#include "tests/unit/vm_fixture.h"
#include "vm/thread.h"

/* An instance of the module, and threads of its store. */
struct machine {
    struct fixture f;
    struct cn_module *module;
    struct cn_thread *threads[4];
};

static inline void machine_open(struct machine *m, struct cn_bytes bytes)
{
    struct cn_translator *translator;
    struct cn_code code;

    cr_assert_eq(cn_load(bytes, cn_heap, &m->module, &m->f.error), CN_OK, "%s", m->f.error.text);
    fixture_open(&m->f, m->module);
    cr_assert_eq(cn_translator_new(m->module, cn_heap, &translator), CN_OK);
    for (uint32_t i = 0; i < m->module->func_count; i++) {
        cr_assert_eq(cn_translate(translator, i, &code, &m->f.error), CN_OK);
        cr_assert_eq(cn_program_install(m->f.program, &code, &m->f.error), CN_OK);
    }
    cn_translator_free(translator);
    cr_assert_eq(fixture_make(&m->f, NULL), CN_OK, "%s", m->f.error.text);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(cn_thread_new(m->f.store, 1 << 16, &m->threads[i]), CN_OK);
}

static inline void machine_close(struct machine *m)
{
    for (int i = 0; i < 4; i++)
        cn_thread_free(m->threads[i]);
    fixture_close(&m->f);
    cn_module_free(m->module);
}

/* Calls a function by its number and runs it as far as a million units of fuel carry. */
static inline enum cn_stop machine_start(struct machine *m, int thread, int func,
                                         const union cn_slot *arguments)
{
    cr_assert_eq(cn_thread_call(m->threads[thread], m->f.instance->funcs[func], arguments), CN_OK);
    return cn_thread_run(m->threads[thread], 1000000);
}

#endif
