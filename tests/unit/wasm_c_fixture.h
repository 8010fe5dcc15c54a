/* Stores of wasm.h, and modules for them written as text. */
#ifndef CN_TESTS_WASM_C_FIXTURE_H
#define CN_TESTS_WASM_C_FIXTURE_H

#include <criterion/criterion.h>

#include "include/wasm.h"
#include "loader/load.h"
#include "loader/text.h"

struct world {
    wasm_engine_t *engine;
    wasm_store_t *store;
    wasm_module_t *module;
    wasm_instance_t *instance;
    wasm_extern_vec_t exports;
};

/* The binary form of a text. */
static inline void assemble(const char *text, wasm_byte_vec_t *binary)
{
    struct cn_buffer buffer = {.allocator = cn_heap};
    struct cn_module *module = NULL;
    struct cn_error error = {0};

    cr_assert_eq(cn_load_text(cn_bytes_of(text), &buffer, &module, &error), CN_OK, "%s",
                 error.text);
    wasm_byte_vec_new(binary, module->file.size, (const wasm_byte_t *)module->file.at);
    cn_module_free(module);
    cn_buffer_free(&buffer);
}

static inline wasm_module_t *module_of(wasm_store_t *store, const char *text)
{
    wasm_byte_vec_t binary;

    assemble(text, &binary);
    wasm_module_t *module = wasm_module_new(store, &binary);
    wasm_byte_vec_delete(&binary);
    cr_assert_not_null(module);
    return module;
}

static inline void open_world(struct world *world)
{
    *world = (struct world){.engine = wasm_engine_new()};
    world->store = wasm_store_new(world->engine);
    wasm_extern_vec_new_empty(&world->exports);
}

/* An instance of the text, joined to `count` externals. */
static inline void make(struct world *world, const char *text, wasm_extern_t **imports,
                        size_t count)
{
    wasm_extern_vec_t given = {count, imports};
    wasm_trap_t *trap = NULL;

    world->module = module_of(world->store, text);
    world->instance = wasm_instance_new(world->store, world->module, &given, &trap);
    cr_assert_null(trap);
    cr_assert_not_null(world->instance);
    wasm_instance_exports(world->instance, &world->exports);
}

static inline void close_world(struct world *world)
{
    wasm_extern_vec_delete(&world->exports);
    wasm_instance_delete(world->instance);
    wasm_module_delete(world->module);
    wasm_store_delete(world->store);
    wasm_engine_delete(world->engine);
}

static inline wasm_func_t *func_at(const struct world *world, size_t number)
{
    cr_assert_lt(number, world->exports.size);
    wasm_func_t *func = wasm_extern_as_func(world->exports.data[number]);
    cr_assert_not_null(func);
    return func;
}

static inline wasm_trap_t *call(const wasm_func_t *func, wasm_val_t *arguments, size_t count,
                                wasm_val_t *result)
{
    wasm_val_vec_t given = {count, arguments}, results = {result != NULL, result};

    return wasm_func_call(func, &given, &results);
}

static inline int32_t call_i32(const wasm_func_t *func, int32_t argument)
{
    wasm_val_t given = WASM_I32_VAL(argument), result = WASM_INIT_VAL;

    cr_assert_null(call(func, &given, 1, &result));
    cr_assert_eq(result.kind, WASM_I32);
    return result.of.i32;
}

/* The trap says this, and is deleted. */
static inline void says(wasm_trap_t *trap, const char *text)
{
    wasm_message_t message;

    cr_assert_not_null(trap, "no trap instead of \"%s\"", text);
    wasm_trap_message(trap, &message);
    cr_assert_eq(message.data[message.size - 1], '\0');
    cr_assert_str_eq(message.data, text);
    wasm_byte_vec_delete(&message);
    wasm_trap_delete(trap);
}

#endif
