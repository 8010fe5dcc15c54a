/* C functions called through libffi. The only file that knows libffi. */
#include <ffi.h>
#include <string.h>

#include "api/internal.h"

struct cn_native {
    void (*function)(void);
    ffi_cif cif;
    ffi_type **types; /* of the parameters */
};

static ffi_type *ffi_type_of(cn_valtype type)
{
    switch (type) {
    case CN_I32:
        return &ffi_type_uint32;
    case CN_I64:
        return &ffi_type_uint64;
    case CN_F32:
        return &ffi_type_float;
    default:
        return &ffi_type_double;
    }
}

struct cn_native *cn_native_new(struct cn_arena *arena, const struct cn_functype *type,
                                void (*function)(void))
{
    struct cn_native *native = cn_arena_alloc(arena, sizeof *native);
    ffi_type **types = cn_arena_array(arena, type->param_count, sizeof(ffi_type *));

    if (native == NULL || types == NULL)
        return NULL;
    /* C has no type for a v128. */
    if (type->param_slots != type->param_count || type->result_slots != type->result_count)
        return NULL;
    for (uint32_t i = 0; i < type->param_count; i++)
        types[i] = ffi_type_of(cn_functype_params(type)[i]);
    ffi_type *result =
        type->result_count ? ffi_type_of(cn_functype_results(type)[0]) : &ffi_type_void;
    native->function = function;
    native->types = types;
    if (ffi_prep_cif(&native->cif, FFI_DEFAULT_ABI, type->param_count, result, types) != FFI_OK)
        return NULL;
    return native;
}

/* The most parameters that a bound function can have; cn_api_signature refuses more. */
#define PARAMS_MAX 32

enum cn_status cn_native_call(struct cn_thread *thread, void *env, union cn_slot *slots)
{
    const struct cn_binding *binding = env;
    struct cn_native *native = binding->native;
    void *arguments[PARAMS_MAX];
    /* libffi writes integer results as a whole ffi_arg. */
    union {
        ffi_arg integer;
        uint64_t wide;
        float f32;
        double f64;
    } result = {0};

    (void)thread;
    for (uint32_t i = 0; i < binding->type->param_count; i++)
        arguments[i] = &slots[i];
    ffi_call(&native->cif, native->function, &result, arguments);
    if (binding->type->result_count == 0)
        return CN_OK;
    switch (cn_functype_results(binding->type)[0]) {
    case CN_I32:
        slots[0].u64 = (uint32_t)result.integer;
        break;
    case CN_I64:
        slots[0].u64 = result.wide;
        break;
    case CN_F32:
        slots[0].u64 = 0;
        slots[0].f32 = result.f32;
        break;
    default:
        slots[0].f64 = result.f64;
        break;
    }
    return CN_OK;
}
