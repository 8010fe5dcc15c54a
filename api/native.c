/* C functions called through libffi: what a guest gives becomes what their signatures say. */
#include <ffi.h>
#include <string.h>

#include "api/closure.h"

struct cn_native {
    void (*function)(void);
    void *user;
    const struct cn_binding *binding;
    struct cn_sign sign;
    bool is_plain; /* numbers alone: the guest's slots will do */
    bool has_views; /* the function has pointers into the guest's memory */
    ffi_cif cif;
    ffi_type **types; /* of the parameters in C */
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

static bool is_number(const struct cn_sign_part *part)
{
    return cn_sign_is_number(part->word) && !part->is_pointer;
}

uint32_t cn_native_types(const struct cn_sign *sign, ffi_type **types)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < sign->count; i++) {
        const struct cn_sign_part *part = &sign->parts[i];
        types[count++] =
            is_number(part) ? ffi_type_of(cn_sign_valtype(part->word)) : &ffi_type_pointer;
        if (part->word == CN_SIGN_BUF)
            types[count++] = sizeof(size_t) == 8 ? &ffi_type_uint64 : &ffi_type_uint32;
    }
    return count;
}

ffi_type *cn_native_result(const struct cn_sign *sign)
{
    return sign->result == CN_SIGN_NONE ? &ffi_type_void
                                        : ffi_type_of(cn_sign_valtype(sign->result));
}

static void look_at_parts(struct cn_native *native)
{
    native->is_plain = true;
    for (uint32_t i = 0; i < native->sign.count; i++) {
        const struct cn_sign_part *part = &native->sign.parts[i];
        native->is_plain = native->is_plain && is_number(part);
        native->has_views = native->has_views || part->word == CN_SIGN_BUF ||
                            part->word == CN_SIGN_PTR;
    }
}

struct cn_native *cn_native_new(struct cn_arena *arena, const struct cn_binding *binding,
                                const struct cn_sign *sign, void (*function)(void), void *user)
{
    struct cn_native *native = cn_arena_alloc(arena, sizeof *native);
    ffi_type **types = cn_arena_array(arena, CN_C_PARAMS_MAX, sizeof(ffi_type *));

    if (native == NULL || types == NULL)
        return NULL;
    /* C has no type for a v128. */
    if (sign->type->param_slots != sign->type->param_count ||
        sign->type->result_slots != sign->type->result_count)
        return NULL;
    *native = (struct cn_native){.function = function, .user = user, .binding = binding,
                                 .sign = *sign, .types = types};
    look_at_parts(native);
    if (ffi_prep_cif(&native->cif, FFI_DEFAULT_ABI, cn_native_types(sign, types),
                     cn_native_result(sign), types) != FFI_OK)
        return NULL;
    return native;
}

/* ------------------------------------------------------------------ parameters that are places */

/* One call: what its parameters point at. */
struct passing {
    struct cn_native *native;
    struct cn_thread *thread;
    const union cn_slot *slots;
    uint32_t at, count;                 /* of slots, and of parameters in C */
    void *arguments[CN_C_PARAMS_MAX];
    union {
        void *pointer;
        size_t size;
    } cells[CN_C_PARAMS_MAX];
    union cn_slot copies[CN_SIGN_MAX];  /* what `*word` points at */
    struct {
        char *text;
        size_t size;
        struct cn_closure *fn;
    } lent[CN_SIGN_MAX]; /* and given back afterwards */
};

static enum cn_status refuse(struct passing *passing, uint32_t part, enum cn_status trap,
                             const char *why)
{
    const struct cn_binding *binding = passing->native->binding;

    return cn_fail(&passing->thread->error, trap, CN_NO_OFFSET, "%s: parameter %u of %.60s.%.60s%s",
                   cn_status_text(trap), part + 1, binding->module, binding->name, why);
}

/* Where `size` bytes of the guest's memory begin; NULL when they are not all in it. */
static uint8_t *find(const struct cn_memory *memory, uint64_t address, uint64_t size)
{
    return address <= memory->size && size <= memory->size - address ? memory->base + address
                                                                     : NULL;
}

static void pass_pointer(struct passing *passing, void *pointer)
{
    passing->cells[passing->count].pointer = pointer;
    passing->arguments[passing->count] = &passing->cells[passing->count];
    passing->count++;
}

static enum cn_status pass_copy(struct passing *passing, uint32_t part, const uint8_t *from,
                                size_t size)
{
    struct cn_allocator allocator = passing->thread->store->allocator;
    char *text = cn_resize(allocator, NULL, 0, size + 1);

    if (text == NULL)
        return CN_NO_MEMORY;
    memcpy(text, from, size);
    text[size] = '\0';
    passing->lent[part].text = text;
    passing->lent[part].size = size + 1;
    pass_pointer(passing, text);
    return CN_OK;
}

static enum cn_status pass_str(struct passing *passing, uint32_t part, uint64_t address)
{
    const struct cn_memory *memory = passing->thread->memory;

    if (address >= memory->size)
        return refuse(passing, part, CN_TRAP_OUT_OF_BOUNDS_MEMORY, "");
    uint64_t most = memory->size - address;
    if (most > CN_SIGN_STRING_MAX)
        most = CN_SIGN_STRING_MAX;
    const uint8_t *from = memory->base + address;
    const uint8_t *end = memchr(from, 0, most);
    if (end == NULL)
        return refuse(passing, part, CN_TRAP_OUT_OF_BOUNDS_MEMORY, ": no zero byte ends it");
    return pass_copy(passing, part, from, (size_t)(end - from));
}

static enum cn_status pass_text(struct passing *passing, uint32_t part, uint64_t address,
                                uint64_t size)
{
    const uint8_t *from = find(passing->thread->memory, address, size);

    if (from == NULL || size > CN_SIGN_STRING_MAX)
        return refuse(passing, part, CN_TRAP_OUT_OF_BOUNDS_MEMORY, "");
    if (memchr(from, 0, size) != NULL)
        return refuse(passing, part, CN_TRAP_HOST, ": a zero byte within the text");
    return pass_copy(passing, part, from, size);
}

/* `*word`: a copy that is aligned as C wants it, and written back when the function returns. */
static enum cn_status pass_out(struct passing *passing, uint32_t part, uint64_t address)
{
    uint32_t size = passing->native->sign.parts[part].size;
    const uint8_t *from = find(passing->thread->memory, address, size);

    if (from == NULL)
        return refuse(passing, part, CN_TRAP_OUT_OF_BOUNDS_MEMORY, "");
    memcpy(&passing->copies[part], from, size);
    pass_pointer(passing, &passing->copies[part]);
    return CN_OK;
}

static enum cn_status pass_view(struct passing *passing, uint32_t part, uint64_t address,
                                uint64_t size)
{
    uint8_t *from = find(passing->thread->memory, address, size);

    if (from == NULL)
        return refuse(passing, part, CN_TRAP_OUT_OF_BOUNDS_MEMORY, "");
    pass_pointer(passing, from);
    return CN_OK;
}

static enum cn_status pass_buf(struct passing *passing, uint32_t part, uint64_t address,
                               uint64_t size)
{
    CN_TRY(pass_view(passing, part, address, size));
    passing->cells[passing->count].size = size;
    passing->arguments[passing->count] = &passing->cells[passing->count];
    passing->count++;
    return CN_OK;
}

/* The guest's function of that number in its table 0. As compilers for C have it, an empty place of
 * number 0 is the null pointer. */
static enum cn_status pass_fn(struct passing *passing, uint32_t part, uint64_t number)
{
    const struct cn_instance *instance = passing->thread->instance;
    const struct cn_sign *sign = passing->native->sign.parts[part].inner;
    const struct cn_table *table =
        instance->module->table_count > 0 ? instance->tables[0] : NULL;
    cordon_error_t error;

    if (table == NULL || cn_ref_hierarchy(table->type) != CN_HIERARCHY_FUNC ||
        number >= table->size)
        return refuse(passing, part, CN_TRAP_UNDEFINED_ELEMENT, "");
    struct cn_func *func = table->elements[number];
    if (func == NULL && number > 0)
        return refuse(passing, part, CN_TRAP_NULL_FUNCTION, "");
    if (func != NULL) {
        if (!cn_functype_equal(func->type, sign->type))
            return refuse(passing, part, CN_TRAP_INDIRECT_CALL_TYPE, "");
        passing->lent[part].fn = cn_api_lend_fn(passing->thread->user, func, sign, &error);
        if (passing->lent[part].fn == NULL)
            return refuse(passing, part, CN_TRAP_HOST, error.kind == CORDON_LOCKED
                          ? ": this process is locked and can make no function pointers"
                          : ": no function pointer can be made");
    }
    pass_pointer(passing, func != NULL ? (void *)(uintptr_t)passing->lent[part].fn->code : NULL);
    return CN_OK;
}

static enum cn_status pass(struct passing *passing, uint32_t index)
{
    const struct cn_sign_part *part = &passing->native->sign.parts[index];
    const union cn_slot *slots = passing->slots + passing->at;

    if (part->is_pointer) {
        passing->at += 1;
        return pass_out(passing, index, slots[0].u32);
    }
    switch (part->word) {
    case CN_SIGN_BUF:
        passing->at += 2;
        return pass_buf(passing, index, slots[0].u32, slots[1].u32);
    case CN_SIGN_TEXT:
        passing->at += 2;
        return pass_text(passing, index, slots[0].u32, slots[1].u32);
    case CN_SIGN_STR:
        passing->at += 1;
        return pass_str(passing, index, slots[0].u32);
    case CN_SIGN_PTR:
        passing->at += 1;
        return pass_view(passing, index, slots[0].u32, part->size);
    case CN_SIGN_FN:
        passing->at += 1;
        return pass_fn(passing, index, slots[0].u32);
    case CN_SIGN_VM:
        pass_pointer(passing, passing->thread->user);
        return CN_OK;
    case CN_SIGN_USER:
        pass_pointer(passing, passing->native->user);
        return CN_OK;
    default:
        passing->at += 1;
        passing->arguments[passing->count++] = (void *)(uintptr_t)slots;
        return CN_OK;
    }
}

/* What the function wrote to where `*word` points; the memory may be elsewhere by now. */
static void give_back(struct passing *passing)
{
    const struct cn_sign *sign = &passing->native->sign;
    uint32_t at = 0;

    for (uint32_t i = 0; i < sign->count; i++) {
        const struct cn_sign_part *part = &sign->parts[i];
        uint8_t *to = part->is_pointer ? find(passing->thread->memory, passing->slots[at].u32,
                                              part->size) : NULL;
        if (to != NULL)
            memcpy(to, &passing->copies[i], part->size);
        at += part->is_pointer ? 1 : cn_sign_slots(part->word);
    }
}

static void drop_lent(struct passing *passing)
{
    struct cn_allocator allocator = passing->thread->store->allocator;
    struct cordon_vm *vm = passing->thread->user;

    for (uint32_t i = 0; i < passing->native->sign.count; i++) {
        cn_free(allocator, passing->lent[i].text, passing->lent[i].size);
        if (passing->lent[i].fn != NULL)
            cn_api_take_back_fn(vm, passing->lent[i].fn);
    }
}

/* ------------------------------------------------------------------ calling */

/* libffi writes integer results as a whole ffi_arg. */
union result {
    ffi_arg integer;
    uint64_t wide;
    float f32;
    double f64;
};

static void take_result(enum cn_sign_word word, const union result *result, union cn_slot *slots)
{
    switch (cn_sign_valtype(word)) {
    case CN_I32:
        slots[0].u64 = (uint32_t)result->integer;
        break;
    case CN_I64:
        slots[0].u64 = result->wide;
        break;
    case CN_F32:
        slots[0].u64 = 0;
        slots[0].f32 = result->f32;
        break;
    case CN_F64:
        slots[0].f64 = result->f64;
        break;
    default:
        break;
    }
}

static enum cn_status call_with_places(struct cn_thread *thread, struct cn_native *native,
                                       union cn_slot *slots, union result *result)
{
    struct passing passing;
    enum cn_status status = CN_OK;

    passing.native = native;
    passing.thread = thread;
    passing.slots = slots;
    passing.at = passing.count = 0;
    memset(passing.lent, 0, native->sign.count * sizeof passing.lent[0]);
    for (uint32_t i = 0; i < native->sign.count && status == CN_OK; i++)
        status = pass(&passing, i);
    if (status == CN_OK) {
        thread->store->pins += native->has_views; /* whoever it calls */
        ffi_call(&native->cif, native->function, result, passing.arguments);
        thread->store->pins -= native->has_views;
        give_back(&passing);
    }
    drop_lent(&passing);
    return status;
}

enum cn_status cn_native_call(struct cn_thread *thread, void *env, union cn_slot *slots)
{
    const struct cn_binding *binding = env;
    struct cn_native *native = binding->native;
    struct cordon_vm *vm = thread->user;
    void *arguments[CN_SIGN_MAX];
    union result result = {0};
    enum cn_status status = CN_OK;
    struct cn_host_call call;

    if (cn_api_host_waits(thread))
        return cn_api_host_went_on(vm, thread, slots);
    cn_api_enter_host(vm, &call);
    if (native->is_plain) {
        for (uint32_t i = 0; i < native->sign.count; i++)
            arguments[i] = &slots[i];
        ffi_call(&native->cif, native->function, &result, arguments);
    } else {
        status = call_with_places(thread, native, slots, &result);
    }
    if (!cn_api_leave_host(vm, &call))
        status = cn_api_host_stopped(vm, thread, slots, status);
    else if (status == CN_OK)
        take_result(native->sign.result, &result, slots);
    vm->pending = call.pending;
    return status;
}
