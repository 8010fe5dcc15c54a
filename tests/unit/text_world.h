/* Modules of text on the machine itself, each in a store of its own, without the layers above. */
#ifndef CN_TESTS_TEXT_WORLD_H
#define CN_TESTS_TEXT_WORLD_H

#include <criterion/criterion.h>

#include "core/alloc.h"
#include "loader/load.h"
#include "loader/text.h"
#include "loader/translate.h"
#include "vm/thread.h"

/* A module of text in a store of its own. */
struct world {
    struct cn_account account;
    struct cn_buffer binary;
    struct cn_module *module;
    struct cn_program *program;
    struct cn_store *store;
    struct cn_instance *instance;
    struct cn_thread *thread;
    struct cn_error error;
    uint64_t fuel;      /* used by the last call */
    uint64_t slowest_ns; /* of its slices that ended with more of a collection to come */
    uint32_t yields;
};

static inline void translate(struct world *world)
{
    struct cn_translator *translator;
    struct cn_code code;

    cr_assert_eq(cn_translator_new(world->module, cn_heap, &translator), CN_OK);
    for (uint32_t i = world->module->imported_func_count; i < world->module->func_count; i++) {
        cr_assert_eq(cn_translate(translator, i, &code, &world->error), CN_OK, "%s",
                     world->error.text);
        cr_assert_eq(cn_program_install(world->program, &code, &world->error), CN_OK, "%s",
                     world->error.text);
    }
    cn_translator_free(translator);
}

static inline void open_world(struct world *world, const char *text)
{
    *world = (struct world){.binary = {.allocator = cn_heap}};
    cn_account_init(&world->account);
    cr_assert_eq(cn_load_text(cn_bytes_of(text), &world->binary, &world->module, &world->error),
                 CN_OK, "%s", world->error.text);
    cr_assert_eq(cn_program_new(&world->program, world->module, cn_heap), CN_OK);
    translate(world);
    cr_assert_eq(cn_store_new(&world->store, &world->account), CN_OK);
    cr_assert_eq(cn_instantiate(world->store, world->program, NULL, &world->instance,
                                &world->error), CN_OK, "%s", world->error.text);
    cr_assert_eq(cn_thread_new(world->store, 1 << 20, &world->thread), CN_OK);
}

static inline void close_world(struct world *world)
{
    cn_thread_free(world->thread);
    cn_store_free(world->store);
    cr_expect_eq(world->account.used[CN_QUOTA_MEMORY], 0, "everything is given back");
    cn_program_free(world->program);
    cn_module_free(world->module);
    cn_buffer_free(&world->binary);
}

#endif
