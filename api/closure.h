/* Pieces of code that stand for C functions with a context: libffi's closures, in pages that are
 * never writable and executable at once. libffi's own allocator maps one that is (3.4.4 does on
 * Debian 12).
 */
#ifndef CN_API_CLOSURE_H
#define CN_API_CLOSURE_H

#include <ffi.h>

#include "api/signature.h"

/* A buffer is two parameters in C. */
#define CN_C_PARAMS_MAX (2 * CN_SIGN_MAX)

/* One of them, which stays where it is as long as its host: whoever calls it when it has been
 * given back comes to no harm. */
struct cn_closure {
    struct cn_closure *next; /* of those that are free, or of a VM's */
    cordon_c_fn code;
    ffi_cif cif;
    ffi_type *types[CN_C_PARAMS_MAX];
    struct cn_sign sign;
    _Atomic(struct cordon_vm *) vm; /* NULL: it was given back */
    struct cn_func *func;
    const struct cn_sign *lent_as; /* of a call's: what it was made for, as long as the linker */
};

/* One that calls `function` with itself as the context, as the signature says in C. NULL with
 * CORDON_LOCKED where the process can make no executable memory, CORDON_QUOTA, CORDON_IO. */
struct cn_closure *cn_closure_new(struct cn_closures *closures, const struct cn_sign *sign,
                                  void (*function)(ffi_cif *, void *, void **, void *),
                                  cordon_error_t *error);
/* From now on it returns zero, until it is taken anew. */
void cn_closure_free(struct cn_closures *closures, struct cn_closure *closure);

/* export.c: what they call; and one that lives as long as a call of the host's. */
void cn_api_called(ffi_cif *cif, void *result, void **arguments, void *context);
struct cn_closure *cn_api_lend_fn(struct cordon_vm *vm, struct cn_func *func,
                                  const struct cn_sign *sign, cordon_error_t *error);
/* That call is over. The VM keeps some for the next ones. */
void cn_api_take_back_fn(struct cordon_vm *vm, struct cn_closure *closure);

/* native.c: the types of the parameters in C; returns how many. And that of the result. */
uint32_t cn_native_types(const struct cn_sign *sign, ffi_type **types);
ffi_type *cn_native_result(const struct cn_sign *sign);

#endif
