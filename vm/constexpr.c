#include "vm/constexpr.h"

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
    OP_VECTOR = 0xfd,
    OP_V128_CONST = 0x0c, /* behind OP_VECTOR */
};

#define OPERANDS_SMALL 16

struct operand {
    union cn_slot values[2]; /* a v128 takes both */
    cn_valtype type;
};

struct machine {
    const struct cn_instance *instance;
    struct cn_bytes code;
    uint32_t global_count;
    size_t depth, depth_max;
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
    machine->operands[machine->depth++] = (struct operand){{value}, type};
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
    const uint8_t *type;

    return take_bytes(machine, 1, &type) && cn_heap_is_abstract(*type) &&
           push_number(machine, cn_ref_abstract(*type, true), 0);
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
    if (a->type != type || b->type != type)
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
    default:
        return false;
    }
}

static enum cn_status run(struct machine *machine, cn_valtype type, union cn_slot *result)
{
    const uint8_t *op;

    while (take_bytes(machine, 1, &op) && *op != OP_END)
        if (!step(machine, *op))
            return CN_INVALID;
    if (machine->depth != 1 ||
        cn_valtype_code(machine->operands[0].type) != cn_valtype_code(type))
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
    struct machine machine = {instance, expression.code, global_count, 0, OPERANDS_SMALL, small};

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
