#include "vm/constexpr.h"

#include <string.h>

#include "vm/heap.h"
#include "vm/types.h"

/* Operators that a constant expression may contain (core 5.4). */
enum {
    OP_END = 0x0b,
    OP_GLOBAL_GET = 0x23,
    OP_I32_CONST = 0x41,
    OP_I64_CONST = 0x42,
    OP_F32_CONST = 0x43,
    OP_F64_CONST = 0x44,
    OP_I32_ADD = 0x6a,
    OP_I32_SUB = 0x6b,
    OP_I32_MUL = 0x6c,
    OP_I64_ADD = 0x7c,
    OP_I64_SUB = 0x7d,
    OP_I64_MUL = 0x7e,
    OP_REF_NULL = 0xd0,
    OP_REF_FUNC = 0xd2,
    OP_OBJECT = 0xfb,
    OP_STRUCT_NEW = 0, /* these behind OP_OBJECT */
    OP_STRUCT_NEW_DEFAULT = 1,
    OP_ARRAY_NEW = 6,
    OP_ARRAY_NEW_DEFAULT = 7,
    OP_ARRAY_NEW_FIXED = 8,
    OP_ANY_CONVERT_EXTERN = 26,
    OP_EXTERN_CONVERT_ANY = 27,
    OP_REF_I31 = 28,
    OP_VECTOR = 0xfd,
    OP_V128_CONST = 0x0c, /* behind OP_VECTOR */
};

#define OPERANDS_SMALL 16

struct operand {
    union cn_slot values[2]; /* a v128 takes both */
    uint8_t code;            /* what the machine knows of its type */
};

struct machine {
    const struct cn_instance *instance;
    struct cn_bytes code;
    uint32_t global_count;
    size_t depth, depth_max;
    bool is_exhausted; /* no room for an object */
    struct operand *operands;
};

static bool take_bytes(struct machine *machine, size_t size, const uint8_t **at)
{
    if (size > machine->code.size)
        return false;
    *at = machine->code.at;
    machine->code.at += size;
    machine->code.size -= size;
    return true;
}

/* A signed or unsigned LEB128 of up to 64 bits; which of them matters only for the sign. */
static bool take_leb(struct machine *machine, bool is_signed, uint64_t *result)
{
    const uint8_t *byte;
    uint64_t value = 0;
    unsigned shift = 0;

    do {
        if (shift > 63 || !take_bytes(machine, 1, &byte))
            return false;
        value |= (uint64_t)(*byte & 0x7f) << shift;
        shift += 7;
    } while (*byte & 0x80);
    if (is_signed && shift < 64 && (*byte & 0x40))
        value |= ~(uint64_t)0 << shift;
    *result = value;
    return true;
}

static bool push(struct machine *machine, cn_valtype type, union cn_slot value)
{
    if (machine->depth == machine->depth_max)
        return false;
    machine->operands[machine->depth++] = (struct operand){{value}, cn_valtype_code(type)};
    return true;
}

static bool push_number(struct machine *machine, cn_valtype type, uint64_t bits)
{
    return push(machine, type, (union cn_slot){.u64 = bits});
}

static bool push_integer(struct machine *machine, cn_valtype type)
{
    uint64_t value;

    if (!take_leb(machine, true, &value))
        return false;
    return push_number(machine, type, type == CN_I32 ? (uint32_t)value : value);
}

static bool push_float(struct machine *machine, cn_valtype type)
{
    const uint8_t *at;

    if (!take_bytes(machine, type == CN_F32 ? 4 : 8, &at))
        return false;
    return push_number(machine, type, type == CN_F32 ? cn_load_u32(at) : cn_load_u64(at));
}

static bool push_global(struct machine *machine)
{
    uint64_t index;

    if (!take_leb(machine, false, &index) || index >= machine->global_count)
        return false;
    const struct cn_global *global = machine->instance->globals[index];
    if (!push(machine, global->type.type, global->value))
        return false;
    if (global->type.type == CN_V128)
        machine->operands[machine->depth - 1].values[1] = global->values[1];
    return true;
}

static bool push_vector(struct machine *machine)
{
    const uint8_t *at;
    uint64_t number;

    if (!take_leb(machine, false, &number) || number != OP_V128_CONST ||
        !take_bytes(machine, 16, &at) || !push_number(machine, CN_V128, cn_load_u64(at)))
        return false;
    machine->operands[machine->depth - 1].values[1].u64 = cn_load_u64(at + 8);
    return true;
}

static bool push_null(struct machine *machine)
{
    const struct cn_module *module = machine->instance->module;
    uint64_t heap;

    if (!take_leb(machine, true, &heap))
        return false;
    if ((int64_t)heap < 0)
        return cn_heap_is_abstract(heap & 0x7f) &&
               push_number(machine, cn_ref_abstract(heap & 0x7f, true), 0);
    if (heap >= module->type_count)
        return false;
    return push_number(machine,
                       cn_ref_defined((uint32_t)heap, cn_deftype_hierarchy(&module->types[heap]),
                                      true), 0);
}

static bool push_func(struct machine *machine)
{
    uint64_t index;

    if (!take_leb(machine, false, &index) || index >= machine->instance->module->func_count)
        return false;
    return push(machine, CN_FUNCREF, (union cn_slot){.ref = machine->instance->funcs[index]});
}

static bool combine(struct machine *machine, uint8_t op, cn_valtype type)
{
    if (machine->depth < 2)
        return false;
    const struct operand *b = &machine->operands[--machine->depth];
    struct operand *a = &machine->operands[machine->depth - 1];
    if (a->code != type || b->code != type)
        return false;

    uint64_t x = a->values[0].u64, y = b->values[0].u64, z;
    if (op == OP_I32_ADD || op == OP_I64_ADD)
        z = x + y;
    else if (op == OP_I32_SUB || op == OP_I64_SUB)
        z = x - y;
    else
        z = x * y;
    a->values[0].u64 = type == CN_I32 ? (uint32_t)z : z;
    return true;
}

/* ------------------------------------------------------------------ objects */

static struct operand *pop(struct machine *machine, uint8_t code)
{
    if (machine->depth == 0 || machine->operands[machine->depth - 1].code != code)
        return NULL;
    return &machine->operands[--machine->depth];
}

static uint8_t code_of_storage(cn_valtype type)
{
    return type == CN_I8 || type == CN_I16 ? CN_I32 : cn_valtype_code(type);
}

/* Pops a value into a field or element that begins at `to`. */
static bool pop_into(struct machine *machine, cn_valtype type, uint8_t *to)
{
    const struct operand *value = pop(machine, code_of_storage(type));

    if (value != NULL)
        memcpy(to, value->values, cn_storage_size(type)); /* little-endian */
    return value != NULL;
}

static bool push_object(struct machine *machine, struct cn_object *object)
{
    return push(machine, CN_ANYREF, (union cn_slot){.ref = object});
}

/* Reads a type's number; gives its number in the store. */
static bool take_type(struct machine *machine, enum cn_deftype_kind kind, uint32_t *number)
{
    const struct cn_module *module = machine->instance->module;
    uint64_t index;

    if (!take_leb(machine, false, &index) || index >= module->type_count ||
        module->types[index].kind != kind)
        return false;
    *number = machine->instance->type_ids[index];
    return true;
}

static bool make_struct(struct machine *machine, bool is_default)
{
    struct cn_store *store = machine->instance->store;
    uint32_t number;

    if (!take_type(machine, CN_DEF_STRUCT, &number))
        return false;
    struct cn_object *object = cn_heap_new_now(store, number);
    machine->is_exhausted = object == NULL;
    if (object == NULL)
        return false;
    const struct cn_deftype *type = &store->types->types[number];
    for (uint32_t i = type->field_count; i-- > 0 && !is_default;)
        if (!pop_into(machine, type->fields[i].type,
                      (uint8_t *)object + store->types->layouts[number].offsets[i]))
            return false;
    return push_object(machine, object);
}

static struct cn_object *new_array(struct machine *machine, uint32_t number, uint32_t length)
{
    struct cn_object *object =
        cn_heap_new_array_now(machine->instance->store, number, length);

    machine->is_exhausted = object == NULL;
    return object;
}

static bool make_array(struct machine *machine, bool is_default)
{
    const struct cn_type_registry *types = machine->instance->store->types;
    const struct operand *length;
    uint32_t number;

    if (!take_type(machine, CN_DEF_ARRAY, &number) || (length = pop(machine, CN_I32)) == NULL)
        return false;
    struct cn_object *object = new_array(machine, number, length->values[0].u32);
    if (object == NULL)
        return false;
    cn_valtype type = types->types[number].fields[0].type;
    const struct operand *value = is_default ? NULL : pop(machine, code_of_storage(type));
    if (!is_default && value == NULL)
        return false;
    uint32_t size = cn_storage_size(type);
    for (uint64_t i = 0; i < object->length && value != NULL; i++)
        memcpy(cn_object_body(object) + i * size, value->values, size);
    return push_object(machine, object);
}

static bool make_array_fixed(struct machine *machine)
{
    const struct cn_type_registry *types = machine->instance->store->types;
    uint64_t length;
    uint32_t number;

    if (!take_type(machine, CN_DEF_ARRAY, &number) || !take_leb(machine, false, &length) ||
        length > machine->depth)
        return false;
    struct cn_object *object = new_array(machine, number, (uint32_t)length);
    if (object == NULL)
        return false;
    cn_valtype type = types->types[number].fields[0].type;
    for (uint64_t i = length; i-- > 0;)
        if (!pop_into(machine, type, cn_object_body(object) + i * cn_storage_size(type)))
            return false;
    return push_object(machine, object);
}

static bool convert(struct machine *machine, cn_valtype from, cn_valtype to)
{
    const struct operand *value = pop(machine, cn_valtype_code(from));

    return value != NULL && push(machine, to, value->values[0]);
}

static bool push_i31(struct machine *machine)
{
    const struct operand *value = pop(machine, CN_I32);

    return value != NULL &&
           push_number(machine, CN_ANYREF, (value->values[0].u64 & 0x7fffffff) << 1 | 1);
}

static bool step_object(struct machine *machine)
{
    uint64_t number;

    if (!take_leb(machine, false, &number))
        return false;
    switch (number) {
    case OP_STRUCT_NEW:
    case OP_STRUCT_NEW_DEFAULT:
        return make_struct(machine, number == OP_STRUCT_NEW_DEFAULT);
    case OP_ARRAY_NEW:
    case OP_ARRAY_NEW_DEFAULT:
        return make_array(machine, number == OP_ARRAY_NEW_DEFAULT);
    case OP_ARRAY_NEW_FIXED:
        return make_array_fixed(machine);
    case OP_ANY_CONVERT_EXTERN:
        return convert(machine, CN_EXTERNREF, CN_ANYREF);
    case OP_EXTERN_CONVERT_ANY:
        return convert(machine, CN_ANYREF, CN_EXTERNREF);
    case OP_REF_I31:
        return push_i31(machine);
    default:
        return false;
    }
}

/* ------------------------------------------------------------------ the walk */

static bool step(struct machine *machine, uint8_t op)
{
    switch (op) {
    case OP_GLOBAL_GET:
        return push_global(machine);
    case OP_I32_CONST:
        return push_integer(machine, CN_I32);
    case OP_I64_CONST:
        return push_integer(machine, CN_I64);
    case OP_F32_CONST:
        return push_float(machine, CN_F32);
    case OP_F64_CONST:
        return push_float(machine, CN_F64);
    case OP_I32_ADD:
    case OP_I32_SUB:
    case OP_I32_MUL:
        return combine(machine, op, CN_I32);
    case OP_I64_ADD:
    case OP_I64_SUB:
    case OP_I64_MUL:
        return combine(machine, op, CN_I64);
    case OP_REF_NULL:
        return push_null(machine);
    case OP_REF_FUNC:
        return push_func(machine);
    case OP_VECTOR:
        return push_vector(machine);
    case OP_OBJECT:
        return step_object(machine);
    default:
        return false;
    }
}

static enum cn_status run(struct machine *machine, cn_valtype type, union cn_slot *result)
{
    const uint8_t *op;

    while (take_bytes(machine, 1, &op) && *op != OP_END)
        if (!step(machine, *op))
            return machine->is_exhausted ? CN_NO_MEMORY : CN_INVALID;
    if (machine->depth != 1 || machine->operands[0].code != cn_valtype_code(type))
        return CN_INVALID;
    result[0] = machine->operands[0].values[0];
    if (type == CN_V128)
        result[1] = machine->operands[0].values[1];
    return CN_OK;
}

enum cn_status cn_constexpr_eval(const struct cn_instance *instance,
                                 struct cn_constexpr expression, uint32_t global_count,
                                 cn_valtype type, union cn_slot *result)
{
    struct operand small[OPERANDS_SMALL];
    struct machine machine = {.instance = instance, .code = expression.code,
                              .global_count = global_count, .depth_max = OPERANDS_SMALL,
                              .operands = small};

    /* Whatever pushes an operand takes two bytes or more. */
    size_t bound = expression.code.size / 2;
    if (bound <= OPERANDS_SMALL)
        return run(&machine, type, result);

    struct cn_allocator allocator = instance->store->allocator;
    machine.depth_max = bound;
    machine.operands = cn_alloc_array(allocator, bound, sizeof *machine.operands);
    if (machine.operands == NULL)
        return CN_NO_MEMORY;
    enum cn_status status = run(&machine, type, result);
    cn_free(allocator, machine.operands, bound * sizeof *machine.operands);
    return status;
}
