/* Typing of the operators that look something up: variables, tables, memories, segments,
 * references. */
#include "core/wasm.h"
#include "loader/validate.h"

static enum cn_status check_index(struct cn_validator *v, const char *what, uint32_t count,
                                  uint32_t index)
{
    if (index < count)
        return CN_OK;
    return cn_reject(v, CN_INVALID, "unknown %s %u: there are %u here", what, index, count);
}

/* Reads an index and checks it against how many there are. */
static enum cn_status read_index(struct cn_validator *v, const char *what, uint32_t count,
                                 uint32_t *index)
{
    CN_TRY(cn_read_u32(&v->reader, index));
    return check_index(v, what, count, *index);
}

CN_CHECK(drop)
{
    uint8_t type;

    return cn_pop_any(v, rule->text, &type);
}

CN_CHECK(select)
{
    uint8_t first, second;

    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_any(v, rule->text, &second));
    CN_TRY(cn_pop_any(v, rule->text, &first));
    if (cn_code_is_ref(first) || cn_code_is_ref(second))
        return cn_reject(v, CN_INVALID, "type mismatch: select without a type expects numbers, "
                         "found %s on the stack",
                         cn_type_text(cn_code_is_ref(first) ? first : second));
    if (first != second && first != CN_TYPE_ANY && second != CN_TYPE_ANY)
        return cn_reject(v, CN_INVALID, "type mismatch: select expects two values of one type, "
                         "found %s and %s on the stack", cn_type_text(first),
                         cn_type_text(second));
    return cn_push(v, first != CN_TYPE_ANY ? first : second);
}

/* The type of a typed select, of a ref.null. */
static enum cn_status read_type(struct cn_validator *v, bool is_ref, uint8_t *type)
{
    uint64_t offset = cn_reader_offset(&v->reader);
    uint8_t byte;

    CN_TRY(cn_read_u8(&v->reader, &byte));
    if (!cn_code_is_ref(byte) && (is_ref || !cn_valtype_is_num(byte)))
        return cn_fail(v->reader.error, CN_MALFORMED, offset,
                       "malformed %s type: found 0x%02x%s", is_ref ? "reference" : "value",
                       byte, byte == CN_V128 ? " (SIMD is not supported yet)" : "");
    *type = byte;
    return CN_OK;
}

CN_CHECK(select_typed)
{
    uint32_t count;
    uint8_t type;

    CN_TRY(cn_read_count(&v->reader, UINT32_MAX, 1, "types of select", &count));
    if (count != 1)
        return cn_reject(v, CN_INVALID, "invalid result arity: select expects 1 type, found %u",
                         count);
    CN_TRY(read_type(v, false, &type));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, type, rule->text));
    CN_TRY(cn_pop_type(v, type, rule->text));
    return cn_push(v, type);
}

CN_CHECK(global_get)
{
    uint32_t index;

    (void)rule;
    CN_TRY(read_index(v, "global", v->module->global_count, &index));
    return cn_push(v, (uint8_t)v->module->globals[index].type.type);
}

CN_CHECK(global_set)
{
    uint32_t index;

    CN_TRY(read_index(v, "global", v->module->global_count, &index));
    if (!v->module->globals[index].type.is_mutable)
        return cn_reject(v, CN_INVALID, "immutable global: global.set expects a mutable one, "
                         "found global %u", index);
    return cn_pop_type(v, (uint8_t)v->module->globals[index].type.type, rule->text);
}

/* Reads the index of a table and gives its element type. */
static enum cn_status read_table(struct cn_validator *v, uint8_t *type)
{
    uint32_t index;

    CN_TRY(read_index(v, "table", v->module->table_count, &index));
    *type = (uint8_t)v->module->tables[index].type.element;
    return CN_OK;
}

CN_CHECK(table_get)
{
    uint8_t type;

    CN_TRY(read_table(v, &type));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    return cn_push(v, type);
}

CN_CHECK(table_set)
{
    uint8_t type;

    CN_TRY(read_table(v, &type));
    CN_TRY(cn_pop_type(v, type, rule->text));
    return cn_pop_type(v, CN_I32, rule->text);
}

CN_CHECK(table_size)
{
    uint8_t type;

    CN_TRY(read_table(v, &type));
    return cn_apply(v, rule);
}

CN_CHECK(table_grow)
{
    uint8_t type;

    CN_TRY(read_table(v, &type));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, type, rule->text));
    return cn_push(v, CN_I32);
}

CN_CHECK(table_fill)
{
    uint8_t type;

    CN_TRY(read_table(v, &type));
    CN_TRY(cn_pop_type(v, CN_I32, rule->text));
    CN_TRY(cn_pop_type(v, type, rule->text));
    return cn_pop_type(v, CN_I32, rule->text);
}

static enum cn_status expect_elements(struct cn_validator *v, const struct cn_op_rule *rule,
                                      uint8_t expected, uint8_t found)
{
    if (expected == found)
        return CN_OK;
    return cn_reject(v, CN_INVALID, "type mismatch: %s into a table of %s expects the same, "
                     "found %s", rule->text, cn_type_text(expected), cn_type_text(found));
}

CN_CHECK(table_copy)
{
    uint8_t to, from;

    CN_TRY(read_table(v, &to));
    CN_TRY(read_table(v, &from));
    CN_TRY(expect_elements(v, rule, to, from));
    return cn_apply(v, rule);
}

CN_CHECK(table_init)
{
    uint32_t segment;
    uint8_t to;

    CN_TRY(cn_read_u32(&v->reader, &segment));
    CN_TRY(read_table(v, &to));
    CN_TRY(check_index(v, "elem segment", v->module->element_count, segment));
    CN_TRY(expect_elements(v, rule, to, (uint8_t)v->module->elements[segment].type));
    return cn_apply(v, rule);
}

CN_CHECK(elem_drop)
{
    uint32_t segment;

    CN_TRY(read_index(v, "elem segment", v->module->element_count, &segment));
    return cn_apply(v, rule);
}

/* The byte that stands for memory 0. */
static enum cn_status read_memory(struct cn_validator *v)
{
    uint64_t offset = cn_reader_offset(&v->reader);
    uint8_t byte;

    CN_TRY(cn_read_u8(&v->reader, &byte));
    if (byte != 0)
        return cn_fail(v->reader.error, CN_MALFORMED, offset,
                       "zero byte expected: found 0x%02x (several memories are not supported)",
                       byte);
    if (v->module->memory_count == 0)
        return cn_reject(v, CN_INVALID, "unknown memory 0: the module has no memory");
    return CN_OK;
}

CN_CHECK(memory_op)
{
    CN_TRY(read_memory(v));
    return cn_apply(v, rule);
}

CN_CHECK(memory_copy)
{
    CN_TRY(read_memory(v));
    CN_TRY(read_memory(v));
    return cn_apply(v, rule);
}

static enum cn_status read_data(struct cn_validator *v, const struct cn_op_rule *rule)
{
    uint32_t segment;

    if (!v->has_data_count)
        return cn_reject(v, CN_MALFORMED, "data count section required: %s is used without it",
                         rule->text);
    return read_index(v, "data segment", v->data_count, &segment);
}

CN_CHECK(memory_init)
{
    CN_TRY(read_data(v, rule));
    CN_TRY(read_memory(v));
    return cn_apply(v, rule);
}

CN_CHECK(data_drop)
{
    CN_TRY(read_data(v, rule));
    return cn_apply(v, rule);
}

CN_CHECK(ref_null)
{
    uint8_t type;

    (void)rule;
    CN_TRY(read_type(v, true, &type));
    return cn_push(v, type);
}

CN_CHECK(ref_is_null)
{
    uint8_t type;

    CN_TRY(cn_pop_any(v, rule->text, &type));
    if (type != CN_TYPE_ANY && !cn_code_is_ref(type))
        return cn_reject(v, CN_INVALID, "type mismatch: ref.is_null expects a reference, found "
                         "%s on the stack", cn_type_text(type));
    return cn_push(v, CN_I32);
}

CN_CHECK(ref_func)
{
    uint32_t index;

    (void)rule;
    CN_TRY(read_index(v, "function", v->module->func_count, &index));
    if (!v->module->funcs[index].is_referenced)
        return cn_reject(v, CN_INVALID, "undeclared function reference: function %u is named by "
                         "no element segment, export or global", index);
    return cn_push(v, CN_HEAP_FUNC);
}

CN_CHECK(prefixed)
{
    uint32_t number;

    (void)rule;
    CN_TRY(cn_read_u32(&v->reader, &number));
    if (number >= CN_PREFIXED_RULES || v->prefixed[number].text == NULL)
        return cn_reject(v, CN_MALFORMED, "illegal opcode fc %02x", number);
    const struct cn_op_rule *found = &v->prefixed[number];
    return found->kind == CN_OP_RULE_CHECK ? found->check(v, found) : cn_apply(v, found);
}

CN_CHECK(simd)
{
    uint32_t number = 0;

    (void)rule;
    CN_TRY(cn_read_u32(&v->reader, &number));
    return cn_reject(v, CN_MALFORMED, "illegal opcode fd %02x: SIMD is not supported yet",
                     number);
}

enum cn_status cn_check_memarg(struct cn_validator *v, const struct cn_op_rule *rule)
{
    uint64_t offset = cn_reader_offset(&v->reader);
    uint32_t align, distance;

    CN_TRY(cn_read_u32(&v->reader, &align));
    if (align >= 64)
        return cn_fail(v->reader.error, CN_MALFORMED, offset,
                       "malformed memop flags: found 0x%x%s", align,
                       align < 128 ? " (several memories are not supported)" : "");
    CN_TRY(cn_read_u32(&v->reader, &distance));
    if (v->module->memory_count == 0)
        return cn_reject(v, CN_INVALID, "unknown memory 0: %s in a module without memory",
                         rule->text);
    if (align > rule->align)
        return cn_fail(v->reader.error, CN_INVALID, offset,
                       "alignment must not be larger than natural: %s expects at most 2^%u, "
                       "found 2^%u", rule->text, rule->align, align);
    return CN_OK;
}
