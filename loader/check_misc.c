/* Typing of the operators that look something up: variables, tables, memories, segments. */
#include "core/wasm.h"
#include "loader/decode.h"

enum cn_status cn_check_number(struct cn_validator *v, const char *what, uint32_t count,
                               uint32_t index)
{
    if (index < count)
        return CN_OK;
    return cn_reject(v, CN_INVALID, "unknown %s %u: there are %u here", what, index, count);
}

enum cn_status cn_read_number(struct cn_validator *v, const char *what, uint32_t count,
                              uint32_t *index)
{
    CN_TRY(cn_read_u32(&v->reader, index));
    return cn_check_number(v, what, count, *index);
}

CN_CHECK(drop)
{
    cn_valtype type;

    return cn_pop_any(v, rule->text, &type);
}

CN_CHECK(select)
{
    cn_valtype first, second;
    char text[CN_TYPE_TEXT], other[CN_TYPE_TEXT];

    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_any(v, rule->text, &second));
    CN_TRY(cn_pop_any(v, rule->text, &first));
    if (first == CN_TYPE_ANY_REF || second == CN_TYPE_ANY_REF || cn_valtype_is_ref(first) ||
        cn_valtype_is_ref(second))
        return cn_reject(v, CN_INVALID, "type mismatch: select without a type expects numbers, "
                         "found %s and %s", cn_type_text(first, text),
                         cn_type_text(second, other));
    if (first != second && first != CN_TYPE_ANY && second != CN_TYPE_ANY)
        return cn_reject(v, CN_INVALID, "type mismatch: select expects two values of one type, "
                         "found %s and %s", cn_type_text(first, text),
                         cn_type_text(second, other));
    return cn_push(v, first != CN_TYPE_ANY ? first : second);
}

CN_CHECK(select_typed)
{
    uint32_t count;
    cn_valtype type;

    CN_TRY(cn_read_count(&v->reader, UINT32_MAX, 1, "types of select", &count));
    if (count != 1)
        return cn_reject(v, CN_INVALID, "invalid result arity: select expects 1 type, found %u",
                         count);
    CN_TRY(cn_read_valtype(v->module, &v->reader, &type));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, type, rule->text));
    CN_TRY(cn_pop_type(v, type, rule->text));
    return cn_push(v, type);
}

CN_CHECK(global_get)
{
    uint32_t index;

    (void)rule;
    CN_TRY(cn_read_number(v, "global", v->module->global_count, &index));
    return cn_push(v, v->module->globals[index].type.type);
}

CN_CHECK(global_set)
{
    uint32_t index;

    CN_TRY(cn_read_number(v, "global", v->module->global_count, &index));
    if (!v->module->globals[index].type.is_mutable)
        return cn_reject(v, CN_INVALID, "immutable global: global.set expects a mutable one, "
                         "found global %u", index);
    return cn_pop_type(v, v->module->globals[index].type.type, rule->text);
}

/* ------------------------------------------------------------------ tables */

static cn_valtype address_of(bool is_64)
{
    return is_64 ? CN_I64 : CN_I32;
}

static enum cn_status read_table(struct cn_validator *v, const struct cn_table_type **table)
{
    uint32_t index;

    CN_TRY(cn_read_number(v, "table", v->module->table_count, &index));
    *table = &v->module->tables[index].type;
    return CN_OK;
}

CN_CHECK(table_get)
{
    const struct cn_table_type *table;

    CN_TRY(read_table(v, &table));
    CN_TRY(cn_pop_type(v, address_of(table->is_64), rule->text));
    return cn_push(v, table->element);
}

CN_CHECK(table_set)
{
    const struct cn_table_type *table;

    CN_TRY(read_table(v, &table));
    CN_TRY(cn_pop_type(v, table->element, rule->text));
    return cn_pop_type(v, address_of(table->is_64), rule->text);
}

CN_CHECK(table_size)
{
    const struct cn_table_type *table;

    (void)rule;
    CN_TRY(read_table(v, &table));
    return cn_push(v, address_of(table->is_64));
}

CN_CHECK(table_grow)
{
    const struct cn_table_type *table;

    CN_TRY(read_table(v, &table));
    CN_TRY(cn_pop_type(v, address_of(table->is_64), rule->text));
    CN_TRY(cn_pop_type(v, table->element, rule->text));
    return cn_push(v, address_of(table->is_64));
}

CN_CHECK(table_fill)
{
    const struct cn_table_type *table;

    CN_TRY(read_table(v, &table));
    CN_TRY(cn_pop_type(v, address_of(table->is_64), rule->text));
    CN_TRY(cn_pop_type(v, table->element, rule->text));
    return cn_pop_type(v, address_of(table->is_64), rule->text);
}

static enum cn_status expect_elements(struct cn_validator *v, const struct cn_op_rule *rule,
                                      cn_valtype expected, cn_valtype found)
{
    char text[CN_TYPE_TEXT], other[CN_TYPE_TEXT];

    if (cn_type_fits(v, found, expected))
        return CN_OK;
    return cn_reject(v, CN_INVALID, "type mismatch: %s into a table of %s expects the same, "
                     "found %s", rule->text, cn_type_text(expected, text),
                     cn_type_text(found, other));
}

/* Places in two of them, and a length that is an address in both. */
static enum cn_status pop_copy(struct cn_validator *v, const struct cn_op_rule *rule, bool to_64,
                               bool from_64)
{
    CN_TRY(cn_pop_type(v, address_of(to_64 && from_64), rule->text));
    CN_TRY(cn_pop_type(v, address_of(from_64), rule->text));
    return cn_pop_type(v, address_of(to_64), rule->text);
}

/* A place in one, and a place and a length in a segment. */
static enum cn_status pop_init(struct cn_validator *v, const struct cn_op_rule *rule, bool is_64)
{
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_pop_type(v, address_of(is_64), rule->text);
}

CN_CHECK(table_copy)
{
    const struct cn_table_type *to, *from;

    CN_TRY(read_table(v, &to));
    CN_TRY(read_table(v, &from));
    CN_TRY(expect_elements(v, rule, to->element, from->element));
    return pop_copy(v, rule, to->is_64, from->is_64);
}

CN_CHECK(table_init)
{
    const struct cn_table_type *to;
    uint32_t segment;

    CN_TRY(cn_read_u32(&v->reader, &segment));
    CN_TRY(read_table(v, &to));
    CN_TRY(cn_check_number(v, "elem segment", v->module->element_count, segment));
    CN_TRY(expect_elements(v, rule, to->element, v->module->elements[segment].type));
    return pop_init(v, rule, to->is_64);
}

CN_CHECK(elem_drop)
{
    uint32_t segment;

    (void)rule;
    return cn_read_number(v, "elem segment", v->module->element_count, &segment);
}

/* ------------------------------------------------------------------ memories */

static enum cn_status read_memory(struct cn_validator *v, const struct cn_memory_type **memory)
{
    uint32_t index;

    CN_TRY(cn_read_number(v, "memory", v->module->memory_count, &index));
    *memory = &v->module->memories[index];
    return CN_OK;
}

/* As cn_apply, with addresses of this memory. */
static enum cn_status apply_to(struct cn_validator *v, const struct cn_op_rule *rule,
                               const struct cn_memory_type *memory)
{
    for (unsigned i = CN_RULE_POPS; i-- > CN_RULE_POPS - (unsigned)rule->pops;) {
        bool is_address = rule->addresses & 1u << i;
        CN_TRY(cn_pop_type(v, is_address ? address_of(memory->is_64) : rule->want[i],
                           rule->text));
    }
    if (rule->pushes == 0)
        return CN_OK;
    return cn_push(v, rule->gives_address ? address_of(memory->is_64) : rule->results[0]);
}

CN_CHECK(memory_op)
{
    const struct cn_memory_type *memory;

    CN_TRY(read_memory(v, &memory));
    return apply_to(v, rule, memory);
}

CN_CHECK(memory_copy)
{
    const struct cn_memory_type *to, *from;

    CN_TRY(read_memory(v, &to));
    CN_TRY(read_memory(v, &from));
    return pop_copy(v, rule, to->is_64, from->is_64);
}

static enum cn_status need_data_count(struct cn_validator *v, const struct cn_op_rule *rule)
{
    if (v->has_data_count)
        return CN_OK;
    return cn_reject(v, CN_MALFORMED, "data count section required: %s is used without it",
                     rule->text);
}

enum cn_status cn_read_data_index(struct cn_validator *v, const struct cn_op_rule *rule)
{
    uint32_t segment;

    CN_TRY(need_data_count(v, rule));
    return cn_read_number(v, "data segment", v->data_count, &segment);
}

CN_CHECK(memory_init)
{
    const struct cn_memory_type *to;
    uint32_t segment;

    CN_TRY(need_data_count(v, rule));
    CN_TRY(cn_read_u32(&v->reader, &segment));
    CN_TRY(read_memory(v, &to));
    CN_TRY(cn_check_number(v, "data segment", v->data_count, segment));
    return pop_init(v, rule, to->is_64);
}

CN_CHECK(data_drop)
{
    return cn_read_data_index(v, rule);
}

CN_CHECK(fence)
{
    uint8_t byte;

    CN_TRY(cn_read_u8(&v->reader, &byte));
    if (byte != 0)
        return cn_reject(v, CN_MALFORMED, "zero byte expected: %s is followed by 0x%02x",
                         rule->text, byte);
    return CN_OK;
}

static enum cn_status check_alignment(struct cn_validator *v, const struct cn_op_rule *rule,
                                      uint64_t offset, uint32_t align)
{
    if (align > rule->align)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "alignment must not be larger than natural: %s expects at most 2^%u, "
                       "found 2^%u", rule->text, rule->align, align);
    if (rule->is_atomic && align < rule->align)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "atomic alignment must be natural: %s expects 2^%u, found 2^%u",
                       rule->text, rule->align, align);
    return CN_OK;
}

/* Alignment, memory and offset of an access. */
static enum cn_status read_memarg(struct cn_validator *v, const struct cn_op_rule *rule,
                                  const struct cn_memory_type **memory)
{
    enum { HAS_MEMORY = 64, FLAGS_END = 128 };
    uint64_t offset = cn_reader_offset(&v->reader), distance;
    uint32_t flags, index = 0;

    CN_TRY(cn_read_u32(&v->reader, &flags));
    if (flags >= FLAGS_END)
        return cn_fail(v->reader.error, CN_MALFORMED, offset,
                       "malformed memop flags: found 0x%x", flags);
    if (flags & HAS_MEMORY)
        CN_TRY(cn_read_u32(&v->reader, &index));
    CN_TRY(cn_read_u64(&v->reader, &distance));
    CN_TRY(cn_check_number(v, "memory", v->module->memory_count, index));
    *memory = &v->module->memories[index];
    CN_TRY(check_alignment(v, rule, offset, flags & (HAS_MEMORY - 1)));
    if (distance > UINT32_MAX && !(*memory)->is_64)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "offset out of range: %s at %llu, but addresses have 32 bits", rule->text,
                       (unsigned long long)distance);
    return CN_OK;
}

enum cn_status cn_check_memarg(struct cn_validator *v, const struct cn_op_rule *rule)
{
    const struct cn_memory_type *memory;

    CN_TRY(read_memarg(v, rule, &memory));
    return apply_to(v, rule, memory);
}

/* ------------------------------------------------------------------ vectors */

static enum cn_status read_lane(struct cn_validator *v, const struct cn_op_rule *rule,
                                uint32_t lanes)
{
    uint8_t lane;

    CN_TRY(cn_read_u8(&v->reader, &lane));
    if (lane >= lanes)
        return cn_reject(v, CN_INVALID, "invalid lane index: %s expects less than %u, found %u",
                         rule->text, lanes, lane);
    return CN_OK;
}

CN_CHECK(lane)
{
    CN_TRY(read_lane(v, rule, rule->lanes));
    return cn_apply(v, rule);
}

CN_CHECK(shuffle)
{
    for (int i = 0; i < 16; i++)
        CN_TRY(read_lane(v, rule, 32));
    return cn_apply(v, rule);
}

CN_CHECK(v128_const)
{
    struct cn_bytes bytes;

    CN_TRY(cn_read_bytes(&v->reader, 16, "vector", &bytes));
    return cn_apply(v, rule);
}

CN_CHECK(memarg_lane)
{
    const struct cn_memory_type *memory;

    CN_TRY(read_memarg(v, rule, &memory));
    CN_TRY(read_lane(v, rule, rule->lanes));
    return apply_to(v, rule, memory);
}

/* ------------------------------------------------------------------ prefixes */

CN_CHECK(prefixed)
{
    uint8_t prefix = *v->op;
    uint32_t number;

    (void)rule;
    CN_TRY(cn_read_u32(&v->reader, &number));
    const struct cn_op_rule *found = &v->rules[cn_wasm_place(prefix, number)];
    if (cn_wasm_place(prefix, number) == CN_WASM_NO_PLACE || found->text == NULL)
        return cn_reject(v, CN_MALFORMED, "illegal opcode %02x %02x", prefix, number);
    if (found->kind == CN_OP_RULE_CHECK)
        return found->check(v, found);
    return found->kind == CN_OP_RULE_MEMARG ? cn_check_memarg(v, found) : cn_apply(v, found);
}
