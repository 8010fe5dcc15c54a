/* Vectors of wasm.h. Their memory is the embedder's: no account pays for it. */
#include "api/wasm_internal.h"

/* Blocks are freed by an embedder who may have changed the size in between: so their size is not
 * believed, and they are not wiped. */
#define UNKNOWN_SIZE 1

#define VECTOR(name, element, copy_one, delete_one)                                                \
    void wasm_##name##_vec_new_empty(wasm_##name##_vec_t *out)                                     \
    {                                                                                              \
        out->size = 0;                                                                             \
        out->data = NULL;                                                                          \
    }                                                                                              \
    void wasm_##name##_vec_new_uninitialized(wasm_##name##_vec_t *out, size_t size)                \
    {                                                                                              \
        out->data = size > 0 ? cn_alloc_array(cn_heap, size, sizeof(element)) : NULL;              \
        out->size = out->data != NULL ? size : 0;                                                  \
    }                                                                                              \
    void wasm_##name##_vec_new(wasm_##name##_vec_t *out, size_t size, element const data[])        \
    {                                                                                              \
        wasm_##name##_vec_new_uninitialized(out, size);                                            \
        if (out->size > 0)                                                                         \
            memcpy(out->data, data, size * sizeof(element));                                       \
    }                                                                                              \
    void wasm_##name##_vec_copy(wasm_##name##_vec_t *out, const wasm_##name##_vec_t *from)         \
    {                                                                                              \
        const size_t size = from->size; /* `out` may be a part of what is copied */                \
        element const *data = from->data;                                                          \
        wasm_##name##_vec_new_uninitialized(out, size);                                            \
        for (size_t i = 0; i < out->size; i++)                                                     \
            copy_one(&out->data[i], &data[i]);                                                     \
    }                                                                                              \
    void wasm_##name##_vec_delete(wasm_##name##_vec_t *vec)                                        \
    {                                                                                              \
        if (vec == NULL)                                                                           \
            return;                                                                                \
        for (size_t i = 0; vec->data != NULL && i < vec->size; i++)                                \
            delete_one(&vec->data[i]);                                                             \
        cn_free(cn_heap, vec->data, UNKNOWN_SIZE);                                                 \
        wasm_##name##_vec_new_empty(vec);                                                          \
    }

static void copy_byte(wasm_byte_t *to, const wasm_byte_t *from)
{
    *to = *from;
}

static void keep_byte(wasm_byte_t *byte)
{
    (void)byte;
}

VECTOR(byte, wasm_byte_t, copy_byte, keep_byte)
VECTOR(val, wasm_val_t, wasm_val_copy, wasm_val_delete)

#define OF_POINTERS(name)                                                                          \
    static void copy_##name(wasm_##name##_t **to, wasm_##name##_t *const *from)                    \
    {                                                                                              \
        *to = *from != NULL ? wasm_##name##_copy(*from) : NULL;                                    \
    }                                                                                              \
    static void delete_##name(wasm_##name##_t **one)                                               \
    {                                                                                              \
        wasm_##name##_delete(*one);                                                                \
    }                                                                                              \
    VECTOR(name, wasm_##name##_t *, copy_##name, delete_##name)

OF_POINTERS(valtype)
OF_POINTERS(functype)
OF_POINTERS(globaltype)
OF_POINTERS(tabletype)
OF_POINTERS(memorytype)
OF_POINTERS(externtype)
OF_POINTERS(importtype)
OF_POINTERS(exporttype)
OF_POINTERS(frame)
OF_POINTERS(extern)
