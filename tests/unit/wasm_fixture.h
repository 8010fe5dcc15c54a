/* Modules written as bytes, for the tests of loader/. */
#ifndef CN_TESTS_WASM_FIXTURE_H
#define CN_TESTS_WASM_FIXTURE_H

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

#include "loader/load.h"

#define BYTES(...) ((struct cn_bytes){(const uint8_t[]){__VA_ARGS__}, COUNT_OF(__VA_ARGS__)})
#define COUNT_OF(...) sizeof((const uint8_t[]){__VA_ARGS__})

/* Pieces of a module of less than 128 bytes each. */
#define HEADER 0, 'a', 's', 'm', 1, 0, 0, 0
#define SECTION(id, ...) id, COUNT_OF(__VA_ARGS__), __VA_ARGS__
#define MODULE(...) BYTES(HEADER, __VA_ARGS__)
#define BODY(...) COUNT_OF(__VA_ARGS__, 0x0b), __VA_ARGS__, 0x0b

enum { TYPES = 1, IMPORTS, FUNCTIONS, TABLES, MEMORIES, GLOBALS, EXPORTS, START, ELEMENTS, CODE,
       DATAS, DATA_COUNT };
enum { FUNC = 0x60, I32 = CN_I32, I64 = CN_I64, F32 = CN_F32, F64 = CN_F64, FREF = CN_HEAP_FUNC,
       XREF = CN_HEAP_EXTERN, END = 0x0b };

/* A module with one function of a type; the body begins with its local declarations. */
#define FUNCTION(type, ...)                                                                        \
    SECTION(TYPES, 1, type), SECTION(FUNCTIONS, 1, 0), SECTION(CODE, 1, BODY(__VA_ARGS__))
#define NO_TYPE FUNC, 0, 0

/* Loads a copy that has no byte to spare behind it, so that sanitizers see what is read there. */
struct loaded {
    uint8_t *copy;
    struct cn_module *module;
    struct cn_error error;
    enum cn_status status;
};

static inline struct loaded load_bytes(struct cn_bytes bytes, struct cn_allocator allocator)
{
    struct loaded loaded = {.copy = malloc(bytes.size ? bytes.size : 1)};

    if (bytes.size > 0)
        memcpy(loaded.copy, bytes.at, bytes.size);
    loaded.status = cn_load((struct cn_bytes){loaded.copy, bytes.size}, allocator,
                            &loaded.module, &loaded.error);
    return loaded;
}

static inline struct loaded accept(struct cn_bytes bytes)
{
    struct loaded loaded = load_bytes(bytes, cn_heap);

    cr_assert_eq(loaded.status, CN_OK, "refused at %" PRIu64 ": %s", loaded.error.offset,
                 loaded.error.text);
    return loaded;
}

static inline void unload(struct loaded *loaded)
{
    cn_module_free(loaded->module);
    free(loaded->copy);
}

static inline void accepts(struct cn_bytes bytes)
{
    struct loaded loaded = accept(bytes);

    unload(&loaded);
}

/* The module is refused with a text that begins so. */
static inline struct cn_error refuses(struct cn_bytes bytes, const char *text)
{
    struct loaded loaded = load_bytes(bytes, cn_heap);

    cr_assert_neq(loaded.status, CN_OK, "accepted instead of \"%s\"", text);
    cr_assert_eq(loaded.status, loaded.error.status);
    cr_assert_null(loaded.module);
    cr_assert_eq(strncmp(loaded.error.text, text, strlen(text)), 0,
                 "\"%s\" instead of \"%s\"", loaded.error.text, text);
    free(loaded.copy);
    return loaded.error;
}

static inline void refuses_at(struct cn_bytes bytes, uint64_t offset, const char *text)
{
    struct cn_error error = refuses(bytes, text);

    cr_assert_eq(error.offset, offset, "%s at %" PRIu64 " instead of %" PRIu64, error.text,
                 error.offset, offset);
}

#endif
