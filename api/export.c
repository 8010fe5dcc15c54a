/* Functions of guests as pointers of C: what C gives becomes what their signatures say. */
#include <string.h>

#include "api/closure.h"
#include "host/turn.h"

/* ------------------------------------------------------------------ being called */

/* What comes of a pointer that the guest cannot be given. */
static bool refuse(struct cordon_vm *vm, enum cn_way way, uint32_t part)
{
    struct cn_error error;

    cn_fail(&error, CN_TRAP_OUT_OF_BOUNDS_MEMORY, CN_NO_OFFSET,
            "%s: parameter %u of a call from C does not point into the guest's memory",
            cn_status_text(CN_TRAP_OUT_OF_BOUNDS_MEMORY), part + 1);
    if (way == CN_WAY_BENEATH)
        cn_api_break(vm, error.status, error.text);
    else if (vm->vm.end.kind == CN_END_NONE || vm->vm.end.kind == CN_END_DONE)
        cn_vm_end_by_error(&vm->vm, &error);
    return false;
}

/* The guest's address of bytes in its memory; that of NULL is 0. False when they are not in it, or
 * beyond what 32 bits can say. */
static bool find_address(const struct cn_func *func, const void *pointer, uint64_t size,
                         union cn_slot *slot)
{
    const struct cn_memory *memory = func->instance != NULL ? func->instance->memories[0] : NULL;
    uint64_t address = memory != NULL ? (uintptr_t)pointer - (uintptr_t)memory->base : 0;

    slot->u64 = pointer != NULL ? address : 0;
    return pointer == NULL || (memory != NULL && address <= memory->size &&
                               size <= memory->size - address && address <= UINT32_MAX);
}

/* One parameter; returns how many slots it takes, and 0 when it cannot be given. */
static uint32_t take_part(const struct cn_closure *closure, const struct cn_sign_part *part,
                          void **arguments, union cn_slot *slots)
{
    uint64_t size = part->size;

    if (cn_sign_is_number(part->word) && !part->is_pointer) {
        bool is_narrow = cn_sign_slot_size(part->word) == 4;
        slots[0].u64 = is_narrow ? *(uint32_t *)arguments[0] : *(uint64_t *)arguments[0];
        return 1;
    }
    if (part->word == CN_SIGN_BUF) {
        size = *(size_t *)arguments[1];
        slots[1].u64 = size;
    }
    if (size > UINT32_MAX || !find_address(closure->func, *(void **)arguments[0], size, slots))
        return 0;
    return part->word == CN_SIGN_BUF ? 2 : 1;
}

static bool take_arguments(struct cordon_vm *vm, enum cn_way way,
                           const struct cn_closure *closure, void **arguments,
                           union cn_slot *slots)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < closure->sign.count; i++) {
        uint32_t taken = take_part(closure, &closure->sign.parts[i], arguments, slots + at);
        if (taken == 0)
            return refuse(vm, way, i);
        at += taken;
        arguments += taken; /* a buffer is as many in C */
    }
    return true;
}

/* libffi wants integers that are narrow as a whole ffi_arg. */
static void give_result(enum cn_sign_word word, const union cn_slot *slot, void *result)
{
    switch (word) {
    case CN_SIGN_NONE:
        break;
    case CN_SIGN_I32:
        *(ffi_sarg *)result = slot->i32;
        break;
    case CN_SIGN_U32:
        *(ffi_arg *)result = slot->u32;
        break;
    case CN_SIGN_F32:
        *(float *)result = slot->f32;
        break;
    default:
        *(uint64_t *)result = slot->u64;
        break;
    }
}

static void call_in(struct cordon_vm *vm, enum cn_way way, struct cn_closure *closure,
                    void **arguments, void *result)
{
    union cn_slot slots[CN_SIGN_MAX];

    if (!take_arguments(vm, way, closure, arguments, slots))
        return;
    if (way == CN_WAY_TOP && !cn_api_is_initialized(vm) && !cn_api_initialize(vm))
        return;
    vm->vm.store->pins++; /* C has pointers into memory */
    if (cn_api_call(vm, way, closure->func, slots, slots))
        give_result(closure->sign.result, &slots[0], result);
    vm->vm.store->pins--;
}

void cn_api_called(ffi_cif *cif, void *result, void **arguments, void *context)
{
    struct cn_closure *closure = context;
    struct cordon_vm *vm = atomic_load(&closure->vm);
    union cn_slot zero = {0};

    (void)cif;
    give_result(closure->sign.result, &zero, result);
    if (vm == NULL)
        return;
    enum cn_way way = cn_api_begin_call(vm);
    if (way == CN_WAY_NONE) {
        atomic_fetch_add(&vm->ctl.foreign_calls, 1);
        return;
    }
    call_in(vm, way, closure, arguments, result);
    cn_api_end_call(vm, way);
}

/* ------------------------------------------------------------------ making them */

static cordon_c_fn make(cordon_vm_t *vm, struct cn_func *func, const char *signature,
                        const struct cn_sign *sign, cordon_error_t *error)
{
    char wanted[160], given[160];

    if (!cn_sign_is_outward(sign)) {
        cn_api_fail(error, CORDON_MISUSE,
                    "signature \"%s\": a guest's function can be given numbers, *words, ptr<N> and "
                    "buf", signature);
        return NULL;
    }
    if (!cn_functype_equal(sign->type, func->type)) {
        cn_api_fail(error, CORDON_MISUSE, "the function has the type %s, \"%s\" is %s",
                    cn_functype_print(func->type, wanted, sizeof wanted), signature,
                    cn_functype_print(sign->type, given, sizeof given));
        return NULL;
    }
    struct cn_closure *closure =
        cn_closure_new(&vm->host->closures, sign, cn_api_called, error);
    if (closure == NULL)
        return NULL;
    closure->sign.type = func->type;
    closure->func = func;
    closure->next = vm->closures;
    vm->closures = closure;
    atomic_store(&closure->vm, vm);
    return closure->code;
}

static cordon_c_fn make_by(cordon_vm_t *vm, struct cn_func *func, const char *signature,
                           cordon_error_t *error)
{
    struct cn_arena arena;
    struct cn_sign sign;
    cordon_c_fn made = NULL;

    cn_arena_init(&arena, cn_heap);
    if (cn_sign_parse(&arena, signature, &sign, error))
        made = make(vm, func, signature, &sign, error);
    cn_arena_release(&arena);
    return made;
}

cordon_c_fn cordon_export_fn(cordon_vm_t *vm, const char *name, const char *signature,
                             cordon_error_t *error)
{
    struct cn_func *func = cn_api_export_func(vm->main, name);

    if (func != NULL)
        return make_by(vm, func, signature, error);
    cn_api_fail(error, CORDON_NO_EXPORT, "the module exports no function %s", name);
    return NULL;
}

cordon_c_fn cordon_vm_fn(cordon_vm_t *vm, const cordon_value_t *function, const char *signature,
                         cordon_error_t *error)
{
    if (function->type == CORDON_FUNCREF && function->ref != NULL)
        return make_by(vm, function->ref, signature, error);
    cn_api_fail(error, CORDON_MISUSE, "it refers to no function");
    return NULL;
}

void cordon_fn_free(cordon_vm_t *vm, cordon_c_fn function)
{
    struct cn_closure **link = &vm->closures, *closure;

    while ((closure = *link) != NULL && closure->code != function)
        link = &closure->next;
    if (closure == NULL)
        return;
    *link = closure->next;
    cn_closure_free(&vm->host->closures, closure);
}

void cn_api_drop_fns(struct cordon_vm *vm)
{
    while (vm->closures != NULL)
        cordon_fn_free(vm, vm->closures->code);
    while (vm->idle_fns != NULL) {
        struct cn_closure *closure = vm->idle_fns;
        vm->idle_fns = closure->next;
        cn_closure_free(&vm->host->closures, closure);
    }
}

/* ------------------------------------------------------------------ for the time of one call */

/* So many a VM keeps, of whatever signatures: each is code that need not be written again. */
#define IDLE_MOST 8

static struct cn_closure *find_idle(struct cordon_vm *vm, const struct cn_sign *sign)
{
    struct cn_closure **link = &vm->idle_fns, *closure;

    while ((closure = *link) != NULL && closure->lent_as != sign)
        link = &closure->next;
    if (closure == NULL)
        return NULL;
    *link = closure->next;
    vm->idle_fn_count--;
    return closure;
}

struct cn_closure *cn_api_lend_fn(struct cordon_vm *vm, struct cn_func *func,
                                  const struct cn_sign *sign, cordon_error_t *error)
{
    struct cn_closure *closure = find_idle(vm, sign);

    if (closure == NULL)
        closure = cn_closure_new(&vm->host->closures, sign, cn_api_called, error);
    if (closure != NULL) {
        closure->lent_as = sign;
        closure->func = func;
        atomic_store(&closure->vm, vm);
    }
    return closure;
}

static void drop_oldest(struct cordon_vm *vm)
{
    struct cn_closure **link = &vm->idle_fns;

    while ((*link)->next != NULL)
        link = &(*link)->next;
    cn_closure_free(&vm->host->closures, *link);
    *link = NULL;
    vm->idle_fn_count--;
}

void cn_api_take_back_fn(struct cordon_vm *vm, struct cn_closure *closure)
{
    atomic_store(&closure->vm, NULL);
    closure->next = vm->idle_fns;
    vm->idle_fns = closure;
    vm->idle_fn_count++;
    if (vm->idle_fn_count > IDLE_MOST)
        drop_oldest(vm);
}
